//! The headers of SSU2 and their protection.
//!
//! ```text
//! long  (32): destination id u64 | number u32 | type u8 | version u8 | net id u8 | flag u8 | source id u64 | token u64
//! short (16): destination id u64 | number u32 | type u8 | flags 3
//! ```
//! On the wire no byte of them is plain. The last 24 bytes of the datagram are two nonces for ChaCha20: under the first
//! key one masks bytes 0..8, under the second the other masks bytes 8..16. Bytes 16..32 of a long header, and the
//! ephemeral key behind it if there is one, are encrypted with the second key and a nonce of zero. All of it is XOR, so
//! what protects also unprotects.
//!
//! spec: ssu2 §Packet Header, §Header Encryption KDF

use crate::wire::{Reader, Result, Writer};
use ramson_crypto::chacha20;
use ramson_crypto::mask::LANES;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a short header.
pub const SHORT_LEN: usize = 16;
/// Length of a long header.
pub const LONG_LEN: usize = 32;
/// A long header and an ephemeral key: what is encrypted of a SessionRequest and a SessionCreated.
pub const KEYED_LEN: usize = 64;
/// The shortest datagram: a short header, and 24 bytes that hold the nonces.
///
/// spec: ssu2 §Messages — "All SSU2 messages are at least 40 bytes in length."
pub const MIN_DATAGRAM: usize = 40;
/// The longest datagram, over IPv4.
pub const MAX_DATAGRAM: usize = 1472;
/// The version in every long header and in the address option `v`.
pub const VERSION: u8 = 2;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// The first message of the handshake. Long header, ephemeral key.
    pub const SESSION_REQUEST: Self = Self(0);
    /// The answer to it. Long header, ephemeral key.
    pub const SESSION_CREATED: Self = Self(1);
    /// The third message. Short header, with fragment numbers.
    pub const SESSION_CONFIRMED: Self = Self(2);
    /// Everything within a session. Short header.
    pub const DATA: Self = Self(6);
    /// Between Alice and Charlie of a peer test. Long header.
    pub const PEER_TEST: Self = Self(7);
    /// The answer to a TokenRequest, or to a SessionRequest without a good token. Long header.
    pub const RETRY: Self = Self(9);
    /// Asks for a token. Long header.
    pub const TOKEN_REQUEST: Self = Self(10);
    /// From Charlie to Alice, whom an introducer sent. Long header.
    pub const HOLE_PUNCH: Self = Self(11);
}

/// A key that protects headers: an introduction key, or `k_header_2` of a phase. Wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// From the bytes of an introduction key or of a derivation.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The bytes: an introduction key is also the AEAD key of messages outside a session.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The eight bytes of the key stream under a nonce.
    fn mask(&self, nonce: &[u8; 12]) -> u64 {
        let mut mask = [0; 8];
        chacha20::apply_iv(&self.0, nonce, &mut mask);
        u64::from_be_bytes(mask)
    }
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskKey(..)")
    }
}

/// The two nonces at the end of a datagram that is long enough to have a header before them.
fn nonces(datagram: &[u8]) -> Option<(&[u8; 12], &[u8; 12])> {
    let (_, tail) = datagram.split_at_checked(SHORT_LEN)?.1.split_last_chunk::<24>()?;
    Some((tail.first_chunk()?, tail.last_chunk()?))
}

/// The destination connection id of a protected datagram, nothing else being touched: what a demultiplexer asks for.
/// `None` if the datagram is shorter than [`MIN_DATAGRAM`]. One block of ChaCha20.
pub fn connection_id(datagram: &[u8], intro: &MaskKey) -> Option<u64> {
    let (nonce, _) = nonces(datagram)?;
    Some(u64::from_be_bytes(*datagram.first_chunk()?) ^ intro.mask(nonce))
}

/// The destination connection ids of the first [`LANES`] of these datagrams, as [`connection_id`] gives them: side by
/// side they cost little more than one.
pub fn connection_ids<'a>(datagrams: impl Iterator<Item = &'a [u8]>, intro: &MaskKey) -> [Option<u64>; LANES] {
    let (mut firsts, mut lanes, mut count) = ([None; LANES], [[0; 12]; LANES], 0);
    for ((first, lane), datagram) in firsts.iter_mut().zip(&mut lanes).zip(datagrams) {
        count += 1;
        if let Some((nonce, _)) = nonces(datagram) {
            *lane = *nonce;
            *first = datagram.first_chunk().map(|word| u64::from_be_bytes(*word));
        }
    }
    let masks = ramson_crypto::mask::masks(&intro.0, &lanes[..count]);
    std::array::from_fn(|i| firsts[i].map(|word| word ^ masks[i]))
}

