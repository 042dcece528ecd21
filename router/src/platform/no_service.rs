//! There is no service manager that wants to know anything.

use std::time::Duration;

pub(crate) fn started() {}

pub(crate) fn status(_: &str) {}

pub(crate) fn reloading() {}

pub(crate) fn stopping(_: Duration) {}

pub(crate) fn heartbeat() -> Option<Duration> {
    None
}

pub(crate) fn alive() {}
