//! Our own exploratory tunnels, and the profiles of the routers that they are built through.
//!
//! ```text
//! NetDb --RouterKnown--> profiles --hops--> builds --> Switch, data plane
//!                                             |
//! Switch --Arrived, PeerNews-----------------> pool's core --> InboundTunnel, OutboundTunnel (one per tunnel)
//! ```
//! State owned: the pool's core, the profiles, builds under way, the table of tunnels, tests that are out. In: what the
//! database learns, answers, news of peers. Out: build messages, tests, a snapshot of usable tunnels in [`Shared`] with
//! each change. Mailbox: 4,096, for the database tells all that it knows at once; what does not fit is told again when
//! the router publishes anew.

mod builder;
mod builds;
mod probes;
mod profiles;
mod tunnel;

use crate::mailbox::Mailbox;
use crate::messages::{Arrived, Drain, Recheck, RouterKnown, Token};
use crate::netdb::NetDb;
use crate::series::{Exported, control};
use crate::shared::{InboundTunnelRef, OutboundTunnelRef, OwnTunnels, Shared};
use crate::switch::{PeerNews, Switch};
use actix::prelude::*;
use builder::Builder;
use builds::Building;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::peers::facts::Facts;
use ramson_protocol::peers::profile::{Event, Shared as SharedEvent};
use ramson_protocol::peers::{self, Peers};
use ramson_protocol::pool::{Config, In, Out, Pool, PoolTunnelId, Stats, TestId, Wanted};
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Direction;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;
use tunnel::{End, Installed};

const MAILBOX: usize = 4096;

/// Threads that seal builds.
const BUILDERS: usize = 1;

/// The first build waits so long for the database to tell what it knows. Who comes first is not chosen for it.
const QUIET_START: Duration = Duration::from_secs(1);

/// How often profiles are written, and counted for the operator.
const SAVE: Duration = Duration::from_secs(300);
const COUNT: Duration = Duration::from_secs(5);

/// An expectation outlives the core's own patience by so much, so that it never ends before it.
const GRACE: Duration = Duration::from_secs(5);

/// What tunnels we want.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Hops of each. Without hops there is nothing to build: we are both ends ourselves.
    pub length: usize,
    /// How many in each direction.
    pub quantity: usize,
    /// Where profiles are kept, if anywhere.
    pub profiles: Option<PathBuf>,
}

/// The actor.
pub struct TunnelPool {
    shared: Shared,
    netdb: NetDb,
    config: PoolConfig,
    core: Pool,
    peers: Peers,
    rng: ChaCha20Rng,
    /// Orders the hops of all our tunnels alike.
    order: [u8; 32],
    switch: Option<Addr<Switch>>,
    builder: Addr<Builder>,
    /// The endpoint that answers come to while there is no inbound tunnel.
    without_hops: Installed,
    /// How long answers are expected.
    patience: Duration,
    builds: HashMap<PoolTunnelId, Building>,
    tunnels: BTreeMap<PoolTunnelId, Own>,
    tests: HashMap<MessageId, (TestId, Mono)>,
    timer: Option<SpawnHandle>,
    /// The table of tunnels is not what was published last.
    changed: bool,
    exported: Exported<7>,
    exported_tests: Exported<2>,
}

/// A tunnel that stands.
struct Own {
    route: Route,
    hops: Vec<RouterHash>,
    actor: Recipient<End>,
}

#[derive(Clone, Copy)]
enum Route {
    Inbound(InboundTunnelRef),
    Outbound(OutboundTunnelRef),
}

/// The switch stands: begin.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Begin {
    /// The switch.
    pub switch: Addr<Switch>,
}

