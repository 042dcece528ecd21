//! VAES: registers of two blocks (256 bits) and of four (512 bits), each block of another cell.

use super::narrow::{block_back, invert};
use super::{BLOCKS, Body, HopKeys, ROUNDS, Schedule};
use core::arch::x86_64::*;

/// The round keys of two hops, side by side.
#[target_feature(enable = "avx2")]
fn pair_keys(a: &Schedule, b: &Schedule) -> [__m256i; ROUNDS + 1] {
    std::array::from_fn(|round| _mm256_set_m128i(b.key(round), a.key(round)))
}

/// # Safety
/// Both pointers are to cells, and `block` is below 64.
#[target_feature(enable = "avx2")]
unsafe fn load_pair(a: *const u8, b: *const u8, block: usize) -> __m256i {
    // SAFETY: the caller's word.
    unsafe {
        let low = _mm_loadu_si128(a.cast::<__m128i>().add(block));
        _mm256_set_m128i(_mm_loadu_si128(b.cast::<__m128i>().add(block)), low)
    }
}

/// # Safety
/// As [`load_pair`].
#[target_feature(enable = "avx2")]
unsafe fn store_pair(a: *mut u8, b: *mut u8, block: usize, value: __m256i) {
    // SAFETY: the caller's word.
    unsafe {
        _mm_storeu_si128(a.cast::<__m128i>().add(block), _mm256_castsi256_si128(value));
        _mm_storeu_si128(b.cast::<__m128i>().add(block), _mm256_extracti128_si256::<1>(value));
    }
}

#[target_feature(enable = "avx2,vaes")]
fn blocks_256<const Z: usize>(keys: &[[__m256i; ROUNDS + 1]; Z], mut state: [__m256i; Z]) -> [__m256i; Z] {
    for (s, k) in state.iter_mut().zip(keys) {
        *s = _mm256_xor_si256(*s, k[0]);
    }
    for round in 1..ROUNDS {
        for (s, k) in state.iter_mut().zip(keys) {
            *s = _mm256_aesenc_epi128(*s, k[round]);
        }
    }
    for (s, k) in state.iter_mut().zip(keys) {
        *s = _mm256_aesenclast_epi128(*s, k[ROUNDS]);
    }
    state
}

/// Encrypts the first `N` cells in `Z = N / 2` registers, and returns `N`.
///
/// # Safety
/// The first `N` pointers are to cells that nothing else borrows.
#[target_feature(enable = "aes,sse4.1,avx2,vaes")]
pub(super) unsafe fn encrypt_256<const N: usize, const Z: usize>(keys: &[&HopKeys], bodies: &[*mut u8]) -> usize {
    const { assert!(N == 2 * Z) };
    let (even, odd): ([*mut u8; Z], [*mut u8; Z]) =
        (std::array::from_fn(|z| bodies[2 * z]), std::array::from_fn(|z| bodies[2 * z + 1]));
    let iv: [_; Z] = std::array::from_fn(|z| pair_keys(&keys[2 * z].iv, &keys[2 * z + 1].iv));
    let layer: [_; Z] = std::array::from_fn(|z| pair_keys(&keys[2 * z].layer, &keys[2 * z + 1].layer));
    // SAFETY: block 0 of cells.
    let ivs = std::array::from_fn(|z| unsafe { load_pair(even[z], odd[z], 0) });
    let mut chain = blocks_256(&iv, ivs);
    for (z, last) in blocks_256(&iv, chain).into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { store_pair(even[z], odd[z], 0, last) };
    }
    for block in 1..=BLOCKS {
        for (z, c) in chain.iter_mut().enumerate() {
            // SAFETY: block 1 to 63 of cells.
            *c = _mm256_xor_si256(*c, unsafe { load_pair(even[z], odd[z], block) });
        }
        chain = blocks_256(&layer, chain);
        for (z, c) in chain.iter().enumerate() {
            // SAFETY: as above.
            unsafe { store_pair(even[z], odd[z], block, *c) };
        }
    }
    N
}

