//! One tunnel of somebody else that passes through us.
//!
//! State owned: its hop in the data plane, which is taken out when this actor ends, however it ends. In: nothing but its
//! timer. Out: [`Expired`] to the manager. Ten thousand of these live at once, so it holds no more than it needs.

use crate::drops::ControlDrop;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_protocol::id::TunnelId;
use std::time::Duration;

/// How long a hop is kept. INTEROP: i2pd 660 s, emissary 620; a tunnel lives 600 s by its creator's clock.
pub(super) const KEEP: Duration = Duration::from_secs(660);

/// The actor.
pub(super) struct ParticipatingTunnel {
    pub(super) id: TunnelId,
    pub(super) promised: Option<u32>,
    pub(super) shared: Shared,
    pub(super) manager: Addr<super::TransitManager>,
}

/// A tunnel has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Expired {
    pub(super) id: TunnelId,
    pub(super) promised: Option<u32>,
}

impl Actor for ParticipatingTunnel {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(KEEP, |_, ctx| ctx.stop());
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if !self.shared.transports().remove(self.id) {
            ControlDrop::HopRemoval.count();
        }
        let expired = Expired { id: self.id, promised: self.promised };
        if let Err(SendError::Full(expired)) = self.manager.try_send(expired) {
            // What it held must be given back, so this one waits for its place.
            let manager = self.manager.clone();
            actix::spawn(async move {
                // A manager that is gone has no table to keep.
                let _ = manager.send(expired).await;
            });
        }
    }
}
