//! Publishing our own RouterInfo: to the closest floodfill, until one confirms that was reached before; and again when it
//! grows old. A stranger that confirms may be one of many names that were made close to ours, to hide us.
//!
//! spec: network-database §RouterInfo Storage to Floodfills
//!
//! ```text
//!         Publish                    Confirmed
//! Idle ────────────▶ Waiting(token) ────────────▶ Idle, due again after `interval`
//!                     │  ▲ no answer in `patience`, or not sent: the next closest
//!                     └──┘
//!                     tried `max_tries`, or nobody is left ──▶ Backoff ──▶ from the closest again
//! ```
//!
//! Invariants: one store is under way at a time; a confirmation counts by its token alone, which is random.

use super::floodfills::Floodfills;
use super::routing_key::{Day, routing_key};
use crate::id::{NetDbKey, RouterHash};
use crate::time::{Mono, Now};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// How often and how patiently.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Our own hash, which is never asked to store.
    pub own: RouterHash,
    /// From a confirmation to the next publication; up to a tenth more at random, so that routers do not go in step.
    pub interval: Duration,
    /// How long a floodfill may take to confirm, connecting included.
    pub patience: Duration,
    /// Floodfills tried before a pause.
    pub max_tries: usize,
    /// How long that pause is.
    pub backoff: Duration,
}

