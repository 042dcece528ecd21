//! SHA-256, HMAC-SHA256 and the two-step HKDF of Noise.

use hmac::{KeyInit, Mac};
use ring::digest;

/// SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut ctx = digest::Context::new(&digest::SHA256);
    for part in parts {
        ctx.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(ctx.finish().as_ref());
    out
}

/// HMAC-SHA256 over the concatenation of `parts`.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    sign(keyed(key), parts)
}

/// HKDF-SHA256 with `salt` and input key material `ikm`: the first 64 bytes under `info`, as two keys.
///
/// spec: ntcp2 §Key Derivation Function — `info` is empty in Noise's MixKey and a label elsewhere.
pub fn hkdf2(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> ([u8; 32], [u8; 32]) {
    let temp = keyed(&hmac_sha256(salt, &[ikm]));
    let one = sign(temp.clone(), &[info, &[1]]);
    let two = sign(temp, &[&one, info, &[2]]);
    (one, two)
}

/// The first 32 bytes of [`hkdf2`].
pub fn hkdf1(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let temp = hmac_sha256(salt, &[ikm]);
    hmac_sha256(&temp, &[info, &[1]])
}

/// Each message of a session takes two [`hkdf2`] of a few bytes, in which more than half of ring's time is not hashing.
type Hmac = hmac::Hmac<sha2::Sha256>;

fn keyed(key: &[u8]) -> Hmac {
    // No length of a key is refused.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

fn sign(mut hmac: Hmac, parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_parts_is_sha256_of_the_whole() {
        assert_eq!(sha256(&[b"ab", b"", b"c"]), sha256(&[b"abc"]));
        assert_eq!(sha256(&[b"abc"])[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn hkdf_gives_the_bytes_of_rings_own() {
        struct Len;
        impl ring::hkdf::KeyType for Len {
            fn len(&self) -> usize {
                64
            }
        }
        let prk = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, &[3; 32]).extract(b"key material");
        let mut expected = [0; 64];
        prk.expand(&[b"info"], Len).unwrap().fill(&mut expected).unwrap();
        let (a, b) = hkdf2(&[3; 32], b"key material", b"info");
        assert_eq!([a, b].concat(), expected);
        assert_eq!(hkdf1(&[3; 32], b"key material", b"info"), a);
    }
}
