//! A whole router: puts the planes together, starts the actors, and takes them down again.

pub use crate::config::{Listen, NodeConfig};

use crate::connections::{Connections, Follow, NewsBatch, Report};
use crate::destination::Destinations;
use crate::dispatch::{Backlog, Batch, Dispatch, Routes};
use crate::garlic::GarlicOpener;
use crate::gate::Gate;
use crate::identity::{Floodfill, Identity, Offer, Profile, Share, State, router_info};
use crate::judge::{Ban, Bans, Judge, Pardon};
use crate::mailbox::{Mailbox, Mailboxes, wait_for_room};
use crate::messages::{Drain, Recheck};
use crate::netdb::{self, NetDb};
use crate::paths::{OwnTunnels, Paths};
use crate::pool::{InUse, PoolHandle, Pools};
use crate::profiles::Profiles;
use crate::reach::{self, Reach, ReachKeeper, Release, calls_from, interfaces};
use crate::reseeder::{Reseeder, Reseeding};
use crate::series::control;
use crate::settings::Live;
use crate::shared::{Shared, SharedParts};
use crate::supervise::Vitals;
use crate::threads::name_this;
use crate::time_keeper::{Kept, TimeKeeper};
use crate::transit::{BuildOpener, Published, TransitManager};
use actix::prelude::*;
use parking_lot::Mutex;
use ramson_clients::handle as clients;
use ramson_protocol::admission;
use ramson_protocol::blame::{Sentence, Who};
use ramson_protocol::dialing::desk::{self, Desk};
use ramson_protocol::dialing::{Abilities, Transport};
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::netdb::family::FamilyKey;
use ramson_protocol::reach::{Config as ReachConfig, Offer as ReachOffer, Reachability};
use ramson_protocol::time::Mono;
use ramson_transports::call_from::CallFrom;
use ramson_transports::event::{EventSink, News, Received};
use ramson_transports::handle::Bound;
use ramson_transports::ssu2::{self, Ssu2Config};
use ramson_transports::{Transports, TransportsConfig};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Arbiters on which the actors of tunnels are spread: one more core than the main one is enough for their slow clock.
const TUNNEL_ARBITERS: usize = 2;

/// Threads that own tunnels of ours: the router's own need one, destinations will need more.
const CLIENT_THREADS: usize = 1;

/// Threads that open build records, and threads that open garlic.
const OPENERS: usize = 2;

/// How long a drain lasts at most: as long as a tunnel of others lives. Those who made them meet refusals, and build others
/// as these end.
pub const DRAIN: Duration = Duration::from_secs(11 * 60);

/// A running node; cheap to clone. It ends with [`Node::drain`] or [`Node::stop`]; nothing of it is left then but what
/// clones of this hold.
#[derive(Clone)]
pub struct Node {
    shared: Shared,
    netdb: NetDb,
    database: PathBuf,
    drain: Duration,
    connections: Addr<Connections>,
    transit: Addr<TransitManager>,
    identity: Addr<Identity>,
    reach: Addr<ReachKeeper>,
    profiles: Addr<Profiles>,
    judge: Addr<Judge>,
    pools: Pools,
    destinations: Destinations,
    exploratory: PoolHandle,
    published: Arc<Published>,
    reseeding: Reseeding,
    arbiters: Arc<Mutex<Vec<Arbiter>>>,
}

/// The way from the threads of the data plane to the actors.
struct Sink {
    connections: Addr<Connections>,
    dispatch: Addr<Dispatch>,
    backlog: Backlog,
    mailboxes: Mailboxes,
    vitals: Vitals,
}

impl EventSink for Sink {
    fn news(&self, news: Vec<News>) -> Result<(), Vec<News>> {
        let sent = self.mailboxes.post(Mailbox::Connections, || self.connections.try_send(NewsBatch(news)));
        sent.map_err(|e| match e {
            SendError::Full(batch) | SendError::Closed(batch) => {
                control::NEWS_DEFERRED.add([], batch.0.len() as u64);
                batch.0
            }
        })
    }

