use super::*;
use crate::id::{RouterHash, TunnelId};
use crate::wire::Writer;
use ramson_crypto::sign::SigningKey;

const NOW: Wall = Wall(1_790_000_000_000);

fn builder() -> LeaseSet2Builder {
    let mut b = LeaseSet2Builder::default();
    b.options.set("_smtp._tcp", "0 999999 25");
    b.keys.push((EncType::X25519, vec![4; 32]));
    b.keys.push((EncType::Unknown(77), vec![5; 3]));
    for n in 0..3u8 {
        let end = Wall::from_secs(NOW.secs() + 300 + u32::from(n));
        b.leases.push(Lease { gateway: RouterHash([n; 32]), tunnel: TunnelId(9), end });
    }
    b
}

fn destination() -> (Destination, SigningKey) {
    let key = SigningKey::from_seed([3; 32]);
    (Destination::compose(&key.public(), &[8; 32]), key)
}

fn offline(by: &SigningKey, transient: &SigningKey) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(NOW.secs() + 86_400);
    out.put_u16(7);
    out.put(&transient.public());
    let signature = by.sign(&out);
    out.put(&signature);
    out
}

#[test]
fn what_is_built_is_read_back_and_verifies() {
    let (d, key) = destination();
    let ls = builder().sign(&d, &key, None, NOW).unwrap();
    assert_eq!(ls.verify(), Ok(()));
    assert_eq!(ls.hash(), d.hash());
    assert_eq!(ls.destination().unwrap(), d);
    assert_eq!((ls.published(), ls.expires().secs()), (NOW, NOW.secs() + 302));
    assert_eq!(ls.latest_lease(), ls.expires());
    assert_eq!(ls.encryption_keys().map(|(k, _)| k.code()).collect::<Vec<_>>(), [4, 77]);
    assert_eq!(ls.leases().count(), 3);
    assert_eq!(ls.options().get("_smtp._tcp"), Some("0 999999 25"));
    assert!(ls.offline().is_none());
}

#[test]
fn a_transient_key_signs_with_the_destinations_consent_only() {
    let (d, key) = destination();
    let transient = SigningKey::from_seed([44; 32]);
    let good = offline(&key, &transient);
    let ls = builder().sign(&d, &transient, Some(&good), NOW).unwrap();
    assert_eq!(ls.verify(), Ok(()));
    assert_eq!(ls.offline().unwrap().key, transient.public());
    let bad = offline(&transient, &transient);
    let ls = builder().sign(&d, &transient, Some(&bad), NOW).unwrap();
    assert_eq!(ls.verify(), Err(Error::Signature));
}

#[test]
fn every_prefix_is_refused_and_every_changed_byte_breaks_it() {
    let (d, key) = destination();
    let transient = SigningKey::from_seed([44; 32]);
    let consent = offline(&key, &transient);
    let raw = builder().sign(&d, &transient, Some(&consent), NOW).unwrap().as_bytes().clone();
    for n in 0..raw.len() {
        assert!(LeaseSet2::parse(raw.slice(..n)).is_err());
        let mut bad = raw.to_vec();
        bad[n] ^= 1;
        assert!(LeaseSet2::parse(bad.into()).and_then(|l| l.verify()).is_err(), "byte {n}");
    }
}

#[test]
fn a_known_key_type_of_another_length_is_refused() {
    let (d, key) = destination();
    let mut b = builder();
    b.keys[0].1.pop();
    assert_eq!(b.sign(&d, &key, None, NOW), Err(Error::Invalid("encryption key length")));
}
