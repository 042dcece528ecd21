//! A pool of our own tunnels: the router's exploratory ones, or those of a destination. Any number of pools stand side by
//! side; profiles, the pace of builds and the workers that seal them are common to all.
//!
//! ```text
//!           Profiles --hops--> builds --sealed by a worker--> data plane
//!                                 |
//! Dispatch --Arrived-----------> pool's core --> InboundTunnel, OutboundTunnel (one per tunnel)
//! Connections --PeerNews-------->                        '--> Paths, a snapshot with each change
//! ```
//! State owned: the pool's core, builds under way, the table of tunnels, tests that are out. In: answers, news of peers.
//! Out: build messages, tests, the snapshot of usable tunnels. Mailbox: 1,024.

mod builder;
mod builds;
mod in_use;
mod probes;
mod start;
mod tunnel;

pub use ramson_protocol::peers::Purpose;
pub use ramson_protocol::pool::Wanted;

use crate::connections::{Connections, Follow};
use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::{Arrived, Drain, PeerNews, Token};
use crate::paths::{InboundTunnelRef, OutboundTunnelRef, OwnTunnels, Paths};
use crate::profiles::{Note, NoteShared, Profiles};
use crate::series::outcomes::TestOutcome;
use crate::series::{Exported, control};
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use builder::Builder;
use builds::Building;
use in_use::HopsInUse;
pub(crate) use in_use::InUse;
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::peers::Peers;
use ramson_protocol::peers::profile::{Event, Shared as SharedEvent};
use ramson_protocol::pool::{Config, In, Out, Pool, PoolTunnelId, Stats, TestId};
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Direction;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tunnel::{End, Installed};

const MAILBOX: usize = 1024;

/// Threads that seal builds, for all pools.
const BUILDERS: usize = 1;

/// An expectation outlives the core's own patience by so much, so that it never ends before it.
const GRACE: Duration = Duration::from_secs(5);

/// What tunnels are wanted, whose they are, and what for.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Whose they are. It decides what may come out of them.
    pub owner: Owner,
    /// What the tunnels are for: it decides by what rules hops are chosen.
    pub purpose: Purpose,
    /// Tunnels that lead to us.
    pub inbound: Wanted,
    /// Tunnels that lead away.
    pub outbound: Wanted,
    /// Their hops, the nearest first, if its user names them; without any they are chosen.
    pub hops: Arc<[RouterHash]>,
}

impl PoolConfig {
    /// The router's own pool: so many tunnels of so many hops in each direction. Without hops there is nothing to
    /// build: we are both ends ourselves.
    pub fn exploratory(count: usize, length: usize) -> Self {
        let wanted = Wanted::new(count, length);
        Self {
            owner: Owner::Router,
            purpose: Purpose::Exploratory,
            inbound: wanted,
            outbound: wanted,
            hops: Arc::default(),
        }
    }

    fn label(&self) -> &'static str {
        match self.purpose {
            Purpose::Exploratory => "exploratory",
            Purpose::Client => "client",
        }
    }
}

/// Opens pools; cheap to clone.
#[derive(Clone)]
pub struct Pools {
    shared: Shared,
    profiles: Addr<Profiles>,
    connections: Addr<Connections>,
    builder: Addr<Builder>,
    in_use: InUse,
}

/// A pool that is kept as long as its owner wants it; clones mean the same pool.
#[derive(Clone)]
pub struct PoolHandle {
    actor: Addr<TunnelPool>,
    paths: Paths,
}

/// Have other tunnels from now on.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Want {
    direction: Direction,
    wanted: Wanted,
}

/// What goes through the tunnels seems not to arrive.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Doubt;

/// The pool is not wanted any more.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Close;

impl Pools {
    /// For a node with these profiles and connections. Which routers its tunnels pass through stands in `in_use`.
    pub(crate) fn new(shared: Shared, profiles: Addr<Profiles>, connections: Addr<Connections>, in_use: InUse) -> Self {
        let us = shared.hash();
        let vitals = shared.vitals().clone();
        let builder = SyncArbiter::start(BUILDERS, move || Builder::new(us, &vitals));
        Self { shared, profiles, connections, builder, in_use }
    }

