//! Times in buckets that are an eighth of a power of two wide.

use std::time::Duration;

/// Buckets of one power of two.
const PARTS: usize = 8;
/// From a microsecond to an hour.
const BUCKETS: usize = 32 * PARTS;

/// Counted times.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    buckets: Vec<u64>,
    max: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], max: Duration::ZERO }
    }
}

impl Latencies {
    /// Counts one.
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.buckets[bucket(micros)] += 1;
        self.max = self.max.max(time);
    }

    /// Adds those of another thread.
    pub(super) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(a, b)| *a += b);
        self.max = self.max.max(other.max);
    }

    /// The time below which this share (0 to 1) of all lie, to an eighth.
    pub(super) fn at(&self, share: f64) -> Duration {
        if share >= 1.0 {
            return self.max;
        }
        let total: u64 = self.buckets.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (n, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return upper(n).min(self.max);
            }
        }
        self.max
    }
}

/// The bucket of so many microseconds.
fn bucket(micros: u32) -> usize {
    let power = (31 - micros.max(1).leading_zeros()) as usize;
    if power < 3 {
        return micros as usize;
    }
    let part = (micros >> (power - 3)) as usize & (PARTS - 1);
    (power - 2) * PARTS + part
}

/// The end of a bucket.
fn upper(bucket: usize) -> Duration {
    if bucket < PARTS {
        return Duration::from_micros(bucket as u64);
    }
    let (power, part) = (bucket / PARTS + 2, bucket % PARTS);
    Duration::from_micros(((PARTS + part + 1) as u64) << (power - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_an_eighth() {
        let mut all = Latencies::default();
        (1..=10_000).for_each(|us| all.record(Duration::from_micros(us)));
        for (share, us) in [(0.01, 100.0), (0.5, 5000.0), (0.99, 9900.0)] {
            let got = all.at(share).as_micros() as f64;
            assert!((us..us * 1.126).contains(&got), "{share}: {got}");
        }
        assert_eq!(all.at(1.0), Duration::from_millis(10));
        all.record(Duration::from_secs(1_000_000));
        assert_eq!(all.at(1.0), Duration::from_secs(1_000_000));
        assert_eq!(Latencies::default().at(0.5), Duration::ZERO);
    }

    #[test]
    fn no_time_lies_outside_its_bucket() {
        for micros in (0..100_000).chain([u32::MAX - 1, u32::MAX]) {
            let n = bucket(micros);
            assert!(n < BUCKETS);
            assert!(upper(n) >= Duration::from_micros(micros.into()), "{micros}");
            assert!(n == 0 || upper(n - 1) <= Duration::from_micros(micros.into()), "{micros}");
        }
    }
}
