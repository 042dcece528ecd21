//! The six messages that build tunnels: arrays of records, opaque to this layer.
//!
//! spec: i2np §TunnelBuild to §OutboundTunnelBuildReply
//!
//! ```text
//! TunnelBuild, TunnelBuildReply (21, 22):                   record 528 * 8
//! VariableTunnelBuild, VariableTunnelBuildReply (23, 24):   count 1 | record 528 * count
//! ShortTunnelBuild, OutboundTunnelBuildReply (25, 26):      count 1 | record 218 * count
//! ```

use super::header::MessageType;
use crate::wire::{Error, Reader, Result, Writer};

/// Length of a long record.
pub const LONG_RECORD: usize = 528;
/// Length of a short record.
pub const SHORT_RECORD: usize = 218;
/// Most records in a message.
pub const MAX_RECORDS: usize = 8;

/// The records of a build message, to be decrypted and answered in place.
#[derive(Clone, PartialEq, Eq)]
pub struct BuildRecords {
    record_len: usize,
    records: Vec<u8>,
}

impl BuildRecords {
    /// Reads (and copies) the body of a build message of type `kind`.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `Invalid` for a count that is not 1 to 8 and for other types.
    pub fn parse(kind: MessageType, body: &[u8]) -> Result<Self> {
        let (record_len, counted) = shape(kind)?;
        let mut r = Reader::new(body);
        let count = if counted { usize::from(r.u8()?) } else { MAX_RECORDS };
        if !(1..=MAX_RECORDS).contains(&count) {
            return Err(Error::Invalid("number of build records"));
        }
        let records = r.take(count * record_len)?.to_vec();
        r.finish()?;
        Ok(Self { record_len, records })
    }

    /// Records for a message of type `kind`: `count` of zeros, to be filled.
    ///
    /// # Errors
    /// `Invalid` for a count that the type does not take.
    pub fn new(kind: MessageType, count: usize) -> Result<Self> {
        let (record_len, counted) = shape(kind)?;
        if !(1..=MAX_RECORDS).contains(&count) || (!counted && count != MAX_RECORDS) {
            return Err(Error::Invalid("number of build records"));
        }
        Ok(Self { record_len, records: vec![0; count * record_len] })
    }

    /// The body of a message of type `kind`, which must have records of the same length.
    ///
    /// # Errors
    /// `Invalid` if it has not.
    pub fn to_body(&self, kind: MessageType) -> Result<Vec<u8>> {
        let (record_len, counted) = shape(kind)?;
        if record_len != self.record_len || (!counted && self.len() != MAX_RECORDS) {
            return Err(Error::Invalid("build message type"));
        }
        let mut out = Vec::with_capacity(1 + self.records.len());
        if counted {
            out.put_u8(u8::try_from(self.len()).unwrap_or(0));
        }
        out.put(&self.records);
        Ok(out)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len() / self.record_len
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Length of a record.
    pub fn record_len(&self) -> usize {
        self.record_len
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.records.chunks_exact(self.record_len)
    }

    /// The records in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.records.chunks_exact_mut(self.record_len)
    }
}

impl std::fmt::Debug for BuildRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BuildRecords({} of {} bytes)", self.len(), self.record_len)
    }
}

fn shape(kind: MessageType) -> Result<(usize, bool)> {
    Ok(match kind {
        MessageType::TunnelBuild | MessageType::TunnelBuildReply => (LONG_RECORD, false),
        MessageType::VariableTunnelBuild | MessageType::VariableTunnelBuildReply => (LONG_RECORD, true),
        MessageType::ShortTunnelBuild | MessageType::OutboundTunnelBuildReply => (SHORT_RECORD, true),
        _ => return Err(Error::Invalid("build message type")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_are_read_back_and_every_prefix_is_refused(kind in 21u8..=26, count in 1usize..=8, seed: u8) {
            let kind = MessageType::from_code(kind);
            let count = if shape(kind).unwrap().1 { count } else { 8 };
            let mut records = BuildRecords::new(kind, count).unwrap();
            for (n, record) in records.iter_mut().enumerate() {
                record.fill(seed.wrapping_add(n as u8));
            }
            let body = records.to_body(kind).unwrap();
            prop_assert_eq!(BuildRecords::parse(kind, &body), Ok(records));
            for n in 0..body.len() {
                prop_assert!(BuildRecords::parse(kind, &body[..n]).is_err());
            }
        }
    }

    #[test]
    fn zero_and_nine_records_are_refused() {
        for count in [0, 9, 255] {
            let mut body = vec![count];
            body.resize(1 + usize::from(count) * SHORT_RECORD, 0);
            let parsed = BuildRecords::parse(MessageType::ShortTunnelBuild, &body);
            assert_eq!(parsed, Err(Error::Invalid("number of build records")));
        }
        assert!(BuildRecords::new(MessageType::Data, 4).is_err());
    }
}
