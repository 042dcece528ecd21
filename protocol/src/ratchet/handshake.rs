//! The handshake of a session, Noise IK with hidden ephemeral keys: a New Session message, and its reply.
//!
//! ```text
//! New Session    Alice's ephemeral (32) | [her KEM key, sealed (k + 16)] | her static key, sealed (32 + 16) | payload, sealed (n + 16)
//! Reply          tag (8) | Bob's ephemeral (32) | [KEM ciphertext, sealed (c + 16)] | nothing, sealed (16) | payload, sealed (n + 16)
//! ```
//! What stands in brackets is there in hybrid handshakes only, see [`Kind`]. With a static key of zeros the message is unbound: nobody
//! can reply, and nobody is proven to have sent it.
//!
//! spec: ecies §KDFs for New Session Message, §New Session Reply format; ecies-hybrid

use super::tag_set::{ReceiveTags, SendTags};
use crate::garlic::one_time::{SESSION_TAG_LEN, SessionTag};
use crate::noise::{Initial, Symmetric};
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use ramson_crypto::elgamal;
use ramson_crypto::elligator::{self, Hidden};
use ramson_crypto::hash::{hkdf1, hkdf2};
use ramson_crypto::kem::{Decapsulator, Kem};
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;

/// The protocol of the handshake: X25519 alone, or with a KEM beside it.
pub type Kind = Option<Kem>;

/// Its name.
pub fn protocol(kind: Kind) -> &'static [u8] {
    match kind {
        None => b"Noise_IKelg2+hs2_25519_ChaChaPoly_SHA256",
        Some(Kem::MlKem512) => b"Noise_IKhfselg2_25519+MLKEM512_ChaChaPoly_SHA256",
        Some(Kem::MlKem768) => b"Noise_IKhfselg2_25519+MLKEM768_ChaChaPoly_SHA256",
        Some(Kem::MlKem1024) => b"Noise_IKhfselg2_25519+MLKEM1024_ChaChaPoly_SHA256",
    }
}

const KEY_LEN: usize = 32;

/// What a New Session message has beside its payload.
pub fn new_overhead(kind: Kind) -> usize {
    KEY_LEN + kind.map_or(0, |kem| kem.key_len() + TAG_LEN) + KEY_LEN + TAG_LEN + TAG_LEN
}

/// What a reply has beside its payload.
pub fn reply_overhead(kind: Kind) -> usize {
    SESSION_TAG_LEN + KEY_LEN + kind.map_or(0, |kem| kem.ciphertext_len() + TAG_LEN) + TAG_LEN + TAG_LEN
}

/// A message could not be opened: damaged, or for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

/// The private halves of the keys in a lease set, each with the kind of handshake that is made with it, and that of ElGamal; one at least.
#[derive(Clone)]
pub struct Secrets {
    handshakes: SmallVec<[(Kind, SecretKey); 2]>,
    elgamal: Option<elgamal::SecretKey>,
}

impl Secrets {
    /// The first of each kind. `None` without any.
    pub fn new(all: impl IntoIterator<Item = (Kind, SecretKey)>) -> Option<Self> {
        Self::with_elgamal(all, None)
    }

    /// The same with one of ElGamal, which may be all there is: then no handshake is taken.
    pub fn with_elgamal(
        all: impl IntoIterator<Item = (Kind, SecretKey)>,
        elgamal: Option<elgamal::SecretKey>,
    ) -> Option<Self> {
        let mut kept: SmallVec<[(Kind, SecretKey); 2]> = SmallVec::new();
        for (kind, secret) in all {
            if kept.iter().all(|(other, _)| *other != kind) {
                kept.push((kind, secret));
            }
        }
        // Hybrid handshakes come first: they fail sooner.
        kept.sort_by_key(|(kind, _)| kind.is_none());
        (!kept.is_empty() || elgamal.is_some()).then_some(Self { handshakes: kept, elgamal })
    }

    /// The same for X25519 alone and, if there is a hybrid handshake, for that.
    pub fn one(secret: SecretKey, hybrid: Kind) -> Self {
        let hybrid = hybrid.map(|kem| (Some(kem), secret.clone()));
        Self { handshakes: hybrid.into_iter().chain([(None, secret)]).collect(), elgamal: None }
    }

