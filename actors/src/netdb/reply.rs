//! Sending what others asked us for: confirmations of stores and answers to lookups.
//!
//! spec: i2np §DatabaseStore (reply token), §DatabaseLookup (reply encryption); proposal 154

use crate::drops::ControlDrop;
use crate::shared::Shared;
use ramson_protocol::garlic::aes_tag;
use ramson_protocol::garlic::clove::{Clove, CloveDelivery};
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::i2np::database_lookup::ReplyEncryption;
use ramson_protocol::i2np::database_store::Reply;
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::tunnel::hop::into_tunnel;
use ramson_protocol::wire;
use ramson_transports::account::Account;
use rand_chacha::ChaCha20Rng;

/// Tells the one who stored something that we have it.
pub(super) fn confirm(shared: &Shared, account: Account, reply: &Reply, rng: &mut ChaCha20Rng) {
    let status = DeliveryStatus { id: MessageId(reply.token), time: shared.now().wall };
    let message = shared.message(MessageType::DeliveryStatus, status.to_body());
    deliver(shared, account, reply.gateway, reply.tunnel, message, rng);
}

/// Sends a message to a router, or into a tunnel that begins there, on somebody's account. False if it could not go.
pub(super) fn deliver(
    shared: &Shared,
    account: Account,
    to: RouterHash,
    tunnel: Option<TunnelId>,
    message: Message,
    rng: &mut ChaCha20Rng,
) -> bool {
    let message = match tunnel {
        None => message,
        Some(tunnel) => match into_tunnel(tunnel, &message, rng) {
            Ok(message) => message,
            Err(_) => return false,
        },
    };
    let sent = shared.send_for(account, to, message);
    if !sent {
        ControlDrop::DataPlaneFull.count();
    }
    sent
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
