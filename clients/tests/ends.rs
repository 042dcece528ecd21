//! The two ends of our own tunnels, joined to hops in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use ramson_clients::own_in::{OwnIn, Stats};
use ramson_clients::own_out::{OwnOut, QUEUE_BYTES, QUEUE_MESSAGES};
use ramson_clients::{Lane, OwnCells};
use ramson_crypto::tunnel::{LayerCipher, encrypt_batch};
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::TunnelId;
use ramson_protocol::time::{Mono, Wall};
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::Body;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use ramson_transports::ports::own::WINDOW;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: Wall = Wall(1_800_000_000_000);

fn ciphers(hops: u8) -> Vec<LayerCipher> {
    (0..hops).map(|hop| LayerCipher::new(&[hop + 1; 32], &[hop + 101; 32])).collect()
}

/// What the hops do to cells, one after the other.
fn through(hops: u8, cells: &mut [Body]) {
    for cipher in &ciphers(hops) {
        encrypt_batch(&mut cells.iter_mut().map(|cell| (cipher, cell)).collect::<Vec<_>>());
    }
}

fn message(id: u32, len: usize) -> Message {
    let body = (0..len).map(|i| (i as u32 * 7 + id) as u8).collect::<Vec<_>>();
    // The standard header carries milliseconds.
    Message { kind: MessageType::Data, id: id.into(), expiration: Wall(NOW.0 + 10_000), body: Bytes::from(body) }
}

fn messages() -> Vec<Message> {
    let lens = [1, 1000, 20, 30, 5000, 61_000, 977, 978, 979, 0];
    lens.iter().zip(1..).map(|(len, id)| message(id, *len)).collect()
}

/// The cells that a stranger's gateway would make of messages for us, as they come to us through so many hops.
fn inbound(hops: u8, messages: &[Message]) -> Vec<Body> {
    let (mut rng, mut packer, mut cells) = (ChaCha20Rng::from_seed([3; 32]), Packer::new(), Vec::new());
    for message in messages {
        packer.push(&Delivery::Local, &message.to_std().unwrap(), &mut rng, &mut cells).unwrap();
    }
    packer.flush(&mut rng, &mut cells).unwrap();
    through(hops, &mut cells);
    cells
}

fn receive(end: &mut OwnIn, now: Mono, cells: &mut [Body]) -> Vec<Message> {
    let mut out = Vec::new();
    end.handle_cells(now, cells, |message| out.push(message));
    out
}

/// All cells that an end makes now.
fn poll(end: &mut OwnOut, rng: &mut ChaCha20Rng) -> Vec<Body> {
    let (mut packer, mut batch) = (Packer::new(), OwnCells::default());
    while end.poll_cells(NOW, rng, &mut packer, batch.of(TunnelId(1))) {}
    assert!(packer.is_empty());
    batch.cells
}

#[test]
fn messages_come_out_of_an_inbound_tunnel_of_any_length_as_they_went_in() {
    for hops in 0..=7 {
        let mut end = OwnIn::new(ciphers(hops));
        let mut cells = inbound(hops, &messages());
        let count = cells.len() as u64;
        assert_eq!(receive(&mut end, Mono::ZERO, &mut cells), messages(), "{hops} hops");
        assert_eq!(end.stats(), Stats { cells: count, messages: 10, bad_fragments: 0, bad_messages: 0 });
    }
}

#[test]
fn messages_come_out_at_the_far_end_of_an_outbound_tunnel_of_any_length() {
    for hops in 0..=7 {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let mut end = OwnOut::new(ciphers(hops), Lane::new());
        messages().into_iter().for_each(|message| end.handle_message(Delivery::Local, message).unwrap());
        let mut cells = poll(&mut end, &mut rng);
        through(hops, &mut cells);
        let (mut far, mut out) = (Reassembler::new(Limits::default()), Vec::new());
        for cell in &cells {
            let take = |_, bytes: std::borrow::Cow<'_, [u8]>| {
                out.push(Message::from_std(&Bytes::from(bytes.into_owned())).unwrap());
            };
            far.cell(Mono::ZERO, cell, take).unwrap();
        }
        assert_eq!(out, messages(), "{hops} hops");
        assert_eq!((end.stats().messages, end.stats().cells), (10, cells.len() as u64));
    }
}

