//! What a router that called us must show.

use super::HandshakeConfig;
use super::outcome::Refusal;
use bytes::Bytes;
use ramson_crypto::x25519::PublicKey;
use ramson_protocol::data::router_info::VerifiedRouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::callers::{Rules, Unfit};
use ramson_protocol::time::Wall;
use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};

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
) -> Result<VerifiedRouterInfo, (Refusal, Option<RouterHash>)> {
    let rules = Rules {
        ours: config.router,
        net_id: config.net_id,
        max_age: config.limits.router_info_age,
        check_source: config.limits.check_source,
    };
    let info = rules.read(bytes.clone()).map_err(|unfit| (unfit.into(), None))?;
    // "Bob must verify that Alice's static key received in the first frame matches the static key in the Router Info."
    if !info.ntcp2().any(|a| a.static_key == *static_key) {
        return Err((Refusal::StaticKey, None));
    }
    let published: SmallVec<[SocketAddr; 4]> = info.ntcp2().filter_map(|a| a.socket).collect();
    let info = rules.judge(info, published.into_iter(), ip, now).map_err(|(unfit, hash)| (unfit.into(), hash))?;
    config.gate.admits_router(&info, ip).map_err(|reason| (Refusal::Gate(reason), Some(info.hash())))?;
    Ok(info)
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::TooLarge => Self::TooLarge,
            Unfit::Malformed => Self::Malformed,
            Unfit::Ourselves => Self::Ourselves,
            Unfit::Signature => Self::Signature,
            Unfit::Network => Self::Network,
            Unfit::TooOld => Self::TooOld,
            Unfit::FromTheFuture => Self::FromTheFuture,
            Unfit::WrongAddress => Self::WrongAddress,
        }
    }
}
