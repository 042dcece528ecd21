//! Putting I2NP messages together again that came in fragments, in any order, within bounds; and knowing a message
//! again that came twice.
//!
//! spec: ssu2 §I2NP Message Fragmentation, §First Fragment, §Follow-on Fragment, §I2NP Message Duplication

use super::block::FollowOn;
use crate::i2np::header::MAX_BODY;
use crate::id::MessageId;
use crate::link::block::I2np;
use crate::time::Mono;
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Fragments of one message.
///
/// INTEROP: i2pd takes 64, and so do others.
pub const MAX_FRAGMENTS: u8 = 64;
/// Messages under way at once in a session.
const MAX_MESSAGES: usize = 64;
/// Bytes of all of them.
const MAX_BYTES: usize = 512 * 1024;
/// What is not complete by then is given up.
const LIFETIME: Duration = Duration::from_secs(30);

/// Why a fragment was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It came before.
    Duplicate,
    /// Beyond the number of fragments that a message may have.
    TooMany,
    /// The message would be larger than any I2NP message.
    TooLarge,
    /// It lies behind a last fragment, or is a second last one.
    Contradiction,
}

/// A message that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Message type.
    pub kind: u8,
    /// Message id.
    pub id: MessageId,
    /// Seconds since 1970.
    pub expiration: u32,
    /// The message without its header.
    pub body: Vec<u8>,
}

#[derive(Debug)]
struct Partial {
    started: Mono,
    /// Type and expiration, once the first fragment is here.
    header: Option<(u8, u32)>,
    /// The fragments before `next`, joined.
    body: Vec<u8>,
    next: u8,
    last: Option<u8>,
    /// Fragments that wait for earlier ones, in no order.
    early: Vec<(u8, Vec<u8>)>,
    bytes: usize,
}

/// The messages of one session that are not complete.
#[derive(Debug, Default)]
pub struct Reassembler {
    partial: FxHashMap<MessageId, Partial>,
    bytes: usize,
    deadline: Option<Mono>,
    /// Messages that were given up, for their age or to make room.
    pub given_up: u64,
}

impl Reassembler {
    /// Takes the first fragment; a message that it completes.
    ///
    /// # Errors
    /// Why it was refused. Nothing has changed then.
    pub fn first(&mut self, fragment: I2np<'_>, now: Mono) -> Result<Option<Whole>, Refused> {
        let header = (fragment.kind, fragment.expiration);
        self.insert(fragment.id, 0, false, Some(header), fragment.body, now)
    }

    /// Takes a later fragment; a message that it completes.
    ///
    /// # Errors
    /// Why it was refused. Nothing has changed then.
    pub fn follow_on(&mut self, fragment: FollowOn<'_>, now: Mono) -> Result<Option<Whole>, Refused> {
        if fragment.number >= MAX_FRAGMENTS {
            return Err(Refused::TooMany);
        }
        self.insert(fragment.id, fragment.number, fragment.last, None, fragment.body, now)
    }

    /// Gives up what is too old, and returns memory.
    pub fn expire(&mut self, now: Mono) {
        let before = self.partial.len();
        self.partial.retain(|_, p| now.saturating_sub(p.started) < LIFETIME);
        self.given_up += (before - self.partial.len()) as u64;
        self.bytes = self.partial.values().map(|p| p.bytes).sum();
        self.deadline = self.partial.values().map(|p| p.started + LIFETIME).min();
        if self.partial.is_empty() {
            self.partial = FxHashMap::default();
        }
    }

    /// Gives everything up, for want of memory.
    pub fn give_up(&mut self) {
        let given_up = self.given_up + self.partial.len() as u64;
        *self = Self { given_up, ..Self::default() };
    }

