//! Strangers in numbers: what they cost is bounded.

use super::wire::{self, ALICE, BOB, NET, Net, Node};
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::ssu2::endpoint::{Config, Endpoint, Output};
use ramson_protocol::ssu2::error::Cause;
use ramson_protocol::ssu2::initiator::{self, AwaitCreated};
use ramson_protocol::ssu2::local::{Ids, Local, OurEnd};
use std::net::SocketAddr;
use std::time::Duration;

fn spoofed(n: u32) -> SocketAddr {
    SocketAddr::from(([20 + (n >> 16) as u8, (n >> 8) as u8, n as u8, 1], 4000))
}

#[test]
fn spoofed_requests_leave_no_state_and_are_not_amplified() {
    let mut net = Net::new(40);
    let remote = net.nodes[BOB].remote();
    let alice = &net.nodes[ALICE];
    let local = Local::new(NET, alice.hash(), secret(), alice.intro, alice.info.as_bytes().clone());
    let mut rng = rand::SeedableRng::seed_from_u64(7);
    let now = net.now(BOB);
    let ids = Ids { local: 1, remote: 2 };
    let token_request = initiator::token_request(&local, &remote, ids, &mut rng, now);
    let (_, session_request) = AwaitCreated::start(&local, &remote, ids, 77, false, &mut rng, now).unwrap();
    for n in 0..2000 {
        for request in [&token_request, &session_request] {
            net.nodes[BOB].endpoint.handle_datagram(now, spoofed(n), OurEnd::socket(0), &mut request.clone());
            let mut sent = 0;
            while let Some(output) = net.nodes[BOB].endpoint.poll_output() {
                let Output::Send { to, bytes, .. } = output else { panic!("{output:?}") };
                assert_eq!(to, spoofed(n));
                sent += bytes.len();
            }
            assert!(sent > 0 && sent <= 3 * request.len(), "{sent} for {}", request.len());
            assert!(sent <= 2 * request.len());
        }
    }
    let stats = net.nodes[BOB].endpoint.stats();
    assert_eq!((stats.pending, stats.begun, stats.replay_keys), ([0, 0], [0, 0], 0));
    assert_eq!(stats.dropped(Cause::Token), 2000);
    assert_eq!(stats.addresses, 0);
    assert_eq!(net.nodes[BOB].endpoint.poll_timeout(), None);
}

fn secret() -> ramson_crypto::x25519::SecretKey {
    ramson_crypto::x25519::SecretKey::from_bytes([0xa1; 32])
}

#[test]
fn one_address_gets_its_share_of_answers() {
    let mut net = Net::new(41);
    let limits = Limits { burst_per_ip: 3, per_minute_per_ip: 30, ..Limits::default() };
    net.nodes[BOB] = Node::with(wire::bob(), 0, 0, 1500, limits, Box::new(OpenGate));
    (0..8).for_each(|n| begin(&mut net, spoofed(1), n));
    let stats = net.nodes[BOB].endpoint.stats();
    assert_eq!((stats.begun[0], stats.dropped(Cause::Rate)), (3, 5));
    begin(&mut net, spoofed(2), 100);
    assert_eq!(net.nodes[BOB].endpoint.stats().begun[0], 4);
}

/// Three datagrams a second in a victim's name were enough to keep it out.
#[test]
fn what_comes_in_an_address_name_without_a_token_uses_up_nothing_of_it() {
    let mut net = Net::new(45);
    let limits = Limits { burst_per_ip: 3, per_minute_per_ip: 30, ..Limits::default() };
    net.nodes[BOB] = Node::with(wire::bob(), 0, 0, 1500, limits, Box::new(OpenGate));
    net.dial(ALICE, BOB);
    let request = net.sent[0].bytes.clone();
    let victim = spoofed(1);
    (0..1000).for_each(|_| net.inject(victim, BOB, &request));
    begin(&mut net, victim, 1);
    assert_eq!(net.nodes[BOB].endpoint.stats().begun[0], 1);
}

