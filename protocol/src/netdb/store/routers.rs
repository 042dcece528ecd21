//! RouterInfos in memory, with what is proven of each router.
//!
//! ```text
//! gives way first   suspects: many names that look like one person's
//!                   unproven: nobody has had a session with it that we know of
//!                   proven:   it was reached where it says that it is, by us or by its own call
//! never             connected routers, as long as there are others; ourselves
//! ```
//! Within a class those give way of whom one source has brought, or (of the proven) in whose network stand, most; of these
//! the stale first, then the farthest from us.
//!
//! Invariants: never more than the bound; the counts by source, network and family are those of the map.

use super::surplus::{Groups, weight};
use crate::bearer::{Bearer, Key, Network};
use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;
use crate::netdb::routing_key::{Day, distance, routing_key};
use crate::netdb::rules;
use crate::netdb::sybil::{self, Evidence, SUSPECT};
use crate::peers::facts::family_of;
use crate::time::{Mono, Now};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::time::Duration;

/// One source may hold so much of all while nobody has met what it brought, and one wide network so much.
const GROUP_PARTS: usize = 8;
const WIDE_PARTS: usize = 4;

/// A router that was reached is proven for so long.
const PROVEN_FOR: Duration = Duration::from_secs(24 * 3600);

/// A router is young for so long.
const YOUNG: Duration = Duration::from_secs(3600);

/// A RouterInfo that was published longer ago gives way before fresher ones.
const STALE: Duration = Duration::from_secs(3600);

/// What has happened with a router, whether its RouterInfo is here or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A session with it stands.
    Connected,
    /// The last session has ended.
    Disconnected,
    /// It was reached at an address of its own, has called from there, or taken part in a tunnel.
    Proven,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    connected: bool,
    proven: Option<Mono>,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) info: RouterInfo,
    /// It may be given to others.
    pub(super) public: bool,
    /// A newer one that came in answer to a search of ours: for ourselves.
    newer: Option<RouterInfo>,
    /// Who brought it first.
    group: Option<Key>,
    wide: Option<Key>,
    /// Somebody in another network has brought it, too.
    seconded: bool,
    first: Mono,
    points: u32,
    /// Where it says that it is.
    claims: SmallVec<[Network; 4]>,
    family: Option<u64>,
}

impl Held {
    /// The newest that we have, however it came.
    pub(super) fn newest(&self) -> &RouterInfo {
        self.newer.as_ref().unwrap_or(&self.info)
    }

    /// The wide network that it says it is in.
    pub(super) fn wide_claim(&self) -> Option<Network> {
        self.claims.iter().copied().find(Network::is_wide)
    }

    /// When it came first.
    pub(super) fn first(&self) -> Mono {
        self.first
    }
}

/// A bounded set of them.
#[derive(Debug)]
pub(super) struct Routers {
    own: RouterHash,
    max: usize,
    private: bool,
    held: BTreeMap<RouterHash, Held>,
    known: BTreeMap<RouterHash, Known>,
    groups: BTreeMap<Key, usize>,
    networks: BTreeMap<Network, usize>,
    families: BTreeMap<u64, usize>,
}

/// Classes of those who give way, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Suspect,
    Unproven,
    Proven,
    Connected,
}

