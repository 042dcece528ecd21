//! One shard of the netDb: the entries whose keys begin with its bits.
//!
//! State owned: a [`Store`], what is being verified, the subscribers. In: stores and lookups of others, RouterInfos from
//! elsewhere, what happens with routers, questions of our own. Out: confirmations, answers and flood copies over sessions,
//! changes to the disk, finds to the searches, news to the subscribers. Mailbox: 1,024; when it is full the facade drops the
//! message and counts it. Signatures are verified by a pool, of which one shard may trouble [`MAX_VERIFYING`] at a time.

mod arrival;

use super::directory::KINDS;
use super::outbox::Outboxes;
use super::reply::{deliver, is_from, sealed};
#[cfg(test)]
use super::requests::Public;
use super::requests::{All, Asked, Await, Get, Met, Offered, Own, Stored, Subscribe, Trust};
use super::storage::Loaded;
use super::{NetDb, SHARDS};
use crate::mailbox::Mailbox;
use crate::messages::{Incoming, RouterKnown};
use crate::series::outcomes::LookupOutcome;
use crate::series::{Exported, control};
use crate::supervise::Vital;
use actix::prelude::*;
use arrival::Arrival;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::data::entry::{Entry, EntryKind};
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_lookup::DatabaseLookup;
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::flood;
use ramson_protocol::netdb::floodfills::Floodfills;
use ramson_protocol::netdb::lookup::{self, Answer, View};
use ramson_protocol::netdb::router_set::RouterSet;
use ramson_protocol::netdb::rules::Source;
use ramson_protocol::netdb::store::{self, Standing, Store};
use rand_chacha::ChaCha20Rng;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;

const MAILBOX: usize = 1024;

/// Entries of one shard that wait for their signature to be verified, and of these such whose signature takes long.
const MAX_VERIFYING: [usize; 2] = [512, 32];

/// Entries of one shard that are waited for.
const MAX_AWAITED: usize = 256;

/// How often the snapshots and the metrics are brought up to date.
const TICK: Duration = Duration::from_millis(500);

/// Entries that are written again in each of these, to a disk that has lost some.
const WRITTEN_AGAIN: usize = 500;

/// The actor that owns one shard.
pub(super) struct NetDbShard {
    index: usize,
    netdb: NetDb,
    store: Store,
    loaded: Vec<Loaded>,
    /// Usual signatures, and those that take long.
    verifying: [usize; 2],
    floods: flood::Throttle,
    stale: bool,
    ticks: u32,
    subscribers: Outboxes<RouterKnown>,
    /// Who waits for a RouterInfo that has been announced, and is about to be verified.
    awaited: Vec<(RouterHash, oneshot::Sender<RouterInfo>)>,
    /// What the disk has lost, to be written again, and how often it has lost anything.
    again: VecDeque<store::Out>,
    losses: u64,
    rng: ChaCha20Rng,
    exported: Exported<5>,
    _vital: Vital,
}

impl NetDbShard {
    /// A shard with what was on disk.
    pub(super) fn new(index: usize, netdb: NetDb, config: store::Config, loaded: Vec<Loaded>) -> Self {
        let (now, rng) = (netdb.shared().now(), netdb.shared().rng());
        let store = Store::new(config, now);
        let subscribers = Outboxes::new(2 * config.max_routers);
        let _vital = netdb.shared().vitals().guard("a shard of the network database");
        Self {
            index,
            netdb,
            store,
            loaded,
            verifying: [0; 2],
            floods: flood::Throttle::default(),
            stale: false,
            ticks: 0,
            subscribers,
            awaited: Vec::new(),
            again: VecDeque::new(),
            losses: 0,
            rng,
            exported: Exported::new(),
            _vital,
        }
    }

    /// Takes what was on disk; its signatures were verified before it was written. Whatever does not fit, of another
    /// network or more than there is room for, stays on disk: a mistake in the configuration must not cost the network.
    fn load(&mut self) {
        let now = self.netdb.shared().now();
        let mut foreign = 0;
        let mut fitting = Vec::new();
        for Loaded { info, public } in std::mem::take(&mut self.loaded) {
            let entry = Entry::from(info.clone());
            if self.netdb.rules().judge_content(&entry, Source::Import, None, 0, now.wall).is_ok() {
                fitting.push((info, public));
            } else {
                foreign += 1;
            }
        }
        let crowded = self.store.load(now, fitting);
        if foreign > 0 {
            tracing::warn!(
                routers = foreign,
                "RouterInfos on disk do not fit this router (another network.id, or too old a version): they are left \
                 there and not used"
            );
        }
        if crowded > 0 {
            tracing::warn!(
                routers = crowded,
                "there are more RouterInfos on disk than netdb.max_routers allows: the others are left there and not used"
            );
        }
    }

