//! ChaCha20 blocks in the lanes of x86-64: eight in a register of AVX2, sixteen in one of AVX-512.
//!
//! A register holds the same word of every block, so that no word ever changes its lane. All `unsafe` here is of two
//! kinds: calls of functions whose feature has been found in this machine, and unaligned loads and stores of whole
//! arrays that are as long as the register.
#![expect(unsafe_code, reason = "intrinsics; the two kinds above")]

use super::LANES;
use core::arch::x86_64::*;

const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
/// The block counter of the first block that is used.
const COUNTER: u32 = 1;

/// The words of the nonces, each word of all lanes together.
type NonceWords = [[u32; LANES]; 3];

/// The masks, the first half of the lanes under the first key, if this machine has one of the wide kernels.
pub(super) fn masks(keys: [&[u8; 32]; 2], nonces: &[[u8; 12]]) -> Option<[u64; LANES]> {
    let (keys, words) = (keys.map(key_words), nonce_words(nonces));
    let [low, high] = if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there.
        unsafe { lanes_512(&keys, &words) }
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: the feature is there.
        unsafe { lanes_256(&keys, &words) }
    } else {
        return None;
    };
    Some(join(low, high))
}

/// The masks by each kernel that this machine has.
#[cfg(test)]
pub(super) fn every(keys: [&[u8; 32]; 2], nonces: &[[u8; 12]]) -> Vec<[u64; LANES]> {
    let (keys, words) = (keys.map(key_words), nonce_words(nonces));
    let mut all = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there.
        let [low, high] = unsafe { lanes_512(&keys, &words) };
        all.push(join(low, high));
    }
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the feature is there.
        let [low, high] = unsafe { lanes_256(&keys, &words) };
        all.push(join(low, high));
    }
    all
}

fn key_words(key: &[u8; 32]) -> [u32; 8] {
    let (words, _) = key.as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

fn nonce_words(nonces: &[[u8; 12]]) -> NonceWords {
    let mut words = [[0; LANES]; 3];
    for (lane, nonce) in nonces.iter().take(LANES).enumerate() {
        for (word, bytes) in words.iter_mut().zip(nonce.as_chunks::<4>().0) {
            word[lane] = u32::from_le_bytes(*bytes);
        }
    }
    words
}

/// The key stream is of little-endian words; a mask is the number that its bytes are in big-endian order.
fn join(low: [u32; LANES], high: [u32; LANES]) -> [u64; LANES] {
    std::array::from_fn(|i| u64::from(low[i].swap_bytes()) << 32 | u64::from(high[i].swap_bytes()))
}

/// Twenty rounds over a state of sixteen registers, with the additions and rotations of one width.
macro_rules! rounds {
    ($s:ident, $add:ident, $xor:ident, $rotate:ident) => {
        for _ in 0..10 {
            for column in 0..4 {
                quarter!($s, column, column + 4, column + 8, column + 12, $add, $xor, $rotate);
            }
            for diagonal in 0..4 {
                let (b, c, d) = (4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4);
                quarter!($s, diagonal, b, c, d, $add, $xor, $rotate);
            }
        }
    };
}

macro_rules! quarter {
    ($s:ident, $a:expr, $b:expr, $c:expr, $d:expr, $add:ident, $xor:ident, $rotate:ident) => {
        $s[$a] = $add($s[$a], $s[$b]);
        $s[$d] = $rotate::<16, 16>($xor($s[$d], $s[$a]));
        $s[$c] = $add($s[$c], $s[$d]);
        $s[$b] = $rotate::<12, 20>($xor($s[$b], $s[$c]));
        $s[$a] = $add($s[$a], $s[$b]);
        $s[$d] = $rotate::<8, 24>($xor($s[$d], $s[$a]));
        $s[$c] = $add($s[$c], $s[$d]);
        $s[$b] = $rotate::<7, 25>($xor($s[$b], $s[$c]));
    };
}

#[target_feature(enable = "avx512f")]
fn rotate_512<const LEFT: i32, const RIGHT: i32>(x: __m512i) -> __m512i {
    _mm512_rol_epi32::<LEFT>(x)
}

#[target_feature(enable = "avx2")]
fn rotate_256<const LEFT: i32, const RIGHT: i32>(x: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(x), _mm256_srli_epi32::<RIGHT>(x))
}

#[target_feature(enable = "avx512f")]
fn lanes_512(keys: &[[u32; 8]; 2], nonces: &NonceWords) -> [[u32; LANES]; 2] {
    let all = |word: u32| _mm512_set1_epi32(word.cast_signed());
    // SAFETY: sixteen words are the 64 bytes of a register.
    let load = |words: &[u32; LANES]| unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
    let mut s = [all(COUNTER); 16];
    for (register, word) in s.iter_mut().zip(CONSTANTS) {
        *register = all(word);
    }
    for (i, register) in s[4..12].iter_mut().enumerate() {
        *register = _mm512_mask_blend_epi32(0xff00, all(keys[0][i]), all(keys[1][i]));
    }
    for (register, words) in s[13..].iter_mut().zip(nonces) {
        *register = load(words);
    }
    rounds!(s, _mm512_add_epi32, _mm512_xor_si512, rotate_512);
    std::array::from_fn(|i| {
        let mut words = [0; LANES];
        let sum = _mm512_add_epi32(s[i], all(CONSTANTS[i]));
        // SAFETY: sixteen words are the 64 bytes of a register.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), sum) };
        words
    })
}

#[target_feature(enable = "avx2")]
fn lanes_256(keys: &[[u32; 8]; 2], nonces: &NonceWords) -> [[u32; LANES]; 2] {
    let mut out = [[0; LANES]; 2];
    for half in 0..2 {
        let all = |word: u32| _mm256_set1_epi32(word.cast_signed());
        let mut s = [all(COUNTER); 16];
        for (register, word) in s.iter_mut().zip(CONSTANTS.iter().chain(&keys[half])) {
            *register = all(*word);
        }
        for (register, words) in s[13..].iter_mut().zip(nonces) {
            let (words, _) = words.as_chunks::<8>();
            // SAFETY: eight words are the 32 bytes of a register.
            *register = unsafe { _mm256_loadu_si256(words[half].as_ptr().cast()) };
        }
        rounds!(s, _mm256_add_epi32, _mm256_xor_si256, rotate_256);
        for (i, words) in out.iter_mut().enumerate() {
            let (words, _) = words.as_chunks_mut::<8>();
            let sum = _mm256_add_epi32(s[i], all(CONSTANTS[i]));
            // SAFETY: eight words are the 32 bytes of a register.
            unsafe { _mm256_storeu_si256(words[half].as_mut_ptr().cast(), sum) };
        }
    }
    out
}
