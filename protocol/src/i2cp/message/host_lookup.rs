//! Whose a hash or a name is: questions and their answers.
//!
//! ```text
//! HostLookup: session 2 | request 4 | timeout 4, ms | kind 1 | hash 32, name or Destination
//! HostReply:  session 2 | request 4 | result 1 | Destination, if that is zero | mapping, if records were asked for
//! ```
//! Kinds 2 to 4 ask for the records in the lease set, too: then it must be found, also of who is known.
//!
//! spec: i2cp §HostLookupMessage, §HostReplyMessage

use super::{session, text};
use crate::data::keys_and_cert::Destination;
use crate::data::mapping::{Mapping, MappingBuf, write_string};
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
    /// The records of the lease set are asked for, too. A destination is asked for with them alone.
    pub records: bool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// 0, or 2 with records: a hash.
    Hash(DestinationHash),
    /// 1, or 3 with records: a name.
    Name(String),
    /// 4: a destination, whose records are asked for.
    Destination(Destination),
    /// One that nobody knows.
    Other(u8),
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose it is.
    pub destination: Destination,
    /// The records in his lease set, if that was read.
    pub records: Option<MappingBuf>,
}

/// The answer to a [`HostLookup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReply {
    /// As it was asked.
    pub session: SessionId,
    /// As it was asked.
    pub request: u32,
    /// Whose it is, or why nobody's: 1 to 7.
    pub found: std::result::Result<Found, u8>,
}

/// What may come of a [`HostLookup`]. spec: i2cp §HostReplyMessage
pub mod lookup {
    /// Nobody's.
    pub const NOT_FOUND: u8 = 1;
    /// One must have a key to read it.
    pub const KEY_NEEDED: u8 = 3;
    /// It cannot be read with the key that is there.
    pub const NOT_READ: u8 = 5;
    /// The lease set was not found, whose records were asked for.
    pub const NO_LEASE_SET: u8 = 6;
    /// Such a question is not answered here.
    pub const UNSUPPORTED: u8 = 7;
}

impl HostLookup {
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (session, request, timeout) = (session(r)?, r.u32()?, r.u32()?);
        let kind = r.u8()?;
        let query = match kind {
            0 | 2 => Query::Hash(DestinationHash(r.array()?)),
            1 | 3 => Query::Name(text(r)?),
            4 => Query::Destination(Destination::parse(r)?),
            other => Query::Other(other),
        };
        Ok(Self { session, request, timeout, query, records: matches!(kind, 2..=4) })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.session.0);
        out.put_u32(self.request);
        out.put_u32(self.timeout);
        match &self.query {
            Query::Hash(hash) => {
                out.put_u8(if self.records { 2 } else { 0 });
                out.put(&hash.0);
            }
            Query::Name(name) => {
                out.put_u8(if self.records { 3 } else { 1 });
                write_string(out, name);
            }
            Query::Destination(destination) => {
                out.put_u8(4);
                out.put(destination.as_bytes());
            }
            Query::Other(kind) => out.put_u8(*kind),
        }
    }
}

impl HostReply {
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (session, request) = (session(r)?, r.u32()?);
        let found = match r.u8()? {
            0 => {
                let destination = Destination::parse(r)?;
                let records = if r.is_empty() { None } else { Some(Mapping::parse(r)?.into()) };
                Ok(Found { destination, records })
            }
            why => Err(why),
        };
        Ok(Self { session, request, found })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.put_u16(self.session.0);
        out.put_u32(self.request);
        match &self.found {
            Ok(Found { destination, records }) => {
                out.put_u8(0);
                out.put(destination.as_bytes());
                if let Some(records) = records {
                    records.write(out)?;
                }
            }
            Err(why) => out.put_u8(*why),
        }
        Ok(())
    }
}
