//! The option blocks of messages 1 and 2.
//!
//! ```text
//! message 1: net id u8 | version u8 | padding u16 | message 3 part 2 u16 | 0 u16 | timestamp u32 | 0 u32
//! message 2: 0 u16 | padding u16 | 0 u32 | timestamp u32 | 0 u32
//! ```
//!
//! spec: ntcp2 §1) SessionRequest, §2) SessionCreated

use crate::wire::{Reader, Result, Writer};

/// Length of the option blocks of messages 1 and 2.
pub const LEN: usize = 16;

/// The options of message 1. Reserved fields are written as zero and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestOptions {
    /// The sender's network; 0 from very old routers.
    pub net_id: u8,
    /// Protocol version, 2.
    pub version: u8,
    /// Bytes of padding after the sealed options.
    pub padding: u16,
    /// Length of message 3 part 2 with its tag.
    pub part_2: u16,
    /// Seconds since 1970.
    pub timestamp: u32,
}

impl RequestOptions {
    /// Reads the 16 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let (net_id, version, padding, part_2) = (r.u8()?, r.u8()?, r.u16()?, r.u16()?);
        r.u16()?;
        let timestamp = r.u32()?;
        r.u32()?;
        r.finish()?;
        Ok(Self { net_id, version, padding, part_2, timestamp })
    }

    /// Appends the 16 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_u8(self.net_id);
        out.put_u8(self.version);
        out.put_u16(self.padding);
        out.put_u16(self.part_2);
        out.put_u16(0);
        out.put_u32(self.timestamp);
        out.put_u32(0);
    }
}

/// The options of message 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedOptions {
    /// Bytes of padding after the sealed options.
    pub padding: u16,
    /// Seconds since 1970.
    pub timestamp: u32,
}

impl CreatedOptions {
    /// Reads the 16 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        r.u16()?;
        let padding = r.u16()?;
        r.u32()?;
        let timestamp = r.u32()?;
        r.u32()?;
        r.finish()?;
        Ok(Self { padding, timestamp })
    }

    /// Appends the 16 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(0);
        out.put_u16(self.padding);
        out.put_u32(0);
        out.put_u32(self.timestamp);
        out.put_u32(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_blocks_lie_on_the_wire_as_specified() {
        let mut out = Vec::new();
        let request = RequestOptions { net_id: 2, version: 2, padding: 0x0102, part_2: 0x0304, timestamp: 0x0506_0708 };
        request.write(&mut out);
        assert_eq!(out, [2, 2, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]);
        assert_eq!(RequestOptions::parse(&out), Ok(request));
        out.clear();
        let created = CreatedOptions { padding: 0x0102, timestamp: 0x0506_0708 };
        created.write(&mut out);
        assert_eq!(out, [0, 0, 1, 2, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]);
        assert_eq!(CreatedOptions::parse(&out), Ok(created));
        assert!(RequestOptions::parse(&out[1..]).is_err() && CreatedOptions::parse(&out[1..]).is_err());
    }
}
