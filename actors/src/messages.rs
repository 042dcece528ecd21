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

/// By what way a message reached us: it decides what the message may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a router over its session.
    Direct(RouterHash),
    /// For us, out of somebody's outbound tunnel that ends here. Nobody knows who sent it.
    Endpoint(TunnelId),
    /// Out of a garlic message that only we could open, and that came by one of the ways above.
    Garlic,
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
            Self::Garlic => Way::Garlic,
            Self::OwnTunnel(_, owner) => Way::OwnTunnel(owner),
            Self::OwnGarlic(_, owner) => Way::OwnGarlic(owner),
        }
    }

    /// The tunnel of ours that it came out of.
    pub fn own_tunnel(self) -> Option<TunnelId> {
        match self {
            Self::OwnTunnel(tunnel, _) | Self::OwnGarlic(tunnel, _) => Some(tunnel),
            Self::Direct(_) | Self::Endpoint(_) | Self::Garlic => None,
        }
    }

    /// The router whose session it came over, if nothing hides it.
    pub fn router(self) -> Option<RouterHash> {
        if let Self::Direct(router) = self { Some(router) } else { None }
    }

    /// On whose account we send what we send because of it.
    pub(crate) fn account(self) -> Account {
        match self {
            Self::Direct(router) => Account::Router(router),
            Self::Endpoint(tunnel) => Account::Tunnel(tunnel),
            Self::Garlic => Account::Strangers,
            Self::OwnTunnel(..) | Self::OwnGarlic(..) => Account::Ours,
        }
    }

    /// By what way the cloves of a garlic message come.
    pub(crate) fn inside(self) -> Self {
        match self {
            Self::OwnTunnel(tunnel, owner) | Self::OwnGarlic(tunnel, owner) => Self::OwnGarlic(tunnel, owner),
            Self::Direct(_) | Self::Endpoint(_) | Self::Garlic => Self::Garlic,
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
    Up(RouterHash),
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
}

/// The blocklist has changed: part with those who are on it now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Recheck;

/// Stop what you do, hand back what runs: the router ends.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;
