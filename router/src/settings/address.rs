//! Addresses as an operator writes them, and what to write instead of those that are none.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A socket address, or `false` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint(pub Option<SocketAddr>);

/// An address with port.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    text.parse().map_err(|_| advice(text))
}

fn advice(text: &str) -> String {
    const EXAMPLE: &str = "write an address with port, such as \"203.0.113.7:20003\" or \"[2001:db8::7]:20003\"";
    let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if text.is_empty() {
        return format!("the address is empty: {EXAMPLE}");
    }
    if let Some(port) = Some(text.strip_prefix(':').unwrap_or(text)).filter(|port| number(port)) {
        return format!("`{text}` is a port without an address: write \"0.0.0.0:{port}\" for all of this machine");
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        // Written like this, an address of IPv6 may have been meant with a port.
        return format!("`{text}` has no port: write \"{}\"", SocketAddr::new(ip, 20003));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return format!("`{text}` is no address with port: host names are not taken, {EXAMPLE}");
    };
    if let (Ok(ip), true) = (host.parse::<Ipv6Addr>(), number(port)) {
        return format!("`{text}`: an address of IPv6 stands in brackets, \"[{ip}]:{port}\"");
    }
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return format!("`{text}`: a port is a number from 1 to 65535");
    }
    if host.split('.').all(number) {
        return format!("`{text}`: `{host}` is no address of IPv4; {EXAMPLE}");
    }
    format!("`{text}`: host names are not taken, since the name may stand for another address tomorrow; {EXAMPLE}")
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Endpoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address with port, such as \"127.0.0.1:9656\", or false for none")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Endpoint, E> {
                match text.trim() {
                    "" | "off" | "none" | "false" => Ok(Endpoint(None)),
                    text => Ok(Endpoint(Some(parse(text).map_err(E::custom)?))),
                }
            }

            fn visit_i64<E: Error>(self, port: i64) -> Result<Endpoint, E> {
                Err(E::custom(advice(&port.to_string())))
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<Endpoint, E> {
                if on { Err(E::custom(advice(""))) } else { Ok(Endpoint(None)) }
            }
        }

        from.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_for_an_address_is_taken_or_answered_with_what_to_write() {
        for good in ["203.0.113.7:20003", "[2001:db8::7]:1", " 0.0.0.0:20003 ", "[::]:20003"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (wrong, words) in [
            ("", "is empty"),
            ("20003", "\"0.0.0.0:20003\""),
            (":20003", "\"0.0.0.0:20003\""),
            ("203.0.113.7", "\"203.0.113.7:20003\""),
            ("2001:db8::7", "\"[2001:db8::7]:20003\""),
            ("[2001:db8::7]", "\"[2001:db8::7]:20003\""),
            ("relay.example.org:20003", "host names are not taken"),
            ("relay.example.org", "host names are not taken"),
            ("203.0.113.7:65536", "1 to 65535"),
            ("203.0.113.7:http", "1 to 65535"),
            ("203.0.113.777:20003", "no address of IPv4"),
            ("203.0.113:20003", "no address of IPv4"),
            (":::20003", "\"[::]:20003\""),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
