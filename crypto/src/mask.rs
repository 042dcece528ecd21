//! Masks for packet headers: the first eight bytes of ChaCha20 key streams, sixteen nonces of one key at once.
//!
//! A block of ChaCha20 alone takes longer than it needs to, because each step waits for the one before. Sixteen blocks
//! side by side in the lanes of wide registers cost little more than one.
//!
//! spec: ssu2 §Header Encryption KDF. INTEROP: the block counter starts at 1, as in RFC 7539 §2.4.

use crate::chacha20;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Nonces that one run of the widest kernel takes.
pub const LANES: usize = 16;

/// The first eight bytes of the key stream of `key` under one nonce.
pub fn mask(key: &[u8; 32], nonce: &[u8; 12]) -> u64 {
    let mut bytes = [0; 8];
    chacha20::apply_iv(key, nonce, &mut bytes);
    u64::from_be_bytes(bytes)
}

/// The masks of at most [`LANES`] nonces under one key; further nonces are ignored, and masks beyond the nonces are
/// unspecified.
pub fn masks(key: &[u8; 32], nonces: &[[u8; 12]]) -> [u64; LANES] {
    #[cfg(target_arch = "x86_64")]
    if let Some(masks) = x86::masks([key, key], nonces) {
        return masks;
    }
    let mut masks = [0; LANES];
    for (m, nonce) in masks.iter_mut().zip(nonces) {
        *m = mask(key, nonce);
    }
    masks
}

/// The masks of two sets of nonces, the first half under the first key and the second half under the second: both masks
/// of at most half as many headers as there are lanes.
pub fn masks_of_two(keys: [&[u8; 32]; 2], nonces: &[[u8; 12]; LANES]) -> [u64; LANES] {
    #[cfg(target_arch = "x86_64")]
    if let Some(masks) = x86::masks(keys, nonces) {
        return masks;
    }
    std::array::from_fn(|i| mask(keys[i * 2 / LANES], &nonces[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_at_once_are_as_one_by_one(key: [u8; 32], nonces in prop::collection::vec(any::<[u8; 12]>(), 0..=LANES)) {
            let together = masks(&key, &nonces);
            for (m, nonce) in together.iter().zip(&nonces) {
                prop_assert_eq!(*m, mask(&key, nonce));
            }
        }

        #[test]
        fn each_half_is_under_its_own_key(keys: [[u8; 32]; 2], nonces: [[u8; 12]; LANES]) {
            let together = masks_of_two([&keys[0], &keys[1]], &nonces);
            for (i, (m, nonce)) in together.iter().zip(&nonces).enumerate() {
                prop_assert_eq!(*m, mask(&keys[usize::from(i >= LANES / 2)], nonce));
            }
        }

        #[cfg(target_arch = "x86_64")]
        #[test]
        fn every_kernel_of_this_machine_agrees(keys: [[u8; 32]; 2], nonces: [[u8; 12]; LANES]) {
            let expected: [u64; LANES] = std::array::from_fn(|i| mask(&keys[usize::from(i >= LANES / 2)], &nonces[i]));
            for masks in x86::every([&keys[0], &keys[1]], &nonces) {
                prop_assert_eq!(masks, expected);
            }
        }
    }
}
