//! The tunnel layer: what every hop does to every cell, and what a creator does to undo it.
//!
//! A cell's body is 1024 bytes: the IV (16), then 1008 bytes of data. A hop makes of it
//! `IV' = E_iv(IV)`, `data' = CBC_layer(IV', data)`, `IV'' = E_iv(IV')`.
//!
//! CBC encryption is serial within one cell, so speed comes from working on several cells at once, whatever their
//! tunnels: callers hand over a turn's cells together, and the [`Kernel`] in force interleaves them in its lanes.
//!
//! spec: tunnel-implementation §Participant Processing; tunnel-message §Tunnel Message (Encrypted)

#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use portable::Portable;
use std::sync::LazyLock;

/// Bytes of a cell's body: IV and data, without the tunnel id in front.
pub const BODY_LEN: usize = 1024;
/// Bytes of the IV.
pub const IV_LEN: usize = 16;
/// Bytes of the data.
pub const DATA_LEN: usize = BODY_LEN - IV_LEN;

type Body = [u8; BODY_LEN];

/// A way to work on many cells at once. All make the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The `aes` crate, cell by cell: everywhere.
    Portable,
    /// x86-64 with AES-NI: eight cells interleaved.
    AesNi,
    /// x86-64 with VAES on 256-bit registers: sixteen cells, two to a register.
    Vaes256,
    /// x86-64 with VAES on 512-bit registers: sixteen cells, four to a register.
    Vaes512,
    /// ARMv8 with the cryptography extensions: eight cells interleaved.
    ArmV8,
}

impl Kernel {
    /// Every kernel, the slowest first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::AesNi, Self::Vaes256, Self::Vaes512, Self::ArmV8];

    /// The fastest kernel of this machine, found out once.
    pub fn best() -> Self {
        static BEST: LazyLock<Kernel> =
            LazyLock::new(|| Kernel::ALL.into_iter().rev().find(|k| k.is_supported()).unwrap_or(Kernel::Portable));
        *BEST
    }

    /// Whether this machine has the instructions.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::AesNi => x86::has_aes_ni(),
            #[cfg(target_arch = "x86_64")]
            Self::Vaes256 => x86::has_vaes_256(),
            #[cfg(target_arch = "x86_64")]
            Self::Vaes512 => x86::has_vaes_512(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::AesNi | Self::Vaes256 | Self::Vaes512 => false,
            #[cfg(target_arch = "aarch64")]
            Self::ArmV8 => arm::is_supported(),
            #[cfg(not(target_arch = "aarch64"))]
            Self::ArmV8 => false,
        }
    }

    /// Its name in logs, metrics and benches.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::AesNi => "aes-ni",
            Self::Vaes256 => "vaes-256",
            Self::Vaes512 => "vaes-512",
            Self::ArmV8 => "armv8",
        }
    }
}

/// The expanded keys of one hop of one tunnel, for the kernel that is to use them.
pub struct LayerCipher(Keys);

enum Keys {
    Portable(Box<Portable>),
    #[cfg(target_arch = "x86_64")]
    X86(x86::Hop),
    #[cfg(target_arch = "aarch64")]
    Arm(arm::Hop),
}

impl LayerCipher {
    /// The hop with this layer key and this IV key, for the best kernel of this machine.
    pub fn new(layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Self {
        Self::with_kernel(Kernel::best(), layer_key, iv_key)
    }

    /// The same for a kernel of the caller's choice: for tests and benches. A kernel that this machine has not gives
    /// way to the portable one.
    pub fn with_kernel(kernel: Kernel, layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(hop) = x86::Hop::new(kernel, layer_key, iv_key) {
            return Self(Keys::X86(hop));
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(hop) = arm::Hop::new(kernel, layer_key, iv_key) {
            return Self(Keys::Arm(hop));
        }
        let _ = kernel;
        Self(Keys::Portable(Box::new(Portable::new(layer_key, iv_key))))
    }
}

impl std::fmt::Debug for LayerCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LayerCipher(..)")
    }
}

/// What a participant, an outbound endpoint and an inbound gateway do to each cell's body, in place. The cells may be
/// of any tunnels and in any number; sixteen at a time fill the lanes.
pub fn encrypt_batch(cells: &mut [(&LayerCipher, &mut Body)]) {
    #[cfg(target_arch = "x86_64")]
    if x86::encrypt(cells) {
        return;
    }
    #[cfg(target_arch = "aarch64")]
    if arm::encrypt(cells) {
        return;
    }
    for (cipher, body) in cells {
        match &cipher.0 {
            Keys::Portable(keys) => keys.encrypt(body),
            #[cfg(target_arch = "x86_64")]
            Keys::X86(hop) => hop.encrypt_one(body),
            #[cfg(target_arch = "aarch64")]
            Keys::Arm(hop) => hop.encrypt_one(body),
        }
    }
}

