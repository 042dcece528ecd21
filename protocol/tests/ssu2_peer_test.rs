//! Peer tests among routers behind simulated NATs, in virtual time.
//!
//! spec: ssu2 §Peer Test Process

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "ssu2_nat/world.rs"]
mod world;

use ramson_protocol::id::RouterHash;
use ramson_protocol::ssu2::endpoint::Outside;
use ramson_protocol::ssu2::error::Cause;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::message::open;
use ramson_protocol::ssu2::peer_test::message::{Message, Test, to_sign};
use ramson_protocol::ssu2::peer_test::{Output, PeerTests, Status};
use ramson_protocol::time::Mono;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use world::{EPOCH, Nat, Router, View, at, pair};

const ALICE: usize = 0;
const DELAY: Duration = Duration::from_millis(30);

enum Event {
    Block { from: usize, to: usize, data: Vec<u8> },
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
}

struct Net {
    routers: Vec<Router>,
    machines: Vec<PeerTests>,
    sessions: BTreeSet<(usize, usize)>,
    now: Mono,
    queue: BTreeMap<(Mono, u64), Event>,
    sequence: u64,
    rng: ChaCha20Rng,
    loss: f64,
    /// Alters PeerTest blocks on their way.
    tamper: Option<fn(&mut Vec<u8>)>,
    statuses: Vec<Status>,
    /// Routers whose RouterInfo a machine asked for.
    needed: Vec<RouterHash>,
    /// Sets whether RouterInfos are known already.
    known: bool,
    /// In-session messages by number, and datagrams.
    numbers: Vec<u8>,
    datagrams: usize,
}

impl Net {
    /// Alice behind her NAT; Bobs 1 to 3 with sessions to her and to the Charlies 4 to 6.
    fn new(nat: Nat) -> Self {
        let routers: Vec<_> = (0..7).map(|n| Router::new(n + 1, if n == 0 { nat } else { Nat::Open })).collect();
        let machines = routers.iter().map(|r| PeerTests::new(r.me(), [r.intro[0]; 32])).collect();
        let mut sessions: BTreeSet<_> = (1..4).map(|bob| pair(ALICE, bob)).collect();
        sessions.extend((1..4).flat_map(|bob| (4..7).map(move |charlie| pair(bob, charlie))));
        let mut net = Self {
            routers,
            machines,
            sessions,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            rng: ChaCha20Rng::seed_from_u64(5),
            loss: 0.0,
            tamper: None,
            statuses: Vec::new(),
            needed: Vec::new(),
            known: true,
            numbers: Vec::new(),
            datagrams: 0,
        };
        for n in 1..7 {
            // Nobody tests itself but Alice; the others need an address to call with.
            net.machines[n].set_address(at(Duration::from_secs(1_000_000)), true, Some(net.routers[n].addr));
        }
        for bob in 1..4 {
            let to = net.routers[bob].addr;
            net.routers[ALICE].outbound(to);
        }
        net
    }

