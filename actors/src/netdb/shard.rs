//! One shard of the netDb: the entries whose keys begin with its bits.
//!
//! State owned: a [`Store`], what is being verified, the subscribers. In: stores and lookups of others, RouterInfos from
//! elsewhere, questions of our own. Out: confirmations, answers and flood copies over sessions, changes to the disk,
//! finds to the searches, news to the subscribers. Mailbox: 1,024; when it is full the facade drops the message and
//! counts it. Signatures are verified by a pool, of which one shard may trouble [`MAX_VERIFYING`] at a time.

use super::directory::{KINDS, Part};
use super::outbox::Outboxes;
use super::reply::{confirm, deliver, sealed};
#[cfg(test)]
use super::requests::Public;
use super::requests::{All, Asked, Await, Get, Offered, Own, Stored, Subscribe};
use super::searches::count_reply;
use super::verifier::{Verified, Verify};
use super::{NetDb, SHARDS};
use crate::mailbox::Mailbox;
use crate::messages::{Incoming, Origin, RouterKnown};
use crate::series::{Exported, control};
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::data::entry::{Entry, EntryKind};
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_lookup::DatabaseLookup;
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::flood;
use ramson_protocol::netdb::lookup::{self, Answer, View};
use ramson_protocol::netdb::router_set::RouterSet;
use ramson_protocol::netdb::rules::{self, Refusal, Source};
use ramson_protocol::netdb::store::{self, Store};
use ramson_transports::account::Account;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;
use tokio::sync::oneshot;

const MAILBOX: usize = 1024;

/// Entries of one shard that wait for their signature to be verified.
const MAX_VERIFYING: usize = 512;

/// Entries of one shard that are waited for.
const MAX_AWAITED: usize = 256;

/// How often the snapshots and the metrics are brought up to date.
const TICK: Duration = Duration::from_millis(500);

/// The actor that owns one shard.
pub(super) struct NetDbShard {
    index: usize,
    netdb: NetDb,
    store: Store,
    loaded: Vec<Entry>,
    verifying: usize,
    stale: bool,
    ticks: u32,
    subscribers: Outboxes<RouterKnown>,
    /// Who waits for an entry that has been announced, and is about to be verified.
    awaited: Vec<(NetDbKey, oneshot::Sender<Entry>)>,
    rng: ChaCha20Rng,
    exported: Exported<4>,
    _vital: Vital,
}

/// An entry on its way in.
struct Arrival {
    entry: Entry,
    source: Source,
    from: Option<RouterHash>,
    reply: Option<Reply>,
    flood: bool,
    /// Its signature is known to be good.
    verified: bool,
}

impl Arrival {
    /// On whose account it is confirmed.
    fn account(&self) -> Account {
        self.from.map_or(Account::Strangers, Account::Router)
    }
}

impl NetDbShard {
    /// A shard with what was on disk.
    pub(super) fn new(index: usize, netdb: NetDb, config: store::Config, loaded: Vec<Entry>) -> Self {
        let (now, rng) = (netdb.shared().now(), netdb.shared().rng());
        let store = Store::new(config, now);
        let subscribers = Outboxes::new(2 * config.max_routers);
        let _vital = netdb.shared().vitals().guard("a shard of the network database");
        Self {
            index,
            netdb,
            store,
            loaded,
            verifying: 0,
            stale: false,
            ticks: 0,
            subscribers,
            awaited: Vec::new(),
            rng,
            exported: Exported::new(),
            _vital,
        }
    }

    /// Takes what was on disk as far as it is still good; its signatures were verified before it was written.
    fn load(&mut self) {
        let now = self.netdb.shared().now();
        for entry in std::mem::take(&mut self.loaded) {
            let source = if entry.kind().is_lease_set() { Source::Unsolicited } else { Source::Import };
            if self.netdb.rules().judge_content(&entry, source, None, 0, now.wall).is_ok() {
                self.store.insert(now, entry, source);
            } else {
                self.netdb.storage().forget(entry.key());
            }
        }
    }

