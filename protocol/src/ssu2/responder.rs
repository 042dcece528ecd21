//! The responder's side of the handshake (Bob).
//!
//! ```text
//! TokenRequest, or SessionRequest without a good token -> Retry, nothing kept
//! SessionRequest -> SessionCreated, AwaitConfirmed | SessionConfirmed, all fragments -> Accepted | caller -> Established
//! ```
//! Whatever does not authenticate gets silence. No datagram from outside changes a state until it has authenticated.
//!
//! spec: ssu2 §Token Request, §Retry, §SessionRequest, §SessionCreated, §SessionConfirmed

use super::block::{self, Block, Blocks, RouterInfo};
use super::error::Cause;
use super::established::{Established, MAX_EARLY};
use super::header::{self, KEYED_LEN, Kind, LONG_LEN, Long, MaskKey, SHORT_LEN, Short, VERSION};
use super::initiator::{CONFIRMED_OVERHEAD, long, pad, push, timed_payload};
use super::keys::{self, DataKeys};
use super::local::{Ids, Local, OurEnd, ephemeral};
use super::message::{self, Opening, protect};
use super::verify::Verified;
use crate::gzip::gunzip;
use crate::link::padding::PaddingOptions;
use crate::link::reason::Reason;
use crate::link::replay::{ReplayCache, Seen};
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::netdb::rules::MAX_ROUTER_INFO;
use crate::noise::Symmetric;
use crate::time::{Mono, Now};
use crate::wire::Writer;
use bytes::Bytes;
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;
use std::net::SocketAddr;

/// The most fragments of a SessionConfirmed.
///
/// spec: ssu2 §Session Confirmed Fragmentation — "The protocol allows for 15 fragments max."
const MAX_FRAGMENTS: u8 = 15;
/// The most bytes in all of them. A RouterInfo has at most 3 KiB.
const MAX_CONFIRMED: usize = 8 * 1024;
/// The shortest SessionRequest.
pub const MIN_REQUEST: usize = KEYED_LEN + message::MIN_PAYLOAD + TAG_LEN;

/// The header of a datagram that asks for a session or a token, if it is one of our version and network.
///
/// # Errors
/// [`Cause::Version`], [`Cause::NetworkId`], [`Cause::SameIds`]: the answer is silence.
pub fn check(local: &Local, header: &Long) -> Result<(), Cause> {
    if header.version != VERSION {
        return Err(Cause::Version(header.version));
    }
    if header.net_id != local.net_id {
        return Err(Cause::NetworkId(header.net_id));
    }
    // spec: ssu2 §SessionRequest — "Bob must drop the message if the Source Connection ID equals the Destination".
    if header.source == header.destination { Err(Cause::SameIds) } else { Ok(()) }
}

/// A Retry to the sender of `to`: with a token, or with the reason why there is none. About as long as the shortest
/// TokenRequest, and at most twice.
pub fn retry(
    local: &Local,
    to: &Long,
    addr: SocketAddr,
    answer: Result<u64, Reason>,
    rng: &mut ChaCha20Rng,
    now: Now,
) -> Vec<u8> {
    let mut payload = timed_payload(now);
    push(&mut payload, &Block::Address(addr));
    if let Err(reason) = answer {
        push(&mut payload, &Block::Termination { packets: 0, reason, additional: &[] });
    }
    push(&mut payload, &Block::Padding(usize::from(rand::RngExt::random_range(rng, 0..=7u8))));
    let ids = Ids { local: to.destination, remote: to.source };
    message::seal(&long(Kind::RETRY, local.net_id, ids, answer.unwrap_or(0), rng), &payload, &local.intro)
}

/// A SessionRequest that authenticates, before anything is answered.
pub struct Request {
    noise: Symmetric,
    x: PublicKey,
    ids: Ids,
    opening: Opening,
    /// How far the sender's clock is ahead of ours, if it took no time to arrive.
    pub skew: ClockSkew,
}

