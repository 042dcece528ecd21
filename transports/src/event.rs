//! What the data plane tells the control plane: news, of which none is lost, and what peers have sent, of which some may be.

use bytes::Bytes;
use ramson_protocol::blame::Charge;
use ramson_protocol::data::router_address::Introducer;
use ramson_protocol::data::router_info::VerifiedRouterInfo;
pub use ramson_protocol::dialing::Direction;
use ramson_protocol::dialing::Transport;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::link::fault::Fault;
use ramson_protocol::ssu2::peer_test::Status;
use std::net::{IpAddr, SocketAddr};

/// What must never be lost: a thread keeps it until the control plane takes it.
#[derive(Debug)]
pub enum News {
    /// A session stands. Its RouterInfo came in the handshake (inbound) and has been checked against the session's keys.
    Connected {
        /// The peer.
        peer: RouterHash,
        /// Who began.
        direction: Direction,
        /// What carries it.
        transport: Transport,
        /// Where the peer is.
        addr: SocketAddr,
        /// The peer's RouterInfo from the handshake; none on outbound sessions.
        router_info: Option<VerifiedRouterInfo>,
        /// How far the peer's clock is ahead of ours, in milliseconds.
        skew_ms: i64,
    },
    /// A dial did not lead to a session.
    ConnectFailed {
        /// The peer.
        peer: RouterHash,
        /// How it was called.
        transport: Transport,
        /// Where it was called.
        addr: SocketAddr,
        /// The reason's label.
        reason: &'static str,
        /// Whose fault it was: with a fault of ours nothing is learnt of the peer.
        fault: Fault,
        /// How far the peer's clock is ahead of ours, in milliseconds, if it said so before the failure.
        skew_ms: Option<i64>,
    },
    /// The last session with a peer has ended.
    Disconnected {
        /// The peer.
        peer: RouterHash,
        /// The termination reason, ours or the peer's.
        reason: u8,
    },
    /// A peer that we called has said where it sees us.
    Seen {
        /// The peer.
        by: RouterHash,
        /// Where it is.
        from: SocketAddr,
        /// Where it sees us.
        at: SocketAddr,
    },
    /// What peer tests say of an address of ours has changed.
    Reachability {
        /// The address.
        address: SocketAddr,
        /// The verdict.
        status: Status,
    },
    /// These routers introduce others to us over one address family from now on; they are to be published.
    Introducers {
        /// Over IPv4, or IPv6.
        v4: bool,
        /// At most three.
        introducers: Vec<Introducer>,
    },
    /// Messages wait for a session with a router: it must be dialled, or declared unreachable. Told again every few seconds
    /// while they wait.
    NeedSession {
        /// The router.
        peer: RouterHash,
        /// One of them is ours; else strangers have caused them all.
        ours: bool,
    },
    /// SSU2 waits for the RouterInfo of this router: it came in a message just now, or comes.
    NeedRouterInfo(RouterHash),
}

/// What came from peers and may be lost, as on the way here. It leaves in batches, at the end of a turn.
#[derive(Debug)]
pub enum Received {
    /// An I2NP message for this router, not from a tunnel.
    Message {
        /// Who sent it.
        from: RouterHash,
        /// The message.
        message: Message,
    },
    /// A peer sent a RouterInfo (its own, as a rule) in a block of the transport.
    RouterInfo {
        /// Who sent it.
        from: RouterHash,
        /// The RouterInfo, unverified.
        bytes: Bytes,
        /// The peer asks a floodfill to flood it.
        flood: bool,
    },
    /// Somebody has broken the rules. What is named here is proven: see [`ramson_protocol::blame`].
    Fault {
        /// The router.
        router: Option<RouterHash>,
        /// The address.
        address: Option<IpAddr>,
        /// What it did.
        charge: Charge,
    },
    /// A message came out of one of our own inbound tunnels, or for the local router out of a tunnel that ends here.
    TunnelMessage {
        /// The tunnel it came from.
        tunnel: TunnelId,
        /// True for our own inbound tunnels, false for the outbound endpoints of others.
        own: bool,
        /// The message.
        message: Message,
    },
}

impl Received {
    /// Its bytes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Message { message, .. } | Self::TunnelMessage { message, .. } => message.body.len(),
                Self::RouterInfo { bytes, .. } => bytes.len(),
                Self::Fault { .. } => 0,
            }
    }
}

/// The control plane as the threads see it. Called from their loops, so nothing here may block.
pub trait EventSink: Send + Sync + 'static {
    /// Takes news. What is given back is offered again.
    ///
    /// # Errors
    /// The batch, if there is no room now.
    fn news(&self, news: Vec<News>) -> Result<(), Vec<News>>;

    /// Takes messages.
    ///
    /// # Errors
    /// The batch, which is then dropped and counted.
    fn received(&self, batch: Vec<Received>) -> Result<(), Vec<Received>>;

    /// True while so much waits that threads should bring less.
    fn is_pressed(&self) -> bool {
        false
    }

    /// A thread has ended though nobody asked it to.
    fn thread_ended(&self, _name: &str) {}
}

/// A control plane for tests: takes all, and does nothing with it.
#[cfg(test)]
pub(crate) struct Deaf;

#[cfg(test)]
impl EventSink for Deaf {
    fn news(&self, _: Vec<News>) -> Result<(), Vec<News>> {
        Ok(())
    }

    fn received(&self, _: Vec<Received>) -> Result<(), Vec<Received>> {
        Ok(())
    }
}
