//! What has been sent and not acknowledged, what of it is lost, and how long a round trip takes.
//!
//! ```text
//!   sent --ACK--> delivered
//!    |  --three later ones arrived, or 9/8 of a round trip passed--> lost --late ACK--> delivered, spurious
//!    '--silence for a probe timeout--> the oldest are sent again, nothing is declared lost
//! ```
//! Every packet number is used once; what a lost packet held goes into new packets. The contents of the packets lie in
//! one log beside them, so that a packet is a few words whatever it holds.
//!
//! spec: ssu2 §Retransmission, §Congestion Control; RFC 9002 §5, §6

use super::block::Ack;
use super::outbox::Content;
use crate::time::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// INTEROP: the bounds of the timeout that routers use, and the first.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// The longest timeout, backed off or not.
pub const MAX_TIMEOUT: Duration = Duration::from_millis(2500);
/// The timeout before anything was measured.
pub const INITIAL_TIMEOUT: Duration = Duration::from_millis(540);

/// Packets that must have arrived after one for it to be lost, and the most that reordering may raise this to.
const REORDERING: u64 = 3;
const MAX_REORDERING: u64 = 2048;
const GRANULARITY: Duration = Duration::from_millis(1);
/// After so long the smallest round trip is taken anew, in case the path has become longer.
const MIN_LIFETIME: Duration = Duration::from_secs(30);
/// What a peer's delay of its ACKs may add to a short round trip.
const QUEUE: Duration = Duration::from_millis(12);
/// Quarters of a round trip that reordering may add to the patience by time.
const MAX_STEPS: u32 = 4;

/// Round-trip times.
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    /// The last sample.
    pub latest: Duration,
    /// The smallest sample of late.
    pub min: Duration,
    min_since: Mono,
    smoothed: Option<Duration>,
    variation: Duration,
}

impl Rtt {
    /// From the handshake's round trip; zero if that is not known.
    pub fn new(first: Duration) -> Self {
        let (min, min_since, zero) = (Duration::MAX, Mono::ZERO, Duration::ZERO);
        let mut rtt = Self { latest: zero, min, min_since, smoothed: None, variation: zero };
        if !first.is_zero() {
            rtt.sample(first, Mono::ZERO);
        }
        rtt
    }

    pub(super) fn sample(&mut self, rtt: Duration, now: Mono) {
        self.latest = rtt;
        if rtt <= self.min || now.saturating_sub(self.min_since) > MIN_LIFETIME {
            (self.min, self.min_since) = (rtt, now);
        }
        match self.smoothed {
            None => (self.smoothed, self.variation) = (Some(rtt), rtt / 2),
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    /// The smoothed round trip; a third of a second before anything was measured.
    pub fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL_TIMEOUT * 5 / 9)
    }

    /// Packets wait in a queue on their way: round trips are clearly longer than they were.
    pub fn is_queueing(&self) -> bool {
        let slack = (self.min / 4).max(QUEUE);
        self.smoothed.is_some_and(|smoothed| smoothed > self.min.saturating_add(slack))
    }

    /// How long silence lasts until a probe is sent. The peer's delay of its ACKs is part of what was measured.
    pub fn timeout(&self) -> Duration {
        match self.smoothed {
            Some(smoothed) => (smoothed + (self.variation * 4).max(GRANULARITY)).clamp(MIN_TIMEOUT, MAX_TIMEOUT),
            None => INITIAL_TIMEOUT,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Wants no ACK and counts for nothing.
    Quiet,
    InFlight,
    Delivered,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    time: Mono,
    /// Where its contents begin in the log.
    contents: u64,
    count: u16,
    size: u16,
    state: State,
    /// A probe of the path's size: its loss means nothing.
    probe: bool,
}

/// A packet that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its size on the wire, without IP and UDP.
    pub size: u16,
    /// It wants an ACK.
    pub eliciting: bool,
    /// It probes the path's size.
    pub probe: bool,
}

/// Packets that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How many packets.
    pub packets: u64,
    /// Bytes of those that counted as on their way.
    pub bytes: u64,
    /// When the latest of them was sent.
    pub sent: Mono,
}

/// What an ACK did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Packets acknowledged for the first time.
    pub packets: u64,
    /// Bytes of those that counted as on their way.
    pub bytes: u64,
    /// When the latest of them was sent.
    pub sent: Option<Mono>,
    /// A sample of the round trip was taken.
    pub sampled: bool,
    /// Packets that had been declared lost.
    pub spurious: u64,
    /// The size of the largest of them.
    pub largest_size: u16,
    /// The probe of the path's size was among them.
    pub probe: bool,
}

