//! The tunnel layer with the cryptography extensions of ARMv8: eight cells interleaved.
//!
//! An instruction does half a round of AES, and cores join it with the one for the other half; both take several cycles to
//! come out, and others go in meanwhile, so cells are interleaved as on x86-64.
//!
//! All `unsafe` here is of two kinds. Functions with a `target_feature` are called where a [`Hop`] exists, and [`Hop::new`]
//! makes one only where the features are. Loads and stores go through pointers, because the intrinsics take them; each is to
//! sixteen bytes of an array or cell that is borrowed meanwhile.
#![expect(unsafe_code, reason = "intrinsics; the two kinds above")]

use super::{Body, Kernel, Keys, LayerCipher};
use core::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

/// Rounds of AES-256.
const ROUNDS: usize = 14;

/// Words of its key.
const KEY_WORDS: usize = 8;

/// Cells that one run takes at most, and blocks that decryption takes at once, a divisor of the 63 of a cell.
const LANES: usize = 8;
const SIDE_BY_SIDE: usize = 9;

type Block = [u8; 16];
type Schedule = [Block; ROUNDS + 1];

struct HopKeys {
    layer: Schedule,
    iv: Schedule,
}

impl Drop for HopKeys {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.layer.zeroize();
        self.iv.zeroize();
    }
}

/// The keys of one hop, where this machine has the instructions.
pub(super) struct Hop(Box<HopKeys>);

pub(super) fn is_supported() -> bool {
    is_aarch64_feature_detected!("aes")
}

