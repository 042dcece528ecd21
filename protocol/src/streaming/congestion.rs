//! How much of a stream may be on its way, and how fast it goes out.
//!
//! Paths of the network have round trips of 300 to 1000 ms, lose and overtake, and each packet crosses queues that nobody
//! can see into. A window that shrinks with each loss, as TCP's does, carries almost nothing there. So [`Model`] measures what the
//! path delivers and how short its round trip can be, and keeps about twice the product on its way; losses matter only
//! where they are many.
//!
//! ```text
//! Startup --- the rate has not grown for three rounds ---> Drain --- no more than the product is on its way, or three rounds ---> Cruise
//! Cruise: eight rounds, the first somewhat faster to find out, the second slower to make up for it; where more arrived, the first again
//! Cruise --- no shorter round trip for ten seconds ---> Empty: three quarters of the product, until they have gone once round ---> Cruise
//! ```
//! Acknowledgements come in lumps: Java I2P holds them back for longer than a short round trip takes. What comes in a lump beyond the rate
//! is added to the window, or the sender would wait for each lump, measure a lower rate, and have a smaller window yet.
//!
//! It follows the ideas of BBR (draft-ietf-ccwg-bbr). Without its phases that empty the queue the shortest round trip would be measured
//! with our own queue in it, the window grow by that, and with it the queue: hops of i2pd keep five seconds of it.

use crate::time::Mono;
use std::time::Duration;

/// What the machine of a stream asks of its congestion control. Amounts are in bytes of payload, headers included.
pub trait Congestion: std::fmt::Debug + Send {
    /// Something goes out; so much is on its way with it.
    fn on_sent(&mut self, now: Mono, in_flight: u64);
    /// Something has arrived.
    fn on_ack(&mut self, ack: &Ack);
    /// So many bytes, sent at this time, were lost on the way.
    fn on_loss(&mut self, sent: Mono, bytes: u64);
    /// Nothing came back for longer than it should take.
    fn on_timeout(&mut self, now: Mono);
    /// The packets go another way from now on: what was measured may not hold.
    fn on_new_path(&mut self, now: Mono);
    /// Never more than so many packets are to be on their way.
    fn limit(&mut self, packets: u32);
    /// So many packets may be on their way of which nothing is known yet: others share the way.
    fn share(&mut self, packets: u32);
    /// What the path bears is known.
    fn is_settled(&self) -> bool;
    /// Bytes that may be on their way.
    fn window(&self) -> u64;
    /// Bytes a second at which packets are to leave; `None`: as they come.
    fn pace(&self) -> Option<f64>;
}

/// What an acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// When it came.
    pub now: Mono,
    /// Bytes that it acknowledges for the first time.
    pub bytes: u64,
    /// Of the newest packet therein: its round trip, if it was sent once only.
    pub rtt: Option<Duration>,
    /// Bytes delivered between the sending of that packet and now, and in what time.
    pub delivered: Option<(u64, Duration)>,
    /// Bytes that had been delivered when that packet was sent.
    pub prior: u64,
    /// Bytes that have been delivered in all.
    pub total: u64,
    /// There was more to be sent than the window let go.
    pub limited: bool,
    /// Bytes that are still on their way.
    pub in_flight: u64,
}

