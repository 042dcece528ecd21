//! ChaCha20-Poly1305 with the 96-bit little-endian counter nonces that Noise and all I2P protocols use.
//!
//! spec: ntcp2 §AEAD — the first four nonce bytes are zero, the last eight the little-endian counter.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Length of the authentication tag.
pub const TAG_LEN: usize = 16;

/// The tag did not match: the input was forged, damaged, or sealed under another key, nonce or associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTag;

/// A ChaCha20-Poly1305 key. Making one costs about 15 ns.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    /// A key from its 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        match UnboundKey::new(&CHACHA20_POLY1305, key) {
            Ok(key) => Self(LessSafeKey::new(key)),
            // ring refuses a key only for its length, and the type fixes that.
            Err(_) => unreachable!("a 32-byte key"),
        }
    }

    /// Encrypts `data` in place and returns the tag. A nonce must never be used twice with one key.
    pub fn seal(&self, nonce: u64, ad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        match self.0.seal_in_place_separate_tag(nonce_of(nonce), Aad::from(ad), data) {
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
        self.0.open_in_place(nonce_of(nonce), Aad::from(ad), data).map_err(|_| BadTag)
    }
}

fn nonce_of(n: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&n.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_a_flipped_bit_does_not() {
        let key = AeadKey::new(&[7; 32]);
        let mut data = b"sixteen tunnels.".to_vec();
        key.seal_vec(9, b"ad", &mut data, 0);
        let mut bad = data.clone();
        bad[3] ^= 1;
        assert_eq!(key.open(9, b"ad", &mut bad), Err(BadTag));
        assert_eq!(key.open(9, b"ad", &mut data).unwrap(), b"sixteen tunnels.");
    }
}
