//! What a shard is told and asked.

use crate::messages::{Incoming, RouterKnown};
use actix::prelude::*;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::{NetDbKey, RouterHash};

/// A DatabaseStore message. Answered with whether the entry was taken.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct Stored(pub(super) Incoming);

/// A DatabaseLookup message.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Asked(pub(super) Incoming);

/// A RouterInfo that came otherwise. Answered with whether it was taken.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct Offered {
    pub(super) info: RouterInfo,
    pub(super) from: Option<RouterHash>,
    pub(super) flood: bool,
    /// Its signature was verified in a handshake.
    pub(super) verified: bool,
}

/// Our own RouterInfo, to be given to whoever asks.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Own(pub(super) RouterInfo);

/// What is under a key?
#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub(super) struct Get(pub(super) NetDbKey);

/// What others are told that is under a key.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub(super) struct Public(pub(super) NetDbKey);

/// What is under a key, now or as soon as it comes.
#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub(super) struct Await(pub(super) NetDbKey);

/// All routers of this shard, ourselves left out.
#[derive(Message)]
#[rtype(result = "Vec<RouterInfo>")]
pub(super) struct All;

/// Send all routers now, and then each change.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Subscribe(pub(super) Recipient<RouterKnown>);
