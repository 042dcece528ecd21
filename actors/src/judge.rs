//! Who has to do with us no more for a while: the judge's bans, put in force.
//!
//! State owned: the [`Core`] that turns faults into points and bans. In: [`Charged`], from the data plane by way of the
//! dispatcher and from the database. Out: bans at the gate, where handshakes and calls ask, and the word to part with who
//! is banned. Mailbox: 1,024; a charge that finds no room is a stranger's luck.
//!
//! Nobody is named in the log: how many are banned and why stands in the metrics.

use crate::connections::Connections;
use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::{Charged, Recheck};
use crate::profiles::Profiles;
use crate::series::{Exported, control};
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::blame::{Config, In, Judge as Core, Out, Who};

const MAILBOX: usize = 1024;

/// The actor around the judge of faults.
pub(crate) struct Judge {
    shared: Shared,
    core: Core,
    connections: Addr<Connections>,
    profiles: Addr<Profiles>,
    timer: Option<SpawnHandle>,
    exported: Exported<3>,
    _vital: Vital,
}

impl Judge {
    /// Who knows nobody. In a private network many routers share one address, so none is judged by it.
    pub(crate) fn new(shared: Shared, connections: Addr<Connections>, profiles: Addr<Profiles>) -> Self {
        let core = Core::new(Config { addresses: !shared.allow_private(), ..Config::default() });
        let _vital = shared.vitals().guard("the judge of faults");
        Self { shared, core, connections, profiles, timer: None, exported: Exported::new(), _vital }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        let mut banned = false;
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::Ban { who, reason, .. } => {
                    banned = true;
                    self.shared.gate().ban(who);
                    control::BANS.add([kind(who), reason], 1);
                }
                Out::Lift { who } => self.shared.gate().lift(who),
            }
        }
        if banned {
            tracing::info!("somebody is banned for a while for what it did; see ramson_bans_total");
            wait_for_room(&self.connections, Recheck);
            wait_for_room(&self.profiles, Recheck);
        }
        let stats = self.core.stats();
        let [malformed, misbehaved] = stats.charges;
        let charges = [("malformed", malformed), ("misbehaved", misbehaved), ("ours", stats.ours)];
        self.exported.add(&control::CHARGES, charges);
        let due = self.core.poll_timeout();
        self.shared.set_timer(&mut self.timer, due, ctx, |actor: &mut Self, ctx| {
            actor.core.handle_timeout(actor.shared.now().mono);
            actor.drain(ctx);
        });
    }
}

fn kind(who: Who) -> &'static str {
    match who {
        Who::Router(_) => "router",
        Who::Address(_) => "address",
    }
}

impl Actor for Judge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
    }
}

impl Handler<Charged> for Judge {
    type Result = ();

    fn handle(&mut self, charged: Charged, ctx: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Judge);
        let Charged { router, address, charge } = charged;
        self.core.handle_input(self.shared.now().mono, In::Charge { router, address, charge });
        self.drain(ctx);
    }
}
