use super::*;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::Lease;
use crate::data::lease_set2::{FLAG_UNPUBLISHED, LeaseSet2Builder};
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_info::{Caps, RouterInfoBuilder};
use crate::data::router_keys::RouterKeys;
use crate::id::TunnelId;
use ramson_crypto::sign::SigningKey;
use ramson_crypto::x25519;
use rand::SeedableRng;

const NOW: Wall = Wall(1_790_000_000_000);
const RULES: Rules = Rules { net_id: 2, own: RouterHash([0; 32]), floodfill: false };

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn keys() -> RouterKeys {
    RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1))
}

fn builder() -> RouterInfoBuilder {
    RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XfR")).address(RouterAddressBuf::ntcp2(
        "9.9.9.9:9".parse().unwrap(),
        &x25519::PublicKey([1; 32]),
        &[1; 16],
    ))
}

fn info(b: &RouterInfoBuilder, published: Wall) -> Entry {
    b.sign(&keys(), published).unwrap().into()
}

fn judge(entry: &Entry) -> Result<(), Refusal> {
    RULES.judge(entry, Source::Unsolicited, None, 100, NOW)
}

#[test]
fn a_router_info_is_judged_by_date_size_network_and_version() {
    assert_eq!(judge(&info(&builder(), NOW)), Ok(()));
    assert_eq!(judge(&info(&builder(), NOW.plus(minutes(2)))), Ok(()));
    assert_eq!(judge(&info(&builder(), NOW.plus(minutes(3)))), Err(Refusal::FromTheFuture));
    assert_eq!(judge(&info(&builder(), NOW.minus(minutes(60 * 23)))), Ok(()));
    assert_eq!(judge(&info(&builder(), NOW.minus(minutes(60 * 28)))), Err(Refusal::TooOld));
    assert_eq!(judge(&info(&builder().option("netId", "3"), NOW)), Err(Refusal::WrongNetwork));
    assert_eq!(judge(&info(&builder().option("router.version", "0.9.50"), NOW)), Err(Refusal::OldVersion));
    let mut large = builder();
    for n in 0..13 {
        large = large.option(&format!("k{n}"), "x".repeat(250));
    }
    assert_eq!(judge(&info(&large, NOW)), Err(Refusal::TooLarge));
    assert_eq!(judge(&info(&builder().option("family", "herbs"), NOW)), Err(Refusal::BadFamily));
    let own = Rules { own: keys().identity.hash(), ..RULES };
    assert_eq!(own.judge(&info(&builder(), NOW), Source::Reply, None, 1, NOW), Err(Refusal::Own));
}

#[test]
fn a_router_info_from_a_file_may_have_any_date_and_a_floodfill_wants_fresh_ones() {
    for published in [NOW.minus(minutes(60 * 24 * 500)), NOW.plus(minutes(60 * 24))] {
        assert_eq!(RULES.judge(&info(&builder(), published), Source::Import, None, 5, NOW), Ok(()));
    }
    let floodfill = Rules { floodfill: true, ..RULES };
    let of_an_hour_ago = info(&builder(), NOW.minus(minutes(61)));
    assert_eq!(floodfill.judge(&of_an_hour_ago, Source::Unsolicited, None, 5, NOW), Err(Refusal::TooOld));
}

#[test]
fn only_a_newer_one_replaces_what_we_have() {
    let (older, newer) = (info(&builder(), NOW.minus(minutes(1))), info(&builder(), NOW));
    let against = |entry: &Entry, held: &Entry| RULES.judge(entry, Source::Reply, Some(held), 1, NOW);
    assert_eq!(against(&newer, &older), Ok(()));
    assert_eq!(against(&newer, &newer), Err(Refusal::NotNewer));
    assert_eq!(against(&older, &newer), Err(Refusal::NotNewer));
}

