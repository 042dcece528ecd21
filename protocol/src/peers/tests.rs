//! The choice of hops over made-up networks.

use super::facts::Wires;
use super::profile::{AFTER_REFUSAL, Event, Shared};
use super::usage::Usage;
use super::*;
use crate::data::router_info::Caps;
use crate::time::Wall;
use proptest::prelude::*;
use ramson_crypto::x25519::PublicKey;
use rand::SeedableRng;
use std::time::Duration;

const NOW: Now = Now { mono: Duration::from_secs(1000), wall: Wall(1_790_000_000_000) };

fn hash(n: usize) -> RouterHash {
    let mut h = [0; 32];
    h[..8].copy_from_slice(&(n as u64).to_be_bytes());
    RouterHash(h)
}

fn facts(n: usize) -> Facts {
    Facts {
        key: PublicKey([n as u8; 32]),
        version: Version(0, 9, 66),
        caps: Caps::parse("XR"),
        published: NOW.wall,
        subnets: [Subnet::V4([(n / 256) as u8, n as u8])].into_iter().collect(),
        family: None,
        dialable: true,
        listens: Wires::ALL,
        calls: Wires::ALL,
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

fn network(n: usize, change: impl Fn(usize, &mut Facts)) -> Peers {
    let (mut peers, mut rng) = (Peers::new(Config::default()), rng());
    for i in 0..n {
        let mut facts = facts(i);
        change(i, &mut facts);
        peers.update(hash(i), facts, NOW, &mut rng);
    }
    peers
}

fn wish(hops: usize) -> Wish<'static> {
    let (direction, purpose) = (Direction::Outbound, Purpose::Client);
    Wish { hops, direction, purpose, exclude: &[], avoid: &[], near: &[], last: None, order: [9; 32] }
}

fn counts(peers: &mut Peers, wish: &Wish<'_>, n: usize, rounds: usize) -> Vec<usize> {
    let (mut counts, mut rng) = (vec![0; n], rng());
    for _ in 0..rounds {
        for hop in peers.select(wish, &Usage::default(), NOW, &mut rng).unwrap().hops {
            counts[u64::from_be_bytes(hop.hash.0[..8].try_into().unwrap()) as usize] += 1;
        }
    }
    counts
}

#[test]
fn no_two_hops_share_a_subnet_or_a_family() {
    let mut peers = network(30, |i, f| f.subnets = [Subnet::V4([10, i as u8 % 3])].into_iter().collect());
    let mut rng = rng();
    for _ in 0..50 {
        let hops = peers.select(&wish(3), &Usage::default(), NOW, &mut rng).unwrap().hops;
        let mut nets: Vec<_> = hops.iter().map(|h| h.hash.0[7] % 3).collect();
        nets.sort_unstable();
        assert_eq!(nets, [0, 1, 2]);
    }
    assert_eq!(peers.select(&wish(4), &Usage::default(), NOW, &mut rng), Err(TooFew { found: 3 }));
    let mut families = network(30, |i, f| f.family = Some(i as u64 % 2));
    assert_eq!(families.select(&wish(3), &Usage::default(), NOW, &mut rng), Err(TooFew { found: 2 }));
}

#[test]
fn a_private_network_may_lie_in_one_subnet() {
    let mut peers = network(4, |_, f| f.subnets = [Subnet::V4([127, 0])].into_iter().collect());
    peers.config.same_subnet = true;
    assert_eq!(peers.select(&wish(4), &Usage::default(), NOW, &mut rng()).unwrap().hops.len(), 4);
}

#[test]
fn routers_that_cannot_or_should_not_be_hops_never_are() {
    let bad: [fn(&mut Facts); 7] = [
        |f| f.version = Version(0, 9, 57),
        |f| f.caps = Caps::parse("KR"),
        |f| f.caps = Caps::parse("XU"),
        |f| f.caps = Caps::parse("XRH"),
        |f| f.caps = Caps::parse("XRG"),
        |f| f.caps = Caps::parse("R"),
        |f| f.listens = Wires::NONE,
    ];
    let mut peers = network(60, |i, f| {
        if i < 56 {
            bad[i % 7](f);
        }
    });
    assert_eq!(peers.usable(NOW), 4);
    let counts = counts(&mut peers, &wish(3), 60, 100);
    assert!(counts[..56].iter().all(|c| *c == 0));
    let exclude = [hash(56), hash(57)];
    let narrow = Wish { exclude: &exclude, ..wish(3) };
    assert_eq!(peers.select(&narrow, &Usage::default(), NOW, &mut rng()), Err(TooFew { found: 2 }));
}

#[test]
fn congestion_letters_derate_and_e_fades_to_d() {
    let old = NOW.wall.minus(Duration::from_secs(16 * 60));
    let letters = ["XR", "XRD", "XRE", "XRE"];
    let mut peers = network(400, |i, f| {
        f.caps = Caps::parse(letters[i % 4]);
        if i % 4 == 3 {
            f.published = old;
        }
    });
    let counts = counts(&mut peers, &wish(3), 400, 4000);
    let by: Vec<f64> = (0..4).map(|k| counts.iter().skip(k).step_by(4).sum::<usize>() as f64).collect();
    assert!((0.4..0.6).contains(&(by[1] / by[0])), "{by:?}");
    assert!((0.05..0.2).contains(&(by[2] / by[0])), "{by:?}");
    assert!((0.4..0.6).contains(&(by[3] / by[0])), "{by:?}");
}

#[test]
fn who_failed_is_left_alone_until_nobody_else_is_left() {
    let mut peers = network(10, |_, _| ());
    for i in 0..5 {
        peers.note(&hash(i), Event::Refused, NOW.mono);
    }
    assert_eq!(counts(&mut peers, &wish(3), 10, 200)[..5], [0; 5]);
    let all = peers.select(&wish(10), &Usage::default(), NOW, &mut rng()).unwrap();
    assert_eq!(all.hops.len(), 10);
    let later = NOW.plus(AFTER_REFUSAL);
    let mut rng = rng();
    let again = (0..200).flat_map(|_| peers.select(&wish(3), &Usage::default(), later, &mut rng).unwrap().hops);
    assert!(again.into_iter().any(|hop| hop.hash.0[7] < 5));
}

#[test]
fn client_tunnels_prefer_proven_routers_more_than_exploratory_ones_do() {
    let mut peers = network(200, |i, f| f.caps = Caps::parse(if i % 2 == 0 { "XR" } else { "MR" }));
    for i in 0..200 {
        for _ in 0..6 {
            peers.note_shared(
                [hash(i)].iter(),
                if i % 4 < 2 { Shared::TestPassed { rtt: Duration::from_secs(1) } } else { Shared::TestFailed },
                NOW.mono,
            );
        }
    }
    let mut share = |purpose| {
        let counts = counts(&mut peers, &Wish { purpose, ..wish(3) }, 200, 1000);
        counts.iter().step_by(4).sum::<usize>() as f64 / counts.iter().sum::<usize>() as f64
    };
    let (client, exploratory) = (share(Purpose::Client), share(Purpose::Exploratory));
    assert!(client > 0.6, "{client}");
    assert!((0.3..client - 0.1).contains(&exploratory), "{exploratory}");
}

#[test]
fn one_pool_never_has_two_routers_in_either_order_and_we_can_reach_the_first() {
    let mut peers = network(12, |_, _| ());
    let mut rng = rng();
    let mut before = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let hops = peers.select(&wish(3), &Usage::default(), NOW, &mut rng).unwrap().hops;
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            before.insert((hops[a].hash, hops[b].hash));
        }
    }
    assert!(before.iter().all(|(a, b)| !before.contains(&(*b, *a))));
    let mut peers = network(30, |i, f| f.dialable = i % 5 == 0);
    for _ in 0..100 {
        let hops = peers.select(&wish(3), &Usage::default(), NOW, &mut rng).unwrap().hops;
        assert_eq!(hops[0].hash.0[7] % 5, 0);
    }
}

