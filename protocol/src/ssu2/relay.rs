//! Introductions, in all three roles.
//!
//! ```text
//! Alice               Bob                 Charlie, behind a NAT, who gave out Bob's tag
//!   -- RelayRequest -->
//!                       -- Alice's RI, RelayIntro -->
//!                       <--------- RelayResponse ---  agrees, signs, opens its NAT
//!   <- RelayResponse --
//!   <----------------------------- HolePunch -------  outside, with the same response
//!   --- SessionRequest with the token in it ------->
//! ```
//! The two answers come in either order; Alice calls after the first. Everything signed is verified: Alice's request
//! by Bob and Charlie, the answers by Alice.
//!
//! spec: ssu2 §Relay Process

pub mod message;

mod alice;
mod bob;
mod charlie;

pub use alice::{Failure, Introduction};

use super::block::{Block, Blocks};
use super::directory::{Directory, Me, PerMinute, Tally};
use super::endpoint::Outside;
use super::header::Kind;
use crate::id::RouterHash;
use crate::time::{Mono, Now};
use alice::Asked;
use bob::{Given, Relayed};
use bytes::Bytes;
use charlie::Punching;
use message::{Request, Response};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Which block the machine wants sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// A RelayRequest.
    Request,
    /// A RelayIntro.
    Intro,
    /// A RelayResponse.
    Response,
}

/// What the machine wants.
#[derive(Debug)]
pub enum Output {
    /// A block is to be sent in the session with a router, after the RouterInfo if there is one.
    Block {
        /// The router whose session carries the block.
        to: RouterHash,
        /// Which block.
        kind: BlockKind,
        /// The data of the block.
        data: Vec<u8>,
        /// A RouterInfo that the receiver needs before.
        router_info: Option<Bytes>,
    },
    /// A datagram is to be sent.
    Datagram {
        /// The address that the datagram goes to.
        to: SocketAddr,
        /// The whole datagram, sealed.
        bytes: Vec<u8>,
    },
    /// A router was introduced to us: it is to be called there, with this token.
    Introduced {
        /// The router.
        charlie: RouterHash,
        /// Where it is.
        addr: SocketAddr,
        /// For the SessionRequest.
        token: u64,
    },
    /// An introduction failed.
    Failed {
        /// The router that we wanted.
        charlie: RouterHash,
        /// The router that was to introduce us.
        bob: RouterHash,
        /// What prevented it.
        why: Failure,
    },
    /// A RelayIntro waits for the RouterInfo of this router, which may have come outside of a block.
    NeedRouterInfo(RouterHash),
}

/// Introductions that we relay, or in which we are called, at once.
const MAX_OTHERS: usize = 128;
/// Introductions that we ask for at once.
const MAX_ASKED: usize = 128;
/// Tags that we give out. Those of sessions that ended go first.
pub const MAX_TAGS: usize = 1024;
/// RelayIntros that wait for a RouterInfo.
const MAX_WAITING: usize = 16;
/// How long they wait.
const WAIT: Duration = Duration::from_secs(4);
/// How long an introduction may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one router per minute.
const PER_MINUTE: u32 = 60;

struct Waiting {
    until: Mono,
    alice: RouterHash,
    bob: RouterHash,
    data: Vec<u8>,
}

/// See the module. Caller's duty: after any input drain [`Relay::poll_output`] to `None`, then re-arm one timer from
/// [`Relay::poll_timeout`].
pub struct Relay {
    me: Me,
    rng: ChaCha20Rng,
    /// Our addresses as others see them: IPv4, IPv6.
    addresses: [Option<SocketAddr>; 2],
    asked: FxHashMap<u32, Asked>,
    relayed: FxHashMap<u32, Relayed>,
    punching: FxHashMap<u32, Punching>,
    /// To whom each tag of ours leads, and which tag leads to a router.
    tags: FxHashMap<u32, RouterHash>,
    tag_of: FxHashMap<RouterHash, Given>,
    /// The tags that others gave us.
    introducers: FxHashMap<RouterHash, u32>,
    waiting: Vec<Waiting>,
    per_minute: PerMinute,
    outputs: VecDeque<Output>,
    tally: Tally,
}

