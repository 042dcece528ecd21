//! What a shard is told and asked.

use crate::messages::{Incoming, RouterKnown};
use actix::prelude::*;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::store::Standing;

/// A DatabaseStore message, and who bore it. Answered with whether the entry was taken.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct Stored(pub(super) Incoming, pub(super) Bearer);

/// A DatabaseLookup message, and who bore it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Asked(pub(super) Incoming, pub(super) Bearer);

/// A RouterInfo that came otherwise. Answered with whether it was taken.
#[derive(Message)]
#[rtype(result = "bool")]
pub(super) struct Offered {
    pub(super) info: RouterInfo,
    pub(super) from: Option<RouterHash>,
    pub(super) bearer: Bearer,
    pub(super) flood: bool,
    /// Its signature was verified in a handshake.
    pub(super) verified: bool,
}

/// Something has happened with a router.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Met(pub(super) RouterHash, pub(super) Standing);

/// The operator has given us this router, among few others.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Trust(pub(super) RouterHash);

/// Our own RouterInfo, to be given to whoever asks.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Own(pub(super) RouterInfo);

/// What do we have?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Option<Entry>")]
pub(super) enum Get {
    /// The RouterInfo of this router.
    Router(RouterHash),
    /// The LeaseSet under this key.
    LeaseSet(NetDbKey),
}

impl Get {
    /// The key: it says which shard knows.
    pub(super) fn key(self) -> NetDbKey {
        match self {
            Self::Router(router) => router.into(),
            Self::LeaseSet(key) => key,
        }
    }
}

/// What others are told that we have.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub(super) struct Public(pub(super) Get);

/// The RouterInfo of a router, now or as soon as it comes.
#[derive(Message)]
#[rtype(result = "Option<RouterInfo>")]
pub(super) struct Await(pub(super) RouterHash);

/// All routers of this shard, ourselves left out.
#[derive(Message)]
#[rtype(result = "Vec<RouterInfo>")]
pub(super) struct All;

/// Send all routers now, and then each change.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Subscribe(pub(super) Recipient<RouterKnown>);
