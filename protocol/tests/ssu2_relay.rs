//! Introductions among routers behind simulated NATs, in virtual time.
//!
//! spec: ssu2 §Relay Process

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "ssu2_nat/world.rs"]
mod world;

use ramson_protocol::id::RouterHash;
use ramson_protocol::ssu2::endpoint::Outside;
use ramson_protocol::ssu2::error::Cause;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::message::open;
use ramson_protocol::ssu2::relay::message::{Agreement, Code, Response};
use ramson_protocol::ssu2::relay::{BlockKind, Introduction, MAX_TAGS, Output, Relay};
use ramson_protocol::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use world::{Nat, Router, View, at, pair};

const ALICE: usize = 0;
const BOB: usize = 1;
const CHARLIE: usize = 2;
const DELAY: Duration = Duration::from_millis(30);

enum Event {
    Block { from: usize, to: usize, kind: BlockKind, data: Vec<u8> },
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
}

struct Net {
    routers: Vec<Router>,
    machines: Vec<Relay>,
    sessions: BTreeSet<(usize, usize)>,
    now: Mono,
    queue: BTreeMap<(Mono, u64), Event>,
    sequence: u64,
    known: bool,
    /// Alters a block of one kind on its way.
    tamper: Option<(BlockKind, usize)>,
    /// Blocks of this kind from this router are lost.
    drop: Option<(usize, BlockKind)>,
    introduced: Vec<(SocketAddr, u64)>,
    failed: Vec<&'static str>,
    /// Routers whose RouterInfo a machine asked for.
    needed: Vec<RouterHash>,
    datagrams: usize,
    last_block: Vec<u8>,
}

impl Net {
    /// Alice and Charlie behind NATs, Bob between them.
    fn new(alice: Nat, charlie: Nat) -> Self {
        let routers = vec![Router::new(1, alice), Router::new(2, Nat::Open), Router::new(3, charlie)];
        let mut machines: Vec<_> = routers.iter().map(|r| Relay::new(r.me(), [r.intro[0]; 32])).collect();
        for (machine, router) in machines.iter_mut().zip(&routers) {
            machine.set_address(true, Some(router.addr));
        }
        let sessions = [pair(ALICE, BOB), pair(BOB, CHARLIE)].into();
        let mut net = Self {
            routers,
            machines,
            sessions,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            known: true,
            tamper: None,
            drop: None,
            introduced: Vec::new(),
            failed: Vec::new(),
            needed: Vec::new(),
            datagrams: 0,
            last_block: Vec::new(),
        };
        let bob = net.routers[BOB].addr;
        net.routers[ALICE].outbound(bob);
        net.routers[CHARLIE].outbound(bob);
        net
    }

    /// Charlie asks Bob for a tag.
    fn tag(&mut self) -> u32 {
        let (bob, charlie) = (self.routers[BOB].hash(), self.routers[CHARLIE].hash());
        let tag = self.machines[BOB].tag_for(Duration::ZERO, &charlie, [20, 0, 0, 1].into()).unwrap();
        self.machines[CHARLIE].handle_tag(&bob, tag);
        tag
    }

    fn introduce(&mut self, tag: u32) {
        let (bob, charlie) = (self.routers[BOB].hash(), self.routers[CHARLIE].hash());
        let now = at(self.now);
        self.machines[ALICE].introduce(now, Introduction { bob, charlie, tag, v4: true });
        self.drain(ALICE);
    }

