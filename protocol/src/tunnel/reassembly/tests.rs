//! The endpoint against the gateway, against hostile cells, and against loss, reordering and repetition.

use super::*;
use crate::id::{RouterHash, TunnelId};
use crate::tunnel::fragment::Packer;
use crate::wire::Writer;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: Mono = Duration::from_secs(100);

type Messages = Vec<(Delivery, Vec<u8>)>;

fn pack(messages: &Messages) -> Vec<Body> {
    let (mut rng, mut cells, mut packer) = (ChaCha20Rng::from_seed([1; 32]), Vec::new(), Packer::new());
    for (to, message) in messages {
        packer.push(to, message, &mut rng, &mut cells).unwrap();
    }
    packer.flush(&mut rng, &mut cells).unwrap();
    cells
}

fn feed(r: &mut Reassembler, now: Mono, cells: &[Body]) -> Messages {
    let mut got = Vec::new();
    for cell in cells {
        r.cell(now, cell, |to, message| got.push((to, message.into_owned()))).unwrap();
    }
    got
}

fn message(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + salt) as u8).collect()
}

fn raw(fragments: &[(u32, u8, bool, &[u8])]) -> Body {
    let mut payload = Vec::new();
    for (id, number, last, data) in fragments {
        match number {
            0 => Delivery::Local.write(Some(*id), data.len() as u16, &mut payload),
            n => delivery::write_follow_on(*id, *n, *last, data.len() as u16, &mut payload),
        }
        payload.put(data);
    }
    let mut body = [0; cell::BODY_LEN];
    cell::write(&payload, &mut ChaCha20Rng::from_seed([3; 32]), &mut body).unwrap();
    body
}

#[test]
fn small_messages_come_out_in_order_and_borrowed() {
    let sent: Messages = (0..20).map(|i| (Delivery::Local, message(50 + i, i))).collect();
    let mut r = Reassembler::new(Limits::default());
    let mut got = Vec::new();
    for cell in pack(&sent) {
        r.cell(NOW, &cell, |to, m| {
            assert!(matches!(m, Cow::Borrowed(_)));
            got.push((to, m.into_owned()));
        })
        .unwrap();
    }
    assert_eq!(got, sent);
    assert_eq!(r.stats(), Stats { whole: 20, ..Stats::default() });
}

#[test]
fn a_large_message_survives_any_order_and_repeated_cells() {
    let sent = vec![(Delivery::Router(RouterHash([4; 32])), message(62_000, 1))];
    let mut cells = pack(&sent);
    cells.reverse();
    let twice: Vec<Body> = cells.iter().flat_map(|c| [*c, *c]).collect();
    let mut r = Reassembler::new(Limits::default());
    assert_eq!(feed(&mut r, NOW, &twice), sent);
    // The copy of the cell that completed the message begins a new one, which will never be complete.
    assert_eq!((r.stats().assembled, r.stats().duplicates), (1, cells.len() as u64 - 1));
    r.expire(NOW + Duration::from_secs(10));
    assert_eq!((r.held(), r.stats().expired), (0, 1));
}

#[test]
fn a_message_whose_rest_comes_too_late_is_given_up() {
    let cells = pack(&vec![(Delivery::Local, message(1500, 1))]);
    let mut r = Reassembler::new(Limits::default());
    assert_eq!(feed(&mut r, NOW, &cells[..1]), []);
    assert!(r.held() > 900);
    assert_eq!(feed(&mut r, NOW + Duration::from_secs(10), &cells[1..]), []);
    assert_eq!(r.stats().expired, 1);
}

