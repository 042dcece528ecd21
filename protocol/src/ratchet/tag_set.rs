//! Tag sets: two chains of hashes, of which the one gives a session tag for each message and the other its key.
//!
//! ```text
//! root key, k ─┬─ next root key                                       for the next set of this direction
//!              └─ tag chain ── tag 0, tag 1, ...    key chain ── key 0, key 1, ...
//! ```
//! A sender takes tags in their order. A receiver computes tags ahead of those that have come, since messages get lost and
//! overtake one another; keys are computed when they are needed, and those passed over are kept.
//!
//! spec: ecies §DH Initialization KDF, §Session Tag Ratchet, §Symmetric Key Ratchet

use crate::garlic::one_time::{SESSION_TAG_LEN, SessionTag};
use ramson_crypto::hash::{hkdf1, hkdf2};
use std::collections::BTreeMap;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The highest message number of a set.
pub const LAST: u16 = u16::MAX;

/// Both chains of a set.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Chains {
    next_root: [u8; 32],
    tag_chain: [u8; 32],
    tag_constant: [u8; 32],
    key_chain: [u8; 32],
}

impl Chains {
    /// DH_INITIALIZE.
    fn new(root: &[u8; 32], k: &[u8; 32]) -> Self {
        let (next_root, chain) = hkdf2(root, k, b"KDFDHRatchetStep");
        let (tags, key_chain) = hkdf2(&chain, &[], b"TagAndKeyGenKeys");
        let (tag_chain, tag_constant) = hkdf2(&tags, &[], b"STInitialization");
        Self { next_root, tag_chain, tag_constant, key_chain }
    }

    fn next_tag(&mut self) -> SessionTag {
        let (chain, tag) = hkdf2(&self.tag_chain, &self.tag_constant, b"SessionTagKeyGen");
        self.tag_chain = chain;
        let mut out = [0; SESSION_TAG_LEN];
        out.copy_from_slice(&tag[..SESSION_TAG_LEN]);
        out
    }

    fn next_key(&mut self) -> [u8; 32] {
        let (chain, key) = hkdf2(&self.key_chain, &[], b"SymmetricRatchet");
        self.key_chain = chain;
        key
    }
}

impl std::fmt::Debug for Chains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chains(..)")
    }
}

/// The key of a set that follows a Diffie-Hellman of new keys.
/// spec: ecies §DH Ratchet KDF
pub fn ratchet_key(shared: &[u8; 32]) -> [u8; 32] {
    hkdf1(shared, &[], b"XDHRatchetTagSet")
}

/// The tags of what we send.
#[derive(Debug)]
pub struct SendTags {
    chains: Chains,
    next: u32,
}

/// What one message is sealed with.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MessageKey {
    /// In clear before the message.
    pub tag: SessionTag,
    /// The number, which is the nonce.
    pub n: u16,
    /// The key.
    pub key: [u8; 32],
}

impl std::fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageKey").field("n", &self.n).finish_non_exhaustive()
    }
}

impl SendTags {
    /// A new set.
    pub fn new(root: &[u8; 32], k: &[u8; 32]) -> Self {
        Self { chains: Chains::new(root, k), next: 0 }
    }

    /// The key of the next message; `None` when the set is used up.
    pub fn take(&mut self) -> Option<MessageKey> {
        let n = u16::try_from(self.next).ok()?;
        self.next += 1;
        Some(MessageKey { tag: self.chains.next_tag(), n, key: self.chains.next_key() })
    }

    /// Messages sealed so far.
    pub fn used(&self) -> u32 {
        self.next
    }

    /// The root of the next set of this direction.
    pub fn next_root(&self) -> &[u8; 32] {
        &self.chains.next_root
    }
}

/// The tags of what we receive. Which tag belongs to which number the owner keeps: see [`ReceiveTags::extend`].
#[derive(Debug)]
pub struct ReceiveTags {
    chains: Chains,
    /// Tags computed so far.
    tags: u32,
    /// Keys computed so far, and those of messages that have not come.
    keys: u32,
    skipped: BTreeMap<u16, [u8; 32]>,
    /// Tags that are still waited for.
    waiting: BTreeMap<u16, SessionTag>,
    /// The highest number that has come.
    highest: Option<u16>,
}

impl ReceiveTags {
    /// A new set, of which no tag is computed yet.
    pub fn new(root: &[u8; 32], k: &[u8; 32]) -> Self {
        Self {
            chains: Chains::new(root, k),
            tags: 0,
            keys: 0,
            skipped: BTreeMap::new(),
            waiting: BTreeMap::new(),
            highest: None,
        }
    }

