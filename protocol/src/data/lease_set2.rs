//! LeaseSet2: leases and encryption keys of any type, for a Destination.
//!
//! spec: common-structures §LeaseSet2Header, §LeaseSet2
//!
//! ```text
//! header:  Destination | published 4, s | expires 2, s after | flags 2 | OfflineSignature if bit 0
//! then:    options: mapping | keys 1 | ( type 2 | length 2 | key )* | leases 1 | Lease2 40 * | signature
//! ```

mod build;
mod header;

pub use build::LeaseSet2Builder;
pub use header::{FLAG_BLINDED, FLAG_OFFLINE, FLAG_UNPUBLISHED};
pub(crate) use header::{Header, Times};

use super::key_type::EncType;
use super::keys_and_cert::Destination;
use super::lease::{Lease, MAX_LEASES};
use super::lease_set::MAX_LEN;
use super::mapping::Mapping;
use super::offline::OfflineSignature;
use crate::id::DestinationHash;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result};
use bytes::Bytes;

/// The DatabaseStore type, which is signed with the content.
pub const STORE_TYPE: u8 = 3;

/// A checked LeaseSet2; whether its signature holds is for [`LeaseSet2::verify`] to say.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseSet2 {
    raw: Bytes,
    header: Header,
    keys_at: usize,
    leases_at: usize,
    signature_at: usize,
    latest: Wall,
}

impl LeaseSet2 {
    /// Takes the bytes of one LeaseSet2, checks their structure and keeps them.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`, `Invalid`, `TooLarge`.
    pub fn parse(raw: Bytes) -> Result<Self> {
        if raw.len() > MAX_LEN {
            return Err(Error::TooLarge("LeaseSet2"));
        }
        let (lease_set, rest) = Self::parse_front(&raw)?;
        if rest.is_empty() { Ok(lease_set) } else { Err(Error::Trailing(rest.len())) }
    }

    /// The same with bytes behind it, which are returned.
    ///
    /// # Errors
    /// `Truncated`, `Invalid`, `TooLarge`.
    pub fn parse_front(bytes: &Bytes) -> Result<(Self, Bytes)> {
        let mut r = Reader::new(bytes);
        let header = Header::walk(&mut r)?;
        Mapping::parse(&mut r)?;
        let keys_at = r.position();
        for _ in 0..r.u8()? {
            let (kind, key) = key(&mut r)?;
            if kind.public_key_len().is_some_and(|len| len != key.len()) {
                return Err(Error::Invalid("encryption key length"));
            }
        }
        let leases_at = r.position();
        let count = r.u8()?;
        if count > MAX_LEASES {
            return Err(Error::TooLarge("leases"));
        }
        let mut latest = Wall(0);
        for _ in 0..count {
            latest = latest.max(Lease::parse2(&mut r)?.end);
        }
        let signature_at = r.position();
        r.take(header.signature_len)?;
        let end = r.position();
        if end > MAX_LEN {
            return Err(Error::TooLarge("LeaseSet2"));
        }
        let raw = bytes.slice(..end);
        Ok((Self { header, keys_at, leases_at, signature_at, latest, raw }, bytes.slice(end..)))
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

    /// When it expires by its header.
    pub fn expires(&self) -> Wall {
        self.header.times.expires()
    }

    /// The latest end of a lease; 1970 if there are none.
    pub fn latest_lease(&self) -> Wall {
        self.latest
    }

    /// The flags of the header.
    pub fn flags(&self) -> u16 {
        self.header.times.flags
    }

    /// The transient key, if the destination's own is kept offline.
    pub fn offline(&self) -> Option<OfflineSignature<'_>> {
        self.header.offline(&self.raw)
    }

    /// Service records and other options.
    pub fn options(&self) -> Mapping<'_> {
        let mut r = Reader::new(self.raw.get(self.header.end..self.keys_at).unwrap_or_default());
        Mapping::parse(&mut r).unwrap_or_default()
    }

    /// The encryption keys, in the destination's order of preference.
    pub fn encryption_keys(&self) -> impl Iterator<Item = (EncType, &[u8])> + use<'_> {
        let mut r = Reader::new(self.raw.get(self.keys_at..self.leases_at).unwrap_or_default());
        let count = r.u8().unwrap_or(0);
        (0..count).map_while(move |_| key(&mut r).ok())
    }

    /// The leases.
    pub fn leases(&self) -> impl Iterator<Item = Lease> + use<'_> {
        let mut r = Reader::new(self.raw.get(self.leases_at..self.signature_at).unwrap_or_default());
        let count = r.u8().unwrap_or(0);
        (0..count).map_while(move |_| Lease::parse2(&mut r).ok())
    }
}

fn key<'a>(r: &mut Reader<'a>) -> Result<(EncType, &'a [u8])> {
    let kind = EncType::from_code(r.u16()?);
    let len = r.u16()?;
    Ok((kind, r.take(usize::from(len))?))
}

impl std::fmt::Debug for LeaseSet2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseSet2").field("times", &self.header.times).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
