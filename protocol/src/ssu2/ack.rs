//! Which packets have arrived, and when the peer is to be told.
//!
//! A ring of bits remembers the last [`WINDOW`] numbers below the highest: it refuses repeated packets, and ACK blocks
//! are read off it. What lies below counts as repeated.
//!
//! spec: ssu2 §Generating ACKs, §ACK Frequency, §Immediate ACK Flag, §Replay Prevention

use super::block::{Ack, Block};
use crate::link::block::HEADER_LEN;
use crate::time::Mono;
use std::time::Duration;

/// Numbers below the highest that are remembered.
pub const WINDOW: u64 = 2048;
/// Pairs of nacks and acks that an ACK block of ours holds at most.
///
/// INTEROP: i2pd and emissary send at most 32.
pub const MAX_PAIRS: usize = 32;
/// Numbers below the highest that an ACK block of ours describes at most: twice the specification's depth, because we
/// send fewer ACKs than it expects.
const DEPTH: u64 = 1024;
/// Packets after which an ACK is due at once.
const EVERY: u32 = 32;
/// Bytes of an ACK block without pairs.
pub const MIN_BLOCK: usize = HEADER_LEN + 5;

/// The longest that an ACK waits.
///
/// spec: ssu2 §Recommended Constants
pub fn max_delay(rtt: Duration) -> Duration {
    (rtt / 6).clamp(Duration::from_millis(10), Duration::from_millis(150))
}

/// The longest that an ACK waits that the peer wants at once.
fn immediate_delay(rtt: Duration) -> Duration {
    (rtt / 16).min(Duration::from_millis(5))
}

/// What has arrived.
#[derive(Debug)]
pub struct Received {
    /// One above the highest number, zero at first.
    next: u64,
    /// Bit `n % WINDOW` is number `n`, from `next - WINDOW` to `next - 1`.
    bits: [u64; WINDOW as usize / 64],
    /// Packets that want an ACK and have arrived since the last.
    waiting: u32,
    deadline: Option<Mono>,
}

impl Default for Received {
    fn default() -> Self {
        Self { next: 0, bits: [0; WINDOW as usize / 64], waiting: 0, deadline: None }
    }
}

impl Received {
    /// False for a number that has arrived before, or is so old that nobody knows.
    pub fn is_new(&self, number: u32) -> bool {
        let n = u64::from(number);
        n >= self.next || (n + WINDOW >= self.next && !self.bit(n))
    }

    /// Above all that has arrived so far.
    pub fn is_highest(&self, number: u32) -> bool {
        u64::from(number) >= self.next
    }

    /// An authenticated packet has arrived. `immediate`: the peer wants to know at once.
    pub fn insert(&mut self, number: u32, eliciting: bool, immediate: bool, rtt: Duration, now: Mono) {
        let n = u64::from(number);
        let in_order = n == self.next;
        if n >= self.next {
            self.clear(self.next, n);
            self.next = n + 1;
        }
        self.bits[(n % WINDOW) as usize / 64] |= 1 << (n % 64);
        if !eliciting {
            return;
        }
        self.waiting += 1;
        let delay = match () {
            () if self.waiting >= EVERY => Duration::ZERO,
            // spec: ssu2 §Generating ACKs — a gap that opens or closes is told without delay.
            () if immediate || !in_order => immediate_delay(rtt),
            () => max_delay(rtt),
        };
        let due = now + delay;
        self.deadline = Some(self.deadline.map_or(due, |d| d.min(due)));
    }

    /// An ACK is wanted at once, whatever has arrived.
    pub fn hurry(&mut self, now: Mono) {
        self.deadline = Some(self.deadline.map_or(now, |d| d.min(now)));
    }

    /// When an ACK must leave, if one must.
    pub fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    /// An ACK would tell something new: to be put into any packet that leaves.
    pub fn has_news(&self) -> bool {
        self.deadline.is_some()
    }

    /// Appends an ACK block of at most `room` bytes; false, with nothing written, if there is no room or nothing to
    /// acknowledge. Call [`Received::acknowledged`] when it has been sent.
    pub fn write(&self, out: &mut Vec<u8>, room: usize) -> bool {
        let Some(highest) = self.next.checked_sub(1) else { return false };
        let Some(spare) = room.checked_sub(MIN_BLOCK) else { return false };
        let mut pairs = [[0; 2]; MAX_PAIRS];
        let limit = MAX_PAIRS.min(spare / 2);
        let floor = self.next.saturating_sub(WINDOW.min(DEPTH));
        let (acks, used) = self.describe(highest, floor, &mut pairs[..limit]);
        let Ok(through) = u32::try_from(highest) else { return false };
        Block::Ack(Ack { through, acks, pairs: &pairs[..used] }).write(out).is_ok()
    }

    /// The ACK has been sent.
    pub fn acknowledged(&mut self) {
        self.waiting = 0;
        self.deadline = None;
    }

    /// Fills in the pairs: how many acks follow the highest, and how many pairs are used.
    fn describe(&self, highest: u64, floor: u64, pairs: &mut [[u8; 2]]) -> (u8, usize) {
        let mut used = 0;
        let mut push = |nacks: u64, acks: u64| match pairs.get_mut(used) {
            Some(pair) => {
                *pair = [nacks.min(255) as u8, acks.min(255) as u8];
                used += 1;
                true
            }
            None => false,
        };
        // `below`: one above the next number to be described.
        let first = self.run(highest + 1, floor, true);
        let mut below = highest + 1 - first;
        let mut more = (first - 1).saturating_sub(255);
        loop {
            while more > 0 && push(0, more) {
                more -= more.min(255);
            }
            let mut nacks = self.run(below, floor, false);
            let acks = self.run(below - nacks, floor, true);
            if acks == 0 || more > 0 {
                break;
            }
            below -= nacks + acks;
            while nacks > 255 && push(255, 0) {
                nacks -= 255;
            }
            if nacks > 255 || !push(nacks, acks) {
                break;
            }
            more = acks.saturating_sub(255);
        }
        ((first - 1).min(255) as u8, used)
    }

