//! The BOB server of the configuration.

use crate::sam::opener;
use crate::settings::bob::Bob;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::bob::Server;
use ramson_apps::names::Names;
use tokio::net::TcpListener;

/// Starts the server, if there is to be one.
pub(crate) fn start(host: &Host, config: &Bob, names: &Names, node: &Node) {
    let Some(listen) = config.listen.0 else { return };
    let (opener, names, tunnels) = (opener(node), names.clone(), Wanted::new(config.quantity, config.length));
    host.run(async move {
        match TcpListener::bind(listen).await {
            Ok(listener) => Server::new(opener, names, tunnels).serve(listener).await,
            Err(error) => tracing::warn!(%error, "there is no BOB server: change bob.listen, or write false"),
        }
    });
}