    fn with<R>(&mut self, who: usize, act: impl FnOnce(&mut Relay, &View<'_>) -> R) -> R {
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
                Output::Block { to, kind, mut data, router_info } => {
                    assert_eq!(router_info.is_some(), kind == BlockKind::Intro);
                    if let Some((_, back)) = self.tamper.filter(|(s, _)| *s == kind) {
                        let at = data.len() - back;
                        data[at] ^= 1;
                    }
                    self.last_block.clone_from(&data);
                    let to = self.routers.iter().position(|r| r.hash() == to).unwrap();
                    if self.sessions.contains(&pair(who, to)) && self.drop != Some((who, kind)) {
                        self.push(Event::Block { from: who, to, kind, data });
                    }
                }
                Output::Datagram { to, bytes } => {
                    self.datagrams += 1;
                    let from = self.routers[who].outbound(to);
                    self.push(Event::Datagram { from, to, bytes });
                }
                Output::Introduced { addr, token, charlie } => {
                    assert_eq!((who, charlie), (ALICE, self.routers[CHARLIE].hash()));
                    self.introduced.push((addr, token));
                }
                Output::Failed { why, .. } => self.failed.push(why.label()),
                Output::NeedRouterInfo(router) => self.needed.push(router),
            }
        }
    }

    fn deliver(&mut self, event: Event) {
        let now = at(self.now);
        match event {
            Event::Block { from, to, kind, data } => {
                let hash = self.routers[from].hash();
                self.with(to, |machine, view| match kind {
                    BlockKind::Request => machine.handle_request(now, &hash, &data, view),
                    BlockKind::Intro => machine.handle_intro(now, &hash, &data, view),
                    BlockKind::Response => machine.handle_response(now, &hash, &data, view),
                });
            }
            Event::Datagram { from, to, mut bytes } => {
                let Some(n) = self.routers.iter().position(|r| r.addr.ip() == to.ip() && r.inbound(from, to)) else {
                    return;
                };
                let key = MaskKey::new(self.routers[n].intro);
                let (header, payload) = open(&mut bytes, &key, Cause::OutsideTag).unwrap();
                let outside = Outside { from, local: OurEnd::socket(0), header, payload: payload.to_vec() };
                self.with(n, |machine, view| machine.handle_outside(now, &outside, view));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self.queue.keys().next().map(|(when, _)| *when);
            let timers = self.machines.iter().filter_map(Relay::poll_timeout).min();
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

    fn idle(&self) -> bool {
        self.machines.iter().all(|m| m.pending() == (0, 0, 0) && m.poll_timeout().is_none())
    }
}

#[test]
fn alice_reaches_a_charlie_behind_a_nat() {
    for (alice, charlie) in [
        (Nat::Open, Nat::PortRestricted),
        (Nat::PortRestricted, Nat::PortRestricted),
        (Nat::FullCone, Nat::PortRestricted),
        (Nat::Open, Nat::Symmetric),
    ] {
        let mut net = Net::new(alice, charlie);
        let tag = net.tag();
        net.introduce(tag);
        net.run(Duration::from_millis(200));
        let (addr, token) = net.introduced[0];
        assert_eq!((net.introduced.len(), net.failed.len()), (1, 0));
        assert_eq!(token, u64::from(net.routers[ALICE].addr.port()) + 7);
        // What Alice sends now gets through, and the answer as well.
        let from = net.routers[ALICE].outbound(addr);
        assert!(net.routers[CHARLIE].inbound(from, addr), "{alice:?} {charlie:?}");
        let back = net.routers[CHARLIE].outbound(from);
        assert!(net.routers[ALICE].inbound(back, from), "{alice:?} {charlie:?}");
        net.run(Duration::from_secs(60));
        assert!(net.idle());
        assert_eq!(net.datagrams, 3);
    }
}

#[test]
fn either_answer_is_enough() {
    // The response of Bob is lost.
    let mut net = Net::new(Nat::Open, Nat::PortRestricted);
    net.drop = Some((BOB, BlockKind::Response));
    let tag = net.tag();
    net.introduce(tag);
    net.run(Duration::from_secs(1));
    assert_eq!((net.introduced.len(), net.failed.len()), (1, 0));
    // The HolePunch is: Alice has a NAT that does not know Charlie.
    let mut net = Net::new(Nat::PortRestricted, Nat::PortRestricted);
    let tag = net.tag();
    net.introduce(tag);
    net.run(Duration::from_secs(1));
    assert_eq!(net.introduced.len(), 1);
    assert_eq!(net.machines[ALICE].tally().get("alice", "introduced"), 1);
}

#[test]
fn refusals_say_why() {
    let failed = |prepare: fn(&mut Net) -> u32| {
        let mut net = Net::new(Nat::Open, Nat::PortRestricted);
        let tag = prepare(&mut net);
        net.introduce(tag);
        net.run(Duration::from_secs(60));
        assert!(net.introduced.is_empty() && net.idle());
        assert_eq!(net.datagrams, 0);
        net.failed
    };
    assert_eq!(failed(|net| net.tag() ^ 1), ["bob_no_tag"]);
    assert_eq!(failed(|_| 77), ["bob_no_tag"]);
    assert_eq!(
        failed(|net| {
            let charlie = net.routers[CHARLIE].hash();
            net.machines[BOB].tag_for(Duration::ZERO, &charlie, [20, 0, 0, 1].into()).unwrap()
        }),
        ["charlie"],
        "a tag that Charlie does not know"
    );
    assert_eq!(
        failed(|net| {
            net.sessions.insert(pair(ALICE, CHARLIE));
            net.tag()
        }),
        ["charlie_connected"]
    );
    assert_eq!(
        failed(|net| {
            net.machines[CHARLIE].set_address(true, None);
            net.tag()
        }),
        ["charlie_address"]
    );
    assert_eq!(
        failed(|net| {
            let (tag, charlie) = (net.tag(), net.routers[CHARLIE].hash());
            net.machines[BOB].session_ended(&charlie);
            tag
        }),
        ["bob_no_tag"]
    );
    assert_eq!(
        failed(|net| {
            net.machines[ALICE].set_address(true, Some("60.1.0.1:80".parse().unwrap()));
            net.tag()
        }),
        ["charlie_address"],
        "a port where others listen"
    );
}

#[test]
fn what_was_altered_on_the_way_is_noticed() {
    // The last byte of the signature of a request and an intro; of a response, before the token.
    for (kind, back, why) in [
        (BlockKind::Request, 1, "bob_signature"),
        (BlockKind::Intro, 1, "charlie_signature"),
        (BlockKind::Response, 9, "charlie_signature"),
    ] {
        // Alice's NAT keeps the HolePunch out, whose response is good.
        let mut net = Net::new(Nat::PortRestricted, Nat::PortRestricted);
        let tag = net.tag();
        if kind == BlockKind::Request {
            net.tamper = Some((kind, back));
        }
        net.introduce(tag);
        if kind == BlockKind::Response {
            // On its second hop: what is altered twice is as it was.
            net.run(DELAY + DELAY + DELAY / 2);
        }
        net.tamper = Some((kind, back));
        net.run(Duration::from_secs(60));
        assert_eq!((net.introduced.len(), &net.failed[..]), (0, &[why][..]), "{kind:?}");
    }
}

#[test]
fn a_punch_from_elsewhere_introduces_nobody() {
    let mut net = Net::new(Nat::Open, Nat::PortRestricted);
    let tag = net.tag();
    net.introduce(tag);
    // The response comes from Charlie, but the HolePunch from another host.
    net.drop = Some((BOB, BlockKind::Response));
    net.routers[CHARLIE].addr = "60.9.0.1:9000".parse().unwrap();
    net.run(Duration::from_secs(60));
    assert_eq!((net.introduced.len(), &net.failed[..]), (0, &["timeout"][..]));
    assert_eq!(net.machines[ALICE].tally().get("alice", "bad_punch"), 3);
}

#[test]
fn charlie_waits_for_a_router_info_and_not_for_long() {
    for comes in [true, false] {
        let mut net = Net::new(Nat::Open, Nat::PortRestricted);
        let tag = net.tag();
        net.introduce(tag);
        net.run(DELAY);
        // Bob knew Alice; Charlie does not yet.
        net.known = false;
        net.run(DELAY + DELAY / 2);
        assert_eq!((net.datagrams, &net.needed[..]), (0, &[net.routers[ALICE].hash()][..]));
        if comes {
            net.known = true;
            let (now, alice) = (at(net.now), net.routers[ALICE].hash());
            net.with(CHARLIE, |machine, view| machine.handle_router_info(now, &alice, view));
            assert_eq!(net.datagrams, 1);
        }
        let alice = net.routers[ALICE].addr;
        assert_eq!(net.machines[CHARLIE].expects_call(at(net.now), alice), comes);
        assert!(!net.machines[CHARLIE].expects_call(at(net.now + Duration::from_secs(5)), alice));
        net.run(Duration::from_secs(5));
        net.known = true;
        net.run(Duration::from_secs(60));
        assert_eq!((net.introduced.len(), net.failed.is_empty()), (usize::from(comes), comes));
        assert_eq!(net.machines[CHARLIE].tally().get("charlie", "charlie_unknown"), u64::from(!comes));
    }
}

#[test]
fn an_introduction_that_nobody_answers_times_out() {
    let mut net = Net::new(Nat::Open, Nat::PortRestricted);
    net.drop = Some((ALICE, BlockKind::Request));
    net.introduce(5);
    net.run(Duration::from_secs(60));
    assert_eq!(net.failed, ["timeout"]);
    assert!(net.idle());
    net.machines[ALICE].set_address(true, None);
    net.introduce(5);
    assert_eq!(net.failed, ["timeout", "no_address"]);
}

#[test]
fn charlie_cannot_refuse_in_bobs_name_and_others_cannot_answer_for_charlie() {
    let mut net = Net::new(Nat::Open, Nat::PortRestricted);
    let tag = net.tag();
    net.introduce(tag);
    net.run(DELAY);
    let nonce = u32::from_be_bytes(*net.last_block[33..].first_chunk().unwrap());
    let agreement = Agreement { nonce, seconds: 0, version: 2, address: None };
    let signed = agreement.to_bytes();
    let (now, alice, charlie) = (at(net.now), net.routers[ALICE].hash(), net.routers[CHARLIE].hash());
    for (from, code) in [(charlie, Code::BOB_LIMIT), (alice, Code::CHARLIE)] {
        let forged = Response { code, agreement, signed: &signed, signature: &[], token: None }.to_bytes();
        net.with(BOB, |machine, view| machine.handle_response(now, &from, &forged, view));
    }
    assert_eq!(net.machines[BOB].tally().get("bob", "unexpected_response"), 2);
    net.run(Duration::from_secs(1));
    assert_eq!(net.introduced.len(), 1);
}

#[test]
fn tags_are_stable_and_bounded() {
    let mut net = Net::new(Nat::Open, Nat::Open);
    let bob = &mut net.machines[BOB];
    let hash = |n: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_le_bytes());
        RouterHash(hash)
    };
    let now = |n: usize| Duration::from_secs(n as u64);
    // Sixteen networks of a hundred routers each would not get what seventy of sixteen get.
    let at = |n: usize| std::net::IpAddr::from([20, (n / 16) as u8, 0, 1]);
    let mut tag_for = |n: usize| bob.tag_for(now(n), &hash(n), at(n));
    let tags: BTreeSet<_> = (0..MAX_TAGS).map(|n| tag_for(n).unwrap()).collect();
    assert_eq!(tags.len(), MAX_TAGS);
    assert!(tags.contains(&tag_for(3).unwrap()), "it has one");
    assert_eq!(bob.tags(), MAX_TAGS);
    assert!(bob.tag_for(now(5000), &hash(5000), [30, 0, 0, 1].into()).is_some());
    assert_eq!(bob.tags(), MAX_TAGS);
    assert!(!tags.contains(&bob.tag_for(now(5001), &hash(0), at(0)).unwrap()), "the oldest gave way");
    bob.session_ended(&hash(3));
    assert_eq!(bob.tags(), MAX_TAGS - 1);
}

#[test]
fn a_network_does_not_get_all_tags() {
    let mut net = Net::new(Nat::Open, Nat::Open);
    let bob = &mut net.machines[BOB];
    let mut tags = |ip: [u8; 4]| {
        (0..200u8).filter(|n| bob.tag_for(Duration::ZERO, &RouterHash([*n; 32]), ip.into()).is_some()).count()
    };
    assert_eq!(tags([20, 1, 2, 3]), 16);
}
