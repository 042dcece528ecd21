//! `ramson run`: a node from a configuration and a data folder, until a signal ends it.

use crate::Failure;
use crate::data_dir::{self, DataDir};
use crate::doors::Certificate;
use crate::platform::{self, SIGHUP};
use crate::reload::{Reloader, live};
use crate::settings::Settings;
use crate::settings::publish::Published;
use crate::settings::router::Role;
use crate::site::Said;
use crate::start::Protocol;
use crate::tunnels::Tunnels;
use crate::{
    bob, bootstrap, control, exporter, family, i2cp, i2pcontrol, log, proxy, reseed, sam, service, start, version,
    watch,
};
use actix::prelude::*;
use bytes::Bytes;
use ramson_actors::disk;
use ramson_actors::identity::{Offer, Profile};
use ramson_actors::messages::Incoming;
use ramson_actors::netdb::NetDbConfig;
use ramson_actors::node::{DRAIN, Listen, Node, NodeConfig};
use ramson_actors::pool::PoolConfig;
use ramson_actors::time_keeper::ClockConfig;
use ramson_apps::Host;
use ramson_apps::names::Names;
use ramson_protocol::data::router_info::RouterInfo;
use signal_hook::consts::SIGTERM;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// What the end takes beside the drain, as the service manager is told.
const STOP: Duration = Duration::from_secs(20);

/// The largest IP packet of NTCP2, whose fragments TCP sees to.
const MTU: u16 = 1500;

/// A node that is stopped at once has so long to write what it knows.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Runs a node, as the configuration and the command line say.
///
/// # Errors
/// Whatever keeps it from starting, with what to do.
pub(crate) fn run(config: Option<&Path>, data: &Path, while_stdin_is_open: bool, said: Said) -> Result<(), Failure> {
    // First of all: a signal that comes while we begin is kept, and does not end the process.
    let signals = platform::signals()?;
    let path = config.map(Path::to_owned);
    let settings = said.settings(config)?;
    let filter = log::start(&settings.log.level)?;
    platform::keep_files_private();
    start::check_limits(&settings)?;
    let prometheus = exporter::install()?;
    data_dir::raise_descriptor_limit();
    let data = Rc::new(DataDir::open(data)?);
    let metrics = settings.metrics.listen.0.map(listen_for_metrics).transpose()?;
    System::new().block_on(async move {
        let node = start_node(&settings, &data, None)?;
        let names = Names::new(data.names_path());
        let applications = Applications::start(&settings, &data, &names, &node)?;
        if let Err(error) = control::serve(data.path(), node.clone(), names.clone()) {
            tracing::warn!(%error, "commands cannot ask this router: is the path of the data folder too long for a socket?");
        }
        if let Some(listener) = metrics {
            exporter::serve(listener, node.clone(), prometheus)?;
        }
        tell_start(&settings, data.port()?, &node);
        if let Some(site) = &said.site {
            site.tell(&settings, &data)?;
        }
        let (sender, receiver) = async_channel();
        if let Some(applications) = &applications {
            applications.listen_to_orders(&settings, &data, &node, sender.clone());
        }
        if while_stdin_is_open {
            let sender = sender.clone();
            std::thread::spawn(move || {
                // Whatever ends the reading, nobody holds the other end any more.
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                let _ = sender.send(SIGTERM);
            });
        }
        std::thread::spawn(move || {
            for signal in signals {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        });
        service::started();
        watch::begin(node.clone());
        let reloader = Reloader::new(path, settings, node.clone(), Some(filter))
            .with_volume(data.volume_path())
            .with_applications(applications)
            .with_said(said);
        serve(receiver, &node, reloader).await
    })
}

/// What runs on destinations. All of it ends when this is dropped.
pub(crate) struct Applications {
    tunnels: Tunnels,
    host: Rc<Host>,
}

impl Applications {
    /// Starts proxies, the servers of SAM, I2CP and BOB, and tunnels; none of them for a relay.
    ///
    /// # Errors
    /// If a tunnel's keys cannot be had, or the system gives no thread.
    pub(crate) fn start(
        settings: &Settings,
        data: &Rc<DataDir>,
        names: &Names,
        node: &Node,
    ) -> Result<Option<Self>, Failure> {
        if settings.router.role == Role::Relay {
            return Ok(None);
        }
        let host = Rc::new(Host::start()?);
        let mut tunnels = Tunnels::new(Rc::clone(&host), Rc::clone(data), names.clone(), node.clone());
        tunnels.apply(&settings.tunnel)?;
        tell_left_out(settings);
        proxy::start(&host, settings, names, node);
        proxy::follow_lists(&host, settings, names, node);
        sam::start(&host, &settings.sam, data, names, node);
        i2cp::start(&host, settings, data, names, node);
        bob::start(&host, &settings.bob, names, node);
        Ok(Some(Self { tunnels, host }))
    }

    /// Starts I2PControl, which can end the router by `signals`.
    fn listen_to_orders(&self, settings: &Settings, data: &DataDir, node: &Node, signals: SignalSender) {
        i2pcontrol::start(&self.host, settings, Certificate::of(data), node, signals);
    }

    /// Has the tunnels of these settings run and no others.
    ///
    /// # Errors
    /// If a tunnel's keys cannot be had; nothing has changed then.
    pub(crate) fn reload(&mut self, settings: &Settings) -> Result<(), Failure> {
        self.tunnels.apply(&settings.tunnel)?;
        tell_left_out(settings);
        Ok(())
    }
}

/// Says that tunnels of other routers' files do not run. Why not may name destinations, which no log has.
fn tell_left_out(settings: &Settings) {
    for (file, count) in &settings.left_out {
        tracing::warn!(%file, count, "tunnels of this file do not run; `ramson import-tunnels FILE` says why");
    }
}

/// # Errors
/// If the address cannot be had, with what to do.
fn listen_for_metrics(listen: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).map_err(|e| start::cannot_listen("metrics.listen", Protocol::Tcp, listen, &e).into())
}

