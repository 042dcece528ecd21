use super::super::router_set::RouterSet;
use super::*;
use crate::time::Wall;
use proptest::prelude::*;

const OWN: RouterHash = RouterHash([99; 32]);

fn start() -> Now {
    Now { mono: Duration::from_secs(5), wall: Wall(1_790_000_000_000) }
}

fn after(secs: u64) -> Now {
    start().plus(Duration::from_secs(secs))
}

fn router(n: u8) -> RouterHash {
    RouterHash([n; 32])
}

/// The floodfills 0 to `n`, from the closest on.
fn known(search_key: NetDbKey, n: u8) -> (Floodfills, Vec<RouterHash>) {
    let set: RouterSet = (0..n).map(router).collect();
    let order = set.closest(&routing_key(search_key, Day::of(start().wall))).collect();
    (set.into(), order)
}

fn begin(n: u8, kind: LookupKind) -> (Search, Vec<RouterHash>) {
    let key = NetDbKey([7; 32]);
    let (set, order) = known(key, n);
    let config = Config { max_asked: 5, ..Config::lookup(OWN) };
    (Search::new(config, key, kind, &set, start()), order)
}

fn drain(search: &mut Search) -> Vec<Out> {
    std::iter::from_fn(|| search.poll_output()).collect()
}

/// What is to be done, without the word of who answers and who does not.
fn steps_of(search: &mut Search) -> Vec<Out> {
    drain(search).into_iter().filter(|out| !matches!(out, Out::Answered(_) | Out::Silent(_))).collect()
}

fn asked(outs: &[Out]) -> Vec<RouterHash> {
    outs.iter()
        .filter_map(|o| match o {
            Out::Ask { floodfill, .. } => Some(*floodfill),
            _ => None,
        })
        .collect()
}

#[test]
fn the_two_closest_are_asked_and_the_next_when_one_of_them_has_not_got_it() {
    let (mut s, order) = begin(20, LookupKind::LeaseSet);
    assert_eq!(asked(&drain(&mut s)), order[..2]);
    s.handle_input(after(1), In::Reply { from: order[0], peers: vec![order[1], order[9]] });
    let outs = steps_of(&mut s);
    assert_eq!(outs, [Out::Ask { floodfill: order[2], exclude: order[..2].to_vec() }]);
    s.handle_input(after(2), In::Found);
    assert_eq!(steps_of(&mut s), [Out::Finished(Outcome::Found)]);
    assert_eq!(s.poll_timeout(), None);
}

#[test]
fn one_that_is_silent_or_cannot_be_reached_loses_its_turn() {
    let (mut s, order) = begin(20, LookupKind::LeaseSet);
    drain(&mut s);
    s.handle_input(after(1), In::SendFailed(order[1]));
    assert_eq!(asked(&drain(&mut s)), order[2..3]);
    assert_eq!(s.poll_timeout(), Some(after(5).mono));
    s.handle_timeout(after(5));
    assert_eq!(asked(&drain(&mut s)), order[3..4]);
    assert_eq!((s.stats().timeouts, s.stats().failed), (1, 1));
}

#[test]
fn a_reply_of_someone_who_was_not_asked_changes_nothing() {
    let (mut s, order) = begin(20, LookupKind::LeaseSet);
    drain(&mut s);
    s.handle_input(after(1), In::Reply { from: order[7], peers: vec![router(200)] });
    assert_eq!(steps_of(&mut s), []);
    assert_eq!(s.stats().unasked, 1);
}

#[test]
fn an_unknown_router_is_learnt_if_it_is_closer_and_then_asked() {
    let (mut s, order) = begin(2, LookupKind::LeaseSet);
    drain(&mut s);
    let place = s.place;
    let by_distance = |wanted: bool| {
        let reach = distance(&place, &order[0]);
        (100..=255).map(router).find(|r| (distance(&place, r) < reach) == wanted)
    };
    let closer = by_distance(true).unwrap();
    let farther = by_distance(false).unwrap();
    s.handle_input(after(1), In::Reply { from: order[0], peers: vec![closer, farther, OWN] });
    assert_eq!(steps_of(&mut s), [Out::Learn { router: closer, named_by: order[0] }]);
    s.handle_input(after(2), In::Reply { from: order[1], peers: vec![] });
    assert_eq!(steps_of(&mut s), [], "it waits for the one that is being learnt");
    s.handle_input(after(3), In::Learned(closer));
    assert_eq!(asked(&drain(&mut s)), [closer]);
    s.handle_input(after(4), In::Reply { from: closer, peers: vec![] });
    assert_eq!(steps_of(&mut s), [Out::Finished(Outcome::NotFound)]);
}

#[test]
fn one_that_was_learnt_takes_the_place_of_the_farthest() {
    let (mut s, order) = begin(35, LookupKind::RouterInfo);
    drain(&mut s);
    let reach = distance(&s.place, &order[1]);
    let closer = (100..=255).map(router).find(|r| distance(&s.place, r) < reach).unwrap();
    s.handle_input(after(1), In::Reply { from: order[1], peers: vec![closer] });
    // Nobody waits for this one, so nobody leaves the list for it.
    s.handle_input(after(1), In::Reply { from: order[1], peers: order[13..].to_vec() });
    assert_eq!(s.candidates.len(), 5 + SPARE);
    s.handle_input(after(2), In::Learned(closer));
    assert!(s.candidates.len() <= 5 + SPARE, "{}", s.candidates.len());
    drain(&mut s);
    s.handle_input(after(3), In::SendFailed(order[0]));
    assert_eq!(asked(&drain(&mut s)), [closer]);
}

