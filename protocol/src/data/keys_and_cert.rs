//! KeysAndCert, and the two things that it is: a RouterIdentity or a Destination.
//!
//! spec: common-structures §KeysAndCert, §RouterIdentity, §Destination
//!
//! ```text
//! encryption key (from the start) | padding | signing key (up to byte 384) | certificate
//! ```

use super::certificate::{Certificate, KeyCertificate};
use super::key_type::{EncType, SigType};
use crate::id::{DestinationHash, RouterHash};
use crate::wire::{Error, Reader, Result};
use bytes::Bytes;
use ramson_crypto::{hash::sha256, sign, x25519};
use std::borrow::Cow;

/// Bytes before the certificate.
const KEYS_LEN: usize = 384;
/// Where a signing key of 128 bytes or more begins.
const SIGNING_AT: usize = 256;

/// Length of an identity with a Key Certificate and no excess: all that are made today.
pub const USUAL_LEN: usize = KEYS_LEN + 7;

/// Two public keys and a certificate, as the exact bytes that are hashed and signed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeysAndCert {
    raw: Bytes,
    signing: SigType,
    encryption: EncType,
}

impl KeysAndCert {
    /// Receipt the structure at the reader, advances over it, and tells the key types.
    pub(crate) fn walk(r: &mut Reader<'_>) -> Result<(SigType, EncType)> {
        r.take(KEYS_LEN)?;
        Ok(match Certificate::parse(r)? {
            Certificate::Key(k) => (k.signing, k.encryption),
            _ => (SigType::DsaSha1, EncType::ElGamal),
        })
    }

    /// Reads (and copies) one from a larger structure.
    ///
    /// # Errors
    /// As [`Certificate::parse`].
    pub fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let from = r.position();
        let (signing, encryption) = Self::walk(r)?;
        Ok(Self { raw: Bytes::copy_from_slice(r.since(from)), signing, encryption })
    }

    /// Takes bytes that are one KeysAndCert and nothing else, without copying.
    ///
    /// # Errors
    /// As [`Certificate::parse`]; `Trailing`.
    pub fn from_bytes(raw: Bytes) -> Result<Self> {
        let mut r = Reader::new(&raw);
        let (signing, encryption) = Self::walk(&mut r)?;
        r.finish()?;
        Ok(Self { raw, signing, encryption })
    }

    /// Our own kind: an encryption key of 32 bytes, a signing key, and compressible padding made of 32 random bytes.
    ///
    /// spec: common-structures §Padding Generation Guidelines
    pub(crate) fn compose(
        (encryption, encryption_key): (EncType, &[u8; 32]),
        (signing, signing_key): (SigType, &[u8]),
        padding: &[u8; 32],
    ) -> Self {
        let (within, excess) = signing_key.split_at(signing_key.len().min(KEYS_LEN - SIGNING_AT));
        let mut raw = Vec::with_capacity(USUAL_LEN + excess.len());
        raw.extend_from_slice(encryption_key);
        raw.extend(padding.iter().cycle().take(KEYS_LEN - encryption_key.len() - within.len()));
        raw.extend_from_slice(within);
        Certificate::Key(KeyCertificate { signing, encryption, excess }).write(&mut raw);
        Self { raw: raw.into(), signing, encryption }
    }

    /// The exact bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The type of the signing key.
    pub fn signing_type(&self) -> SigType {
        self.signing
    }

    /// The type of the encryption key.
    pub fn encryption_type(&self) -> EncType {
        self.encryption
    }

    /// The signing key; `None` if its type is unknown.
    pub fn signing_key(&self) -> Option<Cow<'_, [u8]>> {
        signing_key(&self.raw, self.signing)
    }

    /// The encryption key if it is X25519.
    pub fn x25519_key(&self) -> Option<x25519::PublicKey> {
        match self.encryption {
            EncType::X25519 => self.raw.first_chunk().map(|k| x25519::PublicKey(*k)),
            _ => None,
        }
    }

    /// Verifies a signature made with the signing key.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        verify(&self.raw, self.signing, message, signature)
    }
}

/// The signing key in the bytes of a checked KeysAndCert (which may be followed by anything).
fn signing_key(raw: &[u8], kind: SigType) -> Option<Cow<'_, [u8]>> {
    let len = kind.public_key_len()?;
    if len <= KEYS_LEN - SIGNING_AT {
        return Some(Cow::Borrowed(raw.get(KEYS_LEN - len..KEYS_LEN)?));
    }
    // The rest stands behind the two type codes of the Key Certificate.
    let excess_at = KEYS_LEN + 7;
    let excess = raw.get(excess_at..excess_at + len - (KEYS_LEN - SIGNING_AT))?;
    Some(Cow::Owned([raw.get(SIGNING_AT..KEYS_LEN)?, excess].concat()))
}

