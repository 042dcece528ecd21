use super::*;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn router(n: u8) -> RouterHash {
    RouterHash([n; 32])
}

fn ip(n: u32) -> IpAddr {
    IpAddr::V4(n.into())
}

fn charge(weight: Weight) -> Charge {
    Charge { fault: Fault::PeerMisbehaved, weight, cause: "test" }
}

fn against(n: u8, weight: Weight) -> In {
    In::Charge { router: Some(router(n)), address: None, charge: charge(weight) }
}

fn from(n: u32, weight: Weight) -> In {
    In::Charge { router: None, address: Some(ip(n)), charge: charge(weight) }
}

fn drain(judge: &mut Judge) -> Vec<Out> {
    std::iter::from_fn(|| judge.poll_output()).collect()
}

/// Bans a router, lets the time pass, and returns how long the ban was.
fn one_ban(judge: &mut Judge, now: &mut Mono) -> Duration {
    judge.handle_input(*now, against(1, Weight::Forgery));
    let out = drain(judge);
    let [Out::Ban { who: Who::Router(_), until, reason: Some("test") }] = out[..] else { panic!("{out:?}") };
    assert_eq!(judge.poll_timeout(), Some(until));
    let ban = until - *now;
    judge.handle_timeout(until - Duration::from_nanos(1));
    assert_eq!(judge.poll_output(), None);
    *now = until;
    judge.handle_timeout(until);
    assert_eq!(drain(judge), [Out::Lift { who: Who::Router(router(1)) }]);
    assert_eq!(judge.poll_timeout(), None);
    ban
}

#[test]
fn a_few_breaches_in_a_short_time_lead_to_a_ban_and_the_same_over_hours_do_not() {
    let mut judge = Judge::new(Config::default());
    for n in 0..4 {
        judge.handle_input(MINUTE / 10 * n, against(1, Weight::Breach));
        assert_eq!(judge.poll_output(), None);
        judge.handle_input(HOUR * n, against(2, Weight::Breach));
        assert_eq!(judge.poll_output(), None);
    }
    let mut judge = Judge::new(Config::default());
    (0..6).for_each(|n| judge.handle_input(MINUTE / 10 * n, against(1, Weight::Breach)));
    assert!(matches!(drain(&mut judge)[..], [Out::Ban { reason: Some("test"), .. }]));
    assert_eq!(judge.stats().bans, [1, 0, 0]);
}

#[test]
fn an_honest_router_with_a_slip_a_minute_is_never_banned() {
    let mut judge = Judge::new(Config::default());
    for n in 0..24 * 60 {
        judge.handle_input(MINUTE * n, against(1, Weight::Slip));
        judge.handle_input(MINUTE * n, from(1, Weight::Slip));
    }
    assert_eq!((judge.poll_output(), judge.stats().charges), (None, [0, 2 * 24 * 60]));
}

#[test]
fn our_own_faults_and_what_weighs_nothing_never_count() {
    let mut judge = Judge::new(Config::default());
    for (fault, weight) in
        [(Fault::Local, Weight::Forgery), (Fault::Bug, Weight::Forgery), (Fault::PeerMisbehaved, Weight::Nothing)]
    {
        let charge = Charge { fault, weight, cause: "test" };
        let input = In::Charge { router: Some(router(1)), address: Some(ip(1)), charge };
        (0..1000).for_each(|_| judge.handle_input(MINUTE, input.clone()));
    }
    assert_eq!((judge.poll_output(), judge.suspects()), (None, [0; 3]));
    assert_eq!(judge.stats(), Stats { ours: 2000, ..Stats::default() });
}

#[test]
fn what_is_not_our_protocol_is_held_against_the_address_alone() {
    let mut judge = Judge::new(Config::default());
    let charge = Charge { fault: Fault::Malformed, weight: Weight::Slip, cause: "test" };
    let input = In::Charge { router: Some(router(1)), address: Some(ip(1)), charge };
    (0..200).for_each(|_| judge.handle_input(MINUTE, input.clone()));
    let out = drain(&mut judge);
    assert!(matches!(out[..], [Out::Ban { who: Who::Address(_), .. }]), "{out:?}");
    assert_eq!(judge.suspects(), [0, 1, 1]);
}

#[test]
fn each_ban_is_longer_up_to_a_day_and_a_quiet_day_makes_the_next_one_short_again() {
    let mut judge = Judge::new(Config::default());
    let mut now = MINUTE;
    let bans: Vec<_> = (0..6).map(|_| one_ban(&mut judge, &mut now).as_secs() / 60).collect();
    assert_eq!(bans, [10, 40, 160, 640, 1440, 1440]);
    now += 25 * HOUR;
    assert_eq!(one_ban(&mut judge, &mut now), 10 * MINUTE);
}

