//! The proxies of the configuration: listening sockets, and behind each nothing until the first program comes.

use crate::settings::Settings;
use ramson_actors::destination::{DestinationConfig, DestinationHandle, Options};
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::names::Names;
use ramson_apps::streams::{Opener, Streams};
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

/// Starts the proxies that there are to be.
pub(crate) fn start(host: &Host, settings: &Settings, names: &Names, node: &Node) {
    let (http, socks) = (&settings.http_proxy, &settings.socks_proxy);
    if let Some(listen) = http.listen.0 {
        let streams = Streams::new(opener(node, Wanted::new(http.quantity, http.length)));
        let proxy = http_proxy::Proxy::new(streams, names.clone(), PATIENCE);
        let proxy = proxy.with_jump_services(settings.names.jump_services.clone());
        let proxy = Arc::new(proxy.with_outproxies(http.outproxies.clone()));
        host.run(async move {
            if let Some(listener) = bind(listen, "http_proxy").await {
                proxy.serve(listener).await;
            }
        });
    }
    if let Some(listen) = socks.listen.0 {
        let streams = Streams::new(opener(node, Wanted::new(socks.quantity, socks.length)));
        let proxy = Arc::new(socks::Proxy::new(streams, names.clone(), PATIENCE));
        host.run(async move {
            if let Some(listener) = bind(listen, "socks_proxy").await {
                proxy.serve(listener).await;
            }
        });
    }
}

/// Follows the lists of names that there are to be. Their destination is one of its own: who sees it does not see what is read.
pub(crate) fn follow_lists(host: &Host, settings: &Settings, names: &Names, node: &Node) {
    let (lists, http) = (&settings.names, &settings.http_proxy);
    if lists.subscriptions.is_empty() {
        return;
    }
    let streams = Streams::new(opener(node, Wanted::new(http.quantity, http.length)));
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

/// Opens a destination each time that one is wanted.
fn opener(node: &Node, tunnels: Wanted) -> Opener {
    let (opener, wanted) = mpsc::channel(1);
    // Actors begin on the main thread.
    actix::spawn(open(wanted, node.clone(), tunnels));
    opener
}

/// Opens destinations that nobody can call, with keys for as long as the process lives.
async fn open(mut wanted: mpsc::Receiver<oneshot::Sender<DestinationHandle>>, node: Node, tunnels: Wanted) {
    while let Some(reply) = wanted.recv().await {
        let opened = node.destinations().open(DestinationConfig {
            signer: PrivateKeys::generate(rand::random(), &rand::random()).into(),
            encryption: SecretKey::from_bytes(rand::random()),
            inbound: tunnels,
            outbound: tunnels,
            published: false,
            options: Options::default(),
        });
        if let Some((destination, _)) = opened {
            // Whoever asked may have gone; the next one asks again.
            let _ = reply.send(destination);
        }
    }
}
