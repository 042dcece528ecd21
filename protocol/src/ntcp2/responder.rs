//! The responder's side of the handshake (Bob).
//!
//! ```text
//! 64 bytes -> AwaitRequestPadding | padding -> message 2, AwaitConfirmed | message 3 -> Accepted | caller -> Session
//! ```
//! Each state says with `need()` how many bytes it takes, is given everything received so far, and uses exactly that
//! many from the front.
//!
//! Until message 1 is complete and good we might be talking to a prober. So its every failure ends in the same way,
//! at a time and after a number of bytes that were drawn before the first byte came; a connection that stays silent
//! should be closed by the same plan ([`AwaitRequest::plan`]).
//!
//! spec: ntcp2 §1) SessionRequest, §2) SessionCreated, §3) SessionConfirmed, §AEAD Error Handling

use super::block::{Block, Blocks};
use super::error::{Cause, Close, Error};
use super::frame::{FrameSealer, LEN_LEN};
use super::initiator::{MAX_PADDING, MAX_PART_2, MAX_SENT_PADDING, append_padding};
use super::options::{CreatedOptions, RequestOptions};
use super::{FIXED_LEN, PART_1_LEN, Session, VERSION, data_phase};
use crate::id::RouterHash;
use crate::link::padding::PaddingOptions;
use crate::link::reason::Reason;
use crate::link::replay::{ReplayCache, Seen};
use crate::link::role::Role;
use crate::link::skew::{ClockSkew, nearest_second};
use crate::noise::{INITIAL_NTCP2, Symmetric};
use crate::time::{Mono, Now};
use bytes::Bytes;
use ramson_crypto::aead::TAG_LEN;
use ramson_crypto::cbc::Cbc;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// The shortest message 3 part 2: a RouterInfo block with an identity, a date, no address, no option, a DSA signature.
const MIN_PART_2: usize = 4 + 387 + 8 + 1 + 1 + 2 + 40 + TAG_LEN;
/// A connection that fails in message 1 lives for a random time in this range, from its start.
const SILENCE_MS: std::ops::RangeInclusive<u64> = 10_000..=20_000;
/// And for a random number of bytes in this range after the failure: more than what follows in a message 1, so that a
/// replayed one does not end otherwise than another of its length.
const SILENCE_BYTES: std::ops::RangeInclusive<usize> = 512..=4096;

/// Who we are, with everything computed that is the same for every connection.
pub struct Local {
    net_id: u8,
    static_key: SecretKey,
    cbc: Cbc,
    iv: [u8; 16],
    start: Symmetric,
}

impl Local {
    /// Our network, router hash, static key and the IV that we publish.
    pub fn new(net_id: u8, hash: &RouterHash, static_key: SecretKey, iv: [u8; 16]) -> Self {
        let mut start = Symmetric::new(&INITIAL_NTCP2);
        start.mix_hash(&static_key.public().0);
        Self { net_id, static_key, cbc: Cbc::new(&hash.0), iv, start }
    }
}

/// How and when a connection ends that fails in message 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When to close.
    pub until: Mono,
    /// How many bytes to read after the failure before closing earlier.
    pub read_bytes: usize,
}

impl Plan {
    fn error(self, cause: Cause, now: Now) -> Error {
        let delay = self.until.saturating_sub(now.mono);
        Error { cause, close: Close::After { read_bytes: self.read_bytes, delay } }
    }
}

/// A connection was accepted; the fixed part of message 1 is awaited.
pub struct AwaitRequest {
    plan: Plan,
}

impl AwaitRequest {
    /// Draws the plan by which the connection ends should message 1 fail.
    pub fn new(rng: &mut ChaCha20Rng, now: Now) -> Self {
        let until = now.mono + Duration::from_millis(rng.random_range(SILENCE_MS));
        Self { plan: Plan { until, read_bytes: rng.random_range(SILENCE_BYTES) } }
    }

    /// When the connection is to be closed if message 1 does not complete.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Bytes that [`AwaitRequest::handle`] uses.
    pub fn need(&self) -> usize {
        FIXED_LEN
    }