#[test]
fn who_is_banned_is_charged_with_nothing_more() {
    let mut judge = Judge::new(Config::default());
    (0..10).for_each(|_| judge.handle_input(MINUTE, against(1, Weight::Forgery)));
    assert_eq!(drain(&mut judge).len(), 1);
    let ban = Sentence { who: Who::Router(router(1)), until: 11 * MINUTE, bans: 1, reason: "test".into() };
    assert_eq!(judge.bans().collect::<Vec<_>>(), [ban]);
    judge.handle_input(11 * MINUTE, against(1, Weight::Breach));
    assert_eq!(drain(&mut judge), [Out::Lift { who: Who::Router(router(1)) }]);
}

#[test]
fn a_pardon_lifts_the_ban_and_forgets_what_led_to_it() {
    let mut judge = Judge::new(Config::default());
    judge.handle_input(MINUTE, against(1, Weight::Forgery));
    drain(&mut judge);
    judge.handle_input(MINUTE, In::Pardon(Who::Router(router(1))));
    assert_eq!(drain(&mut judge), [Out::Lift { who: Who::Router(router(1)) }]);
    judge.handle_input(MINUTE, In::Pardon(Who::Router(router(2))));
    assert_eq!((judge.poll_output(), judge.poll_timeout(), judge.suspects()), (None, None, [0; 3]));
    let mut now = MINUTE;
    assert_eq!(one_ban(&mut judge, &mut now), 10 * MINUTE);
}

#[test]
fn the_addresses_of_one_ipv6_network_are_one_and_private_networks_judge_none() {
    let two = |config| {
        let mut judge = Judge::new(config);
        for ip in ["2001:db8::1", "2001:db8::ffff:2"] {
            let address = Some(ip.parse().unwrap());
            judge.handle_input(MINUTE, In::Charge { router: None, address, charge: charge(Weight::Forgery) });
        }
        drain(&mut judge)
    };
    let net = Who::Address("2001:db8::".parse().unwrap());
    assert_eq!(two(Config::default()), [Out::Ban { who: net, until: 11 * MINUTE, reason: Some("test") }]);
    assert_eq!(two(Config { addresses: false, ..Config::default() }), []);
    assert_eq!(Who::address("::ffff:1.2.3.4".parse().unwrap()), Who::Address("1.2.3.4".parse().unwrap()));
}

#[test]
fn a_crowd_of_new_names_does_not_clear_an_old_one() {
    let mut judge = Judge::new(Config { max_suspects: 64, ..Config::default() });
    judge.handle_input(MINUTE, from(1, Weight::Forgery));
    for n in 2..100_000 {
        judge.handle_input(MINUTE, from(n, Weight::Slip));
        assert!(judge.suspects()[1] <= 64);
    }
    assert_eq!(judge.poll_output(), None);
    assert!(judge.stats().forgotten > 99_000);
    judge.handle_input(MINUTE, from(1, Weight::Forgery));
    assert_eq!(drain(&mut judge).len(), 1);
}

#[test]
fn when_too_many_are_banned_the_ban_that_ends_first_gives_way() {
    let mut judge = Judge::new(Config { max_suspects: 8, ..Config::default() });
    (1..=5).for_each(|n| judge.handle_input(MINUTE * n.into(), against(n, Weight::Forgery)));
    let lifted: Vec<_> = drain(&mut judge).into_iter().filter(|out| matches!(out, Out::Lift { .. })).collect();
    assert_eq!(lifted, [Out::Lift { who: Who::Router(router(1)) }]);
    assert_eq!((judge.bans().count(), judge.stats().displaced, judge.stats().bans), (4, 1, [5, 0, 0]));
}

#[test]
fn a_network_from_which_many_addresses_do_harm_is_banned_and_its_neighbour_is_not() {
    let mut judge = Judge::new(Config::default());
    (0..9).for_each(|n| judge.handle_input(MINUTE, from(0x0a00_0100 + n, Weight::Forgery)));
    judge.handle_input(MINUTE, from(0x0a00_0200, Weight::Forgery));
    let network = Who::network(ip(0x0a00_01ff));
    let bans: Vec<_> = judge.bans().map(|ban| ban.who).collect();
    assert_eq!(bans, [network]);
    assert_eq!(network.to_string(), "10.0.1.0/24");
}

