//! The SAM server of the configuration: a listening socket, and behind it nothing until the first program comes.

use crate::settings::sam::Sam;
use ramson_actors::destination::DestinationConfig;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::names::Names;
use ramson_apps::sam::Server;
use ramson_apps::sam::endpoint::{OfRouter, Opened, Wish};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::streaming::streams::Signer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// Destinations that wait to be opened.
const WISHES: usize = 16;

/// Starts the server, if there is to be one.
pub(crate) fn start(host: &Host, config: &Sam, names: &Names, node: &Node) {
    let Some(listen) = config.listen.0 else { return };
    let (desk, wishes) = mpsc::channel(WISHES);
    // Actors begin on the main thread.
    actix::spawn(open(wishes, node.clone()));
    let server = Server::new(OfRouter::new(desk), names.clone(), Wanted::new(config.quantity, config.length));
    host.run(async move {
        match TcpListener::bind(listen).await {
            Ok(listener) => server.serve(listener).await,
            Err(error) => tracing::warn!(%error, "there is no SAM server: change sam.listen, or write false"),
        }
    });
}

/// Opens destinations as they are wanted.
async fn open(mut wishes: mpsc::Receiver<(Wish, oneshot::Sender<Option<Opened>>)>, node: Node) {
    while let Some((wish, reply)) = wishes.recv().await {
        let Wish { keys, inbound, outbound, published } = wish;
        let opened = node.destinations().open(DestinationConfig {
            signer: Signer { destination: keys.destination, key: keys.key, offline: keys.offline },
            // Lease sets tell it, so it may be another at each start.
            encryption: SecretKey::from_bytes(rand::random()),
            inbound,
            outbound,
            published,
        });
        if let Err(Some((unwanted, _))) = reply.send(opened) {
            unwanted.close();
        }
    }
}
