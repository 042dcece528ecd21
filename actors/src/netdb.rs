//! The network database: the facade that other actors use, in front of the shards.
//!
//! ```text
//! Dispatch -> NetDb --> NetDbShard x 4 (by key) --> Verifier pool, storage thread
//!              |-----> Searches (what we look for, exploration)
//!              '-----> Publishing (our own RouterInfo)
//! ```
//! What others ask of it goes by `try_send`: a shard that does not keep up loses messages, counted.

mod asking;
mod directory;
mod imported;
mod outbox;
mod publishing;
mod reply;
mod requests;
mod searches;
mod shard;
mod shares;
mod storage;
mod verifier;

use crate::drops::ControlDrop;
use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::{Charged, Incoming, Origin, RouterInfoReceived, RouterKnown};
use crate::paths::Paths;
use crate::series::control;
use crate::series::outcomes::{LookupOutcome, StoreOutcome};
use crate::shared::Shared;
use actix::prelude::*;
use bytes::Bytes;
use directory::Directory;
use parking_lot::{Mutex, MutexGuard};
use publishing::{Publish, Publishing};
use ramson_protocol::bearer::Bearer;
use ramson_protocol::blame::{Charge, Weight};
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::router_info::{RouterInfo, VerifiedRouterInfo};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_lookup::LookupKind;
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::id::{DestinationHash, NetDbKey, RouterHash};
use ramson_protocol::netdb::flood;
use ramson_protocol::netdb::floodfills::Floodfills;
use ramson_protocol::netdb::lookup::{self, Throttle};
use ramson_protocol::netdb::rules::{Cost, Refusal, Rules, Source};
use ramson_protocol::netdb::store::{self, Standing};
use ramson_protocol::time::Wall;
use ramson_protocol::wire::Reader;
use ramson_transports::account::Account;
use requests::{All, Asked, Await, Get, Met, Offered, Own, Stored, Subscribe, Trust};
use searches::{Find, Found, Replied, Searches, Unreachable};
use shard::{NetDbShard, shard_of};
use shares::Shares;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::{Found as OnDisk, Loaded, Storage};
use verifier::Verifier;

pub use imported::Imported;

/// Shards, by the first bits of a key.
const SHARDS: usize = 4;

/// Arbiters that carry them.
pub(crate) const ARBITERS: usize = 2;

/// Threads that verify signatures; and one for those that take long, so that nobody else waits for them.
const VERIFIERS: [usize; 2] = [2, 1];

/// A RouterInfo that was published longer ago is asked for anew before it is used, if that can be done unseen.
const REFRESH_AFTER: Duration = lookup::MAX_AGE;

/// And so long one waits for it: what is to be sent waits, too.
const REFRESH_WITHIN: Duration = Duration::from_secs(4);

/// One of a router that could not be reached is asked for anew even earlier: it may have moved.
const REFRESH_FAILED_AFTER: Duration = Duration::from_secs(20 * 60);

/// Routers that could not be reached and are remembered for that.
const MAX_FAILED: usize = 4096;

/// RouterInfos that the operator gives us are taken for routers that were met, if they are no more than so many: a bundle of
/// chosen ones, not the whole database of some other router.
const TRUSTED: usize = 256;

/// Where the database lies and how much it may hold.
pub struct NetDbConfig {
    /// The file.
    pub database: PathBuf,
    /// RouterInfos, at most.
    pub max_routers: usize,
    /// Leasesets, at most.
    pub max_lease_sets: usize,
}

/// The way to the database; cheap to clone.
#[derive(Clone)]
pub struct NetDb(Arc<Inner>);

struct Inner {
    shared: Shared,
    /// The router's own tunnels.
    paths: Paths,
    judge: OnceLock<Recipient<Charged>>,
    rules: Rules,
    directory: Directory,
    throttle: Mutex<Throttle>,
    /// Routers that could not be reached with the RouterInfo of this time.
    failed: Mutex<HashMap<RouterHash, Wall>>,
    shares: Shares,
    storage: Storage,
    /// For usual signatures, and for those that take long.
    verifiers: [Addr<Verifier>; 2],
    shards: OnceLock<Vec<Addr<NetDbShard>>>,
    searches: OnceLock<Addr<Searches>>,
    publishing: OnceLock<Addr<Publishing>>,
}

