//! Two destinations over a network that carries what one sends to a lease of the other.

use super::outgoing::HYBRID_PATIENCE;
use super::raw::Raw;
use super::*;
use crate::data::key_type::EncType;
use crate::data::keys_and_cert;
use crate::data::lease::Lease;
use crate::data::lease_set::LeaseSet;
use crate::data::lease_set2::{LeaseSet2, LeaseSet2Builder};
use crate::i2np::garlic;
use crate::id::RouterHash;
use crate::ratchet::handshake::Kind;
use crate::streaming::stream::End;
use ramson_crypto::elgamal;
use ramson_crypto::kem::Kem;
use ramson_crypto::sign::SigningKey;
use ramson_crypto::x25519::SecretKey;

const START: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };
const RTT: Duration = Duration::from_millis(400);

struct Node {
    core: Destination,
    identity: keys_and_cert::Destination,
    key: SigningKey,
    secret: SecretKey,
    /// What its lease set says that it takes.
    claims: Kind,
    /// It says that it takes nothing newer than ElGamal.
    old: bool,
    /// The keys of a program that signs its own lease sets, of the first kind if it has none for handshakes.
    program: Option<Secrets>,
    /// The number of its inbound tunnel.
    tunnel: u32,
    /// More such, each slower by so much.
    slower: BTreeMap<u32, Duration>,
    accepted: Vec<u32>,
    read: Vec<u8>,
    datagrams: Vec<Datagram>,
    raw: Vec<Bytes>,
    fates: Vec<(u32, Fate)>,
    lookups: usize,
}

impl Node {
    fn new(n: u8, hybrid: Kind) -> Self {
        let key = SigningKey::from_seed([n; 32]);
        let identity = keys_and_cert::Destination::compose(&key.public(), &[n; 32]);
        let us = Signer { destination: identity.clone(), key: key.clone().into(), offline: None };
        let config = Config { listening: true, datagrams: true, ..Config::default() };
        let secret = SecretKey::from_bytes([n; 32]);
        let core = Destination::new(config, us, &Secrets::one(secret.clone(), hybrid), [n; 32], START);
        Self {
            core,
            secret,
            identity,
            key,
            claims: hybrid,
            old: false,
            program: None,
            tunnel: u32::from(n) * 100,
            slower: BTreeMap::new(),
            accepted: vec![],
            read: vec![],
            datagrams: vec![],
            raw: vec![],
            fates: vec![],
            lookups: 0,
        }
    }

    /// One of a program's.
    fn program(n: u8, keys: Secrets) -> Self {
        let node = Self::new(n, None).with(Config { raw: true, ..Config::default() }, &keys);
        Self { program: Some(keys), ..node }
    }

    /// One who knows nothing newer than ElGamal.
    fn old(n: u8) -> Self {
        let node = Self { old: true, ..Self::new(n, None) };
        let keys = Secrets::with_elgamal([], Some(old::key(&node.secret))).unwrap();
        node.with(Config { listening: true, elgamal: true, ..Config::default() }, &keys)
    }

    fn with(self, config: Config, keys: &Secrets) -> Self {
        let us = Signer { destination: self.identity.clone(), key: self.key.clone().into(), offline: None };
        Self { core: Destination::new(config, us, keys, self.key.public(), START), ..self }
    }

    fn leases(&self, now: Now) -> Vec<Lease> {
        let end = now.wall.plus(Duration::from_secs(600));
        let lease = |tunnel| Lease { gateway: RouterHash([9; 32]), tunnel: TunnelId(tunnel), end };
        [self.tunnel].into_iter().chain(self.slower.keys().copied()).map(lease).collect()
    }

    fn entry(&self, now: Now) -> Entry {
        let Some(keys) = &self.program else { return self.lease_set(now).into() };
        let old = keys.elgamal().map(elgamal::SecretKey::public);
        let mut named: Vec<_> =
            keys.iter().map(|(kind, key)| (EncType::of_handshake(kind), key.public().0.to_vec())).collect();
        if let (true, Some(old)) = (named.is_empty(), &old) {
            return LeaseSet::sign(&self.identity, &self.key.clone().into(), old, &self.leases(now)).unwrap().into();
        }
        named.extend(old.map(|old| (EncType::ElGamal, old.as_bytes().to_vec())));
        let builder = LeaseSet2Builder { keys: named, leases: self.leases(now), ..LeaseSet2Builder::default() };
        builder.sign(&self.identity, &self.key, None, now.wall).unwrap().into()
    }