    fn received(&self, batch: Vec<Received>) -> Result<(), Vec<Received>> {
        let batch = Batch::new(batch, &self.backlog)?;
        let sent = self.mailboxes.post(Mailbox::Dispatch, || self.dispatch.try_send(batch));
        sent.map_err(|e| match e {
            SendError::Full(batch) | SendError::Closed(batch) => batch.into_received(),
        })
    }

    fn is_pressed(&self) -> bool {
        self.backlog.is_pressed()
    }

    fn thread_ended(&self, name: &str) {
        self.vitals.ended(name);
    }
}

impl Node {
    /// Starts everything. To be called within an actix system.
    ///
    /// # Errors
    /// If an address cannot be listened on, a thread not be started, or the database not be opened.
    pub fn start(mut config: NodeConfig) -> io::Result<Self> {
        config.profile.share = config.live.share();
        let (shared, bound) = bind(&mut config)?;
        let arbiters: Vec<Arbiter> = (0..netdb::ARBITERS + TUNNEL_ARBITERS).map(|_| Arbiter::new()).collect();
        for (n, arbiter) in arbiters.iter().enumerate() {
            let name = if n < netdb::ARBITERS { c"netdb" } else { c"tunnels" };
            arbiter.spawn_fn(move || name_this(name));
        }
        let handles: Vec<ArbiterHandle> = arbiters.iter().map(Arbiter::handle).collect();
        let arbiters = Arc::new(Mutex::new(arbiters));
        let started = Self::start_actors(config, shared.clone(), bound, handles, Arc::clone(&arbiters));
        if started.is_err() {
            shared.vitals().end();
            arbiters.lock().drain(..).for_each(|arbiter| {
                arbiter.stop();
            });
        }
        started
    }

    /// Starts those who listen, and last those who speak.
    fn start_actors(
        config: NodeConfig,
        shared: Shared,
        bound: Planes,
        handles: Vec<ArbiterHandle>,
        arbiters: Arc<Mutex<Vec<Arbiter>>>,
    ) -> io::Result<Self> {
        export_limits(&config.live);
        let (for_netdb, for_tunnels) = handles.split_at(netdb::ARBITERS);
        let keys = Arc::new(config.keys);
        let database = config.netdb.database.clone();
        let paths = Paths::default();
        let netdb = NetDb::start(shared.clone(), paths.clone(), &config.netdb, for_netdb)?;
        let connections = Connections::new(shared.clone(), netdb.clone()).start();
        let static_key = Arc::new(StaticKey::new(keys.router.encryption.clone()));
        let published = Arc::new(Published::default());
        let tunnels = for_tunnels.to_vec();
        let transit = start_transit(&shared, config.live.admission(), &static_key, tunnels, &published);
        let in_use = InUse::default();
        let (family, profiles) = (config.profile.family.as_ref().map(FamilyKey::name), config.profiles);
        let profiles = Profiles::new(shared.clone(), netdb.clone(), in_use.clone(), profiles, family).start();
        netdb.subscribe(profiles.clone().recipient());
        wait_for_room(&connections, Follow(profiles.clone().recipient()));
        let pools = Pools::new(shared.clone(), profiles.clone(), connections.clone(), in_use);
        let exploratory = pools.open_with(config.pool, paths);
        let judge = Judge::new(shared.clone(), connections.clone(), profiles.clone(), config.bans).start();
        netdb.set_judge(judge.clone().recipient());
        let routes =
            Routes { builds: transit.clone().recipient(), judge: judge.clone().recipient(), data: config.data };
        let opener_key = Arc::clone(&static_key);
        let vitals = shared.vitals().clone();
        let opener = SyncArbiter::start(OPENERS, move || GarlicOpener::new(Arc::clone(&opener_key), &vitals));
        let dispatch = Dispatch::new(shared.clone(), netdb.clone(), routes, opener).start();
        let (transit_load, on_change) = (Arc::clone(&published), config.on_router_info);
        let identity =
            Identity::new(shared.clone(), keys, config.profile, transit_load, netdb.clone(), on_change).start();
        let reach = ReachKeeper::new(shared.clone(), identity.clone(), bound.reach, config.map_ports).start();
        let clock = TimeKeeper::new(shared.clone(), identity.clone(), config.clock).start();
        wait_for_room(&connections, Report { clock: clock.recipient(), reach: reach.clone().recipient() });
        let (mailboxes, vitals) = (shared.mailboxes().clone(), shared.vitals().clone());
        let sink: Arc<dyn EventSink> = Arc::new(Sink {
            connections: connections.clone(),
            dispatch,
            backlog: Backlog::default(),
            mailboxes,
            vitals,
        });
        bound.clients.run(shared.clock(), &sink)?;
        bound.transports.run(&sink)?;
        if !config.bootstrap.is_empty() {
            netdb.read_files(config.bootstrap);
        }
        let reseeding = Reseeding::default();
        if let Some(reseed) = config.reseed {
            Reseeder::new(shared.clone(), netdb.clone(), reseed, reseeding.clone()).start();
        }
        let destinations = Destinations::new(shared.clone(), netdb.clone(), pools.clone());
        Ok(Self {
            shared,
            netdb,
            database,
            drain: config.drain,
            connections,
            transit,
            identity,
            reach,
            profiles,
            judge,
            destinations,
            pools,
            exploratory,
            published,
            reseeding,
            arbiters,
        })
    }

