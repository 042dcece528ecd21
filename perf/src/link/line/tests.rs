use super::*;

const MS: Duration = Duration::from_millis(1);

fn line(conditions: &str) -> Line {
    Line::new(conditions.parse().unwrap(), 7)
}

/// Sends `count` packets of 1,000 bytes `pace` apart. Returns when each came out, and its number.
fn send(line: &mut Line, count: u32, pace: Duration) -> Vec<(Duration, u32)> {
    let mut out = Vec::new();
    let mut packet = vec![0; 1000];
    for n in 0..count {
        let now = pace * n;
        drain(line, now, &mut out);
        packet[..4].copy_from_slice(&n.to_be_bytes());
        line.handle_input(now, &packet);
    }
    drain(line, Duration::MAX, &mut out);
    out
}

/// Takes what comes out until `until`, each at its time.
fn drain(line: &mut Line, until: Duration, out: &mut Vec<(Duration, u32)>) {
    while let Some(due) = line.poll_timeout().filter(|due| *due <= until) {
        let packet = line.poll_output(due).unwrap();
        out.push((due, u32::from_be_bytes(packet[..4].try_into().unwrap())));
    }
}

fn numbers(out: &[(Duration, u32)]) -> Vec<u32> {
    out.iter().map(|(_, n)| *n).collect()
}

#[test]
fn a_plain_wire_hands_on_at_once_and_in_order() {
    let mut wire = line("");
    let out = send(&mut wire, 5, MS);
    assert_eq!(out, (0..5).map(|n| (MS * n, n)).collect::<Vec<_>>());
    assert_eq!(wire.counts(), Counts { taken: 5, delivered: 5, bytes: 5000, ..Counts::default() });
}

#[test]
fn nothing_comes_before_its_delay() {
    let mut far = line("delay=25ms");
    far.handle_input(MS, b"packet");
    assert_eq!(far.poll_timeout(), Some(MS * 26));
    assert_eq!(far.poll_output(MS * 26 - Duration::from_nanos(1)), None);
    assert_eq!(far.poll_output(MS * 26), Some(b"packet".as_slice()));
    assert_eq!(far.poll_timeout(), None);
}

#[test]
fn packets_go_at_the_rate_and_those_that_would_wait_too_long_are_dropped() {
    let mut slow = line("rate=1MB/s,queue=3ms,delay=10ms");
    let out = send(&mut slow, 10, Duration::ZERO);
    // The first goes at once, and the one that waits for 3 ms is the last.
    assert_eq!(out, (0..4).map(|n| (MS * (11 + n), n)).collect::<Vec<_>>());
    assert_eq!(slow.counts().overflowed, 6);
    let mut slow = line("rate=1MB/s,queue=3ms");
    assert_eq!(send(&mut slow, 1000, MS).len(), 1000, "at the rate none is dropped");
}

#[test]
fn jitter_delays_differently_and_keeps_the_order() {
    let close = send(&mut line("delay=10ms,jitter=8ms"), 1000, MS);
    assert_eq!(numbers(&close), (0..1000).collect::<Vec<_>>());
    let apart = send(&mut line("delay=10ms,jitter=8ms"), 1000, MS * 20);
    let delays: Vec<_> = apart.iter().map(|(at, n)| *at - MS * 20 * *n).collect();
    assert!(delays.iter().all(|delay| (MS * 10..MS * 18).contains(delay)));
    assert!(delays.iter().any(|delay| *delay < MS * 11) && delays.iter().any(|delay| *delay > MS * 17));
}

#[test]
fn about_the_share_that_was_ordered_is_lost_doubled_and_late() {
    let mut bad = line("loss=10%,duplicate=5%,reorder=20%,late=5ms");
    let out = send(&mut bad, 10_000, MS);
    let counts = bad.counts();
    assert!((900..1100).contains(&counts.lost), "{counts}");
    assert!((400..500).contains(&counts.duplicated), "{counts}");
    assert!((1700..1900).contains(&counts.reordered), "{counts}");
    assert_eq!(counts.delivered, counts.taken - counts.lost + counts.duplicated);
    assert_eq!(counts.delivered, out.len() as u64);
    let late = out.iter().filter(|(at, n)| *at == MS * (*n + 5)).count();
    assert!(late as u64 >= counts.reordered);
    assert!(numbers(&out).windows(2).any(|pair| pair[0] > pair[1]), "some are overtaken");
}

#[test]
fn the_same_seed_does_the_same() {
    let conditions = "loss=10%,duplicate=5%,reorder=20%,jitter=3ms".parse().unwrap();
    let run = |seed| send(&mut Line::new(conditions, seed), 500, MS);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn what_one_condition_decides_does_not_depend_on_the_others() {
    let lost = |conditions: &str| numbers(&send(&mut line(conditions), 500, MS));
    assert_eq!(lost("loss=10%"), lost("loss=10%,jitter=3ms,delay=20ms"));
}

#[test]
fn larger_packets_than_the_line_takes_vanish() {
    let mut narrow = line("mtu=999");
    assert!(send(&mut narrow, 3, MS).is_empty());
    assert_eq!(narrow.counts().oversized, 3);
}

#[test]
fn a_line_without_end_holds_no_more_than_a_bound() {
    let mut endless = line("delay=3600000ms");
    (0..MOST + 10).for_each(|_| endless.handle_input(MS, b"x"));
    assert_eq!(endless.counts().overflowed, 10);
}
