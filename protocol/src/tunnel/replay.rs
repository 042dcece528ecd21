//! Build records that were here before, by their ephemeral keys: each may be answered once.
//!
//! A bounded set of two generations. A record is taken for 13 minutes (8 old, 5 ahead), so a generation lasts as long
//! and an entry is remembered for one to two of them. If a flood fills a generation earlier, the older one is
//! forgotten earlier: a replay then costs us a tunnel, while refusing would cost everybody theirs.
//!
//! spec: tunnel-creation §Hop Processing and Encryption (the filter there is of reply keys; ECIES records have none)

use crate::time::Mono;
use ramson_crypto::siphash::siphash24;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

/// How long a generation lasts if it does not fill up.
pub const PERIOD: Duration = Duration::from_secs(13 * 60);

/// The filter.
#[derive(Debug)]
pub struct ReplayFilter {
    key: (u64, u64),
    max: usize,
    current: Set,
    former: Set,
    since: Mono,
    forgotten_early: u64,
}

type Set = HashSet<u64, BuildHasherDefault<AsIs>>;

impl ReplayFilter {
    /// An empty filter of at most `2 * max` entries of about 9 bytes each. The seed keeps others from choosing keys
    /// that collide.
    pub fn new(max: usize, seed: [u64; 2], now: Mono) -> Self {
        Self {
            key: (seed[0], seed[1]),
            max: max.max(1),
            current: Set::default(),
            former: Set::default(),
            since: now,
            forgotten_early: 0,
        }
    }

    /// True if this ephemeral key was entered before. To be asked before the Diffie-Hellman.
    pub fn contains(&self, ephemeral: &[u8; 32]) -> bool {
        let entry = self.entry(ephemeral);
        self.current.contains(&entry) || self.former.contains(&entry)
    }

    /// Enters a key; false if it was there already. To be called when the record has proved to be genuine, so that
    /// only those who do the mathematics can fill the filter.
    #[must_use = "a replayed record is dropped"]
    pub fn insert(&mut self, now: Mono, ephemeral: &[u8; 32]) -> bool {
        let due = now.saturating_sub(self.since) >= PERIOD;
        if due || self.current.len() >= self.max {
            self.forgotten_early += u64::from(!due);
            self.former = std::mem::take(&mut self.current);
            self.since = now;
        }
        let entry = self.entry(ephemeral);
        !self.former.contains(&entry) && self.current.insert(entry)
    }

    /// How often a generation had to go before its time.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    fn entry(&self, ephemeral: &[u8; 32]) -> u64 {
        let words = ephemeral.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
        // A chain of SipHash over the words: 64 bits, of which nobody outside knows the key.
        words.fold(0, |h, word| siphash24(self.key.0, self.key.1 ^ h, word))
    }
}

/// The entries are SipHash values already.
#[derive(Clone, Copy, Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, v: u64) {
        self.0 = v;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Duration::from_secs(50);

    fn key(n: u32) -> [u8; 32] {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        key
    }

    #[test]
    fn a_key_is_taken_once_for_as_long_as_its_record_is_valid() {
        let mut filter = ReplayFilter::new(100, [1, 2], START);
        let late = START + PERIOD - Duration::from_secs(1);
        assert!(filter.insert(late, &key(1)));
        assert!(filter.contains(&key(1)) && !filter.contains(&key(2)));
        assert!(filter.insert(START + PERIOD, &key(2)));
        assert!(!filter.insert(late + PERIOD - Duration::from_secs(1), &key(1)));
        assert!(filter.insert(START + 2 * PERIOD, &key(3)));
        assert!(!filter.contains(&key(1)), "two generations later");
        assert_eq!(filter.forgotten_early(), 0);
    }

    #[test]
    fn a_flood_fills_no_more_than_two_generations() {
        let mut filter = ReplayFilter::new(100, [1, 2], START);
        for n in 0..1000 {
            assert!(filter.insert(START, &key(n)));
            assert!(filter.current.len() + filter.former.len() <= 200);
        }
        assert!(filter.contains(&key(950)) && !filter.contains(&key(10)));
        assert_eq!(filter.forgotten_early(), 9);
    }
}
