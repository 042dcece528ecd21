//! What a stream sends, and when: first what was lost, then what is new, and acknowledgements with either or alone.

use super::{Phase, Stream, USUAL_PAYLOAD};
use crate::streaming::packet::{Packet, flag};
use crate::time::Mono;
use bytes::Bytes;
use std::time::Duration;

/// The answer to a first packet is sent twice when another follows it and it has not been acknowledged after this. INTEROP: i2pd gives
/// up a stream whose first packet comes 200 ms later than another.
const FIRST_AGAIN: Duration = Duration::from_millis(50);

/// Over a way shorter than this it is felt how long an acknowledgement is held back, and nobody's sessions are filled by them.
const SHORT_TRIP: Duration = Duration::from_millis(100);

impl Stream {
    /// The next packet, if one is to go now, and the lane that it takes. Who sends it puts in who we are and signs, as its flags ask.
    pub fn poll_packet(&mut self, now: Mono) -> Option<(usize, Packet)> {
        if std::mem::take(&mut self.reset_due) {
            return Some((0, Packet::reset(self.ids.1, self.ids.0, self.send.next_sequence())));
        }
        match self.phase {
            Phase::Ended(_) => return None,
            Phase::Lingering { .. } => return Some((0, self.plain_ack(now)?)),
            Phase::Connecting { .. } | Phase::Open => {}
        }
        let packet = self.retransmission(now).or_else(|| self.new_packet(now));
        packet.or_else(|| Some((0, self.plain_ack(now)?)))
    }

    fn retransmission(&mut self, now: Mono) -> Option<(usize, Packet)> {
        let lane = self.lane_now(now, |lane| self.fits_again(lane))?;
        let (sequence, sent) = self.send.resend(now, lane)?;
        self.retransmitted += 1;
        self.went(now);
        Some((lane, self.packet(sequence, sent.flags, sent.payload, true)))
    }

    fn new_packet(&mut self, now: Mono) -> Option<(usize, Packet)> {
        let keep_alive = std::mem::take(&mut self.keep_alive_due);
        let due = self.new_due(now);
        let lane = due.or_else(|| keep_alive.then_some(0))?;
        let mut flags = 0;
        if !self.begun {
            flags |= flag::SYNCHRONIZE;
            if self.ids.1 == 0 {
                flags |= flag::NO_ACK;
            }
        }
        // Nobody knows yet what the other side takes.
        let most = if self.ids.1 == 0 { usize::from(USUAL_PAYLOAD.min(self.config.max_payload)) } else { self.payload };
        let payload = self.send.take(most);
        let last = self.send.waiting() == 0;
        if last {
            self.flush = None;
        }
        if self.closing && last && (self.begun || self.ids.1 != 0) {
            flags |= flag::CLOSE;
            self.close_sent = Some(self.send.next_sequence());
        } else if self.closing && last {
            // The first packet of a stream that is to be closed at once: the closing one follows.
            self.flush = Some(now);
        }
        self.begun = true;
        let sequence = self.send.sent(now, lane, payload.clone(), flags, !last);
        self.went(now);
        if sequence == 1 && self.send.unacked() == 2 {
            self.first_again = Some(now + FIRST_AGAIN);
        }
        let urgent = last || !self.has_room() || self.since_urgent >= 8;
        self.since_urgent = if urgent { 0 } else { self.since_urgent + 1 };
        Some((lane, self.packet(sequence, flags, payload, urgent)))
    }

    /// The lane of a new packet that is to go now.
    fn new_due(&self, now: Mono) -> Option<usize> {
        let flush = self.flush.is_some_and(|flush| now >= flush);
        if !self.begun {
            return flush.then_some(0);
        }
        // INTEROP: i2pd sends one packet only before it is answered, and others drop what they cannot place.
        if matches!(self.phase, Phase::Connecting { .. }) || !self.fits_span() || self.close_sent.is_some() {
            return None;
        }
        let (waiting, close) = (self.send.waiting(), self.closing);
        if waiting >= self.payload {
            return self.lane_now(now, |lane| self.fits(lane));
        }
        // What is less than a packet does not wait for the pace.
        let due = if waiting == 0 { close } else { flush || self.send.unacked() == 0 };
        self.paced_lane(|lane| self.fits(lane)).filter(|_| due)
    }

    /// A packet goes out.
    fn went(&mut self, now: Mono) {
        self.last_sent = now;
        self.arm(now);
    }

    fn packet(&mut self, sequence: u32, flags: u16, payload: Bytes, urgent: bool) -> Packet {
        let mut packet = Packet::new(self.ids.1, self.ids.0, sequence);
        packet.flags = flags;
        packet.payload = payload;
        if flags & flag::SYNCHRONIZE != 0 {
            packet.flags |= flag::FROM | flag::MAX_SIZE;
            packet.max_size = Some(self.config.max_payload);
        }
        if flags & (flag::SYNCHRONIZE | flag::CLOSE) != 0 {
            packet.flags |= flag::SIGNATURE;
        }
        if self.ids.1 != 0 {
            packet.flags &= !flag::NO_ACK;
            match self.receive.acknowledge() {
                Some((through, nacks)) => (packet.ack_through, packet.nacks) = (through, nacks),
                None => packet.flags |= flag::NO_ACK,
            }
            // INTEROP: in an answer to a first packet eight numbers would be taken for a hash.
            if packet.has(flag::SYNCHRONIZE) {
                packet.nacks.clear();
            }
        }
        if self.receive.is_choked() {
            // INTEROP: Java says 61,000, and takes no less for a choke.
            packet.delay = Some(61_000);
        } else if urgent && self.is_to_ask() && !packet.has(flag::SYNCHRONIZE) {
            packet.delay = Some(0);
        }
        packet
    }

    /// Whether an acknowledgement comes sooner if it is asked for. INTEROP: an i2pd that is asked while it holds one back acknowledges each
    /// packet from then on, until there is a pause: over a far path its sessions take no more than twenty a second, and its own tunnels fail
    /// behind them. It, and we, hold none back for longer than a tenth of a round trip; Java does, for half a second.
    fn is_to_ask(&self) -> bool {
        self.acks_late || self.send.srtt().is_some_and(|trip| trip < SHORT_TRIP)
    }

    fn plain_ack(&mut self, now: Mono) -> Option<Packet> {
        if self.ids.1 == 0 || !self.begun || self.receive.ack_due().is_none_or(|due| now < due) {
            return None;
        }
        let packet = self.packet(0, 0, Bytes::new(), false);
        (!packet.has(flag::NO_ACK)).then_some(packet)
    }
}
