//! The blocks inside a frame.
//!
//! ```text
//! type u8 | size u16 | data          0 DateTime   1 Options   2 RouterInfo   3 I2NP   4 Termination   254 Padding
//! ```
//!
//! spec: ntcp2 §Unencrypted data, §Block Ordering Rules

use crate::id::MessageId;
use crate::link::block::{HEADER_LEN, I2NP_HEADER_LEN, I2np};
use crate::link::padding::PaddingOptions;
use crate::link::reason::Reason;
use crate::wire::{Error, Reader, Result, Writer};

/// The longest data of one block.
pub const MAX_DATA: usize = super::frame::MAX_PLAINTEXT - HEADER_LEN;

/// Type of a DateTime block.
pub const DATE_TIME: u8 = 0;
/// Type of an Options block.
pub const OPTIONS: u8 = 1;
/// Type of a RouterInfo block.
pub const ROUTER_INFO: u8 = 2;
/// Type of an I2NP block.
pub const I2NP: u8 = 3;
/// Type of a Termination block.
pub const TERMINATION: u8 = 4;
/// Type of a Padding block.
pub const PADDING: u8 = 254;

/// One block, borrowed from the plaintext of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// The sender's clock.
    DateTime {
        /// Seconds since 1970.
        seconds: u32,
    },
    /// The padding that the sender asks for.
    Options(PaddingOptions),
    /// A RouterInfo.
    RouterInfo {
        /// The sender asks a floodfill to flood it.
        flood: bool,
        /// The RouterInfo, not compressed.
        bytes: &'a [u8],
    },
    /// An I2NP message.
    I2np(I2np<'a>),
    /// The sender ends the session.
    Termination {
        /// Valid frames that the sender received.
        frames: u64,
        /// The reason of the end.
        reason: Reason,
        /// Data whose meaning no specification gives; ignored.
        additional: &'a [u8],
    },
    /// Filling; only its length is kept.
    Padding(usize),
    /// A type that we do not know: to be ignored.
    Unknown {
        /// Its type.
        kind: u8,
        /// Its data.
        data: &'a [u8],
    },
}

impl<'a> Block<'a> {
    /// Reads the data of a block of type `kind`. Fields beyond those that we know are ignored where the
    /// specification leaves room for them.
    pub fn parse(kind: u8, data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let block = match kind {
            DATE_TIME => Self::DateTime { seconds: r.u32()? },
            OPTIONS => Self::Options(PaddingOptions::parse(data)?),
            ROUTER_INFO => Self::RouterInfo { flood: r.u8()? & 1 != 0, bytes: r.rest() },
            I2NP => Self::I2np(I2np::parse(data)?),
            TERMINATION => Self::Termination { frames: r.u64()?, reason: Reason(r.u8()?), additional: r.rest() },
            PADDING => Self::Padding(data.len()),
            kind => Self::Unknown { kind, data },
        };
        Ok(block)
    }

    /// Appends the block. `Padding` is filled with zeros: inside a sealed frame nobody can tell.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the data exceeds [`MAX_DATA`]; `out` is as before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.put(&[self.kind(), 0, 0]);
        match self {
            Self::DateTime { seconds } => out.put_u32(*seconds),
            Self::Options(options) => options.write(out),
            Self::RouterInfo { flood, bytes } => {
                out.put_u8(u8::from(*flood));
                out.put(bytes);
            }
            Self::I2np(message) => message.write(out),
            Self::Termination { frames, reason, additional } => {
                out.put_u64(*frames);
                out.put_u8(reason.0);
                out.put(additional);
            }
            Self::Padding(len) => out.resize(start + HEADER_LEN + (*len).min(MAX_DATA + 1), 0),
            Self::Unknown { data, .. } => out.put(data),
        }
        let len = out.len() - start - HEADER_LEN;
        match u16::try_from(len) {
            Ok(size) if len <= MAX_DATA => {
                out[start + 1..start + HEADER_LEN].copy_from_slice(&size.to_be_bytes());
                Ok(())
            }
            _ => {
                out.truncate(start);
                Err(Error::TooLarge("block"))
            }
        }
    }

    /// The block's type on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Self::DateTime { .. } => DATE_TIME,
            Self::Options(_) => OPTIONS,
            Self::RouterInfo { .. } => ROUTER_INFO,
            Self::I2np(_) => I2NP,
            Self::Termination { .. } => TERMINATION,
            Self::Padding(_) => PADDING,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