/// Bytes of a packet that the window is counted in.
const PACKET: u64 = 1812 + 22;
/// The window at the start, if no others share the way. INTEROP: 3 packets in Java, 10 in i2pd.
const INITIAL: u64 = 10 * PACKET;
/// The least window.
const LEAST: u64 = 4 * PACKET;
/// In startup the rate grows by 1.86 each round, since what is measured of it lies a round trip back: a little slower than the window
/// of a session on the way in its own slow start, which would lose what comes faster.
const STARTUP: f64 = 2.5;
const WINDOW: f64 = 2.0;
const STARTUP_WINDOW: f64 = 3.0;
/// What startup leaves in the queue is gone after so many rounds. Where more is still on its way, the shortest round trip is not the path's
/// any more.
const DRAIN_ROUNDS: u32 = 3;
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// Rounds over which the highest rate counts.
const RATE_ROUNDS: u64 = 10;
/// For how long the shortest round trip counts. Then the queue is emptied to measure it. Where that is not possible, it moves towards what is
/// measured by a quarter of the way, not at once: what is measured has our own queue in it.
const RTT_LIFE: Duration = Duration::from_secs(10);
/// By so much more a round trip takes now and then than the shortest one, without a queue: ends and hops that have much to do pause for a
/// millisecond or two, and one packet may find all of them awake. On a short path a window made for that one would carry a third.
const SLACK: Duration = Duration::from_millis(3);
/// What is on its way meanwhile, of the product.
const EMPTIED: f64 = 0.75;
/// It takes no longer than so many of the shortest round trips: what is measured by then counts.
const EMPTIED_TRIPS: u32 = 8;
/// Of what is sent in a round so much may be lost without an answer. Hops drop what is above their share, and that looks like this.
const TOLERATED: f64 = 0.10;
/// And so many packets, so that chance alone does not count in a small window.
const TOLERATED_PACKETS: u64 = 6;
/// Startup ends within its round when more packets than these are lost.
const OVERSHOT: u64 = 24;
/// A round that was faster by so much than all before is followed by another one like it.
const GROWTH: f64 = 1.15;
/// And where more is lost, so much of the rate is kept.
const BACK_OFF: f64 = 0.8;
/// After a silence the rate may double again each round, up to so much of what it was before.
const RESTART: f64 = 0.7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Startup,
    /// For how many rounds.
    Drain {
        rounds: u32,
    },
    Cruise {
        step: usize,
    },
    /// Since when the queue is being emptied, since when it is empty, and the shortest round trip since then.
    Empty {
        since: Mono,
        empty: Option<Mono>,
        least: Option<Duration>,
    },
}

/// A model of the path: its rate and its shortest round trip.
#[derive(Debug)]
pub struct Model {
    phase: Phase,
    /// The best of each of the last rounds, bytes a second; the youngest first.
    rates: [f64; RATE_ROUNDS as usize],
    /// The highest rate of startup, and for how many rounds it has not grown.
    full: (f64, u32),
    /// Where startup ends in any case: what the path has borne once.
    goal: Option<f64>,
    min_rtt: Option<(Duration, Mono)>,
    /// That is of another path than the packets take now.
    moved: bool,
    /// What has been acknowledged since when, as long as it is more than the rate explains; and the most that it was more by in each of the
    /// last rounds, the youngest first.
    lump: (Mono, u64),
    lumps: [u64; RATE_ROUNDS as usize],
    /// The round ends when something is acknowledged that was sent after so much had been delivered.
    round_end: u64,
    lost_in_round: u64,
    acked_in_round: u64,
    /// Losses of what was sent before were answered. One round brings thousands, and they become known over many: an acknowledgement
    /// can name 255.
    answered: Mono,
    /// Nothing above this until the next probe, after losses.
    ceiling: Option<f64>,
    max_window: u64,
    /// What goes out whatever has been measured.
    share: u64,
}

impl Model {
    /// Of a path that nothing is known of; never more than `max_packets` are to be on their way.
    pub fn new(max_packets: u32) -> Self {
        let mut model = Self {
            phase: Phase::Startup,
            rates: [0.0; RATE_ROUNDS as usize],
            full: (0.0, 0),
            goal: None,
            min_rtt: None,
            moved: false,
            lump: (Mono::ZERO, 0),
            lumps: [0; RATE_ROUNDS as usize],
            round_end: 0,
            lost_in_round: 0,
            acked_in_round: 0,
            answered: Mono::ZERO,
            ceiling: None,
            max_window: 0,
            share: INITIAL,
        };
        model.limit(max_packets);
        model
    }

    /// What the path delivers, bytes a second.
    pub fn rate(&self) -> f64 {
        let best = self.rates.iter().copied().fold(0.0, f64::max);
        self.ceiling.map_or(best, |ceiling| best.min(ceiling))
    }

    fn product(&self) -> Option<f64> {
        let (rtt, _) = self.min_rtt?;
        let rate = self.rate();
        (rate > 0.0).then_some(rate * (rtt + SLACK).as_secs_f64())
    }

