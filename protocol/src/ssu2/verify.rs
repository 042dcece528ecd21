//! What a router that called us must show.

use super::error::Cause;
use super::header::MaskKey;
use crate::data::router_address::Ssu2Address;
use crate::data::router_info::{RouterInfo, VerifiedRouterInfo};
use crate::id::RouterHash;
use crate::link::callers::{Rules, Unfit};
use crate::time::Wall;
use bytes::Bytes;
use ramson_crypto::x25519::PublicKey;
use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};

/// A router that showed what it must.
#[derive(Debug)]
pub struct Verified {
    /// Its RouterInfo.
    pub info: VerifiedRouterInfo,
    /// Its introduction key.
    pub intro: MaskKey,
    /// Its MTU.
    pub mtu: u16,
}

/// Receipt the RouterInfo of a SessionConfirmed against the handshake and the address that called. On refusal the hash
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
    let info = rules.read(bytes).map_err(|unfit| (unfit.into(), None))?;
    let address = address(&info, static_key, from.ip()).ok_or((Cause::StaticKey, None))?;
    let published: SmallVec<[SocketAddr; 4]> = info.ssu2().filter_map(|a| a.socket).collect();
    let info =
        rules.judge(info, published.into_iter(), from.ip(), now).map_err(|(unfit, hash)| (unfit.into(), hash))?;
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

/// The introduction key of a RouterInfo that was refused, if it can be read: so that its router can be told why.
pub(super) fn intro_of(bytes: Bytes, static_key: &PublicKey, ip: IpAddr) -> Option<MaskKey> {
    let info = RouterInfo::parse(bytes).ok()?;
    Some(MaskKey::new(address(&info, static_key, ip)?.intro_key))
}

impl From<Unfit> for Cause {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::TooLarge => Self::InfoTooLarge,
            Unfit::Malformed => Self::InfoMalformed,
            Unfit::Ourselves => Self::Ourselves,
            Unfit::Signature => Self::InfoSignature,
            Unfit::Network => Self::InfoNetwork,
            Unfit::TooOld => Self::InfoTooOld,
            Unfit::FromTheFuture => Self::InfoFromTheFuture,
            Unfit::WrongAddress => Self::WrongAddress,
        }
    }
}
