//! The tunnel layer: what every hop does to every cell, and what a creator does to undo it.
//!
//! A cell's body is 1024 bytes: the IV (16), then 1008 bytes of data. A hop makes of it
//! `IV' = E_iv(IV)`, `data' = CBC_layer(IV', data)`, `IV'' = E_iv(IV')`.
//!
//! CBC encryption is serial within one cell, so speed comes from working on several cells at once, whatever their
//! tunnels: callers hand over a turn's cells together, and a kernel may interleave them as it likes.
//!
//! spec: tunnel-implementation §Participant Processing; tunnel-message §Tunnel Message (Encrypted)

use aes::Aes256;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// Bytes of a cell's body: IV and data, without the tunnel id in front.
pub const BODY_LEN: usize = 1024;
/// Bytes of the IV.
pub const IV_LEN: usize = 16;
/// Bytes of the data.
pub const DATA_LEN: usize = BODY_LEN - IV_LEN;

/// The expanded keys of one hop of one tunnel.
pub struct LayerCipher {
    layer: Aes256,
    iv: Aes256,
}

impl LayerCipher {
    /// The hop with this layer key and this IV key.
    pub fn new(layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Self {
        Self { layer: Aes256::new(layer_key.into()), iv: Aes256::new(iv_key.into()) }
    }

    fn encrypt(&self, body: &mut [u8; BODY_LEN]) {
        let (iv, blocks) = split(body);
        self.iv.encrypt_block(as_block(iv));
        let mut chain = *iv;
        for block in blocks {
            xor(block, &chain);
            self.layer.encrypt_block(as_block(block));
            chain = *block;
        }
        self.iv.encrypt_block(as_block(iv));
    }

    fn decrypt(&self, body: &mut [u8; BODY_LEN]) {
        let cipher = *body;
        let (iv, blocks) = split(body);
        self.iv.decrypt_block(as_block(iv));
        // CBC decryption is parallel: all blocks at once, then each takes the ciphertext before it.
        self.layer.decrypt_blocks(Block::<Aes256>::cast_slice_from_core_mut(blocks));
        if let Some((first, rest)) = blocks.split_first_mut() {
            xor(first, iv);
            for (block, before) in rest.iter_mut().zip(&cipher.as_chunks::<16>().0[1..]) {
                xor(block, before);
            }
        }
        self.iv.decrypt_block(as_block(iv));
    }
}

impl std::fmt::Debug for LayerCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LayerCipher(..)")
    }
}

/// What a participant, an outbound endpoint and an inbound gateway do to each cell's body, in place. The cells may be
/// of any tunnels and in any number.
pub fn encrypt_batch(cells: &mut [(&LayerCipher, &mut [u8; BODY_LEN])]) {
    for (cipher, body) in cells {
        cipher.encrypt(body);
    }
}

/// The exact inverse of [`encrypt_batch`]: what the creator does for each hop, before sending into an outbound tunnel
/// and after receiving from an inbound one.
pub fn decrypt_batch(cells: &mut [(&LayerCipher, &mut [u8; BODY_LEN])]) {
    for (cipher, body) in cells {
        cipher.decrypt(body);
    }
}

fn split(body: &mut [u8; BODY_LEN]) -> (&mut [u8; 16], &mut [[u8; 16]]) {
    match body.as_chunks_mut::<16>().0.split_first_mut() {
        Some(parts) => parts,
        None => unreachable!("1024 bytes are 64 blocks"),
    }
}

fn as_block(bytes: &mut [u8; 16]) -> &mut Block<Aes256> {
    bytes.into()
}

fn xor(a: &mut [u8; 16], b: &[u8; 16]) {
    *a = (u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)).to_ne_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    fn counting(from: u8) -> [u8; 32] {
        std::array::from_fn(|i| from.wrapping_add(i as u8))
    }

    #[test]
    fn a_hop_makes_what_an_independent_implementation_makes() {
        // Computed with Python's `cryptography` (OpenSSL): ECB, CBC, ECB as in the header of this file.
        let hop = LayerCipher::new(&counting(0), &counting(100));
        let mut body: [u8; BODY_LEN] = std::array::from_fn(|i| match i {
            0..16 => 200 + i as u8,
            _ => ((i - 16) * 7 + 3) as u8,
        });
        let plain = body;
        encrypt_batch(&mut [(&hop, &mut body)]);
        assert_eq!(body[..8], [0x79, 0x08, 0x3f, 0x08, 0xd5, 0xaf, 0x81, 0x66]);
        assert_eq!(body[BODY_LEN - 8..], [0x09, 0x1a, 0xc1, 0x23, 0x68, 0x9c, 0x7b, 0x3b]);
        assert_eq!(sha256(&[&body])[..8], [0x51, 0xcc, 0xd6, 0xf1, 0xe2, 0x93, 0xb2, 0xac]);
        decrypt_batch(&mut [(&hop, &mut body)]);
        assert_eq!(body, plain);
    }

    #[test]
    fn hops_undone_in_reverse_order_give_the_cells_back() {
        let hops: Vec<_> = (0..5).map(|i| LayerCipher::new(&counting(i), &counting(i + 50))).collect();
        let plain: Vec<[u8; BODY_LEN]> = (0..7).map(|c| std::array::from_fn(|i| (i * 31 + c * 17) as u8)).collect();
        let mut cells = plain.clone();
        for hop in &hops {
            encrypt_batch(&mut cells.iter_mut().map(|c| (hop, c)).collect::<Vec<_>>());
        }
        assert!(cells.iter().zip(&plain).all(|(a, b)| a != b));
        for hop in hops.iter().rev() {
            decrypt_batch(&mut cells.iter_mut().map(|c| (hop, c)).collect::<Vec<_>>());
        }
        assert_eq!(cells, plain);
    }

    #[test]
    fn cells_of_different_tunnels_in_one_batch_do_not_mix() {
        let hops: Vec<_> = (0..3).map(|i| LayerCipher::new(&counting(i), &counting(i + 50))).collect();
        let mut together = [[9; BODY_LEN]; 3];
        encrypt_batch(&mut hops.iter().zip(&mut together).collect::<Vec<_>>());
        for (hop, cell) in hops.iter().zip(together) {
            let mut alone = [9; BODY_LEN];
            encrypt_batch(&mut [(hop, &mut alone)]);
            assert_eq!(alone, cell);
        }
    }
}
