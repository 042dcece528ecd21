//! What the machines of peer tests and introductions ask their caller, and what both count by.

use super::header::MaskKey;
use crate::data::router_address::{Ssu2Address, is_public};
use crate::data::router_info::RouterInfo;
use crate::data::router_keys::RouterKeys;
use crate::id::RouterHash;
use crate::link::skew::MAX_CLOCK_SKEW;
use crate::time::{Mono, Wall};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What the caller knows of other routers and of its sessions.
pub trait Directory {
    /// A verified RouterInfo.
    fn router_info(&self, router: &RouterHash) -> Option<RouterInfo>;
    /// Routers with which a session stands, that publish an SSU2 address of this family with `B` in its caps, and where
    /// they are.
    fn testers(&self, v4: bool) -> Vec<(RouterHash, SocketAddr)>;
    /// True if an SSU2 session with the router stands.
    fn is_connected(&self, router: &RouterHash) -> bool;
    /// A token for a SessionRequest from this address, good for some seconds.
    fn token_for(&self, addr: SocketAddr) -> u64;
}

/// Who we are.
#[derive(Clone)]
pub struct Me {
    /// Our network.
    pub net_id: u8,
    /// Our identity.
    pub keys: Arc<RouterKeys>,
    /// Whether reserved addresses are as good as public ones: for networks without an uplink.
    pub allow_reserved: bool,
}

impl Me {
    /// Our hash.
    pub fn hash(&self) -> RouterHash {
        self.keys.identity.hash()
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.keys.signing.sign(message)
    }

    /// True if a datagram may be sent there on the word of a stranger.
    ///
    /// spec: ssu2 §Processing by Bob — "Port validation should reject privileged ports".
    pub(super) fn may_reach(&self, addr: SocketAddr) -> bool {
        addr.port() >= 1024 && (self.allow_reserved || is_public(addr.ip()))
    }
}

impl std::fmt::Debug for Me {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Me").field("net_id", &self.net_id).finish_non_exhaustive()
    }
}

/// True if the router of this RouterInfo signed the message.
pub(super) fn signed_by(info: &RouterInfo, message: &[u8], signature: &[u8]) -> bool {
    info.identity().is_ok_and(|identity| identity.verify(message, signature).is_ok())
}

/// The SSU2 address of a family, published or not.
pub(super) fn ssu2_address(info: &RouterInfo, v4: bool) -> Option<Ssu2Address> {
    info.ssu2().find(|a| match a.socket {
        Some(socket) => socket.is_ipv4() == v4,
        None if v4 => a.caps.v4,
        None => a.caps.v6,
    })
}

/// The introduction key of that address.
pub(super) fn intro_key(info: &RouterInfo, v4: bool) -> Option<MaskKey> {
    ssu2_address(info, v4).map(|a| MaskKey::new(a.intro_key))
}

/// True if a signed time is near enough to be of now.
pub(super) fn is_fresh(seconds: u32, now: Wall) -> bool {
    let signed = Wall::from_secs(seconds);
    signed.since(now).max(now.since(signed)) <= MAX_CLOCK_SKEW
}

/// The network in which one operator may be thought to sit: a /16 of IPv4, a /32 of IPv6.
pub(super) fn wide_network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip) >> 16),
        IpAddr::V6(ip) => (u128::from(ip) >> 96) as u64 | 1 << 32,
    }
}

/// True if two addresses are so near that one speaks for the other: the same IPv4 address, the same /64 of IPv6.
pub(super) fn same_host(a: IpAddr, b: IpAddr) -> bool {
    match (a.to_canonical(), b.to_canonical()) {
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        (a, b) => a == b,
    }
}

/// Routers whose requests are counted. Beyond that the window begins anew for all.
const MAX_COUNTED: usize = 4096;

/// How often each router asked within the last minute.
#[derive(Debug, Default)]
pub(super) struct PerMinute {
    counts: FxHashMap<RouterHash, u32>,
    since: Mono,
}

impl PerMinute {
    /// Counts a request. False if the router has had `limit` of them in this minute.
    pub(super) fn admit(&mut self, router: &RouterHash, limit: u32, now: Mono) -> bool {
        if now.saturating_sub(self.since) >= Duration::from_secs(60) || self.counts.len() >= MAX_COUNTED {
            self.counts.clear();
            self.since = now;
        }
        let count = self.counts.entry(*router).or_default();
        *count += 1;
        *count <= limit
    }
}

/// What happened how often: by role (`alice`, `bob`, `charlie`) and by what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<(&'static str, &'static str), u64>);

impl Tally {
    pub(super) fn count(&mut self, role: &'static str, what: &'static str) {
        *self.0.entry((role, what)).or_default() += 1;
    }

    /// How often this happened.
    pub fn get(&self, role: &'static str, what: &'static str) -> u64 {
        self.0.get(&(role, what)).copied().unwrap_or(0)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        self.0.iter().map(|((role, what), n)| (*role, *what, *n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_has_so_many_requests_a_minute() {
        let mut counts = PerMinute::default();
        let (a, b) = (RouterHash([1; 32]), RouterHash([2; 32]));
        let verdicts: Vec<_> = (0..4).map(|s| counts.admit(&a, 3, Duration::from_secs(s))).collect();
        assert_eq!(verdicts, [true, true, true, false]);
        assert!(counts.admit(&b, 3, Duration::from_secs(5)));
        assert!(counts.admit(&a, 3, Duration::from_secs(60)));
        for n in 0..2 * MAX_COUNTED {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_le_bytes());
            counts.admit(&RouterHash(hash), 3, Duration::from_secs(61));
        }
        assert!(counts.counts.len() <= MAX_COUNTED);
    }
}
