//! The pool in virtual time, with an owner who builds and carries tests after a script.

use super::*;
use crate::time::Wall;
use proptest::prelude::*;

const START: Now = Now { mono: Duration::from_secs(1000), wall: Wall(0) };
const LIFETIME: Duration = Duration::from_secs(600);

/// What happens to a build or a test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    After(Duration),
    Fails(Duration, BuildFailure),
    Silent,
}

struct World {
    pool: Pool,
    now: Now,
    builds: Fate,
    tests: Fate,
    due: Vec<(Mono, In)>,
    log: Vec<(Mono, Out)>,
}

impl World {
    fn new(config: Config) -> Self {
        let (builds, tests) = (Fate::After(secs(1)), Fate::After(secs(1)));
        let pool = Pool::new(config, [1; 32], START);
        Self { pool, now: START, builds, tests, due: Vec::new(), log: Vec::new() }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.plus(time);
        self.pool.handle_timeout(self.now);
        self.drain();
        loop {
            let input = self.due.iter().map(|(at, _)| *at).min();
            let timer = self.pool.poll_timeout();
            let Some(at) = input.into_iter().chain(timer).min().filter(|at| *at <= end.mono) else { break };
            let at = at.max(self.now.mono);
            self.now = self.now.plus(at - self.now.mono);
            match self.due.iter().position(|(due, _)| *due <= at) {
                Some(index) => {
                    let (_, input) = self.due.swap_remove(index);
                    self.pool.handle_input(self.now, input);
                }
                None => self.pool.handle_timeout(self.now),
            }
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let before = self.log.len();
        while let Some(out) = self.pool.poll_output() {
            self.log.push((self.now.mono, out));
            match out {
                Out::Build { id, .. } => match self.builds {
                    Fate::After(d) => {
                        let expires = self.now.mono + LIFETIME;
                        self.due.push((self.now.mono + d, In::Built { id, expires }));
                    }
                    Fate::Fails(d, why) => self.due.push((self.now.mono + d, In::Failed { id, why })),
                    Fate::Silent => {}
                },
                Out::Test { test, .. } => {
                    if let Fate::After(d) = self.tests {
                        self.due.push((self.now.mono + d, In::TestPassed { test }));
                    }
                }
                _ => {}
            }
        }
        assert!(self.log.len() - before < 100, "too much at once");
        let next = self.pool.poll_timeout();
        assert!(next.is_none_or(|t| t > self.now.mono), "a timer in the past: {next:?} at {:?}", self.now.mono);
    }

    fn count(&self, want: impl Fn(&Out) -> bool) -> usize {
        self.log.iter().filter(|(_, out)| want(out)).count()
    }

    fn usable(&self) -> (usize, usize) {
        (self.pool.usable(Direction::Inbound).count(), self.pool.usable(Direction::Outbound).count())
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn it_begins_directly_and_then_builds_through_its_own_tunnels() {
    let mut world = World::new(Config { parallel: 1, ..Config::default() });
    world.run(secs(10));
    assert_eq!(world.usable(), (2, 2));
    assert!(world.pool.is_ready());
    let pairs = world.log.iter().filter_map(|(_, out)| match out {
        Out::Build { pair, length: 2, .. } => Some(*pair),
        _ => None,
    });
    let pairs: Vec<_> = pairs.collect();
    assert_eq!(pairs.len(), 4);
    assert!(pairs[..2].iter().all(|p| *p == Pair::Direct));
    assert!(pairs[3..].iter().all(|p| matches!(p, Pair::Tunnel(_))));
}

#[test]
fn tunnels_are_replaced_before_they_end_for_hours() {
    let mut world = World::new(Config::default());
    world.run(secs(10));
    for _ in 0..120 {
        world.run(secs(60));
        let (inbound, outbound) = world.usable();
        assert!((2..=4).contains(&inbound) && (2..=4).contains(&outbound), "{inbound} {outbound}");
    }
    let stats = world.pool.stats();
    // Two hours, four tunnels, one build per tunnel and about eight minutes.
    assert!((48..=64).contains(&stats.builds), "{stats:?}");
    assert_eq!((stats.dropped, stats.failed, stats.timed_out), (0, 0, 0));
    assert!((150..900).contains(&stats.passed), "{stats:?}");
    let ends: Vec<_> = world.log.iter().filter(|(_, o)| matches!(o, Out::Ended { .. })).map(|(at, _)| *at).collect();
    assert_eq!(ends.len() as u64, stats.ended);
}

#[test]
fn silent_builds_time_out_and_are_tried_again_with_pauses() {
    let mut world = World::new(Config::default());
    world.builds = Fate::Silent;
    world.run(secs(300));
    let stats = world.pool.stats();
    assert!(stats.timed_out >= 20 && stats.builds - stats.timed_out <= 4, "{stats:?}");
    assert!(stats.builds < 60, "{stats:?}");
    assert!(!world.pool.is_ready());
    // An answer after the time-out is of no use any more.
    let late = world.log.iter().find_map(|(_, out)| match out {
        Out::TimedOut { id } => Some(*id),
        _ => None,
    });
    let id = late.unwrap();
    world.pool.handle_input(world.now, In::Built { id, expires: world.now.mono + LIFETIME });
    assert_eq!(world.pool.poll_output(), Some(Out::Ended { id }));
    world.builds = Fate::After(secs(1));
    world.run(secs(40));
    assert_eq!(world.usable(), (2, 2));
}

#[test]
fn failing_builds_back_off_but_urgently_while_there_is_nothing() {
    let mut world = World::new(Config::default());
    world.builds = Fate::Fails(Duration::from_millis(10), BuildFailure::NoPeers);
    world.run(secs(100));
    let urgent = world.pool.stats().no_peers;
    assert!((40..100).contains(&urgent), "{urgent}");
    // With tunnels at hand, the pauses grow longer.
    let mut world = World::new(Config::default());
    world.run(secs(10));
    world.builds = Fate::Fails(Duration::from_millis(10), BuildFailure::Refused);
    world.pool.handle_input(world.now, In::Want { direction: Direction::Inbound, wanted: Wanted::new(3, 2) });
    world.run(secs(300));
    let calm = world.pool.stats().refused;
    assert!((8..20).contains(&calm), "{calm}");
}

#[test]
fn tunnels_that_fail_two_tests_are_dropped_and_replaced() {
    let mut world = World::new(Config::default());
    world.run(secs(10));
    world.tests = Fate::Silent;
    world.run(secs(120));
    let dropped = world.count(|out| matches!(out, Out::Dropped { .. }));
    assert!(dropped >= 4, "{dropped}");
    assert_eq!(world.pool.stats().dropped as usize, dropped);
    world.tests = Fate::After(secs(1));
    world.run(secs(60));
    assert_eq!(world.usable(), (2, 2));
    assert!(world.count(|out| matches!(out, Out::Proven { rtt, .. } if *rtt == secs(1))) > 0);
}

#[test]
fn one_bad_tunnel_is_found_without_losing_the_good_ones() {
    let mut world = World::new(Config::default());
    world.run(secs(3));
    let bad = world.pool.usable(Direction::Outbound).next().unwrap();
    world.tests = Fate::Silent;
    let mut log = Vec::new();
    // Carry tests by hand: those over the bad tunnel are lost.
    for _ in 0..300 {
        let before = world.log.len();
        world.run(Duration::from_millis(500));
        for (at, out) in &world.log[before..] {
            match out {
                Out::Test { test, outbound, .. } if *outbound != bad => {
                    world.due.push((*at + Duration::from_millis(400), In::TestPassed { test: *test }));
                }
                Out::Dropped { id } => log.push(*id),
                _ => {}
            }
        }
    }
    assert_eq!(log, [bad]);
}

#[test]
fn a_dead_tunnel_that_is_doubted_is_found_within_seconds_and_only_it() {
    for direction in [Direction::Inbound, Direction::Outbound] {
        let mut world = World::new(Config::default());
        world.run(secs(70));
        let bad = world.pool.usable(direction).next().unwrap();
        world.tests = Fate::Silent;
        let (since, mut dropped) = (world.now.mono, Vec::new());
        // Tests over it are lost, others carried by hand. Whoever doubts says so again and again.
        for _ in 0..40 {
            world.pool.handle_input(world.now, In::Doubted);
            let before = world.log.len();
            world.run(Duration::from_millis(250));
            for (at, out) in &world.log[before..] {
                match out {
                    Out::Test { test, outbound, inbound } if *outbound != bad && *inbound != bad => {
                        world.due.push((*at + Duration::from_millis(400), In::TestPassed { test: *test }));
                    }
                    Out::Dropped { id } => dropped.push((*id, *at - since)),
                    _ => {}
                }
            }
        }
        assert!(matches!(dropped[..], [(id, after)] if id == bad && after <= secs(8)), "{dropped:?}");
    }
}

#[test]
fn doubts_without_end_do_not_make_tests_without_end() {
    let mut world = World::new(Config::default());
    world.run(secs(70));
    let before = world.pool.stats().tests;
    for _ in 0..120 {
        world.pool.handle_input(world.now, In::Doubted);
        world.run(Duration::from_millis(500));
    }
    let tests = world.pool.stats().tests - before;
    // A minute, four tunnels, each no more than every eight seconds.
    assert!((7..=32).contains(&tests) && world.pool.stats().dropped == 0, "{tests}");
}

#[test]
fn a_broken_tunnel_is_replaced_at_once() {
    let mut world = World::new(Config::default());
    world.run(secs(10));
    let id = world.pool.usable(Direction::Inbound).next().unwrap();
    world.pool.handle_input(world.now, In::Broken { id });
    assert_eq!(world.pool.poll_output(), Some(Out::Dropped { id }));
    assert!(matches!(world.pool.poll_output(), Some(Out::Build { direction: Direction::Inbound, .. })));
}

#[test]
fn nothing_is_built_when_nothing_is_wanted_and_tunnels_end_when_it_no_longer_is() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let none = Wanted::new(5, 0);
    let mut world = World::new(Config { inbound: none, outbound: none, ..Config::default() });
    world.run(secs(1000));
    assert!(world.log.is_empty() && world.pool.is_ready());
    assert_eq!(world.pool.pick(Direction::Inbound, &mut rng), None);
    let mut world = World::new(Config::default());
    world.run(secs(10));
    assert!(world.pool.pick(Direction::Inbound, &mut rng).is_some());
    for direction in [Direction::Inbound, Direction::Outbound] {
        world.pool.handle_input(world.now, In::Want { direction, wanted: none });
    }
    world.run(secs(1));
    assert_eq!(world.usable(), (0, 0));
    assert_eq!(world.pool.poll_timeout(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_happens_numbers_stay_bounded_and_timers_lie_ahead(
        script in prop::collection::vec((0u8..4, 0u8..2, any::<bool>(), 1u64..120), 1..40),
    ) {
        let mut world = World::new(Config::default());
        for (build, test, doubted, time) in script {
            world.builds = match build {
                0 => Fate::Silent,
                1 => Fate::Fails(secs(2), BuildFailure::Refused),
                _ => Fate::After(secs(u64::from(build))),
            };
            world.tests = if test == 0 { Fate::Silent } else { Fate::After(secs(1)) };
            if doubted {
                world.pool.handle_input(world.now, In::Doubted);
            }
            world.run(secs(time));
            let (inbound, outbound) = world.usable();
            prop_assert!(inbound <= 6 && outbound <= 6);
            prop_assert!(world.pool.tests.len() <= 12);
        }
        let s = world.pool.stats();
        let open = world.pool.inbound.building.len() + world.pool.outbound.building.len();
        prop_assert_eq!(s.builds, s.built + s.refused + s.timed_out + open as u64);
        let held = world.usable();
        prop_assert_eq!(s.built, s.dropped + s.ended + (held.0 + held.1) as u64);
    }
}