#[test]
fn hops_that_are_named_are_taken_as_they_are_the_nearest_first() {
    let peers = network(5, |_, _| {});
    let named = [hash(3), hash(1)];
    let hashes = |chosen: Chosen| chosen.hops.iter().map(|hop| hop.hash).collect::<Vec<_>>();
    let of = |direction| peers.named(&named, direction).unwrap();
    assert_eq!((hashes(of(Direction::Outbound)), of(Direction::Outbound).form), (named.to_vec(), Form::Short));
    assert_eq!(hashes(of(Direction::Inbound)), [hash(1), hash(3)]);
    assert_eq!(peers.named(&[hash(1), hash(99)], Direction::Outbound), Err(TooFew { found: 1 }));
}

#[test]
fn the_form_is_short_if_all_hops_know_it() {
    let mut peers = network(3, |i, f| f.version = Version(0, 9, 50 + i as u16));
    assert!(peers.select(&wish(3), &Usage::default(), NOW, &mut rng()).is_err());
    peers.config.min_version = Version(0, 9, 48);
    assert_eq!(peers.select(&wish(3), &Usage::default(), NOW, &mut rng()).unwrap().form, Form::Long);
    let newer = Wish { exclude: &[hash(0)], ..wish(2) };
    assert_eq!(peers.select(&newer, &Usage::default(), NOW, &mut rng()).unwrap().form, Form::Short);
}