    /// When [`Reassembler::expire`] is next of use.
    pub fn deadline(&self) -> Option<Mono> {
        self.deadline
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(
        &mut self,
        id: MessageId,
        number: u8,
        last: bool,
        header: Option<(u8, u32)>,
        body: &[u8],
        now: Mono,
    ) -> Result<Option<Whole>, Refused> {
        match self.partial.get(&id) {
            Some(partial) => partial.admit(number, last, body.len())?,
            None if body.len() > MAX_BODY => return Err(Refused::TooLarge),
            None => self.make_room(body.len()),
        }
        self.deadline.get_or_insert(now + LIFETIME);
        let partial = self.partial.entry(id).or_insert_with(|| Partial::new(now));
        partial.take(number, last, header, body);
        self.bytes += body.len();
        if !partial.is_complete() {
            if self.bytes > MAX_BYTES {
                self.make_room(0);
            }
            return Ok(None);
        }
        let Some(Partial { header: Some((kind, expiration)), body, bytes, .. }) = self.partial.remove(&id) else {
            return Ok(None);
        };
        self.bytes -= bytes;
        Ok(Some(Whole { kind, id, expiration, body }))
    }

    /// Gives the oldest messages up until there is room for `bytes` of another.
    fn make_room(&mut self, bytes: usize) {
        while self.partial.len() >= MAX_MESSAGES || self.bytes + bytes > MAX_BYTES {
            let Some(oldest) = self.partial.iter().min_by_key(|(_, p)| p.started).map(|(id, _)| *id) else { return };
            if let Some(p) = self.partial.remove(&oldest) {
                self.bytes -= p.bytes;
                self.given_up += 1;
            }
        }
    }
}

impl Partial {
    fn new(now: Mono) -> Self {
        Self { started: now, header: None, body: Vec::new(), next: 0, last: None, early: Vec::new(), bytes: 0 }
    }

    fn admit(&self, number: u8, last: bool, len: usize) -> Result<(), Refused> {
        if number < self.next || self.early.iter().any(|(n, _)| *n == number) {
            return Err(Refused::Duplicate);
        }
        if self.bytes + len > MAX_BODY {
            return Err(Refused::TooLarge);
        }
        let beyond = self.last.is_some_and(|end| number > end || last);
        if beyond || (last && self.early.iter().any(|(n, _)| *n > number)) {
            return Err(Refused::Contradiction);
        }
        Ok(())
    }

    fn take(&mut self, number: u8, last: bool, header: Option<(u8, u32)>, body: &[u8]) {
        self.header = self.header.or(header);
        if last {
            self.last = Some(number);
        }
        self.bytes += body.len();
        if number != self.next {
            self.early.push((number, body.to_vec()));
            return;
        }
        self.body.extend_from_slice(body);
        self.next += 1;
        while let Some(i) = self.early.iter().position(|(n, _)| *n == self.next) {
            let (_, body) = self.early.swap_remove(i);
            self.body.extend_from_slice(&body);
            self.next += 1;
        }
    }

    fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| self.next == last + 1)
    }
}

/// Buckets of the filter at first, and at most.
const MIN_BUCKETS: usize = 8;
const MAX_BUCKETS: usize = 2048;
/// Messages in a bucket: a line of the cache.
const BUCKET: usize = 8;

/// Knows messages again whose packet was taken for lost and sent again. A table of fixed size: in each bucket a newer
/// message drives out the oldest, so nothing is ever taken for repeated that is not, and an old repetition may pass.
#[derive(Debug, Default)]
pub struct Recent {
    buckets: Vec<[u64; BUCKET]>,
    filled: usize,
}

impl Recent {
    /// Remembers a message; false if it was here before.
    pub fn insert(&mut self, id: MessageId, expiration: u32) -> bool {
        if self.filled * 2 >= self.buckets.len() * BUCKET && self.buckets.len() < MAX_BUCKETS {
            self.grow();
        }
        let message = u64::from(expiration) << 32 | u64::from(id.0);
        // Zero is an empty place: a message that expired in 1970 is nothing to remember.
        let bucket = self.bucket(message);
        if message != 0 && bucket.contains(&message) {
            return false;
        }
        self.remember(message);
        true
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<[u64; BUCKET]>()
    }

    /// Forgets everything, and returns the memory.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn bucket(&mut self, message: u64) -> &mut [u64; BUCKET] {
        let place = (message.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (self.buckets.len() - 1);
        &mut self.buckets[place]
    }

    fn remember(&mut self, message: u64) {
        let bucket = self.bucket(message);
        let added = bucket[BUCKET - 1] == 0;
        bucket.copy_within(..BUCKET - 1, 1);
        bucket[0] = message;
        self.filled += usize::from(added);
    }

    fn grow(&mut self) {
        let size = (self.buckets.len() * 2).max(MIN_BUCKETS);
        let old = std::mem::replace(&mut self.buckets, vec![[0; BUCKET]; size]);
        self.filled = 0;
        for bucket in old {
            // The oldest first, so that it stays the oldest.
            bucket.into_iter().rev().filter(|m| *m != 0).for_each(|m| self.remember(m));
        }
    }
}

#[cfg(test)]
mod tests;
