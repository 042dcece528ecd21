//! The pair, and the wire between the two.

use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::link::role::Role;
use ramson_protocol::link::skew::ClockSkew;
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::keys::DataKeys;
use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::session::{Config, Event, Session, Stats};
use ramson_protocol::time::{Mono, Now, Wall};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

/// The initiator's place in every pair of things.
pub(crate) const ALICE: usize = 0;
/// The responder's.
pub(crate) const BOB: usize = 1;

/// What happens to datagrams. Chances are in thousandths.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    pub loss: u32,
    /// To be delayed by up to as much again.
    pub reorder: u32,
    pub duplicate: u32,
    pub delay: Duration,
    /// Bytes per second, with a queue of a hundred milliseconds before it.
    pub rate: Option<u64>,
    /// Larger IP packets vanish.
    pub mtu: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self { loss: 0, reorder: 0, duplicate: 0, delay: Duration::from_millis(20), rate: None, mtu: 1500 }
    }
}

/// A datagram on its way; the heap gives the earliest first.
#[derive(PartialEq, Eq)]
pub(crate) struct Flying {
    pub at: Mono,
    serial: u64,
    pub side: usize,
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Two sessions and the wire between them.
pub(crate) struct Pair {
    pub wire: Wire,
    pub sessions: [Session; 2],
    pub addrs: [SocketAddr; 2],
    now: Now,
    flying: BinaryHeap<Flying>,
    serial: u64,
    rng: ChaCha20Rng,
    received: [BTreeMap<u32, usize>; 2],
    /// The ids of messages that have arrived, in their order, for whoever takes them out.
    pub fresh: [Vec<u32>; 2],
    pub events: [Vec<Event>; 2],
    batches: [Vec<usize>; 2],
    /// When the line of each direction is free.
    free: [Mono; 2],
    /// Datagrams that the sessions sent, to nobody on the wire.
    pub astray: Vec<(SocketAddr, Vec<u8>)>,
}

/// The body of a message, told by its id.
pub(crate) fn cell(id: u32, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32 ^ id.wrapping_mul(0x9e37)) as u8).collect()
}

pub(crate) fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

/// What a handshake would have left.
pub(crate) fn established(role: Role, addr: SocketAddr) -> Established {
    let (alice, bob) = (0x0102_0304_0506_0708_u64, 0x1112_1314_1516_1718_u64);
    let keys = |n: u8| DataKeys { k_data: [n; 32], k_header_2: MaskKey::new([n + 1; 32]) };
    let intro = |n: u8| MaskKey::new([n; 32]);
    let initiator = role == Role::Initiator;
    let pick = |a, b| if initiator { (a, b) } else { (b, a) };
    let (send, recv) = pick(1, 11);
    let (local_intro, remote_intro) = pick(21, 22);
    let (local_id, remote_id) = if initiator { (alice, bob) } else { (bob, alice) };
    Established {
        role,
        peer: RouterHash([9; 32]),
        addr,
        local: OurEnd::socket(0),
        local_id,
        remote_id,
        local_intro: intro(local_intro),
        remote_intro: intro(remote_intro),
        recv: keys(recv),
        send: keys(send),
        mtu: 1500,
        next_number: u32::from(initiator),
        received: (!initiator).then_some(0),
        confirmed: Default::default(),
        skew: ClockSkew(0),
        rtt: Duration::from_millis(40),
        router_info: Default::default(),
        flood: false,
        peer_padding: None,
        our_addr: None,
        relay_tag: None,
        relay_tag_requested: false,
        new_token: None,
        early: Vec::new(),
    }
}

