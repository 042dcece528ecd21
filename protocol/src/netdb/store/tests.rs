use super::*;
use crate::bearer::Bearer;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::Lease;
use crate::data::lease_set2::LeaseSet2Builder;
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
use crate::data::router_keys::RouterKeys;
use crate::id::{DestinationHash, TunnelId};
use crate::netdb::routing_key::{Day, distance, routing_key};
use proptest::prelude::*;
use ramson_crypto::sign::SigningKey;
use ramson_crypto::x25519;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;

fn start() -> Now {
    Now { mono: Duration::from_secs(50), wall: Wall(1_790_000_000_000) }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn keys(n: u64) -> RouterKeys {
    RouterKeys::generate(&mut ChaCha20Rng::seed_from_u64(n))
}

/// A router in a /16 of its own, one of fifty thousand or so.
fn address(n: u64) -> String {
    format!("{}.{}.9.9:9", 1 + n / 250 % 90, n % 250)
}

fn router_at(n: u64, published: Wall, caps: &str, address: &str) -> RouterInfo {
    RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse(caps))
        .address(RouterAddressBuf::ntcp2(address.parse().unwrap(), &x25519::PublicKey([1; 32]), &[1; 16]))
        .sign(&keys(n), published)
        .unwrap()
}

fn router(n: u64, published: Wall, caps: &str) -> RouterInfo {
    router_at(n, published, caps, &address(n))
}

fn lease_set_of(key: &SigningKey, destination: &Destination, published: Wall, end: Wall) -> Entry {
    let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end };
    LeaseSet2Builder { leases: vec![lease], ..LeaseSet2Builder::default() }
        .sign(destination, key, None, published)
        .unwrap()
        .into()
}

fn lease_set(n: u64, published: Wall, end: Wall) -> Entry {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    let key = SigningKey::from_seed(seed);
    lease_set_of(&key, &Destination::compose(&key.public(), &[2; 32]), published, end)
}

/// The session of a router in a network of its own.
fn session(n: u8) -> Bearer {
    Bearer::session(RouterHash([n; 32]), Some([100, n, 1, 1].into()), false)
}

fn store(max_routers: usize, max_lease_sets: usize) -> Store {
    let config =
        Config { own: RouterHash([3; 32]), floodfill: false, max_routers, max_lease_sets, shards: 1, private: false };
    Store::new(config, start())
}

fn drain(s: &mut Store) -> Vec<Out> {
    std::iter::from_fn(|| s.poll_output()).collect()
}

fn persisted(info: &RouterInfo) -> Out {
    Out::Persist { info: info.clone(), public: true }
}

#[test]
fn a_router_info_is_persisted_and_only_a_newer_one_replaces_it() {
    let mut s = store(10, 10);
    let (now, info) = (start(), router(1, start().wall, "XR"));
    assert!(s.insert(now, info.clone().into(), Source::Unsolicited, &session(1)));
    assert_eq!(drain(&mut s), [Out::RoutersChanged, persisted(&info)]);
    assert!(!s.insert(now, info.clone().into(), Source::Unsolicited, &session(1)));
    assert_eq!(drain(&mut s), []);
    let newer = router(1, start().wall.plus(minutes(1)), "XfR");
    assert!(s.insert(now, newer.clone().into(), Source::Unsolicited, &session(2)));
    assert_eq!(drain(&mut s), [Out::RoutersChanged, persisted(&newer)]);
    assert_eq!((s.router_count(), s.router(info.hash())), (1, Some(&newer)));
}