/// Rows of four blocks of four cells become registers of one block of all four, and back: it is its own inverse.
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: [__m512i; 4]) -> [__m512i; 4] {
    let low = [_mm512_shuffle_i32x4::<0x44>(rows[0], rows[1]), _mm512_shuffle_i32x4::<0x44>(rows[2], rows[3])];
    let high = [_mm512_shuffle_i32x4::<0xee>(rows[0], rows[1]), _mm512_shuffle_i32x4::<0xee>(rows[2], rows[3])];
    [
        _mm512_shuffle_i32x4::<0x88>(low[0], low[1]),
        _mm512_shuffle_i32x4::<0xdd>(low[0], low[1]),
        _mm512_shuffle_i32x4::<0x88>(high[0], high[1]),
        _mm512_shuffle_i32x4::<0xdd>(high[0], high[1]),
    ]
}

/// Round keys of four hops, side by side; the last entry is unused.
type Quad = [__m512i; ROUNDS + 2];

#[target_feature(enable = "avx512f")]
fn quad_keys(schedules: [&Schedule; 4]) -> Quad {
    let mut keys = [_mm512_setzero_si512(); ROUNDS + 2];
    for row in 0..4 {
        // SAFETY: a schedule is four rows of 64 bytes.
        let rows = schedules.map(|s| unsafe { _mm512_load_si512(s.0.as_ptr().cast::<__m512i>().add(row)) });
        keys[4 * row..4 * row + 4].copy_from_slice(&transpose(rows));
    }
    keys
}

#[target_feature(enable = "avx512f,vaes")]
fn blocks_512<const Z: usize>(keys: &[Quad; Z], mut state: [__m512i; Z]) -> [__m512i; Z] {
    for round in 1..ROUNDS {
        for (s, k) in state.iter_mut().zip(keys) {
            *s = _mm512_aesenc_epi128(*s, k[round]);
        }
    }
    for (s, k) in state.iter_mut().zip(keys) {
        *s = _mm512_aesenclast_epi128(*s, k[ROUNDS]);
    }
    state
}

/// Words of a row of four blocks that belong to the cell: the last row has only three blocks.
fn mask_of(row: usize) -> __mmask8 {
    if row == 15 { 0x3f } else { 0xff }
}

/// Four rows, one of each cell, from block `1 + 4 * row` on.
///
/// # Safety
/// The pointers are to cells, and `row` is below 16.
#[target_feature(enable = "avx512f")]
unsafe fn load_rows(cells: [*mut u8; 4], row: usize) -> [__m512i; 4] {
    // SAFETY: 16 + 64 * 15 + 48 = 1024, and the mask keeps the last row within it.
    cells.map(|cell| unsafe { _mm512_maskz_loadu_epi64(mask_of(row), cell.add(16 + 64 * row).cast()) })
}

/// # Safety
/// As [`load_rows`].
#[target_feature(enable = "avx512f")]
unsafe fn store_rows(cells: [*mut u8; 4], row: usize, rows: [__m512i; 4]) {
    for (cell, value) in cells.into_iter().zip(rows) {
        // SAFETY: as in `load_rows`.
        unsafe { _mm512_mask_storeu_epi64(cell.add(16 + 64 * row).cast(), mask_of(row), value) };
    }
}

