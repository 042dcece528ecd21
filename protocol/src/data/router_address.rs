//! RouterAddress: one way to reach a router, and what NTCP2 and SSU2 put into it.
//!
//! spec: common-structures §RouterAddress; ntcp2 §Published Addresses; ssu2 §Router Address
//!
//! ```text
//! cost 1 | expiration 8, zero | transport style: string | options: mapping
//! ```

use super::mapping::{self, Mapping, MappingBuf};
use crate::base64;
use crate::id::RouterHash;
use crate::wire::{Reader, Result, Writer};
use ramson_crypto::x25519;
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The options of an SSU2 address that name its introducers.
const INTRODUCER_KEYS: [[&str; 3]; 3] =
    [["ih0", "itag0", "iexp0"], ["ih1", "itag1", "iexp1"], ["ih2", "itag2", "iexp2"]];

/// An address, borrowed from its RouterInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAddress<'a> {
    /// 0 is free, 255 expensive.
    pub cost: u8,
    /// Milliseconds since 1970; zero in every address that is in use.
    pub expiration: u64,
    /// `NTCP2`, `SSU2`, or what became of older ones.
    pub style: &'a [u8],
    /// Everything else.
    pub options: Mapping<'a>,
}

/// What the `caps` of an address say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressCaps {
    /// `4`: can reach IPv4.
    pub v4: bool,
    /// `6`: can reach IPv6.
    pub v6: bool,
    /// `B`: takes part in peer tests.
    pub peer_test: bool,
    /// `C`: introduces.
    pub introducer: bool,
}

impl AddressCaps {
    fn parse(text: &str) -> Self {
        Self {
            v4: text.contains('4'),
            v6: text.contains('6'),
            peer_test: text.contains('B'),
            introducer: text.contains('C'),
        }
    }
}

/// An address as NTCP2 uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ntcp2Address {
    /// Where to connect to; `None` if it only says that the router speaks NTCP2.
    pub socket: Option<SocketAddr>,
    /// `s`: the static key.
    pub static_key: x25519::PublicKey,
    /// `i`: the IV that hides the ephemeral key; only of published addresses.
    pub iv: Option<[u8; 16]>,
    /// `caps`.
    pub caps: AddressCaps,
    /// `cost`.
    pub cost: u8,
    /// `pq`: ML-KEM variants that the router takes, 3 to 5, in its order of preference.
    pub pq: SmallVec<[u8; 3]>,
}

impl Ntcp2Address {
    /// Where to connect to and with what, if this address is published.
    pub fn dialable(&self) -> Option<(SocketAddr, x25519::PublicKey, [u8; 16])> {
        Some((self.socket?, self.static_key, self.iv?))
    }
}

/// A router that introduces to one behind a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introducer {
    /// `ihN`.
    pub router: RouterHash,
    /// `itagN`.
    pub tag: u32,
    /// `iexpN`: seconds since 1970.
    pub expires: Option<u32>,
}

/// An address as SSU2 uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssu2Address {
    /// Where to send to; `None` if introduced or unreachable.
    pub socket: Option<SocketAddr>,
    /// `s`: the static key.
    pub static_key: x25519::PublicKey,
    /// `i`: the introduction key, which protects headers.
    pub intro_key: [u8; 32],
    /// `mtu`, 1280 to 1500.
    pub mtu: u16,
    /// `caps`.
    pub caps: AddressCaps,
    /// `cost`.
    pub cost: u8,
    /// At most three.
    pub introducers: SmallVec<[Introducer; 3]>,
    /// `pq`: ML-KEM variants.
    pub pq: SmallVec<[u8; 3]>,
}

impl<'a> RouterAddress<'a> {
    /// Reads an address.
    ///
    /// # Errors
    /// As [`Mapping::parse`].
    pub fn parse(r: &mut Reader<'a>) -> Result<Self> {
        Ok(Self { cost: r.u8()?, expiration: r.u64()?, style: mapping::string(r)?, options: Mapping::parse(r)? })
    }

    /// The NTCP2 view: `None` for other transports, other versions, and without a usable key.
    ///
    /// spec: ntcp2 §Published Addresses — style `NTCP2`, or `NTCP` with a `v` that lists 2.
    pub fn ntcp2(&self) -> Option<Ntcp2Address> {
        if !matches!(self.style, b"NTCP2" | b"NTCP") || !self.speaks_version_2() {
            return None;
        }
        let iv = match self.options.get("i") {
            Some(text) => Some(key::<16>(text)?),
            None => None,
        };
        Some(Ntcp2Address {
            socket: self.socket(),
            static_key: self.static_key()?,
            iv,
            caps: self.caps(),
            cost: self.cost,
            pq: self.pq(),
        })
    }

