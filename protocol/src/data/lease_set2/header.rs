//! What LeaseSet2 and MetaLeaseSet begin with; the times are EncryptedLeaseSet's too.

use crate::data::key_type::SigType;
use crate::data::keys_and_cert::{self, KeysAndCert};
use crate::data::offline::{self, OfflineSignature};
use crate::id::DestinationHash;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use ramson_crypto::hash::sha256;
use std::time::Duration;

/// There is an offline signature.
pub const FLAG_OFFLINE: u16 = 1;
/// Neither to be flooded nor to be given out.
pub const FLAG_UNPUBLISHED: u16 = 2;
/// What floodfills have is encrypted.
pub const FLAG_BLINDED: u16 = 4;

/// Publication, expiration and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    published: u32,
    expires_after: u16,
    pub(crate) flags: u16,
}

impl Times {
    pub(crate) fn parse(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { published: r.u32()?, expires_after: r.u16()?, flags: r.u16()? })
    }

    pub(crate) fn published(self) -> Wall {
        Wall::from_secs(self.published)
    }

    pub(crate) fn expires(self) -> Wall {
        self.published().plus(Duration::from_secs(u64::from(self.expires_after)))
    }

    pub(crate) fn is_offline(self) -> bool {
        self.flags & FLAG_OFFLINE != 0
    }
}

/// A checked header, as offsets into the structure that it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) hash: DestinationHash,
    pub(crate) times: Times,
    /// Length of the signature at the end of the structure.
    pub(crate) signature_len: usize,
    pub(crate) destination_end: usize,
    /// Where the rest begins.
    pub(crate) end: usize,
    signing: SigType,
}

impl Header {
    /// What is signed of such a structure, as far as its header: it expires with what `last` ends. `offline` are the bytes of the
    /// OfflineSignature of a transient key.
    pub(crate) fn begin(
        store_type: u8,
        destination: &keys_and_cert::Destination,
        (published, last): (Wall, Wall),
        flags: u16,
        offline: Option<&[u8]>,
    ) -> Result<Vec<u8>> {
        let expires = last.secs().checked_sub(published.secs()).and_then(|seconds| u16::try_from(seconds).ok());
        let mut raw = Vec::with_capacity(1024);
        raw.push(store_type);
        raw.put(destination.as_bytes());
        raw.put_u32(published.secs());
        raw.put_u16(expires.ok_or(Error::Invalid("lease end"))?);
        match offline {
            None => raw.put_u16(flags & !FLAG_OFFLINE),
            Some(signature) => {
                raw.put_u16(flags | FLAG_OFFLINE);
                raw.put(signature);
            }
        }
        Ok(raw)
    }

    /// Receipt a header at the start of a structure.
    pub(crate) fn walk(r: &mut Reader<'_>) -> Result<Self> {
        let (signing, _) = KeysAndCert::walk(r)?;
        let hash = DestinationHash(sha256(&[r.since(0)]));
        let destination_end = r.position();
        let times = Times::parse(r)?;
        let by = if times.is_offline() { OfflineSignature::parse(r, signing)?.kind } else { signing };
        let signature_len = by.signature_len().ok_or(Error::Invalid("signature type"))?;
        Ok(Self { hash, times, signature_len, destination_end, end: r.position(), signing })
    }

    pub(crate) fn offline<'a>(&self, raw: &'a [u8]) -> Option<OfflineSignature<'a>> {
        if !self.times.is_offline() {
            return None;
        }
        let mut r = Reader::new(raw.get(self.destination_end + 8..self.end)?);
        OfflineSignature::parse(&mut r, self.signing).ok()
    }

    pub(crate) fn verify(&self, kind: u8, raw: &[u8], signature_at: usize) -> Result<()> {
        let offline = self.offline(raw);
        if self.times.is_offline() && offline.is_none() {
            return Err(Error::Signature);
        }
        let owner = |message: &[u8], signature: &[u8]| keys_and_cert::verify(raw, self.signing, message, signature);
        offline::verify(kind, raw, signature_at, offline, owner)
    }
}
