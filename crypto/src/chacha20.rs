//! ChaCha20 without authentication: the records of other hops in a tunnel build message, and the headers of SSU2.
//!
//! spec: tunnel-creation-ecies §Record Encryption — a 12-byte IV, all zero but the record number at byte 4, which is
//! the little-endian counter nonce of RFC 7539. INTEROP: the block counter starts at 1, as in RFC 7539 §2.4; the
//! specification does not say it, Java and i2pd do it. The same holds for ssu2 §Header Encryption KDF.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

/// Bytes of a block of the key stream.
const BLOCK: u32 = 64;

/// Applies the key stream of `key` and counter nonce `nonce` to `data` in place: encryption and decryption in one.
pub fn apply(key: &[u8; 32], nonce: u64, data: &mut [u8]) {
    let mut iv = [0; 12];
    iv[4..].copy_from_slice(&nonce.to_le_bytes());
    apply_iv(key, &iv, data);
}

/// As [`apply`], with all twelve bytes of the nonce.
pub fn apply_iv(key: &[u8; 32], iv: &[u8; 12], data: &mut [u8]) {
    let mut cipher = ChaCha20::new(key.into(), iv.into());
    cipher.seek(BLOCK);
    cipher.apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stream_is_that_of_rfc_7539() {
        // RFC 7539 §A.1, test vector 2: key and nonce zero, counter one.
        let mut data = [0; 64];
        apply(&[0; 32], 0, &mut data);
        assert_eq!(data[..8], [0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a]);
        apply(&[0; 32], 0, &mut data);
        assert_eq!(data, [0; 64]);
    }

    #[test]
    fn the_record_number_changes_the_stream() {
        let (mut a, mut b) = ([0; 16], [0; 16]);
        apply(&[1; 32], 1, &mut a);
        apply(&[1; 32], 2, &mut b);
        assert_ne!(a, b);
    }
}
