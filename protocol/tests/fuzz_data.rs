//! Arbitrary and damaged bytes against every parser of common structures: no panic, and what is taken is kept exactly.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bolero::{ValueGenerator, check, produce};
use bytes::Bytes;
use ramson_crypto::sign::SigningKey;
use ramson_protocol::data::certificate::Certificate;
use ramson_protocol::data::entry::{Entry, EntryKind};
use ramson_protocol::data::key_type::EncType;
use ramson_protocol::data::keys_and_cert::{Destination, KeysAndCert};
use ramson_protocol::data::lease::Lease;
use ramson_protocol::data::lease_set2::LeaseSet2Builder;
use ramson_protocol::data::mapping::{Mapping, MappingBuf};
use ramson_protocol::data::router_address::{RouterAddress, RouterAddressBuf};
use ramson_protocol::data::router_info::{Caps, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::gzip::{gunzip, gzip};
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::Wall;
use ramson_protocol::wire::Reader;
use rand::SeedableRng;

const ITERATIONS: usize = 20_000;

/// Bytes long enough for every structure.
fn bytes() -> impl ValueGenerator<Output = Vec<u8>> {
    produce::<Vec<u8>>().with().len(0usize..1200)
}

/// Changes to a valid structure: where, and to what; and where to cut it.
type Damage = (Vec<(u16, u8)>, Option<u16>);

fn damaged(valid: &[u8], (changes, cut): &Damage) -> Bytes {
    let mut bytes = valid.to_vec();
    for (at, value) in changes.iter().take(4) {
        let at = usize::from(*at) % bytes.len();
        bytes[at] = *value;
    }
    if let Some(cut) = cut {
        bytes.truncate(usize::from(*cut) % bytes.len());
    }
    bytes.into()
}

fn router_info() -> Entry {
    let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
    let key = keys.encryption.public();
    RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XfR"))
        .address(RouterAddressBuf::ntcp2("9.9.9.9:99".parse().unwrap(), &key, &[1; 16]))
        .address(RouterAddressBuf::ssu2("[2620:fe::fe]:99".parse().unwrap(), &key, &[1; 32], "BC", 1400))
        .sign(&keys, Wall::from_secs(1_790_000_000))
        .unwrap()
        .into()
}

fn lease_set2() -> Entry {
    let key = SigningKey::from_seed([1; 32]);
    let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end: Wall::from_secs(1_790_000_600) };
    LeaseSet2Builder {
        leases: vec![lease; 3],
        keys: vec![(EncType::X25519, vec![1; 32])],
        ..LeaseSet2Builder::default()
    }
    .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, Wall::from_secs(1_790_000_000))
    .unwrap()
    .into()
}

/// Reads everything that can be read from an entry.
fn exercise(kind: EntryKind, raw: &Bytes) {
    let Ok(entry) = Entry::parse(kind, raw.clone()) else { return };
    assert_eq!(entry.as_bytes(), raw, "what is signed is kept exactly");
    let _ = (entry.key(), entry.version(), entry.expires(), entry.is_unpublished());
    match &entry {
        Entry::RouterInfo(e) => {
            e.identity().unwrap();
            let _ = (e.ntcp2().count(), e.ssu2().count(), e.options().iter().count(), e.encryption_key(), e.family());
        }
        Entry::LeaseSet(e) => {
            e.destination().unwrap();
            let _ = (e.leases().count(), e.encryption_key());
        }
        Entry::LeaseSet2(e) => {
            e.destination().unwrap();
            let _ = (e.leases().count(), e.encryption_keys().count(), e.options().iter().count(), e.offline());
        }
        Entry::EncryptedLeaseSet(e) => {
            let _ = (e.blinded_key(), e.encrypted(), e.offline());
        }
        Entry::MetaLeaseSet(e) => {
            e.destination().unwrap();
            let _ = (e.leases().count(), e.revocations().count(), e.offline());
        }
    }
}

#[test]
fn fuzz_entries_of_arbitrary_bytes() {
    check!().with_iterations(ITERATIONS).with_generator(bytes()).for_each(|input| {
        let raw = Bytes::copy_from_slice(input);
        for code in [0, 1, 3, 5, 7] {
            exercise(EntryKind::from_store_type(code).unwrap(), &raw);
        }
    });
}

#[test]
fn fuzz_damaged_router_infos() {
    let valid = router_info().as_bytes().clone();
    check!().with_iterations(ITERATIONS).with_type::<Damage>().for_each(|damage| {
        exercise(EntryKind::RouterInfo, &damaged(&valid, damage));
    });
}

#[test]
fn fuzz_damaged_lease_sets() {
    let valid = lease_set2().as_bytes().clone();
    check!().with_iterations(ITERATIONS).with_type::<Damage>().for_each(|damage| {
        let raw = damaged(&valid, damage);
        for code in [1, 3, 5, 7] {
            exercise(EntryKind::from_store_type(code).unwrap(), &raw);
        }
    });
}

#[test]
fn fuzz_small_structures() {
    check!().with_iterations(ITERATIONS).with_generator(bytes()).for_each(|input| {
        if let Ok(certificate) = Certificate::parse(&mut Reader::new(input)) {
            let mut out = Vec::new();
            certificate.write(&mut out);
            assert!(input.starts_with(&out));
        }
        if let Ok(mapping) = Mapping::parse(&mut Reader::new(input)) {
            // Sorting and replacing what is not UTF-8 change it once, and never again.
            let once = MappingBuf::from(mapping);
            let mut out = Vec::new();
            if once.write(&mut out).is_ok() {
                assert_eq!(MappingBuf::from(Mapping::parse(&mut Reader::new(&out)).unwrap()), once);
            }
        }
        if let Ok(address) = RouterAddress::parse(&mut Reader::new(input)) {
            let _ = (address.ntcp2(), address.ssu2(), address.socket());
        }
        let _ = KeysAndCert::parse(&mut Reader::new(input)).map(|k| k.signing_key().is_some());
        let _ = RouterKeys::from_bytes(input);
        let _ = Caps::parse(&String::from_utf8_lossy(input));
        let _ = Version::parse(&String::from_utf8_lossy(input));
    });
}

#[test]
fn fuzz_gunzip() {
    let valid = gzip(router_info().as_bytes());
    check!().with_iterations(ITERATIONS).with_type::<Damage>().for_each(|damage| {
        if let Ok(out) = gunzip(&damaged(&valid, damage), 3072) {
            assert!(out.len() <= 3072);
        }
    });
}
