//! The handshake of a session, Noise IK with hidden ephemeral keys: a New Session message, and its reply.
//!
//! ```text
//! New Session    Alice's ephemeral (32) | her static key, sealed (32 + 16)  | payload, sealed (n + 16)
//! Reply          tag (8) | Bob's ephemeral (32) | nothing, sealed (16)      | payload, sealed (n + 16)
//! ```
//! With a static key of zeros the message is unbound: nobody can reply, and nobody is proven to have sent it.
//!
//! spec: ecies §KDFs for New Session Message, §New Session Reply format

use super::tag_set::{ReceiveTags, SendTags};
use crate::garlic::one_time::{SESSION_TAG_LEN, SessionTag};
use crate::noise::{Initial, Symmetric};
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use ramson_crypto::elligator::{self, Hidden};
use ramson_crypto::hash::{hkdf1, hkdf2};
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// The protocol of the handshake.
pub const PROTOCOL: &[u8] = b"Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256";

const KEY_LEN: usize = 32;
/// Where the payload of a New Session message begins.
const NEW_HEAD: usize = KEY_LEN + KEY_LEN + TAG_LEN;
/// What a New Session message has beside its payload.
pub const NEW_OVERHEAD: usize = NEW_HEAD + TAG_LEN;
/// Where the payload of a reply begins.
const REPLY_HEAD: usize = SESSION_TAG_LEN + KEY_LEN + TAG_LEN;
/// What a reply has beside its payload.
pub const REPLY_OVERHEAD: usize = REPLY_HEAD + TAG_LEN;

/// A message could not be opened: damaged, or for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

/// Our long-lived key pair, with what of the handshake is the same for every message to it.
pub struct StaticKey {
    secret: SecretKey,
    public: PublicKey,
    start: Symmetric,
}

impl StaticKey {
    /// Derives the public key.
    pub fn new(secret: SecretKey) -> Self {
        let public = secret.public();
        Self { start: start(&public), secret, public }
    }

    /// The public half, as the LeaseSet has it.
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl std::fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticKey(..)")
    }
}

fn start(to: &PublicKey) -> Symmetric {
    let mut noise = Symmetric::new(&Initial::of(PROTOCOL));
    noise.mix_hash(&to.0);
    noise
}

fn hidden(rng: &mut ChaCha20Rng) -> Hidden {
    Hidden::generate(|out| rng.fill_bytes(out))
}

fn mix_dh(noise: &mut Symmetric, secret: &SecretKey, public: &PublicKey) -> Result<(), NotOurs> {
    noise.mix_key(&secret.dh(public).map_err(|_| NotOurs)?);
    Ok(())
}

/// The chain of tags for replies to a New Session message.
/// spec: ecies §KDF for Reply TagSet
fn reply_key(noise: &Symmetric) -> ([u8; 32], [u8; 32]) {
    let chaining = *noise.chaining_key();
    (chaining, hkdf1(&chaining, &[], b"SessionReplyTags"))
}

/// What Alice keeps of a New Session message that she sent.
pub struct Asked {
    noise: Symmetric,
    ephemeral: SecretKey,
    /// The tags that replies may have.
    pub tags: ReceiveTags,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked(..)")
    }
}

/// The tag sets of an established session, seen from one side.
#[derive(Debug)]
pub struct Pair {
    /// What this side sends.
    pub send: SendTags,
    /// What it receives.
    pub receive: ReceiveTags,
}

/// Appends a New Session message with `payload` from `us` to `to`.
///
/// # Errors
/// If `to` is no key.
pub fn ask(
    us: &StaticKey,
    to: &PublicKey,
    payload: &[u8],
    rng: &mut ChaCha20Rng,
    out: &mut Vec<u8>,
) -> Result<Asked, NotOurs> {
    let mut noise = start(to);
    let ephemeral = hidden(rng);
    noise.mix_hash(&ephemeral.public.0);
    out.extend_from_slice(&ephemeral.representative);
    mix_dh(&mut noise, &ephemeral.secret, to)?;
    let from = out.len();
    out.extend_from_slice(&us.public.0);
    noise.encrypt_and_hash_vec(out, from);
    mix_dh(&mut noise, &us.secret, to)?;
    let from = out.len();
    out.extend_from_slice(payload);
    noise.encrypt_and_hash_vec(out, from);
    let (root, k) = reply_key(&noise);
    Ok(Asked { tags: ReceiveTags::new(&root, &k), noise, ephemeral: ephemeral.secret })
}