#[test]
fn it_ends_when_enough_were_asked_or_nobody_can_be() {
    let (mut s, order) = begin(20, LookupKind::LeaseSet);
    for from in &order[..5] {
        drain(&mut s);
        s.handle_input(after(1), In::Reply { from: *from, peers: vec![] });
    }
    assert_eq!(steps_of(&mut s), [Out::Finished(Outcome::NotFound)]);
    assert_eq!(s.stats().asked, 5);
    let (mut s, _) = begin(0, LookupKind::LeaseSet);
    assert_eq!(steps_of(&mut s), [Out::Finished(Outcome::NotFound)]);
}

#[test]
fn explorers_learn_whoever_is_named() {
    let (mut s, order) = begin(20, LookupKind::Exploratory);
    drain(&mut s);
    s.handle_input(after(1), In::Reply { from: order[0], peers: vec![router(200), router(201), OWN] });
    let learnt = drain(&mut s).into_iter().filter(|o| matches!(o, Out::Learn { .. })).count();
    assert_eq!(learnt, 2);
}

#[test]
fn a_crowd_of_strangers_around_a_key_is_not_asked_alone() {
    let key = NetDbKey([7; 32]);
    let place = routing_key(key, Day::of(start().wall));
    // The strangers are closer than any of those that were reached.
    let (all, order) = known(key, 40);
    assert_eq!(all.len(), 40);
    let strangers: RouterSet = order[..30].iter().copied().collect();
    let proven: RouterSet = order[30..].iter().copied().collect();
    let config = Config { max_asked: 6, ..Config::lookup(OWN) };
    let floodfills = Floodfills::new(proven.clone(), strangers);
    let mut s = Search::new(config, key, LookupKind::LeaseSet, &floodfills, start());
    let mut all = Vec::new();
    while s.poll_timeout().is_some() {
        let now_asked = asked(&drain(&mut s));
        for from in &now_asked {
            s.handle_input(after(1), In::Reply { from: *from, peers: order[..30].to_vec() });
        }
        all.extend(now_asked);
    }
    let met = all.iter().filter(|router| proven.contains(router)).count();
    assert_eq!((all.len(), met), (6, 3));
    assert_eq!(all[1], proven.closest(&place).next().unwrap());
}

#[test]
fn who_does_not_answer_and_who_does_is_said() {
    let (mut s, order) = begin(20, LookupKind::LeaseSet);
    drain(&mut s);
    s.handle_input(after(1), In::Reply { from: order[0], peers: Vec::new() });
    assert!(drain(&mut s).contains(&Out::Answered(order[0])));
    s.handle_timeout(after(5));
    assert!(drain(&mut s).contains(&Out::Silent(order[1])));
}

#[derive(Clone, Debug)]
enum Step {
    Reply(u8, Vec<u8>),
    Failed(u8),
    Learned(u8),
    NotLearned(u8),
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..16)).prop_map(|(f, p)| Step::Reply(f, p)),
        any::<u8>().prop_map(Step::Failed),
        any::<u8>().prop_map(Step::Learned),
        any::<u8>().prop_map(Step::NotLearned),
        (0u8..8).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn whatever_happens_nobody_is_asked_twice_and_the_search_ends_in_time(steps in steps(), n in 0u8..40) {
        let (mut s, _) = begin(n, LookupKind::RouterInfo);
        let (mut now, mut asked, mut learning, mut finished) = (start(), Vec::new(), 0, 0);
        let mut check = |s: &mut Search| {
            for out in drain(s) {
                match out {
                    Out::Ask { floodfill, exclude } => {
                        assert!(!asked.contains(&floodfill) && floodfill != OWN && exclude.len() < 5);
                        asked.push(floodfill);
                    }
                    Out::Learn { .. } => learning += 1,
                    Out::Finished(_) => finished += 1,
                    Out::Answered(router) | Out::Silent(router) => assert!(asked.contains(&router)),
                }
            }
            assert!(asked.len() <= 5 && s.pending.len() <= 2 && learning <= MAX_LEARNING);
            assert!(s.candidates.len() <= 5 + SPARE);
            assert_eq!(finished == 1, s.poll_timeout().is_none());
        };
        check(&mut s);
        for step in steps {
            match step {
                // Mostly from those that may have been asked.
                Step::Reply(from, peers) => {
                    let peers = peers.into_iter().map(router).collect();
                    s.handle_input(now, In::Reply { from: router(from % 40), peers });
                }
                Step::Failed(r) => s.handle_input(now, In::SendFailed(router(r % 40))),
                Step::Learned(r) => s.handle_input(now, In::Learned(router(r))),
                Step::NotLearned(r) => s.handle_input(now, In::NotLearned(router(r))),
                Step::Wait(secs) => {
                    now = now.plus(Duration::from_secs(u64::from(secs)));
                    s.handle_timeout(now);
                }
            }
            check(&mut s);
        }
        s.handle_timeout(after(1000));
        check(&mut s);
        prop_assert_eq!(s.poll_timeout(), None);
    }
}
