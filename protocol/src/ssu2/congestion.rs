//! How many bytes may be on their way: CUBIC, with HyStart++ in slow start.
//!
//! Bytes are counted, not packets. The window grows only while it is what limits us; a session that sends little keeps
//! what it has. A reaction to losses that turn out to be none is taken back.
//!
//! One thing is not as the RFCs have it: a few losses while round trips are as short as they ever were come from the
//! link, not from a queue that is full, and are not answered. The other routers of the network hardly slow down for them
//! either, and CUBIC alone would be left with a tenth of what they carry.
//!
//! spec: ssu2 §Congestion Control; RFC 9438 (CUBIC), RFC 9406 (HyStart++), RFC 9002 §7 (one reaction per round trip)

use super::recovery::{Delivered, Rtt};
use crate::time::Mono;
use std::time::Duration;

/// Packets of the window at the start.
///
/// INTEROP: i2pd starts with 16 and never goes below.
pub const INITIAL_PACKETS: u64 = 16;
/// Packets of the smallest window.
pub const MIN_PACKETS: u64 = 8;
/// The largest window: what a path of 1 Gbit/s and 200 ms holds.
pub const MAX_WINDOW: u64 = 25_000_000;

/// spec: RFC 9438 §4.6 — the factor of decrease.
const BETA: f64 = 0.7;
/// spec: RFC 9438 §5 — how fast the curve grows, in packets per cubic second.
const C: f64 = 0.4;
/// spec: RFC 9406 §4.3
const HYSTART_SAMPLES: u32 = 8;
const HYSTART_MIN: Duration = Duration::from_millis(4);
const HYSTART_MAX: Duration = Duration::from_millis(16);
/// Conservative slow start grows by a quarter of what slow start does, for so many rounds.
const CSS_DIVISOR: u64 = 4;
const CSS_ROUNDS: u32 = 5;
/// One packet of so many may be lost without an answer, and so many packets at once.
const TOLERATED: u64 = 20;
const TOLERATED_AT_ONCE: u64 = 6;
/// The rate of losses is taken over about so many packets, and so many windows if these are more: over fewer, chance alone
/// would be answered now and then, and a large window needs long to come back.
const LOSS_MEMORY: u64 = 512;
const LOSS_WINDOWS: u64 = 4;

/// The congestion window of one path.
#[derive(Debug)]
pub struct Cubic {
    window: u64,
    threshold: u64,
    packet: u64,
    /// The curve's centre, in bytes: the window at the last loss.
    w_max: f64,
    /// Seconds from the last loss until the curve is at `w_max` again.
    k: f64,
    /// What a Reno sender would have by now.
    w_est: f64,
    /// When the curve began; `None` until the first ACK in congestion avoidance.
    epoch: Option<Mono>,
    /// Packets sent up to here belong to a loss that was answered.
    recovery_since: Option<Mono>,
    hystart: HyStart,
    /// Packets whose fate is known, and those of them that were lost, both fading.
    known: u64,
    lost: u64,
    undo: Option<Undo>,
}

/// What the last reaction changed.
#[derive(Debug)]
struct Undo {
    window: u64,
    threshold: u64,
    w_max: f64,
    /// Packets whose loss it answered, and that have not arrived after all.
    lost: u64,
}

/// Watches round trips in slow start.
#[derive(Debug, Default)]
struct HyStart {
    /// The round ends when a packet sent after this is acknowledged.
    round_end: Mono,
    last_min: Option<Duration>,
    this_min: Option<Duration>,
    samples: u32,
    css_rounds: u32,
    css_baseline: Option<Duration>,
}

impl Cubic {
    /// A window for packets of `packet` bytes.
    pub fn new(packet: u64) -> Self {
        Self {
            window: INITIAL_PACKETS * packet,
            threshold: u64::MAX,
            packet,
            w_max: 0.0,
            k: 0.0,
            w_est: 0.0,
            epoch: None,
            recovery_since: None,
            hystart: HyStart::default(),
            known: 0,
            lost: 0,
            undo: None,
        }
    }

    /// Bytes that may be on their way.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// True until the first loss.
    pub fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// Bytes sent at `sent` were acknowledged. `limited`: the window, not a lack of data, kept us from sending more.
    pub fn on_ack(&mut self, acked: Delivered, rtt: &Rtt, limited: bool, now: Mono) {
        let Delivered { packets, bytes, sent } = acked;
        self.know(packets, 0);
        let srtt = rtt.smoothed();
        if self.recovery_since.is_some_and(|t| sent <= t) {
            return;
        }
        if self.in_slow_start() {
            let grow = if limited { self.hystart_growth(bytes, sent, rtt.latest, now) } else { 0 };
            self.window = (self.window + grow).min(MAX_WINDOW);
        } else if limited {
            self.grow_cubic(bytes, srtt, now);
        } else if let Some(epoch) = &mut self.epoch {
            // The curve stands still while we do not use it.
            *epoch = (*epoch + srtt / 8).min(now);
        }
    }