    /// The facts of this node.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The way into the data plane.
    pub fn transports(&self) -> &Transports {
        self.shared.transports()
    }

    /// The database.
    pub fn netdb(&self) -> &NetDb {
        &self.netdb
    }

    /// Opens further pools of tunnels.
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Opens destinations.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// The router's own tunnels that are ready for use.
    pub fn own_tunnels(&self) -> Arc<OwnTunnels> {
        self.exploratory.paths().get()
    }

    /// Waits until something has ended that the node cannot do without; what it was. The node is to be stopped then.
    pub async fn failed(&self) -> String {
        self.shared.vitals().failed().await
    }

    /// Tells when nothing of the node is left, for whoever must be sure of it.
    pub fn remains(&self) -> Remains {
        Remains(self.shared.downgrade())
    }

    /// How it stands with reseeding, in words.
    pub fn reseeding(&self) -> String {
        self.reseeding.get()
    }

    /// Where the database lies.
    pub fn database(&self) -> &PathBuf {
        &self.database
    }

    /// Whether the router can do its work.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub fn readiness(&self) -> Result<(), String> {
        if let Some(what) = self.shared.vitals().failure() {
            return Err(format!("{what} has ended, the node cannot go on"));
        }
        if self.shared.draining() {
            return Err("draining".to_owned());
        }
        if self.netdb.counts().0 == 0 {
            return Err(format!("no routers known: {}", self.reseeding.get()));
        }
        let own = self.own_tunnels();
        if own.outbound.is_empty() || own.inbound.is_empty() {
            return Err("no tunnels of our own yet".to_owned());
        }
        Ok(())
    }

    /// Who is banned for a while, by whatever reason.
    pub async fn bans(&self) -> Vec<Sentence> {
        self.judge.send(Bans).await.unwrap_or_default()
    }

    /// Bans somebody for a time, with the operator's word why.
    pub async fn ban(&self, who: Who, time: Duration, reason: String) {
        // A judge who has ended ends the node.
        let _ = self.judge.send(Ban(who, time, reason)).await;
    }

    /// Lifts a ban and forgets what led to it. False if there was none.
    pub async fn pardon(&self, who: Who) -> bool {
        self.judge.send(Pardon(who)).await.unwrap_or(false)
    }

    /// Puts changed settings in force: all who derive something from one are told.
    pub fn reload(&self, live: Live) {
        wait_for_room(&self.transit, crate::transit::Limits(live.admission()));
        wait_for_room(&self.identity, Share(live.share()));
        // Whoever adds a setting is told here that somebody must hear of it.
        export_limits(&live);
        let Live { line, transit: _, ntcp2, ssu2, blocklist } = live;
        self.transports().line().set(line);
        self.netdb.set_line(line.outbound);
        self.transports().live().set(Transport::Ntcp2, ntcp2);
        self.transports().live().set(Transport::Ssu2, ssu2);
        self.shared.gate().set(blocklist);
        wait_for_room(&self.connections, Recheck);
        wait_for_room(&self.profiles, Recheck);
    }

    /// Drains and stops: refuses new tunnels, lets those of others go on to their end, as long as the configuration says, then ends all
    /// sessions and writes the database. What we publish says nothing of it: it would tell when we start and end.
    pub async fn drain(&self) {
        self.shared.drain();
        wait_for_room(&self.transit, Drain);
        self.exploratory.drain();
        wait_for_room(&self.profiles, Drain);
        wait_for_room(&self.judge, Drain);
        wait_for_room(&self.identity, Drain);
        let end = self.shared.now().mono + self.drain;
        while self.shared.now().mono < end && self.published.tunnels() > 0 {
            actix::clock::sleep(Duration::from_millis(200)).await;
        }
        self.stop().await;
    }

    /// Ends all sessions, writes the database, and ends every actor and thread.
    pub async fn stop(&self) {
        // Whoever does not answer has ended already.
        let _ = self.reach.send(Release).await;
        self.shared.vitals().end();
        self.netdb.close().await;
        let (shared, arbiters) = (self.shared.clone(), std::mem::take(&mut *self.arbiters.lock()));
        // Joining threads blocks, so it is done on a thread of its own.
        let stopped = actix_rt::task::spawn_blocking(move || {
            shared.transports().stop();
            shared.clients().stop();
            for arbiter in arbiters {
                arbiter.stop();
                // One that panicked has been missed already.
                let _ = arbiter.join();
            }
        });
        if stopped.await.is_err() {
            tracing::error!("the data plane did not stop cleanly");
        }
    }
}