/// Protects or unprotects bytes 0..16. `None`, with nothing changed, if the datagram is shorter than [`MIN_DATAGRAM`].
#[must_use]
pub fn mask(datagram: &mut [u8], first: &MaskKey, second: &MaskKey) -> Option<()> {
    let (a, b) = nonces(datagram)?;
    let masks = [first.mask(a), second.mask(b)];
    for (word, mask) in datagram.as_chunks_mut::<8>().0.iter_mut().zip(masks) {
        *word = (u64::from_be_bytes(*word) ^ mask).to_be_bytes();
    }
    Some(())
}

/// The first half of a protected datagram's header as it would be under these keys, nothing being changed. `None` if
/// the datagram is shorter than [`MIN_DATAGRAM`].
pub fn peek(datagram: &[u8], first: &MaskKey, second: &MaskKey) -> Option<Short> {
    let (a, b) = nonces(datagram)?;
    let mut head = *datagram.first_chunk::<SHORT_LEN>()?;
    for (word, mask) in head.as_chunks_mut::<8>().0.iter_mut().zip([first.mask(a), second.mask(b)]) {
        *word = (u64::from_be_bytes(*word) ^ mask).to_be_bytes();
    }
    Short::parse(&head).ok()
}

/// Encrypts or decrypts bytes 16..`end`, `end` being [`LONG_LEN`] or [`KEYED_LEN`]. `None` if the datagram is shorter.
#[must_use]
pub fn mask_rest(datagram: &mut [u8], end: usize, second: &MaskKey) -> Option<()> {
    chacha20::apply_iv(&second.0, &[0; 12], datagram.get_mut(SHORT_LEN..end)?);
    Some(())
}

/// A long header, unprotected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// The id that the receiver chose, or will take up.
    pub destination: u64,
    /// Random; the AEAD nonce of messages outside the Noise handshake.
    pub number: u32,
    /// The message.
    pub kind: Kind,
    /// [`VERSION`].
    pub version: u8,
    /// The sender's network.
    pub net_id: u8,
    /// Unused, zero.
    pub flag: u8,
    /// The id that the sender chose.
    pub source: u64,
    /// The token of a Retry or SessionRequest.
    pub token: u64,
}

impl Long {
    /// Reads a header from the front of `bytes`.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        Ok(Self {
            destination: r.u64()?,
            number: r.u32()?,
            kind: Kind(r.u8()?),
            version: r.u8()?,
            net_id: r.u8()?,
            flag: r.u8()?,
            source: r.u64()?,
            token: r.u64()?,
        })
    }

    /// Appends the 32 bytes.
    pub fn write(&self, out: &mut impl Writer) {
        out.put_u64(self.destination);
        out.put_u32(self.number);
        out.put(&[self.kind.0, self.version, self.net_id, self.flag]);
        out.put_u64(self.source);
        out.put_u64(self.token);
    }
}

/// A short header, unprotected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The id that the receiver chose.
    pub destination: u64,
    /// The packet number; zero in every fragment of a SessionConfirmed.
    pub number: u32,
    /// The message.
    pub kind: Kind,
    /// SessionConfirmed: the fragment's number in the upper half of the first byte, their count in the lower. Data: the
    /// lowest bit of the first byte asks for an immediate ACK. The others are zero.
    pub flags: [u8; 3],
}

