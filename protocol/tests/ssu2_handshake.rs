//! SSU2 endpoints joined by a wire in virtual time that delays, loses, reorders and duplicates.
//!
//! spec: ssu2 §Session Establishment, §Handshake Retransmission

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "ssu2_handshake/failures.rs"]
mod failures;
#[path = "ssu2_handshake/flood.rs"]
mod flood;
#[path = "ssu2_handshake/wire.rs"]
mod wire;

use proptest::prelude::*;
use ramson_crypto::aead::AeadKey;
use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::{self, Kind, Short};
use std::time::Duration;
use wire::{ALICE, BOB, Net, Node};

/// What one side seals the other opens.
fn assert_joined(alice: &Established, bob: &Established) {
    assert_eq!((alice.role, bob.role), (Role::Initiator, Role::Responder));
    assert_eq!((alice.local_id, alice.remote_id), (bob.remote_id, bob.local_id));
    assert_eq!((&alice.local_intro, &alice.remote_intro), (&bob.remote_intro, &bob.local_intro));
    assert_eq!(alice.mtu, bob.mtu);
    assert_eq!((alice.next_number, alice.received), (1, None));
    assert_eq!((bob.next_number, bob.received), (0, Some(0)));
    for (from, to) in [(alice, bob), (bob, alice)] {
        let head = Short { destination: from.remote_id, number: 7, kind: Kind::DATA, flags: [0; 3] };
        let mut packet = [&head.to_bytes()[..], b"blocks of a packet"].concat();
        AeadKey::new(&from.send.k_data).seal_vec(7, &head.to_bytes(), &mut packet, 16);
        header::mask(&mut packet, &from.remote_intro, &from.send.k_header_2).unwrap();
        assert_eq!(header::connection_id(&packet, &to.local_intro), Some(to.local_id));
        header::mask(&mut packet, &to.local_intro, &to.recv.k_header_2).unwrap();
        assert_eq!(Short::parse(&packet), Ok(head));
        let plain = AeadKey::new(&to.recv.k_data).open(7, &head.to_bytes(), &mut packet[16..]).unwrap();
        assert_eq!(plain, b"blocks of a packet");
    }
}

/// The one session that each side made.
fn sessions(net: &mut Net) -> (Established, Established) {
    let mut alice = std::mem::take(&mut net.nodes[ALICE].established);
    let mut bob = std::mem::take(&mut net.nodes[BOB].established);
    assert_eq!((alice.len(), bob.len()), (1, 1));
    (alice.remove(0), bob.remove(0))
}

#[test]
fn without_a_token_a_session_stands_after_two_and_a_half_round_trips() {
    let mut net = Net::new(1);
    net.delay = Duration::from_millis(40)..=Duration::from_millis(40);
    net.dial(ALICE, BOB);
    net.run(Duration::from_millis(200));
    let (alice, bob) = sessions(&mut net);
    assert_joined(&alice, &bob);
    assert_eq!(net.kinds(), ["TokenRequest", "Retry", "SessionRequest", "SessionCreated", "SessionConfirmed"]);
    assert_eq!(alice.peer, net.nodes[BOB].hash());
    assert_eq!(bob.peer, net.nodes[ALICE].hash());
    assert_eq!(alice.our_addr, Some(net.nodes[ALICE].addr));
    assert_eq!(bob.router_info.as_ref().map(|info| info.as_bytes()), Some(net.nodes[ALICE].info.as_bytes()));
    assert_eq!((alice.rtt, bob.rtt), (Duration::from_millis(80), Duration::from_millis(80)));
    assert_eq!((alice.skew.0.abs() <= 500, bob.skew.0.abs() <= 500), (true, true));
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [0, 0]);
    assert_eq!(net.nodes[BOB].endpoint.poll_timeout(), None);
}

#[test]
fn with_a_token_of_an_earlier_session_one_round_trip_is_enough() {
    let mut net = Net::new(2);
    let (token, expires) = net.nodes[BOB].issue_token(net.nodes[ALICE].addr);
    let bob = net.nodes[BOB].addr;
    net.nodes[ALICE].endpoint.learn_token(bob, token, expires);
    for (round, expected) in [3, 5].into_iter().enumerate() {
        net.sent.clear();
        net.dial(ALICE, BOB);
        net.run(Duration::from_secs(1));
        let (alice, bob) = sessions(&mut net);
        assert_joined(&alice, &bob);
        assert_eq!(net.sent.len(), expected, "the token is good once: round {round}");
    }
}

#[test]
fn a_stale_token_is_answered_by_a_retry() {
    let mut net = Net::new(3);
    let bob = net.nodes[BOB].addr;
    net.nodes[ALICE].endpoint.learn_token(bob, 0x1234, u32::MAX);
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(1));
    let (alice, bob) = sessions(&mut net);
    assert_joined(&alice, &bob);
    assert_eq!(net.kinds(), ["SessionRequest", "Retry", "SessionRequest", "SessionCreated", "SessionConfirmed"]);
}

#[test]
fn a_large_router_info_is_compressed_or_goes_in_two_datagrams() {
    for (random, zeros, mtu, datagrams) in
        [(0, 1400, 1500, 1), (1600, 0, 1500, 2), (300, 0, 1280, 1), (1100, 0, 1280, 2)]
    {
        let mut net = Net::new(4);
        net.nodes[ALICE] = Node::with_info(wire::alice(), random, zeros, mtu);
        net.dial(ALICE, BOB);
        net.run(Duration::from_secs(1));
        let (alice, bob) = sessions(&mut net);
        assert_joined(&alice, &bob);
        assert_eq!((alice.confirmed.len(), alice.mtu), (datagrams, mtu), "{random} {zeros}");
        assert!(alice.confirmed.iter().all(|d| d.len() <= usize::from(mtu) - 28));
        assert_eq!(bob.router_info.as_ref().map(|info| info.as_bytes()), Some(net.nodes[ALICE].info.as_bytes()));
    }
}

