//! Tests of the blocks.

use super::*;
use proptest::prelude::*;

fn read_all(bytes: &[u8]) -> Result<Vec<Block<'_>>> {
    Blocks::new(bytes).collect()
}

fn ack(through: u32, acks: u8, pairs: &[[u8; 2]]) -> Vec<(u32, u32)> {
    Ack { through, acks, pairs }.ranges().map(|r| (*r.start(), *r.end())).collect()
}

fn samples() -> Vec<Block<'static>> {
    let message = I2np { kind: 18, id: MessageId(7), expiration: 9, body: b"cell" };
    vec![
        Block::DateTime { seconds: 0x6789_abcd },
        Block::Options(PaddingOptions::default()),
        Block::RouterInfo(RouterInfo { flood: true, gzip: true, fragment: RouterInfo::WHOLE, bytes: b"router info" }),
        Block::I2np(message),
        Block::I2np(I2np { body: b"", ..message }),
        Block::FirstFragment(message),
        Block::FollowOn(FollowOn { number: 127, last: true, id: MessageId(1), body: b"rest" }),
        Block::RelayRequest(b"request"),
        Block::RelayResponse(b"response"),
        Block::RelayIntro(b"intro"),
        Block::PeerTest(b"test"),
        Block::NextNonce(b""),
        Block::Ack(Ack { through: 10, acks: 2, pairs: &[[1, 2], [2, 3]] }),
        Block::Address("192.0.2.1:9000".parse().unwrap()),
        Block::Address("[2001:db8::1]:9000".parse().unwrap()),
        Block::RelayTagRequest,
        Block::RelayTag(77),
        Block::NewToken { expires: 3, token: 0x0102_0304_0506_0708 },
        Block::PathChallenge(b"12345678"),
        Block::PathResponse(b"12345678"),
        Block::FirstPacketNumber(5),
        Block::Congestion { immediate_ack: true, marked: false },
        Block::Congestion { immediate_ack: false, marked: true },
        Block::Unknown { kind: 224, data: b"from the future" },
        Block::Termination { packets: 12, reason: Reason::REPLACED, additional: b"why" },
        Block::Padding(5),
    ]
}

#[test]
fn blocks_lie_on_the_wire_as_specified() {
    let written = |block: Block<'_>| {
        let mut out = Vec::new();
        block.write(&mut out).unwrap();
        out
    };
    let message = I2np { kind: 18, id: MessageId(0x0102_0304), expiration: 0x0506_0708, body: &[0xaa, 0xbb] };
    assert_eq!(written(Block::FirstFragment(message)), [4, 0, 11, 18, 1, 2, 3, 4, 5, 6, 7, 8, 0xaa, 0xbb]);
    let rest = FollowOn { number: 3, last: true, id: message.id, body: &[0xcc] };
    assert_eq!(written(Block::FollowOn(rest)), [5, 0, 6, 7, 1, 2, 3, 4, 0xcc]);
    let ack = Ack { through: 10, acks: 2, pairs: &[[1, 2], [2, 3]] };
    assert_eq!(written(Block::Ack(ack)), [12, 0, 9, 0, 0, 0, 10, 2, 1, 2, 2, 3]);
    assert_eq!(written(Block::Address("192.0.2.1:258".parse().unwrap())), [13, 0, 6, 1, 2, 192, 0, 2, 1]);
    let mapped = "[::ffff:192.0.2.1]:258".parse().unwrap();
    assert_eq!(written(Block::Address(mapped)), [13, 0, 6, 1, 2, 192, 0, 2, 1]);
}

#[test]
fn blocks_come_back_as_they_were_written() {
    let mut out = Vec::new();
    for block in samples() {
        block.write(&mut out).unwrap();
    }
    assert_eq!(read_all(&out).unwrap(), samples());
    let mut blocks = Blocks::new(&out);
    while let Some(Ok(block)) = blocks.next() {
        if let Block::I2np(message) = block {
            assert_eq!(&out[blocks.position() - message.body.len()..blocks.position()], message.body);
        }
    }
}

