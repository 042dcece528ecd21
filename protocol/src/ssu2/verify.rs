//! What a router that called us must show.

use super::error::Cause;
use super::header::MaskKey;
use crate::data::router_address::Ssu2Address;
use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;
use crate::netdb::rules::MAX_ROUTER_INFO;
use crate::time::Wall;
use bytes::Bytes;
use ramson_crypto::x25519::PublicKey;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How far in the future a RouterInfo may be dated.
const FUTURE: Duration = Duration::from_secs(120);

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

/// A router that showed what it must.
#[derive(Debug)]
pub struct Verified {
    /// Its RouterInfo.
    pub info: RouterInfo,
    /// Its introduction key.
    pub intro: MaskKey,
    /// Its MTU.
    pub mtu: u16,
}

/// Checks the RouterInfo of a SessionConfirmed against the handshake and the address that called. On refusal the hash
/// is given if the router proved that it is its.
///
/// spec: ssu2 §SessionConfirmed, Notes
pub fn router_info(
    bytes: Bytes,
    static_key: &PublicKey,
    from: SocketAddr,
    now: Wall,
    rules: &Rules,
) -> Result<Verified, (Cause, Option<RouterHash>)> {
    if bytes.len() > MAX_ROUTER_INFO {
        return Err((Cause::InfoTooLarge, None));
    }
    let info = RouterInfo::parse(bytes).map_err(|_| (Cause::InfoMalformed, None))?;
    let hash = info.hash();
    if hash == rules.ours {
        return Err((Cause::Ourselves, None));
    }
    let address = address(&info, static_key, from.ip()).ok_or((Cause::StaticKey, None))?;
    info.verify().map_err(|_| (Cause::InfoSignature, None))?;
    signed(&info, from.ip(), now, rules).map_err(|cause| (cause, Some(hash)))?;
    Ok(Verified { info, intro: MaskKey::new(address.intro_key), mtu: address.mtu })
}

/// The SSU2 address with the static key of the handshake, of the family that called if there is one.
///
/// "Bob must verify that Alice's static key received in the first frame matches the static key in the Router Info."
fn address(info: &RouterInfo, static_key: &PublicKey, ip: IpAddr) -> Option<Ssu2Address> {
    let v4 = ip.to_canonical().is_ipv4();
    let of_family = |a: &Ssu2Address| a.socket.map_or(if v4 { a.caps.v4 } else { a.caps.v6 }, |s| s.is_ipv4() == v4);
    let mut with_key = info.ssu2().filter(|a| a.static_key == *static_key);
    let first = with_key.next()?;
    if of_family(&first) { Some(first) } else { Some(with_key.find(of_family).unwrap_or(first)) }
}

/// The checks that blame the router itself.
fn signed(info: &RouterInfo, ip: IpAddr, now: Wall, rules: &Rules) -> Result<(), Cause> {
    if info.net_id() != Some(rules.net_id) {
        return Err(Cause::InfoNetwork);
    }
    if now.since(info.published()) > rules.max_age {
        return Err(Cause::InfoTooOld);
    }
    if info.published().since(now) > FUTURE {
        return Err(Cause::InfoFromTheFuture);
    }
    if rules.check_source && !calls_from_home(info, ip) {
        return Err(Cause::WrongAddress);
    }
    Ok(())
}

/// True if the router publishes no SSU2 address of this family, or the one (for IPv6 the /64) that it calls from.
fn calls_from_home(info: &RouterInfo, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let home = |published: IpAddr| match (published, ip) {
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        (a, b) => a == b,
    };
    let mut published = info.ssu2().filter_map(|a| a.socket).filter(|s| s.is_ipv4() == ip.is_ipv4()).peekable();
    published.peek().is_none() || published.any(|s| home(s.ip()))
}

/// The introduction key of a RouterInfo that was refused, if it can be read: so that its router can be told why.
pub(super) fn intro_of(bytes: Bytes, static_key: &PublicKey, ip: IpAddr) -> Option<MaskKey> {
    let info = RouterInfo::parse(bytes).ok()?;
    Some(MaskKey::new(address(&info, static_key, ip)?.intro_key))
}