    /// Reads the fixed part of message 1.
    ///
    /// # Errors
    /// Whatever is wrong with it, the answer is silence: [`Close::After`].
    pub fn handle(
        self,
        local: &Local,
        replay: &mut ReplayCache,
        now: Now,
        received: &mut [u8],
    ) -> Result<AwaitRequestPadding, Error> {
        let plan = self.plan;
        read_request(local, replay, now, received, plan).map_err(|cause| plan.error(cause, now))
    }
}

fn read_request(
    local: &Local,
    replay: &mut ReplayCache,
    now: Now,
    received: &mut [u8],
    plan: Plan,
) -> Result<AwaitRequestPadding, Cause> {
    let (x, rest) = received.split_first_chunk_mut::<32>().ok_or(Cause::TooFewBytes)?;
    let (sealed, _) = rest.split_first_chunk_mut::<32>().ok_or(Cause::TooFewBytes)?;
    let chain = local.cbc.decrypt(&local.iv, x);
    // The cheap checks first: a Diffie-Hellman costs as much as a thousand of them.
    if x[31] & 0x80 != 0 {
        return Err(Cause::KeyMarker);
    }
    if replay.contains(x) {
        return Err(Cause::Replay);
    }
    let mut noise = local.start.clone();
    noise.mix_hash(x);
    let x = PublicKey(*x);
    noise.mix_key(&local.static_key.dh(&x).map_err(|_| Cause::SmallOrder)?);
    let plain = noise.decrypt_and_hash(sealed).map_err(|_| Cause::Message1Tag)?;
    let options = RequestOptions::parse(plain).map_err(|_| Cause::Message1Tag)?;
    match replay.insert(&x.0, now.mono) {
        Seen::New => {}
        Seen::Before => return Err(Cause::Replay),
    }
    // spec: ntcp2 §1) SessionRequest — "If this field is nonzero, and does not match Bob's network ID, Bob should
    // disconnect and block future connections."
    if options.net_id != 0 && options.net_id != local.net_id {
        return Err(Cause::NetworkId(options.net_id));
    }
    if options.version != VERSION {
        return Err(Cause::Version(options.version));
    }
    if options.padding > MAX_PADDING {
        return Err(Cause::Padding(options.padding));
    }
    let part_2 = usize::from(options.part_2);
    if !(MIN_PART_2..=MAX_PART_2).contains(&part_2) {
        return Err(Cause::Part2Len(options.part_2));
    }
    Ok(AwaitRequestPadding { noise, x, chain, options, arrived: now, plan })
}

/// The padding of message 1 is awaited.
pub struct AwaitRequestPadding {
    noise: Symmetric,
    x: PublicKey,
    chain: [u8; 16],
    options: RequestOptions,
    arrived: Now,
    plan: Plan,
}

impl AwaitRequestPadding {
    /// When the connection is to be closed if message 1 does not complete.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Bytes that [`AwaitRequestPadding::handle`] uses, 0..=[`MAX_PADDING`].
    pub fn need(&self) -> usize {
        usize::from(self.options.padding)
    }

