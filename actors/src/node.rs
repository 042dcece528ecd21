//! A whole router: puts the planes together, starts the actors, and takes them down again.

use crate::garlic::GarlicOpener;
use crate::gate::Gate;
use crate::identity::{Circumstances, Identity, NodeKeys, Profile, Reach, Share, router_info};
use crate::messages::{Drain, Incoming, Recheck};
use crate::netdb::{NetDb, NetDbConfig};
use crate::pool::{PoolConfig, TunnelPool};
use crate::settings::Live;
use crate::shared::{Facts, Shared};
use crate::switch::{PeerNews, Routes, Switch, SwitchSink};
use crate::transit::{BuildOpener, Published, TransitManager};
use actix::prelude::*;
use bytes::Bytes;
use ramson_protocol::admission;
use ramson_protocol::data::router_info::{Congestion, RouterInfo};
use ramson_protocol::dialing::{Abilities, Transport};
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_transports::clock::Clock;
use ramson_transports::event::{Event, EventSink};
use ramson_transports::handshake::Limits;
use ramson_transports::ssu2::{self, Ssu2Config};
use ramson_transports::{Transports, TransportsConfig};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Arbiters on which the actors of tunnels are spread: one more core than the main one is enough for their slow clock.
const TUNNEL_ARBITERS: usize = 2;

/// Threads that open build records, and threads that open garlic.
const OPENERS: usize = 2;

/// How long a drain lasts at most. Tunnels of others live for ten minutes; those who made them see the congestion cap G
/// and the refusals, and have time to build others.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Everything that a node is told at its start.
pub struct NodeConfig {
    /// Our keys.
    pub keys: NodeKeys,
    /// What our RouterInfo says. The share is that of the line.
    pub profile: Profile,
    /// Whether peers in private ranges are accepted.
    pub allow_private: bool,
    /// Where NTCP2 listens.
    pub ntcp2: Listen,
    /// Where SSU2 listens.
    pub ssu2: Listen,
    /// Where the tokens are kept that peers gave us for SSU2, if anywhere.
    pub tokens: Option<PathBuf>,
    /// I/O threads; 0 means one per core.
    pub threads: usize,
    /// What may change while it runs.
    pub live: Live,
    /// Our own tunnels.
    pub pool: PoolConfig,
    /// The database.
    pub netdb: NetDbConfig,
    /// RouterInfos to begin with, unverified.
    pub bootstrap: Vec<Bytes>,
    /// Called with our RouterInfo whenever it changes, and once before the first connection.
    pub on_router_info: Box<dyn Fn(&RouterInfo)>,
    /// Who gets Data messages that come out of our own tunnels.
    pub data: Option<Recipient<Incoming>>,
}

/// How a transport is offered to callers.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// Where; nowhere if the transport is not spoken.
    pub addresses: Vec<SocketAddr>,
    /// Handshakes that may run at once.
    pub max_handshakes: usize,
    /// Whether the kernel may cut what is sent into datagrams. It always may where there are none.
    pub segmentation_offload: bool,
}

/// A running node; cheap to clone.
#[derive(Clone)]
pub struct Node {
    shared: Shared,
    netdb: NetDb,
    database: PathBuf,
    switch: Addr<Switch>,
    transit: Addr<TransitManager>,
    identity: Addr<Identity>,
    pool: Addr<TunnelPool>,
    published: Arc<Published>,
}

/// Takes events until the switch stands.
#[derive(Default)]
struct LateSink(OnceLock<SwitchSink>);

impl EventSink for LateSink {
    fn deliver(&self, events: Vec<Event>) -> Result<(), Vec<Event>> {
        match self.0.get() {
            Some(sink) => sink.deliver(events),
            None => Err(events),
        }
    }
}

struct Around {
    shared: Shared,
    published: Arc<Published>,
    netdb: NetDb,
    on_router_info: Box<dyn Fn(&RouterInfo)>,
}

impl Circumstances for Around {
    fn congestion(&self) -> Congestion {
        self.published.congestion()
    }

    fn netdb_counts(&self) -> (usize, usize) {
        self.netdb.counts()
    }

    fn reach(&self) -> Reach {
        Reach::clone(&self.shared.reach())
    }

    fn changed(&self, info: &RouterInfo) {
        (self.on_router_info)(info);
        self.netdb.publish(info.clone());
    }
}

