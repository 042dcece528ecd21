//! Tests of the outbox.

use super::*;
use crate::link::block::I2np;
use crate::ssu2::block::{Block, Blocks, FollowOn};
use proptest::prelude::*;

const ID: MessageId = MessageId(0x0102_0304);

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7) as u8).collect()
}

/// Takes everything that can be sent now.
fn drain(outbox: &mut Outbox, payload: usize, now: u32) -> Vec<(Next, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(next) = outbox.peek(payload, now) {
        let mut out = Vec::new();
        outbox.take(next, &mut out);
        assert_eq!(out.len(), next.len);
        assert!(out.len() <= payload);
        all.push((next, out));
    }
    assert!(outbox.is_empty());
    all
}

fn body_of(blocks: &[(Next, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (i, (_, bytes)) in blocks.iter().enumerate() {
        match Blocks::new(bytes).next().unwrap().unwrap() {
            Block::I2np(I2np { kind: 3, id: ID, expiration: 100, body: part }) if blocks.len() == 1 => {
                body.extend(part)
            }
            Block::FirstFragment(I2np { kind: 3, id: ID, expiration: 100, body: part }) if i == 0 => body.extend(part),
            Block::FollowOn(FollowOn { number, last, id: ID, body: part }) => {
                assert_eq!((usize::from(number), last), (i, i + 1 == blocks.len()));
                body.extend(part);
            }
            other => panic!("{other:?}"),
        }
    }
    body
}

#[test]
fn a_message_is_held_until_it_has_arrived() {
    let mut outbox = Outbox::default();
    assert!(outbox.push_message(3, ID, 100, &[b"one ", b"two"]));
    assert_eq!(outbox.queued_bytes(), 12 + 7);
    let sent = drain(&mut outbox, 1220, 50);
    assert_eq!(body_of(&sent), b"one two");
    assert_eq!(outbox.queued_bytes(), 0);
    outbox.lost(sent[0].0.content);
    outbox.again(sent[0].0.content);
    let again = drain(&mut outbox, 1220, 50);
    assert_eq!((again.len(), again[0].0.pressing, outbox.stats.again), (1, true, 1));
    assert_eq!(again[0].1, sent[0].1);
    outbox.delivered(sent[0].0.content);
    outbox.lost(sent[0].0.content);
    assert_eq!(drain(&mut outbox, 1220, 50), []);
    outbox.shrink();
    assert_eq!(outbox.held_bytes(), 0);
}

#[test]
fn what_expires_or_is_lost_too_often_is_dropped() {
    let mut outbox = Outbox::default();
    outbox.push_message(18, ID, 100, &[b"late"]);
    assert_eq!(outbox.peek(1220, 101), None, "a cell is dated by us");
    outbox.push_message(3, ID, 40, &[b"by a clock that is a minute behind"]);
    assert!(outbox.peek(1220, 100).is_some());
    assert_eq!(outbox.peek(1220, 101), None);
    assert_eq!((outbox.stats.expired, outbox.queued_bytes()), (2, 0));
    outbox.push_message(3, ID, 100, &[b"unlucky"]);
    let content = drain(&mut outbox, 1220, 100)[0].0.content;
    for _ in 0..MAX_TRIES {
        outbox.lost(content);
        assert_eq!(drain(&mut outbox, 1220, 100).len(), 1);
    }
    outbox.lost(content);
    assert_eq!(outbox.peek(1220, 100), None);
    assert_eq!(outbox.stats, Stats { expired: 2, given_up: 1, again: u64::from(MAX_TRIES) });
    assert!(!outbox.push_message(3, ID, 100, &[&message(MAX_BODY + 1)]));
}

#[test]
fn blocks_go_before_messages_and_only_lost_fragments_are_sent_again() {
    let mut outbox = Outbox::default();
    outbox.push_message(3, ID, 100, &[&message(5000)]);
    outbox.push_block(&[16, 0, 4, 0, 0, 0, 1]);
    let mut sent = drain(&mut outbox, 1220, 0);
    assert_eq!(sent.remove(0).1[0], 16);
    assert_eq!(sent.len(), 5);
    assert!(sent[..4].iter().all(|(next, _)| next.len == 1220));
    assert_eq!(body_of(&sent), message(5000));
    outbox.delivered(sent[1].0.content);
    outbox.lost(sent[1].0.content);
    outbox.lost(sent[3].0.content);
    assert_eq!(drain(&mut outbox, 1220, 0), [(Next { pressing: true, ..sent[3].0 }, sent[3].1.clone())]);
    for (next, _) in &sent {
        outbox.delivered(next.content);
    }
    assert_eq!(outbox.items.iter().filter(|i| !i.done).count(), 1, "the block");
}

#[test]
fn on_a_path_that_loses_packets_the_last_fragment_waits_for_the_others() {
    let mut outbox = Outbox::default();
    outbox.set_careful(true);
    outbox.push_message(3, ID, 100, &[&message(3000)]);
    outbox.push_message(3, ID, 100, &[&message(2000)]);
    let mut sent = Vec::new();
    while let Some(next) = outbox.peek(1220, 0) {
        outbox.take(next, &mut Vec::new());
        sent.push((next.content.item, next.content.fragment));
    }
    assert_eq!(sent, [(0, 0), (0, 1), (1, 0), (1, 1)], "two fragments are safe in any order");
    assert!(outbox.queued_bytes() > 0);
    outbox.delivered(Content { item: 0, fragment: 0 });
    outbox.lost(Content { item: 0, fragment: 1 });
    let again = outbox.peek(1220, 0).unwrap();
    outbox.take(again, &mut Vec::new());
    assert_eq!((again.content, outbox.peek(1220, 0)), (Content { item: 0, fragment: 1 }, None));
    outbox.delivered(again.content);
    let last = drain(&mut outbox, 1220, 0);
    assert_eq!((last.len(), last[0].0.content), (1, Content { item: 0, fragment: 2 }));
    assert_eq!(outbox.queued_bytes(), 0);
    outbox.delivered(last[0].0.content);
    (0..2).for_each(|fragment| outbox.delivered(Content { item: 1, fragment }));
    assert!(outbox.items.is_empty());
}

#[test]
fn a_path_that_narrows_cuts_what_was_whole_and_leaves_what_is_cut() {
    let mut outbox = Outbox::default();
    outbox.push_message(3, ID, 100, &[&message(1300)]);
    let whole = drain(&mut outbox, 1440, 0);
    outbox.lost(whole[0].0.content);
    let cut = drain(&mut outbox, 1220, 0);
    assert_eq!((cut.len(), body_of(&cut)), (2, message(1300)));
    cut.iter().for_each(|(next, _)| outbox.delivered(next.content));
    outbox.push_message(3, ID, 100, &[&message(3000)]);
    let wide = drain(&mut outbox, 1440, 0);
    outbox.lost(wide[0].0.content);
    let again = outbox.peek(1220, 0).unwrap();
    assert_eq!((again.content, again.len), (wide[0].0.content, 1440));
}

proptest! {
    #[test]
    fn any_message_arrives_whole_and_leaves_nothing_behind(lens in prop::collection::vec(0..9000_usize, 1..20), payload in 1200..1441_usize) {
        let mut outbox = Outbox::default();
        for len in lens {
            prop_assert!(outbox.push_message(3, ID, 100, &[&message(len)]));
            let sent = drain(&mut outbox, payload, 0);
            prop_assert_eq!(body_of(&sent), message(len));
            sent.iter().rev().for_each(|(next, _)| outbox.delivered(next.content));
            prop_assert_eq!((outbox.queued_bytes(), outbox.items.len()), (0, 0));
        }
    }
}