    /// Mixes the padding in and appends message 2 to `out`, which must be sent in one piece.
    ///
    /// A peer whose clock is wrong gets message 2 as well: it learns our time from it.
    ///
    /// # Errors
    /// [`Cause::ExtraBytes`] if the initiator sent more than message 1.
    pub fn handle(
        mut self,
        local: &Local,
        rng: &mut ChaCha20Rng,
        now: Now,
        received: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<AwaitConfirmed, Error> {
        if received.len() < self.need() {
            return Err(self.plan.error(Cause::TooFewBytes, now));
        }
        // spec: ntcp2 §1) SessionRequest — "Bob must fail the connection if any incoming data remains".
        if received.len() > self.need() {
            return Err(self.plan.error(Cause::ExtraBytes, now));
        }
        let noise = &mut self.noise;
        if !received.is_empty() {
            noise.mix_hash(received);
        }
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let ephemeral = SecretKey::from_bytes(secret);
        let y = ephemeral.public();
        noise.mix_hash(&y.0);
        noise.mix_key(&ephemeral.dh(&self.x).map_err(|_| self.plan.error(Cause::SmallOrder, now))?);

        let mut obfuscated = y.0;
        local.cbc.encrypt(&self.chain, &mut obfuscated);
        out.extend_from_slice(&obfuscated);
        let padding = rng.random_range(0..=MAX_SENT_PADDING);
        let sealed = out.len();
        CreatedOptions { padding, timestamp: nearest_second(now.wall) }.write(out);
        noise.encrypt_and_hash_vec(out, sealed);
        append_padding(noise, padding, rng, out);
        let (options, arrived) = (self.options, self.arrived);
        Ok(AwaitConfirmed { noise: self.noise, ephemeral, options, arrived, sent: now.mono })
    }
}

/// Message 2 is sent; message 3 is awaited.
pub struct AwaitConfirmed {
    noise: Symmetric,
    ephemeral: SecretKey,
    options: RequestOptions,
    arrived: Now,
    sent: Mono,
}

impl AwaitConfirmed {
    /// Bytes that [`AwaitConfirmed::handle`] uses. What follows them belongs to the data phase.
    pub fn need(&self) -> usize {
        PART_1_LEN + usize::from(self.options.part_2)
    }

    /// Reads message 3.
    ///
    /// # Errors
    /// If it does not authenticate or holds other than a RouterInfo, options and padding: [`Close::Now`]. If the
    /// clocks are too far apart, a farewell is appended to `out`: [`Close::Flush`].
    pub fn handle(mut self, now: Now, received: &mut [u8], out: &mut Vec<u8>) -> Result<Accepted, Error> {
        let part_2_len = usize::from(self.options.part_2);
        let Some((part_1, rest)) = received.split_first_chunk_mut::<PART_1_LEN>() else {
            return Err(Error::now(Cause::TooFewBytes));
        };
        let Some(part_2) = rest.get_mut(..part_2_len) else { return Err(Error::now(Cause::TooFewBytes)) };
        let bad_tag = |_| Error::now(Cause::Message3Tag);
        let noise = &mut self.noise;
        let mut static_key = PublicKey([0; 32]);
        static_key.0.copy_from_slice(noise.decrypt_and_hash(part_1).map_err(bad_tag)?);
        noise.mix_key(&self.ephemeral.dh(&static_key).map_err(|_| Error::now(Cause::SmallOrder))?);
        let plain = noise.decrypt_and_hash(part_2).map_err(bad_tag)?;
        let (flood, router_info, peer_padding) = part_2_blocks(plain).ok_or(Error::now(Cause::Message3Blocks))?;

        let (opener, mut sealer) = data_phase(&self.noise, Role::Responder);
        // spec: ntcp2 §Clock Skew Guidelines — "Bob should adjust the calculated clock skew by subtracting half the
        // RTT. If the adjusted clock skew exceeds the maximum, Bob should then reply with a Disconnect message".
        let rtt = now.mono.saturating_sub(self.sent);
        let skew = ClockSkew::of(self.options.timestamp, self.arrived.wall, rtt / 2);
        if skew.is_excessive() {
            farewell(&mut sealer, Reason::CLOCK_SKEW, 0, out);
            return Err(Error { cause: Cause::ClockSkew(skew), close: Close::Flush });
        }
        Ok(Accepted { static_key, flood, router_info, session: Session { opener, sealer, skew, rtt, peer_padding } })
    }
}

/// The RouterInfo first, then options if any, then padding if any; nothing else.
///
/// spec: ntcp2 §Block Ordering Rules
fn part_2_blocks(plain: &[u8]) -> Option<(bool, Bytes, Option<PaddingOptions>)> {
    let mut blocks = Blocks::new(plain);
    let Some(Ok(Block::RouterInfo { flood, bytes })) = blocks.next() else { return None };
    let mut padding = None;
    let mut next = blocks.next();
    if let Some(Ok(Block::Options(options))) = next {
        padding = Some(options);
        next = blocks.next();
    }
    if let Some(Ok(Block::Padding(_))) = next {
        next = blocks.next();
    }
    next.is_none().then(|| (flood, Bytes::copy_from_slice(bytes), padding))
}

/// Appends a frame with a termination block and nothing else.
pub fn farewell(sealer: &mut FrameSealer, reason: Reason, frames: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; LEN_LEN]);
    let written = Block::Termination { frames, reason, additional: &[] }.write(out).is_ok();
    if !written || sealer.seal_in_place(out, start).is_err() {
        out.truncate(start);
    }
}

