//! One tunnel of somebody else that passes through us.
//!
//! State owned: its hop in the data plane, which is taken out when this actor ends, however it ends. In: nothing but its
//! timer. Out: [`Expired`] to the manager. Ten thousand of these live at once, so it holds no more than it needs.

use crate::mailbox::wait_for_room;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_transports::hop::Hop;
use std::sync::Arc;
use std::time::Duration;

/// How long a hop is kept. INTEROP: i2pd 660 s, emissary 620; a tunnel lives 600 s by its creator's clock.
pub(super) const KEEP: Duration = Duration::from_secs(660);

/// The actor of one tunnel of others, for as long as its hop stands.
pub(super) struct ParticipatingTunnel {
    pub(super) hop: Arc<Hop>,
    pub(super) shared: Shared,
    pub(super) manager: Addr<super::TransitManager>,
}

/// A tunnel has ended.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Expired(pub(super) Arc<Hop>);

impl Actor for ParticipatingTunnel {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(KEEP, |_, ctx| ctx.stop());
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.shared.transports().remove(&self.hop);
        // What it held must be given back.
        wait_for_room(&self.manager, Expired(Arc::clone(&self.hop)));
    }
}
