//! Has this cell been here before? One filter for all tunnels of a router.
//!
//! Two Bloom filters, the current and the former generation: an entry is remembered for one to two periods, and a
//! period is a tunnel's lifetime. What goes in is the IV XOR the first block of the data, so that a cell whose IV and
//! first block were swapped counts as the same. A probe touches one cache line per generation.
//!
//! All I/O threads share it: bits are set with relaxed atomics, and whoever owns the timer calls
//! [`IvFilter::advance`], off the data path, since it clears memory.
//!
//! spec: tunnel-implementation §Participant Processing

use super::cell::Body;
use crate::time::Mono;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Bits set per entry, each in a word of its own of one 64-byte block.
const PROBES: usize = 6;
const WORDS: usize = 8;
/// Blocks looked at for [`IvFilter::false_positive_rate`].
const SAMPLE: usize = 4096;

/// How large the filter is and how long it remembers.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Cells expected in one period: the line's rate in cells per second times the period.
    pub cells: u64,
    /// Bits of memory per cell and generation. 24 give about one false positive in 4,000 when full.
    pub bits_per_cell: u32,
    /// How long an entry is remembered at least. A tunnel lives for 600 s, hops keep it for up to 660 s.
    pub period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { cells: 4_000_000, bits_per_cell: 24, period: Duration::from_secs(660) }
    }
}

/// The filter.
pub struct IvFilter {
    key: (u64, u64),
    generations: [Generation; 2],
    current: AtomicUsize,
    period: Duration,
    /// When the current generation began, in milliseconds.
    since: AtomicU64,
}

/// Blocks of [`WORDS`] words. The memory comes zeroed from the system and is not touched before it is used, so a filter
/// that is sized for a line at full load costs an idle router nothing.
struct Generation {
    words: Box<[AtomicU64]>,
    /// Where the first block begins, so that each lies in one cache line.
    first: usize,
    blocks: usize,
}

impl Generation {
    fn new(blocks: usize) -> Self {
        let words: Box<[AtomicU64]> = bytemuck::zeroed_slice_box((blocks + 1) * WORDS);
        let first = words.as_ptr().align_offset(WORDS * size_of::<AtomicU64>()).min(WORDS);
        Self { words, first, blocks }
    }

    fn block(&self, index: usize) -> &[AtomicU64] {
        let at = self.first + index * WORDS;
        &self.words[at..at + WORDS]
    }

    fn iter(&self) -> impl Iterator<Item = &[AtomicU64]> {
        (0..self.blocks).map(|index| self.block(index))
    }
}

impl IvFilter {
    /// An empty filter. The seed keeps others from choosing cells that fill one block.
    pub fn new(config: &Config, seed: [u8; 16], now: Mono) -> Self {
        let bits = config.cells.max(1).saturating_mul(u64::from(config.bits_per_cell.max(8)));
        let blocks = usize::try_from(bits / 512 + 1).unwrap_or(usize::MAX);
        let [k0, k1] = halves(seed);
        Self {
            key: (k0, k1),
            generations: [Generation::new(blocks), Generation::new(blocks)],
            current: AtomicUsize::new(0),
            period: config.period,
            since: AtomicU64::new(millis(now)),
        }
    }

    /// Enters a cell as it arrived, before this hop's layer is applied. False if it was here before (or, rarely,
    /// only looks so): the cell is to be dropped.
    #[must_use = "a repeated cell is dropped"]
    pub fn is_fresh(&self, body: &Body) -> bool {
        let (iv, data) = body.split_at(16);
        let (Some(iv), Some(first)) = (iv.first_chunk(), data.first_chunk()) else { return false };
        let entry = u128::from_ne_bytes(*iv) ^ u128::from_ne_bytes(*first);
        let (block, mut bits) = self.place(entry);
        let current = self.current.load(Relaxed) & 1;
        let (now, before) = (self.generations[current].block(block), self.generations[current ^ 1].block(block));
        let (mut in_now, mut in_before) = (true, true);
        let start = bits as usize % WORDS;
        bits >>= 3;
        for at in (start..start + PROBES).map(|word| word % WORDS) {
            let mask = 1 << (bits & 63);
            in_before &= before[at].load(Relaxed) & mask != 0;
            if now[at].load(Relaxed) & mask == 0 {
                in_now = false;
                now[at].fetch_or(mask, Relaxed);
            }
            bits >>= 6;
        }
        !(in_now || in_before)
    }

