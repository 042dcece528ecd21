//! How much of something one session may bring.

use ramson_protocol::time::Mono;

/// A bucket of tokens that fills with time. New ones are full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// What has been taken and has not come back.
    spent: f32,
    at: Mono,
}

impl Bucket {
    /// Takes one of so many at once and so many a second; false if none is left.
    pub(super) fn take(&mut self, (burst, per_second): (f32, f32), now: Mono) -> bool {
        let back = now.saturating_sub(self.at).as_secs_f32() * per_second;
        (self.spent, self.at) = ((self.spent - back).max(0.0), now);
        let there = self.spent + 1.0 <= burst;
        if there {
            self.spent += 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::default();
        let mut taken = |ms: u64| {
            let now = Duration::from_millis(5000 + ms);
            (0..1000).filter(|_| bucket.take((10.0, 20.0), now)).count()
        };
        assert_eq!([taken(0), taken(0), taken(100), taken(10_000)], [10, 0, 2, 10]);
    }
}
