//! Handshakes between routers that must fail.

use super::*;
use ramson_protocol::link::gate::Gate;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::error::Cause;
use ramson_transports::ntcp2::Refusal;

/// Lets `a` call `b`, which must refuse it with `refusal`, and tell `a` why.
fn refused(a: &Router, b: &Router, refusal: Refusal) {
    a.dial(b.address_of());
    let failed = b.failure();
    assert_eq!((failed.direction, failed.outcome), (Direction::Inbound, Outcome::Refused(refusal)));
    let mut talker = Talker::new(a.session());
    talker.receive(|blocks| {
        let expected = Block::Termination { frames: 0, reason: refusal.reason(), additional: &[] };
        assert_eq!(blocks, [expected]);
    });
    assert_eq!(talker.stream.read(&mut [0; 10]).unwrap(), 0, "an ordinary end, so that the farewell is read");
    assert_eq!(b.handle.stats.established[0].get(), 0);
}

#[test]
fn a_router_that_calls_from_an_address_it_does_not_publish_is_told_that_it_is_banned() {
    let b = Router::start("127.0.0.1");
    let a = Router::start_with("127.0.0.1", |c| c.call_from = calls_from("127.0.0.9".parse().unwrap()));
    refused(&a, &b, Refusal::WrongAddress);
    assert_eq!(Refusal::WrongAddress.reason(), Reason::BANNED);
    assert_eq!(b.count(Direction::Inbound, "wrong_address"), 1);
}

#[test]
fn a_static_key_that_is_not_in_the_router_info_is_refused() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.1"));
    a.publish(|mut builder| {
        let other = SecretKey::from_bytes([9; 32]).public();
        builder.addresses = vec![RouterAddressBuf::ntcp2(a.addr(), &other, &a.config.iv)];
        builder
    });
    refused(&a, &b, Refusal::StaticKey);
}

#[test]
fn a_router_info_with_a_bad_signature_is_refused() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.1"));
    let mut info = a.config.router_info.load().to_vec();
    *info.last_mut().unwrap() ^= 1;
    a.config.router_info.store(Arc::new(info.into()));
    refused(&a, &b, Refusal::Signature);
}

#[test]
fn a_router_info_of_another_network_is_refused() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.1"));
    a.publish(|builder| builder.option("netId", "2"));
    refused(&a, &b, Refusal::Network);
}

#[test]
fn a_router_info_that_is_none_is_refused() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.1"));
    a.config.router_info.store(Arc::new(vec![7; 600].into()));
    refused(&a, &b, Refusal::Malformed);
}

#[test]
fn a_router_info_from_the_future_or_the_past_is_refused() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.1"));
    let now = a.config.clock.now().wall;
    let public = a.config.static_key.public();
    let sign = |at| {
        let info = RouterInfoBuilder::new(NET, Version::parse("0.9.69"), Caps::parse("LR"))
            .address(RouterAddressBuf::ntcp2(a.addr(), &public, &a.config.iv))
            .sign(&a.keys, at)
            .unwrap();
        a.config.router_info.store(Arc::new(info.as_bytes().clone()));
    };
    sign(now.plus(Duration::from_secs(150)));
    refused(&a, &b, Refusal::FromTheFuture);
    sign(now.minus(Duration::from_secs(28 * 3600)));
    refused(&a, &b, Refusal::TooOld);
}

struct NoRouters;

impl Gate for NoRouters {
    fn admits_router(&self, _: &ramson_protocol::data::router_info::RouterInfo, _: IpAddr) -> Result<(), Reason> {
        Err(Reason::ROUTER_SHUTDOWN)
    }
}

#[test]
fn the_gate_has_the_last_word_on_routers() {
    let b = Router::start_with("127.0.0.1", |c| c.gate = Arc::new(NoRouters));
    let a = Router::start("127.0.0.1");
    refused(&a, &b, Refusal::Gate(Reason::ROUTER_SHUTDOWN));
}

#[test]
fn a_router_that_calls_itself_is_told_so() {
    let a = Router::start("127.0.0.1");
    a.dial(a.address_of());
    assert_eq!(a.failure().outcome, Outcome::Refused(Refusal::Ourselves));
}