/// The identity of a router is a valid destination, so whoever makes one can sign a LeaseSet under the same key.
#[test]
fn a_router_info_and_a_lease_set_of_one_key_know_nothing_of_each_other() {
    let mut s = store(40, 40);
    let (now, end) = (start(), start().wall.plus(minutes(9)));
    let honest: Vec<_> = (0..20).map(|n| router(n, now.wall, "XR")).collect();
    for (n, info) in honest.iter().enumerate() {
        assert!(s.insert(now, info.clone().into(), Source::Unsolicited, &session(n as u8 % 4)));
    }
    for n in 0..60 {
        let keys = keys(1000 + n);
        let pair = RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, now.wall).unwrap();
        let identity = keys.identity.as_bytes().clone();
        let twin = lease_set_of(&keys.signing, &Destination::from_bytes(identity).unwrap(), now.wall, end);
        assert_eq!(twin.key(), NetDbKey::from(pair.hash()));
        for entry in [pair.clone().into(), twin.clone(), pair.into()] {
            s.insert(now, entry, Source::Unsolicited, &session(9));
            assert!(s.routers.is_consistent() && s.published.is_consistent());
        }
    }
    assert!(honest.iter().all(|info| s.router(info.hash()).is_some()), "none of the honest ones is gone");
    let late = router(500, now.wall, "XR");
    assert!(s.insert(now, late.clone().into(), Source::Unsolicited, &session(5)));
    s.handle_timeout(now.plus(minutes(11)));
    assert_eq!((s.lease_set_count(), s.routers().count()), (0, s.router_count()));
    assert_eq!(s.router(late.hash()), Some(&late), "and what comes afterwards is kept");
}

#[test]
fn a_lease_set_that_we_searched_for_is_not_given_out_and_does_not_change_what_is_published() {
    let mut s = store(10, 10);
    let (newer, older) = (
        lease_set(1, start().wall.plus(minutes(1)), start().wall.plus(minutes(9))),
        lease_set(1, start().wall, start().wall.plus(minutes(9))),
    );
    assert!(s.insert(start(), newer.clone(), Source::Reply, &Bearer::NOBODY));
    assert!(s.lease_set(newer.key()).is_some() && s.public_lease_set(newer.key()).is_none());
    // Its owner stores an older one: all is as if we had searched for nothing.
    assert_eq!(s.rival(&older, Source::Unsolicited), None);
    assert!(s.insert(start(), older.clone(), Source::Unsolicited, &session(1)));
    assert_eq!(s.public_lease_set(older.key()), Some(&older));
    assert_eq!(s.lease_set(older.key()), Some(&newer), "for ourselves the newest of both");
    assert_eq!(drain(&mut s), [], "nothing of it goes to disk");
}

#[test]
fn a_router_that_came_in_answer_to_a_search_is_not_given_to_others_until_it_comes_otherwise() {
    let mut s = store(10, 10);
    let info = router(1, start().wall, "XfR");
    s.insert(start(), info.clone().into(), Source::Reply, &session(9));
    assert_eq!(drain(&mut s), [Out::RoutersChanged, Out::Persist { info: info.clone(), public: false }]);
    assert!(s.router(info.hash()).is_some() && s.public_router(info.hash()).is_none());
    assert!(s.listing(start()).all(|listed| listed.floodfill && !listed.told));
    s.insert(start(), info.clone().into(), Source::Unsolicited, &session(1));
    assert_eq!(drain(&mut s), [Out::RoutersChanged, persisted(&info)]);
    assert!(s.public_router(info.hash()).is_some());
    assert!(s.listing(start()).all(|listed| listed.told));
    // Also an older one is taken as if we had none: it is passed on to others, who may watch for that.
    let (older, newer) = (router(5, start().wall, "XfR"), router(5, start().wall.plus(minutes(1)), "XfR"));
    s.insert(start(), newer.into(), Source::Reply, &session(9));
    assert_eq!(s.rival(&older.clone().into(), Source::Unsolicited), None);
    assert!(s.insert(start(), older.clone().into(), Source::Unsolicited, &session(1)));
    assert_eq!(s.public_router(older.hash()), Some(&older));
    // And a newer one of a router that all know is for ourselves, until others have it, too.
    let newer = router(5, start().wall.plus(minutes(2)), "XfR");
    assert!(s.insert(start(), newer.clone().into(), Source::Reply, &session(9)));
    assert_eq!((s.router(older.hash()), s.public_router(older.hash())), (Some(&newer), Some(&older)));
    assert_eq!(s.rival(&newer.clone().into(), Source::Unsolicited), Some(older.into()));
    assert!(s.insert(start(), newer.clone().into(), Source::Unsolicited, &session(1)));
    assert_eq!(s.public_router(newer.hash()), Some(&newer));
    drain(&mut s);
    // The same if it has a session with us.
    let met = router(2, start().wall, "XfR");
    s.insert(start(), met.clone().into(), Source::Reply, &session(9));
    s.note(start(), met.hash(), Standing::Connected);
    assert!(s.public_router(met.hash()).is_some());
}

