//! What goes to the peer: packets of one size, many at a time.
//!
//! The first packet of a batch sets the size of all, so that the network stack can cut them apart (GSO); it also holds
//! the ACK. The others are padded to that size, or end the batch if they are much shorter. A message is never cut to
//! fill a packet.

use super::{Confirmed, Session, State};
use crate::link::block::HEADER_LEN;
use crate::link::reason::Reason;
use crate::link::skew::nearest_second;
use crate::ssu2::block::Block;
use crate::ssu2::header::SHORT_LEN;
use crate::ssu2::packet::{MIN_PAYLOAD, OVERHEAD, Placed};
use crate::ssu2::recovery::Outgoing;
use crate::time::{Mono, Now};
use ramson_crypto::aead::TAG_LEN;
use rand::RngExt;
use smallvec::SmallVec;
use std::net::SocketAddr;

use super::timers;

/// Bytes of one batch at most: what one call of the network stack takes.
const MAX_BATCH: usize = 65_000;
/// The most that random padding adds to a packet.
///
/// spec: ssu2 §Recommended Constants
const MAX_PADDING: usize = 15;
/// The most that is added to a packet to make it as long as the first of its batch.
const MAX_FILLING: usize = 96;
/// The session ends this far before its packet numbers do.
///
/// spec: ssu2 §Packet Numbering — "well before the max number of packets is sent"
const LAST_NUMBER: u64 = u32::MAX as u64 - 0x1_0000;
/// A packet of a challenge or an answer is at most so long beyond its data: header and tag, DateTime, Address, the
/// block's own header, padding, and an ACK without ranges.
const PATH_PACKET: usize = OVERHEAD + 7 + 21 + HEADER_LEN + HEADER_LEN + MAX_PADDING + 8;

/// Datagrams to be sent: the bytes that were appended to the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The address that the datagrams go to.
    pub to: SocketAddr,
    /// Length of each but the last, which may be shorter.
    pub segment: usize,
    /// How many datagrams were written.
    pub packets: usize,
}

/// A packet that is being filled.
#[derive(Clone, Copy, Debug, Default)]
struct Draft {
    /// Where it begins in the caller's buffer.
    at: usize,
    eliciting: bool,
    immediate: bool,
    /// It holds messages or blocks of the outbox, which the window limits.
    counts: bool,
}

/// What goes along with the contents of a packet, and where.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Bytes of blocks that it may hold.
    room: usize,
    first: bool,
}

