//! ElGamal as I2P had it before X25519: one block of 222 bytes for the holder of a key of 2048 bits, in the group of RFC 3526.
//!
//! ```text
//! plain   anything but zero (1) | SHA-256 of the data (32) | data (222)
//! sealed  zero (1) | 2^k (256) | zero (1) | plain * y^k (256)                            modulo the prime, big-endian
//! ```
//! Exponents have 256 bits: in this group, whose prime is safe, no shortcut is known to those that would not also hurt the prime, and
//! full ones take eight times as long. Nothing else here is meant for new protocols.
//!
//! spec: cryptography §ElGamal

use crate::hash::sha256;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256, U2048};
use std::sync::LazyLock;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a public key.
pub const KEY_LEN: usize = 256;
/// Bytes that one block takes.
pub const DATA_LEN: usize = 222;
/// Bytes of a sealed block.
pub const SEALED_LEN: usize = 514;

const LIMBS: usize = U2048::LIMBS;
const PLAIN_LEN: usize = 1 + 32 + DATA_LEN;

type Number = FixedMontyForm<LIMBS>;

/// spec: RFC 3526 §3
static GROUP: LazyLock<FixedMontyParams<LIMBS>> = LazyLock::new(|| {
    FixedMontyParams::new_vartime(Odd::<U2048>::from_be_hex(concat!(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
        "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
        "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
        "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    )))
});

/// A private key: the exponent. Wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

/// A public key that is one: neither zero nor of an order that tells anything.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_LEN]);

impl SecretKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public half. Under a millisecond.
    pub fn public(&self) -> PublicKey {
        PublicKey(to_bytes(&power(&number(&U2048::from_u8(2)), &self.0)))
    }

    /// Opens a block; what was sealed, or `None` if it is not for us. About a millisecond.
    pub fn open(&self, sealed: &[u8; SEALED_LEN]) -> Option<[u8; DATA_LEN]> {
        let (a, b) = sealed.split_at(SEALED_LEN / 2);
        // The first byte of each is there for a sign that no number has.
        if a[0] != 0 || b[0] != 0 {
            return None;
        }
        let (a, b) = (element(&a[1..])?, element(&b[1..])?);
        let shared = Option::<Number>::from(power(&a, &self.0).invert())?;
        let plain = to_bytes(&(b * shared));
        let (head, rest) = plain[KEY_LEN - PLAIN_LEN..].split_first()?;
        let (hash, data) = rest.split_at(32);
        let data = <[u8; DATA_LEN]>::try_from(data).ok()?;
        (plain[0] == 0 && *head != 0 && sha256(&[&data]) == hash).then_some(data)
    }
}

impl PublicKey {
    /// A key as it is in a LeaseSet. `None` if it is no member of the group, or one that hides nothing.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; KEY_LEN]>::try_from(bytes).ok()?;
        element(&bytes).map(|_| Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Seals a block; `random` is drawn for this alone. About two milliseconds.
    pub fn seal(&self, data: &[u8; DATA_LEN], random: &[u8; 33]) -> [u8; SEALED_LEN] {
        let (head, k) = random.split_at(1);
        let k: &[u8; 32] = &std::array::from_fn(|i| k[i]);
        let mut plain = [0; KEY_LEN];
        let at = KEY_LEN - PLAIN_LEN;
        plain[at] = head[0].max(1);
        plain[at + 1..at + 33].copy_from_slice(&sha256(&[data]));
        plain[at + 33..].copy_from_slice(data);
        let y = number(&U2048::from_be_slice(&self.0));
        let sealed = number(&U2048::from_be_slice(&plain)) * power(&y, k);
        let mut out = [0; SEALED_LEN];
        out[1..=KEY_LEN].copy_from_slice(&to_bytes(&power(&number(&U2048::from_u8(2)), k)));
        out[SEALED_LEN - KEY_LEN..].copy_from_slice(&to_bytes(&sealed));
        out
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

fn number(integer: &U2048) -> Number {
    Number::new(integer, &GROUP)
}

fn power(base: &Number, exponent: &[u8; 32]) -> Number {
    base.pow(&U256::from_be_slice(exponent))
}

/// A number of 256 bytes between one and the prime less one, without both.
fn element(bytes: &[u8]) -> Option<Number> {
    let integer = U2048::from_be_slice(bytes);
    let last = GROUP.modulus().as_ref().wrapping_sub(&U2048::ONE);
    (integer > U2048::ONE && integer < last).then(|| number(&integer))
}

fn to_bytes(number: &Number) -> [u8; KEY_LEN] {
    let bytes = number.retrieve().to_be_bytes();
    let mut out = [0; KEY_LEN];
    out.copy_from_slice(bytes.as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        sha256(&[bytes]).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_block_is_sealed_as_arithmetic_in_another_language_seals_it_and_opened_again() {
        let secret = SecretKey::from_bytes([3; 32]);
        let data: [u8; DATA_LEN] = std::array::from_fn(|i| i as u8);
        // Python: pow(2, x, p), and a hash of 2^k and of m * y^k % p, of 256 bytes each behind a zero.
        let y = "92fa5ac2fed692517cc4877089c502cecaadc8df1d25165f26db08cff01cd937";
        let block = "3e175a99d6613b5e9058e306969ff47f0bea05c14374834fb4a52825728b3013";
        assert_eq!(hex(secret.public().as_bytes()), y);
        let mut random = [5; 33];
        random[0] = 0xab;
        let sealed = secret.public().seal(&data, &random);
        assert_eq!(hex(&sealed), block);
        assert_eq!(secret.open(&sealed), Some(data));
        assert_eq!(SecretKey::from_bytes([4; 32]).open(&sealed), None);
    }

    #[test]
    fn what_was_changed_on_the_way_is_not_opened() {
        let secret = SecretKey::from_bytes([9; 32]);
        let sealed = secret.public().seal(&[7; DATA_LEN], &[1; 33]);
        for at in [0, 1, 100, 256, 257, 258, 400, 513] {
            let mut other = sealed;
            other[at] ^= 1;
            assert_eq!(secret.open(&other), None, "byte {at}");
        }
        assert_eq!(secret.open(&[0; SEALED_LEN]), None);
        assert_eq!(secret.open(&[0xff; SEALED_LEN]), None);
    }

    #[test]
    fn a_key_that_hides_nothing_is_none() {
        let mut one = [0; KEY_LEN];
        assert!(PublicKey::from_bytes(&one).is_none());
        one[255] = 1;
        assert!(PublicKey::from_bytes(&one).is_none());
        one[255] = 2;
        assert!(PublicKey::from_bytes(&one).is_some());
        let mut last = to_bytes(&number(&GROUP.modulus().as_ref().wrapping_sub(&U2048::ONE)));
        assert!(PublicKey::from_bytes(&last).is_none(), "of order two");
        last[255] = 0xff;
        assert!(PublicKey::from_bytes(&last).is_none(), "the prime");
        assert!(PublicKey::from_bytes(&[0xff; KEY_LEN]).is_none());
        assert!(PublicKey::from_bytes(&[5; 255]).is_none());
    }
}
