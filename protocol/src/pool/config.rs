//! How many tunnels a pool keeps, and how it goes about it.
//!
//! spec: tunnel-implementation §Tunnel Pools; INTEROP: lifetimes and time-outs of other routers.

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// What one direction is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Tunnels at a time. At most 16.
    pub count: usize,
    /// Hops of each. With zero nothing is built, and [`Pool::pick`](super::Pool::pick) finds nothing.
    pub length: usize,
    /// How far a tunnel's length may differ, at random: with a positive number up to so many hops more, with a negative
    /// one up to so many more or fewer. Never without hops, never above [`LENGTH_MAX`].
    /// spec: i2cp §Options (`inbound.lengthVariance`)
    pub variance: i8,
    /// Tunnels kept beside `count`, to take over when one fails. spec: i2cp §Options (`inbound.backupQuantity`)
    pub backups: usize,
}

/// The most tunnels per direction, those kept as backups among them.
pub const COUNT_MAX: usize = 16;

/// The most hops of a tunnel: a build message has eight records, and one of them may be ours.
pub const LENGTH_MAX: usize = 7;

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
            inbound: Wanted::new(2, 2),
            outbound: Wanted::new(2, 2),
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
    /// So many tunnels of just so many hops.
    pub const fn new(count: usize, length: usize) -> Self {
        Self { count, length, variance: 0, backups: 0 }
    }

    /// What a program asks for by the options of I2CP and SAM, such as `inbound.length`; `option` tells the number of one, `default` is for
    /// those that are not there. What is beyond bounds is brought within: programs ask for what other routers have.
    ///
    /// spec: i2cp §Options
    pub fn asked(direction: &str, default: Self, option: impl Fn(&str) -> Option<i64>) -> Self {
        let number = |name: &str| option(&format!("{direction}.{name}"));
        let bounded = |number: Option<i64>, default: usize, least: usize, most: usize| {
            number.map_or(default, |number| usize::try_from(number.max(0)).unwrap_or(most).clamp(least, most))
        };
        Self {
            count: bounded(number("quantity"), default.count, 1, COUNT_MAX),
            // Tunnels without hops are not built: they would tell everybody which router a destination lives on.
            length: bounded(number("length"), default.length, 1, LENGTH_MAX),
            variance: number("lengthVariance")
                .map_or(default.variance, |by| i8::try_from(by.clamp(-7, 7)).unwrap_or(0)),
            backups: bounded(number("backupQuantity"), default.backups, 0, COUNT_MAX),
        }
    }

    pub(super) fn bounded(self) -> Self {
        let count = self.count.min(COUNT_MAX);
        let backups = self.backups.min(COUNT_MAX - count);
        Self { count, backups, length: self.length.min(LENGTH_MAX), ..self }
    }

    /// The length of the next tunnel.
    pub(super) fn draw_length(self, rng: &mut ChaCha20Rng) -> usize {
        let most = i32::from(self.variance.unsigned_abs());
        let least = if self.variance < 0 { -most } else { 0 };
        let length = i32::try_from(self.length).unwrap_or(i32::MAX).saturating_add(rng.random_range(least..=most));
        usize::try_from(length).unwrap_or(0).clamp(1, LENGTH_MAX)
    }

    /// Tunnels that are to be built.
    pub(super) fn builds(self) -> usize {
        if self.length == 0 { 0 } else { self.count + self.backups }
    }
}
