//! What a router that called us must show.

use super::HandshakeConfig;
use super::limits::network;
use super::outcome::Refusal;
use bytes::Bytes;
use ramson_crypto::x25519::PublicKey;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::netdb::rules::MAX_ROUTER_INFO;
use ramson_protocol::time::Wall;
use std::net::IpAddr;
use std::time::Duration;

/// How far in the future a RouterInfo may be dated.
const FUTURE: Duration = Duration::from_secs(120);

/// Checks the RouterInfo of message 3 against the handshake and the address that called. On refusal the hash is given
/// if the router proved that it is its.
///
/// spec: ntcp2 §3) SessionConfirmed, Notes
pub(super) fn router_info(
    bytes: &Bytes,
    static_key: &PublicKey,
    ip: IpAddr,
    now: Wall,
    config: &HandshakeConfig,
) -> Result<RouterHash, (Refusal, Option<RouterHash>)> {
    let info = RouterInfo::parse(bytes.clone()).map_err(|_| (Refusal::Malformed, None))?;
    let hash = info.hash();
    if hash == config.router {
        return Err((Refusal::Ourselves, None));
    }
    // "Bob must verify that Alice's static key received in the first frame matches the static key in the Router Info."
    if !info.ntcp2().any(|a| a.static_key == *static_key) {
        return Err((Refusal::StaticKey, None));
    }
    if bytes.len() > MAX_ROUTER_INFO {
        return Err((Refusal::TooLarge, None));
    }
    info.verify().map_err(|_| (Refusal::Signature, None))?;
    signed(&info, ip, now, config).map_err(|refusal| (refusal, Some(hash)))?;
    Ok(hash)
}

/// The checks that blame the router itself.
fn signed(info: &RouterInfo, ip: IpAddr, now: Wall, config: &HandshakeConfig) -> Result<(), Refusal> {
    if info.net_id() != Some(config.net_id) {
        return Err(Refusal::Network);
    }
    if now.since(info.published()) > config.limits.router_info_age {
        return Err(Refusal::TooOld);
    }
    if info.published().since(now) > FUTURE {
        return Err(Refusal::FromTheFuture);
    }
    if config.limits.check_source && !calls_from_home(info, ip) {
        return Err(Refusal::WrongAddress);
    }
    config.gate.admits_router(info, ip).map_err(Refusal::Gate)
}

/// True if the router publishes no NTCP2 address of this family, or the one (for IPv6 the /64) that it calls from.
fn calls_from_home(info: &RouterInfo, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let mut published = info.ntcp2().filter_map(|a| a.socket).filter(|s| s.is_ipv4() == ip.is_ipv4()).peekable();
    published.peek().is_none() || published.any(|s| network(s.ip()) == network(ip))
}
