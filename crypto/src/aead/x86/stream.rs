//! ChaCha20: sixteen blocks of key stream, of one message or of sixteen places in several.
//!
//! A register holds the same word of all sixteen blocks, so that no word changes its lane; in the end the words are turned,
//! and a register holds a block.
//!
//! spec: RFC 8439 §2.3

use core::arch::x86_64::*;
use zeroize::Zeroize;

/// Blocks of one run.
pub(super) const LANES: usize = 16;

/// Bytes of text that the first run of a message covers: all its blocks but the one for Poly1305.
pub(super) const FIRST: usize = (LANES - 1) * 64;

const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Where a block lies: in the stream of this key and nonce, so many blocks from its beginning.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) key: [u32; 8],
    pub(super) nonce: u64,
    pub(super) counter: u32,
}

/// The words of a nonce: zero, then the counter of messages.
fn nonce_words(nonce: u64) -> [u32; 3] {
    [0, nonce as u32, (nonce >> 32) as u32]
}

/// Sixteen blocks from `counter` on.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn run(key: &[u32; 8], nonce: u64, counter: u32) -> [__m512i; LANES] {
    let all = |word: u32| _mm512_set1_epi32(word.cast_signed());
    let mut state = [_mm512_setzero_si512(); 16];
    let words = CONSTANTS.iter().chain(key).copied().chain([counter]).chain(nonce_words(nonce));
    for (register, word) in state.iter_mut().zip(words) {
        *register = all(word);
    }
    let steps = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    state[12] = _mm512_add_epi32(state[12], steps);
    blocks(&state)
}

/// A block from each of these places.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn run_places(places: &[Place; LANES]) -> [__m512i; LANES] {
    let mut words = [[0_u32; LANES]; 16];
    for (lane, place) in places.iter().enumerate() {
        let all = CONSTANTS.iter().chain(&place.key).copied().chain([place.counter]).chain(nonce_words(place.nonce));
        for (row, word) in words.iter_mut().zip(all) {
            row[lane] = word;
        }
    }
    let mut state = [_mm512_setzero_si512(); 16];
    for (register, row) in state.iter_mut().zip(&words) {
        // SAFETY: sixteen words are the 64 bytes of a register.
        *register = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
    }
    words.zeroize();
    blocks(&state)
}

/// Twenty rounds, the sum with the beginning, and the turn from words to blocks.
#[inline]
#[target_feature(enable = "avx512f")]
fn blocks(begin: &[__m512i; 16]) -> [__m512i; LANES] {
    let mut s = *begin;
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut s, [column, column + 4, column + 8, column + 12]);
        }
        for diagonal in 0..4 {
            quarter(&mut s, [diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4]);
        }
    }
    for (sum, first) in s.iter_mut().zip(begin) {
        *sum = _mm512_add_epi32(*sum, *first);
    }
    transpose(&s)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quarter(s: &mut [__m512i; 16], [a, b, c, d]: [usize; 4]) {
    s[a] = _mm512_add_epi32(s[a], s[b]);
    s[d] = _mm512_rol_epi32::<16>(_mm512_xor_si512(s[d], s[a]));
    s[c] = _mm512_add_epi32(s[c], s[d]);
    s[b] = _mm512_rol_epi32::<12>(_mm512_xor_si512(s[b], s[c]));
    s[a] = _mm512_add_epi32(s[a], s[b]);
    s[d] = _mm512_rol_epi32::<8>(_mm512_xor_si512(s[d], s[a]));
    s[c] = _mm512_add_epi32(s[c], s[d]);
    s[b] = _mm512_rol_epi32::<7>(_mm512_xor_si512(s[b], s[c]));
}

/// Sixteen rows of sixteen words become sixteen columns: by words within quarters of a register, then by quarters.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(s: &[__m512i; 16]) -> [__m512i; 16] {
    let mut four = [_mm512_setzero_si512(); 16];
    for q in 0..4 {
        let (low, high) =
            (_mm512_unpacklo_epi32(s[4 * q], s[4 * q + 1]), _mm512_unpackhi_epi32(s[4 * q], s[4 * q + 1]));
        let (low2, high2) =
            (_mm512_unpacklo_epi32(s[4 * q + 2], s[4 * q + 3]), _mm512_unpackhi_epi32(s[4 * q + 2], s[4 * q + 3]));
        four[4 * q] = _mm512_unpacklo_epi64(low, low2);
        four[4 * q + 1] = _mm512_unpackhi_epi64(low, low2);
        four[4 * q + 2] = _mm512_unpacklo_epi64(high, high2);
        four[4 * q + 3] = _mm512_unpackhi_epi64(high, high2);
    }
    // Quarter `l` of `four[4 * q + j]` has the words `4 * q` and on of block `4 * l + j`.
    let mut out = [_mm512_setzero_si512(); 16];
    for j in 0..4 {
        let rows = quarters([four[j], four[4 + j], four[8 + j], four[12 + j]]);
        for (l, row) in rows.into_iter().enumerate() {
            out[4 * l + j] = row;
        }
    }
    out
}

/// Four rows of four quarters become four columns.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (low, low2) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0x44>(c, d));
    let (high, high2) = (_mm512_shuffle_i32x4::<0xee>(a, b), _mm512_shuffle_i32x4::<0xee>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(low, low2),
        _mm512_shuffle_i32x4::<0xdd>(low, low2),
        _mm512_shuffle_i32x4::<0x88>(high, high2),
        _mm512_shuffle_i32x4::<0xdd>(high, high2),
    ]
}

/// The Poly1305 key that is the beginning of a message's first block.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn poly_key(block: &__m512i) -> [u8; 32] {
    let mut key = [0; 32];
    // SAFETY: the 32 bytes of half a register.
    unsafe { _mm256_storeu_si256(key.as_mut_ptr().cast(), _mm512_castsi512_si256(*block)) };
    key
}

/// Lays blocks of key stream over `text`, as far as both go.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn apply(blocks: &[__m512i], text: &mut [u8]) {
    let (whole, rest) = text.as_chunks_mut::<64>();
    for (chunk, block) in whole.iter_mut().zip(blocks) {
        let place = chunk.as_mut_ptr().cast();
        // SAFETY: the 64 bytes of a register, borrowed here.
        unsafe { _mm512_storeu_si512(place, _mm512_xor_si512(_mm512_loadu_si512(place.cast_const()), *block)) };
    }
    if let Some(block) = blocks.get(whole.len())
        && !rest.is_empty()
    {
        let mask = (1 << rest.len()) - 1;
        let place = rest.as_mut_ptr().cast();
        // SAFETY: the mask has a bit for each byte of `rest`, of which there are fewer than 64, and for no other.
        unsafe {
            let text = _mm512_maskz_loadu_epi8(mask, place);
            _mm512_mask_storeu_epi8(place, mask, _mm512_xor_si512(text, *block));
        }
    }
}

/// Lays the key stream from block `counter` on over `text`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn apply_from(key: &[u32; 8], nonce: u64, counter: u32, text: &mut [u8]) {
    for (chunk, counter) in text.chunks_mut(LANES * 64).zip((counter..).step_by(LANES)) {
        apply(&run(key, nonce, counter), chunk);
    }
}
