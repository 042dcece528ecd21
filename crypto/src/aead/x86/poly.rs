//! Poly1305 in eight lanes of 64 bits: of one message, whose blocks go round the lanes, or of eight messages.
//!
//! The limbs are those of [`crate::aead::poly1305`]. The multiplication of IFMA gives the low or the high 52 bits of a
//! product of 52-bit numbers; a limb has 44, so a high half weighs 2^8 of the next limb, and above the top, which has 42
//! bits, 2^10.

use super::stream::quarters;
use crate::aead::TAG_LEN;
use crate::aead::poly1305::{ABOVE, BLOCK, Key, Limbs, MASK_42, MASK_44, lengths, multiply};
use core::arch::x86_64::*;

const LANES: usize = 8;

/// Blocks of one message that go at once, in two chains so that one works while the other waits.
const WIDE: usize = 2 * LANES;

/// A number in each lane.
type Numbers = [__m512i; 3];

/// A factor in each lane, with what of it comes in again at the bottom.
#[derive(Clone, Copy)]
struct Factors {
    r: Numbers,
    s: [__m512i; 2],
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn factors(lanes: &[Limbs; LANES]) -> Factors {
    let r = std::array::from_fn(|limb| load(&std::array::from_fn(|lane| lanes[lane][limb])));
    Factors { r, s: [times_20(r[1]), times_20(r[2])] }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn times_20(x: __m512i) -> __m512i {
    _mm512_add_epi64(_mm512_slli_epi64::<4>(x), _mm512_slli_epi64::<2>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[u64; LANES]) -> __m512i {
    // SAFETY: eight words are the 64 bytes of a register.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lanes: Numbers) -> [Limbs; LANES] {
    let mut rows = [[0_u64; LANES]; 3];
    for (row, register) in rows.iter_mut().zip(lanes) {
        // SAFETY: eight words are the 64 bytes of a register.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), register) };
    }
    std::array::from_fn(|lane| rows.map(|row| row[lane]))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(x: u64) -> __m512i {
    _mm512_set1_epi64(x.cast_signed())
}

/// `h` plus a whole block in each lane, given as its low and high half.
#[inline]
#[target_feature(enable = "avx512f")]
fn plus(h: Numbers, low: __m512i, high: __m512i) -> Numbers {
    let middle = _mm512_or_si512(_mm512_srli_epi64::<44>(low), _mm512_slli_epi64::<20>(high));
    [
        _mm512_add_epi64(h[0], _mm512_and_si512(low, all(MASK_44))),
        _mm512_add_epi64(h[1], _mm512_and_si512(middle, all(MASK_44))),
        _mm512_add_epi64(h[2], _mm512_or_si512(_mm512_srli_epi64::<24>(high), all(ABOVE))),
    ]
}

/// The product in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn times(h: Numbers, by: &Factors) -> Numbers {
    let ([r0, r1, r2], [s1, s2]) = (by.r, by.s);
    let zero = _mm512_setzero_si512();
    let low = |a, b, c| {
        let sum = _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(zero, h[0], a), h[1], b);
        _mm512_madd52lo_epu64(sum, h[2], c)
    };
    let high = |a, b, c| {
        let sum = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(zero, h[0], a), h[1], b);
        _mm512_madd52hi_epu64(sum, h[2], c)
    };
    let (l0, u0) = (low(r0, s2, s1), high(r0, s2, s1));
    let (l1, u1) = (low(r1, r0, s2), high(r1, r0, s2));
    let (l2, u2) = (low(r2, r1, r0), high(r2, r1, r0));
    let carry = |l, u| _mm512_add_epi64(_mm512_srli_epi64::<44>(l), _mm512_slli_epi64::<8>(u));
    let l1 = _mm512_add_epi64(l1, carry(l0, u0));
    let l2 = _mm512_add_epi64(l2, carry(l1, u1));
    let over = _mm512_add_epi64(_mm512_srli_epi64::<42>(l2), _mm512_slli_epi64::<10>(u2));
    let five = _mm512_add_epi64(over, _mm512_slli_epi64::<2>(over));
    let h0 = _mm512_add_epi64(_mm512_and_si512(l0, all(MASK_44)), five);
    let h1 = _mm512_add_epi64(_mm512_and_si512(l1, all(MASK_44)), _mm512_srli_epi64::<44>(h0));
    [_mm512_and_si512(h0, all(MASK_44)), h1, _mm512_and_si512(l2, all(MASK_42))]
}

/// The tag of one message.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
pub(super) fn one(key: &[u8; 32], ad: &[u8], text: &[u8]) -> [u8; TAG_LEN] {
    let key = Key::new(key);
    let mut h = key.absorb([0; 3], ad);
    let (wide, rest) = text.as_chunks::<{ WIDE * BLOCK }>();
    if let Some((last, others)) = wide.split_last() {
        h = rounds(&key, h, others, last);
    }
    key.finish(key.absorb(key.absorb(h, rest), &lengths(ad.len(), text.len())))
}

/// `h` after sixteen blocks at a time: each lane multiplies by the sixteenth power, and in the end by the one that its place
/// asks for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn rounds(key: &Key, h: Limbs, others: &[[u8; WIDE * BLOCK]], last: &[u8; WIDE * BLOCK]) -> Limbs {
    let mut powers = [key.r; LANES];
    for n in 1..LANES {
        powers[n] = multiply(powers[n - 1], key.r);
    }
    let eighth = factors(&[powers[7]; LANES]);
    let near = factors(&ORDER.map(|place| powers[LANES - 1 - place]));
    let far = times(near.r, &eighth);
    let far = Factors { r: far, s: [times_20(far[1]), times_20(far[2])] };
    let sixteenth = factors(&[multiply(powers[7], powers[7]); LANES]);
    let only_first = |limb: u64| load(&std::array::from_fn(|lane| if lane == 0 { limb } else { 0 }));
    let (mut a, mut b) = (h.map(only_first), [_mm512_setzero_si512(); 3]);
    for blocks in others {
        let [first, second] = halves(blocks);
        a = times(plus(a, first.0, first.1), &sixteenth);
        b = times(plus(b, second.0, second.1), &sixteenth);
    }
    let [first, second] = halves(last);
    a = times(plus(a, first.0, first.1), &far);
    b = times(plus(b, second.0, second.1), &near);
    let mut sum = [0; 3];
    for lane in store(a).iter().chain(&store(b)) {
        sum.iter_mut().zip(lane).for_each(|(sum, limb)| *sum += limb);
    }
    // Sixteen limbs of 45 bits are within what the next product bears.
    sum
}

