//! Whose a hash or a name is: questions and their answers.
//!
//! ```text
//! HostLookup: session 2 | request 4 | timeout 4, ms | kind 1 | hash 32, or name
//! HostReply:  session 2 | request 4 | result 1 | Destination, if that is zero
//! ```
//! spec: i2cp §HostLookupMessage, §HostReplyMessage

use super::{session, text};
use crate::data::keys_and_cert::Destination;
use crate::data::mapping::write_string;
use crate::i2cp::SessionId;
use crate::id::DestinationHash;
use crate::wire::{Reader, Result, Writer};

/// A question whose something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLookup {
    /// The session that asks, or none.
    pub session: SessionId,
    /// What the program calls it.
    pub request: u32,
    /// Milliseconds that the program waits.
    pub timeout: u32,
    /// What is asked.
    pub query: Query,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// 0: a hash.
    Hash(DestinationHash),
    /// 1: a name.
    Name(String),
    /// 2 and more, with which options of a lease set are asked for, too.
    Other(u8),
}

/// The answer to a [`HostLookup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReply {
    /// As it was asked.
    pub session: SessionId,
    /// As it was asked.
    pub request: u32,
    /// Whose it is, or why nobody's: 1 to 7.
    pub found: std::result::Result<Destination, u8>,
}

/// What may come of a [`HostLookup`]. spec: i2cp §HostReplyMessage
pub mod lookup {
    /// Nobody's.
    pub const NOT_FOUND: u8 = 1;
    /// One must have a key to read it.
    pub const KEY_NEEDED: u8 = 3;
    /// It cannot be read with the key that is there.
    pub const NOT_READ: u8 = 5;
    /// Such a question is not answered here.
    pub const UNSUPPORTED: u8 = 7;
}

impl HostLookup {
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (session, request, timeout) = (session(r)?, r.u32()?, r.u32()?);
        let query = match r.u8()? {
            0 => Query::Hash(DestinationHash(r.array()?)),
            1 => Query::Name(text(r)?),
            other => Query::Other(other),
        };
        Ok(Self { session, request, timeout, query })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.session.0);
        out.put_u32(self.request);
        out.put_u32(self.timeout);
        match &self.query {
            Query::Hash(hash) => {
                out.put_u8(0);
                out.put(&hash.0);
            }
            Query::Name(name) => {
                out.put_u8(1);
                write_string(out, name);
            }
            Query::Other(kind) => out.put_u8(*kind),
        }
    }
}

impl HostReply {
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (session, request) = (session(r)?, r.u32()?);
        let found = match r.u8()? {
            0 => Ok(Destination::parse(r)?),
            why => Err(why),
        };
        Ok(Self { session, request, found })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.session.0);
        out.put_u32(self.request);
        match &self.found {
            Ok(found) => {
                out.put_u8(0);
                out.put(found.as_bytes());
            }
            Err(why) => out.put_u8(*why),
        }
    }
}