    fn with<R>(&mut self, who: usize, act: impl FnOnce(&mut PeerTests, &View<'_>) -> R) -> R {
        let view = View { routers: &self.routers, sessions: &self.sessions, known: self.known, who };
        let result = act(&mut self.machines[who], &view);
        self.drain(who);
        result
    }

    fn push(&mut self, event: Event) {
        self.sequence += 1;
        let when = self.now + DELAY;
        self.queue.insert((when, self.sequence), event);
    }

    fn drain(&mut self, who: usize) {
        while let Some(output) = self.machines[who].poll_output() {
            match output {
                Output::Block { to, mut data, router_info } => {
                    let number = data[0];
                    assert_eq!(router_info.is_some(), number == 2 || (number == 4 && data[1] == 0));
                    self.numbers.push(number);
                    if let Some(tamper) = self.tamper {
                        tamper(&mut data);
                    }
                    let to = self.routers.iter().position(|r| r.hash() == to).unwrap();
                    if self.sessions.contains(&pair(who, to)) {
                        self.push(Event::Block { from: who, to, data });
                    }
                }
                Output::Datagram { to, bytes } => {
                    self.datagrams += 1;
                    let from = self.routers[who].outbound(to);
                    if !self.rng.random_bool(self.loss) {
                        self.push(Event::Datagram { from, to, bytes });
                    }
                }
                Output::Status { address, status, .. } => {
                    let v4 = address.is_ipv4();
                    assert!(v4);
                    assert_eq!(who, ALICE);
                    self.statuses.push(status);
                }
                Output::NeedRouterInfo(router) => self.needed.push(router),
            }
        }
    }

    fn deliver(&mut self, event: Event) {
        let now = at(self.now);
        match event {
            Event::Block { from, to, data } => {
                let (hash, addr) = (self.routers[from].hash(), self.routers[from].addr);
                self.with(to, |machine, view| machine.handle_block(now, &hash, addr, &data, view));
            }
            Event::Datagram { from, to, mut bytes } => {
                let Some(n) = self.routers.iter().position(|r| r.addr.ip() == to.ip() && r.inbound(from, to)) else {
                    return;
                };
                let key = MaskKey::new(self.routers[n].intro);
                let (header, payload) = open(&mut bytes, &key, Cause::OutsideTag).unwrap();
                let outside = Outside { from, local: OurEnd::socket(0), header, payload: payload.to_vec() };
                self.with(n, |machine, _| machine.handle_outside(now, &outside));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self.queue.keys().next().map(|(when, _)| *when);
            let timers = self.machines.iter().filter_map(PeerTests::poll_timeout).min();
            let Some(next) = arrival.into_iter().chain(timers).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let event = self.queue.pop_first().unwrap().1;
                self.deliver(event);
                continue;
            }
            let now = at(self.now);
            for who in 0..self.machines.len() {
                self.with(who, |machine, view| machine.handle_timeout(now, view));
            }
        }
        self.now = end;
    }

    fn test_alice(&mut self, time: Duration) {
        let (now, addr) = (at(self.now), self.routers[ALICE].addr);
        self.machines[ALICE].set_address(now, true, Some(addr));
        self.run(time);
    }

    fn status(&self) -> Status {
        self.machines[ALICE].judge(true).status()
    }
}

#[test]
fn each_kind_of_nat_is_recognised() {
    for (nat, expected) in [
        (Nat::Open, Status::Ok),
        (Nat::FullCone, Status::Ok),
        (Nat::PortRestricted, Status::Firewalled),
        (Nat::Symmetric, Status::SymmetricNat),
    ] {
        let mut net = Net::new(nat);
        net.test_alice(Duration::from_secs(120));
        assert_eq!(net.statuses, [expected], "{nat:?}");
        assert!(net.machines[ALICE].judge(true).is_settled());
        let showed = net.machines[ALICE].judge(true).evidence().filter(|e| e.result == expected);
        assert!(showed.filter(|e| e.charlie.is_some()).count() >= 2);
        assert_eq!(net.machines.iter().map(PeerTests::others).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)), (0, 0));
    }
}

#[test]
fn lost_datagrams_delay_the_verdict_and_do_not_turn_it() {
    for (nat, expected) in [(Nat::Open, Status::Ok), (Nat::PortRestricted, Status::Firewalled)] {
        let mut net = Net::new(nat);
        net.loss = 0.3;
        net.test_alice(Duration::from_secs(600));
        assert_eq!(net.status(), expected);
    }
}

#[test]
fn a_router_that_moved_behind_a_nat_learns_it() {
    let mut net = Net::new(Nat::Open);
    net.test_alice(Duration::from_secs(120));
    assert_eq!(net.status(), Status::Ok);
    let behind = Router::new(1, Nat::PortRestricted);
    net.routers[ALICE] = behind;
    // Who has helped is no witness for half an hour, since our NAT may still let him in; then it tests, and twice before it believes.
    net.run(Duration::from_secs(46 * 60));
    assert_eq!(net.statuses, [Status::Ok, Status::Firewalled]);
}

