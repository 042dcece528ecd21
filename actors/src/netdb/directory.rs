//! What all of the netDb's actors read without asking each other: who the routers are, how many entries there are, and
//! what we look for.

use super::SHARDS;
use crate::series::control;
use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::router_set::RouterSet;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The kinds of entries, as metrics name them.
pub(super) const KINDS: [&str; 5] = ["router_info", "lease_set", "lease_set2", "encrypted_lease_set", "meta_lease_set"];

/// What the shards publish: sets of routers, counts, and the keys that searches look for.
#[derive(Default)]
pub(super) struct Directory {
    floodfills: ArcSwap<RouterSet>,
    others: ArcSwap<RouterSet>,
    generation: AtomicU64,
    parts: Mutex<[Part; SHARDS]>,
    counts: [Counts; SHARDS],
    wanted: RwLock<HashSet<NetDbKey>>,
}

/// The routers of one shard, ourselves left out.
#[derive(Default)]
pub(super) struct Part {
    /// Floodfills that are worth being asked.
    pub(super) floodfills: Vec<RouterHash>,
    /// All others.
    pub(super) others: Vec<RouterHash>,
}

#[derive(Default)]
struct Counts {
    routers: AtomicUsize,
    lease_sets: AtomicUsize,
    kinds: [AtomicUsize; KINDS.len()],
}

impl Directory {
    /// Usable floodfills.
    pub(super) fn floodfills(&self) -> Arc<RouterSet> {
        self.floodfills.load_full()
    }

    /// All other routers.
    pub(super) fn others(&self) -> Arc<RouterSet> {
        self.others.load_full()
    }

    /// Rises whenever the sets change.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Replaces what one shard contributes to the sets.
    pub(super) fn set_part(&self, shard: usize, part: Part) {
        let mut parts = self.parts.lock();
        if let Some(slot) = parts.get_mut(shard) {
            *slot = part;
        }
        self.floodfills.store(Arc::new(parts.iter().flat_map(|p| p.floodfills.iter().copied()).collect()));
        self.others.store(Arc::new(parts.iter().flat_map(|p| p.others.iter().copied()).collect()));
        self.generation.fetch_add(1, Relaxed);
    }

    /// Says how many entries a shard holds.
    pub(super) fn set_counts(&self, shard: usize, routers: usize, lease_sets: usize) {
        if let Some(counts) = self.counts.get(shard) {
            counts.routers.store(routers, Relaxed);
            counts.lease_sets.store(lease_sets, Relaxed);
        }
    }

    /// Says how many a shard holds of each kind, and exports the sums.
    pub(super) fn set_kinds(&self, shard: usize, kinds: [usize; KINDS.len()]) {
        if let Some(counts) = self.counts.get(shard) {
            for (slot, n) in counts.kinds.iter().zip(kinds) {
                slot.store(n, Relaxed);
            }
        }
        for (at, kind) in KINDS.into_iter().enumerate() {
            let sum: usize = self.counts.iter().filter_map(|c| c.kinds.get(at)).map(|n| n.load(Relaxed)).sum();
            control::NETDB_ENTRIES.set([kind], sum as f64);
        }
        control::NETDB_FLOODFILLS.set([], self.floodfills.load().len() as f64);
    }

    /// Routers and leasesets in all shards.
    pub(super) fn counts(&self) -> (usize, usize) {
        let sum = |count: fn(&Counts) -> &AtomicUsize| self.counts.iter().map(|c| count(c).load(Relaxed)).sum();
        (sum(|c| &c.routers), sum(|c| &c.lease_sets))
    }

    /// True while a search of ours looks for this key.
    pub(super) fn is_wanted(&self, key: NetDbKey) -> bool {
        self.wanted.read().contains(&key)
    }

    /// A search for a key begins.
    pub(super) fn want(&self, key: NetDbKey) {
        self.wanted.write().insert(key);
    }

    /// No search for it is left.
    pub(super) fn unwant(&self, key: NetDbKey) {
        self.wanted.write().remove(&key);
    }

    /// True if the router is known.
    pub(super) fn knows(&self, router: &RouterHash) -> bool {
        self.floodfills.load().contains(router) || self.others.load().contains(router)
    }
}
