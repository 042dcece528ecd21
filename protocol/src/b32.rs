//! Addresses that everyone can compute: `….b32.i2p`, of a destination's hash or, longer, of its key.
//!
//! ```text
//! b32   SHA-256 of the destination (32)                                    52 characters
//! b33   flags | type of the key | blinded type | key, 32 bytes or more     56 characters or more
//!       the first three bytes are XORed with the CRC-32 of the rest, lowest byte first
//! ```
//! A b33 names a destination whose LeaseSet is encrypted: with the key the LeaseSet's place and its keys can be computed,
//! which the hash does not allow.
//!
//! spec: b32encrypted §Creation and encoding, §Decoding and Verification

use crate::base64::{decode32, encode32};
use crate::data::key_type::SigType;
use crate::id::DestinationHash;

/// What all these addresses end with.
pub const SUFFIX: &str = ".b32.i2p";

/// Characters of a hash; whatever is longer is a [`Blinded`].
const HASH_CHARACTERS: usize = 52;

const TWO_BYTE_TYPES: u8 = 1;
const SECRET: u8 = 1 << 1;
const CLIENT_AUTH: u8 = 1 << 2;

/// An address in base 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum B32 {
    /// Of a destination's hash.
    Hash(DestinationHash),
    /// Of a destination's signing key.
    Blinded(Blinded),
}

/// What a b33 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blinded {
    /// The type of the destination's signing key.
    pub signing: SigType,
    /// The type of the keys that it is blinded to.
    pub blinded: SigType,
    /// The signing key.
    pub key: Vec<u8>,
    /// A secret is needed to find the LeaseSet.
    pub secret: bool,
    /// A key of the client's own is needed to read it.
    pub client_auth: bool,
}

/// Why an address cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum B32Error {
    /// It does not end as these addresses do.
    #[error("it does not end with .b32.i2p")]
    Suffix,
    /// A character that base 32 does not have, or bits left over at the end.
    #[error("it is not base 32: only a-z and 2-7, in full")]
    Alphabet,
    /// Of no length that there is.
    #[error("it has {0} characters before .b32.i2p: a hash has 52, an address with a key 56 or more")]
    Length(usize),
    /// The checksum is wrong, or a type of key is not known, which cannot be told apart.
    #[error("it is mistyped or cut off: the checksum is wrong")]
    Checksum,
}

impl B32 {
    /// Reads an address with its suffix, in either case.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, B32Error> {
        let text = text.to_ascii_lowercase();
        let label = text.strip_suffix(SUFFIX).ok_or(B32Error::Suffix)?;
        // A key of 32 bytes is the shortest that there is, and none has more than 132.
        if label.len() != HASH_CHARACTERS && !(56..=224).contains(&label.len()) {
            return Err(B32Error::Length(label.len()));
        }
        let bytes = decode32(label).ok_or(B32Error::Alphabet)?;
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(hash) => Ok(Self::Hash(DestinationHash(hash))),
            Err(_) => Blinded::from_bytes(bytes).map(Self::Blinded).ok_or(B32Error::Checksum),
        }
    }
}

impl std::fmt::Display for B32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hash(hash) => f.write_str(&hash.to_b32()),
            Self::Blinded(blinded) => write!(f, "{}{SUFFIX}", encode32(&blinded.to_bytes())),
        }
    }
}

