//! Offline signatures: a destination's key signs a transient key, and that one signs the LeaseSets.
//!
//! spec: common-structures §OfflineSignature
//!
//! ```text
//! expires 4, s | signature type 2 | transient public key | signature by the destination
//! ```

use super::key_type::SigType;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result};
use ramson_crypto::sign;

/// An offline signature, borrowed from the structure that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflineSignature<'a> {
    /// The transient key is worth nothing afterwards.
    pub expires: Wall,
    /// The type of the transient key.
    pub kind: SigType,
    /// The transient key.
    pub key: &'a [u8],
    /// By the long-term key, over everything before it.
    pub signature: &'a [u8],
    signed: &'a [u8],
}

impl<'a> OfflineSignature<'a> {
    /// Reads one made with a long-term key of type `owner`.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` for types of unknown length.
    pub fn parse(r: &mut Reader<'a>, owner: SigType) -> Result<Self> {
        let from = r.position();
        let expires = Wall::from_secs(r.u32()?);
        let kind = SigType::from_code(r.u16()?);
        let key = r.take(kind.public_key_len().ok_or(Error::Invalid("signature type"))?)?;
        let signed = r.since(from);
        let signature = r.take(owner.signature_len().ok_or(Error::Invalid("signature type"))?)?;
        Ok(Self { expires, kind, key, signature, signed })
    }
}

/// Verifies `raw[signature_at..]` over `kind ‖ raw[..signature_at]`, by the transient key if there is one.
///
/// spec: common-structures §LeaseSet2, notes — "PREPENDED with the single byte containing the DatabaseStore type"
pub(crate) fn verify(
    kind: u8,
    raw: &[u8],
    signature_at: usize,
    offline: Option<OfflineSignature<'_>>,
    owner: impl Fn(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let (signed, signature) = raw.split_at_checked(signature_at).ok_or(Error::Signature)?;
    let mut message = Vec::with_capacity(signed.len() + 1);
    message.push(kind);
    message.extend_from_slice(signed);
    match offline {
        None => owner(&message, signature),
        Some(o) => {
            owner(o.signed, o.signature)?;
            sign::verify(o.kind, o.key, &message, signature).map_err(|_| Error::Signature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_truncated() {
        let mut bytes = vec![0, 0, 0, 9, 0, 7];
        bytes.extend_from_slice(&[1; 32]);
        bytes.extend_from_slice(&[2; 40]);
        let parsed = OfflineSignature::parse(&mut Reader::new(&bytes), SigType::DsaSha1).unwrap();
        assert_eq!((parsed.expires, parsed.key, parsed.signature), (Wall::from_secs(9), &[1; 32][..], &[2; 40][..]));
        for n in 0..bytes.len() {
            assert!(OfflineSignature::parse(&mut Reader::new(&bytes[..n]), SigType::DsaSha1).is_err());
        }
    }
}
