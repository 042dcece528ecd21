//! What was agreed about one tunnel when it was built: a least and a most.
//!
//! spec: proposal 168 §Build Reply Option ("b": attempt to provide at least this much), §Build Request Options ("l": the limit
//! that inbound gateways enforce). Both are KB/s of cells as the tunnel sees them, without the transport's headers.

use crate::time::Mono;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Cells of a tunnel come in bursts of messages: so much of its rate may come at once, and at least [`SLACK_CELLS`] cells.
const SLACK: Duration = Duration::from_millis(250);
const SLACK_CELLS: u64 = 64;

/// Bytes of a cell.
const CELL: u64 = 1024;

const SECOND: u64 = 1_000_000_000;

/// A meter of one rate that any thread may ask: the generic cell rate algorithm on one atomic.
#[derive(Debug)]
pub struct Meter {
    /// Nanoseconds that one cell takes at the rate, and how far ahead of time a cell may come.
    cell: u64,
    slack: u64,
    /// When the next cell would be due if all came evenly.
    due: AtomicU64,
}

impl Meter {
    /// Of `kb_per_second` times 1,000 bytes, full.
    pub fn new(kb_per_second: u32) -> Self {
        let cell = CELL * SECOND / (u64::from(kb_per_second.max(1)) * 1000);
        let slack = u64::try_from(SLACK.as_nanos()).unwrap_or(0).max(SLACK_CELLS * cell);
        Self { cell, slack, due: AtomicU64::new(0) }
    }

    /// True if `cells` more are within the rate; they are counted then, and only then.
    pub fn conforms(&self, now: Mono, cells: u64) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2);
        let take = |due: u64| {
            let due = due.max(now).saturating_add(self.cell.saturating_mul(cells));
            (due - now <= self.slack).then_some(due)
        };
        self.due.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

/// What was agreed; nothing, as a rule.
#[derive(Debug, Default)]
pub struct Contract {
    promised: Option<Meter>,
    limit: Option<Meter>,
}

impl Contract {
    /// From the options of the build: what we promised, and what the creator allows, in KB/s.
    pub fn new(promised: Option<u32>, limit: Option<u32>) -> Self {
        Self { promised: promised.map(Meter::new), limit: limit.map(Meter::new) }
    }

    /// True if the creator's limit lets `cells` more in.
    pub fn allows(&self, now: Mono, cells: u64) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.conforms(now, cells))
    }

    /// True if a cell is within what we promised, and so goes before those of others.
    pub fn promises(&self, now: Mono) -> bool {
        self.promised.as_ref().is_some_and(|promised| promised.conforms(now, 1))
    }
}
