//! How many tunnels a pool keeps, and how it goes about it.
//!
//! spec: tunnel-implementation §Tunnel Pools; INTEROP: lifetimes and time-outs of other routers.

use std::time::Duration;

/// What one direction is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Tunnels at a time. At most 16.
    pub count: usize,
    /// Hops of each. With zero nothing is built, and [`Pool::pick`] finds nothing.
    pub length: usize,
}

/// The most tunnels per direction.
pub const COUNT_MAX: usize = 16;

/// How a pool behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Inbound tunnels.
    pub inbound: Wanted,
    /// Outbound tunnels.
    pub outbound: Wanted,
    /// How long before its end a tunnel's successor is built, as i2pd does ...
    pub rebuild_before: Duration,
    /// ... and up to so much earlier, so that tunnels do not all end at once.
    pub rebuild_jitter: Duration,
    /// A build without an answer has failed after this time.
    pub build_timeout: Duration,
    /// Builds under way at a time, per direction.
    pub parallel: usize,
    /// Pause after a failed build; doubles with each further one.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// The longest pause while there is no tunnel at all in the direction.
    pub backoff_urgent: Duration,
    /// How often a tunnel is tested.
    pub test_interval: Duration,
    /// A test that is not back by then has failed.
    pub test_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbound: Wanted { count: 2, length: 2 },
            outbound: Wanted { count: 2, length: 2 },
            rebuild_before: Duration::from_secs(90),
            rebuild_jitter: Duration::from_secs(60),
            build_timeout: Duration::from_secs(15),
            parallel: 2,
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            backoff_urgent: Duration::from_secs(4),
            test_interval: Duration::from_secs(45),
            test_timeout: Duration::from_secs(15),
        }
    }
}

impl Wanted {
    pub(super) fn bounded(self) -> Self {
        Self { count: self.count.min(COUNT_MAX), ..self }
    }

    /// Tunnels that are to be built.
    pub(super) fn builds(self) -> usize {
        if self.length == 0 { 0 } else { self.count }
    }
}