/// Which block each lane has, once two registers were unpacked.
const ORDER: [usize; LANES] = [0, 4, 1, 5, 2, 6, 3, 7];

/// The low and high halves of eight blocks, and of the next eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(blocks: &[u8; WIDE * BLOCK]) -> [(__m512i, __m512i); 2] {
    let (rows, _) = blocks.as_chunks::<64>();
    // SAFETY: the 64 bytes of a register.
    let row = |n: usize| unsafe { _mm512_loadu_si512(rows[n].as_ptr().cast()) };
    let unpack = |a, b| (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    [unpack(row(0), row(1)), unpack(row(2), row(3))]
}

/// The tags of eight messages, each of associated data and text.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
pub(super) fn eight(keys: &[[u8; 32]; LANES], messages: &[(&[u8], &[u8]); LANES]) -> [[u8; TAG_LEN]; LANES] {
    let keys = keys.map(|key| Key::new(&key));
    let by = factors(&keys.map(|key| key.r));
    let ends = messages.map(|(ad, text)| lengths(ad.len(), text.len()));
    let mut h = [_mm512_setzero_si512(); 3];
    h = absorb(h, &by, &messages.map(|(ad, _)| ad));
    h = absorb(h, &by, &messages.map(|(_, text)| text));
    h = absorb(h, &by, &std::array::from_fn(|lane| &ends[lane][..]));
    let h = store(h);
    std::array::from_fn(|lane| keys[lane].finish(h[lane]))
}

/// `h` after the blocks of all slices, each slice's last filled up with zeros. A lane whose slice has ended keeps what it has.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn absorb(mut h: Numbers, by: &Factors, slices: &[&[u8]; LANES]) -> Numbers {
    let longest = slices.iter().map(|slice| slice.len()).max().unwrap_or(0);
    for at in (0..longest).step_by(64) {
        let lefts = slices.map(|slice| slice.get(at..).unwrap_or_default());
        let columns = transpose(lefts.map(|left| row(left)));
        for (n, [low, high]) in columns.as_chunks::<2>().0.iter().enumerate() {
            let mut mask = 0;
            for (lane, left) in lefts.iter().enumerate() {
                mask |= u8::from(left.len() > n * BLOCK) << lane;
            }
            if mask == 0 {
                break;
            }
            let next = times(plus(h, *low, *high), by);
            for (old, new) in h.iter_mut().zip(next) {
                *old = _mm512_mask_mov_epi64(*old, mask, new);
            }
        }
    }
    h
}

/// The first 64 bytes, filled up with zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn row(bytes: &[u8]) -> __m512i {
    let mask = if bytes.len() >= 64 { u64::MAX } else { (1 << bytes.len()) - 1 };
    // SAFETY: the mask has no bit for a byte beyond the slice.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().cast()) }
}

/// Eight rows of eight words become eight columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut pairs = [_mm512_setzero_si512(); LANES];
    for n in 0..4 {
        pairs[2 * n] = _mm512_unpacklo_epi64(rows[2 * n], rows[2 * n + 1]);
        pairs[2 * n + 1] = _mm512_unpackhi_epi64(rows[2 * n], rows[2 * n + 1]);
    }
    // Quarter `l` of `pairs[2 * n + j]` has word `2 * l + j` of rows `2 * n` and `2 * n + 1`.
    let even = quarters([pairs[0], pairs[2], pairs[4], pairs[6]]);
    let odd = quarters([pairs[1], pairs[3], pairs[5], pairs[7]]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}
