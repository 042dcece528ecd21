//! Frames of the data phase, opened and sealed in place in the caller's buffers: no allocation, no copy.
//!
//! ```text
//! obfuscated length u16 | ciphertext 0..=65519 | tag 16
//! ```
//!
//! spec: ntcp2 §4) Data Phase, §SipHash obfuscated length

use crate::link::reason::Reason;
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use ramson_crypto::siphash::siphash24;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of the obfuscated length before each frame.
pub const LEN_LEN: usize = 2;
/// Bytes that a frame adds to its blocks: length and tag.
pub const OVERHEAD: usize = LEN_LEN + TAG_LEN;
/// The most bytes of blocks that a frame holds.
pub const MAX_PLAINTEXT: usize = 65_535 - TAG_LEN;

/// Why a frame could not be opened or sealed. The session is unusable afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is below that of an empty frame, so the peer (or somebody between) is not in step with us.
    #[error("frame length {0} is too small")]
    Length(u16),
    /// The frame did not authenticate.
    #[error("frame does not authenticate")]
    Tag,
    /// The counter of this direction has run out.
    #[error("frame counter exhausted")]
    Exhausted,
    /// More blocks than a frame holds.
    #[error("{0} bytes do not fit a frame")]
    TooLong(usize),
    /// The caller handed in a buffer that is not what it announced.
    #[error("buffer does not match the frame")]
    Bug,
}

impl FrameError {
    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Length(_) => "frame_length",
            Self::Tag => "frame_tag",
            Self::Exhausted => "frame_counter",
            Self::TooLong(_) => "frame_too_long",
            Self::Bug => "frame_bug",
        }
    }

    /// What to tell the peer, after a random delay and a random number of further bytes.
    ///
    /// spec: ntcp2 §AEAD Error Handling — the same action for a bad tag and an invalid length.
    pub fn reason(self) -> Reason {
        match self {
            Self::Length(_) | Self::Tag => Reason::AEAD_FAILURE,
            Self::Exhausted | Self::TooLong(_) | Self::Bug => Reason::NORMAL,
        }
    }
}

/// The SipHash keys of one direction and its chain of masks. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SipKeys {
    k1: u64,
    k2: u64,
    iv: u64,
}

impl SipKeys {
    /// From 32 bytes of key derivation; the last eight are not used.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j]));
        Self { k1: word(0), k2: word(1), iv: word(2) }
    }

    /// The mask of the next frame's length.
    fn next_mask(&mut self) -> u16 {
        self.iv = siphash24(self.k1, self.k2, self.iv);
        (self.iv & 0xffff) as u16
    }
}

/// The highest counter that may be used.
///
/// spec: ntcp2 §ChaCha20/Poly1305 — "The value 2**64 - 1 must never be sent."
const LAST_NONCE: u64 = u64::MAX - 1;

/// Opens the frames of one direction.
pub struct FrameOpener {
    key: AeadKey,
    sip: SipKeys,
    nonce: u64,
    pending: Option<u16>,
}

impl FrameOpener {
    /// An opener at the first frame.
    pub fn new(key: &[u8; 32], sip: SipKeys) -> Self {
        Self { key: AeadKey::new(key), sip, nonce: 0, pending: None }
    }

    /// How many bytes of ciphertext and tag (16..=65535) follow the length field `field`. Asking again before the
    /// frame was opened gives the same answer, so a half-received frame needs no state at the caller.
    ///
    /// # Errors
    /// [`FrameError::Length`] if no frame can be that short.
    pub fn next_len(&mut self, field: [u8; LEN_LEN]) -> Result<usize, FrameError> {
        let len = match self.pending {
            Some(len) => len,
            None => {
                let len = u16::from_be_bytes(field) ^ self.sip.next_mask();
                self.pending = Some(len);
                len
            }
        };
        if usize::from(len) < TAG_LEN { Err(FrameError::Length(len)) } else { Ok(usize::from(len)) }
    }

    /// Authenticates and decrypts one frame in place: `frame` is exactly the bytes that [`FrameOpener::next_len`]
    /// announced, and the blocks are the returned prefix.
    ///
    /// # Errors
    /// [`FrameError::Tag`] if the frame is forged or damaged, [`FrameError::Exhausted`] at the end of the counter.
    pub fn open<'a>(&mut self, frame: &'a mut [u8]) -> Result<&'a mut [u8], FrameError> {
        if self.pending.map(usize::from) != Some(frame.len()) {
            return Err(FrameError::Bug);
        }
        if self.nonce > LAST_NONCE {
            return Err(FrameError::Exhausted);
        }
        let plain = self.key.open(self.nonce, &[], frame).map_err(|_| FrameError::Tag)?;
        self.nonce += 1;
        self.pending = None;
        Ok(plain)
    }

    /// Frames opened so far: a termination block reports it.
    pub fn frames(&self) -> u64 {
        self.nonce
    }
}

/// Seals the frames of one direction.
pub struct FrameSealer {
    key: AeadKey,
    sip: SipKeys,
    nonce: u64,
}

impl FrameSealer {
    /// A sealer at the first frame.
    pub fn new(key: &[u8; 32], sip: SipKeys) -> Self {
        Self { key: AeadKey::new(key), sip, nonce: 0 }
    }

    /// Turns `buf[start..]`, two reserved bytes and the blocks after them, into a frame in place and appends the tag.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] above [`MAX_PLAINTEXT`]; [`FrameError::Bug`] if the two bytes are missing;
    /// [`FrameError::Exhausted`] at the end of the counter. `buf` is untouched then.
    pub fn seal_in_place(&mut self, buf: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let Some((field, blocks)) = buf.get_mut(start..).and_then(|b| b.split_first_chunk_mut::<LEN_LEN>()) else {
            return Err(FrameError::Bug);
        };
        if blocks.len() > MAX_PLAINTEXT {
            return Err(FrameError::TooLong(blocks.len()));
        }
        if self.nonce > LAST_NONCE {
            return Err(FrameError::Exhausted);
        }
        let len = u16::try_from(blocks.len() + TAG_LEN).map_err(|_| FrameError::TooLong(blocks.len()))?;
        *field = (len ^ self.sip.next_mask()).to_be_bytes();
        let tag = self.key.seal(self.nonce, &[], blocks);
        self.nonce += 1;
        buf.extend_from_slice(&tag);
        Ok(())
    }

    /// Frames sealed so far.
    pub fn frames(&self) -> u64 {
        self.nonce
    }
}

impl std::fmt::Debug for FrameOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameOpener").field("frames", &self.nonce).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FrameSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameSealer").field("frames", &self.nonce).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
