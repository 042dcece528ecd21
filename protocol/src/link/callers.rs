//! What a router that calls us must show, and how often an address may call: the same over both transports.

use crate::bucket::Bucket;
use crate::data::router_info::{RouterInfo, VerifiedRouterInfo};
use crate::id::RouterHash;
use crate::netdb::rules::MAX_ROUTER_INFO;
use crate::time::{Mono, Wall};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How far in the future a RouterInfo may be dated.
const FUTURE: Duration = Duration::from_secs(120);

/// Addresses whose rates are remembered. When there are more, those quiet for [`QUIET`] are forgotten, or all.
const MAX_ADDRESSES: usize = 16 * 1024;
const QUIET: Duration = Duration::from_secs(10);

/// Why the RouterInfo of a router that called us is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is larger than the netDb takes.
    TooLarge,
    /// It cannot be read.
    Malformed,
    /// It is ours.
    Ourselves,
    /// Its signature does not verify, or is of a type that we cannot verify.
    Signature,
    /// It belongs to another network.
    Network,
    /// It was published too long ago.
    TooOld,
    /// It was published in the future.
    FromTheFuture,
    /// It publishes another IP address than the one that called.
    WrongAddress,
}

/// What is demanded.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Our router hash.
    pub ours: RouterHash,
    /// Our network.
    pub net_id: u8,
    /// The oldest RouterInfo that a peer may show.
    pub max_age: Duration,
    /// Whether a peer must call from an address that it publishes, if it publishes one of that family.
    pub check_source: bool,
}

impl Rules {
    /// The RouterInfo of a handshake, its signature not verified yet.
    ///
    /// # Errors
    /// What it is instead.
    pub fn read(&self, bytes: Bytes) -> Result<RouterInfo, Unfit> {
        if bytes.len() > MAX_ROUTER_INFO {
            return Err(Unfit::TooLarge);
        }
        let info = RouterInfo::parse(bytes).map_err(|_| Unfit::Malformed)?;
        if info.hash() == self.ours { Err(Unfit::Ourselves) } else { Ok(info) }
    }

    /// Verifies it, and compares it with the address that called; `published` are those of the transport.
    ///
    /// # Errors
    /// What is wrong, with the hash of the router if it signed this itself and is to blame.
    pub fn judge(
        &self,
        info: RouterInfo,
        published: impl Iterator<Item = SocketAddr>,
        ip: IpAddr,
        now: Wall,
    ) -> Result<VerifiedRouterInfo, (Unfit, Option<RouterHash>)> {
        let info = info.verified().map_err(|_| (Unfit::Signature, None))?;
        let unfit = if info.net_id() != Some(self.net_id) {
            Unfit::Network
        } else if now.since(info.published()) > self.max_age {
            Unfit::TooOld
        } else if info.published().since(now) > FUTURE {
            Unfit::FromTheFuture
        } else if self.check_source && !is_home(published, ip) {
            Unfit::WrongAddress
        } else {
            return Ok(info);
        };
        Err((unfit, Some(info.hash())))
    }
}

/// True if no address of this family is published, or the one (for IPv6 the /64) of the caller.
fn is_home(published: impl Iterator<Item = SocketAddr>, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let mut published = published.filter(|s| s.is_ipv4() == ip.is_ipv4()).peekable();
    published.peek().is_none() || published.any(|s| network(s.ip(), 32) == network(ip, 32))
}

/// The network of an address: the first `bits` of IPv4, 1 to 32; the /64 of IPv6, where one host has that many.
pub fn network(ip: IpAddr, bits: u32) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u128::from(u32::from(ip) >> (32 - bits)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) << 64,
    }
}

/// How often addresses have called lately: a token bucket each, in a bounded table.
#[derive(Debug, Default)]
pub struct Rates(FxHashMap<u128, Bucket>);

impl Rates {
    /// Addresses that are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts a call from `ip`, which may make `burst` at once after a pause, and so many per minute. False if it has
    /// had its share.
    pub fn admit(&mut self, ip: IpAddr, burst: u32, per_minute: u32, now: Mono) -> bool {
        self.admit_key(network(ip, 32), burst, per_minute, now)
    }

    /// The same for whatever `key` stands for: another width of networks, say.
    pub fn admit_key(&mut self, key: u128, burst: u32, per_minute: u32, now: Mono) -> bool {
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&key) {
            self.0.retain(|_, bucket| bucket.idle(now) < QUIET);
            if self.0.len() >= MAX_ADDRESSES {
                self.0.clear();
            }
        }
        self.0.entry(key).or_default().take((burst as f32, per_minute as f32 / 60.0), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn an_address_has_a_burst_and_then_its_rate_in_a_bounded_table() {
        let mut rates = Rates::default();
        let mut admit = |n, ms| rates.admit(ip(n), 3, 60, Duration::from_millis(ms));
        assert!((0..3).all(|_| admit(1, 0)));
        assert!(!admit(1, 0));
        assert!(admit(2, 0));
        assert!(admit(1, 1100));
        assert!(!admit(1, 1200));
        for n in 0..2 * MAX_ADDRESSES as u32 {
            admit(n, 1200);
        }
        assert!(rates.0.len() <= MAX_ADDRESSES);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |s: &str| network(s.parse().unwrap(), 32);
        assert_eq!(of("2a01:1:2:3::1"), of("2a01:1:2:3:ffff::2"));
        assert_ne!(of("2a01:1:2:3::1"), of("2a01:1:2:4::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
        assert_eq!(network(ip(0x0102_0304), 24), network(ip(0x0102_03ff), 24));
    }

    #[test]
    fn home_is_any_published_address_of_the_family_or_anywhere_without_one() {
        let at =
            |published: &[&str], ip: &str| is_home(published.iter().map(|s| s.parse().unwrap()), ip.parse().unwrap());
        assert!(at(&["192.0.2.1:1", "192.0.2.9:1"], "192.0.2.9"));
        assert!(at(&["192.0.2.1:1"], "::ffff:192.0.2.1"));
        assert!(!at(&["192.0.2.1:1"], "192.0.2.2"));
        assert!(at(&["[2001:db8::1]:1"], "192.0.2.2") && at(&[], "192.0.2.2"));
        assert!(at(&["[2001:db8::1]:1"], "2001:db8::7") && !at(&["[2001:db8::1]:1"], "2001:db8:0:1::1"));
    }
}