impl Session {
    /// Appends the next datagrams to `out`, at most `max_packets` of them and of one size; `None` if there is nothing to
    /// send now. To be called until then.
    pub fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>, max_packets: usize) -> Option<Transmit> {
        let transmit = match self.state {
            State::Ended => None,
            State::Closing { reason, say: true, .. } => Some(self.say_goodbye(reason, now, out)),
            State::Closing { .. } => None,
            State::Open if self.recovery.next_number() >= LAST_NUMBER => {
                self.enter_closing(Reason::NORMAL, now.mono);
                Some(self.say_goodbye(Reason::NORMAL, now, out))
            }
            State::Open => self
                .send_confirmed(out)
                .or_else(|| self.send_path(now, out))
                .or_else(|| self.send_mtu_probe(now, out))
                .or_else(|| self.send_batch(now, out, max_packets)),
        };
        if transmit.is_some() {
            self.last_sent = now.mono;
            self.shrink_at.get_or_insert(now.mono + timers::SHRINK);
        }
        transmit
    }

    fn send_confirmed(&mut self, out: &mut Vec<u8>) -> Option<Transmit> {
        let Confirmed { datagrams, at, .. } = self.confirmed.as_mut()?;
        let datagram = datagrams.get(*at)?;
        *at += 1;
        out.extend_from_slice(datagram);
        let len = datagram.len();
        self.stats.packets_out += 1;
        self.stats.bytes_out += len as u64;
        Some(Transmit { to: self.path.addr(), segment: len, packets: 1 })
    }

    /// Ends the session: one packet that says so.
    ///
    /// spec: ssu2 §Data phase
    fn say_goodbye(&mut self, reason: Reason, now: Now, out: &mut Vec<u8>) -> Transmit {
        let draft = self.begin(out);
        let room = self.smallest_payload();
        self.received.write(out, room / 2);
        let packets = self.stats.packets_in;
        put(out, &Block::Termination { packets, reason, additional: &[] });
        let padding = self.random_padding();
        let placed = self.finish(draft, padding, out, false, now.mono);
        self.sealer.seal(out, &[placed]);
        if let State::Closing { say, answers, .. } = &mut self.state {
            *say = false;
            *answers += 1;
        }
        if reason == Reason::TERMINATION_RECEIVED {
            self.state = State::Ended;
        }
        Transmit { to: self.path.addr(), segment: placed.len, packets: 1 }
    }

    /// A challenge to an address that is not proven, or an answer to a challenge.
    ///
    /// spec: ssu2 §Message Contents
    fn send_path(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        if !self.path.wants_to_send(now.mono) {
            return None;
        }
        let draft = self.begin(out);
        let challenge = self.path.challenge(PATH_PACKET + 8, now.mono);
        let answer = match challenge {
            Some(_) => None,
            None => self.path.answer(PATH_PACKET + crate::ssu2::path::MAX_CHALLENGE),
        };
        let to = match (&challenge, &answer) {
            (Some((to, data)), _) => {
                put(out, &Block::PathChallenge(data));
                *to
            }
            (None, Some(answer)) => {
                put(out, &Block::PathResponse(&answer.data));
                answer.to
            }
            (None, None) => {
                out.truncate(draft.at);
                return None;
            }
        };
        put(out, &Block::Address(to));
        put(out, &Block::DateTime { seconds: nearest_second(now.wall) });
        if self.received.write(out, 8) && to == self.path.addr() {
            self.received.acknowledged();
        }
        let padding = self.random_padding();
        // It counts for nothing, so that its loss says nothing about the proven path; the path repeats it by itself.
        let draft = Draft { immediate: true, ..draft };
        Some(self.send_single(draft, padding, to, out, false, now.mono))
    }

    /// A packet that shows whether the path takes its size. It asks for an answer in a way that every router gives.
    ///
    /// spec: ssu2 §Use as Ping/Pong
    fn send_mtu_probe(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.recovery.in_flight() == 0 && self.outbox.is_empty() {
            return None;
        }
        let size = self.mtu.due(now.mono)?;
        self.mtu.sent(size, now.mono);
        let draft = self.begin(out);
        put(out, &Block::PathChallenge(&self.rng.random::<[u8; 8]>()));
        let filling = (draft.at + usize::from(size) - TAG_LEN).saturating_sub(out.len());
        let draft = Draft { eliciting: true, immediate: true, ..draft };
        Some(self.send_single(draft, filling, self.path.addr(), out, true, now.mono))
    }

    fn send_single(
        &mut self,
        draft: Draft,
        padding: usize,
        to: SocketAddr,
        out: &mut Vec<u8>,
        probe: bool,
        now: Mono,
    ) -> Transmit {
        let placed = self.finish(draft, padding, out, probe, now);
        self.sealer.seal(out, &[placed]);
        Transmit { to, segment: placed.len, packets: 1 }
    }

    fn send_batch(&mut self, now: Now, out: &mut Vec<u8>, max_packets: usize) -> Option<Transmit> {
        self.pacer.refill(self.pace(), now.mono);
        (self.limited, self.paced_until) = (false, None);
        self.outbox.set_careful(now.mono < self.lossy_until);
        let padding = self.random_padding();
        let mut placed: SmallVec<[Placed; 16]> = SmallVec::new();
        let mut segment = self.payload();
        while placed.len() < max_packets && (placed.len() + 1) * (segment + OVERHEAD) <= MAX_BATCH {
            let first = placed.is_empty();
            let Some(draft) = self.fill(now, out, Place { room: segment, first }) else { break };
            let used = out.len() - draft.at - SHORT_LEN;
            let filling = match first {
                true => padding.min(segment.saturating_sub(used)),
                false => self.filling(segment - used, used),
            };
            let place = self.finish(draft, filling, out, false, now.mono);
            placed.push(place);
            if place.len > segment + OVERHEAD {
                break;
            } else if first {
                segment = place.len - OVERHEAD;
            } else if place.len < segment + OVERHEAD {
                break;
            }
        }
        self.sealer.seal(out, &placed);
        let first = placed.first()?;
        Some(Transmit { to: self.path.addr(), segment: first.len, packets: placed.len() })
    }

    /// Begins a packet and puts in what there is to send; `None`, with nothing written, if there is nothing.
    fn fill(&mut self, now: Now, out: &mut Vec<u8>, place: Place) -> Option<Draft> {
        let mut draft = self.begin(out);
        let body = out.len();
        if place.first {
            self.fill_control(&mut draft, now, out);
        }
        while let Some(next) = self.outbox.peek(self.payload(), now.wall.secs()) {
            let used = out.len() - body;
            // A fragment that was cut for a wider path goes alone.
            let fits = used + next.len <= place.room || (place.first && used == 0);
            if !fits || (!draft.counts && !self.may_send(used + next.len + OVERHEAD, now.mono)) {
                break;
            }
            self.recovery.note(next.content);
            self.outbox.take(next, out);
            draft.counts = true;
            draft.eliciting = true;
            draft.immediate |= next.pressing;
        }
        let used = out.len() - body;
        let due = self.received.deadline().is_some_and(|t| t <= now.mono);
        if (place.first && used > 0 && self.received.has_news()) || (used == 0 && due) {
            if self.received.write(out, place.room.saturating_sub(used)) {
                self.received.acknowledged();
            }
            if used == 0 {
                self.stats.acks_out += 1;
                self.fill_date(now, out, place.room);
            }
        }
        if out.len() == body {
            out.truncate(draft.at);
            return None;
        }
        Some(draft)
    }

    /// Small things that the session itself has to say.
    fn fill_control(&mut self, draft: &mut Draft, now: Now, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.marked) {
            put(out, &Block::Congestion { immediate_ack: false, marked: true });
        }
        if std::mem::take(&mut self.ping) {
            // After a timeout the peer must answer; to keep a NAT open anything will do.
            if self.recovery.in_flight() > 0 {
                put(out, &Block::PathChallenge(&self.rng.random::<[u8; 8]>()));
                (draft.eliciting, draft.immediate) = (true, true);
            } else {
                put(out, &Block::DateTime { seconds: nearest_second(now.wall) });
            }
        }
    }

    fn fill_date(&mut self, now: Now, out: &mut Vec<u8>, room: usize) {
        if self.next_date <= now.mono && room > 64 {
            self.next_date = now.mono + timers::DATE;
            put(out, &Block::DateTime { seconds: nearest_second(now.wall) });
        }
    }

    /// The window and the pacer let `len` bytes go.
    fn may_send(&mut self, len: usize, now: Mono) -> bool {
        if self.probes > 0 {
            return true;
        }
        let len = len as u64;
        if self.recovery.in_flight() + len > self.cubic.window() {
            self.limited = true;
            return false;
        }
        if self.pacer.tokens() < len {
            self.limited = true;
            self.paced_until = Some(self.pacer.ready_at(self.pace(), len).max(now));
            return false;
        }
        true
    }

    /// Bytes per second at which packets leave: somewhat more than the window per round trip, so that the window is what
    /// limits.
    fn pace(&self) -> u64 {
        let factor = if self.cubic.in_slow_start() { 2.0 } else { 1.25 };
        (self.rate() * factor) as u64
    }

    /// Bytes per second that the window lets go.
    pub fn rate(&self) -> f64 {
        self.cubic.window() as f64 / self.recovery.rtt.smoothed().as_secs_f64().max(0.000_1)
    }

    /// Reserves a header.
    fn begin(&self, out: &mut Vec<u8>) -> Draft {
        let at = out.len();
        out.resize(at + SHORT_LEN, 0);
        Draft { at, ..Draft::default() }
    }

    /// Adds `filling` bytes, if a block of padding fits them, and room for the tag; the packet counts as sent.
    fn finish(&mut self, draft: Draft, filling: usize, out: &mut Vec<u8>, probe: bool, now: Mono) -> Placed {
        let used = out.len() - draft.at - SHORT_LEN;
        let least = MIN_PAYLOAD.saturating_sub(used);
        let filling = if least > 0 { filling.max(least) } else { filling };
        if filling >= HEADER_LEN || least > 0 {
            put(out, &Block::Padding(filling.saturating_sub(HEADER_LEN)));
        }
        out.resize(out.len() + TAG_LEN, 0);
        let len = out.len() - draft.at;
        let number = self.recovery.next_number();
        let size = u16::try_from(len).unwrap_or(u16::MAX);
        let busy = self.recovery.in_flight() + len as u64 > self.cubic.window() / 2;
        self.recovery.on_sent(Outgoing { size, eliciting: draft.eliciting, probe }, now);
        if draft.counts {
            self.pacer.take(len as u64);
            self.probes = self.probes.saturating_sub(1);
        }
        self.stats.packets_out += 1;
        self.stats.bytes_out += len as u64;
        let immediate = draft.immediate || (draft.counts && busy && number.is_multiple_of(8));
        Placed { at: draft.at, len, number: u32::try_from(number).unwrap_or(u32::MAX), immediate }
    }

    /// Random padding for a batch; none for a peer that wants none.
    fn random_padding(&mut self) -> usize {
        let padding = self.rng.random_range(0..=MAX_PADDING);
        if self.padding == 0 { 0 } else { padding }
    }

    /// How much of `missing` bytes to fill up behind `used` bytes.
    fn filling(&self, missing: usize, used: usize) -> usize {
        let agreed = used * usize::from(self.padding) / 16;
        if missing >= HEADER_LEN && missing <= MAX_FILLING.min(agreed) { missing } else { 0 }
    }
}

/// Appends a block that is known to fit.
fn put(out: &mut Vec<u8>, block: &Block<'_>) {
    let written = block.write(out);
    debug_assert!(written.is_ok(), "{written:?}");
}
