//! One thread's part in keeping to the limits: which cells go now, which wait, which are dropped, and when to stop reading.
//!
//! ```text
//! begin -> judge each cell of transit before it costs any cryptography, own messages before they are cut
//!       -> next: cells that have waited and may go now -> wrote, read: what sockets really took -> end
//! ```
//! Out: a fair queue among tunnels. In: sockets are left alone when the purse is empty, and read in turn by small amounts,
//! which is fair among neighbours; what is on a stream cannot be told apart before it is read. Nothing here knows of any
//! transport. The rules stand in [`ramson_protocol::shape`].

use crate::hop::Hop;
use crate::relay::Verdict;
use crate::stats::{DropCause, IoStats};
use ramson_protocol::shape::{Bank, Class, FairQueue, Limits, Purse};
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::cell::BODY_LEN as CELL;
use ramson_protocol::tunnel::iv_filter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a cell takes of the line: tunnel id, block header, and its part of a frame. The purse settles by what was written.
const PRICE: u32 = 1045;

/// While something waits for its turn the thread looks again after this.
const AGAIN: Duration = Duration::from_millis(1);

/// Sockets are read by this much while others wait for the purse.
const SMALL_READ: usize = 16 * 1024;

/// The line may be behind by this part of a second before our own messages wait.
const OWN_DEBT_PARTS: i64 = 10;

/// Cells that may wait on a thread: a tenth of a second of the line, within these.
const WAITING: std::ops::RangeInclusive<usize> = 256..=8192;

/// Cells of one generation of a thread's filter of repeated ones, at five bytes each.
const REPEATS: std::ops::RangeInclusive<usize> = 1_000_000..=32_000_000;

/// Bytes that all sessions of all threads may make us hold: two seconds of the line, within these. What far peers of SSU2 have not yet
/// acknowledged is a round trip of it, and above half of this every session has less room.
const HELD: std::ops::RangeInclusive<u64> = (48 << 20)..=(512 << 20);

/// Both directions of the line, shared by all threads.
#[derive(Debug)]
pub struct Line {
    /// What comes in.
    pub inbound: Arc<Bank>,
    /// What goes out.
    pub outbound: Arc<Bank>,
    /// Nanoseconds that a busy thread may hold cells back.
    max_delay: AtomicU64,
    threads: usize,
}

impl Line {
    /// The line of so many threads.
    pub fn new(limits: Limits, threads: usize, now: Mono) -> Self {
        let bank = |rate, share| Arc::new(Bank::new(rate, share, now));
        let (inbound, outbound) = (bank(limits.inbound, limits.inbound), bank(limits.outbound, limits.transit));
        Self { inbound, outbound, max_delay: AtomicU64::new(nanos(limits.max_delay)), threads }
    }

    /// Changes the limits; in force at each thread's next turn.
    pub fn set(&self, limits: Limits) {
        self.inbound.set(limits.inbound, limits.inbound);
        self.outbound.set(limits.outbound, limits.transit);
        self.max_delay.store(nanos(limits.max_delay), Relaxed);
    }

    /// How long a busy thread may hold cells back, so that more of them go at once.
    pub fn max_delay(&self) -> Duration {
        Duration::from_nanos(self.max_delay.load(Relaxed))
    }

    /// Cells that one thread's filter of repeated ones is made for: those that the line can bring in one period to all
    /// threads, and half as many again on one of them.
    pub(crate) fn repeats(&self) -> usize {
        let lesser = self.inbound.rate().min(self.outbound.rate());
        let period = iv_filter::Config::default().period;
        let cells = lesser / CELL as u64 * period.as_secs() / self.threads.max(1) as u64 * 3 / 2;
        usize::try_from(cells).unwrap_or(usize::MAX).clamp(*REPEATS.start(), *REPEATS.end())
    }

    /// Bytes that the sessions of one thread may make us hold.
    fn held_budget(&self) -> usize {
        let line = self.inbound.rate().max(self.outbound.rate());
        let bytes = line.saturating_mul(2).clamp(*HELD.start(), *HELD.end());
        usize::try_from(bytes).unwrap_or(usize::MAX) / self.threads.max(1)
    }

    /// Cells that may wait on one thread.
    fn bound(&self) -> usize {
        let cells = self.outbound.rate() / 10 / u64::from(PRICE) / self.threads.max(1) as u64;
        usize::try_from(cells).unwrap_or(usize::MAX).clamp(*WAITING.start(), *WAITING.end())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) struct Shaper {
    line: Arc<Line>,
    outbound: Purse,
    inbound: Purse,
    queue: FairQueue,
    /// The last attempt to read found the purse empty.
    starved: bool,
    /// In this turn: bytes that sockets took, cells of transit and our own that were let pass.
    written: u64,
    transit: u64,
    own: u64,
    /// In this turn: cells that had to go for those of tunnels that have less.
    displaced: u64,
}

impl Shaper {
    pub(super) fn new(line: Arc<Line>) -> Self {
        Self {
            outbound: Purse::new(Arc::clone(&line.outbound)),
            inbound: Purse::new(Arc::clone(&line.inbound)),
            queue: FairQueue::new(line.bound()),
            line,
            starved: false,
            written: 0,
            transit: 0,
            own: 0,
            displaced: 0,
        }
    }

    /// A queue for the hop at `index`.
    pub(super) fn open(&mut self, index: usize) -> usize {
        self.queue.open(index)
    }