    fn lease_set(&self, now: Now) -> LeaseSet2 {
        let leases = self.leases(now);
        if self.old {
            let key = old::key(&self.secret).public().as_bytes().to_vec();
            let keys = vec![(EncType::ElGamal, key)];
            let builder = LeaseSet2Builder { keys, leases, ..LeaseSet2Builder::default() };
            return builder.sign(&self.identity, &self.key, None, now.wall).unwrap();
        }
        let kinds = self.claims.map(Some).into_iter().chain([None]);
        let keys = kinds
            .map(|kind| (EncType::of_handshake(kind), self.core.sessions().public(None).unwrap().0.to_vec()))
            .collect();
        let builder = LeaseSet2Builder { keys, leases, ..LeaseSet2Builder::default() };
        builder.sign(&self.identity, &self.key, None, now.wall).unwrap()
    }

    fn publish(&mut self, now: Now) {
        self.core.handle_input(now, In::Published(self.entry(now)));
        self.core.handle_input(
            now,
            In::Outbound(
                [1, 2].map(|n| OutboundTunnelRef { id: TunnelId(n.into()), first_hop: RouterHash([n; 32]) }).to_vec(),
            ),
        );
    }
}

struct Net {
    now: Now,
    nodes: [Node; 2],
    way: BTreeMap<(Mono, u64), (u32, Bytes)>,
    serial: u64,
    /// Lookups are answered.
    answers: bool,
    /// Another, for whom the second stands for so long from each lookup on.
    other: Option<(DestinationHash, Duration)>,
}

impl Net {
    fn new() -> Self {
        Self::of([Node::new(1, None), Node::new(2, None)])
    }

    fn of(mut nodes: [Node; 2]) -> Self {
        nodes.iter_mut().for_each(|node| node.publish(START));
        Self { now: START, nodes, way: BTreeMap::new(), serial: 0, answers: true, other: None }
    }

