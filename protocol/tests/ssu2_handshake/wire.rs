//! Nodes around endpoints, and the wire between them.

use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::{Gate, OpenGate};
use ramson_protocol::link::limits::Limits;
use ramson_protocol::ssu2::endpoint::{Config, Endpoint, Failed, Output, Outside, Target};
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::{self, Kind, MaskKey};
use ramson_protocol::ssu2::local::{Local, OurEnd, Remote};
use ramson_protocol::time::{Mono, Now, Wall};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const NET: u8 = 99;
/// Wall time at virtual time zero.
const EPOCH: Wall = Wall(1_800_000_000_000);

/// One router.
pub(crate) struct Node {
    pub addr: SocketAddr,
    pub keys: RouterKeys,
    static_key: SecretKey,
    pub intro: [u8; 32],
    pub info: RouterInfo,
    pub endpoint: Endpoint,
    /// How far its wall clock is ahead, in milliseconds.
    pub ahead: i64,
    mtu: u16,
    now: Now,
    pub established: Vec<Established>,
    /// The ids of its sessions.
    ids: Vec<u64>,
    pub failed: Vec<Failed>,
    pub outside: Vec<Outside>,
}

/// What differs between nodes.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub seed: u8,
    pub addr: [u8; 4],
    pub net_id: u8,
}

pub(crate) fn alice() -> Who {
    Who { seed: 0xa1, addr: [10, 1, 0, 1], net_id: NET }
}

pub(crate) fn bob() -> Who {
    Who { seed: 0xb0, addr: [10, 2, 0, 1], net_id: NET }
}

impl Node {
    pub(crate) fn new(who: Who) -> Self {
        Self::with_info(who, 0, 0, 1500)
    }

    /// A node whose RouterInfo has so many bytes more, some of which cannot be compressed.
    pub(crate) fn with_info(who: Who, random: usize, zeros: usize, mtu: u16) -> Self {
        Self::with(who, random, zeros, mtu, Limits::default(), Box::new(OpenGate))
    }

    pub(crate) fn with(who: Who, random: usize, zeros: usize, mtu: u16, limits: Limits, gate: Box<dyn Gate>) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(who.seed));
        let (keys, static_key) = (RouterKeys::generate(&mut rng), SecretKey::from_bytes([who.seed; 32]));
        let (intro, addr) = ([who.seed ^ 0xff; 32], SocketAddr::from((who.addr, 9000)));
        let address = RouterAddressBuf::ssu2(addr, &static_key.public(), &intro, "", mtu);
        let mut builder =
            RouterInfoBuilder::new(who.net_id, Version::parse("0.9.69"), Caps::parse("LR")).address(address);
        for (n, len) in [(1, random), (2, zeros)] {
            for part in 0..len.div_ceil(200) {
                let text: String = (0..200.min(len - part * 200))
                    .map(|_| if n == 1 { char::from(rng.random_range(b'0'..=b'z')) } else { '0' })
                    .collect();
                builder = builder.option(&format!("x{n}{part}"), text.replace(['=', ';'], "-"));
            }
        }
        let info = builder.sign(&keys, EPOCH).unwrap();
        let hash = info.hash();
        let router_info = Bytes::copy_from_slice(info.as_bytes());
        let local = Local::new(who.net_id, hash, static_key.clone(), intro, router_info).with_mtu(mtu, mtu);
        let mut ids = ChaCha20Rng::seed_from_u64(u64::from(who.seed) + 1);
        let choose_id = Box::new(move |_: &RouterHash| ids.next_u64());
        let now = Now { mono: Duration::ZERO, wall: EPOCH };
        let endpoint = Endpoint::new(Config { local, limits, gate, choose_id }, [who.seed; 32], now);
        let (established, established_ids, failed, outside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            addr,
            keys,
            static_key,
            intro,
            info,
            endpoint,
            ahead: 0,
            mtu,
            now,
            established,
            ids: established_ids,
            failed,
            outside,
        }
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.info.hash()
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote {
            hash: self.hash(),
            addr: self.addr,
            static_key: self.static_key.public(),
            intro: MaskKey::new(self.intro),
            mtu: self.mtu,
        }
    }

    /// Shows this RouterInfo from now on.
    pub(crate) fn show(&mut self, info: RouterInfo) {
        self.endpoint.set_router_info(Bytes::copy_from_slice(info.as_bytes()));
        self.info = info;
    }

    /// An SSU2 address of these keys and this host.
    pub(crate) fn address_at(&self, addr: SocketAddr) -> RouterAddressBuf {
        RouterAddressBuf::ssu2(addr, &self.static_key.public(), &self.intro, "", self.mtu)
    }

    /// Shows an SSU2 address without a host.
    pub(crate) fn publish_nothing(&mut self) {
        let mut address = self.address_at(self.addr);
        let keep = [("i", ""), ("s", ""), ("v", "")].map(|(k, _)| k);
        let old = address.options.clone();
        address.options = Default::default();
        for key in keep {
            address.options.set(key, old.get(key).unwrap().to_owned());
        }
        address.options.set("caps", "46");
        let info = RouterInfoBuilder::new(NET, Version::parse("0.9.69"), Caps::parse("LU")).address(address);
        let info = info.sign(&self.keys, EPOCH).unwrap();
        self.show(info);
    }

    pub(crate) fn issue_token(&self, to: SocketAddr) -> (u64, u32) {
        self.endpoint.issue_token(self.now, to)
    }
}

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub at: Mono,
    pub from: usize,
    pub kind: &'static str,
    pub bytes: Bytes,
}