    fn on_asked(&mut self, incoming: &Incoming, bearer: &Bearer) -> LookupOutcome {
        let Ok(asked) = DatabaseLookup::parse(&incoming.message.body) else { return LookupOutcome::Malformed };
        let shared = self.netdb.shared().clone();
        let now = shared.now();
        // Without this anyone could have us send answers to whomever he likes, and use up what others may ask.
        if asked.reply_tunnel.is_none() && !is_from(incoming.origin, asked.from) {
            return LookupOutcome::NotFromSender;
        }
        if !self.netdb.throttle().allows(&asked, bearer, now.mono) {
            return LookupOutcome::Throttled;
        }
        let proven = bearer.router().and_then(|router| shared.neighbours().get(&router)).is_some_and(|n| n.proven);
        let answer = lookup::answer(&asked, &Seen(self), shared.hash(), proven, now.wall);
        let (kind, body, outcome) = match answer {
            Answer::Entry(entry) => match DatabaseStore::new(entry).to_body() {
                Ok(body) => (MessageType::DatabaseStore, body, LookupOutcome::Found),
                Err(_) => return LookupOutcome::TooLarge,
            },
            Answer::Reply(reply) => (MessageType::DatabaseSearchReply, reply.to_body().into(), LookupOutcome::NotFound),
        };
        if !self.netdb.shares().answer(bearer, body.len(), incoming.message.body.len(), now.mono) {
            return LookupOutcome::OverShare;
        }
        let message = shared.message(kind, body);
        let Ok(message) = sealed(&shared, &asked.encryption, message, &mut self.rng) else {
            return LookupOutcome::TooLarge;
        };
        let sent =
            deliver(&self.netdb, incoming.origin.account(), asked.from, asked.reply_tunnel, message, &mut self.rng);
        if sent { outcome } else { LookupOutcome::NotSent }
    }

    /// The only place where what the store puts out takes effect.
    fn drain(&mut self) {
        while let Some(out) = self.store.poll_output() {
            self.effect(out);
        }
        let own = usize::from(self.store.router(self.netdb.shared().hash()).is_some());
        let routers = self.store.router_count().saturating_sub(own);
        self.netdb.directory().set_counts(self.index, routers, self.store.lease_set_count());
    }

    fn effect(&mut self, out: store::Out) {
        let own = self.netdb.shared().hash();
        match out {
            store::Out::Persist { info, public } => {
                if info.hash() != own {
                    self.netdb.storage().keep(info, public);
                }
            }
            store::Out::Forget(router) => {
                self.netdb.storage().forget(router.into());
                if router != own {
                    self.subscribers.publish(&RouterKnown::Forgotten(router));
                }
            }
            store::Out::RoutersChanged => self.stale = true,
        }
    }

    fn export(&mut self) {
        let store::Stats { added, updated, expired, evicted, spared } = self.store.stats();
        let events =
            [("added", added), ("updated", updated), ("expired", expired), ("evicted", evicted), ("spared", spared)];
        self.exported.add(&control::NETDB_STORE, events);
    }

    fn tick(&mut self) {
        self.store.handle_timeout(self.netdb.shared().now());
        self.drain();
        self.write_again();
        self.export();
        if std::mem::take(&mut self.stale) {
            self.publish_routers();
        }
        if self.ticks.is_multiple_of(10) {
            let mut kinds = [0; KINDS.len()];
            kinds[0] = self
                .store
                .router_count()
                .saturating_sub(usize::from(self.store.router(self.netdb.shared().hash()).is_some()));
            for entry in self.store.lease_sets() {
                kinds[kind_index(entry.kind())] += 1;
            }
            self.netdb.directory().set_kinds(self.index, kinds);
        }
        self.ticks = self.ticks.wrapping_add(1);
    }

