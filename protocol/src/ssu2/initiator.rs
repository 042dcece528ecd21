//! The initiator's side of the handshake (Alice).
//!
//! ```text
//! token_request -> AwaitRetry | Retry -> token
//! AwaitCreated::start -> SessionRequest | SessionCreated -> SessionConfirmed, Established
//! ```
//! No datagram from outside changes a state until it has authenticated, so a forged one cannot spoil a handshake. What
//! is sent again is sent unchanged.
//!
//! spec: ssu2 §Token Request, §Retry, §SessionRequest, §SessionCreated, §SessionConfirmed

use super::block::{Block, RouterInfo};
use super::error::Cause;
use super::established::Established;
use super::header::{self, KEYED_LEN, Kind, LONG_LEN, Long, MaskKey, SHORT_LEN, Short, VERSION};
use super::keys::{self, DataKeys};
use super::local::{Ids, Local, OurEnd, Remote, ephemeral, max_datagram};
use super::message::{self, Opening, protect};
use crate::gzip::gzip;
use crate::link::block::HEADER_LEN;
use crate::link::reason::Reason;
use crate::link::role::Role;
use crate::link::skew::{ClockSkew, nearest_second};
use crate::noise::Symmetric;
use crate::time::{Mono, Now};
use crate::wire::Writer;
use bytes::Bytes;
use ramson_crypto::aead::TAG_LEN;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;

/// The most data in a padding block of ours in the handshake.
const MAX_PADDING: usize = 31;
/// Bytes of a SessionConfirmed that are no blocks: a sealed static key and the tag of the payload.
pub(super) const CONFIRMED_OVERHEAD: usize = 48 + TAG_LEN;
/// The shortest datagram of a fragment without its header: the nonces of the header protection.
const MIN_FRAGMENT: usize = 24;

/// A long header of ours.
pub(super) fn long(kind: Kind, net_id: u8, ids: Ids, token: u64, rng: &mut ChaCha20Rng) -> Long {
    let (destination, source) = (ids.remote, ids.local);
    Long { destination, number: rng.next_u32(), kind, version: VERSION, net_id, flag: 0, source, token }
}

/// A payload that begins with the time.
pub(super) fn timed_payload(now: Now) -> Vec<u8> {
    let mut payload = Vec::with_capacity(128);
    push(&mut payload, &Block::DateTime { seconds: nearest_second(now.wall) });
    payload
}

/// Appends a small block.
pub(super) fn push(payload: &mut Vec<u8>, block: &Block<'_>) {
    let written = block.write(payload);
    debug_assert!(written.is_ok(), "a block of the handshake is small");
}

/// Appends a padding block of random length.
pub(super) fn pad(payload: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    push(payload, &Block::Padding(rng.random_range(0..=MAX_PADDING)));
}

/// A TokenRequest.
pub fn token_request(local: &Local, remote: &Remote, ids: Ids, rng: &mut ChaCha20Rng, now: Now) -> Vec<u8> {
    let mut payload = timed_payload(now);
    pad(&mut payload, rng);
    message::seal(&long(Kind::TOKEN_REQUEST, local.net_id, ids, 0, rng), &payload, &remote.intro)
}

/// What a Retry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Go on with this token, at once.
    Token(u64),
    /// The peer does not want to, at the moment.
    Refused(Reason),
}

/// A Retry, with what it tells by the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySays {
    /// The answer.
    pub retry: Retry,
    /// How far the peer's clock is ahead of ours, less `travelled`.
    pub skew: ClockSkew,
}

/// True if a datagram looks like a Retry to us, from a peer of this introduction key.
pub fn is_retry(local: &Local, datagram: &[u8], remote: &MaskKey, ids: Ids) -> bool {
    header::peek(datagram, remote, remote)
        .is_some_and(|h| h.is_long(Kind::RETRY, local.net_id) && h.destination == ids.local)
}

/// Reads a Retry to a message of ours that was sent `travelled` and as long again ago.
///
/// # Errors
/// [`Cause::RetryTag`], or what is wrong with its header or its blocks: to be ignored.
pub fn read_retry(
    local: &Local,
    remote: &Remote,
    ids: Ids,
    datagram: &mut [u8],
    now: Now,
    travelled: Mono,
) -> Result<RetrySays, Cause> {
    let (header, plain) = message::open(datagram, &remote.intro, Cause::RetryTag)?;
    check_long(&header, Kind::RETRY, local.net_id, ids)?;
    let opening = Opening::parse(plain)?;
    let retry = match (header.token, opening.termination) {
        (token, None) if token != 0 => Retry::Token(token),
        (_, reason) => Retry::Refused(reason.unwrap_or(Reason::NORMAL)),
    };
    Ok(RetrySays { retry, skew: opening.skew(now.wall, travelled) })
}

