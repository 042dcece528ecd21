//! Elligator2 for Curve25519: X25519 public keys on the wire that look like random bytes.
//!
//! About every other key has such a form. A key pair made here also has a random component of small order, without which
//! one could tell from many of these keys that they are keys; it vanishes in each Diffie-Hellman, whose scalars are multiples
//! of eight.
//!
//! spec: ecies §Elligator2; Bernstein, Hamburg, Krasnova, Lange, "Elligator: Elliptic-curve points indistinguishable from
//! uniform random strings", §5

use crate::x25519::{PublicKey, SecretKey};
use curve25519_dalek::constants::{ED25519_BASEPOINT_TABLE, EIGHT_TORSION};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use fiat_crypto::curve25519_64 as fiat;

/// The curve's coefficient A, 486662, little-endian.
const A: [u8; 32] = small([0x06, 0x6d, 0x07, 0]);
const ONE: [u8; 32] = small([1, 0, 0, 0]);

/// The top two bits of a representative are random.
const TOP: u8 = 0xc0;

const fn small(low: [u8; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    [bytes[0], bytes[1], bytes[2], bytes[3]] = low;
    bytes
}

/// A key pair whose public key has a representative, and that representative.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// The private key.
    pub secret: SecretKey,
    /// The public key, for whatever it is hashed into.
    pub public: PublicKey,
    /// What goes on the wire.
    pub representative: [u8; 32],
}

impl Hidden {
    /// A key pair from random bytes, of which `random` gives as many as are needed: about 130 on average. About 60 us.
    pub fn generate(mut random: impl FnMut(&mut [u8])) -> Self {
        loop {
            let (mut seed, mut extra) = ([0; 32], [0; 1]);
            random(&mut seed);
            random(&mut extra);
            // The eight points of small order, chosen by three bits; one bit for the sign of y; two for the top.
            let torsion = EIGHT_TORSION[usize::from(extra[0] & 7)];
            let scalar = Scalar::from_bytes_mod_order(clamp_integer(seed));
            let public = PublicKey((&scalar * ED25519_BASEPOINT_TABLE + torsion).to_montgomery().to_bytes());
            if let Some(mut representative) = encode(&public, extra[0] & 8 != 0) {
                representative[31] |= extra[0] & TOP;
                return Self { secret: SecretKey::from_bytes(seed), public, representative };
            }
        }
    }
}

/// The public key that a representative stands for. Every 32 bytes stand for one. About 15 us.
pub fn decode(representative: &[u8; 32]) -> PublicKey {
    let mut bytes = *representative;
    bytes[31] &= !TOP;
    let (a, one, r) = (Field::of(&A), Field::of(&ONE), Field::of(&bytes));
    // v = -A / (1 + 2 r^2). The denominator is never zero, since -1/2 is no square.
    let square = r.square();
    let v = a.neg().mul(&one.add(&square).add(&square).invert());
    // v^3 + A v^2 + v
    let curve = v.square().mul(&v).add(&v.square().mul(&a)).add(&v);
    let x = if curve.is_square() { v } else { v.neg().sub(&a) };
    PublicKey(x.bytes())
}

/// The representative of a public key with its top bits zero, if there is one; `other` takes the one of the two that belongs to
/// the other sign of y, which X25519 does not have.
fn encode(public: &PublicKey, other: bool) -> Option<[u8; 32]> {
    let (a, x) = (Field::of(&A), Field::of(&public.0));
    let shifted = x.add(&a);
    // -2 x (x + A) must be a square, and not zero.
    let product = x.mul(&shifted);
    let wanted = product.add(&product).neg();
    if !wanted.is_square() || wanted.is_zero() {
        return None;
    }
    // r = sqrt(-x / (2 (x + A))), or with numerator and denominator changed.
    let (top, bottom) = if other { (shifted, x) } else { (x, shifted) };
    let root = top.neg().mul(&bottom.add(&bottom).invert()).sqrt()?;
    let (plain, negated) = (root.bytes(), root.neg().bytes());
    // Of both roots the one in 0..=(p-1)/2: compared as numbers, from the highest byte.
    Some(if plain.iter().rev().le(negated.iter().rev()) { plain } else { negated })
}

