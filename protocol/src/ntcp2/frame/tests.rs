//! Tests of the data-phase frames.

use super::*;
use proptest::prelude::*;

fn pair() -> (FrameSealer, FrameOpener) {
    (FrameSealer::new(&[5; 32], SipKeys::new(&[6; 32])), FrameOpener::new(&[5; 32], SipKeys::new(&[6; 32])))
}

fn open_all(opener: &mut FrameOpener, mut wire: &mut [u8]) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut frames = Vec::new();
    while let Some((field, rest)) = std::mem::take(&mut wire).split_first_chunk_mut::<LEN_LEN>() {
        let len = opener.next_len(*field)?;
        let (frame, rest) = rest.split_at_mut_checked(len).ok_or(FrameError::Bug)?;
        frames.push(opener.open(frame)?.to_vec());
        wire = rest;
    }
    Ok(frames)
}

#[test]
fn the_length_mask_is_the_low_half_word_of_the_siphash_chain() {
    // Key 00..0f and first IV 07..00 make the reference vector 0x93f5f5799a932462.
    let mut keys = [0; 32];
    for (i, k) in keys.iter_mut().enumerate().take(16) {
        *k = i as u8;
    }
    keys[16..24].copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let mut sip = SipKeys::new(&keys);
    assert_eq!(sip.next_mask(), 0x2462);
    let mut opener = FrameOpener::new(&[1; 32], SipKeys::new(&keys));
    assert_eq!(opener.next_len((0x0410u16 ^ 0x2462).to_be_bytes()), Ok(0x410));
}

#[test]
fn asking_twice_for_the_length_of_a_half_received_frame_gives_it_twice() {
    let (mut sealer, mut opener) = pair();
    let mut wire = vec![0; 40];
    sealer.seal_in_place(&mut wire, 0).unwrap();
    let field = [wire[0], wire[1]];
    assert_eq!(opener.next_len(field), Ok(54));
    assert_eq!(opener.next_len(field), Ok(54));
    assert_eq!(opener.open(&mut wire[2..]).unwrap(), [0; 38]);
    assert_eq!((opener.frames(), sealer.frames()), (1, 1));
}

#[test]
fn a_frame_of_another_length_than_announced_is_the_callers_bug() {
    let (mut sealer, mut opener) = pair();
    assert_eq!(opener.open(&mut [0; 16]), Err(FrameError::Bug));
    let mut wire = vec![0; 40];
    sealer.seal_in_place(&mut wire, 0).unwrap();
    opener.next_len([wire[0], wire[1]]).unwrap();
    assert_eq!(opener.open(&mut wire[3..]), Err(FrameError::Bug));
}

#[test]
fn a_frame_holds_65519_bytes_and_no_more() {
    let (mut sealer, mut opener) = pair();
    let mut wire = vec![7; LEN_LEN + MAX_PLAINTEXT + 1];
    assert_eq!(sealer.seal_in_place(&mut wire, 0), Err(FrameError::TooLong(MAX_PLAINTEXT + 1)));
    wire.pop();
    sealer.seal_in_place(&mut wire, 0).unwrap();
    assert_eq!(wire.len(), 65_537);
    assert_eq!(open_all(&mut opener, &mut wire).unwrap(), [vec![7; MAX_PLAINTEXT]]);
    assert_eq!(sealer.seal_in_place(&mut vec![0; 5], 4), Err(FrameError::Bug));
    assert_eq!(sealer.seal_in_place(&mut vec![0; 5], 6), Err(FrameError::Bug));
}

#[test]
fn a_length_below_a_tag_is_refused() {
    let (_, mut opener) = pair();
    let mask = SipKeys::new(&[6; 32]).next_mask();
    assert_eq!(opener.next_len((15 ^ mask).to_be_bytes()), Err(FrameError::Length(15)));
}

#[test]
fn the_last_counter_is_never_used() {
    let (mut sealer, mut opener) = pair();
    (sealer.nonce, opener.nonce) = (LAST_NONCE, LAST_NONCE);
    let mut wire = vec![0; 2];
    sealer.seal_in_place(&mut wire, 0).unwrap();
    assert_eq!(open_all(&mut opener, &mut wire).unwrap(), [vec![]]);
    assert_eq!(sealer.seal_in_place(&mut vec![0; 2], 0), Err(FrameError::Exhausted));
    opener.next_len([0, 0]).ok();
    opener.pending = Some(16);
    assert_eq!(opener.open(&mut [0; 16]), Err(FrameError::Exhausted));
}

proptest! {
    #[test]
    fn sealed_frames_open_in_order(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let (mut sealer, mut opener) = pair();
        let mut wire = Vec::new();
        for payload in &payloads {
            let start = wire.len();
            wire.extend_from_slice(&[0; LEN_LEN]);
            wire.extend_from_slice(payload);
            sealer.seal_in_place(&mut wire, start).unwrap();
        }
        prop_assert_eq!(open_all(&mut opener, &mut wire).unwrap(), payloads);
    }

    #[test]
    fn a_changed_bit_never_opens(len in 0..100usize, at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (mut sealer, mut opener) = pair();
        let mut wire = vec![0; LEN_LEN + len];
        sealer.seal_in_place(&mut wire, 0).unwrap();
        let at = at.index(wire.len());
        wire[at] ^= 1 << bit;
        prop_assert!(open_all(&mut opener, &mut wire).is_err());
    }
}
