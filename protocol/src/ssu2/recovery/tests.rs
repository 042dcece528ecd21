//! Tests of loss detection.

use super::*;

const MS: Duration = Duration::from_millis(1);
const PACKET: Outgoing = Outgoing { size: 1000, eliciting: true, probe: false };

fn content(n: u64) -> Content {
    Content { item: n, fragment: 0 }
}

/// A session that has sent `count` packets, a millisecond apart, each with its number as its content.
fn sent(count: u64) -> Recovery {
    let mut r = Recovery::new(0, 100 * MS, Mono::ZERO);
    for n in 0..count {
        r.note(content(n));
        r.on_sent(PACKET, MS * n as u32);
    }
    r
}

fn ack(r: &mut Recovery, through: u32, acks: u8, now: Mono) -> (Acked, Vec<u64>) {
    let mut items = Vec::new();
    let acked = r.on_ack(&Ack { through, acks, pairs: &[] }, now, |c| items.push(c.item)).unwrap();
    (acked, items)
}

fn detect(r: &mut Recovery, now: Mono) -> Vec<u64> {
    let mut items = Vec::new();
    let losses = r.detect(now, |c| items.push(c.item));
    assert_eq!(losses.packets, items.len() as u64);
    items
}

#[test]
fn what_three_later_packets_overtook_is_lost_and_counts_no_more() {
    let mut r = sent(6);
    assert_eq!(r.in_flight(), 6000);
    let (acked, items) = ack(&mut r, 4, 0, 100 * MS);
    assert_eq!((acked.packets, acked.bytes, acked.sampled, items), (1, 1000, true, vec![4]));
    assert_eq!(detect(&mut r, 100 * MS), [0, 1]);
    assert_eq!(r.in_flight(), 3000);
    assert_eq!(r.deadline(), Some(r.loss_time.unwrap()));
    assert_eq!(detect(&mut r, 200 * MS), [2, 3], "by time");
    assert_eq!(detect(&mut r, 900 * MS), [0; 0], "nothing later than 5 has arrived");
}

#[test]
fn a_late_ack_is_told_apart_and_makes_us_more_patient() {
    let mut r = sent(10);
    ack(&mut r, 6, 0, 100 * MS);
    assert_eq!(detect(&mut r, 100 * MS), [0, 1, 2, 3]);
    let (acked, items) = ack(&mut r, 6, 5, 101 * MS);
    assert_eq!((acked.spurious, acked.packets, acked.bytes), (3, 5, 2000));
    assert_eq!(items, [5, 4, 3, 2, 1]);
    assert_eq!(r.reordering, 6);
}

#[test]
fn an_ack_of_what_was_not_sent_changes_nothing() {
    let mut r = sent(3);
    assert_eq!(r.on_ack(&Ack { through: 3, acks: 3, pairs: &[] }, MS, |_| panic!()), Err(Unsent));
    assert_eq!(r.in_flight(), 3000);
    assert_eq!(ack(&mut r, 2, 255, MS).0.packets, 3);
}

#[test]
fn silence_brings_probes_that_come_less_and_less_often() {
    let mut r = sent(3);
    let mut again = Vec::new();
    let first = r.deadline().unwrap();
    assert_eq!(first, 2 * MS + r.rtt.timeout());
    r.on_timeout(2, first, |c| again.push(c.item));
    assert_eq!(again, [0, 1]);
    assert_eq!(r.deadline().unwrap() - first, r.rtt.timeout() * 2);
    assert_eq!(r.silence(first), first);
    for _ in 0..40 {
        let now = r.deadline().unwrap();
        r.on_timeout(2, now, |_| ());
        assert!(r.deadline().unwrap() - now <= MAX_TIMEOUT);
    }
    assert_eq!(r.in_flight(), 3000, "nothing was declared lost");
}

#[test]
fn packets_that_want_no_ack_count_for_nothing_and_a_lost_probe_is_no_loss() {
    let mut r = sent(1);
    r.on_sent(Outgoing { eliciting: false, ..PACKET }, MS);
    r.on_sent(Outgoing { size: 1472, probe: true, ..PACKET }, MS);
    for n in 3..8 {
        r.note(content(n));
        r.on_sent(PACKET, MS);
    }
    assert_eq!(r.in_flight(), 7472);
    ack(&mut r, 7, 4, 50 * MS);
    let mut items = Vec::new();
    let losses = r.detect(50 * MS, |c| items.push(c.item));
    assert_eq!((losses.packets, losses.probe, losses.largest_size, items), (1, true, 1000, vec![0]));
    assert_eq!(r.in_flight(), 0);
    r.shrink(Mono::from_secs(9));
    assert_eq!((r.packets.len(), r.contents.len(), r.next_number()), (0, 0, 8));
}

#[test]
fn a_session_that_sends_nothing_but_acks_holds_none_of_them() {
    let mut r = sent(2);
    ack(&mut r, 1, 0, MS);
    for n in 0..10_000 {
        r.on_sent(Outgoing { eliciting: false, ..PACKET }, MS * n);
        detect(&mut r, MS * n);
    }
    assert_eq!((r.packets.len(), r.next_number(), r.in_flight()), (0, 10_002, 0));
}

#[test]
fn contents_stay_with_their_packets_while_others_are_forgotten() {
    let mut r = Recovery::new(7, 100 * MS, Mono::ZERO);
    let mut expected = Vec::new();
    for n in 0..100_u32 {
        for c in 0..n % 4 {
            r.note(content(u64::from(n * 10 + c)));
            expected.push(u64::from(n * 10 + c));
        }
        r.on_sent(PACKET, MS * n);
    }
    let mut items = Vec::new();
    for n in 0..100 {
        let (_, mut more) = ack(&mut r, 7 + n, 0, 200 * MS);
        items.append(&mut more);
        detect(&mut r, 200 * MS);
    }
    assert_eq!(items, expected);
    assert_eq!((r.in_flight(), r.packets.len(), r.contents.len()), (0, 0, 0));
}
