//! What is to be sent, from the moment it is handed in until the peer has acknowledged it.
//!
//! The bytes lie in chunks, written once as the blocks that they will be; a message is a few words that say where. Each
//! is copied into its packet, and copied again if that is lost. Chunks go back when all that lay in them is done, so an
//! idle session holds none.
//!
//! A message that fits one packet is one block. A larger one is cut when its first fragment is sent, by the size of the
//! path at that time, and its fragments keep their sizes.
//!
//! INTEROP: i2pd spoils a message of which a middle fragment comes after the last. On a path that loses packets the last
//! one is held back until the others have arrived.
//!
//! spec: ssu2 §I2NP Message Fragmentation

use super::block::{FIRST_FRAGMENT, FOLLOW_ON_FRAGMENT, FOLLOW_ON_HEADER_LEN, I2NP};
use super::fragment::MAX_FRAGMENTS;
use crate::i2np::header::{MAX_BODY, MessageType, SKEW};
use crate::id::MessageId;
use crate::link::block::{HEADER_LEN, I2NP_HEADER_LEN};
use crate::wire::Writer;
use std::collections::VecDeque;

/// How often a message is sent again before it is given up.
const MAX_TRIES: u8 = 8;
/// Chunks are so large at first and grow to so much.
const MIN_CHUNK: usize = 2 * 1024;
const MAX_CHUNK: usize = 64 * 1024;
/// Bytes before the body of a message that is not cut.
const WHOLE_HEADER: usize = HEADER_LEN + I2NP_HEADER_LEN;

/// A thing in a packet: an item of the outbox, and which fragment of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Counted from the session's first.
    pub item: u64,
    /// Zero for what is not cut.
    pub fragment: u8,
}

/// What can be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The block.
    pub content: Content,
    /// Length of its block.
    pub len: usize,
    /// The peer is to acknowledge it at once: it came to be sent again, or is not a message.
    pub pressing: bool,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    live: u32,
}

#[derive(Debug)]
struct Item {
    chunk: u64,
    at: u32,
    /// Length of its block uncut.
    len: u32,
    /// Seconds since 1970; `u32::MAX` for what does not expire.
    expires: u32,
    /// Payload that its fragments were cut for; zero if it is whole.
    cut: u16,
    /// Fragments that have been sent at least once, of those there are.
    begun: u8,
    fragments: u8,
    tries: u8,
    done: bool,
    message: bool,
    /// Its last fragment waits for the others to arrive.
    held: bool,
    /// Acknowledged fragments.
    delivered: u64,
}

impl Item {
    /// Only its last fragment has not been sent, and a middle one has not arrived.
    fn must_wait(&self) -> bool {
        let others = u32::from(self.fragments) - 1;
        others > 1 && u32::from(self.begun) == others && self.delivered.count_ones() < others
    }
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that expired before they were sent or arrived.
    pub expired: u64,
    /// Messages that were sent too often.
    pub given_up: u64,
    /// Messages and fragments sent again.
    pub again: u64,
}

/// The outbox of one session.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Number of the first chunk.
    first_chunk: u64,
    /// The last chunk that was done with.
    spare: Vec<u8>,
    items: VecDeque<Item>,
    /// Number of the first item.
    first: u64,
    /// The first item that has not been sent for the first time, all of it.
    next: u64,
    /// To be sent before that: lost things, and what is not a message.
    urgent: VecDeque<Content>,
    /// Bytes not yet sent for the first time.
    queued: usize,
    /// The path loses packets: a last fragment is not to overtake the others.
    careful: bool,
    /// Counters.
    pub stats: Stats,
}

impl Outbox {
    /// Bytes that wait to be sent for the first time.
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    /// Bytes that are held, sent or not.
    pub fn held_bytes(&self) -> usize {
        self.chunks.iter().map(|c| c.bytes.capacity()).sum::<usize>() + self.spare.capacity()
    }