#[test]
fn another_network_gets_no_answer() {
    let b = Router::start("127.0.0.1");
    let a = Router::start_with("127.0.0.1", |c| {
        c.net_id = 2;
        c.limits.establish_timeout = Duration::from_millis(300);
    });
    a.dial(b.address_of());
    let failed = b.failure();
    assert_eq!(failed.outcome, Outcome::Protocol(Cause::NetworkId(2)));
    assert_eq!(b.count(Direction::Inbound, "network_id"), 1);
    assert_eq!(a.failure().outcome, Outcome::Timeout);
}

#[test]
fn a_router_with_other_keys_than_expected_gets_no_answer() {
    let b = Router::start("127.0.0.1");
    let a = Router::start_with("127.0.0.1", |c| c.limits.establish_timeout = Duration::from_millis(300));
    let right = b.address_of();
    for wrong in [
        DialTarget { static_key: SecretKey::from_bytes([9; 32]).public(), ..right },
        DialTarget { peer: RouterHash([9; 32]), ..right },
        DialTarget { iv: [9; 16], ..right },
    ] {
        a.dial(wrong);
        let failed = a.failure();
        assert_eq!((failed.outcome, failed.peer), (Outcome::Timeout, Some(wrong.peer)));
    }
    a.dial(right);
    a.session();
    b.session();
}

#[test]
fn clocks_a_minute_apart_end_the_handshake_and_the_caller_learns_by_how_much() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.1"));
    b.config.clock.adjust(70_000);
    a.dial(b.address_of());
    let failed = a.failure();
    assert!(matches!(failed.outcome, Outcome::Protocol(Cause::ClockSkew(_))), "{failed:?}");
    let skew = failed.skew_ms.unwrap();
    assert!((69_000..=71_000).contains(&skew), "{skew}");
    assert_eq!(b.failure().outcome, Outcome::Closed);
    b.config.clock.adjust(-20_000);
    let (out, inn) = meet(&a, &b);
    assert!((49_000..=51_000).contains(&out.session.skew_ms));
    assert!((-51_000..=-49_000).contains(&inn.session.skew_ms));
}

#[test]
fn nobody_there_is_told_from_no_way_there() {
    let a = Router::start_with("127.0.0.1", |c| c.limits.connect_timeout = Duration::from_millis(200));
    let b = Router::start("127.0.0.1");
    let mut dial = b.address_of();
    drop(b);
    a.dial(dial);
    assert_eq!(a.failure().outcome, Outcome::ConnectRefused);
    // From a loopback address there is no way to others.
    dial.addr = "192.0.2.1:9".parse().unwrap();
    a.dial(dial);
    let outcome = a.failure().outcome;
    let expected = [Outcome::ConnectUnreachable, Outcome::ConnectTimeout, Outcome::ConnectFailed];
    assert!(expected.contains(&outcome), "{outcome:?}");
}

#[test]
fn one_router_is_called_once_at_a_time_and_dials_have_a_limit() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let a = Router::start_with("127.0.0.1", |c| {
        c.limits.dials = 2;
        c.limits.establish_timeout = Duration::from_millis(500);
    });
    let dial = |n: u8| DialTarget {
        peer: RouterHash([n; 32]),
        addr: silent.local_addr().unwrap(),
        static_key: SecretKey::from_bytes([9; 32]).public(),
        iv: [0; 16],
    };
    for n in [1, 1, 2, 3] {
        a.dial(dial(n));
    }
    let failed = a.failure();
    assert_eq!((failed.outcome, failed.peer), (Outcome::DialLimit, Some(RouterHash([3; 32]))));
    let mut failed: Vec<_> = (0..2).map(|_| a.failure()).map(|f| (f.peer.unwrap().0[0], f.outcome)).collect();
    failed.sort_by_key(|f| f.0);
    assert_eq!(failed, [(1, Outcome::Timeout), (2, Outcome::Timeout)]);
    assert_eq!(a.handle.stats.half_open[1].get(), 0);
}

#[test]
fn a_stopped_thread_gives_its_half_open_connections_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let a = Router::start("127.0.0.1");
    let mut dial = a.address_of();
    (dial.peer, dial.addr) = (RouterHash([1; 32]), silent.local_addr().unwrap());
    a.dial(dial);
    let (stream, _) = silent.accept().unwrap();
    a.handle.stop();
    assert_eq!(a.failure().outcome, Outcome::Shutdown);
    drop(stream);
}
