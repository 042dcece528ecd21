//! Private keys of every type that a destination may sign with: those of key files, and new ones.
//!
//! DSA keys are taken from files alone: nobody should begin with one. RSA, which occurs in no structure of the network, is not signed with.
//!
//! spec: common-structures §SigningPrivateKey (lengths, byte order); red25519

use super::{DSA_Q, SigType, Sign, SigningKey, big, dsa_key};
use crate::blind::RedKey;
use sha1::Sha1;
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// A private key. Wiped on drop, never printed.
#[derive(Clone)]
pub enum PrivateKey {
    /// Type 7.
    Ed25519(SigningKey),
    /// Type 11.
    RedDsa(RedKey),
    /// Type 1.
    P256(Box<p256::ecdsa::SigningKey>),
    /// Type 2.
    P384(Box<p384::ecdsa::SigningKey>),
    /// Type 3.
    P521(Box<p521::ecdsa::SigningKey>),
    /// Type 0.
    Dsa(Box<dsa::SigningKey>),
}

impl PrivateKey {
    /// The key of its bytes, if it is that of `public`. `None` if it is not, or of a type that is not signed with.
    pub fn parse(kind: SigType, private: &[u8], public: &[u8]) -> Option<Self> {
        let key = match kind {
            SigType::DsaSha1 => {
                let key = dsa::SigningKey::from_components(dsa_key(public).ok()?, big(private).ok()?).ok()?;
                Self::Dsa(Box::new(key))
            }
            _ => Self::of_bytes(kind, private)?,
        };
        // DSA's holds both halves as they were given: what it signs tells whether they belong together.
        let fits = match kind {
            SigType::DsaSha1 => super::verify(kind, public, b"", &key.sign(b"")).is_ok(),
            _ => key.public() == public,
        };
        fits.then_some(key)
    }

    /// A new key of a seed of 32 random bytes. `None` of a type that no new keys are made of.
    pub fn generate(kind: SigType, seed: &[u8; 32]) -> Option<Self> {
        match kind {
            SigType::Ed25519 => Some(Self::Ed25519(SigningKey::from_seed(*seed))),
            SigType::RedDsa => {
                let mut wide = [0; 64];
                wide.copy_from_slice(&stretch(seed, 0, 64));
                let key = RedKey::from_random(&wide);
                wide.zeroize();
                Some(Self::RedDsa(key))
            }
            SigType::EcdsaP256 | SigType::EcdsaP384 | SigType::EcdsaP521 => {
                // What stands above the order of the curve's group is no key; of P-521 all but one bit of the first byte are zeros.
                let len = kind.private_key_len()?;
                (0..=u8::MAX).find_map(|n| {
                    let mut bytes = stretch(seed, n, len);
                    if kind == SigType::EcdsaP521 {
                        bytes[0] &= 1;
                    }
                    Self::of_bytes(kind, &bytes)
                })
            }
            _ => None,
        }
    }

    /// Whether new keys of a type are made.
    pub fn can_be_made(kind: SigType) -> bool {
        matches!(
            kind,
            SigType::Ed25519 | SigType::RedDsa | SigType::EcdsaP256 | SigType::EcdsaP384 | SigType::EcdsaP521
        )
    }

    fn of_bytes(kind: SigType, private: &[u8]) -> Option<Self> {
        if kind.private_key_len() != Some(private.len()) {
            return None;
        }
        Some(match kind {
            SigType::Ed25519 => Self::Ed25519(SigningKey::from_seed(private.try_into().ok()?)),
            SigType::RedDsa => Self::RedDsa(RedKey::from_bytes(private.try_into().ok()?)),
            SigType::EcdsaP256 => Self::P256(Box::new(p256::ecdsa::SigningKey::from_slice(private).ok()?)),
            SigType::EcdsaP384 => Self::P384(Box::new(p384::ecdsa::SigningKey::from_slice(private).ok()?)),
            SigType::EcdsaP521 => Self::P521(Box::new(p521::ecdsa::SigningKey::from_slice(private).ok()?)),
            _ => return None,
        })
    }