/// The first block of four cells in one register.
///
/// # Safety
/// The pointers are to cells.
#[target_feature(enable = "avx512f,avx2")]
unsafe fn load_ivs(cells: [*mut u8; 4]) -> __m512i {
    // SAFETY: block 0 of cells.
    let [low, high] = unsafe { [load_pair(cells[0], cells[1], 0), load_pair(cells[2], cells[3], 0)] };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

/// Encrypts the first `4 * Z` cells.
///
/// # Safety
/// So many pointers are to cells that nothing else borrows.
#[target_feature(enable = "aes,sse4.1,avx2,vaes,avx512f,avx512vl")]
pub(super) unsafe fn encrypt_512<const Z: usize>(keys: &[&HopKeys], bodies: &[*mut u8]) {
    let cells: [[*mut u8; 4]; Z] = std::array::from_fn(|z| std::array::from_fn(|lane| bodies[4 * z + lane]));
    let iv: [Quad; Z] = std::array::from_fn(|z| quad_keys(std::array::from_fn(|lane| &keys[4 * z + lane].iv)));
    // SAFETY: pointers to cells, as the caller says; here and below.
    let ivs = std::array::from_fn(|z| _mm512_xor_si512(unsafe { load_ivs(cells[z]) }, iv[z][0]));
    let mut chain = blocks_512(&iv, ivs);
    let last = blocks_512(&iv, std::array::from_fn(|z| _mm512_xor_si512(chain[z], iv[z][0])));
    for (of, value) in cells.into_iter().zip(last) {
        let (low, high) = (_mm512_castsi512_si256(value), _mm512_extracti64x4_epi64::<1>(value));
        // SAFETY: block 0 of cells.
        unsafe {
            store_pair(of[0], of[1], 0, low);
            store_pair(of[2], of[3], 0, high);
        }
    }
    let layer: [Quad; Z] = std::array::from_fn(|z| quad_keys(std::array::from_fn(|lane| &keys[4 * z + lane].layer)));
    for row in 0..16 {
        // SAFETY: sixteen rows make a cell.
        let mut data: [[__m512i; 4]; Z] = std::array::from_fn(|z| transpose(unsafe { load_rows(cells[z], row) }));
        for block in 0..if row == 15 { 3 } else { 4 } {
            // One instruction for chain ^ data ^ first round key.
            let mixed = |z: usize| _mm512_ternarylogic_epi32::<0x96>(chain[z], data[z][block], layer[z][0]);
            chain = blocks_512(&layer, std::array::from_fn(mixed));
            for (d, c) in data.iter_mut().zip(chain) {
                d[block] = c;
            }
        }
        for (of, rows) in cells.into_iter().zip(data) {
            // SAFETY: as above.
            unsafe { store_rows(of, row, transpose(rows)) };
        }
    }
}

/// Undoes one hop on one cell, four blocks of it to a register and eight registers side by side.
#[target_feature(enable = "aes,sse4.1,avx2,vaes,avx512f,avx512vl")]
pub(super) fn decrypt(keys: &HopKeys, body: &mut Body) {
    let (layer, iv) = (invert(&keys.layer), invert(&keys.iv));
    let at = body.as_mut_ptr();
    // SAFETY: block 0 of the cell.
    let first = block_back(&iv, unsafe { _mm_loadu_si128(at.cast()) });
    // SAFETY: as above.
    unsafe { _mm_storeu_si128(at.cast(), block_back(&iv, first)) };
    let layer = layer.map(|key| _mm512_broadcast_i32x4(key));
    // What comes before a row: its last block is the ciphertext that the row's first one is mixed with.
    let mut before = _mm512_inserti32x4::<3>(_mm512_setzero_si512(), first);
    for half in [0, 8] {
        let sealed: [__m512i; 8] = std::array::from_fn(|i| {
            // SAFETY: rows 0 to 15 of the cell, the last one masked to its three blocks.
            unsafe { _mm512_maskz_loadu_epi64(mask_of(half + i), at.add(16 + 64 * (half + i)).cast()) }
        });
        let mut open = sealed.map(|row| _mm512_xor_si512(row, layer[0]));
        for key in &layer[1..ROUNDS] {
            open = open.map(|row| _mm512_aesdec_epi128(row, *key));
        }
        for (i, row) in open.into_iter().enumerate() {
            let mixed_with = _mm512_alignr_epi64::<6>(sealed[i], before);
            let plain = _mm512_xor_si512(_mm512_aesdeclast_epi128(row, layer[ROUNDS]), mixed_with);
            before = sealed[i];
            // SAFETY: as above.
            unsafe { _mm512_mask_storeu_epi64(at.add(16 + 64 * (half + i)).cast(), mask_of(half + i), plain) };
        }
    }
}
