//! One shard of the netDb in memory: what is held, what is forgotten, and what an embedded store has to keep.
//!
//! ```text
//! routers     RouterInfos: whoever was met stays, whoever nobody has met gives way      on disk
//! published   LeaseSets that were stored with us, given to others                       in memory: they end in minutes
//! searched    LeaseSets that came in answer to a search of ours, for nobody else        in memory
//! ```
//! Entries of different kinds may have one key, since any RouterIdentity is a valid Destination; they know nothing of each
//! other.
//!
//! spec: network-database §RouterInfo Expiration, §RouterInfo Persistent Storage, §Segmentation Structure
//!
//! Invariants: never more than the bounds; what came in answer to a search of ours is not given to others, or they could
//! tell what we look for, nor does it change the answer to what they publish.

mod lease_sets;
mod routers;
mod surplus;

pub use routers::Standing;

use super::rules::{self, Source};
use super::sybil;
use crate::bearer::{Bearer, Network};
use crate::data::entry::Entry;
use crate::data::router_info::RouterInfo;
use crate::id::{NetDbKey, RouterHash};
use crate::time::{Mono, Now, Wall};
use lease_sets::LeaseSets;
use routers::Routers;
use std::collections::VecDeque;
use std::time::Duration;

/// How often expired entries are looked for.
pub const SWEEP: Duration = Duration::from_secs(60);
/// No RouterInfo expires in the first hour, as those in the files may all be old; nor while so few are known.
const GRACE: Duration = Duration::from_secs(3600);
const FEW: usize = 25;
/// Others are told of routers whose RouterInfo was published in this time. INTEROP: an hour at Java; a router publishes
/// every half hour or so, and what it says takes its time.
const TOLD_FOR: Duration = Duration::from_secs(90 * 60);
/// Of all LeaseSets so many may be of searches of ours.
const SEARCHED_PARTS: usize = 8;

/// What bounds a shard.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Ourselves: what is close to us is kept longest.
    pub own: RouterHash,
    /// Floodfills keep RouterInfos for an hour only.
    pub floodfill: bool,
    /// RouterInfos in this shard.
    pub max_routers: usize,
    /// LeaseSets that were published, in this shard.
    pub max_lease_sets: usize,
    /// Shards in all: to reckon how many routers are known.
    pub shards: usize,
    /// A private network, in which all share a few subnets.
    pub private: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Keep it on disk, in place of what is there.
    Persist {
        /// The RouterInfo.
        info: RouterInfo,
        /// It may be given to others.
        public: bool,
    },
    /// A router is no longer here, and is to be removed from disk.
    Forget(RouterHash),
    /// Routers came, went, or came to be told of or not: snapshots are stale. Said once until polled.
    RoutersChanged,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries that were not there.
    pub added: u64,
    /// Entries that took the place of an older one.
    pub updated: u64,
    /// Entries whose time was up.
    pub expired: u64,
    /// Entries that gave way.
    pub evicted: u64,
    /// RouterInfos that would have expired, were there enough fresh ones to prove that our clock is right.
    pub spared: u64,
}

/// A router, as far as whoever chooses among all of them needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub router: RouterHash,
    /// It is a floodfill that is worth being asked.
    pub floodfill: bool,
    /// It was reached.
    pub proven: bool,
    /// The wide network that it says it is in, if it says so; none in private networks.
    pub wide: Option<Network>,
    /// Since when it is known.
    pub first: Mono,
    /// It looks like one of many names of one person: to be left alone.
    pub suspect: bool,
    /// Others may be told of it.
    pub told: bool,
}

/// A shard. After any change drain [`Store::poll_output`], then re-arm one timer.
#[derive(Debug)]
pub struct Store {
    config: Config,
    routers: Routers,
    published: LeaseSets,
    searched: LeaseSets,
    started: Mono,
    next_sweep: Mono,
    out: VecDeque<Out>,
    routers_changed: bool,
    stats: Stats,
}

impl Store {
    /// An empty shard.
    pub fn new(config: Config, now: Now) -> Self {
        Self {
            config,
            routers: Routers::new(config.own, config.max_routers, config.private),
            published: LeaseSets::new(config.own, config.max_lease_sets),
            searched: LeaseSets::new(config.own, (config.max_lease_sets / SEARCHED_PARTS).max(8)),
            started: now.mono,
            next_sweep: now.mono + SWEEP,
            out: VecDeque::new(),
            routers_changed: false,
            stats: Stats::default(),
        }
    }

