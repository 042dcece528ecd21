//! How often somebody may do something: so many times at once, and so many a second.

use crate::time::Mono;
use std::time::Duration;

/// A bucket of tokens that fills with time. New ones are full.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// What has been taken and has not come back.
    spent: f32,
    at: Mono,
}

impl Bucket {
    /// Takes one of so many at once and so many a second; false if none is left.
    pub fn take(&mut self, (burst, per_second): (f32, f32), now: Mono) -> bool {
        let back = self.idle(now).as_secs_f32() * per_second;
        (self.spent, self.at) = ((self.spent - back).max(0.0), now);
        let there = self.spent + 1.0 <= burst;
        if there {
            self.spent += 1.0;
        }
        there
    }

    /// True if it says nothing any more that a new one would not.
    pub fn is_full(&self, per_second: f32, now: Mono) -> bool {
        self.spent <= self.idle(now).as_secs_f32() * per_second
    }

    /// How long nobody has asked.
    pub fn idle(&self, now: Mono) -> Duration {
        now.saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::default();
        let mut taken = |ms: u64| {
            let now = Duration::from_millis(5000 + ms);
            (0..1000).filter(|_| bucket.take((10.0, 20.0), now)).count()
        };
        assert_eq!([taken(0), taken(0), taken(100), taken(10_000)], [10, 0, 2, 10]);
        let full = |ms: u64| bucket.is_full(20.0, Duration::from_millis(15_000 + ms));
        assert_eq!([full(0), full(499), full(501)], [false, false, true]);
    }
}
