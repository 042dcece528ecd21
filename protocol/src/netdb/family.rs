//! Router families: routers of one operator, who says so with a signature.
//!
//! spec: network-database §Family Options
//!
//! `family.key` is the signature type, a colon and the key; `family.sig` signs the name followed by the router hash.

use crate::base64;
use crate::data::key_type::SigType;
use crate::data::router_info::RouterInfo;
use ramson_crypto::sign;

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
    use ramson_crypto::sign::SigningKey;
    use rand::SeedableRng;

    #[test]
    fn a_claim_holds_with_a_signature_over_this_routers_hash_only() {
        let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        let family = SigningKey::from_seed([1; 32]);
        let info = |hash: [u8; 32]| {
            RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::default())
                .option("family", "herbs")
                .option("family.key", format!("7:{}", base64::encode(&family.public())))
                .option("family.sig", base64::encode(&family.sign(&[b"herbs", &hash[..]].concat())))
                .sign(&keys, Wall(0))
                .unwrap()
        };
        assert_eq!(claim(&info(keys.identity.hash().0)), Claim::Valid);
        assert_eq!(claim(&info([0; 32])), Claim::Forged);
        let none = RouterInfoBuilder::default().sign(&keys, Wall(0)).unwrap();
        assert_eq!(claim(&none), Claim::None);
    }
}