impl Config {
    /// The usual numbers. A RouterInfo is worth an hour to floodfills, so it is renewed twice in that time.
    pub fn new(own: RouterHash) -> Self {
        Self {
            own,
            interval: Duration::from_secs(25 * 60),
            patience: Duration::from_secs(6),
            max_tries: 15,
            backoff: Duration::from_secs(60),
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum In {
    /// There is a new RouterInfo, or it is time for one: publish it now.
    Publish,
    /// A DeliveryStatus with this number arrived.
    Confirmed(u32),
    /// The floodfill could not be reached.
    SendFailed(RouterHash),
    /// The floodfills that we know now.
    Floodfills(Floodfills),
    /// What we publish is kept under another key from now on.
    Moved(RouterHash),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// Send our RouterInfo in a DatabaseStore, directly, with this token and ourselves as the gateway.
    Store {
        /// The floodfill that stores it.
        floodfill: RouterHash,
        /// The reply token, not zero: the DeliveryStatus will name it.
        token: u32,
    },
    /// Sign a new RouterInfo and give [`In::Publish`].
    Renew,
    /// A floodfill has it and passes it on.
    Published(RouterHash),
    /// Nobody confirmed; we try again later.
    Unpublished,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Stores sent.
    pub stores: u64,
    /// Stores confirmed.
    pub confirmed: u64,
    /// Stores that were not confirmed in time.
    pub timeouts: u64,
    /// Floodfills that could not be reached.
    pub failed: u64,
    /// Confirmations of floodfills that nobody has met: another one is asked, too.
    pub strangers: u64,
}

/// The publisher. After any input drain [`Publisher::poll_output`], then re-arm one timer.
#[derive(Debug)]
pub struct Publisher {
    config: Config,
    rng: ChaCha20Rng,
    floodfills: Floodfills,
    tried: Vec<RouterHash>,
    /// A stranger has confirmed: only those that were reached are tried from now on.
    proven_only: bool,
    state: State,
    out: VecDeque<Out>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing to do until a new RouterInfo is due.
    Idle { due: Option<Mono> },
    /// A floodfill has been sent it.
    Waiting { floodfill: RouterHash, token: u32, until: Mono },
    /// Nobody was left.
    Backoff { until: Mono },
}

impl Publisher {
    /// A publisher that waits for the first [`In::Publish`].
    pub fn new(config: Config, seed: [u8; 32], _now: Now) -> Self {
        Self {
            config,
            rng: ChaCha20Rng::from_seed(seed),
            floodfills: Floodfills::default(),
            tried: Vec::new(),
            proven_only: false,
            state: State::Idle { due: None },
            out: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Now, input: In) {
        match input {
            In::Publish => {
                self.begin(now);
            }
            In::Confirmed(number) => match self.state {
                State::Waiting { floodfill, token, .. }
                    if token == number && self.floodfills.has_proven() && !self.floodfills.is_proven(&floodfill) =>
                {
                    self.stats.strangers += 1;
                    self.proven_only = true;
                    self.try_next(now);
                }
                State::Waiting { floodfill, token, .. } if token == number => {
                    self.stats.confirmed += 1;
                    let tenth = u64::try_from(self.config.interval.as_millis() / 10).unwrap_or(0);
                    let jitter = Duration::from_millis(self.rng.next_u64() % (tenth + 1));
                    self.state = State::Idle { due: Some(now.mono + self.config.interval + jitter) };
                    self.out.push_back(Out::Published(floodfill));
                }
                State::Waiting { .. } | State::Idle { .. } | State::Backoff { .. } => {}
            },
            In::SendFailed(router) => match self.state {
                State::Waiting { floodfill, .. } if floodfill == router => {
                    self.stats.failed += 1;
                    self.try_next(now);
                }
                State::Waiting { .. } | State::Idle { .. } | State::Backoff { .. } => {}
            },
            In::Moved(own) => self.config.own = own,
            In::Floodfills(floodfills) => {
                let had_none = self.floodfills.is_empty();
                self.floodfills = floodfills;
                // The first floodfills end the wait for them.
                if had_none && matches!(self.state, State::Backoff { .. }) {
                    self.try_next(now);
                }
            }
        }
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.state {
            State::Waiting { until, .. } if now.mono >= until => {
                self.stats.timeouts += 1;
                self.try_next(now);
            }
            State::Backoff { until } if now.mono >= until => self.begin(now),
            State::Idle { due: Some(due) } if now.mono >= due => {
                self.state = State::Idle { due: None };
                self.out.push_back(Out::Renew);
            }
            State::Waiting { .. } | State::Backoff { .. } | State::Idle { .. } => {}
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When to call [`Publisher::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Idle { due } => due,
            State::Waiting { until, .. } | State::Backoff { until } => Some(until),
        }
    }

    /// From the closest again.
    fn begin(&mut self, now: Now) {
        self.tried.clear();
        self.proven_only = false;
        self.try_next(now);
    }

    fn try_next(&mut self, now: Now) {
        let place = routing_key(NetDbKey::from(self.config.own), Day::of(now.wall));
        let next = if self.tried.len() < self.config.max_tries {
            let mut floodfills = self.floodfills.closest(&place);
            let fits = |(router, proven): &(RouterHash, bool)| {
                (*proven || !self.proven_only) && *router != self.config.own && !self.tried.contains(router)
            };
            floodfills.find(fits).map(|(router, _)| router)
        } else {
            None
        };
        match next {
            Some(floodfill) => {
                self.tried.push(floodfill);
                let token = self.rng.next_u32().max(1);
                self.stats.stores += 1;
                self.state = State::Waiting { floodfill, token, until: now.mono + self.config.patience };
                self.out.push_back(Out::Store { floodfill, token });
            }
            None => {
                self.state = State::Backoff { until: now.mono + self.config.backoff };
                self.out.push_back(Out::Unpublished);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::router_set::RouterSet;
    use super::*;
    use crate::time::Wall;

    const OWN: RouterHash = RouterHash([1; 32]);

    fn at(secs: u64) -> Now {
        Now::default().plus(Duration::from_secs(1_000_000 + secs))
    }

    fn publisher(floodfills: u8) -> (Publisher, Vec<RouterHash>) {
        let set: RouterSet = (10..10 + floodfills).map(|n| RouterHash([n; 32])).chain([OWN]).collect();
        let place = routing_key(NetDbKey::from(OWN), Day::of(Wall(1_000_000_000)));
        let order = set.closest(&place).filter(|r| *r != OWN).collect();
        let config = Config { max_tries: 4, ..Config::new(OWN) };
        let mut p = Publisher::new(config, [0; 32], at(0));
        p.handle_input(at(0), In::Floodfills(set.into()));
        p.handle_input(at(0), In::Publish);
        (p, order)
    }

    fn store(p: &mut Publisher) -> (RouterHash, u32) {
        match p.poll_output() {
            Some(Out::Store { floodfill, token }) => (floodfill, token),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_closest_floodfill_confirms_and_the_next_publication_is_due_in_half_an_hour() {
        let (mut p, order) = publisher(9);
        let (floodfill, token) = store(&mut p);
        assert_eq!(floodfill, order[0]);
        p.handle_input(at(1), In::Confirmed(token ^ 1));
        assert_eq!(p.poll_output(), None);
        p.handle_input(at(2), In::Confirmed(token));
        assert_eq!(p.poll_output(), Some(Out::Published(floodfill)));
        let due = p.poll_timeout().unwrap();
        assert!(due >= at(2 + 1500).mono && due <= at(2 + 1650).mono);
        p.handle_timeout(at(2000));
        assert_eq!(p.poll_output(), Some(Out::Renew));
        assert_eq!(p.poll_timeout(), None);
        p.handle_input(at(2001), In::Publish);
        assert_eq!(store(&mut p).0, order[0]);
    }

    #[test]
    fn the_next_one_is_tried_after_silence_or_failure_and_then_there_is_a_pause() {
        let (mut p, order) = publisher(9);
        assert_eq!(store(&mut p).0, order[0]);
        p.handle_timeout(at(6));
        let (second, stale) = store(&mut p);
        assert_eq!(second, order[1]);
        p.handle_input(at(7), In::SendFailed(order[0]));
        assert_eq!(p.poll_output(), None, "it has had its turn");
        p.handle_input(at(7), In::SendFailed(order[1]));
        assert_eq!(store(&mut p).0, order[2]);
        p.handle_input(at(7), In::Confirmed(stale));
        assert_eq!(p.poll_output(), None);
        p.handle_timeout(at(13));
        store(&mut p);
        p.handle_timeout(at(19));
        assert_eq!(p.poll_output(), Some(Out::Unpublished));
        p.handle_timeout(at(79));
        assert_eq!(store(&mut p).0, order[0]);
        assert_eq!(p.stats(), Stats { stores: 5, timeouts: 3, failed: 1, ..Stats::default() });
    }

    #[test]
    fn a_stranger_that_confirms_is_not_enough_while_there_are_floodfills_that_were_reached() {
        let place = routing_key(NetDbKey::from(OWN), Day::of(Wall(1_000_000_000)));
        let all: RouterSet = (10..30).map(|n| RouterHash([n; 32])).collect();
        let order: Vec<_> = all.closest(&place).collect();
        let set = |range: std::ops::Range<usize>| order[range].iter().copied().collect::<RouterSet>();
        let mut p = Publisher::new(Config::new(OWN), [0; 32], at(0));
        p.handle_input(at(0), In::Floodfills(Floodfills::new(set(10..20), set(0..10))));
        p.handle_input(at(0), In::Publish);
        let (stranger, token) = store(&mut p);
        assert_eq!(stranger, order[0]);
        p.handle_input(at(1), In::Confirmed(token));
        let (met, token) = store(&mut p);
        assert_eq!(met, order[10]);
        p.handle_input(at(2), In::Confirmed(token));
        assert_eq!(p.poll_output(), Some(Out::Published(met)));
    }

    #[test]
    fn the_first_floodfills_to_be_known_end_the_wait() {
        let mut p = Publisher::new(Config::new(OWN), [0; 32], at(0));
        p.handle_input(at(0), In::Publish);
        assert_eq!(p.poll_output(), Some(Out::Unpublished));
        p.handle_input(at(1), In::Floodfills([RouterHash([5; 32])].into_iter().collect::<RouterSet>().into()));
        assert_eq!(store(&mut p).0, RouterHash([5; 32]));
    }
}
