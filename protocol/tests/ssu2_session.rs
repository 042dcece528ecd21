//! Two sessions of SSU2 joined by a wire that loses, reorders, duplicates and delays, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "ssu2_session/wire.rs"]
mod wire;

#[path = "ssu2_session/hostile.rs"]
mod hostile;
#[path = "ssu2_session/life.rs"]
mod life;
#[path = "ssu2_session/moving.rs"]
mod moving;

use ramson_protocol::ssu2::session::Config;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::time::Duration;
use wire::{ALICE, BOB, Pair, Wire, cell};

const MS: Duration = Duration::from_millis(1);

#[test]
fn everything_arrives_once_and_intact_over_any_wire() {
    for (seed, loss, reorder, duplicate) in
        [(1, 0, 0, 0), (2, 10, 0, 0), (3, 50, 100, 50), (4, 100, 300, 100), (5, 0, 500, 300), (6, 100, 0, 0)]
    {
        let wire = Wire { loss, reorder, duplicate, ..Wire::default() };
        let mut pair = Pair::new(wire, Config::default(), seed);
        let lengths = [0, 1, 100, 1028, 1180, 1300, 3000, 1028, 20_000, 62_708, 1028];
        for round in 0..30 {
            for (i, len) in lengths.into_iter().enumerate() {
                let id = round * 100 + i as u32;
                assert!(pair.send(ALICE, id, len));
                assert!(pair.send(BOB, id, len));
            }
            pair.run(100 * MS);
        }
        pair.run_until_quiet();
        for side in [ALICE, BOB] {
            let stats = pair.stats(side);
            assert_eq!(pair.received(side).len(), 330, "seed {seed}: {stats:?}");
            assert_eq!((stats.outbox.given_up, stats.acks_of_unsent, stats.bad_blocks), (0, 0, 0));
            if loss == 0 && reorder == 0 {
                assert_eq!((stats.lost, stats.timeouts), (0, 0), "{stats:?}");
            }
        }
    }
}

#[test]
fn a_burst_of_cells_leaves_in_few_batches_of_equal_packets() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 7);
    for id in 0..2000 {
        assert!(pair.send(ALICE, id, 1028));
        if id % 16 == 15 {
            pair.run(2 * MS);
        }
    }
    pair.run_until_quiet();
    let batches = pair.batches(ALICE);
    let (packets, count) = (batches.iter().sum::<usize>(), batches.len());
    assert_eq!(pair.received(BOB).len(), 2000);
    assert!(packets < 2200 && count < packets / 6, "{packets} packets in {count} batches");
    // Bob has sent nothing but ACKs, and far fewer than he has received packets.
    let bob = pair.stats(BOB);
    assert!(bob.packets_out < 500, "{bob:?}");
}

/// Bytes per second of cells that arrive within `time`, with more than enough of them waiting.
fn throughput(wire: Wire, time: Duration) -> f64 {
    let mut pair = Pair::new(wire, Config::default(), 8);
    let (mut id, start) = (0, pair.now());
    while pair.now() - start < time {
        while pair.queued(ALICE) < 256 * 1024 {
            pair.send(ALICE, id, 1028);
            id += 1;
        }
        pair.run(2 * MS);
    }
    pair.received(BOB).len() as f64 * 1028.0 / time.as_secs_f64()
}

#[test]
fn a_clean_link_is_filled() {
    let wire = Wire { rate: Some(5_000_000), delay: 25 * MS, ..Wire::default() };
    let rate = throughput(wire, Duration::from_secs(10));
    assert!(rate > 3_500_000.0, "{rate}");
}

#[test]
fn a_lossy_link_is_used() {
    for (delay, loss) in [(MS, 20), (25 * MS, 10), (25 * MS, 20), (75 * MS, 20)] {
        let wire = Wire { rate: Some(5_000_000), delay, loss, ..Wire::default() };
        let rate = throughput(wire, Duration::from_secs(10));
        assert!(rate > 4_000_000.0, "{rate} at {delay:?} with {loss} of a thousand lost");
    }
}

#[test]
fn a_link_that_reorders_is_filled() {
    let wire = Wire { rate: Some(5_000_000), delay: 25 * MS, reorder: 200, ..Wire::default() };
    let rate = throughput(wire, Duration::from_secs(10));
    assert!(rate > 2_500_000.0, "{rate}");
}

