//! A clock among servers, peers, and those of them that lie.

use super::*;
use proptest::prelude::*;

const HOUR_MS: i64 = 3_600_000;

/// The true time, and a router whose clock is off.
struct World {
    mono: Mono,
    truth: Wall,
    /// How far our clock is ahead of the truth, and the machine's.
    ours_ms: i64,
    system_ms: i64,
    keeper: ClockKeeper,
    told: Vec<Out>,
}

impl World {
    fn new(ours_ms: i64, servers: usize) -> Self {
        let truth = Wall::from_secs(1_790_000_000);
        let config = Config { private: false, servers, earliest: Wall::from_secs(1_780_000_000) };
        let now = Now { mono: Mono::ZERO, wall: moved(truth, ours_ms) };
        let keeper = ClockKeeper::new(config, now);
        let mut world = Self { mono: Mono::ZERO, truth, ours_ms, system_ms: ours_ms, keeper, told: Vec::new() };
        world.look(0);
        world
    }

    fn now(&self) -> Now {
        Now { mono: self.mono, wall: moved(self.truth, self.ours_ms) }
    }

    fn drain(&mut self) {
        while let Some(out) = self.keeper.poll_output() {
            if let Out::Adjust { ms, .. } = out {
                self.ours_ms += ms;
            }
            self.told.push(out);
        }
    }

    fn input(&mut self, input: In) {
        self.keeper.handle_input(self.now(), input);
        self.drain();
    }

    fn pass(&mut self, secs: u64) {
        self.mono += Duration::from_secs(secs);
        self.truth = self.truth.plus(Duration::from_secs(secs));
        self.keeper.handle_timeout(self.now());
        self.drain();
        self.look(0);
    }

    fn look(&mut self, slept_secs: u64) {
        let wall = moved(self.truth, self.system_ms);
        self.input(In::System { wall, slept: Duration::from_secs(slept_secs) });
    }

    /// A peer in a network of its own, whose clock is so far off the truth.
    fn peer(&mut self, network: u8, off_ms: i64, is_witness: bool) {
        let skew_ms = off_ms - self.ours_ms;
        let established = skew_ms.abs() < 60_000;
        let by = IpAddr::from([60, network, 1, 1]);
        self.input(In::Peer { by, skew_ms, is_witness, established });
    }

    fn servers(&mut self, off_ms: &[i64]) {
        for off in off_ms {
            self.input(In::Server { offset_ms: off - self.ours_ms });
        }
        self.pass(6);
    }

    fn is_right(&self) -> bool {
        self.ours_ms.abs() <= TOLERATED_MS
    }
}

#[test]
fn five_networks_that_agree_correct_the_clock_either_way() {
    for off in [HOUR_MS, -HOUR_MS, 40 * 24 * HOUR_MS] {
        let mut world = World::new(off, 0);
        for network in 1..5 {
            world.peer(network, 300, true);
            assert!(!world.is_right() && !world.keeper.is_believable());
        }
        world.peer(5, 0, true);
        assert!(world.is_right() && world.keeper.is_confirmed());
        assert!(world.told.contains(&Out::Believable));
    }
}

#[test]
fn whom_others_made_us_call_moves_nothing() {
    let mut world = World::new(0, 0);
    for network in 0..200 {
        world.peer(network, HOUR_MS, false);
    }
    assert_eq!(world.ours_ms, 0);
}

#[test]
fn a_network_has_one_voice_and_one_liar_among_five_is_outvoted() {
    let mut world = World::new(30_000, 0);
    for _ in 0..50 {
        world.peer(9, HOUR_MS, true);
    }
    (1..5).for_each(|network| world.peer(network, 0, true));
    assert!(world.is_right());
}

#[test]
fn peers_that_disagree_change_nothing() {
    let mut world = World::new(0, 0);
    (1..15).for_each(|n| world.peer(n, i64::from(n) * 20_000, true));
    assert_eq!(world.ours_ms, 0);
}

#[test]
fn a_confirmed_clock_is_moved_by_little_unless_nobody_agrees_with_it() {
    let mut world = World::new(0, 0);
    (1..6).for_each(|n| world.peer(n, 0, true));
    assert!(world.keeper.is_confirmed());
    world.pass(FRESH.as_secs());
    (20..27).for_each(|n| world.peer(n, HOUR_MS, true));
    assert_eq!(world.ours_ms, 0, "seven networks of liars");
    world.pass(FRESH.as_secs());
    (40..45).for_each(|n| world.peer(n, 100_000, true));
    assert_eq!(world.ours_ms, 100_000, "a clock that runs wrong is followed");
    world.pass(FRESH.as_secs());
    (60..68).for_each(|n| world.peer(n, 0, true));
    assert!(world.is_right());
}

#[test]
fn a_jump_of_the_machines_clock_is_none_of_ours_once_it_is_confirmed() {
    for jump in [HOUR_MS, -HOUR_MS] {
        let mut world = World::new(0, 3);
        world.pass(1);
        world.servers(&[0, 10, -10]);
        assert!(world.keeper.is_confirmed());
        world.system_ms += jump;
        world.pass(5);
        assert_eq!(world.ours_ms, 0);
        assert!(world.told.contains(&Out::Jumped { ms: jump, followed: false }));
        world.pass(1);
        assert_eq!(world.told.iter().filter(|out| **out == Out::Ask).count(), 2, "servers are asked at once");
        world.servers(&[0, 0, 0]);
        assert_eq!(world.ours_ms, 0);
    }
}

