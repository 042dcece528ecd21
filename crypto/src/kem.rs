//! ML-KEM, the part of hybrid handshakes that a quantum computer does not break.
//!
//! spec: FIPS 203; ecies-hybrid §Key Exchange

use ml_kem::array::Array;
use ml_kem::{Decapsulate, DecapsulationKey, EncapsulationKey, KeyExport, TryKeyInit};
use ml_kem::{MlKem512, MlKem768, MlKem1024};
use zeroize::Zeroizing;

/// A parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kem {
    /// ML-KEM-512.
    MlKem512,
    /// ML-KEM-768.
    MlKem768,
    /// ML-KEM-1024.
    MlKem1024,
}

/// What was received is no key, or of the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

/// A private key, as the seed that it is made of: 64 bytes instead of some thousands. Wiped on drop.
#[derive(Clone)]
pub struct Decapsulator {
    kem: Kem,
    seed: Zeroizing<[u8; 64]>,
}

macro_rules! each {
    ($kem:expr, $of:ident) => {
        match $kem {
            Kem::MlKem512 => $of!(MlKem512),
            Kem::MlKem768 => $of!(MlKem768),
            Kem::MlKem1024 => $of!(MlKem1024),
        }
    };
}

impl Kem {
    /// Bytes of a public key.
    pub fn key_len(self) -> usize {
        match self {
            Self::MlKem512 => 800,
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
        }
    }

    /// Bytes of a ciphertext.
    pub fn ciphertext_len(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
        }
    }

    /// A key pair from 64 random bytes; appends the public key. About 20 us.
    pub fn generate(self, seed: [u8; 64], public: &mut Vec<u8>) -> Decapsulator {
        macro_rules! of {
            ($set:ty) => {
                public
                    .extend_from_slice(&DecapsulationKey::<$set>::from_seed(seed.into()).encapsulation_key().to_bytes())
            };
        }
        each!(self, of);
        Decapsulator { kem: self, seed: Zeroizing::new(seed) }
    }

    /// A secret for the holder of `public`, from 32 random bytes; appends what he needs to know it. About 20 us.
    ///
    /// # Errors
    /// If `public` is no key.
    pub fn encapsulate(self, public: &[u8], random: [u8; 32], out: &mut Vec<u8>) -> Result<[u8; 32], BadKey> {
        macro_rules! of {
            ($set:ty) => {{
                let key = EncapsulationKey::<$set>::new_from_slice(public).map_err(|_| BadKey)?;
                let (ciphertext, shared) = key.encapsulate_deterministic(&random.into());
                out.extend_from_slice(&ciphertext);
                Ok(shared.into())
            }};
        }
        each!(self, of)
    }
}

impl Decapsulator {
    /// The secret that somebody has made for us. One that is not for us is a random one, as the standard has it. About 40 us.
    ///
    /// # Errors
    /// If `ciphertext` is of the wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<[u8; 32], BadKey> {
        macro_rules! of {
            ($set:ty) => {{
                let ciphertext = Array::try_from(ciphertext).map_err(|_| BadKey)?;
                Ok(DecapsulationKey::<$set>::from_seed((*self.seed).into()).decapsulate(&ciphertext).into())
            }};
        }
        each!(self.kem, of)
    }
}

impl std::fmt::Debug for Decapsulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decapsulator(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_same_secret_and_lengths_are_those_of_the_standard() {
        for kem in [Kem::MlKem512, Kem::MlKem768, Kem::MlKem1024] {
            let (mut public, mut ciphertext) = (Vec::new(), Vec::new());
            let ours = kem.generate([3; 64], &mut public);
            let secret = kem.encapsulate(&public, [4; 32], &mut ciphertext).unwrap();
            assert_eq!((public.len(), ciphertext.len()), (kem.key_len(), kem.ciphertext_len()));
            assert_eq!(ours.decapsulate(&ciphertext), Ok(secret));
            ciphertext[0] ^= 1;
            assert_ne!(ours.decapsulate(&ciphertext), Ok(secret));
            assert_eq!(ours.decapsulate(&ciphertext[1..]), Err(BadKey));
            assert_eq!(kem.encapsulate(&public[1..], [4; 32], &mut Vec::new()), Err(BadKey));
        }
    }

    #[test]
    fn coefficients_beyond_the_modulus_are_no_key() {
        for kem in [Kem::MlKem512, Kem::MlKem768, Kem::MlKem1024] {
            assert_eq!(kem.encapsulate(&vec![0xff; kem.key_len()], [4; 32], &mut Vec::new()), Err(BadKey));
        }
    }
}