    fn bit(&self, n: u64) -> bool {
        self.bits[(n % WINDOW) as usize / 64] >> (n % 64) & 1 != 0
    }

    /// How many numbers from `below - 1` down to `floor` have arrived (or have not) without a break.
    fn run(&self, below: u64, floor: u64, arrived: bool) -> u64 {
        let mut n = below;
        while n > floor {
            let top = (n - 1) % 64;
            let word = self.bits[((n - 1) % WINDOW) as usize / 64] << (63 - top);
            let same = u64::from(if arrived { word.leading_ones() } else { word.leading_zeros() }).min(top + 1);
            n -= same.min(n - floor);
            if same <= top {
                break;
            }
        }
        below - n
    }

    /// Forgets what the bits from `from` to `to` meant a window ago.
    fn clear(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW {
            self.bits = [0; WINDOW as usize / 64];
            return;
        }
        let mut n = from;
        while n <= to {
            if n.is_multiple_of(64) && to - n >= 64 {
                self.bits[(n % WINDOW) as usize / 64] = 0;
                n += 64;
            } else {
                self.bits[(n % WINDOW) as usize / 64] &= !(1 << (n % 64));
                n += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const RTT: Duration = Duration::from_millis(60);

    fn acked(received: &Received, room: usize) -> BTreeSet<u32> {
        let mut out = Vec::new();
        if !received.write(&mut out, room) {
            return BTreeSet::new();
        }
        assert!(out.len() <= room);
        match Block::parse(out[0], &out[3..]) {
            Ok(Block::Ack(ack)) => ack.ranges().flatten().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ack_waits_a_sixth_of_the_round_trip_and_less_when_wanted_or_out_of_order() {
        let mut r = Received::default();
        r.insert(0, false, true, RTT, Mono::ZERO);
        assert_eq!(r.deadline(), None, "nobody wants to know");
        r.insert(1, true, false, RTT, Mono::ZERO);
        assert_eq!(r.deadline(), Some(Duration::from_millis(10)));
        r.insert(2, true, true, RTT, Mono::ZERO);
        assert_eq!(r.deadline(), Some(RTT / 16));
        r.acknowledged();
        r.insert(4, true, false, RTT, Mono::ZERO);
        assert_eq!(r.deadline(), Some(RTT / 16), "a gap");
        r.acknowledged();
        for n in 5..37 {
            r.insert(n, true, false, RTT, Mono::from_secs(1));
        }
        assert_eq!(r.deadline(), Some(Mono::from_secs(1)), "thirty-two at once");
        assert_eq!(max_delay(Duration::from_secs(9)), Duration::from_millis(150));
    }

    #[test]
    fn repeated_and_forgotten_packets_are_not_new() {
        let mut r = Received::default();
        assert!(r.is_new(0) && r.is_new(u32::MAX));
        for n in [0, 5, 3000] {
            r.insert(n, true, false, RTT, Mono::ZERO);
        }
        assert!(!r.is_new(3000) && r.is_new(2999) && r.is_new(3001));
        assert!(!r.is_new(0) && !r.is_new(5) && !r.is_new(952) && r.is_new(953));
        r.insert(u32::MAX, true, false, RTT, Mono::ZERO);
        assert!(!r.is_new(u32::MAX) && r.is_new(u32::MAX - 1) && !r.is_new(3001));
        assert_eq!(acked(&r, 100), [u32::MAX].into());
    }

    #[test]
    fn an_ack_without_room_is_not_written() {
        let mut r = Received::default();
        assert!(!r.write(&mut Vec::new(), 100));
        r.insert(7, true, false, RTT, Mono::ZERO);
        assert!(!r.write(&mut Vec::new(), MIN_BLOCK - 1));
        assert!(r.write(&mut Vec::new(), MIN_BLOCK));
    }

    proptest! {
        #[test]
        fn an_ack_says_what_has_arrived_and_nothing_else(
            start in 0..5000_u32,
            steps in prop::collection::vec((0..6_u32, 0..400_u32), 1..40),
            room in 8..90_usize,
        ) {
            let mut r = Received::default();
            let mut arrived = BTreeSet::new();
            let mut n = start;
            for (gap, count) in steps {
                n += gap * gap * 20;
                for i in n..n + count {
                    prop_assert!(r.is_new(i));
                    r.insert(i, true, false, RTT, Mono::ZERO);
                    prop_assert!(!r.is_new(i));
                    arrived.insert(i);
                }
                n += count;
            }
            let told = acked(&r, room);
            prop_assert!(told.is_subset(&arrived));
            prop_assert_eq!(told.last(), arrived.last());
            if let (Some(low), Some(high)) = (told.first(), told.last()) {
                prop_assert_eq!(told.len(), arrived.range(low..=high).count(), "no arrival is passed over");
            }
            let complete = acked(&r, 90);
            let high = arrived.last().copied().unwrap_or(0);
            if arrived.iter().zip(arrived.iter().skip(1)).all(|(a, b)| b - a == 1) {
                prop_assert_eq!(complete, arrived.into_iter().filter(|n| u64::from(high - n) < DEPTH).collect());
            }
        }
    }
}
