//! The endpoint side: cells into I2NP messages.
//!
//! One [`Reassembler`] per tunnel. A message that lies whole in a cell is handed out borrowed from the cell, without
//! a copy. Fragments that come in order, as they nearly always do, are appended to one buffer; those that come early
//! wait aside. Whatever never completes is bounded in number, bytes and age.
//!
//! Invariants: a partial message holds fragments `0..next` in `data` and only fragments above `next` in `early`; the
//! sum of all their bytes is `held` and never above the limit; partial messages lie in the order of their arrival.
//!
//! spec: tunnel-message §Tunnel Message Delivery Instructions; tunnel-implementation §Endpoint Processing

use super::cell::{self, Body};
use super::delivery::{self, Delivery, FRAGMENT_MAX, Fragment};
use crate::time::Mono;
use crate::wire::{Error, Reader};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

/// Bounds on what one tunnel may make us keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Partial messages at a time.
    pub messages: usize,
    /// Bytes of all partial messages together.
    pub bytes: usize,
    /// How long a partial message may wait for its rest.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 64, bytes: 256 * 1024, age: Duration::from_secs(10) }
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that lay whole in one cell.
    pub whole: u64,
    /// Messages put together from fragments.
    pub assembled: u64,
    /// Cells with a bad checksum or bad instructions.
    pub malformed: u64,
    /// Fragments that were there already.
    pub duplicates: u64,
    /// Partial messages given up because their rest did not come in time.
    pub expired: u64,
    /// Partial messages given up because of a limit, or because their fragments contradict each other.
    pub discarded: u64,
}

/// Puts the messages of one tunnel together.
pub struct Reassembler {
    limits: Limits,
    partial: VecDeque<Partial>,
    held: usize,
    stats: Stats,
}

struct Partial {
    id: u32,
    since: Mono,
    delivery: Option<Delivery>,
    /// The number of the first fragment that `data` lacks.
    next: u8,
    last: Option<u8>,
    data: Vec<u8>,
    early: SmallVec<[(u8, Box<[u8]>); 2]>,
}

impl Reassembler {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, partial: VecDeque::new(), held: 0, stats: Stats::default() }
    }

    /// Takes the plaintext of one cell and hands out every message that is complete with it, in order.
    ///
    /// # Errors
    /// If the checksum or the instructions are bad. Messages before the bad instructions were handed out.
    pub fn cell(&mut self, now: Mono, body: &Body, mut out: impl FnMut(Delivery, Cow<'_, [u8]>)) -> Result<(), Error> {
        self.expire(now);
        let result = self.fragments(now, body, &mut out);
        self.stats.malformed += u64::from(result.is_err());
        result
    }

    fn fragments(
        &mut self,
        now: Mono,
        body: &Body,
        out: &mut impl FnMut(Delivery, Cow<'_, [u8]>),
    ) -> Result<(), Error> {
        let mut r = Reader::new(cell::payload(body)?);
        while !r.is_empty() {
            let complete = match delivery::parse(&mut r)? {
                Fragment::Whole { delivery, data } => {
                    self.stats.whole += 1;
                    out(delivery, Cow::Borrowed(data));
                    None
                }
                Fragment::First { delivery, message, data } => self.add(now, message, 0, false, Some(delivery), data),
                Fragment::FollowOn { message, number, last, data } => self.add(now, message, number, last, None, data),
            };
            if let Some((delivery, data)) = complete {
                self.stats.assembled += 1;
                out(delivery, Cow::Owned(data));
            }
        }
        Ok(())
    }

    /// Gives up partial messages that are too old. Called with every cell; an owner may call it more often.
    pub fn expire(&mut self, now: Mono) {
        while self.partial.front().is_some_and(|p| now.saturating_sub(p.since) >= self.limits.age) {
            self.stats.expired += 1;
            self.remove(0);
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Bytes of partial messages.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Gives everything up, for want of memory: returns how many bytes that were.
    pub fn give_up(&mut self) -> usize {
        self.stats.discarded += self.partial.len() as u64;
        self.partial = VecDeque::new();
        std::mem::take(&mut self.held)
    }

    fn add(
        &mut self,
        now: Mono,
        id: u32,
        number: u8,
        last: bool,
        delivery: Option<Delivery>,
        data: &[u8],
    ) -> Option<(Delivery, Vec<u8>)> {
        // The newest first: fragments of a message mostly come in one run.
        let at = match self.partial.iter().rposition(|p| p.id == id) {
            Some(at) => at,
            None => {
                self.make_room(data.len(), None);
                self.partial.push_back(Partial::new(id, now));
                self.partial.len() - 1
            }
        };
        let at = self.make_room(data.len(), Some(at))?;
        match self.partial.get_mut(at)?.insert(number, last, delivery, data) {
            Ok(Insert::New) => self.held += data.len(),
            Ok(Insert::Duplicate) => self.stats.duplicates += 1,
            Err(Contradiction) => {
                self.stats.discarded += 1;
                self.remove(at);
                return None;
            }
        }
        let done = self.partial.get(at)?.delivery.filter(|_| self.partial.get(at).is_some_and(Partial::complete))?;
        self.remove(at).map(|p| (done, p.data))
    }

    /// Discards the oldest partial messages until `len` more bytes, and one more message if `keep` is none, are within
    /// the limits. Returns where the message `keep` is afterwards; `None` if it had to go itself.
    fn make_room(&mut self, len: usize, keep: Option<usize>) -> Option<usize> {
        let mut keep = keep;
        let new = usize::from(keep.is_none());
        while self.held + len > self.limits.bytes || self.partial.len() + new > self.limits.messages.max(1) {
            self.stats.discarded += 1;
            self.remove(0)?;
            if let Some(at) = keep {
                keep = Some(at.checked_sub(1)?);
            }
        }
        keep
    }

    fn remove(&mut self, at: usize) -> Option<Partial> {
        let gone = self.partial.remove(at)?;
        self.held -= gone.bytes();
        Some(gone)
    }
}

enum Insert {
    New,
    Duplicate,
}

struct Contradiction;

impl Partial {
    fn new(id: u32, since: Mono) -> Self {
        Self { id, since, delivery: None, next: 0, last: None, data: Vec::new(), early: SmallVec::new() }
    }

    fn insert(
        &mut self,
        number: u8,
        last: bool,
        delivery: Option<Delivery>,
        data: &[u8],
    ) -> Result<Insert, Contradiction> {
        if number < self.next || self.early.iter().any(|(n, _)| *n == number) {
            return Ok(Insert::Duplicate);
        }
        let highest = self.early.iter().map(|(n, _)| *n).max().unwrap_or(0).max(self.next.saturating_sub(1));
        // A fragment after the last one, or a last one before another.
        if self.last.is_some_and(|end| number > end || last) || (last && number < highest) || number > FRAGMENT_MAX {
            return Err(Contradiction);
        }
        if last {
            self.last = Some(number);
        }
        self.delivery = self.delivery.or(delivery);
        if number == self.next {
            self.data.extend_from_slice(data);
            self.next += 1;
            self.take_early();
        } else {
            self.early.push((number, data.into()));
        }
        Ok(Insert::New)
    }

    fn take_early(&mut self) {
        while let Some(at) = self.early.iter().position(|(n, _)| *n == self.next) {
            let (_, data) = self.early.swap_remove(at);
            self.data.extend_from_slice(&data);
            self.next += 1;
        }
    }

    fn complete(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    fn bytes(&self) -> usize {
        self.data.len() + self.early.iter().map(|(_, data)| data.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
