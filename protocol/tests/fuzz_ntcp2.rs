//! Fuzz targets of NTCP2: whatever comes off the wire, nothing panics and nothing forged is accepted.
//!
//! They run on stable for a bounded number of inputs, and under a fuzzing engine with `cargo bolero test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use ramson_crypto::x25519::SecretKey;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::padding::PaddingOptions;
use ramson_protocol::link::replay::ReplayCache;
use ramson_protocol::ntcp2::block::{Block, Blocks, BlocksMut};
use ramson_protocol::ntcp2::error::Close;
use ramson_protocol::ntcp2::frame::{FrameError, FrameOpener, FrameSealer, SipKeys};
use ramson_protocol::ntcp2::initiator::{self, AwaitCreated, Initiator, InitiatorStep};
use ramson_protocol::ntcp2::options::{CreatedOptions, RequestOptions};
use ramson_protocol::ntcp2::responder::{self, Context, Responder, ResponderStep};
use ramson_protocol::time::Now;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

const HASH: RouterHash = RouterHash([1; 32]);

fn replay() -> ReplayCache {
    ReplayCache::new([0; 16], 100, Duration::ZERO)
}

#[test]
fn blocks() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let parsed: Result<Vec<_>, _> = Blocks::new(bytes).collect();
        let mut copy = bytes.to_vec();
        let mutable = BlocksMut::new(&mut copy).all(|b| b.is_ok_and(|(kind, data)| Block::parse(kind, data).is_ok()));
        assert_eq!(parsed.is_ok(), mutable);
        if let Ok(blocks) = parsed {
            let mut out = Vec::new();
            blocks.iter().for_each(|b| b.write(&mut out).unwrap());
            assert_eq!(Blocks::new(&out).collect::<Result<Vec<_>, _>>().unwrap(), blocks);
        }
    });
}

#[test]
fn options() {
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        assert_eq!(RequestOptions::parse(bytes).is_ok(), bytes.len() == 16);
        assert_eq!(CreatedOptions::parse(bytes).is_ok(), bytes.len() == 16);
        assert_eq!(PaddingOptions::parse(bytes).is_ok(), bytes.len() >= 12);
    });
}

#[test]
fn frames() {
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        let mut wire = bytes.to_vec();
        let mut opener = FrameOpener::new(&[1; 32], SipKeys::new(&[2; 32]));
        let Some((field, rest)) = wire.split_first_chunk_mut::<2>() else { return };
        match opener.next_len(*field) {
            Ok(len) => {
                if let Some(frame) = rest.get_mut(..len) {
                    assert_eq!(opener.open(frame), Err(FrameError::Tag));
                }
            }
            Err(e) => assert!(matches!(e, FrameError::Length(0..16))),
        }
        let mut sealer = FrameSealer::new(&[1; 32], SipKeys::new(&[2; 32]));
        let mut out = bytes.to_vec();
        assert_eq!(sealer.seal_in_place(&mut out, 1).is_ok(), bytes.len() >= 3);
    });
}

#[test]
fn message_1() {
    let local = responder::Local::new(99, &HASH, SecretKey::from_bytes([3; 32]), [4; 16]);
    bolero::check!().with_iterations(1_000).for_each(|bytes: &[u8]| {
        let (mut replay, mut rng) = (replay(), ChaCha20Rng::seed_from_u64(1));
        let responder = Responder::new(&mut rng, Now::default());
        let mut context = Context { local: &local, replay: &mut replay, rng: &mut rng };
        let (mut received, mut out) = (bytes.to_vec(), Vec::new());
        match responder.advance(&mut context, Now::default(), &mut received, &mut out) {
            Ok(ResponderStep::Wait(_)) => assert!(bytes.len() < 64),
            Ok(ResponderStep::Done(_)) => panic!("forged"),
            Err(e) => assert!(matches!(e.close, Close::After { .. })),
        }
        assert!(out.is_empty());
    });
}

fn initiator(rng: &mut ChaCha20Rng, out: &mut Vec<u8>) -> Initiator {
    let key = SecretKey::from_bytes([5; 32]);
    let local = initiator::Local {
        net_id: 99,
        static_key: &key,
        static_public: &key.public(),
        router_info: &[6; 500],
        padding: PaddingOptions::default(),
        clock_confirmed: true,
    };
    let peer = SecretKey::from_bytes([3; 32]).public();
    let remote = initiator::Remote { hash: &HASH, static_key: &peer, iv: &[4; 16] };
    Initiator::Created(AwaitCreated::start(local, remote, rng, Now::default(), out).unwrap())
}

#[test]
fn message_2() {
    bolero::check!().with_iterations(500).for_each(|bytes: &[u8]| {
        let mut out = Vec::new();
        let initiator = initiator(&mut ChaCha20Rng::seed_from_u64(1), &mut out);
        out.clear();
        match initiator.advance(&mut replay(), Now::default(), &mut bytes.to_vec(), &mut out) {
            Ok(InitiatorStep::Wait(_)) => assert!(bytes.len() < 64),
            Ok(InitiatorStep::Done(_)) => panic!("forged"),
            Err(e) => assert_eq!(e.close, Close::Now),
        }
        assert!(out.is_empty());
    });
}

#[test]
fn message_3() {
    let local = responder::Local::new(99, &HASH, SecretKey::from_bytes([3; 32]), [4; 16]);
    bolero::check!().with_iterations(300).for_each(|bytes: &[u8]| {
        let (mut replay, mut rng) = (replay(), ChaCha20Rng::seed_from_u64(1));
        let mut received = Vec::new();
        initiator(&mut rng, &mut received);
        let responder = Responder::new(&mut rng, Now::default());
        let mut context = Context { local: &local, replay: &mut replay, rng: &mut rng };
        let mut out = Vec::new();
        let step = responder.advance(&mut context, Now::default(), &mut received, &mut out).unwrap();
        let ResponderStep::Wait(responder) = step else { panic!("done after message 1") };
        received.extend_from_slice(bytes);
        received.resize(responder.need(), 0);
        let result = responder.advance(&mut context, Now::default(), &mut received, &mut out);
        assert!(result.is_err_and(|e| e.close == Close::Now));
    });
}
