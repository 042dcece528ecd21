//! Addresses that change, or seem to.

use super::wire::{ALICE, BOB, Pair, Wire, addr};
use ramson_protocol::ssu2::session::{Config, Event, KEEP_ALIVE};
use std::net::SocketAddr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn moved(pair: &Pair, side: usize) -> Vec<SocketAddr> {
    let moved = |e: &Event| match e {
        Event::PeerMoved { addr } => Some(*addr),
        _ => None,
    };
    pair.events[side].iter().filter_map(moved).collect()
}

/// Cells in both directions, and everything that is sent arrives.
fn transfer(pair: &mut Pair, ids: std::ops::Range<u32>) {
    for id in ids {
        pair.send(ALICE, id, 1028);
        pair.send(BOB, id, 1028);
        pair.run(2 * MS);
    }
}

#[test]
fn a_nat_that_binds_another_port_in_the_middle_of_a_transfer_loses_nothing() {
    let mut pair = Pair::new(Wire { loss: 20, reorder: 50, ..Wire::default() }, Config::default(), 1);
    transfer(&mut pair, 0..500);
    let window = pair.stats(BOB).window;
    pair.addrs[ALICE] = addr(1, 4444);
    transfer(&mut pair, 500..1500);
    pair.run_until_quiet();
    assert_eq!(moved(&pair, BOB), [addr(1, 4444)]);
    assert_eq!((pair.received(ALICE).len(), pair.received(BOB).len()), (1500, 1500));
    assert!(pair.stats(BOB).window >= window / 4, "the path is the same");
    assert!(moved(&pair, ALICE).is_empty());
}

#[test]
fn who_only_receives_behind_a_nat_shows_its_new_port_before_the_peer_gives_up() {
    let config = Config { keep_alive: Some(KEEP_ALIVE), ..Config::default() };
    let mut pair = Pair::new(Wire::default(), config, 8);
    let stream = |pair: &mut Pair, ids: std::ops::Range<u32>| {
        for id in ids {
            pair.send(BOB, id, 1028);
            pair.run(2 * MS);
        }
    };
    stream(&mut pair, 0..100);
    pair.run(50 * MS);
    let said = pair.stats(ALICE).packets_out;
    // What is sent to the old port is lost, as the NAT has forgotten it.
    pair.addrs[ALICE] = addr(1, 6666);
    stream(&mut pair, 100..120);
    assert!(pair.received(ALICE).len() < 120 && pair.stats(ALICE).packets_out == said, "it has nothing to say");
    pair.run(1000 * MS);
    assert_eq!(moved(&pair, BOB), [addr(1, 6666)]);
    assert_eq!(pair.received(ALICE).len(), 120);
    let said = pair.stats(ALICE).packets_out;
    pair.run(Duration::from_secs(10));
    assert!(pair.stats(ALICE).packets_out <= said + 1, "one word for each silence");
}

#[test]
fn who_learns_that_its_port_is_another_shows_it_to_the_peer_before_it_has_anything_to_say() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 7);
    transfer(&mut pair, 0..100);
    pair.run_until_quiet();
    pair.addrs[ALICE] = addr(1, 5555);
    let window = pair.stats(ALICE).window;
    pair.sessions[ALICE].on_local_address_change(true, pair.clock());
    assert_eq!(pair.stats(ALICE).window, window, "the path is the same");
    pair.run_until_quiet();
    assert_eq!(moved(&pair, BOB), [addr(1, 5555)]);
}

#[test]
fn a_peer_may_move_to_another_address_and_back() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 2);
    transfer(&mut pair, 0..100);
    for (ids, host) in [(100..200, 7), (200..300, 1)] {
        pair.addrs[ALICE] = addr(host, 1001);
        pair.sessions[ALICE].on_local_address_change(false, pair.clock());
        transfer(&mut pair, ids);
    }
    pair.run_until_quiet();
    assert_eq!(moved(&pair, BOB), [addr(7, 1001), addr(1, 1001)]);
    assert_eq!((pair.received(ALICE).len(), pair.received(BOB).len()), (300, 300));
}

#[test]
fn an_outsider_who_forwards_packets_from_his_own_address_changes_nothing() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 3);
    transfer(&mut pair, 0..50);
    let outsider = addr(66, 666);
    for id in 50..100 {
        pair.send(ALICE, id, 1028);
        let mut out = Vec::new();
        let now = pair.clock();
        while pair.sessions[ALICE].poll_transmit(now, &mut out, 1).is_some() {
            pair.deliver(BOB, outsider, std::mem::take(&mut out));
        }
        pair.run(20 * MS);
        transfer(&mut pair, id * 1000..id * 1000 + 5);
    }
    pair.run_until_quiet();
    assert!(moved(&pair, BOB).is_empty());
    assert_eq!(pair.sessions[BOB].addr(), pair.addrs[ALICE]);
    assert_eq!(pair.received(BOB).len(), 350);
    let to_outsider: Vec<_> = pair.astray.iter().filter(|(to, _)| *to == outsider).collect();
    assert!(!to_outsider.is_empty());
    assert!(to_outsider.iter().all(|(_, bytes)| bytes.len() < 140), "challenges alone");
    let stats = pair.stats(BOB);
    assert!(stats.path.cancelled > 0 && stats.path.moved == 0, "{:?}", stats.path);
}

#[test]
fn a_new_address_that_cannot_be_reached_is_given_up_and_the_session_goes_on() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 4);
    // Until the size of the path is found, so that Alice has nothing more to say from where she is.
    for id in 0..20 {
        transfer(&mut pair, id..id + 1);
        pair.run(Duration::from_secs(1));
    }
    pair.send(ALICE, 1000, 1028);
    let mut out = Vec::new();
    let now = pair.clock();
    pair.sessions[ALICE].poll_transmit(now, &mut out, 1).unwrap();
    pair.deliver(BOB, addr(5, 5), out);
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.stats(BOB).path.unanswered, 1);
    let bytes: usize = pair.astray.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= 3 * 1072, "{bytes}");
    transfer(&mut pair, 20..40);
    pair.run_until_quiet();
    assert_eq!((pair.received(BOB).len(), pair.received(ALICE).len()), (41, 40));
}
