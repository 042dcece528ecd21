//! What a session does when time passes.

use super::{Confirmed, Session, State};
use crate::link::reason::Reason;
use crate::time::{Mono, Now, Wall};
use std::time::Duration;

/// Between repetitions of the SessionConfirmed.
///
/// spec: ssu2 §Handshake Retransmission
pub(super) const CONFIRMED: [Duration; 3] =
    [Duration::from_millis(1250), Duration::from_millis(2500), Duration::from_millis(5000)];
/// Between DateTime blocks.
///
/// spec: ssu2 §DateTime — "Implementations should periodically send DateTime blocks in the data phase."
pub(super) const DATE: Duration = Duration::from_secs(60);
/// A session gives its memory back when nothing happened for so long.
pub(super) const SHRINK: Duration = Duration::from_secs(10);

/// Behind a NAT, packets since the last silence that make the next one strange, and how long it lasts before we speak.
/// INTEROP: i2pd gives a session up after some three seconds without an ACK.
const BUSY: u64 = 8;
const LULL: Duration = Duration::from_millis(300);

/// Packets that are sent again when no ACK comes.
///
/// spec: RFC 9002 §6.2.4
const PROBES: u8 = 2;
/// Timeouts in a row after which the path is taken to have narrowed.
const NARROWER: u32 = 3;
/// Timeouts in a row after which the window is taken to be far too large.
const PERSISTENT: u32 = 3;

impl Session {
    /// Changes [`Config::idle`](super::Config::idle). A timer that is armed for the former end fires in vain.
    pub fn set_idle(&mut self, idle: Duration) {
        self.config.idle = idle;
    }

    /// The earliest time at which [`Session::handle_timeout`] has something to do; `None` for a session that has ended.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Ended => return None,
            State::Closing { until, .. } => return Some(until),
            State::Open => {}
        }
        let waiting = [
            Some(self.last_heard + self.config.idle),
            self.config.keep_alive.map(|interval| self.last_sent + interval),
            self.lull(),
            self.received.deadline(),
            self.recovery.deadline(),
            self.paced_until,
            self.path.deadline(),
            self.confirmed.as_ref().map(|c| c.next),
            self.reassembler.deadline(),
            self.shrink_at,
        ];
        waiting.into_iter().flatten().min()
    }

    /// Does what is due. Drain [`Session::poll_transmit`] afterwards: most of it is something to send.
    pub fn handle_timeout(&mut self, now: Now) {
        let (now, wall) = (now.mono, now.wall);
        match self.state {
            State::Ended => return,
            State::Closing { until, .. } => {
                if until <= now {
                    self.state = State::Ended;
                }
                return;
            }
            State::Open => {}
        }
        if self.last_heard + self.config.idle <= now {
            return self.enter_closing(Reason::IDLE_TIMEOUT, now);
        }
        if self.recovery.silence(now) >= self.config.silence {
            return self.enter_closing(Reason::TIMEOUT, now);
        }
        self.ping |= self.config.keep_alive.is_some_and(|interval| self.last_sent + interval <= now);
        if self.lull().is_some_and(|t| t <= now) {
            self.lull_at = self.stats.packets_in;
            self.ping = true;
        }
        if self.recovery.deadline().is_some_and(|t| t <= now) {
            self.on_recovery_timeout(now, wall);
        }
        self.path.on_timeout(now);
        self.repeat_confirmed(now);
        if self.reassembler.deadline().is_some_and(|t| t <= now) {
            self.reassembler.expire(now);
        }
        self.shrink(now);
    }

    /// When a peer that has sent much is to hear from us, who are behind a NAT, because it has fallen silent.
    fn lull(&self) -> Option<Mono> {
        let busy = self.config.keep_alive.is_some() && self.stats.packets_in >= self.lull_at + BUSY;
        busy.then(|| self.last_heard.max(self.last_sent) + LULL)
    }

    fn on_recovery_timeout(&mut self, now: Mono, wall: Wall) {
        if self.detect_losses(now) {
            return;
        }
        self.stats.timeouts += 1;
        let outbox = &mut self.outbox;
        self.recovery.on_timeout(PROBES.into(), now, |content| outbox.again(content));
        self.probes = PROBES;
        if self.recovery.timeouts() == NARROWER && self.mtu.on_silence(now) {
            self.stats.black_holes += 1;
        }
        if self.recovery.timeouts() == PERSISTENT {
            self.cubic.on_persistent_congestion();
        }
        // What the oldest packets held may be done with, be nothing that is sent again, or be too long for a path that
        // has narrowed, and what is queued may wait for it: something small must go that the peer answers.
        let payload = self.payload();
        self.ping |= self.outbox.peek(payload, wall.secs()).is_none_or(|next| next.len > payload);
    }

    fn repeat_confirmed(&mut self, now: Mono) {
        let Some(Confirmed { datagrams, at, tries, next }) = &mut self.confirmed else { return };
        if *next > now {
            return;
        }
        *at = 0;
        *tries += 1;
        match CONFIRMED.get(*tries) {
            Some(wait) => *next = now + *wait,
            // The last one is on its way; what follows is up to the silence of the peer.
            None => *next = now + self.config.silence,
        }
        if *tries > CONFIRMED.len() {
            *at = datagrams.len();
        }
    }

    fn shrink(&mut self, now: Mono) {
        if self.shrink_at.is_none_or(|t| t > now) {
            return;
        }
        let last = self.last_sent.max(self.last_heard);
        if last + SHRINK > now || self.recovery.in_flight() > 0 {
            self.shrink_at = Some(now + SHRINK);
            return;
        }
        self.shrink_at = None;
        self.recent.clear();
        self.outbox.shrink();
        self.recovery.shrink(now);
    }
}
