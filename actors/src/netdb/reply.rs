//! Sending what others asked us for: confirmations of stores and answers to lookups.
//!
//! spec: i2np §DatabaseStore (reply token), §DatabaseLookup (reply encryption); proposal 154
//!
//! What goes into a tunnel that begins at a router with which we have no session leaves through one of our own: else
//! strangers would have us call anybody, and we would call thousands for one message each. INTEROP: as Java and i2pd.

use super::NetDb;
use crate::drops::ControlDrop;
use crate::messages::{By, Origin};
use crate::paths::OutboundTunnelRef;
use crate::shared::Shared;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::garlic::aes_tag;
use ramson_protocol::garlic::clove::{Clove, CloveDelivery};
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::i2np::database_lookup::ReplyEncryption;
use ramson_protocol::i2np::database_store::Reply;
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::hop::into_tunnel;
use ramson_protocol::wire;
use ramson_transports::account::Account;
use rand::Rng;
use rand::seq::IteratorRandom;
use rand_chacha::ChaCha20Rng;

/// Whether what came this way may be answered to this router itself, without a tunnel: to nobody but the one over whose
/// session it came, or anyone could have us send to whomever he likes.
pub(super) fn is_from(origin: Origin, router: RouterHash) -> bool {
    origin.by() == Some(By::Session(router))
}

/// Tells the one who stored something that we have it.
pub(super) fn confirm(netdb: &NetDb, reply: &Reply, origin: Origin, bearer: &Bearer, rng: &mut ChaCha20Rng) {
    let shared = netdb.shared();
    if reply.tunnel.is_none() && !is_from(origin, reply.gateway) {
        return ControlDrop::ConfirmElsewhere.count();
    }
    if !netdb.shares().confirmation(bearer, shared.now().mono) {
        return ControlDrop::OverShare.count();
    }
    let time = shared.now().wall.blurred(rng.next_u32());
    let status = DeliveryStatus { id: MessageId(reply.token), time };
    let message = shared.message(MessageType::DeliveryStatus, status.to_body());
    deliver(netdb, origin.account(), reply.gateway, reply.tunnel, message, rng);
}

/// Sends a message to a router, or into a tunnel that begins there, on somebody's account. False if it could not go.
pub(super) fn deliver(
    netdb: &NetDb,
    account: Account,
    to: RouterHash,
    tunnel: Option<TunnelId>,
    message: Message,
    rng: &mut ChaCha20Rng,
) -> bool {
    let shared = netdb.shared();
    let connected = to == shared.hash() || shared.neighbours().has(&to);
    let own = netdb.paths().get();
    let sent = match way(tunnel, connected, &own.outbound, shared.hash(), rng) {
        Way::Session => shared.send_for(account, to, message),
        Way::Into(tunnel) => send_into(shared, account, to, tunnel, &message, rng),
        Way::Through(own, tunnel) => shared.send_through(&own, Delivery::Tunnel(to, tunnel), message),
    };
    if !sent {
        ControlDrop::DataPlaneFull.count();
    }
    sent
}

/// By what way an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the router over its session.
    Session,
    /// To the router over its session, into this tunnel.
    Into(TunnelId),
    /// Through a tunnel of ours into this one.
    Through(OutboundTunnelRef, TunnelId),
}

/// See the head of this file. A tunnel of ours without hops is no way of its own.
fn way(
    tunnel: Option<TunnelId>,
    connected: bool,
    outbound: &[OutboundTunnelRef],
    us: RouterHash,
    rng: &mut ChaCha20Rng,
) -> Way {
    let Some(tunnel) = tunnel else { return Way::Session };
    let with_hops = outbound.iter().filter(|own| own.first_hop != us);
    match with_hops.choose(rng).filter(|_| !connected) {
        Some(own) => Way::Through(*own, tunnel),
        None => Way::Into(tunnel),
    }
}

fn send_into(
    shared: &Shared,
    account: Account,
    to: RouterHash,
    tunnel: TunnelId,
    message: &Message,
    rng: &mut ChaCha20Rng,
) -> bool {
    into_tunnel(tunnel, message, rng).is_ok_and(|message| shared.send_for(account, to, message))
}

/// Encrypts an answer the way its asker wants it.
///
/// # Errors
/// If the answer is too large for garlic.
pub(super) fn sealed(
    shared: &Shared,
    encryption: &ReplyEncryption,
    message: Message,
    rng: &mut ChaCha20Rng,
) -> wire::Result<Message> {
    let body = match encryption {
        ReplyEncryption::None => return Ok(message),
        ReplyEncryption::Ecies { key, tag } => {
            let mut payload = Vec::with_capacity(message.body.len() + 16);
            Clove { delivery: CloveDelivery::Local, header: message.header(), body: &message.body }
                .write(&mut payload)?;
            OneTimeKey { key: *key, tag: *tag }.seal(&payload)
        }
        ReplyEncryption::ElGamal { key, tags } => {
            let Some(tag) = tags.first() else { return Ok(message) };
            let set = aes_tag::clove_set(&CloveDelivery::Local, &message, message.id)?;
            aes_tag::seal(key, tag, &set, rng)
        }
    };
    Ok(shared.message(MessageType::Garlic, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn only_who_is_connected_is_answered_over_a_session_and_others_through_our_own_tunnels() {
        let (us, mut rng) = (RouterHash([1; 32]), ChaCha20Rng::from_seed([0; 32]));
        let own = |id, first| OutboundTunnelRef { id: TunnelId(id), first_hop: RouterHash([first; 32]) };
        let (theirs, with_hops, without) = (TunnelId(7), own(2, 2), own(3, 1));
        let mut of = |tunnel, connected, outbound: &[_]| way(tunnel, connected, outbound, us, &mut rng);
        assert_eq!(of(Some(theirs), false, &[without, with_hops]), Way::Through(with_hops, theirs));
        assert_eq!(of(Some(theirs), true, &[without, with_hops]), Way::Into(theirs));
        assert_eq!(of(Some(theirs), false, &[without]), Way::Into(theirs), "at the start there is no other way");
        assert_eq!(of(None, true, &[with_hops]), Way::Session);
    }
}