    /// The public half.
    pub fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.public().to_vec(),
            Self::RedDsa(key) => key.public().to_vec(),
            // SEC1's uncompressed form begins with a byte that says so.
            Self::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec(),
            Self::P384(key) => key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec(),
            Self::P521(key) => key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec(),
            Self::Dsa(key) => fixed(&key.verifying_key().y().to_be_bytes(), 128),
        }
    }

    /// Its bytes, to be stored.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Ed25519(key) => key.seed().to_vec(),
            Self::RedDsa(key) => key.to_bytes().to_vec(),
            Self::P256(key) => key.to_bytes().to_vec(),
            Self::P384(key) => key.to_bytes().to_vec(),
            Self::P521(key) => key.to_bytes().to_vec(),
            Self::Dsa(key) => fixed(&key.x().to_be_bytes(), DSA_Q.len()),
        })
    }

    /// Signs `message` without anything random (RFC 6979). About 20 us for Ed25519, 150 for P-256, up to 2 ms for P-521 and DSA.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        use p256::ecdsa::signature::Signer;
        match self {
            Self::Ed25519(key) => SigningKey::sign(key, message).to_vec(),
            Self::RedDsa(key) => key.sign_alone(message).to_vec(),
            Self::P256(key) => Signer::<p256::ecdsa::Signature>::sign(&**key, message).to_bytes().to_vec(),
            Self::P384(key) => Signer::<p384::ecdsa::Signature>::sign(&**key, message).to_bytes().to_vec(),
            Self::P521(key) => Signer::<p521::ecdsa::Signature>::sign(&**key, message).to_bytes().to_vec(),
            Self::Dsa(key) => {
                // It fails once in 2^160 messages: then nobody takes what was signed.
                let signed = key.sign_prehashed_rfc6979::<Sha1>(&Sha1::digest(message));
                let parts = signed.map(|one| [fixed(&one.r().to_be_bytes(), 20), fixed(&one.s().to_be_bytes(), 20)]);
                parts.map_or_else(|_| vec![0; 40], |parts| parts.concat())
            }
        }
    }
}

impl Sign for PrivateKey {
    fn kind(&self) -> SigType {
        match self {
            Self::Ed25519(_) => SigType::Ed25519,
            Self::RedDsa(_) => SigType::RedDsa,
            Self::P256(_) => SigType::EcdsaP256,
            Self::P384(_) => SigType::EcdsaP384,
            Self::P521(_) => SigType::EcdsaP521,
            Self::Dsa(_) => SigType::DsaSha1,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        Self::sign(self, message)
    }
}

impl From<SigningKey> for PrivateKey {
    fn from(key: SigningKey) -> Self {
        Self::Ed25519(key)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// `len` bytes, at most 128, that only the seed tells.
fn stretch(seed: &[u8; 32], n: u8, len: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(128));
    for half in 0..2 {
        bytes.extend_from_slice(&Sha512::new().chain_update([n, half]).chain_update(seed).finalize());
    }
    bytes.truncate(len);
    bytes
}

/// A number of big-endian bytes as `len` of them.
fn fixed(bytes: &[u8], len: usize) -> Vec<u8> {
    let (mut out, used) = (vec![0; len], bytes.len().min(len));
    out[len - used..].copy_from_slice(&bytes[bytes.len() - used..]);
    out
}

#[cfg(test)]
mod tests {
    use super::super::verify;
    use super::*;

    const MADE: [SigType; 5] =
        [SigType::Ed25519, SigType::RedDsa, SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521];

    #[test]
    fn new_keys_of_every_type_sign_and_come_back_from_their_bytes() {
        for kind in MADE {
            let key = PrivateKey::generate(kind, &[7; 32]).unwrap();
            assert_eq!((key.kind(), Some(key.to_bytes().len())), (kind, kind.private_key_len()));
            let (public, signature) = (key.public(), key.sign(b"message"));
            assert_eq!(verify(kind, &public, b"message", &signature), Ok(()), "{kind:?}");
            assert!(verify(kind, &public, b"massage", &signature).is_err());
            let back = PrivateKey::parse(kind, &key.to_bytes(), &public).unwrap();
            assert_eq!(back.sign(b"message"), signature);
            let other = PrivateKey::generate(kind, &[8; 32]).unwrap();
            assert!(PrivateKey::parse(kind, &other.to_bytes(), &public).is_none(), "{kind:?}");
            assert!(PrivateKey::parse(kind, &key.to_bytes()[1..], &public).is_none());
        }
    }

    #[test]
    fn a_dsa_key_of_a_file_signs_and_no_new_one_is_made() {
        assert!(PrivateKey::generate(SigType::DsaSha1, &[7; 32]).is_none());
        // x = 1: the public half is the generator.
        let g = dsa_key(&super::super::DSA_G).unwrap();
        let private = fixed(&[1], 20);
        let key = PrivateKey::parse(SigType::DsaSha1, &private, &super::super::DSA_G).unwrap();
        assert_eq!((key.public(), key.to_bytes().to_vec()), (fixed(&g.y().to_be_bytes(), 128), private));
        assert_eq!(verify(SigType::DsaSha1, &key.public(), b"message", &key.sign(b"message")), Ok(()));
        assert!(PrivateKey::parse(SigType::DsaSha1, &fixed(&[2], 20), &super::super::DSA_G).is_none());
    }

    #[test]
    fn types_have_names_and_codes() {
        for kind in MADE {
            assert_eq!(SigType::from_name(kind.name().unwrap()), Some(kind));
            assert_eq!(SigType::from_name(&kind.code().to_string()), Some(kind));
        }
        assert_eq!(SigType::from_name("eddsa_sha512_ed25519"), Some(SigType::Ed25519));
        assert_eq!(SigType::from_name("nothing"), None);
    }
}