    /// Takes an entry that was judged by the rules, and that `bearer` brought. True if it is new or newer than what was
    /// there; then a floodfill may flood it.
    pub fn insert(&mut self, now: Now, entry: Entry, source: Source, bearer: &Bearer) -> bool {
        match entry {
            Entry::RouterInfo(info) => self.insert_router(now, info, source != Source::Reply, bearer),
            lease_set => {
                let into = if source == Source::Reply { &mut self.searched } else { &mut self.published };
                let inserted = into.insert(now.wall, lease_set, bearer);
                self.stats.evicted += inserted.evicted as u64;
                self.stats.updated += u64::from(inserted.taken && inserted.updated);
                self.stats.added += u64::from(inserted.taken && !inserted.updated);
                inserted.taken
            }
        }
    }

    fn insert_router(&mut self, now: Now, info: RouterInfo, public: bool, bearer: &Bearer) -> bool {
        let hash = info.hash();
        let held = self.routers.get(&hash);
        let (was_there, was_public) = (held.is_some(), held.is_some_and(|held| held.public));
        // What only we know of gives way to anything that others bring, also to what is older: else it would show.
        let unknown = public && !was_public;
        if !public && was_public {
            let newer = held.is_some_and(|held| info.published() > held.newest().published());
            if newer {
                self.out.push_back(Out::Persist { info: info.clone(), public: false });
                self.routers.keep_newer(info);
                self.stats.updated += 1;
            }
            return newer;
        }
        if held.is_some_and(|held| info.published() <= held.info.published() && !unknown) {
            self.routers.second(&hash, bearer);
            return false;
        }
        self.routers_changed = true;
        let gone = self.routers.put(now, info, public || was_public, bearer);
        self.persist(&hash);
        self.stats.added += u64::from(!was_there);
        self.stats.updated += u64::from(was_there);
        self.evicted(gone);
        self.routers.get(&hash).is_some()
    }

    fn persist(&mut self, router: &RouterHash) {
        if let Some(held) = self.routers.get(router) {
            self.out.push_back(Out::Persist { info: held.info.clone(), public: held.public });
        }
    }

    fn evicted(&mut self, gone: Vec<RouterHash>) {
        self.stats.evicted += gone.len() as u64;
        self.out.extend(gone.into_iter().map(Out::Forget));
    }

    /// Takes what is on disk: nothing of it is removed there, also if there is no room for it here. How many had none.
    pub fn load(&mut self, now: Now, entries: impl IntoIterator<Item = (RouterInfo, bool)>) -> usize {
        let mut left_out = 0;
        for (info, public) in entries {
            left_out += self.routers.put(now, info, public, &Bearer::NOBODY).len();
        }
        self.routers.look_for_crowds(now.mono);
        self.routers_changed = true;
        left_out
    }

    /// Everything that belongs on disk, for a disk that has lost something.
    pub fn to_persist(&self) -> impl Iterator<Item = Out> {
        let others = self.routers.iter().filter(|held| held.info.hash() != self.config.own);
        others.map(|held| Out::Persist { info: held.info.clone(), public: held.public })
    }

    /// Removes a RouterInfo, for instance of a router that was banned for good.
    pub fn remove_router(&mut self, router: RouterHash) -> Option<RouterInfo> {
        let held = self.routers.remove(&router)?;
        self.routers_changed = true;
        self.out.push_back(Out::Forget(router));
        Some(held.info)
    }

    /// Notes what happened with a router.
    pub fn note(&mut self, now: Now, router: RouterHash, standing: Standing) {
        self.routers_changed |= self.routers.note(router, standing, now.mono);
        // Whoever asks us for one to whom we are connected learns no more than that.
        if standing != Standing::Disconnected && self.routers.make_public(&router) {
            self.routers_changed = true;
            self.persist(&router);
        }
    }

    /// The RouterInfo of a router, for our own use.
    pub fn router(&self, router: RouterHash) -> Option<&RouterInfo> {
        self.routers.get(&router).map(|held| held.newest())
    }

    /// The LeaseSet under `key`, for our own use: the newest that we have, however it came.
    pub fn lease_set(&self, key: NetDbKey) -> Option<&Entry> {
        match (self.searched.get(key), self.published.get(key)) {
            (Some(searched), Some(published)) if rules::is_newer(published, searched) => Some(published),
            (searched, published) => searched.or(published),
        }
    }

