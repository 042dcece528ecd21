use super::*;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::Lease;
use crate::data::lease_set2::LeaseSet2Builder;
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
use crate::data::router_keys::RouterKeys;
use crate::id::TunnelId;
use proptest::prelude::*;
use ramson_crypto::sign::SigningKey;
use ramson_crypto::x25519;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

fn start() -> Now {
    Now { mono: Duration::from_secs(50), wall: Wall(1_790_000_000_000) }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn router(n: u64, published: Wall, caps: &str) -> RouterInfo {
    let keys = RouterKeys::generate(&mut ChaCha20Rng::seed_from_u64(n));
    RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse(caps))
        .address(RouterAddressBuf::ntcp2("9.9.9.9:9".parse().unwrap(), &x25519::PublicKey([1; 32]), &[1; 16]))
        .sign(&keys, published)
        .unwrap()
}

fn lease_set(n: u8, published: Wall, end: Wall) -> Entry {
    let key = SigningKey::from_seed([n; 32]);
    let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end };
    LeaseSet2Builder { leases: vec![lease], ..LeaseSet2Builder::default() }
        .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, published)
        .unwrap()
        .into()
}

fn store(max_routers: usize, max_lease_sets: usize) -> Store {
    let config = Config { own: RouterHash([3; 32]), floodfill: false, max_routers, max_lease_sets, shards: 1 };
    Store::new(config, start())
}

fn drain(s: &mut Store) -> Vec<Out> {
    std::iter::from_fn(|| s.poll_output()).collect()
}

#[test]
fn a_router_info_is_persisted_and_only_a_newer_one_replaces_it() {
    let mut s = store(10, 10);
    let (now, info) = (start(), router(1, start().wall, "XR"));
    assert!(s.insert(now, info.clone().into(), Source::Unsolicited));
    assert_eq!(drain(&mut s), [Out::RoutersChanged, Out::Persist(info.clone().into())]);
    assert!(!s.insert(now, info.clone().into(), Source::Unsolicited));
    assert_eq!(drain(&mut s), []);
    let newer = router(1, start().wall.plus(minutes(1)), "XfR");
    assert!(s.insert(now, newer.clone().into(), Source::Reply));
    assert_eq!(drain(&mut s), [Out::RoutersChanged, Out::Persist(newer.into())], "it became a floodfill");
    let newest = router(1, start().wall.plus(minutes(2)), "XfR");
    assert!(s.insert(now, newest.clone().into(), Source::Reply));
    assert_eq!(drain(&mut s), [Out::Persist(newest.clone().into())]);
    assert_eq!((s.router_count(), s.router(info.hash())), (1, Some(&newest)));
}

#[test]
fn a_lease_set_that_we_searched_for_is_not_given_out_until_it_is_stored_with_us() {
    let mut s = store(10, 10);
    let entry = lease_set(1, start().wall, start().wall.plus(minutes(9)));
    assert!(s.insert(start(), entry.clone(), Source::Reply));
    assert!(s.get(entry.key()).is_some() && s.public_entry(entry.key()).is_none());
    assert_eq!(drain(&mut s), [], "what we look for does not go to disk");
    assert!(!s.insert(start(), entry.clone(), Source::Unsolicited));
    assert_eq!(drain(&mut s), [Out::Persist(entry.clone())]);
    assert!(s.public_entry(entry.key()).is_some());
    let newer = lease_set(1, start().wall.plus(minutes(1)), start().wall.plus(minutes(9)));
    assert!(s.insert(start(), newer.clone(), Source::Reply));
    assert!(s.public_entry(entry.key()).is_some());
    assert_eq!(drain(&mut s), [Out::Persist(newer)]);
}

