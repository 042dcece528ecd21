//! Signatures: every type that a RouterIdentity or Destination may carry is verified. Routers and most destinations sign with Ed25519
//! ([`SigningKey`]), destinations also with other types ([`PrivateKey`]).
//!
//! spec: common-structures §Key Certificates (codes), §SigningPublicKey, §Signature (lengths, byte order);
//! cryptography §DSA (the parameters); red25519 (verification is Ed25519's equation).

mod private;

pub use private::PrivateKey;

use dsa::signature::hazmat::PrehashVerifier;
use ed25519_dalek::Signer as _;
use ring::signature::{self, UnparsedPublicKey};
use sha1::{Digest, Sha1};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// A signature type code of the Key Certificate. Unknown codes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SigType {
    /// 0: the type of identities without a Key Certificate.
    DsaSha1,
    /// 1.
    EcdsaP256,
    /// 2.
    EcdsaP384,
    /// 3.
    EcdsaP521,
    /// 4: offline only.
    Rsa2048,
    /// 5: offline only.
    Rsa3072,
    /// 6: offline only.
    Rsa4096,
    /// 7: what all present routers and most destinations use.
    Ed25519,
    /// 8: offline only.
    Ed25519ph,
    /// 11: destinations whose LeaseSets are encrypted.
    RedDsa,
    /// A code that we do not know.
    Unknown(u16),
}

impl SigType {
    /// The type of a code.
    pub fn from_code(code: u16) -> Self {
        match code {
            0 => Self::DsaSha1,
            1 => Self::EcdsaP256,
            2 => Self::EcdsaP384,
            3 => Self::EcdsaP521,
            4 => Self::Rsa2048,
            5 => Self::Rsa3072,
            6 => Self::Rsa4096,
            7 => Self::Ed25519,
            8 => Self::Ed25519ph,
            11 => Self::RedDsa,
            other => Self::Unknown(other),
        }
    }

    /// The code on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::DsaSha1 => 0,
            Self::EcdsaP256 => 1,
            Self::EcdsaP384 => 2,
            Self::EcdsaP521 => 3,
            Self::Rsa2048 => 4,
            Self::Rsa3072 => 5,
            Self::Rsa4096 => 6,
            Self::Ed25519 => 7,
            Self::Ed25519ph => 8,
            Self::RedDsa => 11,
            Self::Unknown(code) => code,
        }
    }

    /// Bytes of a public key; `None` for unknown types.
    pub fn public_key_len(self) -> Option<usize> {
        self.lengths().map(|(public, _, _)| public)
    }

    /// Bytes of a private key; `None` for unknown types.
    pub fn private_key_len(self) -> Option<usize> {
        self.lengths().map(|(_, private, _)| private)
    }

    /// Bytes of a signature; `None` for unknown types.
    pub fn signature_len(self) -> Option<usize> {
        self.lengths().map(|(_, _, signature)| signature)
    }

    /// The name that Java programs and SAM have for it; `None` for unknown types.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::DsaSha1 => "DSA_SHA1",
            Self::EcdsaP256 => "ECDSA_SHA256_P256",
            Self::EcdsaP384 => "ECDSA_SHA384_P384",
            Self::EcdsaP521 => "ECDSA_SHA512_P521",
            Self::Rsa2048 => "RSA_SHA256_2048",
            Self::Rsa3072 => "RSA_SHA384_3072",
            Self::Rsa4096 => "RSA_SHA512_4096",
            Self::Ed25519 => "EdDSA_SHA512_Ed25519",
            Self::Ed25519ph => "EdDSA_SHA512_Ed25519ph",
            Self::RedDsa => "RedDSA_SHA512_Ed25519",
            Self::Unknown(_) => return None,
        })
    }

    /// The type of a name, in either case, or of a code in digits; `None` for unknown names.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Ok(code) = name.parse() {
            return Some(Self::from_code(code));
        }
        let mut all = (0..=11).map(Self::from_code);
        all.find(|kind| kind.name().is_some_and(|known| known.eq_ignore_ascii_case(name)))
    }

    fn lengths(self) -> Option<(usize, usize, usize)> {
        Some(match self {
            Self::DsaSha1 => (128, 20, 40),
            Self::EcdsaP256 => (64, 32, 64),
            Self::EcdsaP384 => (96, 48, 96),
            Self::EcdsaP521 => (132, 66, 132),
            Self::Rsa2048 => (256, 512, 256),
            Self::Rsa3072 => (384, 768, 384),
            Self::Rsa4096 => (512, 1024, 512),
            Self::Ed25519 | Self::Ed25519ph | Self::RedDsa => (32, 32, 64),
            Self::Unknown(_) => return None,
        })
    }
}