    /// The RouterInfo of a router, if it may be given to others.
    pub fn public_router(&self, router: RouterHash) -> Option<&RouterInfo> {
        self.routers.get(&router).filter(|held| held.public).map(|held| &held.info)
    }

    /// The LeaseSet under `key`, if it may be given to others: as if we had never searched for it.
    pub fn public_lease_set(&self, key: NetDbKey) -> Option<&Entry> {
        self.published.get(key)
    }

    /// What an entry of this kind that comes from this source would replace.
    pub fn rival(&self, entry: &Entry, source: Source) -> Option<Entry> {
        match entry {
            Entry::RouterInfo(info) if source == Source::Reply => self.router(info.hash()).cloned().map(Entry::from),
            Entry::RouterInfo(info) => self.public_router(info.hash()).cloned().map(Entry::from),
            lease_set if source == Source::Reply => self.searched.get(lease_set.key()).cloned(),
            lease_set => self.published.get(lease_set.key()).cloned(),
        }
    }

    /// All RouterInfos, in the order of their hashes.
    pub fn routers(&self) -> impl Iterator<Item = &RouterInfo> {
        self.routers.iter().map(|held| &held.info)
    }

    /// All LeaseSets that were published.
    pub fn lease_sets(&self) -> impl Iterator<Item = &Entry> {
        self.published.iter()
    }

    /// All routers but ourselves, for whoever chooses among them.
    pub fn listing(&self, now: Now) -> impl Iterator<Item = Listed> {
        let others = self.routers.iter().filter(|held| held.info.hash() != self.config.own);
        others.map(move |held| {
            let (info, router) = (&held.info, held.info.hash());
            let suspect = self.routers.is_suspect(held, now.mono);
            let fresh = now.wall.since(info.published()) <= TOLD_FOR;
            Listed {
                router,
                floodfill: rules::is_usable_floodfill(info),
                proven: self.routers.is_proven(&router, now.mono),
                wide: held.wide_claim(),
                first: held.first(),
                suspect,
                told: held.public && fresh && !suspect && sybil::is_presentable(info),
            }
        })
    }

    /// How many RouterInfos there are.
    pub fn router_count(&self) -> usize {
        self.routers.len()
    }

    /// How many LeaseSets were published with us.
    pub fn lease_set_count(&self) -> usize {
        self.published.len()
    }

    /// How many routers are known in all shards, roughly.
    pub fn known_routers(&self) -> usize {
        self.routers.len().saturating_mul(self.config.shards.max(1))
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Forgets what has expired, and looks for crowds.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.mono < self.next_sweep {
            return;
        }
        self.next_sweep = now.mono + SWEEP;
        self.stats.expired += (self.published.expire(now.wall) + self.searched.expire(now.wall)) as u64;
        self.expire_routers(now);
        self.routers.look_for_crowds(now.mono);
        // Whoever was fresh may be no more.
        self.routers_changed = true;
    }

    fn expire_routers(&mut self, now: Now) {
        let known = self.known_routers();
        if now.mono.saturating_sub(self.started) < GRACE || known <= FEW {
            return;
        }
        let expired =
            |info: &RouterInfo| now.wall.since(info.published()) > rules::max_age(info, known, self.config.floodfill);
        let stays = |hash: &RouterHash| *hash == self.config.own || self.routers.is_connected(hash);
        let gone: Vec<RouterHash> =
            self.routers().filter(|info| expired(info) && !stays(&info.hash())).map(RouterInfo::hash).collect();
        // With a clock that is far ahead all are old, and what comes is refused; then nothing is thrown away.
        let fresh = self.routers().filter(|info| is_fresh(info, now.wall)).count();
        if fresh.saturating_mul(self.config.shards.max(1)) <= FEW {
            self.stats.spared += gone.len() as u64;
            return;
        }
        for hash in gone {
            self.stats.expired += 1;
            self.remove_router(hash);
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Out> {
        if std::mem::take(&mut self.routers_changed) {
            return Some(Out::RoutersChanged);
        }
        self.out.pop_front()
    }

    /// When to call [`Store::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        Some(self.next_sweep)
    }
}

/// Published in the last hour, by our clock.
fn is_fresh(info: &RouterInfo, now: Wall) -> bool {
    now.since(info.published()) < Duration::from_secs(3600) && info.published() <= now.plus(rules::MAX_FUTURE)
}

#[cfg(test)]
mod tests;
