//! How to call a router: by which transport, at which address, and in which order; and what earlier calls have taught.
//!
//! Every way to call makes a bid, and the lowest goes first: what the address says it costs, what an IPv6 address or an
//! introduction adds to that, and what earlier failures of the transport with that router add. A router is called in
//! the order of the bids until one call leads to a session.

pub mod call;
pub mod desk;

use crate::data::router_address::{Introducer, is_public};
use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;
use crate::time::Mono;
use ramson_crypto::x25519::PublicKey;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Ntcp2,
    /// UDP.
    Ssu2,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ntcp2, Self::Ssu2];

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ntcp2 => "ntcp2",
            Self::Ssu2 => "ssu2",
        }
    }
}

/// Who began a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer called us.
    Inbound,
    /// We called the peer.
    Outbound,
}

impl Direction {
    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Inbound => "in",
            Self::Outbound => "out",
        }
    }
}

/// One way to call a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Over TCP.
    Ntcp2 {
        /// `host` and `port`.
        addr: SocketAddr,
        /// `s`.
        static_key: PublicKey,
        /// `i`.
        iv: [u8; 16],
    },
    /// Over UDP.
    Ssu2 {
        /// `host` and `port`; `None` if the router can only be introduced.
        addr: Option<SocketAddr>,
        /// `s`.
        static_key: PublicKey,
        /// `i`.
        intro_key: [u8; 32],
        /// `mtu`.
        mtu: u16,
        /// Routers that introduce it, their tags not expired.
        introducers: SmallVec<[Introducer; 3]>,
    },
}

impl Call {
    /// What would carry the session.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Ntcp2 { .. } => Transport::Ntcp2,
            Self::Ssu2 { .. } => Transport::Ssu2,
        }
    }

    /// Where the router is called; `None` if it can only be introduced.
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Ntcp2 { addr, .. } => Some(*addr),
            Self::Ssu2 { addr, .. } => *addr,
        }
    }
}

/// What we can do ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// We speak NTCP2.
    pub ntcp2: bool,
    /// We speak SSU2.
    pub ssu2: bool,
    /// We can call IPv4 addresses.
    pub v4: bool,
    /// We can call IPv6 addresses.
    pub v6: bool,
    /// Addresses in private ranges are called too.
    pub private: bool,
    /// SSU2 is tried first: over it alone peers tell where they see us, test whether we can be called, and introduce others.
    pub ssu2_first: bool,
}

impl Abilities {
    /// Whether an address can be called, if its transport is spoken.
    pub fn reaches(&self, ip: IpAddr) -> bool {
        (if ip.is_ipv4() { self.v4 } else { self.v6 }) && (self.private || is_public(ip))
    }
}

/// NTCP2 and SSU2 cost about as much to set up; per cell TCP costs us less. `cost` in addresses of other routers says
/// so too: 3 to 10 for NTCP2, 8 for SSU2.
const SSU2_BID: u32 = 4;
/// IPv4 is tried first: more routers have it, and IPv6 tunnels fail in silence.
const V6_BID: u32 = 2;
/// What NTCP2 adds while SSU2 is to be tried first.
const NTCP2_LATER_BID: u32 = 8;
/// An introduction takes two more routers and a round trip over them.
const INTRODUCED_BID: u32 = 16;
/// Each failure in a row makes the other transport look better, whatever the addresses say.
const FAILURE_BID: u32 = 32;

