//! Noise_N to a router's static key: one message, an anonymous sender, no reply. Build records and router garlic are
//! both made of it.
//!
//! ```text
//! sender's ephemeral key (32) | ciphertext | tag (16)
//! ```
//!
//! spec: ecies-routers §Request Encryption; tunnel-creation-ecies §Request Record Keys

use crate::noise::{INITIAL_N, Symmetric};
use ramson_crypto::aead::TAG_LEN;
use ramson_crypto::x25519::{PublicKey, SecretKey};

/// Bytes of the ephemeral key.
pub const KEY_LEN: usize = 32;
/// Bytes added to a plaintext: ephemeral key in front, tag behind.
pub const OVERHEAD: usize = KEY_LEN + TAG_LEN;

/// Why a message could not be opened, or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short to hold key and tag.
    #[error("too short for a Noise message")]
    Short,
    /// The key is not one that X25519 makes: the message was encrypted for another kind of router.
    #[error("not an X25519 key")]
    BadKey,
    /// The tag does not match: damaged, or for another router.
    #[error("bad tag")]
    BadTag,
}

/// Our static key pair, with what of the handshake is the same for every message.
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

    /// Our static public key, as our RouterIdentity has it.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Opens a message to us in place; the plaintext is the returned part of it. One Diffie-Hellman, about 50 us.
    ///
    /// # Errors
    /// See [`Error`]; the content of `message` is then unspecified.
    pub fn open<'a>(&self, message: &'a mut [u8]) -> Result<(&'a mut [u8], Symmetric), Error> {
        let (ephemeral, sealed) = message.split_first_chunk_mut::<KEY_LEN>().ok_or(Error::Short)?;
        if sealed.len() < TAG_LEN {
            return Err(Error::Short);
        }
        // spec: ecies-routers §Implementation Notes — sort out what cannot be a key before the Diffie-Hellman.
        if !plausible_key(ephemeral) {
            return Err(Error::BadKey);
        }
        let mut noise = self.start.clone();
        noise.mix_hash(ephemeral);
        noise.mix_key(&self.secret.dh(&PublicKey(*ephemeral)).map_err(|_| Error::BadKey)?);
        let plain = noise.decrypt_and_hash(sealed).map_err(|_| Error::BadTag)?;
        Ok((plain, noise))
    }
}

impl std::fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticKey(..)")
    }
}

/// Seals `message[32..len - 16]` in place for the router with the static key `to`, and writes the ephemeral key before
/// and the tag after it. The ephemeral key must never be used again.
///
/// # Errors
/// [`Error::Short`] if `message` has no room for key and tag, [`Error::BadKey`] if `to` is of small order.
pub fn seal(to: &PublicKey, ephemeral: &SecretKey, message: &mut [u8]) -> Result<Symmetric, Error> {
    let (key, sealed) = message.split_first_chunk_mut::<KEY_LEN>().ok_or(Error::Short)?;
    let (plain, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(Error::Short)?;
    *key = ephemeral.public().0;
    let mut noise = start(to);
    noise.mix_hash(key);
    noise.mix_key(&ephemeral.dh(to).map_err(|_| Error::BadKey)?);
    *tag = noise.encrypt_and_hash(plain);
    Ok(noise)
}

/// The body of a Garlic message with `payload` (blocks, see [`super::clove`]) for the router with the key `to`.
///
/// # Errors
/// [`Error::BadKey`] if `to` is of small order.
pub fn garlic(to: &PublicKey, ephemeral: &SecretKey, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let len = payload.len() + OVERHEAD;
    let mut body = vec![0; 4 + len];
    body[..4].copy_from_slice(&(len as u32).to_be_bytes());
    body[4 + KEY_LEN..4 + KEY_LEN + payload.len()].copy_from_slice(payload);
    seal(to, ephemeral, &mut body[4..])?;
    Ok(body)
}

/// False if these 32 bytes cannot be an X25519 key on the wire: the top bit is always clear.
pub fn plausible_key(key: &[u8; KEY_LEN]) -> bool {
    key[KEY_LEN - 1] & 0x80 == 0
}

fn start(to: &PublicKey) -> Symmetric {
    let mut noise = Symmetric::new(&INITIAL_N);
    noise.mix_hash(&to.0);
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_bytes([n; 32])
    }

    #[test]
    fn what_is_sealed_to_a_router_opens_there_and_nowhere_else() {
        let us = StaticKey::new(key(1));
        let body = garlic(&us.public(), &key(2), b"some blocks").unwrap();
        let data = crate::i2np::garlic::parse(&body.into()).unwrap().to_vec();
        assert_eq!(data.len(), 11 + OVERHEAD);
        let (plain, _) = us.open(&mut data.clone()).map(|(p, n)| (p.to_vec(), n)).unwrap();
        assert_eq!(plain, b"some blocks");
        assert_eq!(StaticKey::new(key(3)).open(&mut data.clone()).err(), Some(Error::BadTag));
        for at in 0..data.len() {
            let mut bad = data.clone();
            bad[at] ^= 1;
            assert!(us.open(&mut bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn both_sides_end_in_the_same_state() {
        let us = StaticKey::new(key(1));
        let mut message = [7; 100];
        let sender = seal(&us.public(), &key(2), &mut message).unwrap();
        let (_, receiver) = us.open(&mut message).unwrap();
        assert_eq!((sender.hash(), sender.chaining_key()), (receiver.hash(), receiver.chaining_key()));
    }

    #[test]
    fn what_cannot_be_a_message_is_refused_before_the_mathematics() {
        let us = StaticKey::new(key(1));
        assert_eq!(us.open(&mut [0; 47]).err(), Some(Error::Short));
        assert_eq!(us.open(&mut [0xff; 100]).err(), Some(Error::BadKey));
        assert_eq!(us.open(&mut [0; 100]).err(), Some(Error::BadKey));
        assert_eq!(seal(&PublicKey([0; 32]), &key(1), &mut [0; 100]).err(), Some(Error::BadKey));
    }
}
