//! Data packets, sealed and opened where they lie.
//!
//! ```text
//! connection id u64 | number u32 | type 6 u8 | flags 3 | blocks | tag 16
//! ```
//! The header is the associated data and the number the nonce; then both halves of the header are masked. Masks are
//! computed sixteen at once: alone, one costs a fifth of all that a packet costs.
//!
//! The receiver's connection id needs no unmasking: whoever brings a datagram here has looked the session up by it, and
//! if it were another one the packet would not authenticate.
//!
//! spec: ssu2 §Data Message, §Header Encryption KDF, §KDF for data phase

use super::header::{Kind, MIN_DATAGRAM, MaskKey, SHORT_LEN, Short};
use super::keys::DataKeys;
use ramson_crypto::aead::{AeadKey, Message, TAG_LEN, open_batch, seal_batch};
use ramson_crypto::mask::{self, LANES};
use smallvec::SmallVec;
use std::ops::Range;

/// Bytes that a packet adds to its blocks.
pub const OVERHEAD: usize = SHORT_LEN + TAG_LEN;
/// The fewest bytes of blocks: the masks are made of the last 24 bytes of a packet.
pub const MIN_PAYLOAD: usize = MIN_DATAGRAM - OVERHEAD;
/// The flag by which a sender asks for an ACK at once.
///
/// spec: ssu2 §Immediate ACK Flag
const IMMEDIATE_ACK: u8 = 1;

/// Why a datagram is not a packet of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than any packet.
    #[error("datagram too short")]
    Short,
    /// Not a Data packet.
    #[error("not a data packet")]
    Kind,
    /// A number that has arrived before, or is too old to know.
    #[error("repeated packet")]
    Repeated,
    /// It does not authenticate.
    #[error("packet does not authenticate")]
    Tag,
    /// The session has ended.
    #[error("session has ended")]
    Ended,
    /// The peer sealed blocks that cannot be read; what came before them has been taken.
    #[error("bad blocks: {0}")]
    Blocks(crate::wire::Error),
}

impl PacketError {
    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Kind => "kind",
            Self::Repeated => "repeated",
            Self::Tag => "tag",
            Self::Ended => "ended",
            Self::Blocks(_) => "blocks",
        }
    }
}

/// Where the blocks of a packet of `len` bytes lie.
pub fn blocks(len: usize) -> Range<usize> {
    SHORT_LEN..len.saturating_sub(TAG_LEN).max(SHORT_LEN)
}

/// The last 24 bytes of a packet as the nonces of its two masks.
fn nonces(packet: &[u8]) -> ([u8; 12], [u8; 12]) {
    match packet.last_chunk::<24>().map(|tail| tail.as_chunks::<12>()) {
        Some(([first, second], _)) => (*first, *second),
        _ => ([0; 12], [0; 12]),
    }
}

/// Where a packet lies that is to be sealed: header, blocks, and room for the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it begins.
    pub at: usize,
    /// Its length with header and tag, at least [`MIN_DATAGRAM`].
    pub len: usize,
    /// Its number, never used before.
    pub number: u32,
    /// Ask for an ACK at once.
    pub immediate: bool,
}

/// Seals the packets to one peer.
pub struct Sealer {
    key: AeadKey,
    intro: MaskKey,
    header_2: MaskKey,
    /// The connection id in packets to the peer.
    id: u64,
}

impl Sealer {
    /// From the keys of our direction, the peer's introduction key and its connection id.
    pub fn new(keys: &DataKeys, intro: &MaskKey, id: u64) -> Self {
        Self { key: AeadKey::new(&keys.k_data), intro: intro.clone(), header_2: keys.k_header_2.clone(), id }
    }

    /// Writes the header of each packet, seals its blocks in place, writes its tag, and masks the headers. Places come in
    /// the order in which they lie; those that begin within the one before, do not lie within `buf`, or are too short
    /// for a packet, are left alone.
    pub fn seal(&self, buf: &mut [u8], places: &[Placed]) {
        let mut end = 0;
        for group in places.chunks(LANES / 2) {
            let group: SmallVec<[&Placed; LANES / 2]> = (group.iter())
                .filter(|place| {
                    let fits = place.at >= end && place.len >= MIN_DATAGRAM && place.at + place.len <= buf.len();
                    end = if fits { place.at + place.len } else { end };
                    fits
                })
                .collect();
            self.seal_group(buf, &group);
            let mut both = [[0; 12]; LANES];
            for (lane, place) in group.iter().enumerate() {
                let Some(packet) = packet_mut(buf, place) else { continue };
                (both[lane], both[LANES / 2 + lane]) = nonces(packet);
            }
            let masks = mask::masks_of_two([self.intro.as_bytes(), self.header_2.as_bytes()], &both);
            for (lane, place) in group.iter().enumerate() {
                let Some(packet) = packet_mut(buf, place) else { continue };
                let words = packet.as_chunks_mut::<8>().0.iter_mut();
                for (word, mask) in words.zip([masks[lane], masks[LANES / 2 + lane]]) {
                    *word = (u64::from_be_bytes(*word) ^ mask).to_be_bytes();
                }
            }
        }
    }

