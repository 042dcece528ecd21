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
use ramson_crypto::sign::SigningKey;
use zeroize::Zeroizing;

/// The keys of a destination. `Debug` shows none.
#[derive(Clone)]
pub struct PrivateKeys {
    /// Who it is.
    pub destination: Destination,
    /// Its signing key, or the transient one.
    pub key: SigningKey,
    /// The bytes of the offline signature, if the key is a transient one.
    pub offline: Option<Bytes>,
}

impl PrivateKeys {
    /// New keys from random bytes.
    pub fn generate(seed: [u8; 32], padding: &[u8; 32]) -> Self {
        let key = SigningKey::from_seed(seed);
        Self { destination: Destination::compose(&key.public(), padding), key, offline: None }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `Invalid` for signing keys that are not Ed25519, and for a private key that is not that of the
    /// destination; `Signature` for an offline signature that does not hold.
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
            let key = signing_key(kind, private)?;
            let matches = destination.signing_key().is_some_and(|public| *public == key.public());
            return if matches {
                Ok(Self { destination, key, offline: None })
            } else {
                Err(Error::Invalid("private key, which is not that of the destination"))
            };
        }
        let from = r.position();
        let offline = OfflineSignature::parse(&mut r, kind)?;
        let (raw, signed) = (r.since(from), offline.signature.len());
        destination.verify(&raw[..raw.len() - signed], offline.signature)?;
        let key = signing_key(offline.kind, r.take(offline.kind.private_key_len().unwrap_or(0))?)?;
        r.finish()?;
        if key.public() != offline.key {
            return Err(Error::Invalid("private key, which is not the one that was signed"));
        }
        Ok(Self { destination, key, offline: Some(Bytes::copy_from_slice(raw)) })
    }

    /// The file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(1024));
        out.put(self.destination.as_bytes());
        let encryption = if self.destination.encryption_type() == EncType::X25519 { 32 } else { 256 };
        out.put(&[0; 256][..encryption]);
        if let Some(offline) = &self.offline {
            out.put(&[0; 64][..self.destination.signing_type().private_key_len().unwrap_or(32).min(64)]);
            out.put(offline);
        }
        out.put(&self.key.seed());
        out
    }
}

impl std::fmt::Debug for PrivateKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKeys(..)")
    }
}

fn signing_key(kind: SigType, private: &[u8]) -> Result<SigningKey> {
    match kind {
        SigType::Ed25519 => private.try_into().map(SigningKey::from_seed).map_err(|_| Error::Invalid("private key")),
        _ => Err(Error::Invalid("signature type: only Ed25519 can sign here")),
    }
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
        assert_eq!((back.destination, back.key.seed()), (keys.destination, [3; 32]));
        for n in 0..bytes.len() {
            assert!(PrivateKeys::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
        let mut other = bytes.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(PrivateKeys::parse(&other).is_err());
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
        let keys = PrivateKeys { key: transient, offline: Some(offline.into()), ..owner };
        let bytes = keys.to_bytes();
        let back = PrivateKeys::parse(&bytes).unwrap();
        assert_eq!((back.key.seed(), &back.offline), ([5; 32], &keys.offline));
        let mut forged = bytes.to_vec();
        forged[391 + 256 + 32] ^= 1;
        assert_eq!(PrivateKeys::parse(&forged).err(), Some(Error::Signature));
    }
}
