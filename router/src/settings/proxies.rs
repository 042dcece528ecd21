//! `[http_proxy]` and `[socks_proxy]`

use super::Endpoint;
use super::section::section;
use super::tunnel::{HOPS, TUNNELS};
use ramson_apps::http_proxy::{Accounts, Scheme};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Destinations of users of a proxy, at most.
const MAX_USERS: usize = 64;

section! {
    /// The HTTP proxy for browsers. It costs nothing until somebody uses it.
    HttpProxy = "http_proxy" {
        /// Where it listens; `false` is nowhere.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 4444)))) => Start;
        /// Who fetches what is not in I2P: `.b32.i2p` names or names of the address book, with a port or without. The first that
        /// answers is used. They see what is fetched; without any, nothing goes outside.
        outproxies: Vec<String> = Vec::new() => Start;
        /// Whether it asks who somebody is: `none`, `basic`, or `digest` (SHA-256), which does not tell the password.
        auth: String = "none".to_owned() => Start;
        /// Who may use it then, as `"name:password"`.
        accounts: Vec<String> = Vec::new() => Start;
        /// Programs that say a user name (by basic authorisation, or the account that is asked for) have a destination of their own,
        /// each name another, up to so many; 0 is one for all.
        users: usize = 8 => Start;
        /// Hops of each of its tunnels.
        length: usize = 3 => Start;
        /// Tunnels in each direction.
        quantity: usize = 3 => Start;
    }
}

section! {
    /// The SOCKS proxy for all other programs: SOCKS 4a and 5, by name, and datagrams (UDP associate). It costs nothing until somebody
    /// uses it.
    SocksProxy = "socks_proxy" {
        /// Where it listens; `false` is nowhere.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 4447)))) => Start;
        /// Who connects to what is not in I2P, as in `http_proxy.outproxies`.
        outproxies: Vec<String> = Vec::new() => Start;
        /// Programs that say a user name have a destination of their own, each name another, up to so many; 0 is one for all. The
        /// password does not matter.
        users: usize = 8 => Start;
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
        check_outproxies("http_proxy.outproxies", &self.outproxies)?;
        check_users("http_proxy.users", self.users)?;
        accounts("http_proxy", &self.auth, &self.accounts)?;
        check_tunnels("http_proxy", self.length, self.quantity)
    }
}

impl SocksProxy {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_outproxies("socks_proxy.outproxies", &self.outproxies)?;
        check_users("socks_proxy.users", self.users)?;
        check_tunnels("socks_proxy", self.length, self.quantity)
    }
}

/// The accounts of a proxy, if it asks for them.
///
/// # Errors
/// What cannot be, and what to write.
pub(crate) fn accounts(section: &str, auth: &str, accounts: &[String]) -> Result<Option<Accounts>, String> {
    let scheme = match auth {
        "none" => return Ok(None),
        "basic" => Scheme::Basic,
        "digest" => Scheme::Digest,
        other => return Err(format!("{section}.auth = {other:?}: write \"none\", \"basic\" or \"digest\"")),
    };
    let mut passwords = BTreeMap::new();
    for account in accounts {
        let pair = account.split_once(':').filter(|(name, _)| !name.is_empty() && !name.contains(['"', '\\']));
        let (name, password) = pair.ok_or(format!("{section}.accounts: write each as \"name:password\""))?;
        passwords.insert(name.to_owned(), password.to_owned());
    }
    if passwords.is_empty() {
        return Err(format!("{section}.auth = {auth:?} lets nobody in without {section}.accounts"));
    }
    Ok(Some(Accounts::new(scheme, passwords)))
}

pub(super) fn check_outproxies(key: &str, all: &[String]) -> Result<(), String> {
    for place in all {
        let (host, port) = place.split_once(':').unwrap_or((place, "80"));
        let good = host.ends_with(".i2p") && port.parse::<u16>().is_ok_and(|port| port != 0);
        if !good {
            return Err(format!("{key}: {place:?}: write a name that ends with .i2p, as \"exit.i2p\""));
        }
    }
    Ok(())
}

pub(super) fn check_users(key: &str, users: usize) -> Result<(), String> {
    if users > MAX_USERS {
        return Err(format!("{key} = {users}: write {MAX_USERS} or less, since each has tunnels of his own"));
    }
    Ok(())
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