impl Hop {
    /// `None` if the kernel is not this one, or this machine does not have it.
    pub(super) fn new(kernel: Kernel, layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Option<Self> {
        if kernel != Kernel::ArmV8 || !is_supported() {
            return None;
        }
        // SAFETY: the features are there.
        let (layer, iv) = unsafe { (expand(layer_key), expand(iv_key)) };
        Some(Self(Box::new(HopKeys { layer, iv })))
    }

    pub(super) fn encrypt_one(&self, body: &mut Body) {
        // SAFETY: a `Hop` proves the features.
        unsafe { encrypt_lanes::<1>([&self.0], [body]) };
    }

    pub(super) fn decrypt_one(&self, body: &mut Body) {
        // SAFETY: a `Hop` proves the features.
        unsafe { decrypt(&self.0, body) };
    }
}

/// Encrypts all cells if all hops are for this kernel; false if nothing was done.
pub(super) fn encrypt(cells: &mut [(&LayerCipher, &mut Body)]) -> bool {
    if cells.is_empty() || cells.iter().any(|(cipher, _)| !matches!(cipher.0, Keys::Arm(_))) {
        return false;
    }
    let mut rest = cells;
    while !rest.is_empty() {
        let count = match rest.len() {
            LANES.. => LANES,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        let (group, behind) = rest.split_at_mut(count);
        match count {
            LANES => run::<LANES>(group),
            4 => run::<4>(group),
            2 => run::<2>(group),
            _ => run::<1>(group),
        }
        rest = behind;
    }
    true
}

/// `N` cells side by side.
fn run<const N: usize>(group: &mut [(&LayerCipher, &mut Body)]) {
    let Ok(group) = <&mut [(&LayerCipher, &mut Body); N]>::try_from(group) else { return };
    let mut keys: [Option<&HopKeys>; N] = [None; N];
    for (place, (cipher, _)) in keys.iter_mut().zip(group.iter()) {
        if let Keys::Arm(hop) = &cipher.0 {
            *place = Some(&hop.0);
        }
    }
    let Some(first) = keys[0] else { return };
    let bodies = group.each_mut().map(|(_, body)| &mut **body);
    // SAFETY: every cell has a `Hop`, which proves the features.
    unsafe { encrypt_lanes(keys.map(|key| key.unwrap_or(first)), bodies) };
}

#[inline]
#[target_feature(enable = "neon")]
fn load(block: &Block) -> uint8x16_t {
    // SAFETY: sixteen bytes.
    unsafe { vld1q_u8(block.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(block: &mut Block, value: uint8x16_t) {
    // SAFETY: sixteen bytes.
    unsafe { vst1q_u8(block.as_mut_ptr(), value) };
}

/// AES-256 key expansion.
///
/// spec: FIPS 197 §5.2
#[target_feature(enable = "neon,aes")]
fn expand(key: &[u8; 32]) -> Schedule {
    let mut words = [0_u32; 4 * (ROUNDS + 1)];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut constant = 1_u32;
    for at in KEY_WORDS..words.len() {
        let mut word = words[at - 1];
        match at % KEY_WORDS {
            0 => {
                word = substitute(word.rotate_right(8)) ^ constant;
                constant <<= 1;
            }
            4 => word = substitute(word),
            _ => {}
        }
        words[at] = words[at - KEY_WORDS] ^ word;
    }
    std::array::from_fn(|round| {
        let mut block = [0; 16];
        for (bytes, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(&words[4 * round..]) {
            *bytes = word.to_le_bytes();
        }
        block
    })
}

/// The S-box on each byte: in a block of four equal columns the shift of rows, which comes with it, changes nothing.
#[inline]
#[target_feature(enable = "neon,aes")]
fn substitute(word: u32) -> u32 {
    let block = vaeseq_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), vdupq_n_u8(0));
    vgetq_lane_u32::<0>(vreinterpretq_u32_u8(block))
}

/// One block of each of `N` cells.
#[inline]
#[target_feature(enable = "neon,aes")]
fn blocks<const N: usize>(keys: [&Schedule; N], mut state: [uint8x16_t; N]) -> [uint8x16_t; N] {
    for round in 0..ROUNDS - 1 {
        for (s, key) in state.iter_mut().zip(keys) {
            *s = vaesmcq_u8(vaeseq_u8(*s, load(&key[round])));
        }
    }
    for (s, key) in state.iter_mut().zip(keys) {
        *s = veorq_u8(vaeseq_u8(*s, load(&key[ROUNDS - 1])), load(&key[ROUNDS]));
    }
    state
}

/// Encrypts `N` cells.
#[target_feature(enable = "neon,aes")]
fn encrypt_lanes<const N: usize>(keys: [&HopKeys; N], bodies: [&mut Body; N]) {
    let (layer, iv) = (keys.map(|key| &key.layer), keys.map(|key| &key.iv));
    let mut cells = bodies.map(|body| body.as_chunks_mut::<16>().0);
    let mut chain = [vdupq_n_u8(0); N];
    for (c, cell) in chain.iter_mut().zip(&cells) {
        *c = load(&cell[0]);
    }
    chain = blocks(iv, chain);
    let last = blocks(iv, chain);
    for (cell, value) in cells.iter_mut().zip(last) {
        store(&mut cell[0], value);
    }
    for block in 1..cells[0].len() {
        for (c, cell) in chain.iter_mut().zip(&cells) {
            *c = veorq_u8(*c, load(&cell[block]));
        }
        chain = blocks(layer, chain);
        for (cell, c) in cells.iter_mut().zip(chain) {
            store(&mut cell[block], c);
        }
    }
}

/// The keys of the inverse cipher, in the order in which it uses them.
#[inline]
#[target_feature(enable = "neon,aes")]
fn invert(schedule: &Schedule) -> [uint8x16_t; ROUNDS + 1] {
    let mut keys = [vdupq_n_u8(0); ROUNDS + 1];
    for (round, key) in keys.iter_mut().enumerate() {
        let straight = load(&schedule[ROUNDS - round]);
        *key = if round == 0 || round == ROUNDS { straight } else { vaesimcq_u8(straight) };
    }
    keys
}

/// `N` independent blocks back.
#[inline]
#[target_feature(enable = "neon,aes")]
fn blocks_back<const N: usize>(keys: &[uint8x16_t; ROUNDS + 1], mut state: [uint8x16_t; N]) -> [uint8x16_t; N] {
    for key in &keys[..ROUNDS - 1] {
        for s in &mut state {
            *s = vaesimcq_u8(vaesdq_u8(*s, *key));
        }
    }
    for s in &mut state {
        *s = veorq_u8(vaesdq_u8(*s, keys[ROUNDS - 1]), keys[ROUNDS]);
    }
    state
}

/// Undoes one hop on one cell, whose blocks are independent of each other.
#[target_feature(enable = "neon,aes")]
fn decrypt(keys: &HopKeys, body: &mut Body) {
    let (layer, iv) = (invert(&keys.layer), invert(&keys.iv));
    let (cell, _) = body.as_chunks_mut::<16>();
    let [mut before] = blocks_back(&iv, [load(&cell[0])]);
    let [first] = blocks_back(&iv, [before]);
    store(&mut cell[0], first);
    for group in cell[1..].as_chunks_mut::<SIDE_BY_SIDE>().0 {
        let mut sealed = [vdupq_n_u8(0); SIDE_BY_SIDE];
        for (s, block) in sealed.iter_mut().zip(group.iter()) {
            *s = load(block);
        }
        let open = blocks_back(&layer, sealed);
        for ((block, open), sealed) in group.iter_mut().zip(open).zip(sealed) {
            store(block, veorq_u8(open, before));
            before = sealed;
        }
    }
}