#[test]
fn a_tunnel_holds_no_more_than_its_limits_and_the_oldest_goes_first() {
    let limits = Limits { messages: 4, bytes: 3000, ..Limits::default() };
    let mut r = Reassembler::new(limits);
    for id in 0..50 {
        feed(&mut r, NOW, &[raw(&[(id, 0, false, &[1; 700])])]);
        assert!(r.held() <= limits.bytes && r.partial.len() <= limits.messages);
    }
    assert_eq!(r.stats().discarded, 46);
    assert_eq!(feed(&mut r, NOW, &[raw(&[(49, 1, true, &[2; 3])])]).len(), 1);
    assert_eq!(feed(&mut r, NOW, &[raw(&[(0, 1, true, &[2; 3])])]).len(), 0);
    // A message larger than the limit by itself goes too, and leaves nothing behind.
    let mut r = Reassembler::new(limits);
    for n in 0..40 {
        feed(&mut r, NOW, &[raw(&[(7, n, false, &[1; 900])])]);
        assert!(r.held() <= limits.bytes);
    }
}

#[test]
fn contradicting_fragments_discard_the_message() {
    for bad in [
        vec![(1, 0, false, &b"a"[..]), (1, 3, true, b"d"), (1, 4, false, b"e")],
        vec![(1, 0, false, b"a"), (1, 4, false, b"e"), (1, 3, true, b"d")],
        vec![(1, 3, true, b"d"), (1, 5, true, b"e")],
    ] {
        let mut r = Reassembler::new(Limits::default());
        assert_eq!(feed(&mut r, NOW, &[raw(&bad)]), []);
        assert_eq!((r.stats().discarded, r.held(), r.partial.len()), (1, 0, 0));
    }
}

#[test]
fn a_bad_cell_does_not_disturb_the_others() {
    let mut r = Reassembler::new(Limits::default());
    let cells = pack(&vec![(Delivery::Local, message(1500, 1))]);
    feed(&mut r, NOW, &cells[..1]);
    let mut bad = cells[1];
    bad[1000] ^= 1;
    assert!(r.cell(NOW, &bad, |_, _| panic!("nothing comes out")).is_err());
    assert_eq!(feed(&mut r, NOW, &cells[1..]).len(), 1);
    assert_eq!(r.stats().malformed, 1);
}

proptest! {
    #[test]
    fn what_the_gateway_packs_the_endpoint_unpacks_in_any_order(
        lengths in prop::collection::vec((1usize..9000, 0u8..3), 1..12),
        shuffle in any::<u64>(),
    ) {
        let mut sent: Messages = lengths.iter().enumerate().map(|(i, (len, kind))| {
            let to = match kind {
                0 => Delivery::Local,
                1 => Delivery::Router(RouterHash([i as u8; 32])),
                _ => Delivery::Tunnel(RouterHash([i as u8; 32]), TunnelId(i as u32 + 1)),
            };
            (to, message(*len, i))
        }).collect();
        let mut cells = pack(&sent);
        let mut seed = shuffle | 1;
        for i in (1..cells.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            cells.swap(i, (seed >> 33) as usize % (i + 1));
        }
        let mut r = Reassembler::new(Limits::default());
        let mut got = feed(&mut r, NOW, &cells);
        let key = |m: &(Delivery, Vec<u8>)| (m.1.clone(), format!("{:?}", m.0));
        got.sort_by_key(key);
        sent.sort_by_key(key);
        prop_assert_eq!(got, sent);
        prop_assert_eq!(r.held(), 0);
    }

    #[test]
    fn hostile_fragments_stay_within_the_limits(
        fragments in prop::collection::vec((0u32..6, 0u8..64, any::<bool>(), 1usize..900), 1..200),
    ) {
        let limits = Limits { messages: 3, bytes: 4000, age: Duration::from_secs(1) };
        let mut r = Reassembler::new(limits);
        for (i, (id, number, last, len)) in fragments.iter().enumerate() {
            let body = raw(&[(*id, *number, *last, &vec![1; *len])]);
            r.cell(NOW + Duration::from_millis(i as u64 * 20), &body, |_, _| ()).unwrap();
            prop_assert!(r.held() <= limits.bytes && r.partial.len() <= limits.messages);
            prop_assert_eq!(r.held(), r.partial.iter().map(Partial::bytes).sum::<usize>());
        }
    }
}
