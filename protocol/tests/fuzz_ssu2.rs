//! Fuzz targets of SSU2's data phase: whatever comes off the wire, nothing panics, nothing forged is accepted, and what
//! a peer with keys can do to us is bounded.
//!
//! They run on stable for a bounded number of inputs, and under a fuzzing engine with `cargo bolero test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, reason = "shared with another test")]

#[path = "ssu2_session/wire.rs"]
mod wire;

use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::block::{Ack, Block, Blocks};
use ramson_protocol::ssu2::packet::{MIN_PAYLOAD, OVERHEAD, Placed, Sealer};
use ramson_protocol::ssu2::session::{Config, Event, Session};
use ramson_protocol::time::{Mono, Now, Wall};
use std::time::Duration;
use wire::{addr, established};

fn session() -> (Session, Now) {
    let now = Now { mono: Mono::from_secs(9), wall: Wall::from_secs(1_790_000_000) };
    (Session::new(&established(Role::Responder, addr(1, 1)), Config::default(), [1; 32], now), now)
}

/// Drains what the session sends, and checks that it is within reason.
fn drain(session: &mut Session, now: Now) {
    let mut out = Vec::new();
    for _ in 0..100 {
        if session.poll_transmit(now, &mut out, 16).is_none() {
            assert!(session.poll_timeout().is_none_or(|t| t >= now.mono || session.stats().in_flight == 0));
            return;
        }
    }
    panic!("sends without end");
}

#[test]
fn blocks() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        if let Ok(blocks) = Blocks::new(bytes).collect::<Result<Vec<_>, _>>() {
            let mut out = Vec::new();
            blocks.iter().for_each(|b| b.write(&mut out).unwrap());
            assert_eq!(Blocks::new(&out).collect::<Result<Vec<_>, _>>().unwrap(), blocks);
        }
    });
}

#[test]
fn ack_ranges() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let Ok(ack) = Ack::parse(bytes) else { return };
        let mut above = u64::from(ack.through) + 1;
        for range in ack.ranges() {
            assert!(range.start() <= range.end() && u64::from(*range.end()) < above);
            above = u64::from(*range.start());
        }
    });
}

#[test]
fn datagrams_without_keys() {
    bolero::check!().with_iterations(3_000).for_each(|bytes: &[u8]| {
        let (mut session, now) = session();
        let mut events = Vec::new();
        let mut datagram = bytes.to_vec();
        assert!(session.handle_datagram(now, addr(1, 1), &mut datagram, &mut events).is_err());
        let mut datagrams = bytes.to_vec();
        session.handle_datagrams(now, addr(1, 1), &mut datagrams, 50, &mut events);
        assert!(events.is_empty());
        drain(&mut session, now);
    });
}

/// The input is the blocks of a few packets from a peer that has the keys.
#[test]
fn packets_with_keys() {
    let alice = established(Role::Initiator, addr(2, 2));
    let sealer = Sealer::new(&alice.send, &alice.remote_intro, alice.remote_id);
    bolero::check!().with_iterations(3_000).for_each(|bytes: &[u8]| {
        let (mut session, mut now) = session();
        session.queue_message(18, ramson_protocol::id::MessageId(1), u32::MAX, &[&[7; 3000]]);
        drain(&mut session, now);
        for (i, blocks) in bytes.chunks(40).enumerate() {
            let mut packet =
                [&[0; 16], blocks, &[0; 16][..MIN_PAYLOAD.saturating_sub(blocks.len())], &[0; 16]].concat();
            let (number, immediate) = (u32::from(blocks[0]) * i as u32, blocks.len() % 2 == 0);
            let place = Placed { at: 0, len: packet.len(), number, immediate };
            assert!(place.len >= OVERHEAD + MIN_PAYLOAD);
            sealer.seal(&mut packet, &[place]);
            let (len, mut events) = (packet.len(), Vec::new());
            let from = addr(1 + blocks[0] % 2, 1);
            session.handle_datagrams(now, from, &mut packet, len, &mut events);
            for event in events {
                if let Event::Message { body, .. } | Event::PeerTest(body) | Event::RelayIntro(body) = event {
                    assert!(packet.get(body).is_some());
                }
            }
            drain(&mut session, now);
            now = now.plus(Duration::from_millis(u64::from(blocks[0])));
            session.handle_timeout(now);
            drain(&mut session, now);
        }
        assert!(session.held_bytes() < 100_000);
    });
}

/// Bytes that are blocks more often than random ones: the first byte of each group chooses from those that exist.
#[test]
fn sequences_of_real_blocks() {
    let alice = established(Role::Initiator, addr(2, 2));
    let sealer = Sealer::new(&alice.send, &alice.remote_intro, alice.remote_id);
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        let (mut session, mut now) = session();
        for (number, data) in bytes.chunks(24).enumerate() {
            let mut blocks = Vec::new();
            if let Ok(block) = Block::parse(data[0] % 22, &data[1..]) {
                block.write(&mut blocks).unwrap();
            }
            Block::Padding(5).write(&mut blocks).unwrap();
            let mut packet = [&[0; 16], &blocks[..], &[0; 16]].concat();
            let place = Placed { at: 0, len: packet.len(), number: number as u32 + 1, immediate: false };
            sealer.seal(&mut packet, &[place]);
            let _ = session.handle_datagram(now, addr(1, 1), &mut packet, &mut Vec::new());
            drain(&mut session, now);
            now = now.plus(Duration::from_millis(3));
            session.handle_timeout(now);
        }
    });
}
