//! Stores that nobody who means well sends.
//!
//! spec: i2np §DatabaseStore

use super::{Context, require};
use crate::peer::{Identity, Outcome, Received, now};
use bytes::Bytes;
use ramson_protocol::dialing::Transport;
use ramson_protocol::gzip::gzip;
use ramson_protocol::i2np::header::LIFETIME;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::MessageId;
use ramson_protocol::wire::Writer;
use rand::Rng;
use std::time::Duration;

/// What the bomb unpacks to: a thousand times what it is on the wire.
const BOMB: usize = 50_000_000;

/// A DatabaseStore of a RouterInfo that is `packed`, under the hash of `who`.
fn store(cx: &mut Context, who: &Identity, packed: &[u8]) -> Outcome<Message> {
    let mut body = Vec::with_capacity(40 + packed.len());
    body.put(&who.hash.0);
    body.put_u8(0);
    body.put_u32(0);
    body.put_u16(u16::try_from(packed.len())?);
    body.put(packed);
    let (id, expiration) = (MessageId(cx.rng.next_u32()), now().wall.plus(LIFETIME));
    Ok(Message { kind: MessageType::DatabaseStore, id, expiration, body: Bytes::from(body) })
}

/// Sends `packed` and requires that the router goes on; whether it keeps the session is its own affair.
fn send(cx: &mut Context, who: &Identity, packed: &[u8]) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    let message = store(cx, who, packed)?;
    link.send(&[message])?;
    match link.receive(Duration::from_secs(1))? {
        Some(Received::Message(message)) => cx.saw(format!("an answer: {:?}", message.kind)),
        Some(Received::Termination(reason)) => {
            cx.saw(format!("termination {} {}", reason.0, reason.label(Transport::Ntcp2)))
        }
        Some(Received::Closed) => cx.saw("the connection closed"),
        None => cx.saw("no answer, the session stands"),
    }
    cx.still_serves()
}

/// A RouterInfo that unpacks to fifty megabytes.
pub(super) fn gzip_bomb(cx: &mut Context) -> Outcome<()> {
    let packed = gzip(&vec![0; BOMB]);
    require(packed.len() < 60_000, "the bomb does not fit a message")?;
    cx.saw(format!("a store of {} bytes that unpacks to {BOMB}", packed.len()));
    let who = cx.identity()?;
    // Under the hash of nobody, and several of them: memory must not pile up.
    for _ in 0..4 {
        send(cx, &who, &packed)?;
    }
    cx.expect("ramson_netdb_stores_total{outcome=\"malformed\"}");
    Ok(())
}

/// A RouterInfo whose signature does not hold.
pub(super) fn bad_signature(cx: &mut Context) -> Outcome<()> {
    let who = cx.identity()?;
    let mut info = who.info.to_vec();
    if let Some(last) = info.last_mut() {
        *last ^= 1;
    }
    send(cx, &who, &gzip(&info))?;
    cx.expect("ramson_netdb_stores_total{outcome=\"bad_signature\"}");
    Ok(())
}
