//! One stream: bytes both ways between two destinations.
//!
//! ```text
//! Connecting -- first packet sent, its answer has come --> Open
//! Accepted   -- the first packet of the other side ------> Open      (our first packet answers it)
//! Open       -- both sides have closed, and know it -----> Lingering -- a while, for repeated packets --> Ended
//! any        -- reset, or nothing comes back for too long ------------------------------------------> Ended
//! ```
//! Who signs and finds the stream of a packet is [`super::streams`]. Invariants: no byte is handed out twice or out of order;
//! bytes that were written are kept until the other side has them; what is kept is bounded by [`Config::send_buffer`] and
//! [`Config::receive_buffer`].
//!
//! spec: streaming

mod clock;
mod room;
mod transmit;

use super::lanes::{Lane, MOST_LANES, MOST_TOLD};
use super::memory::{self, Memory};
use super::packet::{CHOKE, Packet, flag};
use super::receive::{ReceiveHalf, Taken};
use super::send::SendHalf;
use super::spread::{Counts, Spread, Verdict};
use crate::time::Mono;
use bytes::Bytes;
use std::time::Duration;

/// What a side takes that does not say so. INTEROP: 1730 in all routers.
const USUAL_PAYLOAD: u16 = 1730;
/// And the least that it may say. INTEROP: 512 in Java.
const LEAST_PAYLOAD: u16 = 512;

/// A packet that is not full waits so long for more, unless nothing is on its way.
const FLUSH: Duration = Duration::from_millis(10);

/// Packets on their way to Java at most. INTEROP: it keeps no more than 130 for a reader, and drops the others.
const MAX_TO_JAVA: u32 = 128;

/// And to i2pd. INTEROP: it drops what is 1536 ahead of what it waits for, and says then that it is choked.
const MAX_TO_I2PD: u32 = 1400;
const CHOKED_BY_GAPS: u16 = u16::MAX;

/// Packets that come again for so long, and nothing new, tell that our answers do not arrive. Late copies come sooner.
const REPEATS: Duration = Duration::from_secs(1);

/// How a stream behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The most that we take in one packet, and send. INTEROP: 1812 fills two cells of a tunnel.
    pub max_payload: u16,
    /// Bytes of the application that are kept until the other side has them, at most: twice the window as a rule.
    pub send_buffer: usize,
    /// Bytes that are kept until the application takes them, or what is missing before them comes.
    pub receive_buffer: usize,
    /// Packets on their way at most. INTEROP: i2pd has 512, Java 128.
    pub max_window: u32,
    /// The first packet waits so long for the application's first bytes.
    pub connect_delay: Duration,
    /// An answer to it must come by then.
    pub connect_timeout: Duration,
    /// The first answer is waited for so long before the packet is sent again. INTEROP: nine
    /// seconds in the others, which is long for whoever waits for a page.
    pub first_timeout: Duration,
    /// A packet is sent so often at most.
    pub max_transmissions: u32,
    /// After such a silence an empty packet asks whether the other side is there.
    pub keep_alive: Duration,
    /// A stream that has closed answers repeated packets for so long.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_payload: 1812,
            send_buffer: 16 << 20,
            receive_buffer: 32 << 20,
            max_window: 8192,
            connect_delay: Duration::from_millis(20),
            connect_timeout: Duration::from_secs(60),
            first_timeout: Duration::from_secs(4),
            max_transmissions: 9,
            keep_alive: Duration::from_secs(90),
            linger: Duration::from_secs(30),
        }
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides have closed it, and have all bytes.
    Closed,
    /// The other side has broken it off.
    Reset,
    /// We have.
    Broken,
    /// The other side was not reached.
    Unreachable,
    /// Nothing came back any more.
    TimedOut,
}

