//! `[http_proxy]` and `[socks_proxy]`

use super::Endpoint;
use super::section::section;
use super::tunnel::{HOPS, TUNNELS};
use std::net::SocketAddr;

section! {
    /// The HTTP proxy for browsers. It costs nothing until somebody uses it.
    HttpProxy = "http_proxy" {
        /// Where it listens; `false` is nowhere.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 4444)))) => Start;
        /// Who fetches what is not in I2P: `.b32.i2p` names or names of the address book, with a port or without. The first that
        /// answers is used. They see what is fetched; without any, nothing goes outside.
        outproxies: Vec<String> = Vec::new() => Start;
        /// Hops of each of its tunnels.
        length: usize = 3 => Start;
        /// Tunnels in each direction.
        quantity: usize = 3 => Start;
    }
}

section! {
    /// The SOCKS proxy for all other programs: SOCKS 4a and 5, by name. It costs nothing until somebody uses it.
    SocksProxy = "socks_proxy" {
        /// Where it listens; `false` is nowhere.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 4447)))) => Start;
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
        for place in &self.outproxies {
            let (host, port) = place.split_once(':').unwrap_or((place, "80"));
            let good = host.ends_with(".i2p") && port.parse::<u16>().is_ok_and(|port| port != 0);
            if !good {
                return Err(format!(
                    "http_proxy.outproxies: {place:?}: write a name that ends with .i2p, as \"exit.i2p\""
                ));
            }
        }
        check_tunnels("http_proxy", self.length, self.quantity)
    }
}

impl SocksProxy {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_tunnels("socks_proxy", self.length, self.quantity)
    }
}

pub(super) fn check_tunnels(section: &str, length: usize, quantity: usize) -> Result<(), String> {
    if !HOPS.contains(&length) {
        return Err(format!("{section}.length = {length}: write 1 to 7; 3 is usual"));
    }
    if !TUNNELS.contains(&quantity) {
        return Err(format!("{section}.quantity = {quantity}: write 1 to 16; 3 is usual"));
    }
    Ok(())
}