impl Asked {
    /// Opens a reply to this message in place. Several may come, each with keys of its own.
    ///
    /// # Errors
    /// If it is no reply to this message.
    pub fn open<'a>(&self, us: &StaticKey, data: &'a mut [u8]) -> Result<(&'a mut [u8], Pair), NotOurs> {
        let (head, sealed) = data.split_at_mut_checked(REPLY_HEAD).ok_or(NotOurs)?;
        let (tag, rest) = head.split_first_chunk_mut::<SESSION_TAG_LEN>().ok_or(NotOurs)?;
        let (representative, empty) = rest.split_first_chunk_mut::<KEY_LEN>().ok_or(NotOurs)?;
        let ephemeral = elligator::decode(representative);
        let mut noise = self.noise.clone();
        noise.mix_hash(tag);
        noise.mix_hash(&ephemeral.0);
        mix_dh(&mut noise, &self.ephemeral, &ephemeral)?;
        mix_dh(&mut noise, &us.secret, &ephemeral)?;
        noise.decrypt_and_hash(empty).map_err(|_| NotOurs)?;
        let (chaining, to_bob, to_alice) = split(&noise);
        let payload = AeadKey::new(&payload_key(&to_alice)).open(0, noise.hash(), sealed).map_err(|_| NotOurs)?;
        let (send, receive) = (SendTags::new(&chaining, &to_bob), ReceiveTags::new(&chaining, &to_alice));
        Ok((payload, Pair { send, receive }))
    }
}

/// spec: Noise Split(); the chaining key is the root of both directions.
fn split(noise: &Symmetric) -> ([u8; 32], [u8; 32], [u8; 32]) {
    let chaining = *noise.chaining_key();
    let (to_bob, to_alice) = hkdf2(&chaining, &[], &[]);
    (chaining, to_bob, to_alice)
}

/// INTEROP: the payload of a reply has a key of its own in all routers ("AttachPayloadKDF").
fn payload_key(to_alice: &[u8; 32]) -> [u8; 32] {
    hkdf1(to_alice, &[], b"AttachPayloadKDF")
}

/// What Bob keeps of a New Session message.
pub struct Heard {
    noise: Symmetric,
    ephemeral: PublicKey,
    remote: PublicKey,
    tags: SendTags,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heard(..)")
    }
}

/// The content of a New Session message.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// What it brought.
    pub payload: &'a mut [u8],
    /// Who sent it, unless it is unbound.
    pub bound: Option<Heard>,
}

/// Opens a New Session message to `us` in place. Two or three Diffie-Hellmans, about 100 us.
///
/// # Errors
/// If it is none; the content of `data` is then unspecified.
pub fn hear<'a>(us: &StaticKey, data: &'a mut [u8]) -> Result<NewSession<'a>, NotOurs> {
    let (head, sealed) = data.split_at_mut_checked(NEW_HEAD).ok_or(NotOurs)?;
    let (representative, key) = head.split_first_chunk_mut::<KEY_LEN>().ok_or(NotOurs)?;
    let ephemeral = elligator::decode(representative);
    let mut noise = us.start.clone();
    noise.mix_hash(&ephemeral.0);
    mix_dh(&mut noise, &us.secret, &ephemeral)?;
    let key = noise.decrypt_and_hash(key).map_err(|_| NotOurs)?;
    let remote = PublicKey(*key.first_chunk().ok_or(NotOurs)?);
    let bound = remote.0 != [0; KEY_LEN];
    if bound {
        mix_dh(&mut noise, &us.secret, &remote)?;
    }
    let payload = noise.decrypt_and_hash(sealed).map_err(|_| NotOurs)?;
    let (root, k) = reply_key(&noise);
    let bound = bound.then(|| Heard { tags: SendTags::new(&root, &k), noise, ephemeral, remote });
    Ok(NewSession { payload, bound })
}

impl Heard {
    /// The static key of the sender.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Replies made so far.
    pub fn replies(&self) -> u32 {
        self.tags.used()
    }

