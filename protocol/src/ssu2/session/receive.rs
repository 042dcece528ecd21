//! What comes from the peer.

use super::{Event, PacketError, Session, State};
use crate::gzip::gunzip;
use crate::link::reason::Reason;
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::netdb::rules::MAX_ROUTER_INFO;
use crate::ssu2::block::{Ack, Block, Blocks, RouterInfo};
use crate::ssu2::fragment::{Refused, Whole};
use crate::ssu2::packet::{self, Header};
use crate::ssu2::recovery::Delivered;
use crate::time::{Mono, Now};
use ramson_crypto::mask::LANES;
use rand::RngExt;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

/// The most answers of a session that is closing.
const MAX_ANSWERS: u8 = 3;

/// After a loss the path is taken to lose packets for so long.
const LOSSY: Duration = Duration::from_secs(60);

/// One packet on its way through the session.
struct Arrival {
    from: SocketAddr,
    now: Now,
    /// Where its blocks begin in the bytes that the caller handed in.
    base: usize,
    eliciting: bool,
}

impl Session {
    /// Takes datagrams from one address, `segment` bytes each but the last, as the network stack joins them (GRO); one
    /// datagram is its own segment. They are decrypted in place, and `events` says what lies where. What cannot be
    /// taken is counted; the rest is taken whatever happens to one.
    pub fn handle_datagrams(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &mut [u8],
        segment: usize,
        events: &mut Vec<Event>,
    ) {
        let segment = segment.clamp(1, bytes.len().max(1));
        let mut at = 0;
        for group in bytes.chunks_mut(segment * LANES) {
            let opened = self.open(group, segment);
            for (datagram, opened) in group.chunks(segment).zip(opened) {
                if let Err(e) = self.take(now, from, datagram, at, opened, events) {
                    self.count(e);
                }
                at += datagram.len();
            }
        }
    }