impl Relay {
    /// A machine that knows no address of ours yet.
    pub fn new(me: Me, seed: [u8; 32]) -> Self {
        Self {
            me,
            rng: ChaCha20Rng::from_seed(seed),
            addresses: [None; 2],
            asked: FxHashMap::default(),
            relayed: FxHashMap::default(),
            punching: FxHashMap::default(),
            tags: FxHashMap::default(),
            tag_of: FxHashMap::default(),
            introducers: FxHashMap::default(),
            waiting: Vec::new(),
            per_minute: PerMinute::default(),
            outputs: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// Our address of one family as others see it, if we can be reached there at least through a hole.
    pub fn set_address(&mut self, v4: bool, address: Option<SocketAddr>) {
        self.addresses[usize::from(!v4)] = address;
    }

    fn address(&self, v4: bool) -> Option<SocketAddr> {
        self.addresses[usize::from(!v4)]
    }

    /// The session with a router has ended: its tag and its introductions end with it.
    pub fn session_ended(&mut self, router: &RouterHash) {
        self.take_back(router);
        self.introducers.remove(router);
    }

    /// A router gave us a tag in a session: it is an introducer of ours from now on.
    pub fn handle_tag(&mut self, from: &RouterHash, tag: u32) {
        if tag != 0 && (self.introducers.len() < MAX_TAGS || self.introducers.contains_key(from)) {
            self.introducers.insert(*from, tag);
        }
    }

    /// Takes in a RelayRequest from the session with `from`.
    pub fn handle_request(&mut self, now: Now, from: &RouterHash, data: &[u8], directory: &dyn Directory) {
        match Request::parse(data) {
            Ok(request) => self.asked_by_alice(now, from, &request, directory),
            Err(_) => self.tally.count("bob", "malformed"),
        }
    }

    /// Takes in a RelayIntro from the session with `from`.
    pub fn handle_intro(&mut self, now: Now, from: &RouterHash, data: &[u8], directory: &dyn Directory) {
        let Ok(request) = Request::parse_intro(data) else { return self.tally.count("charlie", "malformed") };
        let Some(alice) = request.alice else { return };
        let known = directory.router_info(&alice).is_some();
        if !known && self.waiting.len() < MAX_WAITING {
            // It comes before this block or soon after, in a block or, if it is too long for one, in a DatabaseStore.
            self.outputs.push_back(Output::NeedRouterInfo(alice));
            let waiting = Waiting { until: now.mono + WAIT, alice, bob: *from, data: data.to_vec() };
            return self.waiting.push(waiting);
        }
        self.introduced_by_bob(now, from, &alice, &request, directory);
    }

    /// Takes in a RelayResponse from the session with `from`.
    pub fn handle_response(&mut self, now: Now, from: &RouterHash, data: &[u8], directory: &dyn Directory) {
        let Ok(response) = Response::parse(data) else { return self.tally.count("any", "malformed") };
        if self.relayed.contains_key(&response.agreement.nonce) {
            self.answered_by_charlie(now, from, data, &response);
        } else {
            self.answered_by_bob(now, from, &response, directory);
        }
    }

    /// Takes in a HolePunch from outside any session.
    pub fn handle_outside(&mut self, now: Now, outside: &Outside, directory: &dyn Directory) {
        if outside.header.kind != Kind::HOLE_PUNCH {
            return;
        }
        let mut blocks = Blocks::new(&outside.payload).flatten();
        let data = blocks.find_map(|block| if let Block::RelayResponse(data) = block { Some(data) } else { None });
        let Some(Ok(response)) = data.map(Response::parse) else { return self.tally.count("alice", "malformed") };
        if (outside.header.destination, outside.header.source) != charlie::ids(response.agreement.nonce) {
            return self.tally.count("alice", "ids");
        }
        self.punched(now, outside.from, &response, directory);
    }

    /// A RouterInfo has become known, for which RelayIntros may wait.
    pub fn handle_router_info(&mut self, now: Now, router: &RouterHash, directory: &dyn Directory) {
        let (ready, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.alice == *router);
        self.waiting = waiting;
        ready.iter().for_each(|w| self.handle_intro(now, &w.bob, &w.data, directory));
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, directory: &dyn Directory) {
        self.asked_due(now);
        let before = self.relayed.len();
        self.relayed.retain(|_, r| r.until > now.mono);
        (self.relayed.len()..before).for_each(|_| self.tally.count("bob", "timeout"));
        self.punching_due(now);
        let (over, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.until <= now.mono);
        self.waiting = waiting;
        for w in over {
            if let Ok(request) = Request::parse_intro(&w.data) {
                self.introduced_by_bob(now, &w.bob, &w.alice, &request, directory);
            }
        }
    }

    /// What is to be done next, `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Relay::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let asked = self.asked.values().map(|a| a.until);
        let relayed = self.relayed.values().map(|r| r.until);
        let punching = self.punching.values().map(|p| p.due);
        let waiting = self.waiting.iter().map(|w| w.until);
        asked.chain(relayed).chain(punching).chain(waiting).min()
    }

    /// What was counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Introductions under way: asked for, relayed, answered.
    pub fn pending(&self) -> (usize, usize, usize) {
        (self.asked.len(), self.relayed.len(), self.punching.len())
    }

    /// Tags that we have given out.
    pub fn tags(&self) -> usize {
        self.tags.len()
    }

    fn send_block(&mut self, to: RouterHash, kind: BlockKind, data: Vec<u8>, router_info: Option<Bytes>) {
        self.outputs.push_back(Output::Block { to, kind, data, router_info });
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("pending", &self.pending()).finish_non_exhaustive()
    }
}