impl Node {
    /// Starts everything. To be called within an actix system.
    ///
    /// # Errors
    /// If an address cannot be listened on, a thread not be started, or the database not be opened.
    pub fn start(mut config: NodeConfig) -> io::Result<Self> {
        config.profile.share = config.live.share();
        let sink = Arc::new(LateSink::default());
        let shared = start_shared(&config, Arc::clone(&sink) as Arc<dyn EventSink>)?;
        let keys = Arc::new(config.keys);
        let database = config.netdb.database.clone();
        let netdb = NetDb::start(shared.clone(), &config.netdb)?;
        let static_key = Arc::new(StaticKey::new(keys.router.encryption.clone()));
        let arbiters: Vec<ArbiterHandle> = (0..TUNNEL_ARBITERS).map(|_| Arbiter::new().handle()).collect();
        let published = Arc::new(Published::default());
        let transit = start_transit(&shared, config.live.admission(), &static_key, arbiters, &published);
        let pool = TunnelPool::start_pool(shared.clone(), netdb.clone(), config.pool);
        let routes = Routes {
            builds: transit.clone().recipient(),
            data: config.data,
            peers: Some(pool.clone().recipient::<PeerNews>()),
        };
        let opener_key = Arc::clone(&static_key);
        let opener = SyncArbiter::start(OPENERS, move || GarlicOpener::new(Arc::clone(&opener_key)));
        let switch = Switch::new(shared.clone(), netdb.clone(), routes, opener).start();
        netdb.set_switch(switch.clone());
        pool.do_send(crate::pool::Begin { switch: switch.clone() });
        // The threads hand over nothing before this, since nobody was dialled and nothing was accepted in so short a time.
        let _ = sink.0.set(SwitchSink(switch.clone()));
        read_files(netdb.clone(), config.bootstrap);
        let around = Around {
            shared: shared.clone(),
            published: Arc::clone(&published),
            netdb: netdb.clone(),
            on_router_info: config.on_router_info,
        };
        let identity = Identity::new(shared.clone(), keys, config.profile, Box::new(around)).start();
        Ok(Self { shared, netdb, database, switch, transit, identity, pool, published })
    }

    /// The facts of this node.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The data plane.
    pub fn transports(&self) -> &Transports {
        self.shared.transports()
    }

    /// The database.
    pub fn netdb(&self) -> &NetDb {
        &self.netdb
    }

    /// Where the database lies.
    pub fn database(&self) -> &PathBuf {
        &self.database
    }

    /// Whether the router can do its work.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub fn readiness(&self) -> Result<(), &'static str> {
        if self.shared.draining() {
            return Err("draining");
        }
        if self.netdb.counts().0 == 0 {
            return Err("no routers known: give some with network.bootstrap or `ramson import`");
        }
        let own = self.shared.own_tunnels();
        if own.outbound.is_empty() || own.inbound.is_empty() {
            return Err("no tunnels of our own yet");
        }
        Ok(())
    }

    /// Puts changed settings in force: all who derive something from one are told.
    pub fn reload(&self, live: Live) {
        self.transit.do_send(crate::transit::Limits(live.admission()));
        self.identity.do_send(Share(live.share()));
        // Whoever adds a setting is told here that somebody must hear of it.
        let Live { line, max_transit: _, ntcp2_idle_close, ssu2_idle_close, blocklist } = live;
        self.transports().line().set(line);
        self.transports().idle_close().set(Transport::Ntcp2, ntcp2_idle_close);
        self.transports().idle_close().set(Transport::Ssu2, ssu2_idle_close);
        self.shared.gate().set(blocklist);
        self.switch.do_send(Recheck);
        self.pool.do_send(Recheck);
    }

    /// Drains and stops: publishes that we take nothing any more, refuses new tunnels, lets what runs go on for
    /// [`DRAIN`] at most, then ends all sessions and writes the database.
    pub async fn drain(&self) {
        self.shared.drain();
        self.transit.do_send(Drain);
        self.pool.do_send(Drain);
        self.identity.do_send(Drain);
        let end = self.shared.now().mono + DRAIN;
        while self.shared.now().mono < end && self.published.tunnels() > 0 {
            actix::clock::sleep(Duration::from_millis(200)).await;
        }
        self.stop().await;
    }

    /// Ends all sessions and writes the database.
    pub async fn stop(&self) {
        self.netdb.close().await;
        let shared = self.shared.clone();
        // Joining threads blocks, so it is done on a thread of its own.
        let stopped = actix_rt::task::spawn_blocking(move || shared.transports().stop()).await;
        if stopped.is_err() {
            tracing::error!("the data plane did not stop cleanly");
        }
    }
}

