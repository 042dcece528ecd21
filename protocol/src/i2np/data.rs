//! Data: what one application sent to another, in a garlic clove only.
//!
//! spec: i2np §Data
//!
//! ```text
//! length 4 | data
//! ```

use super::garlic::{prefix, prefixed};
use crate::wire::Result;
use bytes::Bytes;

/// The payload of a Data body, sharing its bytes.
///
/// # Errors
/// `Truncated`, `Trailing`.
pub fn parse(body: &Bytes) -> Result<Bytes> {
    prefixed(body)
}

/// A body around a payload.
///
/// # Errors
/// `TooLarge` if it fits into no message.
pub fn to_body(payload: &[u8]) -> Result<Bytes> {
    prefix(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_back() {
        let body = to_body(b"payload").unwrap();
        assert_eq!(body[..4], [0, 0, 0, 7]);
        assert_eq!(parse(&body).unwrap(), &b"payload"[..]);
    }
}