    fn on_stored(&mut self, incoming: &Incoming) -> ResponseActFuture<Self, bool> {
        let Ok(store) = DatabaseStore::parse(&incoming.message.body) else {
            count_store("malformed");
            return no();
        };
        if store.key != store.entry.key() {
            count_store(Refusal::WrongKey.name());
            return no();
        }
        let (origin, own) = (incoming.origin, incoming.origin.way().is_own());
        // What comes unasked out of a tunnel of ours is neither stored nor served: whoever sent it could ask all
        // floodfills for it, and the one that has it would be the tunnel's owner. See `i2np::ways`.
        if own && !self.netdb.shared().expected().answers_lookup(store.key, origin, self.netdb.shared().now().mono) {
            count_store("not_asked_for");
            return no();
        }
        let from = origin.router();
        // spec: i2np §DatabaseStore — a reply token is to be ignored in what came down a tunnel of ours.
        let reply = store.reply.filter(|_| !own);
        let wanted = own || (reply.is_none() && self.netdb.directory().is_wanted(store.key));
        if wanted {
            count_reply("entry", if own { "tunnels" } else { "session" });
        }
        let source = if wanted { Source::Reply } else { Source::Unsolicited };
        self.take(Arrival { entry: store.entry, source, from, reply, flood: reply.is_some(), verified: false })
    }

    /// The cheap checks, then the pool, then the store.
    fn take(&mut self, arrival: Arrival) -> ResponseActFuture<Self, bool> {
        let now = self.netdb.shared().now().wall;
        let held = self.store.get(arrival.entry.key());
        let known = self.netdb.directory().counts().0;
        if let Err(refusal) = self.netdb.rules().judge_content(&arrival.entry, arrival.source, held, known, now) {
            self.refuse(arrival, refusal);
            return no();
        }
        if arrival.verified {
            return Box::pin(fut::ready(self.accept(arrival)));
        }
        if self.verifying >= MAX_VERIFYING {
            count_store("busy");
            return no();
        }
        self.verifying += 1;
        let verify = self.netdb.verifier().send(Verify(arrival.entry.clone()));
        Box::pin(verify.into_actor(self).map(move |verified, actor, _| {
            actor.verifying -= 1;
            match verified {
                Ok(Verified(Ok(()))) => actor.accept(arrival),
                Ok(Verified(Err(refusal))) => {
                    actor.refuse(arrival, refusal);
                    false
                }
                Err(_) => false,
            }
        }))
    }

    fn refuse(&mut self, arrival: Arrival, refusal: Refusal) {
        count_store(refusal.name());
        // Floodfills pass on what others made, and the ends of tunnels what they cannot know: a router answers for its own.
        if let Some(from) = arrival.from.filter(|from| arrival.entry.key() == (*from).into()) {
            self.netdb.charge(from, refusal);
        }
        // The sender did its part: what it brought is here, or something better.
        if refusal == Refusal::NotNewer {
            if let Some(reply) = &arrival.reply {
                confirm(self.netdb.shared(), arrival.account(), reply, &mut self.rng);
            }
            let key = arrival.entry.key();
            let Some(held) = self.store.get(key).cloned() else { return };
            if held == arrival.entry && arrival.source == Source::Unsolicited {
                // We had looked it up for ourselves; now it is stored with us, and may be given out.
                self.store.insert(self.netdb.shared().now(), arrival.entry, arrival.source);
            }
            if self.netdb.directory().is_wanted(key) {
                self.netdb.found(held);
            }
        }
    }

    fn accept(&mut self, arrival: Arrival) -> bool {
        let account = arrival.account();
        let Arrival { entry, source, from, reply, flood, verified: _ } = arrival;
        // A file's RouterInfo is to be kept on disk like any other.
        let source = if source == Source::Import { Source::Unsolicited } else { source };
        let now = self.netdb.shared().now();
        let taken = self.store.insert(now, entry.clone(), source);
        if let Some(reply) = &reply {
            confirm(self.netdb.shared(), account, reply, &mut self.rng);
        }
        if self.netdb.directory().is_wanted(entry.key()) {
            self.netdb.found(entry.clone());
        }
        if !taken {
            // The same came twice while the first was with the pool.
            count_store(Refusal::NotNewer.name());
            self.drain();
            return false;
        }
        count_store("taken");
        for (_, waiter) in self.awaited.extract_if(.., |(key, _)| *key == entry.key()) {
            // Whoever waited may have given up.
            let _ = waiter.send(entry.clone());
        }
        if let Entry::RouterInfo(info) = &entry {
            self.subscribers.publish(&RouterKnown::Learned(info.clone()));
        }
        if flood {
            self.flood(&entry, reply, from);
        }
        self.drain();
        true
    }

