//! One direction of a link, without a socket or a clock: packets in, the same packets out, later, some of them or more.
//!
//! ```text
//! in --> too large? lost? --> its turn at the rate, or no room --> delay, jitter, late --> out, perhaps twice
//! ```
//! spec: none; the words are those of Linux's netem

use super::Conditions;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

/// Packets on their way at most, whatever the conditions; further ones are dropped as if there were no room.
const MOST: usize = 1 << 16;

/// What became of the packets of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came in.
    pub taken: u64,
    /// Were larger than the line lets through.
    pub oversized: u64,
    /// Were lost as ordered.
    pub lost: u64,
    /// Found no room before the line.
    pub overflowed: u64,
    /// Were made to come late.
    pub reordered: u64,
    /// Were doubled.
    pub duplicated: u64,
    /// Went out, the doubles too.
    pub delivered: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, were not taken by whoever is behind the line.
    pub refused: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, oversized, lost, overflowed, reordered, duplicated, delivered, bytes, refused } = self;
        write!(f, "taken={taken} oversized={oversized} lost={lost} overflowed={overflowed} reordered={reordered} ")?;
        write!(f, "duplicated={duplicated} delivered={delivered} bytes={bytes} refused={refused}")
    }
}

/// A packet on its way: when it comes out, its place among those of the same time, where it is held.
type Underway = Reverse<(Duration, u64, usize)>;

/// One direction of a link. Time is counted from any start, the same for all calls.
pub struct Line {
    conditions: Conditions,
    rng: ChaCha8Rng,
    /// When the last packet has gone at the rate.
    free: Duration,
    /// When the last packet in order comes out.
    last: Duration,
    underway: BinaryHeap<Underway>,
    order: u64,
    /// Packets by the place where they are held, and the places that are free.
    held: Vec<Vec<u8>>,
    vacant: Vec<usize>,
    /// The packet that was handed out last.
    out: Vec<u8>,
    counts: Counts,
}

impl Line {
    /// A line under `conditions`. The same seed does the same to the same packets.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            rng: ChaCha8Rng::seed_from_u64(seed),
            free: Duration::ZERO,
            last: Duration::ZERO,
            underway: BinaryHeap::new(),
            order: 0,
            held: Vec::new(),
            vacant: Vec::new(),
            out: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a packet.
    pub fn handle_input(&mut self, now: Duration, packet: &[u8]) {
        self.counts.taken += 1;
        // Every packet draws the same, so what one condition decides does not depend on the others.
        let [lost, late, twice, jitter] = [(); 4].map(|()| self.draw());
        let Conditions { loss, reorder, duplicate, mtu, .. } = self.conditions;
        if packet.len() > mtu {
            self.counts.oversized += 1;
            return;
        }
        let Some(gone) = self.turn(now, packet.len()) else {
            self.counts.overflowed += 1;
            return;
        };
        if lost < loss {
            self.counts.lost += 1;
            return;
        }
        let mut due = gone + self.conditions.delay + self.conditions.jitter.mul_f64(jitter);
        if late < reorder {
            self.counts.reordered += 1;
            due += self.conditions.late;
        } else {
            due = due.max(self.last);
            self.last = due;
        }
        self.hold(due, packet);
        if twice < duplicate {
            self.counts.duplicated += 1;
            self.hold(due, packet);
        }
    }

    /// A packet whose time has come, the earliest first.
    pub fn poll_output(&mut self, now: Duration) -> Option<&[u8]> {
        let place = match self.underway.peek() {
            Some(Reverse((due, _, place))) if *due <= now => *place,
            _ => return None,
        };
        self.underway.pop();
        std::mem::swap(&mut self.out, &mut self.held[place]);
        self.vacant.push(place);
        self.counts.delivered += 1;
        self.counts.bytes += self.out.len() as u64;
        Some(&self.out)
    }

    /// When the next packet comes out.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.underway.peek().map(|Reverse((due, _, _))| *due)
    }

    /// Whoever is behind the line did not take the last packet.
    pub fn note_refused(&mut self) {
        self.counts.refused += 1;
    }

    /// From 0 to 1.
    fn draw(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// When a packet that comes now has gone at the rate; `None` if it would wait for too long.
    fn turn(&mut self, now: Duration, len: usize) -> Option<Duration> {
        if self.underway.len() >= MOST {
            return None;
        }
        let Some(rate) = self.conditions.rate else { return Some(now) };
        let begin = self.free.max(now);
        if begin - now > self.conditions.queue {
            return None;
        }
        self.free = begin + Duration::from_secs_f64(len as f64 / rate);
        Some(self.free)
    }

    fn hold(&mut self, due: Duration, packet: &[u8]) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.held.push(Vec::new());
            self.held.len() - 1
        });
        self.held[place].clear();
        self.held[place].extend_from_slice(packet);
        self.underway.push(Reverse((due, self.order, place)));
        self.order += 1;
    }
}

#[cfg(test)]
mod tests;
