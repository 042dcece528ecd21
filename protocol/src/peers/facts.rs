//! What a router says of itself, as far as it matters for a hop. Taken from its RouterInfo once, so that choosing
//! among thousands parses nothing.
//!
//! spec: common-structures §RouterInfo; proposal 162

use super::Config;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subnet {
    /// The first two bytes.
    V4([u8; 2]),
    /// The first four bytes.
    V6([u8; 4]),
}

impl Subnet {
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
    /// Anyone can: it publishes an address.
    pub published_address: bool,
}

impl Facts {
    /// The facts of a RouterInfo; `None` if the router cannot be a hop at all, since it has no X25519 key.
    pub fn of(info: &RouterInfo, abilities: &Abilities) -> Option<Self> {
        let key = info.encryption_key()?;
        let (mut subnets, mut dialable, mut published_address) = (SmallVec::new(), false, false);
        let mut add = |ip: IpAddr, ours: bool| {
            let subnet = Subnet::of(ip);
            if !subnets.contains(&subnet) {
                subnets.push(subnet);
            }
            published_address = true;
            dialable |= ours && abilities.reaches(ip);
        };
        for (socket, _, _) in info.ntcp2().filter_map(|address| address.dialable()) {
            add(socket.ip(), abilities.ntcp2);
        }
        for socket in info.ssu2().filter_map(|address| address.socket) {
            add(socket.ip(), abilities.ssu2);
        }
        let family = info.family().filter(|name| !name.is_empty()).map(family);
        let (version, caps, published) = (info.version(), info.caps(), info.published());
        Some(Self { key, version, caps, published, subnets, family, dialable, published_address })
    }

    /// True if a hop of our tunnels may say this of itself.
    pub fn usable(&self, config: &Config) -> bool {
        let caps = &self.caps;
        self.version >= config.min_version
            && caps.bandwidth >= Some(config.min_bandwidth)
            && !caps.hidden
            && !caps.unreachable
            && self.published_address
    }
}
