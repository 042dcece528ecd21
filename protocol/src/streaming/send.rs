//! The sending half of a stream: bytes of the application in, packets out, until each is acknowledged.
//!
//! ```text
//! write -> waits -> on its way -- acknowledged --> gone
//!                   ^    | not among what has come, though younger ones are: lost
//!                   '----'
//! ```
//! A packet counts as lost when one that was sent sufficiently later has come and it has not (as RFC 8985 has it): paths here
//! overtake each other, so numbers alone say little.

use super::congestion::Ack;
use super::memory::{Memory, Share};
use crate::time::Mono;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Bytes of a packet beside its payload, as the window counts them.
const HEADER: u64 = 22;

/// So many missing packets are all that an acknowledgement can name.
const FULL: usize = 255;

/// What such an acknowledgement does not speak of is given up after so many round trips.
const UNSPOKEN_TRIPS: u32 = 2;

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) payload: Bytes,
    /// The flags that it needs again when it is sent again.
    pub(super) flags: u16,
    sent_at: Mono,
    /// What had been delivered when it was sent, and when that was.
    delivered: (u64, Mono),
    limited: bool,
    pub(super) transmissions: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnItsWay,
    Lost,
    Acked,
}

/// What became of packets by an acknowledgement.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) ack: Option<Ack>,
    /// When each packet that was lost had been sent, and its bytes.
    pub(super) lost: Vec<(Mono, u64)>,
    /// Something is acknowledged that was not before.
    pub(super) progress: bool,
}

#[derive(Debug)]
pub(super) struct SendHalf {
    waiting: BytesMut,
    held: Share,
    /// Packets from `first` on that are not all acknowledged.
    flight: VecDeque<Sent>,
    first: u32,
    lost: BTreeSet<u32>,
    in_flight: u64,
    delivered: u64,
    delivered_at: Mono,
    /// When the youngest packet was sent that has come.
    newest: Mono,
    srtt: Option<Duration>,
    /// The last round trip, and when it began.
    sample: Option<(Mono, Duration)>,
    rttvar: Duration,
}