#[test]
fn the_number_of_routers_is_bounded_and_the_proven_stay() {
    let (mut peers, mut rng) = (Peers::new(Config { max: 100, ..Config::default() }), rng());
    for i in 0..50 {
        peers.update(hash(i), facts(i), NOW, &mut rng);
        for _ in 0..5 {
            peers.note(&hash(i), Event::Accepted, NOW.mono);
        }
    }
    for i in 50..5000 {
        peers.update(hash(i), facts(i), NOW, &mut rng);
        assert!(peers.len() <= 100 && peers.index.len() == peers.len());
    }
    let proven = (0..50).filter(|i| peers.profile(&hash(*i)).is_some()).count();
    assert!(proven >= 35, "{proven}");
    assert!(peers.index.iter().all(|(h, at)| peers.entries[*at].hash == *h));
}

#[test]
fn profiles_outlive_a_restart() {
    let mut peers = network(5, |_, _| ());
    peers.note(&hash(1), Event::Refused, NOW.mono);
    peers.note(&hash(2), Event::Accepted, NOW.mono);
    let mut bytes = Vec::new();
    peers.write(NOW.mono, &mut bytes);
    assert_eq!(bytes.len(), 4 + 2 * 56);
    let mut again = Peers::new(Config::default());
    again.read(&mut Reader::new(&bytes), Mono::ZERO, &mut rng()).unwrap();
    assert_eq!(again.len(), 2);
    assert!(again.profile(&hash(1)).unwrap().is_excluded(Duration::from_secs(300)));
    assert!(again.read(&mut Reader::new(&bytes[..50]), Mono::ZERO, &mut rng()).is_err());
}

/// A network in which the first so many were reached.
fn partly_proven(n: usize, proven: usize) -> Peers {
    let mut peers = network(n, |_, _| ());
    (0..proven).for_each(|i| peers.note(&hash(i), Event::Proven, NOW.mono));
    peers
}

fn strangers_in(peers: &mut Peers, wish: &Wish<'_>, rounds: usize, proven: usize) -> (usize, usize) {
    let (mut with_one, mut most, mut rng) = (0, 0, rng());
    for _ in 0..rounds {
        let hops = peers.select(wish, &Usage::default(), NOW, &mut rng).unwrap().hops;
        let number = |hash: &RouterHash| u64::from_be_bytes(hash.0[..8].try_into().unwrap()) as usize;
        let strangers = hops.iter().filter(|hop| number(&hop.hash) >= proven).count();
        with_one += usize::from(strangers > 0);
        most = most.max(strangers);
    }
    (with_one, most)
}

/// The attack: two thousand routers that exist only as RouterInfos, beside eight real ones.
#[test]
fn however_many_routers_nobody_has_reached_at_most_one_is_in_a_tunnel_and_ever_less_often() {
    for purpose in [Purpose::Exploratory, Purpose::Client] {
        let mut peers = partly_proven(2000, 8);
        let wish = Wish { purpose, ..wish(2) };
        let (before, most) = strangers_in(&mut peers, &wish, 1000, 8);
        assert!((150..350).contains(&before) && most == 1, "{before} of 1000 tunnels have one, {most} at most");
        // Builds through them get no answer.
        for i in 100..200 {
            peers.note_shared([hash(i), hash(1)].iter(), Shared::BuildTimedOut, NOW.mono);
        }
        let (after, _) = strangers_in(&mut peers, &wish, 1000, 8);
        assert!(after < 40, "{after} of 1000: own builds go well again");
    }
}

#[test]
fn proven_routers_that_failed_a_short_while_ago_are_better_than_strangers() {
    let mut peers = partly_proven(500, 8);
    (0..8).for_each(|i| peers.note(&hash(i), Event::Refused, NOW.mono));
    let (_, most) = strangers_in(&mut peers, &wish(3), 200, 8);
    assert_eq!(most, 1);
    let (_, most) = strangers_in(&mut partly_proven(500, 0), &wish(3), 100, 0);
    assert_eq!(most, 3, "at first strangers are all there is");
}

