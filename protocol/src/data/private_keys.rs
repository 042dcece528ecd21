//! Files with the private keys of a destination, as i2pd (`.dat`) and Java (`eepPriv.dat`) write them.
//!
//! ```text
//! Destination | private encryption key, 256 for ElGamal | private signing key |
//! if that is all zeros: expires 4 | transient type 2 | transient public key | signature | transient private key
//! ```
//! The encryption key is unused in both: what lease sets name is kept elsewhere.
//!
//! spec: common-structures §PrivateKeyFile (i2ptunnel); proposal 123 for offline keys

use super::key_type::{EncType, SigType};
use super::keys_and_cert::Destination;
use super::offline::OfflineSignature;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::sign::{PrivateKey, SigningKey};
use zeroize::Zeroizing;

/// The keys of a destination. `Debug` shows none.
#[derive(Clone)]
pub struct PrivateKeys {
    /// Who it is.
    pub destination: Destination,
    /// Its signing key, or the transient one.
    pub key: PrivateKey,
    /// The bytes of the offline signature, if the key is a transient one.
    pub offline: Option<Bytes>,
}

impl PrivateKeys {
    /// New keys from random bytes.
    pub fn generate(seed: [u8; 32], padding: &[u8; 32]) -> Self {
        let key = SigningKey::from_seed(seed);
        Self { destination: Destination::compose(&key.public(), padding), key: key.into(), offline: None }
    }

    /// The same of another type; `None` of one that no new keys are made of.
    pub fn generate_of(kind: SigType, seed: [u8; 32], padding: &[u8; 32]) -> Option<Self> {
        let key = PrivateKey::generate(kind, &seed)?;
        let destination = Destination::compose_of(kind, &key.public(), padding);
        Some(Self { destination, key, offline: None })
    }

    /// Whether its lease set can be encrypted: that takes a key that can be blinded, and the destination's own.
    pub fn can_be_blinded(&self) -> bool {
        self.offline.is_none() && matches!(self.key, PrivateKey::Ed25519(_) | PrivateKey::RedDsa(_))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `Invalid` for signing keys of a type that is not signed with, and for a private key that is not that of
    /// the destination; `Signature` for an offline signature that does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let destination = Destination::parse(&mut r)?;
        // INTEROP: i2pd writes 32 bytes for X25519, and 256 for all that are as long as ElGamal's or shorter in Java.
        let encryption = match destination.encryption_type() {
            EncType::X25519 => 32,
            _ => 256,
        };
        r.take(encryption)?;
        let kind = destination.signing_type();
        let private = r.take(kind.private_key_len().ok_or(Error::Invalid("signature type"))?)?;
        if private.iter().any(|byte| *byte != 0) {
            r.finish()?;
            let public = destination.signing_key().ok_or(Error::Invalid("signature type"))?;
            let key = signing_key(kind, private, &public)?;
            return Ok(Self { destination, key, offline: None });
        }
        let from = r.position();
        let offline = OfflineSignature::parse(&mut r, kind)?;
        let (raw, signed) = (r.since(from), offline.signature.len());
        destination.verify(&raw[..raw.len() - signed], offline.signature)?;
        let key = signing_key(offline.kind, r.take(offline.kind.private_key_len().unwrap_or(0))?, offline.key)?;
        r.finish()?;
        Ok(Self { destination, key, offline: Some(Bytes::copy_from_slice(raw)) })
    }

    /// The file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(1024));
        out.put(self.destination.as_bytes());
        let encryption = if self.destination.encryption_type() == EncType::X25519 { 32 } else { 256 };
        out.put(&[0; 256][..encryption]);
        if let Some(offline) = &self.offline {
            out.put(&vec![0; self.destination.signing_type().private_key_len().unwrap_or(0)]);
            out.put(offline);
        }
        out.put(&self.key.to_bytes());
        out
    }
}

impl std::fmt::Debug for PrivateKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKeys(..)")
    }
}

fn signing_key(kind: SigType, private: &[u8], public: &[u8]) -> Result<PrivateKey> {
    let wrong = "private key, which is not that of the destination or of a type that cannot sign here";
    PrivateKey::parse(kind, private, public).ok_or(Error::Invalid(wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_file_and_a_damaged_file_is_refused() {
        let keys = PrivateKeys::generate([3; 32], &[4; 32]);
        assert_eq!(keys.destination.encryption_type(), EncType::ElGamal, "INTEROP: others Java refuses");
        let bytes = keys.to_bytes();
        assert_eq!(bytes.len(), 391 + 256 + 32);
        let back = PrivateKeys::parse(&bytes).unwrap();
        assert_eq!((back.destination, &back.key.to_bytes()[..]), (keys.destination, &[3; 32][..]));
        for n in 0..bytes.len() {
            assert!(PrivateKeys::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
        let mut other = bytes.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(PrivateKeys::parse(&other).is_err());
    }

    #[test]
    fn keys_of_every_type_come_back_from_their_file() {
        for kind in [SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521, SigType::RedDsa] {
            let keys = PrivateKeys::generate_of(kind, [3; 32], &[4; 32]).unwrap();
            let back = PrivateKeys::parse(&keys.to_bytes()).unwrap();
            assert_eq!((back.destination.signing_type(), back.can_be_blinded()), (kind, kind == SigType::RedDsa));
            let signature = back.key.sign(b"message");
            assert_eq!(keys.destination.verify(b"message", &signature), Ok(()));
        }
        assert!(PrivateKeys::generate_of(SigType::DsaSha1, [3; 32], &[4; 32]).is_none());
    }

    #[test]
    fn offline_keys_come_back_if_their_owner_has_signed_them() {
        let owner = PrivateKeys::generate([3; 32], &[4; 32]);
        let transient = SigningKey::from_seed([5; 32]);
        let mut offline = Vec::new();
        offline.put_u32(2_000_000_000);
        offline.put_u16(7);
        offline.put(&transient.public());
        let signature = owner.key.sign(&offline);
        offline.put(&signature);
        let keys = PrivateKeys { key: transient.into(), offline: Some(offline.into()), ..owner };
        let bytes = keys.to_bytes();
        let back = PrivateKeys::parse(&bytes).unwrap();
        assert_eq!((&back.key.to_bytes()[..], &back.offline), (&[5; 32][..], &keys.offline));
        let mut forged = bytes.to_vec();
        forged[391 + 256 + 32] ^= 1;
        assert_eq!(PrivateKeys::parse(&forged).err(), Some(Error::Signature));
    }
}