/// Appends the headers of an I2NP block whose body of `body_len` bytes the caller appends next.
///
/// # Errors
/// [`Error::TooLarge`] if the message does not fit a block; nothing is written.
pub fn write_i2np_header(out: &mut Vec<u8>, kind: u8, id: MessageId, expiration: u32, body_len: usize) -> Result<()> {
    let len = body_len.saturating_add(I2NP_HEADER_LEN);
    let size = u16::try_from(len).ok().filter(|_| len <= MAX_DATA).ok_or(Error::TooLarge("I2NP block"))?;
    let mut header = [0; HEADER_LEN + I2NP_HEADER_LEN];
    header[0] = I2NP;
    header[1..3].copy_from_slice(&size.to_be_bytes());
    header[3] = kind;
    header[4..8].copy_from_slice(&id.0.to_be_bytes());
    header[8..].copy_from_slice(&expiration.to_be_bytes());
    out.put(&header);
    Ok(())
}

/// What may follow, given what came before.
#[derive(Clone, Copy, Debug, Default)]
struct Order {
    last: Option<u8>,
}

impl Order {
    // spec: ntcp2 §Block Ordering Rules — padding is last; termination is last except for padding.
    fn admit(&mut self, kind: u8) -> Result<()> {
        match (self.last, kind) {
            (Some(PADDING), _) => return Err(Error::Invalid("block after padding")),
            (Some(TERMINATION), k) if k != PADDING => return Err(Error::Invalid("block after termination")),
            _ => {}
        }
        self.last = Some(kind);
        Ok(())
    }
}

/// Iterates over the blocks of a frame. After an error there is no more.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    rest: Reader<'a>,
    order: Order,
}

impl<'a> Blocks<'a> {
    /// Over the plaintext of a frame.
    pub fn new(plaintext: &'a [u8]) -> Self {
        Self { rest: Reader::new(plaintext), order: Order::default() }
    }

    fn read(&mut self) -> Result<Block<'a>> {
        let kind = self.rest.u8()?;
        let size = self.rest.u16()?;
        let data = self.rest.take(usize::from(size))?;
        self.order.admit(kind)?;
        Block::parse(kind, data)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let block = self.read();
        if block.is_err() {
            self.rest.rest();
        }
        Some(block)
    }
}

/// Iterates over the blocks of a frame as `(type, data)` with the data mutable, for tunnel cells that are
/// transformed where they lie. The same checks as [`Blocks`], short of [`Block::parse`].
#[derive(Debug)]
pub struct BlocksMut<'a> {
    rest: &'a mut [u8],
    order: Order,
}

impl<'a> BlocksMut<'a> {
    /// Over the plaintext of a frame.
    pub fn new(plaintext: &'a mut [u8]) -> Self {
        Self { rest: plaintext, order: Order::default() }
    }
}

impl<'a> Iterator for BlocksMut<'a> {
    type Item = Result<(u8, &'a mut [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let have = rest.len();
        let Some((header, rest)) = rest.split_first_chunk_mut::<HEADER_LEN>() else {
            return Some(Err(Error::Truncated { need: HEADER_LEN, have }));
        };
        let (kind, size) = (header[0], usize::from(u16::from_be_bytes([header[1], header[2]])));
        let have = rest.len();
        let Some((data, rest)) = rest.split_at_mut_checked(size) else {
            return Some(Err(Error::Truncated { need: size, have }));
        };
        if let Err(e) = self.order.admit(kind) {
            return Some(Err(e));
        }
        self.rest = rest;
        Some(Ok((kind, data)))
    }
}

#[cfg(test)]
mod tests;