/// The initiator proved that it holds `static_key` and says that it is the router of `router_info`.
///
/// The caller's duty: verify the RouterInfo's signature and age, that it has an NTCP2 address whose `s` is
/// `static_key`, and that it came from a published address; then take the session or refuse it.
#[derive(Debug)]
pub struct Accepted {
    /// The initiator's static key.
    pub static_key: PublicKey,
    /// The initiator's RouterInfo, not verified.
    pub router_info: Bytes,
    /// The initiator asks us to flood its RouterInfo if we are a floodfill.
    pub flood: bool,
    /// The session, once the RouterInfo is verified.
    pub session: Session,
}

impl Accepted {
    /// Appends a frame that says why we end the session: to be sent before closing.
    pub fn refuse(mut self, reason: Reason, out: &mut Vec<u8>) {
        farewell(&mut self.session.sealer, reason, 0, out);
    }
}

/// The responder in any of its states, for callers that keep one value per connection.
#[allow(clippy::large_enum_variant, reason = "most connections pass through all states within a second")]
pub enum Responder {
    /// See [`AwaitRequest`].
    Request(AwaitRequest),
    /// See [`AwaitRequestPadding`].
    Padding(AwaitRequestPadding),
    /// See [`AwaitConfirmed`].
    Confirmed(AwaitConfirmed),
}

/// Where a responder stands after what was received.
#[allow(clippy::large_enum_variant, reason = "taken apart at once")]
pub enum ResponderStep {
    /// More bytes are needed.
    Wait(Responder),
    /// Message 3 is good; what was received after it is left in the buffer.
    Done(Accepted),
}

/// What a responder borrows from its thread.
pub struct Context<'a> {
    /// Our side.
    pub local: &'a Local,
    /// The keys seen lately.
    pub replay: &'a mut ReplayCache,
    /// Randomness.
    pub rng: &'a mut ChaCha20Rng,
}

impl Responder {
    /// A responder for a connection just accepted.
    pub fn new(rng: &mut ChaCha20Rng, now: Now) -> Self {
        Self::Request(AwaitRequest::new(rng, now))
    }

    /// Bytes that the state needs to go on.
    pub fn need(&self) -> usize {
        match self {
            Self::Request(state) => state.need(),
            Self::Padding(state) => state.need(),
            Self::Confirmed(state) => state.need(),
        }
    }

    /// The plan for a connection that has not got through message 1; `None` once message 2 is sent.
    pub fn plan(&self) -> Option<Plan> {
        match self {
            Self::Request(state) => Some(state.plan()),
            Self::Padding(state) => Some(state.plan()),
            Self::Confirmed(_) => None,
        }
    }

    /// Goes as far as `received` reaches and drains what it used. What is to be sent is appended to `out`.
    ///
    /// # Errors
    /// As the states'.
    pub fn advance(
        mut self,
        context: &mut Context<'_>,
        now: Now,
        received: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<ResponderStep, Error> {
        loop {
            let need = self.need();
            if received.len() < need {
                return Ok(ResponderStep::Wait(self));
            }
            self = match self {
                Self::Request(state) => Self::Padding(state.handle(context.local, context.replay, now, received)?),
                Self::Padding(state) => {
                    Self::Confirmed(state.handle(context.local, context.rng, now, received, out)?)
                }
                Self::Confirmed(state) => {
                    let accepted = state.handle(now, received, out)?;
                    received.drain(..need);
                    return Ok(ResponderStep::Done(accepted));
                }
            };
            received.drain(..need);
        }
    }
}
