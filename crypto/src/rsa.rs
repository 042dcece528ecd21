//! RSA with 4096 bits, as files are signed with it that are passed around outside of the network.
//!
//! spec: updates §Signature Details — "raw" signatures: the padding of PKCS #1 v1.5 holds the hash alone, without the name
//! of the hash function. *ring* and TLS know only the form with the name, so this is RustCrypto's.

use ring::digest::{SHA512, digest};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::rand_core::CryptoRng;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Sign};
use zeroize::Zeroizing;

pub use crate::sign::BadSignature;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 512;

/// Bits of a modulus.
const BITS: usize = 4096;

/// The public exponent that all keys have. INTEROP: i2pd takes it for granted.
const EXPONENT: u64 = 65_537;

/// A key that is not RSA with 4096 bits and the usual exponent, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(rsa::PublicKey);

impl PublicKey {
    /// From modulus and exponent, big-endian; zeros in front do not matter.
    ///
    /// # Errors
    /// [`BadKey`] unless the modulus has 4096 bits and the exponent is the usual one.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadKey> {
        let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
        if modulus.len() != SIGNATURE_LEN || modulus[0] & 0x80 == 0 || exponent != trimmed(&EXPONENT.to_be_bytes()) {
            return Err(BadKey);
        }
        let n = BoxedUint::from_be_slice(modulus, BITS as u32).map_err(|_| BadKey)?;
        rsa::PublicKey::new(n, BoxedUint::from(EXPONENT)).map(Self).map_err(|_| BadKey)
    }

    /// The modulus, big-endian, of [`SIGNATURE_LEN`] bytes.
    pub fn modulus(&self) -> Vec<u8> {
        self.0.n().to_be_bytes().into_vec()
    }

    /// Verifies a signature over the SHA-512 of `message`.
    ///
    /// # Errors
    /// [`BadSignature`] if it does not match or has another length.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let hash = digest(&SHA512, message);
        self.0.verify(Pkcs1v15Sign::new_unprefixed(), hash.as_ref(), signature).map_err(|_| BadSignature)
    }
}

/// A key that signs.
#[derive(Debug)]
pub struct PrivateKey(rsa::PrivateKey);

impl PrivateKey {
    /// A new key. Takes seconds.
    ///
    /// # Errors
    /// [`BadKey`] if the generator fails.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<Self, BadKey> {
        rsa::PrivateKey::new(rng, BITS).map(Self).map_err(|_| BadKey)
    }

    /// From PKCS #8 as PEM.
    ///
    /// # Errors
    /// [`BadKey`] if it is damaged or of another kind.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let key = rsa::PrivateKey::from_pkcs8_pem(text).map_err(|_| BadKey)?;
        if key.n().bit_width() as usize == BITS { Ok(Self(key)) } else { Err(BadKey) }
    }

    /// As PKCS #8, in PEM.
    ///
    /// # Errors
    /// [`BadKey`] if it cannot be written.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, BadKey> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| BadKey)
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.to_public_key())
    }

    /// Signs the SHA-512 of `message`: [`SIGNATURE_LEN`] bytes. `rng` blinds the computation.
    ///
    /// # Errors
    /// [`BadKey`] if the key is inconsistent.
    pub fn sign(&self, message: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, BadKey> {
        let hash = digest(&SHA512, message);
        self.0.sign_with_rng(rng, Pkcs1v15Sign::new_unprefixed(), hash.as_ref()).map_err(|_| BadKey)
    }
}

fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL for these tests; it signs nothing else.
    const KEY: &str = include_str!("rsa/test_key.pem");

    /// By `openssl pkeyutl -sign -pkeyopt rsa_padding_mode:pkcs1` over the SHA-512 of the message.
    const SIGNATURE: &[u8] = include_bytes!("rsa/test_signature.bin");

    const MESSAGE: &[u8] = b"two routers and a bundle";

    #[test]
    fn a_signature_of_openssl_without_the_name_of_the_hash_is_ours() {
        let key = PrivateKey::from_pem(KEY).unwrap();
        assert_eq!(key.public().verify(MESSAGE, SIGNATURE), Ok(()));
        assert_eq!(key.sign(MESSAGE, &mut rand::rng()).unwrap(), SIGNATURE);
        assert_eq!(key.public().verify(b"another message", SIGNATURE), Err(BadSignature));
        for at in [0, 100, 511] {
            let mut forged = SIGNATURE.to_vec();
            forged[at] ^= 1;
            assert_eq!(key.public().verify(MESSAGE, &forged), Err(BadSignature));
        }
        assert_eq!(key.public().verify(MESSAGE, &SIGNATURE[..511]), Err(BadSignature));
        assert_eq!(key.public().verify(MESSAGE, &[]), Err(BadSignature));
    }

    #[test]
    fn keys_are_written_and_read_back_and_others_are_refused() {
        let key = PrivateKey::from_pem(KEY).unwrap();
        let again = PrivateKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        let modulus = key.public().modulus();
        assert_eq!(PublicKey::new(&modulus, &[1, 0, 1]).unwrap(), key.public());
        assert_eq!(PublicKey::new(&[&[0], &modulus[..]].concat(), &[0, 1, 0, 1]).unwrap(), key.public());
        assert_eq!(PublicKey::new(&modulus[1..], &[1, 0, 1]).unwrap_err(), BadKey);
        assert_eq!(PublicKey::new(&modulus, &[3]).unwrap_err(), BadKey);
        assert_eq!(PublicKey::new(&[], &[]).unwrap_err(), BadKey);
        assert!(PrivateKey::from_pem("no key").is_err());
    }
}
