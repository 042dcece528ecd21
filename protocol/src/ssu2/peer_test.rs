//! Tests of reachability, in all three roles.
//!
//! ```text
//! Alice            Bob              Charlie
//!   -- 1: test me -->                             in sessions
//!                    -- Alice's RI, 2 -->
//!                    <------------- 3 ---  Charlie agrees and signs
//!   <- Charlie's RI, 4
//!   <--------------------------------- 5 ---      outside: arrives if Alice is reachable
//!   --- 6 --------------------------------->      opens Alice's NAT, if there is one
//!   <--------------------------------- 7 ---      with Alice's address as Charlie sees it
//! ```
//! 4 and 5 come in either order. If 5 does not come, Alice sends 6 some seconds after 4.
//!
//! Everything signed is verified by everybody: Alice's request by Bob and Charlie, Charlie's agreement by Bob and
//! Alice. Every role has limits, and no test makes a loop: Alice, Bob and Charlie are three.
//!
//! spec: ssu2 §Peer Test Process, §PeerTest, §Peer Test (Type 7)

pub mod message;
pub mod status;

mod alice;
mod bob;
mod charlie;

use super::block::{Block, Blocks};
use super::directory::{Directory, Me, PerMinute, Tally};
use super::endpoint::Outside;
use super::header::{Kind, Long, MaskKey, VERSION};
use super::initiator::{pad, push, timed_payload};
use super::message::seal;
use crate::id::RouterHash;
use crate::time::{Mono, Now};
use alice::Own;
use bob::Relayed;
use bytes::Bytes;
use charlie::Called;
use message::{Message, Test};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use status::Judge;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// What is known of our reachability over one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing yet.
    #[default]
    Unknown,
    /// Strangers reach us.
    Ok,
    /// Only those reach us to whom we have sent.
    Firewalled,
    /// As that, and every one of them sees another address of ours: introductions do not help.
    SymmetricNat,
}

impl Status {
    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Firewalled => "firewalled",
            Self::SymmetricNat => "symmetric_nat",
        }
    }
}

