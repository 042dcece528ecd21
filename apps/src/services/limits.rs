//! How often callers may come: each in a minute, an hour and a day, and all together.
//!
//! INTEROP: Java I2P's limits of the same names, which it counts in whole minutes, hours and days; here each is a bucket that fills with time.

use ramson_protocol::bucket::Bucket;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::time::Mono;
use std::collections::BTreeMap;

/// Callers that are counted; with more of them the one that was here longest ago is forgotten.
const CALLERS: usize = 4096;

const SECONDS: [f32; 3] = [60.0, 3600.0, 86_400.0];

/// Calls in a minute, an hour and a day; 0 is as many as they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerTime(pub [u32; 3]);

/// What may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// From one caller.
    pub each: PerTime,
    /// From all.
    pub all: PerTime,
}

/// What has come.
#[derive(Debug, Default)]
pub(super) struct Counts {
    callers: BTreeMap<DestinationHash, [Bucket; 3]>,
    all: [Bucket; 3],
}

impl Limits {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Counts {
    /// Counts a call; false if it is one too many.
    pub(super) fn may(&mut self, limits: &Limits, who: DestinationHash, now: Mono) -> bool {
        if limits.is_none() {
            return true;
        }
        if self.callers.len() >= CALLERS && !self.callers.contains_key(&who) {
            let longest = self.callers.iter().max_by_key(|(_, buckets)| buckets[0].idle(now)).map(|(who, _)| *who);
            longest.map(|longest| self.callers.remove(&longest));
        }
        let own = self.callers.entry(who).or_default();
        // One who comes too often takes nothing from the others.
        take(own, limits.each, now) && take(&mut self.all, limits.all, now)
    }
}

fn take(buckets: &mut [Bucket; 3], PerTime(limits): PerTime, now: Mono) -> bool {
    let each = buckets.iter_mut().zip(limits).zip(SECONDS);
    // All are asked: they keep the time of the last call.
    each.fold(true, |may, ((bucket, limit), seconds)| {
        let most = if limit == 0 { f32::MAX } else { limit as f32 };
        bucket.take((most, most / seconds), now) && may
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn mays(limits: &Limits, calls: &[(u8, u64)]) -> Vec<bool> {
        let mut counts = Counts::default();
        let may = |(who, at): &(u8, u64)| counts.may(limits, DestinationHash([*who; 32]), Duration::from_secs(*at));
        calls.iter().map(may).collect()
    }

    #[test]
    fn one_who_comes_too_often_is_refused_and_others_are_not() {
        let two = Limits { each: PerTime([2, 0, 0]), ..Limits::default() };
        assert_eq!(mays(&two, &[(1, 0), (1, 0), (1, 1), (2, 1), (1, 40)]), [true, true, false, true, true]);
        let hour = Limits { each: PerTime([5, 2, 0]), ..Limits::default() };
        assert_eq!(mays(&hour, &[(1, 0), (1, 300), (1, 600), (1, 4000)]), [true, true, false, true]);
        let all = Limits { all: PerTime([2, 0, 0]), ..Limits::default() };
        assert_eq!(mays(&all, &[(1, 0), (2, 0), (3, 0)]), [true, true, false]);
        assert_eq!(mays(&Limits::default(), &[(1, 0); 50]), [true; 50]);
    }
}
