//! The proxies of the configuration: listening sockets, and behind each nothing until the first program comes.

use crate::settings::Settings;
use crate::settings::proxies::accounts;
use ramson_actors::destination::{DestinationConfig, Options};
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::names::Names;
use ramson_apps::streams::{Opened, Opener, Streams};
use ramson_apps::subscriptions::Subscriptions;
use ramson_apps::{Host, http_proxy, socks};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::private_keys::PrivateKeys;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// A destination answers a call within this time. INTEROP: Java waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Datagrams of a destination that wait; what comes beyond is lost.
const WAITING: usize = 256;

/// Starts the proxies that there are to be.
pub(crate) fn start(host: &Host, settings: &Settings, names: &Names, node: &Node) {
    let socks = &settings.socks_proxy;
    if let Err(error) = start_http(host, settings, names, node) {
        // It was refused when the settings were read.
        tracing::error!("the HTTP proxy does not start: {error}");
    }
    if let Some(listen) = socks.listen.0 {
        let opener = opener(node, Wanted::new(socks.quantity, socks.length), true);
        let proxy = socks::Proxy::new(Streams::new(opener.clone()), names.clone(), PATIENCE);
        let proxy = proxy.with_outproxies(socks.outproxies.clone());
        let proxy = Arc::new(proxy.with_users(socks.users, move || Streams::new(opener.clone())));
        host.run(async move {
            if let Some(listener) = bind(listen, "socks_proxy").await {
                proxy.serve(listener).await;
            }
        });
    }
}

fn start_http(host: &Host, settings: &Settings, names: &Names, node: &Node) -> Result<(), String> {
    let http = &settings.http_proxy;
    let Some(listen) = http.listen.0 else { return Ok(()) };
    let accounts = accounts("http_proxy", &http.auth, &http.accounts)?;
    let opener = opener(node, Wanted::new(http.quantity, http.length), false);
    let proxy = http_proxy::Proxy::new(Streams::new(opener.clone()), names.clone(), PATIENCE);
    let proxy = proxy.with_jump_services(settings.names.jump_services.clone());
    let make = move || Streams::new(opener.clone());
    let proxy = proxy.with_ways(http.outproxies.clone(), http.users, make);
    let proxy = Arc::new(proxy.with_accounts(accounts));
    host.run(async move {
        if let Some(listener) = bind(listen, "http_proxy").await {
            proxy.serve(listener).await;
        }
    });
    Ok(())
}

/// Follows the lists of names that there are to be. Their destination is one of its own: who sees it does not see what is read.
pub(crate) fn follow_lists(host: &Host, settings: &Settings, names: &Names, node: &Node) {
    let (lists, http) = (&settings.names, &settings.http_proxy);
    if lists.subscriptions.is_empty() {
        return;
    }
    let streams = Streams::new(opener(node, Wanted::new(http.quantity, http.length), false));
    let (names, urls, interval) = (names.clone(), lists.subscriptions.clone(), lists.interval.0);
    host.run(async move { Subscriptions::new(streams, names, &urls, interval).follow().await });
}

/// A proxy without a socket is no reason to end: the port may be another router's.
async fn bind(listen: SocketAddr, section: &str) -> Option<TcpListener> {
    match TcpListener::bind(listen).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, "nothing listens at {listen}: change {section}.listen, or write false");
            None
        }
    }
}

/// Opens a destination that nobody can call each time that one is wanted, with keys for as long as it lives.
fn opener(node: &Node, tunnels: Wanted, datagrams: bool) -> Opener {
    opener_of(node, move || nobody(tunnels), datagrams)
}

/// A destination that nobody can call, with new keys.
pub(crate) fn nobody(tunnels: Wanted) -> DestinationConfig {
    DestinationConfig {
        signer: PrivateKeys::generate(rand::random(), &rand::random()),
        encryption: SecretKey::from_bytes(rand::random()),
        inbound: tunnels,
        outbound: tunnels,
        published: false,
        options: Options::default(),
    }
}

/// Opens what `config` says each time that one is wanted.
pub(crate) fn opener_of(node: &Node, config: impl Fn() -> DestinationConfig + 'static, datagrams: bool) -> Opener {
    let (opener, wanted) = mpsc::channel(1);
    // Actors begin on the main thread.
    actix::spawn(open(wanted, node.clone(), config, datagrams));
    opener
}

async fn open(
    mut wanted: mpsc::Receiver<oneshot::Sender<Opened>>,
    node: Node,
    config: impl Fn() -> DestinationConfig,
    datagrams: bool,
) {
    while let Some(reply) = wanted.recv().await {
        let config = config();
        let signer = config.signer.clone();
        let (incoming, came) = if datagrams { Some(mpsc::channel(WAITING)) } else { None }.unzip();
        if let Some((handle, _)) = node.destinations().open_with(config, incoming) {
            // Whoever asked may have gone; the next one asks again.
            let _ = reply.send(Opened { handle, datagrams: came.map(|came| (signer, came)) });
        }
    }
}