    fn drain(&mut self) {
        for at in [0, 1] {
            while let Some(out) = self.nodes[at].core.poll_output(self.now, true) {
                match out {
                    Out::Garlic { delivery, body, .. } => {
                        let Delivery::Tunnel(_, tunnel) = delivery else { panic!("to a lease") };
                        self.serial += 1;
                        let data = garlic::parse(&body).unwrap();
                        let slower = self.nodes[1 - at].slower.get(&tunnel.0).copied().unwrap_or_default();
                        self.way.insert((self.now.mono + RTT / 2 + slower, self.serial), (tunnel.0, data));
                    }
                    Out::Onward { delivery, message, .. } => {
                        let Delivery::Tunnel(_, tunnel) = delivery else { panic!("to a lease") };
                        self.serial += 1;
                        let data = garlic::parse(&message.body).unwrap();
                        self.way.insert((self.now.mono + RTT / 2, self.serial), (tunnel.0, data));
                    }
                    Out::LookUp(hash) => {
                        self.nodes[at].lookups += 1;
                        if let Some((of, stands)) = self.other.filter(|(of, _)| *of == hash) {
                            let (by, until) = (self.nodes[1 - at].core.hash(), self.now.wall.plus(stands));
                            let lease_set = self.nodes[1 - at].entry(self.now);
                            self.nodes[at].core.handle_input(self.now, In::LeaseSet(lease_set));
                            self.nodes[at].core.handle_input(self.now, In::Stands { of, by, until });
                            continue;
                        }
                        assert_eq!(hash, self.nodes[1 - at].core.hash());
                        let answer = match self.nodes[1 - at].entry(self.now) {
                            _ if !self.answers => In::NotFound(hash),
                            lease_set => In::LeaseSet(lease_set),
                        };
                        self.nodes[at].core.handle_input(self.now, answer);
                    }
                    Out::Datagram(datagram) => self.nodes[at].datagrams.push(datagram),
                    Out::Raw(payload) => self.nodes[at].raw.push(payload),
                    Out::Fate(token, fate) => self.nodes[at].fates.push((token, fate)),
                    Out::Accepted { stream, .. } => self.nodes[at].accepted.push(stream),
                    Out::Pong(_) | Out::Doubt => {}
                    Out::Changed(stream) => {
                        let node = &mut self.nodes[at];
                        while let Some(bytes) = node.core.streams_mut().read(self.now, stream) {
                            node.read.extend_from_slice(&bytes);
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.mono + time;
        loop {
            self.drain();
            let timers = self.nodes.iter().filter_map(|node| node.core.poll_timeout());
            let next = self.way.keys().next().map(|(at, _)| *at).into_iter().chain(timers).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.plus(next.saturating_sub(self.now.mono));
            self.nodes.iter_mut().for_each(|node| node.core.handle_timeout(self.now));
            while let Some(entry) = self.way.first_entry().filter(|entry| entry.key().0 <= self.now.mono) {
                let (tunnel, data) = entry.remove();
                let is_its = |node: &&mut Node| node.tunnel == tunnel || node.slower.contains_key(&tunnel);
                if let Some(node) = self.nodes.iter_mut().find(is_its) {
                    node.core.handle_input(self.now, In::Garlic(data));
                }
            }
        }
        self.now = self.now.plus(end.saturating_sub(self.now.mono));
    }

    fn connect(&mut self, data: &[u8]) -> u32 {
        let (now, remote) = (self.now, self.nodes[1].core.hash());
        let streams = self.nodes[0].core.streams_mut();
        let id = streams.connect(now, remote, Ports::default()).unwrap();
        streams.write(now, id, data);
        id
    }
}

#[test]
fn a_question_finds_its_way_and_its_answer_without_a_second_search() {
    let mut net = Net::new();
    net.connect(b"GET /");
    net.run(Duration::from_millis(300));
    assert_eq!((net.nodes[1].read.as_slice(), net.nodes[0].lookups), (&b"GET /"[..], 1));
    let (now, other) = (net.now, net.nodes[1].accepted[0]);
    net.nodes[1].core.streams_mut().write(now, other, b"200 OK");
    net.run(Duration::from_millis(300));
    assert_eq!(net.nodes[0].read, b"200 OK");
    assert_eq!(net.nodes[1].lookups, 0, "the lease set came along");
}

/// A question and its answer between two who take these handshakes. The length of the first message.
fn converse(kinds: [Kind; 2]) -> usize {
    let mut net = Net::of([Node::new(1, kinds[0]), Node::new(2, kinds[1])]);
    net.connect(b"GET /");
    net.drain();
    let first = net.way.values().map(|(_, data)| data.len()).max().unwrap();
    net.run(Duration::from_secs(1));
    let (now, other) = (net.now, net.nodes[1].accepted[0]);
    net.nodes[1].core.streams_mut().write(now, other, b"200 OK");
    net.run(Duration::from_secs(1));
    assert_eq!((net.nodes[1].read.as_slice(), net.nodes[0].read.as_slice()), (&b"GET /"[..], &b"200 OK"[..]));
    assert!(net.nodes.iter().all(|node| node.core.stats().hybrid_given_up == 0));
    let hybrid = u64::from(kinds[0].is_some() && kinds[0] == kinds[1]);
    assert!(net.nodes.iter().all(|node| node.core.sessions().stats().hybrid == hybrid));
    first
}

#[test]
fn handshakes_are_hybrid_where_both_take_the_same_and_plain_else() {
    let plain = converse([None, None]);
    for kem in [Kem::MlKem512, Kem::MlKem768, Kem::MlKem1024] {
        let hybrid = converse([Some(kem); 2]);
        assert!((hybrid - plain).abs_diff(kem.key_len() + 16) < 60, "{kem:?}: {hybrid} bytes, {plain} without");
        for kinds in [[Some(kem), None], [None, Some(kem)]] {
            assert!(
                converse(kinds).abs_diff(plain) < 120,
                "{kem:?} with one who takes none: only the lease set is longer"
            );
        }
    }
    assert!(converse([Some(Kem::MlKem768), Some(Kem::MlKem512)]).abs_diff(plain) < 120);
}

#[test]
fn whom_hybrid_handshakes_do_not_reach_is_asked_without() {
    let mut broken = Node::new(2, None);
    broken.claims = Some(Kem::MlKem768);
    let mut net = Net::of([Node::new(1, Some(Kem::MlKem768)), broken]);
    net.connect(b"GET /");
    net.run(HYBRID_PATIENCE + Duration::from_secs(10));
    assert_eq!(net.nodes[1].read, b"GET /");
    assert_eq!(net.nodes[0].core.stats().hybrid_given_up, 1);
}

#[test]
fn many_streams_that_begin_at_once_ask_once() {
    let mut net = Net::new();
    for _ in 0..100 {
        net.connect(b"x");
    }
    net.run(Duration::from_secs(3));
    assert_eq!((net.nodes[1].accepted.len(), net.nodes[1].read.len()), (100, 100));
    assert_eq!(net.nodes[0].core.sessions().stats().asked, 1);
}

#[test]
fn a_lease_set_whose_tunnels_have_all_died_is_searched_anew_while_it_lasts() {
    for found in [true, false] {
        let mut net = Net::new();
        net.connect(b"one");
        net.run(Duration::from_secs(5));
        // Its tunnel dies with whatever is on the way to it, and it publishes another.
        net.nodes[1].tunnel += 1;
        net.answers = found;
        net.connect(b", two");
        net.run(Duration::from_secs(25));
        let searches = net.nodes[0].lookups - 1;
        assert!((1..=3).contains(&searches), "{searches} searches in 25 s");
        assert_eq!(net.nodes[1].read.as_slice(), if found { &b"one, two"[..] } else { b"one" });
        // A search that finds nothing takes nothing away.
        net.answers = true;
        net.connect(b", three");
        net.run(Duration::from_secs(40));
        assert!(net.nodes[1].read.ends_with(b", three"));
    }
}

#[test]
fn a_stream_to_nobody_ends_when_the_searches_do() {
    let mut net = Net::new();
    net.answers = false;
    let id = net.connect(b"x");
    let ended = |net: &Net| net.nodes[0].core.streams().get(id).unwrap().ended();
    net.run(remote::SEARCHED - Duration::from_secs(1));
    assert_eq!(ended(&net), None);
    net.run(Duration::from_secs(3));
    assert_eq!(ended(&net), Some(End::Unreachable));
    let searches = net.nodes[0].lookups;
    assert!((5..=8).contains(&searches), "{searches} searches");
}

#[test]
fn who_has_just_begun_is_found_by_the_next_search() {
    let mut net = Net::new();
    net.answers = false;
    net.connect(b"x");
    net.run(Duration::from_secs(1));
    net.answers = true;
    net.run(Duration::from_secs(1));
    assert_eq!((net.nodes[0].lookups, net.nodes[1].read.as_slice()), (2, &b"x"[..]));
}

#[test]
fn who_was_not_found_is_looked_for_again_as_soon_as_may_be() {
    let mut net = Net::new();
    net.answers = false;
    net.connect(b"x");
    net.run(remote::SEARCHED + Duration::from_secs(2));
    let before = net.nodes[0].lookups;
    net.answers = true;
    net.connect(b"again");
    net.run(remote::MISSED);
    assert_eq!((net.nodes[0].lookups, net.nodes[1].read.as_slice()), (before + 1, &b"again"[..]));
}

#[test]
fn a_new_lease_set_is_told_until_it_is_acknowledged_and_then_no_more() {
    let mut net = Net::new();
    let id = net.connect(b"x");
    net.run(Duration::from_secs(3));
    // The old tunnel is gone: only who knows the new lease set reaches it.
    net.nodes[0].tunnel = 7777;
    let now = net.now.plus(Duration::from_secs(2));
    net.now = now;
    net.nodes[0].publish(now);
    net.nodes[0].core.streams_mut().write(now, id, b"I have moved");
    net.run(Duration::from_secs(2));
    let (now, other) = (net.now, net.nodes[1].accepted[0]);
    net.nodes[1].core.streams_mut().write(now, other, b"I see");
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[0].read, b"I see");
    let hash = net.nodes[1].core.hash();
    assert_eq!(net.nodes[0].core.remotes[&hash].told, Some(net.nodes[0].core.own.as_ref().unwrap().1));
}

#[test]
fn a_lease_set_of_somebody_else_is_not_believed() {
    let mut net = Net::new();
    let third = Node::new(3, None);
    // The session of the first destination brings the lease set of the third.
    net.nodes[0].core.own = Some((DatabaseStore::new(third.lease_set(START).into()).to_body().unwrap(), START.wall));
    net.connect(b"x");
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[1].core.stats().bad_lease_sets, 1);
    assert!(!net.nodes[1].core.remotes.contains_key(&third.core.hash()));
    assert_eq!(net.nodes[1].read, b"x", "what it says by its own signature counts");
}

#[test]
fn a_megabyte_goes_each_way() {
    let mut net = Net::new();
    let id = net.connect(b"x");
    net.run(Duration::from_secs(2));
    let data = vec![7; 1_000_000];
    let (other, mut written) = (net.nodes[1].accepted[0], [0; 2]);
    for _ in 0..20 {
        for (node, (written, id)) in net.nodes.iter_mut().zip(written.iter_mut().zip([id, other])) {
            *written += node.core.streams_mut().write(net.now, id, &data[*written..]);
        }
        net.run(Duration::from_secs(1));
    }
    assert_eq!((net.nodes[0].read.len(), net.nodes[1].read.len()), (data.len(), data.len() + 1));
}

impl Net {
    /// Sends a datagram of the first to the second.
    fn datagram(&mut self, protocol: u8, content: &[u8]) -> bool {
        let (peer, ports) = (Some(self.nodes[1].core.hash()), Ports { from: 7, to: 8 });
        let datagram = Datagram { peer, ports, protocol, content: Bytes::copy_from_slice(content) };
        self.nodes[0].core.send_datagram(self.now, datagram)
    }
}

#[test]
fn a_datagram_comes_with_its_ports_its_protocol_and_whose_session_it_was() {
    let mut net = Net::new();
    for protocol in [17, 18, 19, 20, 99] {
        assert!(net.datagram(protocol, b"datagram"));
        net.run(Duration::from_secs(2));
        let got = net.nodes[1].datagrams.pop().unwrap();
        assert_eq!(
            (got.peer, got.protocol, got.ports),
            (Some(net.nodes[0].core.hash()), protocol, Ports { from: 7, to: 8 })
        );
        assert_eq!(got.content, b"datagram"[..]);
    }
    assert_eq!((net.nodes[0].core.stats().datagrams_sent, net.nodes[1].core.stats().datagrams_received), (5, 5));
}

#[test]
fn whoever_sends_datagrams_alone_is_answered_once_and_needs_no_new_session_for_each() {
    let mut net = Net::new();
    for _ in 0..100 {
        net.datagram(18, b"datagram");
        net.run(Duration::from_millis(100));
    }
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].datagrams.len(), 100);
    let (asking, answering) = (net.nodes[0].core.sessions().stats(), net.nodes[1].core.sessions().stats());
    assert!(asking.asked <= 4, "{} sessions were begun", asking.asked);
    assert!(answering.replied <= asking.asked, "{} answers", answering.replied);
}

#[test]
fn whoever_answers_with_datagrams_alone_is_confirmed_and_goes_on_in_the_session() {
    let mut net = Net::new();
    net.datagram(18, b"question");
    net.run(Duration::from_secs(1));
    net.nodes.reverse();
    for _ in 0..100 {
        net.datagram(18, b"datagram");
        net.run(Duration::from_millis(100));
    }
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].datagrams.len(), 100);
    assert!(net.nodes[0].core.sessions().stats().replied < 12, "{:?}", net.nodes[0].core.sessions().stats());
}

