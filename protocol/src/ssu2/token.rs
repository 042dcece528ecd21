//! Tokens: what proves to a responder that an address is the initiator's.
//!
//! Those that we give out are not stored. A token is a keyed hash over the peer's address and the slice of time in which
//! it was made, and is good in that slice and a few more; only tokens that were used are remembered, so that each is
//! good once. A flood of requests therefore costs no memory, and what is remembered is bounded by the sessions made.
//! The specification's objection to such tokens is that reuse cannot be told; it can.
//!
//! Those that others gave us are kept by address, and can be carried over a restart.
//!
//! spec: ssu2 §Tokens

use crate::time::{Mono, Now};
use crate::wire::{Reader, Writer};
use ramson_crypto::siphash::siphash24;
use rustc_hash::{FxHashMap, FxHashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long the token of a Retry is good, at least. i2pd takes its own for 6 to 8 s.
///
/// spec: ssu2 §Recommended Constants — "Timeout after sending retry: 9 seconds"
pub const RETRY_LIFETIME: Duration = Duration::from_secs(9);
/// How long a token for a later session is good, at least.
pub const NEW_LIFETIME: Duration = Duration::from_secs(52 * 60);
/// Slices of time in a lifetime; a token is good for one slice longer at most.
const SLICES: u32 = 4;
/// Different tokens of one address in one slice.
const VARIANTS: u64 = 8;
/// Used tokens that are remembered, of each kind and generation. When there are more, the elder generation is forgotten
/// early: a token that is used a second time costs a handshake, and refusing all tokens would cost every honest caller one.
const MAX_USED: usize = 1 << 16;
/// Tokens of others that are kept.
pub const MAX_KEPT: usize = 4096;

/// One kind of token that we give out.
struct TokenKind {
    domain: u64,
    lifetime: Duration,
    young: FxHashSet<u64>,
    old: FxHashSet<u64>,
    since: Mono,
}

impl TokenKind {
    fn new(domain: u64, lifetime: Duration, now: Mono) -> Self {
        Self { domain, lifetime, young: FxHashSet::default(), old: FxHashSet::default(), since: now }
    }

    fn slice(&self, now: Mono) -> u64 {
        let ms = (self.lifetime / SLICES).as_millis().max(1);
        u64::try_from(now.as_millis() / ms).unwrap_or(u64::MAX)
    }

    fn use_up(&mut self, token: u64, now: Mono) -> bool {
        // A token lives for one slice more than a lifetime, and a generation for two lifetimes.
        let age = now.saturating_sub(self.since);
        if age >= 2 * self.lifetime || self.young.len() >= MAX_USED {
            let young = std::mem::take(&mut self.young);
            self.old = if age < 4 * self.lifetime { young } else { FxHashSet::default() };
            self.since = now;
        }
        !self.old.contains(&token) && self.young.insert(token)
    }
}

/// Gives tokens out and takes each back once.
pub struct Issuer {
    secret: (u64, u64),
    retry: TokenKind,
    new: TokenKind,
}

impl Issuer {
    /// An issuer with a random secret. Tokens of another issuer are not good.
    pub fn new(secret: [u8; 16], now: Mono) -> Self {
        let word = |from: usize| u64::from_le_bytes(std::array::from_fn(|i| secret[from + i]));
        let (retry, new) = (TokenKind::new(1, RETRY_LIFETIME, now), TokenKind::new(2, NEW_LIFETIME, now));
        Self { secret: (word(0), word(8)), retry, new }
    }

    /// A token to be sent in a Retry.
    pub fn retry(&self, to: SocketAddr, now: Mono) -> u64 {
        self.fresh(&self.retry, to, now)
    }

    /// A token for a NewToken block, and the second (since 1970) at which it expires.
    pub fn new_token(&self, to: SocketAddr, now: Now) -> (u64, u32) {
        (self.fresh(&self.new, to, now.mono), now.wall.plus(NEW_LIFETIME).secs())
    }

    /// The first token of this slice of time that the address has not used yet: it may call several times in one. Each
    /// has [`VARIANTS`], and who has used them all waits for the next slice.
    fn fresh(&self, kind: &TokenKind, to: SocketAddr, now: Mono) -> u64 {
        let slice = kind.slice(now);
        let unused = |token: &u64| !kind.young.contains(token) && !kind.old.contains(token);
        let mut all = (0..VARIANTS).map(|variant| self.token(kind, to, slice, variant));
        all.find(unused).unwrap_or_else(|| self.token(kind, to, slice, 0))
    }

    /// True if the token is ours, for this address, not expired. It is not used up by that.
    pub fn is_good(&self, token: u64, from: SocketAddr, now: Mono) -> bool {
        self.kind_of(token, from, now).is_some_and(|kind| !kind.young.contains(&token) && !kind.old.contains(&token))
    }

    /// Uses a good token up. False if it was not good.
    #[must_use]
    pub fn take(&mut self, token: u64, from: SocketAddr, now: Mono) -> bool {
        match self.kind_of(token, from, now).map(|kind| kind.domain) {
            Some(1) => self.retry.use_up(token, now),
            Some(_) => self.new.use_up(token, now),
            None => false,
        }
    }

    fn kind_of(&self, token: u64, from: SocketAddr, now: Mono) -> Option<&TokenKind> {
        [&self.retry, &self.new].into_iter().find(|kind| {
            let slice = kind.slice(now);
            let mut slices = slice.saturating_sub(u64::from(SLICES))..=slice;
            token != 0 && slices.any(|s| (0..VARIANTS).any(|variant| self.token(kind, from, s, variant) == token))
        })
    }

    fn token(&self, kind: &TokenKind, address: SocketAddr, slice: u64, variant: u64) -> u64 {
        let ip = u128::from_be_bytes(octets(address.ip()));
        let words = [kind.domain, slice, (ip >> 64) as u64, ip as u64, u64::from(address.port()) | variant << 16];
        // A chain of a keyed pseudo-random function over a fixed number of words. Zero would be no token.
        words.iter().fold(0, |state, word| siphash24(self.secret.0, self.secret.1, state ^ word)).max(1)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer(..)")
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Tokens that others gave us, the last one of each address.
#[derive(Default)]
pub struct Received(FxHashMap<SocketAddr, (u64, u32)>);

impl Received {
    /// Keeps a token until `expires`, seconds since 1970. Beyond [`MAX_KEPT`] the one that expires first gives way.
    pub fn insert(&mut self, from: SocketAddr, token: u64, expires: u32) {
        if token == 0 {
            return;
        }
        if self.0.len() >= MAX_KEPT && !self.0.contains_key(&from) {
            let first = self.0.iter().min_by_key(|(_, (_, expires))| *expires).map(|(addr, _)| *addr);
            first.and_then(|addr| self.0.remove(&addr));
        }
        self.0.insert(from, (token, expires));
    }

    /// Takes the token for a session with `to`: it is good once.
    pub fn take(&mut self, to: SocketAddr, now: Now) -> Option<u64> {
        let (token, expires) = self.0.remove(&to)?;
        (expires > now.wall.secs()).then_some(token)
    }

    /// Forgets all of them: our own address has changed.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Tokens kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is kept, for a file: per token expiry u32, token u64, port u16, IP 16 (IPv4 mapped).
    pub fn export(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * 30);
        for (addr, (token, expires)) in &self.0 {
            out.put_u32(*expires);
            out.put_u64(*token);
            out.put_u16(addr.port());
            out.put(&octets(addr.ip()));
        }
        out
    }

    /// Takes back what [`Received::export`] wrote, without what has expired. Whatever follows a bad byte is lost.
    pub fn import(&mut self, bytes: &[u8], now: Now) {
        let mut r = Reader::new(bytes);
        while let (Ok(expires), Ok(token), Ok(port), Ok(ip)) = (r.u32(), r.u64(), r.u16(), r.array::<16>()) {
            if expires > now.wall.secs() {
                self.insert(SocketAddr::new(IpAddr::from(ip).to_canonical(), port), token, expires);
            }
        }
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    const SECOND: Duration = Duration::from_secs(1);

    fn addr(n: u16) -> SocketAddr {
        SocketAddr::from(([1, 2, 3, 4], n))
    }

    fn at(secs: u32) -> Now {
        Now { mono: secs * SECOND, wall: Wall::from_secs(1_700_000_000 + secs) }
    }

    #[test]
    fn a_token_is_good_once_for_its_address_and_its_time() {
        for start in [0, 1, 2, 8] {
            let mut issuer = Issuer::new([3; 16], Duration::ZERO);
            let now = start * SECOND;
            let token = issuer.retry(addr(1), now);
            assert!(!issuer.is_good(token, addr(2), now));
            assert!(!issuer.is_good(token, SocketAddr::from(([1, 2, 3, 5], 1)), now));
            assert!(!issuer.is_good(0, addr(1), now));
            assert!(!Issuer::new([4; 16], Duration::ZERO).is_good(token, addr(1), now));
            assert!(issuer.is_good(token, addr(1), now + RETRY_LIFETIME));
            assert!(!issuer.is_good(token, addr(1), now + RETRY_LIFETIME * 5 / 4 + SECOND));
            assert!(issuer.take(token, addr(1), now + SECOND));
            for later in 0..20 {
                assert!(!issuer.take(token, addr(1), now + later * SECOND), "{start} + {later}");
            }
        }
    }

    /// Without this a second call within the same slice of time was given a token that the first had used up.
    #[test]
    fn a_token_that_was_used_is_not_given_out_again() {
        let mut issuer = Issuer::new([3; 16], Duration::ZERO);
        for _ in 0..VARIANTS {
            let token = issuer.retry(addr(1), SECOND);
            assert_eq!(token, issuer.retry(addr(1), SECOND), "it is the same until it is used");
            assert!(issuer.is_good(token, addr(1), SECOND) && issuer.take(token, addr(1), SECOND));
            let (token, _) = issuer.new_token(addr(1), at(1));
            assert!(issuer.is_good(token, addr(1), SECOND) && issuer.take(token, addr(1), SECOND));
        }
        assert!(!issuer.is_good(issuer.retry(addr(1), SECOND), addr(1), SECOND), "eight times in two seconds");
        let next = 5 * SECOND;
        assert!(issuer.is_good(issuer.retry(addr(1), next), addr(1), next));
    }

    #[test]
    fn a_new_token_lives_for_most_of_an_hour_and_is_used_once() {
        let mut issuer = Issuer::new([3; 16], Duration::ZERO);
        let (token, expires) = issuer.new_token(addr(1), at(100));
        assert_eq!(expires, at(100).wall.secs() + 52 * 60);
        assert_ne!(token, issuer.retry(addr(1), at(100).mono));
        let last = at(100).mono + NEW_LIFETIME;
        assert!(issuer.is_good(token, addr(1), last));
        assert!(issuer.take(token, addr(1), at(200).mono));
        for minutes in 0..70 {
            assert!(!issuer.take(token, addr(1), at(200).mono + minutes * 60 * SECOND), "{minutes}");
        }
    }

    #[test]
    fn received_tokens_are_taken_once_expire_and_survive_a_file() {
        let mut kept = Received::default();
        kept.insert(addr(1), 11, at(50).wall.secs());
        kept.insert(addr(2), 22, at(50).wall.secs());
        kept.insert("[2a01::1]:9".parse().unwrap(), 33, at(500).wall.secs());
        kept.insert(addr(4), 0, at(500).wall.secs());
        assert_eq!(kept.take(addr(1), at(10)), Some(11));
        assert_eq!(kept.take(addr(1), at(10)), None);
        let mut again = Received::default();
        again.import(&kept.export(), at(10));
        assert_eq!(again.len(), 2);
        assert_eq!(again.take(addr(2), at(50)), None, "expired");
        assert_eq!(again.take("[2a01::1]:9".parse().unwrap(), at(50)), Some(33));
        let mut late = Received::default();
        late.import(&kept.export(), at(400));
        assert_eq!(late.len(), 1);
        late.import(&[1; 29], at(400));
        assert_eq!(late.len(), 1);
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let mut kept = Received::default();
        for n in 0..=MAX_KEPT as u32 {
            kept.insert(SocketAddr::from(([1, 2, (n >> 8) as u8, n as u8], 5)), 7, 1000 + n);
        }
        assert_eq!(kept.len(), MAX_KEPT);
        assert_eq!(kept.take(SocketAddr::from(([1, 2, 0, 0], 5)), Now::default()), None);
        assert_eq!(kept.take(SocketAddr::from(([1, 2, 0, 1], 5)), Now::default()), Some(7));
    }
}
