//! The peers of one I/O thread: those with a session, and those for whom something waits.

use super::backlog::Backlog;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::{Mono, Now};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Messages that wait for one session, at most.
const PENDING_MESSAGES: usize = 96;

/// Bytes that wait for one session, at most.
const PENDING_BYTES: usize = 128 * 1024;

/// How long messages wait for a session: the connect and handshake limits, and a little more.
pub(crate) const PENDING_AGE: Duration = Duration::from_secs(15);

/// Peers without a session for whom something waits, at most. A flood of builds to invented routers ends here.
const WAITING_PEERS: usize = 4096;

/// Everything this thread knows of one router.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) hash: RouterHash,
    /// The session we send on: the newest.
    pub(crate) primary: Option<usize>,
    /// Older sessions of the same router, still read until they end.
    pub(crate) older: Vec<usize>,
    pending: VecDeque<Message>,
    pending_bytes: usize,
    pending_since: Mono,
    /// Hops whose cells go to this peer.
    pub(crate) hops: usize,
    /// Cells that wait until its session has room, if there are any.
    pub(super) backlog: Option<Box<Backlog>>,
}

/// What became of a message that has no session to go to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It waits, and is the first: a session must be asked for.
    First,
    /// It waits behind others.
    Behind,
    /// No room.
    Full,
}

#[derive(Default)]
pub(crate) struct Peers {
    slots: Slab<Peer>,
    by_hash: HashMap<RouterHash, usize>,
    waiting: usize,
}

impl Peers {
    /// The slot of a router, made if need be.
    pub(crate) fn intern(&mut self, hash: RouterHash) -> usize {
        if let Some(&index) = self.by_hash.get(&hash) {
            return index;
        }
        let index = self.slots.insert(Peer { hash, ..Peer::default() });
        self.by_hash.insert(hash, index);
        index
    }

    pub(crate) fn find(&self, hash: &RouterHash) -> Option<usize> {
        self.by_hash.get(hash).copied()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Peer> {
        self.slots.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Peer> {
        self.slots.get_mut(index)
    }

    /// Frees the slot if nothing refers to it any more.
    pub(crate) fn release(&mut self, index: usize) {
        let Some(peer) = self.slots.get(index) else { return };
        if peer.primary.is_none() && peer.older.is_empty() && peer.hops == 0 && peer.pending.is_empty() {
            self.by_hash.remove(&peer.hash);
            self.slots.remove(index);
        }
    }

    /// Lets `message` wait for a session with the peer.
    pub(crate) fn wait(&mut self, index: usize, message: Message, now: Now) -> Waiting {
        let Some(peer) = self.slots.get_mut(index) else { return Waiting::Full };
        let first = peer.pending.is_empty();
        let bytes = peer.pending_bytes + message.body.len();
        if peer.pending.len() >= PENDING_MESSAGES || bytes > PENDING_BYTES || (first && self.waiting >= WAITING_PEERS) {
            return Waiting::Full;
        }
        if first {
            peer.pending_since = now.mono;
            self.waiting += 1;
        }
        peer.pending_bytes = bytes;
        peer.pending.push_back(message);
        if first { Waiting::First } else { Waiting::Behind }
    }

    /// Takes all that waits for the peer.
    pub(crate) fn take_pending(&mut self, index: usize) -> VecDeque<Message> {
        let Some(peer) = self.slots.get_mut(index) else { return VecDeque::new() };
        if !peer.pending.is_empty() {
            self.waiting -= 1;
        }
        peer.pending_bytes = 0;
        std::mem::take(&mut peer.pending)
    }

    /// True if messages wait for a session with the peer.
    pub(crate) fn is_awaited(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|peer| !peer.pending.is_empty())
    }

    /// Routers for whose session messages wait.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = RouterHash> {
        let some = (self.waiting > 0).then(|| self.slots.iter());
        some.into_iter().flatten().filter(|(_, peer)| !peer.pending.is_empty()).map(|(_, peer)| peer.hash)
    }

    /// Peers for whom messages have waited too long.
    pub(crate) fn overdue(&self, now: Mono) -> Vec<usize> {
        if self.waiting == 0 {
            return Vec::new();
        }
        let late = |p: &Peer| !p.pending.is_empty() && now.saturating_sub(p.pending_since) > PENDING_AGE;
        self.slots.iter().filter(|(_, p)| late(p)).map(|(i, _)| i).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ramson_protocol::i2np::MessageType;

    fn message(len: usize) -> Message {
        Message {
            kind: MessageType::DatabaseStore,
            id: 7.into(),
            expiration: Default::default(),
            body: Bytes::from(vec![0; len]),
        }
    }

    #[test]
    fn what_waits_is_bounded_and_a_slot_is_freed_when_nothing_refers_to_it() {
        let mut peers = Peers::default();
        let index = peers.intern(RouterHash([1; 32]));
        let now = Now::default();
        assert_eq!(peers.wait(index, message(10), now), Waiting::First);
        assert_eq!(peers.wait(index, message(10), now), Waiting::Behind);
        assert_eq!(peers.wait(index, message(PENDING_BYTES), now), Waiting::Full);
        assert!(peers.awaited().eq([RouterHash([1; 32])]));
        assert!(peers.overdue(PENDING_AGE).is_empty());
        assert_eq!(peers.overdue(PENDING_AGE + Duration::from_secs(1)), [index]);
        peers.release(index);
        assert!(peers.find(&RouterHash([1; 32])).is_some(), "something still waits");
        assert_eq!(peers.take_pending(index).len(), 2);
        assert_eq!(peers.awaited().count(), 0);
        peers.release(index);
        assert!(peers.find(&RouterHash([1; 32])).is_none());
    }
}
