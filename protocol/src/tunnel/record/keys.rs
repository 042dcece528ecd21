//! Sealing and opening build records, and every key that creator and hop derive on the way.
//!
//! The creator seals a [`Request`] and keeps the [`RecordKeys`]; the hop opens it and gets the same. With them the hop
//! seals its [`Reply`] into the record and covers the other records of the message; the creator takes both off again.
//!
//! ```text
//! short:  ck --SMTunnelReplyKey--> reply key, ck --SMTunnelLayerKey--> layer key, rest
//!         IV key = rest, but at an outbound endpoint
//!         rest --TunnelLayerIVKey--> IV key, ck --RGarlicKeyAndTag--> garlic reply key and tag
//! long:   reply key = ck; layer keys, and an AES key for the other records, are in the request
//! ```
//!
//! spec: tunnel-creation-ecies §KDF, §Record Encryption, §Reply Record Encryption, §Symmetric Encryption of Records

use super::{Form, LongKeys, PREFIX_LEN, Reply, Request};
use crate::garlic::noise_n::{self, StaticKey};
use crate::garlic::one_time::OneTimeKey;
use crate::id::RouterHash;
use crate::noise::Symmetric;
use crate::tunnel::Role;
use crate::wire;
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use ramson_crypto::cbc::Cbc;
use ramson_crypto::chacha20;
use ramson_crypto::hash::hkdf2;
use ramson_crypto::tunnel::LayerCipher;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Why a record could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not a Noise message to us.
    #[error(transparent)]
    Noise(#[from] noise_n::Error),
    /// What is in it is malformed.
    #[error(transparent)]
    Malformed(#[from] wire::Error),
}

/// The keys of one hop of one tunnel. Wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct HopKeys {
    /// Layer key.
    pub layer: [u8; 32],
    /// IV key.
    pub iv: [u8; 32],
}

impl HopKeys {
    /// The keys, expanded for use.
    pub fn cipher(&self) -> LayerCipher {
        LayerCipher::new(&self.layer, &self.iv)
    }
}

impl std::fmt::Debug for HopKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HopKeys(..)")
    }
}

/// Everything that creator and hop share through one record.
#[derive(Clone)]
pub struct RecordKeys {
    /// For the tunnel's cells.
    pub hop: HopKeys,
    /// For the reply message, at an outbound endpoint of the short form.
    pub garlic: Option<OneTimeKey>,
    reply: ReplyKeys,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct ReplyKeys {
    /// ChaCha20 key of the reply, in the short form also of the other records.
    key: [u8; 32],
    /// Associated data of the reply.
    h: [u8; 32],
    /// AES key and IV of the other records, in the long form.
    aes: Option<([u8; 32], [u8; 16])>,
}

impl RecordKeys {
    fn derive(noise: &Symmetric, role: Role, long: Option<&LongKeys>) -> Self {
        let (ck, h) = (noise.chaining_key(), *noise.hash());
        if let Some(long) = long {
            let reply = ReplyKeys { key: *ck, h, aes: Some((long.reply, long.reply_iv)) };
            return Self { hop: HopKeys { layer: long.layer, iv: long.iv }, garlic: None, reply };
        }
        let (ck, key) = hkdf2(ck, &[], b"SMTunnelReplyKey");
        let reply = ReplyKeys { key, h, aes: None };
        let (rest, layer) = hkdf2(&ck, &[], b"SMTunnelLayerKey");
        if role != Role::OutboundEndpoint {
            return Self { hop: HopKeys { layer, iv: rest }, garlic: None, reply };
        }
        let (ck, iv) = hkdf2(&rest, &[], b"TunnelLayerIVKey");
        let (tag, key) = hkdf2(&ck, &[], b"RGarlicKeyAndTag");
        let garlic = OneTimeKey { key, tag: std::array::from_fn(|i| tag[i]) };
        Self { hop: HopKeys { layer, iv }, garlic: Some(garlic), reply }
    }

    /// The form of the message these keys are for.
    pub fn form(&self) -> Form {
        if self.reply.aes.is_some() { Form::Long } else { Form::Short }
    }

