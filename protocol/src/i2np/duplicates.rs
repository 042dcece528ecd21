//! The filter of repeated messages: each is remembered for as long as it could be taken again, and no longer.
//!
//! ```text
//! expiration:  .. | 15 s | 15 s | 15 s | ..     one set of fingerprints for each quarter of a minute
//!                 ^ forgotten when its last message is too old to be taken: SKEW after its end
//! ```
//! A message belongs to the set of its expiration, so a look-up reads one set, and what was sent to live for ten seconds is
//! forgotten after little more than a minute while another sender's messages are remembered for the whole [`WINDOW`].
//!
//! A remembered message takes five bytes, and up to twice that while its set grows: a set begins small and grows by a
//! layer, each twice as large as the one before, so that a quiet filter holds a few kilobytes. 100,000 messages a second
//! that live ten seconds need room for 17 million (80 MB); 1,000 a second for 170,000. At the limit the set that ends first
//! is forgotten before its time, and its messages are counted: replayed, they would be taken for the shortest time.
//!
//! Every way by which messages come has a filter of its own, made by its owner. With one for all, a message that is sent
//! down an own tunnel and then to the router itself would show by the missing answer that the tunnel is the router's.
//!
//! A message that is new is taken for a repeated one about once in ten million.

use super::header::{Freshness, MAX_AHEAD, SKEW, freshness};
use crate::fingerprints::{Inserted, Layer};
use crate::id::MessageId;
use crate::time::{Now, Wall};
use ramson_crypto::siphash::siphash24;
use std::collections::BTreeMap;
use std::time::Duration;

/// From the earliest moment at which a message is taken to the last.
pub const WINDOW: Duration = MAX_AHEAD.saturating_add(SKEW);

/// Seconds of expirations in one set.
const WIDTH: u32 = 15;

/// Messages for which the first layer of a set is made: 2.5 KB.
const FIRST_LAYER: usize = 512;

/// What has been seen of the messages of one way.
pub struct Duplicates {
    key: [u64; 2],
    max: usize,
    /// By the expirations in them, in units of [`WIDTH`].
    sets: BTreeMap<u32, Set>,
    stats: Stats,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages seen for the first time.
    pub fresh: u64,
    /// Messages seen before.
    pub repeated: u64,
    /// Messages that were not taken since their expiration is outside of the window.
    pub outside: u64,
    /// Messages that were forgotten before their time, for want of room: until they expire, they would be taken again.
    pub forgotten_early: u64,
}

/// The messages that expire at about the same time.
#[derive(Default)]
struct Set {
    layers: Vec<Layer>,
    messages: u64,
}

impl Set {
    fn capacity(&self) -> usize {
        self.layers.iter().map(Layer::capacity).sum()
    }

    /// False if it was there. With `None` the set has to grow first.
    fn enter(&mut self, hash: u128) -> Option<bool> {
        let (newest, older) = self.layers.split_last_mut()?;
        if older.iter().any(|layer| layer.contains(hash)) {
            return Some(false);
        }
        if newest.is_full() && !newest.contains(hash) {
            return None;
        }
        match newest.insert(hash) {
            Inserted::New => {
                self.messages += 1;
                Some(true)
            }
            Inserted::Seen => Some(false),
            Inserted::NoRoom => None,
        }
    }
}

impl Duplicates {
    /// A filter that remembers at most about `max_messages` (five bytes each, of which it takes what it needs). The key is
    /// secret, so that nobody can choose ids that collide.
    pub fn new(max_messages: usize, key: [u64; 2]) -> Self {
        Self { key, max: max_messages.max(FIRST_LAYER), sets: BTreeMap::new(), stats: Stats::default() }
    }

    /// Remembers a message; false if it was seen before, or is not fresh by [`freshness`].
    #[must_use = "a repeated message is dropped"]
    pub fn insert(&mut self, id: MessageId, expiration: Wall, now: Now) -> bool {
        self.expire(now);
        if freshness(expiration, now.wall) != Freshness::Fresh {
            self.stats.outside += 1;
            return false;
        }
        // The same id with another expiration is another message: ids are short enough to meet by chance.
        let seconds = expiration.secs();
        let (at, hash) = (seconds / WIDTH, self.hash(id, seconds));
        let mut fresh = self.sets.get_mut(&at).and_then(|set| set.enter(hash));
        if fresh.is_none() {
            self.grow(at);
            // There is a new layer now, and in an empty one there is room.
            fresh = self.sets.get_mut(&at).and_then(|set| set.enter(hash));
        }
        let fresh = fresh.unwrap_or(true);
        if fresh {
            self.stats.fresh += 1;
        } else {
            self.stats.repeated += 1;
        }
        fresh
    }

    /// Forgets what can no longer be taken. Every insertion does that; the owner of a quiet filter may, to save memory.
    pub fn expire(&mut self, now: Now) {
        while let Some(first) = self.sets.first_entry() {
            let end = Wall::from_secs((first.key() + 1).saturating_mul(WIDTH));
            if freshness(end, now.wall) != Freshness::Expired {
                return;
            }
            first.remove();
        }
    }

    /// Adds a layer to a set, which is made if need be.
    fn grow(&mut self, at: u32) {
        let newest = self.sets.get(&at).and_then(|set| set.layers.last());
        let size = newest.map_or(FIRST_LAYER, |layer| 2 * layer.capacity());
        let mut free = self.max.saturating_sub(self.capacity());
        while free < FIRST_LAYER {
            // The set that ends first, or if there is no other this one, which begins anew.
            let Some(first) = self.sets.keys().find(|key| **key != at).or(Some(&at)).copied() else { break };
            let Some(set) = self.sets.remove(&first) else { break };
            self.stats.forgotten_early += set.messages;
            free = self.max.saturating_sub(self.capacity());
        }
        let size = size.min(free.max(FIRST_LAYER));
        self.sets.entry(at).or_default().layers.push(Layer::new(size));
    }

    fn capacity(&self) -> usize {
        self.sets.values().map(Set::capacity).sum()
    }

    fn hash(&self, id: MessageId, seconds: u32) -> u128 {
        let message = u64::from(id.0) << 32 | u64::from(seconds);
        let high = siphash24(self.key[0], self.key[1], message);
        let low = siphash24(self.key[1], self.key[0], message);
        u128::from(high) << 64 | u128::from(low)
    }

    /// Messages that are remembered.
    pub fn len(&self) -> u64 {
        self.sets.values().map(|set| set.messages).sum()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, whether touched yet or not.
    pub fn memory(&self) -> usize {
        self.sets.values().flat_map(|set| &set.layers).map(Layer::memory).sum()
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

impl std::fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Duplicates").field("stats", &self.stats).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