/// The ways to call a router, the best first. A way that failed lately is left out until its time is up, unless
/// nothing else is left.
pub fn calls(
    info: &RouterInfo,
    abilities: &Abilities,
    history: &DialHistory,
    now: Mono,
    now_secs: u32,
) -> SmallVec<[Call; 4]> {
    let peer = info.hash();
    let mut bids: SmallVec<[(u32, Call); 4]> = SmallVec::new();
    let family = |ip: IpAddr| if ip.is_ipv6() { V6_BID } else { 0 };
    for address in info.ntcp2().filter(|_| abilities.ntcp2) {
        if let Some((addr, static_key, iv)) = address.dialable().filter(|(addr, ..)| abilities.reaches(addr.ip())) {
            let later = if abilities.ssu2_first { NTCP2_LATER_BID } else { 0 };
            bids.push((family(addr.ip()) + later, Call::Ntcp2 { addr, static_key, iv }));
        }
    }
    for address in info.ssu2().filter(|_| abilities.ssu2) {
        let (static_key, intro_key, mtu) = (address.static_key, address.intro_key, address.mtu);
        let mut introducers = address.introducers;
        introducers.retain(|i| i.router != peer && i.expires.is_none_or(|at| at > now_secs));
        match address.socket {
            Some(addr) if abilities.reaches(addr.ip()) => {
                let (addr, introducers) = (Some(addr), SmallVec::new());
                let bid = SSU2_BID + family(addr.map_or(IpAddr::from([0; 4]), |a| a.ip()));
                bids.push((bid, Call::Ssu2 { addr, static_key, intro_key, mtu, introducers }));
            }
            None if !introducers.is_empty() && (abilities.v4 || !address.caps.v4) => {
                bids.push((INTRODUCED_BID, Call::Ssu2 { addr: None, static_key, intro_key, mtu, introducers }));
            }
            _ => {}
        }
    }
    if bids.iter().any(|(_, call)| !history.resting(&peer, call.transport(), now)) {
        bids.retain(|(_, call)| !history.resting(&peer, call.transport(), now));
    }
    for (bid, call) in &mut bids {
        *bid += FAILURE_BID * history.failures(&peer, call.transport());
    }
    bids.sort_by_key(|(bid, _)| *bid);
    bids.into_iter().map(|(_, call)| call).collect()
}

/// Routers of whom something is remembered, at most.
const REMEMBERED: usize = 16 * 1024;
/// How long a transport rests after its first failure with a router; twice as long after each further one.
const REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(16 * 60);
/// A failure is forgotten after this.
const FORGOTTEN: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last: Mono,
}

impl Failures {
    fn rest(&self) -> Duration {
        (REST * (1 << self.count.saturating_sub(1).min(8))).min(LONGEST_REST)
    }
}

/// Which routers could not be called lately, by transport. Bounded: the oldest failures make room.
#[derive(Debug, Default)]
pub struct DialHistory(HashMap<RouterHash, [Failures; 2]>);

impl DialHistory {
    /// A call by this transport led to a session, or the router called us by it.
    pub fn worked(&mut self, peer: &RouterHash, transport: Transport) {
        if let Some(by_transport) = self.0.get_mut(peer) {
            by_transport[transport as usize] = Failures::default();
            if by_transport.iter().all(|failures| failures.count == 0) {
                self.0.remove(peer);
            }
        }
    }

    /// A call by this transport failed.
    pub fn failed(&mut self, peer: RouterHash, transport: Transport, now: Mono) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&peer) {
            self.make_room(now);
        }
        let failures = &mut self.0.entry(peer).or_default()[transport as usize];
        let old = now.saturating_sub(failures.last) > FORGOTTEN;
        failures.count = if old { 1 } else { failures.count.saturating_add(1) };
        failures.last = now;
    }

    /// Forgets what is old, or failing that a quarter of all, the oldest first.
    fn make_room(&mut self, now: Mono) {
        let last =
            |by_transport: &[Failures; 2]| by_transport.iter().map(|failures| failures.last).max().unwrap_or_default();
        self.0.retain(|_, by_transport| now.saturating_sub(last(by_transport)) <= FORGOTTEN);
        if self.0.len() >= REMEMBERED {
            let mut times: Vec<Mono> = self.0.values().map(last).collect();
            let (_, cut, _) = times.select_nth_unstable(REMEMBERED / 4);
            let cut = *cut;
            self.0.retain(|_, by_transport| last(by_transport) > cut);
        }
    }

    fn of(&self, peer: &RouterHash, transport: Transport) -> Failures {
        self.0.get(peer).map(|by_transport| by_transport[transport as usize]).unwrap_or_default()
    }

    fn failures(&self, peer: &RouterHash, transport: Transport) -> u32 {
        self.of(peer, transport).count.min(64)
    }

    /// True while this transport is not to be tried with this router.
    pub fn resting(&self, peer: &RouterHash, transport: Transport, now: Mono) -> bool {
        let failures = self.of(peer, transport);
        failures.count > 0 && now.saturating_sub(failures.last) < failures.rest()
    }
}

#[cfg(test)]
mod tests;
