//! AES-256-CBC without padding, for the few places outside the tunnel layer that use it (the obfuscated NTCP2 key,
//! replies in AES session tags). Not the fast path: see [`crate::tunnel`].

use aes::Aes256;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// An AES-256 key in CBC mode.
pub struct Cbc(Aes256);

impl Cbc {
    /// A key from its 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Aes256::new(key.into()))
    }

    /// Encrypts whole blocks in place and returns the last ciphertext block, the IV of what follows.
    /// Bytes after the last whole block are left alone.
    pub fn encrypt(&self, iv: &[u8; 16], data: &mut [u8]) -> [u8; 16] {
        let mut chain = *iv;
        for block in data.as_chunks_mut::<16>().0 {
            for (b, c) in block.iter_mut().zip(chain) {
                *b ^= c;
            }
            self.0.encrypt_block(<&mut Block<Aes256>>::from(&mut *block));
            chain = *block;
        }
        chain
    }

    /// Decrypts whole blocks in place and returns the last ciphertext block, the IV of what follows.
    /// Bytes after the last whole block are left alone.
    pub fn decrypt(&self, iv: &[u8; 16], data: &mut [u8]) -> [u8; 16] {
        let mut chain = *iv;
        for block in data.as_chunks_mut::<16>().0 {
            let cipher = *block;
            self.0.decrypt_block(<&mut Block<Aes256>>::from(&mut *block));
            for (b, c) in block.iter_mut().zip(chain) {
                *b ^= c;
            }
            chain = cipher;
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nist_vector_and_round_trip() {
        // NIST SP 800-38A, F.2.5, first block.
        let key = [
            0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35,
            0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
        ];
        let iv: [u8; 16] = std::array::from_fn(|i| i as u8);
        let plain = [0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a];
        let mut data = plain;
        let next = Cbc::new(&key).encrypt(&iv, &mut data);
        assert_eq!(data[..4], [0xf5, 0x8c, 0x4c, 0x04]);
        assert_eq!(next, data);
        Cbc::new(&key).decrypt(&iv, &mut data);
        assert_eq!(data, plain);
    }
}
