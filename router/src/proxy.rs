//! The HTTP proxy of the configuration: a listening socket, and behind it nothing until the first browser comes.

use crate::data_dir::DataDir;
use crate::settings::http_proxy::HttpProxy;
use ramson_actors::destination::DestinationConfig;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::http_proxy::Proxy;
use ramson_apps::names::book::Book;
use ramson_apps::streams::Streams;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::streaming::streams::Signer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// A site answers a call within this time. INTEROP: Java waits as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the proxy, if there is to be one.
pub(crate) fn start(host: &Host, config: &HttpProxy, data: &DataDir, node: &Node) {
    let Some(listen) = config.listen.0 else { return };
    let (opener, wanted) = mpsc::channel(1);
    // Actors begin on the main thread.
    actix::spawn(open(wanted, node.clone(), Wanted::new(config.quantity, config.length)));
    let (streams, names) = (Streams::new(opener), data.names_path());
    host.run(async move {
        let listener = match TcpListener::bind(listen).await {
            Ok(listener) => listener,
            Err(error) => {
                return tracing::warn!(%error, "there is no HTTP proxy: change http_proxy.listen, or write false");
            }
        };
        if let Err(error) = serve(listener, streams, names).await {
            tracing::error!(%error, "the HTTP proxy has ended");
        }
    });
}

/// Opens the proxy's destination when it is wanted: one that nobody can call, with keys for as long as the process lives.
async fn open(
    mut wanted: mpsc::Receiver<oneshot::Sender<ramson_actors::destination::DestinationHandle>>,
    node: Node,
    tunnels: Wanted,
) {
    while let Some(reply) = wanted.recv().await {
        let keys = PrivateKeys::generate(rand::random(), &rand::random());
        let signer = Signer { destination: keys.destination, key: keys.key, offline: keys.offline };
        let opened = node.destinations().open(DestinationConfig {
            signer,
            encryption: SecretKey::from_bytes(rand::random()),
            inbound: tunnels,
            outbound: tunnels,
            published: false,
        });
        if let Some((destination, _)) = opened {
            // Whoever asked may have gone; the next one asks again.
            let _ = reply.send(destination);
        }
    }
}

/// # Errors
/// If a socket or the address book fails.
async fn serve(listener: TcpListener, streams: Streams, names: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let (first, _) = listener.accept().await?;
    let proxy = Arc::new(Proxy::new(streams, Arc::new(book(&names)?), PATIENCE));
    tokio::spawn(Arc::clone(&proxy).serve_one(first));
    proxy.serve(listener).await;
    Ok(())
}

/// # Errors
/// If it cannot be opened, with what to do.
fn book(path: &Path) -> Result<Book, String> {
    Book::open(path).map_err(|e| format!("{e}; move {} away to begin with an empty one", path.display()))
}