/// Says what runs, and where it can be reached.
fn tell_start(settings: &Settings, port: u16, node: &Node) {
    tracing::info!(
        version = version::long(),
        net_id = settings.network.id,
        floodfill = ?settings.router.floodfill.0,
        threads = node.transports().stats().len(),
        cipher = ramson_crypto::tunnel::Kernel::best().name(),
        aead = ramson_crypto::aead::Kernel::best().name(),
        "running"
    );
    for (key, protocol, addr) in start::ports(settings, port) {
        tracing::info!("{key}: listening on {addr} ({})", protocol.name());
    }
    if settings.network.bootstrap.is_empty() && node.netdb().counts().0 == 0 {
        tracing::info!("no routers known yet: {}", node.reseeding());
    }
}

type SignalReceiver = tokio::sync::mpsc::UnboundedReceiver<i32>;

type SignalSender = tokio::sync::mpsc::UnboundedSender<i32>;

fn async_channel() -> (SignalSender, SignalReceiver) {
    tokio::sync::mpsc::unbounded_channel()
}

/// Until SIGTERM or SIGINT, and then until the drain is over. A second one ends the process at once; a SIGHUP meanwhile does
/// not.
///
/// # Errors
/// If something has ended that the node cannot do without.
async fn serve(mut signals: SignalReceiver, node: &Node, mut reloader: Reloader) -> Result<(), Failure> {
    let mut minute = actix::clock::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            _ = minute.tick() => reloader.on_tick(),
            signal = signals.recv() => match signal {
                Some(SIGHUP) => {
                    service::reloading();
                    reloader.on_signal();
                    service::started();
                }
                Some(_) | None => break,
            },
            what = node.failed() => {
                // What is left is put on disk, and nobody waits for the rest.
                node.stop().await;
                return Err(format!(
                    "{what} has ended unexpectedly; the lines before this one say why. Start the router again, and report this"
                )
                .into());
            }
        }
    }
    tracing::info!(
        "draining: no new tunnels of others are taken, those that stand end within eleven minutes; a second signal stops at once"
    );
    service::stopping(DRAIN + STOP);
    let second = async {
        while signals.recv().await == Some(SIGHUP) {
            tracing::warn!("the configuration is not read again while the router drains");
        }
    };
    tokio::select! {
        () = node.drain() => tracing::info!("stopped"),
        () = second => {
            tracing::warn!("stopped at once");
            // What is known goes to disk, and a third signal would find nobody.
            if actix::clock::timeout(AT_ONCE, node.stop()).await.is_err() {
                std::process::exit(1);
            }
        }
    }
    Ok(())
}

