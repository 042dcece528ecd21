//! Replies under a key and an 8-byte session tag that the requester made up or derived: answers to lookups and to
//! outbound tunnel builds. Each pair is good for one message.
//!
//! ```text
//! session tag (8) | payload blocks, ChaCha20-Poly1305 with nonce 0 and the tag as associated data | MAC (16)
//! ```
//!
//! [`Pending`] holds the pairs that we wait for, each with what the owner wants to know when its reply comes.
//!
//! spec: i2np §DatabaseLookup (Reply format); proposal 154; tunnel-creation-ecies §Garlic Encryption

use crate::time::Mono;
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use std::collections::{BTreeMap, VecDeque};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of the session tag.
pub const SESSION_TAG_LEN: usize = 8;

/// A session tag: says in the clear which key opens a message.
pub type SessionTag = [u8; SESSION_TAG_LEN];

/// A key and the tag that names it, for one message.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct OneTimeKey {
    /// The key.
    pub key: [u8; 32],
    /// The tag.
    pub tag: SessionTag,
}

impl OneTimeKey {
    /// The body of a Garlic message with `payload` (blocks, see [`super::clove`]). Consumes the pair: it is for one
    /// message.
    pub fn seal(self, payload: &[u8]) -> Vec<u8> {
        let len = SESSION_TAG_LEN + payload.len() + TAG_LEN;
        let mut body = Vec::with_capacity(4 + len);
        body.extend_from_slice(&(len as u32).to_be_bytes());
        body.extend_from_slice(&self.tag);
        let from = body.len();
        body.extend_from_slice(payload);
        AeadKey::new(&self.key).seal_vec(0, &self.tag, &mut body, from);
        body
    }

    /// Opens the encrypted bytes of a Garlic message (tag, ciphertext, MAC) in place; the payload is the returned part.
    pub fn open<'a>(&self, data: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (tag, sealed) = data.split_first_chunk_mut::<SESSION_TAG_LEN>()?;
        if *tag != self.tag {
            return None;
        }
        AeadKey::new(&self.key).open(0, &self.tag, sealed).ok()
    }
}

impl std::fmt::Debug for OneTimeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeKey(..)")
    }
}

/// Keys of replies that we wait for. Bounded: a new one beyond the limit replaces the oldest.
pub struct Pending<T> {
    max: usize,
    keys: BTreeMap<SessionTag, (OneTimeKey, u64, T)>,
    order: VecDeque<(u64, SessionTag, Mono)>,
    serial: u64,
}

impl<T> Pending<T> {
    /// None yet, and never more than `max`.
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), keys: BTreeMap::new(), order: VecDeque::new(), serial: 0 }
    }

    /// Waits for a reply under `key` until `deadline`.
    pub fn insert(&mut self, key: OneTimeKey, deadline: Mono, what: T) {
        while self.order.len() >= self.max {
            self.drop_oldest();
        }
        self.serial += 1;
        self.order.push_back((self.serial, key.tag, deadline));
        self.keys.insert(key.tag, (key, self.serial, what));
    }

    /// Opens `data` in place if its tag is one we wait for: the payload, and what was handed in with the key. The key
    /// is then used up. `None` if the tag is unknown, or the message is forged; a forged message uses up nothing.
    pub fn open<'a>(&mut self, data: &'a mut [u8]) -> Option<(&'a mut [u8], T)> {
        let tag = *data.first_chunk::<SESSION_TAG_LEN>()?;
        let payload = self.keys.get(&tag)?.0.open(data)?;
        self.keys.remove(&tag).map(|(_, _, what)| (payload, what))
    }

    /// What was handed in with the key that a message beginning with these bytes names, if it names one.
    pub fn named(&self, data: &[u8]) -> Option<&T> {
        self.keys.get(data.first_chunk::<SESSION_TAG_LEN>()?).map(|(_, _, what)| what)
    }

    /// Forgets keys whose deadline has passed.
    pub fn expire(&mut self, now: Mono) {
        // Deadlines of different lengths make the order only nearly that of time; the limit covers the rest.
        while self.order.front().is_some_and(|(_, _, deadline)| *deadline <= now) {
            self.drop_oldest();
        }
    }

    /// Keys waited for.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if no reply is waited for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn drop_oldest(&mut self) {
        if let Some((serial, tag, _)) = self.order.pop_front()
            && self.keys.get(&tag).is_some_and(|(_, s, _)| *s == serial)
        {
            self.keys.remove(&tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(n: u8) -> OneTimeKey {
        OneTimeKey { key: [n; 32], tag: [n; 8] }
    }

    fn sealed(n: u8) -> Vec<u8> {
        crate::i2np::garlic::parse(&key(n).seal(b"payload").into()).unwrap().to_vec()
    }

    #[test]
    fn a_reply_opens_once_and_a_forged_one_uses_up_nothing() {
        let mut pending = Pending::new(10);
        pending.insert(key(1), Duration::from_secs(10), "build 1");
        pending.insert(key(2), Duration::from_secs(10), "build 2");
        let mut forged = sealed(2);
        forged[9] ^= 1;
        assert!(pending.named(&forged).is_some());
        assert!(pending.open(&mut forged).is_none());
        let mut data = sealed(2);
        let (payload, what) = pending.open(&mut data).unwrap();
        assert_eq!((&payload[..], what), (&b"payload"[..], "build 2"));
        assert!(pending.open(&mut sealed(2)).is_none());
        assert!(pending.open(&mut [1; 7]).is_none());
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn keys_end_with_their_deadline_and_beyond_the_limit_the_oldest_goes() {
        let mut pending = Pending::new(3);
        for n in 0..5 {
            pending.insert(key(n), Duration::from_secs(10 + u64::from(n)), n);
        }
        assert_eq!(pending.len(), 3);
        assert!(pending.named(&[1; 8]).is_none());
        pending.expire(Duration::from_secs(13));
        assert_eq!(pending.len(), 1);
        assert!(pending.named(&[4; 8]).is_some());
        pending.expire(Duration::from_secs(14));
        assert!(pending.is_empty());
    }

    #[test]
    fn a_tag_inserted_again_keeps_its_later_deadline() {
        let mut pending = Pending::new(9);
        pending.insert(key(1), Duration::from_secs(1), "first");
        pending.insert(key(1), Duration::from_secs(9), "second");
        pending.expire(Duration::from_secs(2));
        assert_eq!(pending.open(&mut sealed(1)).map(|(_, what)| what), Some("second"));
    }
}
