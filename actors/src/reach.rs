//! Keeps where peers can call us: by the machine's interfaces, the gateway before us, and what peers see and test.
//!
//! State owned: a [`Reachability`] core. In: [`Heard`] from the table of connections and from the gateway's mapping, the
//! interfaces every few seconds. Out: a snapshot in [`Shared`], how we stand to the data plane, [`Look`] to the keeper of our
//! RouterInfo, lines in the log. Mailbox: 64; news of calls that find no room are of no consequence, others wait.

mod gateway;
mod interfaces;

pub use interfaces::calls_from;
pub(crate) use interfaces::interfaces;

use crate::identity::{Identity, Look};
use crate::mailbox::wait_for_room;
use crate::series::control;
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::dialing::Abilities;
use ramson_protocol::reach::{Evidence, In, Out, Reachability, View};
use ramson_protocol::ssu2::peer_test::Status;
use ramson_transports::ssu2::Standing;
use std::time::Duration;

const MAILBOX: usize = 64;

/// How often the interfaces are looked at.
const INTERFACES: Duration = Duration::from_secs(10);

/// How we stand towards peers, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// How we stand.
    pub view: View,
    /// What speaks for it.
    pub evidence: Evidence,
}

/// Something that bears on where peers can call us.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Heard(pub(crate) In);

/// Give back what a gateway holds for us: we end.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Release;

/// The actor that keeps where peers can call us.
pub(crate) struct ReachKeeper {
    shared: Shared,
    identity: Addr<Identity>,
    core: Reachability,
    /// What a gateway is to map, and the way to end that.
    mapping: Option<gateway::Wanted>,
    gateway: Option<gateway::Task>,
    /// Families whose standing the data plane could not take.
    untold: [bool; 2],
    timer: Option<SpawnHandle>,
    _vital: Vital,
}

impl ReachKeeper {
    /// With a core that knows the interfaces. `map_ports` says whether a gateway is asked for ports.
    pub(crate) fn new(shared: Shared, identity: Addr<Identity>, core: Reachability, map_ports: bool) -> Self {
        let _vital = shared.vitals().guard("the keeper of our addresses");
        let mapping = map_ports.then(|| gateway::Wanted::of(core.config())).flatten();
        Self { shared, identity, core, mapping, gateway: None, untold: [false; 2], timer: None, _vital }
    }

    fn input(&mut self, input: In, ctx: &mut Context<Self>) {
        self.core.handle_input(self.shared.now().mono, input);
        self.drain(ctx);
    }

    /// Does what the core wants, and sets the timer.
    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::View(view) => self.put_in_force(&view),
                Out::Test { v4 } => self.shared.transports().test_address(v4),
                Out::SeenElsewhere { v4 } => {
                    let family = family_label(v4);
                    tracing::warn!(
                        family,
                        "peers see us at another address than we publish: they will take us for an impostor. Look at the \
                         routes and NATs of this machine, or set publish = \"auto\""
                    );
                }
            }
        }
        let reach = Reach { view: self.core.view().clone(), evidence: self.core.evidence() };
        self.shared.set_reach(reach);
        let due = self.core.poll_timeout();
        self.shared.set_timer(&mut self.timer, due, ctx, |actor: &mut Self, ctx| {
            actor.core.handle_timeout(actor.shared.now().mono);
            actor.tell_again();
            actor.drain(ctx);
        });
    }

    fn put_in_force(&mut self, view: &View) {
        let before = self.shared.reach();
        for v4 in [true, false] {
            let (was, is) = (before.view.family(v4), view.family(v4));
            let shown = |family: &ramson_protocol::reach::Family| !(family.ntcp2.is_empty() && family.ssu2.is_empty());
            if (was.status, shown(was), was.usable) != (is.status, shown(is), is.usable) {
                let source = is.address.map_or("none", |address| address.source.label());
                tracing::info!(
                    family = family_label(v4),
                    published = shown(is),
                    status = is.status.label(),
                    source,
                    "how peers reach us"
                );
            }
            control::REACHABLE.set([family_label(v4)], f64::from(u8::from(shown(is))));
            self.untold[usize::from(!v4)] = !self.shared.transports().stand(standing(view, v4));
        }
        self.shared.transports().call_from().set(view.call_from());
        self.shared.set_abilities(abilities(*self.shared.abilities(), view));
        self.shared.set_reach(Reach { view: view.clone(), evidence: self.core.evidence() });
        wait_for_room(&self.identity, Look);
    }

    fn tell_again(&mut self) {
        for v4 in [true, false] {
            let untold = &mut self.untold[usize::from(!v4)];
            *untold = *untold && !self.shared.transports().stand(standing(self.core.view(), v4));
        }
    }
}

/// A family as metrics and the log name it.
pub(crate) fn family_label(v4: bool) -> &'static str {
    if v4 { "ipv4" } else { "ipv6" }
}

/// How we stand in one family, as SSU2 is told.
pub(crate) fn standing(view: &View, v4: bool) -> Standing {
    let family = view.family(v4);
    let tested = family.address.and_then(|address| address.ssu2);
    // What is published may differ from what is tested only in that it is one of several.
    Standing { v4, published: !family.ssu2.is_empty(), tested, seen: family.seen }
}

/// How we can call others, as far as it follows from where we are.
pub(crate) fn abilities(before: Abilities, view: &View) -> Abilities {
    let untested = view.families.iter().any(|family| family.usable && family.status != Status::Ok);
    let (v4, v6) = (view.family(true).usable, view.family(false).usable);
    Abilities { v4, v6, ssu2_first: before.ssu2 && untested && !view.hidden, ..before }
}

impl Actor for ReachKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(INTERFACES, |actor, ctx| actor.input(In::Interfaces(interfaces()), ctx));
        if let Some(wanted) = self.mapping.take() {
            self.gateway = Some(gateway::Task::start(wanted, ctx.address()));
        }
        self.drain(ctx);
    }
}

impl Handler<Heard> for ReachKeeper {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        self.input(heard.0, ctx);
    }
}

impl Handler<Release> for ReachKeeper {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Release, _: &mut Context<Self>) -> Self::Result {
        let task = self.gateway.take();
        Box::pin(async move {
            if let Some(task) = task {
                task.end().await;
            }
        })
    }
}
