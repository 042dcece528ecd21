//! What is lost, what is not, and what is sent again.

use super::*;

fn at(ms: u64) -> Mono {
    Duration::from_millis(ms)
}

fn half(packets: u64) -> SendHalf {
    let mut half = SendHalf::new(at(0), &Memory::new(usize::MAX), 128);
    for n in 0..packets {
        assert_eq!(u64::from(half.sent(at(n * 10), 0, Bytes::from_static(b"x"), 0, true)), n);
    }
    half
}

#[test]
fn what_has_come_is_gone_and_what_is_missing_is_sent_again_once() {
    let mut half = half(10);
    assert!(half.acked(at(300), 9, &[2, 5]));
    assert_eq!((half.delivered(), half.srtt()), (8 * 23, Some(at(210))));
    assert_eq!((half.lost.len(), half.unacked()), (1, 8), "packet 5 was sent too shortly before the last that came");
    assert_eq!(half.resend(at(310), 0).map(|(n, sent)| (n, sent.transmissions)), Some((2, 2)));
    assert!(half.resend(at(310), 0).is_none());
    assert!(!half.acked(at(311), 9, &[2, 5]) && !half.has_lost());
    half.acked(at(600), 9, &[]);
    assert!(half.is_empty() && half.first_lane().in_flight() == 0);
}

#[test]
fn acknowledgements_of_what_was_never_sent_and_of_the_past_change_nothing() {
    let mut half = half(5);
    for through in [5, 1000, u32::MAX, u32::MAX / 2] {
        assert!(!half.acked(at(100), through, &[]), "{through}");
    }
    half.acked(at(100), 2, &[]);
    assert!(!half.acked(at(110), 1, &[0, 1]));
    assert_eq!(half.unacked(), 2);
    half.acked(at(120), 4, &[7, 9, 0]);
    assert_eq!(half.unacked(), 0);
}

#[test]
fn after_a_silence_all_goes_out_again_in_its_order() {
    let mut half = half(3);
    assert_eq!(half.time_out(), 1);
    assert_eq!(half.first_lane().in_flight(), 0);
    assert_eq!(half.resend(at(900), 0).unwrap().0, 0);
    assert_eq!(half.time_out(), 2);
    let again: Vec<u32> = std::iter::from_fn(|| half.resend(at(2000), 0).map(|(n, _)| n)).collect();
    assert_eq!(again, [0, 1, 2]);
}

#[test]
fn what_was_sent_shortly_before_others_that_came_is_lost_a_round_trip_later_even_if_nothing_comes() {
    let mut half = half(10);
    assert!(half.acked(at(300), 9, &[2, 5, 8]) && half.resend(at(300), 0).is_some());
    assert!(!half.acked(at(301), 9, &[2, 5, 8]) && !half.has_lost());
    let late = half.late().unwrap();
    half.find_late(late - at(1));
    assert!(!half.has_lost());
    half.find_late(late);
    assert_eq!(
        (late, half.resend(late, 0).map(|(n, _)| n)),
        (Duration::from_micros(312_500), Some(5)),
        "a round trip, and a quarter"
    );
}

#[test]
fn what_was_sent_again_in_vain_does_not_make_all_behind_it_seem_overtaken() {
    let mut half = half(40);
    // One that was overtaken by others is sent again, and arrives only then.
    assert!(half.acked(at(300), 20, &[2]) && half.resend(at(400), 0).is_some());
    assert!(half.acked(at(410), 20, &[]));
    assert!(half.acked(at(420), 30, &[22, 29]));
    let lost: Vec<u32> = half.lost.iter().copied().collect();
    assert_eq!(lost, [22], "the youngest that came left at 300 ms, 10 ms after packet 29");
}

/// Two ways, the second far shorter than the first.
#[test]
fn what_comes_on_another_way_says_nothing_of_what_is_missing_on_this() {
    let mut half = half(0);
    assert_eq!(half.open_lane(at(0)), Some(1));
    for n in 0..10 {
        half.sent(at(n * 100), usize::from(n % 2 == 1), Bytes::from_static(b"x"), 0, true);
    }
    assert!(half.acked(at(950), 9, &[0, 2, 4, 6, 8]));
    assert!(!half.has_lost(), "they are on a longer way");
    assert!(half.acked(at(1500), 9, &[0, 2, 6, 8]) && half.has_lost(), "packet 0 was sent long before packet 4");
    assert_eq!(half.resend(at(1500), 1).map(|(n, sent)| (n, sent.last.lane)), Some((0, 1)));
    half.time_out_lane(0);
    let again: Vec<u32> = std::iter::from_fn(|| half.resend(at(1600), 1).map(|(n, _)| n)).collect();
    assert_eq!(again, [2, 6, 8], "what is on the other way is left alone");
    assert_eq!(half.lanes().iter().map(|lane| lane.in_flight()).collect::<Vec<_>>(), [0, 4 * 23]);
}
