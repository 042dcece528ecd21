use super::*;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::Lease;
use crate::data::lease_set2::LeaseSet2Builder;
use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
use crate::data::router_keys::RouterKeys;
use crate::i2np::database_lookup::ReplyEncryption;
use ramson_crypto::sign::SigningKey;
use rand::SeedableRng;

const NOW: Wall = Wall(1_790_000_000_000);
const OWN: RouterHash = RouterHash([200; 32]);

struct Fixed {
    router: RouterInfo,
    lease_set: Entry,
    /// Floodfills that were reached.
    proven: RouterSet,
}

impl View for Fixed {
    fn public_router(&self, router: RouterHash) -> Option<RouterInfo> {
        (router == self.router.hash()).then(|| self.router.clone())
    }

    fn public_lease_set(&self, key: NetDbKey) -> Option<Entry> {
        (key == self.lease_set.key()).then(|| self.lease_set.clone())
    }

    fn floodfills(&self) -> Floodfills {
        let others = (0..10).map(|n| RouterHash([n; 32])).chain([OWN]).collect();
        Floodfills::new(self.proven.clone(), others)
    }

    fn others(&self) -> RouterSet {
        (100..110).map(|n| RouterHash([n; 32])).collect()
    }
}

fn router(caps: &str, published: Wall) -> RouterInfo {
    let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
    RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse(caps)).sign(&keys, published).unwrap()
}

fn lease_set(filling: usize) -> Entry {
    let key = SigningKey::from_seed([1; 32]);
    let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end: NOW.plus(Duration::from_secs(500)) };
    let mut options = crate::data::mapping::MappingBuf::new();
    for n in 0..filling {
        options.set(&format!("k{n}"), "x".repeat(200));
    }
    LeaseSet2Builder { leases: vec![lease], options, ..LeaseSet2Builder::default() }
        .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, NOW)
        .unwrap()
        .into()
}

fn fixed() -> Fixed {
    Fixed { router: router("XR", NOW), lease_set: lease_set(0), proven: RouterSet::default() }
}

fn lookup(key: NetDbKey, kind: LookupKind) -> DatabaseLookup {
    DatabaseLookup {
        key,
        from: RouterHash([7; 32]),
        reply_tunnel: None,
        kind,
        exclude: vec![RouterHash([3; 32])],
        encryption: ReplyEncryption::None,
    }
}

fn ask(lookup: &DatabaseLookup, view: &Fixed) -> Answer {
    answer(lookup, view, OWN, false, NOW)
}

fn peers(answer: Answer) -> Vec<RouterHash> {
    match answer {
        Answer::Reply(reply) => reply.peers,
        Answer::Entry(_) => panic!("an entry"),
    }
}

#[test]
fn an_entry_of_the_kind_asked_for_is_given() {
    let view = fixed();
    let (router, key) = (Entry::from(view.router.clone()), view.router.hash().into());
    assert_eq!(ask(&lookup(key, LookupKind::RouterInfo), &view), Answer::Entry(router.clone()));
    assert_eq!(ask(&lookup(key, LookupKind::Any), &view), Answer::Entry(router));
    assert_eq!(peers(ask(&lookup(key, LookupKind::LeaseSet), &view)).len(), 3);
    let key = view.lease_set.key();
    assert_eq!(ask(&lookup(key, LookupKind::Any), &view), Answer::Entry(view.lease_set.clone()));
    assert_eq!(peers(ask(&lookup(key, LookupKind::RouterInfo), &view)).len(), 3);
}

#[test]
fn a_router_info_that_is_old_or_of_a_hidden_router_is_not_given() {
    let given = |info: RouterInfo| {
        let lookup = lookup(info.hash().into(), LookupKind::RouterInfo);
        matches!(ask(&lookup, &Fixed { router: info, ..fixed() }), Answer::Entry(_))
    };
    assert!(given(router("XR", NOW.minus(MAX_AGE))) && given(router("XU", NOW)));
    assert!(!given(router("XR", NOW.minus(MAX_AGE + Duration::from_secs(1)))) && !given(router("XH", NOW)));
}

#[test]
fn a_large_lease_set_is_given_to_those_only_who_are_proven() {
    let view = Fixed { lease_set: lease_set(16), ..fixed() };
    assert!(view.lease_set.as_bytes().len() > LARGE);
    let lookup = lookup(view.lease_set.key(), LookupKind::LeaseSet);
    assert_eq!(peers(ask(&lookup, &view)).len(), 3);
    assert_eq!(answer(&lookup, &view, OWN, true, NOW), Answer::Entry(view.lease_set.clone()));
}

#[test]
fn the_asker_the_excluded_and_we_ourselves_are_not_named() {
    for byte in 0..=255 {
        let named = peers(ask(&lookup(NetDbKey([byte; 32]), LookupKind::LeaseSet), &fixed()));
        assert_eq!(named.len(), 3);
        assert!(named.iter().all(|r| r.0[0] < 10 && ![3, 7].contains(&r.0[0])));
    }
}

#[test]
fn one_of_the_named_was_reached_however_many_strangers_are_closer() {
    let far = RouterHash([255; 32]);
    let view = Fixed { proven: [far].into_iter().collect(), ..fixed() };
    for byte in 0..255 {
        let named = peers(ask(&lookup(NetDbKey([byte; 32]), LookupKind::LeaseSet), &view));
        assert!(named.len() == 3 && named.contains(&far));
    }
}

#[test]
fn explorers_get_routers_that_are_not_floodfills_even_for_a_key_that_we_have() {
    let view = fixed();
    let named = peers(ask(&lookup(view.router.hash().into(), LookupKind::Exploratory), &view));
    assert!(named.len() == 3 && named.iter().all(|r| r.0[0] >= 100));
}

#[test]
fn the_fifteenth_lookup_in_two_minutes_is_refused() {
    let mut throttle = Throttle::new(true, Mono::ZERO);
    let (l, bearer) = (lookup(NetDbKey([1; 32]), LookupKind::LeaseSet), Bearer::NOBODY);
    assert!((0..14).all(|_| throttle.allows(&l, &bearer, Mono::ZERO)));
    assert!(!throttle.allows(&l, &bearer, Mono::ZERO));
    assert!(throttle.allows(&DatabaseLookup { reply_tunnel: Some(TunnelId(1)), ..l.clone() }, &bearer, Mono::ZERO));
    assert!(throttle.allows(&l, &bearer, Throttle::PERIOD));
    assert_eq!(throttle.refused(), 1);
}

#[test]
fn what_one_asks_in_the_name_of_another_does_not_use_up_what_the_other_may_ask() {
    let mut throttle = Throttle::new(true, Mono::ZERO);
    let l = DatabaseLookup { reply_tunnel: Some(TunnelId(9)), ..lookup(NetDbKey([1; 32]), LookupKind::LeaseSet) };
    let session = |n: u8| Bearer::session(RouterHash([n; 32]), Some([n, 1, 1, 1].into()), false);
    assert!((0..14).all(|_| throttle.allows(&l, &session(50), Mono::ZERO)));
    assert!(!throttle.allows(&l, &session(50), Mono::ZERO));
    assert!((0..14).all(|_| throttle.allows(&l, &session(60), Mono::ZERO)));
}
