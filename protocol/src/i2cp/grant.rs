//! The lease set that a program signs, and the keys that open what comes by it.
//!
//! ```text
//! CreateLeaseSet2:  kind 1 | lease set | keys 1 | ( type 2 | length 2 | private key )*
//! ```
//! One that is encrypted is read here as others read it: with what the options of the session name.
//!
//! spec: i2cp §CreateLeaseSet2Message

use super::session::Request;
use crate::blinding::{self, Blinding, OpenError};
use crate::data::encrypted_lease_set::EncryptedLeaseSet;
use crate::data::entry::{Entry, EntryKind};
use crate::data::key_type::EncType;
use crate::data::lease_set2::LeaseSet2;
use crate::ratchet::handshake::Secrets;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;

/// A lease set, and the private halves of the keys in it.
#[derive(Clone)]
pub struct Grant {
    /// The lease set.
    pub lease_set: LeaseSet2,
    /// What floodfills are given of it.
    pub stored: Entry,
    /// The keys, as far as handshakes are made with them here.
    pub secrets: Secrets,
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
    #[error(
        "Unsupported leaseset type: {0}, only 3 and 5 are taken: set i2cp.leaseSetType=3 and i2cp.leaseSetEncType=4"
    )]
    Kind(u8),
    /// It is encrypted, and cannot be read with what the options of the session name.
    #[error("Encrypted LS cannot be read: {0}; see i2cp.leaseSetSecret and i2cp.leaseSetPrivKey")]
    Unreadable(#[from] OpenError),
    /// Its owner's key cannot be blinded.
    #[error("Invalid sig type for encrypted LS")]
    SignatureType,
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
    /// It has keys with which no handshake is made here, or none.
    #[error("Unsupported crypto type: {0}, set i2cp.leaseSetEncType=4")]
    Encryption(u16),
}

impl Grant {
    /// Reads what follows the session in a CreateLeaseSet2, and checks that it is of this destination, whole and signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &Bytes, of: &Request, now: Wall) -> std::result::Result<Self, Refusal> {
        let (kind, body) = (Reader::new(bytes).u8()?, bytes.slice(1..));
        let (lease_set, stored, rest) = match EntryKind::from_store_type(kind) {
            Ok(EntryKind::LeaseSet2) => {
                let (lease_set, rest) = LeaseSet2::parse_front(&body)?;
                let stored = lease_set.clone().into();
                (lease_set, stored, rest)
            }
            Ok(EntryKind::EncryptedLeaseSet) => {
                let (sealed, rest) = EncryptedLeaseSet::parse_front(&body)?;
                let blinding = Blinding::of(&of.destination, of.secret.as_bytes()).ok_or(Refusal::SignatureType)?;
                let lease_set = blinding::open(&sealed, &blinding, of.client_key.as_ref())?;
                (lease_set, sealed.into(), rest)
            }
            _ => return Err(Refusal::Kind(kind)),
        };
        if lease_set.hash() != of.destination.hash() {
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
        let mut secrets = Vec::new();
        for ((kind, public), (_, private)) in public.iter().zip(&keys) {
            match kind.handshake() {
                Some(handshake) => {
                    let secret = (*private).try_into().map(SecretKey::from_bytes).map_err(|_| Refusal::Mismatch)?;
                    if secret.public().0 != **public {
                        return Err(Refusal::Mismatch);
                    }
                    secrets.push((handshake, secret));
                }
                // Others may take any of the keys, so each must be one that is spoken here. INTEROP: whoever knows X25519 takes it
                // before ElGamal.
                None if *kind == EncType::ElGamal => {}
                None => return Err(Refusal::Encryption(kind.code())),
            }
        }
        let secrets = Secrets::new(secrets).ok_or(Refusal::Encryption(0))?;
        Ok(Self { lease_set, stored, secrets })
    }

    /// What follows the session in a CreateLeaseSet2.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = vec![self.stored.kind().store_type()];
        out.put(self.stored.as_bytes());
        // In the order of the lease set. One that is refused has others' keys, or none.
        let of = |kind: EncType| self.secrets.iter().find(|(ours, _)| kind.handshake() == Some(*ours));
        let keys: Vec<_> =
            self.lease_set.encryption_keys().filter_map(|(kind, _)| Some((kind, of(kind)?.1.to_bytes()))).collect();
        out.put_u8(u8::try_from(keys.len()).unwrap_or(u8::MAX));
        for (kind, key) in keys {
            out.put_u16(kind.code());
            out.put_u16(32);
            out.put(&key);
        }
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