    fn measure_round_trip(&mut self, ack: &Ack) {
        let Some(rtt) = ack.rtt else { return };
        let is_old = |(_, at): (Duration, Mono)| ack.now > at + RTT_LIFE;
        match (self.min_rtt.filter(|_| !self.moved), &mut self.phase) {
            (Some((least, _)), phase) if rtt <= least => {
                self.min_rtt = Some((rtt, ack.now));
                // What the queue is emptied for is found.
                if matches!(phase, Phase::Empty { .. }) {
                    *phase = Phase::Cruise { step: 2 };
                }
            }
            (Some(_), Phase::Empty { empty, least, .. }) => {
                if empty.is_some_and(|empty| ack.now >= empty + rtt) {
                    *least = Some(least.map_or(rtt, |least| least.min(rtt)));
                }
            }
            (Some(before), Phase::Cruise { .. }) if is_old(before) && ack.limited => {
                self.phase = Phase::Empty { since: ack.now, empty: None, least: None };
            }
            (Some(before), _) if is_old(before) => {
                self.min_rtt = Some((before.0 + rtt.saturating_sub(before.0) / 4, ack.now));
            }
            (Some(_), _) => {}
            (None, _) => (self.min_rtt, self.moved) = (Some((rtt, ack.now)), false),
        }
    }

    /// While the queue is emptied: whether it is, and whether the round trip without it is known.
    fn empty(&mut self, ack: &Ack) {
        let (Some((known, _)), target) = (self.min_rtt, self.emptied()) else { return };
        let Phase::Empty { since, empty, least } = &mut self.phase else { return };
        if empty.is_none() && ack.in_flight <= target {
            *empty = Some(ack.now);
        }
        // All that was sent into the empty queue has come when so long has passed since the first of it.
        let measured = empty.zip(*least).is_some_and(|(empty, least)| ack.now >= empty + least + least / 4);
        if measured || ack.now >= *since + known * EMPTIED_TRIPS + RTT_LIFE / 10 {
            self.min_rtt = Some((least.or(ack.rtt).unwrap_or(known), ack.now));
            self.phase = Phase::Cruise { step: 2 };
        }
    }

    /// What may be on its way while the queue is emptied.
    fn emptied(&self) -> u64 {
        self.product().map_or(0, |product| (product * EMPTIED) as u64).max(self.share.min(LEAST))
    }

    fn measure_lump(&mut self, ack: &Ack) {
        let explained = |since: Mono, rate: f64| (rate * ack.now.saturating_sub(since).as_secs_f64()) as u64;
        let rate = self.rate();
        if self.lump.1 <= explained(self.lump.0, rate) {
            self.lump = (ack.now, 0);
        }
        self.lump.1 += ack.bytes;
        self.lumps[0] = self.lumps[0].max(self.lump.1.saturating_sub(explained(self.lump.0, rate)));
    }

    fn gain(&self) -> f64 {
        match self.phase {
            Phase::Startup => STARTUP,
            Phase::Drain { .. } => 1.0 / STARTUP,
            Phase::Cruise { step } => CYCLE[step % CYCLE.len()],
            Phase::Empty { .. } => 1.0,
        }
    }

    /// More was lost in this round than is let pass, and more than so many packets.
    fn is_heavy(&self, packets: u64) -> bool {
        let known = self.lost_in_round + self.acked_in_round;
        self.lost_in_round > packets * PACKET && self.lost_in_round as f64 > TOLERATED * known as f64
    }

    /// The least window.
    fn least(&self) -> u64 {
        if self.phase == Phase::Startup { self.share } else { self.share.min(LEAST) }
    }

    fn end_round(&mut self, ack: &Ack) {
        self.round_end = ack.total;
        let heavy = self.is_heavy(TOLERATED_PACKETS);
        (self.lost_in_round, self.acked_in_round) = (0, 0);
        if heavy {
            self.ceiling = Some(self.rate() * BACK_OFF);
            self.answered = ack.now;
        }
        match &mut self.phase {
            Phase::Startup => {
                let rate = self.rates.iter().copied().fold(0.0, f64::max);
                if rate >= self.full.0 * 1.25 {
                    self.full = (rate, 0);
                } else if ack.limited {
                    self.full.1 += 1;
                }
                if self.full.1 >= 3 || heavy {
                    (self.phase, self.goal) = (Phase::Drain { rounds: 0 }, None);
                } else if self.goal.take_if(|goal| rate >= *goal).is_some() {
                    self.phase = Phase::Cruise { step: 0 };
                }
            }
            Phase::Drain { rounds } => *rounds += 1,
            Phase::Empty { .. } => {}
            Phase::Cruise { step } => {
                let before = self.rates[1..].iter().copied().fold(0.0, f64::max);
                // What went out in the first round is acknowledged in the second.
                let grows = *step <= 1 && self.rates[0] > before * GROWTH;
                *step = if grows && !heavy { 0 } else { (*step + 1) % CYCLE.len() };
                // A cycle later the path may bear more again.
                if *step == 0 && !heavy {
                    self.ceiling = None;
                }
            }
        }
        self.rates.rotate_right(1);
        self.rates[0] = 0.0;
        self.lumps.rotate_right(1);
        self.lumps[0] = 0;
    }
}

