use super::layers::MAX_READERS;
use super::*;
use crate::data::key_type::EncType;
use crate::data::lease::Lease;
use crate::data::lease_set2::{LeaseSet2, LeaseSet2Builder};
use crate::data::private_keys::PrivateKeys;
use crate::id::{RouterHash, TunnelId};
use crate::time::Wall;
use proptest::prelude::*;
use ramson_crypto::x25519::SecretKey;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// 23:55 UTC, so that midnight comes before the leases end.
const AT: Wall = Wall((1_790_035_200 - 300) * 1000);

fn keys(n: u8) -> PrivateKeys {
    PrivateKeys::generate([n; 32], &[n; 32])
}

fn lease_set(keys: &PrivateKeys, at: Wall) -> LeaseSet2 {
    let lease =
        |n| Lease { gateway: RouterHash([n; 32]), tunnel: TunnelId(n.into()), end: at.plus(Duration::from_secs(600)) };
    let builder = LeaseSet2Builder {
        keys: vec![(EncType::X25519, vec![7; 32])],
        leases: (1..=16).map(lease).collect(),
        ..LeaseSet2Builder::default()
    };
    builder.sign(&keys.destination, &keys.key, None, at).unwrap()
}

fn sealed(keys: &PrivateKeys, secret: &[u8], readers: &Readers) -> (LeaseSet2, EncryptedLeaseSet, Blinding) {
    let (inner, blinding) = (lease_set(keys, AT), Blinding::of(&keys.destination, secret).unwrap());
    let sealed = seal(&inner, &keys.key, &blinding, readers, &mut ChaCha20Rng::from_seed([5; 32])).unwrap();
    (inner, sealed, blinding)
}

#[test]
fn everybody_who_knows_the_address_reads_it_and_nobody_else() {
    let keys = keys(3);
    let (inner, outer, blinding) = sealed(&keys, &[], &Readers::Everybody);
    assert_eq!(outer.verify(), Ok(()));
    assert_eq!(outer.key(), blinding.on(Day::of(AT)).unwrap().place());
    assert_eq!(outer.expires(), AT.plus(Duration::from_secs(300)), "it ends with the day");
    let address = blinding.address(false);
    let text = crate::b32::B32::Blinded(address.clone()).to_string();
    assert_eq!(text.len(), 56 + 8);
    let reader = Blinding::of_address(&address, b"what the address does not ask for").unwrap();
    assert_eq!(open(&outer, &reader, None), Ok(inner));
    let stranger = Blinding::of(&self::keys(4).destination, &[]).unwrap();
    assert_eq!(open(&outer, &stranger, None), Err(OpenError::Other));
}

#[test]
fn a_secret_is_part_of_the_place_and_of_the_keys() {
    let keys = keys(3);
    let (inner, outer, blinding) = sealed(&keys, b"secret", &Readers::Everybody);
    let address = blinding.address(false);
    assert!(address.secret);
    assert_eq!(open(&outer, &Blinding::of_address(&address, b"secret").unwrap(), None), Ok(inner));
    assert_eq!(open(&outer, &Blinding::of_address(&address, b"guess").unwrap(), None), Err(OpenError::Other));
}

#[test]
fn with_keys_for_its_readers_it_opens_for_them_alone() {
    let keys = keys(3);
    let secrets: Vec<[u8; 32]> = (0..5).map(|n| [n; 32]).collect();
    let public = secrets.iter().map(|secret| SecretKey::from_bytes(*secret).public()).collect();
    for readers in [Readers::Psk(secrets.clone()), Readers::Dh(public)] {
        let (inner, outer, blinding) = sealed(&keys, &[], &readers);
        for secret in &secrets {
            assert_eq!(open(&outer, &blinding, Some(&ClientKey(*secret))).as_ref(), Ok(&inner));
        }
        assert_eq!(open(&outer, &blinding, Some(&ClientKey([9; 32]))), Err(OpenError::NotAllowed));
        assert_eq!(open(&outer, &blinding, None), Err(OpenError::KeyNeeded));
    }
}

#[test]
fn the_key_changes_with_the_day_and_readers_are_bounded() {
    let keys = keys(3);
    let blinding = Blinding::of(&keys.destination, &[]).unwrap();
    let day = |secs| blinding.on(Day::of(Wall::from_secs(secs))).unwrap();
    let (a, b) = (day(1_790_035_199), day(1_790_035_200));
    assert_ne!(a.place(), b.place());
    assert_ne!(a.subcredential, b.subcredential);
    let inner = lease_set(&keys, AT);
    let rng = &mut ChaCha20Rng::from_seed([5; 32]);
    let many = |n: usize| Readers::Psk(vec![[1; 32]; n]);
    assert!(seal(&inner, &keys.key, &blinding, &many(MAX_READERS), rng).unwrap().as_bytes().len() < 4096);
    assert!(seal(&inner, &keys.key, &blinding, &many(MAX_READERS + 1), rng).is_err());
    let other = self::keys(4);
    assert!(seal(&inner, &other.key, &blinding, &Readers::Everybody, rng).is_err(), "a key that is not its own");
}

proptest! {
    #[test]
    fn what_is_damaged_is_refused_without_a_panic(at in 0usize..1000, bit in 0u8..8) {
        let (inner, outer, blinding) = sealed(&keys(3), &[], &Readers::Psk(vec![[2; 32]]));
        let mut raw = outer.as_bytes().to_vec();
        let at = at % raw.len();
        raw[at] ^= 1 << bit;
        if let Ok(damaged) = EncryptedLeaseSet::parse(raw.into()) {
            prop_assert_ne!(open(&damaged, &blinding, Some(&ClientKey([2; 32]))), Ok(inner));
        }
    }

    /// Whoever holds the keys can sign whatever he likes: what is inside is hostile, too.
    #[test]
    fn whatever_is_inside_is_refused_without_a_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        let keys = keys(3);
        let (_, outer, blinding) = sealed(&keys, &[], &Readers::Everybody);
        let today = blinding.on(Day::of(AT)).unwrap();
        let key = ramson_crypto::blind::RedKey::blind(&keys.key, &today.alpha).unwrap();
        let head = 2 + 32 + 4 + 2 + 2;
        let mut raw = vec![5];
        raw.extend_from_slice(&outer.as_bytes()[..head]);
        raw.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        raw.extend_from_slice(&content);
        let signature = key.sign(&raw, &[1; 80]);
        raw.extend_from_slice(&signature);
        let forged = EncryptedLeaseSet::parse(raw.split_off(1).into()).unwrap();
        prop_assert_eq!(forged.verify(), Ok(()));
        prop_assert!(open(&forged, &blinding, Some(&ClientKey([2; 32]))).is_err());
    }
}
