//! The receiving half of a stream: packets in, bytes for the application out, in their order; and what is to be said of them.

use super::memory::{Memory, Share};
use crate::time::Mono;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// NACKs in one packet. INTEROP: one byte has their number.
const MAX_NACKS: usize = 255;

/// Packets that may come without the application reading, beside the bound on bytes. INTEROP: i2pd has at most 512 on their
/// way, Java 128, and we 8192.
const MAX_PACKETS: usize = 16_384;

/// So many packets are acknowledged together at most.
const TOGETHER: u32 = 16;

#[derive(Debug)]
pub(super) struct ReceiveHalf {
    /// The number of the next packet for the application.
    next: u32,
    /// The highest that has come.
    highest: Option<u32>,
    early: BTreeMap<u32, Bytes>,
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    capacity: usize,
    kept: Share,
    /// The number of the packet that closes.
    end: Option<u32>,
    /// When something is to be said, if nothing says it before.
    ack_due: Option<Mono>,
    unacked: u32,
    /// The other side was told to stop.
    choked: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    New,
    Before,
    NoRoom,
}

impl ReceiveHalf {
    pub(super) fn new(capacity: usize, memory: &Memory) -> Self {
        Self {
            next: 0,
            highest: None,
            early: BTreeMap::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            capacity,
            kept: memory.share(),
            end: None,
            ack_due: None,
            unacked: 0,
            choked: false,
        }
    }

    /// A packet of the stream has come. `urgent`: the sender wants to hear of it.
    pub(super) fn packet(
        &mut self,
        now: Mono,
        sequence: u32,
        payload: Bytes,
        close: bool,
        urgent: bool,
        delay: Duration,
    ) -> Taken {
        let ahead = sequence.wrapping_sub(self.next);
        // Half of the numbers is before us.
        if ahead > u32::MAX / 2 || self.early.contains_key(&sequence) {
            // It came a second time since we were not heard.
            self.want_ack(now, Duration::ZERO);
            return Taken::Before;
        }
        // What fills a gap helps to empty the rest.
        let fills = self.highest.is_some_and(|highest| sequence < highest);
        let capacity = self.kept.allowed(self.capacity) / 4 * if fills { 5 } else { 4 };
        let full = self.kept.bytes() + payload.len() > capacity;
        let in_order = ahead == 0;
        // The one that everything waits for is always taken, or nothing would go on.
        let room = usize::try_from(ahead).is_ok_and(|ahead| ahead < MAX_PACKETS)
            && (!full || in_order && self.ready_bytes < capacity);
        if !room || self.end.is_some_and(|end| sequence > end) {
            self.choked |= full;
            self.want_ack(now, Duration::ZERO);
            return Taken::NoRoom;
        }
        if close {
            self.end = Some(sequence);
        }
        self.highest = Some(self.highest.map_or(sequence, |highest| highest.max(sequence)));
        self.kept.add(payload.len());
        self.early.insert(sequence, payload);
        while let Some(payload) = self.early.remove(&self.next) {
            self.next = self.next.wrapping_add(1);
            if !payload.is_empty() {
                self.ready_bytes += payload.len();
                self.ready.push_back(payload);
            }
        }
        self.unacked += 1;
        let soon = urgent || close || self.unacked >= TOGETHER;
        // What is missing may only be late.
        let wait = if soon {
            Duration::ZERO
        } else if self.early.is_empty() {
            delay
        } else {
            delay / 4
        };
        self.want_ack(now, wait);
        Taken::New
    }

    fn want_ack(&mut self, now: Mono, wait: Duration) {
        let at = now + wait;
        self.ack_due = Some(self.ack_due.map_or(at, |due| due.min(at)));
    }

    /// Something is to be said at once.
    pub(super) fn want_ack_now(&mut self, now: Mono) {
        self.want_ack(now, Duration::ZERO);
    }

    pub(super) fn ack_due(&self) -> Option<Mono> {
        self.ack_due
    }

