//! One tunnel of our own, from the moment that its hop stands in the data plane to its end.
//!
//! State owned: the tunnel's hop, which goes with its actor. In: [`End`]. Out: nothing. The pool tells each when it
//! ends; if it does not, a tunnel ends by itself with its lifetime.

use crate::drops::ControlDrop;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{DestinationId, RouterHash, TunnelId};
use ramson_transports::hop::{Hop, HopKind, NextHop};
use std::sync::Arc;
use std::time::Duration;

/// How long a hop is kept at most: a tunnel's life, and what hops of other makes add to it.
const KEEP: Duration = Duration::from_secs(660);

/// The client thread on which tunnels of this owner end, and the destination that gets what comes out of them.
fn place(shared: &Shared, owner: Owner) -> (usize, Option<DestinationId>) {
    match owner {
        Owner::Router => (0, None),
        Owner::Destination(id) => (shared.clients().thread_of(id), Some(id)),
    }
}

/// A number of ours with its hop in the data plane and its end in the client plane; all are given back on drop.
pub(super) struct Installed {
    id: TunnelId,
    hop: Option<Arc<Hop>>,
    shared: Shared,
}

impl Installed {
    /// Installs under `id`, which was reserved before. No kind if the client plane did not take the tunnel.
    fn new(shared: &Shared, id: TunnelId, kind: Option<HopKind>, previous: Option<RouterHash>) -> Self {
        let hop = kind.map(|kind| Arc::new(Hop::new(id, kind, previous)));
        if !hop.as_ref().is_some_and(|hop| shared.transports().install(hop)) {
            // A thread that does not keep up does not know the tunnel: the first test will find out.
            ControlDrop::HopInstall.count();
        }
        Self { id, hop, shared: shared.clone() }
    }

    /// The endpoint of a tunnel without hops: messages come to it from everybody, directly.
    pub(super) fn without_hops(shared: &Shared, owner: Owner) -> Self {
        Self::new(shared, shared.tunnel_ids().reserve(owner), Some(HopKind::InboundWithoutHops), None)
    }

    /// The number.
    pub(super) fn id(&self) -> TunnelId {
        self.id
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if let Some(hop) = &self.hop {
            self.shared.transports().remove(hop);
        }
        self.shared.clients().close(self.id);
        self.shared.tunnel_ids().release(self.id);
    }
}

/// To a tunnel: it is over.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct End;

/// A tunnel that leads to us.
pub(super) struct InboundTunnel(Installed);

impl InboundTunnel {
    /// Installs the endpoint at once, since cells may come right behind the build's answer.
    pub(super) fn begin(
        shared: &Shared,
        owner: Owner,
        id: TunnelId,
        ciphers: Vec<LayerCipher>,
        last: RouterHash,
    ) -> Addr<Self> {
        let (thread, destination) = place(shared, owner);
        let kind = shared.clients().inbound(thread, id, ciphers, destination);
        Self(Installed::new(shared, id, kind, Some(last))).start()
    }
}

impl Actor for InboundTunnel {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(KEEP, |_, ctx| ctx.stop());
        self.0.shared.stop_when_over(self, ctx);
    }
}

impl Handler<End> for InboundTunnel {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// A tunnel that leads away from us.
pub(super) struct OutboundTunnel(Installed);

impl OutboundTunnel {
    /// Installs the gateway under `id`.
    pub(super) fn begin(
        shared: &Shared,
        owner: Owner,
        id: TunnelId,
        ciphers: Vec<LayerCipher>,
        next: NextHop,
    ) -> Addr<Self> {
        let (thread, _) = place(shared, owner);
        let kind = shared.clients().outbound(thread, id, ciphers, next);
        Self(Installed::new(shared, id, kind, None)).start()
    }
}

impl Actor for OutboundTunnel {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(KEEP, |_, ctx| ctx.stop());
        self.0.shared.stop_when_over(self, ctx);
    }
}

impl Handler<End> for OutboundTunnel {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
