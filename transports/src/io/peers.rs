//! The peers of one I/O thread: those with a session, and those for whom something waits.

use super::backlog::Backlog;
use crate::ports::account::{Account, Allowances};
use ramson_protocol::i2np::Message;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::{Mono, Now};
use slab::Slab;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Messages that wait for one session, at most.
const PENDING_MESSAGES: usize = 96;

/// Bytes that wait for one session, at most.
const PENDING_BYTES: usize = 128 * 1024;

/// How long messages wait for a session: the connect and handshake limits, and a little more.
pub(crate) const PENDING_AGE: Duration = Duration::from_secs(15);

/// Peers without a session for whom something waits, at most, in all threads together.
const WAITING_PEERS: usize = 4096;

/// Bytes that wait for sessions, at most, in all threads together: an eighth of what the peers might have each for itself.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

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
    /// Something of ours waits.
    ours: bool,
    /// Hops whose cells go to this peer.
    pub(crate) hops: usize,
    /// Cells that wait until its session has room, if there are any.
    pub(super) backlog: Option<Box<Backlog>>,
}

/// What became of a message that has no session to go to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It waits, and is the first, or the first of ours: a session must be asked for.
    Wanted {
        /// We want it ourselves.
        ours: bool,
    },
    /// It waits behind others.
    Behind,
    /// No room.
    Full,
    /// Enough routers were called on this account lately.
    TooMany,
}

pub(crate) struct Peers {
    slots: Slab<Peer>,
    by_hash: HashMap<RouterHash, usize>,
    /// Those for whom something waits: for whom strangers alone have something before others, then by bytes. The last one
    /// gives way when there is no room.
    waiting: BTreeSet<(bool, usize, usize)>,
    waiting_bytes: usize,
    max_waiting: usize,
    max_bytes: usize,
    allowances: Allowances,
}