    /// A disk that was full, or too slow, gets what it has lost, by and by.
    fn write_again(&mut self) {
        let losses = self.netdb.storage().losses();
        if losses != self.losses {
            self.losses = losses;
            self.again = self.store.to_persist().collect();
        }
        let count = self.again.len().min(WRITTEN_AGAIN);
        let due: Vec<_> = self.again.drain(..count).collect();
        due.into_iter().for_each(|out| self.effect(out));
    }

    fn publish_routers(&self) {
        let now = self.netdb.shared().now();
        self.netdb.directory().set_part(self.index, self.store.listing(now).collect(), now.mono);
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

/// What lookups are answered from.
struct Seen<'a>(&'a NetDbShard);

impl View for Seen<'_> {
    fn public_router(&self, router: RouterHash) -> Option<RouterInfo> {
        self.0.store.public_router(router).cloned()
    }

    fn public_lease_set(&self, key: NetDbKey) -> Option<Entry> {
        self.0.store.public_lease_set(key).cloned()
    }

    fn floodfills(&self) -> Floodfills {
        self.0.netdb.directory().told().floodfills.clone()
    }

    fn others(&self) -> RouterSet {
        self.0.netdb.directory().told().others.clone()
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
        self.on_stored(&stored.0, stored.1)
    }
}

impl Handler<Asked> for NetDbShard {
    type Result = ();

    fn handle(&mut self, asked: Asked, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        let outcome = self.on_asked(&asked.0, &asked.1);
        control::NETDB_LOOKUPS.add([outcome.label()], 1);
    }
}

impl Handler<Offered> for NetDbShard {
    type Result = ResponseActFuture<Self, bool>;

    fn handle(&mut self, offered: Offered, _: &mut Context<Self>) -> Self::Result {
        self.netdb.left(Mailbox::NetDbShard);
        self.take(Arrival::offered(offered))
    }
}

impl Handler<Met> for NetDbShard {
    type Result = ();

    fn handle(&mut self, Met(router, standing): Met, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        self.store.note(self.netdb.shared().now(), router, standing);
        self.drain();
    }
}

impl Handler<Trust> for NetDbShard {
    type Result = ();

    fn handle(&mut self, Trust(router): Trust, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        self.store.note(self.netdb.shared().now(), router, Standing::Proven);
        self.subscribers.publish(&RouterKnown::Trusted(router));
        self.drain();
    }
}

impl Handler<Own> for NetDbShard {
    type Result = ();

    fn handle(&mut self, own: Own, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::NetDbShard);
        let hash = own.0.hash();
        // Ours is always right, even if our clock was put back and it seems older.
        self.store.remove_router(hash);
        self.store.insert(self.netdb.shared().now(), own.0.into(), Source::Import, &Bearer::NOBODY);
        self.drain();
    }
}

impl Handler<Get> for NetDbShard {
    type Result = Option<Entry>;

    fn handle(&mut self, get: Get, _: &mut Context<Self>) -> Option<Entry> {
        self.netdb.left(Mailbox::NetDbShard);
        match get {
            Get::Router(router) => self.store.router(router).cloned().map(Entry::from),
            Get::LeaseSet(key) => self.store.lease_set(key).cloned(),
        }
    }
}

#[cfg(test)]
impl Handler<Public> for NetDbShard {
    type Result = Option<Entry>;

    fn handle(&mut self, wanted: Public, _: &mut Context<Self>) -> Option<Entry> {
        self.netdb.left(Mailbox::NetDbShard);
        match wanted.0 {
            Get::Router(router) => self.store.public_router(router).cloned().map(Entry::from),
            Get::LeaseSet(key) => self.store.public_lease_set(key).cloned(),
        }
    }
}

impl Handler<Await> for NetDbShard {
    type Result = ResponseFuture<Option<RouterInfo>>;

    fn handle(&mut self, Await(router): Await, _: &mut Context<Self>) -> Self::Result {
        self.netdb.left(Mailbox::NetDbShard);
        let (sender, receiver) = oneshot::channel();
        match self.store.router(router).cloned() {
            Some(info) => drop(sender.send(info)),
            None => {
                self.awaited.retain(|(_, waiter)| !waiter.is_closed());
                if self.awaited.len() < MAX_AWAITED {
                    self.awaited.push((router, sender));
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