    /// A new pool, which begins to build at once and publishes what stands in `paths`.
    pub(crate) fn open_with(&self, config: PoolConfig, paths: Paths) -> PoolHandle {
        let actor = TunnelPool::new(self, config, paths.clone()).start();
        wait_for_room(&self.connections, Follow(actor.clone().recipient()));
        PoolHandle { actor, paths }
    }

    /// A new pool, which begins to build at once.
    pub fn open(&self, config: PoolConfig) -> PoolHandle {
        self.open_with(config, Paths::default())
    }
}

impl PoolHandle {
    /// The pool's tunnels.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Changes what is wanted; tunnels that stand live to their end.
    pub fn want(&self, direction: Direction, wanted: Wanted) {
        wait_for_room(&self.actor, Want { direction, wanted });
    }

    /// What goes through the tunnels seems not to arrive: they are tested.
    pub(crate) fn doubt(&self) {
        wait_for_room(&self.actor, Doubt);
    }

    /// Ends the pool and its tunnels.
    pub fn close(&self) {
        wait_for_room(&self.actor, Close);
    }

    /// Builds nothing new, and lets go of what stands.
    pub(crate) fn drain(&self) {
        wait_for_room(&self.actor, Drain);
    }
}

/// The actor that keeps one pool of our own tunnels.
pub struct TunnelPool {
    shared: Shared,
    profiles: Addr<Profiles>,
    in_use: InUse,
    config: PoolConfig,
    core: Pool,
    rng: ChaCha20Rng,
    /// Orders the hops of all its tunnels alike.
    order: [u8; 32],
    builder: Addr<Builder>,
    /// The endpoint that answers come to while there is no inbound tunnel.
    without_hops: Installed,
    /// How long answers are expected.
    patience: Duration,
    /// Boxed: for most of the time there are none, and the places of a table are kept.
    builds: HashMap<PoolTunnelId, Box<Building>>,
    tunnels: BTreeMap<PoolTunnelId, Own>,
    tests: HashMap<MessageId, (TestId, Mono)>,
    timer: Option<SpawnHandle>,
    paths: Paths,
    /// The table of tunnels is not what was published last.
    changed: bool,
    /// Tunnels in the gauge, inbound and outbound.
    counted: [usize; 2],
    exported: Exported<7>,
    exported_tests: Exported<2>,
    /// The router cannot do without its own pool.
    _vital: Option<Vital>,
}

/// A tunnel that stands.
struct Own {
    route: Route,
    hops: HopsInUse,
    actor: Recipient<End>,
}

#[derive(Clone, Copy)]
enum Route {
    Inbound(InboundTunnelRef),
    Outbound(OutboundTunnelRef),
}

