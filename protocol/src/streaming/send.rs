//! The sending half of a stream: bytes of the application in, packets out, until each is acknowledged.
//!
//! ```text
//! write -> waits -> on its way -- acknowledged --> gone
//!                   ^    | not among what has come, though younger ones are: lost
//!                   '----'
//! ```
//! A packet counts as lost when one that was sent sufficiently later on the same way has come and it has not, or one that was sent later at
//! all, and it should have come since then (as RFC 8985 has it): paths here overtake each other, so numbers alone say little. Where a
//! stream takes several ways it counts as lost, too, when it should have come long ago, and its way has brought nothing since.

mod waiting;

use super::lanes::{Acked, Lane, MOST_LANES};
use super::memory::{Memory, Share};
use crate::time::Mono;
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use waiting::Waiting;

/// Bytes of a packet beside its payload, as the window counts them.
const HEADER: u64 = 22;

/// So many missing packets are all that an acknowledgement can name.
const FULL: usize = 255;

/// What such an acknowledgement does not speak of is given up after so many round trips.
const UNSPOKEN_TRIPS: u32 = 2;

/// Where others come, one that is reported missing after so many should have come.
const LATE_TRIPS: u32 = 2;

/// The last packet is asked about after so many.
const PROBE_TRIPS: u32 = 2;

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) payload: Bytes,
    /// The flags that it needs again when it is sent again.
    pub(super) flags: u16,
    last: Transmission,
    /// The one before that.
    before: Transmission,
    limited: bool,
    pub(super) transmissions: u32,
    state: State,
}

/// One sending of a packet.
#[derive(Clone, Copy, Debug)]
struct Transmission {
    /// The way that it takes.
    lane: u8,
    at: Mono,
    /// What had been delivered on its way then, and when that was.
    delivered: (u64, Mono),
}

