//! The initiator's side of the handshake (Alice).
//!
//! ```text
//! AwaitCreated::start -> message 1 | 64 bytes -> AwaitCreatedPadding | padding -> message 3, Session
//! ```
//! Each state says with `need()` how many bytes it takes, is given everything received so far, and uses exactly that
//! many from the front. Every failure resets the connection at once: the responder knows who we want to talk to.
//!
//! spec: ntcp2 §1) SessionRequest, §2) SessionCreated, §3) SessionConfirmed

use super::block::Block;
use super::error::{Cause, Error};
use super::options::{CreatedOptions, RequestOptions};
use super::{FIXED_LEN, PART_1_LEN, Session, VERSION, data_phase};
use crate::id::RouterHash;
use crate::link::padding::PaddingOptions;
use crate::link::replay::{ReplayCache, Seen};
use crate::link::role::Role;
use crate::link::skew::{ClockSkew, nearest_second};
use crate::noise::{INITIAL_NTCP2, Symmetric};
use crate::time::{Mono, Now};
use ramson_crypto::aead::TAG_LEN;
use ramson_crypto::cbc::Cbc;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;

/// The most padding that we send in messages 1 and 2: with the rest 287 bytes, the limit of i2pd.
pub const MAX_SENT_PADDING: u16 = 287 - FIXED_LEN as u16;
/// The most padding that we accept in messages 1 and 2. Routers send up to 256.
pub const MAX_PADDING: u16 = 1024;
/// The most data in the padding block of our message 3.
const MAX_PART_2_PADDING: usize = 63;
/// The longest message 3 part 2 that we send or accept. A RouterInfo has at most 3 KiB.
pub const MAX_PART_2: usize = 16 * 1024;

/// Who we are.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// Our network.
    pub net_id: u8,
    /// The private half of `s` in our RouterInfo.
    pub static_key: &'a SecretKey,
    /// `s` in our RouterInfo.
    pub static_public: &'a PublicKey,
    /// Our RouterInfo as it will be sent.
    pub router_info: &'a [u8],
    /// The padding that we ask for.
    pub padding: PaddingOptions,
    /// Whether a peer has lately agreed with our clock. As long as none has, message 1 goes without padding: a
    /// responder that finds our clock wrong may answer (so that we learn its time) without having read the padding,
    /// as i2pd does, and with padding we could not open that answer.
    pub clock_confirmed: bool,
}

/// Whom we call.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// The peer's router hash.
    pub hash: &'a RouterHash,
    /// `s` of the address.
    pub static_key: &'a PublicKey,
    /// `i` of the address.
    pub iv: &'a [u8; 16],
}

/// What the first two states share.
struct Common {
    noise: Symmetric,
    static_key: SecretKey,
    static_public: PublicKey,
    part_2: Vec<u8>,
    sent: Mono,
}

/// Message 1 is sent; the fixed part of message 2 is awaited.
pub struct AwaitCreated {
    common: Common,
    ephemeral: SecretKey,
    cbc: Cbc,
    chain: [u8; 16],
}

