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

mod known_routers;
mod services;
mod thread;

use crate::call_from::CallFrom;
use crate::clock::Clock;
use crate::event::EventSink;
use crate::live;
use crate::ports::io::IoHandle;
pub use crate::ports::ssu2::{Standing, Stats};
use arc_swap::ArcSwap;
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::Gate;
use ramson_protocol::link::limits::Limits;
pub use ramson_protocol::ssu2::directory::Tally;
pub use ramson_protocol::ssu2::endpoint::Stats as EndpointStats;
pub use ramson_protocol::ssu2::peer_test::Status;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
pub(crate) use thread::UnstartedSsu2Thread;

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
    /// What may change later.
    pub live: live::Settings,
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
    /// How we stand towards callers, over IPv4 and IPv6.
    pub standing: [Standing; 2],
}

/// What the thread shares with the rest of the data plane.
pub(crate) struct ThreadContext {
    pub(crate) router: RouterHash,
    pub(crate) net_id: u8,
    pub(crate) router_info: Arc<ArcSwap<Bytes>>,
    pub(crate) clock: Clock,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) io: Vec<IoHandle>,
    pub(crate) call_from: Arc<CallFrom>,
}
