//! How many requests that change something a site takes: of each visitor and of all, in a time of its owner's choice. Who goes beyond it is
//! sent away for longer.
//!
//! ```text
//! request --> is he banned, or are all? --> one more in this time; too many of his? ban him : too many of all? ban all
//! ```
//! INTEROP: `maxPosts`, `maxTotalPosts`, `postCheckTime`, `postBanTime` and `postTotalBanTime` of Java I2P.

use ramson_protocol::id::DestinationHash;
use ramson_protocol::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Visitors that are counted; with more of them one that is not banned gives way, the oldest first, or else the ban that ends first.
const VISITORS: usize = 4096;

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posts {
    /// Of one visitor in `time`; 0 is as many as he likes.
    pub each: u32,
    /// Of all together in `time`; 0 is as many as they like.
    pub all: u32,
    /// The time in which they are counted.
    pub time: Duration,
    /// So long a visitor is sent away who sent more.
    pub ban: Duration,
    /// So long all are when all together sent more.
    pub ban_all: Duration,
}

impl Default for Posts {
    /// No limit. INTEROP: the times are Java's.
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self { each: 0, all: 0, time: minutes(5), ban: minutes(20), ban_all: minutes(10) }
    }
}

/// What has come of one, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    since: Mono,
    count: u32,
    banned: Option<Mono>,
}

/// What has come.
#[derive(Debug, Default)]
pub(super) struct Counts {
    visitors: BTreeMap<DestinationHash, Count>,
    all: Count,
}

impl Count {
    /// Counts one more of at most `most`; how long it is banned, if it is.
    fn take(&mut self, most: u32, time: Duration, ban: Duration, now: Mono) -> Option<Duration> {
        if let Some(until) = self.banned {
            if now < until {
                return Some(until - now);
            }
            *self = Self::default();
        }
        if self.count == 0 || now >= self.since + time {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        if most == 0 || self.count <= most {
            return None;
        }
        self.banned = Some(now + ban);
        Some(ban)
    }
}

impl Counts {
    /// Counts a request; how long its visitor is to wait, if it is not taken.
    pub(super) fn refusal(&mut self, limits: &Posts, who: DestinationHash, now: Mono) -> Option<Duration> {
        if limits.each == 0 && limits.all == 0 {
            return None;
        }
        if self.visitors.len() >= VISITORS && !self.visitors.contains_key(&who) {
            let first = |(_, count): &(&DestinationHash, &Count)| (count.banned, count.since);
            let gives_way = self.visitors.iter().min_by_key(first).map(|(who, _)| *who);
            gives_way.map(|who| self.visitors.remove(&who));
        }
        let own = self.visitors.entry(who).or_default();
        // One who sends too much takes nothing from the others.
        own.take(limits.each, limits.time, limits.ban, now)
            .or_else(|| self.all.take(limits.all, limits.time, limits.ban_all, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;

    fn refused(limits: &Posts, posts: &[(u8, u64)]) -> Vec<Option<u64>> {
        let mut counts = Counts::default();
        let refusal = |(who, at): &(u8, u64)| {
            counts.refusal(limits, DestinationHash([*who; 32]), Duration::from_secs(*at)).map(|wait| wait.as_secs())
        };
        posts.iter().map(refusal).collect()
    }

    #[test]
    fn one_who_sends_too_much_is_banned_for_a_time_and_others_are_not() {
        let two = Posts { each: 2, ..Posts::default() };
        let posts = [(1, 0), (1, 1), (1, 2), (2, 3), (1, 21 * MINUTE), (1, 22 * MINUTE), (1, 29 * MINUTE)];
        assert_eq!(refused(&two, &posts), [None, None, Some(20 * MINUTE), None, None, None, None]);
        assert_eq!(refused(&two, &[(1, 0), (1, 0), (1, 0), (1, 19 * MINUTE)])[3], Some(MINUTE));
    }

    #[test]
    fn when_all_send_too_much_all_wait_and_the_banned_count_for_nothing() {
        let limits = Posts { each: 2, all: 3, ..Posts::default() };
        let posts = [(1, 0), (1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (4, MINUTE), (4, 10 * MINUTE)];
        let refused = refused(&limits, &posts);
        assert_eq!(refused[..5], [None, None, Some(20 * MINUTE), Some(20 * MINUTE), None]);
        assert_eq!(refused[5..], [Some(10 * MINUTE), Some(9 * MINUTE), None]);
    }

    #[test]
    fn without_limits_nobody_is_counted_and_a_crowd_does_not_have_a_ban_forgotten() {
        let mut counts = Counts::default();
        let hash = |n: u32| {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            DestinationHash(hash)
        };
        let now = Duration::from_secs(1);
        assert!((0..100).all(|_| counts.refusal(&Posts::default(), hash(0), now).is_none()));
        assert!(counts.visitors.is_empty());
        let one = Posts { each: 1, ..Posts::default() };
        assert!(counts.refusal(&one, hash(0), now).is_none() && counts.refusal(&one, hash(0), now).is_some());
        for n in 1..10_000 {
            assert!(counts.refusal(&one, hash(n), now).is_none());
        }
        assert_eq!(counts.visitors.len(), VISITORS);
        assert!(counts.refusal(&one, hash(0), now).is_some());
    }
}
