//! Destinations whose LeaseSets are encrypted: floodfills keep them without knowing whose they are, and only who knows the
//! destination's signing key can find and read them, if the destination wants it so only with a key of his own.
//!
//! ```text
//! signing key, types, day, secret --> alpha --> blinded key of the day --> its place in the netDb
//!                                                   '--> subcredential --> layer 1 --> (client's cookie) --> layer 2 --> LeaseSet2
//! ```
//! spec: encryptedleaseset; b32encrypted. INTEROP: section 1, Blinding: both routers agree on it.

mod layers;

pub use layers::{ClientKey, MAX_READERS, OpenError, Readers, open, seal};

use crate::b32::Blinded;
use crate::data::encrypted_lease_set::EncryptedLeaseSet;
use crate::data::key_type::SigType;
use crate::data::keys_and_cert::Destination;
use crate::id::NetDbKey;
use crate::netdb::routing_key::Day;
use ramson_crypto::blind::Alpha;
use ramson_crypto::hash::{hkdf2, sha256};

/// What is known of such a destination before its LeaseSet is.
#[derive(Clone, PartialEq, Eq)]
pub struct Blinding {
    key: [u8; 32],
    signing: SigType,
    secret: Vec<u8>,
}

/// Its keys on a day.
#[derive(Debug)]
pub struct Today {
    pub(crate) alpha: Alpha,
    /// The blinded key.
    pub key: [u8; 32],
    pub(crate) subcredential: [u8; 32],
}

impl Blinding {
    /// Of a destination; `None` for types of keys that cannot be blinded. The secret is one that all who look for it know beside,
    /// and usually empty.
    pub fn of(destination: &Destination, secret: &[u8]) -> Option<Self> {
        Self::new(&destination.signing_key()?, destination.signing_type(), secret)
    }

    /// Of an address; `None` for types of keys that cannot be blinded.
    pub fn of_address(address: &Blinded, secret: &[u8]) -> Option<Self> {
        let secret = if address.secret { secret } else { &[] };
        Self::new(&address.key, address.signing, secret).filter(|_| address.blinded == SigType::RedDsa)
    }

    fn new(key: &[u8], signing: SigType, secret: &[u8]) -> Option<Self> {
        let blindable = matches!(signing, SigType::Ed25519 | SigType::RedDsa);
        Some(Self { key: key.try_into().ok().filter(|_| blindable)?, signing, secret: secret.to_vec() })
    }

    /// The signing key of its destination.
    pub fn signing_key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Its address; `client_auth` if it cannot be read without a key.
    pub fn address(&self, client_auth: bool) -> Blinded {
        let secret = !self.secret.is_empty();
        let key = self.key.to_vec();
        Blinded { signing: self.signing, blinded: SigType::RedDsa, key, secret, client_auth }
    }

    /// Its keys on a day. About 60 us. `None` if its key is none.
    pub fn on(&self, day: Day) -> Option<Today> {
        let (signing, blinded) = (self.signing.code().to_be_bytes(), SigType::RedDsa.code().to_be_bytes());
        let salt = sha256(&[b"I2PGenerateAlpha", &self.key, &signing, &blinded]);
        let (low, high) = hkdf2(&salt, &[&day.ascii()[..], &self.secret].concat(), b"i2pblinding1");
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&low);
        wide[32..].copy_from_slice(&high);
        let alpha = Alpha::new(&wide);
        let key = alpha.blind(&self.key)?;
        let credential = sha256(&[b"credential", &self.key, &signing, &blinded]);
        let subcredential = sha256(&[b"subcredential", &credential, &key]);
        Some(Today { alpha, key, subcredential })
    }

    fn is_of(&self, destination: &Destination) -> bool {
        destination.signing_type() == self.signing && destination.signing_key().is_some_and(|key| *key == self.key)
    }
}

/// Whose it is stays out of logs.
impl std::fmt::Debug for Blinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blinding(..)")
    }
}

impl Today {
    /// Where its LeaseSet is kept.
    pub fn place(&self) -> NetDbKey {
        EncryptedLeaseSet::place(SigType::RedDsa, &self.key)
    }
}

#[cfg(test)]
mod tests;
