//! Streams that may take several ways at once.

use super::*;

const SLOW: Path = Path { rate: 200e3, ..QUIET };

/// How long so many bytes take with these ways beside the first, and how many packets went by each.
fn transfer(len: usize, path: Path, beside: &[Path]) -> (f64, [u64; MOST_LANES]) {
    let mut pair = Pair::new(path, Config::default());
    pair.beside = beside.to_vec();
    (pair.transfer(len, 0).as_secs_f64(), pair.lanes)
}

#[test]
fn ways_that_are_slow_each_for_itself_are_taken_together() {
    let (alone, one) = transfer(40_000_000, SLOW, &[]);
    let (together, four) = transfer(40_000_000, SLOW, &[SLOW; 3]);
    assert!(together < alone * 0.6, "{together} s, {alone} s on one: {four:?}");
    assert!(four[..3].iter().all(|packets| *packets > 500), "{four:?}");
    assert!(one[2..] == [0, 0], "no more than one was tried where it is of no use: {one:?}");
}

#[test]
fn a_second_way_through_the_same_narrow_place_costs_nothing_worth_naming() {
    let (alone, lanes) = transfer(24_000_000, SLOW, &[]);
    // 120 seconds, and the beginning.
    assert!(alone < 130.0 && lanes[1] > 0, "{alone} s: {lanes:?}");
}

#[test]
fn ways_of_different_lengths_that_lose_and_overtake_carry_more_than_one() {
    let path = |ms, rate| Path {
        delay: Duration::from_millis(ms),
        jitter: Duration::from_millis(20),
        loss: 10,
        repeat: 5,
        rate,
    };
    let (alone, _) = transfer(20_000_000, path(150, 200e3), &[]);
    let (together, lanes) =
        transfer(20_000_000, path(150, 200e3), &[path(400, 300e3), path(50, 100e3), path(250, 200e3)]);
    assert!(together < alone * 0.65, "{together} s, {alone} s on one: {lanes:?}");
}

#[test]
fn a_way_that_dies_loses_nothing_and_holds_nobody_up() {
    for dead in 0..2 {
        let mut pair = Pair::new(SLOW, Config::default());
        pair.beside = vec![SLOW; 3];
        let id = pair.connect();
        pair.run(Duration::from_secs(2));
        let (other, data) = (pair.ends[1].accepted[0], vec![7; 1 << 20]);
        let mut bytes = Vec::new();
        let mut second = |pair: &mut Pair| {
            let before = bytes.len();
            for _ in 0..20 {
                pair.ends[0].streams.write(pair.now, id, &data);
                pair.run(Duration::from_millis(50));
                pair.read(1, other, &mut bytes);
            }
            bytes.len() - before
        };
        let grown: usize = (0..60).map(|_| second(&mut pair)).sum();
        assert!(grown > 60 * 300_000, "{grown}");
        let before: usize = (0..5).map(|_| second(&mut pair)).sum();
        pair.dead = Some(dead);
        let rates: Vec<usize> = (0..10).map(|_| second(&mut pair)).collect();
        assert!(before > 5 * 350_000, "{before}");
        // What was on the dead way comes by the others within seconds, and they go on.
        let after: usize = rates[4..].iter().sum();
        assert!(after > 6 * 150_000, "lane {dead}: {rates:?}");
        assert!(pair.ends[0].suspicions > 0);
    }
}