#[test]
fn a_clock_that_nobody_confirmed_follows_the_machines() {
    let mut world = World::new(-HOUR_MS, 0);
    world.system_ms = 0;
    world.pass(5);
    assert_eq!(world.ours_ms, 0, "somebody has set it right");
}

#[test]
fn whoever_sets_the_machines_clock_right_is_believed_if_peers_say_the_same() {
    let mut world = World::new(0, 0);
    (1..6).for_each(|n| world.peer(n, 0, true));
    // The machine was frozen for an hour, its monotonic clock, too.
    (world.ours_ms, world.system_ms) = (-HOUR_MS, 0);
    world.pass(5);
    assert_eq!(world.ours_ms, -HOUR_MS);
    (10..15).for_each(|n| world.peer(n, 0, true));
    assert!(world.is_right());
}

#[test]
fn the_time_that_the_machine_slept_is_made_up_for() {
    let mut world = World::new(0, 0);
    (1..6).for_each(|n| world.peer(n, 0, true));
    world.truth = world.truth.plus(Duration::from_secs(3600));
    world.ours_ms -= HOUR_MS;
    world.look(3600);
    assert_eq!(world.ours_ms, 0);
    assert!(!world.told.iter().any(|out| matches!(out, Out::Jumped { .. })));
}

#[test]
fn two_servers_that_agree_are_believed_and_one_alone_is_not() {
    let mut world = World::new(HOUR_MS, 3);
    world.pass(1);
    world.servers(&[0]);
    assert_eq!(world.ours_ms, HOUR_MS);
    world.pass(ASK_SOON.as_secs() * 2);
    world.servers(&[0, 700, 5 * HOUR_MS]);
    assert!(world.is_right() && world.keeper.is_believable());
}

#[test]
fn a_single_configured_server_is_believed() {
    let mut world = World::new(HOUR_MS, 1);
    world.pass(1);
    world.servers(&[20]);
    assert!(world.is_right());
}

#[test]
fn servers_that_contradict_peers_or_a_confirmed_clock_move_nothing() {
    let mut world = World::new(0, 3);
    (1..5).for_each(|n| world.peer(n, 0, true));
    world.pass(1);
    world.servers(&[HOUR_MS; 3]);
    assert_eq!(world.ours_ms, 0);
    assert!(world.told.contains(&Out::Disagreement));
    let mut world = World::new(0, 3);
    world.pass(1);
    world.servers(&[0; 3]);
    world.pass(ASK_AGAIN.as_secs());
    world.servers(&[HOUR_MS; 3]);
    assert_eq!(world.ours_ms, 0, "they were right before");
    (1..6).for_each(|n| world.peer(n, 0, true));
    assert_eq!(world.ours_ms, 0);
}

#[test]
fn servers_that_lie_from_the_start_are_corrected_by_peers() {
    let mut world = World::new(0, 3);
    world.pass(1);
    world.servers(&[HOUR_MS; 3]);
    assert_eq!(world.ours_ms, HOUR_MS);
    (1..9).for_each(|n| world.peer(n, 0, true));
    assert!(world.is_right());
}

#[test]
fn no_time_before_the_program_was_made_is_believed() {
    let mut world = World::new(0, 3);
    world.pass(1);
    world.servers(&[-200 * 24 * HOUR_MS; 3]);
    (1..9).for_each(|n| world.peer(n, -200 * 24 * HOUR_MS, true));
    assert_eq!(world.ours_ms, 0);
}

#[test]
fn sessions_in_two_networks_make_a_clock_believable_and_one_does_where_there_may_be_no_more() {
    let mut world = World::new(0, 0);
    world.peer(1, 0, false);
    world.peer(1, 0, false);
    assert!(!world.keeper.is_believable());
    world.peer(2, 0, false);
    assert!(world.keeper.is_believable() && !world.keeper.is_confirmed());
    let mut world = World::new(0, 0);
    world.keeper.config.private = true;
    world.peer(1, 0, false);
    assert!(world.keeper.is_believable());
}

#[test]
fn servers_that_do_not_answer_are_asked_less_and_less() {
    let mut world = World::new(0, 3);
    let mut asked = Vec::new();
    for second in 0..20_000 {
        world.told.clear();
        world.pass(1);
        if world.told.contains(&Out::Ask) {
            asked.push(second);
        }
    }
    assert!((6..9).contains(&asked.len()), "{asked:?}");
}

proptest! {
    #[test]
    fn a_minority_of_networks_moves_no_clock_that_servers_have_set(
        lies in proptest::collection::vec((0..4_u8, -2 * HOUR_MS..2 * HOUR_MS), 0..60),
        honest in proptest::collection::vec((10..25_u8, -4000..4000_i64), 12..60),
    ) {
        let mut world = World::new(0, 3);
        world.pass(1);
        world.servers(&[0, 1, 2]);
        for (n, (network, off)) in honest.iter().enumerate() {
            world.peer(*network, *off, true);
            if let Some((network, lie)) = lies.get(n).filter(|_| n > 10) {
                world.peer(*network, *lie, true);
            }
            world.pass(10);
        }
        prop_assert!(world.ours_ms.abs() <= TOLERATED_MS, "{}", world.ours_ms);
    }
}