    /// Begins a new generation if the period is over: forgets the older one. Takes time in proportion to the memory.
    pub fn advance(&self, now: Mono) {
        if now < self.next_advance() {
            return;
        }
        let old = (self.current.load(Relaxed) & 1) ^ 1;
        for word in &self.generations[old].words {
            // Reading does not make memory of the system's that was never written ours; writing would.
            if word.load(Relaxed) != 0 {
                word.store(0, Relaxed);
            }
        }
        self.current.store(old, Relaxed);
        self.since.store(millis(now), Relaxed);
    }

    /// When [`IvFilter::advance`] has something to do.
    pub fn next_advance(&self) -> Mono {
        Duration::from_millis(self.since.load(Relaxed)) + self.period
    }

    /// The chance, 0 to 1, that a fresh cell is taken for a repeated one now, estimated from the bits that are set.
    pub fn false_positive_rate(&self) -> f64 {
        let miss: f64 = self.generations.iter().map(|g| 1.0 - hit_rate(g)).product();
        1.0 - miss
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.generations.iter().map(|g| g.blocks * WORDS * size_of::<AtomicU64>()).sum()
    }

    fn place(&self, entry: u128) -> (usize, u64) {
        let [a, b] = halves(entry.to_ne_bytes());
        let h = fold(a ^ self.key.0, b ^ self.key.1);
        let (x, y) = (fold(h ^ self.key.1, 0x9e37_79b9_7f4a_7c15), fold(h ^ self.key.0, 0xd6e8_feb8_6659_fd93));
        // Multiply and shift maps to 0..blocks without a division.
        let block = (u128::from(x) * self.generations[0].blocks as u128) >> 64;
        (block as usize, y)
    }
}

impl std::fmt::Debug for IvFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IvFilter").field("memory", &self.memory()).finish_non_exhaustive()
    }
}

/// The mean over blocks, sampled evenly, of the chance that all probes of a random entry hit.
fn hit_rate(generation: &Generation) -> f64 {
    let step = (generation.blocks / SAMPLE).max(1);
    let rate = |block: &[AtomicU64]| {
        let ones: u32 = block.iter().map(|word| word.load(Relaxed).count_ones()).sum();
        (f64::from(ones) / (WORDS * 64) as f64).powi(PROBES as i32)
    };
    let (mut sum, mut n) = (0.0, 0.0);
    for block in generation.iter().step_by(step) {
        sum += rate(block);
        n += 1.0;
    }
    sum / n
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let wide = u128::from_ne_bytes(bytes);
    [wide as u64, (wide >> 64) as u64]
}

fn millis(now: Mono) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    const START: Mono = Duration::from_secs(5);

    fn cells(n: usize, seed: u8) -> Vec<Body> {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let random = |_| {
            let mut body = [0; 1024];
            rng.fill_bytes(&mut body[..32]);
            body
        };
        (0..n).map(random).collect()
    }

    fn filter(cells: u64) -> IvFilter {
        IvFilter::new(&Config { cells, ..Config::default() }, [9; 16], START)
    }

    #[test]
    fn a_cell_is_fresh_once_even_with_iv_and_first_block_swapped() {
        let filter = filter(1000);
        for mut cell in cells(200, 1) {
            assert!(filter.is_fresh(&cell));
            assert!(!filter.is_fresh(&cell));
            let (a, b) = cell[..32].split_at_mut(16);
            a.swap_with_slice(b);
            assert!(!filter.is_fresh(&cell));
        }
    }

    #[test]
    fn an_entry_is_remembered_for_one_period_at_least_and_two_at_most() {
        let filter = filter(1000);
        let late = Duration::from_secs(659);
        let cell = cells(1, 2)[0];
        filter.advance(START + late);
        assert!(filter.is_fresh(&cell));
        filter.advance(START + 2 * late);
        assert!(!filter.is_fresh(&cell), "after almost one period, in the former generation");
        let filter = self::filter(1000);
        assert!(filter.is_fresh(&cell));
        filter.advance(filter.next_advance());
        filter.advance(filter.next_advance());
        assert!(filter.is_fresh(&cell), "after two periods");
    }

    #[test]
    fn the_estimate_is_near_the_measured_rate_of_a_full_filter() {
        let filter = filter(50_000);
        let fresh = cells(50_000, 3).iter().filter(|c| filter.is_fresh(c)).count();
        assert!(fresh > 49_980, "{fresh}");
        let estimate = filter.false_positive_rate();
        let wrong = cells(50_000, 4).iter().filter(|c| !filter.is_fresh(c)).count() as f64 / 50_000.0;
        assert!((0.000_02..0.001).contains(&estimate), "estimated {estimate}");
        // The cells that measure go in as well and double the load, so the measured rate is above.
        assert!(wrong < 40.0 * estimate, "measured {wrong}, estimated {estimate}");
        assert_eq!(filter.memory(), 2 * (50_000 * 24 / 512 + 1) * 64);
    }
}
