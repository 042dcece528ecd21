//! The payload of garlic: blocks, of which the garlic clove is the one that carries a message.
//!
//! ```text
//! block    type (1) | size (2) | data
//! clove    delivery instructions (1, 33 or 37) | I2NP type (1) | message id (4) | expiration, s (4) | body
//! ```
//!
//! Blocks of sessions (keys, acknowledgements, ...) come out as [`Block::Other`]: what has sessions reads them.
//!
//! spec: ecies §Payload; i2np §Garlic Clove Delivery Instructions

use crate::i2np::ShortHeader;
use crate::i2np::header::SHORT_LEN;
use crate::id::{NetDbKey, RouterHash, TunnelId};
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};

/// Block type of a DateTime.
pub const DATE_TIME: u8 = 0;
/// Block type of a garlic clove.
pub const CLOVE: u8 = 11;
/// Block type of padding.
pub const PADDING: u8 = 254;

const ENCRYPTED: u8 = 0x80;
const TYPE_MASK: u8 = 0x60;
const DELAY: u8 = 0x10;

/// Where a clove goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloveDelivery {
    /// To whoever opened the garlic.
    Local,
    /// To a destination, by the hash of it.
    Destination(NetDbKey),
    /// To a router.
    Router(RouterHash),
    /// To the inbound gateway of a tunnel.
    Tunnel(RouterHash, TunnelId),
}

impl CloveDelivery {
    /// Bytes on the wire.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Local => 1,
            Self::Destination(_) | Self::Router(_) => 33,
            Self::Tunnel(..) => 37,
        }
    }

    /// Reads delivery instructions; a session key or a delay, which nobody uses, is skipped.
    ///
    /// # Errors
    /// If they are truncated, or the tunnel id is zero.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let flag = r.u8()?;
        if flag & ENCRYPTED != 0 {
            r.take(32)?;
        }
        let to = match flag & TYPE_MASK {
            0x00 => Self::Local,
            0x20 => Self::Destination(r.array()?.into()),
            0x40 => Self::Router(r.array()?.into()),
            _ => {
                let gateway = r.array()?.into();
                match r.u32()? {
                    0 => return Err(Error::Invalid("clove tunnel id")),
                    id => Self::Tunnel(gateway, TunnelId(id)),
                }
            }
        };
        if flag & DELAY != 0 {
            r.take(4)?;
        }
        Ok(to)
    }

    /// Writes delivery instructions.
    pub fn write(&self, out: &mut impl Writer) {
        match self {
            Self::Local => out.put_u8(0x00),
            Self::Destination(hash) => {
                out.put_u8(0x20);
                out.put(&hash.0);
            }
            Self::Router(hash) => {
                out.put_u8(0x40);
                out.put(&hash.0);
            }
            Self::Tunnel(gateway, id) => {
                out.put_u8(0x60);
                out.put(&gateway.0);
                out.put_u32(id.0);
            }
        }
    }
}

/// A message in garlic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clove<'a> {
    /// Where it goes.
    pub delivery: CloveDelivery,
    /// Its I2NP header.
    pub header: ShortHeader,
    /// Its I2NP body.
    pub body: &'a [u8],
}

impl<'a> Clove<'a> {
    /// Reads the data of a clove block.
    ///
    /// # Errors
    /// If it is truncated or its delivery instructions are malformed.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let delivery = CloveDelivery::parse(&mut r)?;
        let header = ShortHeader::parse(&mut r)?;
        Ok(Self { delivery, header, body: r.rest() })
    }

    /// Writes the clove as a block.
    ///
    /// # Errors
    /// If it does not fit a block; nothing is written then.
    pub fn write(&self, out: &mut impl Writer) -> Result<()> {
        let len = self.delivery.encoded_len() + SHORT_LEN + self.body.len();
        out.put(&block_header(CLOVE, len)?);
        self.delivery.write(out);
        self.header.write(out);
        out.put(self.body);
        Ok(())
    }
}

/// One block of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// When the message was made.
    DateTime(Wall),
    /// A message.
    Clove(Clove<'a>),
    /// Padding: nothing follows it.
    Padding,
    /// Any other block, kept as it is.
    Other {
        /// Its type.
        kind: u8,
        /// Its data.
        data: &'a [u8],
    },
}

