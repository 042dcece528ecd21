//! How fast a line may be used so that a month's volume lasts for the month, and what the hour of the day allows.
//!
//! A provider counts both directions together, by the calendar month; so do we, in UTC. What is left of the volume is
//! spread evenly over what is left of the month: quiet hours leave more for the busy ones, and nothing ever stops at
//! once. The bandwidth letter that we publish follows the rate, so that nobody builds on what we do not have.

use crate::shape::Limits;
use crate::time::Wall;
use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// With less than this in each direction no tunnel of others is carried any more; what is our own goes on.
pub const LEAST: u64 = 10_000;

/// A month of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// Such as 2026.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
}

impl Month {
    /// The month that a time is in.
    pub fn of(now: Wall) -> Self {
        let mut days = u64::from(now.secs()) / DAY;
        let mut year = 1970;
        while days >= days_of(year) {
            days -= days_of(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_in(year, month) {
            days -= days_in(year, month);
            month += 1;
        }
        Self { year, month }
    }

    /// When the next one begins.
    pub fn end(self) -> Wall {
        let years: u64 = (1970..self.year).map(days_of).sum();
        let months: u64 = (1..=self.month).map(|month| days_in(self.year, month)).sum();
        Wall((years + months) * DAY * 1000)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A part of each day in which the line may be used only so fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Seconds since midnight, in UTC, at which it begins.
    pub from: u32,
    /// At which it ends; before the beginning if midnight lies between.
    pub until: u32,
    /// Bytes a second in each direction.
    pub rate: u64,
}

impl Hours {
    fn holds(&self, now: Wall) -> bool {
        let at = now.secs() % (DAY as u32);
        if self.from <= self.until { (self.from..self.until).contains(&at) } else { at >= self.from || at < self.until }
    }
}

/// What has been used of a month's volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Of which month.
    pub month: Month,
    /// Bytes of both directions together.
    pub bytes: u64,
}

impl Used {
    /// Adds what went over the line since the last time. In a new month it begins anew.
    pub fn add(&mut self, now: Wall, bytes: u64) {
        let month = Month::of(now);
        if month > self.month {
            *self = Self { month, bytes };
        } else {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }
}

/// The line's limits at this time: those that are set, and no more than the volume and the hour allow. With less than
/// [`LEAST`] tunnels of others have no part in it.
pub fn limits(set: Limits, quota: Option<u64>, used: &Used, hours: &[Hours], now: Wall) -> Limits {
    let paced = quota.map(|quota| {
        let left = quota.saturating_sub(used.bytes);
        // The last minutes of a month are not to be a flood.
        let time = used.month.end().since(now).max(Duration::from_secs(3600)).as_secs();
        left / time / 2
    });
    let by_hour = hours.iter().filter(|hours| hours.holds(now)).map(|hours| hours.rate).min();
    let Some(most) = paced.into_iter().chain(by_hour).min() else { return set };
    let (inbound, outbound) = (set.inbound.min(most.max(LEAST)), set.outbound.min(most.max(LEAST)));
    // The part of others stays what it is of the whole.
    let share = set.transit as f64 / set.inbound.min(set.outbound).max(1) as f64;
    let transit = if most < LEAST { 0 } else { (inbound.min(outbound) as f64 * share) as u64 };
    Limits { inbound, outbound, transit, ..set }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28 12:00 UTC.
    const NOW: Wall = Wall(1_795_867_200_000);

    fn set() -> Limits {
        Limits { inbound: 25_000_000, outbound: 10_000_000, transit: 8_000_000, ..Limits::even(1) }
    }

    fn used(bytes: u64) -> Used {
        Used { month: Month::of(NOW), bytes }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        assert_eq!(Month::of(NOW), Month { year: 2026, month: 11 });
        assert_eq!(Month::of(Wall(0)), Month { year: 1970, month: 1 });
        for (year, month, days) in [(2027, 2, 28), (2028, 2, 29), (2028, 12, 31), (2100, 2, 28)] {
            let this = Month { year, month };
            assert_eq!(Month::of(this.end().minus(Duration::from_millis(1000))), this);
            assert_eq!(Month::of(this.end().minus(Duration::from_secs(days * DAY))), this);
            assert!(Month::of(this.end().minus(Duration::from_secs(days * DAY + 1))) < this);
            assert!(Month::of(this.end()) > this);
        }
    }

    #[test]
    fn what_is_left_is_spread_over_what_is_left_of_the_month() {
        let left = Month::of(NOW).end().since(NOW).as_secs();
        let at = limits(set(), Some(1_000_000 + 2 * 2_000_000 * left), &used(1_000_000), &[], NOW);
        assert_eq!((at.inbound, at.outbound, at.transit), (2_000_000, 2_000_000, 1_600_000));
        assert_eq!(limits(set(), Some(u64::MAX), &used(0), &[], NOW), set(), "more than the line bears");
        assert_eq!(limits(set(), None, &used(u64::MAX), &[], NOW), set(), "no quota");
    }

    #[test]
    fn a_volume_that_is_used_up_leaves_nothing_to_others() {
        let at = limits(set(), Some(1000), &used(2000), &[], NOW);
        assert_eq!((at.inbound, at.outbound, at.transit), (LEAST, LEAST, 0));
    }

    #[test]
    fn a_month_followed_to_its_end_is_never_exceeded() {
        let quota = 3_000_000_000_000;
        let (mut now, mut used) = (Month { year: 2026, month: 10 }.end(), used(0));
        let end = used.month.end();
        while now < end {
            let at = limits(set(), Some(quota), &used, &[], now);
            let step = Duration::from_secs(600);
            // Half of the days nobody uses it.
            let busy = (u64::from(now.secs()) / DAY).is_multiple_of(2);
            let bytes = if busy { (at.inbound + at.outbound) * step.as_secs() } else { 0 };
            used.add(now, bytes);
            now = now.plus(step);
        }
        assert!(used.bytes <= quota && used.bytes > quota / 2, "{}", used.bytes);
        used.add(now, 7);
        assert_eq!((used.month, used.bytes), (Month { year: 2026, month: 12 }, 7));
    }

    #[test]
    fn hours_hold_over_midnight_and_the_strictest_counts() {
        let night = Hours { from: 22 * 3600, until: 6 * 3600, rate: 5_000_000 };
        let noon = Hours { from: 11 * 3600, until: 13 * 3600, rate: 1_000_000 };
        let day = Hours { from: 6 * 3600, until: 22 * 3600, rate: 2_000_000 };
        let rate = |now: Wall| limits(set(), None, &used(0), &[night, noon, day], now).inbound;
        assert_eq!(rate(NOW), 1_000_000);
        assert_eq!(rate(NOW.plus(Duration::from_secs(2 * 3600))), 2_000_000);
        for hour in [10, 12, 17] {
            assert_eq!(rate(NOW.plus(Duration::from_secs(hour * 3600))), 5_000_000, "{hour} hours later");
        }
        assert_eq!(rate(NOW.plus(Duration::from_secs(18 * 3600))), 2_000_000);
    }
}