impl End {
    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset => "reset_by_remote",
            Self::Broken => "reset_by_us",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// We begin; nothing has come back.
    Connecting { since: Mono },
    /// Both know of it.
    Open,
    /// All is done, and remembered for a while.
    Lingering { until: Mono },
    /// Over.
    Ended(End),
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    config: Config,
    phase: Phase,
    /// The number that we gave it, and the other side's; zero while unknown.
    ids: (u32, u32),
    send: SendHalf,
    receive: ReceiveHalf,
    /// Whether it takes more than one way.
    spread: Spread,
    /// It shares its ways with no other stream.
    alone: bool,
    /// The most packets from the first that is not acknowledged on: what the other side keeps while that one is missing.
    span: u32,
    /// The most that goes into a packet to the other side.
    payload: usize,
    /// Our first packet has been made.
    begun: bool,
    /// The application has nothing more to say; our closing packet has been made; it has been acknowledged.
    closing: bool,
    close_sent: Option<u32>,
    /// Nobody reads any more.
    deserted: bool,
    /// A reset is to be sent.
    reset_due: bool,
    /// The other side wants no more.
    choked: bool,
    /// Its answer is waited for since when and until when; how often that was in vain.
    timeout: Option<(Mono, Mono)>,
    backoff: u32,
    first_again: Option<Mono>,
    /// The last packet goes out once more then, if nothing was acknowledged since the timeout was set.
    probe: Option<Mono>,
    flush: Option<Mono>,
    last_heard: Mono,
    last_sent: Mono,
    /// The other side is Java, which holds acknowledgements back for long unless it is asked for them; or nothing is known of it yet.
    acks_late: bool,
    since_urgent: u32,
    keep_alive_due: bool,
    /// The ways that seem to be broken, each since when.
    suspicious: [Option<Mono>; MOST_LANES],
    /// Since when nothing new comes, only what came before.
    repeats_since: Option<Mono>,
    retransmitted: u64,
}

impl Stream {
    /// A stream that we begin, under this number.
    pub fn connect(config: Config, memory: &Memory, id: u32, now: Mono) -> Self {
        let mut stream = Self::new(config, memory, (id, 0), Phase::Connecting { since: now }, now);
        stream.flush = Some(now + config.connect_delay);
        stream
    }

    /// A stream that the other side has begun with this packet.
    pub fn accept(config: Config, memory: &Memory, id: u32, first: &Packet, now: Mono) -> Self {
        let mut stream = Self::new(config, memory, (id, first.receive_stream), Phase::Open, now);
        // The answer waits a moment for the application's first bytes.
        stream.flush = Some(now + config.connect_delay);
        stream.handle_packet(now, first);
        stream
    }

    fn new(config: Config, memory: &Memory, ids: (u32, u32), phase: Phase, now: Mono) -> Self {
        Self {
            phase,
            ids,
            send: SendHalf::new(now, memory, config.max_window.min(MAX_TO_JAVA)),
            receive: ReceiveHalf::new(config.receive_buffer, memory),
            spread: Spread::new(),
            alone: true,
            span: config.max_window.min(MAX_TO_JAVA),
            payload: USUAL_PAYLOAD.min(config.max_payload).into(),
            begun: false,
            closing: false,
            close_sent: None,
            deserted: false,
            reset_due: false,
            choked: false,
            timeout: None,
            backoff: 0,
            first_again: None,
            probe: None,
            flush: None,
            last_heard: now,
            last_sent: now,
            acks_late: true,
            since_urgent: 0,
            keep_alive_due: false,
            suspicious: [None; MOST_LANES],
            repeats_since: None,
            retransmitted: 0,
            config,
        }
    }

    /// The number that we gave it, and the other side's; zero while unknown.
    pub fn ids(&self) -> (u32, u32) {
        self.ids
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<End> {
        if let Phase::Ended(end) = self.phase { Some(end) } else { None }
    }

    /// True when both sides have said and received all.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Lingering { .. } | Phase::Ended(_))
    }

    /// True when nothing is missing but the word that our end has come: all bytes of both sides are where they belong.
    pub fn is_over(&self) -> bool {
        let nothing_but_the_end = self.close_sent.is_some() && self.send.held() == 0 && self.receive.is_complete();
        self.is_done() || nothing_but_the_end && self.phase == Phase::Open
    }

    /// True when the other side has answered, or began it.
    pub fn is_connected(&self) -> bool {
        !matches!(self.phase, Phase::Connecting { .. })
    }

    /// Bytes that may be written now.
    pub fn room(&self) -> usize {
        if self.closing || self.is_done() {
            return 0;
        }
        // What the window takes next must be here when it does.
        let wanted = usize::try_from(self.windows()).unwrap_or(usize::MAX).saturating_mul(2);
        let most = wanted.max(memory::FLOOR).min(self.config.send_buffer);
        self.send.allowed(most).saturating_sub(self.send.held())
    }

    /// Takes what there is room for.
    pub fn write(&mut self, now: Mono, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        if len > 0 {
            self.send.write(&bytes[..len]);
            // The first packet need not wait any longer; others wait for company.
            let at = if self.begun { now + FLUSH } else { now };
            self.flush = Some(self.flush.map_or(at, |flush| flush.min(at)));
        }
        len
    }

