//! Types and lengths of public keys.
//!
//! spec: common-structures §Key Certificates, §PublicKey

use ramson_crypto::kem::Kem;
pub use ramson_crypto::sign::SigType;

/// An encryption key type. Unknown codes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EncType {
    /// 0: the type of identities without a Key Certificate.
    ElGamal,
    /// 1: reserved.
    P256,
    /// 2: reserved.
    P384,
    /// 3: reserved.
    P521,
    /// 4: what all present routers use.
    X25519,
    /// 5: in LeaseSets only; the key published is the X25519 half.
    MlKem512X25519,
    /// 6: in LeaseSets only.
    MlKem768X25519,
    /// 7: in LeaseSets only.
    MlKem1024X25519,
    /// A code that we do not know.
    Unknown(u16),
}

impl EncType {
    /// The type of a code.
    pub fn from_code(code: u16) -> Self {
        match code {
            0 => Self::ElGamal,
            1 => Self::P256,
            2 => Self::P384,
            3 => Self::P521,
            4 => Self::X25519,
            5 => Self::MlKem512X25519,
            6 => Self::MlKem768X25519,
            7 => Self::MlKem1024X25519,
            other => Self::Unknown(other),
        }
    }

    /// The code on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::ElGamal => 0,
            Self::P256 => 1,
            Self::P384 => 2,
            Self::P521 => 3,
            Self::X25519 => 4,
            Self::MlKem512X25519 => 5,
            Self::MlKem768X25519 => 6,
            Self::MlKem1024X25519 => 7,
            Self::Unknown(code) => code,
        }
    }

    /// The type of the keys with which handshakes of this kind are made.
    pub fn of_handshake(kind: Option<Kem>) -> Self {
        match kind {
            None => Self::X25519,
            Some(Kem::MlKem512) => Self::MlKem512X25519,
            Some(Kem::MlKem768) => Self::MlKem768X25519,
            Some(Kem::MlKem1024) => Self::MlKem1024X25519,
        }
    }

    /// The kind of handshake that is made with keys of this type; `None` if none is.
    pub fn handshake(self) -> Option<Option<Kem>> {
        match self {
            Self::X25519 => Some(None),
            Self::MlKem512X25519 => Some(Some(Kem::MlKem512)),
            Self::MlKem768X25519 => Some(Some(Kem::MlKem768)),
            Self::MlKem1024X25519 => Some(Some(Kem::MlKem1024)),
            Self::ElGamal | Self::P256 | Self::P384 | Self::P521 | Self::Unknown(_) => None,
        }
    }

    /// Bytes of a public key; `None` for unknown types.
    pub fn public_key_len(self) -> Option<usize> {
        Some(match self {
            Self::ElGamal => 256,
            Self::P256 => 64,
            Self::P384 => 96,
            Self::P521 => 132,
            Self::X25519 | Self::MlKem512X25519 | Self::MlKem768X25519 | Self::MlKem1024X25519 => 32,
            Self::Unknown(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives() {
        for code in 0..=u16::MAX {
            let kind = EncType::from_code(code);
            assert_eq!(kind.code(), code);
            assert!(kind.handshake().is_none_or(|handshake| EncType::of_handshake(handshake) == kind));
        }
        assert_eq!(EncType::from_code(6).public_key_len(), Some(32));
    }
}