    /// Computes tags until there are `ahead` beyond the highest number that has come; each new one is told to `add`.
    pub fn extend(&mut self, ahead: u32, mut add: impl FnMut(SessionTag, u16)) {
        let end = (self.highest.map_or(0, |n| u32::from(n) + 1) + ahead).min(u32::from(LAST) + 1);
        while self.tags < end {
            let Ok(n) = u16::try_from(self.tags) else { return };
            let tag = self.chains.next_tag();
            self.waiting.insert(n, tag);
            self.tags += 1;
            add(tag, n);
        }
    }

    /// The key of a message; `None` if it has been used, or is too old. It is not used up by this: see
    /// [`ReceiveTags::received`].
    pub fn key(&mut self, n: u16) -> Option<[u8; 32]> {
        self.waiting.get(&n)?;
        while self.keys <= u32::from(n) {
            let key = self.chains.next_key();
            let at = u16::try_from(self.keys).ok()?;
            self.keys += 1;
            // A number whose tag is given up will not be asked for.
            if self.waiting.contains_key(&at) {
                self.skipped.insert(at, key);
            }
        }
        self.skipped.get(&n).copied()
    }

    /// An authentic message has come: its key is used up, and tags more than `behind` below the highest are given up; each
    /// tag that is no longer waited for is told to `remove`.
    pub fn received(&mut self, n: u16, behind: u16, mut remove: impl FnMut(SessionTag)) {
        if let Some(tag) = self.waiting.remove(&n) {
            remove(tag);
        }
        if let Some(mut key) = self.skipped.remove(&n) {
            key.zeroize();
        }
        self.highest = self.highest.max(Some(n));
        let floor = self.highest.unwrap_or(0).saturating_sub(behind);
        let kept = self.waiting.split_off(&floor);
        std::mem::replace(&mut self.waiting, kept).into_values().for_each(remove);
        self.skipped = self.skipped.split_off(&floor);
    }

    /// Tags that are waited for.
    pub fn waiting(&self) -> impl Iterator<Item = SessionTag> + '_ {
        self.waiting.values().copied()
    }

    /// How many those are.
    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// The highest number that has come.
    pub fn highest(&self) -> Option<u16> {
        self.highest
    }

    /// The root of the next set of this direction.
    pub fn next_root(&self) -> &[u8; 32] {
        &self.chains.next_root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (SendTags, ReceiveTags) {
        (SendTags::new(&[1; 32], &[2; 32]), ReceiveTags::new(&[1; 32], &[2; 32]))
    }

    #[test]
    fn both_ends_compute_the_same_tags_and_keys_in_whatever_order_they_come() {
        let (mut send, mut receive) = pair();
        let sent: Vec<_> = std::iter::from_fn(|| send.take()).take(20).collect();
        let mut known = BTreeMap::new();
        receive.extend(24, |tag, n| {
            known.insert(tag, n);
        });
        for i in [3usize, 0, 19, 7, 1] {
            assert_eq!(known.get(&sent[i].tag), Some(&sent[i].n));
            assert_eq!(receive.key(sent[i].n), Some(sent[i].key));
            receive.received(sent[i].n, 100, |_| {});
            assert_eq!(receive.key(sent[i].n), None, "once only");
        }
        assert_eq!(receive.waiting_len(), 24 - 5);
    }

    #[test]
    fn a_window_moves_on_with_the_highest_number_and_forgets_what_is_far_behind() {
        let (_, mut receive) = pair();
        let mut added = 0;
        receive.extend(24, |_, _| added += 1);
        assert_eq!(added, 24);
        assert!(receive.key(20).is_some());
        let mut removed = 0;
        receive.received(20, 10, |_| removed += 1);
        assert_eq!(removed, 11, "number 20 and those below 10");
        receive.extend(24, |_, _| added += 1);
        assert_eq!(added, 45);
        assert_eq!(receive.key(9), None);
        assert!(receive.key(10).is_some());
    }

    #[test]
    fn a_set_ends_with_its_last_number() {
        let (mut send, mut receive) = pair();
        (send.next, receive.tags) = (u32::from(LAST), u32::from(LAST));
        assert_eq!(send.take().map(|key| key.n), Some(LAST));
        assert!(send.take().is_none());
        receive.highest = Some(LAST - 1);
        let mut added = Vec::new();
        receive.extend(100, |_, n| added.push(n));
        assert_eq!(added, [LAST]);
    }
}
