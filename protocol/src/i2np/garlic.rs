//! Garlic: encrypted cloves, opaque to this layer.
//!
//! spec: i2np §Garlic
//!
//! ```text
//! length 4 | data
//! ```

use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;

/// The encrypted part of a Garlic body, sharing its bytes.
///
/// # Errors
/// `Truncated`, `Trailing`.
pub fn parse(body: &Bytes) -> Result<Bytes> {
    prefixed(body)
}

/// A body around encrypted cloves.
///
/// # Errors
/// `TooLarge` if they fit into no message.
pub fn to_body(encrypted: &[u8]) -> Result<Bytes> {
    prefix(encrypted)
}

/// What Garlic and Data have in common: four bytes of length in front.
pub(super) fn prefixed(body: &Bytes) -> Result<Bytes> {
    let mut r = Reader::new(body);
    let len = usize::try_from(r.u32()?).map_err(|_| Error::TooLarge("length"))?;
    let from = r.position();
    r.take(len)?;
    r.finish()?;
    Ok(body.slice(from..))
}

pub(super) fn prefix(content: &[u8]) -> Result<Bytes> {
    if content.len() > super::header::MAX_BODY - 4 {
        return Err(Error::TooLarge("I2NP message"));
    }
    let len = u32::try_from(content.len()).map_err(|_| Error::TooLarge("I2NP message"))?;
    let mut out = Vec::with_capacity(4 + content.len());
    out.put_u32(len);
    out.put(content);
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_every_prefix_is_truncated() {
        let body = to_body(b"cloves").unwrap();
        assert_eq!(parse(&body).unwrap(), &b"cloves"[..]);
        for n in 0..body.len() {
            assert!(matches!(parse(&body.slice(..n)), Err(Error::Truncated { .. })));
        }
        assert_eq!(parse(&[&body[..], b"x"].concat().into()), Err(Error::Trailing(1)));
        assert!(to_body(&[0; 63_000]).is_err());
    }
}
