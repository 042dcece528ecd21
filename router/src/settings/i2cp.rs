//! `[i2cp]`

use super::Endpoint;
use super::proxies::check_tunnels;
use super::section::section;
use crate::doors::Places;
use std::net::SocketAddr;

section! {
    /// The I2CP server, by which programs that were written for Java I2P have destinations of their own. It costs nothing until
    /// somebody uses it.
    I2cp = "i2cp" {
        /// Where it listens; `false` is nowhere. Whoever can connect there can use it, unless `user` and `password` are set.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 7654)))) => Start;
        /// A UNIX socket beside, which only this user can open, such as `"/run/ramson/i2cp.sock"`; `""` is none.
        socket: String = String::new() => Start;
        /// Where it listens for TLS beside (the programs' `i2cp.SSL`), such as `"127.0.0.1:7667"`, with the certificate `local/https.crt` of
        /// the data folder, which they are to trust.
        tls_listen: Endpoint = Endpoint(None) => Start;
        /// The user name that programs must give (their `i2cp.username`); `""` is none.
        user: String = String::new() => Start;
        /// The password that programs must give (their `i2cp.password`).
        password: String = String::new() => Start;
        /// Hops of each tunnel of a session that does not say.
        length: usize = 3 => Start;
        /// Tunnels in each direction of a session that does not say.
        quantity: usize = 2 => Start;
    }
}

impl I2cp {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.user.is_empty() != self.password.is_empty() {
            return Err("i2cp.user and i2cp.password belong together: set both, or neither".to_owned());
        }
        check_tunnels("i2cp", self.length, self.quantity)
    }

    /// Where it listens.
    pub(crate) fn places(&self) -> Places {
        Places { tcp: self.listen.0, unix: self.socket.clone(), tls: self.tls_listen.0 }
    }

    /// Whether it listens anywhere.
    pub(crate) fn is_there(&self) -> bool {
        self.places().are_some()
    }

    /// Who may use it, if not everybody.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        (!self.user.is_empty()).then(|| (self.user.clone(), self.password.clone()))
    }
}
