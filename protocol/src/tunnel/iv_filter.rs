//! Has this cell been here before?
//!
//! ```text
//! current generation   layer 0 | layer 1, twice as large | layer 2 ...   entries go into the newest
//! former generation    as it was when its period ended
//! ```
//! Sets of fingerprints in two generations: an entry is remembered for one to two periods, and a period is a tunnel's lifetime.
//! A generation begins small and grows by a layer when its newest is full, so that an idle router holds little memory and
//! a busy one forgets nothing; only at the limit of its memory does a generation end before its time, and that is counted.
//!
//! What goes in is the IV XOR the first block of the data, so that a cell whose IV and first block were swapped counts as
//! the same. A look-up touches two cache lines per layer; [`IvFilter::check`] takes many cells at once, so that these
//! misses overlap.
//!
//! Each I/O thread has a filter of its own: the cells of a tunnel come from one previous hop, hence on one thread.
//!
//! spec: tunnel-implementation §Participant Processing

use super::cell::Body;
use crate::fingerprints::{Inserted, Layer};
use crate::time::Mono;
use std::time::Duration;

/// Cells that one call of [`IvFilter::check`] takes.
pub const BATCH: usize = 64;

/// How large the filter may become and how long it remembers.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Cells that a generation is made for at first: what an idle router pays for, at five bytes a cell.
    pub first_layer: usize,
    /// Cells that a generation takes at most.
    pub max_cells: usize,
    /// How long an entry is remembered at least, below that limit. A tunnel lives for 600 s, hops keep it for up to 660.
    pub period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { first_layer: 200_000, max_cells: 16_000_000, period: Duration::from_secs(660) }
    }
}

/// The filter.
pub struct IvFilter {
    key: [u64; 2],
    config: Config,
    current: Vec<Layer>,
    former: Vec<Layer>,
    since: Mono,
    forgotten_early: u64,
}

impl IvFilter {
    /// An empty filter. The key is secret, so that nobody can choose cells that fill one block.
    pub fn new(config: Config, key: [u64; 2], now: Mono) -> Self {
        let current = vec![Layer::new(config.first_layer)];
        Self { key, config, current, former: Vec::new(), since: now, forgotten_early: 0 }
    }

    /// [`Config::max_cells`] as it is now.
    pub fn max_cells(&self) -> usize {
        self.config.max_cells
    }

    /// Changes [`Config::max_cells`], for what is entered from now on.
    pub fn set_max_cells(&mut self, max_cells: usize) {
        self.config.max_cells = max_cells;
    }

    /// Enters cells as they arrived, before this hop's layer is applied. Bit `i` of the answer says that `cells[i]` is
    /// fresh; the others were here before (or, rarely, only look so) and are to be dropped. Cells beyond [`BATCH`] are
    /// not looked at.
    #[must_use = "a repeated cell is dropped"]
    pub fn check(&mut self, now: Mono, cells: &[&Body]) -> u64 {
        if now.saturating_sub(self.since) >= self.config.period {
            self.begin_generation(now);
        }
        let mut hashes = [0_u128; BATCH];
        let mut touched = 0;
        for (hash, cell) in hashes.iter_mut().zip(cells) {
            *hash = self.hash(cell);
            for layer in self.current.iter().chain(&self.former) {
                touched ^= layer.touch(*hash);
            }
        }
        // The lines are on their way now, all at once. Nothing is done with what was read.
        std::hint::black_box(touched);
        let mut fresh = 0;
        for (i, hash) in hashes.iter().enumerate().take(cells.len()) {
            if self.enter(now, *hash) {
                fresh |= 1 << i;
            }
        }
        fresh
    }

    fn enter(&mut self, now: Mono, hash: u128) -> bool {
        let (newest, older) = match self.current.split_last_mut() {
            Some((newest, older)) => (newest, &*older),
            None => return true,
        };
        let seen = older.iter().chain(&self.former).any(|layer| layer.contains(hash));
        // What was seen is not entered again, so that nobody can fill the filter with one cell.
        if seen {
            return false;
        }
        let inserted = newest.insert(hash);
        if inserted == Inserted::NoRoom || newest.is_full() {
            let (size, have) = (newest.capacity(), self.current.iter().map(Layer::capacity).sum::<usize>());
            if have + 2 * size <= self.config.max_cells {
                self.current.push(Layer::new(2 * size));
            } else {
                self.forgotten_early += 1;
                self.begin_generation(now);
            }
        }
        match inserted {
            Inserted::New => true,
            Inserted::Seen => false,
            // There is a new layer now, and in an empty one there is room.
            Inserted::NoRoom => self.current.last_mut().is_some_and(|layer| layer.insert(hash) == Inserted::New),
        }
    }

    fn begin_generation(&mut self, now: Mono) {
        let size = self.config.first_layer;
        self.former = std::mem::replace(&mut self.current, vec![Layer::new(size)]);
        self.since = now;
    }

