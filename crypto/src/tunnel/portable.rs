//! The tunnel layer by the `aes` crate, cell by cell: the measure of all other kernels.

use super::Body;
use aes::Aes256;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// The expanded keys of one hop.
pub(super) struct Portable {
    layer: Aes256,
    iv: Aes256,
}

impl Portable {
    pub(super) fn new(layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Self {
        Self { layer: Aes256::new(layer_key.into()), iv: Aes256::new(iv_key.into()) }
    }

    pub(super) fn encrypt(&self, body: &mut Body) {
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

    pub(super) fn decrypt(&self, body: &mut Body) {
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

fn split(body: &mut Body) -> (&mut [u8; 16], &mut [[u8; 16]]) {
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