    /// That of ElGamal.
    pub fn elgamal(&self) -> Option<&elgamal::SecretKey> {
        self.elgamal.as_ref()
    }

    /// Each that handshakes are made with, hybrid ones first.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &SecretKey)> {
        self.handshakes.iter().map(|(kind, secret)| (*kind, secret))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// Our long-lived key pairs, with what of each kind of handshake is the same for every message to them.
pub struct StaticKey(SmallVec<[Own; 2]>);

struct Own {
    kind: Kind,
    secret: SecretKey,
    public: PublicKey,
    start: Symmetric,
}

impl StaticKey {
    /// Derives the public keys. Handshakes of other kinds than theirs are not taken.
    pub fn new(secrets: &Secrets) -> Self {
        let own = |(kind, secret): (Kind, &SecretKey)| {
            let public = secret.public();
            Own { kind, start: start(&public, kind), secret: secret.clone(), public }
        };
        Self(secrets.iter().map(own).collect())
    }

    /// The public half for handshakes of this kind, as the LeaseSet has it; `None` if they are not taken.
    pub fn public(&self, kind: Kind) -> Option<PublicKey> {
        self.of(kind).ok().map(|own| own.public)
    }

    /// The kinds that are taken, hybrid ones first.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0.iter().map(|own| own.kind)
    }

    fn of(&self, kind: Kind) -> Result<&Own, NotOurs> {
        self.0.iter().find(|own| own.kind == kind).ok_or(NotOurs)
    }
}

impl std::fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticKey(..)")
    }
}

