//! What a router says of itself, as far as it matters for a hop. Taken from its RouterInfo once, so that choosing
//! among thousands parses nothing.
//!
//! spec: common-structures §RouterInfo; proposal 162

use super::Config;
use crate::data::router_address::{AddressCaps, is_public};
use crate::data::router_info::{Caps, RouterInfo, Version};
use crate::dialing::Abilities;
use crate::time::Wall;
use ramson_crypto::hash::sha256;
use ramson_crypto::x25519::PublicKey;
use smallvec::SmallVec;
use std::net::IpAddr;

/// Short build messages are understood since.
pub const SHORT_BUILDS: Version = Version(0, 9, 51);

/// A neighbourhood in which one operator may own all addresses: an IPv4 /16 or an IPv6 /32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subnet {
    /// The first two bytes.
    V4([u8; 2]),
    /// The first four bytes.
    V6([u8; 4]),
}

impl Subnet {
    /// The neighbourhood of an address where the network may be a private one: there all peers may share a /16, so every IPv4 address is its own, which
    /// the wider kind has room for.
    pub(crate) fn of_peer(ip: IpAddr, private: bool) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) if private => Self::V6(ip.octets()),
            ip => Self::of(ip),
        }
    }

    /// The neighbourhood of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// What stands for a family among the facts: a hash of its name.
pub fn family(name: &str) -> u64 {
    let hash = sha256(&[name.as_bytes()]);
    u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
}

/// The facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Static encryption key.
    pub key: PublicKey,
    /// `router.version`.
    pub version: Version,
    /// `caps`.
    pub caps: Caps,
    /// When it was published: congestion ages.
    pub published: Wall,
    /// Where its addresses lie.
    pub subnets: SmallVec<[Subnet; 2]>,
    /// Its family, if it names one: a hash of the name.
    pub family: Option<u64>,
    /// We can connect to it.
    pub dialable: bool,
    /// By which transports and families it can be called: it publishes an address that exists on this network.
    pub listens: Wires,
    /// By which it can call others.
    pub calls: Wires,
}

/// Transports, each over IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wires(u8);

impl Wires {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(0b1111);

    /// One transport over one family.
    pub fn one(ssu2: bool, v6: bool) -> Self {
        Self(1 << (2 * u8::from(ssu2) + u8::from(v6)))
    }

    /// Whether both have one in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// What an address that is not published says: by which families its router calls others.
    fn called(caps: AddressCaps, ssu2: bool) -> Self {
        let family = |says: bool, v6| if says { Self::one(ssu2, v6).0 } else { 0 };
        Self(family(caps.v4, false) | family(caps.v6, true))
    }
}

/// What stands for the family that a router claims; its signature was verified when it came.
pub fn family_of(info: &RouterInfo) -> Option<u64> {
    info.family().filter(|name| !name.is_empty()).map(family)
}

impl Facts {
    /// The facts of a RouterInfo; `None` if the router cannot be a hop at all, since it has no X25519 key.
    pub fn of(info: &RouterInfo, abilities: &Abilities) -> Option<Self> {
        let key = info.encryption_key()?;
        let (mut subnets, mut dialable, mut listens, mut calls) = (SmallVec::new(), false, Wires::NONE, Wires::NONE);
        // Addresses of other networks, and those that only say where it is at home, are no way to it.
        let exists = |ip: IpAddr| abilities.private || is_public(ip);
        let mut add = |ip: IpAddr, ours: bool, ssu2: bool| {
            let subnet = Subnet::of(ip);
            if !subnets.contains(&subnet) {
                subnets.push(subnet);
            }
            listens.add(Wires::one(ssu2, ip.is_ipv6()));
            calls.add(Wires::one(ssu2, ip.is_ipv6()));
            dialable |= ours && abilities.reaches(ip);
        };
        for (socket, _, _) in info.ntcp2().filter_map(|a| a.dialable()).filter(|(socket, ..)| exists(socket.ip())) {
            add(socket.ip(), abilities.ntcp2, false);
        }
        for socket in info.ssu2().filter_map(|address| address.socket).filter(|socket| exists(socket.ip())) {
            add(socket.ip(), abilities.ssu2, true);
        }
        info.ntcp2().for_each(|address| calls.add(Wires::called(address.caps, false)));
        info.ssu2().filter(|a| a.socket.is_none()).for_each(|address| calls.add(Wires::called(address.caps, true)));
        let family = family_of(info);
        let (version, caps, published) = (info.version(), info.caps(), info.published());
        Some(Self { key, version, caps, published, subnets, family, dialable, listens, calls })
    }

    /// True if a hop of our tunnels may say this of itself.
    pub fn usable(&self, config: &Config) -> bool {
        let caps = &self.caps;
        self.version >= config.min_version
            && caps.bandwidth >= Some(config.min_bandwidth)
            && !caps.hidden
            && !caps.unreachable
            && self.listens != Wires::NONE
    }

    /// Whether both can call each other.
    pub fn connects(&self, other: &Self) -> bool {
        self.calls.meets(other.listens) && other.calls.meets(self.listens)
    }
}
