//! When to ask whom for bundles, and when what they brought is enough.
//!
//! ```text
//!          too few routers known, and rested
//! Resting ---------------------------------> Asking   two hosts at a time, in random order
//!   ^  ^                                      |  |
//!   |  '-- enough, of enough signers: Take ---'  |
//!   '----- no host left, or too late: Take, or GaveUp
//! ```
//! A rest is the longer, the more rounds there were since enough routers were known: a minute at first, six hours at
//! last, each with a quarter of it more or less, so that a hundred routers that lost the same network do not come back together.
//!
//! The caller's duty: after any input drain [`Plan::poll_output`] to `None`, then set one timer by [`Plan::poll_timeout`].
//! Each [`Out::Fetch`] is to be answered by one [`In::Fetched`]; a round ends without the answers after [`ROUND`].

use super::bundle::Bundle;
use super::sources::{combine, signers};
use crate::data::router_info::RouterInfo;
use crate::time::Mono;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// With fewer routers known others are looked for outside. INTEROP: Java's minimum.
pub const THRESHOLD: usize = 50;

/// A round ends when so many routers have come. INTEROP: Java's wish.
const ENOUGH: usize = 100;

/// Hosts that are asked at once.
const AT_ONCE: usize = 2;

/// A round ends then, whatever is missing.
pub const ROUND: Duration = Duration::from_secs(5 * 60);

/// The first rest and the longest.
const REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(6 * 3600);

/// The rest after a round that brought something: what came is to be tried first.
const REST_AFTER_SUCCESS: Duration = Duration::from_secs(15 * 60);

