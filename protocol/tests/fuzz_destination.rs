//! Arbitrary and damaged bytes against every parser of what destinations send each other, and against the machines behind them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bolero::{ValueGenerator, check, produce};
use bytes::Bytes;
use ramson_crypto::elgamal::SecretKey as ElGamalKey;
use ramson_crypto::kem::Kem;
use ramson_crypto::sign::{SigType, SigningKey};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::keys_and_cert;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::datagram::{Claimed, Signed};
use ramson_protocol::destination::{Config, Destination, In, OutboundTunnelRef, old};
use ramson_protocol::elgamal;
use ramson_protocol::garlic::aes_tag;
use ramson_protocol::garlic::clove::{Clove, CloveDelivery};
use ramson_protocol::i2np::{MessageType, ShortHeader};
use ramson_protocol::id::{DestinationHash, MessageId, RouterHash, TunnelId};
use ramson_protocol::payload::Payload;
use ramson_protocol::ratchet::block::{NextKey, acks};
use ramson_protocol::ratchet::handshake::{Secrets, StaticKey, hear};
use ramson_protocol::streaming::packet::Packet;
use ramson_protocol::streaming::streams::Signer;
use ramson_protocol::time::{Now, Wall};
use std::time::Duration;

const ITERATIONS: usize = 20_000;
const NOW: Now = Now { mono: Duration::from_secs(1), wall: Wall(1_750_000_000_000) };

fn bytes() -> impl ValueGenerator<Output = Vec<u8>> {
    produce::<Vec<u8>>().with().len(0usize..600)
}

/// Who the destination is.
fn signer() -> (keys_and_cert::Destination, Signer) {
    let key = SigningKey::from_seed([1; 32]);
    let destination = keys_and_cert::Destination::compose(&key.public(), &[2; 32]);
    (destination.clone(), Signer { destination, key: key.into(), offline: None })
}

#[test]
fn fuzz_packets() {
    check!().with_iterations(ITERATIONS).with_generator(bytes()).cloned().for_each(|bytes: Vec<u8>| {
        let bytes = Bytes::from(bytes);
        for signer in [None, Some(SigType::Ed25519), Some(SigType::DsaSha1)] {
            if let Ok(packet) = Packet::parse(&bytes, signer) {
                let again = Bytes::from(packet.to_bytes().unwrap());
                assert!(again.len() <= bytes.len());
                let _ = packet.target();
            }
        }
    });
}

#[test]
fn fuzz_payloads_and_blocks() {
    check!().with_iterations(ITERATIONS).with_generator(bytes()).cloned().for_each(|bytes: Vec<u8>| {
        let _ = NextKey::parse(&bytes);
        let _ = acks(&bytes).count();
        let _ = PrivateKeys::parse(&bytes);
        let shared = Bytes::from(bytes.clone());
        let _ = (Signed::parse1(&shared, None), Signed::parse2(&shared, &DestinationHash([1; 32]), None, NOW.wall));
        let _ = Claimed::parse(&shared);
        let mut gzip = bytes.clone();
        for (at, byte) in [0x1f, 0x8b, 8, 0].into_iter().enumerate() {
            if let Some(slot) = gzip.get_mut(at) {
                *slot = byte;
            }
        }
        let _ = Payload::parse(&gzip.into());
        let _ = Payload::parse(&bytes.into());
    });
}

#[test]
fn fuzz_new_sessions() {
    let us = StaticKey::new(&Secrets::one(SecretKey::from_bytes([7; 32]), Some(Kem::MlKem512)));
    check!().with_iterations(2_000).with_generator(bytes()).cloned().for_each(|mut bytes: Vec<u8>| {
        assert!(hear(&us, &mut bytes).is_err(), "nobody forges one by chance");
    });
}

#[test]
fn fuzz_a_destination() {
    check!().with_iterations(2_000).with_generator(bytes()).cloned().for_each(|bytes: Vec<u8>| {
        let (_, us) = signer();
        let config = Config { listening: true, ..Config::default() };
        let mut core = Destination::new(config, us, &Secrets::one(SecretKey::from_bytes([7; 32]), None), [1; 32], NOW);
        core.handle_input(NOW, In::Garlic(bytes.into()));
        while core.poll_output(NOW, true).is_some() {}
        assert!(core.streams().is_empty() && core.sessions().is_empty());
    });
}

#[test]
fn fuzz_elgamal() {
    let config = elgamal::Config::default();
    let mut us = elgamal::Sessions::new(config, ElGamalKey::from_bytes([7; 32]), [1; 32], NOW.mono);
    check!().with_iterations(2_000).with_generator(bytes()).cloned().for_each(|mut bytes: Vec<u8>| {
        assert!(us.open(NOW.mono, &mut bytes).is_err(), "nobody forges one by chance");
    });
    assert!(us.is_empty());
}

#[test]
fn fuzz_clove_sets_by_elgamal() {
    let (destination, us) = signer();
    let encryption = SecretKey::from_bytes([7; 32]);
    let to = old::key(&encryption).public();
    let config = elgamal::Config::default();
    let mut stranger = elgamal::Sessions::new(config, ElGamalKey::from_bytes([8; 32]), [2; 32], NOW.mono);
    check!().with_iterations(300).with_generator(bytes()).cloned().for_each(|bytes: Vec<u8>| {
        let config = Config { listening: true, elgamal: true, ..Config::default() };
        let mut core = Destination::new(config, us.clone(), &Secrets::one(encryption.clone(), None), [1; 32], NOW);
        core.handle_input(
            NOW,
            In::Outbound(vec![OutboundTunnelRef { id: TunnelId(1), first_hop: RouterHash([1; 32]) }]),
        );
        // As they are, and as a message for us.
        let header = ShortHeader { kind: MessageType::Data, id: MessageId(1), expiration: NOW.wall };
        let clove = Clove { delivery: CloveDelivery::Destination(destination.hash().into()), header, body: &bytes };
        let mut set = Vec::new();
        aes_tag::write_clove_set(&[clove], MessageId(1), &mut set).unwrap();
        for set in [bytes.clone(), set] {
            let garlic = stranger.seal(NOW.mono, &to, &set, None);
            core.handle_input(NOW, In::Garlic(garlic.into()));
            while core.poll_output(NOW, true).is_some() {}
        }
        assert!(core.elgamal_stats().heard > 0 && core.streams().is_empty() && core.sessions().is_empty());
    });
}
