//! A network of floodfills in virtual time, each of which knows only some of the others, over a wire that loses,
//! delays and reorders: searches find, publications arrive and are flooded.
//!
//! spec: network-database §Storage, Verification, and Lookup Mechanics

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use ramson_crypto::hash::sha256;
use ramson_crypto::sign::SigningKey;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::data::lease_set2::LeaseSet2Builder;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
use ramson_protocol::i2np::database_search_reply::DatabaseSearchReply;
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::id::{NetDbKey, RouterHash, TunnelId};
use ramson_protocol::netdb::flood;
use ramson_protocol::netdb::floodfills::Floodfills;
use ramson_protocol::netdb::lookup::{Answer, View, answer};
use ramson_protocol::netdb::publish::{self, Publisher};
use ramson_protocol::netdb::router_set::RouterSet;
use ramson_protocol::netdb::routing_key::{Day, routing_key};
use ramson_protocol::netdb::rules::{Rules, Source};
use ramson_protocol::netdb::search::{self, Outcome, Search};
use ramson_protocol::netdb::store::{Config, Store};
use ramson_protocol::time::{Now, Wall};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::time::Duration;

const OWN: RouterHash = RouterHash([0x55; 32]);
const FLOODFILLS: u32 = 150;

fn start() -> Now {
    Now { mono: Duration::from_secs(100), wall: Wall(1_790_000_000_000) }
}

struct Node {
    hash: RouterHash,
    store: Store,
    knows: Floodfills,
}

impl View for Node {
    fn public_router(&self, router: RouterHash) -> Option<RouterInfo> {
        self.store.public_router(router).cloned()
    }

    fn public_lease_set(&self, key: NetDbKey) -> Option<Entry> {
        self.store.public_lease_set(key).cloned()
    }

    fn floodfills(&self) -> Floodfills {
        self.knows.clone()
    }

    fn others(&self) -> RouterSet {
        RouterSet::default()
    }
}

/// A message under way; bodies are real I2NP bodies.
enum Wire {
    Lookup(RouterHash, Vec<u8>),
    Store {
        to: RouterHash,
        from: RouterHash,
        body: bytes::Bytes,
    },
    /// To the one router that asks and publishes.
    Found(Entry),
    SearchReply(Vec<u8>),
    Confirmed(u32),
    Learned(RouterHash, bool),
}

struct Network {
    nodes: BTreeMap<RouterHash, Node>,
    all: RouterSet,
    /// By time of arrival, then in the order of sending.
    wire: BTreeMap<(Duration, u64), Wire>,
    sent: u64,
    now: Now,
    loss: f64,
    rng: ChaCha20Rng,
}

impl Network {
    fn new(seed: u64, loss: f64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let all: RouterSet = (0..FLOODFILLS).map(|n| RouterHash(sha256(&[&n.to_be_bytes()]))).collect();
        let nodes = all
            .iter()
            .map(|hash| {
                let config = Config {
                    own: *hash,
                    floodfill: true,
                    max_routers: 50,
                    max_lease_sets: 50,
                    shards: 1,
                    private: true,
                };
                let knows: RouterSet = all.iter().copied().filter(|r| r != hash && rng.random_bool(0.6)).collect();
                let knows = Floodfills::from(knows);
                (*hash, Node { hash: *hash, store: Store::new(config, start()), knows })
            })
            .collect();
        Self { nodes, all, wire: BTreeMap::new(), sent: 0, now: start(), loss, rng }
    }

    fn some(&mut self, share: f64) -> Floodfills {
        self.all.iter().copied().filter(|_| self.rng.random_bool(share)).collect::<RouterSet>().into()
    }

    fn closest(&self, key: NetDbKey) -> Vec<RouterHash> {
        self.all.closest(&routing_key(key, Day::of(self.now.wall))).take(3).collect()
    }

    fn send(&mut self, message: Wire) {
        self.sent += 1;
        if !self.rng.random_bool(self.loss) {
            let delay = Duration::from_millis(self.rng.random_range(30..900));
            self.wire.insert((self.now.mono + delay, self.sent), message);
        }
    }

    fn advance(&mut self, to: Duration) {
        self.now = self.now.plus(to.saturating_sub(self.now.mono));
    }

