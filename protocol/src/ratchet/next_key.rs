//! The Diffie-Hellman ratchet: how a direction of a session gets its next tag set.
//!
//! ```text
//! set    sender of the tags                receiver of the tags
//! 0 -> 1    new key, wants one      ---->
//!                                   <----     new key
//! odd -> even  new key              ---->
//!                                   <----     id of his old key
//! even -> odd  id of his old key, wants one ---->
//!                                   <----     new key
//! ```
//! Each side repeats its block until it sees what the other did with it. The number of a set is one more than the sum of the
//! ids of the keys that it was made of, so sets and keys rise in one order only: nobody can make us skip or repeat one.
//!
//! spec: ecies §DH Ratchet

use super::block::{LAST_KEY_ID, NextKey};
use super::tag_set::{ReceiveTags, SendTags, ratchet_key};
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// The keys of one direction.
#[derive(Debug, Default)]
struct Keys {
    own: Option<(u16, SecretKey)>,
    remote: Option<(u16, PublicKey)>,
}

impl Keys {
    fn renew(&mut self, rng: &mut ChaCha20Rng) -> Option<(u16, PublicKey)> {
        let id = next(self.own.as_ref().map(|(id, _)| *id))?;
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let secret = SecretKey::from_bytes(seed);
        let public = secret.public();
        self.own = Some((id, secret));
        Some((id, public))
    }

    /// Takes the block's key, or finds that it means the one we have. False if it does neither.
    fn take(&mut self, block: &NextKey) -> bool {
        match block.key {
            Some(key) => {
                let fits = next(self.remote.map(|(id, _)| id)) == Some(block.id);
                if fits {
                    self.remote = Some((block.id, key));
                }
                fits
            }
            None => self.remote.is_some_and(|(id, _)| id == block.id),
        }
    }

    /// The number and the key of the set that these keys make.
    fn set(&self) -> Option<(u16, [u8; 32])> {
        let ((own, secret), (remote, public)) = (self.own.as_ref()?, self.remote.as_ref()?);
        let set = own.checked_add(*remote)?.checked_add(1)?;
        Some((set, ratchet_key(&secret.dh(public).ok()?)))
    }
}

fn next(id: Option<u16>) -> Option<u16> {
    id.map_or(Some(0), |id| id.checked_add(1)).filter(|id| *id <= LAST_KEY_ID)
}

/// The side that sends the tags.
#[derive(Debug, Default)]
pub struct SendRatchet {
    set: u16,
    keys: Keys,
    asking: Option<NextKey>,
}

impl SendRatchet {
    /// The number of the set in use.
    pub fn set(&self) -> u16 {
        self.set
    }

    /// The forward block that is to be sent with each message, if we want a new set.
    pub fn asking(&self) -> Option<NextKey> {
        self.asking
    }

    /// Asks for a new set, unless that is being done.
    pub fn begin(&mut self, rng: &mut ChaCha20Rng) {
        if self.asking.is_some() {
            return;
        }
        let renews = self.set == 0 || !self.set.is_multiple_of(2);
        self.asking = if renews {
            let request = self.set == 0;
            self.keys.renew(rng).map(|(id, key)| NextKey { reverse: false, request, id, key: Some(key) })
        } else {
            let id = self.keys.own.as_ref().map(|(id, _)| *id);
            id.map(|id| NextKey { reverse: false, request: true, id, key: None })
        };
    }

    /// The other side's answer: the new set, if it is one to our question. `root` is that of the set in use.
    pub fn answered(&mut self, block: &NextKey, root: &[u8; 32]) -> Option<SendTags> {
        let asking = self.asking?;
        if asking.request != block.key.is_some() || !self.keys.take(block) {
            return None;
        }
        let (set, key) = self.keys.set().filter(|(set, _)| Some(*set) == self.set.checked_add(1))?;
        (self.set, self.asking) = (set, None);
        Some(SendTags::new(root, &key))
    }
}

/// The side that receives the tags.
#[derive(Debug, Default)]
pub struct ReceiveRatchet {
    set: u16,
    keys: Keys,
    answering: Option<NextKey>,
}

