use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

const SECOND: Duration = Duration::from_secs(1);

fn start() -> Now {
    Now { mono: SECOND, wall: Wall::from_secs(1_790_000_000) }
}

fn filter(max: usize) -> Duplicates {
    Duplicates::new(max, [1, 2])
}

#[test]
fn a_message_is_remembered_for_as_long_as_it_could_be_taken_and_then_forgotten() {
    for ahead in [0, 8, 60, 240] {
        let (mut filter, end) = (filter(1000), start().wall.plus(SECOND * ahead));
        assert!(filter.insert(MessageId(7), end, start()));
        for later in 0..=ahead + 60 {
            assert!(
                !filter.insert(MessageId(7), end, start().plus(SECOND * later)),
                "{ahead} s ahead, {later} s later"
            );
        }
        assert_eq!(filter.stats().repeated, u64::from(ahead) + 61);
        assert!(!filter.insert(MessageId(7), end, start().plus(SECOND * (ahead + 61))), "it has expired");
        assert_eq!(filter.stats().outside, 1);
        filter.expire(start().plus(SECOND * (ahead + 61 + WIDTH)));
        assert_eq!((filter.len(), filter.memory()), (0, 0), "{ahead} s ahead");
    }
}

#[test]
fn another_expiration_or_another_id_is_another_message() {
    let (mut filter, end) = (filter(1000), start().wall.plus(SECOND));
    assert!(filter.insert(MessageId(7), end, start()));
    assert!(filter.insert(MessageId(7), end.plus(SECOND), start()));
    assert!(filter.insert(MessageId(8), end, start()));
    assert_eq!(filter.stats(), Stats { fresh: 3, ..Stats::default() });
}

#[test]
fn what_is_not_fresh_is_not_remembered() {
    let mut filter = filter(1000);
    for wall in [Wall(0), start().wall.minus(SECOND * 61), start().wall.plus(SECOND * 241), Wall(u64::MAX)] {
        assert!(!filter.insert(MessageId(7), wall, start()));
    }
    assert_eq!((filter.stats().outside, filter.memory()), (4, 0));
}

#[test]
fn many_messages_are_all_remembered_at_five_to_ten_bytes_each() {
    let mut filter = filter(4_000_000);
    let end = |id: u32| start().wall.plus(SECOND * (8 + id % 2));
    assert!((0..1_000_000).all(|id| filter.insert(MessageId(id), end(id), start())));
    assert!((0..1_000_000).all(|id| !filter.insert(MessageId(id), end(id), start())));
    assert_eq!(filter.stats(), Stats { fresh: 1_000_000, repeated: 1_000_000, ..Stats::default() });
    assert!(filter.memory() < 10_500_000, "{} bytes", filter.memory());
}

#[test]
fn at_the_limit_what_ends_first_is_forgotten_first_and_counted() {
    let mut filter = filter(40_000);
    let end = |ahead: u32| start().wall.plus(SECOND * ahead);
    for id in 0..1000 {
        assert!(filter.insert(MessageId(id), end(0), start()) && filter.insert(MessageId(id), end(200), start()));
    }
    let mut id = 1000;
    while filter.stats().forgotten_early == 0 {
        assert!(filter.insert(MessageId(id), end(100), start()));
        id += 1;
    }
    assert!(id > 15_000, "{id}");
    assert_eq!(filter.stats().forgotten_early, 1000);
    assert!((0..1000).all(|id| !filter.insert(MessageId(id), end(200), start())), "these end later");
    assert!((0..1000).all(|id| filter.insert(MessageId(id), end(0), start())), "these were forgotten");
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut filter = filter(10_000);
    let mut most = 0;
    for id in 0..200_000_u32 {
        let ahead = if id < 100_000 { 0 } else { (id.wrapping_mul(2_654_435_761) >> 16) % 240 };
        let end = start().wall.plus(SECOND * ahead);
        assert!(filter.insert(MessageId(id), end, start()));
        most = most.max(filter.memory());
    }
    let stats = filter.stats();
    assert!(most < 10_000 * 5 + 21 * 128, "{most} bytes");
    assert_eq!(stats.forgotten_early, 200_000 - filter.len());
}

proptest! {
    #[test]
    fn below_its_limit_it_is_as_good_as_a_list_of_all_messages(
        steps in prop::collection::vec((0_u64..3000, 0_u32..40, 0_u64..320), 1..400)
    ) {
        let (mut filter, mut seen, mut now) = (filter(1_000_000), HashSet::new(), start());
        for (pause, id, at) in steps {
            now = now.plus(Duration::from_millis(pause));
            // In whole seconds, as links carry it.
            let end = Wall::from_secs(now.wall.secs() - 70 + at as u32);
            let expected = freshness(end, now.wall) == Freshness::Fresh && seen.insert((id, end));
            prop_assert_eq!(filter.insert(MessageId(id), end, now), expected);
        }
        prop_assert!(filter.memory() < 400 * 3000);
    }
}
