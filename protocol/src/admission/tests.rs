//! Admission under the loads that it is for.

use super::*;

const CONFIG: Config = Config { max_tunnels: 1000, share: 10_000_000, line: 20_000_000 };

fn admission() -> Admission {
    Admission::new(CONFIG, [7; 32], Mono::ZERO)
}

fn hash(n: usize) -> RouterHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    RouterHash(bytes)
}

fn request(previous: usize, next: usize) -> Request {
    let (previous, next) = (Some(hash(previous)), Some(hash(next)));
    Request { previous, next, bandwidth: Bandwidth::default(), source: Source { router: previous, ip: None } }
}

/// From a router that is there.
fn from(router: usize, ip: [u8; 4], next: usize) -> Request {
    let source = Source { router: Some(hash(router)), ip: Some(ip.into()) };
    Request { source, ..request(router, next) }
}

fn taken(a: &mut Admission, requests: impl Iterator<Item = Request>) -> usize {
    requests.filter(|request| matches!(a.decide(request, Mono::ZERO), Verdict::Accept { .. })).count()
}

#[test]
fn tunnels_are_taken_up_to_the_limit_and_again_when_some_have_ended() {
    let mut a = admission();
    let mut accepted = 0;
    for n in 0..5000 {
        accepted += usize::from(matches!(a.decide(&request(n, n + 1), Mono::ZERO), Verdict::Accept { .. }));
    }
    assert!((900..=1000).contains(&accepted), "{accepted}");
    assert_eq!(a.tunnels(), accepted);
    for n in 0..5000 {
        // Whoever has none gives none back.
        if a.by_source.contains_key(&hash(n)) {
            a.ended(&request(n, n + 1).source, None);
        }
    }
    assert!(a.by_source.is_empty());
    assert_eq!((a.tunnels(), a.promised()), (0, 0));
    assert_eq!(a.decide(&request(1, 2), Mono::ZERO), Verdict::Accept { promised: None });
}

#[test]
fn a_neighbour_that_takes_more_than_its_part_is_refused_and_then_dropped() {
    let mut a = admission();
    for n in 0..100 {
        assert_eq!(a.decide(&request(n, 1000 + n), Mono::ZERO), Verdict::Accept { promised: None });
    }
    let greedy: Vec<Verdict> = (0..60).map(|n| a.decide(&request(5000, 2000 + n), Mono::ZERO)).collect();
    let taken = greedy.iter().filter(|v| matches!(v, Verdict::Accept { .. })).count();
    assert!(taken <= CONFIG.max_tunnels / PEER_PARTS, "{taken}");
    assert!(greedy.contains(&Verdict::Refuse(Reason::PreviousHop)));
    assert_eq!(greedy.last(), Some(&Verdict::Drop(Reason::PreviousHop)));
    // In the next span it begins anew.
    assert_eq!(a.decide(&request(5000, 1), NEIGHBOUR_SPAN), Verdict::Accept { promised: None });
}

#[test]
fn in_a_small_network_few_neighbours_may_have_many_tunnels() {
    let mut a = admission();
    for n in 0..400 {
        assert_eq!(a.decide(&request(n % 3, 3 + n % 3), Mono::ZERO), Verdict::Accept { promised: None }, "{n}");
    }
}

#[test]
fn a_promise_keeps_to_the_share_and_a_minimum_that_cannot_be_met_is_refused() {
    let mut a = admission();
    let ask =
        |minimum, requested| Request { bandwidth: Bandwidth { minimum, requested, limit: None }, ..Request::default() };
    assert_eq!(a.decide(&ask(Some(501), None), Mono::ZERO), Verdict::Refuse(Reason::Minimum));
    assert_eq!(a.decide(&ask(Some(50), Some(1000)), Mono::ZERO), Verdict::Accept { promised: Some(200) });
    assert_eq!(a.decide(&ask(None, Some(300)), Mono::ZERO), Verdict::Accept { promised: Some(300) });
    for _ in 0..900 {
        a.decide(&ask(Some(100), None), Mono::ZERO);
    }
    assert!(a.promised() <= CONFIG.share);
}