/// And they are bounded in all: a flood of requests costs no more than that, and whoever has a token is served beside it.
#[test]
fn retries_are_bounded_in_all_and_a_token_passes_by_them() {
    let mut net = Net::new(46);
    net.dial(ALICE, BOB);
    let request = net.sent[0].bytes.clone();
    (0..50_000).for_each(|n| net.inject(spoofed(n), BOB, &request));
    let stats = net.nodes[BOB].endpoint.stats();
    assert_eq!((stats.retries[0], stats.dropped(Cause::RetryLimit)), (40_000, 10_000));
    begin(&mut net, spoofed(70_000), 1);
    assert_eq!(net.nodes[BOB].endpoint.stats().begun[0], 1);
}

/// Begins a handshake with a good token from `from`, and leaves it there.
fn begin(net: &mut Net, from: SocketAddr, n: u64) {
    let (token, _) = net.nodes[BOB].issue_token(from);
    let (remote, now) = (net.nodes[BOB].remote(), net.now(BOB));
    let alice = &net.nodes[ALICE];
    let local = Local::new(NET, alice.hash(), secret(), alice.intro, alice.info.as_bytes().clone());
    let mut rng = rand::SeedableRng::seed_from_u64(n);
    let ids = Ids { local: n + 1_000_000, remote: n };
    let (_, request) = AwaitCreated::start(&local, &remote, ids, token, false, &mut rng, now).unwrap();
    net.inject(from, BOB, &request);
}

#[test]
fn half_open_handshakes_are_bounded_and_the_oldest_gives_way() {
    let mut net = Net::new(42);
    let limits = Limits { half_open: 20, half_open_per_ip: 2, ..Limits::default() };
    net.nodes[BOB] = Node::with(wire::bob(), 0, 0, 1500, limits, Box::new(OpenGate));
    for n in 0..10u16 {
        begin(&mut net, SocketAddr::from(([20, 0, 0, n as u8], 4000)), u64::from(n));
    }
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [4, 0]);
    for n in 0..100u32 {
        begin(&mut net, spoofed(n + 1), 1000 + u64::from(n));
    }
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [20, 0]);
    let displaced: Vec<_> = net.nodes[BOB].failed.iter().map(|f| (f.cause.label(), f.addr)).collect();
    assert_eq!(displaced.len(), 90);
    assert!(displaced.iter().all(|(label, _)| *label == "displaced"));
    assert_eq!(displaced[0].1, SocketAddr::from(([20, 0, 0, 0], 4000)));
    net.run(Duration::from_secs(30));
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [0, 0]);
    assert_eq!(net.nodes[BOB].endpoint.poll_timeout(), None);
}

#[test]
fn an_id_that_is_taken_is_not_given_to_another_address() {
    let mut net = Net::new(43);
    begin(&mut net, spoofed(1), 5);
    begin(&mut net, spoofed(2), 5);
    let stats = net.nodes[BOB].endpoint.stats();
    assert_eq!((stats.pending, stats.dropped(Cause::OtherAddress)), ([1, 0], 1));
}

#[test]
fn dials_are_bounded() {
    let net = Net::new(44);
    let limits = Limits { dials: 3, ..Limits::default() };
    let alice = &net.nodes[ALICE];
    let local = Local::new(NET, alice.hash(), secret(), alice.intro, alice.info.as_bytes().clone());
    let mut ids = 0;
    let choose_id = Box::new(move |_: &_| {
        ids += 1;
        ids
    });
    let (gate, now) = (Box::new(OpenGate), net.now(ALICE));
    let mut endpoint = Endpoint::new(Config { local, limits, gate, choose_id }, [1; 32], now);
    for n in 0..5 {
        let mut target = net.target(BOB);
        target.remote.addr = spoofed(n);
        endpoint.dial(now, target);
    }
    let mut refused = 0;
    while let Some(output) = endpoint.poll_output() {
        if let Output::Failed(failed) = output {
            assert_eq!(failed.cause, Cause::DialLimit);
            refused += 1;
        }
    }
    assert_eq!((refused, endpoint.stats().pending), (2, [0, 3]));
}
