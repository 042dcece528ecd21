//! The SAM server: programs open destinations, streams and datagrams of their own by lines on a local socket.
//!
//! ```text
//! socket --> connection.rs: lines --> SESSION: session.rs, which lives as long as this socket
//!                                 '-> STREAM:  streams.rs, the socket becomes the stream; numbered.rs, versions 1 and 2
//!                                 '-> NAMING:  lookup.rs
//! datagrams, by UDP or on the socket of their session: datagrams.rs
//! endpoint.rs: what all of it asks of the router
//! ```
//! A web page can have a browser post to any local port. Whoever does not begin with HELLO is told nothing and closed, so that no
//! line of a page's is ever read.
//!
//! spec: samv3

mod connection;
mod datagrams;
pub mod endpoint;
mod lookup;
mod named;
mod numbered;
mod session;
mod streams;
#[cfg(test)]
pub(crate) mod tests;
mod users;

pub use users::Users;

use crate::door::{self, Door};
use crate::guests::Guests;
use crate::names::Names;
use endpoint::Opener;
use futures_util::future::join_all;
use ramson_actors::series::control;
use ramson_protocol::pool::Wanted;
use session::Sessions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::net::UdpSocket;
use tokio::sync::OnceCell;

/// Sockets at a time: so many files may be open.
const MAX_SOCKETS: usize = 4096;

/// The server.
pub struct Server<O: Opener> {
    opener: O,
    names: Names,
    /// What sessions have that say nothing of tunnels.
    tunnels: Wanted,
    sessions: Arc<Sessions<O::Endpoint>>,
    /// What looks for names on sockets without a session: nobody can call it.
    seeker: OnceCell<O::Endpoint>,
    /// Where datagrams come from and go to by UDP.
    udp: Option<Arc<UdpSocket>>,
    users: Users,
    /// Where the keys of destinations lie that versions 1 and 2 have by name.
    keys: Option<PathBuf>,
    /// The number of the next session of these versions.
    next: AtomicU64,
    guests: Arc<Guests>,
}

/// What a server is to be.
pub struct Config {
    /// The names that programs can look up.
    pub names: Names,
    /// What sessions have that say nothing of tunnels.
    pub tunnels: Wanted,
    /// Without it programs have datagrams on their sockets alone.
    pub udp: Option<UdpSocket>,
    /// Only these may use it, if there are any.
    pub users: Users,
    /// Where it keeps keys of destinations that versions 1 and 2 have by name; without it they have none.
    pub keys: Option<PathBuf>,
}

impl<O: Opener> Server<O> {
    /// A server that opens destinations with `opener`.
    pub fn new(opener: O, config: Config) -> Arc<Self> {
        let Config { names, tunnels, udp, users, keys } = config;
        let (sessions, udp) = (Arc::default(), udp.map(Arc::new));
        let guests = Guests::new(Some(&control::SAM_SOCKETS));
        let (seeker, next) = (OnceCell::new(), AtomicU64::new(0));
        Arc::new(Self { opener, names, tunnels, sessions, seeker, udp, users, keys, next, guests })
    }

    /// Serves all who come by these doors.
    pub async fn serve(self: Arc<Self>, doors: Vec<Door>) {
        if let Some(udp) = &self.udp {
            tokio::spawn(datagrams::serve(Arc::clone(&self), Arc::clone(udp)));
        }
        let serve = move |socket| connection::serve(Arc::clone(&self), socket);
        join_all(doors.into_iter().map(|door| door::serve(door, MAX_SOCKETS, serve.clone()))).await;
    }
}
