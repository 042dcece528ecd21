//! Time as the cores see it: handed in with every input, never read from a clock.

use std::time::Duration;

/// Monotonic time since an arbitrary start (the process's, or a simulation's).
pub type Mono = Duration;

/// Wall-clock time: milliseconds since 1970-01-01 UTC, corrected by what peers told us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

impl Wall {
    /// Whole seconds since 1970, as most I2P fields carry it. Good until 2106.
    pub fn secs(self) -> u32 {
        u32::try_from(self.0 / 1000).unwrap_or(u32::MAX)
    }

    /// The time at `secs` seconds since 1970.
    pub fn from_secs(secs: u32) -> Self {
        Self(u64::from(secs) * 1000)
    }

    /// This time plus a duration.
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This time minus a duration, not below 1970.
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This time on the whole second, less up to three seconds by `random`: what is told to strangers must not show how far
    /// our clock is off. INTEROP: Java takes up to three seconds off, too.
    pub fn blurred(self, random: u32) -> Self {
        Self((self.0.saturating_sub(u64::from(random % 3000))) / 1000 * 1000)
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One reading of both clocks. I2P messages bear wall time; timers need monotonic time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub mono: Mono,
    /// Wall.
    pub wall: Wall,
}

impl Now {
    /// Both clocks advanced by `d`: for simulations.
    pub fn plus(self, d: Duration) -> Self {
        Self { mono: self.mono + d, wall: self.wall.plus(d) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blurred_time_is_a_whole_second_that_does_not_tell_the_exact_one() {
        let at = Wall(1_790_000_000_700);
        let all: std::collections::BTreeSet<_> = (0..3000).map(|random| at.blurred(random).0).collect();
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            [1_789_999_997_000, 1_789_999_998_000, 1_789_999_999_000, 1_790_000_000_000]
        );
        assert_eq!(Wall(0).blurred(77), Wall(0));
    }
}
