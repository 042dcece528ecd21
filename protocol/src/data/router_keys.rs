//! The private half of our own RouterIdentity.
//!
//! Stored as `identity | encryption private key 32 | signing seed 32`: the order of key files elsewhere.

use super::key_type::{EncType, SigType};
use super::keys_and_cert::{KeysAndCert, RouterIdentity};
use crate::wire::{Error, Reader, Result};
use ramson_crypto::{sign::SigningKey, x25519};
use rand::Rng;
use zeroize::{Zeroize, Zeroizing};

/// Our identity and its private keys: X25519 and Ed25519.
#[derive(Clone, Debug)]
pub struct RouterKeys {
    /// The public half.
    pub identity: RouterIdentity,
    /// Signs our RouterInfo.
    pub signing: SigningKey,
    /// Opens build records and garlic addressed to this router.
    pub encryption: x25519::SecretKey,
}

impl RouterKeys {
    /// Makes a new identity.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let mut random = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let (signing, encryption) = (SigningKey::from_seed(random()), x25519::SecretKey::from_bytes(random()));
        let keys = KeysAndCert::compose(
            (EncType::X25519, &encryption.public().0),
            (SigType::Ed25519, &signing.public()),
            &random(),
        );
        Self { identity: RouterIdentity::new(keys), signing, encryption }
    }

    /// The bytes to be stored.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let identity = self.identity.as_bytes();
        let mut out = Zeroizing::new(Vec::with_capacity(identity.len() + 64));
        out.extend_from_slice(identity);
        out.extend_from_slice(&*Zeroizing::new(self.encryption.to_bytes()));
        out.extend_from_slice(&*Zeroizing::new(self.signing.seed()));
        out
    }

    /// Reads stored keys and checks that they belong together.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `Invalid` for other key types and for private keys that are not the identity's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let identity = RouterIdentity::parse(&mut r)?;
        let (mut encryption, mut signing) = (r.array()?, r.array()?);
        r.finish()?;
        let keys = Self {
            identity,
            signing: SigningKey::from_seed(signing),
            encryption: x25519::SecretKey::from_bytes(encryption),
        };
        encryption.zeroize();
        signing.zeroize();
        if keys.identity.signing_type() != SigType::Ed25519 || keys.identity.encryption_type() != EncType::X25519 {
            return Err(Error::Invalid("key types"));
        }
        let signing_matches = keys.identity.signing_key().is_some_and(|k| *k == keys.signing.public());
        if !signing_matches || keys.identity.x25519_key() != Some(keys.encryption.public()) {
            return Err(Error::Invalid("private keys"));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn stored_keys_are_read_back_and_must_belong_together() {
        let keys = RouterKeys::generate(&mut ChaCha20Rng::seed_from_u64(1));
        let mut bytes = keys.to_bytes().to_vec();
        let back = RouterKeys::from_bytes(&bytes).unwrap();
        assert_eq!(back.identity.hash(), keys.identity.hash());
        for n in 0..bytes.len() {
            assert!(RouterKeys::from_bytes(&bytes[..n]).is_err());
        }
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(RouterKeys::from_bytes(&bytes), Err(Error::Invalid("private keys"))));
    }
}
