//! The handshake thread: accepts and dials, shakes hands, and gives sessions away.
//!
//! ```text
//! accept --limits--> Answering --message 3--> RouterInfo checked --+--> Established, to the peer's I/O thread
//!            |           |                           |             |
//!            |           +--failure--> Silent        +--> Farewell |
//! dial -> Connecting -> Calling --message 3 written--> Handover ---+
//! ```
//!
//! It is one thread beside the I/O threads, so that Diffie-Hellman and signatures never delay a cell. Everything that
//! strangers can make it hold has a limit: half-open connections in all and per address, connections per address and
//! minute, bytes and time per handshake, replay cache. Past a limit the oldest half-open connection makes room.
//!
//! spec: ntcp2 §1) SessionRequest, "DoS Mitigation"

mod bridge;
mod connection;
mod limits;
mod outcome;
mod socket;
mod stats;
mod thread;
mod verify;

pub(crate) use bridge::bridge;
pub use outcome::{Failed, Outcome, Refusal};
pub use stats::{HandshakeCount, HandshakeLabel, HandshakeStats};

use crate::call_from::CallFrom;
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::ports::established::Established;
use arc_swap::ArcSwap;
use bytes::Bytes;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::Gate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::link::padding::PaddingOptions;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the thread is told at its start.
#[derive(Clone)]
pub struct HandshakeConfig {
    /// Where to listen; empty for a router that only calls.
    pub listen: Vec<SocketAddr>,
    /// From where we call.
    pub call_from: Arc<CallFrom>,
    /// Our network.
    pub net_id: u8,
    /// Our own hash.
    pub router: RouterHash,
    /// The private half of `s` in our RouterInfo.
    pub static_key: SecretKey,
    /// `i` in our RouterInfo.
    pub iv: [u8; 16],
    /// Our RouterInfo as on the wire.
    pub router_info: Arc<ArcSwap<Bytes>>,
    /// The padding that we ask for.
    pub padding: PaddingOptions,
    /// What strangers may take of us.
    pub limits: Limits,
    /// Connections at once, sessions included: each has a descriptor.
    pub max_connections: usize,
    /// The clock of all threads.
    pub clock: Clock,
    /// Who is let in.
    pub gate: Arc<dyn Gate>,
}

/// Where sessions and failures go. Called from the handshake thread, so it must not block.
pub trait HandshakeSink: Send + Sync + 'static {
    /// A session stands.
    fn established(&self, session: Box<Established>);
    /// A handshake failed.
    fn failed(&self, failed: Failed);
    /// Descriptors are scarce: so many sessions should give way to newcomers.
    fn crowded(&self, _sessions: usize) {}
    /// The end of a turn: passes on what was told. False if something waits for room, and this is to be called again.
    fn settle(&self) -> bool {
        true
    }
}

/// A router to be called.
#[derive(Clone, Copy, Debug)]
pub struct DialTarget {
    /// Its hash.
    pub peer: RouterHash,
    /// `host` and `port` of its address.
    pub addr: SocketAddr,
    /// `s` of its address.
    pub static_key: PublicKey,
    /// `i` of its address.
    pub iv: [u8; 16],
}

enum Command {
    Dial(DialTarget),
    Stop,
}

/// Commands that may wait for the thread.
const INBOX: usize = 4096;

/// What others hold of the handshake thread.
#[derive(Clone)]
pub struct HandshakeHandle {
    inbox: Inbox<Command>,
    /// What the thread counts.
    pub stats: Arc<HandshakeStats>,
    listening: Arc<[SocketAddr]>,
}

impl HandshakeHandle {
    /// Calls a router. The outcome comes through the sink, except for a router that is being called already. False if
    /// too many commands wait.
    #[must_use]
    pub fn dial(&self, target: DialTarget) -> bool {
        self.inbox.push(Command::Dial(target)).is_ok()
    }

    /// Where the thread listens, with the ports that the system chose for port 0.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Handshakes so far, by direction and outcome.
    pub fn counts(&self) -> Vec<HandshakeCount> {
        self.stats.counts()
    }

    /// Callers that could not be accepted so far.
    pub fn accept_errors(&self) -> u64 {
        self.stats.accept_errors.get()
    }

    /// Closes all listeners and half-open connections and ends the thread.
    pub fn stop(&self) {
        // If 4096 commands wait, they are dials, and one less does not matter.
        while self.inbox.push(Command::Stop).is_err() {
            self.inbox.pop();
        }
    }
}

/// The thread before it runs: its listeners are bound, and nobody is accepted.
pub struct Bound {
    parts: thread::Parts,
    config: HandshakeConfig,
}

/// Binds the listeners.
///
/// # Errors
/// If a listener cannot be bound.
pub fn bind(config: HandshakeConfig) -> io::Result<(Bound, HandshakeHandle)> {
    let (parts, handle) = thread::Parts::bind(&config)?;
    Ok((Bound { parts, config }, handle))
}

impl Bound {
    /// The thread, whose sessions and failures go to `sink`.
    pub(crate) fn take(self, sink: Arc<dyn HandshakeSink>) -> thread::Thread {
        thread::Thread::new(self.parts, self.config, sink)
    }
}

/// Binds the listeners and starts the thread.
///
/// # Errors
/// If a listener cannot be bound or the thread not started.
pub fn spawn(config: HandshakeConfig, sink: Arc<dyn HandshakeSink>) -> io::Result<(HandshakeHandle, JoinHandle<()>)> {
    let (bound, handle) = bind(config)?;
    let thread = bound.take(sink);
    let join = std::thread::Builder::new().name("handshake".to_owned()).spawn(move || {
        if let Err(error) = thread.run() {
            tracing::error!(%error, "the handshake thread has ended");
        }
    })?;
    Ok((handle, join))
}
