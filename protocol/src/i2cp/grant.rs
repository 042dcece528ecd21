//! The lease set that a program signs, and the keys that open what comes by it.
//!
//! ```text
//! CreateLeaseSet2:  kind 1 | lease set | keys 1 | ( type 2 | length 2 | private key )*
//! ```
//! spec: i2cp §CreateLeaseSet2Message

use crate::data::entry::EntryKind;
use crate::data::key_type::EncType;
use crate::data::keys_and_cert::Destination;
use crate::data::lease_set2::LeaseSet2;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;

/// A lease set, and the private half of the key in it.
#[derive(Clone)]
pub struct Grant {
    /// The lease set.
    pub lease_set: LeaseSet2,
    /// The key.
    pub key: SecretKey,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").finish_non_exhaustive()
    }
}

/// Why a lease set is not taken. The words are Java's, where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is of a kind that destinations here do not have.
    #[error("Unsupported leaseset type: {0}, only 3 is taken: set i2cp.leaseSetType=3 and i2cp.leaseSetEncType=4")]
    Kind(u8),
    /// It cannot be read, or is not signed as it must be.
    #[error("Invalid leaseset: {0}")]
    Invalid(#[from] Error),
    /// It has ended.
    #[error("Invalid leaseset: it has expired")]
    Expired,
    /// It is somebody else's.
    #[error("Different destination in LS")]
    Destination,
    /// Its keys are not those that were sent along.
    #[error("Private/public crypto key mismatch in LS")]
    Mismatch,
    /// It has keys that are not spoken here, or none.
    #[error("Unsupported crypto type: {0}, set i2cp.leaseSetEncType=4")]
    Encryption(u16),
}

impl Grant {
    /// Reads what follows the session in a CreateLeaseSet2, and checks that it is of this destination, whole and signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &Bytes, of: &Destination, now: Wall) -> std::result::Result<Self, Refusal> {
        let kind = Reader::new(bytes).u8()?;
        if kind != EntryKind::LeaseSet2.store_type() {
            return Err(Refusal::Kind(kind));
        }
        let (lease_set, rest) = LeaseSet2::parse_front(&bytes.slice(1..))?;
        if lease_set.hash() != of.hash() {
            return Err(Refusal::Destination);
        }
        lease_set.verify()?;
        if lease_set.expires() <= now {
            return Err(Refusal::Expired);
        }
        let keys = private_keys(&rest)?;
        let public: Vec<(EncType, &[u8])> = lease_set.encryption_keys().collect();
        if public.len() != keys.len() || public.iter().zip(&keys).any(|(public, private)| public.0 != private.0) {
            return Err(Refusal::Mismatch);
        }
        // Others may take any of the keys, so each must be one that is spoken here. INTEROP: whoever knows X25519 takes it before ElGamal.
        if let Some((other, _)) = keys.iter().find(|(kind, _)| !matches!(kind, EncType::X25519 | EncType::ElGamal)) {
            return Err(Refusal::Encryption(other.code()));
        }
        let ours = public.iter().zip(&keys).find(|((kind, _), _)| *kind == EncType::X25519);
        let Some(((_, public), (_, private))) = ours else { return Err(Refusal::Encryption(0)) };
        let key = (*private).try_into().map(SecretKey::from_bytes).map_err(|_| Refusal::Mismatch)?;
        if key.public().0 != **public {
            return Err(Refusal::Mismatch);
        }
        Ok(Self { lease_set, key })
    }

    /// What follows the session in a CreateLeaseSet2.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = vec![EntryKind::LeaseSet2.store_type()];
        out.put(self.lease_set.as_bytes());
        out.put_u8(1);
        out.put_u16(EncType::X25519.code());
        out.put_u16(32);
        out.put(&self.key.to_bytes());
        out.into()
    }
}

fn private_keys(bytes: &[u8]) -> Result<Vec<(EncType, &[u8])>> {
    let mut r = Reader::new(bytes);
    let count = r.u8()?;
    let keys = (0..count)
        .map(|_| {
            let (kind, len) = (EncType::from_code(r.u16()?), r.u16()?);
            Ok((kind, r.take(len.into())?))
        })
        .collect::<Result<_>>()?;
    r.finish()?;
    Ok(keys)
}
