//! The symmetric state of the Noise framework: the handshake hash, the chaining key, and the key and counter of the
//! current cipher. NTCP2 and SSU2 (XK), build records and router garlic (N) are patterns over it.
//!
//! The Diffie-Hellman tokens are the caller's: it computes a shared secret and hands it to [`Symmetric::mix_key`].
//!
//! spec: ntcp2 §Key Derivation Function; tunnel-creation-ecies §Noise; The Noise Protocol Framework, revision 33, §5.2

use ramson_crypto::aead::{AeadKey, BadTag, TAG_LEN};
use ramson_crypto::hash::{hkdf2, sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The protocol name of SSU2: unlike NTCP2, the headers are mixed into the hash.
pub const SSU2_XK: &[u8] = b"Noise_XKchaobfse+hs1+hs2+hs3_25519_ChaChaPoly_SHA256";
/// The protocol name of tunnel build records and of garlic messages to routers.
pub const N: &[u8] = b"Noise_N_25519_ChaChaPoly_SHA256";

/// `h` and `ck` of a protocol after its name and the null prologue are mixed in: the same for every handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initial {
    /// The handshake hash.
    pub h: [u8; 32],
    /// The chaining key.
    pub ck: [u8; 32],
}

impl Initial {
    /// Computes the start of the protocol called `name`.
    pub fn of(name: &[u8]) -> Self {
        // Noise §5.2, InitializeSymmetric: a name that fits is padded, a longer one is hashed.
        let mut ck = [0; 32];
        match ck.get_mut(..name.len()) {
            Some(head) => head.copy_from_slice(name),
            None => ck = sha256(&[name]),
        }
        Self { h: sha256(&[&ck]), ck }
    }
}

/// The start of NTCP2's `Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256`, precomputed.
pub const INITIAL_NTCP2: Initial = Initial {
    h: [
        0x49, 0xff, 0x48, 0x3f, 0xc4, 0x04, 0xb9, 0xb2, 0x6b, 0x11, 0x94, 0x36, 0x72, 0xff, 0x05, 0xb5, 0x61, 0x27,
        0x03, 0x31, 0xba, 0x89, 0xb8, 0xfc, 0x33, 0x15, 0x93, 0x87, 0x57, 0xdd, 0x3d, 0x1e,
    ],
    ck: [
        0x72, 0xe8, 0x42, 0xc5, 0x45, 0xe1, 0x80, 0x80, 0xd3, 0x9c, 0x44, 0x93, 0xbb, 0x91, 0xd7, 0xed, 0xf2, 0x28,
        0x98, 0x17, 0x71, 0x21, 0x8c, 0x1f, 0x62, 0x4e, 0x20, 0x6f, 0x28, 0xd3, 0x2f, 0x71,
    ],
};

/// The start of [`N`], precomputed.
pub const INITIAL_N: Initial = Initial {
    h: [
        0x69, 0x4d, 0x52, 0x44, 0x5a, 0x27, 0xd9, 0xad, 0xfa, 0xd2, 0x9c, 0x76, 0x32, 0x39, 0x5d, 0xc1, 0xe4, 0x35,
        0x4c, 0x69, 0xb4, 0xf9, 0x2e, 0xac, 0x8a, 0x1e, 0xe4, 0x6a, 0x9e, 0xd2, 0x15, 0x54,
    ],
    ck: *b"Noise_N_25519_ChaChaPoly_SHA256\0",
};

/// The symmetric state of one handshake. Wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Symmetric {
    h: [u8; 32],
    ck: [u8; 32],
    key: [u8; 32],
    nonce: u64,
}

impl Symmetric {
    /// A state at the start of a protocol.
    pub fn new(initial: &Initial) -> Self {
        Self { h: initial.h, ck: initial.ck, key: [0; 32], nonce: 0 }
    }

    /// `h = SHA-256(h ‖ data)`: MixHash.
    pub fn mix_hash(&mut self, data: &[u8]) {
        self.h = sha256(&[&self.h, data]);
    }

