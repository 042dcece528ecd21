//! Poly1305 in limbs of 44, 44 and 42 bits: the arithmetic of one message, and what the lanes need around theirs.
//!
//! A number is `l0 + l1 * 2^44 + l2 * 2^88`, modulo `2^130 - 5`. Limbs may be a few bits too large between two steps; since
//! `2^132 = 20` modulo the prime, what leaves the top of a product comes in again at the bottom, times 20.
//!
//! spec: RFC 8439 §2.5

use super::TAG_LEN;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

pub(super) const MASK_44: u64 = (1 << 44) - 1;
pub(super) const MASK_42: u64 = (1 << 42) - 1;

/// The bit above a whole block, in the top limb.
pub(super) const ABOVE: u64 = 1 << 40;

/// A number in three limbs.
pub(super) type Limbs = [u64; 3];

/// The sixteen bytes as a number, and the bit above them.
fn limbs(block: &[u8; BLOCK]) -> Limbs {
    let [low, high] = words(block);
    [low & MASK_44, (low >> 44 | high << 20) & MASK_44, high >> 24 | ABOVE]
}

fn words(bytes: &[u8; 16]) -> [u64; 2] {
    let number = u128::from_le_bytes(*bytes);
    [number as u64, (number >> 64) as u64]
}

/// The product, its limbs as small as they must be for the next.
pub(super) fn multiply(a: Limbs, r: Limbs) -> Limbs {
    let wide = |x: u64, y: u64| u128::from(x) * u128::from(y);
    let (s1, s2) = (20 * r[1], 20 * r[2]);
    let d0 = wide(a[0], r[0]) + wide(a[1], s2) + wide(a[2], s1);
    let d1 = wide(a[0], r[1]) + wide(a[1], r[0]) + wide(a[2], s2) + (d0 >> 44);
    let d2 = wide(a[0], r[2]) + wide(a[1], r[1]) + wide(a[2], r[0]) + (d1 >> 44);
    let l0 = (d0 as u64 & MASK_44) + 5 * (d2 >> 42) as u64;
    [l0 & MASK_44, (d1 as u64 & MASK_44) + (l0 >> 44), d2 as u64 & MASK_42]
}

/// The one-time key of a message.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// The number that all is multiplied by.
    pub(super) r: Limbs,
    pad: u128,
}

impl Key {
    /// From the first half of the message's first block of key stream.
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        let (halves, _) = bytes.as_chunks::<16>();
        let clamped = u128::from_le_bytes(halves[0]) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;
        let mut r = limbs(&clamped.to_le_bytes());
        r[2] &= !ABOVE;
        Self { r, pad: u128::from_le_bytes(halves[1]) }
    }

    /// `h` after the blocks of `bytes`, the last one filled up with zeros.
    pub(super) fn absorb(&self, mut h: Limbs, bytes: &[u8]) -> Limbs {
        let mut step = |block: &[u8; BLOCK]| {
            let m = limbs(block);
            h = multiply([h[0] + m[0], h[1] + m[1], h[2] + m[2]], self.r);
        };
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        blocks.iter().for_each(&mut step);
        if !rest.is_empty() {
            let mut last = [0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            step(&last);
        }
        h
    }

    /// The tag, from `h` after all blocks.
    pub(super) fn finish(&self, h: Limbs) -> [u8; TAG_LEN] {
        let [mut a, mut b, mut c] = h;
        for _ in 0..2 {
            c += b >> 44;
            a += 5 * (c >> 42);
            b = (b & MASK_44) + (a >> 44);
            (a, c) = (a & MASK_44, c & MASK_42);
        }
        // Less the prime, if it is not below it; chosen without a branch.
        let x = a + 5;
        let y = b + (x >> 44);
        let z = (c + (y >> 44)).wrapping_sub(1 << 42);
        let below = 0_u64.wrapping_sub(z >> 63);
        let choose = |kept: u64, less: u64| kept & below | less & !below;
        let (a, b, c) = (choose(a, x & MASK_44), choose(b, y & MASK_44), choose(c, z & MASK_42));
        let number = u128::from(a) | u128::from(b) << 44 | u128::from(c) << 88;
        number.wrapping_add(self.pad).to_le_bytes()
    }
}

/// The block with both lengths, which ends every message.
pub(super) fn lengths(ad: usize, text: usize) -> [u8; BLOCK] {
    (ad as u128 | (text as u128) << 64).to_le_bytes()
}