#[test]
fn datagrams_go_on_while_nothing_answers() {
    let mut net = Net::new();
    net.nodes[1].core.own = None;
    for _ in 0..20 {
        net.datagram(18, b"datagram");
        net.run(Duration::from_millis(250));
    }
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].datagrams.len(), 20);
}

#[test]
fn a_large_datagram_comes_whole() {
    let mut net = Net::new();
    let content: Vec<u8> = (0..32_768u32).map(|n| (n * n) as u8).collect();
    net.datagram(18, &content);
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].datagrams[0].content, content);
}

#[test]
fn a_destination_that_takes_no_datagrams_counts_them_as_unknown() {
    let mut net = Net::new();
    net.nodes[1].core.config.datagrams = false;
    net.datagram(18, b"x");
    net.run(Duration::from_secs(2));
    assert_eq!((net.nodes[1].core.stats().unknown_protocols, net.nodes[1].datagrams.len()), (1, 0));
}

#[test]
fn datagrams_to_somebody_who_is_not_found_are_bounded_and_given_up() {
    let mut net = Net::new();
    net.answers = false;
    net.nodes[0].core.own = None;
    let taken = (0..1000).filter(|_| net.datagram(18, &[0; 1000])).count();
    assert_eq!((taken, net.nodes[0].core.stats().datagrams_refused), (64, 936));
    net.nodes[0].publish(START);
    net.run(remote::SEARCHED + Duration::from_secs(2));
    assert_eq!(net.nodes[0].core.stats().lost_waiting, 64);
    assert!(net.datagram(18, b"x"));
}