/// Nodes, and what is under way between them.
pub(crate) struct Net {
    pub nodes: Vec<Node>,
    rng: ChaCha20Rng,
    now: Mono,
    pub delay: RangeInclusive<Duration>,
    pub loss: f64,
    pub duplicates: f64,
    /// Datagrams of this kind are lost.
    pub drop: Option<&'static str>,
    /// Datagrams of this kind are kept in `held`.
    pub hold: Option<&'static str>,
    pub held: Vec<Bytes>,
    pub ask_for_tag: bool,
    /// Sends a SessionConfirmed again as the data phase would, three times.
    pub resend_confirmed: bool,
    under_way: BTreeMap<(Mono, u64), (SocketAddr, SocketAddr, Bytes)>,
    sequence: u64,
    pub sent: Vec<Sent>,
    /// Header keys by which a test recognises what is sent.
    known: HashMap<Bytes, &'static str>,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: vec![Node::new(alice()), Node::new(bob())],
            rng: ChaCha20Rng::seed_from_u64(seed),
            now: Duration::ZERO,
            delay: Duration::from_millis(20)..=Duration::from_millis(20),
            loss: 0.0,
            duplicates: 0.0,
            drop: None,
            hold: None,
            held: Vec::new(),
            ask_for_tag: false,
            resend_confirmed: false,
            under_way: BTreeMap::new(),
            sequence: 0,
            sent: Vec::new(),
            known: HashMap::new(),
        }
    }

    pub(crate) fn now(&self, node: usize) -> Now {
        let wall = EPOCH.plus(self.now);
        Now { mono: self.now, wall: Wall(wall.0.saturating_add_signed(self.nodes[node].ahead)) }
    }

    pub(crate) fn target(&self, to: usize) -> Target {
        Target { remote: self.nodes[to].remote(), local: OurEnd::socket(3), token: None, ask_for_tag: self.ask_for_tag }
    }

    pub(crate) fn dial(&mut self, from: usize, to: usize) {
        let (now, target) = (self.now(from), self.target(to));
        self.nodes[from].endpoint.dial(now, target);
        self.drain(from);
    }

    /// The kinds of what was sent, in order.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.sent.iter().map(|s| s.kind).collect()
    }

    /// What a datagram is: by its header if it is under an introduction key, else by how it came about.
    fn kind(&self, from: usize, bytes: &Bytes) -> &'static str {
        if let Some(kind) = self.known.get(bytes) {
            return kind;
        }
        for node in &self.nodes {
            let key = MaskKey::new(node.intro);
            match header::peek(bytes, &key, &key).unwrap().kind {
                Kind::TOKEN_REQUEST => return "TokenRequest",
                Kind::SESSION_REQUEST => return "SessionRequest",
                Kind::RETRY => return "Retry",
                _ => {}
            }
        }
        // Its second key comes of the handshake: the responder sends nothing else there before a session stands.
        let confirmed = self.nodes[from].established.iter().any(|e| e.confirmed.contains(bytes));
        if confirmed { "SessionConfirmed" } else { "SessionCreated" }
    }

    pub(crate) fn drain(&mut self, at: usize) {
        let mut outputs = Vec::new();
        while let Some(output) = self.nodes[at].endpoint.poll_output() {
            outputs.push(output);
        }
        for output in &outputs {
            if let Output::Established(e) = output {
                self.known.extend(e.confirmed.iter().map(|d| (d.clone(), "SessionConfirmed")));
            }
        }
        for output in outputs {
            match output {
                Output::Send { to, bytes, .. } => self.send_to(at, to, bytes),
                Output::Established(established) => self.establish(at, established),
                Output::Failed(failed) => self.nodes[at].failed.push(failed),
                Output::Outside(outside) => self.nodes[at].outside.push(outside),
            }
        }
    }

    fn establish(&mut self, at: usize, established: Box<Established>) {
        self.nodes[at].ids.push(established.local_id);
        if self.resend_confirmed {
            for after in [1250, 3750, 8750] {
                for datagram in &established.confirmed {
                    self.lay(self.now + Duration::from_millis(after), at, established.addr, datagram.clone());
                }
            }
        }
        self.nodes[at].established.push(*established);
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, bytes: Bytes) {
        self.send_to(from, self.nodes[to].addr, bytes);
    }

    fn send_to(&mut self, from: usize, to: SocketAddr, bytes: Bytes) {
        let kind = self.kind(from, &bytes);
        self.sent.push(Sent { at: self.now, from, kind, bytes: bytes.clone() });
        if self.drop == Some(kind) {
            return;
        }
        if self.hold == Some(kind) {
            return self.held.push(bytes);
        }
        self.lay(self.now, from, to, bytes);
    }

    /// Puts a datagram on the wire, or not, or twice.
    fn lay(&mut self, at: Mono, from: usize, to: SocketAddr, bytes: Bytes) {
        let copies =
            if self.rng.random_bool(self.loss) { 0 } else { 1 + u8::from(self.rng.random_bool(self.duplicates)) };
        for _ in 0..copies {
            let arrives = at + self.rng.random_range(self.delay.clone());
            self.sequence += 1;
            self.under_way.insert((arrives, self.sequence), (self.nodes[from].addr, to, bytes.clone()));
        }
    }

    /// Delivers a datagram at once from any address.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: usize, bytes: &[u8]) {
        let now = self.now(to);
        let node = &mut self.nodes[to];
        let id = header::connection_id(bytes, &MaskKey::new(node.intro));
        // Datagrams of sessions go elsewhere.
        if id.is_none_or(|id| !node.ids.contains(&id)) {
            node.endpoint.handle_datagram(now, from, OurEnd::socket(3), &mut bytes.to_vec());
            self.drain(to);
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self.under_way.keys().next().map(|(at, _)| *at);
            let timers = self.nodes.iter().filter_map(|n| n.endpoint.poll_timeout());
            let next = arrival.into_iter().chain(timers).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let (from, to, bytes) = self.under_way.pop_first().unwrap().1;
                if let Some(to) = self.nodes.iter().position(|n| n.addr == to) {
                    self.inject(from, to, &bytes);
                }
                continue;
            }
            for at in 0..self.nodes.len() {
                let now = self.now(at);
                self.nodes[at].endpoint.handle_timeout(now);
                self.drain(at);
            }
        }
        self.now = end;
        for at in 0..self.nodes.len() {
            self.nodes[at].now = self.now(at);
        }
    }
}
