//! The one place that reads the machine's clocks.
//!
//! Wall time is the system's plus a correction that the control plane sets from what peers say of their time
//! (spec: ntcp2 §Clock skew), so that a machine with a wrong clock still takes part.

use ramson_protocol::time::{Now, Wall};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock that all threads share; cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    correction_ms: AtomicI64,
}

impl Clock {
    /// A clock whose monotonic time begins at zero.
    pub fn new() -> Self {
        Self(Arc::new(Inner { start: Instant::now(), correction_ms: AtomicI64::new(0) }))
    }

    /// Both times.
    pub fn now(&self) -> Now {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = i64::try_from(system.as_millis()).unwrap_or(i64::MAX);
        let corrected = ms.saturating_add(self.0.correction_ms.load(Relaxed));
        Now { mono: self.0.start.elapsed(), wall: Wall(u64::try_from(corrected).unwrap_or(0)) }
    }

    /// Milliseconds that are added to the system's time.
    pub fn correction_ms(&self) -> i64 {
        self.0.correction_ms.load(Relaxed)
    }

    /// Shifts the wall time by `ms` from now on.
    pub fn adjust(&self, ms: i64) {
        self.0.correction_ms.fetch_add(ms, Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
