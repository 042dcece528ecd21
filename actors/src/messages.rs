//! What actors say to each other across module boundaries. Messages of one module's own actors stand beside them.

use crate::mailbox::Mailbox;
use actix::prelude::*;
use bytes::Bytes;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::i2np::Message as I2np;
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use std::time::Duration;

/// By what way a message reached us: it decides what the message may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a router over its session.
    Direct(RouterHash),
    /// Out of one of our own inbound tunnels. Nobody knows who sent it.
    OwnTunnel(TunnelId),
    /// For us, out of somebody's outbound tunnel that ends here.
    Endpoint(TunnelId),
    /// Out of a garlic message that only we could open.
    Garlic,
}

/// An I2NP message for the actor that handles its type.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Incoming {
    /// By what way.
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

/// To the switch: hand `token` to `to` when it comes, once.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Expect {
    /// What.
    pub token: Token,
    /// Who wants it.
    pub to: Recipient<Arrived>,
    /// Where it is counted.
    pub mailbox: Mailbox,
    /// For how long.
    pub within: Duration,
}

/// To the switch: garlic with this tag is sealed under this key, once or as often as its tags say.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ExpectGarlic {
    /// The eight bytes in front of the message.
    pub tag: [u8; 8],
    /// The key.
    pub key: [u8; 32],
    /// For how long.
    pub within: Duration,
}

/// From the switch: what was expected has come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arrived {
    /// What.
    pub token: Token,
    /// By what way.
    pub origin: Origin,
    /// The message.
    pub message: I2np,
}

/// A session stands.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SessionUp {
    /// With whom.
    pub peer: RouterHash,
    /// True if the peer called.
    pub inbound: bool,
}

/// The last session with a router has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct SessionDown {
    /// With whom.
    pub peer: RouterHash,
}

/// A router could not be reached.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct DialFailed {
    /// Who.
    pub peer: RouterHash,
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
