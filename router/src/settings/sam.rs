//! `[sam]`

use super::Endpoint;
use super::proxies::check_tunnels;
use super::section::section;
use crate::doors::Places;
use std::net::SocketAddr;

section! {
    /// The SAM server, by which programs open destinations of their own. It costs nothing until somebody uses it.
    Sam = "sam" {
        /// Where it listens; `false` is nowhere. Whoever can connect there can use it, unless `users` names some.
        listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 7656)))) => Start;
        /// A UNIX socket beside, which only this user can open, such as `"/run/ramson/sam.sock"`; `""` is none.
        socket: String = String::new() => Start;
        /// Where it listens for TLS beside, such as `"127.0.0.1:7657"`, with the certificate `local/https.crt` of the data folder. A program
        /// there says the host when it wants streams or datagrams carried elsewhere than to this machine.
        tls_listen: Endpoint = Endpoint(None) => Start;
        /// Where programs send datagrams by UDP, and where they get them from; `false` is nowhere: then they have those on their sockets.
        udp_listen: Endpoint = Endpoint(Some(SocketAddr::from(([127, 0, 0, 1], 7655)))) => Start;
        /// Who may use it, each as `"name:password"`, which programs say in HELLO; without any, whoever can connect.
        users: Vec<String> = Vec::new() => Start;
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
        check_tunnels("sam", self.length, self.quantity)?;
        if self.names_and_passwords().count() < self.users.len() {
            return Err("sam.users: write each as \"name:password\"".to_owned());
        }
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn places(&self) -> Places {
        Places { tcp: self.listen.0, unix: self.socket.clone(), tls: self.tls_listen.0 }
    }

    /// Whether it listens anywhere.
    pub(crate) fn is_there(&self) -> bool {
        self.places().are_some()
    }

    /// Users and their passwords.
    pub(crate) fn names_and_passwords(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = self.users.iter().filter_map(|user| user.split_once(':'));
        parts.filter(|(name, password)| !name.is_empty() && !password.is_empty())
    }
}
