//! The blocks of a payload that the session itself reads. Cloves, times and padding: [`crate::garlic::clove`].
//!
//! ```text
//! Termination  4 | size | reason 1 | more
//! Options      5 | size | version 1 | flags 1 | minimum tag length 1 | timeout 2 | outbound window 2 | inbound window 2 | more
//! Next key     7 | 3 or 35 | flags 1 | key id 2 | key 32, if there is one
//! Ack          8 | 4 n | ( tag set 2 | message number 2 ) n times
//! Ack request  9 | 1 | flags 1
//! ```
//! spec: ecies §Payload

use crate::wire::{Error, Reader, Result, Writer};
use ramson_crypto::x25519::PublicKey;

/// Block type of a termination.
pub const TERMINATION: u8 = 4;
/// Block type of a next key.
pub const NEXT_KEY: u8 = 7;
/// Block type of acknowledgements.
pub const ACK: u8 = 8;
/// Block type of the request for one.
pub const ACK_REQUEST: u8 = 9;

/// The highest key id.
pub const LAST_KEY_ID: u16 = 32_767;

/// Acknowledgements that are read of one block, and sent in one.
pub const MAX_ACKS: usize = 16;

const PRESENT: u8 = 1;
const REVERSE: u8 = 2;
const REQUEST: u8 = 4;

/// A key of a Diffie-Hellman ratchet, or only the id of one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// It answers a forward key; otherwise it is one.
    pub reverse: bool,
    /// A new reverse key is wanted. In forward keys only.
    pub request: bool,
    /// Its number among the sender's keys of this direction.
    pub id: u16,
    /// The key, unless the one of this id was sent before.
    pub key: Option<PublicKey>,
}

impl NextKey {
    /// Reads the data of a block.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` for an id that does not exist.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let flags = r.u8()?;
        let id = r.u16()?;
        if id > LAST_KEY_ID {
            return Err(Error::Invalid("key id"));
        }
        let key = if flags & PRESENT != 0 { Some(PublicKey(r.array()?)) } else { None };
        let reverse = flags & REVERSE != 0;
        Ok(Self { reverse, request: !reverse && flags & REQUEST != 0, id, key })
    }

    /// Appends the block.
    pub fn write(&self, out: &mut impl Writer) {
        out.put(&[NEXT_KEY, 0, if self.key.is_some() { 35 } else { 3 }]);
        let flag = |set, flag| if set { flag } else { 0 };
        out.put_u8(flag(self.key.is_some(), PRESENT) | flag(self.reverse, REVERSE) | flag(self.request, REQUEST));
        out.put_u16(self.id);
        if let Some(key) = &self.key {
            out.put(&key.0);
        }
    }
}

/// Names a message of a session: its tag set and its number therein.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageRef {
    /// The tag set.
    pub set: u16,
    /// The number.
    pub n: u16,
}

/// Reads the data of an Ack block; more than [`MAX_ACKS`] are not read.
pub fn acks(data: &[u8]) -> impl Iterator<Item = MessageRef> + '_ {
    let (words, _) = data.as_chunks::<4>();
    words
        .iter()
        .take(MAX_ACKS)
        .map(|[a, b, c, d]| MessageRef { set: u16::from_be_bytes([*a, *b]), n: u16::from_be_bytes([*c, *d]) })
}

/// Appends an Ack block for at most [`MAX_ACKS`] messages.
pub fn write_acks(messages: &[MessageRef], out: &mut impl Writer) {
    let messages = &messages[..messages.len().min(MAX_ACKS)];
    out.put_u8(ACK);
    out.put_u16(u16::try_from(messages.len() * 4).unwrap_or(0));
    for message in messages {
        out.put_u16(message.set);
        out.put_u16(message.n);
    }
}

/// Appends a request for an acknowledgement of this message.
pub fn write_ack_request(out: &mut impl Writer) {
    out.put(&[ACK_REQUEST, 0, 1, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_next_key_comes_back_and_every_prefix_is_refused() {
        for (reverse, request) in [(false, false), (false, true), (true, false)] {
            for key in [None, Some(PublicKey([7; 32]))] {
                let block = NextKey { reverse, request, id: 300, key };
                let mut out = Vec::new();
                block.write(&mut out);
                assert_eq!(usize::from(out[2]), out.len() - 3);
                assert_eq!(NextKey::parse(&out[3..]), Ok(block));
                for n in 3..out.len() {
                    assert!(NextKey::parse(&out[3..n]).is_err());
                }
            }
        }
        assert_eq!(NextKey::parse(&[0, 0x80, 0]), Err(Error::Invalid("key id")));
        assert!(!NextKey::parse(&[REVERSE | REQUEST, 0, 0]).unwrap().request, "a reverse key requests nothing");
    }

    #[test]
    fn acknowledgements_come_back_up_to_their_limit() {
        let messages: Vec<_> = (0..20).map(|n| MessageRef { set: 3, n }).collect();
        let mut out = Vec::new();
        write_acks(&messages, &mut out);
        assert_eq!(acks(&out[3..]).collect::<Vec<_>>(), messages[..MAX_ACKS]);
        assert_eq!(acks(&[0; 7]).count(), 1, "half an acknowledgement is none");
    }
}
