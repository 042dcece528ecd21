//! A pool of our own tunnels in both directions: keeps as many as wanted, builds the next before one ends, tests them
//! in pairs, and drops and blames those that fail.
//!
//! ```text
//!              Build                 Built              rebuild due         Ended
//!   wanted ------------> building ------------> usable ------------> old ----------> gone
//!                           |                     |  ^
//!                           | Failed, time out    |  | TestResult(passed)
//!                           v                     v  |
//!                        back-off             Test: failed twice -> Dropped, its hops blamed
//! ```
//!
//! The pool knows tunnels by the number that it gave their build; keys, hops and messages are the owner's. An outbound
//! build's answer comes through an inbound tunnel of the pool and an inbound build goes out through an outbound one:
//! [`Pair`]. While there is none, the other direction has no hops: the message goes, or the answer comes, directly.
//!
//! Invariants: tunnels and builds together never exceed twice what is wanted plus the parallel builds; every build ends
//! with exactly one of `In::Built`, `In::Failed`, `Out::TimedOut`.
//!
//! The owner's duty: after any input drain [`Pool::poll_output`] to `None`, then re-arm one timer.
//!
//! spec: tunnel-implementation §Tunnel Pools, §Anticipatory Build Strategy and Priority

mod config;
mod events;
mod side;

pub use config::{COUNT_MAX, Config, LENGTH_MAX, Wanted};
pub use events::{BuildFailure, In, Out, Pair, PoolTunnelId, Stats, TestId};

use crate::time::{Mono, Now};
use crate::tunnel::Direction;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use side::{Building, Held, Side};
use std::collections::VecDeque;
use std::time::Duration;

/// The machine.
pub struct Pool {
    config: Config,
    rng: ChaCha20Rng,
    inbound: Side,
    outbound: Side,
    tests: Vec<Test>,
    out: VecDeque<Out>,
    serial: u64,
    stats: Stats,
}

struct Test {
    id: TestId,
    outbound: PoolTunnelId,
    inbound: PoolTunnelId,
    sent: Mono,
    deadline: Mono,
}

/// A tunnel is dropped after so many failed tests in a row.
const FAILED_TESTS_MAX: u8 = 2;
/// After a failed test the next one comes so soon.
const RETEST: Duration = Duration::from_secs(5);

/// A tunnel that is doubted is not tested so soon after another test.
const DOUBTED_AGAIN: Duration = Duration::from_secs(8);
/// A test of one that is doubted fails after so many of its usual round trips, and not sooner than after this: what it carries may make it
/// wait.
const DOUBTED_TRIPS: u32 = 3;
const DOUBTED_LEAST: Duration = Duration::from_secs(3);

impl Pool {
    /// A pool without tunnels; call [`Pool::handle_timeout`] to begin.
    pub fn new(config: Config, seed: [u8; 32], _now: Now) -> Self {
        Self {
            rng: ChaCha20Rng::from_seed(seed),
            inbound: Side::new(Direction::Inbound, config.inbound),
            outbound: Side::new(Direction::Outbound, config.outbound),
            config,
            tests: Vec::new(),
            out: VecDeque::new(),
            serial: 0,
            stats: Stats::default(),
        }
    }