/// A line in use by this part, for so many seconds.
fn pass(a: &mut Admission, share: f64, seconds: usize) {
    for _ in 0..seconds {
        a.sample((CONFIG.line as f64 * share) as u64, 0, 0.0);
    }
}

#[test]
fn congestion_follows_minutes_and_falls_with_a_distance() {
    let mut a = admission();
    let at = |a: &mut Admission, share: f64| {
        pass(a, share, 3000);
        a.congestion()
    };
    assert_eq!(at(&mut a, 0.65), Congestion::None);
    assert_eq!(at(&mut a, 0.72), Congestion::D);
    assert_eq!(at(&mut a, 0.62), Congestion::D);
    assert_eq!(at(&mut a, 0.95), Congestion::E);
    assert_eq!(at(&mut a, 0.85), Congestion::E);
    assert_eq!(at(&mut a, 0.75), Congestion::D);
    assert_eq!(at(&mut a, 0.5), Congestion::None);
    assert_eq!(at(&mut a, 1.01), Congestion::E, "some tunnels end in every second");
    assert_eq!(a.decide(&request(1, 2), Mono::ZERO), Verdict::Refuse(Reason::Bandwidth));
}

#[test]
fn a_burst_of_seconds_is_refused_and_not_published() {
    let mut a = admission();
    pass(&mut a, 1.2, 45);
    assert_eq!(
        (a.decide(&request(1, 2), Mono::ZERO), a.congestion()),
        (Verdict::Refuse(Reason::Bandwidth), Congestion::None)
    );
}

#[test]
fn a_busy_processor_is_a_load_as_a_full_line_is() {
    let mut a = admission();
    for _ in 0..3000 {
        a.sample(0, 0, 1.0);
    }
    assert_eq!(a.congestion(), Congestion::E);
    let taken =
        (0..1000).filter(|n| matches!(a.decide(&request(*n, n + 5000), Mono::ZERO), Verdict::Accept { .. })).count();
    assert!(taken < 10, "{taken}");
}

#[test]
fn who_drains_refuses_and_does_not_publish_it_and_who_takes_nobody_says_so() {
    let mut a = admission();
    a.drain();
    assert_eq!(a.congestion(), Congestion::None);
    assert_eq!(a.decide(&request(1, 2), Mono::ZERO), Verdict::Refuse(Reason::Draining));
    let mut a = admission();
    a.set_config(Config { max_tunnels: 0, ..CONFIG });
    assert_eq!(a.congestion(), Congestion::G);
    a.set_config(CONFIG);
    assert_eq!(a.congestion(), Congestion::None);
}

#[test]
fn a_flood_of_requests_from_one_peer_is_cut_and_others_are_served() {
    let mut a = admission();
    let second = |ms: u64| Duration::from_millis(ms);
    let opened = (0..10_000).filter(|ms| a.may_open(Some(hash(1)), second(*ms))).count();
    assert!((386..=406).contains(&opened), "burst and ten seconds: {opened}");
    assert!(a.may_open(Some(hash(2)), second(10_000)));
    let tracked = (0..40_000).filter(|n| a.may_open(Some(hash(*n)), second(10_000))).count();
    assert!(tracked <= MAX_TRACKED && a.buckets.len() <= MAX_TRACKED);
    assert!(a.may_open(Some(hash(50_000)), second(20_000)), "full buckets make room in time");
}

