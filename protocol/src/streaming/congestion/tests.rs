use super::*;

const RTT: Duration = Duration::from_millis(600);

/// A path of this rate and round trip: how much is delivered in so many seconds, with this share lost.
fn run(model: &mut Model, rate: f64, loss: f64, seconds: u64) -> f64 {
    run_over(model, rate, loss, (seconds, Duration::from_millis(1)), |_| RTT)
}

/// The same where the round trip changes with the time, looked at once in each step.
fn run_over(
    model: &mut Model,
    rate: f64,
    loss: f64,
    (seconds, step): (u64, Duration),
    trip: impl Fn(Mono) -> Duration,
) -> f64 {
    let (mut now, mut total, mut debt) = (Duration::ZERO, 0u64, 0.0);
    // When it is known, when it was sent, what had been delivered then, and whether it is lost.
    let mut ways: std::collections::VecDeque<(Mono, Mono, u64, bool)> = std::collections::VecDeque::new();
    let (mut in_flight, mut next, mut queue_free) = (0u64, Duration::ZERO, Duration::ZERO);
    let end = Duration::from_secs(seconds);
    while now < end {
        while ways.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, sent, prior, lost)) = ways.pop_front() else { break };
            in_flight -= PACKET;
            if lost {
                model.on_loss(sent, PACKET);
                continue;
            }
            total += PACKET;
            let delivered = Some((total - prior, now - sent));
            model.on_ack(&Ack {
                now,
                bytes: PACKET,
                rtt: Some(now - sent),
                delivered,
                prior,
                total,
                limited: true,
                in_flight,
            });
        }
        while in_flight + PACKET <= model.window() && next <= now {
            in_flight += PACKET;
            debt += loss;
            let lost = debt >= 1.0;
            debt -= if lost { 1.0 } else { 0.0 };
            // The bottleneck passes one after another.
            queue_free = queue_free.max(now) + Duration::from_secs_f64(PACKET as f64 / rate);
            ways.push_back((queue_free + trip(now), now, total, lost));
            let gap = model.pace().map_or(Duration::ZERO, |pace| Duration::from_secs_f64(PACKET as f64 / pace));
            next = next.max(now.saturating_sub(gap * 4)) + gap;
        }
        now += step;
    }
    total as f64 / seconds as f64
}

#[test]
fn a_far_path_is_filled_with_and_without_losses() {
    for (loss, share) in [(0.0, 0.8), (0.005, 0.8), (0.02, 0.75)] {
        let mut model = Model::new(4096);
        let rate = run(&mut model, 2e6, loss, 40);
        assert!(rate > share * 2e6, "{rate} at {loss}");
    }
}

#[test]
fn a_path_that_bears_ten_times_more_all_at_once_is_filled_within_thirty_round_trips() {
    let mut model = Model::new(8192);
    run(&mut model, 1e6, 0.0, 20);
    assert!(matches!(model.phase, Phase::Cruise { .. } | Phase::Empty { .. }));
    (model.round_end, model.answered) = (0, Duration::ZERO);
    run(&mut model, 1e7, 0.0, 18);
    assert!(model.rate() > 0.9 * 1e7, "{}", model.rate());
}

#[test]
fn a_receiver_that_holds_its_acknowledgements_back_is_sent_as_much_as_another() {
    // One millisecond away, and heard of every forty: what has come since then, in one lump.
    let (mut model, mut now, mut total, mut next) = (Model::new(128), Duration::ZERO, 0u64, Duration::ZERO);
    let mut flight: std::collections::VecDeque<(Mono, u64)> = std::collections::VecDeque::new();
    for step in 0..20_000u64 {
        now += Duration::from_micros(500);
        while (flight.len() as u64 + 1) * PACKET <= model.window() && next <= now {
            flight.push_back((now, total));
            let gap = model.pace().map_or(Duration::ZERO, |pace| Duration::from_secs_f64(PACKET as f64 / pace));
            next = next.max(now.saturating_sub(Duration::from_millis(5))) + gap;
        }
        // In the first moments each is acknowledged at once.
        let (come, hold) = (now.saturating_sub(Duration::from_millis(1)), if step < 50 { 1 } else { 80 });
        let lump = flight.iter().take_while(|(at, _)| *at <= come).count();
        if step % hold != 0 || lump == 0 {
            continue;
        }
        let (at, prior) = flight.drain(..lump).next_back().unwrap();
        let bytes = lump as u64 * PACKET;
        total += bytes;
        let delivered = Some((total - prior, now - at));
        let (rtt, in_flight) = (Some(now - at), flight.len() as u64 * PACKET);
        model.on_ack(&Ack { now, bytes, rtt, delivered, prior, total, limited: true, in_flight });
    }
    let rate = total as f64 / now.as_secs_f64();
    assert!(rate > 0.8 * 128.0 * PACKET as f64 / 0.04, "{rate}, window {}", model.window());
}