/// A node from its settings.
///
/// # Errors
/// Whatever keeps it from starting, with what to do.
pub(crate) fn start_node(
    settings: &Settings,
    data: &DataDir,
    sink: Option<Recipient<Incoming>>,
) -> Result<Node, Failure> {
    let mut routers: Vec<Bytes> = Vec::new();
    for path in &settings.network.bootstrap {
        let found = bootstrap::read(path).map_err(|e| format!("network.bootstrap: {e}"))?;
        if let Some(complaint) = found.complaint() {
            tracing::warn!("network.bootstrap: {complaint}");
        }
        if found.routers.is_empty() {
            tracing::warn!("network.bootstrap: there is no RouterInfo in {}", path.display());
        }
        routers.extend(found.routers);
    }
    let router_info_path = data.router_info_path();
    let port = data.port()?;
    let node = Node::start(NodeConfig {
        keys: data.keys()?,
        profile: Profile {
            net_id: settings.network.id,
            floodfill: settings.router.floodfill.0,
            ntcp2: offer("ntcp2", settings.ntcp2.enabled, &settings.ntcp2.publish, MTU)?,
            ssu2: offer("ssu2", settings.ssu2.enabled, &settings.ssu2.publish, settings.ssu2.mtu)?,
            // The line's, which the node knows.
            share: 0,
            family: family::read(&settings.router.family)?,
        },
        allow_private: settings.network.allow_private_addresses,
        ntcp2: Listen {
            addresses: start::listen(settings.ntcp2.enabled, &settings.ntcp2.listen, port),
            max_handshakes: settings.ntcp2.max_handshakes,
            segmentation_offload: true,
        },
        ssu2: Listen {
            addresses: start::listen(settings.ssu2.enabled, &settings.ssu2.listen, port),
            max_handshakes: settings.ssu2.max_handshakes,
            segmentation_offload: settings.ssu2.segmentation_offload,
        },
        tokens: Some(data.tokens_path()),
        max_connections: data_dir::connections(),
        threads: settings.router.io_threads,
        live: live(settings)?,
        pool: PoolConfig::exploratory(settings.exploratory.quantity, settings.exploratory.length),
        clock: ClockConfig { servers: settings.clock.servers.of(settings.network.id), path: Some(data.clock_path()) },
        map_ports: settings.router.port_mapping,
        hidden: settings.router.hidden,
        drain: DRAIN,
        profiles: Some(data.profiles_path()),
        bans: Some(data.bans_path()),
        netdb: NetDbConfig {
            database: data.database_path(),
            max_routers: settings.netdb.max_routers,
            max_lease_sets: settings.netdb.max_lease_sets,
        },
        bootstrap: routers,
        reseed: reseed::hosts::plan(settings, data.reseed_path())?,
        on_router_info: Box::new(move |info: &RouterInfo| {
            if let Err(error) = disk::replace(&router_info_path, info.as_bytes(), 0o644) {
                tracing::error!(%error, "router.info could not be written");
            }
        }),
        data: sink,
    })
    .map_err(|e| start::explain(&e, settings, port))?;
    Ok(node)
}

/// What a transport offers, if it is to be spoken.
///
/// # Errors
/// If a name that it is to publish is not found.
fn offer(section: &str, enabled: bool, publish: &Published, mtu: u16) -> Result<Option<Offer>, Failure> {
    if !enabled {
        return Ok(None);
    }
    Ok(Some(Offer { publish: publish.resolve(section)?, mtu }))
}
