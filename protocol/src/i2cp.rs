//! I2CP, by which programs that make streams and datagrams themselves have destinations at a router.
//!
//! ```text
//! program  0x2a | ( length 4 | type 1 | body )*
//! router          ( length 4 | type 1 | body )*
//! ```
//! `message` has the messages, `session` what a program says of a session, `grant` the lease sets that it signs. `server` is the
//! router's end of a connection, `client` a program's.
//!
//! spec: i2cp

pub mod client;
pub mod grant;
pub mod message;
pub mod server;
pub mod session;

use crate::wire::{Error, Result};
use bytes::{Buf, Bytes, BytesMut};

/// What a program sends first.
pub const PROTOCOL_BYTE: u8 = 0x2a;

/// The API that is spoken here. INTEROP: programs use what came with a version only if the router names it or a later one: offline keys
/// from 0.9.38 on, X25519 from 0.9.46 on, records of lease sets from 0.9.66 on, ML-KEM from 0.9.67 on.
pub const VERSION: &str = "0.9.69";

/// The longest body that is taken. A payload of 64 KiB and a destination with a large key fit. INTEROP: 64 KiB in i2pd.
pub const MAX_BODY: usize = 80 * 1024;

const HEADER_LEN: usize = 5;

/// A session of a connection. spec: i2cp §Session ID
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u16);

impl SessionId {
    /// No session.
    pub const NONE: Self = Self(0xffff);
}

/// Cuts what arrives into messages.
#[derive(Debug, Default)]
pub struct Frames(BytesMut);

impl Frames {
    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The first byte of all, once.
    pub(crate) fn first(&mut self) -> Option<u8> {
        let first = *self.0.first()?;
        self.0.advance(1);
        Some(first)
    }

    /// The type and body of the next message, when all of it is there.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_BODY`]: what follows is never found.
    pub fn cut(&mut self) -> Result<Option<(u8, Bytes)>> {
        let Some([a, b, c, d, kind]) = self.0.first_chunk::<HEADER_LEN>().copied() else { return Ok(None) };
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if len > MAX_BODY {
            return Err(Error::TooLarge("I2CP message"));
        }
        if self.0.len() < HEADER_LEN + len {
            self.0.reserve(HEADER_LEN + len - self.0.len());
            return Ok(None);
        }
        self.0.advance(HEADER_LEN);
        Ok(Some((kind, self.0.split_to(len).freeze())))
    }

    /// Bytes that are not a whole message yet.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
