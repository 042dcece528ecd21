//! What the service manager is told, if there is one that wants to know: systemd with `Type=notify` and `WatchdogSec=`.
//!
//! We are ready for it as soon as we listen: whether other routers answer is not in our hands, and stands in the status line.

use sd_notify::{NotifyState, notify, watchdog_enabled};
use std::time::Duration;

/// All sockets are open and all threads run.
pub(crate) fn started() {
    tell(&[NotifyState::Ready]);
}

/// A line for `systemctl status`.
pub(crate) fn status(words: &str) {
    tell(&[NotifyState::Status(words)]);
}

/// The configuration is being read again; [`started`] is to follow.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// We end, which may take so long.
pub(crate) fn stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// How often [`alive`] is to be called, if anybody listens: twice in the time after which we would be killed.
pub(crate) fn heartbeat() -> Option<Duration> {
    watchdog_enabled().map(|within| within / 2)
}

/// The main thread still turns.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a service manager this does nothing, and one that does not listen is no fault of ours.
    let _ = notify(states);
}