#[test]
fn datagrams_to_many_who_are_not_found_are_bounded_in_all() {
    let mut net = Net::new();
    net.nodes[0].core.own = None;
    let send = |net: &mut Net, n: u8| {
        let datagram = Datagram {
            peer: Some(DestinationHash([n; 32])),
            ports: Ports::default(),
            protocol: 18,
            content: vec![0; 30_000].into(),
        };
        net.nodes[0].core.send_datagram(START, datagram)
    };
    let taken = (0..250).flat_map(|n| [n; 4]).filter(|n| send(&mut net, *n)).count();
    assert!((100..150).contains(&taken), "{taken}");
}

impl Net {
    /// One whose ends speak for themselves.
    fn raw() -> Self {
        let mut net = Self::new();
        net.nodes.iter_mut().for_each(|node| node.core.config.raw = true);
        net
    }

    fn send_raw(&mut self, from: usize, payload: &'static [u8], token: u32) {
        let (now, to) = (self.now, self.nodes[1 - from].core.hash());
        let payload = Bytes::from_static(payload);
        self.nodes[from].core.send_raw(now, Raw { to, payload, expires: None, bundle: true, token: Some(token) });
    }
}

#[test]
fn payloads_of_programs_come_as_they_were_sent_and_their_fate_is_told() {
    let mut net = Net::raw();
    net.send_raw(0, b"no gzip member", 1);
    net.run(Duration::from_secs(1));
    net.send_raw(1, b"an answer", 2);
    net.run(Duration::from_secs(1));
    assert_eq!(
        (&net.nodes[1].raw[..], &net.nodes[0].raw[..]),
        (&[Bytes::from("no gzip member")][..], &[Bytes::from("an answer")][..])
    );
    assert_eq!((&net.nodes[0].fates[..], &net.nodes[1].fates[..]), (&[(1, Fate::Sent)][..], &[(2, Fate::Sent)][..]));
    assert_eq!(net.nodes[1].lookups, 0, "the lease set came with the first");
}

