//! EncryptedLeaseSet: a LeaseSet2 that only those who know the destination can read. Floodfills see the outside.
//!
//! spec: common-structures §EncryptedLeaseSet; encryptedleaseset
//!
//! ```text
//! signature type 2 | blinded key | published 4, s | expires 2, s after | flags 2 | OfflineSignature if bit 0 |
//! length 2 | encrypted | signature
//! ```

use super::key_type::SigType;
use super::lease_set::MAX_LEN;
use super::lease_set2::Times;
use super::offline::{self, OfflineSignature};
use crate::id::NetDbKey;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result};
use bytes::Bytes;
use ramson_crypto::{hash::sha256, sign};

/// The DatabaseStore type, which is signed with the content.
pub const STORE_TYPE: u8 = 5;

/// A checked EncryptedLeaseSet; whether its signature holds is for [`EncryptedLeaseSet::verify`] to say.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedLeaseSet {
    raw: Bytes,
    key: NetDbKey,
    signing: SigType,
    times: Times,
    blinded_end: usize,
    content_at: usize,
    signature_at: usize,
}

impl EncryptedLeaseSet {
    /// Takes the bytes of one EncryptedLeaseSet, checks their structure and keeps them.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`, `Invalid`, `TooLarge`.
    pub fn parse(raw: Bytes) -> Result<Self> {
        if raw.len() > MAX_LEN {
            return Err(Error::TooLarge("EncryptedLeaseSet"));
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
        let signing = SigType::from_code(r.u16()?);
        r.take(signing.public_key_len().ok_or(Error::Invalid("signature type"))?)?;
        let blinded_end = r.position();
        let key = Self::place(signing, bytes.get(2..blinded_end).unwrap_or_default());
        let times = Times::parse(&mut r)?;
        let by = if times.is_offline() { OfflineSignature::parse(&mut r, signing)?.kind } else { signing };
        let len = r.u16()?;
        let content_at = r.position();
        r.take(usize::from(len))?;
        let signature_at = r.position();
        r.take(by.signature_len().ok_or(Error::Invalid("signature type"))?)?;
        let end = r.position();
        if end > MAX_LEN {
            return Err(Error::TooLarge("EncryptedLeaseSet"));
        }
        let raw = bytes.slice(..end);
        Ok((Self { key, signing, times, blinded_end, content_at, signature_at, raw }, bytes.slice(end..)))
    }

    /// The key under which one with this blinded key is stored.
    /// spec: encryptedleaseset — the SHA-256 of the signature type and the blinded key.
    pub fn place(signing: SigType, blinded_key: &[u8]) -> NetDbKey {
        NetDbKey(sha256(&[&signing.code().to_be_bytes(), blinded_key]))
    }

    /// Verifies the signature of the blinded key, by way of the offline one if there is one.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self) -> Result<()> {
        let offline = self.offline();
        if self.times.is_offline() && offline.is_none() {
            return Err(Error::Signature);
        }
        let owner = |message: &[u8], signature: &[u8]| {
            sign::verify(self.signing, self.blinded_key(), message, signature).map_err(|_| Error::Signature)
        };
        offline::verify(STORE_TYPE, &self.raw, self.signature_at, offline, owner)
    }

    /// The exact bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The key it is stored under.
    pub fn key(&self) -> NetDbKey {
        self.key
    }

    /// The type of the blinded key: 11, RedDSA.
    pub fn signing_type(&self) -> SigType {
        self.signing
    }

    /// The blinded key.
    pub fn blinded_key(&self) -> &[u8] {
        self.raw.get(2..self.blinded_end).unwrap_or_default()
    }

    /// When it was published: its version.
    pub fn published(&self) -> Wall {
        self.times.published()
    }

    /// When it expires.
    pub fn expires(&self) -> Wall {
        self.times.expires()
    }

    /// The flags.
    pub fn flags(&self) -> u16 {
        self.times.flags
    }

    /// The transient key, if there is one.
    pub fn offline(&self) -> Option<OfflineSignature<'_>> {
        if !self.times.is_offline() {
            return None;
        }
        let mut r = Reader::new(self.raw.get(self.blinded_end + 8..self.content_at)?);
        OfflineSignature::parse(&mut r, self.signing).ok()
    }

    /// What only a client with the destination's key can read.
    pub fn encrypted(&self) -> &[u8] {
        self.raw.get(self.content_at..self.signature_at).unwrap_or_default()
    }
}

impl std::fmt::Debug for EncryptedLeaseSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncryptedLeaseSet").field("times", &self.times).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;
    use ramson_crypto::sign::SigningKey;

    fn sample(transient: Option<&SigningKey>) -> Vec<u8> {
        let key = SigningKey::from_seed([3; 32]);
        let mut raw = vec![STORE_TYPE];
        raw.put_u16(11);
        raw.put(&key.public());
        raw.put_u32(1_790_000_000);
        raw.put_u16(600);
        raw.put_u16(u16::from(transient.is_some()));
        if let Some(t) = transient {
            let from = raw.len();
            raw.put_u32(1_800_000_000);
            raw.put_u16(7);
            raw.put(&t.public());
            let consent = key.sign(&raw[from..]);
            raw.put(&consent);
        }
        raw.put_u16(100);
        raw.put(&[6; 100]);
        let signature = transient.unwrap_or(&key).sign(&raw);
        raw.put(&signature);
        raw.split_off(1)
    }

    #[test]
    fn it_is_read_and_verified_with_and_without_a_transient_key() {
        let transient = SigningKey::from_seed([4; 32]);
        for raw in [sample(None), sample(Some(&transient))] {
            let e = EncryptedLeaseSet::parse(raw.clone().into()).unwrap();
            assert_eq!(e.verify(), Ok(()));
            assert_eq!(e.key(), NetDbKey(sha256(&[&raw[..34]])));
            assert_eq!((e.expires().secs(), e.encrypted()), (1_790_000_600, &[6; 100][..]));
            let raw = Bytes::from(raw);
            for n in 0..raw.len() {
                assert!(EncryptedLeaseSet::parse(raw.slice(..n)).is_err());
                let mut bad = raw.to_vec();
                bad[n] ^= 1;
                assert!(EncryptedLeaseSet::parse(bad.into()).and_then(|l| l.verify()).is_err(), "byte {n}");
            }
        }
    }
}