/// The exact inverse of [`encrypt_batch`]: what the creator does for each hop, before sending into an outbound tunnel
/// and after receiving from an inbound one.
pub fn decrypt_batch(cells: &mut [(&LayerCipher, &mut Body)]) {
    for (cipher, body) in cells {
        match &cipher.0 {
            Keys::Portable(keys) => keys.decrypt(body),
            #[cfg(target_arch = "x86_64")]
            Keys::X86(hop) => hop.decrypt_one(body),
            #[cfg(target_arch = "aarch64")]
            Keys::Arm(hop) => hop.decrypt_one(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    fn counting(from: u8) -> [u8; 32] {
        std::array::from_fn(|i| from.wrapping_add(i as u8))
    }

    #[test]
    fn a_hop_makes_what_an_independent_implementation_makes() {
        // Computed with Python's `cryptography` (OpenSSL): ECB, CBC, ECB as in the header of this file.
        let hop = LayerCipher::new(&counting(0), &counting(100));
        let mut body: [u8; BODY_LEN] = std::array::from_fn(|i| match i {
            0..16 => 200 + i as u8,
            _ => ((i - 16) * 7 + 3) as u8,
        });
        let plain = body;
        encrypt_batch(&mut [(&hop, &mut body)]);
        assert_eq!(body[..8], [0x79, 0x08, 0x3f, 0x08, 0xd5, 0xaf, 0x81, 0x66]);
        assert_eq!(body[BODY_LEN - 8..], [0x09, 0x1a, 0xc1, 0x23, 0x68, 0x9c, 0x7b, 0x3b]);
        assert_eq!(sha256(&[&body])[..8], [0x51, 0xcc, 0xd6, 0xf1, 0xe2, 0x93, 0xb2, 0xac]);
        decrypt_batch(&mut [(&hop, &mut body)]);
        assert_eq!(body, plain);
    }

    #[test]
    fn hops_undone_in_reverse_order_give_the_cells_back() {
        let hops: Vec<_> = (0..5).map(|i| LayerCipher::new(&counting(i), &counting(i + 50))).collect();
        let plain: Vec<[u8; BODY_LEN]> = (0..7).map(|c| std::array::from_fn(|i| (i * 31 + c * 17) as u8)).collect();
        let mut cells = plain.clone();
        for hop in &hops {
            encrypt_batch(&mut cells.iter_mut().map(|c| (hop, c)).collect::<Vec<_>>());
        }
        assert!(cells.iter().zip(&plain).all(|(a, b)| a != b));
        for hop in hops.iter().rev() {
            decrypt_batch(&mut cells.iter_mut().map(|c| (hop, c)).collect::<Vec<_>>());
        }
        assert_eq!(cells, plain);
    }

    #[test]
    fn cells_of_different_tunnels_in_one_batch_do_not_mix() {
        let hops: Vec<_> = (0..3).map(|i| LayerCipher::new(&counting(i), &counting(i + 50))).collect();
        let mut together = [[9; BODY_LEN]; 3];
        encrypt_batch(&mut hops.iter().zip(&mut together).collect::<Vec<_>>());
        for (hop, cell) in hops.iter().zip(together) {
            let mut alone = [9; BODY_LEN];
            encrypt_batch(&mut [(hop, &mut alone)]);
            assert_eq!(alone, cell);
        }
    }

    #[test]
    fn all_kernels_make_the_same_bytes_of_batches_of_any_size() {
        use proptest::prelude::*;
        let strategy = (1..=64_usize, any::<u64>());
        proptest!(ProptestConfig::with_cases(40), |((count, seed) in strategy)| {
            let byte = |i: usize| sha256(&[&seed.to_le_bytes(), &i.to_le_bytes()]);
            let keys: Vec<_> = (0..count).map(|i| (byte(2 * i), byte(2 * i + 1))).collect();
            let plain: Vec<Body> = (0..count).map(|c| {
                let blocks: Vec<u8> = (0..32).flat_map(|b| byte(1000 + 32 * c + b)).collect();
                blocks.try_into().unwrap()
            }).collect();
            let run = |kernel| {
                let hops: Vec<_> = keys.iter().map(|(l, i)| LayerCipher::with_kernel(kernel, l, i)).collect();
                let mut cells = plain.clone();
                encrypt_batch(&mut hops.iter().zip(&mut cells).collect::<Vec<_>>());
                let sealed = cells.clone();
                decrypt_batch(&mut hops.iter().zip(&mut cells).collect::<Vec<_>>());
                assert_eq!(cells, plain, "{}", kernel.name());
                sealed
            };
            let expected = run(Kernel::Portable);
            for kernel in Kernel::ALL.into_iter().filter(|k| k.is_supported()) {
                prop_assert_eq!(&run(kernel), &expected, "{}", kernel.name());
            }
        });
    }

    #[test]
    fn hops_of_different_kernels_may_share_a_batch() {
        let hops = Kernel::ALL.map(|k| LayerCipher::with_kernel(k, &counting(1), &counting(2)));
        let mut cells = [[3; BODY_LEN]; Kernel::ALL.len()];
        encrypt_batch(&mut hops.iter().zip(&mut cells).collect::<Vec<_>>());
        assert!(cells.iter().all(|c| *c == cells[0]));
    }
}
