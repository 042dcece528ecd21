//! MetaLeaseSet: a list of other LeaseSets that stand for one Destination.
//!
//! spec: common-structures §MetaLeaseSet
//!
//! ```text
//! LeaseSet2Header | options: mapping | count 1 | MetaLease 40 * | revocations 1 | hash 32 * | signature
//! ```

use super::keys_and_cert::Destination;
use super::lease::MetaLease;
use super::lease_set::MAX_LEN;
use super::lease_set2::Header;
use super::mapping::Mapping;
use super::offline::OfflineSignature;
use crate::id::{DestinationHash, NetDbKey};
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::sign::Sign;

/// The DatabaseStore type, which is signed with the content.
pub const STORE_TYPE: u8 = 7;

/// A checked MetaLeaseSet; whether its signature holds is for [`MetaLeaseSet::verify`] to say.
#[derive(Clone, PartialEq, Eq)]
pub struct MetaLeaseSet {
    raw: Bytes,
    header: Header,
    leases_at: usize,
    revocations_at: usize,
    signature_at: usize,
}

impl MetaLeaseSet {
    /// Takes the bytes of one MetaLeaseSet, checks their structure and keeps them.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`, `Invalid`, `TooLarge`.
    pub fn parse(raw: Bytes) -> Result<Self> {
        if raw.len() > MAX_LEN {
            return Err(Error::TooLarge("MetaLeaseSet"));
        }
        let (list, rest) = Self::parse_front(&raw)?;
        if rest.is_empty() { Ok(list) } else { Err(Error::Trailing(rest.len())) }
    }

    /// The same with bytes behind it, which are returned.
    ///
    /// # Errors
    /// `Truncated`, `Invalid`, `TooLarge`.
    pub fn parse_front(bytes: &Bytes) -> Result<(Self, Bytes)> {
        let mut r = Reader::new(bytes);
        let header = Header::walk(&mut r)?;
        Mapping::parse(&mut r)?;
        let leases_at = r.position();
        let leases = r.u8()?;
        r.take(usize::from(leases) * MetaLease::LEN)?;
        let revocations_at = r.position();
        let revocations = r.u8()?;
        r.take(usize::from(revocations) * 32)?;
        let signature_at = r.position();
        r.take(header.signature_len)?;
        let end = r.position();
        if end > MAX_LEN {
            return Err(Error::TooLarge("MetaLeaseSet"));
        }
        let raw = bytes.slice(..end);
        Ok((Self { header, leases_at, revocations_at, signature_at, raw }, bytes.slice(end..)))
    }

    /// Signs one that lists these, published then and over with the last of them. `key` is the destination's own, or a transient one
    /// with the bytes of its OfflineSignature.
    ///
    /// # Errors
    /// `TooLarge`; `Invalid` if the last one has ended or ends more than 18 hours later.
    pub fn sign(
        destination: &Destination,
        key: &dyn Sign,
        offline: Option<&[u8]>,
        leases: &[MetaLease],
        published: Wall,
    ) -> Result<Self> {
        let last = leases.iter().map(|lease| lease.end).max().unwrap_or_default();
        let mut raw = Header::begin(STORE_TYPE, destination, (published, last), 0, offline)?;
        raw.put_u16(0); // no options
        raw.put_u8(u8::try_from(leases.len()).map_err(|_| Error::TooLarge("leases"))?);
        leases.iter().for_each(|lease| lease.write(&mut raw));
        raw.put_u8(0); // no revocations
        let signature = key.sign(&raw);
        raw.put(&signature);
        Self::parse(Bytes::from(raw).slice(1..))
    }

