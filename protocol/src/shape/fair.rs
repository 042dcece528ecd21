//! Cells that wait for their part of the line: a queue per tunnel, served in turn.
//!
//! ```text
//! fresh    tunnels that had nothing waiting and now have     served first, one cell each, then they join the round
//! round    the others                                        one cell each in turn; who has none left leaves
//! ```
//! Invariants: no tunnel holds more than is still free, so the busiest find the door closed first and one that sends little
//! finds room; all together hold at most [`OVER_BOUND`] times the bound. A cell that is refused has not been copied.
//! Memory is a pool that grows to the bound once and is given back when nothing waits.

use super::Codel;
use crate::time::Mono;
use slab::Slab;
use std::collections::VecDeque;

/// Bytes of a cell: IV and data.
const CELL: usize = 1024;

/// A tunnel may always have this many waiting, or a short burst of one that sends little would be lost among many.
const LEAST: usize = 8;

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
    listed: bool,
    codel: Codel,
}

#[derive(Debug)]
struct Waiting {
    cell: [u8; CELL],
    since: Mono,
    next: u32,
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
        self.flows.insert(Flow { tag, head, tail, len: 0, listed: false, codel })
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

    /// How many more cells the tunnel may let wait.
    pub fn room(&self, flow: usize) -> usize {
        let Some(flow) = self.flows.get(flow) else { return 0 };
        let fair = self.bound.saturating_sub(self.len).max(LEAST);
        fair.saturating_sub(flow.len).min((OVER_BOUND * self.bound).saturating_sub(self.len))
    }

    /// Lets a cell wait; false if the tunnel, or all together, have too much waiting already.
    #[must_use]
    pub fn push(&mut self, flow: usize, cell: &[u8; CELL], now: Mono) -> bool {
        if self.room(flow) == 0 {
            return false;
        }
        let at = self.store(cell, now);
        let Some(entry) = self.flows.get_mut(flow) else { return false };
        match self.cells.get_mut(entry.tail as usize) {
            Some(last) if entry.len > 0 => last.next = at,
            _ => entry.head = at,
        }
        entry.tail = at;
        self.backlogged += usize::from(entry.len == 0);
        entry.len += 1;
        self.len += 1;
        if !entry.listed {
            entry.listed = true;
            self.fresh.push_back(flow);
        }
        true
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
        let entry = self.flows.get_mut(flow)?;
        while entry.len > 0 {
            let at = entry.head;
            let waiting = self.cells.get(at as usize)?;
            let last = entry.len == 1;
            entry.head = waiting.next;
            entry.len -= 1;
            self.len -= 1;
            self.backlogged -= usize::from(last);
            if !entry.codel.drop_head(now, now.saturating_sub(waiting.since), last) {
                return Some(at);
            }
            self.free.push(at);
            *dropped += 1;
        }
        None
    }

    /// Gives the pool's memory back if nothing waits.
    pub fn shrink(&mut self) {
        if self.len == 0 && !self.cells.is_empty() {
            (self.cells, self.free) = (Vec::new(), Vec::new());
        }
    }
}
