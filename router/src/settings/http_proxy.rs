//! `[http_proxy]`

use super::Endpoint;
use super::section::section;
use super::tunnel::{HOPS, TUNNELS};
use std::net::SocketAddr;

section! {
    /// The HTTP proxy for browsers. It costs nothing until somebody uses it.
    HttpProxy = "http_proxy" {
        /// Where it listens; `false` is nowhere.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 4444)))) => Start;
        /// Hops of each of its tunnels.
        length: usize = 3 => Start;
        /// Tunnels in each direction.
        quantity: usize = 3 => Start;
    }
}

impl HttpProxy {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !HOPS.contains(&self.length) {
            return Err(format!("http_proxy.length = {}: write 1 to 7; 3 is usual", self.length));
        }
        if !TUNNELS.contains(&self.quantity) {
            return Err(format!("http_proxy.quantity = {}: write 1 to 16; 3 is usual", self.quantity));
        }
        Ok(())
    }
}
