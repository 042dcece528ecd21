//! Router families: routers of one operator, who says so with a signature.
//!
//! spec: network-database §Family Options
//!
//! `family.key` is the signature type, a colon and the key; `family.sig` signs the name followed by the router hash.

use crate::base64;
use crate::data::key_type::SigType;
use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;
use ramson_crypto::sign::{self, SigningKey};

/// Bytes of the longest name of a family. INTEROP: i2pd and Java I2P take any; names of certificates stay below.
pub const MAX_NAME: usize = 64;

/// The key of a family that we belong to.
#[derive(Clone)]
pub struct FamilyKey {
    name: String,
    key: SigningKey,
}

impl FamilyKey {
    /// A family of this name with this private key; `None` if the name is no word of letters, digits, dots and dashes.
    pub fn new(name: &str, seed: [u8; 32]) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let good = !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(plain);
        good.then(|| Self { name: name.to_owned(), key: SigningKey::from_seed(seed) })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The options of a RouterInfo by which the router of this hash says that it belongs to the family.
    pub fn options(&self, router: &RouterHash) -> [(&'static str, String); 3] {
        let signature = self.key.sign(&[self.name.as_bytes(), &router.0].concat());
        let key = format!("{}:{}", SigType::Ed25519.code(), base64::encode(&self.key.public()));
        [("family", self.name.clone()), ("family.key", key), ("family.sig", base64::encode(&signature))]
    }
}

impl std::fmt::Debug for FamilyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FamilyKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a RouterInfo's claim to a family is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It claims none.
    None,
    /// It claims one and holds its signature.
    Valid,
    /// It claims one without a valid signature.
    Forged,
}

/// Judges the claim.
pub fn claim(info: &RouterInfo) -> Claim {
    let options = info.options();
    let Some(name) = options.get("family") else { return Claim::None };
    let valid = || {
        let (code, key) = options.get("family.key")?.split_once(':')?;
        let kind = SigType::from_code(code.parse().ok()?);
        let (key, signature) = (base64::decode(key)?, base64::decode(options.get("family.sig")?)?);
        let message = [name.as_bytes(), &info.hash().0].concat();
        sign::verify(kind, &key, &message, &signature).ok()
    };
    if valid().is_some() { Claim::Valid } else { Claim::Forged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
    use crate::data::router_keys::RouterKeys;
    use crate::time::Wall;
    use rand::SeedableRng;

    #[test]
    fn a_claim_holds_with_a_signature_over_this_routers_hash_only() {
        let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        let family = FamilyKey::new("herbs", [1; 32]).unwrap();
        let info = |hash: [u8; 32]| {
            let mut builder = RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::default());
            for (key, value) in family.options(&RouterHash(hash)) {
                builder = builder.option(key, value);
            }
            builder.sign(&keys, Wall(0)).unwrap()
        };
        assert_eq!(claim(&info(keys.identity.hash().0)), Claim::Valid);
        assert_eq!(claim(&info([0; 32])), Claim::Forged);
        let none = RouterInfoBuilder::default().sign(&keys, Wall(0)).unwrap();
        assert_eq!(claim(&none), Claim::None);
        for name in ["", "two words", "a=b", &"x".repeat(MAX_NAME + 1)] {
            assert!(FamilyKey::new(name, [1; 32]).is_none(), "{name}");
        }
    }
}
