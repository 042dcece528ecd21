//! What strangers may take of us: connections per address.

use ramson_protocol::time::Mono;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::Duration;

/// The limits of the handshake thread.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Half-open inbound connections in all.
    pub half_open: usize,
    /// Half-open inbound connections of one address (of one /64 for IPv6).
    pub half_open_per_ip: u32,
    /// Inbound connections that one address may make at once after a pause.
    pub burst_per_ip: u32,
    /// Inbound connections per minute that one address may make.
    pub per_minute_per_ip: u32,
    /// Dials at once.
    pub dials: usize,
    /// For TCP to connect.
    pub connect_timeout: Duration,
    /// For the handshake after message 1 came, or after TCP has connected.
    pub establish_timeout: Duration,
    /// The oldest RouterInfo that a peer may show.
    pub router_info_age: Duration,
    /// Whether a peer must call from an address that it publishes, if it publishes one of that family.
    pub check_source: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 1024,
            half_open_per_ip: 32,
            burst_per_ip: 60,
            per_minute_per_ip: 60,
            dials: 512,
            connect_timeout: Duration::from_secs(5),
            establish_timeout: Duration::from_secs(10),
            router_info_age: Duration::from_secs(27 * 3600),
            check_source: true,
        }
    }
}

/// Addresses whose rates are remembered. When there are more, those without an open connection are forgotten.
const MAX_ADDRESSES: usize = 16 * 1024;

/// What one address did lately.
struct Entry {
    /// Connections that it may still make.
    tokens: f32,
    refilled: Mono,
    open: u32,
}

/// Connections by address.
#[derive(Default)]
pub(super) struct PerIp(FxHashMap<u64, Entry>);

/// Whether an address may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Yes,
    /// Yes, if its oldest half-open connection goes.
    Displace,
    No,
}

impl PerIp {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Counts a connection from `ip` unless it is refused.
    pub(super) fn admit(&mut self, ip: IpAddr, limits: &Limits, now: Mono) -> Admission {
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&network(ip)) {
            self.0.retain(|_, e| e.open > 0 || now.saturating_sub(e.refilled) < Duration::from_secs(10));
            if self.0.len() >= MAX_ADDRESSES {
                self.0.retain(|_, e| e.open > 0);
            }
        }
        let burst = limits.burst_per_ip as f32;
        let entry = self.0.entry(network(ip)).or_insert(Entry { tokens: burst, refilled: now, open: 0 });
        let elapsed = now.saturating_sub(entry.refilled).as_secs_f32();
        entry.tokens = (entry.tokens + elapsed * limits.per_minute_per_ip as f32 / 60.0).min(burst);
        entry.refilled = now;
        if entry.tokens < 1.0 {
            return Admission::No;
        }
        entry.tokens -= 1.0;
        entry.open += 1;
        if entry.open > limits.half_open_per_ip { Admission::Displace } else { Admission::Yes }
    }

    /// A connection from `ip` is no longer half-open.
    pub(super) fn leave(&mut self, ip: IpAddr) {
        if let Some(entry) = self.0.get_mut(&network(ip)) {
            entry.open = entry.open.saturating_sub(1);
        }
    }
}

/// The key of an address: itself for IPv4, its /64 for IPv6, where one host has that many.
pub(super) fn network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn an_address_has_a_burst_and_then_its_rate() {
        let limits = Limits { burst_per_ip: 3, per_minute_per_ip: 60, ..Limits::default() };
        let mut table = PerIp::default();
        for _ in 0..3 {
            assert_eq!(table.admit(ip(1), &limits, Duration::ZERO), Admission::Yes);
        }
        assert_eq!(table.admit(ip(1), &limits, Duration::ZERO), Admission::No);
        assert_eq!(table.admit(ip(2), &limits, Duration::ZERO), Admission::Yes);
        assert_eq!(table.admit(ip(1), &limits, Duration::from_millis(1100)), Admission::Yes);
        assert_eq!(table.admit(ip(1), &limits, Duration::from_millis(1200)), Admission::No);
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
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_is_connected() {
        let limits = Limits::default();
        let mut table = PerIp::default();
        table.admit(ip(0), &limits, Duration::ZERO);
        for n in 1..2 * MAX_ADDRESSES as u32 {
            table.admit(ip(n), &limits, Duration::ZERO);
            table.leave(ip(n));
        }
        assert!(table.len() <= MAX_ADDRESSES);
        assert!(table.0.contains_key(&network(ip(0))));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |s: &str| network(s.parse().unwrap());
        assert_eq!(of("2a01:1:2:3::1"), of("2a01:1:2:3:ffff::2"));
        assert_ne!(of("2a01:1:2:3::1"), of("2a01:1:2:4::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
    }
}
