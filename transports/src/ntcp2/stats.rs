//! What the handshake thread counts.

use super::outcome::Outcome;
use crate::event::Direction;
use crate::stats::{Counter, Histogram};

/// The counters of the handshake thread. Arrays of two are `[inbound, outbound]`.
#[derive(Debug, Default)]
pub struct HandshakeStats {
    /// Connections accepted and dials begun.
    pub begun: [Counter; 2],
    /// Sessions made.
    pub established: [Counter; 2],
    /// Connections that are neither sessions nor closed.
    pub half_open: [Counter; 2],
    /// Milliseconds from the first packet to the session.
    pub duration_ms: [Histogram; 2],
    /// Keys in the replay cache.
    pub replay_keys: Counter,
    /// Addresses in the table of rates.
    pub addresses: Counter,
    /// Accepting failed, mostly for want of file descriptors.
    pub accept_errors: Counter,
    failed: Failures,
}

#[derive(Debug)]
struct Failures([Box<[Counter]>; 2]);

impl Default for Failures {
    fn default() -> Self {
        let counters = || Outcome::labels().map(|_| Counter::default()).collect();
        Self([counters(), counters()])
    }
}

/// What a count in the metrics is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLabel {
    /// `in` or `out`.
    pub direction: &'static str,
    /// `established`, or one of [`Outcome::labels`].
    pub outcome: &'static str,
}

/// One count with its labels.
pub type HandshakeCount = (HandshakeLabel, u64);

/// A direction's place in the arrays.
pub(super) fn index(direction: Direction) -> usize {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

impl HandshakeStats {
    /// Failures of one direction as `(label, count)`.
    pub fn failures(&self, direction: Direction) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Outcome::labels().zip(self.failed.0[index(direction)].iter().map(Counter::get))
    }

    /// Sessions and failures so far, without those that never happened.
    pub fn counts(&self) -> Vec<HandshakeCount> {
        let mut counts = Vec::new();
        for direction in [Direction::Inbound, Direction::Outbound] {
            let established = ("established", self.established[index(direction)].get());
            for (outcome, n) in std::iter::once(established).chain(self.failures(direction)) {
                if n > 0 || outcome == "established" {
                    counts.push((HandshakeLabel { direction: direction.label(), outcome }, n));
                }
            }
        }
        counts
    }

    pub(super) fn count(&self, direction: Direction, outcome: Outcome) {
        self.failed.0[index(direction)][outcome.index()].add(1);
    }
}