#[test]
fn another_address_makes_everything_void() {
    let mut net = Net::new(Nat::Open);
    net.test_alice(Duration::from_secs(120));
    let other = Some("61.0.0.1:9000".parse().unwrap());
    net.machines[ALICE].set_address(at(net.now), true, other);
    assert_eq!((net.status(), net.machines[ALICE].judge(true).evidence().count()), (Status::Unknown, 0));
}

#[test]
fn charlies_with_a_session_to_alice_are_no_use() {
    let mut net = Net::new(Nat::PortRestricted);
    net.sessions.extend((4..7).map(|charlie| pair(ALICE, charlie)));
    net.test_alice(Duration::from_secs(120));
    assert_eq!(net.status(), Status::Unknown);
    assert_eq!(net.datagrams, 0);
    assert!(net.machines[ALICE].tally().get("alice", "charlie_connected") > 0);
}

#[test]
fn nobody_to_ask_is_no_test() {
    let mut net = Net::new(Nat::Open);
    net.sessions.clear();
    net.test_alice(Duration::from_secs(120));
    assert_eq!((net.status(), net.numbers.len()), (Status::Unknown, 0));
    assert!(net.machines[ALICE].tally().get("alice", "no_bob") > 5);
}

#[test]
fn a_bob_without_a_charlie_says_so() {
    let mut net = Net::new(Nat::Open);
    net.sessions = (1..4).map(|bob| pair(ALICE, bob)).collect();
    net.test_alice(Duration::from_secs(60));
    assert!(net.numbers.chunks(2).all(|c| c == [1, 4]));
    assert!(net.machines[ALICE].tally().get("alice", "bob_no_charlie") > 0);
}

#[test]
fn what_was_altered_on_the_way_is_noticed_by_everybody() {
    // The address that Alice signed, in message 1; in message 2; what Charlie signed, in messages 3 and 4.
    for number in 1..=4 {
        let mut net = Net::new(Nat::Open);
        net.tamper = Some(match number {
            1 => |d| flip(d, 1, 65),
            2 => |d| flip(d, 2, 65),
            3 => |d| flip(d, 3, 1),
            _ => |d| flip(d, 4, 1),
        });
        net.test_alice(Duration::from_secs(60));
        assert_eq!(net.status(), Status::Unknown, "{number}");
        let (role, what) = match number {
            1 => ("bob", "bob_address"),
            2 => ("charlie", "charlie_signature"),
            3 => ("bob", "charlie_signature"),
            _ => ("alice", "charlie_signature"),
        };
        let counted: u64 = net.machines.iter().map(|m| m.tally().get(role, what)).sum();
        assert!(counted > 0, "{number}");
    }
}

/// Flips a bit of messages of one number, `back` bytes from the end.
fn flip(data: &mut [u8], number: u8, back: usize) {
    let at = data.len() - back;
    if data[0] == number {
        data[at] ^= 1;
    }
}

#[test]
fn a_charlie_waits_for_a_router_info_and_not_for_long() {
    for comes in [true, false] {
        let mut net = Net::new(Nat::Open);
        let (signed, signature, alice, bob) = request(&net, net.routers[ALICE].addr, 0);
        let message = message(2, &signed, &signature, Some(alice));
        net.known = false;
        let now = at(net.now);
        net.with(4, |machine, view| machine.handle_block(now, &bob, addr(), &message, view));
        assert_eq!((net.numbers.len(), &net.needed[..]), (0, &[alice][..]));
        if comes {
            net.known = true;
            net.with(4, |machine, view| machine.handle_router_info(now, &alice, view));
            assert_eq!(net.machines[4].tally().get("charlie", "called"), 1);
        }
        net.run(Duration::from_secs(5));
        assert_eq!(net.machines[4].tally().get("charlie", "charlie_unknown"), u64::from(!comes));
        assert_eq!(net.numbers, [3]);
    }
}