impl Request {
    /// Opens an unprotected SessionRequest whose token is good. One Diffie-Hellman.
    ///
    /// # Errors
    /// Whatever is wrong with it: the answer is silence.
    pub fn open(local: &Local, replay: &mut ReplayCache, datagram: &mut [u8], now: Now) -> Result<Self, Cause> {
        let (head, sealed) = datagram.split_at_mut_checked(KEYED_LEN).ok_or(Cause::Short)?;
        let (head, x) = head.split_first_chunk::<LONG_LEN>().ok_or(Cause::Short)?;
        let header = Long::parse(head).map_err(|_| Cause::Short)?;
        let x = PublicKey(x.try_into().map_err(|_| Cause::Short)?);
        if replay.contains(&x.0) {
            return Err(Cause::Replay);
        }
        let mut noise = local.responder_start();
        noise.mix_hash(head);
        noise.mix_hash(&x.0);
        noise.mix_key(&local.static_key.dh(&x).map_err(|_| Cause::SmallOrder)?);
        let plain = noise.decrypt_and_hash(sealed).map_err(|_| Cause::RequestTag)?;
        let opening = Opening::parse(plain)?;
        match replay.insert(&x.0, now.mono) {
            Seen::New => {}
            Seen::Before => return Err(Cause::Replay),
        }
        let ids = Ids { local: header.destination, remote: header.source };
        let skew = opening.skew(now.wall, Mono::ZERO);
        Ok(Self { noise, x, ids, opening, skew })
    }

    /// Makes the SessionCreated, and awaits the SessionConfirmed.
    ///
    /// # Errors
    /// [`Cause::SmallOrder`].
    pub fn answer(
        mut self,
        local: &Local,
        from: SocketAddr,
        rng: &mut ChaCha20Rng,
        now: Now,
    ) -> Result<(AwaitConfirmed, Vec<u8>), Cause> {
        let header_key = keys::created_header(&self.noise);
        let ephemeral = ephemeral(rng);
        let y = ephemeral.public();
        let mut out = Vec::with_capacity(KEYED_LEN + 96);
        long(Kind::SESSION_CREATED, local.net_id, self.ids, 0, rng).write(&mut out);
        let noise = &mut self.noise;
        noise.mix_hash(&out);
        noise.mix_hash(&y.0);
        noise.mix_key(&ephemeral.dh(&self.x).map_err(|_| Cause::SmallOrder)?);
        out.put(&y.0);
        let mut payload = timed_payload(now);
        push(&mut payload, &Block::Address(from));
        push(&mut payload, &Block::Options(local.padding));
        pad(&mut payload, rng);
        out.put(&payload);
        noise.encrypt_and_hash_vec(&mut out, KEYED_LEN);
        let confirmed_key = keys::confirmed_header(noise);
        protect(&mut out, &local.intro, KEYED_LEN, &header_key);
        let Self { noise, x, ids, opening, skew } = self;
        let fragments = Fragments::default();
        let early = Vec::new();
        Ok((
            AwaitConfirmed {
                noise,
                ephemeral,
                header_key: confirmed_key,
                x,
                ids,
                opening,
                skew,
                from,
                fragments,
                early,
            },
            out,
        ))
    }
}

/// The parts of a SessionConfirmed that have come.
#[derive(Default)]
struct Fragments {
    total: u8,
    parts: SmallVec<[Bytes; 2]>,
    missing: u8,
    len: usize,
}

impl Fragments {
    /// Takes a part in; true if it was the last one missing.
    fn insert(&mut self, header: &Short, part: &[u8]) -> Result<bool, Cause> {
        let (number, total) = (header.flags[0] >> 4, header.flags[0] & 0xf);
        let first = self.total == 0;
        let fits = header.number == 0 && number < total && total <= MAX_FRAGMENTS && (first || total == self.total);
        if !fits || self.len + part.len() > MAX_CONFIRMED {
            return Err(Cause::Fragments);
        }
        if first {
            (self.total, self.missing) = (total, total);
            self.parts.resize(usize::from(total), Bytes::new());
        }
        let slot = self.parts.get_mut(usize::from(number)).ok_or(Cause::Fragments)?;
        if slot.is_empty() {
            *slot = Bytes::copy_from_slice(part);
            self.len += part.len();
            self.missing -= 1;
        }
        Ok(self.missing == 0)
    }
}

