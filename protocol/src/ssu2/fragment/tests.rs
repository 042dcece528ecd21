//! Tests of reassembly and of the filter of repeated messages.

use super::*;
use proptest::prelude::*;

const ID: MessageId = MessageId(7);

fn head(id: u32, body: &[u8]) -> I2np<'_> {
    I2np { kind: 1, id: MessageId(id), expiration: 9, body }
}

fn tail(id: u32, number: u8, last: bool, body: &[u8]) -> FollowOn<'_> {
    FollowOn { number, last, id: MessageId(id), body }
}

#[test]
fn a_message_is_whole_when_its_last_gap_is_filled() {
    let mut r = Reassembler::default();
    assert_eq!(r.follow_on(tail(7, 2, true, b"c"), Mono::ZERO), Ok(None));
    assert_eq!(r.first(head(7, b"a"), Mono::ZERO), Ok(None));
    assert_eq!(r.follow_on(tail(7, 2, true, b"c"), Mono::ZERO), Err(Refused::Duplicate));
    let whole = Whole { kind: 1, id: ID, expiration: 9, body: b"abc".to_vec() };
    assert_eq!(r.follow_on(tail(7, 1, false, b"b"), Mono::ZERO), Ok(Some(whole)));
    assert_eq!(r.bytes(), 0);
}

#[test]
fn fragments_that_cannot_be_are_refused() {
    let mut r = Reassembler::default();
    assert_eq!(r.follow_on(tail(7, 64, false, b"x"), Mono::ZERO), Err(Refused::TooMany));
    r.follow_on(tail(7, 3, true, b"x"), Mono::ZERO).unwrap();
    assert_eq!(r.follow_on(tail(7, 4, false, b"x"), Mono::ZERO), Err(Refused::Contradiction));
    assert_eq!(r.follow_on(tail(7, 2, true, b"x"), Mono::ZERO), Err(Refused::Contradiction));
    r.follow_on(tail(8, 5, false, b"x"), Mono::ZERO).unwrap();
    assert_eq!(r.follow_on(tail(8, 4, true, b"x"), Mono::ZERO), Err(Refused::Contradiction));
    assert_eq!(r.first(head(7, &vec![0; MAX_BODY]), Mono::ZERO), Err(Refused::TooLarge));
}

#[test]
fn memory_is_bounded_and_returned() {
    let mut r = Reassembler::default();
    for id in 0..1000 {
        r.first(head(id, &[0; 1000]), Mono::from_millis(id.into())).unwrap();
        for number in 2..40 {
            let _ = r.follow_on(tail(id, number, false, &[0; 1000]), Mono::from_millis(id.into()));
            assert!(r.bytes() <= MAX_BYTES && r.partial.len() <= MAX_MESSAGES);
        }
    }
    assert!(r.given_up > 900);
    let newest = Mono::from_millis(999);
    assert!(r.deadline().is_some_and(|d| d <= newest + LIFETIME));
    r.expire(newest + LIFETIME);
    assert_eq!((r.bytes(), r.partial.len(), r.given_up), (0, 0, 1000));
}

#[test]
fn a_message_is_known_again_and_memory_is_bounded() {
    let mut recent = Recent::default();
    assert!(recent.insert(ID, 5) && !recent.insert(ID, 5) && recent.insert(ID, 6));
    for id in 100..100_000 {
        assert!(recent.insert(MessageId(id), 5));
        assert!(!recent.insert(MessageId(id), 5));
    }
    assert_eq!(recent.buckets.len(), MAX_BUCKETS);
    let known = (98_000..100_000).filter(|id| !recent.insert(MessageId(*id), 5)).count();
    assert_eq!(known, 2000, "of the last two thousand");
    recent.clear();
    assert!(recent.buckets.is_empty() && recent.insert(ID, 5));
}

proptest! {
    #[test]
    fn any_order_gives_the_message(body in prop::collection::vec(any::<u8>(), 40..4000), order in Just((0..20_u8).collect::<Vec<_>>()).prop_shuffle()) {
        let size = body.len().div_ceil(20);
        let parts: Vec<&[u8]> = body.chunks(size).collect();
        let mut r = Reassembler::default();
        let mut whole = None;
        for n in order.into_iter().filter(|n| usize::from(*n) < parts.len()) {
            let (part, last) = (parts[usize::from(n)], usize::from(n) + 1 == parts.len());
            let done = if n == 0 { r.first(head(7, part), Mono::ZERO) } else { r.follow_on(tail(7, n, last, part), Mono::ZERO) };
            whole = whole.or(done.unwrap());
        }
        prop_assert_eq!(whole.unwrap().body, body);
        prop_assert_eq!(r.bytes(), 0);
    }
}
