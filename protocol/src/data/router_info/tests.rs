use super::*;
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_keys::RouterKeys;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

fn sample() -> RouterInfo {
    let keys = RouterKeys::generate(&mut ChaCha20Rng::seed_from_u64(7));
    let static_key = x25519::SecretKey::from_bytes([4; 32]).public();
    RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XOfR"))
        .address(RouterAddressBuf::ntcp2("10.3.0.1:20003".parse().unwrap(), &static_key, &[6; 16]))
        .address(RouterAddressBuf::ssu2("10.3.0.1:20003".parse().unwrap(), &static_key, &[6; 32], "B", 1500))
        .option("family", "herbs")
        .sign(&keys, Wall::from_secs(1_790_000_000))
        .unwrap()
}

#[test]
fn what_is_built_is_read_back_and_verifies() {
    let info = sample();
    let again = RouterInfo::parse(info.as_bytes().clone()).unwrap();
    assert_eq!(again.verify(), Ok(()));
    assert_eq!(again.published(), Wall::from_secs(1_790_000_000));
    assert_eq!((again.net_id(), again.version(), again.family()), (Some(2), Version(0, 9, 69), Some("herbs")));
    assert!(again.caps().floodfill);
    assert_eq!(again.ntcp2().count(), 1);
    assert_eq!(again.ntcp2().next().unwrap().dialable().unwrap().2, [6; 16]);
    assert_eq!(again.ssu2().next().unwrap().intro_key, [6; 32]);
    assert_eq!(again.identity().unwrap().hash(), again.hash());
    assert!(again.encryption_key().is_some());
}

#[test]
fn a_changed_byte_anywhere_breaks_the_signature_or_the_structure() {
    let info = sample();
    for at in 0..info.as_bytes().len() {
        let mut raw = info.as_bytes().to_vec();
        raw[at] ^= 1;
        let verdict = RouterInfo::parse(raw.into()).and_then(|i| i.verify());
        assert!(verdict.is_err(), "byte {at}");
    }
}

#[test]
fn every_prefix_is_refused() {
    let raw = sample().as_bytes().clone();
    for n in 0..raw.len() {
        assert!(RouterInfo::parse(raw.slice(..n)).is_err());
    }
    let mut long = raw.to_vec();
    long.push(0);
    assert_eq!(RouterInfo::parse(long.into()).unwrap_err(), Error::Trailing(1));
}

#[test]
fn fifty_thousand_of_them_fit_into_200_mb() {
    assert!(size_of::<RouterInfo>() <= 128, "{}", size_of::<RouterInfo>());
    assert!(size_of::<crate::data::entry::Entry>() <= 192, "{}", size_of::<crate::data::entry::Entry>());
    assert!(sample().as_bytes().len() < 2000);
}