#[test]
fn lease_sets_expire_and_router_infos_too_after_an_hour_of_grace() {
    let mut s = store(100, 10);
    for n in 0..30 {
        s.insert(start(), router(n, start().wall.minus(minutes(60 * 26)), "XR").into(), Source::Import);
    }
    s.insert(start(), lease_set(1, start().wall, start().wall.plus(minutes(9))), Source::Unsolicited);
    let persisted = drain(&mut s).iter().filter(|o| matches!(o, Out::Persist(_))).count();
    assert_eq!(persisted, 1, "what comes from disk is there already");
    s.handle_timeout(start().plus(minutes(11)));
    assert_eq!((s.router_count(), s.lease_set_count()), (30, 0));
    let kept = router(0, start().wall, "XR").hash();
    s.pin(kept, true);
    s.handle_timeout(start().plus(minutes(90)));
    assert_eq!(s.router_count(), 1);
    assert!(s.router(kept).is_some());
    let outs = drain(&mut s);
    assert_eq!(outs.iter().filter(|o| matches!(o, Out::Forget(..))).count(), 30);
}

#[test]
fn over_the_capacity_the_stale_go_first_and_then_the_far() {
    let mut s = store(32, 10);
    for n in 0..16 {
        s.insert(start(), router(n, start().wall.minus(minutes(300)), "XR").into(), Source::Unsolicited);
    }
    for n in 100..118 {
        s.insert(start(), router(n, start().wall, "XR").into(), Source::Unsolicited);
    }
    assert!(s.router_count() <= 32);
    let fresh = s.routers().filter(|r| r.published() == start().wall).count();
    assert_eq!(fresh, 18, "none of the fresh ones went");
    for n in 200..280 {
        s.insert(start(), router(n, start().wall, "XR").into(), Source::Unsolicited);
    }
    let reach = |r: &RouterInfo| distance(&routing_key(r.hash().into(), Day::of(start().wall)), &RouterHash([3; 32]));
    let farthest = s.routers().map(reach).max().unwrap();
    let closer = (100..118).chain(200..280).filter(|n| reach(&router(*n, start().wall, "XR")) < farthest).count();
    assert!(closer <= 34, "the closest of all stayed, up to those that came after the last eviction: {closer}");
}

#[test]
fn over_the_capacity_the_lease_sets_that_end_first_go() {
    let mut s = store(10, 16);
    for n in 0..17 {
        let end = start().wall.plus(minutes(2) + Duration::from_secs(u64::from(n)));
        s.insert(start(), lease_set(n, start().wall, end), Source::Unsolicited);
    }
    assert_eq!((s.lease_set_count(), s.stats().evicted), (15, 2));
    assert!(s.get(lease_set(0, start().wall, start().wall.plus(minutes(2))).key()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn counts_and_the_disk_agree_with_what_is_held(
        steps in prop::collection::vec((0u64..12, 0u64..300, 0u8..3), 0..60)
    ) {
        let mut s = store(8, 4);
        let mut disk = BTreeSet::new();
        let mut now = start();
        for (n, age, what) in steps {
            match what {
                0 => drop(s.insert(now, router(n, now.wall.minus(minutes(age)), "XR").into(), Source::Unsolicited)),
                1 => drop(s.insert(now, lease_set(n as u8, now.wall, now.wall.plus(minutes(5))), Source::Unsolicited)),
                _ => {
                    now = now.plus(minutes(age));
                    s.handle_timeout(now);
                }
            }
            for out in drain(&mut s) {
                match out {
                    Out::Persist(entry) => drop(disk.insert(entry.key())),
                    Out::Forget(_, key) => drop(disk.remove(&key)),
                    Out::RoutersChanged => {}
                }
            }
            prop_assert!(s.router_count() <= 8 && s.lease_set_count() <= 4);
            prop_assert_eq!(s.routers().count(), s.router_count());
            prop_assert_eq!(s.entries.len(), s.router_count() + s.lease_set_count());
            let held: BTreeSet<_> = s.entries().map(Entry::key).collect();
            prop_assert_eq!(&held, &disk);
        }
    }
}
