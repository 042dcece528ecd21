//! Cells that wait for their part of the line: a queue per tunnel, served in turn.
//!
//! ```text
//! fresh    tunnels that had nothing waiting and now have     served first, one cell each, then they join the round
//! round    the others                                        one cell each in turn; who has none left leaves
//! ```
//! Invariants: a tunnel that sends more than its part, which shows when a cell of it is refused, holds no more than is still
//! free, so the busiest find the door closed first. One that sends little may bring a whole message at once. All together
//! hold at most [`OVER_BOUND`] times the bound; then those that send little displace cells of those that send more. A cell
//! that is refused has not been copied.
//! Memory is a pool that grows to the bound once and is given back when nothing waits.

use super::Codel;
use crate::time::Mono;
use slab::Slab;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of a cell: IV and data.
const CELL: usize = 1024;

/// A tunnel may always have this many waiting, or a short burst of one that sends little would be lost among many.
const LEAST: usize = 8;

/// And so many if it sends little: a message of 32 KB, of which every cell is needed.
const BURST: usize = 40;

/// A tunnel of which a cell was refused counts for so long as one that sends more than its part.
const GREEDY_FOR: Duration = Duration::from_secs(1);

/// So many tunnels are looked at for one that is greedy.
const DISPLACE_AMONG: usize = 8;

/// But all together never more than this many times the bound.
const OVER_BOUND: usize = 2;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Flow {
    /// What the caller knows it by.
    tag: usize,
    head: u32,
    tail: u32,
    len: usize,
    /// Cells that came since it was last empty.
    came: usize,
    greedy_until: Mono,
    listed: bool,
    codel: Codel,
}

#[derive(Debug)]
struct Waiting {
    cell: [u8; CELL],
    since: Mono,
    next: u32,
}

impl Flow {
    /// True if it sends no more than its part, as far as is known.
    fn is_modest(&self, now: Mono) -> bool {
        now >= self.greedy_until
    }
}

/// All tunnels' queues of one thread.
#[derive(Debug, Default)]
pub struct FairQueue {
    flows: Slab<Flow>,
    cells: Vec<Waiting>,
    free: Vec<u32>,
    len: usize,
    bound: usize,
    backlogged: usize,
    fresh: VecDeque<usize>,
    round: VecDeque<usize>,
    /// Where among those listed the next one to be displaced is looked for.
    cursor: usize,
}

impl FairQueue {
    /// Without flows. `bound` is the number of cells that may wait before every flow is held to its least.
    pub fn new(bound: usize) -> Self {
        Self { bound, ..Self::default() }
    }

    /// Changes the bound; what waits stays.
    pub fn set_bound(&mut self, bound: usize) {
        self.bound = bound;
    }

    /// A queue for a tunnel that the caller knows by `tag`.
    pub fn open(&mut self, tag: usize) -> usize {
        let (head, tail, codel) = (NONE, NONE, Codel::default());
        self.flows.insert(Flow { tag, head, tail, len: 0, came: 0, greedy_until: Mono::ZERO, listed: false, codel })
    }

    /// Ends a queue; says how many cells were lost with it.
    pub fn close(&mut self, flow: usize) -> usize {
        let Some(gone) = self.flows.try_remove(flow) else { return 0 };
        if gone.listed {
            self.fresh.retain(|&f| f != flow);
            self.round.retain(|&f| f != flow);
        }
        let mut at = gone.head;
        while let Some(waiting) = self.cells.get(at as usize) {
            self.free.push(at);
            at = waiting.next;
        }
        self.len -= gone.len;
        self.backlogged -= usize::from(gone.len > 0);
        gone.len
    }

    /// Cells that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tunnels with cells that wait.
    pub fn backlogged(&self) -> usize {
        self.backlogged
    }

    /// True if so many more cells of the tunnel may wait, as those of one message.
    pub fn fits(&mut self, flow: usize, cells: usize, now: Mono) -> bool {
        let (bound, len) = (self.bound, self.len);
        let Some(flow) = self.flows.get_mut(flow) else { return false };
        let fair = bound.saturating_sub(len).max(LEAST);
        let fits = flow.len + cells <= fair || (flow.is_modest(now) && flow.len + cells <= BURST);
        if !fits {
            flow.greedy_until = now + GREEDY_FOR;
        }
        fits
    }