#[test]
fn a_tag_is_asked_for_and_data_that_overtakes_the_session_confirmed_is_kept() {
    let mut net = Net::new(5);
    net.ask_for_tag = true;
    net.hold = Some("SessionConfirmed");
    net.dial(ALICE, BOB);
    net.run(Duration::from_millis(500));
    let alice = net.nodes[ALICE].established.remove(0);
    let held = std::mem::take(&mut net.held);
    assert_eq!(held.len(), 1);
    net.hold = None;
    for n in 0..20 {
        let mut packet = vec![n; 60];
        packet[..8].copy_from_slice(&alice.remote_id.to_be_bytes());
        header::mask(&mut packet, &alice.remote_intro, &alice.send.k_header_2).unwrap();
        net.send(ALICE, BOB, packet.into());
    }
    net.run(Duration::from_millis(100));
    assert!(net.nodes[BOB].established.is_empty());
    net.send(ALICE, BOB, held[0].clone());
    net.run(Duration::from_millis(100));
    let bob = net.nodes[BOB].established.remove(0);
    assert_joined(&alice, &bob);
    assert!(bob.relay_tag_requested);
    assert_eq!(bob.early.len(), 8);
}

#[test]
fn what_is_lost_is_sent_again_unchanged_on_time() {
    let mut net = Net::new(6);
    net.loss = 1.0;
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(20));
    let times: Vec<_> = net.sent.iter().map(|s| s.at.as_millis()).collect();
    assert_eq!(times, [0, 3000, 9000]);
    assert!(net.sent.iter().all(|s| s.bytes == net.sent[0].bytes));
    let failed = &net.nodes[ALICE].failed;
    assert_eq!((failed.len(), failed[0].cause.label()), (1, "timeout"));
    assert_eq!(net.nodes[ALICE].endpoint.stats().pending, [0, 0]);
}

#[test]
fn a_session_request_is_sent_again_sooner() {
    let mut net = Net::new(6);
    net.drop = Some("SessionRequest");
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(30));
    let requests: Vec<_> = net.sent.iter().filter(|s| s.kind == "SessionRequest").collect();
    let times: Vec<_> = requests.iter().map(|s| (s.at - requests[0].at).as_millis()).collect();
    assert_eq!(times, [0, 1250, 3750, 8750]);
    assert_eq!(net.nodes[ALICE].failed.len(), 1);
}

#[test]
fn a_responder_sends_its_answer_four_times_and_forgets() {
    let mut net = Net::new(7);
    net.drop = Some("SessionConfirmed");
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(30));
    let created: Vec<_> = net.sent.iter().filter(|s| s.kind == "SessionCreated").collect();
    let times: Vec<_> = created.iter().map(|s| (s.at - created[0].at).as_millis()).collect();
    assert_eq!(times, [0, 1000, 3000, 7000]);
    assert!(created.iter().all(|s| s.bytes == created[0].bytes));
    let failed = &net.nodes[BOB].failed;
    assert_eq!((failed.len(), failed[0].cause.label()), (1, "timeout"));
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [0, 0]);
}

#[test]
fn both_call_each_other_at_once() {
    let mut net = Net::new(8);
    net.dial(ALICE, BOB);
    net.dial(BOB, ALICE);
    net.run(Duration::from_secs(2));
    assert_eq!((net.nodes[ALICE].established.len(), net.nodes[BOB].established.len()), (2, 2));
}

#[test]
fn an_ipv6_pair_shakes_hands() {
    let mut net = Net::new(9);
    net.nodes[ALICE].addr = "[2a01::1:1]:2001".parse().unwrap();
    net.nodes[BOB].addr = "[2a01::2:1]:2002".parse().unwrap();
    net.nodes.iter_mut().for_each(Node::publish_nothing);
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(1));
    let (alice, bob) = sessions(&mut net);
    assert_joined(&alice, &bob);
    assert_eq!(alice.our_addr, Some(net.nodes[ALICE].addr));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Sessions come about in spite of the wire, and whatever it did, neither side is left with a handshake.
    #[test]
    fn a_bad_wire_spoils_no_handshake(seed: u64, loss in 0.0..0.25, duplicates in 0.0..0.5, large: bool) {
        let mut net = Net::new(seed);
        if large {
            net.nodes[ALICE] = Node::with_info(wire::alice(), 1600, 0, 1500);
        }
        net.delay = Duration::from_millis(1)..=Duration::from_millis(900);
        (net.loss, net.duplicates) = (loss, duplicates);
        net.resend_confirmed = true;
        net.dial(ALICE, BOB);
        net.run(Duration::from_secs(60));
        let (alice, bob) = (&net.nodes[ALICE], &net.nodes[BOB]);
        prop_assert_eq!(alice.established.len() + alice.failed.len(), 1);
        // A quarter lost, four times in a row, in three exchanges: rare, and then it is a timeout.
        prop_assert!(alice.failed.iter().all(|f| f.cause.label() == "timeout"));
        if loss < 0.05 {
            prop_assert_eq!(alice.established.len(), 1);
            prop_assert_eq!(bob.established.len(), 1);
        }
        for session in &bob.established {
            let other = alice.established.iter().find(|s| s.remote_id == session.local_id);
            assert_joined(other.unwrap(), session);
        }
        prop_assert_eq!(alice.endpoint.stats().pending, [0, 0]);
        prop_assert_eq!(bob.endpoint.stats().pending, [0, 0]);
        prop_assert_eq!((alice.endpoint.poll_timeout(), bob.endpoint.poll_timeout()), (None, None));
    }
}