impl Routers {
    pub(super) fn new(own: RouterHash, max: usize, private: bool) -> Self {
        Self {
            own,
            max,
            private,
            held: BTreeMap::new(),
            known: BTreeMap::new(),
            groups: BTreeMap::new(),
            networks: BTreeMap::new(),
            families: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, router: &RouterHash) -> Option<&Held> {
        self.held.get(router)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Notes what happened with a router. True if it is proven now and was not before.
    pub(super) fn note(&mut self, router: RouterHash, standing: Standing, now: Mono) -> bool {
        let was = self.is_proven(&router, now);
        if self.known.len() >= self.max.max(64) && !self.known.contains_key(&router) {
            self.forget_oldest(now);
        }
        let known = self.known.entry(router).or_default();
        match standing {
            Standing::Connected => known.connected = true,
            Standing::Disconnected => known.connected = false,
            Standing::Proven => known.proven = Some(now),
        }
        if !known.connected && known.proven.is_none() {
            self.known.remove(&router);
        }
        !was && self.is_proven(&router, now)
    }

    /// A sixteenth of those who are not connected, those first who were met longest ago.
    fn forget_oldest(&mut self, now: Mono) {
        let mut met: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| !known.connected)
            .map(|(hash, known)| (known.proven, *hash))
            .collect();
        met.sort_unstable();
        met.truncate((met.len() / 16).max(1));
        for (_, hash) in met {
            self.known.remove(&hash);
        }
        self.known
            .retain(|_, known| known.connected || known.proven.is_some_and(|at| now.saturating_sub(at) < PROVEN_FOR));
    }

    pub(super) fn is_proven(&self, router: &RouterHash, now: Mono) -> bool {
        let proven = |known: &Known| known.proven.is_some_and(|at| now.saturating_sub(at) < PROVEN_FOR);
        self.known.get(router).is_some_and(proven)
    }

    pub(super) fn is_connected(&self, router: &RouterHash) -> bool {
        self.known.get(router).is_some_and(|known| known.connected)
    }

    /// Whether it looks like one of many names of one person, and nobody has met it.
    pub(super) fn is_suspect(&self, held: &Held, now: Mono) -> bool {
        held.points >= SUSPECT && !self.is_proven(&held.info.hash(), now)
    }

    fn class(&self, held: &Held, now: Mono) -> Class {
        let hash = held.info.hash();
        if hash == self.own || self.is_connected(&hash) {
            Class::Connected
        } else if self.is_proven(&hash, now) {
            Class::Proven
        } else if held.points >= SUSPECT {
            Class::Suspect
        } else {
            Class::Unproven
        }
    }

    /// Somebody has brought what is here already. A second source of it counts.
    pub(super) fn second(&mut self, router: &RouterHash, bearer: &Bearer) {
        if let Some(held) = self.held.get_mut(router) {
            held.seconded |= bearer.is_apart_from(held.group, held.wide);
        }
    }

    /// What is here may be given to others from now on. True if that is new.
    pub(super) fn make_public(&mut self, router: &RouterHash) -> bool {
        self.held.get_mut(router).is_some_and(|held| !std::mem::replace(&mut held.public, true))
    }

    /// Keeps a newer RouterInfo for ourselves, beside the one that others are given.
    pub(super) fn keep_newer(&mut self, info: RouterInfo) {
        if let Some(held) = self.held.get_mut(&info.hash()) {
            held.newer = Some(info);
        }
    }

    /// Puts a RouterInfo in the place of whatever is there. Those who gave way.
    pub(super) fn put(&mut self, now: Now, info: RouterInfo, public: bool, bearer: &Bearer) -> Vec<RouterHash> {
        let hash = info.hash();
        let before = self.remove(&hash);
        let (claims, family) = (self.claims(&info), family_of(&info));
        let (group, wide, first) = match &before {
            Some(before) => (before.group, before.wide, before.first),
            // What nobody brought, from disk or a file, belongs to wherever it says that it is.
            None => {
                let claimed = claims.first().map(|network| Key::Network(*network));
                (bearer.group().or(claimed), bearer.wide(), now.mono)
            }
        };
        let mut gone = Vec::new();
        for (key, parts) in [(group, GROUP_PARTS), (wide, WIDE_PARTS)] {
            let most = (self.max / parts).max(8);
            if before.is_none() && key.and_then(|key| self.groups.get(&key)).is_some_and(|count| *count >= most) {
                let of = |held: &Held| held.group == key || held.wide == key;
                gone.extend(self.evict(now, 1, Class::Unproven, of));
            }
        }
        let seconded = before.as_ref().is_some_and(|b| b.seconded || bearer.is_apart_from(b.group, b.wide));
        let newer = before.and_then(|b| b.newer).filter(|newer| newer.published() > info.published());
        let mut held = Held { info, public, newer, group, wide, seconded, first, points: 0, claims, family };
        held.points = self.points(&held, now.mono);
        self.count(&held, true);
        self.held.insert(hash, held);
        if self.held.len() > self.max {
            let surplus = self.held.len() - (self.max - self.max / 16);
            gone.extend(self.evict(now, surplus, Class::Connected, |_| true));
        }
        gone
    }

    pub(super) fn remove(&mut self, router: &RouterHash) -> Option<Held> {
        let held = self.held.remove(router)?;
        self.count(&held, false);
        Some(held)
    }

    /// Looks anew at everybody: whoever came first of a crowd was no suspect then. True if anybody has become one.
    pub(super) fn look_for_crowds(&mut self, now: Mono) -> bool {
        let points: Vec<u32> = self.held.values().map(|held| self.points(held, now)).collect();
        let mut changed = false;
        for (held, points) in self.held.values_mut().zip(points) {
            changed |= (held.points >= SUSPECT) != (points >= SUSPECT);
            held.points = points;
        }
        changed
    }

    fn points(&self, held: &Held, now: Mono) -> u32 {
        let hash = held.info.hash();
        let present = usize::from(self.held.contains_key(&hash));
        let others = |count: Option<&usize>| count.map_or(0, |count| count.saturating_sub(present));
        let most = |wide: bool| {
            held.claims.iter().filter(|net| net.is_wide() == wide).map(|net| others(self.networks.get(net))).max()
        };
        let near = |neighbour: Option<(&RouterHash, &Held)>| {
            neighbour.is_some_and(|(other, _)| sybil::is_crowding(&hash, other, self.held.len()))
        };
        let mut below = self.held.range(..hash).rev();
        let mut above = self.held.range(hash..).filter(|(other, _)| **other != hash);
        let crowded = [below.next(), below.next(), above.next(), above.next()].into_iter().filter(|n| near(*n)).count();
        Evidence {
            same_near: most(false).unwrap_or(0),
            same_wide: most(true).unwrap_or(0),
            same_family: held.family.map_or(0, |family| others(self.families.get(&family))),
            crowded,
            one_source: !held.seconded,
            young: now.saturating_sub(held.first) < YOUNG,
        }
        .points()
    }

    fn claims(&self, info: &RouterInfo) -> SmallVec<[Network; 4]> {
        let mut claims = SmallVec::new();
        for ip in info.addresses().filter_map(|address| address.socket()).map(|socket| socket.ip()) {
            for network in Network::of(ip, self.private).into_iter().flatten() {
                if !claims.contains(&network) {
                    claims.push(network);
                }
            }
        }
        claims
    }

    /// All changes of the map are counted here.
    fn count(&mut self, held: &Held, comes: bool) {
        fn change<K: Ord + Copy>(counts: &mut BTreeMap<K, usize>, key: K, comes: bool) {
            if comes {
                *counts.entry(key).or_default() += 1;
            } else if let Some(count) = counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key);
                }
            }
        }
        held.group.iter().chain(&held.wide).for_each(|key| change(&mut self.groups, *key, comes));
        held.claims.iter().for_each(|network| change(&mut self.networks, *network, comes));
        held.family.iter().for_each(|family| change(&mut self.families, *family, comes));
    }

    /// Takes `count` away, of the classes up to `last` and of those whom `of` names.
    fn evict(&mut self, now: Now, count: usize, last: Class, of: impl Fn(&Held) -> bool) -> Vec<RouterHash> {
        let day = Day::of(now.wall);
        let mut classes: BTreeMap<Class, Groups<_, RouterHash>> = BTreeMap::new();
        let mut sizes: BTreeMap<Class, usize> = BTreeMap::new();
        for held in self.held.values().filter(|held| of(held) && held.info.hash() != self.own) {
            let (class, hash) = (self.class(held, now.mono), held.info.hash());
            if class > last {
                continue;
            }
            // Whom a source has brought says nothing any more of who was met; where he stands does.
            let group = match class {
                Class::Suspect | Class::Unproven => held.group,
                Class::Proven | Class::Connected => held.claims.first().map(|network| Key::Network(*network)),
            };
            let stale = now.wall.since(held.info.published()) > STALE;
            let far = distance(&routing_key(hash.into(), day), &self.own);
            // Everything else depends on floodfills, so they are the last of their group, if they are what they say.
            let of_use = class == Class::Proven && rules::is_usable_floodfill(&held.info);
            let groups = classes.entry(class).or_insert_with(Groups::new);
            groups.add(group, (stale, !of_use, far), hash, weight(held.seconded));
            *sizes.entry(class).or_default() += 1;
        }
        let mut gone = Vec::with_capacity(count);
        for groups in classes.into_values() {
            let rest = count - gone.len();
            if rest == 0 {
                break;
            }
            gone.extend(groups.surplus(rest));
        }
        for hash in &gone {
            self.remove(hash);
        }
        gone
    }

    /// Whether the counts are those of the map.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        let mut anew = Self::new(self.own, self.max, self.private);
        self.held.values().for_each(|held| anew.count(held, true));
        (&anew.groups, &anew.networks, &anew.families) == (&self.groups, &self.networks, &self.families)
            && self.held.len() <= self.max
    }
}