    /// Headers and tags of packets that lie apart, in order.
    fn seal_group(&self, buf: &mut [u8], group: &[&Placed]) {
        let headers: SmallVec<[[u8; SHORT_LEN]; LANES / 2]> = group.iter().map(|place| self.header(place)).collect();
        let mut batch: SmallVec<[Message<'_>; LANES / 2]> = SmallVec::new();
        let (mut rest, mut begin) = (buf, 0);
        for (place, header) in group.iter().zip(&headers) {
            let Some((before, behind)) = rest.split_at_mut_checked(place.at - begin + place.len) else { return };
            let Some((head, sealed)) = before[place.at - begin..].split_at_mut_checked(SHORT_LEN) else { return };
            head.copy_from_slice(header);
            batch.push(Message::new(&self.key, place.number.into(), header, sealed));
            (rest, begin) = (behind, place.at + place.len);
        }
        seal_batch(&mut batch);
    }

    fn header(&self, place: &Placed) -> [u8; SHORT_LEN] {
        let flags = [if place.immediate { IMMEDIATE_ACK } else { 0 }, 0, 0];
        Short { destination: self.id, number: place.number, kind: Kind::DATA, flags }.to_bytes()
    }
}

fn packet_mut<'a>(buf: &'a mut [u8], place: &Placed) -> Option<&'a mut [u8]> {
    buf.get_mut(place.at..place.at + place.len)
}

/// What an unmasked header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The packet's number.
    pub number: u32,
    /// The peer wants an ACK at once.
    pub immediate: bool,
    bytes: [u8; SHORT_LEN],
}

/// Opens the packets of one peer.
pub struct Opener {
    key: AeadKey,
    header_2: MaskKey,
    /// The connection id in packets to us.
    id: u64,
}

impl Opener {
    /// From the keys of the peer's direction and the connection id in its packets.
    pub fn new(keys: &DataKeys, id: u64) -> Self {
        Self { key: AeadKey::new(&keys.k_data), header_2: keys.k_header_2.clone(), id }
    }

    /// The masks of the headers' second halves, for the first [`LANES`] of these datagrams.
    pub fn masks<'a>(&self, datagrams: impl Iterator<Item = &'a [u8]>) -> [u64; LANES] {
        let mut seconds = [[0; 12]; LANES];
        let mut count = 0;
        for (lane, datagram) in seconds.iter_mut().zip(datagrams) {
            *lane = nonces(datagram).1;
            count += 1;
        }
        mask::masks(self.header_2.as_bytes(), &seconds[..count])
    }

    /// Reads the header under its mask; the datagram stays as it is.
    ///
    /// # Errors
    /// [`PacketError::Short`], [`PacketError::Kind`].
    pub fn header(&self, datagram: &[u8], mask: u64) -> Result<Header, PacketError> {
        let Some(second) = datagram.get(8..).filter(|_| datagram.len() >= MIN_DATAGRAM) else {
            return Err(PacketError::Short);
        };
        let second = second.first_chunk().map_or(0, |word| u64::from_be_bytes(*word)) ^ mask;
        let mut bytes = [0; SHORT_LEN];
        bytes[..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[8..].copy_from_slice(&second.to_be_bytes());
        if Kind(bytes[12]) != Kind::DATA {
            return Err(PacketError::Kind);
        }
        Ok(Header { number: (second >> 32) as u32, immediate: bytes[13] & IMMEDIATE_ACK != 0, bytes })
    }

    /// Authenticates and decrypts a packet in place; where its blocks lie in the datagram.
    ///
    /// # Errors
    /// [`PacketError::Tag`]; the datagram's content is unspecified then.
    pub fn open(&self, datagram: &mut [u8], header: &Header) -> Result<Range<usize>, PacketError> {
        let sealed = datagram.get_mut(SHORT_LEN..).ok_or(PacketError::Short)?;
        let blocks = self.key.open(header.number.into(), &header.bytes, sealed).map_err(|_| PacketError::Tag)?.len();
        Ok(SHORT_LEN..SHORT_LEN + blocks)
    }
}

