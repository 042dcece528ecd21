//! Packets of the streaming protocol.
//!
//! ```text
//! send stream 4 | receive stream 4 | sequence 4 | ack through 4 | nacks 1 | nack 4 * | resend delay 1 | flags 2 |
//! options size 2 | delay 2 ? | from ? | max size 2 ? | offline signature ? | signature ? | payload
//! ```
//! The stream numbers are named by the receiver of the packet: "send stream" is the one that he gave out.
//!
//! spec: streaming §Packet Format, §Flags and Option Data Fields

use crate::data::key_type::SigType;
use crate::data::keys_and_cert::Destination;
use crate::data::offline::OfflineSignature;
use crate::id::DestinationHash;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::sign::{self, Sign};

/// The least length of a packet.
pub const MIN_LEN: usize = 22;

/// Bytes of payload that are read of one packet. INTEROP: 32 KiB in Java.
pub const MAX_PAYLOAD: usize = 32 * 1024;

/// NACKs that a first packet carries instead of numbers: the hash of its target. spec: streaming §Replay Prevention
const TARGET_WORDS: usize = 8;

/// A delay above this says that nothing more is to be sent. spec: streaming §DELAY_REQUESTED
pub const CHOKE: u16 = 60_000;

/// Flags as the wire has them.
pub mod flag {
    /// The first packet of a side.
    pub const SYNCHRONIZE: u16 = 1;
    /// The last packet of a side.
    pub const CLOSE: u16 = 1 << 1;
    /// The stream is broken off.
    pub const RESET: u16 = 1 << 2;
    /// There is a signature.
    pub const SIGNATURE: u16 = 1 << 3;
    /// There is the sender's destination.
    pub const FROM: u16 = 1 << 5;
    /// There is a delay.
    pub const DELAY: u16 = 1 << 6;
    /// There is the largest payload that the sender takes.
    pub const MAX_SIZE: u16 = 1 << 7;
    /// A ping, or its answer.
    pub const ECHO: u16 = 1 << 9;
    /// "Ack through" means nothing.
    pub const NO_ACK: u16 = 1 << 10;
    /// There is an offline signature.
    pub const OFFLINE: u16 = 1 << 11;
}

/// A packet, its signature not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The number that the receiver of the packet gave the stream; zero as long as it is unknown.
    pub send_stream: u32,
    /// The number that the sender gave it.
    pub receive_stream: u32,
    /// Its place in the stream. Zero without SYNCHRONIZE: only an acknowledgement.
    pub sequence: u32,
    /// The highest that has come.
    pub ack_through: u32,
    /// Those below it that have not. At most 255.
    pub nacks: Vec<u32>,
    /// Seconds until it is sent again. Nobody reads it.
    pub resend_delay: u8,
    /// See [`flag`].
    pub flags: u16,
    /// Milliseconds, see [`flag::DELAY`].
    pub delay: Option<u16>,
    /// The sender.
    pub from: Option<Destination>,
    /// The most that he takes in one packet.
    pub max_size: Option<u16>,
    /// The exact bytes of the offline signature.
    pub offline: Option<Bytes>,
    /// The signature.
    pub signature: Option<Bytes>,
    /// What the application sent.
    pub payload: Bytes,
}

impl Packet {
    /// A packet with nothing in it but these.
    pub fn new(send_stream: u32, receive_stream: u32, sequence: u32) -> Self {
        Self {
            send_stream,
            receive_stream,
            sequence,
            ack_through: 0,
            nacks: Vec::new(),
            resend_delay: 0,
            flags: 0,
            delay: None,
            from: None,
            max_size: None,
            offline: None,
            signature: None,
            payload: Bytes::new(),
        }
    }

    /// One that breaks a stream off.
    ///
    /// INTEROP: i2pd takes a number of zero for an acknowledgement alone, and goes on to send.
    pub fn reset(send_stream: u32, receive_stream: u32, sequence: u32) -> Self {
        Self { flags: flag::RESET | flag::SIGNATURE, ..Self::new(send_stream, receive_stream, sequence) }
    }

    /// True if all of these flags are set.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// True if it says which packets have come.
    pub fn acknowledges(&self) -> bool {
        !self.has(flag::NO_ACK) && self.send_stream != 0
    }

    /// The target that a first packet names, if it does.
    pub fn target(&self) -> Option<DestinationHash> {
        if !self.has(flag::SYNCHRONIZE) || self.nacks.len() != TARGET_WORDS {
            return None;
        }
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(&self.nacks) {
            *bytes = word.to_be_bytes();
        }
        Some(DestinationHash(hash))
    }

    /// Names the target: for the first packet of a stream.
    pub fn set_target(&mut self, target: &DestinationHash) {
        self.nacks = target.0.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
    }

