//! Making LeaseSet2s for our own destinations.

use super::{Header, LeaseSet2, STORE_TYPE};
use crate::data::key_type::EncType;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::{Lease, MAX_LEASES};
use crate::data::mapping::MappingBuf;
use crate::time::Wall;
use crate::wire::{Error, Result, Writer};
use ramson_crypto::sign::Sign;

/// What is to be published.
#[derive(Clone, Debug, Default)]
pub struct LeaseSet2Builder {
    /// Flags except the offline one.
    pub flags: u16,
    /// Service records and other options.
    pub options: MappingBuf,
    /// Encryption keys in order of preference.
    pub keys: Vec<(EncType, Vec<u8>)>,
    /// At most sixteen.
    pub leases: Vec<Lease>,
}

impl LeaseSet2Builder {
    /// Signs it, to expire with its last lease. `key` is the destination's own, or a transient one with the bytes of its
    /// OfflineSignature.
    ///
    /// # Errors
    /// `TooLarge`; `Invalid` if the last lease has ended or ends more than 18 hours later.
    pub fn sign(
        &self,
        destination: &Destination,
        key: &dyn Sign,
        offline: Option<&[u8]>,
        published: Wall,
    ) -> Result<LeaseSet2> {
        let last = self.leases.iter().map(|l| l.end).max().unwrap_or_default();
        let mut raw = Header::begin(STORE_TYPE, destination, (published, last), self.flags, offline)?;
        self.options.write(&mut raw)?;
        raw.put_u8(u8::try_from(self.keys.len()).map_err(|_| Error::TooLarge("encryption keys"))?);
        for (kind, key) in &self.keys {
            raw.put_u16(kind.code());
            raw.put_u16(u16::try_from(key.len()).map_err(|_| Error::TooLarge("encryption key"))?);
            raw.put(key);
        }
        let count = u8::try_from(self.leases.len()).ok().filter(|n| *n <= MAX_LEASES);
        raw.put_u8(count.ok_or(Error::TooLarge("leases"))?);
        for lease in &self.leases {
            lease.write2(&mut raw);
        }
        let signature = key.sign(&raw);
        raw.put(&signature);
        // It is kept for as long as it is in force, by each destination.
        raw.shrink_to_fit();
        LeaseSet2::parse(bytes::Bytes::from(raw).slice(1..))
    }
}