    /// Appends a reply with `payload`, and tells the tag sets that belong to it. Each reply has an ephemeral key of its own.
    ///
    /// # Errors
    /// If the sender's key contributes nothing.
    pub fn reply(&mut self, payload: &[u8], rng: &mut ChaCha20Rng, out: &mut Vec<u8>) -> Result<Pair, NotOurs> {
        let tag: SessionTag = self.tags.take().ok_or(NotOurs)?.tag;
        let ephemeral = hidden(rng);
        let mut noise = self.noise.clone();
        noise.mix_hash(&tag);
        noise.mix_hash(&ephemeral.public.0);
        mix_dh(&mut noise, &ephemeral.secret, &self.ephemeral)?;
        mix_dh(&mut noise, &ephemeral.secret, &self.remote)?;
        out.extend_from_slice(&tag);
        out.extend_from_slice(&ephemeral.representative);
        let from = out.len();
        noise.encrypt_and_hash_vec(out, from);
        let (chaining, to_bob, to_alice) = split(&noise);
        let from = out.len();
        out.extend_from_slice(payload);
        AeadKey::new(&payload_key(&to_alice)).seal_vec(0, noise.hash(), out, from);
        Ok(Pair { send: SendTags::new(&chaining, &to_alice), receive: ReceiveTags::new(&chaining, &to_bob) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn key(n: u8) -> StaticKey {
        StaticKey::new(SecretKey::from_bytes([n; 32]))
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([5; 32])
    }

    #[test]
    fn a_question_and_its_replies_end_in_the_same_tag_sets_at_both_ends() {
        let (alice, bob, mut rng) = (key(1), key(2), rng());
        let mut message = Vec::new();
        let mut asked = ask(&alice, &bob.public(), b"question", &mut rng, &mut message).unwrap();
        assert_eq!(message.len(), 8 + NEW_OVERHEAD);
        let heard = hear(&bob, &mut message).unwrap();
        assert_eq!(heard.payload, b"question");
        let mut heard = heard.bound.unwrap();
        assert_eq!(heard.remote(), alice.public());
        let mut tags = Vec::new();
        asked.tags.extend(12, |tag, _| tags.push(tag));
        for expected in tags.iter().take(3) {
            let mut reply = Vec::new();
            let mut bobs = heard.reply(b"answer", &mut rng, &mut reply).unwrap();
            assert_eq!(reply.len(), 6 + REPLY_OVERHEAD);
            assert_eq!(&reply[..8], expected);
            let (payload, mut alices) = asked.open(&alice, &mut reply).unwrap();
            assert_eq!(payload, b"answer");
            for (send, receive) in [(&mut alices.send, &mut bobs.receive), (&mut bobs.send, &mut alices.receive)] {
                let sent = send.take().unwrap();
                let mut got = None;
                receive.extend(1, |tag, n| got = Some((tag, n)));
                assert_eq!(got, Some((sent.tag, sent.n)));
                assert_eq!(receive.key(0), Some(sent.key));
            }
        }
    }

    #[test]
    fn a_message_for_another_key_or_with_any_byte_changed_does_not_open() {
        let (alice, bob, mut rng) = (key(1), key(2), rng());
        let mut message = Vec::new();
        let asked = ask(&alice, &bob.public(), b"question", &mut rng, &mut message).unwrap();
        assert!(hear(&key(3), &mut message.clone()).is_err());
        for at in 0..message.len() {
            let mut bad = message.clone();
            // Of the ephemeral key the two top bits are noise.
            bad[at] ^= if at == 31 { 0x20 } else { 1 };
            assert!(hear(&bob, &mut bad).is_err(), "byte {at}");
            assert!(hear(&bob, &mut message.clone()[..at]).is_err(), "cut at {at}");
        }
        let mut heard = hear(&bob, &mut message).unwrap().bound.unwrap();
        let mut reply = Vec::new();
        heard.reply(b"answer", &mut rng, &mut reply).unwrap();
        for at in 0..reply.len() {
            let mut bad = reply.clone();
            bad[at] ^= if at == 39 { 0x20 } else { 1 };
            assert!(asked.open(&alice, &mut bad).is_err(), "byte {at}");
            assert!(asked.open(&alice, &mut reply.clone()[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_unbound_message_brings_its_payload_and_nobody_to_reply_to() {
        let (bob, mut rng) = (key(2), rng());
        let mut noise = start(&bob.public());
        let ephemeral = hidden(&mut rng);
        noise.mix_hash(&ephemeral.public.0);
        let mut message = ephemeral.representative.to_vec();
        mix_dh(&mut noise, &ephemeral.secret, &bob.public()).unwrap();
        message.extend([0; 32]);
        noise.encrypt_and_hash_vec(&mut message, 32);
        let from = message.len();
        message.extend(b"payload");
        noise.encrypt_and_hash_vec(&mut message, from);
        let heard = hear(&bob, &mut message).unwrap();
        assert_eq!(heard.payload, b"payload");
        assert!(heard.bound.is_none());
    }
}
