//! The network database: the facade that other actors use, in front of the shards.

use crate::messages::{Incoming, RouterInfoReceived};
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use std::future::Future;

/// The way to the database; cheap to clone.
#[derive(Clone)]
pub struct NetDb {}

impl NetDb {
    /// A DatabaseStore message.
    pub fn store(&self, _incoming: Incoming) {}
    /// A DatabaseLookup message.
    pub fn lookup(&self, _incoming: Incoming) {}
    /// A DatabaseSearchReply message.
    pub fn search_reply(&self, _incoming: Incoming) {}
    /// A RouterInfo from a handshake, a transport's block, or a file.
    pub fn router_info(&self, _received: RouterInfoReceived) {}
    /// A RouterInfo of ours, or one that a search in the network brings.
    pub fn find_router(&self, _hash: RouterHash) -> impl Future<Output = Option<RouterInfo>> + use<> + 'static {
        async { None }
    }
}
