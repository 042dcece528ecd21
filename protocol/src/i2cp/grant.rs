//! The lease set that a program signs, and the keys that open what comes by it.
//!
//! ```text
//! CreateLeaseSet2:  kind 1 | lease set | keys 1 | ( type 2 | length 2 | private key )*
//! CreateLeaseSet:   unused 20 | private key of ElGamal 256 | lease set of the first kind
//! ```
//! One that is encrypted is read here as others read it: with what the options of the session name. A MetaLeaseSet has no keys: whoever
//! publishes it is never spoken with itself.
//!
//! The first field of CreateLeaseSet is as long as a private key of DSA, whatever the destination signs with. INTEROP: Java fills it with
//! random bytes if that is another type.
//!
//! spec: i2cp §CreateLeaseSetMessage, §CreateLeaseSet2Message

use super::session::Request;
use crate::blinding::{self, Blinding, OpenError};
use crate::data::encrypted_lease_set::EncryptedLeaseSet;
use crate::data::entry::{Entry, EntryKind};
use crate::data::key_type::EncType;
use crate::data::lease_set::LeaseSet;
use crate::data::lease_set2::LeaseSet2;
use crate::data::meta_lease_set::MetaLeaseSet;
use crate::ratchet::handshake::{Kind, Secrets};
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::elgamal;
use ramson_crypto::x25519::SecretKey;

/// What the key takes by which a lease set of the first kind could be revoked.
const REVOKING_LEN: usize = 20;

/// A lease set, and the private halves of the keys in it.
#[derive(Clone)]
pub struct Grant {
    /// The lease set, of the first or the second kind or a MetaLeaseSet, and never an encrypted one.
    pub lease_set: Entry,
    /// What floodfills are given of it.
    pub stored: Entry,
    /// The keys; a MetaLeaseSet has none.
    pub secrets: Option<Secrets>,
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
        "Unsupported leaseset type: {0}, only 3, 5 and 7 are taken so: set i2cp.leaseSetType=3 and i2cp.leaseSetEncType=4"
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
    /// It has keys of a type that is not spoken here.
    #[error("Unsupported crypto type: {0}, set i2cp.leaseSetEncType=4")]
    Encryption(u16),
    /// It has none.
    #[error("No crypto keys in LS, set i2cp.leaseSetEncType=4")]
    NoKeys,
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
            Ok(EntryKind::MetaLeaseSet) => {
                let (list, rest) = MetaLeaseSet::parse_front(&body)?;
                // spec: i2cp §CreateLeaseSet2Message — their number is there, if at all, to say that there are none.
                let none: &[u8] = &rest;
                if !matches!(none, [] | [0]) {
                    return Err(Refusal::Mismatch);
                }
                let lease_set = Self::checked(Entry::MetaLeaseSet(list), of, now)?;
                return Ok(Self { stored: lease_set.clone(), lease_set, secrets: None });
            }
            _ => return Err(Refusal::Kind(kind)),
        };
        Self::check(lease_set.into(), stored, &private_keys(&rest)?, of, now)
    }

    /// The same of what follows the session in a CreateLeaseSet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_first(bytes: &Bytes, of: &Request, now: Wall) -> std::result::Result<Self, Refusal> {
        let mut r = Reader::new(bytes);
        r.take(REVOKING_LEN)?;
        let key = r.take(elgamal::KEY_LEN)?;
        let lease_set = LeaseSet::parse(bytes.slice(r.position()..))?;
        Self::check(lease_set.clone().into(), lease_set.into(), &[(EncType::ElGamal, key)], of, now)
    }

    fn check(
        lease_set: Entry,
        stored: Entry,
        keys: &[(EncType, &[u8])],
        of: &Request,
        now: Wall,
    ) -> std::result::Result<Self, Refusal> {
        let lease_set = Self::checked(lease_set, of, now)?;
        let secrets = secrets(&lease_set.encryption_keys(), keys)?;
        Ok(Self { lease_set, stored, secrets: Some(secrets) })
    }

    /// A lease set of this destination's, signed and in time.
    fn checked(lease_set: Entry, of: &Request, now: Wall) -> std::result::Result<Entry, Refusal> {
        if lease_set.key() != of.destination.hash().into() {
            return Err(Refusal::Destination);
        }
        lease_set.verify()?;
        if lease_set.expires().is_none_or(|end| end <= now) {
            return Err(Refusal::Expired);
        }
        Ok(lease_set)
    }

    /// What follows the session in a CreateLeaseSet2, or in a CreateLeaseSet if it is of the first kind.
    pub fn to_bytes(&self) -> Bytes {
        if let Entry::LeaseSet(first) = &self.lease_set {
            let mut out = vec![0; REVOKING_LEN];
            out.put(&self.elgamal().map_or([0; elgamal::KEY_LEN], elgamal::SecretKey::to_wide));
            out.put(first.as_bytes());
            return out.into();
        }
        let mut out = vec![self.stored.kind().store_type()];
        out.put(self.stored.as_bytes());
        // In the order of the lease set. One that is refused has others' keys, or none.
        let of = |kind: EncType| match kind.handshake() {
            Some(kind) => self.handshakes().find(|(ours, _)| kind == *ours).map(|(_, key)| key.to_bytes().to_vec()),
            None => self.elgamal().filter(|_| kind == EncType::ElGamal).map(|key| key.to_wide().to_vec()),
        };
        let named = self.lease_set.encryption_keys();
        let keys: Vec<_> = named.iter().filter_map(|(kind, _)| Some((*kind, of(*kind)?))).collect();
        out.put_u8(u8::try_from(keys.len()).unwrap_or(u8::MAX));
        for (kind, key) in keys {
            out.put_u16(kind.code());
            out.put_u16(u16::try_from(key.len()).unwrap_or(u16::MAX));
            out.put(&key);
        }
        out.into()
    }

    fn elgamal(&self) -> Option<&elgamal::SecretKey> {
        self.secrets.as_ref().and_then(Secrets::elgamal)
    }

    fn handshakes(&self) -> impl Iterator<Item = (Kind, &SecretKey)> {
        self.secrets.iter().flat_map(Secrets::iter)
    }
}

/// The private halves of these public keys, if they are.
fn secrets(public: &[(EncType, &[u8])], private: &[(EncType, &[u8])]) -> std::result::Result<Secrets, Refusal> {
    if public.len() != private.len() || public.iter().zip(private).any(|(public, private)| public.0 != private.0) {
        return Err(Refusal::Mismatch);
    }
    let (mut handshakes, mut old) = (Vec::new(), None);
    for ((kind, public), (_, private)) in public.iter().zip(private) {
        match kind.handshake() {
            Some(handshake) => {
                let secret = (*private).try_into().map(SecretKey::from_bytes).map_err(|_| Refusal::Mismatch)?;
                if secret.public().0 != **public {
                    return Err(Refusal::Mismatch);
                }
                handshakes.push((handshake, secret));
            }
            None if *kind == EncType::ElGamal => {
                let secret = (*private).try_into().ok().and_then(elgamal::SecretKey::from_wide);
                let secret = secret.filter(|secret| secret.public().as_bytes()[..] == **public);
                let secret = secret.ok_or(Refusal::Mismatch)?;
                old.get_or_insert(secret);
            }
            // Others may take any of the keys, so each must be one that is spoken here.
            None => return Err(Refusal::Encryption(kind.code())),
        }
    }
    Secrets::with_elgamal(handshakes, old).ok_or(Refusal::NoKeys)
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