/// What a plan is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Hosts that can be asked, numbered from 0.
    pub hosts: usize,
    /// Signers that must have been heard.
    pub needed: usize,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum In {
    /// So many routers are known.
    Known(usize),
    /// A host was asked: a bundle that has passed all checks, or none.
    Fetched(usize, Option<Bundle>),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Out {
    /// Ask this host.
    Fetch(usize),
    /// Take these routers, for which so many signers stand.
    Take(Vec<RouterInfo>, usize),
    /// Too few signers were heard: so many. The next round is in so long.
    GaveUp(usize, Duration),
}

#[derive(Debug)]
enum State {
    Resting { until: Mono },
    Asking(Round),
}

#[derive(Debug)]
struct Round {
    left: VecDeque<usize>,
    running: BTreeSet<usize>,
    bundles: Vec<Bundle>,
    deadline: Mono,
}

/// The machine.
#[derive(Debug)]
pub struct Plan {
    config: Config,
    rng: ChaCha20Rng,
    known: Option<usize>,
    /// Since enough routers were known.
    rounds: u32,
    state: State,
    out: VecDeque<Out>,
}

impl Plan {
    /// A plan that asks nobody before it is told how many routers are known.
    pub fn new(config: Config, seed: [u8; 32], now: Mono) -> Self {
        let rng = ChaCha20Rng::from_seed(seed);
        Self { config, rng, known: None, rounds: 0, state: State::Resting { until: now }, out: VecDeque::new() }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Mono, input: In) {
        match input {
            In::Known(known) => {
                self.known = Some(known);
                if known >= THRESHOLD {
                    self.rounds = 0;
                }
            }
            In::Fetched(host, bundle) => {
                if let State::Asking(round) = &mut self.state
                    && round.running.remove(&host)
                {
                    round.bundles.extend(bundle);
                }
            }
        }
        self.go_on(now);
    }

    /// The time of [`Plan::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Mono) {
        self.go_on(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When to call [`Plan::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Resting { until } => self.is_wanted().then_some(*until),
            State::Asking(round) => Some(round.deadline),
        }
    }

    /// When the next round may begin, if one is wanted and none runs.
    pub fn rests_until(&self) -> Option<Mono> {
        match &self.state {
            State::Resting { until } => self.is_wanted().then_some(*until),
            State::Asking(_) => None,
        }
    }

    fn is_wanted(&self) -> bool {
        self.config.hosts > 0 && self.known.is_some_and(|known| known < THRESHOLD)
    }

    fn go_on(&mut self, now: Mono) {
        match &mut self.state {
            State::Resting { until } => {
                if now >= *until && self.is_wanted() {
                    self.begin(now);
                }
            }
            State::Asking(round) => {
                let heard = signers(&round.bundles);
                let enough = heard >= self.config.needed && combine(&round.bundles, self.config.needed).len() >= ENOUGH;
                let over = now >= round.deadline || (round.left.is_empty() && round.running.is_empty());
                if enough || over {
                    self.end(now);
                } else {
                    self.ask();
                }
            }
        }
    }

    fn begin(&mut self, now: Mono) {
        let mut hosts: Vec<usize> = (0..self.config.hosts).collect();
        hosts.shuffle(&mut self.rng);
        self.rounds = self.rounds.saturating_add(1);
        self.state = State::Asking(Round {
            left: hosts.into(),
            running: BTreeSet::new(),
            bundles: Vec::new(),
            deadline: now + ROUND,
        });
        self.ask();
    }

    fn ask(&mut self) {
        let State::Asking(round) = &mut self.state else { return };
        while round.running.len() < AT_ONCE
            && let Some(host) = round.left.pop_front()
        {
            round.running.insert(host);
            self.out.push_back(Out::Fetch(host));
        }
    }

    fn end(&mut self, now: Mono) {
        let rest = self.rest();
        let State::Asking(round) = std::mem::replace(&mut self.state, State::Resting { until: now + rest }) else {
            return;
        };
        let routers = combine(&round.bundles, self.config.needed);
        let heard = signers(&round.bundles);
        if routers.is_empty() {
            self.out.push_back(Out::GaveUp(heard, rest));
        } else {
            self.state = State::Resting { until: now + rest.max(REST_AFTER_SUCCESS) };
            self.out.push_back(Out::Take(routers, heard));
        }
    }

    /// How long to rest after the round that ends.
    fn rest(&mut self) -> Duration {
        let doubled = REST.saturating_mul(1 << self.rounds.saturating_sub(1).min(16)).min(LONGEST_REST);
        doubled.mul_f64(self.rng.random_range(0.75..1.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reseed::test_bundles::bundle;

    fn plan(hosts: usize, needed: usize) -> Plan {
        Plan::new(Config { hosts, needed }, [7; 32], Mono::ZERO)
    }

    fn drained(plan: &mut Plan) -> Vec<Out> {
        std::iter::from_fn(|| plan.poll_output()).collect()
    }

    fn asked(plan: &mut Plan) -> Vec<usize> {
        drained(plan).into_iter().map(|out| if let Out::Fetch(host) = out { host } else { panic!("{out:?}") }).collect()
    }

    const AT: Mono = Duration::from_secs(5);

    #[test]
    fn a_router_that_knows_enough_others_asks_nobody() {
        let mut plan = plan(5, 2);
        plan.handle_timeout(AT);
        plan.handle_input(AT, In::Known(THRESHOLD));
        assert!(drained(&mut plan).is_empty());
        assert_eq!(plan.poll_timeout(), None);
        plan.handle_input(AT, In::Known(THRESHOLD - 1));
        assert_eq!(asked(&mut plan).len(), AT_ONCE);
    }

    #[test]
    fn two_signers_that_bring_enough_end_a_round() {
        let mut plan = plan(9, 2);
        plan.handle_input(AT, In::Known(0));
        let hosts = asked(&mut plan);
        assert_eq!(hosts.len(), 2);
        plan.handle_input(AT, In::Fetched(hosts[0], Some(bundle("a", 0..60))));
        assert_eq!(asked(&mut plan).len(), 1, "one alone is not enough");
        plan.handle_input(AT, In::Fetched(hosts[1], Some(bundle("b", 60..120))));
        let out = drained(&mut plan);
        let [Out::Take(routers, 2)] = out.as_slice() else { panic!("{out:?}") };
        assert_eq!(routers.len(), 120);
        assert!(plan.poll_timeout().is_some_and(|at| at >= AT + REST_AFTER_SUCCESS));
    }

    #[test]
    fn one_signer_is_never_believed_while_more_are_needed() {
        let mut plan = plan(3, 2);
        plan.handle_input(AT, In::Known(0));
        let mut left: VecDeque<usize> = asked(&mut plan).into();
        let mut last = Vec::new();
        while let Some(host) = left.pop_front() {
            plan.handle_input(AT, In::Fetched(host, Some(bundle("a", 0..100))));
            last = drained(&mut plan);
            left.extend(last.iter().filter_map(|out| if let Out::Fetch(host) = out { Some(*host) } else { None }));
        }
        assert!(matches!(last.as_slice(), [Out::GaveUp(1, _)]), "{last:?}");
    }

    #[test]
    fn hosts_that_fail_are_passed_over_and_rests_grow_with_jitter() {
        let mut plan = plan(4, 2);
        let mut now = AT;
        let mut rests = Vec::new();
        for _ in 0..14 {
            plan.handle_input(now, In::Known(3));
            let mut tried = BTreeSet::new();
            loop {
                let out = drained(&mut plan);
                let hosts: Vec<_> =
                    out.iter().filter_map(|out| if let Out::Fetch(host) = out { Some(*host) } else { None }).collect();
                if let [Out::GaveUp(0, rest)] = out.as_slice() {
                    rests.push(*rest);
                    break;
                }
                tried.extend(hosts.iter().copied());
                hosts.iter().for_each(|host| plan.handle_input(now, In::Fetched(*host, None)));
            }
            assert_eq!(tried.len(), 4);
            assert!(drained(&mut plan).is_empty(), "nobody is asked while it rests");
            now = plan.poll_timeout().unwrap();
        }
        assert!(rests[0] >= REST.mul_f64(0.75) && rests[0] < REST.mul_f64(1.25));
        assert!(rests[4] > rests[0] * 8 && rests.iter().all(|rest| *rest <= LONGEST_REST.mul_f64(1.25)));
        assert_ne!(rests[12], rests[13], "no two rests are the same");
    }

    #[test]
    fn a_host_that_hangs_does_not_hold_up_the_others_for_ever() {
        let mut plan = plan(2, 2);
        plan.handle_input(AT, In::Known(0));
        let hosts = asked(&mut plan);
        plan.handle_input(AT, In::Fetched(hosts[0], Some(bundle("a", 0..9))));
        assert_eq!(plan.poll_timeout(), Some(AT + ROUND));
        plan.handle_timeout(AT + ROUND);
        assert!(matches!(drained(&mut plan).as_slice(), [Out::GaveUp(1, _)]));
        // Its answer comes too late for this round, and is none of the next.
        plan.handle_input(AT + ROUND, In::Fetched(hosts[1], Some(bundle("b", 0..9))));
        assert!(drained(&mut plan).is_empty());
    }

    #[test]
    fn the_one_host_that_the_operator_names_is_believed() {
        let mut plan = plan(1, 1);
        plan.handle_input(AT, In::Known(0));
        let hosts = asked(&mut plan);
        plan.handle_input(AT, In::Fetched(hosts[0], Some(bundle("own", 0..3))));
        assert!(matches!(drained(&mut plan).as_slice(), [Out::Take(routers, 1)] if routers.len() == 3));
    }
}
