//! Building a tunnel: the creator's side.
//!
//! ```text
//! start    seals a record per hop, in random order, with made-up ones between, and takes off each record what the
//!          hops before its own will put on    -> Build, and the message for the first hop
//! finish   takes off what the hops put on, opens each hop's reply    -> a verdict per hop, and a Tunnel if all accept
//! ```
//!
//! An outbound tunnel's message goes to its first hop directly; the reply comes through an inbound tunnel, in garlic
//! under [`Build::reply_key`] (short form) or plainly, with the message id [`Build::reply_id`]. An inbound tunnel's
//! message goes through an outbound tunnel to the gateway, in garlic for it if wished, and comes back as a build
//! message with that id. The build times out when the owner says so: it then drops the `Build`.
//!
//! spec: tunnel-creation-ecies §Message Flow, §Build Records; tunnel-creation §Tunnel Build Message Preparation

use super::record::keys::{HopKeys, RecordError, RecordKeys, seal_request};
use super::record::{ACCEPT, Bandwidth, Form, LIFETIME, LongKeys, PREFIX_LEN, RECORDS_MAX, Request};
use super::{Direction, Role};
use crate::garlic::clove::{Clove, CloveDelivery, write_date_time};
use crate::garlic::noise_n;
use crate::garlic::one_time::OneTimeKey;
use crate::i2np::{Message, MessageType};
use crate::id::{MessageId, RouterHash, TunnelId};
use crate::time::{Mono, Now};
use crate::wire;
use ramson_crypto::hash::sha256;
use ramson_crypto::tunnel::LayerCipher;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

/// Records in a message unless more are needed; then it is [`RECORDS_MAX`], so that lengths say little.
const RECORDS_USUAL: usize = 4;

/// A router that is to be a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopSpec {
    /// Its hash.
    pub hash: RouterHash,
    /// Its static encryption key.
    pub key: PublicKey,
}

/// Which way the tunnel leads, and how we hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Towards us: its last hop sends us cells, and now the answer, under this number.
    Inbound {
        /// The number under which we receive its cells.
        receive: TunnelId,
        /// Wrap the message in garlic for the gateway, since it passes through an outbound tunnel. Short form only.
        wrap: bool,
    },
    /// Away from us: its last hop sends the answer into this inbound tunnel.
    Outbound {
        /// That tunnel's gateway; ourselves if it has no hops.
        reply_gateway: RouterHash,
        /// Its number there.
        reply_tunnel: TunnelId,
    },
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// Our hash.
    pub us: RouterHash,
    /// The form that all hops understand.
    pub form: Form,
    /// The hops in the order in which cells will travel.
    pub hops: &'a [HopSpec],
    /// Whether the tunnel leads in or out, and what is needed for that.
    pub path: Path,
    /// What we say about traffic.
    pub bandwidth: Bandwidth,
}

/// Why a build could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The plan has no hop.
    #[error("a tunnel without hops is not built")]
    NoHops,
    /// More records than a message holds; an inbound tunnel needs one for ourselves.
    #[error("too many hops")]
    TooManyHops,
    /// A hop's key is bad, or the options do not fit.
    #[error("hop {hop}: {error}")]
    Hop {
        /// Its number, from 0.
        hop: usize,
        /// What is wrong.
        error: RecordError,
    },
}

/// A build under way.
#[derive(Debug)]
pub struct Build {
    form: Form,
    path: Path,
    hops: Vec<PendingHop>,
    own: Option<OwnRecord>,
    started: Mono,
}

#[derive(Debug)]
struct PendingHop {
    hash: RouterHash,
    receive: TunnelId,
    next_message: MessageId,
    index: u8,
    keys: RecordKeys,
}

/// The made-up record with our own hash in an inbound build: without it the last hop would know that it is the last.
#[derive(Debug)]
struct OwnRecord {
    index: u8,
    sum: [u8; 32],
}

/// What comes out of [`start`].
#[derive(Debug)]
pub struct Started {
    /// To be kept until the answer comes.
    pub build: Build,
    /// The first hop.
    pub to: RouterHash,
    /// The message for it.
    pub message: Message,
}