impl ReceiveRatchet {
    /// The number of the newest set.
    pub fn set(&self) -> u16 {
        self.set
    }

    /// The reverse block that is to be sent with each message, until the other side uses the new set.
    pub fn answering(&self) -> Option<NextKey> {
        self.answering
    }

    /// The other side uses the new set.
    pub fn done(&mut self) {
        self.answering = None;
    }

    /// The other side asks for a new set: its tags, unless the block is one that came before or fits nothing. `root` is that of
    /// the newest set.
    pub fn asked(&mut self, block: &NextKey, root: &[u8; 32], rng: &mut ChaCha20Rng) -> Option<ReceiveTags> {
        // What the block must be follows from the number of the set, and a repeated block is none of it.
        let renews = self.set == 0 || !self.set.is_multiple_of(2);
        let wanted = self.set.is_multiple_of(2);
        if self.answering.is_some()
            || renews != block.key.is_some()
            || wanted != block.request
            || !self.keys.take(block)
        {
            return None;
        }
        let (id, key) = if block.request {
            self.keys.renew(rng).map(|(id, key)| (id, Some(key)))?
        } else {
            (self.keys.own.as_ref()?.0, None)
        };
        let (set, k) = self.keys.set().filter(|(set, _)| Some(*set) == self.set.checked_add(1))?;
        self.set = set;
        self.answering = Some(NextKey { reverse: true, request: false, id, key });
        Some(ReceiveTags::new(root, &k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn both_sides_go_through_many_sets_as_the_table_of_the_specification_has_them() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (mut sender, mut receiver) = (SendRatchet::default(), ReceiveRatchet::default());
        let (mut send, mut receive) = (SendTags::new(&[1; 32], &[2; 32]), ReceiveTags::new(&[1; 32], &[2; 32]));
        let mut ids = Vec::new();
        for set in 1..=8 {
            sender.begin(&mut rng);
            let ask = sender.asking().unwrap();
            let new = receiver.asked(&ask, receive.next_root(), &mut rng).unwrap();
            assert!(
                receiver.asked(&ask, receive.next_root(), &mut rng).is_none(),
                "a repeated block makes nothing new"
            );
            let answer = receiver.answering().unwrap();
            ids.push((ask.id, ask.key.is_some(), answer.id, answer.key.is_some()));
            send = sender.answered(&answer, send.next_root()).unwrap();
            assert!(sender.answered(&answer, send.next_root()).is_none());
            receive = new;
            receiver.done();
            assert!(receiver.asked(&ask, receive.next_root(), &mut rng).is_none(), "nor does one that comes late");
            assert_eq!((sender.set(), receiver.set()), (set, set));
            let key = send.take().unwrap();
            receive.extend(1, |tag, _| assert_eq!(tag, key.tag));
        }
        let expected = [
            (0, true, 0, true),
            (1, true, 0, false),
            (1, false, 1, true),
            (2, true, 1, false),
            (2, false, 2, true),
            (3, true, 2, false),
            (3, false, 3, true),
            (4, true, 3, false),
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_block_of_another_number_or_kind_changes_nothing() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (mut sender, mut receiver) = (SendRatchet::default(), ReceiveRatchet::default());
        let key = Some(PublicKey([9; 32]));
        let forward = |request, id, key| NextKey { reverse: false, request, id, key };
        for block in [forward(true, 1, key), forward(false, 0, key), forward(true, 0, None)] {
            assert!(receiver.asked(&block, &[1; 32], &mut rng).is_none(), "{block:?}");
        }
        assert_eq!((receiver.set(), receiver.answering()), (0, None));
        let reverse = NextKey { reverse: true, request: false, id: 0, key };
        assert!(sender.answered(&reverse, &[1; 32]).is_none(), "nothing was asked");
        sender.begin(&mut rng);
        assert!(sender.answered(&NextKey { id: 1, ..reverse }, &[1; 32]).is_none());
        assert!(sender.answered(&NextKey { key: None, ..reverse }, &[1; 32]).is_none());
        assert!(sender.answered(&reverse, &[1; 32]).is_some());
    }
}
