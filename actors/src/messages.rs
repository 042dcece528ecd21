//! What actors say to each other across module boundaries. Messages of one module's own actors stand beside them.

use actix::prelude::*;
use bytes::Bytes;
use ramson_protocol::blame::Charge;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::i2np::Message as I2np;
use ramson_protocol::i2np::ways::{Owner, Way};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_transports::account::Account;
use std::net::IpAddr;

/// What bore a message of others to us: this much is proven, also of what is in garlic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The session of this router.
    Session(RouterHash),
    /// Somebody's outbound tunnel that ends here.
    Tunnel(TunnelId),
}

/// By what way a message reached us: it decides what the message may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a router over its session.
    Direct(RouterHash),
    /// For us, out of somebody's outbound tunnel that ends here. Nobody knows who sent it.
    Endpoint(TunnelId),
    /// Out of a garlic message that only we could open, and that came by one of the ways above.
    Garlic(By),
    /// Out of an inbound tunnel of ours, which belongs to this owner. Nobody knows who sent it.
    OwnTunnel(TunnelId, Owner),
    /// Out of garlic that came out of such a tunnel.
    OwnGarlic(TunnelId, Owner),
}

impl Origin {
    /// The way without its particulars.
    pub fn way(self) -> Way {
        match self {
            Self::Direct(_) => Way::Direct,
            Self::Endpoint(_) => Way::Endpoint,
            Self::Garlic(_) => Way::Garlic,
            Self::OwnTunnel(_, owner) => Way::OwnTunnel(owner),
            Self::OwnGarlic(_, owner) => Way::OwnGarlic(owner),
        }
    }

    /// The tunnel of ours that it came out of.
    pub fn own_tunnel(self) -> Option<TunnelId> {
        match self {
            Self::OwnTunnel(tunnel, _) | Self::OwnGarlic(tunnel, _) => Some(tunnel),
            Self::Direct(_) | Self::Endpoint(_) | Self::Garlic(_) => None,
        }
    }

    /// The router whose session it came over, if nothing hides it.
    pub fn router(self) -> Option<RouterHash> {
        if let Self::Direct(router) = self { Some(router) } else { None }
    }

    /// On whose account we send what we send because of it.
    pub(crate) fn account(self) -> Account {
        match self {
            Self::Direct(router) | Self::Garlic(By::Session(router)) => Account::Router(router),
            Self::Endpoint(tunnel) | Self::Garlic(By::Tunnel(tunnel)) => Account::Tunnel(tunnel),
            Self::OwnTunnel(..) | Self::OwnGarlic(..) => Account::Ours,
        }
    }

    /// By what way the cloves of a garlic message come.
    pub(crate) fn inside(self) -> Self {
        match self {
            Self::OwnTunnel(tunnel, owner) | Self::OwnGarlic(tunnel, owner) => Self::OwnGarlic(tunnel, owner),
            Self::Direct(router) => Self::Garlic(By::Session(router)),
            Self::Endpoint(tunnel) => Self::Garlic(By::Tunnel(tunnel)),
            Self::Garlic(by) => Self::Garlic(by),
        }
    }

    /// What bore it to us, whoever made it; `None` out of tunnels of our own.
    pub fn by(self) -> Option<By> {
        match self {
            Self::Direct(router) => Some(By::Session(router)),
            Self::Endpoint(tunnel) => Some(By::Tunnel(tunnel)),
            Self::Garlic(by) => Some(by),
            Self::OwnTunnel(..) | Self::OwnGarlic(..) => None,
        }
    }
}

/// An I2NP message for the actor that handles its type.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Incoming {
    /// The way on which it came.
    pub origin: Origin,
    /// The message, its expiration checked.
    pub message: I2np,
}

/// Something that an actor waits for, by what identifies it on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// A DeliveryStatus that names this message.
    Delivery(MessageId),
    /// A tunnel build message or build reply with this message id.
    BuildReply(MessageId),
}

/// What was expected has come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arrived {
    /// What was waited for.
    pub token: Token,
    /// The way on which it came.
    pub origin: Origin,
    /// The message.
    pub message: I2np,
}

/// News of a peer for whoever keeps profiles or tunnels.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum PeerNews {
    /// A session stands.
    Up {
        /// With this router.
        peer: RouterHash,
        /// It is where it says that it is: we have called it there, or it has called us from there.
        proven: bool,
    },
    /// The last session has ended.
    Down(RouterHash),
    /// It could not be reached.
    Unreachable(RouterHash),
}

/// Somebody has broken the rules, and it is proven that it was this router, or this address.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Charged {
    /// The router.
    pub(crate) router: Option<RouterHash>,
    /// The address.
    pub(crate) address: Option<IpAddr>,
    /// What it did.
    pub(crate) charge: Charge,
}

/// A RouterInfo from outside, not yet verified.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct RouterInfoReceived {
    /// Who sent it; `None` for files.
    pub from: Option<RouterHash>,
    /// The bytes.
    pub bytes: Bytes,
    /// The sender asks that we flood it.
    pub flood: bool,
}

/// What the database knows has changed.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum RouterKnown {
    /// A router is new, or has a new RouterInfo; verified.
    Learned(RouterInfo),
    /// A router is no longer in the database.
    Forgotten(RouterHash),
    /// The operator has given us this router, among few others.
    Trusted(RouterHash),
}

/// The blocklist has changed: part with those who are on it now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Recheck;

/// Stop what you do, hand back what runs: the router ends.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;