    /// The SSU2 view: `None` for other transports, other versions, and without usable keys.
    pub fn ssu2(&self) -> Option<Ssu2Address> {
        if !matches!(self.style, b"SSU2" | b"SSU") || !self.speaks_version_2() {
            return None;
        }
        let mtu = self.options.get("mtu").and_then(|m| m.parse().ok()).unwrap_or(1500u16);
        Some(Ssu2Address {
            socket: self.socket(),
            static_key: self.static_key()?,
            intro_key: key(self.options.get("i")?)?,
            mtu: mtu.clamp(1280, 1500),
            caps: self.caps(),
            cost: self.cost,
            introducers: self.introducers(),
            pq: self.pq(),
        })
    }

    /// The IP address and port, whatever the transport.
    pub fn socket(&self) -> Option<SocketAddr> {
        let host: IpAddr = self.options.get("host")?.parse().ok()?;
        let port: u16 = self.options.get("port")?.parse().ok()?;
        (port != 0).then_some(SocketAddr::new(host, port))
    }

    fn speaks_version_2(&self) -> bool {
        self.options.get("v").is_some_and(|v| v.split(',').any(|n| n == "2"))
    }

    /// spec: ntcp2 §Published Addresses — the top bit of the key marks post-quantum handshakes, so it must be clear.
    fn static_key(&self) -> Option<x25519::PublicKey> {
        let bytes: [u8; 32] = key(self.options.get("s")?)?;
        (bytes[31] & 0x80 == 0 && bytes != [0; 32]).then_some(x25519::PublicKey(bytes))
    }

    fn caps(&self) -> AddressCaps {
        self.options.get("caps").map(AddressCaps::parse).unwrap_or_default()
    }

    fn pq(&self) -> SmallVec<[u8; 3]> {
        let text = self.options.get("pq").unwrap_or_default();
        text.split(',').filter_map(|n| n.parse().ok()).filter(|n| (3..=5).contains(n)).take(3).collect()
    }

    fn introducers(&self) -> SmallVec<[Introducer; 3]> {
        INTRODUCER_KEYS
            .iter()
            .filter_map(|[hash, tag, expires]| {
                Some(Introducer {
                    router: RouterHash(key(self.options.get(hash)?)?),
                    tag: self.options.get(tag)?.parse().ok().filter(|t| *t != 0)?,
                    expires: self.options.get(expires).and_then(|e| e.parse().ok()),
                })
            })
            .collect()
    }
}

fn key<const N: usize>(text: &str) -> Option<[u8; N]> {
    base64::decode(text)?.try_into().ok()
}

/// An address to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAddressBuf {
    /// 0 is free, 255 expensive.
    pub cost: u8,
    /// `NTCP2` or `SSU2`.
    pub style: String,
    /// Everything else.
    pub options: MappingBuf,
}

impl RouterAddressBuf {
    /// A published NTCP2 address.
    pub fn ntcp2(at: SocketAddr, static_key: &x25519::PublicKey, iv: &[u8; 16]) -> Self {
        let mut options = MappingBuf::new();
        options.set("host", at.ip().to_string()).set("port", at.port().to_string());
        options.set("i", base64::encode(iv)).set("s", base64::encode(&static_key.0)).set("v", "2");
        Self { cost: 3, style: "NTCP2".to_owned(), options }
    }

    /// An NTCP2 address that says only that we call others. `caps` is `4`, `6` or `46`.
    pub fn ntcp2_unpublished(static_key: &x25519::PublicKey, caps: &str) -> Self {
        let mut options = MappingBuf::new();
        options.set("caps", caps).set("s", base64::encode(&static_key.0)).set("v", "2");
        Self { cost: 14, style: "NTCP2".to_owned(), options }
    }

    /// An SSU2 address that cannot be sent to: its router calls others, and can be called through `introducers`, of
    /// whom three are kept. `caps` is `4`, `6` or `46`.
    pub fn ssu2_unpublished(
        static_key: &x25519::PublicKey,
        intro_key: &[u8; 32],
        caps: &str,
        introducers: &[Introducer],
    ) -> Self {
        let mut options = MappingBuf::new();
        options.set("caps", caps).set("i", base64::encode(intro_key));
        options.set("s", base64::encode(&static_key.0)).set("v", "2");
        for (introducer, [hash, tag, expires]) in introducers.iter().zip(INTRODUCER_KEYS) {
            options.set(hash, base64::encode(&introducer.router.0)).set(tag, introducer.tag.to_string());
            if let Some(at) = introducer.expires {
                options.set(expires, at.to_string());
            }
        }
        Self { cost: 15, style: "SSU2".to_owned(), options }
    }

    /// A published SSU2 address. `caps` may hold `B`, `C`.
    pub fn ssu2(at: SocketAddr, static_key: &x25519::PublicKey, intro_key: &[u8; 32], caps: &str, mtu: u16) -> Self {
        let mut options = MappingBuf::new();
        options.set("host", at.ip().to_string()).set("port", at.port().to_string());
        options.set("i", base64::encode(intro_key)).set("s", base64::encode(&static_key.0)).set("v", "2");
        if !caps.is_empty() {
            options.set("caps", caps);
        }
        if mtu != 1500 {
            options.set("mtu", mtu.to_string());
        }
        Self { cost: 8, style: "SSU2".to_owned(), options }
    }