impl Transmission {
    fn by(lane: &Lane, at: usize, now: Mono) -> Self {
        Self { lane: number(at), at: now, delivered: lane.progress() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnItsWay,
    Lost,
    Acked,
}

impl Sent {
    /// It is not on its way any more.
    fn lose(&mut self, lanes: &mut [Lane]) {
        self.state = State::Lost;
        lanes[usize::from(self.last.lane)].left(size(&self.payload));
    }

    /// The transmission that has come. Whoever was sent again in vain is acknowledged sooner than anything can come and go: would that
    /// count as the answer to what went a moment ago, all that is on its way would seem to be overtaken (RFC 8985 §6.2).
    fn came(&self, now: Mono, lanes: &[Lane]) -> Transmission {
        let least = lanes[usize::from(self.last.lane)].least();
        let too_soon = self.transmissions > 1 && least.is_some_and(|least| now < self.last.at + least);
        if too_soon { self.before } else { self.last }
    }

    /// It has come by this transmission, with the others of its way.
    fn add_to(&self, acked: &mut Option<Acked>, came: Transmission) {
        let bytes = acked.map_or(0, |acked| acked.bytes) + size(&self.payload);
        let newest = acked.filter(|acked| acked.sent_at > came.at);
        *acked = Some(newest.map_or(
            Acked {
                bytes,
                sent_at: came.at,
                progress: came.delivered,
                limited: self.limited,
                once: self.transmissions == 1,
            },
            |newest| Acked { bytes, ..newest },
        ));
    }
}

#[derive(Debug)]
pub(super) struct SendHalf {
    waiting: Waiting,
    held: Share,
    /// Packets from `first` on that are not all acknowledged.
    flight: VecDeque<Sent>,
    first: u32,
    lost: BTreeSet<u32>,
    /// The number behind the last that has come.
    come: u32,
    /// When the first of those that are missing counts as lost, if nothing comes before.
    late: Option<Mono>,
    /// The ways that packets take; the first is always open.
    lanes: SmallVec<[Lane; 1]>,
    /// Packets on their way on each, at most.
    max_packets: u32,
    /// Bytes that have been delivered in all.
    delivered: u64,
    /// The last round trip on the first way, and when it began.
    sample: Option<(Mono, Duration)>,
}

impl SendHalf {
    /// Never more than `max_packets` are to be on their way.
    pub(super) fn new(now: Mono, memory: &Memory, max_packets: u32) -> Self {
        Self {
            waiting: Waiting::default(),
            held: memory.share(),
            flight: VecDeque::new(),
            first: 0,
            lost: BTreeSet::new(),
            come: 0,
            late: None,
            lanes: smallvec![Lane::new(now, max_packets)],
            max_packets,
            delivered: 0,
            sample: None,
        }
    }

    /// Bytes that are not acknowledged, or not even sent.
    pub(super) fn held(&self) -> usize {
        self.held.bytes()
    }

    /// Of so many bytes that might be held, those that may.
    pub(super) fn allowed(&self, wanted: usize) -> usize {
        self.held.allowed(wanted)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.held.add(bytes.len());
        self.waiting.put(bytes);
    }

    /// The next bytes of the application, at most `max`.
    pub(super) fn take(&mut self, max: usize) -> Bytes {
        self.waiting.take(max)
    }

    /// The number of the next new packet.
    pub(super) fn next_sequence(&self) -> u32 {
        self.first.wrapping_add(u32::try_from(self.flight.len()).unwrap_or(u32::MAX))
    }

    /// The ways, by their numbers; some may be closed.
    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Those that new packets may take, and their numbers.
    pub(super) fn open_lanes(&self) -> impl Iterator<Item = (usize, &Lane)> {
        self.lanes.iter().enumerate().filter(|(_, lane)| lane.open)
    }

    /// See [`SendHalf::lanes`].
    pub(super) fn lanes_mut(&mut self) -> &mut [Lane] {
        &mut self.lanes
    }

    /// The first way, which is always there.
    fn first_lane(&self) -> &Lane {
        &self.lanes[0]
    }

    /// Opens another way. `None` if there are enough, or what was sent on one that was closed may still come.
    pub(super) fn open_lane(&mut self, now: Mono) -> Option<usize> {
        let free = self.lanes.iter().position(|lane| !lane.open && lane.in_flight() == 0);
        let at = free.unwrap_or(self.lanes.len());
        let lane = Lane::new(now, self.max_packets);
        match self.lanes.get_mut(at) {
            Some(free) => *free = lane,
            None if at < MOST_LANES => self.lanes.push(lane),
            None => return None,
        }
        Some(at)
    }

    /// Never more than so many packets are to be on their way.
    pub(super) fn limit(&mut self, packets: u32) {
        self.max_packets = packets;
        self.lanes.iter_mut().for_each(|lane| lane.congestion.limit(packets));
    }

    /// Packets that are not acknowledged.
    pub(super) fn unacked(&self) -> usize {
        self.flight.len()
    }

    /// True if the other side has the first packet of all.
    pub(super) fn has_first(&self) -> bool {
        self.first != 0
    }

    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// True if the other side keeps what comes behind the first packet that was lost.
    pub(super) fn fills_gap(&self) -> bool {
        self.lost.first().is_some_and(|lost| *lost < self.come)
    }

    /// A new packet has gone out on this way.
    pub(super) fn sent(&mut self, now: Mono, at: usize, payload: Bytes, flags: u16, limited: bool) -> u32 {
        let sequence = self.next_sequence();
        let is_first = self.flight.is_empty();
        let lane = &mut self.lanes[at];
        if is_first {
            lane.rested(now);
        }
        let (last, state) = (Transmission::by(lane, at, now), State::OnItsWay);
        lane.sent(now, size(&payload));
        self.flight.push_back(Sent { payload, flags, last, before: last, limited, transmissions: 1, state });
        sequence
    }

    /// The first packet that was lost, which goes out again on this way.
    pub(super) fn resend(&mut self, now: Mono, at: usize) -> Option<(u32, Sent)> {
        let sequence = self.lost.pop_first()?;
        let index = usize::try_from(sequence.wrapping_sub(self.first)).ok()?;
        let sent = self.flight.get_mut(index)?;
        let lane = &mut self.lanes[at];
        (sent.state, sent.before, sent.last) = (State::OnItsWay, sent.last, Transmission::by(lane, at, now));
        sent.transmissions += 1;
        lane.sent(now, size(&sent.payload));
        Some((sequence, sent.clone()))
    }

    /// The first packet of all goes out once more, if it has gone out once and is not acknowledged. It does not count as lost.
    pub(super) fn repeat_first(&mut self) {
        let Some(sent) = self.flight.front_mut().filter(|_| self.first == 0) else { return };
        if sent.state == State::OnItsWay && sent.transmissions == 1 {
            sent.lose(&mut self.lanes);
            self.lost.insert(0);
        }
    }

    /// The last packet goes out once more, if nothing is known of it. It does not count as lost: its acknowledgement tells what is.
    pub(super) fn repeat_last(&mut self) {
        let last = self.next_sequence().wrapping_sub(1);
        if let Some(sent) = self.flight.back_mut().filter(|sent| sent.state == State::OnItsWay) {
            sent.lose(&mut self.lanes);
            self.lost.insert(last);
        }
    }

    /// All packets that are on their way are taken for lost but the first is the one that finds out: for when nothing comes
    /// back. How often that packet has been sent.
    pub(super) fn time_out(&mut self) -> u32 {
        (0..self.lanes.len()).for_each(|at| self.time_out_lane(at));
        self.flight.front().map_or(0, |sent| sent.transmissions)
    }

    /// All packets that are on this way are taken for lost: nothing comes back from it.
    pub(super) fn time_out_lane(&mut self, at: usize) {
        let (first, lane) = (self.first, number(at));
        for (index, sent) in (0u32..).zip(self.flight.iter_mut()) {
            if sent.last.lane == lane && sent.state == State::OnItsWay {
                sent.lose(&mut self.lanes);
                self.lost.insert(first.wrapping_add(index));
            }
        }
    }

    /// The other side says what has come: all up to `through` but `nacks`. What was never sent is no matter. True if it says of something
    /// for the first time that it has come.
    pub(super) fn acked(&mut self, now: Mono, through: u32, nacks: &[u32]) -> bool {
        let behind = through.wrapping_sub(self.first);
        let count = usize::try_from(behind).unwrap_or(usize::MAX).saturating_add(1);
        // An acknowledgement of older packets, or of what was never sent.
        if count > self.flight.len() {
            return false;
        }
        let mut nacks = nacks.to_vec();
        nacks.sort_unstable();
        let mut acked = [None; MOST_LANES];
        for (index, sent) in (0u32..).zip(self.flight.iter_mut()).take(count) {
            let sequence = self.first.wrapping_add(index);
            if sent.state == State::Acked || nacks.binary_search(&sequence).is_ok() {
                continue;
            }
            if sent.state == State::OnItsWay {
                self.lanes[usize::from(sent.last.lane)].left(size(&sent.payload));
            } else {
                self.lost.remove(&sequence);
            }
            sent.state = State::Acked;
            self.come = self.come.max(sequence.wrapping_add(1));
            let came = sent.came(now, &self.lanes);
            sent.add_to(&mut acked[usize::from(came.lane)], came);
            self.held.remove(sent.payload.len());
            sent.payload = Bytes::new();
        }
        let mut acks = [None; MOST_LANES];
        for ((acked, ack), lane) in acked.iter().zip(&mut acks).zip(&mut self.lanes) {
            *ack = acked.as_ref().map(|acked| lane.acked(now, acked));
        }
        self.delivered += acked.iter().flatten().map(|acked| acked.bytes).sum::<u64>();
        if let (Some(acked), Some(ack)) = (&acked[0], &acks[0])
            && let Some(rtt) = ack.rtt
        {
            self.sample = Some((acked.sent_at, rtt));
        }
        while self.flight.front().is_some_and(|sent| sent.state == State::Acked) {
            self.flight.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        self.find_lost(now, &nacks);
        if nacks.len() >= FULL {
            self.give_up_unspoken(now, through);
        }
        for (ack, lane) in acks.iter().zip(&mut self.lanes) {
            ack.iter().for_each(|ack| lane.congestion.on_ack(ack));
        }
        acks.iter().any(Option::is_some)
    }

    /// An acknowledgement that names as many missing packets as it can says nothing of those behind, which may be thousands. What should
    /// have been acknowledged long ago is sent again then, some of it in vain: to wait until all before it is repaired takes a round
    /// trip for each 255 packets.
    fn give_up_unspoken(&mut self, now: Mono, through: u32) {
        let spoken = usize::try_from(through.wrapping_sub(self.first).wrapping_add(1)).unwrap_or(usize::MAX);
        for (index, sent) in (0u32..).zip(self.flight.iter_mut()).skip(spoken) {
            let patience = self.lanes[usize::from(sent.last.lane)].patience(UNSPOKEN_TRIPS);
            if sent.state == State::OnItsWay && patience.is_some_and(|patience| sent.last.at + patience <= now) {
                sent.lose(&mut self.lanes);
                self.lost.insert(self.first.wrapping_add(index));
            }
        }
    }

    /// Packets that are reported missing, and were sent long enough before one that has come.
    fn find_lost(&mut self, now: Mono, nacks: &[u32]) {
        self.late = None;
        for nack in nacks {
            self.judge(now, *nack);
        }
    }

    /// The same of all that is missing, when the first of it is late.
    pub(super) fn find_late(&mut self, now: Mono) {
        if self.late.take_if(|late| now >= *late).is_some() {
            (self.first..self.come).for_each(|sequence| self.judge(now, sequence));
        }
    }

    /// When to call [`SendHalf::find_late`].
    pub(super) fn late(&self) -> Option<Mono> {
        self.late
    }

    /// Whether a missing packet is lost, or when it is.
    fn judge(&mut self, now: Mono, sequence: u32) {
        let index = usize::try_from(sequence.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let several = self.lanes.len() > 1;
        let Some(sent) = self.flight.get_mut(index).filter(|sent| sent.state == State::OnItsWay) else { return };
        let (at, lane) = (sent.last.at, &mut self.lanes[usize::from(sent.last.lane)]);
        let patience = lane.patience(LATE_TRIPS).filter(|_| several).map(|within| at + within);
        match [lane.lost_at(at), patience].into_iter().flatten().min() {
            Some(due) if due <= now => {
                lane.congestion.on_loss(at, size(&sent.payload));
                sent.lose(&mut self.lanes);
                self.lost.insert(sequence);
            }
            due => self.late = [self.late, due].into_iter().flatten().min(),
        }
    }

    /// A round trip on the first way that was not asked for yet, and when it began.
    pub(super) fn take_sample(&mut self) -> Option<(Mono, Duration)> {
        self.sample.take()
    }

    /// The round trip of the first way.
    pub(super) fn srtt(&self) -> Option<Duration> {
        self.first_lane().srtt()
    }

    /// Bytes that have been delivered in all.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How long to wait for an answer, whichever way it was asked on.
    pub(super) fn timeout(&self, first: Duration) -> Duration {
        self.open_lanes().map(|(_, lane)| lane.timeout(first)).max().unwrap_or(first)
    }

    /// How long to wait until the last packet is asked about, which no later one shows to be lost. `None` as long as no round trip is known.
    pub(super) fn probe_timeout(&self) -> Option<Duration> {
        // An acknowledgement that is asked for comes at once, where processors are not busy.
        const LEAST: Duration = Duration::from_millis(150);
        let patience = self.open_lanes().filter_map(|(_, lane)| lane.patience(PROBE_TRIPS)).max();
        patience.map(|patience| patience.max(LEAST))
    }

    /// Nothing is left of what the application gave.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.flight.is_empty()
    }
}

/// A way's number, of which there are few.
fn number(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

fn size(payload: &Bytes) -> u64 {
    payload.len() as u64 + HEADER
}

#[cfg(test)]
mod tests;