    /// True if nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.queued == 0
    }

    /// Takes a message whose body is `parts` one after another; false if it is larger than any I2NP message.
    pub fn push_message(&mut self, kind: u8, id: MessageId, expiration: u32, parts: &[&[u8]]) -> bool {
        let body: usize = parts.iter().map(|p| p.len()).sum();
        if body > MAX_BODY {
            return false;
        }
        let mut header = [0; WHOLE_HEADER];
        header[0] = I2NP;
        header[1..3].copy_from_slice(&((I2NP_HEADER_LEN + body) as u16).to_be_bytes());
        header[3] = kind;
        header[4..8].copy_from_slice(&id.0.to_be_bytes());
        header[8..].copy_from_slice(&expiration.to_be_bytes());
        // The expiration of a cell is ours; that of another message may be by a clock that is behind.
        let skew = if kind == MessageType::TunnelData.code() { 0 } else { SKEW.as_secs() as u32 };
        self.push(WHOLE_HEADER + body, expiration.saturating_add(skew), true, |out| {
            out.put(&header);
            parts.iter().for_each(|part| out.put(part));
        });
        true
    }

    /// Takes a block that is written already; it goes before all messages.
    pub fn push_block(&mut self, block: &[u8]) {
        let item = self.first + self.items.len() as u64;
        self.push(block.len(), u32::MAX, false, |out| out.put(block));
        self.urgent.push_back(Content { item, fragment: 0 });
    }

    fn push(&mut self, len: usize, expires: u32, message: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let full = self.chunks.back().is_none_or(|c| c.bytes.capacity() - c.bytes.len() < len);
        if full {
            // Each chunk is twice the one before, so that little traffic takes little and much takes few chunks.
            let last = self.chunks.back().map_or(0, |c| c.bytes.capacity());
            let capacity = (last * 2).clamp(MIN_CHUNK, MAX_CHUNK).max(len);
            let spare = std::mem::take(&mut self.spare);
            let bytes = if spare.capacity() >= capacity { spare } else { Vec::with_capacity(capacity) };
            self.chunks.push_back(Chunk { bytes, live: 0 });
        }
        let chunk = self.first_chunk + self.chunks.len() as u64 - 1;
        let Some(back) = self.chunks.back_mut() else { return };
        let at = back.bytes.len() as u32;
        write(&mut back.bytes);
        back.live += 1;
        self.queued += len;
        self.items.push_back(Item {
            chunk,
            at,
            len: len as u32,
            expires,
            cut: 0,
            begun: 0,
            fragments: 1,
            tries: 0,
            done: false,
            message,
            held: false,
            delivered: 0,
        });
    }

    /// What is to be sent next in packets of `payload` bytes, at `now` seconds since 1970. What has expired is dropped on
    /// the way. A fragment that was cut for a wider path is as long as it was: should the path be thought too narrow
    /// wrongly, it arrives, and if not, it is given up in time.
    pub fn peek(&mut self, payload: usize, now: u32) -> Option<Next> {
        while let Some(content) = self.urgent.front().copied() {
            match self.prepare(content, payload, now) {
                Some(len) => return Some(Next { content, len, pressing: true }),
                None => self.urgent.pop_front(),
            };
        }
        loop {
            let careful = self.careful;
            let index = usize::try_from(self.next.checked_sub(self.first)?).ok()?;
            let item = self.items.get_mut(index)?;
            item.held |= careful && item.must_wait();
            if item.done || item.held || item.begun == item.fragments {
                self.next += 1;
                continue;
            }
            let content = Content { item: self.next, fragment: item.begun };
            let pressing = careful && item.fragments > 2 && item.begun + 2 == item.fragments;
            if let Some(len) = self.prepare(content, payload, now) {
                return Some(Next { content, len, pressing });
            }
        }
    }

    /// Whether the path loses or reorders packets.
    pub fn set_careful(&mut self, careful: bool) {
        self.careful = careful;
    }

    /// Appends the block that [`Outbox::peek`] named, and goes on to the next.
    pub fn take(&mut self, next: Next, out: &mut Vec<u8>) {
        let Next { content, len, .. } = next;
        if self.urgent.front() == Some(&content) {
            self.urgent.pop_front();
        }
        let Some(item) = self.items.get_mut((content.item - self.first) as usize) else { return };
        if item.begun == content.fragment && item.begun < item.fragments {
            item.begun += 1;
            self.queued -= span(item, content.fragment).len();
        } else {
            self.stats.again += 1;
        }
        let Some(chunk) = self.chunks.get((item.chunk - self.first_chunk) as usize) else { return };
        let bytes = &chunk.bytes[item.at as usize..][..item.len as usize];
        let range = span(item, content.fragment);
        let size = ((len - HEADER_LEN) as u16).to_be_bytes();
        match (item.cut, content.fragment) {
            (0, _) => out.put(bytes),
            (_, 0) => {
                out.put(&[FIRST_FRAGMENT, size[0], size[1]]);
                out.put(&bytes[HEADER_LEN..range.end]);
            }
            (_, number) => {
                let last = u8::from(number + 1 == item.fragments);
                out.put(&[FOLLOW_ON_FRAGMENT, size[0], size[1], number << 1 | last]);
                // The message's id, behind the block's header and the message's type.
                out.put(&bytes[4..8]);
                out.put(&bytes[range]);
            }
        }
    }

    /// It has arrived.
    pub fn delivered(&mut self, content: Content) {
        let Some(item) = content.item.checked_sub(self.first).and_then(|i| self.items.get_mut(i as usize)) else {
            return;
        };
        item.delivered |= 1 << content.fragment;
        if item.done {
            return;
        }
        if item.held && !item.must_wait() {
            item.held = false;
            let last = Content { fragment: item.fragments - 1, ..content };
            self.urgent.push_back(last);
        } else if item.delivered.count_ones() == u32::from(item.fragments) {
            self.finish(content.item);
        }
    }

    /// Its packet was lost: it is to be sent again, unless that has been tried too often.
    pub fn lost(&mut self, content: Content) {
        let Some(item) = content.item.checked_sub(self.first).and_then(|i| self.items.get_mut(i as usize)) else {
            return;
        };
        if item.done || item.delivered >> content.fragment & 1 != 0 {
            return;
        }
        item.tries += 1;
        // A large message may lose many fragments once each.
        if item.tries > MAX_TRIES.max(item.fragments) {
            self.stats.given_up += 1;
            self.finish(content.item);
            return;
        }
        self.urgent.push_back(content);
    }

    /// It is to be sent again, although its packet is not known to be lost.
    pub fn again(&mut self, content: Content) {
        if !self.urgent.contains(&content) {
            self.urgent.push_back(content);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self { stats: self.stats, ..Self::default() };
    }

    fn item(&self, number: u64) -> Option<&Item> {
        self.items.get(number.checked_sub(self.first)? as usize)
    }

    /// The length of the block if it can be sent; cuts a message that has not begun.
    fn prepare(&mut self, content: Content, payload: usize, now: u32) -> Option<usize> {
        let item = content.item.checked_sub(self.first).and_then(|i| self.items.get_mut(i as usize))?;
        if item.done || item.delivered >> content.fragment & 1 != 0 {
            return None;
        }
        if item.expires < now {
            self.stats.expired += 1;
            self.finish(content.item);
            return None;
        }
        if item.cut == 0 && item.len as usize > payload && item.message {
            let sent_whole = item.begun > 0;
            item.cut = payload as u16;
            item.fragments = count(item.len as usize, payload);
            if sent_whole {
                // The path has narrowed since: what was one packet is now several to be sent again.
                item.begun = item.fragments;
                let rest = (1..item.fragments).map(|fragment| Content { fragment, ..content });
                self.urgent.extend(rest);
            }
        }
        let item = self.item(content.item)?;
        let len = block_len(item, content.fragment);
        if item.fragments > MAX_FRAGMENTS {
            self.stats.given_up += 1;
            self.finish(content.item);
            return None;
        }
        Some(len)
    }

    /// Nothing of an item will be sent again.
    fn finish(&mut self, number: u64) {
        let Some(item) = self.items.get_mut((number - self.first) as usize) else { return };
        item.done = true;
        let unsent: usize = (item.begun..item.fragments).map(|f| span(item, f).len()).sum();
        self.queued -= unsent;
        let chunk = item.chunk;
        if let Some(chunk) = self.chunks.get_mut((chunk - self.first_chunk) as usize) {
            chunk.live -= 1;
        }
        while self.items.front().is_some_and(|i| i.done) {
            self.items.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        while self.chunks.len() > 1 && self.chunks.front().is_some_and(|c| c.live == 0) {
            let Some(Chunk { mut bytes, .. }) = self.chunks.pop_front() else { return };
            bytes.clear();
            self.spare = bytes;
            self.first_chunk += 1;
        }
        if self.items.is_empty()
            && let Some(chunk) = self.chunks.front_mut()
        {
            chunk.bytes.clear();
        }
    }

    /// Returns memory that an idle session does not need.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
        if self.items.is_empty() {
            self.first_chunk += self.chunks.len() as u64;
            self.chunks = VecDeque::new();
            self.items = VecDeque::new();
            self.urgent = VecDeque::new();
        }
    }
}

/// Fragments of a message whose uncut block has `len` bytes.
fn count(len: usize, payload: usize) -> u8 {
    let more = len.saturating_sub(payload).div_ceil(payload - HEADER_LEN - FOLLOW_ON_HEADER_LEN);
    u8::try_from(1 + more).unwrap_or(u8::MAX)
}

/// Where in an item's uncut block a fragment lies; the first one includes the headers.
fn span(item: &Item, fragment: u8) -> std::ops::Range<usize> {
    let len = item.len as usize;
    if item.cut == 0 {
        return 0..len;
    }
    let (first, piece) = (usize::from(item.cut), usize::from(item.cut) - HEADER_LEN - FOLLOW_ON_HEADER_LEN);
    match fragment {
        0 => 0..first.min(len),
        n => (first + piece * (usize::from(n) - 1)).min(len)..(first + piece * usize::from(n)).min(len),
    }
}

fn block_len(item: &Item, fragment: u8) -> usize {
    let len = span(item, fragment).len();
    if fragment == 0 { len } else { HEADER_LEN + FOLLOW_ON_HEADER_LEN + len }
}

#[cfg(test)]
mod tests;
