//! Fuzz targets of the SSU2 handshake, of peer tests and of introductions: whatever comes off the wire, nothing panics,
//! nothing forged is accepted, nothing grows without bound.
//!
//! They run on stable for a bounded number of inputs, and under a fuzzing engine with `cargo bolero test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[allow(dead_code, reason = "the tests that share it use the rest")]
#[path = "ssu2_nat/world.rs"]
mod world;

use ramson_crypto::x25519::SecretKey;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::ssu2::endpoint::{Config, Endpoint, Output, Outside, Target};
use ramson_protocol::ssu2::error::Cause;
use ramson_protocol::ssu2::header::{self, KEYED_LEN, Kind, LONG_LEN, Long, MaskKey, Short, VERSION};
use ramson_protocol::ssu2::local::{Local, OurEnd, Remote};
use ramson_protocol::ssu2::message::{Opening, open, seal};
use ramson_protocol::ssu2::peer_test::PeerTests;
use ramson_protocol::ssu2::peer_test::message::Message;
use ramson_protocol::ssu2::relay::Relay;
use ramson_protocol::ssu2::relay::message::{Request, Response};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use world::{NET, Nat, Router, View, at};

const INTRO: [u8; 32] = [7; 32];

fn from() -> SocketAddr {
    "60.1.0.1:9000".parse().unwrap()
}

fn endpoint() -> Endpoint {
    let local = Local::new(NET, RouterHash([1; 32]), SecretKey::from_bytes([9; 32]), INTRO, vec![0; 500].into());
    let (limits, gate) = (Limits::default(), Box::new(OpenGate));
    Endpoint::new(Config { local, limits, gate, choose_id: Box::new(|_| 42) }, [3; 32], at(Duration::ZERO))
}

fn remote() -> Remote {
    let (hash, static_key) = (RouterHash([2; 32]), SecretKey::from_bytes([8; 32]).public());
    Remote { hash, addr: from(), static_key, intro: MaskKey::new(INTRO), mtu: 1500 }
}

#[test]
fn headers() {
    bolero::check!().with_iterations(3_000).for_each(|bytes: &[u8]| {
        let key = MaskKey::new(INTRO);
        if let Ok(long) = Long::parse(bytes) {
            let mut out = Vec::new();
            long.write(&mut out);
            assert_eq!(out, bytes[..LONG_LEN]);
        }
        if let Ok(short) = Short::parse(bytes) {
            assert_eq!(short.to_bytes(), bytes[..16]);
        }
        let mut copy = bytes.to_vec();
        let masked = header::mask(&mut copy, &key, &key);
        assert_eq!(masked.is_some(), bytes.len() >= header::MIN_DATAGRAM);
        assert_eq!(header::peek(bytes, &key, &key), masked.and_then(|()| Short::parse(&copy).ok()));
        let rest = header::mask_rest(&mut copy, KEYED_LEN, &key);
        assert_eq!(rest.is_some(), bytes.len() >= KEYED_LEN);
        assert!(open(&mut bytes.to_vec(), &key, Cause::RetryTag).is_err());
    });
}

#[test]
fn openings() {
    bolero::check!().with_iterations(3_000).for_each(|bytes: &[u8]| {
        let _ = Opening::parse(bytes);
    });
}

/// Datagrams as they are, and payloads as an owner of our introduction key seals them.
#[test]
fn endpoints() {
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        let mut endpoint = endpoint();
        let now = at(Duration::from_secs(1));
        endpoint.dial(now, Target { remote: remote(), local: OurEnd::socket(0), token: None, ask_for_tag: true });
        endpoint.handle_datagram(now, from(), OurEnd::socket(0), &mut bytes.to_vec());
        let (kind, payload) = bytes.split_first().unwrap_or((&0, &[]));
        for kind in [Kind(*kind % 12), Kind::TOKEN_REQUEST, Kind::RETRY, Kind::PEER_TEST, Kind::HOLE_PUNCH] {
            let header =
                Long { destination: 42, number: 5, kind, version: VERSION, net_id: NET, flag: 0, source: 9, token: 6 };
            let mut datagram = seal(&header, payload, &MaskKey::new(INTRO));
            endpoint.handle_datagram(now, from(), OurEnd::socket(0), &mut datagram);
        }
        let mut outputs = 0;
        while let Some(output) = endpoint.poll_output() {
            assert!(!matches!(output, Output::Established(_)));
            outputs += 1;
        }
        assert!(outputs <= 8);
        endpoint.handle_timeout(at(Duration::from_secs(60)));
    });
}

#[test]
fn peer_test_and_relay_messages() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        if let Ok(message) = Message::parse(bytes) {
            assert_eq!(Message::parse(&message.to_bytes()), Ok(message));
        }
        if let Ok(request) = Request::parse(bytes) {
            assert_eq!(Request::parse(&request.to_bytes()), Ok(request));
        }
        if let Ok(intro) = Request::parse_intro(bytes) {
            assert_eq!(Request::parse_intro(&intro.to_bytes()), Ok(intro));
        }
        if let Ok(response) = Response::parse(bytes) {
            assert_eq!(Response::parse(&response.to_bytes()), Ok(response));
        }
    });
}

/// Blocks and datagrams of anybody to machines that wait for some.
#[test]
fn machines() {
    let routers: Vec<_> = (0..3).map(|n| Router::new(n + 1, Nat::Open)).collect();
    let sessions: BTreeSet<_> = [(0, 1), (0, 2)].into();
    let bob = routers[1].hash();
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        let view = View { routers: &routers, sessions: &sessions, known: true, who: 0 };
        let (mut tests, mut relay) = (PeerTests::new(routers[0].me(), [1; 32]), Relay::new(routers[0].me(), [2; 32]));
        let now = at(Duration::from_secs(1));
        tests.set_address(now, true, Some(routers[0].addr));
        relay.set_address(true, Some(routers[0].addr));
        tests.handle_timeout(now, &view);
        tests.handle_block(now, &bob, from(), bytes, &view);
        relay.handle_request(now, &bob, bytes, &view);
        relay.handle_intro(now, &bob, bytes, &view);
        relay.handle_response(now, &bob, bytes, &view);
        for kind in [Kind::PEER_TEST, Kind::HOLE_PUNCH] {
            let header =
                Long { destination: 1, number: 2, kind, version: VERSION, net_id: NET, flag: 0, source: 3, token: 4 };
            let outside = Outside { from: from(), local: OurEnd::socket(0), header, payload: bytes.to_vec() };
            tests.handle_outside(now, &outside);
            relay.handle_outside(now, &outside, &view);
        }
        tests.handle_timeout(at(Duration::from_secs(100)), &view);
        relay.handle_timeout(at(Duration::from_secs(100)), &view);
        while tests.poll_output().is_some() {}
        let mut outputs = 0;
        while let Some(output) = relay.poll_output() {
            assert!(!matches!(output, ramson_protocol::ssu2::relay::Output::Introduced { .. }));
            outputs += 1;
        }
        assert!(outputs <= 4);
        assert_eq!(tests.others(), (0, 0));
    });
}