    /// Lets a cell wait. Says how many of others had to go for it; `None` if it must go itself, since the tunnel, or all
    /// together, have too much waiting already.
    #[must_use]
    pub fn push(&mut self, flow: usize, cell: &[u8; CELL], now: Mono) -> Option<u64> {
        if !self.fits(flow, 1, now) {
            return None;
        }
        let full = self.len >= OVER_BOUND * self.bound;
        let entry = self.flows.get(flow)?;
        let less_than = if entry.is_modest(now) { 0 } else { entry.len + 1 };
        if full && !self.displace(less_than, now) {
            self.flows.get_mut(flow)?.greedy_until = now + GREEDY_FOR;
            return None;
        }
        let at = self.store(cell, now);
        let entry = self.flows.get_mut(flow)?;
        match self.cells.get_mut(entry.tail as usize) {
            Some(last) if entry.len > 0 => last.next = at,
            _ => entry.head = at,
        }
        entry.tail = at;
        self.backlogged += usize::from(entry.len == 0);
        entry.len += 1;
        entry.came += 1;
        self.len += 1;
        if !entry.listed {
            entry.listed = true;
            self.fresh.push_back(flow);
        }
        Some(u64::from(full))
    }

    /// Takes the oldest cell of the greediest tunnel among some, if one of them has more than `len`.
    fn displace(&mut self, len: usize, now: Mono) -> bool {
        let listed = self.round.len() + self.fresh.len();
        let mut longest = (len, None);
        for _ in 0..DISPLACE_AMONG.min(listed) {
            self.cursor = (self.cursor + 1) % listed;
            let at = self.cursor;
            let flow = self.round.get(at).or_else(|| self.fresh.get(at - self.round.len())).copied();
            let entry = flow.and_then(|flow| self.flows.get(flow));
            if let Some(entry) = entry.filter(|entry| !entry.is_modest(now) && entry.len > longest.0) {
                longest = (entry.len, flow);
            }
        }
        longest.1.and_then(|flow| self.take(flow)).map(|(at, _)| self.free.push(at)).is_some()
    }

    fn store(&mut self, cell: &[u8; CELL], since: Mono) -> u32 {
        if let Some(at) = self.free.pop()
            && let Some(place) = self.cells.get_mut(at as usize)
        {
            place.cell.copy_from_slice(cell);
            (place.since, place.next) = (since, NONE);
            return at;
        }
        self.cells.push(Waiting { cell: *cell, since, next: NONE });
        u32::try_from(self.cells.len() - 1).unwrap_or(NONE)
    }

    /// The next cell in turn, with its tunnel's tag. `dropped` counts those that CoDel took out on the way.
    pub fn pop(&mut self, now: Mono, dropped: &mut u64) -> Option<(usize, &[u8; CELL])> {
        loop {
            let flow = match self.fresh.pop_front() {
                Some(flow) => flow,
                None => self.round.pop_front()?,
            };
            let Some(entry) = self.flows.get_mut(flow) else { continue };
            if entry.len == 0 {
                // It had its turn and sends no faster than it is served.
                entry.listed = false;
                continue;
            }
            self.round.push_back(flow);
            if let Some(at) = self.head(flow, now, dropped) {
                let tag = self.flows.get(flow)?.tag;
                self.free.push(at);
                return self.cells.get(at as usize).map(|waiting| (tag, &waiting.cell));
            }
        }
    }

    /// Takes the first cell of a flow that CoDel lets live.
    fn head(&mut self, flow: usize, now: Mono, dropped: &mut u64) -> Option<u32> {
        while let Some((at, since)) = self.take(flow) {
            let entry = self.flows.get_mut(flow)?;
            // A message that comes at once may take long to go; that is no queue that stands.
            let goes_on = entry.len == 0 || (entry.is_modest(now) && entry.came <= BURST);
            if !entry.codel.drop_head(now, now.saturating_sub(since), goes_on) {
                return Some(at);
            }
            self.free.push(at);
            *dropped += 1;
        }
        None
    }

    /// Takes the first cell of a flow, and says since when it has waited. Its place is not free yet.
    fn take(&mut self, flow: usize) -> Option<(u32, Mono)> {
        let entry = self.flows.get_mut(flow).filter(|entry| entry.len > 0)?;
        let at = entry.head;
        let waiting = self.cells.get(at as usize)?;
        entry.head = waiting.next;
        entry.len -= 1;
        self.len -= 1;
        if entry.len == 0 {
            entry.came = 0;
            self.backlogged -= 1;
        }
        Some((at, waiting.since))
    }

    /// Gives the pool's memory back if nothing waits.
    pub fn shrink(&mut self) {
        if self.len == 0 && !self.cells.is_empty() {
            (self.cells, self.free) = (Vec::new(), Vec::new());
        }
    }
}