impl SendHalf {
    pub(super) fn new(now: Mono, memory: &Memory) -> Self {
        Self {
            waiting: BytesMut::new(),
            held: memory.share(),
            flight: VecDeque::new(),
            first: 0,
            lost: BTreeSet::new(),
            in_flight: 0,
            delivered: 0,
            delivered_at: now,
            newest: Mono::ZERO,
            srtt: None,
            sample: None,
            rttvar: Duration::ZERO,
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
        self.waiting.extend_from_slice(bytes);
    }

    /// The next bytes of the application, at most `max`.
    pub(super) fn take(&mut self, max: usize) -> Bytes {
        let len = self.waiting.len().min(max);
        self.waiting.split_to(len).freeze()
    }

    /// The number of the next new packet.
    pub(super) fn next_sequence(&self) -> u32 {
        self.first.wrapping_add(u32::try_from(self.flight.len()).unwrap_or(u32::MAX))
    }

    /// Bytes on their way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
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

    /// A new packet has gone out.
    pub(super) fn sent(&mut self, now: Mono, payload: Bytes, flags: u16, limited: bool) -> u32 {
        let sequence = self.next_sequence();
        if self.flight.is_empty() {
            // A pause says nothing about the path.
            self.delivered_at = now;
        }
        self.in_flight += size(&payload);
        let delivered = (self.delivered, self.delivered_at);
        let state = State::OnItsWay;
        self.flight.push_back(Sent { payload, flags, sent_at: now, delivered, limited, transmissions: 1, state });
        sequence
    }

    /// The first packet that was lost, which goes out again with this.
    pub(super) fn resend(&mut self, now: Mono) -> Option<(u32, Sent)> {
        let sequence = self.lost.pop_first()?;
        let delivered = (self.delivered, self.delivered_at);
        let index = usize::try_from(sequence.wrapping_sub(self.first)).ok()?;
        let sent = self.flight.get_mut(index)?;
        (sent.sent_at, sent.delivered, sent.state) = (now, delivered, State::OnItsWay);
        sent.transmissions += 1;
        self.in_flight += size(&sent.payload);
        Some((sequence, sent.clone()))
    }

    /// The first packet of all goes out once more, if it has gone out once and is not acknowledged. It does not count as lost.
    pub(super) fn repeat_first(&mut self) {
        let Some(sent) = self.flight.front_mut().filter(|_| self.first == 0) else { return };
        if sent.state == State::OnItsWay && sent.transmissions == 1 {
            sent.state = State::Lost;
            self.in_flight -= size(&sent.payload);
            self.lost.insert(0);
        }
    }

    /// The last packet goes out once more, if nothing is known of it. It does not count as lost: its acknowledgement tells what is.
    pub(super) fn repeat_last(&mut self) {
        let last = self.next_sequence().wrapping_sub(1);
        if let Some(sent) = self.flight.back_mut().filter(|sent| sent.state == State::OnItsWay) {
            sent.state = State::Lost;
            self.in_flight -= size(&sent.payload);
            self.lost.insert(last);
        }
    }

    /// All packets that are on their way are taken for lost but the first is the one that finds out: for when nothing comes
    /// back. How often that packet has been sent.
    pub(super) fn time_out(&mut self) -> u32 {
        for (index, sent) in (0u32..).zip(self.flight.iter_mut()) {
            if sent.state == State::OnItsWay {
                sent.state = State::Lost;
                self.in_flight -= size(&sent.payload);
                self.lost.insert(self.first.wrapping_add(index));
            }
        }
        self.flight.front().map_or(0, |sent| sent.transmissions)
    }

    /// The other side says what has come: all up to `through` but `nacks`. What was never sent is no matter.
    pub(super) fn acked(&mut self, now: Mono, through: u32, nacks: &[u32]) -> Outcome {
        let mut outcome = Outcome::default();
        let behind = through.wrapping_sub(self.first);
        let count = usize::try_from(behind).unwrap_or(usize::MAX).saturating_add(1);
        // An acknowledgement of older packets, or of what was never sent.
        if count > self.flight.len() {
            return outcome;
        }
        let mut nacks = nacks.to_vec();
        nacks.sort_unstable();
        let (mut bytes, mut newest): (u64, Option<Sent>) = (0, None);
        for (index, sent) in (0u32..).zip(self.flight.iter_mut()).take(count) {
            let sequence = self.first.wrapping_add(index);
            if sent.state == State::Acked || nacks.binary_search(&sequence).is_ok() {
                continue;
            }
            if sent.state == State::OnItsWay {
                self.in_flight -= size(&sent.payload);
            } else {
                self.lost.remove(&sequence);
            }
            sent.state = State::Acked;
            bytes += size(&sent.payload);
            self.held.remove(sent.payload.len());
            sent.payload = Bytes::new();
            if newest.as_ref().is_none_or(|newest| newest.sent_at <= sent.sent_at) {
                newest = Some(sent.clone());
            }
        }
        if let Some(newest) = newest {
            outcome.progress = true;
            self.newest = self.newest.max(newest.sent_at);
            self.delivered += bytes;
            self.delivered_at = now;
            let rtt = (newest.transmissions == 1).then(|| now.saturating_sub(newest.sent_at));
            if let Some(rtt) = rtt {
                self.measured(rtt);
                self.sample = Some((newest.sent_at, rtt));
            }
            while self.flight.front().is_some_and(|sent| sent.state == State::Acked) {
                self.flight.pop_front();
                self.first = self.first.wrapping_add(1);
            }
            let (prior, prior_at) = newest.delivered;
            outcome.ack = Some(Ack {
                now,
                bytes,
                rtt,
                delivered: Some((self.delivered - prior, now.saturating_sub(prior_at))),
                prior,
                total: self.delivered,
                limited: newest.limited,
                in_flight: self.in_flight,
            });
        }
        outcome.lost = self.find_lost(&nacks);
        if nacks.len() >= FULL {
            self.give_up_unspoken(now, through);
        }
        outcome
    }

    /// An acknowledgement that names as many missing packets as it can says nothing of those behind, which may be thousands. What should
    /// have been acknowledged long ago is sent again then, some of it in vain: to wait until all before it is repaired takes a round
    /// trip for each 255 packets.
    fn give_up_unspoken(&mut self, now: Mono, through: u32) {
        let Some(srtt) = self.srtt else { return };
        let patience = srtt * UNSPOKEN_TRIPS + 4 * self.rttvar;
        let spoken = usize::try_from(through.wrapping_sub(self.first).wrapping_add(1)).unwrap_or(usize::MAX);
        for (index, sent) in (0u32..).zip(self.flight.iter_mut()).skip(spoken) {
            if sent.state == State::OnItsWay && sent.sent_at + patience <= now {
                sent.state = State::Lost;
                self.in_flight -= size(&sent.payload);
                self.lost.insert(self.first.wrapping_add(index));
            }
        }
    }

    /// Packets that are reported missing, and were sent long enough before one that has come.
    fn find_lost(&mut self, nacks: &[u32]) -> Vec<(Mono, u64)> {
        let reordering = self.srtt.unwrap_or(Duration::from_millis(500)) / 4;
        let mut lost = Vec::new();
        for nack in nacks {
            let index = usize::try_from(nack.wrapping_sub(self.first)).unwrap_or(usize::MAX);
            let Some(sent) = self.flight.get_mut(index) else { continue };
            if sent.state == State::OnItsWay && sent.sent_at + reordering.max(Duration::from_millis(5)) <= self.newest {
                sent.state = State::Lost;
                self.in_flight -= size(&sent.payload);
                lost.push((sent.sent_at, size(&sent.payload)));
                self.lost.insert(*nack);
            }
        }
        lost
    }

    fn measured(&mut self, rtt: Duration) {
        match self.srtt {
            None => (self.srtt, self.rttvar) = (Some(rtt), rtt / 2),
            Some(srtt) => {
                self.rttvar = (self.rttvar * 3 + srtt.abs_diff(rtt)) / 4;
                self.srtt = Some((srtt * 7 + rtt) / 8);
            }
        }
    }

    /// A round trip that was not asked for yet, and when it began.
    pub(super) fn take_sample(&mut self) -> Option<(Mono, Duration)> {
        self.sample.take()
    }

    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// How long to wait for an answer.
    pub(super) fn timeout(&self, first: Duration) -> Duration {
        // INTEROP: acknowledgements are held back for up to half a second (Java).
        const LEAST: Duration = Duration::from_millis(600);
        self.srtt.map_or(first, |srtt| (srtt + 4 * self.rttvar).max(srtt + srtt / 4).max(LEAST))
    }

    /// How long to wait until the last packet is asked about, which no later one shows to be lost. `None` as long as no round trip is known.
    pub(super) fn probe_timeout(&self) -> Option<Duration> {
        // An acknowledgement that is asked for comes at once, where processors are not busy.
        const LEAST: Duration = Duration::from_millis(150);
        self.srtt.map(|srtt| (2 * srtt + 4 * self.rttvar).max(LEAST))
    }

    /// Nothing is left of what the application gave.
    pub(super) fn is_empty(&self) -> bool {
        !self.waiting.has_remaining() && self.flight.is_empty()
    }
}

fn size(payload: &Bytes) -> u64 {
    payload.len() as u64 + HEADER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Duration::from_millis(ms)
    }

