//! Garlic messages to and from routers: encrypted to a router's static key, or under a key and tag that were sent along
//! with a request. (Garlic between destinations has sessions; this has none.)
//!
//! The body of a Garlic message (type 11) is a length (4) and that many bytes:
//!
//! ```text
//! to a router's key     ephemeral key (32) | payload blocks, sealed | tag (16)     see [`noise_n`]
//! reply under a key     session tag (8)    | payload blocks, sealed | tag (16)     see [`one_time`]
//! old reply             session tag (32)   | AES-CBC block                         see [`aes_tag`]
//! ```
//!
//! spec: ecies-routers; i2np §Garlic, §DatabaseLookup; proposal 154

pub mod aes_tag;
pub mod clove;
pub mod noise_n;
pub mod one_time;

use crate::wire::{Error, Reader, Result};

/// The largest garlic that is read: what an I2NP message can carry.
pub const GARLIC_MAX: usize = 65_535;

/// The encrypted bytes in the body of a Garlic message.
///
/// # Errors
/// If the length does not fit the body.
pub fn encrypted(body: &[u8]) -> Result<&[u8]> {
    let mut r = Reader::new(body);
    let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    if len > GARLIC_MAX {
        return Err(Error::TooLarge("garlic"));
    }
    let data = r.take(len)?;
    r.finish()?;
    Ok(data)
}
