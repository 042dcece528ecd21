//! Places in a queue of work, shared by those who fill it: nobody holds more of them than are free.
//!
//! So one who wants all gets half and leaves half; two get a third each and leave one. Whoever comes then finds room at
//! once, however many have wanted all before. (It is the dynamic threshold by which switches share their memory.)

use crate::bearer::{Bearer, Key};
use std::collections::BTreeMap;

/// The places of one queue.
#[derive(Debug)]
pub struct Places {
    max: usize,
    held: usize,
    /// Those who hold any, at each level: never more than three for each place.
    by: BTreeMap<Key, usize>,
}

impl Places {
    /// So many places, all of them free.
    pub fn new(max: usize) -> Self {
        Self { max, held: 0, by: BTreeMap::new() }
    }

    /// Takes a place for something that this bearer has brought; false if it has to do without.
    #[must_use]
    pub fn take(&mut self, from: &Bearer) -> bool {
        let free = self.max - self.held;
        let room = |(_, key): (usize, Key)| self.by.get(&key).copied().unwrap_or(0) < free;
        if free == 0 || !from.keys().all(room) {
            return false;
        }
        self.held += 1;
        for (_, key) in from.keys() {
            *self.by.entry(key).or_default() += 1;
        }
        true
    }

    /// Gives a place back that was taken for the same bearer.
    pub fn give_back(&mut self, from: &Bearer) {
        self.held = self.held.saturating_sub(1);
        for (_, key) in from.keys() {
            if let Some(held) = self.by.get_mut(&key) {
                *held -= 1;
                if *held == 0 {
                    self.by.remove(&key);
                }
            }
        }
    }

    /// Places that are taken.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RouterHash;
    use proptest::prelude::*;

    fn session(n: u8) -> Bearer {
        Bearer::session(RouterHash([n; 32]), Some([100, n, 1, 1].into()), false)
    }

    #[test]
    fn one_that_wants_all_places_gets_half_and_the_next_finds_room() {
        let mut places = Places::new(256);
        let all =
            |places: &mut Places, n| std::iter::repeat_with(|| places.take(&session(n))).take_while(|t| *t).count();
        assert_eq!(all(&mut places, 1), 128);
        assert_eq!(all(&mut places, 2), 64);
        assert!((3..8).all(|n| places.take(&session(n))));
        (0..128).for_each(|_| places.give_back(&session(1)));
        assert!(places.take(&session(1)));
    }

    #[test]
    fn many_names_in_one_network_share_what_one_would_get() {
        let mut places = Places::new(256);
        let name = |n: u8| Bearer::session(RouterHash([n; 32]), Some([9, 9, n, 1].into()), false);
        let taken = (0..=255).filter(|n| places.take(&name(*n))).count();
        assert_eq!(taken, 128);
    }

    proptest! {
        #[test]
        fn places_are_never_more_than_there_are_and_come_back(steps in prop::collection::vec((0u8..6, any::<bool>()), 0..400)) {
            let mut places = Places::new(16);
            let mut held = Vec::new();
            for (who, comes) in steps {
                if comes {
                    if places.take(&session(who)) {
                        held.push(who);
                    }
                } else if let Some(who) = held.pop() {
                    places.give_back(&session(who));
                }
                prop_assert_eq!(places.held(), held.len());
                prop_assert!(held.len() <= 16);
            }
            held.drain(..).for_each(|who| places.give_back(&session(who)));
            prop_assert!(places.by.is_empty() && places.held() == 0);
        }
    }
}
