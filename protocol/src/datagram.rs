//! Datagrams with a sender: the three kinds that protocols 17, 19 and 20 carry. Raw ones, of protocol 18, are their payload.
//!
//! ```text
//! 17  from | signature | payload                                               signed: payload
//! 19  from | flags 2 | options ? | offline signature ? | payload | signature    signed: hash of the target, all from the flags on
//! 20  hash of the sender 32 | flags 2 | options ? | payload                     signed by nobody: the session says who it was
//! ```
//! spec: datagrams; proposal 163

use crate::data::key_type::SigType;
use crate::data::keys_and_cert::Destination;
use crate::data::mapping::{Mapping, MappingBuf};
use crate::data::offline::OfflineSignature;
use crate::id::DestinationHash;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::hash::sha256;
use ramson_crypto::sign::{self, Sign};

/// Protocol number of the second kind.
pub const DATAGRAM2: u8 = 19;
/// Protocol number of the third kind.
pub const DATAGRAM3: u8 = 20;

const VERSION: u16 = 0x0f;
const OPTIONS: u16 = 1 << 4;
const OFFLINE: u16 = 1 << 5;

/// A datagram of the first or second kind, its signature verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The sender.
    pub from: Destination,
    /// What he sent.
    pub payload: Bytes,
}

/// A datagram of the third kind. Whether the sender is who he says only the session tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Who says that he sent it.
    pub from: DestinationHash,
    /// What he sent.
    pub payload: Bytes,
}

impl Signed {
    /// Reads one of the first kind, and verifies it: by the session that it came in, if that is `proven` to be somebody's, else by
    /// its signature.
    ///
    /// # Errors
    /// Those of a destination; `Signature`.
    pub fn parse1(bytes: &Bytes, proven: Option<DestinationHash>) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let from = Destination::parse(&mut r)?;
        let signature = r.take(from.signing_type().signature_len().ok_or(Error::Signature)?)?;
        let payload = bytes.slice(r.position()..);
        if is_proven(&from, proven)? {
            return Ok(Self { from, payload });
        }
        // spec: datagrams §Datagram1 — DSA signs the hash, all others the payload itself.
        if from.signing_type() == SigType::DsaSha1 {
            from.verify(&sha256(&[&payload]), signature)?;
        } else {
            from.verify(&payload, signature)?;
        }
        Ok(Self { from, payload })
    }

    /// Reads one of the second kind that was sent to `target`, and verifies it as [`Self::parse1`] does.
    ///
    /// INTEROP: i2pd signs its own hash instead of the target's, so the session alone shows that one of it is good.
    ///
    /// # Errors
    /// Those of a destination, an offline signature and a mapping; `Invalid` for another version; `Signature`, also for one to somebody else,
    /// and for an offline signature that is over.
    pub fn parse2(bytes: &Bytes, target: &DestinationHash, proven: Option<DestinationHash>, now: Wall) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let from = Destination::parse(&mut r)?;
        let signed_at = r.position();
        let (flags, _) = flags(&mut r, 2)?;
        let offline_at = r.position();
        let mut signer = (from.signing_type(), None);
        if flags & OFFLINE != 0 {
            let offline = OfflineSignature::parse(&mut r, from.signing_type())?;
            let raw = r.since(offline_at);
            from.verify(&raw[..raw.len() - offline.signature.len()], offline.signature)?;
            if offline.expires < now {
                return Err(Error::Signature);
            }
            signer = (offline.kind, Some(offline.key));
        }
        let payload_at = r.position();
        let len = signer.0.signature_len().ok_or(Error::Signature)?;
        let end = bytes.len().checked_sub(len).filter(|end| *end >= payload_at);
        let end = end.ok_or(Error::Truncated { need: len, have: r.remaining() })?;
        let payload = bytes.slice(payload_at..end);
        if is_proven(&from, proven)? {
            return Ok(Self { from, payload });
        }
        let message = [target.as_ref(), &bytes[signed_at..end]].concat();
        match signer {
            (_, None) => from.verify(&message, &bytes[end..])?,
            (kind, Some(key)) => sign::verify(kind, key, &message, &bytes[end..]).map_err(|_| Error::Signature)?,
        }
        Ok(Self { from, payload })
    }

    /// One of the first kind, signed by the sender's key.
    pub fn to_bytes1(&self, key: &dyn Sign) -> Vec<u8> {
        // spec: datagrams §Datagram1 — as it is verified.
        let digest = (key.kind() == SigType::DsaSha1).then(|| sha256(&[&self.payload]));
        let signature = key.sign(digest.as_ref().map_or(&self.payload[..], |digest| digest));
        [self.from.as_bytes().as_ref(), &signature, &self.payload].concat()
    }

    /// One of the second kind to `target`, signed by the sender's key, or a transient one with its offline signature.
    pub fn to_bytes2(&self, target: &DestinationHash, key: &dyn Sign, offline: Option<&[u8]>) -> Vec<u8> {
        let mut signed = target.0.to_vec();
        signed.put_u16(2 | offline.map_or(0, |_| OFFLINE));
        signed.put(offline.unwrap_or_default());
        signed.put(&self.payload);
        let signature = key.sign(&signed);
        [self.from.as_bytes().as_ref(), &signed[32..], &signature].concat()
    }
}