impl TunnelPool {
    /// Starts it.
    pub fn start_pool(shared: Shared, netdb: NetDb, config: PoolConfig) -> Addr<Self> {
        let now = shared.now();
        let mut rng = shared.rng();
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let wanted = Wanted { count: config.quantity, length: config.length };
        let core = Config { inbound: wanted, outbound: wanted, ..Config::default() };
        let private = shared.allow_private();
        let mut peers = Peers::new(peers::Config { same_subnet: private, ..peers::Config::default() });
        if let Some(path) = &config.profiles
            && let Err(error) = profiles::read(path, &mut peers, now.mono, &mut rng)
        {
            tracing::warn!(%error, "the profiles of earlier runs could not be read");
        }
        let us = shared.hash();
        Self {
            netdb,
            config,
            core: Pool::new(core, seed, now),
            peers,
            order: Peers::order_key(&mut rng),
            rng,
            switch: None,
            builder: SyncArbiter::start(BUILDERS, move || Builder::new(us)),
            without_hops: Installed::without_hops(&shared),
            patience: core.build_timeout.max(core.test_timeout) + GRACE,
            builds: HashMap::new(),
            tunnels: BTreeMap::new(),
            tests: HashMap::new(),
            timer: None,
            changed: true,
            exported: Exported::new(),
            exported_tests: Exported::new(),
            shared,
        }
        .start()
    }

    /// Tells the core; what it wants done waits for [`TunnelPool::settle`].
    fn input(&mut self, input: In) {
        self.core.handle_input(self.shared.now(), input);
    }

    /// Does all that the core wants done, publishes what changed, and sets the timer.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        while let Some(out) = self.core.poll_output() {
            self.effect(out, ctx);
        }
        self.export();
        if std::mem::take(&mut self.changed) {
            self.publish();
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(due) = self.core.poll_timeout() {
            let after = due.saturating_sub(self.shared.now().mono);
            self.timer = Some(ctx.run_later(after, |actor, ctx| {
                actor.timer = None;
                actor.tick(ctx);
            }));
        }
    }

    fn export(&mut self) {
        let Stats { builds, refused, unsent, no_peers, timed_out, tests: _, passed, failed, dropped, ended, built: _ } =
            self.core.stats();
        let events = [
            ("build", builds),
            ("build_refused", refused),
            ("build_not_sent", unsent),
            ("build_without_peers", no_peers),
            ("build_timed_out", timed_out),
            ("tunnel_dropped", dropped),
            ("tunnel_ended", ended),
        ];
        self.exported.add(&control::POOL, events);
        self.exported_tests.add(&control::TUNNEL_TESTS, [("ok", passed), ("failed", failed)]);
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.core.handle_timeout(self.shared.now());
        self.settle(ctx);
    }

    fn effect(&mut self, out: Out, ctx: &mut Context<Self>) {
        match out {
            Out::Build { id, direction, length, pair } => self.build(id, direction, length, pair, ctx),
            Out::TimedOut { id } => self.build_timed_out(id),
            Out::Test { test, outbound, inbound } => self.test(test, outbound, inbound, ctx),
            Out::Proven { outbound, inbound, rtt } => {
                control::TUNNEL_TEST_TIME.record([], rtt);
                self.note_tunnels(&[outbound, inbound], SharedEvent::TestPassed);
            }
            Out::Dropped { id } => {
                self.note_tunnels(&[id], SharedEvent::TestFailed);
                self.end_tunnel(id);
            }
            Out::Ended { id } => self.end_tunnel(id),
        }
    }

    fn end_tunnel(&mut self, id: PoolTunnelId) {
        if let Some(own) = self.tunnels.remove(&id) {
            drop(own.actor.try_send(End));
            self.changed = true;
        }
    }

    /// All hops of these tunnels did well, or share a blame.
    fn note_tunnels(&mut self, ids: &[PoolTunnelId], event: SharedEvent) {
        let now = self.shared.now().mono;
        for own in ids.iter().filter_map(|id| self.tunnels.get(id)) {
            self.peers.note_shared(own.hops.iter(), event, now);
        }
    }

    fn note_shared(&mut self, hops: &[RouterHash], event: SharedEvent) {
        self.peers.note_shared(hops.iter(), event, self.shared.now().mono);
    }

    /// False if the switch does not keep up, or there is none.
    fn tell_switch<M>(&self, message: M) -> bool
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Switch: Handler<M>,
    {
        self.switch.as_ref().is_some_and(|switch| switch.try_send(message).is_ok())
    }

    /// Publishes which tunnels are ready, newest first.
    fn publish(&self) {
        let mut all = OwnTunnels::default();
        for own in self.tunnels.values().rev() {
            match own.route {
                Route::Inbound(tunnel) => all.inbound.push(tunnel),
                Route::Outbound(tunnel) => all.outbound.push(tunnel),
            }
        }
        for (direction, count) in [(Direction::Inbound, all.inbound.len()), (Direction::Outbound, all.outbound.len())] {
            let direction = builds::direction_label(direction);
            control::OWN_TUNNELS.set([direction], count as f64);
        }
        if self.config.length == 0 {
            let (us, id) = (self.shared.hash(), self.without_hops.id());
            all.inbound.push(InboundTunnelRef { id, gateway: us, gateway_tunnel: id });
            all.outbound.push(OutboundTunnelRef { id, first_hop: us });
        }
        self.shared.set_own_tunnels(all);
    }

    fn learn(&mut self, info: &RouterInfo) {
        let hash = info.hash();
        if hash == self.shared.hash() {
            return;
        }
        let blocked = self.shared.gate().list().has_router(&hash);
        match Facts::of(info, self.shared.abilities()).filter(|_| !blocked) {
            Some(facts) => self.peers.update(hash, facts, self.shared.now(), &mut self.rng),
            None => self.peers.forget(&hash),
        }
    }

    fn on_unreachable(&mut self, peer: RouterHash) {
        self.peers.note(&peer, Event::Unreachable, self.shared.now().mono);
        self.first_hop_gone(peer);
        let through = |own: &Own| matches!(own.route, Route::Outbound(tunnel) if tunnel.first_hop == peer);
        let broken: Vec<PoolTunnelId> = self.tunnels.iter().filter(|(_, o)| through(o)).map(|(id, _)| *id).collect();
        for id in broken {
            self.input(In::Broken { id });
        }
    }

    fn count(&self) {
        control::PROFILES.set([], self.peers.len() as f64);
        control::USABLE.set([], self.peers.usable(self.shared.now()) as f64);
    }

    /// Has the profiles written by a thread that may block.
    fn save(&self) {
        let Some(path) = self.config.profiles.clone() else { return };
        let bytes = profiles::to_bytes(&self.peers, self.shared.now().mono);
        actix_rt::task::spawn_blocking(move || {
            if let Err(error) = profiles::write(&path, &bytes) {
                tracing::warn!(%error, "the profiles could not be written");
            }
        });
    }
}

