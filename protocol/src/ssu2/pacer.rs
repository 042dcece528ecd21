//! When the next bytes may leave: a bucket of tokens that fills at the window's rate, with room for whole batches.

use crate::time::Mono;
use std::time::Duration;

/// The bucket holds what flows in so long a time ...
const DEPTH: Duration = Duration::from_millis(4);
/// ... and at least so many bytes: 16 full packets.
const MIN_DEPTH: u64 = 16 * 1472;
/// An empty bucket is waited for until it holds what flows in so long a time, so that packets leave in batches and a
/// timer never fires more often.
const QUANTUM: Duration = Duration::from_millis(1);

/// A bucket of tokens, one per byte.
#[derive(Debug)]
pub struct Pacer {
    tokens: u64,
    updated: Mono,
}

impl Pacer {
    /// A full bucket.
    pub fn new(now: Mono) -> Self {
        Self { tokens: MIN_DEPTH, updated: now }
    }

    /// Fills the bucket at `rate` bytes per second.
    pub fn refill(&mut self, rate: u64, now: Mono) {
        let elapsed = now.saturating_sub(self.updated);
        let depth = flow(rate, DEPTH).max(MIN_DEPTH);
        let gained = flow(rate, elapsed);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(depth);
            self.updated = now;
        }
    }

    /// Bytes that may leave now.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// `bytes` leave.
    pub fn take(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// When there will be room for a batch, or for `bytes` at least.
    pub fn ready_at(&self, rate: u64, bytes: u64) -> Mono {
        let wanted = flow(rate, QUANTUM).max(bytes).saturating_sub(self.tokens);
        let micros = wanted.saturating_mul(1_000_000).div_ceil(rate.max(1));
        self.updated + Duration::from_micros(micros)
    }
}

/// Bytes that flow at `rate` in `time`.
fn flow(rate: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    rate.saturating_mul(micros.min(1_000_000)) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_leaves_than_flows_in_and_never_in_steps_below_a_millisecond() {
        let rate = 10_000_000;
        let (mut pacer, mut now, mut sent) = (Pacer::new(Mono::ZERO), Mono::ZERO, 0);
        pacer.take(pacer.tokens());
        while now < Duration::from_secs(1) {
            let ready = pacer.ready_at(rate, 1000);
            assert!(ready - now >= QUANTUM - Duration::from_micros(1));
            now = ready;
            pacer.refill(rate, now);
            assert!(pacer.tokens() >= 10_000);
            sent += pacer.tokens();
            pacer.take(pacer.tokens());
        }
        assert!((9_900_000..=10_100_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_pause_fills_the_bucket_and_no_more() {
        let mut pacer = Pacer::new(Mono::ZERO);
        pacer.refill(1_000_000, Duration::from_secs(9));
        assert_eq!(pacer.tokens(), MIN_DEPTH);
        pacer.refill(100_000_000, Duration::from_secs(19));
        assert_eq!(pacer.tokens(), 400_000);
    }
}
