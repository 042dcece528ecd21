//! What other threads hold of the SSU2 thread, and what it hands to the I/O threads.

use super::datagrams::Datagrams;
use crate::inbox::Inbox;
use bytes::Bytes;
use mio::Waker;
use parking_lot::Mutex;
use ramson_crypto::x25519::PublicKey;
use ramson_protocol::data::router_address::Introducer;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::ssu2::directory::Tally;
use ramson_protocol::ssu2::endpoint::Stats as EndpointStats;
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::peer_test::Status;
use std::net::SocketAddr;
use std::sync::Arc;

/// What SSU2 has counted outside of sessions.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Handshakes, and datagrams of strangers.
    pub endpoint: EndpointStats,
    /// Peer tests, by role and event.
    pub tests: Tally,
    /// Introductions, by role and event.
    pub introductions: Tally,
    /// What is thought of our reachability over IPv4 and IPv6.
    pub reachability: [Status; 2],
    /// Routers that introduce others to us.
    pub introducers: usize,
    /// Routers whom we introduce to others.
    pub tags: usize,
}

/// A block of a service, for a session.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its type.
    pub(crate) kind: u8,
    /// Its data.
    pub(crate) data: Vec<u8>,
    /// A RouterInfo that the receiver needs before it.
    pub(crate) router_info: Option<Bytes>,
}

/// A session on its way to its I/O thread.
#[derive(Debug)]
pub struct Adoption {
    pub(crate) established: Box<Established>,
    /// For the peer's next session with us, and the second at which it expires.
    pub(crate) token: (u64, u32),
    /// Whether it must keep a NAT in front of us open.
    pub(crate) behind_nat: bool,
}

/// A router to be called.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) peer: RouterHash,
    pub(crate) static_key: PublicKey,
    pub(crate) intro_key: [u8; 32],
    pub(crate) mtu: u16,
    pub(crate) info: RouterInfo,
    /// We want it ourselves: so we do its introducers.
    pub(crate) ours: bool,
}

/// How we stand towards callers in one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// IPv4, or IPv6.
    pub v4: bool,
    /// We publish an address of this family. Without one we let ourselves be introduced.
    pub published: bool,
    /// What peers are to test, whether or not it is published.
    pub tested: Option<SocketAddr>,
    /// Where those reach us who are introduced: what peers see.
    pub seen: Option<SocketAddr>,
}

/// What arrives in the thread's inbox.
#[derive(Debug)]
pub(crate) enum Input {
    /// Datagrams that belong to no session.
    Strangers(Datagrams),
    /// Call a router at its address.
    Dial(Target, SocketAddr),
    /// Call a router by way of others.
    Introduce(Target, Vec<Introducer>),
    /// A block of a service came in the session with a router.
    Block(RouterHash, u8, Vec<u8>),
    /// A RouterInfo came in a session.
    Info(Vec<u8>),
    /// A peer says where it sees us.
    Seen(RouterHash, SocketAddr),
    /// The peer of this session has moved.
    Moved(RouterHash, u64, SocketAddr),
    /// A session has ended.
    Down(RouterHash, u64),
    /// A token for our next session with a router at this address, and the second at which it expires.
    Token(SocketAddr, u64, u32),
    /// How we stand towards callers in one address family has changed.
    Standing(Standing),
    /// Have our address of this family tested soon: IPv4, or IPv6.
    Test {
        /// Of IPv4, or of IPv6.
        v4: bool,
    },
    /// Our RouterInfo has changed.
    RouterInfo,
    /// End the thread.
    Stop,
}

/// Batches of strangers' datagrams and blocks of services that may wait for the thread.
const INBOX: usize = 4096;

/// Calls and the ends of sessions that may wait, which nothing of strangers pushes out.
const FIRST: usize = 16 * 1024;

/// What others hold of the thread.
#[derive(Clone)]
pub(crate) struct Ssu2Handle {
    pub(crate) inbox: Inbox<Input>,
    pub(crate) stats: Arc<Mutex<Stats>>,
}

impl Ssu2Handle {
    /// The handle of a thread that `waker` wakes.
    pub(crate) fn new(waker: Waker) -> Self {
        Self { inbox: Inbox::with_first(INBOX, FIRST, waker), stats: Arc::default() }
    }

    /// Of a thread that never runs.
    #[cfg(test)]
    pub(crate) fn deaf() -> Self {
        let poll = mio::Poll::new().unwrap();
        Self::new(Waker::new(poll.registry(), mio::Token(0)).unwrap())
    }

    /// Hands the thread something; false if it does not keep up.
    #[must_use]
    pub(crate) fn push(&self, input: Input) -> bool {
        let may_be_lost = match input {
            Input::Strangers(_) | Input::Block(..) | Input::Info(_) | Input::Seen(..) | Input::Token(..) => true,
            Input::Dial(..)
            | Input::Introduce(..)
            | Input::Moved(..)
            | Input::Down(..)
            | Input::Standing(_)
            | Input::Test { .. }
            | Input::RouterInfo
            | Input::Stop => false,
        };
        if may_be_lost { self.inbox.push(input).is_ok() } else { self.inbox.push_first(input).is_ok() }
    }

    /// What it has counted, at most a second ago.
    pub(crate) fn stats(&self) -> Stats {
        self.stats.lock().clone()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        while self.inbox.push_first(Input::Stop).is_err() {
            self.inbox.pop();
        }
    }
}

/// Where the datagrams with this connection id belong.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The connection id that they bear.
    pub id: u64,
    /// The thread of the session; `None` once it has ended.
    pub thread: Option<usize>,
}
