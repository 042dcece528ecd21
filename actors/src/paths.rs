//! The tunnels of one owner that are ready for use, as its pool publishes them.

use arc_swap::ArcSwap;
pub use ramson_protocol::destination::OutboundTunnelRef;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::Mono;
use std::sync::Arc;
use tokio::sync::Notify;

/// Our own tunnels that are ready for use, newest first. The pool publishes a new snapshot with each change.
#[derive(Clone, Debug, Default)]
pub struct OwnTunnels {
    /// Outbound tunnels.
    pub outbound: Vec<OutboundTunnelRef>,
    /// Inbound tunnels.
    pub inbound: Vec<InboundTunnelRef>,
}

/// How others reach one of our inbound tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundTunnelRef {
    /// The number under which its endpoint is installed here.
    pub id: TunnelId,
    /// Its gateway; ourselves if it has no hops.
    pub gateway: RouterHash,
    /// Its number at the gateway.
    pub gateway_tunnel: TunnelId,
    /// When it ends.
    pub expires: Mono,
}

/// The way to the newest snapshot of a pool's tunnels; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    newest: Arc<ArcSwap<OwnTunnels>>,
    changed: Arc<Notify>,
}

impl Paths {
    /// The tunnels as they are now.
    pub fn get(&self) -> Arc<OwnTunnels> {
        self.newest.load_full()
    }

    /// Waits for the next snapshot. One between two calls may be missed: it is for who looks from time to time anyway, to look sooner.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Publishes a new snapshot. Only the pool that owns the tunnels does.
    pub(crate) fn set(&self, tunnels: OwnTunnels) {
        self.newest.store(Arc::new(tunnels));
        self.changed.notify_waiters();
    }
}