impl Congestion for Model {
    fn on_sent(&mut self, _: Mono, _: u64) {}

    fn on_ack(&mut self, ack: &Ack) {
        self.acked_in_round += ack.bytes;
        self.measure_round_trip(ack);
        if let Some((bytes, within)) = ack.delivered {
            // Less than a round trip would show a burst of acknowledgements, not the path.
            let within = within.max(self.min_rtt.map_or(Duration::ZERO, |(rtt, _)| rtt)).max(Duration::from_millis(1));
            let rate = bytes as f64 / within.as_secs_f64();
            if ack.limited || rate > self.rate() {
                self.rates[0] = self.rates[0].max(rate);
            }
        }
        self.measure_lump(ack);
        // At more than twice the rate that passes, each moment counts.
        let too_fast = self.phase == Phase::Startup && self.is_heavy(OVERSHOT);
        if ack.prior >= self.round_end || too_fast {
            self.end_round(ack);
        }
        if let Phase::Drain { rounds } = self.phase
            && (rounds >= DRAIN_ROUNDS || self.product().is_none_or(|product| ack.in_flight as f64 <= product))
        {
            self.phase = Phase::Cruise { step: 2 };
        }
        self.empty(ack);
    }

    fn on_loss(&mut self, sent: Mono, bytes: u64) {
        if sent > self.answered {
            self.lost_in_round += bytes;
        }
    }

    fn on_timeout(&mut self, _: Mono) {
        // What is in the model was true before; half of it is tried until something comes back, and what is found then grows as at the
        // start: in steps of a quarter it would take minutes to come back from a silence.
        self.goal = Some(self.goal.unwrap_or(0.0).max(self.rate() * RESTART));
        self.rates.iter_mut().for_each(|rate| *rate /= 2.0);
        (self.full, self.phase) = ((0.0, 0), Phase::Startup);
    }

    fn on_new_path(&mut self, _: Mono) {
        // Sessions on the new way may not have carried anything yet, and would lose what the old ones bore: it begins anew, and may come
        // back quickly. The round trip stands until another is measured: packets that are sent again measure none, and thousands of them
        // may have to go before one that does.
        self.goal = Some(self.goal.unwrap_or(0.0).max(self.rate() * RESTART)).filter(|goal| *goal > 0.0);
        (self.moved, self.rates, self.lumps) = (true, [0.0; RATE_ROUNDS as usize], [0; RATE_ROUNDS as usize]);
        (self.full, self.ceiling, self.phase) = ((0.0, 0), None, Phase::Startup);
    }

    fn limit(&mut self, packets: u32) {
        self.max_window = u64::from(packets).max(4) * PACKET;
    }

    fn share(&mut self, packets: u32) {
        self.share = (u64::from(packets) * PACKET).clamp(PACKET, INITIAL);
    }

    fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Cruise { .. } | Phase::Empty { .. })
    }

    fn window(&self) -> u64 {
        let gain = match self.phase {
            Phase::Empty { .. } => return self.emptied().min(self.max_window),
            // Where many share the way, one packet more each round is much in sum.
            _ if self.share < LEAST => 1.0,
            Phase::Startup => STARTUP_WINDOW,
            Phase::Drain { .. } | Phase::Cruise { .. } => WINDOW,
        };
        let lump = self.lumps.iter().copied().max().unwrap_or(0);
        let steady = self.product().map(|product| (product * gain) as u64 + self.share.min(3 * PACKET));
        let window = steady.map_or(self.share, |steady| steady + lump);
        window.max(self.least()).min(self.max_window)
    }

    fn pace(&self) -> Option<f64> {
        let rate = self.rate();
        let (rtt, _) = self.min_rtt?;
        // Never slower than the least window each round trip.
        let floor = self.least() as f64 / rtt.as_secs_f64().max(0.001);
        (rate > 0.0).then(|| (rate * self.gain()).max(floor))
    }
}

#[cfg(test)]
mod tests;