    /// Passes on what a floodfill has just taken.
    fn flood(&self, entry: &Entry, reply: Option<Reply>, from: Option<RouterHash>) {
        let shared = self.netdb.shared();
        let now = shared.now().wall;
        // A transport's flag asks for the same as a token does.
        let reply = reply.unwrap_or(Reply { token: 1, tunnel: None, gateway: shared.hash() });
        if shared.floodfill() && flood::is_due(entry, Some(&reply), now) {
            self.netdb.send_copies(entry, from);
        }
    }

    fn on_asked(&mut self, incoming: &Incoming) -> &'static str {
        let Ok(asked) = DatabaseLookup::parse(&incoming.message.body) else { return "malformed" };
        let shared = self.netdb.shared();
        let now = shared.now();
        // Without this anyone could have us send answers to whomever he likes.
        if let Origin::Direct(peer) = incoming.origin
            && asked.reply_tunnel.is_none()
            && asked.from != peer
        {
            return "not_from_sender";
        }
        if !self.netdb.throttle().allows(&asked, now.mono) {
            return "throttled";
        }
        let answer = lookup::answer(&asked, &Seen(self), shared.hash(), now.wall);
        let (kind, body, outcome) = match answer {
            Answer::Entry(entry) => match DatabaseStore::new(entry).to_body() {
                Ok(body) => (MessageType::DatabaseStore, body, "found"),
                Err(_) => return "too_large",
            },
            Answer::Reply(reply) => (MessageType::DatabaseSearchReply, reply.to_body().into(), "not_found"),
        };
        let message = shared.message(kind, body);
        let shared = shared.clone();
        let Ok(message) = sealed(&shared, &asked.encryption, message, &mut self.rng) else { return "too_large" };
        let account = incoming.origin.account();
        if deliver(&shared, account, asked.from, asked.reply_tunnel, message, &mut self.rng) {
            outcome
        } else {
            "not_sent"
        }
    }

    /// The only place where what the store puts out takes effect.
    fn drain(&mut self) {
        while let Some(out) = self.store.poll_output() {
            match out {
                store::Out::Persist(entry) => {
                    if entry.key() != self.netdb.shared().hash().into() {
                        self.netdb.storage().keep(entry);
                    }
                }
                store::Out::Forget(kind, key) => {
                    let router = RouterHash(key.0);
                    self.netdb.storage().forget(key);
                    if kind == EntryKind::RouterInfo && router != self.netdb.shared().hash() {
                        self.subscribers.publish(&RouterKnown::Forgotten(router));
                    }
                }
                store::Out::RoutersChanged => self.stale = true,
            }
        }
        let own = usize::from(self.store.router(self.netdb.shared().hash()).is_some());
        let routers = self.store.router_count().saturating_sub(own);
        self.netdb.directory().set_counts(self.index, routers, self.store.lease_set_count());
    }

    fn export(&mut self) {
        let store::Stats { added, updated, expired, evicted } = self.store.stats();
        let events = [("added", added), ("updated", updated), ("expired", expired), ("evicted", evicted)];
        self.exported.add(&control::NETDB_STORE, events);
    }

    fn tick(&mut self) {
        self.store.handle_timeout(self.netdb.shared().now());
        self.drain();
        self.export();
        if std::mem::take(&mut self.stale) {
            self.publish_routers();
        }
        if self.ticks.is_multiple_of(10) {
            let mut kinds = [0; KINDS.len()];
            let own = NetDbKey::from(self.netdb.shared().hash());
            for entry in self.store.entries().filter(|entry| entry.key() != own) {
                kinds[kind_index(entry.kind())] += 1;
            }
            self.netdb.directory().set_kinds(self.index, kinds);
        }
        self.ticks = self.ticks.wrapping_add(1);
    }

    fn publish_routers(&self) {
        let own = self.netdb.shared().hash();
        let mut part = Part::default();
        for info in self.store.routers().filter(|info| info.hash() != own) {
            let list = if rules::is_usable_floodfill(info) { &mut part.floodfills } else { &mut part.others };
            list.push(info.hash());
        }
        self.netdb.directory().set_part(self.index, part);
    }
}

fn kind_index(kind: EntryKind) -> usize {
    match kind {
        EntryKind::RouterInfo => 0,
        EntryKind::LeaseSet => 1,
        EntryKind::LeaseSet2 => 2,
        EntryKind::EncryptedLeaseSet => 3,
        EntryKind::MetaLeaseSet => 4,
    }
}

fn no() -> ResponseActFuture<NetDbShard, bool> {
    Box::pin(fut::ready(false))
}