/// The header is of this kind, of our protocol and network, and between these two.
fn check_long(header: &Long, kind: Kind, net_id: u8, ids: Ids) -> Result<(), Cause> {
    if header.version != VERSION {
        return Err(Cause::Version(header.version));
    }
    if header.net_id != net_id {
        return Err(Cause::NetworkId(header.net_id));
    }
    let matches = header.kind == kind && header.destination == ids.local && header.source == ids.remote;
    if matches { Ok(()) } else { Err(Cause::Unknown) }
}

/// The SessionRequest is sent; the SessionCreated is awaited.
pub struct AwaitCreated {
    noise: Symmetric,
    ephemeral: SecretKey,
    header_key: MaskKey,
    ids: Ids,
}

impl AwaitCreated {
    /// Makes the SessionRequest, and awaits the answer.
    ///
    /// # Errors
    /// [`Cause::SmallOrder`] if the peer's static key is none.
    pub fn start(
        local: &Local,
        remote: &Remote,
        ids: Ids,
        token: u64,
        ask_for_tag: bool,
        rng: &mut ChaCha20Rng,
        now: Now,
    ) -> Result<(Self, Vec<u8>), Cause> {
        let ephemeral = ephemeral(rng);
        let x = ephemeral.public();
        let mut out = Vec::with_capacity(KEYED_LEN + 64);
        long(Kind::SESSION_REQUEST, local.net_id, ids, token, rng).write(&mut out);
        let mut noise = local.initiator_start(&remote.static_key);
        noise.mix_hash(&out);
        noise.mix_hash(&x.0);
        noise.mix_key(&ephemeral.dh(&remote.static_key).map_err(|_| Cause::SmallOrder)?);
        out.put(&x.0);
        let mut payload = timed_payload(now);
        if ask_for_tag {
            push(&mut payload, &Block::RelayTagRequest);
        }
        pad(&mut payload, rng);
        out.put(&payload);
        noise.encrypt_and_hash_vec(&mut out, KEYED_LEN);
        let header_key = keys::created_header(&noise);
        protect(&mut out, &remote.intro, KEYED_LEN, &remote.intro);
        Ok((Self { noise, ephemeral, header_key, ids }, out))
    }

    /// True if a datagram looks like the SessionCreated that is awaited. Nobody who has not seen the SessionRequest
    /// and knows the responder's static key can make one.
    pub fn is_created(&self, local: &Local, datagram: &[u8], remote: &MaskKey) -> bool {
        header::peek(datagram, remote, &self.header_key)
            .is_some_and(|h| h.is_long(Kind::SESSION_CREATED, local.net_id) && h.destination == self.ids.local)
    }

    /// Reads the SessionCreated, an answer to what we sent last at `sent`, and makes the SessionConfirmed.
    ///
    /// # Errors
    /// Whatever is wrong with it. [`Cause::ClockSkew`], [`Cause::OwnRouterInfo`] and [`Cause::SmallOrder`] end the
    /// handshake, others are to be ignored.
    pub fn handle(
        &self,
        local: &Local,
        remote: &Remote,
        datagram: &mut [u8],
        rng: &mut ChaCha20Rng,
        now: Now,
        sent: Mono,
    ) -> Result<Box<Established>, Cause> {
        header::mask(datagram, &remote.intro, &self.header_key)
            .and_then(|()| header::mask_rest(datagram, KEYED_LEN, &self.header_key))
            .ok_or(Cause::Short)?;
        let (head, sealed) = datagram.split_at_mut_checked(KEYED_LEN).ok_or(Cause::Short)?;
        let (head, y) = head.split_first_chunk::<LONG_LEN>().ok_or(Cause::Short)?;
        check_long(&Long::parse(head).map_err(|_| Cause::Short)?, Kind::SESSION_CREATED, local.net_id, self.ids)?;
        let y = PublicKey(y.try_into().map_err(|_| Cause::Short)?);
        let mut noise = self.noise.clone();
        noise.mix_hash(head);
        noise.mix_hash(&y.0);
        noise.mix_key(&self.ephemeral.dh(&y).map_err(|_| Cause::SmallOrder)?);
        let plain = noise.decrypt_and_hash(sealed).map_err(|_| Cause::CreatedTag)?;
        let opening = Opening::parse(plain)?;
        let rtt = now.mono.saturating_sub(sent);
        let skew = opening.skew(now.wall, rtt / 2);
        if skew.is_excessive() {
            return Err(Cause::ClockSkew(skew));
        }
        let mtu = local.mtu_to(remote.addr, remote.mtu);
        let confirmed = confirmed(local, remote, self.ids, &mut noise, &y, mtu, rng)?;
        let (recv, send) = DataKeys::split(&noise, Role::Initiator);
        Ok(Box::new(Established {
            role: Role::Initiator,
            peer: remote.hash,
            addr: remote.addr,
            local: OurEnd::default(),
            local_id: self.ids.local,
            remote_id: self.ids.remote,
            local_intro: local.intro.clone(),
            remote_intro: remote.intro.clone(),
            recv,
            send,
            mtu,
            next_number: 1,
            received: None,
            confirmed,
            skew,
            rtt,
            router_info: None,
            flood: false,
            peer_padding: opening.padding,
            our_addr: opening.address,
            relay_tag: opening.relay_tag,
            relay_tag_requested: false,
            new_token: opening.new_token,
            early: Vec::new(),
        }))
    }
}

