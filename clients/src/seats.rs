//! The destinations of a client thread, and which of them have something to do: a thread with a thousand that are idle looks at the busy
//! ones alone.
//!
//! ```text
//! touched (input, look, cells) --> marked --> served in this turn --> waits for room in its tunnels? marked again
//! its timer is due ---------------'                           '-----> its next timer
//! ```

use ramson_protocol::id::DestinationId;
use ramson_protocol::time::Mono;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// What has a seat.
pub(crate) trait Seated {
    /// When it is to be served if nothing else happens.
    fn poll_timeout(&self) -> Option<Mono>;

    /// True if it is to be served in the next turn, whatever happens: it waits for room in its tunnels.
    fn is_waiting(&self) -> bool;
}

/// One destination.
struct Seat<T> {
    /// By itself, so that places which are free in the table cost little.
    local: Box<T>,
    marked: bool,
    /// Its timer, as it stands in [`Seats::timers`].
    timer: Option<Mono>,
}

/// See the module.
pub(crate) struct Seats<T> {
    seats: FxHashMap<DestinationId, Seat<T>>,
    marked: Vec<DestinationId>,
    timers: BTreeSet<(Mono, DestinationId)>,
    /// Those of a turn, kept for its memory.
    turn: Vec<DestinationId>,
}

impl<T> Default for Seats<T> {
    fn default() -> Self {
        Self { seats: FxHashMap::default(), marked: Vec::new(), timers: BTreeSet::new(), turn: Vec::new() }
    }
}

impl<T: Seated> Seats<T> {
    /// Seats a new destination; returns what had its number before.
    pub(crate) fn insert(&mut self, id: DestinationId, local: T) -> Option<T> {
        let before = self.remove(id);
        self.seats.insert(id, Seat { local: Box::new(local), marked: true, timer: None });
        self.marked.push(id);
        before
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: DestinationId) -> Option<T> {
        let Seat { local, marked, timer } = self.seats.remove(&id)?;
        if let Some(at) = timer {
            self.timers.remove(&(at, id));
        }
        if marked {
            // Who has its number next is not served twice.
            self.marked.retain(|other| *other != id);
        }
        Some(*local)
    }

    /// One that is about to be touched: it is served in this turn.
    pub(crate) fn get_mut(&mut self, id: DestinationId) -> Option<&mut T> {
        let seat = self.seats.get_mut(&id)?;
        if !std::mem::replace(&mut seat.marked, true) {
            self.marked.push(id);
        }
        Some(&mut seat.local)
    }

    /// All of them, which are all served in this turn.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut T> {
        for (id, seat) in &mut self.seats {
            if !std::mem::replace(&mut seat.marked, true) {
                self.marked.push(*id);
            }
        }
        self.seats.values_mut().map(|seat| &mut *seat.local)
    }

    /// When to call [`Seats::serve`] if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Serves those that have something to do.
    pub(crate) fn serve(&mut self, now: Mono, mut serve: impl FnMut(&mut T)) {
        while let Some((_, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pop_first();
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.timer = None;
                if !std::mem::replace(&mut seat.marked, true) {
                    self.marked.push(id);
                }
            }
        }
        std::mem::swap(&mut self.turn, &mut self.marked);
        for id in self.turn.drain(..) {
            let Some(seat) = self.seats.get_mut(&id) else { continue };
            serve(&mut seat.local);
            seat.marked = seat.local.is_waiting();
            if seat.marked {
                self.marked.push(id);
            }
            let timer = seat.local.poll_timeout();
            if timer != seat.timer {
                if let Some(before) = std::mem::replace(&mut seat.timer, timer) {
                    self.timers.remove(&(before, id));
                }
                self.timers.extend(timer.map(|at| (at, id)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    /// Has a timer and perhaps no room, and knows when it was served last.
    #[derive(Clone, Debug, Default)]
    struct Model {
        timer: Option<Mono>,
        waiting: bool,
        touched: bool,
        served: u32,
    }

    impl Seated for Model {
        fn poll_timeout(&self) -> Option<Mono> {
            self.timer
        }

        fn is_waiting(&self) -> bool {
            self.waiting
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Remove(u32),
        /// Touched, with a timer in so many seconds, and with room or without.
        Touch(u32, Option<u64>, bool),
        Wait(u64),
        All,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let id = 0..5_u32;
        let step = prop_oneof![
            id.clone().prop_map(Step::Insert),
            id.clone().prop_map(Step::Remove),
            (id, prop::option::of(0..9_u64), any::<bool>())
                .prop_map(|(id, timer, waits)| Step::Touch(id, timer, waits)),
            (0..5_u64).prop_map(Step::Wait),
            Just(Step::All),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        /// Whoever would be served if all were looked at is served, and nobody else.
        #[test]
        fn those_are_served_that_have_something_to_do(steps in steps()) {
            let (mut seats, mut now) = (Seats::<Model>::default(), Duration::from_secs(100));
            for step in steps {
                match step {
                    Step::Insert(id) => drop(seats.insert(DestinationId(id), Model { touched: true, ..Model::default() })),
                    Step::Remove(id) => drop(seats.remove(DestinationId(id))),
                    Step::Touch(id, timer, waiting) => {
                        if let Some(model) = seats.get_mut(DestinationId(id)) {
                            let timer = timer.map(|seconds| now + Duration::from_secs(seconds));
                            *model = Model { timer, waiting, touched: true, served: model.served };
                        }
                    }
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                    Step::All => seats.all().for_each(|model| model.touched = true),
                }
                let models = |seats: &Seats<Model>| -> std::collections::BTreeMap<_, _> {
                    seats.seats.iter().map(|(id, seat)| (*id, (*seat.local).clone())).collect()
                };
                let before = models(&seats);
                seats.serve(now, |model| {
                    model.served += 1;
                    model.touched = false;
                    model.timer = model.timer.filter(|at| *at > now);
                });
                for (id, after) in models(&seats) {
                    let Model { timer, waiting, touched, served } = before[&id].clone();
                    let due = touched || waiting || timer.is_some_and(|at| at <= now);
                    prop_assert_eq!(after.served - served, u32::from(due), "{:?}", before[&id]);
                }
                let next = models(&seats).values().filter_map(|model| model.timer).min();
                prop_assert_eq!(seats.poll_timeout(), next);
            }
        }
    }
}
