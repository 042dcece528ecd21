//! What passes between the data plane and the control plane.

use crate::established::Established;
use crate::hop::Hop;
use crate::io::Route;
use crate::ssu2::{Adoption, Block, Status};
use bytes::Bytes;
use ramson_protocol::data::router_address::Introducer;
use ramson_protocol::dialing::Transport;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::tunnel::Delivery;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer called us.
    Inbound,
    /// We called the peer.
    Outbound,
}

impl Direction {
    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Inbound => "in",
            Self::Outbound => "out",
        }
    }
}

/// From the data plane. Events leave in batches, at the end of a turn.
#[derive(Debug)]
pub enum Event {
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
        /// The peer's RouterInfo from the handshake; empty on outbound sessions.
        router_info: Bytes,
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
    /// A message came out of one of our own inbound tunnels, or for the local router out of a tunnel that ends here.
    TunnelMessage {
        /// The tunnel it came from.
        tunnel: TunnelId,
        /// True for our own inbound tunnels, false for the outbound endpoints of others.
        own: bool,
        /// The message.
        message: Message,
    },
    /// What peer tests say of our reachability over one address family has changed.
    Reachability {
        /// Over IPv4, or IPv6.
        v4: bool,
        /// The verdict.
        status: Status,
    },
    /// These routers introduce others to us from now on; they are to be published.
    Introducers(Vec<Introducer>),
    /// Messages wait for a session with this router: it must be dialled, or declared unreachable.
    NeedSession(RouterHash),
    /// SSU2 waits for the RouterInfo of this router: it came in a message just now, or comes.
    NeedRouterInfo(RouterHash),
}

/// To an I/O thread.
#[derive(Debug)]
pub enum Command {
    /// Take over a session that the handshake thread made.
    Adopt(Box<Established>),
    /// Take over a session that the SSU2 thread made.
    AdoptSsu2(Box<Adoption>),
    /// Where the datagrams of a session of another thread belong.
    Route(Route),
    /// Send a block of a service in the SSU2 session with a router.
    Ssu2Block(RouterHash, Box<Block>),
    /// Send a message to a router.
    Send {
        /// To whom.
        to: RouterHash,
        /// What.
        message: Message,
    },
    /// Send a message through one of our own outbound tunnels. To the home thread of its first hop.
    SendTunnel {
        /// The tunnel, by the number we gave it.
        gateway: TunnelId,
        /// What the endpoint is to do with it.
        delivery: Delivery,
        /// What.
        message: Message,
    },
    /// Enter a hop into the table.
    InstallHop(Arc<Hop>),
    /// Take a hop out of the table.
    RemoveHop(TunnelId),
    /// No session with this router can be had: drop what waits for it.
    Unreachable(RouterHash),
    /// The NAT in front of us has given us other ports, or with `same_ip` false another address: peers over SSU2 hear
    /// from us at once.
    Rebound {
        /// Whether only the ports are others.
        same_ip: bool,
    },
    /// Our RouterInfo has changed; peers are told by and by.
    AnnounceRouterInfo,
    /// End the session with a peer.
    Close {
        /// With whom.
        peer: RouterHash,
        /// The termination reason to give.
        reason: u8,
    },
    /// End all sessions, then the thread.
    Stop,
}

/// Cells and messages for peers whose home is another thread, handed over in whole batches.
#[derive(Debug, Default)]
pub struct Handoff {
    /// Destination and the message's place in `bytes`.
    pub items: Vec<HandoffItem>,
    /// Bodies, one after the other.
    pub bytes: Vec<u8>,
}

impl Handoff {
    /// Empties it, for its next use.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
    }
}

/// One message of a [`Handoff`].
#[derive(Clone, Copy, Debug)]
pub struct HandoffItem {
    /// To whom.
    pub to: RouterHash,
    /// I2NP type.
    pub kind: u8,
    /// I2NP message id.
    pub id: u32,
    /// Expiration, seconds since 1970.
    pub expiration: u32,
    /// Length of the body.
    pub len: u32,
}

/// Where events go: the control plane implements this. Called from I/O threads, so it must not block.
pub trait EventSink: Send + Sync + 'static {
    /// Takes a batch; gives it back if it has no room.
    ///
    /// # Errors
    /// The batch, which is then dropped and counted.
    fn deliver(&self, events: Vec<Event>) -> Result<(), Vec<Event>>;
}
