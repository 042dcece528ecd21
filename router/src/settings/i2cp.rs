//! `[i2cp]`

use super::Endpoint;
use super::proxies::check_tunnels;
use super::section::section;
use std::net::SocketAddr;

section! {
    /// The I2CP server, by which programs that were written for Java I2P have destinations of their own. It costs nothing until
    /// somebody uses it.
    I2cp = "i2cp" {
        /// Where it listens; `false` is nowhere. Whoever can connect there can use it, unless `user` and `password` are set.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 7654)))) => Start;
        /// A UNIX socket beside, which only this user can open, such as `"/run/ramson/i2cp.sock"`; `""` is none.
        socket: String = String::new() => Start;
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

    /// Who may use it, if not everybody.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        (!self.user.is_empty()).then(|| (self.user.clone(), self.password.clone()))
    }
}