    fn half(packets: u64) -> SendHalf {
        let mut half = SendHalf::new(at(0), &Memory::new(usize::MAX));
        for n in 0..packets {
            assert_eq!(u64::from(half.sent(at(n * 10), Bytes::from_static(b"x"), 0, true)), n);
        }
        half
    }

    #[test]
    fn what_has_come_is_gone_and_what_is_missing_is_sent_again_once() {
        let mut half = half(10);
        let outcome = half.acked(at(300), 9, &[2, 5]);
        assert_eq!(outcome.ack.map(|ack| (ack.bytes, ack.rtt)), Some((8 * 23, Some(at(210)))));
        assert_eq!(
            (outcome.lost, half.unacked()),
            (vec![(at(20), 23)], 8),
            "packet 5 was sent too shortly before the last that came"
        );
        assert_eq!(half.resend(at(310)).map(|(n, sent)| (n, sent.transmissions)), Some((2, 2)));
        assert!(half.resend(at(310)).is_none());
        let outcome = half.acked(at(320), 9, &[2, 5]);
        assert!(!outcome.progress && outcome.lost.is_empty());
        half.acked(at(600), 9, &[]);
        assert!(half.is_empty() && half.in_flight() == 0);
    }

    #[test]
    fn acknowledgements_of_what_was_never_sent_and_of_the_past_change_nothing() {
        let mut half = half(5);
        for through in [5, 1000, u32::MAX, u32::MAX / 2] {
            assert!(!half.acked(at(100), through, &[]).progress, "{through}");
        }
        half.acked(at(100), 2, &[]);
        assert!(!half.acked(at(110), 1, &[0, 1]).progress);
        assert_eq!(half.unacked(), 2);
        half.acked(at(120), 4, &[7, 9, 0]);
        assert_eq!(half.unacked(), 0);
    }

    #[test]
    fn after_a_silence_all_goes_out_again_in_its_order() {
        let mut half = half(3);
        assert_eq!(half.time_out(), 1);
        assert_eq!(half.in_flight(), 0);
        assert_eq!(half.resend(at(900)).unwrap().0, 0);
        assert_eq!(half.time_out(), 2);
        let again: Vec<u32> = std::iter::from_fn(|| half.resend(at(2000)).map(|(n, _)| n)).collect();
        assert_eq!(again, [0, 1, 2]);
    }
}
