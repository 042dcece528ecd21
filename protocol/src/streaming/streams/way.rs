//! What all streams with one destination share: the way there.

use crate::time::Mono;
use std::time::Duration;

/// Packets that all streams together may have on their way of which nothing is known yet: each stream alone is modest, and two hundred
/// that begin at once are not. A hop keeps 256 cells for the next one, two for a full packet.
const AT_ONCE: u32 = 96;

/// A first packet is sent again after so many round trips of the streams before, and not sooner than after this: whoever answers may be
/// busy with the others. INTEROP: Java begins with the round trip of the streams before, too.
const ROUND_TRIPS: u32 = 4;
const LEAST: Duration = Duration::from_secs(1);

/// The way to one destination.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Streams that take it.
    pub(super) streams: usize,
    /// Those of them that are over, and only remembered.
    pub(super) over: usize,
    /// Those that have something to send, or something on its way.
    busy: u32,
    /// The round trip that was measured last.
    pub(super) round_trip: Option<Duration>,
    /// When something of a stream arrived last, as it is known now, and of which.
    arrived: Option<(Mono, u32)>,
}

impl Way {
    /// A stream that was busy, or was not, is now.
    pub(super) fn is_busy(&mut self, before: bool, now: bool) {
        self.busy = (self.busy + u32::from(now)).saturating_sub(u32::from(before));
    }

    /// Something that this stream has sent has arrived.
    pub(super) fn arrived(&mut self, now: Mono, stream: u32) {
        self.arrived = Some((now, stream));
    }

    /// True if what another stream sent has arrived since, and went out later than that: then it is not the way that keeps this one waiting.
    pub(super) fn is_alive(&self, stream: u32, since: Mono) -> bool {
        let trip = self.round_trip.unwrap_or_default();
        self.arrived.is_some_and(|(at, other)| other != stream && at > since + trip)
    }

    /// Packets of a stream that may be on their way of which nothing is known yet.
    pub(super) fn share(&self) -> u32 {
        AT_ONCE / self.busy.max(1)
    }

    /// True if no more than one stream has something to send, or something on its way.
    pub(super) fn is_alone(&self) -> bool {
        self.busy < 2
    }

    /// How long the answer to a first packet is waited for, if there were streams before.
    pub(super) fn first_timeout(&self) -> Option<Duration> {
        self.round_trip.map(|round_trip| (round_trip * ROUND_TRIPS).max(LEAST))
    }
}
