//! Messages outside the Noise handshake: TokenRequest, Retry, PeerTest and HolePunch. They are sealed and protected
//! under an introduction key, which everybody knows: they prove that their sender read the netDb, and no more.
//!
//! ```text
//! long header 32 | blocks, at least 8 bytes | tag 16
//! ```
//! spec: ssu2 §KDF for Retry, §KDF for Token Request, §KDF for Peer Test, §KDF for Hole Punch

use super::block::{Block, Blocks};
use super::error::Cause;
use super::header::{self, LONG_LEN, Long, MaskKey};
use crate::link::padding::PaddingOptions;
use crate::link::reason::Reason;
use crate::link::skew::ClockSkew;
use crate::time::{Mono, Wall};
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use std::net::SocketAddr;

/// The least that a payload has: the nonces of the header protection must not reach into the header.
pub const MIN_PAYLOAD: usize = 8;

/// Seals and protects `payload` behind `header`, under `intro`. A payload below [`MIN_PAYLOAD`] is padded.
pub fn seal(header: &Long, payload: &[u8], intro: &MaskKey) -> Vec<u8> {
    let mut out = Vec::with_capacity(LONG_LEN + payload.len().max(MIN_PAYLOAD) + TAG_LEN);
    header.write(&mut out);
    let ad: [u8; LONG_LEN] = out.first_chunk().copied().unwrap_or([0; LONG_LEN]);
    out.extend_from_slice(payload);
    if payload.len() < MIN_PAYLOAD {
        let _ = Block::Padding(MIN_PAYLOAD - 3).write(&mut out);
    }
    AeadKey::new(intro.as_bytes()).seal_vec(u64::from(header.number), &ad, &mut out, LONG_LEN);
    protect(&mut out, intro, LONG_LEN, intro);
    out
}

/// Protects a whole datagram with a long header, of which `end` bytes are hidden.
pub(super) fn protect(datagram: &mut [u8], first: &MaskKey, end: usize, second: &MaskKey) {
    // What we build is long enough.
    let done = header::mask(datagram, first, second).and_then(|()| header::mask_rest(datagram, end, second));
    debug_assert!(done.is_some(), "a datagram without a header");
}

/// Unprotects and opens a datagram in place.
///
/// # Errors
/// [`Cause::Short`], or `bad_tag` if it is not what somebody sealed under `intro`.
pub fn open<'a>(datagram: &'a mut [u8], intro: &MaskKey, bad_tag: Cause) -> Result<(Long, &'a [u8]), Cause> {
    if datagram.len() < LONG_LEN + MIN_PAYLOAD + TAG_LEN {
        return Err(Cause::Short);
    }
    header::mask(datagram, intro, intro)
        .and_then(|()| header::mask_rest(datagram, LONG_LEN, intro))
        .ok_or(Cause::Short)?;
    let (ad, sealed) = datagram.split_first_chunk_mut::<LONG_LEN>().ok_or(Cause::Short)?;
    let header = Long::parse(ad).map_err(|_| Cause::Short)?;
    let plain = AeadKey::new(intro.as_bytes()).open(u64::from(header.number), ad, sealed).map_err(|_| bad_tag)?;
    Ok((header, plain))
}

/// What the payloads of the opening messages say: those above, SessionRequest and SessionCreated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The sender's clock, seconds since 1970.
    pub seconds: u32,
    /// Where it sees us.
    pub address: Option<SocketAddr>,
    /// The padding that it asks for.
    pub padding: Option<PaddingOptions>,
    /// Why the sender refuses to go on, if it does.
    pub termination: Option<Reason>,
    /// It asks for a relay tag.
    pub relay_tag_requested: bool,
    /// The relay tag that it gives.
    pub relay_tag: Option<u32>,
    /// A token for a later session, and the second at which it expires.
    pub new_token: Option<(u64, u32)>,
}

impl Opening {
    /// Reads the blocks. Blocks that do not belong there are ignored.
    ///
    /// # Errors
    /// [`Cause::Blocks`] if one cannot be read, or none has the time.
    pub fn parse(payload: &[u8]) -> Result<Self, Cause> {
        let mut opening = Self::default();
        let mut timed = false;
        for block in Blocks::new(payload) {
            match block.map_err(|_| Cause::Blocks)? {
                Block::DateTime { seconds } => (opening.seconds, timed) = (seconds, true),
                Block::Address(address) => opening.address = Some(address),
                Block::Options(options) => opening.padding = Some(options),
                Block::Termination { reason, .. } => opening.termination = Some(reason),
                Block::RelayTagRequest => opening.relay_tag_requested = true,
                Block::RelayTag(tag) => opening.relay_tag = Some(tag).filter(|t| *t != 0),
                Block::NewToken { expires, token } => opening.new_token = Some((token, expires)),
                _ => {}
            }
        }
        if timed { Ok(opening) } else { Err(Cause::Blocks) }
    }

    /// How far the sender's clock is ahead of ours.
    pub fn skew(&self, arrived: Wall, travelled: Mono) -> ClockSkew {
        ClockSkew::of(self.seconds, arrived, travelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssu2::header::{Kind, VERSION};

    const HEADER: Long = Long {
        destination: 1,
        number: 77,
        kind: Kind::RETRY,
        version: VERSION,
        net_id: 99,
        flag: 0,
        source: 2,
        token: 3,
    };

    #[test]
    fn what_is_sealed_is_opened_with_its_key_alone() {
        let intro = MaskKey::new([5; 32]);
        for payload in [&[0, 0, 4, 0, 0, 0, 9][..], &[0, 0, 4, 0, 0, 0, 9, 254, 0, 20, 0, 0]] {
            let sealed = seal(&HEADER, payload, &intro);
            let bad = open(&mut sealed.clone(), &MaskKey::new([6; 32]), Cause::RetryTag).map(|_| ());
            assert_eq!(bad, Err(Cause::RetryTag));
            for at in 0..sealed.len() {
                let mut cut = sealed[..at].to_vec();
                assert!(open(&mut cut, &intro, Cause::RetryTag).is_err());
                let mut flipped = sealed.clone();
                flipped[at] ^= 1;
                assert!(open(&mut flipped, &intro, Cause::RetryTag).is_err());
            }
            let mut sent = sealed;
            let (header, plain) = open(&mut sent, &intro, Cause::RetryTag).unwrap();
            assert_eq!((header, &plain[..payload.len()]), (HEADER, payload));
        }
    }

    #[test]
    fn an_opening_needs_the_time_and_ignores_what_it_does_not_know() {
        let mut payload = Vec::new();
        Block::Unknown { kind: 240, data: &[1, 2] }.write(&mut payload).unwrap();
        assert_eq!(Opening::parse(&payload), Err(Cause::Blocks));
        Block::DateTime { seconds: 9 }.write(&mut payload).unwrap();
        Block::RelayTagRequest.write(&mut payload).unwrap();
        Block::Padding(4).write(&mut payload).unwrap();
        assert_eq!(
            Opening::parse(&payload),
            Ok(Opening { seconds: 9, relay_tag_requested: true, ..Opening::default() })
        );
        assert_eq!(Opening::parse(&payload[..payload.len() - 1]), Err(Cause::Blocks));
    }
}
