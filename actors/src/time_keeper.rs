//! Keeps our clock right, by the machine's, by time servers, and by what peers say of theirs.
//!
//! State owned: a [`ClockKeeper`] core, and the file that keeps the correction over a restart. In: [`PeerClock`] from the
//! table of connections, the machine's clock every second, answers of time servers. Out: corrections of the clock that all
//! share, [`Resign`] to the keeper of our RouterInfo, which bears a date, lines in the log. Mailbox: actix's 16: what peers
//! say and is lost, others say.

mod file;
mod servers;

pub use file::Kept;

use crate::identity::{Identity, Resign};
use crate::mailbox::wait_for_room;
use crate::series::control;
use crate::series::outcomes::ClockOutcome;
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::clock::{ClockKeeper, Config, In, Out};
use ramson_protocol::time::Wall;
use ramson_transports::clock::Clock;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How often the machine's clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often the correction is written.
const SAVE: Duration = Duration::from_secs(600);

/// No clock is right that is before this: 2026-11-01.
const EARLIEST: Wall = Wall(1_793_491_200_000);

/// How the clock is kept.
#[derive(Clone, Debug, Default)]
pub struct ClockConfig {
    /// Time servers: host names or addresses, each perhaps with a port. None are asked without any.
    pub servers: Vec<String>,
    /// Where the correction is kept, if anywhere.
    pub path: Option<PathBuf>,
}

/// What a call has shown of a peer's clock.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct PeerClock {
    /// Where the peer is.
    pub(crate) by: IpAddr,
    /// How far its clock is ahead of ours, in milliseconds.
    pub(crate) skew_ms: i64,
    /// We chose to call it for ourselves, and have known it for long.
    pub(crate) is_witness: bool,
    /// The call led to a session.
    pub(crate) established: bool,
}

/// The actor that keeps our clock.
pub(crate) struct TimeKeeper {
    shared: Shared,
    identity: Addr<Identity>,
    config: ClockConfig,
    core: ClockKeeper,
    /// How long the machine had slept when it was last looked.
    slept: Duration,
    timer: Option<SpawnHandle>,
    _vital: Vital,
}

impl TimeKeeper {
    /// A keeper of the clock that all share.
    pub(crate) fn new(shared: Shared, identity: Addr<Identity>, config: ClockConfig) -> Self {
        let private = shared.allow_private();
        let core = Config { private, servers: config.servers.len(), earliest: EARLIEST };
        let core = ClockKeeper::new(core, shared.now());
        let _vital = shared.vitals().guard("the keeper of our clock");
        Self { shared, identity, config, core, slept: Clock::slept(), timer: None, _vital }
    }

    fn input(&mut self, input: In, ctx: &mut Context<Self>) {
        self.core.handle_input(self.shared.now(), input);
        self.drain(ctx);
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let slept = Clock::slept();
        let more = slept.saturating_sub(std::mem::replace(&mut self.slept, slept));
        self.input(In::System { wall: Clock::system(), slept: more }, ctx);
        control::CLOCK_CORRECTION.set([], self.shared.clock().ahead_of_system_ms() as f64 / 1000.0);
        control::CLOCK_CONFIRMED.set([], f64::from(u8::from(self.core.is_confirmed())));
    }

    /// Does what the core wants, and sets the timer.
    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::Ask => self.ask(ctx),
                Out::Adjust { ms, by } => {
                    self.shared.clock().adjust(ms);
                    control::CLOCK_CORRECTIONS.add([by.label()], 1);
                    tracing::warn!(correction_ms = ms, by = by.label(), "our clock was wrong, and is corrected");
                    wait_for_room(&self.identity, Resign);
                    self.save();
                }
                Out::Believable => {
                    self.shared.believe_clock();
                    wait_for_room(&self.identity, Resign);
                }
                Out::Jumped { ms, followed } => {
                    control::CLOCK_JUMPS.add([], 1);
                    let ours = if followed { "ours goes with it" } else { "ours stays as it was confirmed" };
                    tracing::warn!(jump_ms = ms, "the clock of this machine has jumped; {ours}");
                }
                Out::Disagreement => {
                    control::CLOCK_DISAGREEMENTS.add([], 1);
                    tracing::warn!("time servers contradict our peers, or what they said before; our clock stays");
                }
            }
        }
        let due = self.core.poll_timeout();
        self.shared.set_timer(&mut self.timer, due, ctx, |actor: &mut Self, ctx| {
            actor.core.handle_timeout(actor.shared.now());
            actor.drain(ctx);
        });
    }

    fn ask(&self, ctx: &mut Context<Self>) {
        for server in &self.config.servers {
            let asked = servers::ask(server.clone(), self.shared.clock().clone());
            ctx.spawn(asked.into_actor(self).map(|answer, actor, ctx| match answer {
                Ok(offset_ms) => {
                    control::CLOCK_SERVERS.add([ClockOutcome::Answered.label()], 1);
                    actor.input(In::Server { offset_ms }, ctx);
                }
                Err(outcome) => control::CLOCK_SERVERS.add([outcome.label()], 1),
            }));
        }
    }

    /// Keeps the correction for after a restart, once somebody has confirmed it.
    fn save(&self) {
        let Some(path) = self.config.path.clone().filter(|_| self.core.is_confirmed()) else { return };
        let kept = Kept { ahead_ms: self.shared.clock().ahead_of_system_ms(), at: self.shared.now().wall };
        actix_rt::task::spawn_blocking(move || {
            if let Err(error) = kept.write(&path) {
                tracing::warn!(%error, "the correction of our clock could not be kept");
            }
        });
    }
}

impl Actor for TimeKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(LOOK, Self::look);
        ctx.run_interval(SAVE, |actor, _| actor.save());
        self.drain(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.save();
    }
}

impl Handler<PeerClock> for TimeKeeper {
    type Result = ();

    fn handle(&mut self, peer: PeerClock, ctx: &mut Context<Self>) {
        let PeerClock { by, skew_ms, is_witness, established } = peer;
        self.input(In::Peer { by, skew_ms, is_witness, established }, ctx);
    }
}
