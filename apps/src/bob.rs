//! The BOB server: programs have tunnels between their sockets and destinations by lines on a local socket.
//!
//! ```text
//! command socket --> connection.rs: lines --> a tunnel, by its nickname, which lives on when the socket is gone
//! tunnels.rs: program -> listening socket, the name of whom it wants -> stream
//!             stream of others -> the name of its caller -> socket to a program
//! ```
//! INTEROP: as in i2pd, the only router that still has it. A tunnel ends by `clear`, or with the router.

mod connection;
#[cfg(test)]
mod tests;
mod tunnels;

use crate::guests::Guests;
use crate::listener;
use crate::names::Names;
use crate::sam::endpoint::Opener;
use parking_lot::Mutex;
use ramson_protocol::pool::Wanted;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tunnels::Started;

/// Command sockets at a time.
const MAX_SOCKETS: usize = 1024;

/// Tunnels at a time.
const MAX_TUNNELS: usize = 64;

/// The server.
pub struct Server<O: Opener> {
    opener: O,
    names: Names,
    /// What tunnels have that say nothing of theirs.
    tunnels: Wanted,
    started: Mutex<BTreeMap<String, Started<O>>>,
    /// What looks for names while no tunnel of a socket runs: nobody can call it.
    seeker: OnceCell<Arc<O::Endpoint>>,
    guests: Arc<Guests>,
}

impl<O: Opener> Server<O> {
    /// A server that opens destinations with `opener`, and gives them such tunnels if their programs do not say.
    pub fn new(opener: O, names: Names, tunnels: Wanted) -> Arc<Self> {
        Arc::new(Self {
            opener,
            names,
            tunnels,
            started: Mutex::default(),
            seeker: OnceCell::new(),
            guests: Guests::new(None),
        })
    }

    /// Serves all who connect.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let serve = |socket| connection::serve(Arc::clone(&self), socket);
        listener::serve(listener, MAX_SOCKETS, |_| (), serve).await;
    }
}