#[test]
fn the_operator_bans_whom_he_will_for_as_long_as_he_will_and_may_change_it() {
    let mut judge = Judge::new(Config::default());
    let who = Who::Router(router(1));
    let ban = |until| In::Ban(Sentence { who, until, bans: 1, reason: "mine".into() });
    judge.handle_input(HOUR, ban(MINUTE));
    assert_eq!((judge.poll_output(), judge.poll_timeout()), (None, None), "it is over already");
    judge.handle_input(HOUR, ban(9 * HOUR));
    judge.handle_input(HOUR, ban(3 * HOUR));
    let told = |until| Out::Ban { who, until, reason: None };
    assert_eq!(drain(&mut judge), [told(9 * HOUR), told(3 * HOUR)]);
    assert_eq!((judge.bans().count(), judge.stats().bans), (1, [0; 3]));
    judge.handle_timeout(3 * HOUR);
    assert_eq!(drain(&mut judge), [Out::Lift { who }]);
    // What the network holds against him goes on from there.
    judge.handle_input(3 * HOUR, against(1, Weight::Forgery));
    assert_eq!(judge.bans().map(|ban| (ban.until, ban.bans)).collect::<Vec<_>>(), [(3 * HOUR + 40 * MINUTE, 2)]);
}

#[test]
fn whoever_can_be_banned_is_written_as_he_is_read() {
    for text in [&*router(7).to_base64(), "192.0.2.7", "192.0.2.0/24", "2001:db8::", "2001:db8:1::/48"] {
        assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
    }
    for text in ["", "x", "192.0.2.0/8", "2001:db8::/64", "192.0.2.300", "1.2.3.4/24/24"] {
        assert_eq!(text.parse::<Who>(), Err(Nobody), "{text}");
    }
}

/// Without any bound: all that was charged since the last ban, and the sum as it has faded.
#[derive(Default)]
struct Naive(std::collections::HashMap<Who, Vec<(Mono, f32)>>);

impl Naive {
    fn sum(&self, who: Who, now: Mono) -> f64 {
        let faded = |(at, points): &(Mono, f32)| {
            f64::from(*points) * (-(now - *at).as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
        };
        self.0.get(&who).map_or(0.0, |charges| charges.iter().map(faded).sum())
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Malformed), Just(Fault::PeerMisbehaved), Just(Fault::Local), Just(Fault::Bug)]
}

fn weight() -> impl Strategy<Value = Weight> {
    prop_oneof![Just(Weight::Nothing), Just(Weight::Slip), Just(Weight::Breach), Just(Weight::Forgery)]
}

proptest! {
    #[test]
    fn nobody_is_banned_without_the_points_for_it_and_memory_is_bounded(
        max in 4_usize..40,
        steps in prop::collection::vec((0_u64..120, 0_u8..20, 0_u32..20, fault(), weight()), 1..300),
    ) {
        let config = Config { max_suspects: max, network_threshold: f32::INFINITY, ..Config::default() };
        let (mut judge, mut naive, mut now) = (Judge::new(config), Naive::default(), MINUTE);
        let mut banned = std::collections::HashMap::new();
        for (wait, n, address, fault, weight) in steps {
            now += Duration::from_secs(wait);
            let charge = Charge { fault, weight, cause: "test" };
            judge.handle_input(now, In::Charge { router: Some(router(n)), address: Some(ip(address)), charge });
            let whos = match fault {
                Fault::PeerMisbehaved => vec![Who::Router(router(n)), Who::address(ip(address))],
                Fault::Malformed => vec![Who::address(ip(address))],
                Fault::Local | Fault::Bug => vec![],
            };
            let free = |who: &Who| banned.get(who).is_none_or(|until| *until <= now);
            for who in whos.into_iter().filter(free) {
                naive.0.entry(who).or_default().push((now, weight.points()));
            }
            for out in drain(&mut judge) {
                match out {
                    Out::Ban { who, until, .. } => {
                        let threshold = if matches!(who, Who::Router(_)) { 100.0 } else { 200.0 };
                        prop_assert!(naive.sum(who, now) > threshold - 0.1, "{who:?}: {}", naive.sum(who, now));
                        prop_assert!(until > now && until <= now + config.longest_ban);
                        prop_assert_eq!(banned.insert(who, until), None, "a second ban without a lift");
                        naive.0.remove(&who);
                    }
                    Out::Lift { who } => prop_assert!(banned.remove(&who).is_some()),
                }
            }
            prop_assert!(judge.suspects().into_iter().all(|n| n <= max));
            prop_assert!(banned.len() <= max);
            prop_assert_eq!(judge.bans().map(|ban| (ban.who, ban.until)).collect::<std::collections::HashMap<_, _>>(), banned.clone());
            // With room for all, whoever has the points is banned.
            if max >= 20 {
                for (who, threshold) in [(Who::Router(router(n)), 100.1), (Who::address(ip(address)), 200.1)] {
                    prop_assert!(naive.sum(who, now) < threshold || banned.contains_key(&who));
                }
            }
        }
    }
}