#[test]
fn a_lost_cell_costs_the_messages_in_it_and_no_others_and_what_is_left_of_them_is_given_up_in_time() {
    let sent: Vec<Message> = (1..=20).map(|id| message(id, 3000)).collect();
    let whole = inbound(3, &sent);
    for lost in 0..whole.len() {
        let mut cells = whole.clone();
        cells.remove(lost);
        let mut end = OwnIn::new(ciphers(3));
        let got = receive(&mut end, Mono::ZERO, &mut cells);
        // A cell may hold the end of one message and the beginning of the next.
        assert!((18..20).contains(&got.len()), "cell {lost}: {} messages", got.len());
        assert!(got.iter().all(|message| sent.contains(message)));
        assert!(end.held() > 0);
        end.handle_timeout(Mono::ZERO + Limits::default().age);
        assert_eq!(end.held(), 0);
    }
}

#[test]
fn what_no_creator_sends_down_to_itself_is_counted_and_goes_nowhere() {
    let (mut rng, mut packer, mut cells) = (ChaCha20Rng::from_seed([5; 32]), Packer::new(), Vec::new());
    let elsewhere = Delivery::Router([7; 32].into());
    packer.push(&elsewhere, &message(1, 10).to_std().unwrap(), &mut rng, &mut cells).unwrap();
    packer.push(&Delivery::Local, &[1, 2, 3], &mut rng, &mut cells).unwrap();
    packer.flush(&mut rng, &mut cells).unwrap();
    cells.push([9; 1024]);
    let mut end = OwnIn::new(Vec::new());
    assert_eq!(receive(&mut end, Mono::ZERO, &mut cells), []);
    assert_eq!(end.stats(), Stats { cells: 2, messages: 0, bad_fragments: 2, bad_messages: 1 });
}

#[test]
fn without_credit_messages_wait_whole_and_in_their_order_and_credit_lets_them_go() {
    let (mut rng, lane) = (ChaCha20Rng::from_seed([6; 32]), Lane::new());
    let mut end = OwnOut::new(ciphers(2), lane.clone());
    for id in 0..500 {
        end.handle_message(Delivery::Local, message(id, 1000)).unwrap();
    }
    let first = poll(&mut end, &mut rng).len() as u64;
    assert!(first <= WINDOW && first + 4 > WINDOW, "{first}");
    assert_eq!((lane.under_way(), end.waits()), (first, true));
    assert!(poll(&mut end, &mut rng).is_empty(), "nothing has gone");
    let sent = end.stats().messages;
    assert!(sent < 500);
    // A message of the largest size fits the lane as soon as half of it is free.
    lane.went(WINDOW / 2);
    assert!(!poll(&mut end, &mut rng).is_empty());
    while end.waits() {
        lane.went(lane.under_way());
        poll(&mut end, &mut rng);
    }
    assert_eq!((end.stats().messages, end.stats().expired), (500, 0));
}

#[test]
fn small_messages_share_cells_however_many_go_at_once() {
    let (mut rng, mut end) = (ChaCha20Rng::from_seed([8; 32]), OwnOut::new(ciphers(2), Lane::new()));
    let (mut packer, mut packed) = (Packer::new(), Vec::new());
    for id in 0..250 {
        end.handle_message(Delivery::Local, message(id, 200)).unwrap();
        packer.push(&Delivery::Local, &message(id, 200).to_std().unwrap(), &mut rng, &mut packed).unwrap();
    }
    packer.flush(&mut rng, &mut packed).unwrap();
    assert_eq!(poll(&mut end, &mut rng).len(), packed.len());
    assert_eq!(end.stats().messages, 250);
}

#[test]
fn what_may_wait_is_bounded_in_bytes_and_in_messages_and_the_sender_gets_back_what_does_not() {
    let mut end = OwnOut::new(Vec::new(), Lane::new());
    let full = (0..).find(|id| end.handle_message(Delivery::Local, message(*id, 4096)).is_err()).unwrap();
    assert_eq!(full as usize, QUEUE_BYTES / 4096);
    let mut end = OwnOut::new(Vec::new(), Lane::new());
    let full = (0..).find(|id| end.handle_message(Delivery::Local, message(*id, 0)).is_err()).unwrap();
    assert_eq!(full as usize, QUEUE_MESSAGES);
}

#[test]
fn a_message_that_expires_while_it_waits_is_counted_and_not_sent() {
    let (mut rng, lane) = (ChaCha20Rng::from_seed([7; 32]), Lane::new());
    let mut end = OwnOut::new(Vec::new(), lane);
    let mut late = message(1, 100);
    late.expiration = Wall(NOW.0 - 1);
    end.handle_message(Delivery::Local, late).unwrap();
    end.handle_message(Delivery::Local, message(2, 100)).unwrap();
    assert_eq!(end.held(), (2, 200));
    assert_eq!(
        (poll(&mut end, &mut rng).len(), end.held(), end.stats().expired, end.stats().messages),
        (1, (0, 0), 1, 1)
    );
}