    /// The next bytes for the application.
    pub fn read(&mut self, now: Mono) -> Option<Bytes> {
        let bytes = self.receive.read();
        if self.receive.unchoke() {
            self.receive.want_ack_now(now);
        }
        bytes
    }

    /// Puts back bytes that the application had no room for.
    pub fn unread(&mut self, bytes: Bytes) {
        self.receive.unread(bytes);
    }

    /// True if there is something to read.
    pub fn is_readable(&self) -> bool {
        self.receive.has_data()
    }

    /// True if all that the other side said before it closed has been read.
    pub fn is_read_to_its_end(&self) -> bool {
        self.receive.is_complete() && !self.receive.has_data()
    }

    /// Nothing more will be written.
    pub fn close(&mut self, now: Mono) {
        self.closing = true;
        self.flush = Some(now);
        self.settle(now);
    }

    /// Breaks the stream off.
    pub fn reset(&mut self) {
        if !self.is_done() {
            self.reset_due = self.ids.1 != 0;
            self.phase = Phase::Ended(End::Broken);
        }
    }

    /// After [`Stream::close`]: nobody will read what comes. It is thrown away; what was written still goes out, and when all of it has
    /// arrived and more comes, the stream is broken off.
    pub fn desert(&mut self) {
        self.deserted = true;
        self.throw_away();
    }

    fn throw_away(&mut self) {
        let came = std::iter::from_fn(|| self.receive.read()).count() > 0;
        if came && self.has_said_all() && !self.receive.is_complete() {
            self.reset();
        }
    }

    /// All that was written has arrived, and that nothing follows.
    fn has_said_all(&self) -> bool {
        self.close_sent.is_some() && self.send.is_empty()
    }

    /// Whoever it was begun with cannot be found.
    pub fn unreachable(&mut self) {
        if !self.is_done() {
            self.phase = Phase::Ended(End::Unreachable);
        }
    }

    /// Packets of this lane go another way from now on.
    pub fn new_path(&mut self, now: Mono, lane: usize) {
        if let Some(lane) = self.send.lanes_mut().get_mut(lane) {
            lane.new_path(now);
        }
    }

    /// Says what has come so far, though nothing new has.
    pub fn speak(&mut self, now: Mono) {
        self.receive.want_ack_now(now);
    }

    /// What was sent has reached nobody, and begins anew with somebody else.
    pub fn begin_anew(&mut self, now: Mono) {
        self.send.time_out();
        (self.timeout, self.probe, self.first_again, self.backoff) = (None, None, None, 0);
        self.settle(now);
    }

    /// So many packets may be on their way of which nothing is known yet; see [`super::congestion::Congestion::share`]. `alone`: no other
    /// stream shares the way.
    pub fn share(&mut self, packets: u32, alone: bool) {
        self.alone = alone;
        self.send.lanes_mut().iter_mut().for_each(|lane| lane.congestion.share(packets));
    }

    /// True if it has something to send, or something on its way.
    pub fn is_busy(&self) -> bool {
        !self.is_over() && (!self.begun || self.send.unacked() > 0 || self.send.waiting() > 0)
    }

    /// Packets that come again are not answered any more, nor is our end said again.
    pub fn cut_linger(&mut self) {
        if self.ended().is_none() && self.is_over() {
            self.phase = Phase::Ended(End::Closed);
        }
    }