/// The SessionCreated is sent; the SessionConfirmed is awaited.
pub struct AwaitConfirmed {
    noise: Symmetric,
    ephemeral: SecretKey,
    header_key: MaskKey,
    x: PublicKey,
    ids: Ids,
    opening: Opening,
    skew: ClockSkew,
    from: SocketAddr,
    fragments: Fragments,
    early: Vec<Bytes>,
}

impl AwaitConfirmed {
    /// The connection ids.
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// The address that called.
    pub fn addr(&self) -> SocketAddr {
        self.from
    }

    /// True if an unprotected SessionRequest is the one that was answered.
    pub fn is_answer_to(&self, request: &[u8]) -> bool {
        request.get(LONG_LEN..KEYED_LEN).is_some_and(|x| x == self.x.0)
    }

    /// True if a datagram looks like a part of the SessionConfirmed.
    pub fn is_confirmed(&self, local: &Local, datagram: &[u8]) -> bool {
        header::peek(datagram, &local.intro, &self.header_key).is_some_and(|h| h.is_confirmed())
    }

    /// Keeps a datagram that is probably of the data phase. False if there are too many.
    pub fn keep(&mut self, datagram: &[u8]) -> bool {
        let room = self.early.len() < MAX_EARLY;
        if room {
            self.early.push(Bytes::copy_from_slice(datagram));
        }
        room
    }

    /// Reads a part of the SessionConfirmed, an answer to what was sent at `sent`. `None` while parts are missing.
    ///
    /// # Errors
    /// [`Cause::Fragments`] and [`Cause::ConfirmedTag`]: to be ignored, a forged part must not end the handshake.
    /// Whatever else is wrong ends it.
    pub fn handle(
        &mut self,
        local: &Local,
        datagram: &mut [u8],
        now: Now,
        sent: Mono,
    ) -> Result<Option<Box<Accepted>>, Cause> {
        header::mask(datagram, &local.intro, &self.header_key).ok_or(Cause::Short)?;
        let (head, part) = datagram.split_at_checked(SHORT_LEN).ok_or(Cause::Short)?;
        let head = Short::parse(head).map_err(|_| Cause::Short)?;
        if !self.fragments.insert(&head, part)? {
            return Ok(None);
        }
        let fragments = std::mem::take(&mut self.fragments);
        let mut whole = fragments.parts.concat();
        if whole.len() < CONFIRMED_OVERHEAD {
            return Err(Cause::Short);
        }
        let flags = [fragments.total, head.flags[1], head.flags[2]];
        let head = Short { flags, ..head }.to_bytes();
        let mut noise = self.noise.clone();
        noise.mix_hash(&head);
        let (part_1, part_2) = whole.split_at_mut_checked(48).ok_or(Cause::Short)?;
        let key = noise.decrypt_and_hash(part_1).map_err(|_| Cause::ConfirmedTag)?;
        let static_key = PublicKey((&*key).try_into().map_err(|_| Cause::ConfirmedTag)?);
        noise.mix_key(&self.ephemeral.dh(&static_key).map_err(|_| Cause::SmallOrder)?);
        let plain = noise.decrypt_and_hash(part_2).map_err(|_| Cause::ConfirmedTag)?;
        let blocks = ConfirmedBlocks::parse(plain)?;
        let rtt = now.mono.saturating_sub(sent);
        // The SessionRequest took about half of it.
        let half = i64::try_from((rtt / 2).as_millis()).unwrap_or(i64::MAX);
        let skew = ClockSkew(self.skew.0.saturating_add(half));
        let (recv, send) = DataKeys::split(&noise, Role::Responder);
        let (ids, from, opening) = (self.ids, self.from, self.opening);
        let early = std::mem::take(&mut self.early);
        Ok(Some(Box::new(Accepted { static_key, blocks, recv, send, ids, from, opening, skew, rtt, early })))
    }
}