    /// The hop is gone; says how many of its cells were still waiting.
    pub(super) fn close(&mut self, flow: usize) -> usize {
        self.queue.close(flow)
    }

    /// A turn begins.
    pub(super) fn begin(&mut self, now: Mono) {
        self.outbound.begin(now);
        self.inbound.begin(now);
    }

    /// Judges a cell of transit that goes through `hop`.
    #[inline]
    pub(super) fn judge(&mut self, hop: &Hop, flow: usize, cell: &[u8; CELL], now: Mono) -> Verdict {
        if self.queue.is_empty() && self.outbound.pay(PRICE) {
            self.transit += 1;
            return Verdict::Now;
        }
        self.judge_scarce(hop, flow, cell, now)
    }

    #[cold]
    fn judge_scarce(&mut self, hop: &Hop, flow: usize, cell: &[u8; CELL], now: Mono) -> Verdict {
        if hop.contract.promises(now) {
            self.outbound.pay_first(PRICE, true);
            self.transit += 1;
            return Verdict::Now;
        }
        match self.queue.push(flow, cell, now) {
            Some(displaced) => {
                self.displaced += displaced;
                Verdict::Waits
            }
            None => Verdict::Drop(DropCause::FairShare),
        }
    }

    /// Judges a message before a gateway of somebody else's tunnel cuts it into `cells`: none of them alone is of any use.
    pub(super) fn judge_message(&mut self, hop: &Hop, flow: usize, cells: usize, now: Mono) -> Result<(), DropCause> {
        if !hop.contract.allows(now, cells as u64) {
            return Err(DropCause::Contract);
        }
        if !self.queue.is_empty() && !self.queue.fits(flow, cells, now) {
            return Err(DropCause::FairShare);
        }
        Ok(())
    }

    /// True if a message of our own may go out. Ours go before those of others, but not over the line.
    pub(super) fn own_may_pass(&self) -> bool {
        let bank = self.outbound.bank();
        bank.level() > -(i64::try_from(bank.rate()).unwrap_or(i64::MAX) / OWN_DEBT_PARTS)
    }

    /// So many cells of our own go out.
    pub(super) fn own_passes(&mut self, cells: usize) {
        self.own += cells as u64;
        self.outbound.pay_first(PRICE.saturating_mul(u32::try_from(cells).unwrap_or(u32::MAX)), false);
    }

    /// The next cell that has waited and may go now, with its hop.
    pub(super) fn next(&mut self, now: Mono, stats: &IoStats) -> Option<(usize, &[u8; CELL])> {
        if self.queue.is_empty() || !self.outbound.holds(PRICE) {
            return None;
        }
        let mut late = 0;
        let next = self.queue.pop(now, &mut late);
        if late > 0 {
            stats.drops[DropCause::QueueDelay as usize].add(late);
        }
        if next.is_some() {
            self.outbound.pay(PRICE);
            self.transit += 1;
        }
        next
    }

    /// A socket took so many bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// True if a socket may be read.
    pub(super) fn may_read(&mut self) -> bool {
        self.starved = !self.inbound.is_open();
        !self.starved
    }

    /// How much of a socket to read at once, at most.
    pub(super) fn read_budget(&self) -> usize {
        if self.inbound.is_contended() { SMALL_READ } else { usize::MAX }
    }

    /// So many bytes were read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.inbound.spend(bytes as u64);
    }

    /// True if sockets that are ready are left alone for now.
    pub(super) fn starved(&self) -> bool {
        self.starved
    }

    /// How long the thread may sleep, if it is free to sleep for `usual`; `waits` if more waits for the line than is here.
    pub(super) fn patience(&self, usual: Duration, waits: bool) -> Duration {
        if waits || self.starved || !self.queue.is_empty() { usual.min(AGAIN) } else { usual }
    }

    /// A turn is over, in which `ready` sockets were left with something to read.
    pub(super) fn end(&mut self, ready: usize, stats: &IoStats) {
        self.outbound.end(std::mem::take(&mut self.written), self.queue.backlogged());
        self.starved &= ready > 0;
        self.inbound.close(if self.starved { ready } else { 0 });
        for (class, cells) in [(Class::Transit, &mut self.transit), (Class::Own, &mut self.own)] {
            if *cells > 0 {
                stats.bytes_by_class[class as usize].add(std::mem::take(cells) * u64::from(PRICE));
            }
        }
        stats.drops[DropCause::FairShare as usize].add(std::mem::take(&mut self.displaced));
        stats.waiting_cells.set(self.queue.len() as u64);
        stats.waiting_tunnels.set(self.queue.backlogged() as u64);
    }

    /// Bytes that the sessions of this thread may make us hold.
    pub(super) fn held_budget(&self) -> usize {
        self.line.held_budget()
    }

    /// Follows a changed limit, and gives memory back. To be called once a second.
    pub(super) fn tick(&mut self) {
        self.queue.set_bound(self.line.bound());
        self.queue.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_may_hold_what_the_line_carries_in_two_seconds_and_never_less_than_a_small_one_needs() {
        let line = Line::new(Limits::even(1_000_000), 2, Mono::ZERO);
        assert_eq!(line.held_budget(), 24 << 20);
        line.set(Limits::even(125_000_000));
        assert_eq!(line.held_budget(), 125_000_000, "as soon as the limit is another");
        line.set(Limits::even(u64::MAX));
        assert_eq!(line.held_budget(), 256 << 20);
    }
}
