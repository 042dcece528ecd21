//! Remembers the ephemeral keys of recent handshakes, so that a recorded message 1 gets no second answer.
//!
//! Two generations: a key is looked for in both and put into the younger; when that is [`LIFETIME`] old, it becomes
//! the elder. So a key is remembered for one to two lifetimes, unless there are so many that a generation is full before its
//! time. Of a key only a keyed hash of 64 bits is kept: nobody
//! outside can make two keys collide, and by chance one honest handshake in 10^13 is refused.
//!
//! spec: ntcp2 §1) SessionRequest — "Values in the cache must have a lifetime of at least 2*D."

use crate::link::skew::MAX_CLOCK_SKEW;
use crate::time::Mono;
use ramson_crypto::siphash::siphash24;
use rustc_hash::FxHashSet;
use std::time::Duration;

/// The least time for which a key is remembered: the whole window in which its timestamp is accepted, and a minute
/// for clocks that are corrected meanwhile.
pub const LIFETIME: Duration = Duration::from_secs(3 * MAX_CLOCK_SKEW.as_secs());

/// Keys in one generation: 1,456 handshakes a second, sustained. Four megabytes when full.
pub const MAX_KEYS: usize = 1 << 18;

/// What the cache says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not there, and is now.
    New,
    /// It was there.
    Before,
}

/// The cache. One for all connections of a router.
pub struct ReplayCache {
    secret: (u64, u64),
    young: FxHashSet<u64>,
    old: FxHashSet<u64>,
    since: Mono,
    max: usize,
    forgotten_early: u64,
}

impl ReplayCache {
    /// An empty cache of at most `max` keys per generation, [`MAX_KEYS`] unless memory is scarce.
    pub fn new(seed: [u8; 16], max: usize, now: Mono) -> Self {
        let word = |from: usize| u64::from_le_bytes(std::array::from_fn(|i| seed[from + i]));
        Self {
            secret: (word(0), word(8)),
            young: FxHashSet::default(),
            old: FxHashSet::default(),
            since: now,
            max,
            forgotten_early: 0,
        }
    }

    /// True if the key is remembered. Cheap: to be asked before any mathematics is done.
    pub fn contains(&self, key: &[u8; 32]) -> bool {
        let hash = self.hash(key);
        self.young.contains(&hash) || self.old.contains(&hash)
    }

    /// Remembers a key whose message was authentic.
    pub fn insert(&mut self, key: &[u8; 32], now: Mono) -> Seen {
        self.age(now);
        let hash = self.hash(key);
        if self.young.contains(&hash) || self.old.contains(&hash) {
            return Seen::Before;
        }
        if self.young.len() >= self.max {
            // Whoever floods us may have an old message answered again. That tells him little; to refuse everybody meanwhile
            // would give him more.
            self.old = std::mem::take(&mut self.young);
            self.since = now;
            self.forgotten_early += 1;
        }
        self.young.insert(hash);
        Seen::New
    }

    /// Keys remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Generations that were forgotten before their time, for want of room.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn age(&mut self, now: Mono) {
        let age = now.saturating_sub(self.since);
        if age < LIFETIME {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if age >= 2 * LIFETIME {
            self.old = FxHashSet::default();
        }
        self.since = now;
    }

    fn hash(&self, key: &[u8; 32]) -> u64 {
        // A chain over four words; each step is a keyed pseudo-random function.
        let mut out = 0;
        for word in key.as_chunks::<8>().0 {
            out = siphash24(self.secret.0, self.secret.1, out ^ u64::from_le_bytes(*word));
        }
        out
    }
}

impl std::fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplayCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(n: u16) -> [u8; 32] {
        let mut key = [0; 32];
        key[30..].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn a_key_is_remembered_for_at_least_the_whole_window() {
        for inserted in [0, 1, 100, 179] {
            let mut cache = ReplayCache::new([3; 16], 100, Duration::ZERO);
            let start = inserted * SECOND;
            assert_eq!(cache.insert(&key(1), start), Seen::New);
            for later in [0, 60, 120, 179] {
                assert_eq!(cache.insert(&key(1), start + later * SECOND), Seen::Before, "{inserted} + {later}");
            }
            assert_eq!(cache.insert(&key(2), start + 2 * LIFETIME), Seen::New);
            assert_eq!(cache.insert(&key(1), start + 4 * LIFETIME), Seen::New);
        }
    }

    #[test]
    fn keys_that_differ_in_any_byte_are_different() {
        let mut cache = ReplayCache::new([3; 16], 100, Duration::ZERO);
        assert_eq!(cache.insert(&key(0), Duration::ZERO), Seen::New);
        for at in 0..32 {
            let mut other = key(0);
            other[at] ^= 1;
            assert!(!cache.contains(&other));
            assert_eq!(cache.insert(&other, Duration::ZERO), Seen::New);
        }
    }

    /// Without this 260,000 messages in three minutes had every honest caller refused.
    #[test]
    fn a_full_cache_refuses_nobody_and_forgets_the_eldest_first() {
        let mut cache = ReplayCache::new([3; 16], 10, Duration::ZERO);
        for n in 0..100 {
            assert_eq!(cache.insert(&key(n), SECOND), Seen::New);
            assert_eq!(cache.insert(&key(n), SECOND), Seen::Before);
            assert_eq!(cache.insert(&key(n - n.min(9)), SECOND), Seen::Before, "the last ten are always known");
            assert!(cache.len() <= 20);
        }
        assert_eq!(cache.forgotten_early(), 9);
        assert_eq!(cache.insert(&key(0), SECOND), Seen::New);
    }
}