#[test]
fn others_are_told_of_no_router_that_is_hidden_unreachable_or_was_not_heard_of_for_long() {
    let told = |caps, age| {
        let mut s = store(10, 10);
        s.insert(start(), router(1, start().wall.minus(minutes(age)), caps).into(), Source::Unsolicited, &session(1));
        s.listing(start()).all(|listed| listed.told)
    };
    assert!(told("XR", 0) && told("XfR", 90));
    assert!(!told("XR", 91) && !told("XU", 0) && !told("XH", 0));
}

#[test]
fn lease_sets_expire_and_router_infos_too_after_an_hour_of_grace() {
    let mut s = store(200, 10);
    for n in 0..30 {
        let old = router(n, start().wall.minus(minutes(60 * 26)), "XR");
        s.insert(start(), old.into(), Source::Import, &Bearer::NOBODY);
    }
    s.insert(start(), lease_set(1, start().wall, start().wall.plus(minutes(9))), Source::Unsolicited, &session(1));
    drain(&mut s);
    s.handle_timeout(start().plus(minutes(11)));
    assert_eq!((s.router_count(), s.lease_set_count()), (30, 0));
    let (kept, later) = (router(0, start().wall, "XR").hash(), start().plus(minutes(90)));
    s.note(start(), kept, Standing::Connected);
    for n in 100..130 {
        s.insert(later, router(n, later.wall, "XR").into(), Source::Unsolicited, &session(n as u8));
    }
    s.handle_timeout(later);
    assert_eq!(s.router_count(), 31, "the fresh and the one we are connected to");
    assert!(s.router(kept).is_some());
    assert_eq!(drain(&mut s).iter().filter(|o| matches!(o, Out::Forget(..))).count(), 29);
}

#[test]
fn with_a_clock_that_is_far_ahead_nothing_is_thrown_away() {
    let mut s = store(100, 10);
    let loaded = s.load(start(), (0..60).map(|n| (router(n, start().wall, "XR"), true)));
    assert_eq!(loaded, 0);
    drain(&mut s);
    let wrong = Now { wall: start().wall.plus(minutes(60 * 24 * 463)), ..start().plus(minutes(61)) };
    s.handle_timeout(wrong);
    assert_eq!((s.router_count(), s.stats().expired, s.stats().spared), (60, 0, 60));
    assert_eq!(drain(&mut s), [Out::RoutersChanged]);
}

#[test]
fn what_is_on_disk_stays_there_if_there_is_no_room_for_it_in_memory() {
    let mut s = store(32, 10);
    let left_out = s.load(start(), (0..100).map(|n| (router(n, start().wall, "XR"), true)));
    assert_eq!(s.router_count() + left_out, 100);
    assert!(s.router_count() <= 32 && s.router_count() >= 30);
    assert_eq!(drain(&mut s), [Out::RoutersChanged], "nothing is forgotten");
    assert_eq!(s.to_persist().count(), s.router_count());
}

/// The attack: one peer floods three times as many RouterInfos as there is room for, all of them fresh floodfills.
#[test]
fn one_source_cannot_push_out_what_others_have_brought_however_fresh_its_own_is() {
    let mut s = store(800, 10);
    let honest: Vec<_> = (0..100).map(|n| router(n, start().wall.minus(minutes(35)), "XR")).collect();
    for (n, info) in honest.iter().enumerate() {
        s.insert(start(), info.clone().into(), Source::Unsolicited, &session(n as u8 % 10));
    }
    for n in 0..2400 {
        s.insert(start(), router(1000 + n, start().wall, "XfR").into(), Source::Unsolicited, &session(99));
    }
    assert!(honest.iter().all(|info| s.router(info.hash()).is_some()));
    assert!(s.router_count() <= 100 + 800 / 8, "and it has no more than an eighth: {}", s.router_count());
}

