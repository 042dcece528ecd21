//! From messages to sessions: those of this thread, those of others, and those that do not stand yet.

use super::Links;
use super::peers::Waiting;
use super::session::Session;
use crate::event::News;
use crate::ports::account::Account;
use crate::ports::io::{Handoff, HandoffItem, Input, home};
use crate::relay::CELL_MESSAGE;
use crate::stats::{DropCause, Transport};
use bytes::Bytes;
use ramson_protocol::i2np::header::SKEW;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::Wall;
use rand::Rng;

/// Messages in one hand-off, at most. Above it the batch is handed over before the turn ends.
const HANDOFF_ITEMS: usize = 256;

/// Random padding of a frame: up to a sixteenth of it, and never more than this.
/// INTEROP: i2pd pads by up to 6 %.
const MAX_PADDING: usize = 64;

/// What a message has beside its destination and its body.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// The code of its type.
    pub(super) kind: u8,
    pub(super) id: u32,
    /// In seconds.
    pub(super) expiration: u32,
}

impl Links {
    /// Sends a message to a router, whichever thread its session lives on.
    pub(super) fn send(&mut self, to: RouterHash, head: Head, account: Account, parts: &[&[u8]]) {
        let thread = home(&to, self.others.len());
        if thread == self.index {
            let peer = self.peers.intern(to);
            self.queue_local(peer, head, account, parts);
            self.peers.release(peer);
        } else {
            self.queue_remote(thread, to, head, account, parts);
        }
    }

    /// Queues a message for a peer of this thread, within the bounds of its session.
    #[inline]
    pub(super) fn queue_local(&mut self, peer: usize, head: Head, account: Account, parts: &[&[u8]]) {
        let (now, bounds) = (self.now.mono, self.bounds);
        let full = |session: &Session| {
            if head.kind == CELL_MESSAGE { session.transit_full(now, bounds) } else { session.control_full(bounds) }
        };
        self.queue_unless(full, peer, head, account, parts);
    }

    /// The same with the session's bound as the caller has it; false if the message was dropped, which is counted.
    pub(super) fn queue_unless(
        &mut self,
        full: impl FnOnce(&Session) -> bool,
        peer: usize,
        head: Head,
        account: Account,
        parts: &[&[u8]],
    ) -> bool {
        let Some(entry) = self.peers.get(peer) else { return false };
        let Some((index, session)) = entry.primary.and_then(|i| self.sessions.get_mut(i).map(|s| (i, s))) else {
            return self.wait_for_session(peer, head, account, parts);
        };
        if full(session) {
            self.stats.dropped(DropCause::EgressFull);
            return false;
        }
        let Head { kind, id, expiration } = head;
        self.stats.wire(session.transport()).sent.message(kind, parts.iter().map(|part| part.len()).sum());
        session.queue_message(&mut self.buffers, kind, id, expiration, parts);
        if session.transport() == Transport::Ssu2 {
            // What else its packets hold, pings behind a NAT above all, keeps no session open.
            session.last_out = self.now.mono;
        }
        self.mark_dirty(index);
        true
    }

    fn wait_for_session(&mut self, peer: usize, head: Head, account: Account, parts: &[&[u8]]) -> bool {
        let Some(to) = self.peers.get(peer).map(|p| p.hash) else { return false };
        let message = Message {
            kind: MessageType::from_code(head.kind),
            id: head.id.into(),
            expiration: Wall::from_secs(head.expiration),
            body: Bytes::from(parts.concat()),
        };
        let (waiting, displaced) = self.peers.wait(peer, message, account, self.now);
        self.stats.drops[DropCause::WaitingFull as usize].add(displaced);
        let refused = match waiting {
            Waiting::Wanted { ours } => {
                self.up.tell(News::NeedSession { peer: to, ours });
                return true;
            }
            Waiting::Behind => return true,
            Waiting::Full => DropCause::NoSession,
            Waiting::TooMany => DropCause::TooManyCalls,
        };
        self.stats.dropped(refused);
        false
    }

