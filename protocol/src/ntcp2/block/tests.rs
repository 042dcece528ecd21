//! Tests of the blocks.

use super::*;
use proptest::prelude::*;

fn read_all(bytes: &[u8]) -> Result<Vec<Block<'_>>> {
    Blocks::new(bytes).collect()
}

fn samples() -> Vec<Block<'static>> {
    vec![
        Block::DateTime { seconds: 0x6789_abcd },
        Block::Options(PaddingOptions::default()),
        Block::RouterInfo { flood: true, bytes: b"router info" },
        Block::I2np(I2np { kind: 18, id: MessageId(7), expiration: 9, body: b"cell" }),
        Block::I2np(I2np { kind: 11, id: MessageId(8), expiration: 10, body: b"" }),
        Block::Unknown { kind: 224, data: b"from the future" },
        Block::Termination { frames: 12, reason: Reason::BANNED, additional: b"why" },
        Block::Padding(5),
    ]
}

#[test]
fn an_i2np_block_lies_on_the_wire_as_specified() {
    let mut out = Vec::new();
    let message = I2np { kind: 18, id: MessageId(0x0102_0304), expiration: 0x0506_0708, body: &[0xaa, 0xbb] };
    Block::I2np(message).write(&mut out).unwrap();
    assert_eq!(out, [3, 0, 11, 18, 1, 2, 3, 4, 5, 6, 7, 8, 0xaa, 0xbb]);
    let mut split = Vec::new();
    write_i2np_header(&mut split, 18, message.id, message.expiration, 2).unwrap();
    split.put(message.body);
    assert_eq!(split, out);
}

#[test]
fn blocks_come_back_as_they_were_written() {
    let mut out = Vec::new();
    for block in samples() {
        block.write(&mut out).unwrap();
    }
    assert_eq!(read_all(&out).unwrap(), samples());
    let mut copy = out.clone();
    let mutable: Vec<_> = BlocksMut::new(&mut copy).map(|b| b.map(|(kind, data)| (kind, data.to_vec()))).collect();
    assert_eq!(mutable.len(), samples().len());
    for (block, parsed) in mutable.into_iter().zip(samples()) {
        let (kind, data) = block.unwrap();
        assert_eq!(Block::parse(kind, &data).unwrap(), parsed);
    }
}

#[test]
fn a_frame_cut_anywhere_but_between_blocks_is_truncated() {
    let mut out = Vec::new();
    let mut ends = vec![0];
    for block in samples() {
        block.write(&mut out).unwrap();
        ends.push(out.len());
    }
    for cut in 0..out.len() {
        let whole = ends.contains(&cut);
        assert_eq!(read_all(&out[..cut]).is_ok(), whole, "cut at {cut}");
        assert_eq!(BlocksMut::new(&mut out.clone()[..cut]).all(|b| b.is_ok()), whole, "cut at {cut}");
    }
}

#[test]
fn nothing_follows_padding_and_only_padding_follows_termination() {
    let write = |blocks: &[Block<'_>]| {
        let mut out = Vec::new();
        blocks.iter().for_each(|b| b.write(&mut out).unwrap());
        out
    };
    let end = Block::Termination { frames: 0, reason: Reason::NORMAL, additional: &[] };
    let time = Block::DateTime { seconds: 1 };
    for (blocks, good) in [
        (vec![end, Block::Padding(0)], true),
        (vec![time, end], true),
        (vec![end, time], false),
        (vec![end, end], false),
        (vec![Block::Padding(1), Block::Padding(1)], false),
        (vec![Block::Padding(1), end], false),
        (vec![Block::Padding(0), time], false),
    ] {
        let mut out = write(&blocks);
        assert_eq!(read_all(&out).is_ok(), good, "{blocks:?}");
        assert_eq!(BlocksMut::new(&mut out).all(|b| b.is_ok()), good, "{blocks:?}");
    }
}

#[test]
fn after_an_error_there_are_no_more_blocks() {
    let mut blocks = Blocks::new(&[0, 0, 1, 9, 254, 0, 0]);
    assert_eq!(blocks.next(), Some(Err(Error::Truncated { need: 4, have: 1 })));
    assert_eq!(blocks.next(), None);
}

#[test]
fn data_longer_than_a_block_is_not_written() {
    let mut out = vec![1];
    let long = vec![0; MAX_DATA + 1];
    assert_eq!(Block::Unknown { kind: 9, data: &long }.write(&mut out), Err(Error::TooLarge("block")));
    assert_eq!(Block::Padding(usize::MAX).write(&mut out), Err(Error::TooLarge("block")));
    assert!(write_i2np_header(&mut out, 18, MessageId(1), 1, MAX_DATA - 8).is_err());
    assert!(write_i2np_header(&mut out, 18, MessageId(1), 1, usize::MAX).is_err());
    assert_eq!(out, [1]);
    Block::Unknown { kind: 9, data: &long[1..] }.write(&mut out).unwrap();
    assert_eq!(out.len(), 1 + HEADER_LEN + MAX_DATA);
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
}
