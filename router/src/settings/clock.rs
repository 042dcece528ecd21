//! `[clock]`

use super::key::{Value, list, quoted};
use super::section::section;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// The live network.
const LIVE: u8 = 2;

/// Asked on the live network if nothing else is written.
const USUAL: [&str; 4] = ["0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "3.pool.ntp.org"];

/// Servers that are asked at once, at most.
const MOST: usize = 8;

section! {
    /// Our clock. Peers refuse whoever is off by more than a minute.
    Clock = "clock" {
        /// Time servers (SNTP) that are asked beside our peers, which have the last word: `"auto"` asks four public ones on the
        /// live network and none in others, `"none"` asks none.
        servers: Servers = Servers::Auto => Start;
    }
}

/// Which time servers are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Servers {
    /// Public ones, on the live network.
    #[default]
    Auto,
    /// These.
    Named(Vec<String>),
}

impl Servers {
    /// Those that are asked in a network.
    pub(crate) fn of(&self, network: u8) -> Vec<String> {
        match self {
            Self::Auto if network == LIVE => USUAL.map(str::to_owned).to_vec(),
            Self::Auto => Vec::new(),
            Self::Named(all) => all.clone(),
        }
    }
}

/// A host name or address, perhaps with a port.
fn check(server: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    if server.is_empty() || server.len() > 255 || !server.chars().all(plain) {
        return Err(format!(
            "`{server}` is no time server: write the name of a host or its address, such as \"pool.ntp.org\" or \"192.0.2.1\""
        ));
    }
    Ok(())
}

impl Value for Servers {
    const KIND: &'static str = "list of time servers, `\"auto\"`, or `\"none\"`";

    fn text(&self) -> String {
        match self {
            Self::Auto => quoted("auto"),
            Self::Named(all) if all.is_empty() => quoted("none"),
            Self::Named(all) => list(all.iter().map(|server| quoted(server))),
        }
    }
}

impl<'de> Deserialize<'de> for Servers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Servers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", \"none\", or a list of time servers")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Servers, E> {
                match text {
                    "auto" => Ok(Servers::Auto),
                    "none" => Ok(Servers::Named(Vec::new())),
                    server => check(server).map(|()| Servers::Named(vec![server.to_owned()])).map_err(E::custom),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Servers, A::Error> {
                let mut all: Vec<String> = Vec::new();
                while let Some(server) = seq.next_element::<String>()? {
                    check(&server).map_err(A::Error::custom)?;
                    all.push(server);
                }
                if all.len() > MOST {
                    return Err(A::Error::custom(format!("{} time servers: {MOST} are more than enough", all.len())));
                }
                Ok(Servers::Named(all))
            }
        }

        from.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn servers(text: &str) -> Result<Vec<String>, String> {
        Settings::parse(&format!("[clock]\nservers = {text}\n")).map(|settings| settings.clock.servers.of(2))
    }

    #[test]
    fn public_servers_are_asked_on_the_live_network_alone_and_others_if_they_are_named() {
        assert_eq!((Servers::Auto.of(2).len(), Servers::Auto.of(99).len()), (4, 0));
        assert_eq!(servers("\"none\"").unwrap(), Vec::<String>::new());
        assert_eq!(servers("[\"192.0.2.1\", \"time.example.org:1123\"]").unwrap().len(), 2);
        assert!(servers("[\"http://time.example.org/\"]").unwrap_err().contains("is no time server"));
        assert!(servers("[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]").unwrap_err().contains("enough"));
    }
}