/// What the series of others' tunnels are to be divided by.
fn export_limits(live: &Live) {
    control::TRANSIT_LIMIT.set([], live.share() as f64);
    control::TRANSIT_TUNNELS_LIMIT.set([], live.transit.max_tunnels as f64);
}

/// Says whether anything of a node that was stopped is left.
pub struct Remains(Weak<dyn std::any::Any + Send + Sync>);

impl Remains {
    /// True if nothing is.
    pub fn are_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// The planes whose threads do not run yet.
struct Planes {
    transports: Bound,
    clients: clients::Bound,
    reach: Reachability,
}

/// Binds the sockets of the data plane, and gathers what every actor may use.
fn bind(config: &mut NodeConfig) -> io::Result<(Shared, Planes)> {
    let clock = Kept::clock(config.clock.path.as_deref().and_then(Kept::read));
    let reach = reachability(config, clock.now().mono);
    let (keys, profile) = (&config.keys, &config.profile);
    let draining = Arc::new(AtomicBool::new(false));
    let gate = Gate::new(config.live.blocklist.clone());
    let state = State { floodfill: profile.starts_as_floodfill(), ..State::of(reach.view().clone()) };
    let info = router_info(keys, profile, &state, clock.now().wall).map_err(io::Error::other)?;
    (config.on_router_info)(&info);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if config.threads == 0 { cores } else { config.threads };
    let (transports, bound) = Transports::bind(TransportsConfig {
        router: info.hash(),
        router_info: info.as_bytes().clone(),
        static_key: keys.ntcp2.clone(),
        iv: keys.ntcp2_iv,
        net_id: profile.net_id,
        listen: config.ntcp2.addresses.clone(),
        ssu2: ssu2_config(config, &gate, &reach),
        call_from: {
            let from = CallFrom::default();
            from.set(reach.view().call_from());
            Arc::new(from)
        },
        threads,
        line: config.live.line,
        limits: limits(config.ntcp2.max_handshakes, config.allow_private),
        max_connections: config.max_connections,
        gate: Arc::new(gate.clone()),
        live: config.live.ntcp2,
        clock: clock.clone(),
        draining: Arc::clone(&draining),
    })?;
    let (clients, clients_bound) = clients::Clients::bind(CLIENT_THREADS, transports.io())?;
    let abilities = reach::abilities(abilities(profile, config.allow_private), reach.view());
    let private = config.allow_private;
    let limits = if private { desk::Limits::private() } else { desk::Limits::default() };
    let mut desk = Desk::new(limits, own_addresses(config), private);
    desk.published(reach.view().published().collect());
    let shared = Shared::new(SharedParts {
        keys: keys.router.clone(),
        net_id: profile.net_id,
        abilities,
        reach: Reach { view: reach.view().clone(), evidence: reach.evidence() },
        // Who may become one keeps what a floodfill keeps.
        floodfill: profile.floodfill != Floodfill::No,
        clock,
        router_info: info,
        transports,
        clients,
        draining,
        desk,
        gate,
        vitals: Vitals::default(),
    });
    Ok((shared, Planes { transports: bound, clients: clients_bound, reach }))
}

/// Where we are, as far as we know: whatever a RouterInfo says, nobody else is to be called there. The route to anywhere
/// tells what address this machine has.
fn own_addresses(config: &NodeConfig) -> Vec<SocketAddr> {
    let listening = config.ntcp2.addresses.iter().chain(&config.ssu2.addresses).copied();
    let from = calls_from().into_iter().flatten().map(|ip| SocketAddr::new(ip, 0));
    let mut ours: Vec<SocketAddr> = listening.chain(from).collect();
    ours.retain(|addr| !addr.ip().is_unspecified());
    ours
}

fn start_transit(
    shared: &Shared,
    config: admission::Config,
    key: &Arc<StaticKey>,
    arbiters: Vec<ArbiterHandle>,
    published: &Arc<Published>,
) -> Addr<TransitManager> {
    let (key, us) = (Arc::clone(key), shared.hash());
    let vitals = shared.vitals().clone();
    let opener = SyncArbiter::start(OPENERS, move || BuildOpener::new(Arc::clone(&key), us, &vitals));
    TransitManager::new(shared.clone(), config, opener, arbiters, Arc::clone(published)).start()
}

/// The machine that finds out where peers can call us.
fn reachability(config: &NodeConfig, now: Mono) -> Reachability {
    let offer = |offer: &Option<Offer>, listen: &Listen| {
        let publish = offer.as_ref()?.publish.clone();
        Some(ReachOffer { listen: listen.addresses.clone(), publish })
    };
    let config = ReachConfig {
        ntcp2: offer(&config.profile.ntcp2, &config.ntcp2),
        ssu2: offer(&config.profile.ssu2, &config.ssu2),
        private: config.allow_private,
        hidden: config.hidden,
    };
    Reachability::new(config, interfaces(), now)
}

/// How we can call others, but for the families, which follow from where we are.
fn abilities(profile: &Profile, private: bool) -> Abilities {
    let (ntcp2, ssu2) = (profile.ntcp2.is_some(), profile.ssu2.is_some());
    Abilities { ntcp2, ssu2, v4: false, v6: false, private, ssu2_first: ssu2 }
}

/// What SSU2 is told, if it is spoken.
fn ssu2_config(config: &NodeConfig, gate: &Gate, reach: &Reachability) -> Option<Ssu2Config> {
    let (keys, listen, offer) = (&config.keys, &config.ssu2, config.profile.ssu2.as_ref()?);
    Some(Ssu2Config {
        static_key: keys.ssu2.static_key.clone(),
        intro_key: keys.ssu2.intro_key,
        listen: listen.addresses.clone(),
        mtu: offer.mtu,
        segmentation_offload: listen.segmentation_offload,
        limits: limits(listen.max_handshakes, config.allow_private),
        gate: Box::new(gate.clone()),
        live: config.live.ssu2,
        tokens: config.tokens.clone(),
        services: ssu2::Services {
            net_id: config.profile.net_id,
            keys: Arc::new(keys.router.clone()),
            allow_private: config.allow_private,
            standing: [true, false].map(|v4| reach::standing(reach.view(), v4)),
        },
    })
}

/// What strangers may take of a transport. In a private network many routers share one address.
fn limits(max_handshakes: usize, private: bool) -> Limits {
    let usual = Limits { half_open: max_handshakes, ..Limits::default() };
    if !private {
        return usual;
    }
    let half = u32::try_from(max_handshakes / 2).unwrap_or(u32::MAX);
    Limits { half_open_per_ip: half, burst_per_ip: 2048, per_minute_per_ip: 3000, ..usual }
}