#[test]
fn a_program_is_told_why_its_payload_did_not_go() {
    let mut net = Net::raw();
    net.answers = false;
    net.send_raw(0, b"to nobody", 1);
    net.run(remote::SEARCHED + Duration::from_secs(2));
    net.send_raw(0, b"", 2);
    let (now, to) = (net.now, net.nodes[1].core.hash());
    let late = Raw { to, payload: Bytes::from_static(b"late"), expires: Some(now.wall), bundle: true, token: Some(3) };
    net.nodes[0].core.send_raw(now, late);
    // Searches have just failed, so this one waits for the next, which fail, too.
    net.send_raw(0, b"waits", 4);
    net.run(Duration::from_secs(30));
    net.nodes[0].core.handle_input(now, In::Outbound(vec![]));
    net.send_raw(0, b"no tunnels", 5);
    net.run(Duration::from_secs(1));
    assert_eq!(
        net.nodes[0].fates,
        [(1, Fate::NoLeaseSet), (2, Fate::BadLength), (3, Fate::Expired), (4, Fate::NoLeaseSet), (5, Fate::NoTunnels)]
    );
    assert_eq!(net.nodes[0].core.stats().raw_lost, 3);
}

#[test]
fn programs_speak_by_elgamal_if_their_lease_sets_name_such_a_key_alone_or_beside_another() {
    let old = |n: u8| Some(elgamal::SecretKey::from_wide(&[n; 256]).unwrap());
    let new = |n: u8| [(None, SecretKey::from_bytes([n; 32]))];
    for both in [false, true] {
        let second = Secrets::with_elgamal(new(4).into_iter().filter(|_| both), old(2)).unwrap();
        let first = Node::program(1, Secrets::with_elgamal([], old(1)).unwrap());
        let mut net = Net::of([first, Node::program(2, second)]);
        for n in 0..60 {
            net.send_raw(0, b"a question", n);
            net.run(Duration::from_secs(1));
            net.send_raw(1, b"an answer", n);
            net.run(Duration::from_secs(1));
        }
        for (node, payload) in [(&net.nodes[0], "an answer"), (&net.nodes[1], "a question")] {
            assert_eq!(node.raw, vec![Bytes::from(payload); 60]);
            let stats = node.core.elgamal_stats();
            assert!(stats.asked < 4 && stats.received > 50, "{stats:?}");
            assert_eq!(
                node.core.remotes.values().map(|remote| remote.paths.changes()).sum::<u32>(),
                0,
                "what is confirmed is heard"
            );
            assert_eq!(node.core.stats().bad_cloves + node.core.stats().bad_lease_sets, 0);
        }
        assert_eq!(net.nodes[1].lookups, 0, "the lease set came with the first, as its program signed it");
    }
}

