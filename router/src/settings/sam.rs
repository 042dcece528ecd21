//! `[sam]`

use super::Endpoint;
use super::proxies::check_tunnels;
use super::section::section;
use std::net::SocketAddr;

section! {
    /// The SAM server, by which programs open destinations of their own. It costs nothing until somebody uses it.
    Sam = "sam" {
        /// Where it listens; `false` is nowhere. Whoever can connect there can use it.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 7656)))) => Start;
        /// Where programs send datagrams by UDP, and where they get them from; `false` is nowhere: then they have those on their sockets.
        udp_listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 7655)))) => Start;
        /// Hops of each tunnel of a session that does not say.
        length: usize = 3 => Start;
        /// Tunnels in each direction of a session that does not say.
        quantity: usize = 3 => Start;
    }
}

impl Sam {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_tunnels("sam", self.length, self.quantity)
    }
}