    /// MixKey: a new chaining key and cipher key from a shared secret; the counter starts again at zero.
    pub fn mix_key(&mut self, ikm: &[u8; 32]) {
        (self.ck, self.key) = hkdf2(&self.ck, ikm, &[]);
        self.nonce = 0;
    }

    /// EncryptAndHash of `data` in place; the tag comes back. [`Symmetric::mix_key`] must have been called before.
    #[must_use = "the tag follows the ciphertext on the wire"]
    pub fn encrypt_and_hash(&mut self, data: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = AeadKey::new(&self.key).seal(self.nonce, &self.h, data);
        self.nonce = self.nonce.wrapping_add(1);
        self.h = sha256(&[&self.h, data, &tag]);
        tag
    }

    /// EncryptAndHash of `data[from..]` in place, the tag appended.
    pub fn encrypt_and_hash_vec(&mut self, data: &mut Vec<u8>, from: usize) {
        let tag = self.encrypt_and_hash(data.get_mut(from..).unwrap_or_default());
        data.extend_from_slice(&tag);
    }

    /// DecryptAndHash of `data` (ciphertext, then tag) in place; the plaintext is the returned prefix.
    ///
    /// # Errors
    /// [`BadTag`] if `data` is not what the other side sealed in this state; the state is then as before, and the
    /// content of `data` unspecified.
    pub fn decrypt_and_hash<'a>(&mut self, data: &'a mut [u8]) -> Result<&'a mut [u8], BadTag> {
        let h = sha256(&[&self.h, data]);
        let plain = AeadKey::new(&self.key).open(self.nonce, &self.h, data)?;
        self.nonce = self.nonce.wrapping_add(1);
        self.h = h;
        Ok(plain)
    }

    /// Split: the cipher key from initiator to responder, and the one back.
    pub fn split(&self) -> ([u8; 32], [u8; 32]) {
        hkdf2(&self.ck, &[], &[])
    }

    /// The handshake hash: binds whatever is derived later to this very handshake.
    pub fn hash(&self) -> &[u8; 32] {
        &self.h
    }

    /// The chaining key: for keys that a protocol derives beside Noise's own.
    pub fn chaining_key(&self) -> &[u8; 32] {
        &self.ck
    }
}

impl std::fmt::Debug for Symmetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symmetric").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precomputed_starts_are_those_of_their_names() {
        assert_eq!(Initial::of(b"Noise_XKaesobfse+hs2+hs3_25519_ChaChaPoly_SHA256"), INITIAL_NTCP2);
        assert_eq!(Initial::of(N), INITIAL_N);
        assert_eq!(&INITIAL_N.ck[..31], N);
    }

    #[test]
    fn two_states_that_mix_the_same_open_what_the_other_sealed() {
        let (mut a, mut b) = (Symmetric::new(&INITIAL_N), Symmetric::new(&INITIAL_N));
        for s in [&mut a, &mut b] {
            s.mix_hash(b"key");
            s.mix_key(&[9; 32]);
        }
        for n in 0..3 {
            let mut data = vec![1, 2, 3];
            a.encrypt_and_hash_vec(&mut data, 1);
            let mut bad = data.clone();
            bad[2] ^= 1;
            assert_eq!(b.decrypt_and_hash(&mut bad[1..]), Err(BadTag));
            assert_eq!(b.decrypt_and_hash(&mut data[1..]).unwrap(), [2, 3]);
            assert_eq!(a.hash(), b.hash(), "message {n}");
        }
        assert_eq!(a.split(), b.split());
        assert_ne!(a.split().0, a.split().1);
    }

    #[test]
    fn a_ciphertext_of_another_counter_does_not_open() {
        let mut a = Symmetric::new(&INITIAL_N);
        a.mix_key(&[9; 32]);
        let mut b = a.clone();
        let mut first = vec![7; 20];
        a.encrypt_and_hash_vec(&mut first, 0);
        assert_eq!(b.decrypt_and_hash(&mut first.clone()).unwrap(), [7; 20]);
        assert_eq!(b.decrypt_and_hash(&mut first), Err(BadTag));
        assert_eq!(b.decrypt_and_hash(&mut [0; 15]), Err(BadTag));
    }
}
