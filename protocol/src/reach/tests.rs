//! A router in the world, in virtual time: its machine, its gateway, its peers, and those of them that lie.

use super::*;
use crate::id::RouterHash;
use proptest::prelude::*;

fn at(secs: u64) -> Mono {
    Duration::from_secs(secs)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A peer in its own /16.
fn peer(network: u8) -> IpAddr {
    IpAddr::from([60, network, 1, 1])
}

fn offer(listen: &[&str], publish: Publish) -> Option<Offer> {
    Some(Offer { listen: listen.iter().map(|text| socket(text)).collect(), publish })
}

fn interfaces(addresses: &[&str]) -> Interfaces {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
    let source = [true, false].map(|v4| addresses.iter().find(|ip| ip.is_ipv4() == v4).copied());
    Interfaces { addresses, source }
}

/// A router that listens everywhere.
fn router(publish: Publish, addresses: &[&str]) -> Reachability {
    let everywhere = ["0.0.0.0:20003", "[::]:20003"];
    let (ntcp2, ssu2) = (offer(&everywhere, publish.clone()), offer(&everywhere, publish));
    Reachability::new(Config { ntcp2, ssu2, ..Config::default() }, interfaces(addresses), at(0))
}

fn fixed(text: &str) -> Publish {
    Publish::Fixed(vec![socket(text)])
}

fn v4(machine: &Reachability) -> &Family {
    machine.view().family(true)
}

fn sees(machine: &mut Reachability, now: Mono, networks: std::ops::Range<u8>, address: &str) {
    networks.for_each(|n| machine.handle_input(now, In::Seen { by: peer(n), at: socket(address) }));
}

/// The tests of whatever is the candidate now come to a verdict.
fn tested(machine: &mut Reachability, now: Mono, status: Status) {
    let address = v4(machine).address.unwrap().ssu2.unwrap();
    machine.handle_input(now, In::Tested { address, status });
}

fn outputs(machine: &mut Reachability) -> Vec<Out> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn pass(machine: &mut Reachability, from: u64, to: u64) -> Vec<Out> {
    let mut all = Vec::new();
    for now in from..=to {
        machine.handle_timeout(at(now));
        all.extend(outputs(machine));
    }
    all
}

#[test]
fn a_public_address_of_an_interface_is_published_at_once_and_called_from() {
    let machine = router(Publish::Auto, &["203.0.114.5", "10.0.0.1"]);
    let family = v4(&machine);
    assert_eq!((&family.ntcp2[..], &family.ssu2[..]), (&[socket("203.0.114.5:20003")][..], &family.ntcp2[..]));
    assert_eq!((family.call_from, family.usable), (Some(ip("203.0.114.5")), true));
    assert!(!machine.view().family(false).usable, "it has no IPv6");
}

#[test]
fn an_address_that_is_on_no_interface_is_published_and_not_called_from() {
    let machine = router(fixed("203.0.114.5:20003"), &["10.0.0.1"]);
    assert_eq!((v4(&machine).ntcp2.len(), v4(&machine).call_from), (1, None));
    let machine = router(fixed("203.0.114.5:20003"), &["10.0.0.1", "203.0.114.5"]);
    assert_eq!(v4(&machine).call_from, Some(ip("203.0.114.5")));
}

#[test]
fn who_listens_at_one_address_calls_from_it_and_who_listens_at_two_from_the_published_one() {
    let two = ["10.0.0.1:9", "10.0.0.2:9"];
    for (listen, publish, expected) in [
        (&two[..1], Publish::Auto, "10.0.0.1"),
        (&two[..], Publish::Auto, "10.0.0.1"),
        (&two[..], fixed("10.0.0.2:9"), "10.0.0.2"),
    ] {
        let config = Config { ntcp2: offer(listen, publish), private: true, ..Config::default() };
        let machine = Reachability::new(config, interfaces(&["10.0.0.1", "10.0.0.2"]), at(0));
        assert_eq!(v4(&machine).call_from, Some(ip(expected)));
    }
}

#[test]
fn behind_a_one_to_one_nat_what_peers_see_is_published_once_they_have_tested_it() {
    let mut machine = router(Publish::Auto, &["10.0.0.1"]);
    assert!(v4(&machine).ssu2.is_empty() && v4(&machine).usable);
    sees(&mut machine, at(1), 1..4, "203.0.114.5:20003");
    assert!(v4(&machine).ssu2.is_empty(), "it may be a NAT that lets nobody in");
    tested(&mut machine, at(60), Status::Ok);
    assert_eq!((v4(&machine).ssu2[0], v4(&machine).ntcp2[0]), (socket("203.0.114.5:20003"), v4(&machine).ssu2[0]));
    assert_eq!(v4(&machine).address.unwrap().source, Source::Peers);
}

#[test]
fn a_forwarded_port_is_found_though_the_nat_calls_from_another() {
    let mut machine = router(Publish::Auto, &["10.0.0.1"]);
    sees(&mut machine, at(1), 1..4, "203.0.114.5:31007");
    assert_eq!(v4(&machine).address.unwrap().ssu2, Some(socket("203.0.114.5:31007")));
    tested(&mut machine, at(60), Status::Firewalled);
    assert_eq!(v4(&machine).address.unwrap().ssu2, Some(socket("203.0.114.5:20003")));
    tested(&mut machine, at(120), Status::Ok);
    assert_eq!(v4(&machine).ntcp2, [socket("203.0.114.5:20003")]);
}

#[test]
fn behind_a_nat_that_lets_nobody_in_nothing_is_published_and_the_kind_of_nat_is_known() {
    let mut machine = router(Publish::Auto, &["10.0.0.1"]);
    sees(&mut machine, at(1), 1..4, "203.0.114.5:31007");
    tested(&mut machine, at(60), Status::Firewalled);
    tested(&mut machine, at(120), Status::SymmetricNat);
    assert_eq!((v4(&machine).status, v4(&machine).ssu2.len()), (Status::Firewalled, 0));
    let introducer = Introducer { router: RouterHash([1; 32]), tag: 7, expires: None };
    machine.handle_input(at(130), In::Introducers { v4: true, introducers: vec![introducer] });
    assert_eq!(v4(&machine).introducers, [introducer]);
}

#[test]
fn three_networks_must_agree_and_all_of_one_network_have_one_voice() {
    let mut machine = router(Publish::Auto, &["10.0.0.1"]);
    for host in 1..200 {
        machine.handle_input(at(1), In::Seen { by: IpAddr::from([60, 1, 0, host]), at: socket("198.51.100.9:1") });
        machine.handle_input(at(1), In::Seen { by: IpAddr::from([60, 2, 0, host]), at: socket("45.1.1.1:20003") });
    }
    assert_eq!(v4(&machine).address, None);
    sees(&mut machine, at(2), 3..5, "203.0.114.5:20003");
    assert_eq!(v4(&machine).address, None, "two against one");
    sees(&mut machine, at(3), 5..6, "203.0.114.5:20003");
    assert_eq!(v4(&machine).address.unwrap().ssu2, Some(socket("203.0.114.5:20003")));
}

#[test]
fn liars_take_no_address_from_us_that_is_on_an_interface() {
    let mut machine = router(Publish::Auto, &["203.0.114.5"]);
    tested(&mut machine, at(10), Status::Ok);
    let before = v4(&machine).ssu2.clone();
    sees(&mut machine, at(20), 1..12, "45.1.1.1:20003");
    assert_eq!(v4(&machine).ssu2, before);
    let told = pass(&mut machine, 21, 21 + 400).into_iter().filter(|o| *o == Out::SeenElsewhere { v4: true }).count();
    assert_eq!(told, 1, "the operator should look");
}

#[test]
fn a_published_address_that_stops_working_is_withdrawn_and_comes_back() {
    for publish in [Publish::Auto, fixed("203.0.114.5:20003")] {
        let mut machine = router(publish, &["203.0.114.5"]);
        tested(&mut machine, at(10), Status::Ok);
        assert_eq!(v4(&machine).ssu2.len(), 1);
        tested(&mut machine, at(1000), Status::Firewalled);
        assert_eq!((v4(&machine).ssu2.len(), v4(&machine).ntcp2.len()), (0, 0));
        assert!(!machine.view().is_reachable() && v4(&machine).address.is_some(), "it is tested on");
        tested(&mut machine, at(1300), Status::Ok);
        assert_eq!(v4(&machine).ssu2, [socket("203.0.114.5:20003")]);
    }
}

#[test]
fn testers_that_lie_do_not_hide_a_router_that_strangers_call() {
    let mut machine = router(Publish::Auto, &["203.0.114.5"]);
    let called = |machine: &mut Reachability, now, n| {
        for transport in Transport::ALL {
            machine.handle_input(now, In::Called { transport, by: peer(n) });
        }
    };
    called(&mut machine, at(100), 1);
    called(&mut machine, at(101), 2);
    tested(&mut machine, at(110), Status::Firewalled);
    assert_eq!(v4(&machine).ssu2.len(), 1);
    pass(&mut machine, 111, 300);
    assert_eq!(v4(&machine).ssu2.len(), 0, "nobody calls any more, so the tests were right");
}

#[test]
fn who_is_called_by_one_network_alone_is_not_reachable_for_that() {
    let mut machine = router(Publish::Auto, &["203.0.114.5"]);
    for host in 1..50 {
        let by = IpAddr::from([60, 1, 0, host]);
        machine.handle_input(at(100), In::Called { transport: Transport::Ssu2, by });
    }
    tested(&mut machine, at(110), Status::Firewalled);
    assert_eq!(v4(&machine).ssu2.len(), 0);
}

#[test]
fn an_address_where_nobody_calls_is_tested_within_minutes() {
    let mut machine = router(Publish::Auto, &["203.0.114.5"]);
    let tests = |all: Vec<Out>| all.into_iter().filter(|out| *out == Out::Test { v4: true }).count();
    assert_eq!(tests(pass(&mut machine, 1, 239)), 0);
    assert_eq!(tests(pass(&mut machine, 240, 270)), 1);
    assert_eq!(tests(pass(&mut machine, 271, 479)), 0, "once asked for, it takes its time");
    for n in 0..10 {
        machine.handle_input(at(470), In::Called { transport: Transport::Ssu2, by: peer(n) });
    }
    assert_eq!(tests(pass(&mut machine, 480, 700)), 0, "it is called");
}

#[test]
fn a_gateways_mapping_is_published_at_once_and_goes_with_it() {
    let mut machine = router(Publish::Auto, &["192.168.1.7"]);
    for (transport, port) in [(Transport::Ntcp2, 1234), (Transport::Ssu2, 1235)] {
        let external = SocketAddr::new(ip("203.0.114.5"), port);
        machine.handle_input(at(5), In::Mapped(transport, Mapping { external, by: Gateway::Upnp }));
    }
    assert_eq!((v4(&machine).ntcp2[0].port(), v4(&machine).ssu2[0].port()), (1234, 1235));
    assert_eq!(v4(&machine).address.unwrap().source, Source::Gateway(Gateway::Upnp));
    for transport in Transport::ALL {
        machine.handle_input(at(50), In::Unmapped { transport, v4: true });
    }
    assert!(!machine.view().is_reachable());
}

#[test]
fn a_gateway_behind_another_nat_is_passed_over() {
    let mut machine = router(Publish::Auto, &["192.168.1.7"]);
    for external in ["10.9.9.9:5", "100.64.1.1:5"] {
        let mapping = Mapping { external: socket(external), by: Gateway::NatPmp };
        machine.handle_input(at(5), In::Mapped(Transport::Ssu2, mapping));
        assert_eq!(v4(&machine).address, None);
    }
}

#[test]
fn a_mapping_that_does_not_work_gives_way_to_what_peers_see() {
    let mut machine = router(Publish::Auto, &["192.168.1.7"]);
    let mapping = Mapping { external: socket("203.0.114.5:20003"), by: Gateway::Pcp };
    machine.handle_input(at(5), In::Mapped(Transport::Ssu2, mapping));
    tested(&mut machine, at(60), Status::Firewalled);
    sees(&mut machine, at(70), 1..4, "203.0.115.6:20003");
    assert_eq!(v4(&machine).address.unwrap().ssu2, Some(socket("203.0.115.6:20003")));
}

#[test]
fn another_address_of_the_machine_is_published_at_once() {
    let mut machine = router(Publish::Auto, &["203.0.114.5"]);
    tested(&mut machine, at(10), Status::Ok);
    machine.handle_input(at(20), In::Interfaces(interfaces(&["203.0.114.77", "2a01::5"])));
    assert_eq!((v4(&machine).ssu2[0].ip(), v4(&machine).call_from), (ip("203.0.114.77"), Some(ip("203.0.114.77"))));
    assert_eq!(machine.view().family(false).ssu2, [socket("[2a01::5]:20003")]);
    machine.handle_input(at(30), In::Interfaces(Interfaces::default()));
    assert!(!v4(&machine).usable && !machine.view().is_reachable());
}

#[test]
fn a_new_address_behind_a_nat_is_found_though_many_saw_the_old_one() {
    let mut machine = router(Publish::Auto, &["10.0.0.1"]);
    sees(&mut machine, at(1), 1..12, "203.0.114.5:20003");
    tested(&mut machine, at(60), Status::Ok);
    sees(&mut machine, at(500), 20..23, "203.0.114.99:20003");
    assert_eq!(v4(&machine).address.unwrap().ssu2, Some(socket("203.0.114.99:20003")));
    assert!(v4(&machine).ssu2.is_empty(), "it has not been tested");
    tested(&mut machine, at(560), Status::Ok);
    assert_eq!(v4(&machine).ssu2[0].ip(), ip("203.0.114.99"));
}

#[test]
fn who_is_to_publish_nothing_or_to_hide_does_not() {
    let mut machine = router(Publish::Nothing, &["203.0.114.5"]);
    tested(&mut machine, at(10), Status::Ok);
    assert!(!machine.view().is_reachable());
    let config = Config { ssu2: offer(&["0.0.0.0:9"], fixed("203.0.114.5:9")), hidden: true, ..Config::default() };
    let machine = Reachability::new(config, interfaces(&["203.0.114.5"]), at(0));
    assert!(!machine.view().is_reachable() && v4(&machine).address.is_none() && machine.view().hidden);
}

#[test]
fn a_machine_without_ipv4_is_of_ipv6_alone_and_one_without_a_way_to_it_of_ipv4() {
    let machine = router(Publish::Auto, &["2a01::5"]);
    assert_eq!([true, false].map(|v4| machine.view().family(v4).usable), [false, true]);
    // The interface has an address, and no route leads out.
    let mut machine = router(Publish::Auto, &["203.0.114.5", "2a01::5"]);
    let mut without = interfaces(&["203.0.114.5", "2a01::5"]);
    without.source[1] = None;
    machine.handle_input(at(1), In::Interfaces(without));
    assert_eq!([true, false].map(|v4| machine.view().family(v4).usable), [true, false]);
}

#[test]
fn a_bad_candidate_has_another_chance_after_a_while() {
    let mut machine = router(Publish::Auto, &["203.0.114.5"]);
    sees(&mut machine, at(1), 1..4, "203.0.115.6:20003");
    tested(&mut machine, at(60), Status::Firewalled);
    assert_eq!(v4(&machine).address.unwrap().source, Source::Peers);
    sees(&mut machine, at(60 + 1750), 1..4, "203.0.115.6:20003");
    pass(&mut machine, 61, 60 + 1900);
    assert_eq!(v4(&machine).address.unwrap().source, Source::Interface);
    assert!(v4(&machine).ssu2.is_empty(), "until it is tested it is as bad as before");
}

fn inputs() -> impl Strategy<Value = In> {
    let address = (0..4_u8, 1..3_u16).prop_map(|(n, port)| SocketAddr::from(([203, 0, 114, n], port)));
    let v6 = (0..3_u16, 1..3_u16).prop_map(|(n, port)| SocketAddr::from(([0x2a01, 0, 0, 0, 0, 0, 0, n], port)));
    let found = prop_oneof![address, v6];
    let status = (0..4_usize).prop_map(|n| [Status::Unknown, Status::Ok, Status::Firewalled, Status::SymmetricNat][n]);
    let transport = any::<bool>().prop_map(|b| if b { Transport::Ntcp2 } else { Transport::Ssu2 });
    let gateway = Gateway::NatPmp;
    prop_oneof![
        (any::<u8>(), found.clone()).prop_map(|(n, at)| In::Seen { by: peer(n % 9), at }),
        (found.clone(), status).prop_map(|(address, status)| In::Tested { address, status }),
        (transport.clone(), found.clone())
            .prop_map(move |(t, external)| In::Mapped(t, Mapping { external, by: gateway })),
        (transport.clone(), any::<bool>()).prop_map(|(transport, v4)| In::Unmapped { transport, v4 }),
        (transport, any::<u8>()).prop_map(|(transport, n)| In::Called { transport, by: peer(n) }),
        proptest::collection::vec(found, 0..4).prop_map(|all| {
            let addresses: Vec<IpAddr> = all.iter().map(SocketAddr::ip).collect();
            let source = [true, false].map(|v4| addresses.iter().find(|ip| ip.is_ipv4() == v4).copied());
            In::Interfaces(Interfaces { addresses, source })
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_said_nothing_is_published_that_nobody_vouches_for(
        steps in proptest::collection::vec((inputs(), 0..200_u64), 0..80),
    ) {
        let mut machine = router(Publish::Auto, &["10.0.0.1"]);
        let mut now = 0;
        for (input, wait) in steps {
            now += wait;
            machine.handle_input(at(now), input);
            machine.handle_timeout(at(now));
            outputs(&mut machine);
            let evidence = machine.evidence();
            for (n, family) in machine.view().families.iter().enumerate() {
                for address in family.ssu2.iter().chain(&family.ntcp2) {
                    let on_interface = evidence.interfaces.addresses.contains(&address.ip());
                    let mapped = evidence.families[n].mappings.iter().flatten().any(|m| m.external == *address);
                    let tested = family.status == Status::Ok;
                    prop_assert!(on_interface || mapped || tested, "{address}");
                    prop_assert!(address.port() != 0 && family.usable);
                }
                prop_assert!(family.call_from.is_none_or(|ip| evidence.interfaces.addresses.contains(&ip)));
                prop_assert!(evidence.families[n].tests.len() <= VERDICTS && evidence.families[n].seen.len() <= 12);
            }
        }
    }
}

#[test]
fn in_a_private_network_a_private_address_is_published_unless_a_nat_stands_before_it() {
    let everywhere = offer(&["0.0.0.0:9"], Publish::Auto);
    let config = Config { ssu2: everywhere, private: true, ..Config::default() };
    let alone = Interfaces { addresses: vec![ip("127.0.0.1"), ip("10.3.0.1")], source: [None, None] };
    let machine = Reachability::new(config.clone(), alone, at(0));
    assert_eq!((v4(&machine).ssu2[0], v4(&machine).usable), (socket("10.3.0.1:9"), true));
    let mut machine = Reachability::new(config, interfaces(&["192.168.1.2"]), at(0));
    assert!(v4(&machine).ssu2.is_empty() && v4(&machine).usable);
    sees(&mut machine, at(1), 1..3, "10.9.0.1:9");
    tested(&mut machine, at(60), Status::Ok);
    assert_eq!(v4(&machine).ssu2, [socket("10.9.0.1:9")], "two peers are enough where there may be few");
}
