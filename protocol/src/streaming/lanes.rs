//! The ways that a stream takes at once, each measured for itself.
//!
//! ```text
//! the first   always open
//! another     opened by [`super::spread`] --> open --> closed: what is on its way may still be acknowledged
//! ```

use super::congestion::{Ack, Congestion, Model};
use crate::time::Mono;
use std::time::Duration;

/// Ways that a stream takes at once, at most. INTEROP: five leases are what i2pd publishes, two or three what Java does.
pub const MOST_LANES: usize = 4;

/// Packets of a stream that takes several ways are not acknowledged at most, all ways together. Of longer ways they come later, and an
/// acknowledgement names 255 that are missing. INTEROP: i2pd drops what comes behind more.
pub(super) const MOST_TOLD: usize = 240;

/// Packets that may leave at once, when the pace would have them leave one by one.
const BURST: u32 = 4;

/// And what it would have let go in this time: whoever serves the stream looks at it only every other millisecond.
const BURST_TIME: Duration = Duration::from_millis(5);

/// A way on which nothing comes for so many time-outs is given up.
const PATIENCE: u32 = 3;

/// Where no round trip is known, what was sent that much later may have overtaken what is missing.
const UNKNOWN_TRIP: Duration = Duration::from_millis(500);

/// One way.
#[derive(Debug)]
pub(super) struct Lane {
    /// How much may be on its way on it, and how fast it goes out.
    pub(super) congestion: Box<dyn Congestion>,
    /// When the pace lets the next packet go.
    pub(super) next_paced: Mono,
    /// New packets may take it.
    pub(super) open: bool,
    /// Nothing came back from it, and nothing has since.
    pub(super) silent: bool,
    in_flight: u64,
    delivered: u64,
    delivered_at: Mono,
    /// When the youngest packet was sent that has come, and how long it took.
    newest: Mono,
    trip: Duration,
    srtt: Option<Duration>,
    rttvar: Duration,
    /// The shortest round trip.
    least: Option<Duration>,
    /// Something of it was acknowledged then, or was sent while nothing was on its way.
    heard: Mono,
}

impl Lane {
    /// Of which nothing is known; never more than `max_packets` are to be on their way.
    pub(super) fn new(now: Mono, max_packets: u32) -> Self {
        Self {
            congestion: Box::new(Model::new(max_packets)),
            next_paced: now,
            open: true,
            silent: false,
            in_flight: 0,
            delivered: 0,
            delivered_at: now,
            newest: Mono::ZERO,
            trip: Duration::ZERO,
            srtt: None,
            rttvar: Duration::ZERO,
            least: None,
            heard: now,
        }
    }

    /// Bytes on their way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// What has been delivered, and when that was.
    pub(super) fn progress(&self) -> (u64, Mono) {
        (self.delivered, self.delivered_at)
    }

    /// Nothing was on its way for a while, which says nothing about the path.
    pub(super) fn rested(&mut self, now: Mono) {
        self.delivered_at = now;
    }

    /// So many bytes go out.
    pub(super) fn sent(&mut self, now: Mono, bytes: u64) {
        if self.in_flight == 0 {
            self.heard = now;
        }
        self.in_flight += bytes;
        self.congestion.on_sent(now, self.in_flight);
        if let Some(pace) = self.congestion.pace() {
            let gap = Duration::from_secs_f64(bytes as f64 / pace.max(1.0)).min(Duration::from_secs(1));
            // Time that was not used is made up for by a short burst.
            self.next_paced = self.next_paced.max(now.saturating_sub(BURST_TIME.max(gap * BURST))) + gap;
        }
    }

    /// So many bytes are not on their way any more.
    pub(super) fn left(&mut self, bytes: u64) {
        self.in_flight -= bytes;
    }

    /// What an acknowledgement tells of this way, for its congestion control.
    pub(super) fn acked(&mut self, now: Mono, acked: &Acked) -> Ack {
        (self.heard, self.silent) = (now, false);
        if acked.sent_at >= self.newest {
            (self.newest, self.trip) = (acked.sent_at, now.saturating_sub(acked.sent_at));
        }
        self.delivered += acked.bytes;
        self.delivered_at = now;
        let rtt = acked.once.then(|| now.saturating_sub(acked.sent_at));
        if let Some(rtt) = rtt {
            self.measured(rtt);
        }
        // A way that was closed and opened again may be told of what was sent before.
        let (prior, prior_at) = (acked.progress.0.min(self.delivered), acked.progress.1);
        Ack {
            now,
            bytes: acked.bytes,
            rtt,
            delivered: Some((self.delivered - prior, now.saturating_sub(prior_at))),
            prior,
            total: self.delivered,
            limited: acked.limited,
            in_flight: self.in_flight,
        }
    }

    /// When a missing packet counts as lost that was sent then: at once if it was long enough before one that has come on the same way; a
    /// round trip later if there is one that was sent after it. Otherwise nothing is known of it.
    pub(super) fn lost_at(&self, sent_at: Mono) -> Option<Mono> {
        let trip = self.srtt.unwrap_or(UNKNOWN_TRIP);
        let overtaken = sent_at + (trip / 4).max(Duration::from_millis(5));
        if overtaken <= self.newest {
            return Some(Mono::ZERO);
        }
        (sent_at < self.newest).then(|| overtaken + trip.max(self.trip))
    }

    /// What was sent so long ago should have been acknowledged: so many round trips.
    pub(super) fn patience(&self, trips: u32) -> Option<Duration> {
        self.srtt.map(|srtt| srtt * trips + 4 * self.rttvar)
    }

    fn measured(&mut self, rtt: Duration) {
        self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
        match self.srtt {
            None => (self.srtt, self.rttvar) = (Some(rtt), rtt / 2),
            Some(srtt) => {
                self.rttvar = (self.rttvar * 3 + srtt.abs_diff(rtt)) / 4;
                self.srtt = Some((srtt * 7 + rtt) / 8);
            }
        }
    }

    /// The shortest round trip.
    pub(super) fn least(&self) -> Option<Duration> {
        self.least
    }

    /// The round trip, smoothed.
    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// Packets take another way from now on.
    pub(super) fn new_path(&mut self, now: Mono) {
        (self.silent, self.least) = (false, None);
        self.congestion.on_new_path(now);
    }

    /// How long to wait for an answer.
    pub(super) fn timeout(&self, first: Duration) -> Duration {
        // INTEROP: acknowledgements are held back for up to half a second (Java).
        const LEAST: Duration = Duration::from_millis(600);
        // Six routers on the way wait for their processors now and then, however even the round trip was before.
        const MARGIN: Duration = Duration::from_millis(300);
        self.srtt.map_or(first, |srtt| (srtt + (4 * self.rttvar).max(MARGIN.min(srtt / 2)).max(srtt / 4)).max(LEAST))
    }

    /// When something that is on its way here has been waited for long enough. While others bring something there is time, and a way that
    /// finds out what it bears has a longer round trip with every packet.
    pub(super) fn deadline(&self, first: Duration) -> Option<Mono> {
        (self.in_flight > 0).then(|| self.heard + self.timeout(first) * PATIENCE)
    }
}

/// What an acknowledgement names for the first time of one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    /// Bytes.
    pub(super) bytes: u64,
    /// Of the newest packet: when it was sent,
    pub(super) sent_at: Mono,
    /// what had been delivered then, and when that was,
    pub(super) progress: (u64, Mono),
    /// whether there was more to be sent than the window let go,
    pub(super) limited: bool,
    /// and whether it was sent once only.
    pub(super) once: bool,
}