#[test]
fn a_long_fat_link_is_filled() {
    let wire = Wire { rate: Some(10_000_000), delay: 100 * MS, ..Wire::default() };
    let rate = throughput(wire, Duration::from_secs(10));
    assert!(rate > 5_000_000.0, "{rate}");
}

#[test]
fn the_largest_size_is_found_and_given_up_when_large_packets_vanish() {
    let mut pair = Pair::new(Wire { mtu: 1400, ..Wire::default() }, Config::default(), 9);
    let mut id = 0;
    let mut busy = |pair: &mut Pair, time| {
        let end = pair.now() + time;
        while pair.now() < end {
            pair.send(ALICE, id, 5000);
            id += 1;
            pair.run(20 * MS);
        }
    };
    busy(&mut pair, Duration::from_secs(40));
    let size = pair.stats(ALICE).packet_size + 28;
    assert!((1384..=1400).contains(&size), "{size}");
    pair.wire.mtu = 1300;
    busy(&mut pair, Duration::from_secs(10));
    let stats = pair.stats(ALICE);
    assert_eq!((stats.black_holes, stats.packet_size + 28), (1, 1280));
    pair.run_until_quiet();
    let sent = id as usize;
    assert!(pair.received(BOB).len() > sent * 9 / 10, "{} of {sent}", pair.received(BOB).len());
}

#[test]
fn a_path_that_narrows_under_nothing_but_large_packets_is_noticed() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 11);
    for id in 0..100 {
        pair.send(ALICE, id, 5000);
        pair.run(20 * MS);
    }
    pair.run_until_quiet();
    assert_eq!(pair.stats(ALICE).packet_size, 1472);
    pair.wire.mtu = 1400;
    for id in 100..110 {
        pair.send(ALICE, id, 1400);
    }
    pair.run_until_quiet();
    assert_eq!((pair.stats(ALICE).black_holes, pair.received(BOB).len()), (1, 110));
}

#[test]
fn an_expired_message_is_not_sent_and_one_too_large_is_refused() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 10);
    assert!(!pair.send(ALICE, 1, 62_709));
    assert!(pair.send_expiring(ALICE, 2, &cell(2, 100), -1));
    assert!(pair.send(ALICE, 3, 100));
    pair.run_until_quiet();
    assert_eq!(pair.received(BOB).keys().copied().collect::<Vec<_>>(), [3]);
    assert_eq!(pair.stats(ALICE).outbox.expired, 1);
}

#[test]
fn on_no_wire_is_a_message_lost_unnoticed_or_a_session_stuck() {
    for seed in 0..60_u8 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed.into());
        let rate = rng.random_bool(0.5).then(|| rng.random_range(50_000..5_000_000));
        let (loss, reorder, duplicate) = (rng.random_range(0..150), rng.random_range(0..500), rng.random_range(0..200));
        let (delay, mtu) = (MS * rng.random_range(1..120), rng.random_range(1280..1501));
        let mut pair = Pair::new(Wire { loss, reorder, duplicate, delay, rate, mtu }, Config::default(), seed);
        let (mut id, mut sent) = (0, [0, 0]);
        for _ in 0..200 {
            for side in [ALICE, BOB].repeat(rng.random_range(0..4)) {
                let len = match rng.random_range(0..10) {
                    0 => rng.random_range(0..20_000),
                    1..4 => rng.random_range(0..3000),
                    _ => 1028,
                };
                sent[side] += u64::from(pair.send(side, id, len));
                id += 1;
            }
            if rng.random_bool(0.02) {
                // A NAT binds another port when something passes it.
                pair.addrs[ALICE].set_port(rng.random_range(1024..60_000));
                sent[ALICE] += u64::from(pair.send(ALICE, id, 1028));
                id += 1;
            }
            if rng.random_bool(0.01) {
                pair.wire.mtu = rng.random_range(1280..1501);
            }
            pair.run(MS * rng.random_range(0..60));
        }
        pair.run_until_quiet();
        for side in [ALICE, BOB] {
            let (arrived, given_up) = (pair.received(1 - side).len() as u64, pair.stats(side).outbox.given_up);
            assert!(pair.sessions[side].is_open(), "seed {seed}: {:?}", pair.stats(side));
            assert!(arrived <= sent[side] && arrived + given_up >= sent[side], "seed {seed}");
            assert!(given_up * 20 <= sent[side], "seed {seed}: {given_up} of {}", sent[side]);
        }
    }
}
