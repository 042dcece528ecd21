//! Routing keys: where in the key space an entry is kept, which changes every day.
//!
//! spec: network-database §Kademlia Closeness Metric — SHA-256(key ‖ yyyyMMdd), UTC.

use crate::id::{NetDbKey, RouterHash, RoutingKey};
use crate::time::Wall;
use ramson_crypto::hash::sha256;
use std::time::Duration;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A day of the Gregorian calendar, counted from 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

impl Day {
    /// The day of a moment.
    pub fn of(at: Wall) -> Self {
        Self(u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The day after.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// `yyyyMMdd` in ASCII; years beyond 9999 keep their last four digits.
    pub fn ascii(self) -> [u8; 8] {
        // Howard Hinnant's civil_from_days: eras of 400 years that begin on 0000-03-01.
        let days = u64::from(self.0) + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = (era * 400 + year_of_era + u64::from(month <= 2)) % 10_000;
        let number = year * 10_000 + month * 100 + day;
        let mut divisor = 100_000_000;
        std::array::from_fn(|_| {
            divisor /= 10;
            b"0123456789"[usize::try_from(number / divisor % 10).unwrap_or(0)]
        })
    }
}

/// How long until the routing keys change.
pub fn until_midnight(now: Wall) -> Duration {
    Duration::from_millis(DAY_MS - now.0 % DAY_MS)
}

/// Where an entry is kept on a day.
pub fn routing_key(key: NetDbKey, day: Day) -> RoutingKey {
    RoutingKey(sha256(&[&key.0, &day.ascii()]))
}

/// How far a router is from a place; the smaller, the closer. Routers stand at their own hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance([u8; 32]);

/// The XOR metric.
pub fn distance(place: &RoutingKey, router: &RouterHash) -> Distance {
    Distance(std::array::from_fn(|i| place.0[i] ^ router.0[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_java_writes_them() {
        for (secs, text) in [
            (0, "19700101"),
            (951_782_399, "20000228"),
            (951_782_400, "20000229"),
            (951_868_800, "20000301"),
            (1_790_000_000, "20260921"),
            (1_798_761_599, "20261231"),
            (1_798_761_600, "20270101"),
            (4_107_542_399, "21000228"),
            (4_107_542_400, "21000301"),
        ] {
            assert_eq!(Day::of(Wall::from_secs(secs)).ascii(), *text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut previous = Day(0).ascii();
        for day in 1..146_097 {
            let now = Day(day).ascii();
            assert!(now > previous);
            previous = now;
        }
        assert_eq!(&previous, b"23691231");
    }

    #[test]
    fn the_routing_key_changes_at_midnight_utc() {
        let key = NetDbKey([7; 32]);
        let before = Wall::from_secs(1_798_761_599);
        let today = Day::of(before);
        assert_eq!(until_midnight(before), Duration::from_secs(1));
        assert_ne!(routing_key(key, today), routing_key(key, today.next()));
        assert_eq!(today.next(), Day::of(before.plus(Duration::from_secs(1))));
        let expected = sha256(&[&[7; 32], b"20261231"]);
        assert_eq!(routing_key(key, today), RoutingKey(expected));
    }
}
