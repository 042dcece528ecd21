//! `ramson run`: a node from a configuration and a data folder, until a signal ends it.

use crate::Failure;
use crate::config::{Config, OneOrMany};
use crate::data_dir::{DataDir, write_atomically};
use crate::{bootstrap, exporter, log};
use actix::prelude::*;
use bytes::Bytes;
use ramson_actors::identity::{Offer, Profile};
use ramson_actors::messages::Incoming;
use ramson_actors::netdb::NetDbConfig;
use ramson_actors::node::{Listen, Node, NodeConfig};
use ramson_actors::pool::PoolConfig;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::shape::Limits;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::SocketAddr;
use std::path::Path;

/// The largest IP packet of NTCP2, whose fragments TCP sees to.
const MTU: u16 = 1500;

/// Runs a node.
///
/// # Errors
/// Whatever keeps it from starting, with what to do.
pub fn run(config: Option<&Path>, data: &Path, while_stdin_is_open: bool) -> Result<(), Failure> {
    let config_path = config.map(Path::to_owned);
    let config = Config::load(config)?;
    log::start(&config.log.level)?;
    let prometheus = exporter::install()?;
    let data = DataDir::open(data)?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    System::new().block_on(async move {
        let node = start_node(&config, &data, None)?;
        if let Some(listen) = config.metrics.listen {
            let addr = exporter::serve(listen, node.clone(), prometheus)
                .map_err(|e| format!("cannot serve metrics on {listen}: {e}; change metrics.listen"))?;
            tracing::info!(port = addr.port(), "metrics are served");
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            net_id = config.network.id,
            floodfill = config.router.floodfill,
            threads = node.transports().stats().len(),
            cipher = ramson_crypto::tunnel::Kernel::best().name(),
            aead = ramson_crypto::aead::Kernel::best().name(),
            "running"
        );
        let (sender, receiver) = async_channel();
        if while_stdin_is_open {
            let sender = sender.clone();
            std::thread::spawn(move || {
                // Whatever ends the reading, nobody holds the other end any more.
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                let _ = sender.send(SIGTERM);
            });
        }
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        });
        serve(receiver, &node, config_path.as_deref()).await;
        Ok(())
    })
}

type SignalReceiver = tokio::sync::mpsc::UnboundedReceiver<i32>;

fn async_channel() -> (tokio::sync::mpsc::UnboundedSender<i32>, SignalReceiver) {
    tokio::sync::mpsc::unbounded_channel()
}

/// Until SIGTERM or SIGINT, and then until the drain is over. A second one ends the process at once.
async fn serve(mut signals: SignalReceiver, node: &Node, config: Option<&Path>) {
    while let Some(signal) = signals.recv().await {
        if signal != SIGHUP {
            break;
        }
        let read = Config::load(config).map_err(Failure::from);
        match read.and_then(|config| Ok((blocklist(&config)?, config))) {
            Ok((blocklist, config)) => {
                node.reload(config.transit.max_tunnels, &line(&config), blocklist);
                tracing::info!(
                    "the configuration was read again: limits and blocklist are in force, addresses need a restart"
                );
            }
            Err(error) => tracing::error!(%error, "the configuration was not reloaded; the old one stays in force"),
        }
    }
    tracing::info!("draining");
    tokio::select! {
        () = node.drain() => tracing::info!("stopped"),
        _ = signals.recv() => {
            tracing::warn!("stopped at once");
            std::process::exit(0);
        }
    }
}

/// A node from its configuration.
///
/// # Errors
/// Whatever keeps it from starting, with what to do.
pub fn start_node(config: &Config, data: &DataDir, sink: Option<Recipient<Incoming>>) -> Result<Node, Failure> {
    let mut routers: Vec<Bytes> = Vec::new();
    for path in &config.network.bootstrap {
        let found = bootstrap::read(path)
            .map_err(|e| format!("cannot read network.bootstrap entry {}: {e}", path.display()))?;
        routers.extend(found);
    }
    let router_info_path = data.router_info_path();
    let node = Node::start(NodeConfig {
        keys: data.keys()?,
        profile: Profile {
            net_id: config.network.id,
            floodfill: config.router.floodfill,
            ntcp2: config.ntcp2.enabled.then(|| Offer { publish: config.ntcp2.publish.0.clone(), mtu: MTU }),
            ssu2: config.ssu2.enabled.then(|| Offer { publish: config.ssu2.publish.0.clone(), mtu: config.ssu2.mtu }),
            share: line(config).transit,
        },
        allow_private: config.network.allow_private_addresses,
        ntcp2: Listen {
            addresses: listen(config.ntcp2.enabled, &config.ntcp2.listen),
            idle_close: config.ntcp2.idle_close.0,
            max_handshakes: config.ntcp2.max_handshakes,
            segmentation_offload: true,
        },
        ssu2: Listen {
            addresses: listen(config.ssu2.enabled, &config.ssu2.listen),
            idle_close: config.ssu2.idle_close.0,
            max_handshakes: config.ssu2.max_handshakes,
            segmentation_offload: config.ssu2.segmentation_offload,
        },
        tokens: Some(data.tokens_path()),
        threads: config.ntcp2.threads,
        line: line(config),
        max_transit: config.transit.max_tunnels,
        pool: PoolConfig::exploratory(config.exploratory.quantity, config.exploratory.length),
        profiles: Some(data.profiles_path()),
        netdb: NetDbConfig {
            database: data.database_path(),
            max_routers: config.netdb.max_routers,
            max_lease_sets: config.netdb.max_lease_sets,
        },
        blocklist: blocklist(config)?,
        bootstrap: routers,
        on_router_info: Box::new(move |info: &RouterInfo| {
            if let Err(error) = write_atomically(&router_info_path, info.as_bytes(), 0o644) {
                tracing::error!(%error, "router.info could not be written");
            }
        }),
        data: sink,
    })
    .map_err(|e| {
        let (tcp, udp) = (&config.ntcp2.listen.0, &config.ssu2.listen.0);
        format!("cannot start: {e}; is {tcp:?} (TCP) or {udp:?} (UDP) in use, or not an address of this machine?")
    })?;
    Ok(node)
}

/// All blocklists in one.
fn blocklist(config: &Config) -> Result<Blocklist, Failure> {
    let mut list = Blocklist::default();
    for path in &config.network.blocklist {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read network.blocklist entry {}: {e}", path.display()))?;
        list.add(&text).map_err(|e| format!("in network.blocklist entry {}, {e}", path.display()))?;
    }
    Ok(list)
}

/// Where a transport listens, if it is to be spoken.
fn listen(enabled: bool, addresses: &OneOrMany) -> Vec<SocketAddr> {
    if enabled { addresses.0.clone() } else { Vec::new() }
}

/// What the line bears.
fn line(config: &Config) -> Limits {
    let (inbound, outbound) = (config.bandwidth.inbound.0, config.bandwidth.outbound.0);
    let transit = (inbound.min(outbound) as f64 * config.bandwidth.transit_share) as u64;
    Limits { inbound, outbound, transit, max_delay: config.bandwidth.max_delay.0 }
}
