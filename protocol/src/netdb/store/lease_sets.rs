//! LeaseSets in memory: those that were published with us, or those that we have looked for, never both in one.
//!
//! Invariant: never more than the bound. Of those who brought most, the farthest from us give way, whenever they end.

use super::surplus::Groups;
use crate::bearer::{Bearer, Key};
use crate::data::entry::Entry;
use crate::id::{NetDbKey, RouterHash};
use crate::netdb::routing_key::{Day, distance, routing_key};
use crate::netdb::rules::{self, SKEW};
use crate::time::Wall;
use std::collections::BTreeMap;

/// One source may hold so much of all.
const GROUP_PARTS: usize = 8;

#[derive(Debug)]
struct Held {
    entry: Entry,
    group: Option<Key>,
}

/// What became of an insertion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inserted {
    /// It is new, or newer than what was there.
    pub(super) taken: bool,
    /// It took the place of another.
    pub(super) updated: bool,
    /// Others that gave way.
    pub(super) evicted: usize,
}

/// A bounded set of them.
#[derive(Debug)]
pub(super) struct LeaseSets {
    own: RouterHash,
    max: usize,
    held: BTreeMap<NetDbKey, Held>,
    groups: BTreeMap<Key, usize>,
}

impl LeaseSets {
    pub(super) fn new(own: RouterHash, max: usize) -> Self {
        Self { own, max, held: BTreeMap::new(), groups: BTreeMap::new() }
    }

    pub(super) fn get(&self, key: NetDbKey) -> Option<&Entry> {
        self.held.get(&key).map(|held| &held.entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.held.values().map(|held| &held.entry)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn insert(&mut self, now: Wall, entry: Entry, bearer: &Bearer) -> Inserted {
        let key = entry.key();
        let before = self.held.get(&key);
        if before.is_some_and(|held| !rules::is_newer(&entry, &held.entry)) {
            return Inserted::default();
        }
        let updated = before.is_some();
        // It stays with who brought it first: a stranger who repeats it does not take it over.
        let group = before.map_or(bearer.group(), |held| held.group);
        self.remove(key);
        let mut evicted = 0;
        if group.and_then(|group| self.groups.get(&group)).is_some_and(|held| *held >= self.group_max()) {
            evicted += self.evict(now, 1, |held| held.group == group);
        }
        *group.map_or(&mut 0, |group| self.groups.entry(group).or_default()) += 1;
        self.held.insert(key, Held { entry, group });
        if self.held.len() > self.max {
            let surplus = self.held.len() - (self.max - self.max / 16);
            evicted += self.evict(now, surplus, |_| true);
        }
        Inserted { taken: self.held.contains_key(&key), updated, evicted }
    }

    pub(super) fn remove(&mut self, key: NetDbKey) -> Option<Entry> {
        let held = self.held.remove(&key)?;
        if let Some(group) = held.group
            && let Some(count) = self.groups.get_mut(&group)
        {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&group);
            }
        }
        Some(held.entry)
    }

    /// Forgets those that have ended; how many.
    pub(super) fn expire(&mut self, now: Wall) -> usize {
        let ended = |held: &Held| held.entry.expires().is_some_and(|end| end.plus(SKEW) < now);
        let gone: Vec<_> = self.held.iter().filter(|(_, held)| ended(held)).map(|(key, _)| *key).collect();
        for key in &gone {
            self.remove(*key);
        }
        gone.len()
    }

    fn group_max(&self) -> usize {
        (self.max / GROUP_PARTS).max(4)
    }

    fn evict(&mut self, now: Wall, count: usize, of: impl Fn(&Held) -> bool) -> usize {
        let day = Day::of(now);
        let mut groups = Groups::new();
        for (key, held) in self.held.iter().filter(|(_, held)| of(held)) {
            let ended = held.entry.expires().is_some_and(|end| end < now);
            groups.add(held.group, (ended, distance(&routing_key(*key, day), &self.own)), *key, 1);
        }
        let gone = groups.surplus(count);
        for key in &gone {
            self.remove(*key);
        }
        gone.len()
    }

    /// Whether the counts are those of the map.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        let mut groups: BTreeMap<Key, usize> = BTreeMap::new();
        for group in self.held.values().filter_map(|held| held.group) {
            *groups.entry(group).or_default() += 1;
        }
        groups == self.groups && self.held.len() <= self.max
    }
}
