//! Who something came from, as far as it is proven: what bounds and shares are counted by.
//!
//! ```text
//! a session        its router        the /24 of its address (IPv6: /48)     the /16 (IPv6: /32)
//! a tunnel here    its number        the hop before us                      -
//! ```
//! Never a field that the sender chooses: a message may name any router as its author, but it came over a session, whose
//! other end has proven who it is and where, or out of a tunnel, whose builder had to build it.
//!
//! In private networks, where all share a few subnets, an address stands for itself, and loopback for nobody.

use crate::id::{RouterHash, TunnelId};
use std::net::IpAddr;

/// Addresses that one operator may own together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// One address of a private network.
    Host(IpAddr),
    /// A /24 of IPv4.
    V4Near([u8; 3]),
    /// A /16 of IPv4.
    V4Wide([u8; 2]),
    /// A /48 of IPv6.
    V6Near([u8; 6]),
    /// A /32 of IPv6.
    V6Wide([u8; 4]),
}

impl Network {
    /// The near and the wide network of an address; neither if it says nothing about who is there.
    pub fn of(ip: IpAddr, private: bool) -> [Option<Self>; 2] {
        let ip = ip.to_canonical();
        if private {
            return [Some(Self::Host(ip)).filter(|_| !ip.is_loopback()), None];
        }
        match ip {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                [Some(Self::V4Near([a, b, c])), Some(Self::V4Wide([a, b]))]
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                [Some(Self::V6Near([a, b, c, d, e, f])), Some(Self::V6Wide([a, b, c, d]))]
            }
        }
    }

    /// True of a /16, in IPv6 a /32.
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::V4Wide(_) | Self::V6Wide(_))
    }
}

/// One of those by whom something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A router with a session.
    Router(RouterHash),
    /// A tunnel of others that ends here.
    Tunnel(TunnelId),
    /// All such tunnels whose last hop before us is this router: counted apart from what it sends itself.
    Through(RouterHash),
    /// Where a router is.
    Network(Network),
}

/// How many levels there are: itself, near it, around it.
pub const LEVELS: usize = 3;

/// Who bore something to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bearer([Option<Key>; LEVELS]);

impl Bearer {
    /// Nobody: a file, or ourselves.
    pub const NOBODY: Self = Self([None; LEVELS]);

    /// A router over its session, from its address if that is known.
    pub fn session(router: RouterHash, ip: Option<IpAddr>, private: bool) -> Self {
        let [near, wide] = ip.map_or([None, None], |ip| Network::of(ip, private));
        Self([Some(Key::Router(router)), near.map(Key::Network), wide.map(Key::Network)])
    }

    /// A tunnel of others that ends here, and the hop before us in it.
    pub fn tunnel(id: TunnelId, previous: Option<RouterHash>) -> Self {
        Self([Some(Key::Tunnel(id)), previous.map(Key::Through), None])
    }

    /// By whom to count, each with its level.
    pub fn keys(&self) -> impl Iterator<Item = (usize, Key)> {
        self.0.into_iter().enumerate().filter_map(|(level, key)| Some((level, key?)))
    }

    /// The router, if it bore it over its own session.
    pub fn router(&self) -> Option<RouterHash> {
        match self.0[0] {
            Some(Key::Router(router)) => Some(router),
            _ => None,
        }
    }

    /// The narrowest that several names of one operator have in common: the near network, or what there is instead.
    pub fn group(&self) -> Option<Key> {
        self.0[1].or(self.0[0])
    }

    /// The widest network.
    pub fn wide(&self) -> Option<Key> {
        self.0[2]
    }

    /// True if nothing says that both are one: another router, in another wide network where that is known.
    pub fn is_apart_from(&self, group: Option<Key>, wide: Option<Key>) -> bool {
        let (mine, theirs) = (self.group(), group);
        mine.is_some() && theirs.is_some() && mine != theirs && (self.wide().is_none() || self.wide() != wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(n: u8, ip: &str, private: bool) -> Bearer {
        Bearer::session(RouterHash([n; 32]), Some(ip.parse().unwrap()), private)
    }

    #[test]
    fn routers_of_one_network_are_one_group_and_those_of_others_are_not() {
        let (a, b) = (session(1, "9.8.7.6", false), session(2, "::ffff:9.8.7.5", false));
        assert_eq!((a.group(), a.wide()), (b.group(), b.wide()));
        assert!(!b.is_apart_from(a.group(), a.wide()));
        let near = session(3, "9.8.1.1", false);
        assert_ne!(near.group(), a.group());
        assert!(!near.is_apart_from(a.group(), a.wide()), "one /16");
        assert!(session(4, "9.9.1.1", false).is_apart_from(a.group(), a.wide()));
        let (c, d) = (session(1, "2a01:1:2:3::1", false), session(2, "2a01:1:2:4::1", false));
        assert_eq!(c.group(), d.group());
        assert_eq!(c.keys().count(), LEVELS);
    }

    #[test]
    fn in_a_private_network_an_address_stands_for_itself_and_loopback_for_nobody() {
        assert_ne!(session(1, "10.9.0.1", true).group(), session(2, "10.9.0.2", true).group());
        assert_eq!(session(1, "10.9.0.1", true).group(), session(2, "10.9.0.1", true).group());
        assert_eq!(session(1, "127.0.0.1", true).group(), Some(Key::Router(RouterHash([1; 32]))));
    }

    #[test]
    fn what_comes_through_a_router_is_counted_apart_from_what_it_sends() {
        let router = RouterHash([7; 32]);
        let through = Bearer::tunnel(TunnelId(5), Some(router));
        let keys: Vec<_> = through.keys().map(|(_, key)| key).collect();
        assert_eq!(keys, [Key::Tunnel(TunnelId(5)), Key::Through(router)]);
        assert!(Bearer::session(router, None, false).keys().all(|(_, key)| !keys.contains(&key)));
        assert_eq!(through.router(), None);
    }
}