/// Seals everything. Two scalar multiplications per hop: belongs in a worker.
///
/// # Errors
/// See [`BuildError`].
pub fn start(config: &Config<'_>, now: Now, rng: &mut ChaCha20Rng) -> Result<Started, BuildError> {
    let inbound = matches!(config.path, Path::Inbound { .. });
    let first = config.hops.first().ok_or(BuildError::NoHops)?;
    let needed = config.hops.len() + usize::from(inbound);
    let count = match needed {
        0..=RECORDS_USUAL => RECORDS_USUAL,
        5..=RECORDS_MAX => RECORDS_MAX,
        _ => return Err(BuildError::TooManyHops),
    };
    let mut body = vec![0; 1 + count * config.form.record_len()];
    rng.fill_bytes(&mut body);
    body[0] = count as u8;
    let mut order: [u8; RECORDS_MAX] = std::array::from_fn(|i| i as u8);
    order[..count].shuffle(rng);

    let len = config.form.record_len();
    let at = |index: u8| 1 + usize::from(index) * len..1 + (usize::from(index) + 1) * len;
    let requests = requests(config, now, rng);
    let mut hops = Vec::with_capacity(requests.len());
    for (hop, ((spec, request), index)) in config.hops.iter().zip(&requests).zip(order).enumerate() {
        let keys = seal_request(request, &spec.hash, &spec.key, &mut body[at(index)], rng)
            .map_err(|error| BuildError::Hop { hop, error })?;
        let (receive, next_message) = (request.receive, request.next_message);
        hops.push(PendingHop { hash: spec.hash, receive, next_message, index, keys });
    }
    let own = inbound.then(|| {
        let index = order[config.hops.len()];
        let record = &mut body[at(index)];
        own_record(&config.us, record, rng);
        OwnRecord { index, sum: sha256(&[record]) }
    });
    // What hops 1..k will put on record k comes off now, the last of them first.
    for (k, index) in (0..hops.len()).map(|k| (k, hops[k].index)).chain(own.iter().map(|o| (hops.len(), o.index))) {
        for before in hops[..k].iter().rev() {
            before.keys.uncover(index, &mut body[at(index)]);
        }
    }
    let expiration = now.wall.plus(super::hop::FORWARD_LIFETIME);
    let mut message =
        Message { kind: config.form.build_type(), id: MessageId(rng.next_u32()), expiration, body: body.into() };
    if let (Path::Inbound { wrap: true, .. }, Form::Short) = (config.path, config.form) {
        message = wrap(&message, &first.key, now, rng).map_err(|error| BuildError::Hop { hop: 0, error })?;
    }
    let build = Build { form: config.form, path: config.path, hops, own, started: now.mono };
    Ok(Started { build, to: first.hash, message })
}

fn requests(config: &Config<'_>, now: Now, rng: &mut ChaCha20Rng) -> Vec<Request> {
    let count = config.hops.len();
    let receive: Vec<TunnelId> = (0..count).map(|_| TunnelId(rng.next_u32().max(1))).collect();
    let request = |k: usize| {
        let (role, end) = match config.path {
            Path::Inbound { receive, .. } => {
                (if k == 0 { Role::InboundGateway } else { Role::Participant }, (config.us, receive))
            }
            Path::Outbound { reply_gateway, reply_tunnel } => {
                let last = k + 1 == count;
                (if last { Role::OutboundEndpoint } else { Role::Participant }, (reply_gateway, reply_tunnel))
            }
        };
        let next = config.hops.get(k + 1).zip(receive.get(k + 1)).map_or(end, |(hop, id)| (hop.hash, *id));
        let mut bandwidth = config.bandwidth;
        // spec: proposal 168 — the limit is for the inbound gateway only.
        bandwidth.limit = bandwidth.limit.filter(|_| role == Role::InboundGateway);
        Request {
            receive: receive[k],
            next: next.0,
            next_tunnel: next.1,
            role,
            minutes: now.wall.secs() / 60,
            lifetime: LIFETIME.as_secs() as u32,
            next_message: MessageId(rng.next_u32()),
            bandwidth,
            long: (config.form == Form::Long).then(|| LongKeys::random(rng)),
        }
    };
    (0..count).map(request).collect()
}

/// spec: tunnel-creation-ecies §Build Records — the correct prefix and a real X25519 key, the rest random.
fn own_record(us: &RouterHash, record: &mut [u8], rng: &mut ChaCha20Rng) {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    record[..PREFIX_LEN].copy_from_slice(&us.0[..PREFIX_LEN]);
    record[PREFIX_LEN..PREFIX_LEN + 32].copy_from_slice(&SecretKey::from_bytes(secret).public().0);
}

/// spec: tunnel-creation-ecies §Garlic Encryption; ecies-routers §Payload — a DateTime comes first.
fn wrap(message: &Message, to: &PublicKey, now: Now, rng: &mut ChaCha20Rng) -> Result<Message, RecordError> {
    let mut payload = Vec::with_capacity(message.body.len() + 32);
    write_date_time(now.wall, &mut payload);
    let clove = Clove { delivery: CloveDelivery::Local, header: message.header(), body: &message.body };
    clove.write(&mut payload)?;
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let body = noise_n::garlic(to, &SecretKey::from_bytes(secret), &payload)?;
    let (kind, id) = (MessageType::Garlic, MessageId(rng.next_u32()));
    Ok(Message { kind, id, expiration: message.expiration, body: body.into() })
}

/// What one hop answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes part.
    Accepted {
        /// What it means to give, in KB/s of cells, if it said so.
        bandwidth: Option<u32>,
    },
    /// It does not, with this code.
    Refused(u8),
    /// Its record is not what it sealed: somebody on the way changed it, or a hop before it did not do its part.
    Unreadable,
}

/// Verdicts, and the tunnel if there is one.
#[derive(Debug)]
pub struct Outcome {
    /// Per hop, in the order of the tunnel.
    pub verdicts: Vec<(RouterHash, Verdict)>,
    /// If every hop takes part.
    pub tunnel: Option<Tunnel>,
}