impl Opener {
    /// Reads the headers of up to [`LANES`] datagrams of `segment` bytes (the last one may be shorter), and authenticates
    /// and decrypts in place those whose number `is_new`; the blocks lie where [`blocks`] says.
    pub fn open_group(
        &self,
        datagrams: &mut [u8],
        segment: usize,
        is_new: impl Fn(u32) -> bool,
    ) -> [Result<Header, PacketError>; LANES] {
        let mut opened = [Err(PacketError::Short); LANES];
        let masks = self.masks(datagrams.chunks(segment));
        for ((opened, datagram), mask) in opened.iter_mut().zip(datagrams.chunks(segment)).zip(masks) {
            *opened = self
                .header(datagram, mask)
                .and_then(|header| if is_new(header.number) { Ok(header) } else { Err(PacketError::Repeated) });
        }
        let headers = opened;
        let mut batch: SmallVec<[Message<'_>; LANES]> = SmallVec::new();
        for (datagram, header) in datagrams.chunks_mut(segment).zip(&headers) {
            if let (Ok(header), Some(sealed)) = (header, datagram.get_mut(SHORT_LEN..)) {
                batch.push(Message::new(&self.key, header.number.into(), &header.bytes, sealed));
            }
        }
        open_batch(&mut batch);
        let tried = opened.iter_mut().filter(|opened| opened.is_ok());
        for (opened, _) in tried.zip(&batch).filter(|(_, message)| !message.ok) {
            *opened = Err(PacketError::Tag);
        }
        opened
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::*;

    fn keys() -> (DataKeys, MaskKey) {
        (DataKeys { k_data: [1; 32], k_header_2: MaskKey::new([2; 32]) }, MaskKey::new([3; 32]))
    }

    /// Packets of many lengths, one after another, and where they lie.
    fn sealed() -> (Vec<u8>, Vec<Placed>) {
        let (keys, intro) = keys();
        let mut places = Vec::new();
        let mut at = 0;
        for (number, len) in (MIN_DATAGRAM..MIN_DATAGRAM + 37).enumerate() {
            places.push(Placed { at, len, number: number as u32 * 1000, immediate: number % 2 == 0 });
            at += len;
        }
        let mut buf: Vec<u8> = (0..at).map(|i| i as u8).collect();
        Sealer::new(&keys, &intro, 0x0102_0304_0506_0708).seal(&mut buf, &places);
        (buf, places)
    }

    #[test]
    fn sealed_packets_open_and_their_id_is_under_the_introduction_key() {
        let ((keys, intro), (mut buf, places)) = (keys(), sealed());
        let opener = Opener::new(&keys, 0x0102_0304_0506_0708);
        for place in places {
            let packet = &mut buf[place.at..place.at + place.len];
            assert_eq!(header::connection_id(packet, &intro), Some(0x0102_0304_0506_0708));
            let mask = opener.masks(std::iter::once(&*packet))[0];
            let header = opener.header(packet, mask).unwrap();
            assert_eq!((header.number, header.immediate), (place.number, place.immediate));
            let blocks = opener.open(packet, &header).unwrap();
            assert_eq!(blocks, SHORT_LEN..place.len - TAG_LEN);
            assert!(packet[blocks].iter().enumerate().all(|(i, b)| *b == (place.at + SHORT_LEN + i) as u8));
        }
    }

    #[test]
    fn a_group_opens_as_its_packets_do_one_by_one_and_a_forged_one_among_them_is_told() {
        let (keys, intro) = keys();
        let (len, count) = (1072, 11);
        let places: Vec<Placed> =
            (0..count).map(|n| Placed { at: n * len, len, number: n as u32, immediate: false }).collect();
        let plain: Vec<u8> = (0..count * len).map(|i| (i / 7) as u8).collect();
        let mut buf = plain.clone();
        Sealer::new(&keys, &intro, 5).seal(&mut buf, &places);
        buf.truncate(count * len - len + 20);
        buf[3 * len + 100] ^= 1;
        let opened = Opener::new(&keys, 5).open_group(&mut buf, len, |number| number != 6);
        for (n, opened) in opened.iter().enumerate() {
            match n {
                3 => assert_eq!(*opened, Err(PacketError::Tag)),
                6 => assert_eq!(*opened, Err(PacketError::Repeated)),
                10.. => assert_eq!(*opened, Err(PacketError::Short)),
                _ => {
                    assert_eq!(opened.unwrap().number, n as u32);
                    let text = blocks(len);
                    assert_eq!(buf[n * len..][text.clone()], plain[n * len..][text]);
                }
            }
        }
    }

    #[test]
    fn no_bit_of_a_packet_can_be_changed() {
        let ((keys, _), (buf, places)) = (keys(), sealed());
        let opener = Opener::new(&keys, 0x0102_0304_0506_0708);
        let packet = &buf[places[0].at..places[0].at + places[0].len];
        for bit in 64..packet.len() * 8 {
            let mut bad = packet.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mask = opener.masks(std::iter::once(&*bad))[0];
            let opened = opener.header(&bad, mask).and_then(|header| opener.open(&mut bad, &header));
            assert!(matches!(opened, Err(PacketError::Tag | PacketError::Kind)), "bit {bit}");
        }
        let other = Opener::new(&keys, 1);
        let mut copy = packet.to_vec();
        let header = other.header(&copy, other.masks(std::iter::once(packet))[0]).unwrap();
        assert_eq!(other.open(&mut copy, &header), Err(PacketError::Tag), "another session's packet");
    }

    #[test]
    fn what_is_too_short_is_no_packet() {
        let (keys, intro) = keys();
        let opener = Opener::new(&keys, 1);
        for len in 0..MIN_DATAGRAM {
            let short = vec![0; len];
            let mask = opener.masks(std::iter::once(&*short))[0];
            assert_eq!(opener.header(&short, mask), Err(PacketError::Short));
        }
        let mut buf = vec![0; 60];
        let places = [(30, 40), (0, 39)].map(|(at, len)| Placed { at, len, number: 0, immediate: false });
        Sealer::new(&keys, &intro, 1).seal(&mut buf, &places);
        assert_eq!(buf, [0; 60]);
    }
}