/// Makes the SessionConfirmed, in one datagram if it fits, or in two.
///
/// spec: ssu2 §Session Confirmed Fragmentation
fn confirmed(
    local: &Local,
    remote: &Remote,
    ids: Ids,
    noise: &mut Symmetric,
    y: &PublicKey,
    mtu: u16,
    rng: &mut ChaCha20Rng,
) -> Result<SmallVec<[Bytes; 2]>, Cause> {
    let header_key = keys::confirmed_header(noise);
    let room = max_datagram(remote.addr, mtu).saturating_sub(SHORT_LEN);
    let (payload, total) = confirmed_payload(local, room, rng)?;
    let head = |number: u8| {
        let flags = [number << 4 | total, 0, 0];
        Short { destination: ids.remote, number: 0, kind: Kind::SESSION_CONFIRMED, flags }.to_bytes()
    };
    noise.mix_hash(&head(0));
    let mut whole = local.static_public.0.to_vec();
    noise.encrypt_and_hash_vec(&mut whole, 0);
    noise.mix_key(&local.static_key.dh(y).map_err(|_| Cause::SmallOrder)?);
    let start = whole.len();
    whole.extend_from_slice(&payload);
    noise.encrypt_and_hash_vec(&mut whole, start);

    let first = match total {
        1 => whole.len(),
        // The last part must hold the nonces of its header's protection.
        _ => room.min(whole.len() - MIN_FRAGMENT),
    };
    let (first, second) = whole.split_at(first);
    let mut datagrams = SmallVec::new();
    for (number, part) in (0..total).zip([first, second]) {
        let mut datagram = [&head(number)[..], part].concat();
        header::mask(&mut datagram, &remote.intro, &header_key).ok_or(Cause::Short)?;
        datagrams.push(Bytes::from(datagram));
    }
    Ok(datagrams)
}

/// The blocks of a SessionConfirmed, and into how many datagrams they go. The RouterInfo is compressed if only that
/// saves a datagram.
///
/// spec: ssu2 §RouterInfo — "Compression is recommended if it allows a Router Info to fit in a single Session Confirmed
/// packet without fragmentation."
fn confirmed_payload(local: &Local, room: usize, rng: &mut ChaCha20Rng) -> Result<(Vec<u8>, u8), Cause> {
    let mut options = Vec::new();
    push(&mut options, &Block::Options(local.padding));
    let around = CONFIRMED_OVERHEAD + HEADER_LEN + 2 + options.len();
    let packed;
    let (gzip, bytes) = if around + local.router_info.len() <= room {
        (false, &local.router_info[..])
    } else {
        packed = gzip(&local.router_info);
        if packed.len() < local.router_info.len() { (true, &packed[..]) } else { (false, &local.router_info[..]) }
    };
    let info = RouterInfo { flood: false, gzip, fragment: RouterInfo::WHOLE, bytes };
    let mut payload = Vec::with_capacity(bytes.len() + 64);
    info.write_whole(&mut payload).map_err(|_| Cause::OwnRouterInfo(local.router_info.len()))?;
    payload.extend_from_slice(&options);
    let len = payload.len() + CONFIRMED_OVERHEAD;
    let total = len.div_ceil(room);
    // Padding, so far as it costs no datagram.
    let left = (total * room - len).checked_sub(HEADER_LEN + MIN_FRAGMENT);
    if let Some(left) = left {
        push(&mut payload, &Block::Padding(rng.random_range(0..=MAX_PADDING.min(left))));
    }
    match total {
        1 | 2 => Ok((payload, total as u8)),
        _ => Err(Cause::OwnRouterInfo(local.router_info.len())),
    }
}