    /// Reads a packet. `signer` is the type of the key that signs for the stream, where the packet does not tell.
    ///
    /// # Errors
    /// `Truncated`; `TooLarge` for a payload above [`MAX_PAYLOAD`]; `Invalid` for options that contradict each other.
    pub fn parse(bytes: &Bytes, signer: Option<SigType>) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let mut packet = Self::new(r.u32()?, r.u32()?, r.u32()?);
        packet.ack_through = r.u32()?;
        let (nacks, _) = r.array::<1>().and_then(|[count]| r.take(usize::from(count) * 4))?.as_chunks::<4>();
        packet.nacks = nacks.iter().map(|nack| u32::from_be_bytes(*nack)).collect();
        packet.resend_delay = r.u8()?;
        packet.flags = r.u16()?;
        let size = r.u16()?;
        let options_at = r.position();
        let options = r.take(usize::from(size))?;
        packet.parse_options(bytes.slice(options_at..options_at + options.len()), signer)?;
        let payload_at = r.position();
        if bytes.len() - payload_at > MAX_PAYLOAD {
            return Err(Error::TooLarge("stream packet"));
        }
        packet.payload = bytes.slice(payload_at..);
        Ok(packet)
    }

    fn parse_options(&mut self, options: Bytes, signer: Option<SigType>) -> Result<()> {
        let mut r = Reader::new(&options);
        let mut signer = signer;
        if self.has(flag::DELAY) {
            self.delay = Some(r.u16()?);
        }
        if self.has(flag::FROM) {
            let from = Destination::parse(&mut r)?;
            signer = Some(from.signing_type());
            self.from = Some(from);
        }
        if self.has(flag::MAX_SIZE) {
            self.max_size = Some(r.u16()?);
        }
        if self.has(flag::OFFLINE) {
            let owner = self.from.as_ref().map(|from| from.signing_type()).or(signer);
            let at = r.position();
            let offline = OfflineSignature::parse(&mut r, owner.ok_or(Error::Invalid("offline signature"))?)?;
            signer = Some(offline.kind);
            self.offline = Some(options.slice(at..r.position()));
        }
        if self.has(flag::SIGNATURE) {
            // It is the last option. INTEROP: without knowing the key Java guesses the kind by the length, too.
            let len = signer.and_then(SigType::signature_len).unwrap_or(r.remaining());
            let at = r.position();
            r.take(len)?;
            self.signature = Some(options.slice(at..at + len));
        }
        Ok(())
    }

    /// The bytes. NACKs above 255 are left out. The signature is as it stands; [`Packet::sign`] makes one.
    ///
    /// # Errors
    /// `TooLarge` if the options fit into no packet.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let nacks = &self.nacks[..self.nacks.len().min(255)];
        let mut out = Vec::with_capacity(MIN_LEN + nacks.len() * 4 + 512 + self.payload.len());
        for field in [self.send_stream, self.receive_stream, self.sequence, self.ack_through] {
            out.put_u32(field);
        }
        out.put_u8(u8::try_from(nacks.len()).unwrap_or(u8::MAX));
        nacks.iter().for_each(|nack| out.put_u32(*nack));
        out.put_u8(self.resend_delay);
        out.put_u16(self.flags_as_written());
        let size_at = out.len();
        out.put_u16(0);
        if let Some(delay) = self.delay {
            out.put_u16(delay);
        }
        if let Some(from) = &self.from {
            out.put(from.as_bytes());
        }
        if let Some(max_size) = self.max_size {
            out.put_u16(max_size);
        }
        for option in [&self.offline, &self.signature].into_iter().flatten() {
            out.put(option);
        }
        let size = u16::try_from(out.len() - size_at - 2).map_err(|_| Error::TooLarge("stream options"))?;
        out[size_at..size_at + 2].copy_from_slice(&size.to_be_bytes());
        out.put(&self.payload);
        Ok(out)
    }

    /// The flags, those of options as these are there.
    fn flags_as_written(&self) -> u16 {
        let options = [
            (flag::DELAY, self.delay.is_some()),
            (flag::FROM, self.from.is_some()),
            (flag::MAX_SIZE, self.max_size.is_some()),
            (flag::OFFLINE, self.offline.is_some()),
            (flag::SIGNATURE, self.signature.is_some()),
        ];
        options.into_iter().fold(self.flags, |flags, (flag, there)| if there { flags | flag } else { flags & !flag })
    }

    /// The bytes with a signature by `key`.
    ///
    /// # Errors
    /// As [`Packet::to_bytes`].
    pub fn sign(&mut self, key: &dyn Sign) -> Result<Vec<u8>> {
        let len = key.kind().signature_len().ok_or(Error::Signature)?;
        self.signature = Some(vec![0; len].into());
        let mut bytes = self.to_bytes()?;
        let signature = key.sign(&bytes);
        let at = bytes.len() - self.payload.len() - len;
        bytes[at..at + len].copy_from_slice(&signature);
        self.signature = Some(signature.into());
        Ok(bytes)
    }

    /// Verifies the signature in `bytes`, of which this packet was read, by the key of `from`, or by the transient one that he
    /// signed; `expired` says whether an offline signature of this date is over. About 50 us.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self, bytes: &[u8], from: &Destination, now: crate::time::Wall) -> Result<()> {
        let signature = self.signature.as_ref().ok_or(Error::Signature)?;
        let at = bytes.len().checked_sub(self.payload.len() + signature.len()).ok_or(Error::Signature)?;
        let mut message = bytes.to_vec();
        message.get_mut(at..at + signature.len()).ok_or(Error::Signature)?.fill(0);
        let Some(offline) = &self.offline else { return from.verify(&message, signature) };
        let transient = OfflineSignature::parse(&mut Reader::new(offline), from.signing_type())?;
        let signed = offline.len().checked_sub(transient.signature.len()).ok_or(Error::Signature)?;
        if transient.expires < now {
            return Err(Error::Signature);
        }
        from.verify(&offline[..signed], transient.signature)?;
        sign::verify(transient.kind, transient.key, &message, signature).map_err(|_| Error::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;
    use proptest::prelude::*;
    use ramson_crypto::sign::SigningKey;

    fn sender() -> (SigningKey, Destination) {
        let key = SigningKey::from_seed([3; 32]);
        let destination = Destination::compose(&key.public(), &[4; 32]);
        (key, destination)
    }

    fn first(payload: &'static [u8]) -> Packet {
        let mut packet = Packet::new(0, 7, 0);
        packet.flags = flag::SYNCHRONIZE | flag::NO_ACK;
        packet.from = Some(sender().1);
        packet.max_size = Some(1812);
        packet.set_target(&DestinationHash([9; 32]));
        packet.payload = Bytes::from_static(payload);
        packet
    }

    #[test]
    fn a_first_packet_is_read_back_and_its_signature_holds_for_every_byte() {
        let (key, from) = sender();
        let bytes = Bytes::from(first(b"GET / HTTP/1.1").sign(&key).unwrap());
        let packet = Packet::parse(&bytes, None).unwrap();
        assert_eq!((packet.target(), packet.max_size), (Some(DestinationHash([9; 32])), Some(1812)));
        assert_eq!(&packet.payload[..], b"GET / HTTP/1.1");
        assert!(packet.has(flag::SYNCHRONIZE | flag::SIGNATURE | flag::FROM) && !packet.acknowledges());
        assert_eq!(packet.verify(&bytes, &from, Wall(0)), Ok(()));
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1;
            let bad = Bytes::from(bad);
            let held = Packet::parse(&bad, None).is_ok_and(|packet| {
                packet.from.clone().is_some_and(|from| packet.verify(&bad, &from, Wall(0)).is_ok())
            });
            assert!(!held, "byte {at}");
        }
        for n in 0..bytes.len() - 14 {
            assert!(Packet::parse(&bytes.slice(..n), None).is_err(), "cut at {n}");
        }
    }

    #[test]
    fn an_offline_signature_counts_until_it_expires_and_for_its_owner() {
        let ((owner, from), transient) = (sender(), SigningKey::from_seed([8; 32]));
        let mut offline = Vec::new();
        offline.put_u32(1000);
        offline.put_u16(7);
        offline.put(&transient.public());
        let signature = owner.sign(&offline);
        offline.put(&signature);
        let mut packet = first(b"");
        packet.offline = Some(offline.into());
        let bytes = Bytes::from(packet.sign(&transient).unwrap());
        let packet = Packet::parse(&bytes, None).unwrap();
        assert_eq!(packet.verify(&bytes, &from, Wall::from_secs(1000)), Ok(()));
        assert_eq!(packet.verify(&bytes, &from, Wall::from_secs(1001)), Err(Error::Signature));
        let other = Destination::compose(&transient.public(), &[4; 32]);
        assert_eq!(packet.verify(&bytes, &other, Wall::from_secs(0)), Err(Error::Signature));
    }

    #[test]
    fn a_packet_without_options_has_twenty_two_bytes() {
        assert_eq!(Packet::new(1, 2, 3).to_bytes().unwrap().len(), MIN_LEN);
    }

    #[test]
    fn a_payload_above_the_limit_is_refused() {
        let mut packet = Packet::new(1, 2, 3);
        packet.payload = vec![0; MAX_PAYLOAD + 1].into();
        let bytes = Bytes::from(packet.to_bytes().unwrap());
        assert_eq!(Packet::parse(&bytes, None), Err(Error::TooLarge("stream packet")));
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(
            ids in any::<[u32; 4]>(),
            nacks in prop::collection::vec(any::<u32>(), 0..20),
            delay in any::<Option<u16>>(),
            max_size in any::<Option<u16>>(),
            from in any::<bool>(),
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut packet = Packet::new(ids[0], ids[1], ids[2]);
            (packet.ack_through, packet.nacks, packet.delay, packet.max_size) = (ids[3], nacks, delay, max_size);
            packet.from = from.then(|| sender().1);
            packet.payload = payload.into();
            packet.flags = packet.flags_as_written();
            let bytes = Bytes::from(packet.to_bytes().unwrap());
            prop_assert_eq!(Packet::parse(&bytes, None), Ok(packet));
        }
    }
}
