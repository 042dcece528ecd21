//! The SAM server of the configuration: a listening socket, and behind it nothing until the first program comes.

use crate::data_dir::DataDir;
use crate::doors::{self, Certificate};
use crate::settings::sam::Sam;
use ramson_actors::destination::DestinationConfig;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::names::Names;
use ramson_apps::sam::endpoint::{OfRouter, Opened, Wish};
use ramson_apps::sam::{Config, Server, Users};
use ramson_crypto::x25519::SecretKey;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};

/// Destinations that wait to be opened.
const WISHES: usize = 16;

/// Datagrams of one destination that wait for the thread of applications.
const DATAGRAMS: usize = 256;

/// Starts the server, if there is to be one.
pub(crate) fn start(host: &Host, config: &Sam, data: &DataDir, names: &Names, node: &Node) {
    if !config.is_there() {
        return;
    }
    let (places, certificate) = (config.places(), Certificate::of(data));
    let opener = opener(node);
    let (names, tunnels, udp) = (names.clone(), Wanted::new(config.quantity, config.length), config.udp_listen.0);
    let (users, keys) = (Users::new(config.names_and_passwords()), Some(data.path().join("sam")));
    host.run(async move {
        let doors = doors::open("sam", &places, &certificate).await;
        if doors.is_empty() {
            return;
        }
        let datagrams = match udp {
            Some(udp) => UdpSocket::bind(udp).await.map_err(|error| {
                tracing::warn!(%error, "SAM has no datagrams by UDP: change sam.udp_listen, or write false");
            }),
            None => Err(()),
        };
        let config = Config { names, tunnels, udp: datagrams.ok(), users, keys };
        Server::new(opener, config).serve(doors).await;
    });
}

/// What opens destinations for programs.
pub(crate) fn opener(node: &Node) -> OfRouter {
    let (desk, wishes) = mpsc::channel(WISHES);
    // Actors begin on the main thread.
    actix::spawn(open(wishes, node.clone()));
    OfRouter::new(desk)
}

/// Opens destinations as they are wanted.
async fn open(mut wishes: mpsc::Receiver<(Wish, oneshot::Sender<Option<Opened>>)>, node: Node) {
    while let Some((wish, reply)) = wishes.recv().await {
        if let Err(Some(unwanted)) = reply.send(open_one(&node, wish)) {
            unwanted.handle.close();
        }
    }
}

/// Opens a destination. `None` if the router cannot take it now.
pub(crate) fn open_one(node: &Node, wish: Wish) -> Option<Opened> {
    let Wish { keys, inbound, outbound, published, datagrams, options } = wish;
    let (sender, receiver) = mpsc::channel(DATAGRAMS);
    let config = DestinationConfig {
        signer: keys,
        // Lease sets tell it, so it may be another at each start.
        encryption: SecretKey::from_bytes(rand::random()),
        inbound,
        outbound,
        published,
        options,
    };
    let (handle, streams) = node.destinations().open_with(config, datagrams.then_some(sender))?;
    Some(Opened { handle, streams, datagrams: receiver })
}