#[test]
fn who_is_in_a_third_of_our_tunnels_and_who_is_in_the_paired_one_is_left_out_while_there_are_others() {
    let mut peers = partly_proven(12, 12);
    let mut usage = Usage::default();
    (2..8).for_each(|i| usage.hold(&[hash(0), hash(i)]));
    let avoid = [hash(1)];
    let wish = Wish { avoid: &avoid, ..wish(3) };
    let mut rng = rng();
    for _ in 0..200 {
        let hops = peers.select(&wish, &usage, NOW, &mut rng).unwrap().hops;
        assert!(hops.iter().all(|hop| hop.hash != hash(0) && hop.hash != hash(1)));
    }
    let all = Wish { hops: 12, ..wish };
    assert_eq!(peers.select(&all, &usage, NOW, &mut rng).unwrap().hops.len(), 12, "there are no others");
}

#[test]
fn nobody_near_us_or_of_our_family_is_a_hop() {
    let mut peers = network(60, |i, f| f.family = Some(i as u64 % 3));
    peers.config.family = Some(0);
    let near = [Subnet::V4([0, 1]), Subnet::V4([0, 4])];
    let wish = Wish { near: &near, ..wish(2) };
    let mut rng = rng();
    for _ in 0..100 {
        let hops = peers.select(&wish, &Usage::default(), NOW, &mut rng).unwrap().hops;
        assert!(hops.iter().all(|hop| hop.hash.0[7] % 3 != 0 && ![1, 4].contains(&hop.hash.0[7])));
    }
}

#[test]
fn hops_share_a_transport_and_a_family_of_addresses() {
    let kinds = [(false, false), (false, true), (true, false)].map(|(ssu2, v6)| Wires::one(ssu2, v6));
    let mut peers = network(60, |i, f| (f.listens, f.calls) = (kinds[i % 3], kinds[i % 3]));
    let mut rng = rng();
    for _ in 0..200 {
        let hops = peers.select(&wish(3), &Usage::default(), NOW, &mut rng).unwrap().hops;
        assert!(hops.windows(2).all(|pair| pair[0].hash.0[7] % 3 == pair[1].hash.0[7] % 3));
    }
}

#[test]
fn destinations_have_few_neighbours_that_are_kept_over_a_restart_and_replaced_when_they_fail() {
    let mut peers = partly_proven(300, 300);
    (0..300).for_each(|i| peers.note(&hash(i), Event::Accepted, NOW.mono));
    let mut rng = rng();
    let mut next_to_us = |peers: &mut Peers, direction, now| {
        let wish = Wish { direction, ..wish(3) };
        let mut usage = Usage::default();
        let mut all = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let hops = peers.select(&wish, &usage, now, &mut rng).unwrap().hops;
            let at = if direction == Direction::Outbound { 0 } else { 2 };
            all.insert(hops[at].hash);
            usage.hold(&hops.iter().map(|hop| hop.hash).collect::<Vec<_>>());
        }
        all
    };
    let outbound = next_to_us(&mut peers, Direction::Outbound, NOW);
    assert_eq!(outbound.len(), 6);
    assert_eq!(next_to_us(&mut peers, Direction::Inbound, NOW), outbound);
    let mut bytes = Vec::new();
    peers.write(NOW.mono, &mut bytes);
    let mut again = network(300, |_, _| ());
    again.read(&mut Reader::new(&bytes), NOW.mono, &mut ChaCha20Rng::from_seed([3; 32])).unwrap();
    assert_eq!(next_to_us(&mut again, Direction::Outbound, NOW), outbound);
    let first = *outbound.first().unwrap();
    again.note(&first, Event::Unreachable, NOW.mono);
    let now = next_to_us(&mut again, Direction::Outbound, NOW);
    assert!(!now.contains(&first) && now.intersection(&outbound).count() == 5, "one more takes its place");
    let later = next_to_us(&mut again, Direction::Outbound, NOW.plus(Duration::from_secs(3600)));
    assert!(later.contains(&first), "and it is not forgotten");
}

#[test]
fn fast_routers_are_chosen_more_often_whatever_letter_they_publish() {
    let mut peers = partly_proven(100, 100);
    for i in 0..100 {
        for _ in 0..20 {
            let rtt = Duration::from_millis(if i < 50 { 500 } else { 4000 });
            peers.note_shared([hash(i)].iter(), Shared::TestPassed { rtt }, NOW.mono);
        }
    }
    let counts = counts(&mut peers, &wish(3), 100, 1000);
    let fast = counts[..50].iter().sum::<usize>() as f64 / counts.iter().sum::<usize>() as f64;
    assert!(fast > 0.6, "{fast}");
}

