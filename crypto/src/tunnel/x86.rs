//! The tunnel layer in the lanes of x86-64: AES-NI on eight cells at once, VAES on sixteen, two or four to a register.
//!
//! An AES round takes several cycles to come out of the unit that makes it, and another can go in each cycle: one cell
//! alone leaves most of that unit idle, and interleaving cells fills it. A wide register carries one block of each of two
//! or four cells, and meets the round keys of their hops side by side. The blocks of four cells are read in rows of 64
//! bytes and turned by [`wide::transpose`], so that each register then holds the same block of all four.
//!
//! All `unsafe` here is of two kinds. Functions with a `target_feature` are called where a [`Hop`] exists, and
//! [`Hop::new`] makes one only for a kernel that the machine has. Loads and stores go through pointers, because the
//! intrinsics take them; every pointer is to a whole cell of 1024 bytes that nothing else borrows meanwhile, and every
//! access lies within it.
#![expect(unsafe_code, reason = "intrinsics; the two kinds above")]

mod narrow;
mod wide;

use super::{BODY_LEN, Body, Kernel, Keys, LayerCipher};
use core::arch::x86_64::*;

/// Blocks of data in a cell.
const BLOCKS: usize = 63;
const ROUNDS: usize = 14;

/// Cells that one run of a kernel takes at most.
const LANES: usize = 16;

/// Fifteen round keys, and one row of zeros so that the wide kernels can read whole rows of 64 bytes.
#[repr(C, align(64))]
struct Schedule([[u8; 16]; ROUNDS + 2]);

impl Schedule {
    #[target_feature(enable = "sse2")]
    fn key(&self, round: usize) -> __m128i {
        // SAFETY: sixteen bytes of an array.
        unsafe { _mm_load_si128(self.0[round].as_ptr().cast()) }
    }
}

struct HopKeys {
    layer: Schedule,
    iv: Schedule,
}

impl Drop for HopKeys {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.layer.0.zeroize();
        self.iv.0.zeroize();
    }
}

/// The keys of one hop, for a kernel that this machine has.
pub(super) struct Hop {
    kernel: Kernel,
    keys: Box<HopKeys>,
}

pub(super) fn has_aes_ni() -> bool {
    is_x86_feature_detected!("aes") && is_x86_feature_detected!("sse4.1")
}

pub(super) fn has_vaes_256() -> bool {
    has_aes_ni() && is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx2")
}

pub(super) fn has_vaes_512() -> bool {
    has_vaes_256() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")
}

impl Hop {
    /// `None` if the kernel is not one of these, or this machine does not have it.
    pub(super) fn new(kernel: Kernel, layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Option<Self> {
        if matches!(kernel, Kernel::Portable | Kernel::ArmV8) || !kernel.is_supported() {
            return None;
        }
        // SAFETY: every kernel but the portable one has AES-NI.
        let (layer, iv) = unsafe { (narrow::expand(layer_key), narrow::expand(iv_key)) };
        Some(Self { kernel, keys: Box::new(HopKeys { layer, iv }) })
    }

    pub(super) fn encrypt_one(&self, body: &mut Body) {
        // SAFETY: a `Hop` proves AES-NI; the cell is borrowed for the call.
        unsafe { narrow::encrypt::<1>(&[&self.keys], &[body.as_mut_ptr()]) };
    }

    pub(super) fn decrypt_one(&self, body: &mut Body) {
        // SAFETY: a `Hop` proves the features of its kernel, AES-NI among them.
        match self.kernel {
            Kernel::Vaes512 => unsafe { wide::decrypt(&self.keys, body) },
            _ => unsafe { narrow::decrypt(&self.keys, body) },
        }
    }
}

/// Encrypts all cells if all hops are for one and the same of these kernels; false if nothing was done.
pub(super) fn encrypt(cells: &mut [(&LayerCipher, &mut Body)]) -> bool {
    let hop_of = |cipher: &LayerCipher| match &cipher.0 {
        Keys::X86(hop) => Some(hop.kernel),
        Keys::Portable(_) => None,
    };
    let Some(kernel) = cells.first().and_then(|(cipher, _)| hop_of(cipher)) else { return false };
    if cells.iter().any(|(cipher, _)| hop_of(cipher) != Some(kernel)) {
        return false;
    }
    for group in cells.chunks_mut(LANES) {
        run_group(kernel, group);
    }
    true
}

/// Up to sixteen cells of hops of one kernel.
fn run_group(kernel: Kernel, cells: &mut [(&LayerCipher, &mut Body)]) {
    let Some((LayerCipher(Keys::X86(first)), _)) = cells.first() else { return };
    let mut keys: [&HopKeys; LANES] = [&first.keys; LANES];
    let mut bodies = [std::ptr::null_mut(); LANES];
    let mut n = 0;
    for (cipher, body) in cells.iter_mut().take(LANES) {
        if let Keys::X86(hop) = &cipher.0 {
            (keys[n], bodies[n]) = (&hop.keys, body.as_mut_ptr());
            n += 1;
        }
    }
    // SAFETY: the hops prove the features of their kernel; the first `n` pointers are to cells that are borrowed here.
    unsafe {
        match kernel {
            Kernel::Vaes512 if n > 2 => {
                // An unused lane beside others is nearly free, so a started register is filled up.
                let mut unused = [[0; BODY_LEN]; 3];
                for (slot, body) in bodies[n..].iter_mut().zip(&mut unused) {
                    *slot = body.as_mut_ptr();
                }
                match n.div_ceil(4) {
                    1 => wide::encrypt_512::<1>(&keys, &bodies),
                    2 => wide::encrypt_512::<2>(&keys, &bodies),
                    3 => wide::encrypt_512::<3>(&keys, &bodies),
                    _ => wide::encrypt_512::<4>(&keys, &bodies),
                }
            }
            Kernel::Vaes256 => {
                let mut at = 0;
                while at < n {
                    let (keys, bodies) = (&keys[at..], &bodies[at..]);
                    at += match n - at {
                        16.. => wide::encrypt_256::<16, 8>(keys, bodies),
                        8.. => wide::encrypt_256::<8, 4>(keys, bodies),
                        4.. => wide::encrypt_256::<4, 2>(keys, bodies),
                        2.. => wide::encrypt_256::<2, 1>(keys, bodies),
                        _ => narrow::encrypt::<1>(keys, bodies),
                    };
                }
            }
            _ => {
                let mut at = 0;
                while at < n {
                    let (keys, bodies) = (&keys[at..], &bodies[at..]);
                    at += match n - at {
                        8.. => narrow::encrypt::<8>(keys, bodies),
                        4.. => narrow::encrypt::<4>(keys, bodies),
                        2.. => narrow::encrypt::<2>(keys, bodies),
                        _ => narrow::encrypt::<1>(keys, bodies),
                    };
                }
            }
        }
    }
}
