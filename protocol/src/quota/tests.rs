use super::*;
use crate::id::RouterHash;
use proptest::prelude::*;

const WINDOW: Duration = Duration::from_secs(10);

fn quota(total: f32, each: f32) -> Quota {
    Quota::new(Config { window: WINDOW, total, each: [each, 2.0 * each, 4.0 * each] }, [1, 2, 3, 4])
}

fn router(n: u32, ip: [u8; 4]) -> Bearer {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    Bearer::session(RouterHash(hash), Some(ip.into()), false)
}

fn at(millis: u64) -> Mono {
    Duration::from_millis(millis)
}

#[test]
fn one_source_has_its_limit_and_the_next_its_own_and_use_fades() {
    let mut q = quota(1000.0, 10.0);
    let (one, other) = (router(1, [1, 1, 1, 1]), router(2, [2, 2, 2, 2]));
    let taken = |q: &mut Quota, who, now| (0..100).filter(|_| q.take(who, 1.0, now)).count();
    assert_eq!(taken(&mut q, &one, at(0)), 10);
    assert_eq!(taken(&mut q, &other, at(0)), 10);
    assert_eq!(taken(&mut q, &one, at(10_000)), 6, "a third is left after a window");
    assert_eq!(q.refused(), 90 + 90 + 94);
}

#[test]
fn many_names_in_one_network_have_the_limit_of_the_network() {
    let mut q = quota(1000.0, 10.0);
    let taken = (0..100).filter(|n| q.take(&router(*n, [1, 1, 1, *n as u8]), 1.0, at(0))).count();
    assert_eq!(taken, 20, "of one /24");
    let taken = (0..100).filter(|n| q.take(&router(1000 + *n, [1, 1, 2 + *n as u8, 1]), 1.0, at(0))).count();
    assert_eq!(taken, 20, "and forty of one /16");
}

#[test]
fn a_crowd_that_wants_all_leaves_room_for_who_wants_little() {
    let mut q = quota(1000.0, 1_000_000.0);
    let mut served = 0;
    for step in 0..600 {
        let now = at(step * 100);
        // Two hundred routers in as many networks, each of which wants a fifth of all that there is.
        for n in 0..200 {
            let _ = (0..20).all(|_| q.take(&router(n, [100, n as u8, 1, 1]), 1.0, now));
        }
        // One that wants two in a window, a little less than the half has for each. The first rush may have all for a moment.
        if step % 50 == 0 && step > 0 {
            served += usize::from(q.take(&router(9999, [50, 1, 1, 1]), 1.0, now));
        }
    }
    assert_eq!(served, 11, "it is always served");
}

#[test]
fn without_pressure_nobody_is_held_to_a_fair_part() {
    let mut q = quota(1000.0, 400.0);
    for n in 0..100 {
        assert!(q.take(&router(n, [100, n as u8, 1, 1]), 1.0, at(0)));
    }
    let busy = router(500, [60, 1, 1, 1]);
    let taken = (0..1000).filter(|_| q.take(&busy, 1.0, at(1))).count();
    assert_eq!(taken, 400);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn never_more_than_there_is_and_never_more_than_its_limit_for_anyone(
        asks in prop::collection::vec((0u32..40, 1u8..20, 0u64..3000), 1..600)
    ) {
        let mut q = quota(200.0, 50.0);
        let (mut now, mut spent) = (0, Vec::new());
        for (who, amount, wait) in asks {
            now += wait;
            let amount = f32::from(amount);
            if q.take(&router(who, [who as u8 / 8, 1, 1, 1]), amount, at(now)) {
                spent.push((now, who, amount));
            }
            let faded = |filter: &dyn Fn(u32) -> bool| -> f32 {
                spent.iter().filter(|(_, who, _)| filter(*who))
                    .map(|(t, _, a)| a * (-((now - t) as f32) / 10_000.0).exp()).sum()
            };
            prop_assert!(faded(&|_| true) <= 200.0 * 1.001);
            prop_assert!(faded(&|w| w == who) <= 50.0 * 1.001);
            prop_assert!(faded(&|w| w / 8 == who / 8) <= 100.0 * 1.001, "of its near network");
        }
    }
}
