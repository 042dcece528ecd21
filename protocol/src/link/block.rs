//! The frame of blocks, and the block that carries an I2NP message.
//!
//! ```text
//! type u8 | size u16 | data          I2NP data: kind u8 | id u32 | expiration u32, s | body
//! ```
//!
//! spec: ntcp2 §Unencrypted data; ssu2 §Block Specifications

use crate::id::MessageId;
use crate::wire::{Reader, Result, Writer};

/// Bytes of type and size.
pub const HEADER_LEN: usize = 3;
/// Bytes of type, message id and expiration before the body in an I2NP block.
pub const I2NP_HEADER_LEN: usize = 9;

/// An I2NP message with the short header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I2np<'a> {
    /// Message type.
    pub kind: u8,
    /// Message id.
    pub id: MessageId,
    /// Seconds since 1970 after which the message is to be dropped.
    pub expiration: u32,
    /// The message without its header.
    pub body: &'a [u8],
}

impl<'a> I2np<'a> {
    /// Reads the data of an I2NP block.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        Ok(Self { kind: r.u8()?, id: MessageId(r.u32()?), expiration: r.u32()?, body: r.rest() })
    }

    /// Appends the data of an I2NP block.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind);
        out.put_u32(self.id.0);
        out.put_u32(self.expiration);
        out.put(self.body);
    }
}
