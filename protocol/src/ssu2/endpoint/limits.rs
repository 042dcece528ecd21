//! The half-open handshakes of each network.

use crate::link::callers::network;
use crate::link::limits::Limits;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// So many times what one address may hold half-open, a /24 of IPv4 may.
const ADDRESSES_OF_A_NETWORK: u32 = 2;

/// Whether one more handshake may be half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Yes,
    /// Yes, if this one goes.
    Displace(u64),
}

/// The half-open handshakes in the order in which they began.
#[derive(Default)]
pub(super) struct HalfOpen {
    next: u64,
    by_age: BTreeMap<u64, (u64, u128)>,
    per_network: FxHashMap<u128, u32>,
}

impl HalfOpen {
    /// Which one must go before one from `ip` enters: the oldest of its network, or of all.
    pub(super) fn admission(&self, ip: IpAddr, limits: &Limits) -> Admission {
        let network = network(ip, 24);
        let of_network = self.per_network.get(&network).copied().unwrap_or(0);
        let most = limits.half_open_per_ip.saturating_mul(ADDRESSES_OF_A_NETWORK);
        let mut ages = self.by_age.values();
        let displaced = if of_network > 0 && of_network >= most {
            ages.find(|(_, n)| *n == network)
        } else if self.by_age.len() >= limits.half_open {
            ages.next()
        } else {
            None
        };
        displaced.map_or(Admission::Yes, |(id, _)| Admission::Displace(*id))
    }

    /// One begins; its place comes back.
    pub(super) fn enter(&mut self, id: u64, ip: IpAddr) -> u64 {
        let (order, network) = (self.next, network(ip, 24));
        self.next += 1;
        self.by_age.insert(order, (id, network));
        *self.per_network.entry(network).or_default() += 1;
        order
    }

    /// A handshake is no longer half-open; `order` is what [`HalfOpen::enter`] gave.
    pub(super) fn leave(&mut self, order: u64, ip: IpAddr) {
        self.by_age.remove(&order);
        let network = network(ip, 24);
        if let Some(count) = self.per_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.per_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn the_oldest_of_a_full_network_goes_or_the_oldest_of_all() {
        let limits = Limits { half_open: 4, half_open_per_ip: 1, ..Limits::default() };
        let mut half_open = HalfOpen::default();
        let first = half_open.enter(10, ip(0x0101_0101));
        half_open.enter(20, ip(0x0202_0201));
        half_open.enter(21, ip(0x0202_0202));
        assert_eq!(half_open.admission(ip(0x0202_0203), &limits), Admission::Displace(20));
        assert_eq!(half_open.admission(ip(0x0303_0303), &limits), Admission::Yes);
        half_open.enter(30, ip(0x0303_0303));
        assert_eq!(half_open.admission(ip(0x0404_0404), &limits), Admission::Displace(10));
        half_open.leave(first, ip(0x0101_0101));
        assert_eq!(half_open.admission(ip(0x0404_0404), &limits), Admission::Yes);
        assert_eq!(half_open.per_network.len(), 2);
    }
}
