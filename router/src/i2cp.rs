//! The I2CP server of the configuration: a listening socket, and behind it nothing until the first program comes.

use crate::settings::Settings;
use ramson_actors::destination::{DestinationConfig, Options};
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::i2cp::Server;
use ramson_apps::i2cp::endpoint::{Ask, OfRouter};
use ramson_apps::names::Names;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::i2cp::server::Config;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Destinations that wait to be opened.
const WISHES: usize = 16;

/// Starts the server, if there is to be one.
pub(crate) fn start(host: &Host, settings: &Settings, names: &Names, node: &Node) {
    let Some(listen) = settings.i2cp.listen.0 else { return };
    let (desk, asked) = mpsc::channel(WISHES);
    let tunnels = Wanted::new(settings.i2cp.quantity, settings.i2cp.length);
    // Actors begin on the main thread.
    actix::spawn(open(asked, tunnels, node.clone()));
    let kilobytes = |rate: u64| u32::try_from(rate / 1000).unwrap_or(u32::MAX);
    let config = Config {
        credentials: settings.i2cp.credentials(),
        tunnels: Some(tunnels),
        limits: [kilobytes(settings.bandwidth.inbound.0), kilobytes(settings.bandwidth.outbound.0)],
    };
    let (names, clock) = (names.clone(), node.shared().clock().clone());
    host.run(async move {
        match TcpListener::bind(listen).await {
            Ok(listener) => Server::new(OfRouter::new(desk), names, clock, config).serve(listener).await,
            Err(error) => tracing::warn!(%error, "there is no I2CP server: change i2cp.listen, or write false"),
        }
    });
}

/// Opens destinations as they are wanted.
async fn open(mut asked: mpsc::Receiver<Ask>, tunnels: Wanted, node: Node) {
    while let Some(ask) = asked.recv().await {
        let (handle, reply) = match ask {
            Ask::Program(config, reply) => (Some(node.destinations().open_program(*config)), reply),
            Ask::Seeker(reply) => {
                let config = DestinationConfig {
                    signer: PrivateKeys::generate(rand::random(), &rand::random()).into(),
                    encryption: SecretKey::from_bytes(rand::random()),
                    inbound: tunnels,
                    outbound: tunnels,
                    published: false,
                    options: Options::default(),
                };
                (node.destinations().open(config).map(|(handle, _)| handle), reply)
            }
        };
        if let Some(handle) = handle
            && let Err(unwanted) = reply.send(handle)
        {
            unwanted.close();
        }
    }
}