/// An element of the field of integers modulo 2^255 - 19.
#[derive(Clone, Copy)]
struct Field(fiat::fiat_25519_tight_field_element);

impl Field {
    const ZERO: Self = Self(fiat::fiat_25519_tight_field_element([0; 5]));

    fn of(bytes: &[u8; 32]) -> Self {
        let mut bytes = *bytes;
        bytes[31] &= 0x7f;
        let mut out = Self::ZERO;
        fiat::fiat_25519_from_bytes(&mut out.0, &bytes);
        out
    }

    fn bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        fiat::fiat_25519_to_bytes(&mut out, &self.0);
        out
    }

    fn loose(&self) -> fiat::fiat_25519_loose_field_element {
        let mut out = fiat::fiat_25519_loose_field_element([0; 5]);
        fiat::fiat_25519_relax(&mut out, &self.0);
        out
    }

    fn carried(loose: &fiat::fiat_25519_loose_field_element) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry(&mut out.0, loose);
        out
    }

    fn add(&self, other: &Self) -> Self {
        let mut sum = fiat::fiat_25519_loose_field_element([0; 5]);
        fiat::fiat_25519_add(&mut sum, &self.0, &other.0);
        Self::carried(&sum)
    }

    fn sub(&self, other: &Self) -> Self {
        let mut difference = fiat::fiat_25519_loose_field_element([0; 5]);
        fiat::fiat_25519_sub(&mut difference, &self.0, &other.0);
        Self::carried(&difference)
    }

    fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    fn mul(&self, other: &Self) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry_mul(&mut out.0, &self.loose(), &other.loose());
        out
    }

    fn square(&self) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry_square(&mut out.0, &self.loose());
        out
    }

    fn is_zero(&self) -> bool {
        self.bytes() == [0; 32]
    }

    /// The power of this with an exponent whose lowest byte is `low`, whose highest is `high`, and which is all ones between.
    fn power(&self, low: u8, high: u8) -> Self {
        let mut exponent = [0xff; 32];
        (exponent[0], exponent[31]) = (low, high);
        let mut out = Self::of(&ONE);
        for bit in (0..256).rev() {
            out = out.square();
            if exponent[bit / 8] >> (bit % 8) & 1 == 1 {
                out = out.mul(self);
            }
        }
        out
    }

    /// The inverse; zero of zero. The exponent is p - 2 = 2^255 - 21.
    fn invert(&self) -> Self {
        self.power(0xeb, 0x7f)
    }

    /// True of squares, zero among them. The exponent is (p - 1) / 2 = 2^254 - 10.
    fn is_square(&self) -> bool {
        let symbol = self.power(0xf6, 0x3f).bytes();
        symbol == ONE || symbol == [0; 32]
    }

    /// A square root, if there is one. The exponent is (p + 3) / 8 = 2^252 - 2.
    fn sqrt(&self) -> Option<Self> {
        let root = self.power(0xfe, 0x0f);
        if root.square().bytes() == self.bytes() {
            return Some(root);
        }
        // The other candidate is the root times a root of -1, which is 2^((p - 1) / 4): 2^253 - 5.
        let two = Self::of(&ONE).add(&Self::of(&ONE));
        let root = root.mul(&two.power(0xfb, 0x1f));
        (root.square().bytes() == self.bytes()).then_some(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u8) -> impl FnMut(&mut [u8]) {
        let mut state = [seed; 32];
        move |out: &mut [u8]| {
            state = crate::hash::sha256(&[&state]);
            out.copy_from_slice(&state[..out.len()]);
        }
    }

    #[test]
    fn a_hidden_key_is_found_again_and_agrees_with_its_secret() {
        let mut random = random(1);
        let bob = SecretKey::from_bytes([9; 32]);
        for _ in 0..50 {
            let pair = Hidden::generate(&mut random);
            assert_eq!(decode(&pair.representative), pair.public);
            assert_eq!(bob.dh(&pair.public), pair.secret.dh(&bob.public()), "whatever its part of small order");
        }
    }

    /// Vectors that other implementations test with, too.
    #[test]
    fn known_representatives_stand_for_known_keys() {
        const LOW_AND_HIGH_Y: [&str; 3] = [
            "33951964003c940878063ccfd0348af42150ca16d2646f2c5856e8338377d800",
            "999b591b6697d074f266192277d554dec3c24c2ef6108101f63d94f7fff3a013",
            "bd3d2a7ed1c8a100a977f8d992e33aaa6f630d55089770ea469101d7fd73d13d",
        ];
        const DECODED: [(&str, &str); 3] = [
            (
                "e73507d38bae63992b3f57aac48c0abc14509589288457995a2b4ca3490aa207",
                "1e8afffed6bf53fe271ad572473262ded8faec68e5e67ef45ebb82eeba52604f",
            ),
            (
                "95a16019041dbefed9832048ede11928d90365f24a38aa7aef1b97e23954101b",
                "794f05ba3e3a72958022468c88981e0be5782be1e1145ce2c3c6fde16ded5363",
            ),
            (
                "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff3f",
                "9cdb525555555555555555555555555555555555555555555555555555555555",
            ),
        ];
        let bytes = |text: &str| -> [u8; 32] {
            std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        };
        let [key, low, high] = LOW_AND_HIGH_Y.map(bytes);
        assert_eq!(encode(&PublicKey(key), false), Some(low));
        assert_eq!(encode(&PublicKey(key), true), Some(high));
        for (representative, key) in DECODED {
            assert_eq!(decode(&bytes(representative)).0, bytes(key));
        }
        let none = bytes("e6f66fdf6e230c603c5e6e59a254ea1476a13eb9511b9549846781e12e52230a");
        assert_eq!(encode(&PublicKey(none), false), None);
    }

    #[test]
    fn both_representatives_of_a_key_and_any_top_bits_stand_for_it() {
        let mut random = random(2);
        for _ in 0..20 {
            let pair = Hidden::generate(&mut random);
            for other in [false, true] {
                let mut representative = encode(&pair.public, other).unwrap();
                assert!(representative[31] < 0x40, "it fits 254 bits");
                for top in [0, 0x40, 0x80, 0xc0] {
                    representative[31] = representative[31] & 0x3f | top;
                    assert_eq!(decode(&representative), pair.public);
                }
            }
        }
    }

    #[test]
    fn about_every_other_key_has_a_representative_and_every_string_a_key_on_the_curve_or_its_twist() {
        let plain = (0..200u8).filter(|n| encode(&SecretKey::from_bytes([*n; 32]).public(), false).is_some()).count();
        assert!((60..140).contains(&plain), "{plain} of 200");
        let mut random = random(3);
        let mut bytes = [0; 32];
        for _ in 0..20 {
            random(&mut bytes);
            let key = decode(&bytes);
            let again = encode(&key, false).into_iter().chain(encode(&key, true));
            bytes[31] &= 0x3f;
            assert!(again.into_iter().any(|found| found == bytes || decode(&found) == key));
        }
    }

    #[test]
    fn the_top_bits_and_the_lowest_bit_of_representatives_are_evenly_spread() {
        let mut random = random(4);
        let mut ones = [0; 3];
        for _ in 0..400 {
            let bytes = Hidden::generate(&mut random).representative;
            for (count, bit) in ones.iter_mut().zip([bytes[31] >> 7, bytes[31] >> 6 & 1, bytes[0] & 1]) {
                *count += usize::from(bit);
            }
        }
        assert!(ones.iter().all(|count| (140..260).contains(count)), "{ones:?}");
    }
}
