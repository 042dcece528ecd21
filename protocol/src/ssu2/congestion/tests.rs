//! Tests of the window.

use super::*;

const PACKET: u64 = 1252;
const RTT: Duration = Duration::from_millis(50);

fn acked(sent: Mono) -> Delivered {
    Delivered { packets: 1, bytes: PACKET, sent }
}

/// A round trip in which the whole window is acknowledged.
fn round(c: &mut Cubic, now: &mut Mono, rtt: Duration) {
    let sent = *now;
    *now += rtt;
    for _ in 0..c.window() / PACKET {
        c.on_ack(acked(sent), &Rtt::new(rtt), true, *now);
    }
}

/// A path with a queue.
fn queueing() -> Rtt {
    let mut rtt = Rtt::new(RTT);
    (0..20).for_each(|_| rtt.sample(RTT * 2, Mono::ZERO));
    assert!(rtt.is_queueing());
    rtt
}

#[test]
fn slow_start_doubles_each_round_while_the_window_limits_us() {
    let (mut c, mut now) = (Cubic::new(PACKET), Mono::ZERO);
    round(&mut c, &mut now, RTT);
    assert_eq!(c.window(), 32 * PACKET);
    c.on_ack(acked(now), &Rtt::new(RTT), false, now);
    assert_eq!(c.window(), 32 * PACKET, "not limited by the window");
}

#[test]
fn a_loss_takes_three_tenths_once_per_round_trip_and_the_curve_returns() {
    let (mut c, mut now) = (Cubic::new(PACKET), Mono::from_secs(1));
    for _ in 0..4 {
        round(&mut c, &mut now, RTT);
    }
    let before = c.window();
    now += RTT;
    c.on_loss(1, now - RTT, &queueing(), now);
    c.on_loss(1, now - RTT / 2, &queueing(), now);
    assert_eq!(c.window(), (before as f64 * 0.7) as u64);
    let start = now;
    while c.window() < before {
        now += Duration::from_millis(1);
        round(&mut c, &mut now, RTT);
        assert!(now - start < Duration::from_secs(20));
    }
    let k = ((before as f64 * 0.3) / PACKET as f64 / C).cbrt();
    assert!((now - start).as_secs_f64() < k + 1.0);
}

#[test]
fn few_losses_without_a_queue_are_not_answered_and_many_are() {
    let (mut c, mut now) = (Cubic::new(PACKET), Mono::from_secs(1));
    for _ in 0..5 {
        round(&mut c, &mut now, RTT);
    }
    let before = c.window();
    let clear = Rtt::new(RTT);
    // One in a hundred for good, whatever the window.
    for _ in 0..1000 {
        now += RTT / 10;
        c.on_ack(Delivered { packets: 99, ..acked(now) }, &clear, false, now);
        c.on_loss(1, now, &clear, now);
    }
    assert_eq!(c.window(), before);
    c.on_loss(100, now, &clear, now);
    let after = c.window();
    assert!(after < before);
    now += RTT;
    c.on_loss(2, now, &clear, now);
    assert_eq!(c.window(), after, "what was answered is not answered again");
}

#[test]
fn a_reaction_to_losses_that_were_none_is_taken_back() {
    let (mut c, mut now) = (Cubic::new(PACKET), Mono::from_secs(1));
    for _ in 0..5 {
        round(&mut c, &mut now, RTT);
    }
    let before = c.window();
    c.on_loss(3, now, &queueing(), now);
    c.on_loss(2, now, &queueing(), now);
    c.on_spurious(4);
    assert!(c.window() < before);
    c.on_spurious(1);
    assert_eq!(c.window(), before);
    assert!(c.in_slow_start());
    c.on_loss(3, now + RTT, &queueing(), now + RTT);
    c.on_marked(now + RTT * 2, now + RTT * 2);
    let marked = c.window();
    c.on_spurious(3);
    assert_eq!(c.window(), marked, "a mark stands");
}

#[test]
fn slow_start_slows_down_when_round_trips_grow() {
    let (mut c, mut now) = (Cubic::new(PACKET), Mono::ZERO);
    for i in 0..3 {
        round(&mut c, &mut now, RTT + Duration::from_millis(i));
    }
    let before = c.window();
    for _ in 0..12 {
        round(&mut c, &mut now, RTT * 2);
    }
    assert!(c.window() > before);
    assert!(!c.in_slow_start());
}

#[test]
fn the_window_stays_between_its_limits() {
    let (mut c, mut now) = (Cubic::new(PACKET), Mono::ZERO);
    for _ in 0..100 {
        now += RTT;
        c.on_loss(1, now, &queueing(), now);
    }
    assert_eq!(c.window(), MIN_PACKETS * PACKET);
    let mut c = Cubic::new(PACKET);
    for _ in 0..20 {
        round(&mut c, &mut now, RTT);
    }
    assert_eq!(c.window(), MAX_WINDOW);
}
