//! A set of 32-bit fingerprints of fixed size: each entry may lie in either of two buckets, and a bucket is one cache
//! line of sixteen. With two choices the set fills to nine tenths before an entry finds no room.
//!
//! Against a Bloom filter of the same memory this errs a thousand times less: what is taken for a repetition is lost, and a
//! stream over long round trips feels every lost cell or message.

/// Fingerprints in a cache line.
const SLOTS: usize = 16;

/// Entries for which a bucket is planned: well below its slots, so that two choices suffice.
const PLANNED: usize = 13;

type Bucket = [u32; SLOTS];

/// The set. Its users stack several to grow: see the IV filter of tunnels and the filter of repeated messages.
pub(crate) struct Layer {
    /// Zeroed by the system, and not touched before it is used. Zero is a free slot.
    words: Box<[u32]>,
    /// Where the first bucket begins, so that each lies in one cache line.
    first: usize,
    buckets: usize,
    entries: usize,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It was not there and now is.
    New,
    /// It was there, or seemed to be.
    Seen,
    /// It was not there, and both its buckets are full.
    NoRoom,
}

impl Layer {
    /// Made for so many entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let buckets = capacity.div_ceil(PLANNED).max(2);
        let words = vec![0; (buckets + 1) * SLOTS].into_boxed_slice();
        let first = words.as_ptr().align_offset(size_of::<Bucket>()).min(SLOTS);
        Self { words, first, buckets, entries: 0 }
    }

    /// Where the two buckets of an entry begin, and its fingerprint.
    fn places(&self, hash: u128) -> ([usize; 2], u32) {
        // Multiply and shift maps to 0..buckets without a division.
        let bucket = |bits: u64| ((u128::from(bits) * self.buckets as u128) >> 64) as usize;
        let (high, low) = ((hash >> 64) as u64, hash as u64);
        let at = [high, low].map(|bits| self.first + bucket(bits) * SLOTS);
        (at, ((high ^ low.rotate_left(32)) as u32).max(1))
    }

    /// Reads a word of each of the entry's buckets, so that the lines are fetched.
    pub(crate) fn touch(&self, hash: u128) -> u32 {
        let ([a, b], _) = self.places(hash);
        self.words[a] ^ self.words[b]
    }

    fn bucket_has(&self, at: usize, fingerprint: u32) -> bool {
        // All sixteen, without a branch between them: that is two or four vector comparisons.
        self.words[at..at + SLOTS].iter().fold(false, |found, slot| found | (*slot == fingerprint))
    }

    /// Whether it is there, or another with the same fingerprint and a bucket in common.
    pub(crate) fn contains(&self, hash: u128) -> bool {
        let ([a, b], fingerprint) = self.places(hash);
        self.bucket_has(a, fingerprint) | self.bucket_has(b, fingerprint)
    }

    /// Enters it unless it is there.
    pub(crate) fn insert(&mut self, hash: u128) -> Inserted {
        let ([a, b], fingerprint) = self.places(hash);
        if self.bucket_has(a, fingerprint) | self.bucket_has(b, fingerprint) {
            return Inserted::Seen;
        }
        let used = |at: usize| self.words[at..at + SLOTS].iter().filter(|slot| **slot != 0).count();
        let emptier = if used(a) <= used(b) { a } else { b };
        match self.words[emptier..emptier + SLOTS].iter_mut().find(|slot| **slot == 0) {
            Some(slot) => {
                *slot = fingerprint;
                self.entries += 1;
                Inserted::New
            }
            None => Inserted::NoRoom,
        }
    }

    /// Entries that it was made for.
    pub(crate) fn capacity(&self) -> usize {
        self.buckets * PLANNED
    }

    /// Whether it holds what it was made for; the next entry may still find room.
    pub(crate) fn is_full(&self) -> bool {
        self.entries >= self.capacity()
    }

    /// Bytes, whether touched yet or not.
    pub(crate) fn memory(&self) -> usize {
        self.words.len() * size_of::<u32>()
    }

    /// The chance that a random entry seems to be there: one of the fingerprints in two buckets is the same.
    pub(crate) fn hit_rate(&self) -> f64 {
        2.0 * self.entries as f64 / self.buckets as f64 / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn a_layer_takes_what_it_was_made_for_and_knows_all_of_it() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut hash = || u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
        let mut layer = Layer::new(100_000);
        let entered: Vec<u128> = (0..layer.capacity()).map(|_| hash()).collect();
        assert!(entered.iter().all(|h| layer.insert(*h) == Inserted::New));
        assert!(layer.is_full());
        assert!(entered.iter().all(|h| layer.contains(*h) && layer.insert(*h) == Inserted::Seen));
        assert_eq!((0..100_000).filter(|_| layer.contains(hash())).count(), 0);
        assert!(layer.memory() < 5 * 100_000);
    }
}
