//! One Bloom filter of fixed size: an entry is one bit in each of the eight words of one 64-byte block.

/// Bits of memory per entry. 24 give about one false positive in 10,000 when the layer is full.
const BITS: usize = 24;
const WORDS: usize = 8;

pub(super) struct Layer {
    /// Zeroed by the system, and not touched before it is used.
    words: Box<[u64]>,
    /// Where the first block begins, so that each lies in one cache line.
    first: usize,
    blocks: usize,
    capacity: usize,
    entries: usize,
}

impl Layer {
    /// Made for so many entries.
    pub(super) fn new(capacity: usize) -> Self {
        let blocks = capacity * BITS / 512 + 1;
        let words = vec![0; (blocks + 1) * WORDS].into_boxed_slice();
        let first = words.as_ptr().align_offset(WORDS * size_of::<u64>()).min(WORDS);
        Self { words, first, blocks, capacity, entries: 0 }
    }

    fn start(&self, hash: u128) -> usize {
        // Multiply and shift maps to 0..blocks without a division.
        let block = ((hash >> 64) * self.blocks as u128) >> 64;
        self.first + block as usize * WORDS
    }

    /// The bit of an entry in each word of its block.
    fn bits(hash: u128) -> [u64; WORDS] {
        std::array::from_fn(|word| 1 << (hash as u64 >> (6 * word) & 63))
    }

    /// Reads a word of the entry's block, so that the line is fetched.
    pub(super) fn touch(&self, hash: u128) -> u64 {
        self.words[self.start(hash)]
    }

    pub(super) fn contains(&self, hash: u128) -> bool {
        let start = self.start(hash);
        let block = &self.words[start..start + WORDS];
        block.iter().zip(Self::bits(hash)).all(|(word, bit)| word & bit != 0)
    }

    /// False if it was there.
    pub(super) fn insert(&mut self, hash: u128) -> bool {
        let start = self.start(hash);
        let block = &mut self.words[start..start + WORDS];
        let mut missing = false;
        for (word, bit) in block.iter_mut().zip(Self::bits(hash)) {
            missing |= *word & bit == 0;
            *word |= bit;
        }
        self.entries += usize::from(missing);
        missing
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries >= self.capacity
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn memory(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// The chance that a random entry seems to be there. Blocks are not equally full: with a Poisson number of entries
    /// in each, the chance is the mean over that.
    pub(super) fn hit_rate(&self) -> f64 {
        let mean = self.entries as f64 / self.blocks as f64;
        let (mut weight, mut sum) = ((-mean).exp(), 0.0);
        for entries in 0..128_i32 {
            let set = 1.0 - (1.0_f64 - 1.0 / 64.0).powi(entries);
            sum += weight * set.powi(WORDS as i32);
            weight *= mean / f64::from(entries + 1);
        }
        sum
    }
}