#[test]
fn a_program_whose_lease_set_names_no_key_of_elgamal_neither_hears_nor_reaches_those_who_know_nothing_else() {
    let old = Secrets::with_elgamal([], Some(elgamal::SecretKey::from_bytes([1; 32]))).unwrap();
    let new = Secrets::one(SecretKey::from_bytes([4; 32]), None);
    let mut net = Net::of([Node::program(1, old), Node::program(2, new)]);
    net.send_raw(0, b"a question", 1);
    net.send_raw(1, b"another", 2);
    net.run(Duration::from_secs(30));
    assert_eq!(net.nodes.iter().map(|node| node.raw.len()).sum::<usize>(), 0);
    assert_eq!(
        (&net.nodes[0].fates[..], &net.nodes[1].fates[..]),
        (&[(1, Fate::Unusable)][..], &[(2, Fate::Unusable)][..])
    );
}

#[test]
fn when_nothing_is_heard_another_way_is_tried_and_when_something_is_the_way_stays() {
    for heard in [false, true] {
        let mut net = Net::raw();
        let mut tunnels = std::collections::BTreeSet::new();
        for n in 0..40 {
            net.send_raw(0, b"anybody?", n);
            net.run(Duration::from_secs(1));
            if heard {
                net.send_raw(1, b"yes", n);
                net.run(Duration::from_secs(1));
            }
            net.nodes[0].core.remotes.values_mut().for_each(|remote| tunnels.extend(remote.paths.used().0));
        }
        assert_eq!(tunnels.len(), if heard { 1 } else { 2 });
    }
}

#[test]
fn one_who_knows_nothing_newer_than_elgamal_is_spoken_to_so_and_answers() {
    let mut net = Net::of([Node::new(1, None), Node::old(2)]);
    let stream = net.connect(b"GET /");
    net.run(Duration::from_secs(1));
    let (now, other) = (net.now, net.nodes[1].accepted[0]);
    net.nodes[1].core.streams_mut().write(now, other, b"200 OK");
    net.run(Duration::from_secs(1));
    assert_eq!((net.nodes[1].read.as_slice(), net.nodes[0].read.as_slice()), (&b"GET /"[..], &b"200 OK"[..]));
    assert_eq!(net.nodes[1].lookups, 0, "the lease set came along, and can be answered to");
    for _ in 0..100 {
        let now = net.now;
        net.nodes[0].core.streams_mut().write(now, stream, &[7; 5000]);
        net.run(Duration::from_millis(500));
    }
    assert_eq!(net.nodes[1].read.len(), 5 + 100 * 5000);
    let stats = net.nodes[0].core.elgamal_stats();
    assert!(stats.asked < 12 && stats.sent > 100, "{stats:?}");
    assert_eq!(net.nodes.iter().map(|node| node.core.stats().bad_cloves).sum::<u64>(), 0);
}

#[test]
fn nobody_begins_by_elgamal_with_one_who_does_not_offer_it() {
    let mut shy = Node::new(2, None);
    shy.old = true;
    let mut net = Net::of([Node::new(1, None), shy]);
    net.connect(b"GET /");
    net.run(Duration::from_secs(5));
    assert!(net.nodes[1].accepted.is_empty());
    assert_eq!(net.nodes[1].core.elgamal_stats().heard, 0);
}

impl Net {
    /// The lease that the first uses to the second.
    fn lease_used(&self) -> u32 {
        let remote = &self.nodes[0].core.remotes[&self.nodes[1].core.hash()];
        remote.paths.used().1.unwrap().tunnel.0
    }
}

#[test]
fn between_bursts_other_leases_are_tried_and_the_shortest_way_is_kept() {
    let mut second = Node::new(2, None);
    second.slower = [(201, 300), (202, 600), (203, 150)].map(|(n, ms)| (n, Duration::from_millis(ms))).into();
    let mut net = Net::of([Node::new(1, None), second]);
    let mut used = Vec::new();
    for burst in 0..16 {
        let first = net.connect(b"GET /");
        net.run(Duration::from_millis(400));
        let before = net.lease_used();
        net.connect(b"GET /picture");
        net.run(Duration::from_millis(600));
        assert_eq!(net.lease_used(), before, "within a burst nothing changes");
        used.push(before);
        let now = net.now;
        net.nodes[0].core.streams_mut().close(now, first);
        net.run(Duration::from_secs(20));
        assert!(burst < 8 || before == 200, "{used:?}");
    }
    assert_eq!(used.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "all are tried: {used:?}");
}