/// What a SessionConfirmed says.
#[derive(Debug)]
struct ConfirmedBlocks {
    router_info: Bytes,
    flood: bool,
    padding: Option<PaddingOptions>,
    relay_tag_requested: bool,
    new_token: Option<(u64, u32)>,
}

impl ConfirmedBlocks {
    /// The RouterInfo first; what else is allowed there and concerns the handshake.
    fn parse(plain: &[u8]) -> Result<Self, Cause> {
        let mut blocks = Blocks::new(plain);
        let Some(Ok(Block::RouterInfo(info))) = blocks.next() else { return Err(Cause::ConfirmedBlocks) };
        if info.fragment != RouterInfo::WHOLE {
            return Err(Cause::ConfirmedBlocks);
        }
        let router_info = match info.gzip {
            true => gunzip(info.bytes, MAX_ROUTER_INFO).map(Bytes::from).map_err(|_| Cause::InfoMalformed)?,
            false => Bytes::copy_from_slice(info.bytes),
        };
        let mut found =
            Self { router_info, flood: info.flood, padding: None, relay_tag_requested: false, new_token: None };
        for block in blocks {
            match block.map_err(|_| Cause::ConfirmedBlocks)? {
                Block::Options(options) => found.padding = Some(options),
                Block::RelayTagRequest => found.relay_tag_requested = true,
                Block::NewToken { expires, token } => found.new_token = Some((token, expires)),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The initiator proved that it holds `static_key` and says that it is the router of the RouterInfo, which is to be
/// verified ([`super::verify`]): then take the session or refuse it.
pub struct Accepted {
    /// The initiator's static key.
    pub static_key: PublicKey,
    blocks: ConfirmedBlocks,
    recv: DataKeys,
    send: DataKeys,
    ids: Ids,
    from: SocketAddr,
    opening: Opening,
    /// How far its clock is ahead of ours.
    pub skew: ClockSkew,
    rtt: Mono,
    early: Vec<Bytes>,
}

impl Accepted {
    /// The initiator's RouterInfo, uncompressed, not verified.
    pub fn router_info(&self) -> Bytes {
        self.blocks.router_info.clone()
    }

    /// The session, the RouterInfo being verified.
    pub fn take(self, local: &Local, peer: &Verified) -> Box<Established> {
        let blocks = self.blocks;
        Box::new(Established {
            role: Role::Responder,
            peer: peer.info.hash(),
            addr: self.from,
            local: OurEnd::default(),
            local_id: self.ids.local,
            remote_id: self.ids.remote,
            local_intro: local.intro.clone(),
            remote_intro: peer.intro.clone(),
            recv: self.recv,
            send: self.send,
            mtu: local.mtu_to(self.from, peer.mtu),
            next_number: 0,
            received: Some(0),
            confirmed: SmallVec::new(),
            skew: self.skew,
            rtt: self.rtt,
            router_info: Some(peer.info.clone()),
            flood: blocks.flood,
            peer_padding: blocks.padding.or(self.opening.padding),
            our_addr: None,
            relay_tag: None,
            relay_tag_requested: blocks.relay_tag_requested || self.opening.relay_tag_requested,
            new_token: blocks.new_token,
            early: self.early,
        })
    }

    /// A Data packet that says why we end the session. `intro` is the introduction key of the RouterInfo, if it could
    /// be read.
    pub fn refuse(self, intro: &MaskKey, reason: Reason) -> Option<Vec<u8>> {
        let flags = [0; 3];
        let head = Short { destination: self.ids.remote, number: 0, kind: Kind::DATA, flags }.to_bytes();
        let mut out = head.to_vec();
        push(&mut out, &Block::Ack(block::Ack { through: 0, acks: 0, pairs: &[] }));
        push(&mut out, &Block::Termination { packets: 1, reason, additional: &[] });
        AeadKey::new(&self.send.k_data).seal_vec(0, &head, &mut out, SHORT_LEN);
        header::mask(&mut out, intro, &self.send.k_header_2)?;
        Some(out)
    }
}
