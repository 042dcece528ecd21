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

    /// The most padding that the sender of these options sends to a peer with those, in sixteenths of the data. A peer that
    /// has not said what it takes gets what we like.
    ///
    /// spec: ntcp2 §Options; ssu2 §Options — "Sender should honor receiver's maximum."
    pub fn most(&self, theirs: Option<&Self>) -> u8 {
        theirs.map_or(self.tmax, |theirs| self.tmax.min(theirs.rmax))
    }

    /// Appends the data of an Options block.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put(&[self.tmin, self.tmax, self.rmin, self.rmax]);
        for field in [self.tdummy, self.rdummy, self.tdelay, self.rdelay] {
            out.put_u16(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_receivers_maximum_holds_over_our_wishes() {
        let ours = PaddingOptions { tmin: 2, tmax: 8, ..PaddingOptions::default() };
        let theirs = |rmax| PaddingOptions { rmax, rmin: rmax, ..PaddingOptions::default() };
        assert_eq!([0, 5, 8, 99].map(|rmax| ours.most(Some(&theirs(rmax)))), [0, 5, 8, 8]);
        assert_eq!(ours.most(None), 8);
    }

    proptest! {
        #[test]
        fn padding_options_round_trip(bytes in prop::array::uniform12(any::<u8>())) {
            let mut out = Vec::new();
            PaddingOptions::parse(&bytes).unwrap().write(&mut out);
            prop_assert_eq!(out, bytes);
            prop_assert!(PaddingOptions::parse(&bytes[1..]).is_err());
        }
    }
}