    /// Delivers the next message that arrives before `until`, and what it causes among the nodes; what is for the
    /// asking router is returned.
    fn step(&mut self, until: Duration) -> Option<Wire> {
        while let Some(((at, _), _)) = self.wire.first_key_value().filter(|((at, _), _)| *at <= until) {
            self.advance(*at);
            let (_, message) = self.wire.pop_first().unwrap();
            match message {
                Wire::Lookup(to, body) => {
                    let lookup = DatabaseLookup::parse(&body).unwrap();
                    let reply = match answer(&lookup, &self.nodes[&to], to, false, self.now.wall) {
                        Answer::Entry(entry) => Wire::Found(entry),
                        Answer::Reply(reply) => Wire::SearchReply(reply.to_body()),
                    };
                    self.send(reply);
                }
                Wire::Store { to, from, body } => self.store(to, from, &body),
                ours => return Some(ours),
            }
        }
        None
    }

    fn store(&mut self, to: RouterHash, from: RouterHash, body: &bytes::Bytes) {
        let store = DatabaseStore::parse(body).unwrap();
        let rules = Rules { net_id: 99, own: to, floodfill: true };
        let node = self.nodes.get_mut(&to).unwrap();
        let held = node.store.rival(&store.entry, Source::Unsolicited);
        let verdict = rules.judge_store(&store, Source::Unsolicited, held.as_ref(), 50, self.now.wall);
        let taken = verdict.is_ok() && {
            let bearer = Bearer::session(from, None, true);
            node.store.insert(self.now, store.entry.clone(), Source::Unsolicited, &bearer)
        };
        if let Some(reply) = store.reply {
            self.send(Wire::Confirmed(reply.token));
        }
        if taken && flood::is_due(&store.entry, store.reply.as_ref(), self.now.wall) {
            let node = &self.nodes[&to];
            let flooded = DatabaseStore::new(store.entry.clone()).to_body().unwrap();
            for target in flood::targets(&store.entry, &node.knows, node.hash, Some(from), self.now.wall) {
                self.send(Wire::Store { to: target, from: to, body: flooded.clone() });
            }
        }
    }

    /// Runs a search to its end.
    fn search(&mut self, key: NetDbKey, known: &Floodfills) -> (Outcome, search::Stats, Duration) {
        let begun = self.now.mono;
        let mut s = Search::new(search::Config::lookup(OWN), key, LookupKind::LeaseSet, known, self.now);
        loop {
            while let Some(out) = s.poll_output() {
                match out {
                    search::Out::Ask { floodfill, exclude } => {
                        let lookup = DatabaseLookup {
                            key,
                            from: OWN,
                            reply_tunnel: Some(TunnelId(1)),
                            kind: LookupKind::LeaseSet,
                            exclude,
                            encryption: ReplyEncryption::Ecies { key: [1; 32], tag: [2; 8] },
                        };
                        self.send(Wire::Lookup(floodfill, lookup.to_body()));
                    }
                    search::Out::Learn { router, .. } => {
                        let there = self.all.contains(&router);
                        self.send(Wire::Learned(router, there));
                    }
                    search::Out::Answered(_) | search::Out::Silent(_) => {}
                    search::Out::Finished(outcome) => {
                        self.wire.clear();
                        return (outcome, s.stats(), self.now.mono - begun);
                    }
                }
            }
            let until = s.poll_timeout().unwrap();
            let input = match self.step(until) {
                Some(Wire::Found(entry)) if entry.key() == key && entry.verify().is_ok() => search::In::Found,
                Some(Wire::SearchReply(body)) => {
                    let reply = DatabaseSearchReply::parse(&body).unwrap();
                    search::In::Reply { from: reply.from, peers: reply.peers }
                }
                Some(Wire::Learned(router, true)) => search::In::Learned(router),
                Some(Wire::Learned(router, false)) => search::In::NotLearned(router),
                Some(_) => continue,
                None => {
                    self.advance(until);
                    s.handle_timeout(self.now);
                    continue;
                }
            };
            s.handle_input(self.now, input);
        }
    }

    fn holders(&self, key: NetDbKey) -> Vec<RouterHash> {
        let has = |store: &Store| store.lease_set(key).is_some() || store.router(RouterHash(key.0)).is_some();
        self.nodes.values().filter(|n| has(&n.store)).map(|n| n.hash).collect()
    }
}

