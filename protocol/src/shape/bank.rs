//! A token bucket for all threads, and the purse from which one thread pays.
//!
//! ```text
//! Bank    level of the line, level of transit     filled by whichever thread turns first
//!         while flows wait: all there is goes out as "tokens per flow", so that a thread with more waiting flows gets
//!         more, and each collects its part when its own turn comes
//! Purse   begin: collect -> pay for cell after cell -> end: settle what was really written, give the rest back
//! ```
//! Invariants: over any span the bytes settled are at most the rate times the span, plus [`Bank::depth`] and what is under
//! way within one turn; a level may be negative, and that debt is paid before transit gets anything. No lock: a level that two
//! threads change at once is off by nothing, since all changes are atomic additions.

use crate::time::Mono;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// The bucket holds this part of a second: so much may pass at once after silence.
const DEPTH_PARTS: u64 = 10;

/// And at least this many bytes, or a small limit would never let a whole frame pass.
const DEPTH_MIN: u64 = 32 * 1024;

/// A debt is never deeper than this many seconds' worth. Control and own traffic that exceed the line for long must
/// not silence transit for minutes afterwards.
const DEBT_SECONDS: i64 = 2;

/// A purse asks the bank for this much at a time while nobody waits.
const DRAW: i64 = 128 * 1024;

/// Tokens per flow are kept in units of 2^-16, so that a division loses nothing to speak of.
const FRACTION: u32 = 16;

/// One direction of the line.
#[derive(Debug)]
pub struct Bank {
    /// Bytes per second of the line, and of transit within it.
    rate: AtomicU64,
    share: AtomicU64,
    /// When it was last filled: nanoseconds of the monotonic clock.
    filled: AtomicU64,
    level: AtomicI64,
    transit: AtomicI64,
    /// Flows that wait, on all threads.
    waiting: AtomicU64,
    /// Tokens that one waiting flow has been given since the beginning.
    per_flow: AtomicU64,
}

impl Bank {
    /// A full bucket of `rate` bytes per second, of which transit may take `share`.
    pub fn new(rate: u64, share: u64, now: Mono) -> Self {
        Self {
            rate: AtomicU64::new(rate),
            share: AtomicU64::new(share),
            filled: AtomicU64::new(nanos(now)),
            level: AtomicI64::new(depth(rate)),
            transit: AtomicI64::new(depth(share)),
            waiting: AtomicU64::new(0),
            per_flow: AtomicU64::new(0),
        }
    }

    /// Changes the limits; in force at the next turn of each thread.
    pub fn set(&self, rate: u64, share: u64) {
        self.rate.store(rate, Relaxed);
        self.share.store(share, Relaxed);
    }

    /// Bytes per second.
    pub fn rate(&self) -> u64 {
        self.rate.load(Relaxed)
    }

    /// Bytes that may pass at once after silence.
    pub fn depth(&self) -> u64 {
        depth(self.rate()).unsigned_abs()
    }

    /// Bytes that may pass now; negative while a debt is paid.
    pub fn level(&self) -> i64 {
        self.level.load(Relaxed)
    }

    /// Adds what the time since the last filling brought, and divides it if somebody waits.
    fn refill(&self, now: Mono) {
        let (now, last) = (nanos(now), self.filled.load(Relaxed));
        // Another thread's clock may be a little ahead: then there is nothing to add yet.
        let Some(elapsed) = now.checked_sub(last).filter(|elapsed| *elapsed > 0) else { return };
        if self.filled.compare_exchange(last, now, Relaxed, Relaxed).is_err() {
            return;
        }
        add_within(&self.level, self.rate.load(Relaxed), elapsed);
        add_within(&self.transit, self.share.load(Relaxed), elapsed);
        self.divide();
    }

    /// Gives all there is to those who wait, in equal parts.
    fn divide(&self) {
        let waiting = self.waiting.load(Relaxed);
        let all = self.level.load(Relaxed).min(self.transit.load(Relaxed));
        if waiting == 0 || all <= 0 {
            return;
        }
        self.add(-all, true);
        let parts = (all.unsigned_abs() << FRACTION) / waiting;
        self.per_flow.fetch_add(parts, Relaxed);
    }

    /// Changes the level of the line, and that of transit with it if `transit`.
    fn add(&self, bytes: i64, transit: bool) {
        self.level.fetch_add(bytes, Relaxed);
        if transit {
            self.transit.fetch_add(bytes, Relaxed);
        }
    }

    /// Up to [`DRAW`] bytes for a thread on which nothing waits.
    fn draw(&self) -> i64 {
        let got = self.level.load(Relaxed).min(self.transit.load(Relaxed)).clamp(0, DRAW);
        if got > 0 {
            self.add(-got, true);
        }
        got
    }
}