    /// The highest number that has come and those that are missing below it, as a packet says it; what is due is said with
    /// that. None if nothing has come yet.
    pub(super) fn acknowledge(&mut self) -> Option<(u32, Vec<u32>)> {
        (self.ack_due, self.unacked) = (None, 0);
        let highest = self.highest?;
        let mut nacks = Vec::new();
        let mut at = self.next;
        // Only as many as fit: then all above those is not spoken of.
        while at < highest && nacks.len() < MAX_NACKS {
            if !self.early.contains_key(&at) {
                nacks.push(at);
            }
            at += 1;
        }
        let through = if at < highest { at.wrapping_sub(1) } else { highest };
        Some((through, nacks))
    }

    pub(super) fn read(&mut self) -> Option<Bytes> {
        let bytes = self.ready.pop_front()?;
        self.ready_bytes -= bytes.len();
        self.kept.remove(bytes.len());
        Some(bytes)
    }

    /// Puts back what the application had no room for.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready_bytes += bytes.len();
            self.kept.add(bytes.len());
            self.ready.push_front(bytes);
        }
    }

    pub(super) fn has_data(&self) -> bool {
        !self.ready.is_empty()
    }

    /// All up to the closing packet has come.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.next > end)
    }

    /// True if the other side is to stop.
    pub(super) fn is_choked(&self) -> bool {
        self.choked
    }

    /// True once after there is room again for a side that was told to stop.
    pub(super) fn unchoke(&mut self) -> bool {
        let over = self.choked && self.kept.bytes() <= self.kept.allowed(self.capacity) / 2;
        self.choked &= !over;
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    fn half(capacity: usize) -> ReceiveHalf {
        ReceiveHalf::new(capacity, &Memory::new(usize::MAX))
    }

    fn take(half: &mut ReceiveHalf, sequence: u32) -> Taken {
        half.packet(Duration::ZERO, sequence, vec![sequence as u8; 10].into(), false, false, DELAY)
    }

    #[test]
    fn bytes_come_in_their_order_and_what_is_missing_is_named() {
        let mut half = half(1000);
        for n in [0, 3, 1, 5, 3] {
            take(&mut half, n);
        }
        assert_eq!(half.acknowledge(), Some((5, vec![2, 4])));
        let read: Vec<u8> = std::iter::from_fn(|| half.read()).map(|bytes| bytes[0]).collect();
        assert_eq!(read, [0, 1]);
        assert_eq!(take(&mut half, 2), Taken::New);
        assert_eq!(half.acknowledge(), Some((5, vec![4])));
    }

    #[test]
    fn who_sends_more_than_there_is_room_for_is_told_to_stop_and_later_to_go_on() {
        let mut half = half(100);
        for n in 0..10 {
            assert_eq!(take(&mut half, n), Taken::New);
        }
        assert_eq!(take(&mut half, 10), Taken::NoRoom);
        assert!(half.is_choked() && !half.unchoke());
        for _ in 0..5 {
            half.read();
        }
        assert!(half.unchoke() && !half.is_choked() && !half.unchoke());
        assert_eq!(take(&mut half, 10), Taken::New);
    }

    #[test]
    fn the_packet_that_all_wait_for_is_taken_even_when_those_behind_it_fill_the_room() {
        let mut half = half(100);
        for n in 1..=10 {
            assert_eq!(take(&mut half, n), Taken::New);
        }
        assert_eq!(take(&mut half, 11), Taken::NoRoom);
        assert_eq!(take(&mut half, 0), Taken::New);
        assert_eq!(std::iter::from_fn(|| half.read()).count(), 11);
    }

    #[test]
    fn nothing_counts_behind_the_packet_that_closes() {
        let mut half = half(1000);
        half.packet(Duration::ZERO, 1, Bytes::new(), true, false, DELAY);
        assert_eq!(take(&mut half, 2), Taken::NoRoom);
        assert!(!half.is_complete());
        take(&mut half, 0);
        assert!(half.is_complete());
    }

    #[test]
    fn an_acknowledgement_waits_for_company_unless_it_is_urgent() {
        let mut half = half(1000);
        take(&mut half, 0);
        assert_eq!(half.ack_due(), Some(DELAY));
        take(&mut half, 2);
        assert_eq!(half.ack_due(), Some(DELAY / 4), "something is missing");
        half.packet(Duration::ZERO, 3, Bytes::new(), false, true, DELAY);
        assert_eq!(half.ack_due(), Some(Duration::ZERO));
        half.acknowledge();
        assert_eq!(half.ack_due(), None);
    }
}
