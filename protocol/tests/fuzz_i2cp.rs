//! Whatever a program sends by I2CP: nothing panics, nothing grows, and what can be read is written as it was.

use bolero::check;
use bytes::Bytes;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::i2cp::grant::Grant;
use ramson_protocol::i2cp::message::Message;
use ramson_protocol::i2cp::server::{Config, Connection, In, Out};
use ramson_protocol::i2cp::session::SessionConfig;
use ramson_protocol::i2cp::{Frames, MAX_BODY, PROTOCOL_BYTE};
use ramson_protocol::pool::Wanted;
use ramson_protocol::time::{Now, Wall};
use std::time::Duration;

const ITERATIONS: usize = 20_000;
const NOW: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };

#[test]
fn fuzz_frames() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let mut frames = Frames::default();
        frames.feed(input);
        while let Ok(Some((_, body))) = frames.cut() {
            assert!(body.len() <= MAX_BODY);
        }
        assert!(frames.len() <= input.len());
    });
}

#[test]
fn fuzz_messages() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let Some((kind, body)) = input.split_first() else { return };
        let body = Bytes::copy_from_slice(body);
        // The kind that the input names, and each that has a body of its own.
        for kind in (1..43).chain([*kind]) {
            let Ok(message) = Message::parse(kind, &body) else { continue };
            let mut written = Vec::new();
            if message.write(&mut written).is_ok() && !matches!(message, Message::Unknown(_)) {
                let again = Message::parse(written[4], &Bytes::from(written).slice(5..));
                assert_eq!(again.as_ref().map(Message::kind), Ok(message.kind()));
            }
        }
    });
}

#[test]
fn fuzz_lease_sets() {
    let owner = PrivateKeys::generate([1; 32], &[1; 32]);
    let request = SessionConfig::sign(&owner, &[], NOW.wall).unwrap().request(Wanted::new(2, 3));
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        // As it is, and behind the destination that is asked for.
        let whole = [&[3][..], owner.destination.as_bytes(), input].concat();
        let sealed = [&[5, 0, 11][..], input].concat();
        // One of the first kind, whose key is the first power.
        let (mut key, mut public) = ([0; 20 + 256], [0; 256]);
        (key[275], public[255]) = (1, 2);
        let first = [&key[..], owner.destination.as_bytes(), &public, input].concat();
        for bytes in [Bytes::copy_from_slice(input), first.into()] {
            assert!(Grant::parse_first(&bytes, &request, NOW.wall).is_err(), "nobody has signed it");
        }
        for bytes in [Bytes::copy_from_slice(input), whole.into(), sealed.into()] {
            assert!(Grant::parse(&bytes, &request, NOW.wall).is_err(), "nobody has signed it");
        }
    });
}

#[test]
fn fuzz_connection() {
    check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let mut machine = Connection::new(Config::default(), [7; 32], NOW);
        machine.handle_input(NOW, In::Bytes(&[PROTOCOL_BYTE]));
        // Messages with whole headers, so that more than lengths is met.
        for part in input.chunks(40) {
            let Some((kind, body)) = part.split_first() else { continue };
            let mut frame = u32::try_from(body.len()).unwrap_or_default().to_be_bytes().to_vec();
            frame.push(kind % 43);
            frame.extend_from_slice(body);
            machine.handle_input(NOW, In::Bytes(&frame));
        }
        machine.handle_input(NOW, In::Bytes(input));
        let mut over = false;
        while let Some(out) = machine.poll_output() {
            assert!(!over, "nothing after the end");
            over = matches!(out, Out::End);
        }
    });
}