/// What the machine wants.
#[derive(Debug)]
pub enum Output {
    /// A PeerTest block is to be sent in the session with a router, after the RouterInfo if there is one.
    Block {
        /// The router whose session carries the block.
        to: RouterHash,
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
    /// The verdict over one address family has changed.
    Status {
        /// Our address that was tested.
        address: SocketAddr,
        /// Whether we can be reached there.
        status: Status,
        /// Our address as Charlie saw it.
        seen: Option<SocketAddr>,
    },
    /// A message waits for the RouterInfo of this router, which may have come outside of a block.
    NeedRouterInfo(RouterHash),
}

/// Tests that we relay, or in which we call, at once.
const MAX_OTHERS: usize = 64;
/// Messages that wait for a RouterInfo.
const MAX_WAITING: usize = 16;
/// How long they wait.
const WAIT: Duration = Duration::from_secs(4);
/// Requests of one router per minute.
const PER_MINUTE: u32 = 6;

/// A message whose router is not known yet; its RouterInfo may be under way.
struct Waiting {
    until: Mono,
    router: RouterHash,
    from: RouterHash,
    data: Vec<u8>,
}

/// See the module. Caller's duty: after any input drain [`PeerTests::poll_output`] to `None`, then re-arm one timer from
/// [`PeerTests::poll_timeout`].
pub struct PeerTests {
    me: Me,
    rng: ChaCha20Rng,
    /// Our address to be tested, and what is thought of it: IPv4, IPv6.
    families: [Family; 2],
    relayed: FxHashMap<u32, Relayed>,
    called: FxHashMap<u32, Called>,
    waiting: Vec<Waiting>,
    /// Where our messages 6 went, and when.
    holes: VecDeque<(SocketAddr, Mono)>,
    asked: PerMinute,
    outputs: VecDeque<Output>,
    tally: Tally,
}

/// One address family of ours.
#[derive(Default)]
struct Family {
    address: Option<SocketAddr>,
    judge: Judge,
    own: Option<Own>,
    next: Mono,
    /// Who relayed our last test.
    last_network: Option<u64>,
}

fn index(v4: bool) -> usize {
    usize::from(!v4)
}

impl PeerTests {
    /// A machine that knows no address of ours yet.
    pub fn new(me: Me, seed: [u8; 32]) -> Self {
        Self {
            me,
            rng: ChaCha20Rng::from_seed(seed),
            families: Default::default(),
            relayed: FxHashMap::default(),
            called: FxHashMap::default(),
            waiting: Vec::new(),
            holes: VecDeque::new(),
            asked: PerMinute::default(),
            outputs: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// Our address of one family: what we publish, or might. Another than before makes everything known of it void;
    /// `None` ends the testing. Tests begin soon.
    pub fn set_address(&mut self, now: Now, v4: bool, address: Option<SocketAddr>) {
        let family = &mut self.families[index(v4)];
        if family.address != address {
            family.judge.reset();
            family.own = None;
            family.next = now.mono;
        }
        family.address = address;
    }

    /// The next test of a family is due now.
    pub fn retest(&mut self, now: Now, v4: bool) {
        self.families[index(v4)].next = now.mono;
    }

    /// What is thought of one address family, and why.
    pub fn judge(&self, v4: bool) -> &Judge {
        &self.families[index(v4)].judge
    }

    /// What was counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes in a PeerTest block from the session with `from`, which is at `addr`.
    pub fn handle_block(
        &mut self,
        now: Now,
        from: &RouterHash,
        addr: SocketAddr,
        data: &[u8],
        directory: &dyn Directory,
    ) {
        let Ok(message) = Message::parse(data) else { return self.tally.count("any", "malformed") };
        if message.test.version != message::VERSION {
            return self.tally.count("any", "version");
        }
        match message.number {
            1 => self.asked_by_alice(now, from, addr, &message, directory),
            2 => self.called_by_bob(now, from, data, &message, directory),
            3 => self.agreed_by_charlie(now, from, &message, directory),
            4 => self.answered_by_bob(now, from, data, &message, directory),
            _ => self.tally.count("any", "in_session"),
        }
    }

    /// Takes in a PeerTest from outside any session.
    pub fn handle_outside(&mut self, now: Now, outside: &Outside) {
        if outside.header.kind != Kind::PEER_TEST {
            return;
        }
        let mut address = None;
        let mut data = None;
        for block in Blocks::new(&outside.payload).flatten() {
            match block {
                Block::Address(seen) => address = Some(seen),
                Block::PeerTest(found) => data = Some(found),
                _ => {}
            }
        }
        let Some(Ok(message)) = data.map(Message::parse) else { return self.tally.count("any", "malformed") };
        let nonce = message.test.nonce;
        let to_alice = matches!(message.number, 5 | 7);
        if (outside.header.destination, outside.header.source) != ids(nonce, to_alice) {
            return self.tally.count("any", "ids");
        }
        match message.number {
            5 | 7 => self.heard_charlie(now, outside.from, message.number, nonce, address),
            6 => self.heard_alice(now, outside.from, nonce),
            _ => self.tally.count("any", "outside"),
        }
    }

    /// A RouterInfo has become known, for which messages may wait.
    pub fn handle_router_info(&mut self, now: Now, router: &RouterHash, directory: &dyn Directory) {
        let (ready, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.router == *router);
        self.waiting = waiting;
        let ready: Vec<Waiting> = ready;
        for message in ready {
            // Messages 2 and 4 do not depend on where their sender is.
            self.handle_block(now, &message.from, SocketAddr::from(([0; 4], 0)), &message.data, directory);
        }
    }

    /// Keeps a message until the RouterInfo comes. False if too many wait, or it has waited before.
    fn wait_for(&mut self, now: Now, router: RouterHash, from: &RouterHash, data: &[u8]) -> bool {
        let room = self.waiting.len() < MAX_WAITING;
        if room {
            self.waiting.push(Waiting { until: now.mono + WAIT, router, from: *from, data: data.to_vec() });
            self.outputs.push_back(Output::NeedRouterInfo(router));
        }
        room
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, directory: &dyn Directory) {
        for v4 in [true, false] {
            self.own_due(now, v4, directory);
        }
        self.relayed.retain(|_, test| {
            let alive = test.until > now.mono;
            if !alive {
                self.tally.count("bob", "timeout");
            }
            alive
        });
        self.called_due(now);
        let (over, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.until <= now.mono);
        self.waiting = waiting;
        over.iter().for_each(|w| self.router_unknown(now, &w.from, &w.data));
    }

    /// What is to be done next, `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`PeerTests::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let own = self.families.iter().filter(|f| f.address.is_some());
        let own = own.map(|f| f.own.as_ref().map_or(f.next, |own| own.due));
        let relayed = self.relayed.values().map(|t| t.until);
        let called = self.called.values().map(|t| t.due);
        let waiting = self.waiting.iter().map(|w| w.until);
        own.chain(relayed).chain(called).chain(waiting).min()
    }

    /// Tests of others that we take part in now: relayed, called.
    pub fn others(&self) -> (usize, usize) {
        (self.relayed.len(), self.called.len())
    }

    fn send_block(&mut self, to: RouterHash, message: &Message<'_>, router_info: Option<Bytes>) {
        self.outputs.push_back(Output::Block { to, data: message.to_bytes(), router_info });
    }

    /// A message outside any session.
    fn send_outside(&mut self, now: Now, to: SocketAddr, intro: &MaskKey, message: &Message<'_>, seen: bool) {
        let (destination, source) = ids(message.test.nonce, matches!(message.number, 5 | 7));
        let header = Long {
            destination,
            number: self.rng.next_u32(),
            kind: Kind::PEER_TEST,
            version: VERSION,
            net_id: self.me.net_id,
            flag: 0,
            source,
            token: self.rng.next_u64(),
        };
        let mut payload = timed_payload(now);
        if seen {
            push(&mut payload, &Block::Address(to));
        }
        push(&mut payload, &Block::PeerTest(&message.to_bytes()));
        pad(&mut payload, &mut self.rng);
        self.outputs.push_back(Output::Datagram { to, bytes: seal(&header, &payload, intro) });
    }
}

impl std::fmt::Debug for PeerTests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerTests").field("relayed", &self.relayed.len()).finish_non_exhaustive()
    }
}

/// Destination and source id of a message outside any session: the nonce twice, and the inverse of that.
///
/// spec: ssu2 §Peer Test (Type 7)
fn ids(nonce: u32, to_alice: bool) -> (u64, u64) {
    let twice = u64::from(nonce) << 32 | u64::from(nonce);
    if to_alice { (twice, !twice) } else { (!twice, twice) }
}

/// A message with the same signed part as another.
fn with<'a>(number: u8, test: Test, signed: &'a [u8], signature: &'a [u8]) -> Message<'a> {
    Message { number, code: message::Code::ACCEPT, router: None, test, signed, signature }
}
