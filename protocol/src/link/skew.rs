//! The comparison of two clocks.
//!
//! spec: ntcp2 §DateTime, §Clock Skew Guidelines

use crate::time::{Mono, Wall};
use std::time::Duration;

/// The most that two clocks may differ.
///
/// spec: ntcp2 §Clock Skew Guidelines
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Rounds to the nearest second, as every timestamp in NTCP2 must be, to keep bias out of the network's clock.
///
/// spec: ntcp2 §DateTime
pub fn nearest_second(wall: Wall) -> u32 {
    wall.plus(Duration::from_millis(500)).secs()
}

/// How many milliseconds the peer's clock is ahead of ours; negative if behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockSkew(pub i64);

impl ClockSkew {
    /// From the peer's timestamp and the time at which it arrived here, `travelled` after it was sent.
    pub fn of(timestamp: u32, arrived: Wall, travelled: Mono) -> Self {
        let ms = |wall: Wall| i64::try_from(wall.0).unwrap_or(i64::MAX);
        Self(ms(Wall::from_secs(timestamp)).saturating_sub(ms(arrived.minus(travelled))))
    }

    /// Beyond what a session survives.
    pub fn is_excessive(self) -> bool {
        u128::from(self.0.unsigned_abs()) > MAX_CLOCK_SKEW.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_is_corrected_by_the_time_travelled_and_sixty_seconds_are_allowed() {
        let arrived = Wall(1_000_400);
        assert_eq!(ClockSkew::of(1000, arrived, Duration::from_millis(400)), ClockSkew(0));
        assert_eq!(ClockSkew::of(1061, arrived, Duration::ZERO), ClockSkew(60_600));
        assert!(ClockSkew(60_001).is_excessive() && ClockSkew(-60_001).is_excessive());
        assert!(!ClockSkew(60_000).is_excessive() && !ClockSkew(-60_000).is_excessive());
        assert!(ClockSkew::of(0, Wall(u64::MAX), Duration::ZERO).is_excessive());
        assert_eq!(nearest_second(Wall(1499)), 1);
        assert_eq!(nearest_second(Wall(1500)), 2);
    }
}
