//! The SAM server: programs open destinations, streams and datagrams of their own by lines on a local socket.
//!
//! ```text
//! socket --> connection.rs: lines --> SESSION: session.rs, which lives as long as this socket
//!                                 '-> STREAM:  streams.rs, the socket becomes the stream
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
mod session;
mod streams;
#[cfg(test)]
pub(crate) mod tests;

use crate::listener;
use crate::names::Names;
use endpoint::Opener;
use ramson_protocol::pool::Wanted;
use session::Sessions;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
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
}

impl<O: Opener> Server<O> {
    /// A server that opens destinations with `opener`, and gives them such tunnels if their programs do not say. Without `udp`
    /// programs have datagrams on their sockets alone.
    pub fn new(opener: O, names: Names, tunnels: Wanted, udp: Option<UdpSocket>) -> Arc<Self> {
        let (sessions, udp) = (Arc::default(), udp.map(Arc::new));
        Arc::new(Self { opener, names, tunnels, sessions, seeker: OnceCell::new(), udp })
    }

    /// Serves all who connect.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        if let Some(udp) = &self.udp {
            tokio::spawn(datagrams::serve(Arc::clone(&self), Arc::clone(udp)));
        }
        let serve = |socket| connection::serve(Arc::clone(&self), socket);
        listener::serve(listener, MAX_SOCKETS, |_| (), serve).await;
    }
}
