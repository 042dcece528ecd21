//! LeaseSet, the first kind: an ElGamal key and leases, for a Destination.
//!
//! spec: common-structures §LeaseSet
//!
//! ```text
//! Destination | encryption key 256 | signing key, unused | count 1 | Lease 44 * count | signature
//! ```

use super::key_type::SigType;
use super::keys_and_cert::{self, Destination, KeysAndCert};
use super::lease::{Lease, MAX_LEASES};
use crate::id::DestinationHash;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::elgamal::PublicKey;
use ramson_crypto::hash::sha256;
use ramson_crypto::sign::PrivateKey;

/// A larger LeaseSet of any kind is not parsed: twice what i2pd's buffer takes with post-quantum keys.
pub const MAX_LEN: usize = 16 * 1024;
/// Length of the ElGamal key.
const KEY_LEN: usize = 256;

/// A checked LeaseSet; whether its signature holds is for [`LeaseSet::verify`] to say.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseSet {
    raw: Bytes,
    hash: DestinationHash,
    signing: SigType,
    earliest: Wall,
    latest: Wall,
    destination_end: usize,
    leases_at: usize,
    signature_at: usize,
}

impl LeaseSet {
    /// Takes the bytes of one LeaseSet, checks their structure and keeps them.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`, `Invalid`, `TooLarge`.
    pub fn parse(raw: Bytes) -> Result<Self> {
        if raw.len() > MAX_LEN {
            return Err(Error::TooLarge("LeaseSet"));
        }
        let mut r = Reader::new(&raw);
        let (signing, _) = KeysAndCert::walk(&mut r)?;
        let hash = DestinationHash(sha256(&[r.since(0)]));
        let destination_end = r.position();
        r.take(KEY_LEN)?;
        r.take(signing.public_key_len().ok_or(Error::Invalid("signature type"))?)?;
        let leases_at = r.position();
        let count = r.u8()?;
        if count > MAX_LEASES {
            return Err(Error::TooLarge("leases"));
        }
        let (mut earliest, mut latest) = (Wall(u64::MAX), Wall(0));
        for _ in 0..count {
            let end = Lease::parse(&mut r)?.end;
            earliest = earliest.min(end);
            latest = latest.max(end);
        }
        let signature_at = r.position();
        r.take(signing.signature_len().ok_or(Error::Invalid("signature type"))?)?;
        r.finish()?;
        Ok(Self { hash, signing, earliest, latest, destination_end, leases_at, signature_at, raw })
    }

    /// Signs one. The key with which it could be revoked is all zeros: nobody revokes any.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_LEASES`]; `Invalid` if the destination's key is of an unknown type.
    pub fn sign(of: &Destination, key: &PrivateKey, encryption: &PublicKey, leases: &[Lease]) -> Result<Self> {
        let count = u8::try_from(leases.len()).ok().filter(|count| *count <= MAX_LEASES);
        let unused = of.signing_type().public_key_len().ok_or(Error::Invalid("signature type"))?;
        let mut raw = of.as_bytes().to_vec();
        raw.put(encryption.as_bytes());
        raw.resize(raw.len() + unused, 0);
        raw.put_u8(count.ok_or(Error::TooLarge("leases"))?);
        leases.iter().for_each(|lease| lease.write(&mut raw));
        let signature = key.sign(&raw);
        raw.put(&signature);
        Self::parse(raw.into())
    }

    /// Verifies the destination's signature.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self) -> Result<()> {
        let (message, signature) = self.raw.split_at(self.signature_at);
        keys_and_cert::verify(&self.raw, self.signing, message, signature)
    }

    /// The exact bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The destination's hash, which is the key it is stored under.
    pub fn hash(&self) -> DestinationHash {
        self.hash
    }

    /// The destination, sharing our bytes.
    ///
    /// # Errors
    /// None: it was checked.
    pub fn destination(&self) -> Result<Destination> {
        Destination::from_bytes(self.raw.slice(..self.destination_end))
    }

    /// The ElGamal key.
    pub fn encryption_key(&self) -> &[u8] {
        self.raw.get(self.destination_end..self.destination_end + KEY_LEN).unwrap_or_default()
    }

    /// The leases.
    pub fn leases(&self) -> impl Iterator<Item = Lease> + use<'_> {
        let mut r = Reader::new(self.raw.get(self.leases_at..self.signature_at).unwrap_or_default());
        let count = r.u8().unwrap_or(0);
        (0..count).map_while(move |_| Lease::parse(&mut r).ok())
    }

    /// The earliest end of a lease: the version of this LeaseSet. The end of time if there are no leases.
    ///
    /// spec: common-structures §LeaseSet, notes
    pub fn earliest(&self) -> Wall {
        self.earliest
    }

    /// The latest end of a lease; 1970 if there are none.
    pub fn expires(&self) -> Wall {
        self.latest
    }
}

impl std::fmt::Debug for LeaseSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseSet").field("expires", &self.latest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RouterHash, TunnelId};
    use ramson_crypto::sign::SigningKey;

    fn sample(leases: u8) -> Vec<u8> {
        let key = SigningKey::from_seed([3; 32]);
        let mut raw = Destination::compose(&key.public(), &[8; 32]).as_bytes().to_vec();
        raw.put(&[5; 256]);
        raw.put(&[6; 32]);
        raw.put_u8(leases);
        for n in 0..leases {
            let end = Wall::from_secs(1_790_000_000 + u32::from(n));
            Lease { gateway: RouterHash([n; 32]), tunnel: TunnelId(7), end }.write(&mut raw);
        }
        let signature = key.sign(&raw);
        raw.put(&signature);
        raw
    }

    #[test]
    fn a_lease_set_is_read_and_verified() {
        let ls = LeaseSet::parse(sample(3).into()).unwrap();
        assert_eq!(ls.verify(), Ok(()));
        assert_eq!(ls.leases().count(), 3);
        assert_eq!((ls.earliest().secs(), ls.expires().secs()), (1_790_000_000, 1_790_000_002));
        assert_eq!(ls.destination().unwrap().hash(), ls.hash());
        assert_eq!(ls.encryption_key(), [5; 256]);
    }

    #[test]
    fn every_prefix_is_refused_and_so_are_seventeen_leases() {
        let raw = Bytes::from(sample(2));
        for n in 0..raw.len() {
            assert!(LeaseSet::parse(raw.slice(..n)).is_err());
        }
        assert_eq!(LeaseSet::parse(sample(17).into()), Err(Error::TooLarge("leases")));
    }

    #[test]
    fn a_changed_byte_breaks_it() {
        for at in [0, 390, 500, 700, 760] {
            let mut raw = sample(2);
            raw[at] ^= 1;
            assert!(LeaseSet::parse(raw.into()).and_then(|l| l.verify()).is_err(), "byte {at}");
        }
    }
}
