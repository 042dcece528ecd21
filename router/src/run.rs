//! `ramson run`: a node from a configuration and a data folder, until a signal ends it.

use crate::Failure;
use crate::data_dir::{DataDir, write_atomically};
use crate::reload::{Reloader, live};
use crate::settings::{OneOrMany, Settings};
use crate::{bootstrap, exporter, log};
use actix::prelude::*;
use bytes::Bytes;
use ramson_actors::identity::{Offer, Profile};
use ramson_actors::messages::Incoming;
use ramson_actors::netdb::NetDbConfig;
use ramson_actors::node::{Listen, Node, NodeConfig};
use ramson_actors::pool::PoolConfig;
use ramson_protocol::data::router_info::RouterInfo;
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
pub(crate) fn run(config: Option<&Path>, data: &Path, while_stdin_is_open: bool) -> Result<(), Failure> {
    let path = config.map(Path::to_owned);
    let settings = Settings::load(config)?;
    let filter = log::start(&settings.log.level)?;
    let prometheus = exporter::install()?;
    let data = DataDir::open(data)?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    System::new().block_on(async move {
        let node = start_node(&settings, &data, None)?;
        let _applications = crate::tunnels::start(&settings.tunnel, &data, &node)?;
        if let Some(listen) = settings.metrics.listen {
            let addr = exporter::serve(listen, node.clone(), prometheus)
                .map_err(|e| format!("cannot serve metrics on {listen}: {e}; change metrics.listen"))?;
            tracing::info!(port = addr.port(), "metrics are served");
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            net_id = settings.network.id,
            floodfill = settings.router.floodfill,
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
        let reloader = Reloader::new(path, settings, node.clone(), Some(filter));
        serve(receiver, &node, reloader).await
    })
}

type SignalReceiver = tokio::sync::mpsc::UnboundedReceiver<i32>;

fn async_channel() -> (tokio::sync::mpsc::UnboundedSender<i32>, SignalReceiver) {
    tokio::sync::mpsc::unbounded_channel()
}

/// Until SIGTERM or SIGINT, and then until the drain is over. A second one ends the process at once.
///
/// # Errors
/// If something has ended that the node cannot do without.
async fn serve(mut signals: SignalReceiver, node: &Node, mut reloader: Reloader) -> Result<(), Failure> {
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Some(SIGHUP) => reloader.on_signal(),
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
    tracing::info!("draining");
    tokio::select! {
        () = node.drain() => tracing::info!("stopped"),
        _ = signals.recv() => {
            tracing::warn!("stopped at once");
            std::process::exit(0);
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
        let found = bootstrap::read(path)
            .map_err(|e| format!("cannot read network.bootstrap entry {}: {e}", path.display()))?;
        routers.extend(found);
    }
    let router_info_path = data.router_info_path();
    let node = Node::start(NodeConfig {
        keys: data.keys()?,
        profile: Profile {
            net_id: settings.network.id,
            floodfill: settings.router.floodfill,
            ntcp2: settings.ntcp2.enabled.then(|| Offer { publish: settings.ntcp2.publish.0.clone(), mtu: MTU }),
            ssu2: settings
                .ssu2
                .enabled
                .then(|| Offer { publish: settings.ssu2.publish.0.clone(), mtu: settings.ssu2.mtu }),
            // The line's, which the node knows.
            share: 0,
        },
        allow_private: settings.network.allow_private_addresses,
        ntcp2: Listen {
            addresses: listen(settings.ntcp2.enabled, &settings.ntcp2.listen),
            max_handshakes: settings.ntcp2.max_handshakes,
            segmentation_offload: true,
        },
        ssu2: Listen {
            addresses: listen(settings.ssu2.enabled, &settings.ssu2.listen),
            max_handshakes: settings.ssu2.max_handshakes,
            segmentation_offload: settings.ssu2.segmentation_offload,
        },
        tokens: Some(data.tokens_path()),
        threads: settings.router.io_threads,
        live: live(settings)?,
        pool: PoolConfig::exploratory(settings.exploratory.quantity, settings.exploratory.length),
        profiles: Some(data.profiles_path()),
        netdb: NetDbConfig {
            database: data.database_path(),
            max_routers: settings.netdb.max_routers,
            max_lease_sets: settings.netdb.max_lease_sets,
        },
        bootstrap: routers,
        on_router_info: Box::new(move |info: &RouterInfo| {
            if let Err(error) = write_atomically(&router_info_path, info.as_bytes(), 0o644) {
                tracing::error!(%error, "router.info could not be written");
            }
        }),
        data: sink,
    })
    .map_err(|e| {
        let (tcp, udp) = (&settings.ntcp2.listen.0, &settings.ssu2.listen.0);
        format!("cannot start: {e}; is {tcp:?} (TCP) or {udp:?} (UDP) in use, or not an address of this machine?")
    })?;
    Ok(node)
}

/// Where a transport listens, if it is to be spoken.
fn listen(enabled: bool, addresses: &OneOrMany) -> Vec<SocketAddr> {
    if enabled { addresses.0.clone() } else { Vec::new() }
}
