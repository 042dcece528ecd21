//! ChaCha20-Poly1305 in the lanes of AVX-512.
//!
//! ```text
//! one message      sixteen blocks of key stream at a time, the first of them the Poly1305 key
//!                  sixteen blocks of text at a time through Poly1305, by powers of its key
//! eight messages   one run makes the eight Poly1305 keys and the eight blocks beyond the first 1,024 bytes of text;
//!                  then a run for each message's first 1,024 bytes; Poly1305 with one message in each lane
//! ```
//! All `unsafe` here and below is of three kinds: calls of functions whose features [`is_supported`] has found in this machine;
//! unaligned loads and stores of whole arrays that are as long as the register; and masked ones that touch no byte beyond the
//! slice they are given.
#![expect(unsafe_code, reason = "intrinsics; the three kinds above")]

mod poly;
mod stream;

use super::{Message, TAG_LEN};
use core::arch::x86_64::*;
use std::sync::LazyLock;
use stream::{FIRST, LANES, Place};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Messages that go side by side.
const GROUP: usize = 8;

/// Fewer are sealed one by one.
const GROUP_MIN: usize = 3;

/// A key as ChaCha20's state has it. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Words([u32; 8]);

impl Words {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let (words, _) = key.as_chunks::<4>();
        Self(std::array::from_fn(|i| u32::from_le_bytes(words[i])))
    }
}

pub(super) fn is_supported() -> bool {
    static SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
    });
    *SUPPORTED
}

/// Seals one message; `None` if this machine has not what it takes.
pub(super) fn seal_one(key: &Words, nonce: u64, ad: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LEN]> {
    // SAFETY: the features are there.
    is_supported().then(|| unsafe { seal_single(&key.0, nonce, ad, text) })
}

/// Opens one message, and says whether it is authentic; `None` if this machine has not what it takes.
pub(super) fn open_one(key: &Words, nonce: u64, ad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> Option<bool> {
    // SAFETY: the features are there.
    is_supported().then(|| unsafe { open_single(&key.0, nonce, ad, text, tag) })
}

/// Seals all; false if this machine has not what it takes.
pub(super) fn seal(batch: &mut [Message<'_>]) -> bool {
    if is_supported() {
        // SAFETY: the features are there.
        batch.chunks_mut(GROUP).for_each(|group| unsafe { seal_group(group) });
    }
    is_supported()
}

/// Opens all; false if this machine has not what it takes.
pub(super) fn open(batch: &mut [Message<'_>]) -> bool {
    if is_supported() {
        // SAFETY: the features are there.
        batch.chunks_mut(GROUP).for_each(|group| unsafe { open_group(group) });
    }
    is_supported()
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn seal_single(key: &[u32; 8], nonce: u64, ad: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    let first = stream::run(key, nonce, 0);
    stream::apply(&first[1..], text);
    stream::apply_from(key, nonce, LANES as u32, text.get_mut(FIRST..).unwrap_or_default());
    poly::one(&stream::poly_key(&first[0]), ad, text)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn open_single(key: &[u32; 8], nonce: u64, ad: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    let first = stream::run(key, nonce, 0);
    if !bool::from(poly::one(&stream::poly_key(&first[0]), ad, text).ct_eq(tag)) {
        return false;
    }
    stream::apply(&first[1..], text);
    stream::apply_from(key, nonce, LANES as u32, text.get_mut(FIRST..).unwrap_or_default());
    true
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn seal_group(group: &mut [Message<'_>]) {
    for message in group.iter_mut() {
        message.ok = message.data.len() >= TAG_LEN;
    }
    if group.len() < GROUP_MIN || group.iter().any(|message| !message.ok) {
        for message in group {
            if let Some((text, tag)) = message.data.split_last_chunk_mut() {
                *tag = message.key.seal(message.nonce, message.ad, text);
            }
        }
        return;
    }
    let extra = extra_blocks(group);
    for (message, beyond) in group.iter_mut().zip(&extra[GROUP..]) {
        crypt(message, beyond);
    }
    let tags = tags(group, &extra);
    for (message, tag) in group.iter_mut().zip(tags) {
        if let Some(place) = message.data.last_chunk_mut() {
            *place = tag;
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn open_group(group: &mut [Message<'_>]) {
    if group.len() < GROUP_MIN || group.iter().any(|message| message.data.len() < TAG_LEN) {
        for message in group {
            message.ok = message.key.open(message.nonce, message.ad, message.data).is_ok();
        }
        return;
    }
    let extra = extra_blocks(group);
    let tags = tags(group, &extra);
    for ((message, beyond), tag) in group.iter_mut().zip(&extra[GROUP..]).zip(tags) {
        message.ok = message.data.last_chunk().is_some_and(|got: &[u8; TAG_LEN]| bool::from(got.ct_eq(&tag)));
        if message.ok {
            crypt(message, beyond);
        }
    }
}

/// Of each message the block of its Poly1305 key, then of each the block beyond its first 1,024 bytes of text.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn extra_blocks(group: &[Message<'_>]) -> [__m512i; LANES] {
    let mut places = [Place::default(); LANES];
    for (lane, message) in group.iter().enumerate() {
        let place = Place { key: message.key.words.0, nonce: message.nonce, counter: 0 };
        (places[lane], places[GROUP + lane]) = (place, Place { counter: 1 + LANES as u32, ..place });
    }
    let rows = stream::run_places(&places);
    places.iter_mut().for_each(|place| place.key.zeroize());
    rows
}

/// Encrypts or decrypts the text of one message of a group.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn crypt(message: &mut Message<'_>, beyond: &__m512i) {
    let (key, nonce) = (&message.key.words.0, message.nonce);
    let Some((text, _)) = message.data.split_last_chunk_mut::<TAG_LEN>() else { return };
    let (body, rest) = text.split_at_mut(text.len().min(LANES * 64));
    stream::apply(&stream::run(key, nonce, 1), body);
    let (tail, far) = rest.split_at_mut(rest.len().min(64));
    stream::apply(std::slice::from_ref(beyond), tail);
    stream::apply_from(key, nonce, 2 + LANES as u32, far);
}

/// The tags of the texts as they are.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn tags(group: &[Message<'_>], extra: &[__m512i; LANES]) -> [[u8; TAG_LEN]; GROUP] {
    let mut messages: [(&[u8], &[u8]); GROUP] = [(&[], &[]); GROUP];
    for (place, message) in messages.iter_mut().zip(group) {
        *place = (message.ad, message.data.split_last_chunk::<TAG_LEN>().map_or(&[][..], |(text, _)| text));
    }
    let keys = std::array::from_fn(|lane| stream::poly_key(&extra[lane]));
    poly::eight(&keys, &messages)
}
