//! Who has to do with us no more for a while: the judge's bans, put in force.
//!
//! State owned: the [`Core`] that turns faults into points and bans. In: [`Charged`], from the data plane by way of the
//! dispatcher and from the database. Out: bans at the gate, where handshakes and calls ask, and the word to part with who
//! is banned; the bans as a file, for the next run. Mailbox: 1,024; a charge that finds no room is a stranger's luck.
//!
//! Nobody is named in the log: how many are banned and why stands in the metrics. The operator may ask for the list, and
//! ban and pardon ([`Bans`], [`Ban`], [`Pardon`]).

mod file;

use crate::connections::Connections;
use crate::disk;
use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::{Charged, Drain, Recheck};
use crate::profiles::Profiles;
use crate::series::{Exported, control};
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::blame::{Config, In, Judge as Core, Out, Sentence, Who};
use std::path::PathBuf;
use std::time::Duration;

const MAILBOX: usize = 1024;

/// How soon a change of the bans is on disk.
const SAVE: Duration = Duration::from_secs(10);

/// Who is banned?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<Sentence>")]
pub(crate) struct Bans;

/// The operator bans somebody for a time, and says why.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ban(pub(crate) Who, pub(crate) Duration, pub(crate) String);

/// The operator lifts a ban. The answer says whether there was one.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "bool")]
pub(crate) struct Pardon(pub(crate) Who);

/// The actor around the judge of faults.
pub(crate) struct Judge {
    shared: Shared,
    core: Core,
    connections: Addr<Connections>,
    profiles: Addr<Profiles>,
    timer: Option<SpawnHandle>,
    /// Where the bans are kept, if anywhere.
    path: Option<PathBuf>,
    /// They have changed since they were written.
    changed: bool,
    exported: Exported<3>,
    _vital: Vital,
}

impl Judge {
    /// With the bans of earlier runs. In a private network many routers share one address, so none is judged by it.
    pub(crate) fn new(
        shared: Shared,
        connections: Addr<Connections>,
        profiles: Addr<Profiles>,
        path: Option<PathBuf>,
    ) -> Self {
        let core = Core::new(Config { addresses: !shared.allow_private(), ..Config::default() });
        let _vital = shared.vitals().guard("the judge of faults");
        let mut new = Self {
            shared,
            core,
            connections,
            profiles,
            timer: None,
            path,
            changed: false,
            exported: Exported::new(),
            _vital,
        };
        new.take_over();
        new
    }

    /// Puts the bans of earlier runs in force.
    fn take_over(&mut self) {
        let Some(path) = &self.path else { return };
        let now = self.shared.now();
        let kept = file::read(path, now).unwrap_or_else(|error| {
            tracing::warn!(%error, "the bans of earlier runs could not be read");
            Vec::new()
        });
        kept.into_iter().for_each(|ban| self.core.handle_input(now.mono, In::Ban(ban)));
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::Ban { who, .. } => self.shared.gate().ban(who),
                Out::Lift { who } => self.shared.gate().lift(who),
            }
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        let mut banned = false;
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::Ban { who, reason, .. } => {
                    banned = true;
                    self.shared.gate().ban(who);
                    control::BANS.add([who.kind(), reason.unwrap_or("operator")], 1);
                }
                Out::Lift { who } => self.shared.gate().lift(who),
            }
            self.changed = true;
        }
        if banned {
            tracing::info!("somebody is banned for a while; `ramson bans` lists whom, and why");
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

    /// Has the bans written by a thread that may block, if they have changed.
    fn save(&mut self) {
        let Some(path) = self.path.clone().filter(|_| std::mem::take(&mut self.changed)) else { return };
        let text = file::to_text(self.core.bans(), self.shared.now());
        actix_rt::task::spawn_blocking(move || {
            if let Err(error) = disk::replace(&path, text.as_bytes(), 0o600) {
                tracing::warn!(%error, "the bans could not be written");
            }
        });
    }
}

impl Actor for Judge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(SAVE, |actor, _| actor.save());
        // For those that were taken over.
        self.drain(ctx);
    }
}

impl Handler<Bans> for Judge {
    type Result = MessageResult<Bans>;

    fn handle(&mut self, _: Bans, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.core.bans().collect())
    }
}

impl Handler<Ban> for Judge {
    type Result = ();

    fn handle(&mut self, ban: Ban, ctx: &mut Context<Self>) {
        let Ban(who, time, reason) = ban;
        let now = self.shared.now().mono;
        let sentence = Sentence { who, until: now + time, bans: 1, reason: reason.into() };
        self.core.handle_input(now, In::Ban(sentence));
        self.drain(ctx);
        self.save();
    }
}

impl Handler<Pardon> for Judge {
    type Result = bool;

    fn handle(&mut self, pardon: Pardon, ctx: &mut Context<Self>) -> bool {
        let was_banned = self.core.bans().any(|ban| ban.who == pardon.0);
        self.core.handle_input(self.shared.now().mono, In::Pardon(pardon.0));
        self.drain(ctx);
        self.save();
        was_banned
    }
}

impl Handler<Drain> for Judge {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {
        self.save();
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
