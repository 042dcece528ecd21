//! What each client thread counts, for itself alone. The exporter sums over the threads.

use crate::destination::Counts;
use parking_lot::Mutex;
use ramson_protocol::tunnel::reassembly;
use ramson_transports::stats::{Counter, DropCause, REASSEMBLY};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What [`ClientStats::sizes`] are of.
pub const SIZES: [&str; 4] = ["destinations", "sessions", "tags", "streams"];

/// The counters of one thread.
#[derive(Debug, Default)]
pub struct ClientStats {
    /// Messages that came out of own inbound tunnels.
    pub messages_in: Counter,
    /// Messages that went into own outbound tunnels.
    pub messages_out: Counter,
    /// Cells and messages dropped by cause.
    pub drops: [Counter; DropCause::ALL.len()],
    /// Messages out of own inbound tunnels, in the order of [`REASSEMBLY`].
    pub reassembly: [Counter; REASSEMBLY.len()],
    /// Entries in the thread's inbox at the start of a turn.
    pub inbox_depth: Counter,
    /// Turns of the loop.
    pub turns: Counter,
    /// Nanoseconds spent in turns, without the waiting.
    pub busy_ns: Counter,
    /// What its destinations have counted, those that are over among them. Renewed once a second.
    pub destinations: Mutex<Counts>,
    /// Destinations, their sessions, tags and streams.
    pub sizes: [Counter; SIZES.len()],
    /// Messages that were refused to their senders. Counted by those, hence not a [`Counter`].
    refused: AtomicU64,
}

impl ClientStats {
    /// Drops of this cause, what senders were refused among those of [`DropCause::OwnQueueFull`].
    pub fn dropped(&self, cause: DropCause) -> u64 {
        let refused = if cause == DropCause::OwnQueueFull { self.refused.load(Relaxed) } else { 0 };
        self.drops[cause as usize].get() + refused
    }

    pub(crate) fn lose(&self, cause: DropCause, count: u64) {
        self.drops[cause as usize].add(count);
    }

    /// An end has come from one count of its messages to another.
    pub(crate) fn reassembled(&self, before: reassembly::Stats, after: reassembly::Stats) {
        let counts = |stats| {
            let reassembly::Stats { whole, assembled, malformed, duplicates, expired, discarded } = stats;
            [whole, assembled, malformed, duplicates, expired, discarded]
        };
        let steps = counts(after).into_iter().zip(counts(before)).map(|(after, before)| after - before);
        self.reassembly.iter().zip(steps).for_each(|(counter, step)| counter.add(step));
    }

    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
}