proptest! {
    #[test]
    fn a_choice_has_the_length_asked_for_without_repetition_or_the_excluded(
        seed: [u8; 32], n in 1usize..40, hops in 1usize..8, excluded in 0usize..10,
    ) {
        let mut peers = network(n, |_, _| ());
        let exclude: Vec<_> = (0..excluded).map(hash).collect();
        let wish = Wish { exclude: &exclude, ..wish(hops) };
        match peers.select(&wish, &Usage::default(), NOW, &mut ChaCha20Rng::from_seed(seed)) {
            Ok(chosen) => {
                let mut hashes: Vec<_> = chosen.hops.iter().map(|h| h.hash).collect();
                prop_assert!(hashes.iter().all(|h| !exclude.contains(h)));
                hashes.sort_unstable();
                hashes.dedup();
                prop_assert_eq!(hashes.len(), hops);
            }
            Err(TooFew { found }) => prop_assert_eq!(found, n.saturating_sub(excluded)),
        }
    }
}

#[test]
fn none_of_our_own_family_is_a_hop_of_ours() {
    let mut peers = network(30, |i, f| f.family = (i < 28).then_some(77));
    peers.config.family = Some(77);
    assert_eq!(peers.select(&wish(3), &Usage::default(), NOW, &mut rng()), Err(TooFew { found: 2 }));
}

#[test]
fn whom_we_knew_from_the_start_or_know_for_an_hour_is_an_acquaintance() {
    let (mut peers, mut rng) = (Peers::new(Config::default()), rng());
    let at = |secs| Now { mono: Duration::from_secs(secs), ..NOW };
    peers.update(hash(1), facts(1), at(5), &mut rng);
    peers.update(hash(2), facts(2), at(100), &mut rng);
    let known = |secs| [1, 2].map(|n| peers.is_acquaintance(&hash(n), at(secs).mono));
    assert_eq!((known(101), known(100 + 3600)), ([true, false], [true, true]));
    assert_eq!(peers.acquaintances(at(101).mono), 1);
}

#[test]
fn the_last_hop_to_a_router_that_nobody_can_call_is_one_that_is_connected() {
    let mut peers = network(60, |_, _| {});
    let connected: HashSet<RouterHash> = [hash(7), hash(9)].into();
    let mut rng = rng();
    for _ in 0..50 {
        let wish = Wish { direction: Direction::Inbound, last: Some(&connected), ..wish(3) };
        let hops = peers.select(&wish, &Usage::default(), NOW, &mut rng).unwrap().hops;
        assert!(connected.contains(&hops[2].hash));
    }
    let nobody = HashSet::new();
    let wish = Wish { direction: Direction::Inbound, last: Some(&nobody), ..wish(3) };
    assert!(peers.select(&wish, &Usage::default(), NOW, &mut rng).is_err(), "whoever asks decides what then");
}

#[test]
fn a_thousand_routers_of_one_network_or_family_are_chosen_like_a_few() {
    let crowd = |at: usize| at >= 40;
    let one_network = |n: usize, facts: &mut Facts| {
        if crowd(n) {
            facts.subnets = [Subnet::V4([200, 7])].into_iter().collect();
        }
    };
    let one_family = |n: usize, facts: &mut Facts| facts.family = crowd(n).then_some(7);
    // Where there are a thousand networks a family counts as eight, of forty-eight; where there are forty, a network as one.
    for (change, most) in [(&one_network as &dyn Fn(usize, &mut Facts), 60), (&one_family, 160)] {
        let mut peers = network(1040, change);
        for n in 0..1040 {
            peers.note(&hash(n), Event::Proven, NOW.mono);
        }
        for purpose in [Purpose::Client, Purpose::Exploratory] {
            let chosen = counts(&mut peers, &Wish { purpose, ..wish(3) }, 1040, 200);
            let theirs: usize = chosen[40..].iter().sum();
            // Of those who have never been a hop one tunnel in four may have one.
            assert!(theirs < most / 2, "{theirs} of 600 hops");
        }
        // They agree like all others, and are still few.
        for n in 0..1040 {
            peers.note(&hash(n), Event::Accepted, NOW.mono);
        }
        for purpose in [Purpose::Client, Purpose::Exploratory] {
            let chosen = counts(&mut peers, &Wish { purpose, ..wish(3) }, 1040, 200);
            let theirs: usize = chosen[40..].iter().sum();
            assert!((1..most).contains(&theirs), "{theirs} of 600 hops");
        }
        // Who is gone counts no more, and who has moved counts where he is.
        (100..1040).for_each(|n| peers.forget(&hash(n)));
        (40..100).for_each(|n| peers.update(hash(n), facts(n), NOW, &mut rng()));
        let chosen = counts(&mut peers, &wish(3), 1040, 200);
        let theirs: usize = chosen[40..100].iter().sum();
        assert!((150..440).contains(&theirs), "{theirs} of 600 hops");
    }
}