    /// Appends the address.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn write(&self, w: &mut impl Writer) -> Result<()> {
        w.put_u8(self.cost);
        w.put_u64(0);
        mapping::write_string(w, &self.style);
        self.options.write(w)
    }
}

/// True for an address that a router of the public network may have. A reserved one makes its RouterAddress invalid.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 224
                || (a == 100 && b & 0xc0 == 64)
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && b & 0xfe == 18))
        }
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Global unicast (2000::/3) without documentation, Teredo, 6to4 and the benchmarking and ORCHID ranges.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    a & 0xe000 == 0x2000 && a != 0x2002 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(a: &RouterAddressBuf) -> Vec<u8> {
        let mut out = Vec::new();
        a.write(&mut out).unwrap();
        out
    }

    #[test]
    fn a_published_ntcp2_address_is_read_back() {
        let key = x25519::PublicKey([7; 32]);
        let at: SocketAddr = "10.3.0.1:20003".parse().unwrap();
        let bytes = written(&RouterAddressBuf::ntcp2(at, &key, &[9; 16]));
        let parsed = RouterAddress::parse(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(parsed.ntcp2().unwrap().dialable(), Some((at, key, [9; 16])));
        assert!(parsed.ssu2().is_none());
        assert_eq!(parsed.options.get("i").unwrap().len(), 24, "any other length is a ban at Java routers");
        for n in 0..bytes.len() {
            assert!(RouterAddress::parse(&mut Reader::new(&bytes[..n])).is_err());
        }
    }

    #[test]
    fn an_unpublished_ntcp2_address_cannot_be_dialed() {
        let bytes = written(&RouterAddressBuf::ntcp2_unpublished(&x25519::PublicKey([7; 32]), "46"));
        let view = RouterAddress::parse(&mut Reader::new(&bytes)).unwrap().ntcp2().unwrap();
        assert_eq!((view.dialable(), view.caps.v4, view.caps.v6), (None, true, true));
    }

    #[test]
    fn an_ssu2_address_is_read_back_with_its_introducers() {
        let key = x25519::PublicKey([7; 32]);
        let mut a = RouterAddressBuf::ssu2("[2a01::1]:9".parse().unwrap(), &key, &[3; 32], "BC", 1280);
        a.options.set("ih0", base64::encode(&[1; 32])).set("itag0", "77").set("iexp0", "1700000000");
        a.options.set("ih1", base64::encode(&[1; 32])).set("itag1", "0");
        a.options.set("pq", "4,3,9");
        let bytes = written(&a);
        let view = RouterAddress::parse(&mut Reader::new(&bytes)).unwrap().ssu2().unwrap();
        assert_eq!((view.mtu, view.intro_key, view.caps.introducer), (1280, [3; 32], true));
        assert_eq!(
            view.introducers[..],
            [Introducer { router: RouterHash([1; 32]), tag: 77, expires: Some(1_700_000_000) }]
        );
        assert_eq!(view.pq[..], [4, 3]);
    }

    #[test]
    fn an_address_behind_a_nat_is_read_back_with_its_introducers_and_without_a_socket() {
        let key = x25519::PublicKey([7; 32]);
        let introducers =
            [1, 2].map(|n| Introducer { router: RouterHash([n; 32]), tag: 70, expires: Some(1_790_000_000) });
        let bytes = written(&RouterAddressBuf::ssu2_unpublished(&key, &[3; 32], "4", &introducers));
        let view = RouterAddress::parse(&mut Reader::new(&bytes)).unwrap().ssu2().unwrap();
        assert_eq!((view.socket, view.intro_key, view.caps.v4, view.caps.v6), (None, [3; 32], true, false));
        assert_eq!(view.introducers[..], introducers);
    }

    #[test]
    fn keys_of_other_lengths_or_with_the_top_bit_set_make_no_address() {
        let mut a = RouterAddressBuf::ntcp2("1.2.3.4:5".parse().unwrap(), &x25519::PublicKey([0x80; 32]), &[9; 16]);
        assert!(RouterAddress::parse(&mut Reader::new(&written(&a))).unwrap().ntcp2().is_none());
        a.options.set("s", base64::encode(&[7; 32])).set("i", base64::encode(&[7; 15]));
        assert!(RouterAddress::parse(&mut Reader::new(&written(&a))).unwrap().ntcp2().is_none());
    }

    #[test]
    fn reserved_ranges_are_not_public() {
        for ip in ["10.0.0.1", "127.0.0.1", "0.1.2.3", "224.0.0.1", "100.64.0.1", "198.18.0.1", "192.168.1.1"] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["::1", "fe80::1", "fc00::1", "2001:db8::1", "2002::1", "2001::1", "ff02::1", "::ffff:1.2.3.4"] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["9.9.9.9", "100.128.0.1", "2620:fe::fe", "2a01::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