    /// Puts a message into the batch for another thread.
    pub(super) fn queue_remote(
        &mut self,
        thread: usize,
        to: RouterHash,
        head: Head,
        account: Account,
        parts: &[&[u8]],
    ) {
        let Some(batch) = self.outbox.get_mut(thread) else { return };
        let before = batch.bytes.len();
        for part in parts {
            batch.bytes.extend_from_slice(part);
        }
        let len = u32::try_from(batch.bytes.len() - before).unwrap_or(0);
        let Head { kind, id, expiration } = head;
        batch.items.push(HandoffItem { to, kind, id, expiration, len, account });
        if batch.items.len() >= HANDOFF_ITEMS {
            self.hand_over_to(thread);
        }
    }

    pub(super) fn hand_over(&mut self) {
        for thread in 0..self.outbox.len() {
            if !self.outbox[thread].items.is_empty() {
                self.hand_over_to(thread);
            }
        }
    }

    fn hand_over_to(&mut self, thread: usize) {
        let fresh = self.others[thread].spares.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.outbox[thread], fresh);
        if let Err(Input::Handoff(lost)) = self.others[thread].inbox.push(Input::Handoff(batch)) {
            self.stats.drops[DropCause::HandoffFull as usize].add(lost.items.len() as u64);
        }
    }

    /// Messages from another thread for peers of this one.
    pub(super) fn on_handoff(&mut self, handoff: &Handoff) {
        let mut at = 0;
        for item in &handoff.items {
            let end = at + item.len as usize;
            if let Some(body) = handoff.bytes.get(at..end) {
                let peer = self.peers.intern(item.to);
                let head = Head { kind: item.kind, id: item.id, expiration: item.expiration };
                self.queue_local(peer, head, item.account, &[body]);
                self.peers.release(peer);
            }
            at = end;
        }
    }

    pub(super) fn mark_dirty(&mut self, index: usize) {
        if let Some(session) = self.sessions.get_mut(index)
            && !session.in_dirty
        {
            session.in_dirty = true;
            self.dirty.push(index);
        }
    }

    /// Seals and writes once for every session that has something to send.
    pub(super) fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            self.flush(index);
        }
        self.dirty = dirty;
    }

    /// Seals and writes what the session has to send; closes it if that fails or was its last word.
    pub(super) fn flush(&mut self, index: usize) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.in_dirty = false;
        let Some(wire) = session.ntcp2() else { return self.flush_udp(index) };
        let rng = &mut self.rng;
        let pad = |frame: usize| rng.next_u32() as usize % (1 + (frame / 16).min(MAX_PADDING));
        match wire.flush(&mut self.buffers, self.now.mono, pad) {
            Ok(done) => {
                if done.bytes > 0 {
                    session.last_out = self.now.mono;
                }
                let sent = &self.stats.wire(Transport::Ntcp2).sent;
                sent.bytes.add(done.bytes as u64);
                sent.frames.add(done.frames);
                self.shaper.wrote(done.bytes);
                if done.cells > 0 {
                    self.stats.cells_per_write.record(done.cells);
                }
            }
            Err(_) => self.forget(index, None),
        }
    }

    /// Puts into `session`'s queue what waited for it.
    pub(super) fn send_pending(&mut self, peer: usize) {
        for message in self.peers.take_pending(peer) {
            if message.expiration.plus(SKEW) < self.now.wall {
                self.stats.dropped(DropCause::Expired);
                continue;
            }
            let (kind, id, expiration) = (message.kind.code(), message.id.0, message.expiration.secs());
            // There is a session: nobody is called for it.
            self.queue_local(peer, Head { kind, id, expiration }, Account::Strangers, &[&message.body]);
        }
    }

    /// Output of all sessions that waits, in bytes: for the gauge.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.sessions.iter().map(|(_, s): (usize, &Session)| s.queued() as u64).sum()
    }
}
