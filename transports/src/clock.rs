//! The one place that reads the machine's clocks.
//!
//! Wall time is the machine's at the start, moved on by the monotonic clock and by corrections that the control plane makes
//! (spec: ntcp2 §Clock skew): a machine with a wrong clock still takes part, and one whose clock is set while we run disturbs
//! nothing.

use ramson_protocol::time::{Now, Wall};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that all threads share; cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    /// The machine's wall time at the start, in milliseconds.
    began_ms: i64,
    correction_ms: AtomicI64,
}

impl Clock {
    /// A clock whose monotonic time begins at zero, and which is right if the machine's is.
    pub fn new() -> Self {
        Self::with_correction(0)
    }

    /// A clock that is right if the machine's is off by so many milliseconds.
    pub fn with_correction(ms: i64) -> Self {
        let began_ms = i64::try_from(Self::system().0).unwrap_or(i64::MAX);
        Self(Arc::new(Inner { start: Instant::now(), began_ms, correction_ms: AtomicI64::new(ms) }))
    }

    /// Both times.
    pub fn now(&self) -> Now {
        let mono = self.0.start.elapsed();
        let passed = i64::try_from(mono.as_millis()).unwrap_or(i64::MAX);
        let ms = self.0.began_ms.saturating_add(passed).saturating_add(self.0.correction_ms.load(Relaxed));
        Now { mono, wall: Wall(u64::try_from(ms).unwrap_or(0)) }
    }

    /// What the machine's wall clock says now.
    pub fn system() -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// How many milliseconds we are ahead of the machine's clock.
    pub fn ahead_of_system_ms(&self) -> i64 {
        let ms = |wall: Wall| i64::try_from(wall.0).unwrap_or(i64::MAX);
        ms(self.now().wall).saturating_sub(ms(Self::system()))
    }

    /// Shifts the wall time by `ms` from now on.
    pub fn adjust(&self, ms: i64) {
        self.0.correction_ms.fetch_add(ms, Relaxed);
    }

    /// How long the machine has slept since it was booted: time that the monotonic clock does not count.
    pub fn slept() -> Duration {
        #[cfg(target_os = "linux")]
        {
            use rustix::time::{ClockId, clock_gettime};
            let read = |id| Duration::try_from(clock_gettime(id)).unwrap_or_default();
            read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
        }
        #[cfg(not(target_os = "linux"))]
        Duration::ZERO
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_moves_the_wall_time_and_not_the_monotonic_one() {
        let clock = Clock::with_correction(-5_000);
        let before = clock.now();
        clock.adjust(3_600_000);
        let after = clock.now();
        let moved = after.wall.0 - before.wall.0;
        let passed = u64::try_from((after.mono - before.mono).as_millis()).unwrap();
        assert!(moved.abs_diff(3_600_000 + passed) <= 1, "{moved}");
    }
}
