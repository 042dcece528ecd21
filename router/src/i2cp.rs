//! The I2CP server of the configuration: listening sockets, and behind them nothing until the first program comes.

use crate::proxy::nobody;
use crate::settings::Settings;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::i2cp::Server;
use ramson_apps::i2cp::endpoint::{Ask, OfRouter};
use ramson_apps::names::Names;
use ramson_protocol::i2cp::server::Config;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

/// Destinations that wait to be opened.
const WISHES: usize = 16;

/// Starts the server, if there is to be one.
pub(crate) fn start(host: &Host, settings: &Settings, names: &Names, node: &Node) {
    let (listen, socket) = (settings.i2cp.listen.0, settings.i2cp.socket.clone());
    if listen.is_none() && socket.is_empty() {
        return;
    }
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
    let server = Server::new(OfRouter::new(desk), names.clone(), node.shared().clock().clone(), config);
    if !socket.is_empty() {
        let server = Arc::clone(&server);
        host.run(async move {
            match bind(Path::new(&socket)) {
                Ok(listener) => server.serve_unix(listener).await,
                Err(error) => tracing::warn!(%error, "I2CP has no UNIX socket: change i2cp.socket, or write \"\""),
            }
        });
    }
    let Some(listen) = listen else { return };
    host.run(async move {
        match TcpListener::bind(listen).await {
            Ok(listener) => server.serve(listener).await,
            Err(error) => tracing::warn!(%error, "there is no I2CP server: change i2cp.listen, or write false"),
        }
    });
}

/// A socket in the place of one that nobody listens at any more.
///
/// # Errors
/// If somebody does, or something else is there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let is_left = || std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_left() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_takes_the_place_of_a_dead_one_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i2cp.sock");
        let first = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind(&path).is_err(), "somebody listens there");
        drop(first);
        bind(&path).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert!(bind(&file).is_err() && std::fs::read(&file).unwrap() == b"mine");
    }
}
