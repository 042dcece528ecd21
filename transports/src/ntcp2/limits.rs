//! Connections of strangers, by address.

use ramson_protocol::link::callers::{Rates, network};
use ramson_protocol::link::limits::Limits;
use ramson_protocol::time::Mono;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

/// How many handshakes each address has begun and has open.
#[derive(Default)]
pub(super) struct PerIp {
    rates: Rates,
    /// Handshakes under way, by address.
    open: FxHashMap<u128, u32>,
}

/// Whether an address may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Yes,
    /// Yes, if its oldest half-open connection goes.
    Displace,
    No,
}

impl PerIp {
    /// Addresses that are remembered.
    pub(super) fn len(&self) -> usize {
        self.rates.len()
    }

    /// Counts a connection from `ip` unless it is refused.
    pub(super) fn admit(&mut self, ip: IpAddr, limits: &Limits, now: Mono) -> Admission {
        if !self.rates.admit(ip, limits.burst_per_ip, limits.per_minute_per_ip, now) {
            return Admission::No;
        }
        let open = self.open.entry(key(ip)).or_default();
        *open += 1;
        if *open > limits.half_open_per_ip { Admission::Displace } else { Admission::Yes }
    }

    /// A connection from `ip` is no longer half-open.
    pub(super) fn leave(&mut self, ip: IpAddr) {
        if let Entry::Occupied(mut open) = self.open.entry(key(ip)) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// What counts as one address: itself for IPv4, its /64 for IPv6.
pub(super) fn key(ip: IpAddr) -> u128 {
    network(ip, 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn past_the_half_open_limit_of_an_address_one_must_go() {
        let limits = Limits { half_open_per_ip: 2, ..Limits::default() };
        let mut table = PerIp::default();
        let verdicts: Vec<_> = (0..3).map(|_| table.admit(ip(1), &limits, Duration::ZERO)).collect();
        assert_eq!(verdicts, [Admission::Yes, Admission::Yes, Admission::Displace]);
        table.leave(ip(1));
        table.leave(ip(1));
        assert_eq!(table.admit(ip(1), &limits, Duration::ZERO), Admission::Yes);
        (0..2).for_each(|_| table.leave(ip(1)));
        assert!(table.open.is_empty());
    }
}
