//! `[[tunnel]]`

use super::Endpoint;
use super::key::{Change, Life};
use super::section::section;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Hops that a tunnel can have beside us. spec: tunnel-creation-ecies §Build Request Records
pub(super) const HOPS: RangeInclusive<usize> = 1..=7;

/// Tunnels of a destination in each direction: a lease set has no room for more.
pub(super) const TUNNELS: RangeInclusive<usize> = 1..=16;

section! {
    /// A TCP tunnel with a destination of its own; written as often as there are tunnels.
    Tunnel = "tunnel" {
        /// Its name, by which its keys are kept in `destinations` of the data folder: letters, digits, `-` and `_`.
        name: String = String::new() => Start;
        /// `client`: programs connect here and reach one destination; `server`: others reach a program here.
        r#type: String = String::new() => Start;
        /// Of a client tunnel: where it listens.
        listen: Endpoint = Endpoint(None) => Start;
        /// Of a client tunnel: whom it reaches, a `.b32.i2p` name or a destination in base 64.
        destination: String = String::new() => Start;
        /// Of a client tunnel: the port at that destination.
        port: u16 = 0 => Start;
        /// Of a server tunnel: where the program listens.
        target: Endpoint = Endpoint(None) => Start;
        /// A key file of i2pd (`.dat`) or Java I2P (`eepPriv.dat`) to use instead of keys in the data folder.
        keys: String = String::new() => Start;
        /// Hops of each tunnel that leads here.
        inbound_length: usize = 3 => Start;
        /// Hops of each tunnel that leads away.
        outbound_length: usize = 3 => Start;
        /// Tunnels in each direction.
        quantity: usize = 3 => Start;
    }
}

impl Tunnel {
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("tunnel.name {name:?}: give each [[tunnel]] a name of letters, digits, - and _"));
        }
        match self.r#type.as_str() {
            "client" if self.listen.0.is_none() => {
                return Err(format!("tunnel {name}: a client tunnel needs listen, such as \"127.0.0.1:8080\""));
            }
            "client" => {
                ramson_apps::tunnel::parse_name(&self.destination)
                    .map_err(|e| format!("tunnel {name}: destination {e}"))?;
            }
            "server" if self.target.0.is_none() => {
                return Err(format!("tunnel {name}: a server tunnel needs target, such as \"127.0.0.1:80\""));
            }
            "server" => {}
            other => return Err(format!("tunnel {name}: type {other:?} is not known; write \"client\" or \"server\"")),
        }
        let lengths = [self.inbound_length, self.outbound_length];
        if lengths.iter().any(|length| !HOPS.contains(length)) {
            return Err(format!("tunnel {name}: inbound_length and outbound_length are 1 to 7; 3 is usual"));
        }
        if !TUNNELS.contains(&self.quantity) {
            return Err(format!("tunnel {name}: quantity is 1 to 16; 3 is usual"));
        }
        Ok(())
    }
}

/// # Errors
/// What cannot be, and what to write.
pub(super) fn check(tunnels: &[Tunnel]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for tunnel in tunnels {
        tunnel.check()?;
        if !names.insert(&tunnel.name) {
            return Err(format!("tunnel.name {:?} is there twice: each [[tunnel]] has a name of its own", tunnel.name));
        }
    }
    Ok(())
}

/// The keys whose values differ; a tunnel that came or went is one change.
pub(super) fn changes(now: &[Tunnel], before: &[Tunnel]) -> Vec<Change> {
    let named = |tunnels: &[Tunnel]| tunnels.iter().map(|tunnel| tunnel.name.as_str()).collect::<Vec<_>>().join(", ");
    if named(now) != named(before) {
        let (now, before) = (named(now), named(before));
        return vec![Change { name: "tunnel".to_owned(), before, now, life: Life::Start }];
    }
    now.iter().zip(before).flat_map(|(now, before)| now.changes(before)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn check(text: &str) -> Result<(), String> {
        Settings::parse(text).and_then(|settings| super::check(&settings.tunnel))
    }

    const SERVER: &str = "[[tunnel]]\nname = \"site\"\ntype = \"server\"\ntarget = \"127.0.0.1:80\"\n";

    #[test]
    fn what_cannot_be_is_refused_with_what_to_write() {
        assert_eq!(check(SERVER), Ok(()));
        let wrong = [
            (format!("{SERVER}{SERVER}"), "twice"),
            (SERVER.replace("site", "a/b"), "letters, digits"),
            (SERVER.replace("server", "http"), "\"client\" or \"server\""),
            (SERVER.replace("target", "listen"), "needs target"),
            (format!("{SERVER}quantity = 17"), "1 to 16"),
            (format!("{SERVER}inbound_length = 0"), "1 to 7"),
            (
                "[[tunnel]]\nname = \"c\"\ntype = \"client\"\nlisten = \"127.0.0.1:1\"\ndestination = \"x.i2p\""
                    .to_owned(),
                ".b32.i2p",
            ),
        ];
        for (text, words) in wrong {
            let error = check(&text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_changed_tunnel_waits_for_the_next_start() {
        let parse = |text: &str| Settings::parse(text).unwrap();
        let (one, more) = (parse(SERVER), parse(&format!("{SERVER}quantity = 4")));
        assert_eq!(
            more.changes(&one).iter().map(|change| change.name.as_str()).collect::<Vec<_>>(),
            ["tunnel.quantity"]
        );
        assert_eq!(parse("").changes(&one).len(), 1);
    }
}
