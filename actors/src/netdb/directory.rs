//! What all of the netDb's actors read without asking each other: who the routers are, how many entries there are, and
//! what we look for.

use super::SHARDS;
use crate::series::control;
use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::floodfills::{Floodfills, crowded_out};
use ramson_protocol::netdb::router_set::RouterSet;
use ramson_protocol::netdb::silence::Silence;
use ramson_protocol::netdb::store::Listed;
use ramson_protocol::time::Mono;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The kinds of entries, as metrics name them.
pub(super) const KINDS: [&str; 5] = ["router_info", "lease_set", "lease_set2", "encrypted_lease_set", "meta_lease_set"];

/// What the shards publish: sets of routers, counts, and the keys that searches look for.
#[derive(Default)]
pub(super) struct Directory {
    floodfills: ArcSwap<Floodfills>,
    told: ArcSwap<Told>,
    known: ArcSwap<RouterSet>,
    generation: AtomicU64,
    parts: Mutex<[Vec<Listed>; SHARDS]>,
    silence: Mutex<Silence>,
    counts: [Counts; SHARDS],
    wanted: RwLock<HashSet<NetDbKey>>,
}

/// The routers that others are told of.
#[derive(Default)]
pub(super) struct Told {
    /// Floodfills.
    pub(super) floodfills: Floodfills,
    /// All others.
    pub(super) others: RouterSet,
}

#[derive(Default)]
struct Counts {
    routers: AtomicUsize,
    lease_sets: AtomicUsize,
    kinds: [AtomicUsize; KINDS.len()],
}

impl Directory {
    /// Floodfills that are worth being asked, and answer.
    pub(super) fn floodfills(&self) -> Arc<Floodfills> {
        self.floodfills.load_full()
    }

    /// Whom others are told of.
    pub(super) fn told(&self) -> Arc<Told> {
        self.told.load_full()
    }

    /// Rises whenever the sets change.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Replaces what one shard contributes to the sets: its routers, ourselves left out.
    pub(super) fn set_part(&self, shard: usize, part: Vec<Listed>, now: Mono) {
        let mut parts = self.parts.lock();
        if let Some(slot) = parts.get_mut(shard) {
            *slot = part;
        }
        self.rebuild(&parts, now);
    }

    /// A floodfill that was asked has answered.
    pub(super) fn answered(&self, floodfill: &RouterHash, now: Mono) {
        self.silence.lock().answered(floodfill, now);
    }

    /// A floodfill that was asked has not answered in time. True if it is left alone from now on.
    pub(super) fn silent(&self, floodfill: RouterHash, now: Mono) -> bool {
        let rests = self.silence.lock().silent(floodfill, now);
        if rests {
            self.rebuild(&self.parts.lock(), now);
        }
        rests
    }

    fn rebuild(&self, parts: &[Vec<Listed>; SHARDS], now: Mono) {
        let silence = self.silence.lock();
        let all = || parts.iter().flatten();
        let set = |of: &dyn Fn(&&Listed) -> bool| all().filter(of).map(|listed| listed.router).collect::<RouterSet>();
        let answers = |l: &Listed| l.floodfill && !l.suspect && !silence.rests(&l.router, now);
        let crowd = crowded_out(all().filter(|l| answers(l)));
        let asked = |l: &Listed| answers(l) && !crowd.contains(&l.router);
        let floodfills = Floodfills::new(set(&|l| asked(l) && l.proven), set(&|l| asked(l) && !l.proven));
        // Whoever is left when all others rest is better than nobody.
        let floodfills = if floodfills.is_empty() { set(&|l| l.floodfill && !l.suspect).into() } else { floodfills };
        self.floodfills.store(Arc::new(floodfills));
        self.told.store(Arc::new(Told {
            floodfills: Floodfills::new(
                set(&|l| l.told && asked(l) && l.proven),
                set(&|l| l.told && asked(l) && !l.proven),
            ),
            others: set(&|l| l.told && !l.floodfill),
        }));
        self.known.store(Arc::new(set(&|_| true)));
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
        self.known.load().contains(router)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn listed(n: u8) -> Listed {
        let (router, first) = (RouterHash([n; 32]), Mono::ZERO);
        Listed { router, floodfill: true, proven: false, wide: None, first, suspect: false, told: true }
    }

    #[test]
    fn suspects_are_neither_asked_nor_told_of_and_the_silent_rest_while_there_are_others() {
        let (directory, now) = (Directory::default(), Duration::from_secs(100));
        let part = vec![
            listed(1),
            listed(2),
            Listed { suspect: true, told: false, ..listed(3) },
            Listed { told: false, ..listed(4) },
            Listed { floodfill: false, ..listed(5) },
        ];
        directory.set_part(0, part, now);
        assert_eq!(directory.floodfills().len(), 3);
        let told = directory.told();
        assert_eq!((told.floodfills.len(), told.others.len()), (2, 1));
        assert!((1..=5).all(|n| directory.knows(&RouterHash([n; 32]))));
        directory.answered(&RouterHash([1; 32]), now);
        assert_eq!((0..3).filter(|_| directory.silent(RouterHash([2; 32]), now)).count(), 1);
        assert!(!directory.floodfills().contains(&RouterHash([2; 32])));
        for n in [1, 4] {
            assert!((0..3).any(|_| directory.silent(RouterHash([n; 32]), now)));
        }
        assert_eq!(directory.floodfills().len(), 3, "nobody would be left");
    }
}