#[test]
fn a_crowd_of_sources_shares_what_there_is_and_who_was_met_stays() {
    let mut s = store(400, 10);
    let met: Vec<_> = (0..50).map(|n| router(n, start().wall.minus(minutes(50)), "XR")).collect();
    let quiet: Vec<_> = (50..60).map(|n| router(n, start().wall.minus(minutes(50)), "XR")).collect();
    for info in &met {
        s.insert(start(), info.clone().into(), Source::Unsolicited, &session(1));
        s.note(start(), info.hash(), Standing::Proven);
    }
    for info in &quiet {
        s.insert(start(), info.clone().into(), Source::Unsolicited, &session(2));
    }
    for n in 0..4000 {
        let from = session(10 + (n % 20) as u8);
        s.insert(start(), router(1000 + n, start().wall, "XfR").into(), Source::Unsolicited, &from);
    }
    assert!(met.iter().chain(&quiet).all(|info| s.router(info.hash()).is_some()));
    assert!(s.router_count() <= 400 && s.routers.is_consistent());
}

#[test]
fn many_names_at_one_place_are_suspects_until_they_are_met_and_go_first() {
    let mut s = store(100, 10);
    let names: Vec<_> = (0..40).map(|n| router_at(n, start().wall, "XfR", &format!("5.5.5.{}:9", n + 1))).collect();
    for (n, info) in names.iter().enumerate() {
        s.insert(start(), info.clone().into(), Source::Unsolicited, &session(n as u8));
    }
    s.handle_timeout(start().plus(SWEEP));
    assert!(s.listing(start()).all(|listed| listed.suspect && !listed.told));
    s.note(start(), names[0].hash(), Standing::Proven);
    assert_eq!(s.listing(start()).filter(|listed| !listed.suspect).count(), 1);
    for n in 100..190 {
        s.insert(start(), router(n, start().wall, "XR").into(), Source::Unsolicited, &session(n as u8));
    }
    assert_eq!(s.routers().filter(|info| !info.caps().floodfill).count(), 90, "all of the others are there");
    assert!(s.router(names[0].hash()).is_some());
}

/// After a restart nobody knows any more who brought what is on disk.
#[test]
fn what_was_on_disk_is_not_pushed_out_by_a_few_sources_either() {
    let mut s = store(400, 10);
    let before: Vec<_> = (0..250).map(|n| router(n, start().wall.minus(minutes(50)), "XR")).collect();
    s.load(start(), before.iter().map(|info| (info.clone(), true)));
    for n in 0..4000 {
        let from = session(10 + (n % 12) as u8);
        s.insert(start(), router(1000 + n, start().wall, "XfR").into(), Source::Unsolicited, &from);
    }
    assert!(before.iter().all(|info| s.router(info.hash()).is_some()));
}

#[test]
fn of_one_source_the_stale_give_way_first_and_then_the_far() {
    let mut s = store(32, 10);
    let from = Bearer::NOBODY;
    for n in 0..16 {
        s.insert(start(), router(n, start().wall.minus(minutes(300)), "XR").into(), Source::Import, &from);
    }
    for n in 100..118 {
        s.insert(start(), router(n, start().wall, "XR").into(), Source::Import, &from);
    }
    assert!(s.router_count() <= 32);
    assert_eq!(s.routers().filter(|r| r.published() == start().wall).count(), 18, "none of the fresh ones went");
    for n in 200..280 {
        s.insert(start(), router(n, start().wall, "XR").into(), Source::Import, &from);
    }
    let reach = |r: &RouterInfo| distance(&routing_key(r.hash().into(), Day::of(start().wall)), &RouterHash([3; 32]));
    let farthest = s.routers().map(reach).max().unwrap();
    let closer = (100..118).chain(200..280).filter(|n| reach(&router(*n, start().wall, "XR")) < farthest).count();
    assert!(closer <= 34, "the closest of all stayed, up to those that came after the last eviction: {closer}");
}

