//! The tunnels of one owner that are ready for use, as its pool publishes them.

use arc_swap::ArcSwap;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::Mono;
use std::sync::Arc;

/// Our own tunnels that are ready for use, newest first. The pool publishes a new snapshot with each change.
#[derive(Clone, Debug, Default)]
pub struct OwnTunnels {
    /// Outbound tunnels.
    pub outbound: Vec<OutboundTunnelRef>,
    /// Inbound tunnels.
    pub inbound: Vec<InboundTunnelRef>,
}

/// How to send through one of our outbound tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundTunnelRef {
    /// The number under which its gateway is installed here.
    pub id: TunnelId,
    /// Its first hop; ourselves if it has no hops.
    pub first_hop: RouterHash,
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
pub struct Paths(Arc<ArcSwap<OwnTunnels>>);

impl Paths {
    /// The tunnels as they are now.
    pub fn get(&self) -> Arc<OwnTunnels> {
        self.0.load_full()
    }

    /// Publishes a new snapshot. Only the pool that owns the tunnels does.
    pub(crate) fn set(&self, tunnels: OwnTunnels) {
        self.0.store(Arc::new(tunnels));
    }
}
