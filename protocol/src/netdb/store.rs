//! One shard of the netDb in memory: what is held, what is forgotten, and what an embedded store has to keep.
//!
//! spec: network-database §RouterInfo Expiration, §RouterInfo Persistent Storage, §Segmentation Structure
//!
//! Invariants: never more than `max_routers` and `max_lease_sets`; a LeaseSet that came in answer to a search of ours
//! is not given to others, or they could tell what we look for, and for the same reason it is not written to disk.

use super::routing_key::{Day, distance, routing_key};
use super::rules::{self, SKEW, Source};
use crate::data::entry::{Entry, EntryKind};
use crate::data::router_info::RouterInfo;
use crate::id::{NetDbKey, RouterHash};
use crate::time::{Mono, Now, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How often expired entries are looked for.
pub const SWEEP: Duration = Duration::from_secs(60);
/// No RouterInfo expires in the first hour, as those in the files may all be old; nor while so few are known.
const GRACE: Duration = Duration::from_secs(3600);
const FEW: usize = 25;
/// RouterInfos are compared by age in steps of this, and by distance within a step.
const AGE_STEP: Duration = Duration::from_secs(30 * 60);

/// What bounds a shard.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Ourselves: what is close to us is kept longest.
    pub own: RouterHash,
    /// Floodfills keep RouterInfos for an hour only.
    pub floodfill: bool,
    /// RouterInfos in this shard.
    pub max_routers: usize,
    /// LeaseSets in this shard.
    pub max_lease_sets: usize,
    /// Shards in all: to reckon how many routers are known.
    pub shards: usize,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Keep it on disk, in place of what is there.
    Persist(Entry),
    /// Remove it from disk.
    Forget(EntryKind, NetDbKey),
    /// Routers came, went, or became or ceased to be floodfills: snapshots are stale. Said once until polled.
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
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    /// Someone stored it with us, so it may be given out.
    public: bool,
}

