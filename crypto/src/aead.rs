//! ChaCha20-Poly1305 with the 96-bit little-endian counter nonces that Noise and all I2P protocols use.
//!
//! *ring* does it, except on machines with AVX-512 and its 52-bit multiplication: there a kernel of our own works on sixteen
//! blocks of key stream at once, on sixteen blocks of one long message, or on eight short messages side by side.
//!
//! spec: ntcp2 §AEAD — the first four nonce bytes are zero, the last eight the little-endian counter.

#[cfg(target_arch = "x86_64")]
mod poly1305;
#[cfg(target_arch = "x86_64")]
mod x86;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::sync::LazyLock;

/// Length of the authentication tag.
pub const TAG_LEN: usize = 16;

/// Messages shorter than this are left to *ring*, whose single block is the faster one.
#[cfg(target_arch = "x86_64")]
const SHORT: usize = 384;

/// The tag did not match: the input was forged, damaged, or sealed under another key, nonce or associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTag;

/// A way to seal and open. All make the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// *ring*, message by message: everywhere.
    Ring,
    /// x86-64 with AVX-512 F, BW, VL and IFMA.
    Avx512,
}

impl Kernel {
    /// Every kernel, the slowest first.
    pub const ALL: [Self; 2] = [Self::Ring, Self::Avx512];

    /// The fastest kernel of this machine, found out once.
    pub fn best() -> Self {
        static BEST: LazyLock<Kernel> =
            LazyLock::new(|| Kernel::ALL.into_iter().rev().find(|k| k.is_supported()).unwrap_or(Kernel::Ring));
        *BEST
    }

    /// Whether this machine has the instructions.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Ring => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::is_supported(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 => false,
        }
    }

    /// Its name in logs, metrics and benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Avx512 => "avx-512",
        }
    }
}

/// A ChaCha20-Poly1305 key. Making one costs about 15 ns.
pub struct AeadKey {
    ring: LessSafeKey,
    #[cfg(target_arch = "x86_64")]
    words: x86::Words,
}

/// One of the messages of a batch.
pub struct Message<'a> {
    /// Its key.
    pub key: &'a AeadKey,
    /// Its nonce.
    pub nonce: u64,
    /// What is authenticated beside it.
    pub ad: &'a [u8],
    /// The text, and behind it [`TAG_LEN`] bytes for the tag: written by [`seal_batch`], checked by [`open_batch`].
    pub data: &'a mut [u8],
    /// Set by both: false if the tag does not match, or there is no room for one. The text is then unspecified.
    pub ok: bool,
}

impl<'a> Message<'a> {
    /// A message that is to be sealed or opened.
    pub fn new(key: &'a AeadKey, nonce: u64, ad: &'a [u8], data: &'a mut [u8]) -> Self {
        Self { key, nonce, ad, data, ok: false }
    }
}

/// Seals messages of any keys and lengths, in place. Eight of about the same length fill the lanes.
/// A nonce must never be used twice with one key.
pub fn seal_batch(batch: &mut [Message<'_>]) {
    seal_batch_with(Kernel::best(), batch);
}

/// Opens messages of any keys and lengths, in place; each says by `ok` whether it is authentic.
pub fn open_batch(batch: &mut [Message<'_>]) {
    open_batch_with(Kernel::best(), batch);
}

/// [`seal_batch`] by a kernel of the caller's choice: for tests and benches. One that this machine has not gives way to
/// *ring*.
pub fn seal_batch_with(kernel: Kernel, batch: &mut [Message<'_>]) {
    #[cfg(target_arch = "x86_64")]
    if kernel == Kernel::Avx512 && x86::seal(batch) {
        return;
    }
    let _ = kernel;
    for message in batch {
        message.ok = message.data.len() >= TAG_LEN;
        if let Some((text, tag)) = message.data.split_last_chunk_mut::<TAG_LEN>() {
            *tag = message.key.seal_by_ring(message.nonce, message.ad, text);
        }
    }
}

/// [`open_batch`] by a kernel of the caller's choice, as [`seal_batch_with`].
pub fn open_batch_with(kernel: Kernel, batch: &mut [Message<'_>]) {
    #[cfg(target_arch = "x86_64")]
    if kernel == Kernel::Avx512 && x86::open(batch) {
        return;
    }
    let _ = kernel;
    for message in batch {
        message.ok = message.key.open_by_ring(message.nonce, message.ad, message.data).is_ok();
    }
}

impl AeadKey {
    /// A key from its 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        match UnboundKey::new(&CHACHA20_POLY1305, key) {
            Ok(unbound) => Self {
                ring: LessSafeKey::new(unbound),
                #[cfg(target_arch = "x86_64")]
                words: x86::Words::new(key),
            },
            // ring refuses a key only for its length, and the type fixes that.
            Err(_) => unreachable!("a 32-byte key"),
        }
    }

    /// Encrypts `data` in place and returns the tag. A nonce must never be used twice with one key.
    pub fn seal(&self, nonce: u64, ad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        #[cfg(target_arch = "x86_64")]
        if data.len() >= SHORT
            && Kernel::best() == Kernel::Avx512
            && let Some(tag) = x86::seal_one(&self.words, nonce, ad, data)
        {
            return tag;
        }
        self.seal_by_ring(nonce, ad, data)
    }

    fn seal_by_ring(&self, nonce: u64, ad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        match self.ring.seal_in_place_separate_tag(nonce_of(nonce), Aad::from(ad), data) {
            Ok(tag) => {
                let mut out = [0; TAG_LEN];
                out.copy_from_slice(tag.as_ref());
                out
            }
            // ring refuses only messages above 256 GiB.
            Err(_) => unreachable!("a message that fits in memory"),
        }
    }

    /// Encrypts `data[from..]` in place and appends the tag.
    pub fn seal_vec(&self, nonce: u64, ad: &[u8], data: &mut Vec<u8>, from: usize) {
        let tag = self.seal(nonce, ad, &mut data[from..]);
        data.extend_from_slice(&tag);
    }

    /// Authenticates and decrypts `data` (ciphertext then tag) in place; the plaintext is the returned prefix.
    ///
    /// # Errors
    /// [`BadTag`] if the tag does not match or `data` is shorter than one. The content of `data` is then unspecified.
    pub fn open<'a>(&self, nonce: u64, ad: &[u8], data: &'a mut [u8]) -> Result<&'a mut [u8], BadTag> {
        #[cfg(target_arch = "x86_64")]
        if data.len() >= SHORT
            && Kernel::best() == Kernel::Avx512
            && let Some((text, tag)) = data.split_last_chunk_mut::<TAG_LEN>()
            && let Some(authentic) = x86::open_one(&self.words, nonce, ad, text, tag)
        {
            let len = text.len();
            return if authentic { Ok(&mut data[..len]) } else { Err(BadTag) };
        }
        self.open_by_ring(nonce, ad, data)
    }

    fn open_by_ring<'a>(&self, nonce: u64, ad: &[u8], data: &'a mut [u8]) -> Result<&'a mut [u8], BadTag> {
        self.ring.open_in_place(nonce_of(nonce), Aad::from(ad), data).map_err(|_| BadTag)
    }
}

fn nonce_of(n: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&n.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests;
