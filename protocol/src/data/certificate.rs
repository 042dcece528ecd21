//! Certificate: what stands behind the 384 bytes of keys.
//!
//! spec: common-structures §Certificate
//!
//! ```text
//! type 1 | length 2 | payload length
//! Key Certificate payload: signing key type 2 | encryption key type 2 | excess signing key | excess encryption key
//! ```

use super::key_type::{EncType, SigType};
use crate::wire::{Error, Reader, Result, Writer};

/// A certificate, borrowed. Types without a meaning in the network keep their payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// 0: DSA-SHA1 and ElGamal keys.
    Null,
    /// 1: unused.
    Hashcash(&'a [u8]),
    /// 2: unused.
    Hidden(&'a [u8]),
    /// 3: unused.
    Signed(&'a [u8]),
    /// 4: unused.
    Multiple(&'a [u8]),
    /// 5: names the key types.
    Key(KeyCertificate<'a>),
    /// Anything else.
    Unknown(u8, &'a [u8]),
}

/// The payload of a Key Certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCertificate<'a> {
    /// The type of the signing key.
    pub signing: SigType,
    /// The type of the encryption key.
    pub encryption: EncType,
    /// What did not fit into the 384 bytes: of the signing key, then of the encryption key.
    pub excess: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` for a null certificate with a payload and for a Key Certificate with an excess that its
    /// types do not call for.
    pub fn parse(r: &mut Reader<'a>) -> Result<Self> {
        let kind = r.u8()?;
        let len = r.u16()?;
        let payload = r.take(usize::from(len))?;
        Ok(match kind {
            0 if payload.is_empty() => Self::Null,
            0 => return Err(Error::Invalid("null certificate")),
            1 => Self::Hashcash(payload),
            2 => Self::Hidden(payload),
            3 => Self::Signed(payload),
            4 => Self::Multiple(payload),
            5 => Self::Key(KeyCertificate::parse(payload)?),
            other => Self::Unknown(other, payload),
        })
    }

    /// Appends the certificate. A payload is cut at 65,535 bytes, which no parsed one exceeds.
    pub fn write(&self, w: &mut impl Writer) {
        let (kind, payload) = match *self {
            Self::Null => (0, &[][..]),
            Self::Hashcash(p) => (1, p),
            Self::Hidden(p) => (2, p),
            Self::Signed(p) => (3, p),
            Self::Multiple(p) => (4, p),
            Self::Key(k) => {
                let len = u16::try_from(k.excess.len() + 4).unwrap_or(u16::MAX);
                w.put_u8(5);
                w.put_u16(len);
                w.put_u16(k.signing.code());
                w.put_u16(k.encryption.code());
                w.put(&k.excess[..usize::from(len) - 4]);
                return;
            }
            Self::Unknown(kind, p) => (kind, p),
        };
        let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        w.put_u8(kind);
        w.put_u16(len);
        w.put(&payload[..usize::from(len)]);
    }
}

impl<'a> KeyCertificate<'a> {
    fn parse(payload: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(payload);
        let signing = SigType::from_code(r.u16()?);
        let encryption = EncType::from_code(r.u16()?);
        let excess = r.rest();
        if let (Some(s), Some(e)) = (signing.public_key_len(), encryption.public_key_len()) {
            // spec: common-structures §Key Certificates — "prohibit excess data"
            if excess.len() != s.saturating_sub(128) + e.saturating_sub(256) {
                return Err(Error::Invalid("key certificate length"));
            }
        }
        Ok(Self { signing, encryption, excess })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Certificate<'_>> {
        let mut r = Reader::new(bytes);
        let c = Certificate::parse(&mut r)?;
        r.finish()?;
        Ok(c)
    }

    #[test]
    fn every_kind_round_trips_and_every_prefix_is_truncated() {
        let samples: [&[u8]; 7] = [
            &[0, 0, 0],
            &[1, 0, 1, 9],
            &[2, 0, 0],
            &[3, 0, 2, 1, 2],
            &[4, 0, 1, 1],
            &[5, 0, 4, 0, 7, 0, 4],
            &[99, 0, 1, 1],
        ];
        for bytes in samples {
            let mut out = Vec::new();
            parse(bytes).unwrap().write(&mut out);
            assert_eq!(out, bytes);
            for n in 0..bytes.len() {
                assert!(matches!(parse(&bytes[..n]), Err(Error::Truncated { .. })));
            }
        }
    }

    #[test]
    fn excess_data_must_be_what_the_types_need() {
        assert!(parse(&[5, 0, 8, 0, 3, 0, 4, 1, 2, 3, 4]).is_ok(), "P-521 has four bytes more than fit");
        assert_eq!(parse(&[5, 0, 5, 0, 7, 0, 4, 1]), Err(Error::Invalid("key certificate length")));
        assert_eq!(parse(&[0, 0, 1, 1]), Err(Error::Invalid("null certificate")));
    }
}
