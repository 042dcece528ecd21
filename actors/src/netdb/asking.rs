//! Sending a DatabaseLookup: through our own tunnels when there are any, so that nobody knows who asks, else directly.
//!
//! spec: i2np §DatabaseLookup; ecies-routers §Garlic Message; proposal 154 — the lookup is sealed to the floodfill, and it
//! names one of our inbound tunnels and a key and tag for the reply.

use super::NetDb;
use crate::drops::ControlDrop;
use crate::expected::Via;
use crate::paths::{InboundTunnelRef, OutboundTunnelRef};
use crate::series::control;
use crate::series::outcomes::LookupWay;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::garlic::clove::{Clove, CloveDelivery, write_date_time};
use ramson_protocol::garlic::noise_n;
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::tunnel::Delivery;
use rand::Rng;
use std::time::Duration;

/// How long the key of a reply is kept.
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// Asks one floodfill. What goes wrong is counted; the search goes on when its patience is over.
pub(super) async fn ask(
    netdb: NetDb,
    floodfill: RouterHash,
    key: NetDbKey,
    kind: LookupKind,
    exclude: Vec<RouterHash>,
) {
    let own = netdb.paths().get();
    let lookup = DatabaseLookup {
        key,
        from: netdb.shared().hash(),
        reply_tunnel: None,
        kind,
        exclude,
        encryption: ReplyEncryption::None,
    };
    let tunnels = pick(&own.outbound).zip(pick(&own.inbound));
    let via = if tunnels.is_some() { LookupWay::Tunnels } else { LookupWay::Session };
    control::NETDB_QUERIES.add([via.label()], 1);
    let sent = match tunnels {
        Some((outbound, inbound)) => match netdb.known_router(floodfill).await {
            Some(info) => ask_through(&netdb, &info, lookup, outbound, inbound),
            None => false,
        },
        None => {
            netdb.expect_entry(key, floodfill, Via::Router);
            netdb.shared().send(floodfill, netdb.shared().message(MessageType::DatabaseLookup, lookup.to_body()))
        }
    };
    if !sent {
        ControlDrop::LookupNotSent.count();
    }
}

fn pick<T>(tunnels: &[T]) -> Option<&T> {
    // Any will do, and the load is to be spread.
    let at = rand::rng().next_u32() as usize;
    tunnels.get(at.checked_rem(tunnels.len())?)
}

fn ask_through(
    netdb: &NetDb,
    floodfill: &RouterInfo,
    mut lookup: DatabaseLookup,
    outbound: &OutboundTunnelRef,
    inbound: &InboundTunnelRef,
) -> bool {
    let (mut key, mut tag, mut ephemeral) = ([0; 32], [0; 8], [0; 32]);
    let mut rng = netdb.shared().rng();
    rng.fill_bytes(&mut key);
    rng.fill_bytes(&mut tag);
    rng.fill_bytes(&mut ephemeral);
    lookup.from = inbound.gateway;
    lookup.reply_tunnel = Some(inbound.gateway_tunnel);
    lookup.encryption = ReplyEncryption::Ecies { key, tag };
    let wanted = lookup.key;
    let Some(to) = floodfill.encryption_key() else { return false };
    let inner = netdb.shared().message(MessageType::DatabaseLookup, lookup.to_body());
    let mut payload = Vec::with_capacity(inner.body.len() + 32);
    write_date_time(netdb.shared().now().wall, &mut payload);
    let clove = Clove { delivery: CloveDelivery::Local, header: inner.header(), body: &inner.body };
    if clove.write(&mut payload).is_err() {
        return false;
    }
    let Ok(garlic) = noise_n::garlic(&to, &SecretKey::from_bytes(ephemeral), &payload) else { return false };
    // The key first: without it the reply could not be read.
    let (via, until) = (Via::Tunnel(inbound.id), netdb.shared().now().mono + REPLY_WITHIN);
    netdb.shared().expected().expect_garlic(Owner::Router, OneTimeKey { key, tag }, via, until);
    netdb.expect_entry(wanted, floodfill.hash(), via);
    let message = netdb.shared().message(MessageType::Garlic, garlic);
    netdb.shared().send_through(outbound, Delivery::Router(floodfill.hash()), message)
}

impl NetDb {
    /// From now on an entry under `key` that comes by `via`, or the word that there is none, is an answer of `floodfill`.
    fn expect_entry(&self, key: NetDbKey, floodfill: RouterHash, via: Via) {
        let until = self.shared().now().mono + REPLY_WITHIN;
        self.shared().expected().expect_entry(Owner::Router, key, floodfill, via, until);
    }
}