/// With a thousand honest neighbours an average says nothing any more: a hundred and fifty routers took all that was left.
#[test]
fn near_the_limit_a_crowd_from_one_network_has_its_share_and_newcomers_are_served() {
    let mut a = Admission::new(Config { max_tunnels: 10_000, ..CONFIG }, [7; 32], Mono::ZERO);
    let honest = |n: usize| from(n, [(n % 200) as u8, (n / 200) as u8, 1, 1], 100_000 + n);
    assert_eq!(taken(&mut a, (0..5000).map(honest)), 5000);
    let one = taken(&mut a, (0..1000).map(|n| from(90_000, [250, 1, 1, 1], 200_000 + n)));
    assert!(one <= 156, "one router: {one}");
    let crowd = taken(&mut a, (0..10_000).map(|n| from(91_000 + n % 300, [250, 1, 2, (n % 250) as u8], 300_000 + n)));
    assert!(one + crowd <= 625, "one network: {one} + {crowd}");
    assert_eq!(taken(&mut a, (5000..5100).map(honest)), 100);
    let refused = a.decide(&from(92_000, [250, 1, 9, 9], 1), Mono::ZERO);
    assert_eq!(refused, Verdict::Refuse(Reason::NetworkShare));
}

#[test]
fn requests_that_nobody_is_known_to_have_sent_are_those_of_one_peer() {
    let mut a = admission();
    assert_eq!(taken(&mut a, (1..=500).map(|n| request(n, 1000 + n))), 500);
    let hidden = |n: usize| Request { previous: None, source: Source::default(), ..request(n, 5000 + n) };
    assert_eq!(taken(&mut a, (0..500).map(hidden)), 1000 / PEER_PARTS);
    assert_eq!(a.decide(&hidden(1), Mono::ZERO), Verdict::Refuse(Reason::PeerShare));
    let opened = (0..10_000).filter(|ms| a.may_open(None, Duration::from_millis(*ms))).count();
    assert!((386..=406).contains(&opened), "{opened}");
}

/// Builds with a large wish whose next hop nobody can reach reserved all there was for eleven minutes.
#[test]
fn a_promise_of_which_nobody_makes_use_is_given_back_and_the_tunnel_stays() {
    let mut a = admission();
    let ask =
        Request { bandwidth: Bandwidth { minimum: None, requested: Some(500), limit: None }, ..Request::default() };
    let Verdict::Accept { promised: Some(promised) } = a.decide(&ask, Mono::ZERO) else { panic!() };
    assert_eq!(a.promised(), u64::from(promised) * 1000);
    a.give_back(Some(promised));
    assert_eq!((a.promised(), a.tunnels()), (USUAL_USE, 1));
    a.ended(&ask.source, None);
    assert_eq!((a.promised(), a.tunnels()), (0, 0));
}

/// The limit of a neighbour follows an average, which whoever names a new next hop with each request can make as low as he likes.
#[test]
fn while_there_are_few_tunnels_nobody_can_have_the_neighbours_of_others_refused() {
    let mut a = admission();
    taken(&mut a, (0..20).map(|n| request(1, 5000 + n)));
    assert_eq!(taken(&mut a, (0..30).map(|n| request(100 + n % 3, 200 + n % 2))), 30);
}

/// Hundreds that call once each made the average one, and a neighbour who had built for a minute was refused.
#[test]
fn a_crowd_that_calls_once_each_or_names_a_new_next_hop_each_time_takes_nothing_from_others() {
    let mut a = Admission::new(Config { max_tunnels: 10_000, ..CONFIG }, [7; 32], Mono::ZERO);
    assert_eq!(taken(&mut a, (0..2000).map(|n| request(10_000 + n, 20_000 + n))), 2000);
    assert_eq!(taken(&mut a, (0..600).map(|n| request(1 + n % 9, 1 + (n + 1) % 9))), 600);
}

#[test]
fn nobody_alone_can_have_the_tunnels_of_others_to_a_router_refused() {
    let mut a = Admission::new(Config { max_tunnels: 10_000, ..CONFIG }, [7; 32], Mono::ZERO);
    taken(&mut a, (0..2000).map(|n| request(10_000 + n, 20_000 + n)));
    taken(&mut a, (0..5000).map(|_| request(5000, 7)));
    assert_eq!(taken(&mut a, (0..100).map(|n| request(100 + n % 10, 7))), 100);
}
