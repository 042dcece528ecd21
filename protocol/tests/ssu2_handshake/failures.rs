//! Handshakes that must not come about, and what each side says of it.

use super::wire::{self, ALICE, BOB, Net, Node, Who};
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::link::gate::Gate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::error::Cause;
use ramson_protocol::time::Wall;
use std::net::IpAddr;
use std::time::Duration;

fn causes(net: &Net, node: usize) -> Vec<&'static str> {
    net.nodes[node].failed.iter().map(|f| f.cause.label()).collect()
}

#[test]
fn a_wrong_clock_is_told_by_both_sides_in_both_directions() {
    for ahead in [-61_600, 61_600] {
        // Without a token the TokenRequest is refused; with one, the SessionRequest.
        for with_token in [false, true] {
            let mut net = Net::new(20);
            net.nodes[ALICE].ahead = ahead;
            if with_token {
                let (token, _) = net.nodes[BOB].issue_token(net.nodes[ALICE].addr);
                let bob = net.nodes[BOB].addr;
                net.nodes[ALICE].endpoint.learn_token(bob, token, u32::MAX);
            }
            net.dial(ALICE, BOB);
            net.run(Duration::from_secs(30));
            let failed = net.nodes[ALICE].failed[0];
            assert_eq!(failed.cause.label(), "clock_skew");
            assert!((failed.skew.unwrap().0 + ahead).abs() <= 1000, "{:?}", failed.skew);
            assert!(!failed.proven);
            let bob = net.nodes[BOB].endpoint.stats();
            let skew = Cause::ClockSkew(failed.skew.unwrap());
            assert_eq!(bob.dropped(skew) + bob.failed(Role::Responder, skew), 1);
            assert!(net.nodes[BOB].established.is_empty());
            assert_eq!(bob.pending, [0, 0]);
        }
    }
}

#[test]
fn a_clock_almost_a_minute_off_is_good_enough() {
    for ahead in [-58_000, 58_000] {
        let mut net = Net::new(21);
        net.nodes[ALICE].ahead = ahead;
        net.dial(ALICE, BOB);
        net.run(Duration::from_secs(1));
        let (alice, bob) = super::sessions(&mut net);
        assert!((alice.skew.0 + ahead).abs() <= 1000, "{:?}", alice.skew);
        assert!((bob.skew.0 - ahead).abs() <= 1000, "{:?}", bob.skew);
    }
}

#[test]
fn another_network_gets_silence() {
    let mut net = Net::new(22);
    net.nodes[ALICE] = Node::new(Who { net_id: 2, ..wire::alice() });
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(30));
    assert_eq!(causes(&net, ALICE), ["timeout"]);
    assert!(net.sent.iter().all(|s| s.from == ALICE));
    assert_eq!(net.nodes[BOB].endpoint.stats().dropped(Cause::NetworkId(2)), 3);
}

#[test]
fn another_static_key_gets_silence() {
    let mut net = Net::new(23);
    let other = Node::new(Who { seed: 0xcc, ..wire::bob() });
    let mut target = net.target(BOB);
    target.remote.static_key = other.remote().static_key;
    let now = net.now(ALICE);
    net.nodes[ALICE].endpoint.dial(now, target);
    net.run(Duration::from_secs(30));
    assert_eq!(causes(&net, ALICE), ["timeout"]);
    assert!(net.nodes[BOB].endpoint.stats().dropped(Cause::RequestTag) > 0);
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [0, 0]);
}

/// What Alice shows, and what Bob calls it.
fn shown(make: impl Fn(&Node) -> RouterInfo) -> Net {
    let mut net = Net::new(24);
    let info = make(&net.nodes[ALICE]);
    net.nodes[ALICE].show(info);
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(5));
    assert!(net.nodes[BOB].established.is_empty());
    assert_eq!(net.nodes[BOB].endpoint.stats().pending, [0, 0]);
    net
}

fn builder(node: &Node, net_id: u8) -> RouterInfoBuilder {
    RouterInfoBuilder::new(net_id, Version::parse("0.9.69"), Caps::parse("LR")).address(node.address_at(node.addr))
}