impl AwaitCreated {
    /// Appends message 1 to `out`, which must be sent in one piece, and awaits message 2.
    ///
    /// # Errors
    /// [`Cause::SmallOrder`] or [`Cause::KeyMarker`] if the peer's static key is none; [`Cause::OwnRouterInfo`] if
    /// ours does not fit.
    pub fn start(
        local: Local<'_>,
        remote: Remote<'_>,
        rng: &mut ChaCha20Rng,
        now: Now,
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        if remote.static_key.0[31] & 0x80 != 0 {
            return Err(Error::now(Cause::KeyMarker));
        }
        let part_2 = message_3_part_2(&local, rng)?;
        let part_2_len = u16::try_from(part_2.len() + TAG_LEN).map_err(|_| too_large(&local))?;
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let ephemeral = SecretKey::from_bytes(secret);
        let x = ephemeral.public();

        let mut noise = Symmetric::new(&INITIAL_NTCP2);
        noise.mix_hash(&remote.static_key.0);
        noise.mix_hash(&x.0);
        let shared = ephemeral.dh(remote.static_key).map_err(|_| Error::now(Cause::SmallOrder))?;
        noise.mix_key(&shared);

        // spec: ntcp2 §1) SessionRequest — X under AES-CBC with the responder's hash as key and its published IV.
        let cbc = Cbc::new(&remote.hash.0);
        let mut obfuscated = x.0;
        let chain = cbc.encrypt(remote.iv, &mut obfuscated);
        out.extend_from_slice(&obfuscated);

        let padding = if local.clock_confirmed { rng.random_range(0..=MAX_SENT_PADDING) } else { 0 };
        let options = RequestOptions {
            net_id: local.net_id,
            version: VERSION,
            padding,
            part_2: part_2_len,
            timestamp: nearest_second(now.wall),
        };
        let sealed = out.len();
        options.write(out);
        noise.encrypt_and_hash_vec(out, sealed);
        append_padding(&mut noise, padding, rng, out);

        let (static_key, static_public) = (local.static_key.clone(), *local.static_public);
        let common = Common { noise, static_key, static_public, part_2, sent: now.mono };
        Ok(Self { common, ephemeral, cbc, chain })
    }

    /// Bytes that [`AwaitCreated::handle`] uses.
    pub fn need(&self) -> usize {
        FIXED_LEN
    }

    /// Reads the fixed part of message 2.
    ///
    /// # Errors
    /// If it is not an answer to our message 1, or the clocks are too far apart: [`Cause::ClockSkew`] says how far.
    pub fn handle(
        mut self,
        replay: &mut ReplayCache,
        now: Now,
        received: &mut [u8],
    ) -> Result<AwaitCreatedPadding, Error> {
        let Some((y, rest)) = received.split_first_chunk_mut::<32>() else {
            return Err(Error::now(Cause::TooFewBytes));
        };
        let Some((sealed, _)) = rest.split_first_chunk_mut::<32>() else {
            return Err(Error::now(Cause::TooFewBytes));
        };
        let noise = &mut self.common.noise;
        self.cbc.decrypt(&self.chain, y);
        if y[31] & 0x80 != 0 {
            return Err(Error::now(Cause::KeyMarker));
        }
        noise.mix_hash(y);
        let y = PublicKey(*y);
        noise.mix_key(&self.ephemeral.dh(&y).map_err(|_| Error::now(Cause::SmallOrder))?);
        let plain = noise.decrypt_and_hash(sealed).map_err(|_| Error::now(Cause::Message2Tag))?;
        let options = CreatedOptions::parse(plain).map_err(|_| Error::now(Cause::Message2Tag))?;

        // spec: ntcp2 §2) SessionCreated — "Alice must maintain a local cache of previously-used handshake values".
        if replay.insert(&y.0, now.mono) == Seen::Before {
            return Err(Error::now(Cause::Replay));
        }
        // spec: ntcp2 §Clock Skew Guidelines — "subtracting half the RTT"; "Alice should close the connection".
        let rtt = now.mono.saturating_sub(self.common.sent);
        let skew = ClockSkew::of(options.timestamp, now.wall, rtt / 2);
        if skew.is_excessive() {
            return Err(Error::now(Cause::ClockSkew(skew)));
        }
        if options.padding > MAX_PADDING {
            return Err(Error::now(Cause::Padding(options.padding)));
        }
        Ok(AwaitCreatedPadding { common: self.common, y, padding: options.padding, skew, rtt })
    }
}

/// The padding of message 2 is awaited.
pub struct AwaitCreatedPadding {
    common: Common,
    y: PublicKey,
    padding: u16,
    skew: ClockSkew,
    rtt: Mono,
}

impl AwaitCreatedPadding {
    /// Bytes that [`AwaitCreatedPadding::handle`] uses, 0..=[`MAX_PADDING`].
    pub fn need(&self) -> usize {
        usize::from(self.padding)
    }

