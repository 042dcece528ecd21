//! Datagrams that no honest peer sends.

use super::wire::{ALICE, BOB, Pair, Wire, addr, established};
use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::block::{Ack, Block};
use ramson_protocol::ssu2::packet::{OVERHEAD, Placed, Sealer};
use ramson_protocol::ssu2::session::{Config, Event};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A packet with Alice's keys, whatever Alice herself would send.
fn forged(number: u32, blocks: &[u8]) -> Vec<u8> {
    let alice = established(Role::Initiator, addr(2, 2002));
    let len = blocks.len() + OVERHEAD;
    let mut packet = [&[0; 16], blocks, &[0; 16]].concat();
    let place = Placed { at: 0, len, number, immediate: false };
    Sealer::new(&alice.send, &alice.remote_intro, alice.remote_id).seal(&mut packet, &[place]);
    packet
}

fn blocks(blocks: &[Block<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    blocks.iter().for_each(|b| b.write(&mut out).unwrap());
    out
}

#[test]
fn garbage_and_replays_change_nothing_but_counters() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 1);
    pair.send(ALICE, 1, 1028);
    let mut out = Vec::new();
    let now = pair.clock();
    pair.sessions[ALICE].poll_transmit(now, &mut out, 1).unwrap();
    for len in 1..200 {
        pair.deliver(BOB, pair.addrs[ALICE], vec![len as u8; len]);
    }
    for bit in 64..out.len() * 8 {
        let mut bad = out.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        pair.deliver(BOB, addr(66, 6), bad);
    }
    // One of them seemed to be packet 0, which the handshake was.
    assert_eq!((pair.stats(BOB).packets_in, pair.stats(BOB).dropped_repeated), (0, 1));
    pair.deliver(BOB, pair.addrs[ALICE], out.clone());
    pair.deliver(BOB, addr(66, 6), out);
    let stats = pair.stats(BOB);
    assert_eq!((stats.packets_in, stats.messages_in, stats.dropped_repeated, stats.dropped_short), (1, 1, 2, 39));
    assert!(stats.dropped_kind > 0 && stats.dropped_kind + stats.dropped_tag > 8000, "{stats:?}");
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.sessions[BOB].addr(), pair.stats(BOB).path.challenged), (pair.addrs[ALICE], 0));
}

#[test]
fn acks_of_packets_never_sent_are_counted_and_change_nothing() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 2);
    for id in 0..10 {
        pair.send(BOB, id, 1028);
    }
    let mut out = Vec::new();
    let now = pair.clock();
    while pair.sessions[BOB].poll_transmit(now, &mut out, 16).is_some() {}
    let before = pair.stats(BOB);
    let ack = |through, acks| blocks(&[Block::Ack(Ack { through, acks, pairs: &[] })]);
    pair.deliver(BOB, pair.addrs[ALICE], forged(1, &ack(1000, 255)));
    pair.deliver(BOB, pair.addrs[ALICE], forged(2, &ack(u32::MAX, 0)));
    let after = pair.stats(BOB);
    assert_eq!((after.acks_of_unsent, after.in_flight, after.window), (2, before.in_flight, before.window));
}

#[test]
fn a_packet_with_bad_blocks_gives_what_came_before_them() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 3);
    let mut bad = blocks(&[Block::RelayTag(7), Block::Padding(9)]);
    bad.extend(blocks(&[Block::RelayTag(8)]));
    pair.deliver(BOB, pair.addrs[ALICE], forged(1, &bad));
    assert_eq!(pair.events[BOB], [Event::RelayTag(7)]);
    assert_eq!(pair.stats(BOB).bad_blocks, 1);
    let bomb = ramson_protocol::gzip::gzip(&vec![0; 500_000]);
    let info = ramson_protocol::ssu2::block::RouterInfo { flood: true, gzip: true, fragment: 1, bytes: &bomb };
    pair.deliver(BOB, pair.addrs[ALICE], forged(2, &blocks(&[Block::RouterInfo(info)])));
    let cut = ramson_protocol::ssu2::block::RouterInfo { gzip: false, fragment: 0x12, ..info };
    pair.deliver(BOB, pair.addrs[ALICE], forged(3, &blocks(&[Block::RouterInfo(cut)])));
    assert_eq!((pair.events[BOB].len(), pair.stats(BOB).bad_router_infos), (1, 2));
}

#[test]
fn a_flood_of_half_messages_and_gaps_stays_within_bounds() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 4);
    let body = [0; 1000];
    for n in 1..3000_u32 {
        let id = ramson_protocol::id::MessageId(n);
        let part = ramson_protocol::ssu2::block::FollowOn { number: 1 + (n % 60) as u8, last: false, id, body: &body };
        pair.deliver(BOB, pair.addrs[ALICE], forged(n * 3, &blocks(&[Block::FollowOn(part)])));
        if n % 16 == 0 {
            pair.run(MS);
        }
    }
    assert!(pair.sessions[BOB].held_bytes() < 1_000_000);
    assert!(pair.stats(BOB).incomplete_messages > 2000);
    pair.run(Duration::from_secs(60));
    assert!(pair.sessions[BOB].held_bytes() < 10_000);
}