    /// Takes one datagram. As [`Session::handle_datagrams`], and says what was wrong.
    ///
    /// # Errors
    /// Why it was dropped; it has been counted.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        from: SocketAddr,
        datagram: &mut [u8],
        events: &mut Vec<Event>,
    ) -> Result<(), PacketError> {
        let [opened, ..] = self.open(datagram, datagram.len().max(1));
        self.take(now, from, datagram, 0, opened, events).inspect_err(|e| self.count(*e))
    }

    /// Decrypts up to [`LANES`] datagrams in place, unless the session has ended.
    fn open(&self, group: &mut [u8], segment: usize) -> [Result<Header, PacketError>; LANES] {
        if self.state == State::Ended {
            return [Err(PacketError::Ended); LANES];
        }
        self.opener.open_group(group, segment, |number| self.received.is_new(number))
    }

    fn count(&mut self, error: PacketError) {
        let counter = match error {
            PacketError::Short => &mut self.stats.dropped_short,
            PacketError::Kind => &mut self.stats.dropped_kind,
            PacketError::Repeated => &mut self.stats.dropped_repeated,
            PacketError::Tag => &mut self.stats.dropped_tag,
            PacketError::Ended => &mut self.stats.dropped_ended,
            PacketError::Blocks(_) => &mut self.stats.bad_blocks,
        };
        *counter += 1;
    }

    fn take(
        &mut self,
        now: Now,
        from: SocketAddr,
        datagram: &[u8],
        at: usize,
        opened: Result<Header, PacketError>,
        events: &mut Vec<Event>,
    ) -> Result<(), PacketError> {
        if self.state == State::Ended {
            return Err(PacketError::Ended);
        }
        if let Err(PacketError::Short | PacketError::Kind) = opened {
            self.on_foreign(now.mono);
        }
        let header = opened?;
        // Twice in one group: both were opened.
        if !self.received.is_new(header.number) {
            return Err(PacketError::Repeated);
        }
        let range = packet::blocks(datagram.len());
        self.stats.packets_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        self.last_heard = now.mono;
        self.heard = true;
        self.confirmed = None;
        if let State::Closing { say, answers, .. } = &mut self.state {
            *say |= *answers < MAX_ANSWERS;
        }
        self.take_blocks(now, from, datagram.len(), &header, at + range.start, &datagram[range], events)
    }

    /// A datagram that is no Data packet.
    ///
    /// spec: ssu2 §Error Handling — an initiator that did not get our first ACK sends its SessionConfirmed again.
    fn on_foreign(&mut self, now: Mono) {
        if self.role == Role::Responder && !self.heard {
            self.received.hurry(now);
        }
    }

    fn take_blocks(
        &mut self,
        now: Now,
        from: SocketAddr,
        len: usize,
        header: &Header,
        base: usize,
        plain: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), PacketError> {
        let highest = self.received.is_highest(header.number);
        if from != self.path.addr() || self.path.deadline().is_some() {
            let (data, timeout) = (self.rng.random(), self.recovery.rtt.timeout());
            self.path.on_packet(from, header.number, highest, len, data, now.mono, timeout);
        }
        let mut arrival = Arrival { from, now, base, eliciting: false };
        let mut result = Ok(());
        let mut immediate = header.immediate;
        let mut blocks = Blocks::new(plain);
        while let Some(block) = blocks.next() {
            match block {
                Ok(block) => {
                    arrival.eliciting |= block.is_ack_eliciting();
                    immediate |= matches!(block, Block::Congestion { immediate_ack: true, .. });
                    self.on_block(&mut arrival, block, blocks.position(), events);
                }
                Err(e) => result = Err(PacketError::Blocks(e)),
            }
        }
        let rtt = self.recovery.rtt.smoothed();
        // A packet of a probe, or of blocks that we do not know, may want an ACK by its flag alone.
        self.received.insert(header.number, arrival.eliciting || header.immediate, immediate, rtt, now.mono);
        result
    }

    fn on_block(&mut self, arrival: &mut Arrival, block: Block<'_>, end: usize, events: &mut Vec<Event>) {
        let (now, end) = (arrival.now, arrival.base + end);
        if self.state != State::Open {
            if let Block::Termination { reason: Reason::TERMINATION_RECEIVED, .. } = block {
                self.state = State::Ended;
            }
            return;
        }
        let lies = |data: &[u8]| end - data.len()..end;
        match block {
            Block::I2np(m) => {
                if self.is_fresh(m.id, m.expiration) {
                    let body = lies(m.body);
                    events.push(Event::Message { kind: m.kind, id: m.id, expiration: m.expiration, body });
                }
            }
            Block::FirstFragment(fragment) => {
                let whole = self.reassembler.first(fragment, now.mono);
                self.on_fragment(whole, events);
            }
            Block::FollowOn(fragment) => {
                let whole = self.reassembler.follow_on(fragment, now.mono);
                self.on_fragment(whole, events);
            }
            Block::Ack(ack) => self.on_ack(&ack, now.mono),
            Block::Termination { reason, .. } => self.on_termination(reason, now.mono, events),
            Block::RouterInfo(info) => self.on_router_info(&info, events),
            Block::PathChallenge(data) => self.path.on_challenge(arrival.from, data),
            Block::PathResponse(data) => self.on_path_response(arrival.from, data, now.mono, events),
            Block::Congestion { marked: true, .. } => {
                self.stats.marked += 1;
                // The packets that met congestion left a round trip ago.
                self.cubic.on_marked(now.mono.saturating_sub(self.rtt()), now.mono);
            }
            Block::Options(theirs) => self.padding = self.config.padding.most(Some(&theirs)),
            Block::DateTime { seconds } => {
                events.push(Event::Skew(ClockSkew::of(seconds, now.wall, self.rtt() / 2)));
            }
            other => events.extend(passed_on(other, lies)),
        }
    }

    fn is_fresh(&mut self, id: crate::id::MessageId, expiration: u32) -> bool {
        let fresh = self.recent.insert(id, expiration);
        if fresh {
            self.stats.messages_in += 1;
        } else {
            self.stats.repeated_messages += 1;
        }
        fresh
    }

    fn on_fragment(&mut self, whole: Result<Option<Whole>, Refused>, events: &mut Vec<Event>) {
        match whole {
            Ok(Some(Whole { kind, id, expiration, body })) => {
                if self.is_fresh(id, expiration) {
                    events.push(Event::Reassembled { kind, id, expiration, body });
                }
            }
            Ok(None) => {}
            Err(_) => self.stats.refused_fragments += 1,
        }
    }

    fn on_router_info(&mut self, info: &RouterInfo<'_>, events: &mut Vec<Event>) {
        let bytes = match info {
            RouterInfo { fragment, .. } if *fragment != RouterInfo::WHOLE => None,
            RouterInfo { gzip: true, bytes, .. } => gunzip(bytes, MAX_ROUTER_INFO).ok(),
            RouterInfo { bytes, .. } => Some(bytes.to_vec()),
        };
        match bytes {
            Some(bytes) => events.push(Event::RouterInfo { flood: info.flood, bytes }),
            None => self.stats.bad_router_infos += 1,
        }
    }

    fn on_termination(&mut self, reason: Reason, now: Mono, events: &mut Vec<Event>) {
        events.push(Event::Terminated { reason });
        self.enter_closing(Reason::TERMINATION_RECEIVED, now);
        if reason == Reason::TERMINATION_RECEIVED {
            self.state = State::Ended;
        }
    }

    fn on_path_response(&mut self, from: SocketAddr, data: &[u8], now: Mono, events: &mut Vec<Event>) {
        let Some(old) = self.path.on_response(from, data) else { return };
        // spec: ssu2 §Successful Path Validation — another port is mostly the same path behind a NAT.
        if old.ip() != from.ip() {
            self.new_path(now);
        }
        events.push(Event::PeerMoved { addr: from });
    }

    fn on_ack(&mut self, ack: &Ack<'_>, now: Mono) {
        self.stats.acks_in += 1;
        let outbox = &mut self.outbox;
        let acked = match self.recovery.on_ack(ack, now, |content| outbox.delivered(content)) {
            Ok(acked) => acked,
            Err(_) => {
                self.stats.acks_of_unsent += 1;
                return;
            }
        };
        if acked.packets == 0 {
            return;
        }
        self.probes = 0;
        self.stats.spurious += acked.spurious;
        self.mtu.on_acked(acked.largest_size);
        if acked.probe {
            self.mtu.on_probe_acked();
        }
        if acked.spurious > 0 {
            self.lossy_until = now + LOSSY;
            self.cubic.on_spurious(acked.spurious);
        }
        if let Some(sent) = acked.sent {
            let delivered = Delivered { packets: acked.packets, bytes: acked.bytes, sent };
            // In slow start half of the window in use is enough: what grows at the same pace behind us, as the window of a stream
            // does, would else meet a window that is full all the time, and a queue before it that overflows at each hiccup.
            // spec: RFC 9002 §7.8; so do Linux and others.
            let half_used = (self.recovery.in_flight() + acked.bytes) * 2 > self.cubic.window();
            let limited = self.limited || self.cubic.in_slow_start() && half_used;
            self.cubic.on_ack(delivered, &self.recovery.rtt, limited, now);
        }
        self.detect_losses(now);
    }

    /// Declares packets lost, and answers to it.
    pub(super) fn detect_losses(&mut self, now: Mono) -> bool {
        let outbox = &mut self.outbox;
        let losses = self.recovery.detect(now, |content| outbox.lost(content));
        if losses.probe {
            self.mtu.on_probe_lost(now);
        }
        let Some((first, last)) = losses.span else { return losses.probe };
        self.stats.lost += losses.packets;
        self.lossy_until = now + LOSSY;
        if self.mtu.on_lost(losses.largest_size, now) {
            self.stats.black_holes += 1;
        }
        self.cubic.on_loss(losses.packets, last, &self.recovery.rtt, now);
        // spec: RFC 9002 §7.6 — nothing came through for three timeouts.
        let timeout: Duration = self.recovery.rtt.timeout();
        if last - first > timeout * 3 && losses.packets > 2 {
            self.cubic.on_persistent_congestion();
        }
        true
    }
}

/// Blocks that are the owner's business.
fn passed_on(block: Block<'_>, lies: impl Fn(&[u8]) -> Range<usize>) -> Option<Event> {
    Some(match block {
        Block::PeerTest(data) => Event::PeerTest(lies(data)),
        Block::RelayRequest(data) => Event::RelayRequest(lies(data)),
        Block::RelayResponse(data) => Event::RelayResponse(lies(data)),
        Block::RelayIntro(data) => Event::RelayIntro(lies(data)),
        Block::RelayTagRequest => Event::RelayTagRequest,
        Block::RelayTag(tag) => Event::RelayTag(tag),
        Block::NewToken { expires, token } => Event::NewToken { expires, token },
        Block::Address(addr) => Event::Address(addr),
        _ => return None,
    })
}
