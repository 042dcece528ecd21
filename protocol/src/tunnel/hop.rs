//! Answering a build message as one of its hops, in steps between which the owner decides:
//!
//! ```text
//! find     which record is ours                     cheap: drop floods and replays (by ephemeral key) after it
//! open     Diffie-Hellman, keys, rules              50 us: belongs in a worker
//!          -> Opened { request }                    admission decides
//! answer   our reply, the other records covered     a few us
//!          -> Answered { to, message, hop }         what to send, and the hop to install
//! ```
//!
//! A message that breaks a rule is dropped without an answer: nobody who means well sends it. A request that we do not
//! want is answered, and passed on, with a refusal.
//!
//! spec: tunnel-creation-ecies; tunnel-creation §Hop Processing and Encryption, §Tunnel Build Message Endpoint Handling

use super::Role;
use super::record::keys::{HopKeys, RecordError, RecordKeys, open_request};
use super::record::{ACCEPT, Form, PREFIX_LEN, REFUSE, Reply, Request};
use crate::garlic::clove::{Clove, CloveDelivery};
use crate::garlic::noise_n::{KEY_LEN, StaticKey, plausible_key};
use crate::i2np::tunnel_gateway::TunnelGateway;
use crate::i2np::{Message, MessageType};
use crate::id::{MessageId, RouterHash, TunnelId};
use crate::time::Wall;
use crate::wire;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// A request may be this old, as Java has it. Its time is rounded down to the minute.
pub const AGE_MAX: Duration = Duration::from_secs(8 * 60);
/// A request may be this far ahead of our clock.
pub const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// The lifetime of the messages we send on: what a next hop may take to be reached.
pub const FORWARD_LIFETIME: Duration = Duration::from_secs(25);

/// Why a build message is dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Not of a type that we answer.
    #[error("not a build message")]
    NotABuild,
    /// Number or length of the records is wrong.
    #[error("malformed build message: {0}")]
    Malformed(wire::Error),
    /// No record is ours.
    #[error("no record for us")]
    NoRecord,
    /// Our record cannot be opened, or what is in it is malformed.
    #[error("bad record: {0}")]
    BadRecord(RecordError),
    /// Made more than eight minutes ago.
    #[error("request too old")]
    TooOld,
    /// Made more than five minutes ahead of our clock.
    #[error("request from the future")]
    TooFarAhead,
    /// We would be our own next hop.
    #[error("next hop is ourselves")]
    NextIsUs,
    /// The next hop is the previous one: a participant between the same router helps nobody.
    #[error("next hop is the previous hop")]
    NextIsPrevious,
}

/// Our record, found but not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The form of the message.
    pub form: Form,
    /// The number of the record.
    pub index: u8,
    /// The creator's key: for the filter of replays, see [`super::replay`].
    pub ephemeral: [u8; 32],
}

/// Finds the record that begins with our hash.
///
/// # Errors
/// If there is none, or it cannot be one that was sealed for us.
pub fn find(kind: MessageType, body: &[u8], us: &RouterHash) -> Result<Found, Unanswered> {
    let form = Form::of_build(kind).ok_or(Unanswered::NotABuild)?;
    for (index, record) in (0..).zip(form.records(body).map_err(Unanswered::Malformed)?) {
        let Some(rest) = record.strip_prefix(&us.0[..PREFIX_LEN]) else { continue };
        let ephemeral = rest.first_chunk::<KEY_LEN>().copied().unwrap_or([0xff; 32]);
        // A prefix of 16 bytes does not match by chance, but a record for another kind of key may carry it.
        if plausible_key(&ephemeral) {
            return Ok(Found { form, index, ephemeral });
        }
    }
    Err(Unanswered::NoRecord)
}

/// The receipt of a build message: by whom, from whom and when. [`open`] checks the request against it.
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    /// Our static key.
    pub ours: &'a StaticKey,
    /// Our hash.
    pub us: &'a RouterHash,
    /// Who sent us the message; `None` if it came through a tunnel.
    pub from: Option<RouterHash>,
    /// The time.
    pub now: Wall,
}

/// Opens our record and checks what is asked of us.
///
/// # Errors
/// See [`Unanswered`].
pub fn open(found: Found, mut body: Vec<u8>, cx: &Receipt<'_>) -> Result<Opened, Unanswered> {
    let Found { form, index, .. } = found;
    let mut records = form.records_mut(&mut body).map_err(Unanswered::Malformed)?;
    let record = records.nth(index.into()).ok_or(Unanswered::NoRecord)?;
    let (request, keys) = open_request(form, cx.ours, record).map_err(Unanswered::BadRecord)?;
    check(&request, cx)?;
    let next_is_us = request.next == *cx.us;
    Ok(Opened { request, found, from: cx.from, next_is_us, keys, body })
}

fn check(request: &Request, cx: &Receipt<'_>) -> Result<(), Unanswered> {
    if cx.now.since(request.made()) > AGE_MAX {
        return Err(Unanswered::TooOld);
    }
    if request.made().since(cx.now) > AHEAD_MAX {
        return Err(Unanswered::TooFarAhead);
    }
    // An outbound endpoint may well be the gateway of the tunnel that its reply goes through.
    if request.role != Role::OutboundEndpoint && request.next == *cx.us {
        return Err(Unanswered::NextIsUs);
    }
    // The neighbours of gateways and endpoints lie in other tunnels, and may be the same by chance.
    if request.role == Role::Participant && cx.from == Some(request.next) {
        return Err(Unanswered::NextIsPrevious);
    }
    Ok(())
}