impl NetDb {
    /// Opens the database and starts the actors.
    ///
    /// # Errors
    /// If the file cannot be opened or made. A damaged one is moved aside.
    pub(crate) fn start(
        shared: Shared,
        paths: Paths,
        config: &NetDbConfig,
        arbiters: &[ArbiterHandle],
    ) -> io::Result<Self> {
        let (storage, OnDisk { routers, lease_sets }) = Storage::open(&config.database)?;
        // Earlier versions wrote them.
        lease_sets.into_iter().for_each(|key| storage.forget(key));
        let rules = Rules { net_id: shared.net_id(), own: shared.hash(), floodfill: shared.floodfill() };
        let vitals = shared.vitals().clone();
        let netdb = Self(Arc::new(Inner {
            paths,
            judge: OnceLock::new(),
            failed: Mutex::default(),
            throttle: Mutex::new(Throttle::new(shared.floodfill(), shared.now().mono)),
            rules,
            directory: Directory::default(),
            shares: Shares::new(shared.transports().line().outbound.rate()),
            storage,
            verifiers: VERIFIERS.map(|threads| {
                let vitals = vitals.clone();
                SyncArbiter::start(threads, move || Verifier::new(&vitals))
            }),
            shards: OnceLock::new(),
            searches: OnceLock::new(),
            publishing: OnceLock::new(),
            shared,
        }));
        let mut parts: [Vec<Loaded>; SHARDS] = Default::default();
        for loaded in routers {
            parts[shard_of(loaded.info.hash().into())].push(loaded);
        }
        let store = store::Config {
            own: rules.own,
            floodfill: rules.floodfill,
            max_routers: config.max_routers.div_ceil(SHARDS),
            max_lease_sets: config.max_lease_sets.div_ceil(SHARDS),
            shards: SHARDS,
            private: netdb.0.shared.allow_private(),
        };
        let shards = parts.into_iter().enumerate().map(|(index, entries)| {
            let netdb = netdb.clone();
            NetDbShard::start_in_arbiter(&arbiters[index % ARBITERS], move |_| {
                NetDbShard::new(index, netdb, store, entries)
            })
        });
        // Each of these is set here and nowhere else.
        let _ = netdb.0.shards.set(shards.collect());
        let (searching, publishing) = (netdb.clone(), netdb.clone());
        let _ = netdb.0.searches.set(Searches::start_in_arbiter(&arbiters[0], |_| Searches::new(searching)));
        let _ = netdb.0.publishing.set(Publishing::start_in_arbiter(&arbiters[1], |_| Publishing::new(publishing)));
        Ok(netdb)
    }

    /// A DatabaseStore message.
    pub fn store(&self, incoming: Incoming) {
        let (shared, bearer) = (self.shared(), self.bearer(incoming.origin));
        if !incoming.origin.way().is_own() && !self.0.shares.store(&bearer, shared.now().mono) {
            return control::NETDB_STORES.add([StoreOutcome::OverShare.label()], 1);
        }
        match key_of(&incoming) {
            Some(key) => self.tell(key, Stored(incoming, bearer)),
            None => ControlDrop::Malformed.count(),
        }
    }

    /// A DatabaseLookup message.
    pub fn lookup(&self, incoming: Incoming) {
        let (shared, bearer) = (self.shared(), self.bearer(incoming.origin));
        if !self.0.shares.lookup(&bearer, shared.now().mono) {
            return control::NETDB_LOOKUPS.add([LookupOutcome::OverShare.label()], 1);
        }
        match key_of(&incoming) {
            Some(key) => self.tell(key, Asked(incoming, bearer)),
            None => ControlDrop::Malformed.count(),
        }
    }

    /// Something has happened with a router. Never lost: it decides who stays.
    pub(crate) fn note(&self, router: RouterHash, standing: Standing) {
        if let Some(shard) = self.shard(shard_of(router.into())) {
            self.0.shared.mailboxes().entered(Mailbox::NetDbShard);
            wait_for_room(shard, Met(router, standing));
        }
    }

    fn bearer(&self, origin: Origin) -> Bearer {
        self.0.shared.bearer(origin)
    }

    /// A DatabaseSearchReply message.
    pub fn search_reply(&self, incoming: Incoming) {
        self.search(Replied(incoming));
    }

    /// Publish our RouterInfo at the floodfills.
    pub fn publish(&self, info: RouterInfo) {
        self.tell(info.hash().into(), Own(info.clone()));
        if self.0.shared.floodfill() {
            self.send_copies(&info.clone().into(), None);
        }
        if let Some(publishing) = self.0.publishing.get() {
            self.0.shared.mailboxes().offer(Mailbox::Publishing, || publishing.try_send(Publish(info)));
        }
    }

