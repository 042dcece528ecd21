//! A stream and the clock: what is waited for, and for how long.

use super::{End, Phase, Stream};
use crate::time::Mono;

/// A stream that both sides have closed is done when our closing packet has gone out so often, even if nobody says that it came. INTEROP:
/// i2pd forgets a stream that it has closed itself, and acknowledges nothing of it any more. Fewer, and where one packet in seven is
/// lost some stream in a thousand never hears that it has ended.
const CLOSING: u32 = 5;

impl Stream {
    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Mono) {
        match self.phase {
            Phase::Ended(_) => return,
            Phase::Lingering { until } => {
                if now >= until {
                    self.phase = Phase::Ended(End::Closed);
                }
                return;
            }
            Phase::Connecting { since } if now >= since + self.config.connect_timeout => {
                self.phase = Phase::Ended(End::Unreachable);
                return;
            }
            Phase::Connecting { .. } | Phase::Open => {}
        }
        if let Some((since, _)) = self.timeout.filter(|(_, until)| now >= *until) {
            self.timed_out(since, now);
        }
        self.end_silent_lanes(now);
        self.send.find_late(now);
        if self.first_again.take_if(|at| now >= *at).is_some() {
            self.send.repeat_first();
        }
        if self.probe.take_if(|at| now >= *at).is_some() {
            self.send.repeat_last();
        }
        let silent = now >= self.last_heard.max(self.last_sent) + self.config.keep_alive;
        if silent && self.begun && self.close_sent.is_none() && self.send.unacked() == 0 {
            self.keep_alive_due = true;
        } else if silent && self.close_sent.is_some() && self.send.unacked() == 0 {
            // We have said all long ago, and the other side says nothing.
            self.phase = Phase::Ended(End::TimedOut);
        }
    }

    fn timed_out(&mut self, since: Mono, now: Mono) {
        (self.timeout, self.probe) = (None, None);
        self.backoff += 1;
        let transmissions = self.send.time_out();
        if self.is_over() && transmissions >= CLOSING {
            self.phase = Phase::Lingering { until: now + self.config.linger };
            return;
        }
        if transmissions >= self.config.max_transmissions {
            self.reset_due = self.ids.1 != 0;
            let unreachable = matches!(self.phase, Phase::Connecting { .. });
            self.phase = Phase::Ended(if unreachable { End::Unreachable } else { End::TimedOut });
            return;
        }
        // Where the other side has no room it is not the path that keeps us waiting.
        let heard = now < self.last_heard + self.send.timeout(self.config.first_timeout);
        if !(self.choked && heard) {
            self.send.lanes_mut().iter_mut().for_each(|lane| lane.congestion.on_timeout(now));
        }
        self.back_to_one_lane(now);
        // Where something comes back the way is alive, and has lost a burst: another way would have to be tried out from the beginning.
        if self.backoff > 1 || now >= self.last_heard + self.send.timeout(self.config.first_timeout) / 2 {
            self.suspicious[0] = Some(since);
        }
        // What finds out whether the path lives again is one packet; the others wait for its answer.
        self.send.lanes_mut().iter_mut().for_each(|lane| lane.next_paced = now);
        self.arm(now);
    }

    /// When to call [`Stream::handle_timeout`] and [`Stream::poll_packet`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        let timeout = self.timeout.map(|(_, until)| until);
        match self.phase {
            Phase::Ended(_) => None,
            Phase::Lingering { until } => Some(self.receive.ack_due().map_or(until, |due| due.min(until))),
            Phase::Connecting { since } => {
                let end = since + self.config.connect_timeout;
                let flush = if self.begun { None } else { self.flush };
                [Some(end), flush, timeout, self.paced()].into_iter().flatten().min()
            }
            Phase::Open => {
                let silence = self.last_heard.max(self.last_sent) + self.config.keep_alive;
                let keep_alive = (self.begun && self.send.unacked() == 0).then_some(silence);
                let flush = self.flush.filter(|_| !self.begun || self.is_partial() && self.has_room());
                let ack = self.receive.ack_due().filter(|_| self.begun);
                let late = self.send.late();
                [keep_alive, flush, timeout, ack, self.paced(), self.first_again, self.probe, self.silence(), late]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// True if less than a packet waits.
    fn is_partial(&self) -> bool {
        (1..self.payload).contains(&self.send.waiting())
    }

    /// When the pace lets something go that could go otherwise.
    fn paced(&self) -> Option<Mono> {
        let full = self.begun && self.phase == Phase::Open && self.send.waiting() >= self.payload;
        let again = self.paced_lane(|lane| self.fits_again(lane)).filter(|_| self.send.has_lost());
        let new = self.paced_lane(|lane| self.fits(lane)).filter(|_| full && self.fits_span());
        [again, new].into_iter().flatten().map(|at| self.send.lanes()[at].next_paced).min()
    }
}