#[test]
fn a_packet_cut_anywhere_but_between_blocks_is_truncated() {
    let mut out = Vec::new();
    let mut ends = vec![0];
    for block in samples() {
        block.write(&mut out).unwrap();
        ends.push(out.len());
    }
    for cut in 0..out.len() {
        assert_eq!(read_all(&out[..cut]).is_ok(), ends.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn nothing_follows_padding_and_only_padding_follows_termination() {
    let end = Block::Termination { packets: 0, reason: Reason::NORMAL, additional: &[] };
    let time = Block::DateTime { seconds: 1 };
    for (blocks, good) in [
        (vec![end, Block::Padding(0)], true),
        (vec![time, end], true),
        (vec![end, time], false),
        (vec![end, end], false),
        (vec![Block::Padding(1), Block::Padding(1)], false),
        (vec![Block::Padding(0), time], false),
    ] {
        let mut out = Vec::new();
        blocks.iter().for_each(|b| b.write(&mut out).unwrap());
        assert_eq!(read_all(&out).is_ok(), good, "{blocks:?}");
    }
}

#[test]
fn fields_that_no_sender_may_send_are_refused() {
    assert_eq!(Block::parse(FIRST_FRAGMENT, &[0; 9]), Err(Error::Invalid("empty fragment")));
    assert_eq!(Block::parse(FOLLOW_ON_FRAGMENT, &[2, 0, 0, 0, 1]), Err(Error::Invalid("empty fragment")));
    assert_eq!(Block::parse(FOLLOW_ON_FRAGMENT, &[1, 0, 0, 0, 1, 9]), Err(Error::Invalid("fragment number")));
    assert_eq!(Block::parse(ADDRESS, &[0; 7]), Err(Error::Invalid("address length")));
    assert_eq!(Block::parse(ACK, &[0; 6]), Err(Error::Trailing(1)));
    let mut out = vec![1];
    let long = vec![0; MAX_DATA + 1];
    assert_eq!(Block::Unknown { kind: 240, data: &long }.write(&mut out), Err(Error::TooLarge("block")));
    assert_eq!(Block::Padding(usize::MAX).write(&mut out), Err(Error::TooLarge("block")));
    assert_eq!(out, [1]);
}

#[test]
fn acknowledged_ranges_go_from_the_highest_number_down() {
    assert_eq!(ack(10, 0, &[]), [(10, 10)]);
    assert_eq!(ack(10, 2, &[[1, 2], [2, 3]]), [(8, 10), (5, 6), (0, 2)]);
    assert_eq!(ack(1000, 255, &[[0, 255], [0, 1], [255, 0], [1, 1]]), [(489, 1000), (232, 232)]);
    assert_eq!(ack(9, 0, &[[1, 0]]), [(9, 9)]);
    assert_eq!(ack(9, 0, &[[0, 0], [1, 1]]), [(9, 9), (7, 7)]);
    assert_eq!(ack(3, 9, &[[1, 1]]), [(0, 3)], "a run below zero ends there");
    assert_eq!(ack(3, 0, &[[3, 2]]), [(3, 3)]);
    assert_eq!(ack(3, 0, &[[2, 7], [1, 1]]), [(3, 3), (0, 0)]);
}

#[test]
fn only_blocks_that_bear_nothing_need_no_acknowledgement() {
    let quiet: Vec<u8> = samples().iter().filter(|b| !b.is_ack_eliciting()).map(Block::kind).collect();
    assert_eq!(quiet, [DATE_TIME, ACK, ADDRESS, ADDRESS, TERMINATION, PADDING]);
}

proptest! {
    #[test]
    fn reading_anything_never_panics_and_what_reads_writes_back(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(blocks) = read_all(&bytes) {
            let mut out = Vec::new();
            for block in &blocks {
                block.write(&mut out).unwrap();
            }
            let again = read_all(&out).unwrap();
            prop_assert_eq!(again, blocks);
        }
    }

    #[test]
    fn every_type_reads_back_what_it_wrote(kind: u8, data in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(block) = Block::parse(kind, &data) {
            let mut out = Vec::new();
            block.write(&mut out).unwrap();
            prop_assert_eq!(out[0], kind);
            prop_assert_eq!(read_all(&out).unwrap(), vec![block]);
        }
    }

    #[test]
    fn ranges_say_what_the_pairs_say(through in 0..3000_u32, acks: u8, pairs in prop::collection::vec(any::<[u8; 2]>(), 0..20)) {
        let mut expected = std::collections::BTreeSet::new();
        let mut number = i64::from(through);
        let mut run = |count: u32, acked: bool| {
            for _ in 0..count {
                if acked && number >= 0 {
                    expected.insert(number as u32);
                }
                number -= 1;
            }
        };
        run(u32::from(acks) + 1, true);
        for [nacks, acks] in &pairs {
            run(u32::from(*nacks), false);
            run(u32::from(*acks), true);
        }
        let ranges: Vec<_> = Ack { through, acks, pairs: &pairs }.ranges().collect();
        prop_assert!(ranges.windows(2).all(|w| *w[1].end() < *w[0].start()));
        prop_assert_eq!(ranges.into_iter().flatten().collect::<std::collections::BTreeSet<_>>(), expected);
    }
}
