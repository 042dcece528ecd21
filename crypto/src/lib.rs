//! Cryptographic primitives for I2P, and nothing else: no message format, no socket, no clock, no ambient randomness.
//!
//! Everything here is a thin, typed layer over well-kept libraries: *ring* wherever it has the primitive, RustCrypto
//! and dalek for what it lacks. The one thing of our own is the tunnel layer ([`tunnel`]), which is what a relay
//! spends its life in.

pub mod aead;
pub mod blind;
pub mod cbc;
pub mod chacha20;
pub mod elgamal;
pub mod elligator;
pub mod hash;
pub mod kem;
pub mod mask;
pub mod rsa;
pub mod sign;
pub mod siphash;
pub mod tunnel;
pub mod x25519;
