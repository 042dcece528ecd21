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
