//! How sessions begin and end, and what they say besides messages.

use super::wire::{ALICE, BOB, Pair, Wire, addr, established};
use bytes::Bytes;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::block::Block;
use ramson_protocol::ssu2::session::{Config, Event, KEEP_ALIVE, Session};
use ramson_protocol::time::{Mono, Now};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn both_sides_end_when_one_closes_even_if_packets_are_lost() {
    for seed in 0..20 {
        let mut pair = Pair::new(Wire { loss: 100, ..Wire::default() }, Config::default(), seed);
        for id in 0..50 {
            pair.send(ALICE, id, 1028);
            pair.send(BOB, id, 1028);
        }
        pair.run(30 * MS);
        let now = pair.clock();
        pair.sessions[BOB].close(Reason::ROUTER_SHUTDOWN, now);
        assert!(!pair.send(BOB, 99, 10));
        pair.run(Duration::from_secs(60));
        assert!(pair.sessions.iter().all(Session::is_ended));
        assert_eq!(pair.sessions[ALICE].poll_timeout(), None);
        let said = pair.events[ALICE].iter().filter(|e| matches!(e, Event::Terminated { .. })).count();
        assert!(said <= 1);
        if said == 1 {
            assert!(pair.events[ALICE].contains(&Event::Terminated { reason: Reason::ROUTER_SHUTDOWN }));
        }
    }
}

#[test]
fn a_closing_session_answers_a_few_packets_and_no_more() {
    let mut pair = Pair::new(Wire { loss: 1000, ..Wire::default() }, Config::default(), 1);
    let now = pair.clock();
    pair.sessions[BOB].close(Reason::NORMAL, now);
    let mut answers = 0;
    for id in 0..20 {
        pair.send(ALICE, id, 1028);
        let (mut out, mut answer) = (Vec::new(), Vec::new());
        if pair.sessions[ALICE].poll_transmit(now, &mut out, 1).is_some() {
            pair.deliver(BOB, pair.addrs[ALICE], out);
        }
        while pair.sessions[BOB].poll_transmit(now, &mut answer, 1).is_some() {
            answers += 1;
        }
    }
    assert_eq!(answers, 3);
}

#[test]
fn silence_ends_a_session_and_keep_alive_prevents_it() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 2);
    pair.run(Duration::from_secs(164));
    assert!(pair.sessions.iter().all(Session::is_open));
    pair.run(Duration::from_secs(20));
    assert!(pair.sessions.iter().all(Session::is_ended));
    let config = Config { keep_alive: Some(KEEP_ALIVE), ..Config::default() };
    let mut pair = Pair::new(Wire::default(), config, 2);
    pair.run(Duration::from_secs(1000));
    assert!(pair.sessions.iter().all(Session::is_open));
    let sent = pair.stats(ALICE).packets_out;
    assert!((60..80).contains(&sent), "{sent}");
}

#[test]
fn a_peer_that_acknowledges_nothing_is_given_up() {
    let mut pair = Pair::new(Wire { loss: 1000, ..Wire::default() }, Config::default(), 3);
    pair.send(ALICE, 1, 1028);
    pair.run(Duration::from_secs(19));
    assert!(pair.sessions[ALICE].is_open());
    let sent = pair.stats(ALICE).packets_out;
    assert!(sent < 40, "{sent}");
    pair.run(Duration::from_secs(15));
    assert!(pair.sessions[ALICE].is_ended());
}

#[test]
fn the_responder_acknowledges_the_handshake_at_once() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 4);
    pair.run(10 * MS);
    assert_eq!(pair.stats(BOB).acks_out, 1);
}

#[test]
fn the_session_confirmed_is_repeated_until_the_peer_is_heard() {
    let now = Now { mono: Mono::from_secs(5), ..Now::default() };
    let mut established = established(Role::Initiator, addr(2, 2));
    let parts = [Bytes::from_static(&[1; 100]), Bytes::from_static(&[2; 50])];
    established.confirmed = parts.iter().cloned().collect();
    let mut alice = Session::new(&established, Config::default(), [1; 32], now);
    let mut sent = Vec::new();
    let mut time = now;
    while let Some(next) = alice.poll_timeout().filter(|t| *t < Mono::from_secs(60)) {
        time = time.plus(next - time.mono);
        alice.handle_timeout(time);
        let mut out = Vec::new();
        while alice.poll_transmit(time, &mut out, 16).is_some() {
            sent.push((time.mono - now.mono, std::mem::take(&mut out)));
        }
    }
    let times: Vec<_> = sent.iter().map(|(t, _)| t.as_millis()).collect();
    assert_eq!(times, [1250, 1250, 3750, 3750, 8750, 8750]);
    assert!(sent.chunks(2).all(|pair| pair[0].1 == parts[0] && pair[1].1 == parts[1]));
}

#[test]
fn blocks_and_router_infos_arrive_even_if_packets_are_lost() {
    for seed in 0..10 {
        let mut pair = Pair::new(Wire { loss: 200, ..Wire::default() }, Config::default(), seed);
        let info: Vec<u8> = (0..2000_u32).map(|i| (i % 50) as u8).collect();
        let noise: Vec<u8> = (0..3000_u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        let alice = &mut pair.sessions[ALICE];
        assert!(alice.queue_router_info(&info, true));
        assert!(alice.queue_router_info(&info[..500], false));
        assert!(!alice.queue_router_info(&noise, false), "it must go as a message");
        assert!(alice.queue_block(&Block::NewToken { expires: 5, token: 6 }));
        assert!(alice.queue_block(&Block::RelayTagRequest));
        assert!(!alice.queue_block(&Block::PeerTest(&[0; 1400])));
        pair.run_until_quiet();
        let mut events = pair.events[BOB].clone();
        events.retain(|e| !matches!(e, Event::Skew(_)));
        for expected in [
            Event::RouterInfo { flood: true, bytes: info.clone() },
            Event::RouterInfo { flood: false, bytes: info[..500].to_vec() },
            Event::NewToken { expires: 5, token: 6 },
            Event::RelayTagRequest,
        ] {
            assert!(events.contains(&expected), "{expected:?}");
        }
    }
}

#[test]
fn marks_of_the_network_reach_the_sender_and_slow_it_down() {
    let mut pair = Pair::new(Wire::default(), Config::default(), 5);
    for id in 0..200 {
        pair.send(ALICE, id, 1028);
        pair.run(MS);
    }
    let before = pair.stats(ALICE).window;
    pair.sessions[BOB].on_congestion_experienced();
    for id in 200..300 {
        pair.send(ALICE, id, 1028);
        pair.run(MS);
    }
    pair.run_until_quiet();
    let after = pair.stats(ALICE);
    assert_eq!((after.marked, after.lost), (1, 0));
    assert!(after.window < before, "{} {before}", after.window);
}

#[test]
fn an_idle_session_holds_almost_nothing() {
    let mut pair = Pair::new(Wire { loss: 10, ..Wire::default() }, Config::default(), 6);
    for id in 0..3000 {
        pair.send(ALICE, id, 1028);
        pair.send(BOB, id, 1028);
        if id % 20 == 0 {
            pair.run(20 * MS);
        }
    }
    pair.run_until_quiet();
    assert_eq!((pair.received(BOB).len(), pair.received(ALICE).len()), (3000, 3000));
    pair.run(Duration::from_secs(60));
    for session in &pair.sessions {
        assert_eq!(session.held_bytes(), 0);
    }
    assert!(size_of::<Session>() <= 4096, "{}", size_of::<Session>());
}