/// A request that may be answered.
#[derive(Debug)]
pub struct Opened {
    /// What is asked.
    pub request: Request,
    /// Where our record was.
    pub found: Found,
    /// Who sent us the message.
    pub from: Option<RouterHash>,
    next_is_us: bool,
    keys: RecordKeys,
    body: Vec<u8>,
}

/// What admission decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// We take part, and mean to give this many KB/s (said only if the creator asked).
    Accept {
        /// KB/s of cells.
        bandwidth: Option<u32>,
    },
    /// We do not. The creator is not told why.
    Refuse,
}

/// The outcome.
#[derive(Debug)]
pub struct Answered {
    /// Whom to send to; ourselves if we are the gateway of the reply tunnel.
    pub to: RouterHash,
    /// What to send: a build message, or a TunnelGateway message around the reply.
    pub message: Message,
    /// The hop to install if we accepted.
    pub hop: Option<TransitHop>,
}

/// A hop of somebody's tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitHop {
    /// What we are in the tunnel.
    pub role: Role,
    /// The number under which we receive.
    pub receive: TunnelId,
    /// The previous hop; `None` at an inbound gateway, where anyone may send.
    pub previous: Option<RouterHash>,
    /// The next hop and its number; `None` at an outbound endpoint, which delivers anywhere.
    pub next: Option<(RouterHash, TunnelId)>,
    /// The keys.
    pub keys: HopKeys,
    /// The most that may enter, in KB/s of cells: said to inbound gateways only.
    pub limit: Option<u32>,
    /// What we promised, in KB/s of cells.
    pub promised: Option<u32>,
}

impl Opened {
    /// Puts our reply in place of the request, covers the other records, and addresses the result.
    ///
    /// # Errors
    /// Never with a message that [`open`] returned, unless the options do not fit.
    pub fn answer(self, answer: Answer, now: Wall, rng: &mut ChaCha20Rng) -> Result<Answered, wire::Error> {
        let Self { request, found: Found { form, index, .. }, from, next_is_us, keys, mut body } = self;
        let reply = match answer {
            // spec: proposal 168 §Build Reply Option — said if "m" or "r" was.
            Answer::Accept { bandwidth } => {
                Reply { code: ACCEPT, bandwidth: bandwidth.filter(|_| request.bandwidth.wants_answer()) }
            }
            Answer::Refuse => Reply { code: REFUSE, bandwidth: None },
        };
        for (at, record) in (0..).zip(form.records_mut(&mut body)?) {
            if at == index {
                keys.seal_reply(index, &reply, record, rng)?;
            } else {
                keys.cover(at, record);
            }
        }
        let expiration = now.plus(FORWARD_LIFETIME);
        let mut message = Message { kind: form.build_type(), id: request.next_message, expiration, body: body.into() };
        if request.role == Role::OutboundEndpoint {
            message.kind = form.reply_type();
            // The garlic hides the reply from the gateway of its tunnel. If that is us, the creators (i2pd, Java I2P) prepare
            // for no garlic, and do not find the tag.
            if let Some(key) = keys.garlic.clone().filter(|_| !next_is_us) {
                message = garlic_reply(key, &message, rng)?;
            }
            message = into_tunnel(request.next_tunnel, &message, rng)?;
        }
        let hop = (reply.code == ACCEPT).then(|| TransitHop {
            role: request.role,
            receive: request.receive,
            previous: from.filter(|_| request.role != Role::InboundGateway),
            next: (request.role != Role::OutboundEndpoint).then_some((request.next, request.next_tunnel)),
            keys: keys.hop.clone(),
            limit: request.bandwidth.limit,
            promised: reply.bandwidth,
        });
        Ok(Answered { to: request.next, message, hop })
    }
}

/// spec: tunnel-creation-ecies §Garlic Encryption — so that the gateway of the reply tunnel does not see the reply.
fn garlic_reply(
    key: crate::garlic::one_time::OneTimeKey,
    reply: &Message,
    rng: &mut ChaCha20Rng,
) -> Result<Message, wire::Error> {
    let clove = Clove { delivery: CloveDelivery::Local, header: reply.header(), body: &reply.body };
    let mut payload = Vec::with_capacity(reply.body.len() + 16);
    clove.write(&mut payload)?;
    let body = key.seal(&payload).into();
    Ok(Message { kind: MessageType::Garlic, id: MessageId(rng.next_u32()), expiration: reply.expiration, body })
}

/// A TunnelGateway message: `message` into the tunnel that has this number at its gateway.
///
/// # Errors
/// If the message is too large.
///
/// spec: i2np §TunnelGateway
pub fn into_tunnel(tunnel: TunnelId, message: &Message, rng: &mut ChaCha20Rng) -> Result<Message, wire::Error> {
    let body = TunnelGateway::wrap(tunnel, message)?;
    let kind = MessageType::TunnelGateway;
    Ok(Message { kind, id: MessageId(rng.next_u32()), expiration: message.expiration, body })
}