fn lease_set(n: u8) -> Entry {
    let key = SigningKey::from_seed([n; 32]);
    let end = start().wall.plus(Duration::from_secs(540));
    let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end };
    LeaseSet2Builder { leases: vec![lease], ..LeaseSet2Builder::default() }
        .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, start().wall)
        .unwrap()
        .into()
}

#[test]
fn an_entry_at_its_closest_floodfills_is_found_by_those_who_know_a_quarter_of_them_over_a_lossy_wire() {
    let (mut found, mut asked, mut slowest) = (0, 0, Duration::ZERO);
    for seed in 0..60u8 {
        let mut network = Network::new(seed.into(), 0.15);
        let entry = lease_set(seed);
        for holder in network.closest(entry.key()) {
            let store = &mut network.nodes.get_mut(&holder).unwrap().store;
            store.insert(start(), entry.clone(), Source::Unsolicited, &Bearer::NOBODY);
        }
        let known = network.some(0.25);
        let (outcome, stats, took) = network.search(entry.key(), &known);
        found += u32::from(outcome == Outcome::Found);
        asked += stats.asked;
        slowest = slowest.max(took);
    }
    assert!(found >= 57, "{found} of 60");
    assert!(asked <= 60 * 6, "{asked} lookups");
    assert!(slowest <= Duration::from_secs(30));
}

#[test]
fn a_search_for_what_is_not_there_ends_and_asks_no_more_than_it_may() {
    for seed in 0..10 {
        let mut network = Network::new(seed, 0.3);
        let known = network.some(0.5);
        let (outcome, stats, took) = network.search(NetDbKey([9; 32]), &known);
        assert_ne!(outcome, Outcome::Found);
        assert!(stats.asked <= 10 && took <= Duration::from_secs(30));
    }
}

fn publish(network: &mut Network, info: &RouterInfo, own: RouterHash, known: Floodfills) -> Option<RouterHash> {
    let mut p = Publisher::new(publish::Config::new(own), [7; 32], network.now);
    p.handle_input(network.now, publish::In::Floodfills(known));
    p.handle_input(network.now, publish::In::Publish);
    loop {
        while let Some(out) = p.poll_output() {
            match out {
                publish::Out::Store { floodfill, token } => {
                    let reply = Some(Reply { token, tunnel: None, gateway: own });
                    let store = DatabaseStore { reply, ..DatabaseStore::new(info.clone().into()) };
                    network.send(Wire::Store { to: floodfill, from: own, body: store.to_body().unwrap() });
                }
                publish::Out::Published(floodfill) => return Some(floodfill),
                publish::Out::Unpublished => return None,
                publish::Out::Renew => panic!("not due"),
            }
        }
        let until = p.poll_timeout().unwrap();
        match network.step(until) {
            Some(Wire::Confirmed(token)) => p.handle_input(network.now, publish::In::Confirmed(token)),
            _ => {
                network.advance(until.min(network.now.mono + Duration::from_secs(1)));
                p.handle_timeout(network.now);
            }
        }
    }
}

#[test]
fn a_publication_reaches_the_closest_floodfills_by_flooding() {
    let keys = RouterKeys::generate(&mut ChaCha20Rng::seed_from_u64(5));
    let info = RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, start().wall).unwrap();
    let (own, key) = (info.hash(), NetDbKey::from(info.hash()));
    for (loss, least) in [(0.0, 2), (0.3, 1)] {
        for seed in 0..20 {
            let mut network = Network::new(seed, loss);
            let known = network.some(0.2);
            let to = publish(&mut network, &info, own, known).unwrap();
            while network.step(Duration::MAX).is_some() {}
            let (holders, closest) = (network.holders(key), network.closest(key));
            assert!(holders.contains(&to));
            assert!(holders.len() <= 4 * 5, "nobody floods what was flooded: {}", holders.len());
            let reached = closest.iter().filter(|r| holders.contains(r)).count();
            // The first floodfill knows six in ten of the others, so it may not know the very closest.
            if loss == 0.0 {
                let knows = &network.nodes[&to].knows;
                assert!(closest.iter().all(|r| holders.contains(r) || !knows.contains(r)));
            }
            assert!(holders.len() >= least, "{reached} of the closest, {} in all", holders.len());
        }
    }
}
