//! What is in a Data message between destinations: a gzip member whose header has the ports and the protocol.
//!
//! ```text
//! 1f 8b 08 | flags 1 | source port 2 | destination port 2 | extra 1 | protocol 1 | deflate | CRC-32 4 | length 4
//! ```
//! We store without compressing: what is sent today is compressed or encrypted already.
//!
//! spec: i2cp §Gzip Header

use crate::gzip::gunzip;
use crate::wire::{Error, Result, Writer};
use bytes::Bytes;

/// Protocol number of streams.
pub const STREAMING: u8 = 6;
/// Protocol number of datagrams with a sender.
pub const DATAGRAM: u8 = 17;
/// Protocol number of datagrams without one.
pub const RAW: u8 = 18;

/// The longest content.
pub const MAX_LEN: usize = 65_535;

const HEADER_LEN: usize = 10;
/// Of a stored block: its type, its length twice.
const STORED_LEN: usize = 5;
const TRAILER_LEN: usize = 8;

/// Bytes beside a content that is stored.
pub const OVERHEAD: usize = HEADER_LEN + STORED_LEN + TRAILER_LEN;

/// An opened payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The port of the sender, zero if it has none.
    pub from_port: u16,
    /// The port of the receiver.
    pub to_port: u16,
    /// The protocol.
    pub protocol: u8,
    /// What was sent.
    pub content: Bytes,
}

impl Payload {
    /// Opens the content of a Data message; a stored one shares the bytes.
    ///
    /// # Errors
    /// `Invalid` if it is no gzip member or its checksum is wrong; `TooLarge` above [`MAX_LEN`].
    pub fn parse(bytes: &Bytes) -> Result<Self> {
        let head = bytes.first_chunk::<HEADER_LEN>().ok_or(Error::Invalid("payload"))?;
        let [_, _, _, _, a, b, c, d, _, protocol] = *head;
        let content = match stored(bytes) {
            Some(content) => content,
            None => gunzip(bytes, MAX_LEN)?.into(),
        };
        let (from_port, to_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Ok(Self { from_port, to_port, protocol, content })
    }

    /// Appends a content that is stored.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_LEN`].
    pub fn write(&self, out: &mut impl Writer) -> Result<()> {
        let len = u16::try_from(self.content.len()).map_err(|_| Error::TooLarge("payload"))?;
        out.put(&[0x1f, 0x8b, 8, 0]);
        out.put_u16(self.from_port);
        out.put_u16(self.to_port);
        out.put(&[0, self.protocol, 1]);
        out.put(&len.to_le_bytes());
        out.put(&(!len).to_le_bytes());
        out.put(&self.content);
        out.put(&checksum(&self.content).to_le_bytes());
        out.put(&u32::from(len).to_le_bytes());
        Ok(())
    }
}

fn checksum(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

/// The content of a member that is one stored block, and whole.
fn stored(bytes: &Bytes) -> Option<Bytes> {
    let head = bytes.get(..HEADER_LEN + STORED_LEN)?;
    let ([0x1f, 0x8b, 8, 0], [1, a, b, c, d]) = (head.first_chunk()?, head.last_chunk()?) else { return None };
    let (len, inverse) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    if inverse != !len || bytes.len() != usize::from(len) + OVERHEAD {
        return None;
    }
    let content = bytes.slice(HEADER_LEN + STORED_LEN..bytes.len() - TRAILER_LEN);
    let trailer = bytes.last_chunk::<TRAILER_LEN>()?;
    let expected = [checksum(&content).to_le_bytes(), u32::from(len).to_le_bytes()];
    (trailer.as_slice() == expected.as_flattened()).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::gzip;
    use proptest::prelude::*;

    fn payload(content: &[u8]) -> Payload {
        Payload { from_port: 80, to_port: 443, protocol: STREAMING, content: Bytes::copy_from_slice(content) }
    }

    #[test]
    fn what_others_compress_is_read_as_what_we_store() {
        let mut packed = gzip(b"some content, some content");
        packed[4..10].copy_from_slice(&[0, 80, 1, 0xbb, 0, 6]);
        assert_eq!(Payload::parse(&packed.into()), Ok(payload(b"some content, some content")));
        let mut ours = Vec::new();
        payload(b"content").write(&mut ours).unwrap();
        assert_eq!(gunzip(&ours, 100).unwrap(), b"content", "and what we store others can read");
    }

    #[test]
    fn a_damaged_payload_is_refused() {
        let mut ours = Vec::new();
        payload(b"content").write(&mut ours).unwrap();
        for at in 0..ours.len() {
            // Time and system are ports and protocol, and anything goes there.
            if (4..10).contains(&at) {
                continue;
            }
            let mut bad = ours.clone();
            bad[at] ^= 0x80;
            let parsed = Payload::parse(&bad.into());
            // Some bits of the header and of the block's type say nothing.
            assert!(parsed.is_err() || at == 3 || at == 10, "byte {at}");
            assert!(Payload::parse(&ours[..at].to_vec().into()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        assert_eq!(Payload::parse(&gzip(&vec![0; 1 << 20]).into()), Err(Error::TooLarge("gzip content")));
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(content in prop::collection::vec(any::<u8>(), 0..3000)) {
            let mut out = Vec::new();
            payload(&content).write(&mut out).unwrap();
            prop_assert_eq!(out.len(), content.len() + OVERHEAD);
            prop_assert_eq!(Payload::parse(&out.into()), Ok(payload(&content)));
        }
    }
}
