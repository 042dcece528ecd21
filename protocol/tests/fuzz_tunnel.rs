//! Fuzz targets of what a tunnel brings from strangers. With the stable toolchain they run a bounded number of random
//! inputs as tests; `cargo bolero test` drives them with a fuzzer.

use bolero::check;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::garlic::{aes_tag, clove};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::hop::{self, Receipt};
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use ramson_protocol::tunnel::record::{Form, Reply, Request};
use ramson_protocol::tunnel::{cell, delivery};
use ramson_protocol::wire::Reader;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::sync::LazyLock;
use std::time::Duration;

const RUNS: usize = 5_000;

static OURS: LazyLock<StaticKey> = LazyLock::new(|| StaticKey::new(SecretKey::from_bytes([1; 32])));

#[test]
fn cells_of_any_payload_stay_within_the_limits() {
    check!().with_iterations(RUNS).for_each(|input: &[u8]| {
        let limits = Limits { messages: 4, bytes: 8192, age: Duration::from_secs(1) };
        let mut endpoint = Reassembler::new(limits);
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for (i, payload) in input.chunks(cell::PAYLOAD_MAX).enumerate() {
            let mut body = [0; cell::BODY_LEN];
            cell::write(payload, &mut rng, &mut body).unwrap();
            let _ = endpoint.cell(Duration::from_millis(100 * i as u64), &body, |_, message| {
                assert!(message.len() <= 64 * cell::PAYLOAD_MAX);
            });
            assert!(endpoint.held() <= limits.bytes);
        }
    });
}

#[test]
fn delivery_instructions_that_are_read_are_written_the_same() {
    check!().with_iterations(RUNS).for_each(|input: &[u8]| {
        let mut r = Reader::new(input);
        while let Ok(fragment) = delivery::parse(&mut r) {
            let mut out = Vec::new();
            match fragment {
                delivery::Fragment::Whole { delivery, data } => delivery.write(None, data.len() as u16, &mut out),
                delivery::Fragment::First { delivery, message, data } => {
                    delivery.write(Some(message), data.len() as u16, &mut out);
                }
                delivery::Fragment::FollowOn { message, number, last, data } => {
                    delivery::write_follow_on(message, number, last, data.len() as u16, &mut out);
                }
            }
            let data = match fragment {
                delivery::Fragment::Whole { data, .. }
                | delivery::Fragment::First { data, .. }
                | delivery::Fragment::FollowOn { data, .. } => data,
            };
            out.extend(data);
            assert_eq!(delivery::parse(&mut Reader::new(&out)), Ok(fragment));
        }
    });
}

#[test]
fn build_messages_of_any_bytes_are_answered_or_dropped() {
    let us = RouterHash([7; 32]);
    check!().with_iterations(RUNS).for_each(|input: &[u8]| {
        for kind in [MessageType::ShortTunnelBuild, MessageType::VariableTunnelBuild] {
            let form = Form::of_build(kind).unwrap();
            // Bring the input into the shape of a message for us, so that more than the length check is reached.
            let mut body = vec![1];
            body.extend(us.0[..16].iter().chain(input).take(form.record_len()));
            body.resize(1 + form.record_len(), 0);
            for body in [body, input.to_vec()] {
                let Ok(found) = hop::find(kind, &body, &us) else { continue };
                let cx = Receipt { ours: &OURS, us: &us, from: None, now: Wall(0) };
                assert!(hop::open(found, body, &cx).is_err());
            }
        }
    });
}

#[test]
fn requests_and_replies_that_are_read_are_written_the_same() {
    let rng = ChaCha20Rng::from_seed([2; 32]);
    check!().with_iterations(RUNS).for_each(|input: &[u8]| {
        for form in [Form::Short, Form::Long] {
            if let Ok(request) = Request::parse(form, input) {
                let again = request.write(&mut rng.clone()).unwrap();
                assert_eq!(Request::parse(form, &again), Ok(request));
            }
            if let Ok(reply) = Reply::parse(input) {
                assert_eq!(Reply::parse(&reply.write(form, &mut rng.clone()).unwrap()), Ok(reply));
            }
        }
    });
}

#[test]
fn garlic_of_any_bytes_is_read_without_a_panic() {
    let key = OneTimeKey { key: [1; 32], tag: [2; 8] };
    check!().with_iterations(RUNS).for_each(|input: &[u8]| {
        let _ = OURS.open(&mut input.to_vec());
        let _ = key.open(&mut [&[2; 8], input].concat());
        let _ = aes_tag::open(&[1; 32], &mut input.to_vec());
        let _ = aes_tag::parse_clove_set(input);
        assert!(clove::blocks(input).count() <= input.len());
    });
}
