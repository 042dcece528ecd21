//! The I2CP server: programs that make streams and datagrams themselves, as all Java programs do, have destinations here.
//!
//! ```text
//! socket --> connection.rs: bytes, the machine of `ramson_protocol::i2cp::server`
//!               '--> sessions.rs: a destination each, which ends with the socket
//! endpoint.rs: what all of it asks of the router
//! client.rs: the other end, for programs in Rust
//! ```
//! spec: i2cp

pub mod client;
mod connection;
pub mod endpoint;
mod sessions;
#[cfg(test)]
mod tests;

use crate::listener;
use crate::names::Names;
use endpoint::Opener;
use parking_lot::Mutex;
use ramson_protocol::i2cp::server::Config;
use ramson_protocol::id::DestinationHash;
use ramson_transports::clock::Clock;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Sockets at a time. INTEROP: fifty in Java.
const MAX_SOCKETS: usize = 256;

/// A listener that cannot accept is asked again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// Sessions of all sockets at a time.
const MAX_SESSIONS: usize = 256;

/// The server.
pub struct Server<O: Opener> {
    opener: O,
    names: Names,
    clock: Clock,
    config: Config,
    /// Who has a session.
    in_use: Mutex<HashSet<DestinationHash>>,
}

impl<O: Opener> Server<O> {
    /// A server that opens destinations with `opener`, and tells programs the time of `clock`.
    pub fn new(opener: O, names: Names, clock: Clock, config: Config) -> Arc<Self> {
        Arc::new(Self { opener, names, clock, config, in_use: Mutex::default() })
    }

    /// Serves all who connect.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let serve = |socket: tokio::net::TcpStream| {
            // A message is written whole: nobody waits for more of it.
            let _ = socket.set_nodelay(true);
            connection::serve(Arc::clone(&self), socket)
        };
        listener::serve(listener, MAX_SOCKETS, |_| (), serve).await;
    }

    /// The same by a UNIX socket.
    pub async fn serve_unix(self: Arc<Self>, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(MAX_SOCKETS));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((socket, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let served = connection::serve(Arc::clone(&self), socket);
            tokio::spawn(async move {
                served.await;
                drop(place);
            });
        }
    }
}
