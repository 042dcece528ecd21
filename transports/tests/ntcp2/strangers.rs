//! Probers, slow peers and floods.

use super::*;
use std::net::TcpStream;

/// Connects as a stranger from the loopback network.
fn stranger(to: &Router) -> TcpStream {
    let stream = TcpStream::connect(to.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    stream
}

/// True if nothing came and the connection is open.
fn is_silent(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 100]), Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// Waits until the other side has closed, however it did.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 100]) {
        Ok(n) => n == 0,
        Err(e) => matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

/// Waits for what the other thread will do or count: what a stranger sees may come before it is counted.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_prober_hears_nothing_whatever_it_sends() {
    let b = Router::start("127.0.0.1");
    let mut strangers: Vec<_> = [0usize, 1, 63, 64, 65, 127].iter().map(|len| (*len, stranger(&b))).collect();
    for (len, stream) in &mut strangers {
        stream.write_all(&vec![0x33; *len]).unwrap();
    }
    for (len, stream) in &mut strangers {
        assert!(is_silent(stream), "{len} bytes");
    }
    eventually("all are kept open", || b.handle.stats.half_open[0].get() == 6);
    let counted = || b.count(Direction::Inbound, "message_1_tag") + b.count(Direction::Inbound, "key_marker");
    eventually("those of a whole message are counted", || counted() == 3);
}

#[test]
fn a_prober_that_goes_on_is_cut_off_with_a_reset_after_a_random_number_of_bytes() {
    let b = Router::start("127.0.0.1");
    let mut stream = stranger(&b);
    for _ in 0..20 {
        if stream.write_all(&[0x33; 512]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(is_closed(&mut stream));
    eventually("the connection is forgotten", || b.handle.stats.half_open[0].get() == 0);
}

#[test]
fn a_prober_that_closes_is_forgotten_at_once() {
    let b = Router::start("127.0.0.1");
    for len in [0, 10, 64, 100] {
        let mut stream = stranger(&b);
        stream.write_all(&vec![0x33; len]).unwrap();
        drop(stream);
    }
    eventually("all are forgotten", || b.handle.stats.begun[0].get() == 4 && b.handle.stats.half_open[0].get() == 0);
}

/// Passes what the caller sends on to `to` and keeps a copy of its first message.
fn record_message_1(to: &Router) -> Vec<u8> {
    let tap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let a = Router::start_with("127.0.0.1", |c| c.limits.establish_timeout = Duration::from_millis(500));
    let mut dial = to.address_of();
    dial.addr = tap.local_addr().unwrap();
    a.dial(dial);
    let (mut stream, _) = tap.accept().unwrap();
    let mut message = vec![0; 1000];
    let n = stream.read(&mut message).unwrap();
    message.truncate(n);
    message
}

#[test]
fn a_replayed_message_1_gets_no_answer() {
    let b = Router::start("127.0.0.1");
    let message = record_message_1(&b);
    let mut first = stranger(&b);
    first.write_all(&message).unwrap();
    assert!(first.read(&mut [0; 300]).unwrap() >= 64, "the original is answered");
    let mut second = stranger(&b);
    second.write_all(&message).unwrap();
    assert!(is_silent(&mut second));
    eventually("it is counted", || b.count(Direction::Inbound, "replay") == 1);
}

#[test]
fn bytes_after_message_1_are_met_with_silence() {
    let b = Router::start("127.0.0.1");
    let mut message = record_message_1(&b);
    message.push(0);
    let mut stream = stranger(&b);
    stream.write_all(&message).unwrap();
    assert!(is_silent(&mut stream));
    eventually("it is counted", || b.count(Direction::Inbound, "extra_bytes") == 1);
}

#[test]
fn a_thousand_slow_strangers_keep_nobody_out() {
    let b = Router::start_with("127.0.0.1", |c| {
        c.limits.half_open = 100;
        c.limits.half_open_per_ip = 10_000;
        c.limits.burst_per_ip = 10_000;
    });
    let mut strangers = Vec::new();
    for round in 0..5 {
        for _ in 0..200 {
            strangers.push(TcpStream::connect(b.addr()).unwrap());
        }
        for stream in &mut strangers {
            // Those that were displaced cannot be written to any more.
            let _ = stream.write(&[round]);
        }
        assert!(b.handle.stats.half_open[0].get() <= 100);
        let a = Router::start("127.0.0.1");
        a.dial(b.address_of());
        a.session();
        b.session();
    }
    eventually("those that went are counted", || b.count(Direction::Inbound, "displaced") >= 900);
}

#[test]
fn one_address_holds_no_more_than_its_share_of_half_open_connections() {
    let b = Router::start_with("127.0.0.1", |c| c.limits.half_open_per_ip = 5);
    let strangers: Vec<_> = (0..20).map(|_| stranger(&b)).collect();
    eventually("all are seen", || b.handle.stats.begun[0].get() == 20);
    eventually("the oldest went", || b.handle.stats.half_open[0].get() == 5);
    eventually("they are counted", || b.count(Direction::Inbound, "displaced") == 15);
    let mut open = strangers.into_iter().filter_map(|mut s| is_silent(&mut s).then_some(()));
    assert!(open.next().is_some());
}

#[test]
fn an_address_that_connects_too_often_is_turned_away() {
    let b = Router::start_with("127.0.0.1", |c| (c.limits.burst_per_ip, c.limits.per_minute_per_ip) = (3, 1));
    let mut strangers: Vec<_> = (0..5).map(|_| stranger(&b)).collect();
    eventually("all are seen", || b.handle.stats.begun[0].get() == 5);
    eventually("two are counted", || b.count(Direction::Inbound, "rate") == 2);
    assert!(is_closed(&mut strangers[4]));
    assert!(is_silent(&mut strangers[0]));
}

#[test]
fn a_handshake_that_stalls_after_message_2_ends_in_time() {
    let b = Router::start_with("127.0.0.1", |c| c.limits.establish_timeout = Duration::from_millis(200));
    let message = record_message_1(&b);
    let mut stream = stranger(&b);
    stream.write_all(&message).unwrap();
    assert!(stream.read(&mut [0; 300]).unwrap() >= 64);
    assert!(is_closed(&mut stream));
    assert_eq!(b.failure().outcome, Outcome::Timeout);
}
