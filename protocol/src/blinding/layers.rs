//! The two layers around a LeaseSet2.
//!
//! ```text
//! layer 1  salt 32 | ChaCha20( flags 1 | who may read | layer 2 )     opens for whoever knows the destination's key
//!          who may read: nothing, or epk or salt 32 | clients 2 | ( client's id 8 | cookie for it 32 )*
//! layer 2  salt 32 | ChaCha20( type 1 | LeaseSet2 )                   the cookie is part of its key
//! ```
//! spec: encryptedleaseset §Encryption and processing, §Per-client authorization

use super::Blinding;
use crate::data::encrypted_lease_set::{EncryptedLeaseSet, STORE_TYPE};
use crate::data::key_type::SigType;
use crate::data::lease_set2::{self, LeaseSet2};
use crate::netdb::routing_key::{Day, until_midnight};
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::blind::RedKey;
use ramson_crypto::chacha20;
use ramson_crypto::hash::hkdf2;
use ramson_crypto::sign::PrivateKey;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroize;

const SALT: usize = 32;
/// A client's entry: its id, and the cookie.
const ENTRY: usize = 8 + 32;
/// Clients that a LeaseSet has room for: 4,096 bytes are read by all routers.
pub const MAX_READERS: usize = 64;

/// Flag of layer 1: not everybody may read.
const PER_CLIENT: u8 = 1;
/// And they have pre-shared keys.
const PSK: u8 = 1 << 1;
const SCHEMES: u8 = 0b1110;

/// Who may read a LeaseSet of ours.
#[derive(Clone, PartialEq, Eq)]
pub enum Readers {
    /// Whoever knows the destination's key.
    Everybody,
    /// The holders of these X25519 keys.
    Dh(Vec<PublicKey>),
    /// The holders of these secrets.
    Psk(Vec<[u8; 32]>),
}

impl Readers {
    /// True if a reader needs a key of his own.
    pub fn need_keys(&self) -> bool {
        *self != Self::Everybody
    }
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Everybody => "Everybody",
            Self::Dh(_) => "Dh(..)",
            Self::Psk(_) => "Psk(..)",
        })
    }
}

/// What a reader has: the private half of an X25519 key or a secret, which the LeaseSet says.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey(pub [u8; 32]);

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

impl Drop for ClientKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why a LeaseSet was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is that of another destination, or of another secret.
    #[error("it is not the LeaseSet of this address")]
    Other,
    /// It is read with a key of one's own only.
    #[error("it is read with a client's key only, and there is none")]
    KeyNeeded,
    /// Our key is not among those that read it.
    #[error("our key is not among those that may read it")]
    NotAllowed,
    /// It cannot be read, or is signed by another.
    #[error("it is damaged")]
    Malformed,
}

impl From<Error> for OpenError {
    fn from(_: Error) -> Self {
        Self::Malformed
    }
}

/// What both layers' keys are made of.
fn input(cookie: &[u8], subcredential: &[u8; 32], published: Wall) -> Vec<u8> {
    [cookie, subcredential, &published.secs().to_be_bytes()].concat()
}

/// The key and nonce of ChaCha20, and what is left of them: a client's id.
fn keys(salt: &[u8; SALT], input: &[u8], info: &[u8]) -> ([u8; 32], [u8; 12], [u8; 8]) {
    let (key, rest) = hkdf2(salt, input, info);
    let (mut nonce, mut id) = ([0; 12], [0; 8]);
    nonce.copy_from_slice(&rest[..12]);
    id.copy_from_slice(&rest[12..20]);
    (key, nonce, id)
}

fn layer(salt: &[u8; SALT], input: &[u8], info: &[u8], plain: &mut [u8]) {
    let (key, nonce, _) = keys(salt, input, info);
    chacha20::apply_iv(&key, &nonce, plain);
}

/// The id and the sealed cookie of one reader.
fn entry(salt: &[u8; SALT], input: &[u8], info: &[u8], cookie: &[u8; 32]) -> ([u8; 8], [u8; 32]) {
    let (key, nonce, id) = keys(salt, input, info);
    let mut sealed = *cookie;
    chacha20::apply_iv(&key, &nonce, &mut sealed);
    (id, sealed)
}

fn random<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Encrypts a LeaseSet2 for `readers` and signs it with the key of the day on which it was published. It ends with that day.
///
/// # Errors
/// `TooLarge` for too many readers or leases; `Invalid` if `key` is not that of `blinding`.
pub fn seal(
    inner: &LeaseSet2,
    key: &PrivateKey,
    blinding: &Blinding,
    readers: &Readers,
    rng: &mut ChaCha20Rng,
) -> Result<EncryptedLeaseSet> {
    let published = inner.published();
    let today = blinding.on(Day::of(published)).ok_or(Error::Invalid("signing key"))?;
    let own = |key: &RedKey| key.public() == today.key;
    let key = RedKey::blind(key, &today.alpha).filter(own);
    let key = key.ok_or(Error::Invalid("signing key: it is not the destination's own"))?;
    let cookie: [u8; 32] = random(rng);
    let mut outer = Vec::with_capacity(inner.as_bytes().len() + 128);
    let cookie = may_read(readers, &cookie, &today.subcredential, published, rng, &mut outer)?;
    let mut plain = vec![lease_set2::STORE_TYPE];
    plain.put(inner.as_bytes());
    let salt = random(rng);
    layer(&salt, &input(cookie, &today.subcredential, published), b"ELS2_L2K", &mut plain);
    outer.put(&salt);
    outer.put(&plain);
    let salt = random(rng);
    layer(&salt, &input(&[], &today.subcredential, published), b"ELS2_L1K", &mut outer);

    // The key of the next day is another. INTEROP: i2pd cuts there, too.
    let midnight = until_midnight(Wall::from_secs(published.secs())).as_secs();
    let lasts = u64::from(inner.expires().secs().saturating_sub(published.secs())).min(midnight);
    let mut raw = vec![STORE_TYPE];
    raw.put_u16(SigType::RedDsa.code());
    raw.put(&today.key);
    raw.put_u32(published.secs());
    raw.put_u16(u16::try_from(lasts).map_err(|_| Error::Invalid("lease end"))?);
    raw.put_u16(0);
    raw.put_u16(u16::try_from(outer.len() + SALT).map_err(|_| Error::TooLarge("EncryptedLeaseSet"))?);
    raw.put(&salt);
    raw.put(&outer);
    let signature = key.sign(&raw, &random(rng));
    raw.put(&signature);
    EncryptedLeaseSet::parse(Bytes::from(raw).slice(1..))
}