    /// Packets were lost, the latest of them sent at `sent`. One reaction per round trip.
    pub fn on_loss(&mut self, packets: u64, sent: Mono, rtt: &Rtt, now: Mono) {
        if self.recovery_since.is_some_and(|t| sent <= t) {
            self.undo.iter_mut().for_each(|undo| undo.lost += packets);
            return;
        }
        self.know(packets, packets);
        if rtt.is_queueing() || self.lost > TOLERATED_AT_ONCE + self.known / TOLERATED {
            let (window, threshold, w_max) = (self.window, self.threshold, self.w_max);
            self.react(now);
            self.undo = Some(Undo { window, threshold, w_max, lost: packets });
        }
    }

    /// Packets that were declared lost have arrived. If it was all that the last reaction answered, it is taken back.
    ///
    /// spec: RFC 9438 §4.9
    pub fn on_spurious(&mut self, packets: u64) {
        self.lost = self.lost.saturating_sub(packets);
        let Some(undo) = &mut self.undo else { return };
        undo.lost = undo.lost.saturating_sub(packets);
        if undo.lost > 0 {
            return;
        }
        self.window = self.window.max(undo.window);
        (self.threshold, self.w_max) = (undo.threshold, undo.w_max);
        (self.epoch, self.undo) = (None, None);
    }

    /// The network marked packets sent about `sent`: as clear a word as a loss.
    pub fn on_marked(&mut self, sent: Mono, now: Mono) {
        if self.recovery_since.is_none_or(|t| sent > t) {
            self.react(now);
            self.undo = None;
        }
    }

    fn react(&mut self, now: Mono) {
        self.recovery_since = Some(now);
        let window = self.window as f64;
        // spec: RFC 9438 §4.7 — fast convergence
        self.w_max = if window < self.w_max { window * (1.0 + BETA) / 2.0 } else { window };
        self.window = ((window * BETA) as u64).max(self.minimum());
        self.threshold = self.window;
        self.epoch = None;
        // Those losses are answered.
        (self.known, self.lost) = (0, 0);
    }

    fn know(&mut self, packets: u64, lost: u64) {
        self.known += packets;
        self.lost += lost;
        if self.known > LOSS_MEMORY.max(LOSS_WINDOWS * self.window / self.packet) {
            self.known /= 2;
            self.lost /= 2;
        }
    }

    /// Nothing came through for several round trips.
    pub fn on_persistent_congestion(&mut self) {
        self.window = self.minimum();
        (self.recovery_since, self.epoch, self.undo) = (None, None, None);
    }

    fn minimum(&self) -> u64 {
        MIN_PACKETS * self.packet
    }

    fn grow_cubic(&mut self, bytes: u64, srtt: Duration, now: Mono) {
        let packet = self.packet as f64;
        let epoch = *self.epoch.get_or_insert_with(|| {
            let window = self.window as f64;
            self.w_max = self.w_max.max(window);
            self.k = ((self.w_max - window) / packet / C).cbrt();
            self.w_est = window;
            now
        });
        let target = {
            let t = (now.saturating_sub(epoch) + srtt).as_secs_f64() - self.k;
            self.w_max + C * t * t * t * packet
        };
        let (acked, window) = (bytes as f64, self.window as f64);
        // spec: RFC 9438 §4.3 — alpha makes the estimate as fast as Reno despite the smaller decrease.
        self.w_est += 3.0 * (1.0 - BETA) / (1.0 + BETA) * packet * acked / window;
        let target = target.clamp(window, 1.5 * window);
        let next = (window + (target - window) * acked / window).max(self.w_est.min(1.5 * window));
        self.window = (next as u64).clamp(self.minimum(), MAX_WINDOW);
    }

    /// spec: RFC 9406 §4.2
    fn hystart_growth(&mut self, bytes: u64, sent: Mono, rtt: Duration, now: Mono) -> u64 {
        let h = &mut self.hystart;
        if sent >= h.round_end {
            h.round_end = now;
            (h.last_min, h.this_min, h.samples) = (h.this_min, None, 0);
            if h.css_baseline.is_some() {
                h.css_rounds += 1;
            }
        }
        h.this_min = Some(h.this_min.map_or(rtt, |m| m.min(rtt)));
        h.samples += 1;
        if h.samples < HYSTART_SAMPLES {
            return if h.css_baseline.is_some() { bytes / CSS_DIVISOR } else { bytes };
        }
        let (this, last) = (h.this_min.unwrap_or(rtt), h.last_min);
        match h.css_baseline {
            Some(baseline) if this < baseline => h.css_baseline = None,
            Some(_) if h.css_rounds >= CSS_ROUNDS => self.threshold = self.window,
            Some(_) => return bytes / CSS_DIVISOR,
            None => {
                let slower = |last: Duration| last + (last / 8).clamp(HYSTART_MIN, HYSTART_MAX);
                if last.is_some_and(|last| this >= slower(last)) {
                    (h.css_baseline, h.css_rounds) = (Some(this), 0);
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