impl Peers {
    /// Nobody yet, at one of so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            slots: Slab::new(),
            by_hash: HashMap::new(),
            waiting: BTreeSet::new(),
            waiting_bytes: 0,
            max_waiting: (WAITING_PEERS / threads).max(1),
            max_bytes: (WAITING_BYTES / threads).max(PENDING_BYTES),
            allowances: Allowances::default(),
        }
    }

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

    /// Lets `message` wait for a session with the peer. Says, too, how many messages of others were dropped for it: when
    /// there is no room, strangers give way before us, and of them those with the most.
    pub(crate) fn wait(&mut self, index: usize, message: Message, account: Account, now: Now) -> (Waiting, u64) {
        let Some(peer) = self.slots.get_mut(index) else { return (Waiting::Full, 0) };
        let (first, ours) = (peer.pending.is_empty(), account == Account::Ours);
        let (before, bytes) = (peer.pending_bytes, peer.pending_bytes + message.body.len());
        if peer.pending.len() >= PENDING_MESSAGES || bytes > PENDING_BYTES {
            return (Waiting::Full, 0);
        }
        if first && !self.allowances.admit(account, now.mono) {
            return (Waiting::TooMany, 0);
        }
        let wanted = first || (ours && !peer.ours);
        if first {
            peer.pending_since = now.mono;
        } else {
            self.waiting.remove(&(!peer.ours, before, index));
        }
        peer.ours |= ours;
        peer.pending_bytes = bytes;
        peer.pending.push_back(message);
        self.waiting.insert((!peer.ours, bytes, index));
        self.waiting_bytes += bytes - before;
        let mut displaced = 0;
        while self.waiting.len() > self.max_waiting || self.waiting_bytes > self.max_bytes {
            let Some((_, _, greatest)) = self.waiting.last().copied() else { break };
            displaced += self.take_pending(greatest).len() as u64;
            if greatest == index {
                // Its own last message is among them, which the caller counts.
                return (Waiting::Full, displaced.saturating_sub(1));
            }
            self.release(greatest);
        }
        (if wanted { Waiting::Wanted { ours } } else { Waiting::Behind }, displaced)
    }

    /// Takes all that waits for the peer.
    pub(crate) fn take_pending(&mut self, index: usize) -> VecDeque<Message> {
        let Some(peer) = self.slots.get_mut(index) else { return VecDeque::new() };
        if !peer.pending.is_empty() {
            self.waiting.remove(&(!peer.ours, peer.pending_bytes, index));
            self.waiting_bytes -= peer.pending_bytes;
        }
        peer.pending_bytes = 0;
        peer.ours = false;
        std::mem::take(&mut peer.pending)
    }

    /// Bytes that wait for sessions.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// True if messages wait for a session with the peer.
    pub(crate) fn is_awaited(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|peer| !peer.pending.is_empty())
    }

    /// Routers for whose session messages wait, and whether some of them are ours.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = (RouterHash, bool)> {
        self.waiting.iter().filter_map(|(_, _, index)| self.slots.get(*index)).map(|peer| (peer.hash, peer.ours))
    }

    /// Peers for whom messages have waited too long.
    pub(crate) fn overdue(&self, now: Mono) -> Vec<usize> {
        let late = |p: &Peer| now.saturating_sub(p.pending_since) > PENDING_AGE;
        let all = self.waiting.iter().map(|(_, _, index)| *index);
        all.filter(|index| self.slots.get(*index).is_some_and(late)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ramson_protocol::i2np::MessageType;
    use ramson_protocol::id::TunnelId;

    const NOW: Now = Now { mono: Duration::from_secs(100), wall: ramson_protocol::time::Wall(0) };

    fn message(len: usize) -> Message {
        Message {
            kind: MessageType::DatabaseStore,
            id: 7.into(),
            expiration: Default::default(),
            body: Bytes::from(vec![0; len]),
        }
    }

    fn router(n: usize) -> RouterHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        RouterHash(hash)
    }

    #[test]
    fn what_waits_is_bounded_and_a_slot_is_freed_when_nothing_refers_to_it() {
        let mut peers = Peers::new(1);
        let index = peers.intern(RouterHash([1; 32]));
        let mut wait = |len, account| peers.wait(index, message(len), account, NOW);
        assert_eq!(wait(10, Account::Strangers), (Waiting::Wanted { ours: false }, 0));
        assert_eq!(wait(10, Account::Strangers), (Waiting::Behind, 0));
        assert_eq!(wait(10, Account::Ours), (Waiting::Wanted { ours: true }, 0), "we want it, too");
        assert_eq!(wait(10, Account::Ours), (Waiting::Behind, 0));
        assert_eq!(wait(PENDING_BYTES, Account::Ours), (Waiting::Full, 0));
        assert!(peers.awaited().eq([(RouterHash([1; 32]), true)]));
        assert!(peers.overdue(NOW.mono + PENDING_AGE).is_empty());
        assert_eq!(peers.overdue(NOW.mono + PENDING_AGE + Duration::from_secs(1)), [index]);
        peers.release(index);
        assert!(peers.find(&RouterHash([1; 32])).is_some(), "something still waits");
        assert_eq!((peers.take_pending(index).len(), peers.waiting_bytes()), (4, 0));
        assert_eq!(peers.awaited().count(), 0);
        peers.release(index);
        assert!(peers.find(&RouterHash([1; 32])).is_none());
    }

    /// Fills the bound over all: with strangers' messages, then with ours.
    #[test]
    fn when_all_memory_for_those_who_wait_is_taken_strangers_with_the_most_give_way() {
        let mut peers = Peers::new(1);
        let mut wait = |n: usize, len, account| {
            let index = peers.intern(router(n));
            let outcome = peers.wait(index, message(len), account, NOW);
            peers.release(index);
            assert!(peers.waiting_bytes() <= WAITING_BYTES && peers.waiting.len() <= WAITING_PEERS);
            outcome
        };
        let of = |n: usize| Account::Router(router(n / 90));
        let small = (Waiting::Wanted { ours: false }, 0);
        assert_eq!(wait(0, 100, of(0)), small);
        for n in 1..WAITING_BYTES / PENDING_BYTES + 100 {
            wait(n, PENDING_BYTES, of(n));
        }
        let (waiting, displaced) = wait(1_000_000, PENDING_BYTES, Account::Ours);
        assert_eq!((waiting, displaced > 0), (Waiting::Wanted { ours: true }, true));
        assert!(peers.awaited().any(|(peer, _)| peer == router(0)), "the small one stays");
        let mut wait = |n: usize, len, account| {
            let index = peers.intern(router(n));
            let outcome = peers.wait(index, message(len), account, NOW);
            peers.release(index);
            outcome
        };
        for n in 2_000_000..2_000_000 + 2 * WAITING_PEERS {
            assert!(matches!(wait(n, 10, Account::Ours).0, Waiting::Wanted { .. } | Waiting::Full));
        }
        assert_eq!(wait(0, 10, of(0)).0, Waiting::Full, "ours do not give way to strangers");
        assert_eq!(peers.waiting.len(), WAITING_PEERS);
        assert_eq!(peers.by_hash.len(), WAITING_PEERS, "those who gave way are forgotten");
    }

    #[test]
    fn one_tunnel_can_have_few_routers_called_and_costs_no_other_its_share() {
        let mut peers = Peers::new(1);
        let mut wanted = |from: usize, account| {
            let some = (from..from + 1000).filter(|n| {
                let index = peers.intern(router(*n));
                let wanted = matches!(peers.wait(index, message(10), account, NOW).0, Waiting::Wanted { .. });
                peers.release(index);
                wanted
            });
            some.count()
        };
        let tunnel = |n| Account::Tunnel(TunnelId(n));
        assert_eq!([wanted(0, tunnel(1)), wanted(1000, tunnel(1)), wanted(2000, tunnel(2))], [48, 0, 48]);
        assert_eq!(wanted(5000, Account::Ours), 1000);
        assert_eq!(peers.by_hash.len(), 1096, "who is not called leaves nothing behind");
    }
}