/// The blocks of a payload. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Blocks<'a>(Reader<'a>);

/// Reads a payload block by block.
pub fn blocks(payload: &[u8]) -> Blocks<'_> {
    Blocks(Reader::new(payload))
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let block = self.block();
        if block.is_err() {
            self.0.rest();
        }
        Some(block)
    }
}

impl<'a> Blocks<'a> {
    fn block(&mut self) -> Result<Block<'a>> {
        let (kind, size) = (self.0.u8()?, self.0.u16()?);
        let data = self.0.take(size.into())?;
        match kind {
            DATE_TIME => Ok(Block::DateTime(Wall::from_secs(Reader::new(data).u32()?))),
            CLOVE => Clove::parse(data).map(Block::Clove),
            PADDING => {
                // spec: ecies §Padding — must be the last block. What comes after it is not read.
                self.0.rest();
                Ok(Block::Padding)
            }
            _ => Ok(Block::Other { kind, data }),
        }
    }
}

/// Writes a DateTime block.
pub fn write_date_time(now: Wall, out: &mut impl Writer) {
    out.put(&[DATE_TIME, 0, 4]);
    out.put_u32(now.secs());
}

/// Writes a padding block with `len` zeros, which encryption will hide.
pub fn write_padding(len: u8, out: &mut impl Writer) {
    out.put(&[PADDING, 0, len]);
    out.put(&[0; 255][..len.into()]);
}

fn block_header(kind: u8, len: usize) -> Result<[u8; 3]> {
    let [hi, lo] = u16::try_from(len).map_err(|_| Error::TooLarge("block"))?.to_be_bytes();
    Ok([kind, hi, lo])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i2np::MessageType;
    use crate::id::MessageId;
    use proptest::prelude::*;

    fn clove(delivery: CloveDelivery, body: &[u8]) -> Clove<'_> {
        let header =
            ShortHeader { kind: MessageType::ShortTunnelBuild, id: MessageId(7), expiration: Wall(1_700_000_000_000) };
        Clove { delivery, header, body }
    }

    #[test]
    fn a_payload_of_all_blocks_comes_back() {
        let to = [
            CloveDelivery::Local,
            CloveDelivery::Destination(NetDbKey([1; 32])),
            CloveDelivery::Router(RouterHash([2; 32])),
            CloveDelivery::Tunnel(RouterHash([3; 32]), TunnelId(4)),
        ];
        let mut payload = Vec::new();
        write_date_time(Wall(5000), &mut payload);
        for (delivery, len) in to.into_iter().zip([1, 33, 33, 37]) {
            let before = payload.len();
            clove(delivery, b"body").write(&mut payload).unwrap();
            assert_eq!(payload.len() - before, 3 + len + 9 + 4);
        }
        payload.extend([9, 0, 1, 0]);
        write_padding(5, &mut payload);
        let got: Vec<_> = blocks(&payload).map(Result::unwrap).collect();
        let cloves = to.map(|delivery| Block::Clove(clove(delivery, b"body")));
        let last = [Block::Other { kind: 9, data: &[0][..] }, Block::Padding];
        assert_eq!(got, [&[Block::DateTime(Wall(5000))][..], &cloves, &last].concat());
    }

    #[test]
    fn a_truncated_payload_ends_with_one_error() {
        let mut payload = Vec::new();
        clove(CloveDelivery::Router(RouterHash([2; 32])), b"body").write(&mut payload).unwrap();
        for cut in 1..payload.len() {
            let got: Vec<_> = blocks(&payload[..cut]).collect();
            assert!(matches!(got[..], [Err(_)]), "cut at {cut}");
        }
    }

    #[test]
    fn a_clove_too_large_for_a_block_is_refused_and_writes_nothing() {
        let (body, mut out) = (vec![0; 65_526], Vec::new());
        assert!(clove(CloveDelivery::Local, &body).write(&mut out).is_err());
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_are_read_without_a_panic_and_within_their_length(
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            prop_assert!(blocks(&payload).count() <= payload.len());
        }
    }
}