impl TunnelPool {
    fn new(pools: &Pools, config: PoolConfig, paths: Paths) -> Self {
        let shared = pools.shared.clone();
        let (now, mut rng, mut seed) = (shared.now(), shared.rng(), [0; 32]);
        rng.fill_bytes(&mut seed);
        let core = Config { inbound: config.inbound, outbound: config.outbound, ..Config::default() };
        Self {
            profiles: pools.profiles.clone(),
            in_use: pools.in_use.clone(),
            builder: pools.builder.clone(),
            core: Pool::new(core, seed, now),
            order: Peers::order_key(&mut rng),
            rng,
            without_hops: Installed::without_hops(&shared, config.owner),
            patience: core.build_timeout.max(core.test_timeout) + GRACE,
            builds: HashMap::new(),
            tunnels: BTreeMap::new(),
            tests: HashMap::new(),
            timer: None,
            paths,
            changed: true,
            counted: [0; 2],
            exported: Exported::new(),
            exported_tests: Exported::new(),
            _vital: (config.owner == Owner::Router).then(|| shared.vitals().guard("the pool of exploratory tunnels")),
            config,
            shared,
        }
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
        let due = self.core.poll_timeout();
        self.shared.set_timer(&mut self.timer, due, ctx, Self::tick);
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
        self.exported_tests
            .add(&control::TUNNEL_TESTS, [(TestOutcome::Ok.label(), passed), (TestOutcome::Failed.label(), failed)]);
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
                self.note_tunnels(&[outbound, inbound], SharedEvent::TestPassed { rtt });
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
            wait_for_room(&own.actor, End);
            self.changed = true;
        }
    }

    /// All hops of these tunnels did well, or share a blame.
    fn note_tunnels(&self, ids: &[PoolTunnelId], event: SharedEvent) {
        for own in ids.iter().filter_map(|id| self.tunnels.get(id)) {
            self.note_shared(&own.hops, event);
        }
    }

    fn note_shared(&self, hops: &[RouterHash], event: SharedEvent) {
        wait_for_room(&self.profiles, NoteShared(hops.to_vec(), event));
    }

    fn note(&self, notes: Vec<(RouterHash, Event)>) {
        wait_for_room(&self.profiles, Note(notes));
    }

    /// Publishes which tunnels are ready, newest first.
    fn publish(&mut self) {
        let mut all = OwnTunnels::default();
        for own in self.tunnels.values().rev() {
            match own.route {
                Route::Inbound(tunnel) => all.inbound.push(tunnel),
                Route::Outbound(tunnel) => all.outbound.push(tunnel),
            }
        }
        self.gauge([all.inbound.len(), all.outbound.len()]);
        let (us, id) = (self.shared.hash(), self.without_hops.id());
        if self.config.inbound.length == 0 {
            all.inbound.push(InboundTunnelRef { id, gateway: us, gateway_tunnel: id, expires: Mono::MAX });
        }
        if self.config.outbound.length == 0 {
            all.outbound.push(OutboundTunnelRef { id, first_hop: us });
        }
        self.paths.set(all);
    }

    /// Keeps the sum over all pools.
    fn gauge(&mut self, counts: [usize; 2]) {
        let directions = [Direction::Inbound, Direction::Outbound];
        for ((direction, count), counted) in directions.into_iter().zip(counts).zip(&mut self.counted) {
            let (pool, direction) = (self.config.label(), builds::direction_label(direction));
            let change = count as f64 - std::mem::replace(counted, count) as f64;
            control::OWN_TUNNELS.change([pool, direction], change);
        }
    }

    fn on_unreachable(&mut self, peer: RouterHash) {
        self.first_hop_gone(peer);
        let through = |own: &Own| matches!(own.route, Route::Outbound(tunnel) if tunnel.first_hop == peer);
        let broken: Vec<PoolTunnelId> = self.tunnels.iter().filter(|(_, o)| through(o)).map(|(id, _)| *id).collect();
        for id in broken {
            self.input(In::Broken { id });
        }
    }
}

impl Actor for TunnelPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        let until = self.shared.now().mono + start::KNOWN_WITHIN;
        ctx.run_later(start::quiet(&self.shared), move |actor, ctx| actor.begin(until, ctx));
        self.publish();
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        for own in std::mem::take(&mut self.tunnels).into_values() {
            wait_for_room(&own.actor, End);
        }
        self.builds.drain().for_each(|(_, building)| builds::end(building.into_endpoint()));
        self.gauge([0; 2]);
        self.paths.set(OwnTunnels::default());
    }
}

impl Handler<Arrived> for TunnelPool {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Pool);
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
        self.shared.mailboxes().left(Mailbox::Pool);
        if let PeerNews::Unreachable(peer) = news {
            self.on_unreachable(peer);
            self.settle(ctx);
        }
    }
}

impl Handler<Want> for TunnelPool {
    type Result = ();

    fn handle(&mut self, want: Want, ctx: &mut Context<Self>) {
        match want.direction {
            Direction::Inbound => self.config.inbound = want.wanted,
            Direction::Outbound => self.config.outbound = want.wanted,
        }
        self.input(In::Want { direction: want.direction, wanted: want.wanted });
        self.changed = true;
        self.settle(ctx);
    }
}

impl Handler<Doubt> for TunnelPool {
    type Result = ();

    fn handle(&mut self, _: Doubt, ctx: &mut Context<Self>) {
        self.input(In::Doubted);
        self.settle(ctx);
    }
}

impl Handler<Close> for TunnelPool {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Handler<Drain> for TunnelPool {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) {
        for (direction, wanted) in
            [(Direction::Inbound, self.config.inbound), (Direction::Outbound, self.config.outbound)]
        {
            self.input(In::Want { direction, wanted: Wanted { count: 0, backups: 0, ..wanted } });
        }
        self.settle(ctx);
    }
}