    /// The chance, 0 to 1, that a fresh cell is taken for a repeated one now, reckoned from the number of entries.
    pub fn false_positive_rate(&self) -> f64 {
        let miss: f64 = self.current.iter().chain(&self.former).map(|layer| 1.0 - layer.hit_rate()).product();
        1.0 - miss
    }

    /// Bytes of memory, whether touched yet or not.
    pub fn memory(&self) -> usize {
        self.current.iter().chain(&self.former).map(Layer::memory).sum()
    }

    /// Generations that ended before their time, at the limit of memory.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    fn hash(&self, body: &Body) -> u128 {
        let (iv, data) = body.split_at(16);
        let (Some(iv), Some(first)) = (iv.first_chunk(), data.first_chunk()) else { return 0 };
        let entry = u128::from_ne_bytes(*iv) ^ u128::from_ne_bytes(*first);
        let [k0, k1] = self.key;
        let h = fold(entry as u64 ^ k0, (entry >> 64) as u64 ^ k1);
        let (x, y) = (fold(h ^ k1, 0x9e37_79b9_7f4a_7c15), fold(h ^ k0, 0xd6e8_feb8_6659_fd93));
        u128::from(x) << 64 | u128::from(y)
    }
}

impl std::fmt::Debug for IvFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IvFilter").field("memory", &self.memory()).finish_non_exhaustive()
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
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

    fn filter(first_layer: usize, max_cells: usize) -> IvFilter {
        IvFilter::new(Config { first_layer, max_cells, ..Config::default() }, [9, 7], START)
    }

    fn fresh(filter: &mut IvFilter, now: Mono, cells: &[Body]) -> usize {
        let count = |batch: &[Body]| filter.check(now, &batch.iter().collect::<Vec<_>>()).count_ones() as usize;
        cells.chunks(BATCH).map(count).sum()
    }

    #[test]
    fn a_cell_is_fresh_once_even_with_iv_and_first_block_swapped() {
        let mut filter = filter(1000, 10_000);
        let mut cells = cells(200, 1);
        assert_eq!(fresh(&mut filter, START, &cells), 200);
        assert_eq!(fresh(&mut filter, START, &cells), 0);
        for cell in &mut cells {
            let (a, b) = cell[..32].split_at_mut(16);
            a.swap_with_slice(b);
        }
        assert_eq!(fresh(&mut filter, START, &cells), 0);
    }

    #[test]
    fn the_second_of_two_equal_cells_in_one_batch_is_not_fresh() {
        let cells = cells(3, 2);
        let batch = [&cells[0], &cells[1], &cells[0], &cells[2]];
        assert_eq!(filter(1000, 10_000).check(START, &batch), 0b1011);
    }

    #[test]
    fn an_entry_is_remembered_for_one_period_at_least_and_two_at_most() {
        let mut filter = filter(1000, 10_000);
        let cell = cells(1, 2);
        let period = Config::default().period;
        let late = START + period - Duration::from_secs(1);
        assert_eq!(fresh(&mut filter, late, &cell), 1);
        assert_eq!(fresh(&mut filter, late + period, &cell), 0, "almost one period later");
        let mut filter = self::filter(1000, 10_000);
        assert_eq!(fresh(&mut filter, START, &cell), 1);
        let others = cells(2, 3);
        assert_eq!(fresh(&mut filter, START + period, &others[..1]), 1);
        assert_eq!(fresh(&mut filter, START + 2 * period, &others[1..]), 1);
        assert_eq!(fresh(&mut filter, START + 2 * period, &cell), 1, "two periods later");
    }

    #[test]
    fn it_grows_with_what_comes_and_errs_hardly_ever() {
        let mut filter = filter(1000, 1_000_000);
        let small = filter.memory();
        let entered = fresh(&mut filter, START, &cells(60_000, 3));
        assert_eq!(entered, 60_000);
        assert!(filter.memory() > 30 * small && filter.memory() < 130 * small);
        assert_eq!(fresh(&mut filter, START, &cells(60_000, 3)), 0, "nothing is forgotten by growing");
        let estimate = filter.false_positive_rate();
        assert!(estimate > 0.0 && estimate < 1e-7, "{estimate}");
        assert_eq!(fresh(&mut filter, START, &cells(10_000, 4)), 10_000);
        assert_eq!(filter.forgotten_early(), 0);
    }

    #[test]
    fn at_the_limit_of_memory_a_generation_ends_early_and_is_counted() {
        let mut filter = filter(1000, 3000);
        let entered = fresh(&mut filter, START, &cells(20_000, 5));
        assert_eq!(entered, 20_000);
        assert!(filter.forgotten_early() > 3);
        assert!(filter.memory() < 2 * 3100 * 5 + 1000);
    }
}