/// A shard. After any change drain [`Store::poll_output`], then re-arm one timer.
#[derive(Debug)]
pub struct Store {
    config: Config,
    entries: BTreeMap<NetDbKey, Held>,
    routers: usize,
    lease_sets: usize,
    pinned: BTreeSet<RouterHash>,
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
            entries: BTreeMap::new(),
            routers: 0,
            lease_sets: 0,
            pinned: BTreeSet::new(),
            started: now.mono,
            next_sweep: now.mono + SWEEP,
            out: VecDeque::new(),
            routers_changed: false,
            stats: Stats::default(),
        }
    }

    /// Takes an entry that was judged by the rules. True if it is new or newer than what was there; then a floodfill
    /// may flood it.
    pub fn insert(&mut self, now: Now, entry: Entry, source: Source) -> bool {
        let key = entry.key();
        let mut public = source == Source::Unsolicited || !entry.kind().is_lease_set();
        if let Some(held) = self.entries.get_mut(&key) {
            let became_public = public && !held.public;
            held.public |= public;
            public = held.public;
            if !rules::is_newer(&entry, &held.entry) {
                if became_public {
                    self.out.push_back(Out::Persist(held.entry.clone()));
                }
                return false;
            }
        }
        if let Entry::RouterInfo(info) = &entry {
            let was = self.entries.get(&key).map(|h| is_floodfill(&h.entry));
            self.routers_changed |= was != Some(rules::is_usable_floodfill(info));
        }
        if public && source != Source::Import {
            self.out.push_back(Out::Persist(entry.clone()));
        }
        let is_lease_set = entry.kind().is_lease_set();
        match self.entries.insert(key, Held { entry, public }) {
            None => {
                self.stats.added += 1;
                self.count(is_lease_set, 1);
            }
            Some(_) => self.stats.updated += 1,
        }
        if self.routers > self.config.max_routers {
            self.evict_routers(now.wall);
        }
        if self.lease_sets > self.config.max_lease_sets {
            self.evict_lease_sets();
        }
        true
    }

    /// Removes an entry, for instance of a router that was banned for good.
    pub fn remove(&mut self, key: NetDbKey) -> Option<Entry> {
        let held = self.entries.remove(&key)?;
        let is_lease_set = held.entry.kind().is_lease_set();
        self.routers_changed |= !is_lease_set;
        if held.public {
            self.out.push_back(Out::Forget(held.entry.kind(), key));
        }
        self.count(is_lease_set, -1);
        Some(held.entry)
    }

    /// The entry under `key`, for our own use.
    pub fn get(&self, key: NetDbKey) -> Option<&Entry> {
        self.entries.get(&key).map(|h| &h.entry)
    }

    /// The RouterInfo of a router.
    pub fn router(&self, router: RouterHash) -> Option<&RouterInfo> {
        self.get(router.into())?.as_router_info()
    }

    /// The entry under `key`, if it may be given to others.
    pub fn public_entry(&self, key: NetDbKey) -> Option<&Entry> {
        self.entries.get(&key).filter(|h| h.public).map(|h| &h.entry)
    }

    /// Keeps a router (one that we are connected to) whatever its age, or no longer. The caller bounds how many.
    pub fn pin(&mut self, router: RouterHash, pinned: bool) {
        if pinned {
            self.pinned.insert(router);
        } else {
            self.pinned.remove(&router);
        }
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|h| &h.entry)
    }

    /// All RouterInfos, in the order of their hashes.
    pub fn routers(&self) -> impl Iterator<Item = &RouterInfo> {
        self.entries.values().filter_map(|h| h.entry.as_router_info())
    }

    /// How many RouterInfos there are.
    pub fn router_count(&self) -> usize {
        self.routers
    }

    /// How many LeaseSets there are.
    pub fn lease_set_count(&self) -> usize {
        self.lease_sets
    }

    /// How many routers are known in all shards, roughly.
    pub fn known_routers(&self) -> usize {
        self.routers.saturating_mul(self.config.shards.max(1))
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Forgets what has expired.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.mono < self.next_sweep {
            return;
        }
        self.next_sweep = now.mono + SWEEP;
        let known = self.known_routers();
        let routers_expire = now.mono.saturating_sub(self.started) >= GRACE && known > FEW;
        let gone: Vec<NetDbKey> = self
            .entries
            .iter()
            .filter(|(_, held)| match &held.entry {
                Entry::RouterInfo(info) => {
                    let max_age = rules::max_age(info, known, self.config.floodfill);
                    routers_expire && now.wall.since(info.published()) > max_age && !self.pinned.contains(&info.hash())
                }
                lease_set => lease_set.expires().is_some_and(|e| e.plus(SKEW) < now.wall),
            })
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.stats.expired += 1;
            self.remove(key);
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

    fn count(&mut self, is_lease_set: bool, by: isize) {
        let count = if is_lease_set { &mut self.lease_sets } else { &mut self.routers };
        *count = count.saturating_add_signed(by);
    }

    /// Makes room for a while: a sixteenth goes at once, stale ones first, then those that are far from us, then
    /// floodfills, which everything else depends on.
    fn evict_routers(&mut self, now: Wall) {
        let day = Day::of(now);
        let mut by_use: Vec<_> = self
            .routers()
            .filter(|info| !self.pinned.contains(&info.hash()))
            .map(|info| {
                let age = now.since(info.published()).as_secs() / AGE_STEP.as_secs();
                let place = routing_key(info.hash().into(), day);
                (age, !info.caps().floodfill, distance(&place, &self.config.own), info.hash())
            })
            .collect();
        let surplus = self.routers.saturating_sub(self.config.max_routers - self.config.max_routers / 16);
        self.evict(&mut by_use, surplus, |(.., hash)| NetDbKey::from(*hash));
    }

    /// A sixteenth goes at once, those that end first.
    fn evict_lease_sets(&mut self) {
        let mut by_end: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, held)| Some((std::cmp::Reverse(held.entry.expires()?), *key)))
            .collect();
        let surplus = self.lease_sets.saturating_sub(self.config.max_lease_sets - self.config.max_lease_sets / 16);
        self.evict(&mut by_end, surplus, |(_, key)| *key);
    }

    /// Removes the `surplus` greatest.
    fn evict<T: Ord>(&mut self, ranked: &mut [T], surplus: usize, key: impl Fn(&T) -> NetDbKey) {
        let surplus = surplus.min(ranked.len());
        let keep = ranked.len() - surplus;
        if surplus == 0 {
            return;
        }
        ranked.select_nth_unstable(keep);
        for gone in ranked.iter().skip(keep) {
            self.stats.evicted += 1;
            self.remove(key(gone));
        }
    }
}

fn is_floodfill(entry: &Entry) -> bool {
    entry.as_router_info().is_some_and(rules::is_usable_floodfill)
}

#[cfg(test)]
mod tests;