impl Pair {
    pub(crate) fn new(wire: Wire, config: Config, seed: u8) -> Self {
        let now = Now { mono: Mono::from_secs(1000), wall: Wall::from_secs(1_790_000_000) };
        let addrs = [addr(1, 1001), addr(2, 2002)];
        let session = |role, peer, n| Session::new(&established(role, peer), config, [seed ^ n; 32], now);
        let sessions = [session(Role::Initiator, addrs[BOB], 0x40), session(Role::Responder, addrs[ALICE], 0x80)];
        Self {
            wire,
            sessions,
            addrs,
            now,
            flying: BinaryHeap::new(),
            serial: 0,
            rng: ChaCha20Rng::from_seed([seed; 32]),
            received: Default::default(),
            fresh: Default::default(),
            events: Default::default(),
            batches: Default::default(),
            free: [now.mono; 2],
            astray: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Mono {
        self.now.mono
    }

    pub(crate) fn clock(&self) -> Now {
        self.now
    }

    pub(crate) fn stats(&self, side: usize) -> Stats {
        self.sessions[side].stats()
    }

    pub(crate) fn queued(&self, side: usize) -> usize {
        self.sessions[side].queued_bytes()
    }

    #[allow(dead_code, reason = "not every test looks at it")]
    pub(crate) fn rate(&self, side: usize) -> f64 {
        self.sessions[side].rate()
    }

    /// Messages that have arrived: how often each id has. Their bodies have been compared.
    pub(crate) fn received(&self, side: usize) -> &BTreeMap<u32, usize> {
        assert!(self.received[side].values().all(|n| *n == 1), "a message came twice");
        &self.received[side]
    }

    pub(crate) fn batches(&self, side: usize) -> &[usize] {
        &self.batches[side]
    }

    pub(crate) fn send(&mut self, side: usize, id: u32, len: usize) -> bool {
        self.send_expiring(side, id, &cell(id, len), 60)
    }

    pub(crate) fn send_expiring(&mut self, side: usize, id: u32, body: &[u8], secs: i64) -> bool {
        let expiration = (i64::from(self.now.wall.secs()) + secs) as u32;
        let (a, b) = body.split_at(body.len() / 3);
        self.sessions[side].queue_message(18, MessageId(id), expiration, &[a, b])
    }

    /// Time passes.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.mono + time;
        self.drain();
        loop {
            let timers = self.sessions.iter().filter_map(Session::poll_timeout).min();
            let next = [self.flying.peek().map(|f| f.at), timers].into_iter().flatten().min();
            let Some(next) = next.filter(|t| *t <= end) else { break };
            let step = next.saturating_sub(self.now.mono);
            self.now = self.now.plus(step);
            self.step();
        }
        let rest = end - self.now.mono;
        self.now = self.now.plus(rest);
    }

    /// Until nothing is on its way or waits to be sent.
    pub(crate) fn run_until_quiet(&mut self) {
        for _ in 0..2000 {
            self.run(Duration::from_millis(50));
            let quiet = |s: &Session| s.queued_bytes() == 0 && s.stats().in_flight == 0;
            if self.flying.is_empty() && self.sessions.iter().all(quiet) {
                return;
            }
        }
        panic!("never quiet: {:?} {:?}", self.stats(ALICE), self.stats(BOB));
    }

    fn step(&mut self) {
        while self.flying.peek().is_some_and(|f| f.at <= self.now.mono) {
            let Some(f) = self.flying.pop() else { break };
            self.deliver(f.side, f.from, f.bytes);
        }
        for side in [ALICE, BOB] {
            if self.sessions[side].poll_timeout().is_some_and(|t| t <= self.now.mono) {
                self.sessions[side].handle_timeout(self.now);
            }
        }
        self.drain();
    }

    pub(crate) fn deliver(&mut self, side: usize, from: SocketAddr, mut bytes: Vec<u8>) {
        let mut events = Vec::new();
        let len = bytes.len();
        self.sessions[side].handle_datagrams(self.now, from, &mut bytes, len, &mut events);
        for event in events {
            match event {
                Event::Message { kind: 18, id, body, .. } => self.arrived(side, id.0, &bytes[body]),
                Event::Reassembled { kind: 18, id, body, .. } => self.arrived(side, id.0, &body),
                other => self.events[side].push(other),
            }
        }
    }

    fn arrived(&mut self, side: usize, id: u32, body: &[u8]) {
        assert_eq!(body, cell(id, body.len()), "damaged");
        *self.received[side].entry(id).or_default() += 1;
        self.fresh[side].push(id);
    }

    fn drain(&mut self) {
        for side in [ALICE, BOB] {
            let mut out = Vec::new();
            while let Some(transmit) = self.sessions[side].poll_transmit(self.now, &mut out, 16) {
                assert!(transmit.packets <= 16 && transmit.segment <= 1472);
                let packets: Vec<Vec<u8>> = out.chunks(transmit.segment).map(<[u8]>::to_vec).collect();
                assert_eq!(packets.len(), transmit.packets, "equal sizes but the last");
                assert!(packets.iter().all(|p| p.len() >= 40));
                self.batches[side].push(packets.len());
                packets.into_iter().for_each(|p| self.launch(side, transmit.to, p));
                out.clear();
            }
            assert!(out.is_empty());
        }
    }

    fn launch(&mut self, side: usize, to: SocketAddr, bytes: Vec<u8>) {
        let other = 1 - side;
        if to != self.addrs[other] {
            self.astray.push((to, bytes));
            return;
        }
        if bytes.len() + 28 > self.wire.mtu || self.rng.random_range(0..1000) < self.wire.loss {
            return;
        }
        let mut at = self.now.mono + self.wire.delay;
        if let Some(rate) = self.wire.rate {
            let free = self.free[side].max(self.now.mono);
            if free - self.now.mono > Duration::from_millis(100) {
                return;
            }
            self.free[side] = free + Duration::from_secs_f64((bytes.len() + 28) as f64 / rate as f64);
            at = self.free[side] + self.wire.delay;
        }
        let copies = 1 + u32::from(self.rng.random_range(0..1000) < self.wire.duplicate);
        for _ in 0..copies {
            let late = self.rng.random_range(0..1000) < self.wire.reorder;
            let more = if late { self.wire.delay.mul_f64(self.rng.random_range(0.0..1.0)) } else { Duration::ZERO };
            self.serial += 1;
            let (serial, from) = (self.serial, self.addrs[side]);
            self.flying.push(Flying { at: at + more, serial, side: other, from, bytes: bytes.clone() });
        }
    }
}
