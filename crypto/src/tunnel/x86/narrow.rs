//! AES-NI: registers of one block.

use super::{BLOCKS, Body, HopKeys, ROUNDS, Schedule};
use core::arch::x86_64::*;

/// AES-256 key expansion.
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn expand(key: &[u8; 32]) -> Schedule {
    let mut k = [_mm_setzero_si128(); ROUNDS + 2];
    // SAFETY: two halves of 32 bytes.
    (k[0], k[1]) = unsafe { (_mm_loadu_si128(key.as_ptr().cast()), _mm_loadu_si128(key.as_ptr().add(16).cast())) };
    macro_rules! round {
        ($i:literal, $rcon:literal) => {
            k[$i] = mixed(k[$i - 2], _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$rcon>(k[$i - 1])));
            if $i < ROUNDS {
                k[$i + 1] = mixed(k[$i - 1], _mm_shuffle_epi32::<0xaa>(_mm_aeskeygenassist_si128::<0>(k[$i])));
            }
        };
    }
    round!(2, 0x01);
    round!(4, 0x02);
    round!(6, 0x04);
    round!(8, 0x08);
    round!(10, 0x10);
    round!(12, 0x20);
    round!(14, 0x40);
    k[ROUNDS + 1] = _mm_setzero_si128();
    let mut schedule = Schedule([[0; 16]; ROUNDS + 2]);
    for (row, key) in schedule.0.iter_mut().zip(k) {
        // SAFETY: a row is 16 bytes.
        unsafe { _mm_storeu_si128(row.as_mut_ptr().cast(), key) };
    }
    schedule
}

/// Each word of a round key is the one before it mixed with the one a key length before.
#[target_feature(enable = "sse2")]
fn mixed(before: __m128i, word: __m128i) -> __m128i {
    let mut t = _mm_xor_si128(before, _mm_slli_si128::<4>(before));
    t = _mm_xor_si128(t, _mm_slli_si128::<8>(t));
    _mm_xor_si128(t, word)
}

/// One block of each of `N` cells.
#[target_feature(enable = "aes,sse4.1")]
fn blocks<const N: usize>(keys: [&Schedule; N], mut state: [__m128i; N]) -> [__m128i; N] {
    for (s, k) in state.iter_mut().zip(keys) {
        *s = _mm_xor_si128(*s, k.key(0));
    }
    for round in 1..ROUNDS {
        for (s, k) in state.iter_mut().zip(keys) {
            *s = _mm_aesenc_si128(*s, k.key(round));
        }
    }
    for (s, k) in state.iter_mut().zip(keys) {
        *s = _mm_aesenclast_si128(*s, k.key(ROUNDS));
    }
    state
}

/// Encrypts the first `N` cells side by side, and returns `N`.
///
/// # Safety
/// The first `N` pointers are to cells that nothing else borrows.
#[target_feature(enable = "aes,sse4.1")]
pub(super) unsafe fn encrypt<const N: usize>(keys: &[&HopKeys], bodies: &[*mut u8]) -> usize {
    let layer: [&Schedule; N] = std::array::from_fn(|lane| &keys[lane].layer);
    let iv: [&Schedule; N] = std::array::from_fn(|lane| &keys[lane].iv);
    let at: [*mut u8; N] = std::array::from_fn(|lane| bodies[lane]);
    // SAFETY: block 0 of each cell.
    let ivs = at.map(|body| unsafe { _mm_loadu_si128(body.cast()) });
    let mut chain = blocks(iv, ivs);
    let last = blocks(iv, chain);
    for (body, v) in at.iter().zip(last) {
        // SAFETY: block 0 of a cell.
        unsafe { _mm_storeu_si128(body.cast(), v) };
    }
    for block in 1..=BLOCKS {
        for (c, body) in chain.iter_mut().zip(at) {
            // SAFETY: block 1 to 63 of a cell of 64 blocks.
            *c = _mm_xor_si128(*c, unsafe { _mm_loadu_si128(body.cast::<__m128i>().add(block)) });
        }
        chain = blocks(layer, chain);
        for (c, body) in chain.iter().zip(at) {
            // SAFETY: as above.
            unsafe { _mm_storeu_si128(body.cast::<__m128i>().add(block), *c) };
        }
    }
    N
}

/// The keys of the inverse cipher, in the order in which it uses them.
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn invert(schedule: &Schedule) -> [__m128i; ROUNDS + 1] {
    let mut keys = [_mm_setzero_si128(); ROUNDS + 1];
    (keys[0], keys[ROUNDS]) = (schedule.key(ROUNDS), schedule.key(0));
    for (round, key) in keys.iter_mut().enumerate().take(ROUNDS).skip(1) {
        *key = _mm_aesimc_si128(schedule.key(ROUNDS - round));
    }
    keys
}

/// One block back.
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn block_back(keys: &[__m128i; ROUNDS + 1], block: __m128i) -> __m128i {
    let mut s = _mm_xor_si128(block, keys[0]);
    for key in &keys[1..ROUNDS] {
        s = _mm_aesdec_si128(s, *key);
    }
    _mm_aesdeclast_si128(s, keys[ROUNDS])
}

/// Undoes one hop on one cell: its blocks are independent of each other, so nine go side by side.
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn decrypt(keys: &HopKeys, body: &mut Body) {
    const SIDE_BY_SIDE: usize = 9;
    let (layer, iv) = (invert(&keys.layer), invert(&keys.iv));
    let at: *mut __m128i = body.as_mut_ptr().cast();
    // SAFETY: block 0 of the cell.
    let mut before = block_back(&iv, unsafe { _mm_loadu_si128(at) });
    // SAFETY: as above.
    unsafe { _mm_storeu_si128(at, block_back(&iv, before)) };
    for first in (1..=BLOCKS).step_by(SIDE_BY_SIDE) {
        // SAFETY: 63 is a multiple of nine, so blocks 1 to 63 of a cell of 64.
        let sealed: [__m128i; SIDE_BY_SIDE] = std::array::from_fn(|i| unsafe { _mm_loadu_si128(at.add(first + i)) });
        let mut open = sealed.map(|block| _mm_xor_si128(block, layer[0]));
        for key in &layer[1..ROUNDS] {
            open = open.map(|block| _mm_aesdec_si128(block, *key));
        }
        for (i, block) in open.into_iter().enumerate() {
            let plain = _mm_xor_si128(_mm_aesdeclast_si128(block, layer[ROUNDS]), before);
            before = sealed[i];
            // SAFETY: as above.
            unsafe { _mm_storeu_si128(at.add(first + i), plain) };
        }
    }
}
