//! Our own exploratory tunnels.

use crate::messages::Drain;
use crate::netdb::NetDb;
use crate::shared::Shared;
use crate::switch::{PeerNews, Switch};
use actix::prelude::*;

/// What tunnels we want.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// Hops of each.
    pub length: usize,
    /// How many in each direction.
    pub quantity: usize,
}

/// The actor.
pub struct TunnelPool {}

/// The switch stands: begin.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Begin {
    /// The switch.
    pub switch: Addr<Switch>,
}

impl TunnelPool {
    /// Starts it.
    pub fn start_pool(_shared: Shared, _netdb: NetDb, _config: PoolConfig) -> Addr<Self> {
        Self {}.start()
    }
}

impl Actor for TunnelPool {
    type Context = Context<Self>;
}

impl Handler<Begin> for TunnelPool {
    type Result = ();
    fn handle(&mut self, _: Begin, _: &mut Context<Self>) {}
}

impl Handler<PeerNews> for TunnelPool {
    type Result = ();
    fn handle(&mut self, _: PeerNews, _: &mut Context<Self>) {}
}

impl Handler<Drain> for TunnelPool {
    type Result = ();
    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {}
}