    /// Verifies the signature, by way of the offline one if there is one.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self) -> Result<()> {
        self.header.verify(STORE_TYPE, &self.raw, self.signature_at)
    }

    /// The exact bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The destination's hash, which is the key it is stored under.
    pub fn hash(&self) -> DestinationHash {
        self.header.hash
    }

    /// The destination, sharing our bytes.
    ///
    /// # Errors
    /// None: it was checked.
    pub fn destination(&self) -> Result<Destination> {
        Destination::from_bytes(self.raw.slice(..self.header.destination_end))
    }

    /// When it was published: its version.
    pub fn published(&self) -> Wall {
        self.header.times.published()
    }

    /// When it expires.
    pub fn expires(&self) -> Wall {
        self.header.times.expires()
    }

    /// The flags of the header.
    pub fn flags(&self) -> u16 {
        self.header.times.flags
    }

    /// The transient key, if the destination's own is kept offline.
    pub fn offline(&self) -> Option<OfflineSignature<'_>> {
        self.header.offline(&self.raw)
    }

    /// The LeaseSets that it lists.
    pub fn leases(&self) -> impl Iterator<Item = MetaLease> + use<'_> {
        let mut r = Reader::new(self.raw.get(self.leases_at..self.revocations_at).unwrap_or_default());
        let count = r.u8().unwrap_or(0);
        (0..count).map_while(move |_| MetaLease::parse(&mut r).ok())
    }

    /// LeaseSets that it takes back.
    pub fn revocations(&self) -> impl Iterator<Item = NetDbKey> + use<'_> {
        let mut r = Reader::new(self.raw.get(self.revocations_at..self.signature_at).unwrap_or_default());
        let count = r.u8().unwrap_or(0);
        (0..count).map_while(move |_| r.array().map(NetDbKey).ok())
    }
}

impl std::fmt::Debug for MetaLeaseSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetaLeaseSet").field("times", &self.header.times).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_crypto::sign::SigningKey;

    fn sample() -> Vec<u8> {
        let key = SigningKey::from_seed([3; 32]);
        let mut raw = vec![STORE_TYPE];
        raw.put(Destination::compose(&key.public(), &[8; 32]).as_bytes());
        raw.put_u32(1_790_000_000);
        raw.put_u16(7200);
        raw.put_u16(0);
        raw.put_u16(0);
        raw.put_u8(1);
        MetaLease { key: NetDbKey([1; 32]), flags: 3, cost: 9, end: Wall::from_secs(1_790_007_200) }.write(&mut raw);
        raw.put_u8(1);
        raw.put(&[2; 32]);
        let signature = key.sign(&raw);
        raw.put(&signature);
        raw.split_off(1)
    }

    #[test]
    fn a_meta_lease_set_is_read_and_verified() {
        let m = MetaLeaseSet::parse(sample().into()).unwrap();
        assert_eq!(m.verify(), Ok(()));
        assert_eq!(m.expires().secs(), 1_790_007_200);
        assert_eq!(m.leases().map(|l| (l.flags, l.cost)).collect::<Vec<_>>(), [(3, 9)]);
        assert_eq!(m.revocations().collect::<Vec<_>>(), [NetDbKey([2; 32])]);
    }

    #[test]
    fn one_that_was_signed_is_read_back() {
        let key = SigningKey::from_seed([4; 32]);
        let destination = Destination::compose(&key.public(), &[8; 32]);
        let lease = |n: u8| MetaLease {
            key: NetDbKey([n; 32]),
            flags: 3,
            cost: n,
            end: Wall::from_secs(1_790_000_000 + 600 * u32::from(n)),
        };
        let leases = [lease(1), lease(2)];
        let signed = MetaLeaseSet::sign(&destination, &key, None, &leases, Wall::from_secs(1_790_000_000)).unwrap();
        assert_eq!(signed.verify(), Ok(()));
        assert_eq!((signed.hash(), signed.expires().secs()), (destination.hash(), 1_790_001_200));
        assert!(signed.leases().eq(leases));
    }

    #[test]
    fn every_prefix_is_refused_and_every_changed_byte_breaks_it() {
        let raw = Bytes::from(sample());
        for n in 0..raw.len() {
            assert!(MetaLeaseSet::parse(raw.slice(..n)).is_err());
            let mut bad = raw.to_vec();
            bad[n] ^= 1;
            assert!(MetaLeaseSet::parse(bad.into()).and_then(|l| l.verify()).is_err(), "byte {n}");
        }
    }
}
