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

use crate::door::{self, Door, peer};
use crate::guests::Guests;
use crate::names::Names;
use endpoint::Opener;
use futures_util::future::join_all;
use parking_lot::Mutex;
use ramson_actors::series::control;
use ramson_protocol::i2cp::server::Config;
use ramson_protocol::id::DestinationHash;
use ramson_transports::clock::Clock;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Sockets at a time: so many files may be open. INTEROP: fifty in Java.
const MAX_SOCKETS: usize = 4096;

/// Sessions of all sockets at a time.
const MAX_SESSIONS: usize = 2048;

/// The server.
pub struct Server<O: Opener> {
    opener: O,
    names: Names,
    clock: Clock,
    config: Config,
    /// Who has a session.
    in_use: Mutex<HashSet<DestinationHash>>,
    guests: Arc<Guests>,
}

impl<O: Opener> Server<O> {
    /// A server that opens destinations with `opener`, and tells programs the time of `clock`.
    pub fn new(opener: O, names: Names, clock: Clock, config: Config) -> Arc<Self> {
        let guests = Guests::new(Some(&control::I2CP_CONNECTIONS));
        Arc::new(Self { opener, names, clock, config, in_use: Mutex::default(), guests })
    }

    /// What a connection is to be that begins now.
    fn of_connection(&self) -> Config {
        Config { greeting: self.guests.patience(), ..self.config.clone() }
    }

    /// Serves all who come by these doors.
    pub async fn serve(self: Arc<Self>, doors: Vec<Door>) {
        let serve = move |socket: TcpStream| {
            // A message is written whole: nobody waits for more of it. Those of a UNIX socket never wait.
            let _ = socket.set_nodelay(true);
            let (server, place) = (Arc::clone(&self), self.guests.place(peer(&socket)));
            async move {
                if let Some(place) = place {
                    connection::serve(server, socket, place).await;
                }
            }
        };
        join_all(doors.into_iter().map(|door| door::serve(door, MAX_SOCKETS, serve.clone()))).await;
    }
}