    /// Mixes the padding in and appends message 3 to `out`, to be sent in one piece with what follows. The session
    /// stands from our side.
    ///
    /// # Errors
    /// [`Cause::ExtraBytes`] if the responder sent more than message 2: it must wait for message 3.
    pub fn handle(mut self, received: &[u8], out: &mut Vec<u8>) -> Result<Session, Error> {
        if received.len() < self.need() {
            return Err(Error::now(Cause::TooFewBytes));
        }
        if received.len() > self.need() {
            return Err(Error::now(Cause::ExtraBytes));
        }
        let Common { noise, static_key, static_public, part_2, .. } = &mut self.common;
        if !received.is_empty() {
            noise.mix_hash(received);
        }
        let part_1 = out.len();
        out.reserve(PART_1_LEN + part_2.len() + TAG_LEN);
        out.extend_from_slice(&static_public.0);
        noise.encrypt_and_hash_vec(out, part_1);
        noise.mix_key(&static_key.dh(&self.y).map_err(|_| Error::now(Cause::SmallOrder))?);
        let sealed = out.len();
        out.extend_from_slice(part_2);
        noise.encrypt_and_hash_vec(out, sealed);
        let (opener, sealer) = data_phase(noise, Role::Initiator);
        Ok(Session { opener, sealer, skew: self.skew, rtt: self.rtt, peer_padding: None })
    }
}

/// The blocks of message 3 part 2. They are made before message 1, which says how long they are.
///
/// spec: ntcp2 §1) SessionRequest, "Message 3 part 2 length", strategy a
fn message_3_part_2(local: &Local<'_>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, Error> {
    let mut part_2 = Vec::with_capacity(local.router_info.len() + 128);
    let blocks = [
        Block::RouterInfo { flood: false, bytes: local.router_info },
        Block::Options(local.padding),
        Block::Padding(rng.random_range(0..=MAX_PART_2_PADDING)),
    ];
    for block in blocks {
        block.write(&mut part_2).map_err(|_| too_large(local))?;
    }
    if part_2.len() + TAG_LEN > MAX_PART_2 { Err(too_large(local)) } else { Ok(part_2) }
}

fn too_large(local: &Local<'_>) -> Error {
    Error::now(Cause::OwnRouterInfo(local.router_info.len()))
}

/// Appends cleartext padding, which must look like the ciphertext before it, and mixes it in.
pub(super) fn append_padding(noise: &mut Symmetric, len: u16, rng: &mut ChaCha20Rng, out: &mut Vec<u8>) {
    if len == 0 {
        return;
    }
    let start = out.len();
    out.resize(start + usize::from(len), 0);
    rng.fill_bytes(&mut out[start..]);
    noise.mix_hash(&out[start..]);
}

#[allow(clippy::large_enum_variant, reason = "the larger state is also the longer one")]
/// The initiator in any of its states, for callers that keep one value per connection.
pub enum Initiator {
    /// See [`AwaitCreated`].
    Created(AwaitCreated),
    /// See [`AwaitCreatedPadding`].
    Padding(AwaitCreatedPadding),
}

/// Where an initiator stands after what was received.
#[allow(clippy::large_enum_variant, reason = "taken apart at once")]
pub enum InitiatorStep {
    /// More bytes are needed.
    Wait(Initiator),
    /// Message 3 is written and the session stands.
    Done(Session),
}

impl Initiator {
    /// Bytes that the state needs to go on.
    pub fn need(&self) -> usize {
        match self {
            Self::Created(state) => state.need(),
            Self::Padding(state) => state.need(),
        }
    }

    /// Goes as far as `received` reaches and drains what it used. What is to be sent is appended to `out`.
    ///
    /// # Errors
    /// As the states'.
    pub fn advance(
        mut self,
        replay: &mut ReplayCache,
        now: Now,
        received: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<InitiatorStep, Error> {
        loop {
            let need = self.need();
            if received.len() < need {
                return Ok(InitiatorStep::Wait(self));
            }
            self = match self {
                Self::Created(state) => Self::Padding(state.handle(replay, now, received)?),
                Self::Padding(state) => {
                    let session = state.handle(received, out)?;
                    received.drain(..need);
                    return Ok(InitiatorStep::Done(session));
                }
            };
            received.drain(..need);
        }
    }
}