/// What has been lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Packets, probes of the path's size not counted.
    pub packets: u64,
    /// When the first and the latest of them were sent.
    pub span: Option<(Mono, Mono)>,
    /// The size of the largest of them.
    pub largest_size: u16,
    /// The probe of the path's size was lost.
    pub probe: bool,
}

/// The peer acknowledged what was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent;

/// The sent packets of one session.
#[derive(Debug)]
pub struct Recovery {
    packets: VecDeque<Sent>,
    /// Number of the first packet.
    base: u64,
    contents: VecDeque<Content>,
    /// How many contents have left the log.
    forgotten: u64,
    in_flight: u64,
    largest_acked: Option<u64>,
    /// Nothing below is on its way.
    scan: u64,
    reordering: u64,
    /// Times that patience by time was too short.
    steps: u32,
    /// When the oldest suspect is old enough to be lost.
    loss_time: Option<Mono>,
    /// When a packet that wants an ACK last left.
    last_eliciting: Mono,
    /// When something new was last acknowledged, or the first unanswered packet left.
    last_progress: Mono,
    timeouts: u32,
    /// Round trips.
    pub rtt: Rtt,
}

impl Recovery {
    /// For a session whose next packet is number `next`.
    pub fn new(next: u32, rtt: Duration, now: Mono) -> Self {
        Self {
            packets: VecDeque::new(),
            base: next.into(),
            contents: VecDeque::new(),
            forgotten: 0,
            in_flight: 0,
            largest_acked: None,
            scan: next.into(),
            reordering: REORDERING,
            steps: 0,
            loss_time: None,
            last_eliciting: now,
            last_progress: now,
            timeouts: 0,
            rtt: Rtt::new(rtt),
        }
    }