    /// The round trip, as far as it was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.send.srtt()
    }

    /// A round trip as it was measured, once, and when it began.
    pub fn take_round_trip(&mut self) -> Option<(Mono, Duration)> {
        self.send.take_sample()
    }

    /// A lane that has let us wait in vain, and since when, once each.
    pub fn take_suspicion(&mut self) -> Option<(usize, Mono)> {
        self.suspicious.iter_mut().enumerate().find_map(|(at, since)| Some((at, since.take()?)))
    }

    /// Bytes of it that have arrived.
    pub(super) fn delivered(&self) -> u64 {
        self.send.delivered()
    }

    /// What became of further lanes since this was asked last.
    pub(super) fn take_lane_counts(&mut self) -> Counts {
        self.spread.take_counts()
    }

    /// The round trip, the window in bytes, and packets sent again.
    pub fn figures(&self) -> (Option<Duration>, u64, u64) {
        (self.send.srtt(), self.windows(), self.retransmitted)
    }

    /// Takes a packet of this stream.
    pub fn handle_packet(&mut self, now: Mono, packet: &Packet) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.last_heard = now;
        if packet.has(flag::RESET) {
            // What came before it may still be read.
            self.phase = Phase::Ended(End::Reset);
            return;
        }
        if self.ids.1 == 0 {
            self.ids.1 = packet.receive_stream;
        }
        if packet.has(flag::SYNCHRONIZE) {
            let theirs = packet.max_size.unwrap_or(USUAL_PAYLOAD).max(LEAST_PAYLOAD);
            self.payload = theirs.min(self.config.max_payload).into();
        }
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.phase = Phase::Open;
        }
        match packet.delay {
            Some(delay) if delay >= CHOKE => {
                self.choked = true;
                if delay == CHOKED_BY_GAPS {
                    self.limit(MAX_TO_I2PD);
                }
            }
            _ => self.choked = false,
        }
        if packet.acknowledges() {
            if packet.sequence == 0 && !packet.has(flag::SYNCHRONIZE) {
                // INTEROP: in what is only an acknowledgement Java writes a resend delay, one second as a rule; i2pd and we write none.
                self.acks_late = packet.resend_delay != 0;
                self.limit(if self.acks_late { MAX_TO_JAVA } else { self.config.max_window });
            }
            self.acknowledged(now, packet);
        }
        // spec: streaming §sequenceNum — zero without SYNCHRONIZE is only an acknowledgement.
        if packet.sequence != 0 || packet.has(flag::SYNCHRONIZE) {
            let urgent = packet.delay == Some(0);
            let (close, delay) = (packet.has(flag::CLOSE), self.ack_delay());
            let taken = self.receive.packet(now, packet.sequence, packet.payload.clone(), close, urgent, delay);
            self.note_repeats(now, taken);
            if taken == Taken::New && matches!(self.phase, Phase::Lingering { .. }) {
                self.receive.want_ack_now(now);
            }
        }
        self.settle(now);
    }

    /// No more than so many packets are taken by the other side.
    fn limit(&mut self, packets: u32) {
        self.span = packets.min(self.config.max_window);
        self.send.limit(self.span);
    }

    /// When the same comes again and again, what we answer does not arrive, and only a change of our own way can help: we wait for
    /// nothing ourselves.
    fn note_repeats(&mut self, now: Mono, taken: Taken) {
        match (taken, self.repeats_since) {
            (Taken::New, _) => self.repeats_since = None,
            (Taken::Before, None) => self.repeats_since = Some(now),
            (Taken::Before, Some(since)) if now >= since + REPEATS => {
                (self.suspicious[0], self.repeats_since) = (Some(since), Some(now));
            }
            (Taken::Before, Some(_)) | (Taken::NoRoom, _) => {}
        }
    }

    /// How long acknowledgements are held back. INTEROP: up to half a second in Java; an eighth of a round trip, at most 120
    /// ms, if it is asked for; a tenth in i2pd.
    fn ack_delay(&self) -> Duration {
        const MOST: Duration = Duration::from_millis(100);
        self.send.srtt().map_or(MOST, |rtt| (rtt / 10).clamp(Duration::from_millis(2), MOST))
    }

    fn acknowledged(&mut self, now: Mono, packet: &Packet) {
        // The numbers in a first packet are the hash of its target.
        let nacks: &[u32] = if packet.has(flag::SYNCHRONIZE) { &[] } else { &packet.nacks };
        if self.send.acked(now, packet.ack_through, nacks) {
            self.backoff = 0;
            (self.timeout, self.probe) = (None, None);
            self.arm(now);
            self.judge_lanes(now);
        }
    }

    fn arm(&mut self, now: Mono) {
        if self.timeout.is_none() && self.send.unacked() > 0 {
            let wait = self.send.timeout(self.config.first_timeout);
            self.timeout = Some((now, now + wait * 2u32.pow(self.backoff.min(5)).min(16)));
            // spec: RFC 8985 §7 — when the end of what was sent is lost, nothing that comes shows it.
            self.probe =
                self.send.probe_timeout().filter(|probe| self.backoff == 0 && *probe < wait).map(|probe| now + probe);
        }
    }

    /// Looks whether both sides are done.
    fn settle(&mut self, now: Mono) {
        if self.has_said_all() && self.receive.is_complete() && self.phase == Phase::Open {
            self.phase = Phase::Lingering { until: now + self.config.linger };
        }
        if self.deserted {
            self.throw_away();
        }
    }
}