/// The signature does not match, or its type cannot be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

/// Verifies `signature` of `kind` over `message`. About 50 us for Ed25519, up to 2 ms for DSA and P-521.
///
/// # Errors
/// [`BadSignature`] if it does not match, a length is wrong, or the type is RSA, Ed25519ph or unknown: those occur in
/// no structure of the network.
pub fn verify(kind: SigType, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let (Some(public_len), Some(signature_len)) = (kind.public_key_len(), kind.signature_len()) else {
        return Err(BadSignature);
    };
    if public.len() != public_len || signature.len() != signature_len {
        return Err(BadSignature);
    }
    match kind {
        // spec: red25519 §Specification — VERIFY is Ed25519's.
        SigType::Ed25519 | SigType::RedDsa => {
            UnparsedPublicKey::new(&signature::ED25519, public).verify(message, signature).map_err(|_| BadSignature)
        }
        SigType::EcdsaP256 => {
            UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, uncompressed::<65>(public).as_slice())
                .verify(message, signature)
                .map_err(|_| BadSignature)
        }
        SigType::EcdsaP384 => {
            UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, uncompressed::<97>(public).as_slice())
                .verify(message, signature)
                .map_err(|_| BadSignature)
        }
        SigType::EcdsaP521 => verify_p521(public, message, signature),
        SigType::DsaSha1 => verify_dsa(public, message, signature),
        SigType::Rsa2048 | SigType::Rsa3072 | SigType::Rsa4096 | SigType::Ed25519ph | SigType::Unknown(_) => {
            Err(BadSignature)
        }
    }
}

/// The point X, Y in SEC1's uncompressed form. `N` is one more than the length of `xy`.
fn uncompressed<const N: usize>(xy: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out[0] = 4;
    out[1..].copy_from_slice(xy);
    out
}