/// `level` plus what `rate` brings in `elapsed` nanoseconds, but neither above the depth nor below the deepest debt.
fn add_within(level: &AtomicI64, rate: u64, elapsed: u64) {
    let earned = u128::from(rate) * u128::from(elapsed) / 1_000_000_000;
    let earned = i64::try_from(earned).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    let before = level.load(Relaxed);
    let floor = -(i64::try_from(rate).unwrap_or(i64::MAX / 4).saturating_mul(DEBT_SECONDS));
    let after = (before + earned).clamp(floor, depth(rate));
    level.fetch_add(after - before, Relaxed);
}

fn depth(rate: u64) -> i64 {
    i64::try_from((rate / DEPTH_PARTS).max(DEPTH_MIN)).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

fn nanos(now: Mono) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// One thread's money in one direction.
///
/// The owner calls [`Purse::begin`] at the start of a turn, [`Purse::pay`] for each cell, and [`Purse::end`] when the turn is
/// over.
#[derive(Debug)]
pub struct Purse {
    bank: Arc<Bank>,
    have: i64,
    /// Paid in this turn, so that the bank can be told the difference to what was written.
    paid: i64,
    /// Flows that wait on this thread, as the bank knows it, and what each had been given when they were last asked for.
    waiting: u64,
    seen: u64,
}

impl Purse {
    /// An empty one.
    pub fn new(bank: Arc<Bank>) -> Self {
        let seen = bank.per_flow.load(Relaxed);
        Self { bank, have: 0, paid: 0, waiting: 0, seen }
    }

    /// The bank behind it.
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// A turn begins: collects what is due to the flows that wait here.
    pub fn begin(&mut self, now: Mono) {
        self.bank.refill(now);
        self.collect();
    }

    fn collect(&mut self) {
        let total = self.bank.per_flow.load(Relaxed);
        let each = total.wrapping_sub(std::mem::replace(&mut self.seen, total));
        if self.waiting > 0 {
            let due = (u128::from(each) * u128::from(self.waiting)) >> FRACTION;
            self.have += i64::try_from(due).unwrap_or(0);
        }
    }

    /// True if it holds so much, or can get it.
    #[inline]
    pub fn holds(&mut self, bytes: u32) -> bool {
        self.have >= i64::from(bytes) || self.fetch(i64::from(bytes))
    }

    /// Takes the price of `bytes` out; false if it neither holds nor gets so much.
    #[inline]
    pub fn pay(&mut self, bytes: u32) -> bool {
        let held = self.holds(bytes);
        if held {
            self.have -= i64::from(bytes);
            self.paid += i64::from(bytes);
        }
        held
    }

    #[cold]
    fn fetch(&mut self, bytes: i64) -> bool {
        if self.waiting == 0 {
            self.have += self.bank.draw();
        }
        self.have >= bytes
    }

    /// True if there is something to spend. What is then spent may leave a debt, which is paid from what comes next.
    pub fn is_open(&mut self) -> bool {
        self.have > 0 || self.fetch(1)
    }

    /// True if flows wait on this thread.
    pub fn is_contended(&self) -> bool {
        self.waiting > 0
    }

    /// Spends what has been used already, whatever the purse holds.
    pub fn spend(&mut self, bytes: u64) {
        self.have -= i64::try_from(bytes).unwrap_or(0);
    }

    /// Pays for what takes precedence over all that waits, from the bank itself; it counts as transit if `transit`.
    pub fn pay_first(&mut self, bytes: u32, transit: bool) {
        self.paid += i64::from(bytes);
        self.bank.add(-i64::from(bytes), transit);
    }

    /// A turn is over: `used` bytes were really written, and so many flows wait now.
    ///
    /// What was paid for and not written is on its way through another thread, which settles it at its own end, or it was
    /// dropped. The share of transit is reckoned by what was paid, since no socket knows whose bytes it writes.
    pub fn end(&mut self, used: u64, waiting: usize) {
        let difference = std::mem::take(&mut self.paid) - i64::try_from(used).unwrap_or(0);
        if difference != 0 {
            self.bank.add(difference, false);
        }
        self.close(waiting);
    }

    /// As [`Purse::end`], of a purse from which only [`Purse::spend`] took.
    pub fn close(&mut self, waiting: usize) {
        self.set_waiting(waiting as u64);
        if (waiting == 0 || self.have < 0) && self.have != 0 {
            self.bank.add(std::mem::take(&mut self.have), true);
        }
    }

    fn set_waiting(&mut self, waiting: u64) {
        if waiting != self.waiting {
            // What was divided so far was divided by the old number.
            self.collect();
            self.bank.waiting.fetch_add(waiting.wrapping_sub(self.waiting), Relaxed);
            self.waiting = waiting;
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.close(0);
    }
}
