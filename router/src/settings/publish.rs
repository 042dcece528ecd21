//! What `listen` and `publish` of a transport can be.

use super::key::{Value, list, quoted};
use ramson_protocol::reach::Publish;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// Where a transport listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListenAt {
    /// Everywhere, at the port that this router has chosen for itself.
    #[default]
    Auto,
    /// At these addresses.
    At(Vec<SocketAddr>),
}

/// What a transport publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Published {
    /// What turns out to be right.
    #[default]
    Auto,
    /// Nothing.
    Nothing,
    /// These, of which some may be named.
    At(Vec<Host>),
}

/// An address, or the name of a host with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// An address.
    Address(SocketAddr),
    /// A name with a port, to be looked up at the start.
    Name(String),
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        match super::address::parse(text) {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) if is_named(text.trim()) => Ok(Self::Name(text.trim().to_owned())),
            Err(advice) => Err(advice),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// True for `relay.example.org:20003`.
fn is_named(text: &str) -> bool {
    let Some((name, port)) = text.rsplit_once(':') else { return false };
    let labels = name.split('.').all(|label| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !label.starts_with('-')
    });
    // The last part of a name is never a number; that of an address with a typing error is.
    let numeric = name.rsplit('.').next().is_none_or(|last| last.chars().all(|c| c.is_ascii_digit()));
    labels && !numeric && port.parse::<u16>().is_ok_and(|port| port != 0)
}

impl ListenAt {
    /// The addresses, if `port` is the one that this router has chosen and `v6` says whether this machine has IPv6 at all.
    pub(crate) fn addresses(&self, port: u16, v6: bool) -> Vec<SocketAddr> {
        match self {
            Self::At(all) => all.clone(),
            Self::Auto => {
                let all = [SocketAddr::from(([0; 4], port)), SocketAddr::from(([0_u16; 8], port))];
                all.into_iter().filter(|at| v6 || at.is_ipv4()).collect()
            }
        }
    }

    /// True if something of this family can come in, as far as the file says.
    fn hears(&self, v4: bool) -> bool {
        match self {
            Self::Auto => true,
            Self::At(all) => all.iter().any(|at| at.is_ipv4() == v4),
        }
    }

    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self, section: &str) -> Result<(), String> {
        match self {
            Self::At(all) if all.is_empty() => {
                Err(format!("{section}.listen is empty: write \"auto\", or an address such as \"0.0.0.0:20003\""))
            }
            _ => Ok(()),
        }
    }
}

impl Published {
    /// What the addresses come to, names looked up. Each family has one.
    ///
    /// # Errors
    /// Which name is not found, and what to do.
    pub(crate) fn resolve(&self, section: &str) -> Result<Publish, String> {
        let hosts = match self {
            Self::Auto => return Ok(Publish::Auto),
            Self::Nothing => return Ok(Publish::Nothing),
            Self::At(hosts) => hosts,
        };
        let mut all: Vec<SocketAddr> = Vec::new();
        for host in hosts {
            let found = match host {
                Host::Address(address) => vec![*address],
                Host::Name(name) => name.to_socket_addrs().map(Iterator::collect).map_err(|e| {
                    format!(
                        "{section}.publish: no address is found for {name}: {e}. Write the address, or \"auto\", which finds it \
                         by itself and follows when it changes"
                    )
                })?,
            };
            for address in found {
                if !all.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
                    all.push(address);
                }
            }
        }
        Ok(Publish::Fixed(all))
    }

    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self, section: &str, listen: &ListenAt, private: bool) -> Result<(), String> {
        let Self::At(hosts) = self else { return Ok(()) };
        let mut families = [false; 2];
        for host in hosts {
            let Host::Address(at) = host else { continue };
            if at.port() == 0 {
                return Err(format!(
                    "{section}.publish = \"{at}\": nobody can call port 0: write the port that others call"
                ));
            }
            if at.ip().is_unspecified() || at.ip().is_multicast() {
                return Err(format!(
                    "{section}.publish = \"{at}\" is nobody's address: write the one that others call, or \"auto\""
                ));
            }
            if !private && !ramson_protocol::data::router_address::is_public(at.ip()) {
                return Err(format!(
                    "{section}.publish is a private or reserved address, which no peer of the live network can call: publish \
                     the public one or write \"auto\", or set network.allow_private_addresses = true in a private network"
                ));
            }
            let (family, name) = if at.is_ipv4() { (0, "IPv4") } else { (1, "IPv6") };
            if std::mem::replace(&mut families[family], true) {
                return Err(format!(
                    "{section}.publish has two addresses of {name}: keep one, since peers ban whoever calls from another than \
                     he publishes"
                ));
            }
            if !listen.hears(at.is_ipv4()) {
                let everywhere =
                    SocketAddr::new(if at.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() }, at.port());
                return Err(format!(
                    "{section}.publish = \"{at}\", but nothing listens on {name}: add \"{everywhere}\" to {section}.listen"
                ));
            }
        }
        Ok(())
    }
}