fn verify_p521(public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    use p521::ecdsa::{Signature, VerifyingKey, signature::Verifier};
    let key = VerifyingKey::from_sec1_bytes(&uncompressed::<133>(public)).map_err(|_| BadSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
    key.verify(message, &signature).map_err(|_| BadSignature)
}

// spec: cryptography §DSA
const DSA_P: [u8; 128] =
    hex(b"9C05B2AA960D9B97B8931963C9CC9E8C3026E9B8ED92FAD0A69CC886D5BF8015FCADAE31A0AD18FAB3F01B00A358DE23\
      7655C4964AFAA2B337E96AD316B9FB1CC564B5AEC5B69A9FF6C3E4548707FEF8503D91DD8602E867E6D35D2235C1869C\
      E2479C3B9D5401DE04E0727FB33D6511285D4CF29538D9E3B6051F5B22CC1C93");
const DSA_Q: [u8; 20] = hex(b"A5DFC28FEF4CA1E286744CD8EED9D29D684046B7");
const DSA_G: [u8; 128] =
    hex(b"0C1F4D27D40093B429E962D7223824E0BBC47E7C832A39236FC683AF84889581075FF9082ED32353D4374D7301CDA1D2\
      3C431F4698599DDA02451824FF369752593647CC3DDC197DE985E43D136CDCFC6BD5409CD2F450821142A5E6F8EB1C3A\
      B5D0484B8129FCF17BCE4F7F33321C3CB3DBB14A905E7B2B3E93BE4708CBCC82");

const fn hex<const N: usize>(text: &[u8]) -> [u8; N] {
    const fn digit(c: u8) -> u8 {
        if c <= b'9' { c - b'0' } else { c - b'A' + 10 }
    }
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    out
}

fn big(bytes: &[u8]) -> Result<dsa::BoxedUint, BadSignature> {
    let bits = u32::try_from(bytes.len() * 8).map_err(|_| BadSignature)?;
    dsa::BoxedUint::from_be_slice(bytes, bits).map_err(|_| BadSignature)
}

fn dsa_key(public: &[u8]) -> Result<dsa::VerifyingKey, BadSignature> {
    static COMPONENTS: LazyLock<Option<dsa::Components>> = LazyLock::new(|| {
        dsa::Components::from_components(big(&DSA_P).ok()?, big(&DSA_Q).ok()?, big(&DSA_G).ok()?).ok()
    });
    let components = COMPONENTS.clone().ok_or(BadSignature)?;
    dsa::VerifyingKey::from_components(components, big(public)?).map_err(|_| BadSignature)
}

fn verify_dsa(public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let (r, s) = signature.split_at(20);
    let signature = dsa::Signature::from_components(big(r)?, big(s)?).ok_or(BadSignature)?;
    let key = dsa_key(public)?;
    key.verify_prehash(&Sha1::digest(message), &signature).map_err(|_| BadSignature)
}

/// Who can sign.
pub trait Sign {
    /// The type of the key.
    fn kind(&self) -> SigType;

    /// Signs `message`; the signature is as long as those of the type.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

impl Sign for SigningKey {
    fn kind(&self) -> SigType {
        SigType::Ed25519
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        Self::sign(self, message).to_vec()
    }
}

/// An Ed25519 private key (type 7). Wiped on drop, never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a seed of 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The seed, to be stored.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The scalar that it signs with.
    pub(crate) fn scalar(&self) -> curve25519_dalek::scalar::Scalar {
        self.0.to_scalar()
    }

    /// Signs `message`. About 20 us.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ed25519_signature_verifies_as_ed25519_and_as_red_dsa() {
        let key = SigningKey::from_seed([5; 32]);
        let signature = key.sign(b"message");
        for kind in [SigType::Ed25519, SigType::RedDsa] {
            assert_eq!(verify(kind, &key.public(), b"message", &signature), Ok(()));
            assert_eq!(verify(kind, &key.public(), b"massage", &signature), Err(BadSignature));
        }
    }

    #[test]
    fn ecdsa_signatures_of_ring_verify() {
        let rng = ring::rand::SystemRandom::new();
        for (kind, alg) in [
            (SigType::EcdsaP256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            (SigType::EcdsaP384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ] {
            let pkcs8 = signature::EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
            let pair = signature::EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref(), &rng).unwrap();
            let signature = pair.sign(&rng, b"message").unwrap();
            let public = &signature::KeyPair::public_key(&pair).as_ref()[1..];
            assert_eq!(verify(kind, public, b"message", signature.as_ref()), Ok(()));
            assert_eq!(verify(kind, public, b"massage", signature.as_ref()), Err(BadSignature));
        }
    }

    #[test]
    fn a_p521_signature_verifies() {
        use p521::ecdsa::{Signature, SigningKey, signature::Signer};
        let mut secret = [7; 66];
        secret[0] = 0;
        let key = SigningKey::from_slice(&secret).unwrap();
        let signature: Signature = key.sign(b"message");
        let public = key.verifying_key().to_sec1_point(false);
        let (public, signature) = (&public.as_bytes()[1..], signature.to_bytes());
        assert_eq!(verify(SigType::EcdsaP521, public, b"message", &signature), Ok(()));
        assert_eq!(verify(SigType::EcdsaP521, public, b"massage", &signature), Err(BadSignature));
    }

    #[test]
    fn a_dsa_signature_verifies() {
        // Made with the textbook formulas and this group's parameters.
        let public: [u8; 128] =
            hex(b"332115E9DD38E3F728154442603A1C215CF131A39503FB2322A203221CA8A210FB998A9603D2804E526C85\
              C8CC33F135CF4335E3148944EA6D514A7C78120533FCCC7DCAF349042F44031843F2EFA36F411430AB8746\
              00C9D2B3E3ED5D2C0A542D5E9BD4B5E6E56C93B15E501DBD0FFB1E8C3232B04C2B4D81C61785CA4A0D8D");
        let signature: [u8; 40] =
            hex(b"64319BBB8A34749FD53C2161D5D45A17076F9CAF811FEE3D9022469E755CAAB56A8B5F9E575404CB");
        assert_eq!(verify(SigType::DsaSha1, &public, b"message", &signature), Ok(()));
        assert_eq!(verify(SigType::DsaSha1, &public, b"massage", &signature), Err(BadSignature));
    }

    #[test]
    fn lengths_of_known_types_are_known_and_unknown_codes_are_kept() {
        for code in 0..=u16::MAX {
            assert_eq!(SigType::from_code(code).code(), code);
        }
        assert_eq!(SigType::EcdsaP521.signature_len(), Some(132));
        assert_eq!(SigType::Unknown(12).public_key_len(), None);
    }

    proptest! {
        #[test]
        fn arbitrary_keys_and_signatures_are_refused_without_a_panic(
            code in 0u16..12, key: [u8; 512], signature: [u8; 512], message: [u8; 8]
        ) {
            let kind = SigType::from_code(code);
            if let (Some(k), Some(s)) = (kind.public_key_len(), kind.signature_len()) {
                prop_assert_eq!(verify(kind, &key[..k], &message, &signature[..s]), Err(BadSignature));
            }
        }
    }
}