/// Starts the data plane, and gathers what every actor may use.
fn start_shared(config: &NodeConfig, sink: Arc<dyn EventSink>) -> io::Result<Shared> {
    let (keys, profile) = (&config.keys, &config.profile);
    let clock = Clock::new();
    let draining = Arc::new(AtomicBool::new(false));
    let gate = Gate::new(config.live.blocklist.clone());
    let info = router_info(keys, profile, &Reach::default(), Congestion::None, (0, 0), clock.now().wall);
    let info = info.map_err(io::Error::other)?;
    (config.on_router_info)(&info);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if config.threads == 0 { cores } else { config.threads };
    let transports = Transports::start(
        TransportsConfig {
            router: info.hash(),
            router_info: info.as_bytes().clone(),
            static_key: keys.ntcp2.clone(),
            iv: keys.ntcp2_iv,
            net_id: profile.net_id,
            listen: config.ntcp2.addresses.clone(),
            ssu2: ssu2_config(config, &gate),
            bind: profile.published().map(SocketAddr::ip).collect(),
            threads,
            line: config.live.line,
            limits: limits(config.ntcp2.max_handshakes, config.allow_private),
            gate: Arc::new(gate.clone()),
            idle_close: config.live.ntcp2_idle_close,
            clock: clock.clone(),
            draining: Arc::clone(&draining),
        },
        sink,
    )?;
    let abilities = abilities(profile, &transports, config.allow_private);
    Ok(Shared::new(Facts {
        keys: keys.router.clone(),
        net_id: profile.net_id,
        abilities,
        floodfill: profile.floodfill,
        clock,
        router_info: info,
        transports,
        draining,
        gate,
    }))
}

/// Takes RouterInfos from files into the database, each in its turn.
fn read_files(netdb: NetDb, found: Vec<Bytes>) {
    actix::spawn(async move {
        let total = found.len();
        let taken = netdb.bootstrap(found).await;
        tracing::info!(taken, total, "RouterInfos read from files");
    });
}

fn start_transit(
    shared: &Shared,
    config: admission::Config,
    key: &Arc<StaticKey>,
    arbiters: Vec<ArbiterHandle>,
    published: &Arc<Published>,
) -> Addr<TransitManager> {
    let (key, us) = (Arc::clone(key), shared.hash());
    let opener = SyncArbiter::start(OPENERS, move || BuildOpener::new(Arc::clone(&key), us));
    TransitManager::new(shared.clone(), config, opener, arbiters, Arc::clone(published)).start()
}

/// How we can call others.
fn abilities(profile: &Profile, transports: &Transports, private: bool) -> Abilities {
    Abilities {
        ntcp2: profile.ntcp2.is_some(),
        ssu2: profile.ssu2.is_some(),
        v4: transports.can_reach([0; 4].into()),
        v6: transports.can_reach([0; 16].into()),
        private,
    }
}

/// What SSU2 is told, if it is spoken.
fn ssu2_config(config: &NodeConfig, gate: &Gate) -> Option<Ssu2Config> {
    let (keys, listen, offer) = (&config.keys, &config.ssu2, config.profile.ssu2.as_ref()?);
    Some(Ssu2Config {
        static_key: keys.ssu2.static_key.clone(),
        intro_key: keys.ssu2.intro_key,
        listen: listen.addresses.clone(),
        mtu: offer.mtu,
        segmentation_offload: listen.segmentation_offload,
        limits: ssu2_limits(listen.max_handshakes, config.allow_private),
        gate: Box::new(gate.clone()),
        idle_close: config.live.ssu2_idle_close,
        tokens: config.tokens.clone(),
        services: ssu2::Services {
            net_id: config.profile.net_id,
            keys: Arc::new(keys.router.clone()),
            allow_private: config.allow_private,
            publish: offer.publish.clone(),
        },
    })
}

/// In a private network many routers share one address, or at least a subnet.
fn ssu2_limits(max_handshakes: usize, private: bool) -> ssu2::Limits {
    let usual = ssu2::Limits { half_open: max_handshakes, ..ssu2::Limits::default() };
    if !private {
        return usual;
    }
    let half = u32::try_from(max_handshakes / 2).unwrap_or(u32::MAX);
    ssu2::Limits { half_open_per_network: half, burst_per_ip: 4096, per_minute_per_ip: 6000, ..usual }
}

/// In a private network many routers share one address.
fn limits(max_handshakes: usize, private: bool) -> Limits {
    let usual = Limits { half_open: max_handshakes, ..Limits::default() };
    if !private {
        return usual;
    }
    let half = u32::try_from(max_handshakes / 2).unwrap_or(u32::MAX);
    Limits { half_open_per_ip: half, burst_per_ip: 4096, per_minute_per_ip: 6000, ..usual }
}