    /// Routers and leasesets that we know, ourselves left out.
    pub fn counts(&self) -> (usize, usize) {
        self.0.directory.counts()
    }

    /// Writes what is not on disk yet.
    pub async fn flush(&self) {
        self.0.storage.flush().await;
    }

    /// Writes what is not on disk yet, and closes the file: the database keeps nothing from then on.
    pub async fn close(&self) {
        self.0.storage.close().await;
    }

    /// A RouterInfo from a handshake or a transport's block.
    pub fn router_info(&self, received: &RouterInfoReceived) {
        let bearer = received.from.map_or(Bearer::NOBODY, |from| self.0.shared.bearer_of(from));
        if !self.0.shares.store(&bearer, self.0.shared.now().mono) {
            return control::NETDB_STORES.add([StoreOutcome::OverShare.label()], 1);
        }
        if let Some(offered) = offered(received, bearer) {
            self.tell(offered.info.hash().into(), offered);
        }
    }

    /// The RouterInfo of a router that has called us: its signature was verified in the handshake, and is not again.
    pub(crate) fn verified_router_info(&self, info: VerifiedRouterInfo) {
        let (key, from, bearer) = (info.hash().into(), Some(info.hash()), self.0.shared.bearer_of(info.hash()));
        self.tell(key, Offered { info: info.into(), from, bearer, flood: false, verified: true });
    }

    /// RouterInfos from files and bundles: each waits for its turn.
    pub async fn bootstrap(&self, found: Vec<Bytes>) -> Imported {
        let mut imported = Imported::default();
        let trusted = found.len() <= TRUSTED;
        for bytes in found {
            let received = RouterInfoReceived { from: None, bytes, flood: false };
            let Some(offered) = offered(&received, Bearer::NOBODY) else {
                imported.refuse("malformed");
                continue;
            };
            let (hash, entry) = (offered.info.hash(), Entry::from(offered.info.clone()));
            let now = self.0.shared.now().wall;
            // The shard judges again; here it is asked why.
            if let Err(refusal) = self.0.rules.judge_content(&entry, Source::Import, None, 0, now) {
                control::NETDB_STORES.add([refusal.name()], 1);
                imported.refuse(refusal.name());
            } else if self.ask(hash.into(), offered).await == Some(true) {
                imported.taken += 1;
                if trusted {
                    self.tell(hash.into(), Trust(hash));
                }
            } else if self.known_router(hash).await.is_some() {
                imported.refuse(Refusal::NotNewer.name());
            } else {
                imported.refuse(Refusal::BadSignature.name());
            }
        }
        imported
    }

    /// Takes RouterInfos from files, each in its turn, and says in the log what became of them.
    pub(crate) fn read_files(&self, found: Vec<Bytes>) {
        let netdb = self.clone();
        actix::spawn(async move {
            let imported = netdb.bootstrap(found).await;
            if imported.is_poor() {
                let advice = imported.advice(netdb.0.rules.net_id);
                tracing::warn!("RouterInfos of network.bootstrap: {imported}; {advice}");
            } else {
                tracing::info!("RouterInfos of network.bootstrap: {imported}");
            }
        });
    }

    /// By what rules entries are taken.
    pub(crate) fn rules_of(&self) -> Rules {
        self.0.rules
    }