impl Short {
    /// Reads a header from the front of `bytes`.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        Ok(Self { destination: r.u64()?, number: r.u32()?, kind: Kind(r.u8()?), flags: r.array()? })
    }

    /// True if this is the first half of a long header of this kind, of our version and this network. Under a wrong key,
    /// one datagram of 2^24 looks so.
    pub fn is_long(&self, kind: Kind, net_id: u8) -> bool {
        self.kind == kind && self.flags[..2] == [VERSION, net_id]
    }

    /// True if this is the header of a part of a SessionConfirmed. Under a wrong key, one datagram of 2^40 looks so.
    pub fn is_confirmed(&self) -> bool {
        self.kind == Kind::SESSION_CONFIRMED && self.number == 0
    }

    /// The 16 bytes.
    pub fn to_bytes(&self) -> [u8; SHORT_LEN] {
        let mut out = [0; SHORT_LEN];
        out[..8].copy_from_slice(&self.destination.to_be_bytes());
        out[8..12].copy_from_slice(&self.number.to_be_bytes());
        out[12] = self.kind.0;
        out[13..].copy_from_slice(&self.flags);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Long = Long {
        destination: 0x0102_0304_0506_0708,
        number: 0x090a_0b0c,
        kind: Kind::RETRY,
        version: VERSION,
        net_id: 99,
        flag: 0,
        source: 0x1112_1314_1516_1718,
        token: 0x191a_1b1c_1d1e_1f20,
    };

    #[test]
    fn a_long_header_is_read_back_and_refused_when_cut() {
        let mut bytes = Vec::new();
        LONG.write(&mut bytes);
        assert_eq!(bytes.len(), LONG_LEN);
        assert_eq!(Long::parse(&bytes), Ok(LONG));
        for n in 0..LONG_LEN {
            assert!(Long::parse(&bytes[..n]).is_err());
        }
    }

    #[test]
    fn a_short_header_is_the_front_of_a_long_one() {
        let mut bytes = Vec::new();
        LONG.write(&mut bytes);
        let short = Short::parse(&bytes).unwrap();
        assert_eq!(
            short,
            Short { destination: LONG.destination, number: LONG.number, kind: LONG.kind, flags: [2, 99, 0] }
        );
        assert_eq!(short.to_bytes(), bytes[..SHORT_LEN]);
        for n in 0..SHORT_LEN {
            assert!(Short::parse(&bytes[..n]).is_err());
        }
    }

    #[test]
    fn protection_undoes_itself_and_hides_every_byte_of_the_header() {
        let (first, second) = (MaskKey::new([1; 32]), MaskKey::new([2; 32]));
        for end in [LONG_LEN, KEYED_LEN] {
            let plain: Vec<u8> = (0..100).collect();
            let mut sent = plain.clone();
            mask(&mut sent, &first, &second).unwrap();
            mask_rest(&mut sent, end, &second).unwrap();
            assert_eq!(sent[end..], plain[end..]);
            assert!(sent[..end].chunks(8).zip(plain.chunks(8)).all(|(a, b)| a != b));
            assert_eq!(connection_id(&sent, &first), Some(0x0001_0203_0405_0607));
            assert_eq!(peek(&sent, &first, &second), Short::parse(&plain).ok());
            assert_ne!(connection_id(&sent, &second), Some(0x0001_0203_0405_0607));
            mask(&mut sent, &first, &second).unwrap();
            mask_rest(&mut sent, end, &second).unwrap();
            assert_eq!(sent, plain);
        }
    }

    #[test]
    fn many_ids_at_once_are_as_one_by_one() {
        let key = MaskKey::new([1; 32]);
        for count in 0..=LANES + 1 {
            let all: Vec<Vec<u8>> = (0..count).map(|n| vec![n as u8; 36 + n]).collect();
            let ids = connection_ids(all.iter().map(Vec::as_slice), &key);
            for (datagram, id) in all.iter().zip(ids) {
                assert_eq!(id, connection_id(datagram, &key));
            }
        }
    }

    #[test]
    fn a_datagram_without_room_for_the_nonces_has_no_header() {
        let key = MaskKey::new([1; 32]);
        for n in 0..MIN_DATAGRAM {
            assert_eq!(connection_id(&vec![0; n], &key), None);
            assert_eq!(mask(&mut vec![0; n], &key, &key), None);
        }
        assert!(connection_id(&[0; MIN_DATAGRAM], &key).is_some());
        assert!(mask(&mut [0; MIN_DATAGRAM], &key, &key).is_some());
        assert!(mask_rest(&mut [0; KEYED_LEN], KEYED_LEN, &key).is_some());
        assert!(mask_rest(&mut [0; KEYED_LEN - 1], KEYED_LEN, &key).is_none());
    }
}
