//! Red25519: Ed25519 keys blinded by a scalar that changes daily, so that nobody can tell whose a key is who did not know it
//! before; and signatures with them, which verify as Ed25519's do.
//!
//! spec: encryptedleaseset §Blinding Key Derivation; red25519 §RedDSA functions. INTEROP: the challenge is Ed25519's, without the prefix that the
//! specification gives it, in Java and i2pd.

use crate::sign::SigningKey;
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

/// A blinded private key. Wiped on drop, never printed.
pub struct BlindedKey {
    scalar: Scalar,
    public: [u8; 32],
}

impl BlindedKey {
    /// The blinded form of an Ed25519 key.
    pub fn new(key: &SigningKey, alpha: &Alpha) -> Self {
        let scalar = key.scalar() + alpha.0;
        Self { public: EdwardsPoint::mul_base(&scalar).compress().to_bytes(), scalar }
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

impl Drop for BlindedKey {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl std::fmt::Debug for BlindedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlindedKey(..)")
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
            let blinded = BlindedKey::new(&key, &alpha);
            assert_eq!(blinded.scalar.to_bytes(), hex(private));
            assert_eq!(blinded.public(), hex(public));
            assert_eq!(alpha.blind(&key.public()), Some(hex(public)));
        }
    }

    #[test]
    fn a_signature_of_a_blinded_key_verifies_with_its_public_half_and_no_other() {
        let key = SigningKey::from_seed([9; 32]);
        let blinded = BlindedKey::new(&key, &alpha([3; 32]));
        let signature = blinded.sign(b"message", &[7; 80]);
        assert_eq!(verify(SigType::RedDsa, &blinded.public(), b"message", &signature), Ok(()));
        assert!(verify(SigType::RedDsa, &blinded.public(), b"massage", &signature).is_err());
        assert!(verify(SigType::RedDsa, &key.public(), b"message", &signature).is_err());
    }

    #[test]
    fn what_is_no_point_cannot_be_blinded() {
        let bad = (0..=255).map(|n| [n; 32]).filter(|key| alpha([1; 32]).blind(key).is_none()).count();
        assert!((64..192).contains(&bad), "about half of all strings are no points: {bad}");
    }
}