/// Verifies with the signing key in `raw`, a checked KeysAndCert followed by anything.
pub(crate) fn verify(raw: &[u8], kind: SigType, message: &[u8], signature: &[u8]) -> Result<()> {
    let key = signing_key(raw, kind).ok_or(Error::Signature)?;
    sign::verify(kind, &key, message, signature).map_err(|_| Error::Signature)
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $hash:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            keys: KeysAndCert,
            hash: $hash,
        }

        impl $name {
            /// Reads (and copies) one from a larger structure.
            ///
            /// # Errors
            /// As [`KeysAndCert::parse`].
            pub fn parse(r: &mut Reader<'_>) -> Result<Self> {
                KeysAndCert::parse(r).map(Self::new)
            }

            /// Takes bytes that are one identity and nothing else, without copying.
            ///
            /// # Errors
            /// As [`KeysAndCert::from_bytes`].
            pub fn from_bytes(raw: Bytes) -> Result<Self> {
                KeysAndCert::from_bytes(raw).map(Self::new)
            }

            pub(crate) fn new(keys: KeysAndCert) -> Self {
                let hash = $hash(sha256(&[&keys.raw]));
                Self { keys, hash }
            }

            /// SHA-256 of the exact bytes.
            pub fn hash(&self) -> $hash {
                self.hash
            }
        }

        impl std::ops::Deref for $name {
            type Target = KeysAndCert;

            fn deref(&self) -> &KeysAndCert {
                &self.keys
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("signing", &self.keys.signing)
                    .field("encryption", &self.keys.encryption)
                    .finish_non_exhaustive()
            }
        }
    };
}

identity! {
    /// Who a router is.
    RouterIdentity, RouterHash
}
identity! {
    /// An endpoint of a user's own. Its encryption key field is unused; the LeaseSet carries the keys.
    Destination, DestinationHash
}

impl Destination {
    /// A destination of our own making: an Ed25519 signing key, and random bytes that compress well for the rest.
    ///
    /// spec: common-structures §Padding Generation Guidelines — 11 copies, the unused key field among them.
    pub fn compose(signing: &[u8; 32], padding: &[u8; 32]) -> Self {
        Self::compose_of(SigType::Ed25519, signing, padding)
    }

    /// The same with a signing key of another type.
    pub fn compose_of(kind: SigType, signing: &[u8], padding: &[u8; 32]) -> Self {
        // INTEROP: Java refuses destinations whose unused key is of another type. What they encrypt with, lease sets name.
        Self::new(KeysAndCert::compose((EncType::ElGamal, padding), (kind, signing), padding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_certificate(certificate: &[u8]) -> Vec<u8> {
        let mut raw: Vec<u8> = (0..384).map(|i| (i % 251) as u8).collect();
        raw.extend_from_slice(certificate);
        raw
    }

    #[test]
    fn keys_stand_where_their_lengths_put_them() {
        let raw = with_certificate(&[5, 0, 4, 0, 7, 0, 4]);
        let keys = KeysAndCert::from_bytes(raw.clone().into()).unwrap();
        assert_eq!(keys.signing_key().unwrap(), &raw[352..384]);
        assert_eq!(keys.x25519_key().unwrap().0, raw[..32]);
        let raw = with_certificate(&[0, 0, 0]);
        let keys = KeysAndCert::from_bytes(raw.clone().into()).unwrap();
        assert_eq!(keys.signing_type(), SigType::DsaSha1);
        assert_eq!(keys.signing_key().unwrap(), &raw[256..384]);
        assert!(keys.x25519_key().is_none());
        let raw = with_certificate(&[5, 0, 8, 0, 3, 0, 4, 1, 2, 3, 4]);
        let keys = KeysAndCert::from_bytes(raw.clone().into()).unwrap();
        assert_eq!(keys.signing_key().unwrap().into_owned(), [&raw[256..384], &[1, 2, 3, 4]].concat());
    }

    #[test]
    fn unknown_types_are_kept_but_have_no_key() {
        let keys = KeysAndCert::from_bytes(with_certificate(&[5, 0, 4, 0, 99, 0, 98]).into()).unwrap();
        assert_eq!((keys.signing_type(), keys.encryption_type()), (SigType::Unknown(99), EncType::Unknown(98)));
        assert!(keys.signing_key().is_none());
        assert_eq!(keys.verify(b"", &[0; 64]), Err(Error::Signature));
    }

    #[test]
    fn every_prefix_is_truncated_and_a_suffix_is_refused() {
        let raw = with_certificate(&[5, 0, 4, 0, 7, 0, 4]);
        for n in 0..raw.len() {
            assert!(matches!(KeysAndCert::from_bytes(raw[..n].to_vec().into()), Err(Error::Truncated { .. })));
        }
        let mut long = raw;
        long.push(0);
        assert!(matches!(KeysAndCert::from_bytes(long.into()), Err(Error::Trailing(1))));
    }

    #[test]
    fn a_composed_identity_parses_and_compresses() {
        let d = Destination::compose(&[1; 32], &[2; 32]);
        let again = Destination::from_bytes(d.as_bytes().clone()).unwrap();
        assert_eq!(d, again);
        assert_eq!(d.as_bytes().len(), USUAL_LEN);
        for kind in [SigType::EcdsaP256, SigType::EcdsaP384, SigType::EcdsaP521] {
            let key: Vec<u8> = (0..kind.public_key_len().unwrap()).map(|n| n as u8).collect();
            let d = Destination::compose_of(kind, &key, &[2; 32]);
            let again = Destination::from_bytes(d.as_bytes().clone()).unwrap();
            assert_eq!((again.signing_type(), again.signing_key().unwrap().to_vec()), (kind, key));
        }
    }
}
