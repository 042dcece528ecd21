use super::*;
use crate::data::router_address::RouterAddressBuf;
use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
use crate::data::router_keys::RouterKeys;
use crate::time::Wall;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: u32 = 1_790_000_000;
const ALL: Abilities = Abilities { ntcp2: true, ssu2: true, v4: true, v6: true, private: true, ssu2_first: false };
const KEY: PublicKey = PublicKey([7; 32]);

fn router(addresses: Vec<RouterAddressBuf>) -> RouterInfo {
    let keys = RouterKeys::generate(&mut ChaCha20Rng::seed_from_u64(7));
    let mut builder = RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR"));
    builder.addresses = addresses;
    builder.sign(&keys, Wall::from_secs(NOW)).unwrap()
}

fn ntcp2(at: &str) -> RouterAddressBuf {
    RouterAddressBuf::ntcp2(at.parse().unwrap(), &KEY, &[9; 16])
}

fn ssu2(at: &str) -> RouterAddressBuf {
    RouterAddressBuf::ssu2(at.parse().unwrap(), &KEY, &[3; 32], "BC", 1500)
}

fn order(info: &RouterInfo, abilities: Abilities, history: &DialHistory, now: Mono) -> Vec<(Transport, String)> {
    let place = |call: &Call| match call {
        Call::Ntcp2 { addr, .. } | Call::Ssu2 { addr: Some(addr), .. } => addr.ip().to_string(),
        Call::Ssu2 { addr: None, introducers, .. } => format!("{} introducers", introducers.len()),
    };
    calls(info, &abilities, history, now, NOW).iter().map(|call| (call.transport(), place(call))).collect()
}

fn said(order: &[(Transport, String)]) -> Vec<(Transport, &str)> {
    order.iter().map(|(transport, place)| (*transport, place.as_str())).collect()
}

#[test]
fn tcp_goes_first_and_only_what_both_sides_can_do() {
    let info = router(vec![ssu2("10.0.0.1:1"), ssu2("[2a01::1]:1"), ntcp2("[2a01::1]:1"), ntcp2("10.0.0.1:1")]);
    let (none, now) = (DialHistory::default(), Mono::ZERO);
    let all = order(&info, ALL, &none, now);
    let (tcp, udp) = (Transport::Ntcp2, Transport::Ssu2);
    assert_eq!(said(&all), [(tcp, "10.0.0.1"), (tcp, "2a01::1"), (udp, "10.0.0.1"), (udp, "2a01::1")]);
    assert_eq!(said(&order(&info, Abilities { ntcp2: false, v6: false, ..ALL }, &none, now)), [(udp, "10.0.0.1")]);
    let first = order(&info, Abilities { v6: false, ssu2_first: true, ..ALL }, &none, now);
    assert_eq!(said(&first), [(udp, "10.0.0.1"), (tcp, "10.0.0.1")], "while we do not know who can call us");
    let public = order(&info, Abilities { private: false, ..ALL }, &none, now);
    assert_eq!(said(&public), [(tcp, "2a01::1"), (udp, "2a01::1")]);
    assert!(order(&info, Abilities { v4: false, v6: false, ..ALL }, &none, now).is_empty());
}

#[test]
fn a_router_behind_a_nat_is_called_by_way_of_introducers_that_are_still_good() {
    let introducers = [(1, NOW + 60), (2, NOW - 1)].map(|(n, at)| Introducer {
        router: RouterHash([n; 32]),
        tag: 5,
        expires: Some(at),
    });
    let hidden = RouterAddressBuf::ssu2_unpublished(&KEY, &[3; 32], "4", &introducers);
    let info = router(vec![hidden]);
    let (none, now) = (DialHistory::default(), Mono::ZERO);
    assert_eq!(said(&order(&info, ALL, &none, now)), [(Transport::Ssu2, "1 introducers")]);
    assert!(order(&info, Abilities { v4: false, ..ALL }, &none, now).is_empty(), "it has IPv4 only");
    let nobody = router(vec![RouterAddressBuf::ssu2_unpublished(&KEY, &[3; 32], "4", &introducers[1..])]);
    assert!(order(&nobody, ALL, &none, now).is_empty());
}

#[test]
fn a_transport_that_failed_rests_longer_each_time_and_is_the_last_resort_then() {
    let info = router(vec![ntcp2("10.0.0.1:1"), ssu2("10.0.0.1:1")]);
    let (tcp, udp) = (Transport::Ntcp2, Transport::Ssu2);
    let mut history = DialHistory::default();
    let at = Mono::from_secs(10);
    history.failed(info.hash(), tcp, at);
    assert_eq!(said(&order(&info, ALL, &history, at)), [(udp, "10.0.0.1")], "TCP rests");
    let later = at + REST;
    assert_eq!(said(&order(&info, ALL, &history, later)), [(udp, "10.0.0.1"), (tcp, "10.0.0.1")]);
    history.failed(info.hash(), udp, later);
    history.failed(info.hash(), tcp, later);
    let both = order(&info, ALL, &history, later);
    assert_eq!(said(&both), [(udp, "10.0.0.1"), (tcp, "10.0.0.1")], "both rest, so both may be tried");
    assert_eq!(said(&order(&info, ALL, &history, later + REST)), [(udp, "10.0.0.1")], "TCP rests twice as long");
    history.worked(&info.hash(), tcp);
    assert_eq!(said(&order(&info, ALL, &history, later)), [(tcp, "10.0.0.1")]);
    history.worked(&info.hash(), udp);
    assert!(history.0.is_empty(), "nothing is kept of routers with whom all is well");
}

#[test]
fn the_history_is_bounded_and_the_newest_stay() {
    let mut history = DialHistory::default();
    let peer = |n: usize| RouterHash(std::array::from_fn(|i| (n >> (8 * (i % 8))) as u8));
    for n in 0..2 * REMEMBERED {
        history.failed(peer(n), Transport::Ssu2, Mono::from_millis(n as u64));
        assert!(history.0.len() <= REMEMBERED);
    }
    assert_eq!(history.failures(&peer(2 * REMEMBERED - 1), Transport::Ssu2), 1);
    assert_eq!(history.failures(&peer(0), Transport::Ssu2), 0);
}
