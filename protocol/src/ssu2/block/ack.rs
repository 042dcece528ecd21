//! The ACK block: which packets have arrived, from the highest number down.
//!
//! ```text
//! through u32 | acks u8 | (nacks u8 | acks u8) ..
//! ```
//! `through` and the `acks` numbers below it have arrived; each pair goes on downwards with `nacks` numbers that have
//! not and `acks` that have. Runs above 255 take pairs with a zero.
//!
//! spec: ssu2 §Ack

use crate::wire::{Error, Reader, Result, Writer};
use std::ops::RangeInclusive;

/// An ACK block, borrowed or under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The highest number acknowledged.
    pub through: u32,
    /// How many numbers directly below it are acknowledged as well.
    pub acks: u8,
    /// Pairs of nacks and acks, as on the wire.
    pub pairs: &'a [[u8; 2]],
}

impl<'a> Ack<'a> {
    /// Reads the data of the block.
    ///
    /// # Errors
    /// `Truncated`; `Trailing` if the last pair is half.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let (through, acks) = (r.u32()?, r.u8()?);
        let (pairs, half) = r.rest().as_chunks::<2>();
        if half.is_empty() { Ok(Self { through, acks, pairs }) } else { Err(Error::Trailing(1)) }
    }

    /// Appends the data of the block.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_u32(self.through);
        out.put_u8(self.acks);
        out.put(self.pairs.as_flattened());
    }

    /// The ranges of acknowledged numbers, from the highest down, apart from each other.
    pub fn ranges(&self) -> Ranges<'a> {
        Ranges { next: i64::from(self.through), run: i64::from(self.acks) + 1, pairs: self.pairs }
    }
}

/// Iterates over the acknowledged ranges of an [`Ack`], from the highest down. A run that goes below zero ends there.
#[derive(Clone, Debug)]
pub struct Ranges<'a> {
    /// The highest number of which nothing has been said yet.
    next: i64,
    /// How many numbers from there down have arrived, as far as it was read.
    run: i64,
    pairs: &'a [[u8; 2]],
}

impl Iterator for Ranges<'_> {
    type Item = RangeInclusive<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.run == 0 {
            let ([nacks, acks], rest) = self.pairs.split_first()?;
            (self.next, self.run, self.pairs) = (self.next - i64::from(*nacks), i64::from(*acks), rest);
        }
        while let Some(([0, acks], rest)) = self.pairs.split_first() {
            (self.run, self.pairs) = (self.run + i64::from(*acks), rest);
        }
        let (low, high) = (self.next - self.run + 1, self.next);
        (self.next, self.run) = (low - 1, 0);
        Some(u32::try_from(low).unwrap_or(0)..=u32::try_from(high).ok()?)
    }
}