fn count_store(outcome: &'static str) {
    control::NETDB_STORES.add([outcome], 1);
}

/// What lookups are answered from.
struct Seen<'a>(&'a NetDbShard);

impl View for Seen<'_> {
    fn public_entry(&self, key: NetDbKey) -> Option<Entry> {
        self.0.store.public_entry(key).cloned()
    }

    fn floodfills(&self) -> RouterSet {
        RouterSet::clone(&self.0.netdb.directory().floodfills())
    }

    fn others(&self) -> RouterSet {
        RouterSet::clone(&self.0.netdb.directory().others())
    }
}

/// The shard of a key.
pub(super) fn shard_of(key: NetDbKey) -> usize {
    usize::from(key.0[0]) * SHARDS / 256
}

impl Actor for NetDbShard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.load();
        self.drain();
        self.tick();
        self.netdb.shared().stop_when_over(self, ctx);
        ctx.run_interval(TICK, |actor, _| actor.tick());
    }
}

impl Handler<Stored> for NetDbShard {
    type Result = ResponseActFuture<Self, bool>;

    fn handle(&mut self, stored: Stored, _: &mut Context<Self>) -> Self::Result {
        self.netdb.left(Mailbox::NetDbShard);
        self.on_stored(&stored.0)
    }
}

impl Handler<Asked> for NetDbShard {
    type Result = ();

    fn handle(&mut self, asked: Asked, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        let outcome = self.on_asked(&asked.0);
        control::NETDB_LOOKUPS.add([outcome], 1);
    }
}

impl Handler<Offered> for NetDbShard {
    type Result = ResponseActFuture<Self, bool>;

    fn handle(&mut self, offered: Offered, _: &mut Context<Self>) -> Self::Result {
        self.netdb.left(Mailbox::NetDbShard);
        let source = if offered.from.is_none() { Source::Import } else { Source::Unsolicited };
        let Offered { info, from, flood, verified } = offered;
        self.take(Arrival { entry: info.into(), source, from, reply: None, flood, verified })
    }
}

impl Handler<Own> for NetDbShard {
    type Result = ();

    fn handle(&mut self, own: Own, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        let hash = own.0.hash();
        // Ours is always right, even if our clock was put back and it seems older.
        self.store.remove(hash.into());
        self.store.pin(hash, true);
        self.store.insert(self.netdb.shared().now(), own.0.into(), Source::Import);
        self.drain();
    }
}

impl Handler<Get> for NetDbShard {
    type Result = Option<Entry>;

    fn handle(&mut self, get: Get, _: &mut Context<Self>) -> Option<Entry> {
        self.netdb.left(Mailbox::NetDbShard);
        self.store.get(get.0).cloned()
    }
}

#[cfg(test)]
impl Handler<Public> for NetDbShard {
    type Result = Option<Entry>;

    fn handle(&mut self, wanted: Public, _: &mut Context<Self>) -> Option<Entry> {
        self.netdb.left(Mailbox::NetDbShard);
        self.store.public_entry(wanted.0).cloned()
    }
}

impl Handler<Await> for NetDbShard {
    type Result = ResponseFuture<Option<Entry>>;

    fn handle(&mut self, wanted: Await, _: &mut Context<Self>) -> Self::Result {
        self.netdb.left(Mailbox::NetDbShard);
        let (sender, receiver) = oneshot::channel();
        match self.store.get(wanted.0).cloned() {
            Some(entry) => drop(sender.send(entry)),
            None => {
                self.awaited.retain(|(_, waiter)| !waiter.is_closed());
                if self.awaited.len() < MAX_AWAITED {
                    self.awaited.push((wanted.0, sender));
                }
            }
        }
        Box::pin(async move { receiver.await.ok() })
    }
}

impl Handler<All> for NetDbShard {
    type Result = Vec<RouterInfo>;

    fn handle(&mut self, _: All, _: &mut Context<Self>) -> Vec<RouterInfo> {
        self.netdb.left(Mailbox::NetDbShard);
        let own = self.netdb.shared().hash();
        self.store.routers().filter(|info| info.hash() != own).cloned().collect()
    }
}

impl Handler<Subscribe> for NetDbShard {
    type Result = ();

    fn handle(&mut self, subscribe: Subscribe, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        let own = self.netdb.shared().hash();
        let known = self.store.routers().filter(|info| info.hash() != own).cloned().map(RouterKnown::Learned);
        self.subscribers.add(subscribe.0, known.collect());
    }
}