    /// Hop: replaces its own record, number `index` of the message, by its sealed reply.
    ///
    /// # Errors
    /// If `record` does not have the length of the form, or the options do not fit.
    pub fn seal_reply(
        &self,
        index: u8,
        reply: &Reply,
        record: &mut [u8],
        rng: &mut ChaCha20Rng,
    ) -> Result<(), wire::Error> {
        let (plain, tag) = record.split_last_chunk_mut::<TAG_LEN>().ok_or(wire::Error::Invalid("record length"))?;
        let text = reply.write(self.form(), rng)?;
        if plain.len() != text.len() {
            return Err(wire::Error::Invalid("record length"));
        }
        plain.copy_from_slice(&text);
        *tag = AeadKey::new(&self.reply.key).seal(self.nonce(index), &self.reply.h, plain);
        Ok(())
    }

    /// Creator: the reply in this hop's record, in place. `None` if it is not what the hop sealed.
    pub fn open_reply(&self, index: u8, record: &mut [u8]) -> Option<Reply> {
        let plain = AeadKey::new(&self.reply.key).open(self.nonce(index), &self.reply.h, record).ok()?;
        Reply::parse(plain).ok()
    }

    /// Hop: covers another record, number `index`.
    pub fn cover(&self, index: u8, record: &mut [u8]) {
        match &self.reply.aes {
            None => chacha20::apply(&self.reply.key, index.into(), record),
            Some((key, iv)) => _ = Cbc::new(key).encrypt(iv, record),
        }
    }

    /// Creator: the inverse of [`RecordKeys::cover`], before the message leaves and after it is back.
    pub fn uncover(&self, index: u8, record: &mut [u8]) {
        match &self.reply.aes {
            None => chacha20::apply(&self.reply.key, index.into(), record),
            Some((key, iv)) => _ = Cbc::new(key).decrypt(iv, record),
        }
    }

    fn nonce(&self, index: u8) -> u64 {
        match self.form() {
            Form::Short => index.into(),
            Form::Long => 0,
        }
    }
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKeys(..)")
    }
}

/// Creator: seals `request` for the router `to` with the static key `key` into `record`, whose length is that of the
/// request's form. Two scalar multiplications, about 70 us.
///
/// # Errors
/// If the router's key is of small order, or the options do not fit.
pub fn seal_request(
    request: &Request,
    to: &RouterHash,
    key: &PublicKey,
    record: &mut [u8],
    rng: &mut ChaCha20Rng,
) -> Result<RecordKeys, RecordError> {
    let form = request.form();
    let plain = request.write(rng)?;
    if record.len() != form.record_len() {
        return Err(wire::Error::Invalid("record length").into());
    }
    let mut ephemeral = [0; 32];
    rng.fill_bytes(&mut ephemeral);
    let ephemeral = SecretKey::from_bytes(ephemeral);
    let (prefix, message) = record.split_at_mut(PREFIX_LEN);
    prefix.copy_from_slice(&to.0[..PREFIX_LEN]);
    message[noise_n::KEY_LEN..noise_n::KEY_LEN + plain.len()].copy_from_slice(&plain);
    let noise = noise_n::seal(key, &ephemeral, message)?;
    Ok(RecordKeys::derive(&noise, request.role, request.long.as_ref()))
}

/// Hop: opens the record that begins with our hash. One Diffie-Hellman, about 50 us. The content of `record` is
/// unspecified afterwards.
///
/// # Errors
/// If it is not for us, or malformed.
pub fn open_request(form: Form, ours: &StaticKey, record: &mut [u8]) -> Result<(Request, RecordKeys), RecordError> {
    let message = record.get_mut(PREFIX_LEN..).unwrap_or_default();
    let (plain, noise) = ours.open(message)?;
    let request = Request::parse(form, plain)?;
    let keys = RecordKeys::derive(&noise, request.role, request.long.as_ref());
    Ok((request, keys))
}

#[cfg(test)]
mod tests {
    use super::super::{ACCEPT, Bandwidth};
    use super::*;
    use crate::id::{MessageId, TunnelId};
    use rand::SeedableRng;