    /// The number of the next packet.
    pub fn next_number(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    /// Bytes on their way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Probe timeouts since the last progress.
    pub fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// Notes what the packet that is being written holds.
    pub fn note(&mut self, content: Content) {
        self.contents.push_back(content);
    }

    /// A packet leaves, with everything that was noted since the last one.
    pub fn on_sent(&mut self, packet: Outgoing, now: Mono) {
        if !packet.eliciting {
            // A session that sends nothing but ACKs gets none, and must forget them by itself.
            self.forget(now);
            if self.packets.is_empty() {
                self.base += 1;
                return;
            }
        }
        let noted = self.forgotten + self.contents.len() as u64;
        let contents = self.packets.back().map_or(self.forgotten, |p| p.contents + u64::from(p.count));
        let state = if packet.eliciting { State::InFlight } else { State::Quiet };
        if packet.eliciting {
            if self.in_flight == 0 {
                self.last_progress = now;
            }
            self.in_flight += u64::from(packet.size);
            self.last_eliciting = now;
        }
        let count = u16::try_from(noted.saturating_sub(contents)).unwrap_or(u16::MAX);
        let Outgoing { size, probe, .. } = packet;
        self.packets.push_back(Sent { time: now, contents, count, size, state, probe });
    }

    /// The peer has received packets. `delivered` hears of everything that they held.
    ///
    /// # Errors
    /// [`Unsent`] if the block names a packet that was not sent; nothing has changed then.
    pub fn on_ack(&mut self, ack: &Ack<'_>, now: Mono, mut delivered: impl FnMut(Content)) -> Result<Acked, Unsent> {
        let next = self.next_number();
        if u64::from(ack.through) >= next {
            return Err(Unsent);
        }
        let mut acked = Acked::default();
        for range in ack.ranges() {
            let (low, high) = (u64::from(*range.start()).max(self.base), u64::from(*range.end()));
            if high < self.base {
                break;
            }
            // Downwards: the first new one is the largest, and gives the sample.
            for number in (low..=high).rev() {
                self.on_packet_acked(number, now, &mut acked, &mut delivered);
            }
        }
        if acked.spurious > 0 {
            self.steps = (self.steps + 1).min(MAX_STEPS);
        }
        if acked.packets > 0 {
            self.largest_acked = self.largest_acked.max(Some(ack.through.into()));
            self.timeouts = 0;
            self.last_progress = now;
        }
        Ok(acked)
    }

    fn on_packet_acked(&mut self, number: u64, now: Mono, acked: &mut Acked, delivered: &mut impl FnMut(Content)) {
        let Some(packet) = self.packets.get_mut((number - self.base) as usize) else { return };
        match packet.state {
            State::Quiet | State::Delivered => return,
            State::InFlight => {
                self.in_flight -= u64::from(packet.size);
                acked.bytes += u64::from(packet.size);
                if acked.sent.is_none() && self.largest_acked.is_none_or(|l| number > l) {
                    self.rtt.sample(now.saturating_sub(packet.time), now);
                    acked.sampled = true;
                }
                acked.sent = acked.sent.max(Some(packet.time));
            }
            State::Lost => {
                acked.spurious += u64::from(!packet.probe);
                let distance = self.largest_acked.unwrap_or(0).saturating_sub(number);
                self.reordering = self.reordering.max(distance + 1).min(MAX_REORDERING);
            }
        }
        packet.state = State::Delivered;
        acked.packets += 1;
        acked.largest_size = acked.largest_size.max(packet.size);
        acked.probe |= packet.probe;
        let first = (packet.contents.saturating_sub(self.forgotten)) as usize;
        self.contents.range(first..first + usize::from(packet.count)).for_each(|c| delivered(*c));
    }

    /// Declares packets lost that the later ones have overtaken; `lost` hears of everything that they held.
    pub fn detect(&mut self, now: Mono, mut lost: impl FnMut(Content)) -> Losses {
        let mut losses = Losses::default();
        self.loss_time = None;
        let Some(largest) = self.largest_acked else { return losses };
        let trip = self.rtt.latest.max(self.rtt.smoothed());
        let patience = (trip * 9 / 8).max(GRANULARITY) + trip / 4 * self.steps;
        let start = self.scan.max(self.base);
        let (mut scan, mut settled) = (start, true);
        for number in start..largest.min(self.next_number()) {
            let Some(packet) = self.packets.get_mut((number - self.base) as usize) else { break };
            if packet.state == State::InFlight {
                let due = packet.time + patience;
                if number + self.reordering > largest && due > now {
                    self.loss_time = Some(self.loss_time.map_or(due, |t| t.min(due)));
                    settled = false;
                } else {
                    self.in_flight -= u64::from(packet.size);
                    packet.state = State::Lost;
                    losses.add(packet);
                    let first = (packet.contents.saturating_sub(self.forgotten)) as usize;
                    self.contents.range(first..first + usize::from(packet.count)).for_each(|c| lost(*c));
                }
            }
            if settled {
                scan = number + 1;
            }
        }
        self.scan = scan;
        self.forget(now);
        losses
    }

    /// Forgets the oldest packets: delivered ones at once, lost ones when no late ACK is to be expected any more.
    fn forget(&mut self, now: Mono) {
        let patience = self.rtt.smoothed() * 3;
        while let Some(packet) = self.packets.front() {
            let done = match packet.state {
                State::InFlight => false,
                State::Lost => packet.time + patience <= now,
                State::Quiet | State::Delivered => true,
            };
            if !done {
                break;
            }
            let end = packet.contents + u64::from(packet.count);
            let gone = (end.saturating_sub(self.forgotten) as usize).min(self.contents.len());
            self.contents.drain(..gone);
            self.forgotten += gone as u64;
            self.packets.pop_front();
            self.base += 1;
        }
    }

    /// When something is to be done: declare packets lost, or probe.
    pub fn deadline(&self) -> Option<Mono> {
        if self.in_flight == 0 {
            return None;
        }
        Some(self.loss_time.unwrap_or_else(|| {
            let timeout = (self.rtt.timeout() * (1 << self.timeouts.min(8))).min(MAX_TIMEOUT);
            self.last_eliciting + timeout
        }))
    }

    /// The deadline has passed with nothing lost: the contents of the `count` oldest packets are to be sent again.
    pub fn on_timeout(&mut self, count: usize, now: Mono, mut again: impl FnMut(Content)) {
        self.timeouts += 1;
        self.last_eliciting = now;
        let start = (self.scan.max(self.base) - self.base) as usize;
        let oldest = self.packets.range(start.min(self.packets.len())..).filter(|p| p.state == State::InFlight);
        for packet in oldest.take(count) {
            let first = (packet.contents.saturating_sub(self.forgotten)) as usize;
            self.contents.range(first..first + usize::from(packet.count)).for_each(|c| again(*c));
        }
    }

    /// How long the peer has acknowledged nothing although it had something to acknowledge.
    pub fn silence(&self, now: Mono) -> Duration {
        if self.in_flight == 0 { Duration::ZERO } else { now.saturating_sub(self.last_progress) }
    }

    /// The path has changed: the round trip is to be measured anew.
    pub fn reset_rtt(&mut self) {
        self.rtt = Rtt::new(Duration::ZERO);
        self.timeouts = 0;
    }

    /// Returns memory that an idle session does not need.
    pub fn shrink(&mut self, now: Mono) {
        self.forget(now);
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
            self.contents = VecDeque::new();
        }
    }
}

impl Losses {
    fn add(&mut self, packet: &Sent) {
        if packet.probe {
            self.probe = true;
            return;
        }
        self.packets += 1;
        self.largest_size = self.largest_size.max(packet.size);
        let (first, last) = self.span.unwrap_or((packet.time, packet.time));
        self.span = Some((first.min(packet.time), last.max(packet.time)));
    }
}

#[cfg(test)]
mod tests;
