//! ElGamal as I2P had it before X25519: one block of 222 bytes for the holder of a key of 2048 bits, in the group of RFC 3526.
//!
//! ```text
//! plain   anything but zero (1) | SHA-256 of the data (32) | data (222)
//! sealed  zero (1) | 2^k (256) | zero (1) | plain * y^k (256)                            modulo the prime, big-endian
//! ```
//! Our exponents have 256 bits: in this group, whose prime is safe, no shortcut is known to those that would not also hurt the prime, and
//! full ones take eight times as long. Those of others may be full ones. INTEROP: in Java they are, on processors of 64 bits. Nothing
//! else here is meant for new protocols.
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

/// Bytes of an exponent that is a short one.
const SHORT: usize = 32;

/// A private key: the exponent. Wiped on drop, never printed.
///
/// What is done with it takes a time that depends on nothing but whether it fits into 256 bits.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey {
    /// Big-endian.
    exponent: Box<[u8; KEY_LEN]>,
    short: bool,
}

/// A public key that is one: neither zero nor of an order that tells anything.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_LEN]);

impl SecretKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: [u8; SHORT]) -> Self {
        let mut exponent = Box::new([0; KEY_LEN]);
        exponent[KEY_LEN - SHORT..].copy_from_slice(&bytes);
        Self { exponent, short: true }
    }

    /// One of somebody else's making, of up to 2048 bits. `None` if it hides nothing.
    pub fn from_wide(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        let (head, tail) = bytes.split_at(KEY_LEN - SHORT);
        let or = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte);
        let short = or(head) == 0;
        (!short || or(tail) != 0).then(|| Self { exponent: Box::new(*bytes), short })
    }

    /// True if it has no more than 256 bits.
    pub fn is_short(&self) -> bool {
        self.short
    }

    /// The bytes, to be handed to whoever opens what is sealed for it.
    pub fn to_wide(&self) -> [u8; KEY_LEN] {
        *self.exponent
    }

    /// The public half. About a millisecond, and nine for a long exponent.
    pub fn public(&self) -> PublicKey {
        PublicKey(to_bytes(&self.power(&number(&U2048::from_u8(2)))))
    }

    fn power(&self, base: &Number) -> Number {
        if self.short {
            base.pow(&U256::from_be_slice(&self.exponent[KEY_LEN - SHORT..]))
        } else {
            base.pow(&U2048::from_be_slice(&self.exponent[..]))
        }
    }

    /// Opens a block; what was sealed, or `None` if it is not for us. About a millisecond, and nine for a long exponent.
    pub fn open(&self, sealed: &[u8; SEALED_LEN]) -> Option<[u8; DATA_LEN]> {
        let (a, b) = sealed.split_at(SEALED_LEN / 2);
        // The first byte of each is there for a sign that no number has.
        if a[0] != 0 || b[0] != 0 {
            return None;
        }
        let (a, b) = (element(&a[1..])?, element(&b[1..])?);
        let shared = Option::<Number>::from(self.power(&a).invert())?;
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
        let k = U256::from_be_slice(k);
        let mut plain = [0; KEY_LEN];
        let at = KEY_LEN - PLAIN_LEN;
        plain[at] = head[0].max(1);
        plain[at + 1..at + 33].copy_from_slice(&sha256(&[data]));
        plain[at + 33..].copy_from_slice(data);
        let y = number(&U2048::from_be_slice(&self.0));
        let sealed = number(&U2048::from_be_slice(&plain)) * y.pow(&k);
        let mut out = [0; SEALED_LEN];
        out[1..=KEY_LEN].copy_from_slice(&to_bytes(&number(&U2048::from_u8(2)).pow(&k)));
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
    use proptest::prelude::*;

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
    fn a_block_for_an_exponent_of_2048_bits_is_the_one_of_another_language_too() {
        let secret = SecretKey::from_wide(&[0xa7; KEY_LEN]).unwrap();
        let data: [u8; DATA_LEN] = std::array::from_fn(|i| i as u8);
        let mut random = [5; 33];
        random[0] = 0xab;
        let sealed = secret.public().seal(&data, &random);
        assert_eq!(hex(secret.public().as_bytes()), "db819ab1630547136bdbe0a5e9193588618b1dc9c7eb102db40d0d78aec6d90c");
        assert_eq!(hex(&sealed), "ac9a14de89c0b9043ce95cdab8161dbfc4d430fbf48657bf5648230e9010e589");
        assert_eq!(secret.open(&sealed), Some(data));
        let short = SecretKey::from_bytes([3; 32]);
        assert!(!secret.short && SecretKey::from_wide(&short.to_wide()).unwrap().short);
        assert_eq!(SecretKey::from_wide(&short.to_wide()).unwrap().public(), short.public());
        assert!(SecretKey::from_wide(&[0; KEY_LEN]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn powers_of_exponents_of_all_lengths_agree(
            mut a in any::<[u8; KEY_LEN]>(),
            mut b in any::<[u8; KEY_LEN]>(),
            zeros in (0..=224_usize, 0..=224_usize),
        ) {
            a[..zeros.0].fill(0);
            b[..zeros.1].fill(0);
            // The sum of both fits, too.
            (a[0], b[0]) = (a[0] & 0x7f, b[0] & 0x7f);
            let sum = U2048::from_be_slice(&a).wrapping_add(&U2048::from_be_slice(&b)).to_be_bytes();
            let [a, b, sum] = [a, b, sum.as_ref().try_into().unwrap()].map(|bytes| SecretKey::from_wide(&bytes).unwrap());
            let [to_a, to_b] = [&a, &b].map(|key| element(key.public().as_bytes()).unwrap());
            prop_assert_eq!(to_bytes(&a.power(&to_b)), to_bytes(&b.power(&to_a)));
            prop_assert_eq!(to_bytes(&(to_a * to_b)), *sum.public().as_bytes());
            let sealed = a.public().seal(&[7; DATA_LEN], &[9; 33]);
            prop_assert_eq!(a.open(&sealed), Some([7; DATA_LEN]));
        }
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