impl Value for ListenAt {
    const KIND: &'static str = "address with port, a list of them, or `\"auto\"`";

    fn text(&self) -> String {
        match self {
            Self::Auto => quoted("auto"),
            Self::At(all) => several(all),
        }
    }
}

impl Value for Published {
    const KIND: &'static str = "address or host name with port, a list of them, `\"auto\"`, or `\"none\"`";

    fn text(&self) -> String {
        match self {
            Self::Auto => quoted("auto"),
            Self::Nothing => quoted("none"),
            Self::At(all) => several(all),
        }
    }
}

fn several(all: &[impl fmt::Display]) -> String {
    match all {
        [one] => quoted(&one.to_string()),
        many => list(many.iter().map(|one| quoted(&one.to_string()))),
    }
}

/// A word, or a list of them.
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Several;

        impl<'de> Visitor<'de> for Several {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address with port, such as \"203.0.113.7:20003\", a list of them, or \"auto\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(vec![text.trim().to_owned()]))
            }

            fn visit_i64<E: Error>(self, port: i64) -> Result<Words, E> {
                Ok(Words(vec![port.to_string()]))
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<Words, E> {
                Ok(Words(vec![if on { "auto" } else { "none" }.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    all.push(text.trim().to_owned());
                }
                Ok(Words(all))
            }
        }

        from.deserialize_any(Several)
    }
}

impl<'de> Deserialize<'de> for ListenAt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Words(words) = Words::deserialize(from)?;
        if words == ["auto"] {
            return Ok(Self::Auto);
        }
        let parsed: Result<Vec<SocketAddr>, String> = words.iter().map(|word| super::address::parse(word)).collect();
        parsed.map(Self::At).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Words(words) = Words::deserialize(from)?;
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["auto"] => return Ok(Self::Auto),
            [] | ["none"] => return Ok(Self::Nothing),
            _ => {}
        }
        let parsed: Result<Vec<Host>, String> = words.iter().map(|word| Host::parse(word)).collect();
        parsed.map(Self::At).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> Result<Published, toml::de::Error> {
        #[derive(Deserialize)]
        struct File {
            publish: Published,
        }
        toml::from_str::<File>(&format!("publish = {text}")).map(|file| file.publish)
    }

    #[test]
    fn a_name_with_port_is_taken_and_a_mistyped_address_is_not_one() {
        for name in ["relay.example.org:20003", "my-relay:1", "a.b.c4d:65535"] {
            assert_eq!(Host::parse(name), Ok(Host::Name(name.to_owned())));
        }
        for wrong in
            ["relay.example.org", "203.0.113.777:9", "203.0.113:9", "relay:0", "re lay:9", "-a.org:9", ":9", ""]
        {
            assert!(Host::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_looked_up_and_one_that_is_not_found_says_what_to_write() {
        let named = |name: &str| Published::At(vec![Host::Name(name.to_owned())]);
        let Ok(Publish::Fixed(found)) = named("localhost:20003").resolve("ntcp2") else { panic!("localhost") };
        assert!(found.iter().all(|at| at.ip().is_loopback() && at.port() == 20003) && !found.is_empty());
        let error = named("no-such-host.invalid:20003").resolve("ntcp2").unwrap_err();
        assert!(error.contains("no-such-host.invalid:20003") && error.contains("\"auto\""), "{error}");
    }

    #[test]
    fn what_is_published_is_found_out_unless_something_is_written() {
        assert_eq!(published("\"auto\"").unwrap(), Published::Auto);
        for nothing in ["\"none\"", "[]", "false"] {
            assert_eq!(published(nothing).unwrap(), Published::Nothing);
        }
        let error = published("20003").unwrap_err().to_string();
        assert!(error.contains("0.0.0.0:20003"), "{error}");
    }

    #[test]
    fn addresses_that_nobody_can_call_are_refused_with_what_to_write() {
        let everywhere = ListenAt::Auto;
        let v4_only = ListenAt::At(vec!["0.0.0.0:20003".parse().unwrap()]);
        for (text, listen, words) in [
            ("\"9.9.9.9:0\"", &everywhere, "port 0"),
            ("\"0.0.0.0:9\"", &everywhere, "nobody's address"),
            ("\"10.0.0.1:9\"", &everywhere, "allow_private_addresses"),
            ("[\"9.9.9.9:9\", \"9.9.9.10:9\"]", &everywhere, "two addresses of IPv4"),
            ("\"[2a01::5]:9\"", &v4_only, "add \"[::]:9\" to ssu2.listen"),
        ] {
            let error = published(text).unwrap().check("ssu2", listen, false).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(published("[\"9.9.9.9:9\", \"[2a01::5]:9\"]").unwrap().check("ssu2", &everywhere, false), Ok(()));
    }

    #[test]
    fn without_ipv6_nothing_listens_there() {
        let ports = |v6| ListenAt::Auto.addresses(9, v6).len();
        assert_eq!((ports(true), ports(false)), (2, 1));
    }
}