impl Blinded {
    fn from_bytes(mut bytes: Vec<u8>) -> Option<Self> {
        mask(&mut bytes)?;
        let flags = bytes[0];
        let (signing, blinded, key) = if flags & TWO_BYTE_TYPES == 0 {
            (u16::from(bytes[1]), u16::from(bytes[2]), bytes.get(3..)?)
        } else {
            let [a, b, c, d] = *bytes.get(1..5)?.first_chunk()?;
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), bytes.get(5..)?)
        };
        let (signing, blinded) = (SigType::from_code(signing), SigType::from_code(blinded));
        // Nothing but these fits together by chance once in sixteen million times.
        let known = flags & !(TWO_BYTE_TYPES | SECRET | CLIENT_AUTH) == 0
            && signing.public_key_len() == Some(key.len())
            && blinded.public_key_len().is_some();
        known.then(|| Self {
            signing,
            blinded,
            key: key.to_vec(),
            secret: flags & SECRET != 0,
            client_auth: flags & CLIENT_AUTH != 0,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (signing, blinded) = (self.signing.code(), self.blinded.code());
        let mut flags = if self.secret { SECRET } else { 0 } | if self.client_auth { CLIENT_AUTH } else { 0 };
        let mut bytes = match (u8::try_from(signing), u8::try_from(blinded)) {
            (Ok(signing), Ok(blinded)) => vec![flags, signing, blinded],
            _ => {
                flags |= TWO_BYTE_TYPES;
                [&[flags][..], &signing.to_be_bytes(), &blinded.to_be_bytes()].concat()
            }
        };
        bytes.extend_from_slice(&self.key);
        let _ = mask(&mut bytes);
        bytes
    }
}

/// Puts the checksum on the first three bytes, or takes it off.
fn mask(bytes: &mut [u8]) -> Option<()> {
    let (head, rest) = bytes.split_first_chunk_mut::<3>()?;
    let sum = crc32fast::hash(rest).to_le_bytes();
    head.iter_mut().zip(sum).for_each(|(byte, sum)| *byte ^= sum);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hash_has_52_characters_in_either_case() {
        let hash = DestinationHash([0xab; 32]);
        let text = hash.to_b32();
        assert_eq!(B32::parse(&text), Ok(B32::Hash(hash)));
        assert_eq!(B32::parse(&text.to_uppercase()), Ok(B32::Hash(hash)));
        assert_eq!(B32::Hash(hash).to_string(), text);
    }

    #[test]
    fn an_address_with_a_key_has_56_characters_and_an_error_in_it_is_noticed() {
        let blinded = Blinded {
            signing: SigType::Ed25519,
            blinded: SigType::RedDsa,
            key: (0..32).collect(),
            secret: false,
            client_auth: true,
        };
        let text = B32::Blinded(blinded.clone()).to_string();
        assert_eq!(text.len(), 56 + SUFFIX.len());
        assert_eq!(B32::parse(&text), Ok(B32::Blinded(blinded)));
        let mut wrong = text.into_bytes();
        wrong[20] = if wrong[20] == b'a' { b'b' } else { b'a' };
        assert_eq!(B32::parse(std::str::from_utf8(&wrong).unwrap()), Err(B32Error::Checksum));
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (text, why) in [
            ("example.i2p", B32Error::Suffix),
            ("abc.b32.i2p", B32Error::Length(3)),
            (&format!("{}.b32.i2p", "1".repeat(52)), B32Error::Alphabet),
            // The last character has bits that no byte takes.
            (&format!("{}b.b32.i2p", "a".repeat(51)), B32Error::Alphabet),
            (&format!("{}.b32.i2p", "a".repeat(56)), B32Error::Checksum),
        ] {
            assert_eq!(B32::parse(text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back_and_nothing_panics(
            key in prop::collection::vec(any::<u8>(), 32..133),
            text in "[a-z2-7]{0,230}(\\.b32\\.i2p)?",
            secret: bool,
        ) {
            for signing in [SigType::Ed25519, SigType::EcdsaP256, SigType::EcdsaP521] {
                let key: Vec<u8> = key.iter().cycle().take(signing.public_key_len().unwrap()).copied().collect();
                let one = Blinded { signing, blinded: SigType::RedDsa, key, secret, client_auth: false };
                prop_assert_eq!(B32::parse(&B32::Blinded(one.clone()).to_string()), Ok(B32::Blinded(one)));
            }
            if let Ok(address) = B32::parse(&text) {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