/// A built tunnel.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Which way it leads.
    pub direction: Direction,
    /// Its hops in the order in which cells travel.
    pub hops: Vec<TunnelHop>,
    /// Our own number: of an inbound tunnel, the one under which its last hop sends to us.
    pub receive: Option<TunnelId>,
    /// When its build was started; it lives for [`LIFETIME`] from then on.
    pub started: Mono,
}

/// One hop of our tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelHop {
    /// The router.
    pub hash: RouterHash,
    /// The number under which it receives.
    pub receive: TunnelId,
    /// The keys we gave it.
    pub keys: HopKeys,
    /// What it means to give, in KB/s of cells, if it said so.
    pub bandwidth: Option<u32>,
}

impl Build {
    /// The id of the message that brings the answer.
    pub fn reply_id(&self) -> MessageId {
        self.hops.last().map(|hop| hop.next_message).unwrap_or_default()
    }

    /// The key under which the answer comes in garlic: outbound builds of the short form.
    pub fn reply_key(&self) -> Option<OneTimeKey> {
        self.hops.last().and_then(|hop| hop.keys.garlic.clone())
    }

    /// When it was started.
    pub fn started(&self) -> Mono {
        self.started
    }

    /// The hops, in order.
    pub fn hops(&self) -> impl Iterator<Item = RouterHash> + '_ {
        self.hops.iter().map(|hop| hop.hash)
    }

    /// The hops' keys, expanded, in the order of the tunnel: the endpoint of an inbound tunnel must stand before the
    /// answer comes, since cells may come right behind it.
    pub fn ciphers(&self) -> Vec<LayerCipher> {
        self.hops.iter().map(|hop| hop.keys.hop.cipher()).collect()
    }

    /// True if a message of this type may be the answer.
    pub fn is_answer(&self, kind: MessageType) -> bool {
        let want = match self.path {
            Path::Inbound { .. } => self.form.build_type(),
            Path::Outbound { .. } => self.form.reply_type(),
        };
        kind == want
    }

    /// Reads the answer: the body of a message of the right type and id.
    ///
    /// # Errors
    /// If it does not have the shape of this build's message.
    pub fn finish(self, mut body: Vec<u8>) -> wire::Result<Outcome> {
        let mut records: Vec<&mut [u8]> = self.form.records_mut(&mut body)?.collect();
        let mut changed = false;
        if let Some(own) = &self.own {
            let record = records.get(usize::from(own.index)).ok_or(wire::Error::Invalid("build answer"))?;
            // spec: tunnel-creation-ecies §Build Records — changed contents mean a tag; the tunnel is discarded.
            changed = sha256(&[record]) != own.sum;
        }
        let mut verdicts = Vec::with_capacity(self.hops.len());
        let mut hops = Vec::with_capacity(self.hops.len());
        for (k, hop) in self.hops.iter().enumerate() {
            let record = records.get_mut(usize::from(hop.index)).ok_or(wire::Error::Invalid("build answer"))?;
            for after in self.hops[k + 1..].iter().rev() {
                after.keys.uncover(hop.index, record);
            }
            let verdict = match hop.keys.open_reply(hop.index, record) {
                Some(reply) if reply.code == ACCEPT => {
                    let (hash, receive, keys) = (hop.hash, hop.receive, hop.keys.hop.clone());
                    hops.push(TunnelHop { hash, receive, keys, bandwidth: reply.bandwidth });
                    Verdict::Accepted { bandwidth: reply.bandwidth }
                }
                Some(reply) => Verdict::Refused(reply.code),
                None => Verdict::Unreadable,
            };
            verdicts.push((hop.hash, verdict));
        }
        if changed {
            // The last hop is the only one that could have changed our record unseen by those after it.
            if let Some((_, verdict)) = verdicts.last_mut() {
                *verdict = Verdict::Unreadable;
            }
        }
        let (direction, receive) = match self.path {
            Path::Inbound { receive, .. } => (Direction::Inbound, Some(receive)),
            Path::Outbound { .. } => (Direction::Outbound, None),
        };
        let complete = !changed && hops.len() == self.hops.len();
        let tunnel = complete.then_some(Tunnel { direction, hops, receive, started: self.started });
        Ok(Outcome { verdicts, tunnel })
    }
}

impl Tunnel {
    /// The first hop and its number: where cells or, for an inbound tunnel, messages enter.
    pub fn gateway(&self) -> Option<(RouterHash, TunnelId)> {
        self.hops.first().map(|hop| (hop.hash, hop.receive))
    }

    /// The last hop.
    pub fn endpoint(&self) -> Option<RouterHash> {
        self.hops.last().map(|hop| hop.hash)
    }

    /// When it ends.
    pub fn expires(&self) -> Mono {
        self.started + LIFETIME
    }

    /// The hops' keys, expanded, in the order of the tunnel. What we do to a cell is undo the last hop first.
    pub fn ciphers(&self) -> Vec<LayerCipher> {
        self.hops.iter().map(|hop| hop.keys.cipher()).collect()
    }

    /// The least that any hop means to give, in KB/s of cells, of those that said something.
    pub fn bandwidth(&self) -> Option<u32> {
        self.hops.iter().filter_map(|hop| hop.bandwidth).min()
    }
}