/// The same with LeaseSets, where to end last was enough: encrypted ones may end in eighteen hours.
#[test]
fn one_source_cannot_push_out_the_lease_sets_of_others_however_late_its_own_end() {
    let mut s = store(10, 160);
    let honest: Vec<_> = (0..40).map(|n| lease_set(n, start().wall, start().wall.plus(minutes(4)))).collect();
    for (n, entry) in honest.iter().enumerate() {
        assert!(s.insert(start(), entry.clone(), Source::Unsolicited, &session(n as u8 % 8)));
    }
    for n in 1000..1500 {
        let late = lease_set(n, start().wall, start().wall.plus(minutes(10)));
        s.insert(start(), late, Source::Unsolicited, &session(99));
    }
    assert!(honest.iter().all(|entry| s.public_lease_set(entry.key()).is_some()));
    assert_eq!(s.lease_set_count(), 40 + 160 / 8);
    // And a crowd of sources has to share.
    for n in 2000..4000 {
        let late = lease_set(n, start().wall, start().wall.plus(minutes(10)));
        s.insert(start(), late, Source::Unsolicited, &session(100 + (n % 40) as u8));
    }
    let kept = honest.iter().filter(|entry| s.public_lease_set(entry.key()).is_some()).count();
    assert!(kept >= 24, "{kept} of 40: as many as anybody has, at least");
    assert!(s.lease_set_count() <= 160 && s.published.is_consistent());
}

#[test]
fn of_the_lease_sets_of_one_source_the_farthest_give_way() {
    let mut s = store(10, 64);
    let all: Vec<_> = (0..200).map(|n| lease_set(n, start().wall, start().wall.plus(minutes(5)))).collect();
    for entry in &all {
        s.insert(start(), entry.clone(), Source::Unsolicited, &session(1));
    }
    let reach = |key: NetDbKey| distance(&routing_key(key, Day::of(start().wall)), &RouterHash([3; 32]));
    let mut by_distance: Vec<_> = all.iter().map(Entry::key).collect();
    by_distance.sort_by_key(|key| reach(*key));
    let held: BTreeSet<_> = s.lease_sets().map(Entry::key).collect();
    assert_eq!(held.len(), 8);
    assert!(by_distance[..7].iter().all(|key| held.contains(key)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn counts_and_the_disk_agree_with_what_is_held(
        steps in prop::collection::vec((0u64..24, 0u64..300, 0u8..6, 0u8..5), 0..80)
    ) {
        let mut s = store(8, 4);
        let mut disk = BTreeSet::new();
        let mut now = start();
        for (n, age, what, from) in steps {
            let bearer = if from == 0 { Bearer::NOBODY } else { session(from) };
            match what {
                0 | 1 => drop(s.insert(
                    now, router(n, now.wall.minus(minutes(age)), "XR").into(),
                    if what == 0 { Source::Unsolicited } else { Source::Reply }, &bearer
                )),
                2 | 3 => {
                    let source = if what == 2 { Source::Unsolicited } else { Source::Reply };
                    s.insert(now, lease_set(n, now.wall, now.wall.plus(minutes(5))), source, &bearer);
                }
                4 => {
                    let standing = [Standing::Connected, Standing::Disconnected, Standing::Proven][age as usize % 3];
                    s.note(now, router(n, now.wall, "XR").hash(), standing);
                }
                _ => {
                    now = now.plus(minutes(age));
                    s.handle_timeout(now);
                }
            }
            for out in drain(&mut s) {
                match out {
                    Out::Persist { info, public } => {
                        prop_assert!(s.router(info.hash()).is_none() || s.public_router(info.hash()).is_some() == public
                            || s.public_router(info.hash()).is_some());
                        disk.insert(info.hash());
                    }
                    Out::Forget(hash) => drop(disk.remove(&hash)),
                    Out::RoutersChanged => {}
                }
            }
            prop_assert!(s.router_count() <= 8 && s.lease_set_count() <= 4 && s.searched.len() <= 8);
            prop_assert!(s.routers.is_consistent() && s.published.is_consistent() && s.searched.is_consistent());
            let held: BTreeSet<_> = s.routers().map(RouterInfo::hash).collect();
            prop_assert_eq!(&held, &disk);
        }
    }
}

#[test]
fn a_destination_hash_is_a_key_like_any_other() {
    let entry = lease_set(1, start().wall, start().wall.plus(minutes(5)));
    let mut s = store(10, 10);
    s.insert(start(), entry.clone(), Source::Unsolicited, &session(1));
    assert_eq!(s.lease_set(DestinationHash(entry.key().0).into()), Some(&entry));
}
