//! The option blocks of messages 1 and 2, and the padding options.
//!
//! ```text
//! message 1: net id u8 | version u8 | padding u16 | message 3 part 2 u16 | 0 u16 | timestamp u32 | 0 u32
//! message 2: 0 u16 | padding u16 | 0 u32 | timestamp u32 | 0 u32
//! padding:   tmin u8 | tmax u8 | rmin u8 | rmax u8 | tdummy u16 | rdummy u16 | tdelay u16 | rdelay u16 | more
//! ```
//!
//! spec: ntcp2 §1) SessionRequest, §2) SessionCreated, §Options

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

/// The padding that a router asks for. Ratios of padding to data in sixteenths: 1 is 6 %, 16 is 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddingOptions {
    /// The least that the sender of the options wants to send.
    pub tmin: u8,
    /// The most that it is willing to send.
    pub tmax: u8,
    /// The least that it wants to receive.
    pub rmin: u8,
    /// The most that it is willing to receive.
    pub rmax: u8,
    /// Dummy traffic willing to send, bytes/s.
    pub tdummy: u16,
    /// Dummy traffic wanted, bytes/s.
    pub rdummy: u16,
    /// Delay within a message willing to insert, ms.
    pub tdelay: u16,
    /// Delay within a message wanted, ms.
    pub rdelay: u16,
}

impl Default for PaddingOptions {
    /// Up to 6 % in both directions, as i2pd does; no dummy traffic.
    fn default() -> Self {
        Self { tmin: 0, tmax: 1, rmin: 0, rmax: 1, tdummy: 0, rdummy: 0, tdelay: 0, rdelay: 0 }
    }
}

impl PaddingOptions {
    /// Length of the options that we know.
    pub const LEN: usize = 12;

    /// Reads the data of an Options block; what follows the known fields is ignored.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let [tmin, tmax, rmin, rmax] = r.array()?;
        Ok(Self { tmin, tmax, rmin, rmax, tdummy: r.u16()?, rdummy: r.u16()?, tdelay: r.u16()?, rdelay: r.u16()? })
    }

    /// Appends the data of an Options block.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put(&[self.tmin, self.tmax, self.rmin, self.rmax]);
        for field in [self.tdummy, self.rdummy, self.tdelay, self.rdelay] {
            out.put_u16(field);
        }
    }
}

/// How much padding we send, in sixteenths of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddingRatio {
    min: u8,
    max: u8,
}

impl PaddingRatio {
    /// The receiver's maximum is honoured, its minimum within our own maximum. A peer that has not said what it
    /// wants gets what we like.
    ///
    /// spec: ntcp2 §Options — "Sender should honor receiver's maximum. Sender may or may not honor receiver's
    /// minimum, within bandwidth constraints."
    pub fn negotiate(ours: &PaddingOptions, theirs: Option<&PaddingOptions>) -> Self {
        let (max, min) = match theirs {
            Some(theirs) => (ours.tmax.min(theirs.rmax), ours.tmin.max(theirs.rmin)),
            None => (ours.tmax, ours.tmin),
        };
        Self { min: min.min(max), max }
    }

    /// Bytes of padding for `data` bytes, chosen evenly within the limits by `random`.
    pub fn pick(self, data: usize, random: u32) -> usize {
        let (low, high) = (data * usize::from(self.min) / 16, data * usize::from(self.max) / 16);
        low + random as usize % (high - low + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn the_receivers_maximum_holds_over_all_wishes() {
        let ours = PaddingOptions { tmin: 2, tmax: 8, ..PaddingOptions::default() };
        let theirs = |rmin, rmax| PaddingOptions { rmin, rmax, ..PaddingOptions::default() };
        let ratio = |o: PaddingOptions| PaddingRatio::negotiate(&ours, Some(&o));
        assert_eq!(ratio(theirs(0, 0)), PaddingRatio { min: 0, max: 0 });
        assert_eq!(ratio(theirs(5, 99)), PaddingRatio { min: 5, max: 8 });
        assert_eq!(ratio(theirs(50, 99)), PaddingRatio { min: 8, max: 8 });
        assert_eq!(PaddingRatio::negotiate(&ours, None), PaddingRatio { min: 2, max: 8 });
    }

    proptest! {
        #[test]
        fn picked_padding_is_within_the_ratio(t in any::<(u8, u8, u8, u8)>(), data in 0..65_535usize, random: u32) {
            let ours = PaddingOptions { tmin: t.0, tmax: t.1, ..PaddingOptions::default() };
            let theirs = PaddingOptions { rmin: t.2, rmax: t.3, ..PaddingOptions::default() };
            let picked = PaddingRatio::negotiate(&ours, Some(&theirs)).pick(data, random);
            prop_assert!(picked <= data * usize::from(t.1.min(t.3)) / 16);
        }

        #[test]
        fn padding_options_round_trip(bytes in prop::array::uniform12(any::<u8>())) {
            let mut out = Vec::new();
            PaddingOptions::parse(&bytes).unwrap().write(&mut out);
            prop_assert_eq!(out, bytes);
            prop_assert!(PaddingOptions::parse(&bytes[1..]).is_err());
        }
    }
}