impl Actor for TunnelPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.netdb.subscribe(ctx.address().recipient());
        ctx.run_interval(COUNT, |actor, _| actor.count());
        ctx.run_interval(SAVE, |actor, _| actor.save());
        self.publish();
    }
}

impl Handler<Begin> for TunnelPool {
    type Result = ();

    fn handle(&mut self, begin: Begin, ctx: &mut Context<Self>) {
        self.switch = Some(begin.switch);
        ctx.run_later(QUIET_START, |actor, ctx| actor.tick(ctx));
    }
}

impl Handler<RouterKnown> for TunnelPool {
    type Result = ();

    fn handle(&mut self, known: RouterKnown, _: &mut Context<Self>) {
        match known {
            RouterKnown::Learned(info) => self.learn(&info),
            RouterKnown::Forgotten(hash) => self.peers.forget(&hash),
        }
    }
}

impl Handler<Arrived> for TunnelPool {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        Mailbox::Pool.left();
        match arrived.token {
            Token::BuildReply(_) => self.on_answer(&arrived),
            Token::Delivery(id) => self.on_delivery(id),
        }
        self.settle(ctx);
    }
}

impl Handler<PeerNews> for TunnelPool {
    type Result = ();

    fn handle(&mut self, news: PeerNews, ctx: &mut Context<Self>) {
        Mailbox::Pool.left();
        match news {
            // A session that ends says nothing about the router: most end because nobody used them.
            PeerNews::Down(_) => {}
            PeerNews::Up(peer) => self.peers.note(&peer, Event::Reached, self.shared.now().mono),
            PeerNews::Unreachable(peer) => {
                self.on_unreachable(peer);
                self.settle(ctx);
            }
        }
    }
}

impl Handler<Recheck> for TunnelPool {
    type Result = ();

    fn handle(&mut self, _: Recheck, _: &mut Context<Self>) {
        self.shared.gate().list().routers().for_each(|router| self.peers.forget(router));
    }
}

impl Handler<Drain> for TunnelPool {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) {
        let wanted = Wanted { count: 0, length: self.config.length };
        for direction in [Direction::Inbound, Direction::Outbound] {
            self.input(In::Want { direction, wanted });
        }
        self.settle(ctx);
        self.save();
    }
}
