//! The SSU2 thread: all of SSU2 that is no established session.
//!
//! ```text
//!             datagrams with the id of a session                     (other threads' go there, in batches)
//! sockets --> I/O thread -----------------------> session
//!                |  all others, in batches           ^ adopted by its home thread; the others learn the way there
//!                v                                   |
//!           SSU2 thread: tokens, handshakes ---------+
//! ```
//! It is one thread beside the I/O threads, for the same reason as the handshake thread of NTCP2: Diffie-Hellman and
//! signatures never delay a cell. It reads no socket of its own; what it sends goes out by sockets that share their
//! ports with those of the I/O threads, but receive nothing.

mod book;
pub(crate) mod datagrams;
mod services;
mod thread;

use crate::clock::Clock;
use crate::event::EventSink;
use crate::inbox::Inbox;
use crate::io::{IoHandle, Udp};
use crate::udp::{self, Socket};
use arc_swap::ArcSwap;
use bytes::Bytes;
use datagrams::Datagrams;
use parking_lot::Mutex;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use ramson_protocol::data::router_address::Introducer;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
pub use ramson_protocol::ssu2::directory::Tally;
pub use ramson_protocol::ssu2::endpoint::Stats as EndpointStats;
pub use ramson_protocol::ssu2::endpoint::{Gate, Limits, OpenGate};
use ramson_protocol::ssu2::established::Established;
pub use ramson_protocol::ssu2::peer_test::Status;
use ramson_protocol::ssu2::session;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use thread::Seat;

/// What SSU2 is told at its start.
pub struct Ssu2Config {
    /// The private half of `s` in our RouterInfo.
    pub static_key: SecretKey,
    /// `i` in our RouterInfo.
    pub intro_key: [u8; 32],
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// The largest IP packet that the line takes, 1280 to 1500.
    pub mtu: u16,
    /// Whether the kernel may cut what we send into datagrams, where it can.
    pub segmentation_offload: bool,
    /// What strangers may take of us.
    pub limits: Limits,
    /// Who is let in.
    pub gate: Box<dyn Gate>,
    /// When silent sessions of SSU2 are closed.
    pub idle_close: Duration,
    /// Where the tokens are kept that peers gave us, if anywhere.
    pub tokens: Option<PathBuf>,
    /// Who we are to those whom we test and introduce.
    pub services: Services,
}

/// What peer tests and introductions need.
pub struct Services {
    /// Our network.
    pub net_id: u8,
    /// Our identity, which signs.
    pub keys: Arc<RouterKeys>,
    /// Whether reserved addresses are as good as public ones.
    pub allow_private: bool,
    /// The addresses that we publish. In a family without any we let ourselves be introduced.
    pub publish: Vec<SocketAddr>,
}

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
    /// Our RouterInfo has changed.
    RouterInfo,
    /// End.
    Stop,
}

/// Batches and commands that may wait for the thread.
const INBOX: usize = 4096;

/// What others hold of the thread.
#[derive(Clone)]
pub(crate) struct Ssu2Handle {
    inbox: Inbox<Input>,
    stats: Arc<Mutex<Stats>>,
}

impl Ssu2Handle {
    /// Of a thread that never runs.
    #[cfg(test)]
    pub(crate) fn deaf() -> Self {
        Seat::new().unwrap().handle()
    }

    /// Hands the thread something; false if it does not keep up.
    #[must_use]
    pub(crate) fn push(&self, input: Input) -> bool {
        self.inbox.push(input).is_ok()
    }

    /// What it has counted, at most a second ago.
    pub(crate) fn stats(&self) -> Stats {
        self.stats.lock().clone()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        while self.inbox.push(Input::Stop).is_err() {
            self.inbox.pop();
        }
    }
}

/// What the thread shares with the rest of the data plane.
pub(crate) struct Around {
    pub(crate) router: RouterHash,
    pub(crate) net_id: u8,
    pub(crate) router_info: Arc<ArcSwap<Bytes>>,
    pub(crate) clock: Clock,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) io: Vec<IoHandle>,
}

/// SSU2 as it runs.
pub(crate) struct Started {
    /// What each I/O thread has of it, in their order.
    pub(crate) udp: Vec<Option<Box<Udp>>>,
    pub(crate) handle: Ssu2Handle,
    pub(crate) thread: JoinHandle<()>,
}

/// Binds the sockets and starts the thread.
///
/// # Errors
/// If an address cannot be had, or the thread not be started.
pub(crate) fn start(config: Ssu2Config, around: Around) -> io::Result<Started> {
    let seat = Seat::new()?;
    let handle = seat.handle();
    let sockets = udp::bind(&config.listen, around.io.len())?;
    // What is sent outside of sessions goes out by the sockets of the first thread, which need not know.
    let offload = config.segmentation_offload;
    let prepare = |socket| Socket::new(socket, offload);
    let ours = sockets.iter().take(1).flatten().map(|s| prepare(s.try_clone()?)).collect::<io::Result<Vec<_>>>()?;
    let session = session::Config { idle: config.idle_close, ..session::Config::default() };
    let mut all = Vec::new();
    for sockets in sockets {
        let sockets = sockets.into_iter().map(prepare).collect::<io::Result<Vec<_>>>()?;
        let udp = Udp::new(sockets, config.intro_key, session, around.io.len(), handle.clone());
        all.push(Some(Box::new(udp)));
    }
    let thread = seat.take(config, ours, around);
    let thread = std::thread::Builder::new().name("ssu2".to_owned()).spawn(move || {
        if let Err(error) = thread.run() {
            tracing::error!(%error, "the SSU2 thread has ended");
        }
    })?;
    Ok(Started { udp: all, handle, thread })
}