impl Claimed {
    /// Reads one of the third kind.
    ///
    /// # Errors
    /// `Truncated`, those of a mapping; `Invalid` for another version.
    pub fn parse(bytes: &Bytes) -> Result<Self> {
        Self::parse_with_options(bytes).map(|(datagram, _)| datagram)
    }

    /// The same with its options, of which there are none as a rule.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub fn parse_with_options(bytes: &Bytes) -> Result<(Self, Mapping<'_>)> {
        let mut r = Reader::new(bytes);
        let from = DestinationHash(r.array()?);
        let (_, options) = flags(&mut r, 3)?;
        Ok((Self { from, payload: bytes.slice(r.position()..) }, options))
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.from.as_ref(), &[0, 3], &self.payload].concat()
    }

    /// The same with options.
    ///
    /// # Errors
    /// `TooLarge` if these are.
    pub fn to_bytes_with_options(&self, options: &MappingBuf) -> Result<Vec<u8>> {
        let mut bytes = self.from.0.to_vec();
        bytes.put_u16(3 | OPTIONS);
        options.write(&mut bytes)?;
        bytes.put(&self.payload);
        Ok(bytes)
    }
}

/// True if the session is the sender's: whoever holds it has shown the key of his lease set, which his destination has signed.
///
/// # Errors
/// `Signature` if it is somebody else's.
fn is_proven(from: &Destination, proven: Option<DestinationHash>) -> Result<bool> {
    match proven {
        Some(hash) if hash == from.hash() => Ok(true),
        Some(_) => Err(Error::Signature),
        None => Ok(false),
    }
}