#[test]
fn a_bad_signature_is_found_and_a_store_must_name_the_right_key() {
    let mut raw = info(&builder(), NOW).as_bytes().to_vec();
    *raw.last_mut().unwrap() ^= 1;
    let forged = Entry::RouterInfo(RouterInfo::parse(raw.into()).unwrap());
    assert_eq!(judge(&forged), Err(Refusal::BadSignature));
    let mut store = DatabaseStore::new(info(&builder(), NOW));
    assert_eq!(RULES.judge_store(&store, Source::Unsolicited, None, 1, NOW), Ok(()));
    store.key.0[0] ^= 1;
    assert_eq!(RULES.judge_store(&store, Source::Unsolicited, None, 1, NOW), Err(Refusal::WrongKey));
}

fn lease_set(flags: u16, published: Wall, ends: &[Wall]) -> Entry {
    let key = SigningKey::from_seed([1; 32]);
    let lease = |end: &Wall| Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end: *end };
    LeaseSet2Builder { flags, leases: ends.iter().map(lease).collect(), ..LeaseSet2Builder::default() }
        .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, published)
        .unwrap()
        .into()
}

#[test]
fn a_lease_set_is_judged_by_its_dates() {
    let judge = |entry: &Entry| Rules { floodfill: true, ..RULES }.judge(entry, Source::Unsolicited, None, 1, NOW);
    let soon = NOW.plus(minutes(8));
    assert_eq!(judge(&lease_set(0, NOW, &[soon])), Ok(()));
    assert_eq!(judge(&lease_set(FLAG_UNPUBLISHED, NOW, &[soon])), Err(Refusal::Unpublished));
    assert_eq!(judge(&lease_set(0, NOW, &[NOW.plus(minutes(17))])), Err(Refusal::ExpiresTooLate));
    let (past, ended) = (NOW.minus(minutes(9)), NOW.minus(minutes(2)));
    assert_eq!(judge(&lease_set(0, past, &[ended])), Err(Refusal::Expired));
    assert_eq!(judge(&lease_set(0, NOW.plus(minutes(3)), &[soon])), Err(Refusal::FromTheFuture));
}

#[test]
fn a_lease_set_that_we_did_not_ask_for_is_for_floodfills() {
    let entry = lease_set(0, NOW, &[NOW.plus(minutes(8))]);
    assert_eq!(RULES.judge(&entry, Source::Unsolicited, None, 1, NOW), Err(Refusal::NotFloodfill));
    assert_eq!(RULES.judge(&entry, Source::Reply, None, 1, NOW), Ok(()));
}

#[test]
fn floodfills_that_are_asked_are_recent_reachable_and_published() {
    let usable = |b: &RouterInfoBuilder| is_usable_floodfill(&b.sign(&keys(), NOW).unwrap());
    assert!(usable(&builder()));
    assert!(!usable(&builder().option("caps", "XR")));
    assert!(!usable(&builder().option("caps", "XfU")));
    assert!(!usable(&builder().option("router.version", "0.9.58")));
    assert!(!usable(&RouterInfoBuilder { addresses: Vec::new(), ..builder() }));
}

#[test]
fn the_more_routers_are_known_the_fresher_they_have_to_be() {
    let info = builder().sign(&keys(), NOW).unwrap();
    assert_eq!(max_age(&info, 10, false), HOUR * 27);
    assert!(max_age(&info, 1000, false) < HOUR * 3);
    assert_eq!(max_age(&info, 6000, false), HOUR);
    assert_eq!(max_age(&info, 10, true), HOUR);
}

#[test]
fn routers_sign_with_keys_that_are_verified_quickly_and_old_destinations_with_others() {
    for kind in [SigType::EcdsaP256, SigType::EcdsaP384, SigType::Ed25519] {
        assert!(signs_as_routers_do(kind));
    }
    for kind in [SigType::DsaSha1, SigType::EcdsaP521, SigType::Rsa4096, SigType::RedDsa, SigType::Unknown(99)] {
        assert!(!signs_as_routers_do(kind));
    }
    assert_eq!(cost(&info(&builder(), NOW)), Cost::Usual);
    assert_eq!(cost(&info(&builder().option("family.key", "3:AAAA"), NOW)), Cost::Rare, "a family with P-521");
    assert_eq!(cost(&lease_set(0, NOW, &[NOW.plus(minutes(8))])), Cost::Usual);
}