    /// A RouterInfo of ours, or one that a search in the network brings.
    pub fn find_router(&self, hash: RouterHash) -> impl Future<Output = Option<RouterInfo>> + use<> + 'static {
        let netdb = self.clone();
        async move { netdb.find(Get::Router(hash)).await?.as_router_info().cloned() }
    }

    /// A leaseset that we have, or one that a search in the network brings.
    pub async fn find_lease_set(&self, destination: DestinationHash) -> Option<Entry> {
        self.find(Get::LeaseSet(destination.into())).await.filter(|entry| entry.kind().is_lease_set())
    }

    /// The RouterInfo of a router that we know.
    pub async fn known_router(&self, hash: RouterHash) -> Option<RouterInfo> {
        self.ask(hash.into(), Get::Router(hash)).await??.as_router_info().cloned()
    }

    /// The RouterInfo of a router that we know, or that comes to be known within this time.
    pub(crate) async fn router_within(&self, hash: RouterHash, within: Duration) -> Option<RouterInfo> {
        actix::clock::timeout(within, self.ask(hash.into(), Await(hash))).await.ok()??
    }

    /// All routers that we know, ourselves left out.
    pub async fn routers(&self) -> Vec<RouterInfo> {
        let mut all = Vec::new();
        for shard in 0..SHARDS {
            all.extend(self.ask_shard(shard, All).await.unwrap_or_default());
        }
        all
    }

    /// Floodfills that are worth being asked.
    pub fn floodfills(&self) -> Arc<Floodfills> {
        self.0.directory.floodfills()
    }

    /// True if we have the RouterInfo of this router.
    pub(crate) fn knows(&self, router: &RouterHash) -> bool {
        self.0.directory.knows(router)
    }

    /// Has `to` told of all routers that we know, and of each change from then on, in order for each router.
    pub fn subscribe(&self, to: Recipient<RouterKnown>) {
        (0..SHARDS).zip(std::iter::repeat(to)).for_each(|(shard, to)| self.tell_shard(shard, Subscribe(to)));
    }

    /// A router could not be reached: nobody needs to wait for its answer.
    pub fn unreachable(&self, router: RouterHash) {
        let mut failed = self.0.failed.lock();
        if failed.len() >= MAX_FAILED {
            failed.clear();
        }
        failed.insert(router, self.0.shared.now().wall);
        drop(failed);
        if self.floodfills().contains(&router) {
            self.search(Unreachable(router));
            if let Some(publishing) = self.0.publishing.get() {
                self.0.shared.mailboxes().offer(Mailbox::Publishing, || publishing.try_send(Unreachable(router)));
            }
        }
    }

    /// What we have, or what the network has. An old RouterInfo is asked for anew, if that can be done unseen: through our
    /// own tunnels, without a call to anybody.
    async fn find(&self, get: Get) -> Option<Entry> {
        let now = self.0.shared.now().wall;
        let held = self.ask(get.key(), get).await.flatten();
        let held = held.filter(|entry| entry.expires().is_none_or(|end| end > now));
        let kind = if matches!(get, Get::Router(_)) { LookupKind::RouterInfo } else { LookupKind::LeaseSet };
        let Some(held) = held else { return self.search_for(get.key(), kind).await };
        let is_old = held.as_router_info().is_some_and(|info| self.is_old(info, now));
        if !is_old || get.key() == self.0.shared.hash().into() || !self.has_tunnels() {
            return Some(held);
        }
        let found = actix::clock::timeout(REFRESH_WITHIN, self.search_for(get.key(), kind)).await;
        Some(found.ok().flatten().unwrap_or(held))
    }

    /// Whether it is better to ask for another one before this is used.
    fn is_old(&self, info: &RouterInfo, now: Wall) -> bool {
        is_old(info.published(), self.0.failed.lock().get(&info.hash()).copied(), now)
    }

    async fn search_for(&self, key: NetDbKey, kind: LookupKind) -> Option<Entry> {
        let searches = self.0.searches.get()?;
        self.0.shared.mailboxes().entered(Mailbox::Searches);
        searches.send(Find { key, kind }).await.ok().flatten()
    }

    fn has_tunnels(&self) -> bool {
        let own = self.0.paths.get();
        !own.outbound.is_empty() && !own.inbound.is_empty()
    }

    /// What a search waits for is here.
    fn found(&self, entry: Entry) {
        self.search(Found(entry));
    }

    /// Sends an entry to the floodfills that are to have it too.
    fn send_copies(&self, entry: &Entry, from: Option<RouterHash>) {
        let shared = &self.0.shared;
        let Ok(body) = DatabaseStore::new(entry.clone()).to_body() else { return };
        let now = shared.now().wall;
        for target in flood::targets(entry, &self.floodfills(), shared.hash(), from, now) {
            control::NETDB_FLOODS.add([], 1);
            let message = shared.message(MessageType::DatabaseStore, body.clone());
            if !shared.send_for(Account::Strangers, target, message) {
                ControlDrop::DataPlaneFull.count();
            }
        }
    }

    fn search<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Searches: Handler<M>,
    {
        if let Some(searches) = self.0.searches.get() {
            self.0.shared.mailboxes().offer(Mailbox::Searches, || searches.try_send(message));
        }
    }

    fn tell<M>(&self, key: NetDbKey, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        NetDbShard: Handler<M>,
    {
        self.tell_shard(shard_of(key), message);
    }

    fn tell_shard<M>(&self, shard: usize, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        NetDbShard: Handler<M>,
    {
        let Some(addr) = self.shard(shard) else { return };
        if self.0.shared.mailboxes().post(Mailbox::NetDbShard, || addr.try_send(message)).is_err() {
            ControlDrop::NetDbShardFull.count();
        }
    }

    async fn ask<M>(&self, key: NetDbKey, message: M) -> Option<M::Result>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        NetDbShard: Handler<M>,
    {
        self.ask_shard(shard_of(key), message).await
    }

    async fn ask_shard<M>(&self, shard: usize, message: M) -> Option<M::Result>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        NetDbShard: Handler<M>,
    {
        let addr = self.shard(shard)?;
        self.0.shared.mailboxes().entered(Mailbox::NetDbShard);
        addr.send(message).await.ok()
    }

    fn shard(&self, index: usize) -> Option<&Addr<NetDbShard>> {
        self.0.shards.get()?.get(index)
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn rules(&self) -> &Rules {
        &self.0.rules
    }

    fn directory(&self) -> &Directory {
        &self.0.directory
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn verifier(&self, cost: Cost) -> &Addr<Verifier> {
        &self.0.verifiers[cost as usize]
    }

    fn shares(&self) -> &Shares {
        &self.0.shares
    }

    /// The line has changed: answers to strangers are a part of it.
    pub(crate) fn set_line(&self, bytes_per_second: u64) {
        self.0.shares.set_line(bytes_per_second);
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.0.throttle.lock()
    }

    /// Who is to hear of what routers store with us.
    pub(crate) fn set_judge(&self, judge: Recipient<Charged>) {
        let _ = self.0.judge.set(judge);
    }

    /// A router has stored something that no rule allows.
    fn charge(&self, router: RouterHash, refusal: Refusal) {
        let charge = Charge::from(refusal);
        if let Some(judge) = self.0.judge.get().filter(|_| charge.weight > Weight::Nothing) {
            let charged = Charged { router: Some(router), address: None, charge };
            self.0.shared.mailboxes().offer(Mailbox::Judge, || judge.try_send(charged));
        }
    }

    fn paths(&self) -> &Paths {
        &self.0.paths
    }

    /// A message has left a mailbox.
    fn left(&self, mailbox: Mailbox) {
        self.0.shared.mailboxes().left(mailbox);
    }
}

/// The key that a DatabaseStore or DatabaseLookup begins with.
fn key_of(incoming: &Incoming) -> Option<NetDbKey> {
    Reader::new(&incoming.message.body).array().ok().map(NetDbKey)
}

/// A RouterInfo with bytes of its own, as it is kept for long.
fn offered(received: &RouterInfoReceived, bearer: Bearer) -> Option<Offered> {
    match RouterInfo::parse(Bytes::copy_from_slice(&received.bytes)) {
        Ok(info) => Some(Offered { info, from: received.from, bearer, flood: received.flood, verified: false }),
        Err(_) => {
            control::NETDB_STORES.add([StoreOutcome::Malformed.label()], 1);
            None
        }
    }
}

/// Takes RouterInfos into a database that no node has open, by the rules that a node with this number of its network would
/// apply at this time.
///
/// # Errors
/// If the database cannot be opened or written.
pub fn import(database: &Path, found: Vec<Bytes>, rules: &Rules, now: Wall) -> io::Result<Imported> {
    let held = storage::read_offline(database)?;
    let mut newest: HashMap<RouterHash, Wall> = held.iter().map(|l| (l.info.hash(), l.info.published())).collect();
    let mut taken = HashMap::new();
    let mut imported = Imported::default();
    for bytes in found {
        let Ok(info) = RouterInfo::parse(bytes) else {
            imported.refuse("malformed");
            continue;
        };
        let hash = info.hash();
        let verdict = match newest.get(&hash) {
            Some(held) if info.published() <= *held => Err(Refusal::NotNewer),
            _ => rules.judge(&info.clone().into(), Source::Bundle, None, 0, now),
        };
        match verdict {
            Err(refusal) => imported.refuse(refusal.name()),
            Ok(()) => {
                imported.taken += 1;
                newest.insert(hash, info.published());
                taken.insert(hash, info);
            }
        }
    }
    storage::write_offline(database, taken.into_values().collect())?;
    Ok(imported)
}

/// The RouterInfos of a database that no node has open.
///
/// # Errors
/// If it cannot be opened.
pub fn routers_in(database: &Path) -> io::Result<Vec<RouterInfo>> {
    let held = storage::read_offline(database)?;
    Ok(held.into_iter().map(|loaded| loaded.info).collect())
}

/// Whether a RouterInfo of then is asked for anew, when the router was last called in vain at `failed`.
fn is_old(published: Wall, failed: Option<Wall>, now: Wall) -> bool {
    let failed = failed.is_some_and(|at| at >= published);
    now.since(published) > if failed { REFRESH_FAILED_AFTER } else { REFRESH_AFTER }
}

#[cfg(test)]
mod tests;