/// Writes the head of layer 1: who may read. The cookie, if it is needed.
fn may_read<'a>(
    readers: &Readers,
    cookie: &'a [u8; 32],
    subcredential: &[u8; 32],
    published: Wall,
    rng: &mut ChaCha20Rng,
    out: &mut Vec<u8>,
) -> Result<&'a [u8]> {
    let mut entries = match readers {
        Readers::Everybody => {
            out.put_u8(0);
            return Ok(&[]);
        }
        Readers::Dh(keys) => {
            let ours = SecretKey::from_bytes(random(rng));
            let salt = ours.public().0;
            out.put_u8(PER_CLIENT);
            out.put(&salt);
            let one = |key: &PublicKey| {
                let shared = ours.dh(key).map_err(|_| Error::Invalid("client's key"))?;
                let known = [shared, key.0].concat();
                Ok(entry(&salt, &input(&known, subcredential, published), b"ELS2_XCA", cookie))
            };
            keys.iter().map(one).collect::<Result<Vec<_>>>()?
        }
        Readers::Psk(secrets) => {
            let salt = random(rng);
            out.put_u8(PER_CLIENT | PSK);
            out.put(&salt);
            let one = |secret: &[u8; 32]| entry(&salt, &input(secret, subcredential, published), b"ELS2PSKA", cookie);
            secrets.iter().map(one).collect()
        }
    };
    if entries.len() > MAX_READERS {
        return Err(Error::TooLarge("clients that may read a LeaseSet"));
    }
    // spec: §Security considerations — nobody learns from his place when others came or went.
    entries.shuffle(rng);
    out.put_u16(u16::try_from(entries.len()).unwrap_or(0));
    for (id, sealed) in entries {
        out.put(&id);
        out.put(&sealed);
    }
    Ok(cookie)
}

/// Verifies and reads a LeaseSet, and the one in it.
///
/// # Errors
/// Why it is of no use to us.
pub fn open(
    sealed: &EncryptedLeaseSet,
    blinding: &Blinding,
    client: Option<&ClientKey>,
) -> std::result::Result<LeaseSet2, OpenError> {
    let published = sealed.published();
    let today = blinding.on(Day::of(published)).ok_or(OpenError::Other)?;
    if sealed.signing_type() != SigType::RedDsa || sealed.blinded_key() != today.key {
        return Err(OpenError::Other);
    }
    sealed.verify()?;
    let (salt, rest) = sealed.encrypted().split_first_chunk::<SALT>().ok_or(OpenError::Malformed)?;
    let mut outer = rest.to_vec();
    layer(salt, &input(&[], &today.subcredential, published), b"ELS2_L1K", &mut outer);
    let mut r = Reader::new(&outer);
    let flags = r.u8()?;
    let cookie = match flags & (PER_CLIENT | SCHEMES) {
        flags if flags & PER_CLIENT == 0 => None,
        flags => Some(our_cookie(flags, &mut r, &today.subcredential, published, client)?),
    };
    let known = cookie.as_ref().map_or(&[][..], |cookie| cookie);
    let salt: [u8; SALT] = r.array()?;
    let mut plain = r.rest().to_vec();
    layer(&salt, &input(known, &today.subcredential, published), b"ELS2_L2K", &mut plain);
    let inner = Bytes::from(plain);
    if inner.first() != Some(&lease_set2::STORE_TYPE) {
        return Err(OpenError::Malformed);
    }
    let inner = LeaseSet2::parse(inner.slice(1..))?;
    inner.verify()?;
    if blinding.is_of(&inner.destination()?) { Ok(inner) } else { Err(OpenError::Other) }
}

fn our_cookie(
    flags: u8,
    r: &mut Reader<'_>,
    subcredential: &[u8; 32],
    published: Wall,
    client: Option<&ClientKey>,
) -> std::result::Result<[u8; 32], OpenError> {
    let salt: [u8; SALT] = r.array()?;
    let count = usize::from(r.u16()?);
    let entries = r.take(count * ENTRY)?;
    let ours = client.ok_or(OpenError::KeyNeeded)?;
    let (key, nonce, id) = match flags & SCHEMES {
        0 => {
            let secret = SecretKey::from_bytes(ours.0);
            let shared = secret.dh(&PublicKey(salt)).map_err(|_| OpenError::Malformed)?;
            let known = [shared, secret.public().0].concat();
            keys(&salt, &input(&known, subcredential, published), b"ELS2_XCA")
        }
        PSK => keys(&salt, &input(&ours.0, subcredential, published), b"ELS2PSKA"),
        _ => return Err(OpenError::Malformed),
    };
    let ours = entries.chunks_exact(ENTRY).find(|entry| entry[..id.len()] == id).ok_or(OpenError::NotAllowed)?;
    let mut cookie = [0; 32];
    cookie.copy_from_slice(&ours[id.len()..]);
    chacha20::apply_iv(&key, &nonce, &mut cookie);
    Ok(cookie)
}