#[test]
fn one_packet_that_found_all_hops_awake_does_not_hold_a_stream_down() {
    let mut model = Model::new(4096);
    let trip = |now: Mono| Duration::from_micros(if now < Duration::from_millis(2) { 1200 } else { 7000 });
    let rate = run_over(&mut model, 2e7, 0.0, (3, Duration::from_micros(100)), trip);
    assert!(rate > 0.8 * 2e7, "{rate}");
}

#[test]
fn the_queue_of_startup_is_emptied_for_a_few_rounds_also_where_the_round_trip_grows_meanwhile() {
    let mut model = Model::new(4096);
    let trip = |now: Mono| Duration::from_millis(if now < Duration::from_millis(250) { 50 } else { 300 });
    run_over(&mut model, 1e7, 0.0, (3, Duration::from_millis(1)), trip);
    assert!(model.is_settled(), "{:?}", model.phase);
}

#[test]
fn what_waits_at_the_bottleneck_is_no_more_than_a_round_trip() {
    let mut model = Model::new(4096);
    run(&mut model, 1e6, 0.0, 30);
    let product = 1e6 * 0.6;
    assert!((model.window() as f64) < 3.0 * product, "{}", model.window());
}

/// The bottleneck serves in turns, so that the rate seems higher than it is now and then, and the queue never empties by itself.
#[test]
fn a_queue_of_our_own_is_not_taken_for_the_length_of_the_path() {
    let mut model = Model::new(4096);
    let (rate, trip, turn) = (2e5, Duration::from_millis(100), Duration::from_millis(37));
    let (mut now, mut total, mut next) = (Duration::ZERO, 0u64, Duration::ZERO);
    let mut flight: std::collections::VecDeque<(Mono, u64)> = std::collections::VecDeque::new();
    let (mut credit, mut longest) = (0.0, Duration::ZERO);
    for step in 0..300_000u64 {
        now += Duration::from_millis(1);
        while (flight.len() as u64 + 1) * PACKET <= model.window() && next <= now {
            flight.push_back((now, total));
            let gap = model.pace().map_or(Duration::ZERO, |pace| Duration::from_secs_f64(PACKET as f64 / pace));
            next = next.max(now.saturating_sub(gap * 4)) + gap;
        }
        if step % turn.as_millis() as u64 != 0 {
            continue;
        }
        credit = (credit + rate * turn.as_secs_f64() / PACKET as f64).min(6.0);
        while credit >= 1.0 && flight.front().is_some_and(|(at, _)| *at + trip <= now) {
            let Some((at, prior)) = flight.pop_front() else { break };
            credit -= 1.0;
            total += PACKET;
            let (delivered, in_flight) = (Some((total - prior, now - at)), flight.len() as u64 * PACKET);
            let rtt = Some(now - at);
            if now > Duration::from_secs(30) {
                longest = longest.max(now - at);
            }
            model.on_ack(&Ack { now, bytes: PACKET, rtt, delivered, prior, total, limited: true, in_flight });
        }
    }
    assert!(longest < trip * 6, "{longest:?}");
    let carried = total as f64 / now.as_secs_f64();
    assert!(carried > 0.85 * rate, "{carried}");
}

#[test]
fn a_round_trip_shorter_than_all_before_counts_while_the_queue_is_emptied() {
    let mut model = Model::new(4096);
    run(&mut model, 1e6, 0.0, 20);
    let mut now = Duration::from_secs(20);
    let mut ack = |model: &mut Model, step, rtt, in_flight| {
        now += step;
        let rtt = Some(rtt);
        let (bytes, prior, total) = (PACKET, 6_000_000, 6_000_000);
        model.on_ack(&Ack { now, bytes, rtt, delivered: None, prior, total, limited: true, in_flight });
    };
    ack(&mut model, RTT_LIFE * 2, RTT * 2, 1_000_000);
    assert!(matches!(model.phase, Phase::Empty { .. }), "{:?}", model.phase);
    ack(&mut model, RTT / 2, RTT / 3, 1_000_000);
    for _ in 0..8 {
        ack(&mut model, RTT, RTT * 2, 100_000);
    }
    assert_eq!(model.min_rtt.unwrap().0, RTT / 3);
}

#[test]
fn the_window_stays_within_its_bounds_whatever_is_measured() {
    let mut model = Model::new(100);
    assert_eq!(model.window(), INITIAL);
    run(&mut model, 1e8, 0.0, 5);
    assert_eq!(model.window(), 100 * PACKET);
    for _ in 0..100 {
        model.on_timeout(Duration::ZERO);
    }
    assert!(model.window() >= LEAST);
    let mut model = Model::new(100);
    model.share(0);
    assert_eq!(model.window(), PACKET);
}
