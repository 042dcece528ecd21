//! The I2CP server of the configuration: listening sockets, and behind them nothing until the first program comes.

use crate::data_dir::DataDir;
use crate::doors::{self, Certificate};
use crate::proxy::nobody;
use crate::settings::Settings;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::i2cp::Server;
use ramson_apps::i2cp::endpoint::{Ask, OfRouter};
use ramson_apps::names::Names;
use ramson_protocol::i2cp::server::Config;
use tokio::sync::mpsc;

/// Destinations that wait to be opened.
const WISHES: usize = 16;

/// Starts the server, if there is to be one.
pub(crate) fn start(host: &Host, settings: &Settings, data: &DataDir, names: &Names, node: &Node) {
    if !settings.i2cp.is_there() {
        return;
    }
    let (places, certificate) = (settings.i2cp.places(), Certificate::of(data));
    let (desk, asked) = mpsc::channel(WISHES);
    let tunnels = Wanted::new(settings.i2cp.quantity, settings.i2cp.length);
    // Actors begin on the main thread.
    actix::spawn(open(asked, tunnels, node.clone()));
    let kilobytes = |rate: u64| u32::try_from(rate / 1000).unwrap_or(u32::MAX);
    let config = Config {
        credentials: settings.i2cp.credentials(),
        tunnels: Some(tunnels),
        limits: [kilobytes(settings.bandwidth.inbound.0), kilobytes(settings.bandwidth.outbound.0)],
        ..Config::default()
    };
    let server = Server::new(OfRouter::new(desk), names.clone(), node.shared().clock().clone(), config);
    host.run(async move { server.serve(doors::open("i2cp", &places, &certificate).await).await });
}

/// Opens destinations as they are wanted.
async fn open(mut asked: mpsc::Receiver<Ask>, tunnels: Wanted, node: Node) {
    while let Some(ask) = asked.recv().await {
        let (handle, reply) = match ask {
            Ask::Program(config, reply) => (Some(node.destinations().open_program(*config)), reply),
            Ask::Seeker(reply) => (node.destinations().open(nobody(tunnels)).map(|(handle, _)| handle), reply),
        };
        if let Some(handle) = handle
            && let Err(unwanted) = reply.send(handle)
        {
            unwanted.close();
        }
    }
}
