//! `[network]`

use super::key::{Value, list, quoted};
use super::section::section;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::path::PathBuf;

section! {
    /// The network that we belong to.
    Network = "network" {
        /// 2 is the live network.
        id: u8 = 2 => Start;
        /// Accept peers on loopback and in private ranges; only in private networks.
        allow_private_addresses: bool = false => Start;
        /// RouterInfo files or folders that are read at start.
        bootstrap: Vec<PathBuf> = Vec::new() => Start;
        /// Whether to ask hosts outside of the network for RouterInfos when fewer than fifty are known: `true` is the usual hosts
        /// of the live network (and nobody in others), `false` is never, a list is those hosts. Two of different
        /// people must agree to be heard, unless only one is named.
        reseed: Reseed = Reseed::Usual => Start;
        /// The proxy for that, such as `socks5://127.0.0.1:9050` or `http://127.0.0.1:3128`; empty is none.
        reseed_proxy: String = String::new() => Start;
        /// Certificates of those who sign bundles, and of hosts, beside the ones that come with the router: files, or folders
        /// with files that end in `.crt` or `.pem`.
        reseed_certificates: Vec<PathBuf> = Vec::new() => Start;
        /// Files with addresses, networks and router hashes that we have nothing to do with, one to a line. The files are
        /// read again at SIGHUP, whether or not this list has changed.
        blocklist: Vec<PathBuf> = Vec::new() => Live;
    }
}

/// Whom to ask for RouterInfos to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reseed {
    /// The usual hosts, in the live network.
    Usual,
    /// Nobody.
    Off,
    /// These hosts.
    Hosts(Vec<String>),
}

impl Value for Reseed {
    const KIND: &'static str = "`true`, `false`, or a list of hosts, such as `[\"https://reseed.example.org/\"]`";

    fn text(&self) -> String {
        match self {
            Self::Usual => "true".to_owned(),
            Self::Off => "false".to_owned(),
            Self::Hosts(hosts) => list(hosts.iter().map(|host| quoted(host))),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Reseed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Reseed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a list of hosts, such as [\"https://reseed.example.org/\"]")
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<Reseed, E> {
                Ok(if on { Reseed::Usual } else { Reseed::Off })
            }

            fn visit_str<E: Error>(self, host: &str) -> Result<Reseed, E> {
                Ok(Reseed::Hosts(vec![host.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Reseed, A::Error> {
                let mut hosts = Vec::new();
                while let Some(host) = seq.next_element()? {
                    hosts.push(host);
                }
                Ok(Reseed::Hosts(hosts))
            }
        }

        from.deserialize_any(Words)
    }
}

impl Network {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.id == 0 {
            return Err(
                "network.id = 0 is no network: write 2 for the live one, or 16 to 254 for a private one".to_owned()
            );
        }
        if let Reseed::Hosts(hosts) = &self.reseed {
            for host in hosts {
                crate::reseed::hosts::address(host, self.id).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }
}