#[test]
fn a_router_info_that_does_not_fit_is_refused_and_its_router_told() {
    let day = Duration::from_secs(24 * 3600);
    let published = |net: &Net| net.nodes[ALICE].info.published();
    let template = Net::new(0);
    let (now, old, future) = {
        let now = published(&template);
        (now, now.minus(2 * day), now.plus(Duration::from_secs(130)))
    };
    let sign = |b: RouterInfoBuilder, n: &Node, at: Wall| b.sign(&n.keys, at).unwrap();
    let cases: Vec<(Net, &str, bool)> = vec![
        (shown(|n| sign(builder(n, 2), n, now)), "router_info_network", true),
        (shown(|n| sign(builder(n, wire::NET), n, old)), "router_info_too_old", true),
        (shown(|n| sign(builder(n, wire::NET), n, future)), "router_info_from_the_future", true),
        (
            shown(|n| {
                let elsewhere = n.address_at("10.9.0.1:9000".parse().unwrap());
                let b = RouterInfoBuilder::new(wire::NET, Version::parse("0.9.69"), Caps::parse("LR"));
                sign(b.address(elsewhere), n, now)
            }),
            "wrong_address",
            true,
        ),
        (shown(|_| Node::new(Who { seed: 0xdd, ..wire::alice() }).info), "static_key", false),
        (shown(|_| Node::new(wire::bob()).info), "ourselves", false),
        (
            shown(|n| {
                let mut bytes = n.info.as_bytes().to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                RouterInfo::parse(bytes.into()).unwrap()
            }),
            "router_info_signature",
            false,
        ),
    ];
    for (net, label, proven) in cases {
        assert_eq!(causes(&net, BOB), [label]);
        let failed = net.nodes[BOB].failed[0];
        assert_eq!(failed.peer.is_some(), proven, "{label}");
        // A farewell in the data phase, if there is a key for it.
        let farewells = net.sent.iter().filter(|s| s.from == BOB).count() - 2;
        assert_eq!(farewells, usize::from(!matches!(label, "static_key" | "ourselves")), "{label}");
    }
}

struct Closed;

impl Gate for Closed {
    fn admits_router(&self, _: &RouterInfo, _: IpAddr) -> Result<(), Reason> {
        Err(Reason::CONNECTION_LIMITS)
    }
}

struct Deaf;

impl Gate for Deaf {
    fn admits_address(&self, _: IpAddr) -> bool {
        false
    }
}

#[test]
fn the_gate_has_the_last_word_and_the_first() {
    let mut net = Net::new(25);
    net.nodes[BOB] = Node::with(wire::bob(), 0, 0, 1500, Limits::default(), Box::new(Closed));
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(5));
    assert_eq!(causes(&net, BOB), ["gate"]);
    assert_eq!(net.nodes[BOB].failed[0].peer, Some(net.nodes[ALICE].hash()));

    let mut net = Net::new(25);
    net.nodes[BOB] = Node::with(wire::bob(), 0, 0, 1500, Limits::default(), Box::new(Deaf));
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(30));
    assert!(net.sent.iter().all(|s| s.from == ALICE));
    assert_eq!(net.nodes[BOB].endpoint.stats().dropped(Cause::Address), 3);
}

#[test]
fn a_router_info_of_three_datagrams_is_our_own_fault() {
    let mut net = Net::new(26);
    net.nodes[ALICE] = Node::with_info(wire::alice(), 2900, 0, 1280);
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(5));
    assert_eq!(causes(&net, ALICE), ["own_router_info"]);
}

#[test]
fn what_was_recorded_makes_no_second_session() {
    let mut net = Net::new(27);
    net.dial(ALICE, BOB);
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[BOB].established.len(), 1);
    let (from, recorded) = (net.nodes[ALICE].addr, net.sent.clone());
    for seconds in [0, 5, 100, 1000] {
        net.run(Duration::from_secs(seconds));
        for sent in recorded.iter().filter(|s| s.from == ALICE) {
            net.inject(from, BOB, &sent.bytes);
            net.inject("10.7.7.7:9000".parse().unwrap(), BOB, &sent.bytes);
        }
        for sent in recorded.iter().filter(|s| s.from == BOB) {
            net.inject(net.nodes[BOB].addr, ALICE, &sent.bytes);
        }
        assert_eq!(net.nodes[BOB].endpoint.stats().pending, [0, 0]);
    }
    assert_eq!((net.nodes[ALICE].established.len(), net.nodes[BOB].established.len()), (1, 1));
}

#[test]
fn a_dial_is_cancelled_and_one_address_is_called_once_at_a_time() {
    let mut net = Net::new(28);
    net.loss = 1.0;
    net.dial(ALICE, BOB);
    net.dial(ALICE, BOB);
    assert_eq!(causes(&net, ALICE), ["already_dialing"]);
    let bob = net.nodes[BOB].addr;
    net.nodes[ALICE].endpoint.cancel(bob);
    net.drain(ALICE);
    net.run(Duration::from_secs(30));
    assert_eq!(causes(&net, ALICE), ["already_dialing", "cancelled"]);
    assert_eq!(net.sent.len(), 1);
}

#[test]
fn forged_and_cut_datagrams_spoil_no_handshake() {
    let mut net = Net::new(29);
    net.dial(ALICE, BOB);
    for step in 0..60 {
        net.run(Duration::from_millis(5));
        let (alice, bob) = (net.nodes[ALICE].addr, net.nodes[BOB].addr);
        let Some(last) = net.sent.last().cloned() else { continue };
        for at in [0, 8, 12, 20, 40, 63, 70, last.bytes.len() - 1] {
            let mut forged = last.bytes.to_vec();
            forged[at.min(last.bytes.len() - 1)] ^= 1 + step;
            let to = 1 - last.from;
            net.inject(if last.from == ALICE { alice } else { bob }, to, &forged);
            net.inject(if last.from == ALICE { alice } else { bob }, to, &last.bytes[..at]);
        }
    }
    let (alice, bob) = super::sessions(&mut net);
    super::assert_joined(&alice, &bob);
}
