//! The filter of repeated messages: bounded, and covering as long as a message can be valid.
//!
//! Two generations: ids go into the young one; when its time is up, or it is full, the old one is forgotten and the
//! young one becomes old. Expired messages are refused before they come here, so nothing needs to be remembered longer
//! than a message can be fresh: [`WINDOW`].

use super::header::{MAX_AHEAD, SKEW};
use crate::id::MessageId;
use crate::time::{Mono, Wall};
use ramson_crypto::siphash::siphash24;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// From the earliest moment at which a message is taken to the last.
pub const WINDOW: Duration = MAX_AHEAD.saturating_add(SKEW);

/// What has been seen of messages.
#[derive(Debug)]
pub struct Duplicates {
    young: HashSet<u64, Keyed>,
    old: HashSet<u64, Keyed>,
    young_since: Mono,
    capacity: usize,
    stats: Stats,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages seen for the first time.
    pub fresh: u64,
    /// Messages seen before.
    pub repeated: u64,
    /// Generations that were full before their time: the window was not covered.
    pub overflowed: u64,
}

impl Duplicates {
    /// A filter that remembers at most twice `capacity` messages (about 12 bytes each). The key is secret, so that
    /// nobody can choose ids that collide.
    pub fn new(capacity: usize, key: [u64; 2], now: Mono) -> Self {
        let set = || HashSet::with_hasher(Keyed(key));
        Self { young: set(), old: set(), young_since: now, capacity: capacity.max(1), stats: Stats::default() }
    }

    /// Remembers a message; false if it was seen before.
    pub fn insert(&mut self, id: MessageId, expiration: Wall, now: Mono) -> bool {
        let full = self.young.len() >= self.capacity;
        if full || now.saturating_sub(self.young_since) >= WINDOW {
            self.stats.overflowed += u64::from(full);
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.young_since = now;
        }
        // The same id with another expiration is another message: ids are short enough to meet by chance.
        let message = u64::from(id.0) << 32 | u64::from(expiration.secs());
        let fresh = !self.old.contains(&message) && self.young.insert(message);
        if fresh {
            self.stats.fresh += 1;
        } else {
            self.stats.repeated += 1;
        }
        fresh
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

/// SipHash of one number under a secret key.
#[derive(Clone)]
struct Keyed([u64; 2]);

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { key: self.0, hash: 0 }
    }
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed(..)")
    }
}

struct KeyedHasher {
    key: [u64; 2],
    hash: u64,
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.hash = siphash24(self.key[0], self.key[1], n ^ self.hash);
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_message_is_remembered_for_the_whole_window() {
        let mut d = Duplicates::new(1000, [1, 2], Mono::ZERO);
        let (id, end) = (MessageId(7), Wall::from_secs(1000));
        assert!(d.insert(id, end, SECOND));
        for s in [2, 100, 299, 300, 301] {
            assert!(!d.insert(id, end, SECOND * s), "after {s} s");
        }
        assert!(d.insert(id, Wall::from_secs(1001), SECOND * 302), "another expiration is another message");
        assert_eq!(d.stats(), Stats { fresh: 2, repeated: 5, overflowed: 0 });
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut d = Duplicates::new(100, [1, 2], Mono::ZERO);
        for id in 0..10_000 {
            assert!(d.insert(MessageId(id), Wall(0), SECOND));
            assert!(d.young.len() + d.old.len() <= 200);
        }
        assert_eq!(d.stats().overflowed, 99);
    }
}