    /// Takes an input.
    pub fn handle_input(&mut self, now: Now, input: In) {
        let now = now.mono;
        match input {
            In::Built { id, expires } => self.on_built(now, id, expires),
            In::Failed { id, why } => {
                if self.end_build(now, id, false) {
                    match why {
                        BuildFailure::Refused => self.stats.refused += 1,
                        BuildFailure::Unsent => self.stats.unsent += 1,
                        BuildFailure::NoPeers => self.stats.no_peers += 1,
                    }
                }
            }
            In::TestPassed { test } => self.on_test_passed(now, test),
            In::Broken { id } => self.drop_tunnel(id),
            In::Doubted => self.on_doubted(now),
            In::Want { direction, wanted } => self.side_mut(direction).wanted = wanted.bounded(),
        }
        self.run(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.run(now.mono);
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When [`Pool::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let sides = [&self.inbound, &self.outbound];
        let both = sides.iter().all(|side| !side.tunnels.is_empty());
        let held = sides.iter().flat_map(|side| &side.tunnels).flat_map(|t| {
            // A rebuild that is due already waits for a build or a pause to end, which have times of their own.
            [Some(t.expires), Some(t.rebuild).filter(|_| !t.replaced()), Some(t.next_test).filter(|_| both)]
        });
        let building = sides.iter().flat_map(|side| &side.building).map(|b| Some(b.deadline));
        let paused =
            sides.iter().map(|side| Some(side.paused_until).filter(|_| side.wants_build(self.config.parallel)));
        let tests = self.tests.iter().map(|test| Some(test.deadline));
        held.chain(building).chain(paused).chain(tests).flatten().min()
    }

    /// A usable tunnel, chosen at random among those that passed their last test if there is one. With an `rng` of
    /// the caller's, since this changes nothing.
    pub fn pick(&self, direction: Direction, rng: &mut ChaCha20Rng) -> Option<PoolTunnelId> {
        let side = self.side(direction);
        let best = side.tunnels.iter().map(|t| t.failed_tests).min()?;
        let good = side.tunnels.iter().filter(|t| t.failed_tests == best);
        let at = rng.random_range(0..good.clone().count());
        good.clone().nth(at).map(|t| t.id)
    }

    /// All usable tunnels of a direction.
    pub fn usable(&self, direction: Direction) -> impl Iterator<Item = PoolTunnelId> + '_ {
        self.side(direction).tunnels.iter().map(|t| t.id)
    }

    /// True if each direction that is wanted has a tunnel.
    pub fn is_ready(&self) -> bool {
        [&self.inbound, &self.outbound].iter().all(|s| s.wanted.builds() == 0 || !s.tunnels.is_empty())
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn on_built(&mut self, now: Mono, id: PoolTunnelId, expires: Mono) {
        let Some(direction) = self.direction_of_build(id) else {
            // Timed out before: the owner has a tunnel that nobody counts on.
            self.out.push_back(Out::Ended { id });
            return;
        };
        self.end_build(now, id, true);
        self.stats.built += 1;
        let jitter = self.config.rebuild_jitter.mul_f64(self.rng.random());
        let rebuild = expires.saturating_sub(self.config.rebuild_before + jitter);
        // Soon after the build, and not all at once.
        let next_test = now + self.config.test_interval.mul_f64(self.rng.random_range(0.1..0.5));
        self.side_mut(direction).tunnels.push(Held::new(id, expires, rebuild, next_test));
    }

    fn on_doubted(&mut self, now: Mono) {
        for tunnel in self.inbound.tunnels.iter_mut().chain(&mut self.outbound.tunnels) {
            if now >= tunnel.tested + DOUBTED_AGAIN {
                (tunnel.doubted, tunnel.next_test) = (true, now);
            }
        }
    }

    fn direction_of_build(&self, id: PoolTunnelId) -> Option<Direction> {
        let has = |side: &&Side| side.building.iter().any(|b| b.id == id);
        [&self.inbound, &self.outbound].into_iter().find(has).map(|side| side.direction)
    }

    /// Takes a build off the list; after a failure the direction pauses.
    fn end_build(&mut self, now: Mono, id: PoolTunnelId, success: bool) -> bool {
        let Some(direction) = self.direction_of_build(id) else { return false };
        let config = self.config;
        let chance: f64 = self.rng.random_range(0.75..1.25);
        let side = self.side_mut(direction);
        side.building.retain(|b| b.id != id);
        if success {
            side.failures = 0;
            side.paused_until = now;
        } else {
            let doubled = config.backoff.saturating_mul(1 << side.failures.min(16));
            let max = if side.tunnels.is_empty() { config.backoff_urgent } else { config.backoff_max };
            side.paused_until = now + doubled.min(max).mul_f64(chance);
            side.failures += 1;
        }
        true
    }

    fn on_test_passed(&mut self, now: Mono, id: TestId) {
        let Some(at) = self.tests.iter().position(|t| t.id == id) else { return };
        let test = self.tests.swap_remove(at);
        self.stats.passed += 1;
        let interval = self.config.test_interval;
        let rtt = now.saturating_sub(test.sent);
        for (direction, id) in [(Direction::Outbound, test.outbound), (Direction::Inbound, test.inbound)] {
            let chance = self.rng.random_range(0.75..1.25);
            if let Some(tunnel) = self.side_mut(direction).get_mut(id) {
                (tunnel.failed_tests, tunnel.doubted) = (0, false);
                (tunnel.tested, tunnel.round_trip) = (now, Some(rtt));
                tunnel.next_test = now + interval.mul_f64(chance);
            }
        }
        self.out.push_back(Out::Proven { outbound: test.outbound, inbound: test.inbound, rtt });
    }

    fn run(&mut self, now: Mono) {
        self.end_tests(now);
        self.end_builds(now);
        self.end_tunnels(now);
        self.start_tests(now);
        // Inbound first: an outbound build needs the way back more than an inbound one needs the way out.
        for direction in [Direction::Inbound, Direction::Outbound] {
            self.start_builds(now, direction);
        }
    }

    fn end_tests(&mut self, now: Mono) {
        while let Some(at) = self.tests.iter().position(|test| now >= test.deadline) {
            let test = self.tests.swap_remove(at);
            self.stats.failed += 1;
            for (direction, id) in [(Direction::Outbound, test.outbound), (Direction::Inbound, test.inbound)] {
                let Some(tunnel) = self.side_mut(direction).get_mut(id) else { continue };
                tunnel.failed_tests += 1;
                tunnel.next_test = if tunnel.doubted { now } else { now + RETEST };
                if tunnel.failed_tests >= FAILED_TESTS_MAX {
                    self.drop_tunnel(id);
                }
            }
        }
    }

    fn drop_tunnel(&mut self, id: PoolTunnelId) {
        for side in [&mut self.inbound, &mut self.outbound] {
            if let Some(at) = side.tunnels.iter().position(|t| t.id == id) {
                side.tunnels.remove(at);
                self.stats.dropped += 1;
                self.out.push_back(Out::Dropped { id });
            }
        }
        self.tests.retain(|t| t.outbound != id && t.inbound != id);
    }

    fn end_builds(&mut self, now: Mono) {
        let due = |side: &Side| side.building.iter().find(|b| now >= b.deadline).map(|b| b.id);
        while let Some(id) = due(&self.inbound).or_else(|| due(&self.outbound)) {
            self.end_build(now, id, false);
            self.stats.timed_out += 1;
            self.out.push_back(Out::TimedOut { id });
        }
    }

    fn end_tunnels(&mut self, now: Mono) {
        for side in [&mut self.inbound, &mut self.outbound] {
            // When none are wanted any more, all go. When fewer are, those that end have no successors.
            let surplus = if side.wanted.builds() == 0 { side.tunnels.len() } else { 0 };
            let (out, stats, tests) = (&mut self.out, &mut self.stats, &mut self.tests);
            let mut seen = 0;
            side.tunnels.retain(|t| {
                seen += 1;
                let stays = now < t.expires && seen > surplus;
                if !stays {
                    stats.ended += 1;
                    out.push_back(Out::Ended { id: t.id });
                    tests.retain(|test| test.outbound != t.id && test.inbound != t.id);
                }
                stays
            });
        }
    }

    fn start_tests(&mut self, now: Mono) {
        for direction in [Direction::Outbound, Direction::Inbound] {
            for at in 0..self.side(direction).tunnels.len() {
                let tunnel = &self.side(direction).tunnels[at];
                if now < tunnel.next_test {
                    continue;
                }
                let id = tunnel.id;
                let Some(partner) = self.partner(direction) else { continue };
                let (outbound, inbound) = match direction {
                    Direction::Outbound => (id, partner),
                    Direction::Inbound => (partner, id),
                };
                self.start_test(now, outbound, inbound);
            }
        }
    }

    fn start_test(&mut self, now: Mono, outbound: PoolTunnelId, inbound: PoolTunnelId) {
        let both = [self.outbound.get_mut(outbound), self.inbound.get_mut(inbound)];
        let round_trip = both.iter().flatten().filter_map(|t| t.round_trip).max();
        let patience = match round_trip.filter(|_| both.iter().flatten().any(|t| t.doubted)) {
            Some(round_trip) => (round_trip * DOUBTED_TRIPS).clamp(DOUBTED_LEAST, self.config.test_timeout),
            None => self.config.test_timeout,
        };
        for tunnel in both.into_iter().flatten() {
            tunnel.tested = now;
            // While this test is out, neither of the two needs another.
            tunnel.next_test = tunnel.next_test.max(now + patience + RETEST);
        }
        let test = TestId(self.next());
        self.stats.tests += 1;
        self.tests.push(Test { id: test, outbound, inbound, sent: now, deadline: now + patience });
        self.out.push_back(Out::Test { test, outbound, inbound });
    }

    /// A tunnel of the other direction to test with, or to build through: a proven one if there is any, so that a
    /// failure says something about the one in question.
    fn partner(&mut self, direction: Direction) -> Option<PoolTunnelId> {
        let other = match direction {
            Direction::Inbound => &self.outbound,
            Direction::Outbound => &self.inbound,
        };
        let best = other.tunnels.iter().map(|t| t.failed_tests).min()?;
        let good: Vec<PoolTunnelId> = other.tunnels.iter().filter(|t| t.failed_tests == best).map(|t| t.id).collect();
        let at = self.rng.random_range(0..good.len());
        good.get(at).copied()
    }

    fn start_builds(&mut self, now: Mono, direction: Direction) {
        let side = self.side_mut(direction);
        for tunnel in side.tunnels.iter_mut().filter(|t| now >= t.rebuild) {
            tunnel.rebuild = Mono::MAX;
        }
        while self.side(direction).wants_build(self.config.parallel) && now >= self.side(direction).paused_until {
            let id = PoolTunnelId(self.next());
            let pair = self.partner(direction).map_or(Pair::Direct, Pair::Tunnel);
            let deadline = now + self.config.build_timeout;
            let side = self.side_mut(direction);
            side.building.push(Building { id, deadline });
            let wanted = side.wanted;
            let length = wanted.draw_length(&mut self.rng);
            self.stats.builds += 1;
            self.out.push_back(Out::Build { id, direction, length, pair });
        }
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }
}

#[cfg(test)]
mod tests;
