//! Routers, signers and bundles for tests.

use super::bundle::Bundle;
use super::certificate::{Certificate, Signers};
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use crate::data::router_keys::RouterKeys;
use crate::id::RouterHash;
use crate::netdb::rules::Rules;
use crate::time::Wall;
use ramson_crypto::rsa::PrivateKey;
use ramson_crypto::x25519::SecretKey;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// The time at which all of it was made.
pub(super) fn now() -> Wall {
    Wall::from_secs(1_800_000_000)
}

/// Router number `n` of network 2, which can be called.
pub(super) fn router(n: u16) -> RouterInfo {
    router_of(n, now())
}

/// The same, published at another time.
pub(super) fn router_of(n: u16, published: Wall) -> RouterInfo {
    let caps = Caps { reachable: true, ..Caps::default() };
    router_with(n, 2, caps, published)
}

/// Any router.
pub(super) fn router_with(n: u16, net_id: u8, caps: Caps, published: Wall) -> RouterInfo {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(n));
    let keys = RouterKeys::generate(&mut rng);
    let at = format!("198.51.100.7:{}", 10_000 + n).parse().unwrap();
    let address = RouterAddressBuf::ntcp2(at, &SecretKey::from_bytes([7; 32]).public(), &[8; 16]);
    RouterInfoBuilder::new(net_id, Version(0, 9, 69), caps).address(address).sign(&keys, published).unwrap()
}

/// What is left of a good bundle.
pub(super) fn bundle(signer: &str, routers: Range<u16>) -> Bundle {
    let routers = routers.map(router).collect();
    Bundle { signer: signer.to_owned(), made: now(), routers, refused: BTreeMap::new() }
}

/// The key of `test@mail.i2p`, whose certificate is `test_signer.crt`.
pub(super) fn key() -> PrivateKey {
    PrivateKey::from_pem(include_str!("../../../crypto/src/rsa/test_key.pem")).unwrap()
}

/// All who may sign in tests.
pub(super) fn signers() -> Signers {
    let mut signers = Signers::default();
    for certificate in Certificate::parse_all(include_bytes!("test_signer.crt")).unwrap() {
        signers.add(certificate);
    }
    signers
}

/// The rules of somebody in network 2.
pub(super) fn rules() -> Rules {
    Rules { net_id: 2, own: RouterHash([0xee; 32]), floodfill: false }
}

/// An hour before that time.
pub(super) fn an_hour_ago() -> Wall {
    now().minus(Duration::from_secs(3600))
}
