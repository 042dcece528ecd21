//! Red25519: Ed25519 keys blinded by a scalar that changes daily, so that nobody can tell whose a key is who did not know it
//! before; and signatures with them, which verify as Ed25519's do.
//!
//! spec: encryptedleaseset §Blinding Key Derivation; red25519 §RedDSA functions. INTEROP: the challenge is Ed25519's, without the prefix that the
//! specification gives it, in Java and i2pd.

use crate::sign::{PrivateKey, SigningKey};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};
use zeroize::Zeroize;

/// What a key is blinded with.
#[derive(Clone)]
pub struct Alpha(Scalar);

impl Alpha {
    /// The scalar of 64 bytes, taken modulo the order of the group.
    pub fn new(wide: &[u8; 64]) -> Self {
        Self(Scalar::from_bytes_mod_order_wide(wide))
    }

    /// The blinded form of a public key; `None` if it is no point.
    pub fn blind(&self, public: &[u8; 32]) -> Option<[u8; 32]> {
        let point = CompressedEdwardsY(*public).decompress()?;
        Some((point + EdwardsPoint::mul_base(&self.0)).compress().to_bytes())
    }
}

impl Drop for Alpha {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Alpha {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alpha(..)")
    }
}

/// A private key of type 11: a blinded one, or that of a destination. Wiped on drop, never printed.
#[derive(Clone)]
pub struct RedKey {
    scalar: Scalar,
    public: [u8; 32],
}

impl RedKey {
    fn new(scalar: Scalar) -> Self {
        Self { public: EdwardsPoint::mul_base(&scalar).compress().to_bytes(), scalar }
    }

    /// The blinded form of a key; `None` of one whose type cannot be blinded.
    pub fn blind(key: &PrivateKey, alpha: &Alpha) -> Option<Self> {
        match key {
            PrivateKey::Ed25519(key) => Some(Self::of(key, alpha)),
            PrivateKey::RedDsa(key) => Some(Self::new(key.scalar + alpha.0)),
            _ => None,
        }
    }

    fn of(key: &SigningKey, alpha: &Alpha) -> Self {
        Self::new(key.scalar() + alpha.0)
    }

    /// The key of 64 random bytes.
    pub fn from_random(wide: &[u8; 64]) -> Self {
        Self::new(Scalar::from_bytes_mod_order_wide(wide))
    }

    /// The key of its bytes. INTEROP: i2pd's may stand above the order of the group, so they are taken modulo it.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::new(Scalar::from_bytes_mod_order(bytes))
    }

    /// Its bytes, to be stored.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.scalar.to_bytes()
    }

    /// Signs `message` without anything random: what must never come twice is made of the key and the message, as Ed25519 does.
    pub fn sign_alone(&self, message: &[u8]) -> [u8; 64] {
        let seed = |n: u8| {
            Sha512::new().chain_update([n]).chain_update(self.scalar.as_bytes()).chain_update(message).finalize()
        };
        let mut random = [0; 80];
        random[..64].copy_from_slice(&seed(1));
        random[64..].copy_from_slice(&seed(2)[..16]);
        let signature = self.sign(message, &random);
        random.zeroize();
        signature
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Signs `message`. `random` must never be used twice.
    pub fn sign(&self, message: &[u8], random: &[u8; 80]) -> [u8; 64] {
        let hash = |parts: [&[u8]; 3]| {
            let mut hash = Sha512::new();
            parts.iter().for_each(|part| hash.update(part));
            Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
        };
        let mut nonce = hash([random, &self.public, message]);
        let commitment = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let challenge = hash([&commitment, &self.public, message]);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&commitment);
        signature[32..].copy_from_slice(&(nonce + challenge * self.scalar).to_bytes());
        nonce.zeroize();
        signature
    }
}

impl Drop for RedKey {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl std::fmt::Debug for RedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{SigType, verify};

    fn hex(text: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    fn alpha(bytes: [u8; 32]) -> Alpha {
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&bytes);
        Alpha::new(&wide)
    }

    #[test]
    fn keys_are_blinded_as_in_the_vectors_of_the_specification() {
        // spec: red25519 §Test vectors, 1 to 3: edsk, alpha, rsk, rvk.
        for (seed, a, private, public) in [
            (
                1,
                "ae9ba9cbbc047c442448fca7c9f4e288a202ed520bfad0c784b792b7773cee08",
                "8bb85f3c7a494a08890d7d142109c1a3501d04565d80227e2079097800fbe107",
                "6fe128737b8e76fa66698a748b0dc0a89168dd8a0601c2b1c0b26835d323e9b3",
            ),
            (
                2,
                "98b615d9027e996cc2796c019d9c8beb46aa7d2b6eea2e5d98eb29eb1584c203",
                "9fcfaa734852ca40b3810ebef590e138516e8cb4f4b1b6f0730978de7f806402",
                "527e121090158419609e4a0d8de6f7d3271b353a8cd0b8172fe41468ea1e9177",
            ),
            (
                3,
                "ba17f5110fcea8a12e0bd3677e4088b874332c4e3e6c9911d9ec3fe0233d3e0a",
                "c4ceed95e9208c189458fe772c9628021f2aef385bfb1d187c9877bfd84cfa0f",
                "6e2b9b129bbe00fa964c996d40307dd01aff120e94fd15f17119341ecda3d7a0",
            ),
        ] {
            let (key, alpha) = (SigningKey::from_seed([seed; 32]), alpha(hex(a)));
            let blinded = RedKey::of(&key, &alpha);
            assert_eq!(blinded.scalar.to_bytes(), hex(private));
            assert_eq!(blinded.public(), hex(public));
            assert_eq!(alpha.blind(&key.public()), Some(hex(public)));
        }
    }

    #[test]
    fn a_signature_of_a_blinded_key_verifies_with_its_public_half_and_no_other() {
        let key = SigningKey::from_seed([9; 32]);
        let blinded = RedKey::of(&key, &alpha([3; 32]));
        let signature = blinded.sign(b"message", &[7; 80]);
        assert_eq!(verify(SigType::RedDsa, &blinded.public(), b"message", &signature), Ok(()));
        assert!(verify(SigType::RedDsa, &blinded.public(), b"massage", &signature).is_err());
        assert!(verify(SigType::RedDsa, &key.public(), b"message", &signature).is_err());
    }

    #[test]
    fn a_key_of_its_own_comes_back_from_its_bytes_and_can_be_blinded() {
        let key = RedKey::from_random(&[5; 64]);
        let again = RedKey::from_bytes(key.to_bytes());
        assert_eq!(key.public(), again.public());
        let signature = again.sign_alone(b"message");
        assert_eq!(verify(SigType::RedDsa, &key.public(), b"message", &signature), Ok(()));
        let blinded = RedKey::blind(&PrivateKey::RedDsa(key.clone()), &alpha([3; 32])).unwrap();
        assert_eq!(alpha([3; 32]).blind(&key.public()), Some(blinded.public()));
    }

    #[test]
    fn what_is_no_point_cannot_be_blinded() {
        let bad = (0..=255).map(|n| [n; 32]).filter(|key| alpha([1; 32]).blind(key).is_none()).count();
        assert!((64..192).contains(&bad), "about half of all strings are no points: {bad}");
    }
}