    fn request(form: Form, role: Role, rng: &mut ChaCha20Rng) -> Request {
        Request {
            receive: TunnelId(1),
            next_tunnel: TunnelId(2),
            next: RouterHash([6; 32]),
            role,
            minutes: 28_000_000,
            lifetime: 600,
            next_message: MessageId(7),
            bandwidth: Bandwidth::default(),
            long: (form == Form::Long).then(|| LongKeys::random(rng)),
        }
    }

    #[test]
    fn creator_and_hop_derive_the_same_keys_in_both_forms_and_all_places() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let ours = StaticKey::new(SecretKey::from_bytes([9; 32]));
        for form in [Form::Short, Form::Long] {
            for role in [Role::Participant, Role::InboundGateway, Role::OutboundEndpoint] {
                let sent = request(form, role, rng);
                let mut record = vec![0; form.record_len()];
                let theirs = seal_request(&sent, &RouterHash([8; 32]), &ours.public(), &mut record, rng).unwrap();
                assert_eq!(record[..16], [8; 16]);
                let (got, keys) = open_request(form, &ours, &mut record).unwrap();
                assert_eq!(got, sent);
                assert_eq!((&keys.hop, &keys.garlic), (&theirs.hop, &theirs.garlic));
                assert_eq!(keys.garlic.is_some(), form == Form::Short && role == Role::OutboundEndpoint);

                let reply = Reply { code: ACCEPT, bandwidth: Some(40) };
                keys.seal_reply(3, &reply, &mut record, rng).unwrap();
                assert_eq!(theirs.open_reply(3, &mut record.clone()), Some(reply));
                // Only the short form binds a reply to its place.
                assert_eq!(theirs.open_reply(4, &mut record.clone()).is_some(), form == Form::Long);
                record[100] ^= 1;
                assert_eq!(theirs.open_reply(3, &mut record), None);
            }
        }
    }

    #[test]
    fn covering_and_uncovering_are_inverse_in_either_order() {
        let rng = &mut ChaCha20Rng::from_seed([1; 32]);
        let ours = StaticKey::new(SecretKey::from_bytes([9; 32]));
        for form in [Form::Short, Form::Long] {
            let mut record = vec![0; form.record_len()];
            let sent = request(form, Role::Participant, rng);
            let keys = seal_request(&sent, &RouterHash([8; 32]), &ours.public(), &mut record, rng).unwrap();
            let plain: Vec<u8> = (0..form.record_len()).map(|i| i as u8).collect();
            let mut data = plain.clone();
            keys.cover(5, &mut data);
            assert_ne!(data, plain);
            keys.uncover(5, &mut data);
            assert_eq!(data, plain);
            keys.uncover(5, &mut data);
            keys.cover(5, &mut data);
            assert_eq!(data, plain);
        }
    }

    #[test]
    fn the_keys_are_those_of_an_independent_implementation() {
        // Computed with Python's `hmac` from a chaining key of 32 bytes of 5; see the header of this file.
        let mut noise = Symmetric::new(&crate::noise::Initial { h: [4; 32], ck: [5; 32] });
        noise.mix_key(&[6; 32]);
        let participant = RecordKeys::derive(&noise, Role::Participant, None);
        let endpoint = RecordKeys::derive(&noise, Role::OutboundEndpoint, None);
        let garlic = endpoint.garlic.unwrap();
        let got = [
            &participant.reply.key[..4],
            &participant.hop.layer[..4],
            &participant.hop.iv[..4],
            &endpoint.hop.iv[..4],
            &garlic.key[..4],
            &garlic.tag[..4],
        ]
        .concat();
        assert_eq!(got, VECTOR);
    }

    const VECTOR: [u8; 24] = [
        0x0b, 0x66, 0xcb, 0x72, 0xbb, 0x2f, 0xcb, 0xd3, 0x2a, 0x30, 0xc0, 0xc5, 0x92, 0x13, 0x30, 0x04, 0x1b, 0x6d,
        0x93, 0x34, 0x7a, 0x9f, 0x56, 0x05,
    ];
}