/// Reads the flags, which must be of this version, and the options, if there are any.
fn flags<'a>(r: &mut Reader<'a>, version: u16) -> Result<(u16, Mapping<'a>)> {
    let flags = r.u16()?;
    if flags & VERSION != version {
        return Err(Error::Invalid("version of a datagram"));
    }
    let options = if flags & OPTIONS == 0 { Mapping::default() } else { Mapping::parse(r)? };
    Ok((flags, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::private_keys::PrivateKeys;
    use ramson_crypto::sign::SigningKey;

    const TARGET: DestinationHash = DestinationHash([9; 32]);
    const NOW: Wall = Wall(1_750_000_000_000);

    fn signed() -> (PrivateKeys, Signed) {
        let keys = PrivateKeys::generate([3; 32], &[4; 32]);
        let from = keys.destination.clone();
        (keys, Signed { from, payload: Bytes::from_static(b"datagram") })
    }

    fn holds(bytes: &[u8], datagram: &Signed, parse: impl Fn(&Bytes) -> Result<Signed>) {
        assert_eq!(parse(&bytes.to_vec().into()).as_ref(), Ok(datagram));
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1;
            // The first kind does not sign who sent it: with another byte there it is another's, or nobody's.
            let parsed = parse(&bad.into());
            assert!(
                parsed.is_err() || parsed.is_ok_and(|other| other.from.hash() != datagram.from.hash()),
                "byte {at}"
            );
            assert!(parse(&bytes[..at].to_vec().into()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn each_kind_comes_back_and_the_signed_ones_hold_for_every_byte() {
        let (keys, datagram) = signed();
        let one = datagram.to_bytes1(&keys.key);
        holds(&one, &datagram, |bytes| Signed::parse1(bytes, None));
        let two = datagram.to_bytes2(&TARGET, &keys.key, None);
        holds(&two, &datagram, |bytes| Signed::parse2(bytes, &TARGET, None, NOW));
        let claimed = Claimed { from: TARGET, payload: Bytes::from_static(b"datagram") };
        assert_eq!(Claimed::parse(&claimed.to_bytes().into()), Ok(claimed));
    }

    #[test]
    fn a_datagram_of_the_second_kind_counts_for_its_target_alone() {
        let (keys, datagram) = signed();
        let bytes = Bytes::from(datagram.to_bytes2(&TARGET, &keys.key, None));
        assert_eq!(Signed::parse2(&bytes, &DestinationHash([8; 32]), None, NOW), Err(Error::Signature));
    }

    #[test]
    fn the_session_of_the_sender_is_as_good_as_his_signature_and_that_of_another_speaks_against_it() {
        let (keys, datagram) = signed();
        let sender = Some(datagram.from.hash());
        let one = Bytes::from(datagram.to_bytes1(&keys.key));
        let to_another = Bytes::from(datagram.to_bytes2(&DestinationHash([8; 32]), &keys.key, None));
        assert_eq!(Signed::parse1(&one, sender).as_ref(), Ok(&datagram));
        assert_eq!(Signed::parse2(&to_another, &TARGET, sender, NOW).as_ref(), Ok(&datagram));
        assert_eq!(Signed::parse1(&one, Some(TARGET)), Err(Error::Signature));
        assert_eq!(Signed::parse2(&to_another, &TARGET, Some(TARGET), NOW), Err(Error::Signature));
    }

    #[test]
    fn a_transient_key_signs_until_its_time_is_over() {
        let (owner, datagram) = signed();
        let transient = SigningKey::from_seed([5; 32]);
        let mut offline = Vec::new();
        offline.put_u32(NOW.secs());
        offline.put_u16(7);
        offline.put(&transient.public());
        let signature = owner.key.sign(&offline);
        offline.put(&signature);
        let bytes = Bytes::from(datagram.to_bytes2(&TARGET, &transient, Some(&offline)));
        assert_eq!(Signed::parse2(&bytes, &TARGET, None, NOW).as_ref(), Ok(&datagram));
        let later = Wall(NOW.0 + 1000);
        assert_eq!(Signed::parse2(&bytes, &TARGET, None, later), Err(Error::Signature));
    }

    #[test]
    fn options_are_read_over_and_another_version_is_refused() {
        let mut bytes = TARGET.0.to_vec();
        bytes.put(&[0, 0x13, 0, 6, 1, b'a', b'=', 1, b'1', b';']);
        bytes.put(b"payload");
        assert_eq!(
            Claimed::parse(&bytes.clone().into()).map(|datagram| datagram.payload),
            Ok(Bytes::from_static(b"payload"))
        );
        let bytes_given = Bytes::from(bytes.clone());
        let (claimed, options) = Claimed::parse_with_options(&bytes_given).unwrap();
        assert_eq!(options.get("a"), Some("1"));
        assert_eq!(claimed.to_bytes_with_options(&options.into()).unwrap(), bytes);
        bytes[33] = 2;
        assert_eq!(Claimed::parse(&bytes.into()), Err(Error::Invalid("version of a datagram")));
    }
}