#[test]
fn streams_with_one_for_whom_another_stands_go_on_with_that_one() {
    let mut net = Net::new();
    let other = DestinationHash([77; 32]);
    net.other = Some((other, Duration::from_secs(300)));
    for (question, lookups, pause) in [(&b"one"[..], 1, 1), (b"two", 1, 400), (b"three", 2, 1)] {
        net.nodes[1].read.clear();
        let now = net.now;
        let stream = net.nodes[0].core.connect(now, other, Ports::default()).unwrap();
        net.nodes[0].core.streams_mut().write(now, stream, question);
        net.run(Duration::from_millis(900));
        assert_eq!((net.nodes[1].read.as_slice(), net.nodes[0].lookups), (question, lookups));
        let end = net.nodes[0].core.streams().get(stream).unwrap().is_connected();
        assert!(end, "it answers in its own name");
        net.run(Duration::from_secs(pause));
    }
    // It is not found any more: the other is asked for anew.
    let (now, by) = (net.now, net.nodes[1].core.hash());
    net.nodes[0].core.handle_input(now, In::NotFound(by));
    net.nodes[0].core.connect(now, other, Ports::default()).unwrap();
    net.run(Duration::from_millis(900));
    assert_eq!(net.nodes[0].lookups, 3);
}

#[test]
fn one_for_whom_nobody_can_stand_is_not_reached() {
    let mut net = Net::new();
    let (now, other) = (net.now, DestinationHash([77; 32]));
    net.other = Some((other, Duration::from_secs(300)));
    let stream = net.nodes[0].core.connect(now, other, Ports::default()).unwrap();
    net.nodes[0].core.streams_mut().write(now, stream, b"is there somebody?");
    while net.nodes[0].core.poll_output(now, true).is_some_and(|out| !matches!(out, Out::LookUp(_))) {}
    let until = now.wall.plus(Duration::from_secs(9));
    for by in [other, DestinationHash([78; 32])] {
        net.nodes[0].core.handle_input(now, In::Stands { of: other, by, until });
    }
    net.run(Duration::from_millis(100));
    assert_eq!(net.nodes[0].core.streams().get(stream).and_then(|stream| stream.ended()), Some(End::Unreachable));
}

#[test]
fn a_program_whose_receiver_has_a_meta_lease_set_is_told_so() {
    let mut net = Net::raw();
    let (now, to) = (net.now, DestinationHash([77; 32]));
    net.other = Some((to, Duration::from_secs(300)));
    let payload = Bytes::from_static(b"is there somebody?");
    net.nodes[0].core.send_raw(now, Raw { to, payload, expires: None, bundle: true, token: Some(5) });
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[0].fates, [(5, Fate::MetaLeaseSet)]);
}

/// A receiver has tags for so many messages ahead of the last that came: of those behind a longer gap it can open none.
#[test]
fn a_session_in_which_more_were_lost_in_a_row_than_the_other_has_tags_for_is_begun_anew() {
    let mut net = Net::new();
    net.connect(b"GET /");
    net.run(Duration::from_secs(2));
    let other = net.nodes[1].accepted[0];
    for _ in 0..2000 {
        assert!(net.datagram(18, b"lost"));
        while net.nodes[0].core.poll_output(net.now, true).is_some() {}
    }
    net.connect(b"POST /");
    // Who hears nothing goes on to speak.
    for _ in 0..30 {
        net.nodes[1].core.streams_mut().write(net.now, other, b"still there?");
        net.run(Duration::from_secs(1));
    }
    assert_eq!(net.nodes[0].core.stats().sessions_given_up, 1);
    assert_eq!(String::from_utf8_lossy(&net.nodes[1].read), "GET /POST /");
}

/// One hop may be in all tunnels that lead to us: who downloads hears nothing any more, and has nothing to answer.
#[test]
fn who_only_sends_is_told_of_our_new_leases_before_he_gives_up() {
    let mut net = Net::new();
    net.connect(b"GET /");
    net.run(Duration::from_secs(2));
    net.answers = false;
    let (now, other) = (net.now, net.nodes[1].accepted[0]);
    let written = net.nodes[1].core.streams_mut().write(now, other, &[7; 50_000]);
    net.run(Duration::from_millis(100));
    net.nodes[0].tunnel += 50;
    let entry = net.nodes[0].entry(net.now);
    net.nodes[0].core.handle_input(net.now, In::Published(entry));
    net.run(Duration::from_secs(30));
    assert_eq!(net.nodes[0].read.len(), written);
    let sent = net.nodes[0].core.streams().stats().sent;
    net.run(Duration::from_secs(60));
    assert!(net.nodes[0].core.streams().stats().sent <= sent + 2, "who has heard is not told again");
}