fn start(to: &PublicKey, kind: Kind) -> Symmetric {
    let mut noise = Symmetric::new(&Initial::of(protocol(kind)));
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
    kem: Option<(Kem, Decapsulator)>,
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

/// Appends a New Session message of this kind with `payload` from `us` to `to`.
///
/// # Errors
/// If `to` is no key, or we have none for this kind.
pub fn ask(
    us: &StaticKey,
    to: &PublicKey,
    kind: Kind,
    payload: &[u8],
    rng: &mut ChaCha20Rng,
    out: &mut Vec<u8>,
) -> Result<Asked, NotOurs> {
    let us = us.of(kind)?;
    let mut noise = start(to, kind);
    let ephemeral = hidden(rng);
    noise.mix_hash(&ephemeral.public.0);
    out.extend_from_slice(&ephemeral.representative);
    mix_dh(&mut noise, &ephemeral.secret, to)?;
    // spec: ecies-hybrid §Alice KDF for NS Message — "e1"
    let kem = kind.map(|kem| {
        let (from, mut seed) = (out.len(), [0; 64]);
        rng.fill_bytes(&mut seed);
        let ours = kem.generate(seed, out);
        noise.encrypt_and_hash_vec(out, from);
        (kem, ours)
    });
    let from = out.len();
    out.extend_from_slice(&us.public.0);
    noise.encrypt_and_hash_vec(out, from);
    mix_dh(&mut noise, &us.secret, to)?;
    let from = out.len();
    out.extend_from_slice(payload);
    noise.encrypt_and_hash_vec(out, from);
    let (root, k) = reply_key(&noise);
    Ok(Asked { tags: ReceiveTags::new(&root, &k), noise, ephemeral: ephemeral.secret, kem })
}

impl Asked {
    /// The kind of handshake.
    pub fn kind(&self) -> Kind {
        self.kem.as_ref().map(|(kem, _)| *kem)
    }

    /// Opens a reply to this message in place. Several may come, each with keys of its own.
    ///
    /// # Errors
    /// If it is no reply to this message.
    pub fn open<'a>(&self, us: &StaticKey, data: &'a mut [u8]) -> Result<(&'a mut [u8], Pair), NotOurs> {
        let (tag, rest) = data.split_first_chunk_mut::<SESSION_TAG_LEN>().ok_or(NotOurs)?;
        let (representative, rest) = rest.split_first_chunk_mut::<KEY_LEN>().ok_or(NotOurs)?;
        let for_kem = self.kem.as_ref().map_or(0, |(kem, _)| kem.ciphertext_len() + TAG_LEN);
        let (for_kem, rest) = rest.split_at_mut_checked(for_kem).ok_or(NotOurs)?;
        let (empty, sealed) = rest.split_at_mut_checked(TAG_LEN).ok_or(NotOurs)?;
        let ephemeral = elligator::decode(representative);
        let mut noise = self.noise.clone();
        noise.mix_hash(tag);
        noise.mix_hash(&ephemeral.0);
        mix_dh(&mut noise, &self.ephemeral, &ephemeral)?;
        if let Some((_, ours)) = &self.kem {
            let ciphertext = noise.decrypt_and_hash(for_kem).map_err(|_| NotOurs)?;
            noise.mix_key(&ours.decapsulate(ciphertext).map_err(|_| NotOurs)?);
        }
        mix_dh(&mut noise, &us.of(self.kind())?.secret, &ephemeral)?;
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
    /// The sender's key of the moment, in hybrid handshakes.
    kem: Option<(Kem, Box<[u8]>)>,
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
    let (representative, rest) = data.split_first_chunk_mut::<KEY_LEN>().ok_or(NotOurs)?;
    let ephemeral = elligator::decode(representative);
    let length = KEY_LEN + rest.len();
    // The keys of two kinds are mostly the same one.
    let mut shared: Option<(PublicKey, [u8; KEY_LEN])> = None;
    // A section that does not open may be spoiled.
    let mut first: SmallVec<[u8; 1600]> = SmallVec::new();
    let mut found = None;
    for own in us.0.iter().filter(|own| length >= new_overhead(own.kind)) {
        let secret = match shared {
            Some((public, secret)) if public == own.public => secret,
            _ => own.secret.dh(&ephemeral).map_err(|_| NotOurs)?,
        };
        shared = Some((own.public, secret));
        let mut noise = own.start.clone();
        noise.mix_hash(&ephemeral.0);
        noise.mix_key(&secret);
        let section = own.kind.map_or(KEY_LEN, Kem::key_len) + TAG_LEN;
        first.clear();
        first.extend_from_slice(rest.get(..section).ok_or(NotOurs)?);
        if noise.decrypt_and_hash(&mut first).is_ok() {
            found = Some((own, noise, section));
            break;
        }
    }
    let (us, mut noise, section) = found.ok_or(NotOurs)?;
    first.truncate(section - TAG_LEN);
    let mut rest = rest.get_mut(section..).ok_or(NotOurs)?;
    let mut kem = None;
    if let Some(of) = us.kind {
        kem = Some((of, Box::from(first.as_slice())));
        let (key, payload) = rest.split_at_mut_checked(KEY_LEN + TAG_LEN).ok_or(NotOurs)?;
        first = SmallVec::from_slice(noise.decrypt_and_hash(key).map_err(|_| NotOurs)?);
        rest = payload;
    }
    let remote = PublicKey(*first.first_chunk().ok_or(NotOurs)?);
    let bound = remote.0 != [0; KEY_LEN];
    if bound {
        mix_dh(&mut noise, &us.secret, &remote)?;
    }
    let payload = noise.decrypt_and_hash(rest).map_err(|_| NotOurs)?;
    let (root, k) = reply_key(&noise);
    let bound = bound.then(|| Heard { tags: SendTags::new(&root, &k), noise, ephemeral, kem, remote });
    Ok(NewSession { payload, bound })
}

impl Heard {
    /// The static key of the sender.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// The kind of handshake.
    pub fn kind(&self) -> Kind {
        self.kem.as_ref().map(|(kem, _)| *kem)
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
        out.extend_from_slice(&tag);
        out.extend_from_slice(&ephemeral.representative);
        // spec: ecies-hybrid §Bob KDF for NSR Message — "ekem1"
        if let Some((kem, theirs)) = &self.kem {
            let (from, mut random) = (out.len(), [0; 32]);
            rng.fill_bytes(&mut random);
            let shared = kem.encapsulate(theirs, random, out).map_err(|_| NotOurs)?;
            noise.encrypt_and_hash_vec(out, from);
            noise.mix_key(&shared);
        }
        mix_dh(&mut noise, &ephemeral.secret, &self.remote)?;
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

    const KINDS: [Kind; 4] = [None, Some(Kem::MlKem512), Some(Kem::MlKem768), Some(Kem::MlKem1024)];

    fn key(n: u8, hybrid: Kind) -> StaticKey {
        StaticKey::new(&Secrets::one(SecretKey::from_bytes([n; 32]), hybrid))
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([5; 32])
    }

    #[test]
    fn a_question_and_its_replies_end_in_the_same_tag_sets_at_both_ends() {
        for kind in KINDS {
            meet(kind, kind);
        }
        // Whoever takes a hybrid handshake takes the plain one, too.
        meet(None, Some(Kem::MlKem768));
    }

    #[test]
    fn each_kind_may_have_a_key_of_its_own() {
        let secret = |n| SecretKey::from_bytes([n; 32]);
        let of = |plain, hybrid| {
            let all = [(None, secret(plain)), (Some(Kem::MlKem768), secret(hybrid)), (None, secret(99))];
            StaticKey::new(&Secrets::new(all).unwrap())
        };
        let (alice, bob) = (of(1, 2), of(3, 4));
        assert_ne!(bob.public(None), bob.public(Some(Kem::MlKem768)));
        for kind in [None, Some(Kem::MlKem768)] {
            meet_with(&alice, &bob, kind);
        }
        let only = StaticKey::new(&Secrets::new([(Some(Kem::MlKem768), secret(4))]).unwrap());
        meet_with(&alice, &only, Some(Kem::MlKem768));
        assert_eq!((only.public(None), only.kinds().collect::<Vec<_>>()), (None, vec![Some(Kem::MlKem768)]));
        assert!(ask(&only, &bob.public(None).unwrap(), None, b"x", &mut rng(), &mut Vec::new()).is_err());
        assert!(Secrets::new([]).is_none());
    }

    fn meet(kind: Kind, taken: Kind) {
        meet_with(&key(1, kind), &key(2, taken), kind);
    }

    fn meet_with(alice: &StaticKey, bob: &StaticKey, kind: Kind) {
        let (mut rng, bobs_key) = (rng(), bob.public(kind).unwrap());
        let mut message = Vec::new();
        let mut asked = ask(alice, &bobs_key, kind, b"question", &mut rng, &mut message).unwrap();
        assert_eq!(message.len(), 8 + new_overhead(kind));
        let heard = hear(bob, &mut message).unwrap();
        assert_eq!(heard.payload, b"question");
        let mut heard = heard.bound.unwrap();
        assert_eq!((Some(heard.remote()), heard.kind()), (alice.public(kind), kind));
        let mut tags = Vec::new();
        asked.tags.extend(12, |tag, _| tags.push(tag));
        for expected in tags.iter().take(3) {
            let mut reply = Vec::new();
            let mut bobs = heard.reply(b"answer", &mut rng, &mut reply).unwrap();
            assert_eq!(reply.len(), 6 + reply_overhead(kind));
            assert_eq!(&reply[..8], expected);
            let (payload, mut alices) = asked.open(alice, &mut reply).unwrap();
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
        damage(None);
        damage(Some(Kem::MlKem512));
    }

    fn damage(kind: Kind) {
        let (alice, bob, mut rng) = (key(1, kind), key(2, kind), rng());
        let mut message = Vec::new();
        let asked = ask(&alice, &bob.public(kind).unwrap(), kind, b"question", &mut rng, &mut message).unwrap();
        assert!(hear(&key(3, kind), &mut message.clone()).is_err());
        let other = if kind.is_some() { None } else { Some(Kem::MlKem768) };
        assert_eq!(hear(&key(2, other), &mut message.clone()).is_err(), kind.is_some(), "a kind that is not taken");
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
        let (bob, mut rng) = (key(2, None), rng());
        let bobs_key = bob.public(None).unwrap();
        let mut noise = start(&bobs_key, None);
        let ephemeral = hidden(&mut rng);
        noise.mix_hash(&ephemeral.public.0);
        let mut message = ephemeral.representative.to_vec();
        mix_dh(&mut noise, &ephemeral.secret, &bobs_key).unwrap();
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
