//! ChaCha20 without authentication: the records of other hops in a tunnel build message.
//!
//! spec: tunnel-creation-ecies §Record Encryption — a 12-byte IV, all zero but the record number at byte 4, which is
//! the little-endian counter nonce of RFC 7539; the block counter starts at 0.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

/// Applies the key stream of `key` and counter nonce `nonce` to `data` in place: encryption and decryption in one.
pub fn apply(key: &[u8; 32], nonce: u64, data: &mut [u8]) {
    let mut iv = [0; 12];
    iv[4..].copy_from_slice(&nonce.to_le_bytes());
    ChaCha20::new(key.into(), &iv.into()).apply_keystream(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stream_is_that_of_rfc_7539() {
        // RFC 7539 §A.1, test vector 1: key and nonce zero, counter zero.
        let mut data = [0; 64];
        apply(&[0; 32], 0, &mut data);
        assert_eq!(data[..8], [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
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