fn addr() -> SocketAddr {
    "60.2.0.1:9000".parse().unwrap()
}

/// Alice's request to Bob 1 for an address, with a nonce.
fn request(net: &Net, address: SocketAddr, nonce: u32) -> (Vec<u8>, [u8; 64], RouterHash, RouterHash) {
    let test = Test { version: 2, nonce, seconds: EPOCH.plus(net.now).secs(), address };
    let (signed, bob) = (test.to_bytes(), net.routers[1].hash());
    let signature = net.routers[ALICE].keys.signing.sign(&to_sign(&bob, None, &signed));
    (signed, signature, net.routers[ALICE].hash(), bob)
}

fn message(number: u8, signed: &[u8], signature: &[u8], router: Option<RouterHash>) -> Vec<u8> {
    let mut data = vec![number, 0, 0];
    router.iter().for_each(|hash| data.extend_from_slice(&hash.0));
    data.extend_from_slice(signed);
    data.extend_from_slice(signature);
    assert!(Message::parse(&data).is_ok());
    data
}

#[test]
fn requests_are_limited_and_only_for_the_own_address() {
    let mut net = Net::new(Nat::Open);
    let (now, own, alice) = (at(net.now), net.routers[ALICE].addr, net.routers[ALICE].hash());
    for nonce in 0..20 {
        let (signed, signature, ..) = request(&net, own, nonce);
        let data = message(1, &signed, &signature, None);
        net.with(1, |machine, view| machine.handle_block(now, &alice, own, &data, view));
        net.with(1, |machine, view| machine.handle_block(now, &alice, own, &data, view));
    }
    let tally = net.machines[1].tally();
    assert_eq!((tally.get("bob", "relayed"), tally.get("bob", "bob_limit")), (6, 28));
    assert_eq!(tally.get("bob", "known_nonce"), 6);
    for address in ["60.5.0.1:9000", "60.1.0.1:53"] {
        let mut other = Net::new(Nat::Open);
        let (signed, signature, ..) = request(&other, address.parse().unwrap(), 5);
        let data = message(1, &signed, &signature, None);
        other.with(1, |machine, view| machine.handle_block(now, &alice, own, &data, view));
        assert_eq!(other.machines[1].tally().get("bob", "bob_address"), 1, "{address}");
    }
    net.run(Duration::from_secs(60));
    assert_eq!(net.machines[1].others(), (0, 0));
}

#[test]
fn no_test_makes_a_loop() {
    let mut net = Net::new(Nat::Open);
    let (now, own) = (at(net.now), net.routers[ALICE].addr);
    let (signed, signature, alice, bob) = request(&net, own, 5);
    let data = message(2, &signed, &signature, Some(alice));
    // Bob makes Alice her own Charlie.
    net.with(ALICE, |machine, view| machine.handle_block(now, &bob, addr(), &data, view));
    // Alice makes Charlie believe that she is Bob.
    net.with(4, |machine, view| machine.handle_block(now, &alice, own, &data, view));
    assert_eq!(net.machines[ALICE].tally().get("charlie", "charlie"), 1);
    assert_eq!(net.machines[4].tally().get("charlie", "charlie"), 1);
    assert_eq!(net.datagrams, 0);
}

#[test]
fn charlie_calls_three_times_and_answers_three_times() {
    let mut net = Net::new(Nat::Open);
    let own = net.routers[ALICE].addr;
    let (signed, signature, alice, bob) = request(&net, own, 5);
    let data = message(2, &signed, &signature, Some(alice));
    let now = at(net.now);
    net.with(4, |machine, view| machine.handle_block(now, &bob, addr(), &data, view));
    net.run(Duration::from_secs(60));
    assert_eq!((net.datagrams, net.machines[4].others()), (3, (0, 0)));
    assert_eq!(net.machines[4].tally().get("charlie", "unanswered"), 1);
    assert_eq!(net.machines[ALICE].tally().get("alice", "unknown_nonce"), 3);
}
