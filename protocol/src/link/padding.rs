//! The padding that routers ask for and send, and its Options block.
//!
//! ```text
//! tmin u8 | tmax u8 | rmin u8 | rmax u8 | tdummy u16 | rdummy u16 | tdelay u16 | rdelay u16 | more
//! ```
//!
//! spec: ntcp2 §Options; ssu2 §Options

use crate::wire::{Reader, Result, Writer};

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
