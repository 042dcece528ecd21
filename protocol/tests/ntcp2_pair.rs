//! Two NTCP2 machines joined by a wire in virtual time.
//!
//! spec: ntcp2 §Messages

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use ramson_crypto::aead::TAG_LEN;
use ramson_crypto::cbc::Cbc;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::link::padding::PaddingOptions;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::replay::ReplayCache;
use ramson_protocol::link::skew::ClockSkew;
use ramson_protocol::noise::{INITIAL_NTCP2, Symmetric};
use ramson_protocol::ntcp2::block::{Block, Blocks};
use ramson_protocol::ntcp2::error::{Cause, Close, Error};
use ramson_protocol::ntcp2::initiator::{self, AwaitCreated, Initiator, InitiatorStep};
use ramson_protocol::ntcp2::options::RequestOptions;
use ramson_protocol::ntcp2::responder::{self, Accepted, Context, Responder, ResponderStep};
use ramson_protocol::ntcp2::{FIXED_LEN, Session};
use ramson_protocol::time::{Now, Wall};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

#[path = "ntcp2_pair/failures.rs"]
mod failures;

const ALICE: [u8; 32] = [0xa1; 32];
const BOB: [u8; 32] = [0xb0; 32];
const BOB_HASH: RouterHash = RouterHash([0xbb; 32]);
const BOB_IV: [u8; 16] = [0x1f; 16];
const NET: u8 = 99;

fn start() -> Now {
    Now { mono: Duration::from_secs(100), wall: Wall(1_800_000_000_000) }
}

/// Two machines, each with a clock of its own, and what was sent but not delivered.
struct Pair {
    router_info: Vec<u8>,
    alice_rng: ChaCha20Rng,
    bob_rng: ChaCha20Rng,
    alice_replay: ReplayCache,
    bob_replay: ReplayCache,
    bob_local: responder::Local,
    now: Now,
    /// How far Alice's wall clock is ahead, in milliseconds.
    alice_ahead: i64,
    clock_confirmed: bool,
    /// One-way delay.
    delay: Duration,
}

/// Bytes received and to be sent of one machine.
#[derive(Default)]
struct Buffers {
    received: Vec<u8>,
    out: Vec<u8>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self {
            router_info: (0..700u32).map(|i| (i * 7) as u8).collect(),
            alice_rng: ChaCha20Rng::seed_from_u64(seed),
            bob_rng: ChaCha20Rng::seed_from_u64(seed ^ 0xb0b),
            alice_replay: ReplayCache::new([1; 16], 1000, start().mono),
            bob_replay: ReplayCache::new([2; 16], 1000, start().mono),
            bob_local: responder::Local::new(NET, &BOB_HASH, SecretKey::from_bytes(BOB), BOB_IV),
            now: start(),
            alice_ahead: 0,
            clock_confirmed: true,
            delay: Duration::ZERO,
        }
    }

    fn alice_now(&self) -> Now {
        Now { mono: self.now.mono, wall: Wall(self.now.wall.0.saturating_add_signed(self.alice_ahead)) }
    }

    /// Alice's message 1.
    fn call(&mut self, net_id: u8) -> (Initiator, Vec<u8>) {
        let key = SecretKey::from_bytes(ALICE);
        let local = initiator::Local {
            net_id,
            static_key: &key,
            static_public: &key.public(),
            router_info: &self.router_info,
            padding: PaddingOptions::default(),
            clock_confirmed: self.clock_confirmed,
        };
        let bob = SecretKey::from_bytes(BOB).public();
        let remote = initiator::Remote { hash: &BOB_HASH, static_key: &bob, iv: &BOB_IV };
        let mut out = Vec::new();
        let now = self.alice_now();
        let state = AwaitCreated::start(local, remote, &mut self.alice_rng, now, &mut out).unwrap();
        (Initiator::Created(state), out)
    }

    fn answer(&mut self) -> Responder {
        Responder::new(&mut self.bob_rng, self.now)
    }

    fn bob_gets(&mut self, bob: Responder, bytes: &[u8], buffers: &mut Buffers) -> Result<ResponderStep, Error> {
        buffers.received.extend_from_slice(bytes);
        let mut context = Context { local: &self.bob_local, replay: &mut self.bob_replay, rng: &mut self.bob_rng };
        bob.advance(&mut context, self.now, &mut buffers.received, &mut buffers.out)
    }

    fn alice_gets(&mut self, alice: Initiator, bytes: &[u8], buffers: &mut Buffers) -> Result<InitiatorStep, Error> {
        buffers.received.extend_from_slice(bytes);
        let now = self.alice_now();
        alice.advance(&mut self.alice_replay, now, &mut buffers.received, &mut buffers.out)
    }

    /// Delivers `message` to Bob in pieces of the given lengths, the last piece taking the rest.
    fn carry_to_bob(
        &mut self,
        mut bob: Responder,
        message: &[u8],
        pieces: &[usize],
    ) -> Result<(ResponderStep, Buffers), Error> {
        let mut buffers = Buffers::default();
        self.travel();
        let mut chunks = cut(message, pieces).into_iter().peekable();
        loop {
            let step = self.bob_gets(bob, chunks.next().unwrap_or_default(), &mut buffers)?;
            match step {
                ResponderStep::Wait(state) if chunks.peek().is_some() => bob = state,
                step => return Ok((step, buffers)),
            }
        }
    }

    fn carry_to_alice(
        &mut self,
        mut alice: Initiator,
        message: &[u8],
        pieces: &[usize],
    ) -> Result<(InitiatorStep, Buffers), Error> {
        let mut buffers = Buffers::default();
        self.travel();
        let mut chunks = cut(message, pieces).into_iter().peekable();
        loop {
            let step = self.alice_gets(alice, chunks.next().unwrap_or_default(), &mut buffers)?;
            match step {
                InitiatorStep::Wait(state) if chunks.peek().is_some() => alice = state,
                step => return Ok((step, buffers)),
            }
        }
    }

    fn travel(&mut self) {
        self.now = self.now.plus(self.delay);
    }

    /// A whole handshake with every message cut in the same way.
    fn shake(&mut self, pieces: &[usize]) -> Result<(Session, Accepted), Error> {
        let (alice, message_1) = self.call(NET);
        let bob = self.answer();
        let (bob, sent) = self.carry_to_bob(bob, &message_1, pieces)?;
        let (alice, confirmed) = self.carry_to_alice(alice, &sent.out, pieces)?;
        let session = done_alice(alice);
        let (bob, after) = self.carry_to_bob(wait_bob(bob), &confirmed.out, pieces)?;
        assert!(after.received.is_empty() && after.out.is_empty());
        Ok((session, done_bob(bob)))
    }
}

fn cut<'a>(mut message: &'a [u8], pieces: &[usize]) -> Vec<&'a [u8]> {
    let mut out = Vec::new();
    for &len in pieces {
        let (head, tail) = message.split_at(len.min(message.len()));
        out.push(head);
        message = tail;
    }
    out.push(message);
    out
}

fn wait_bob(step: ResponderStep) -> Responder {
    match step {
        ResponderStep::Wait(state) => state,
        ResponderStep::Done(_) => panic!("the responder is done already"),
    }
}

fn done_bob(step: ResponderStep) -> Accepted {
    match step {
        ResponderStep::Done(accepted) => accepted,
        ResponderStep::Wait(state) => panic!("the responder waits for {} bytes", state.need()),
    }
}

fn done_alice(step: InitiatorStep) -> Session {
    match step {
        InitiatorStep::Done(session) => session,
        InitiatorStep::Wait(state) => panic!("the initiator waits for {} bytes", state.need()),
    }
}

/// Sends one I2NP-sized payload from `from` to `to` and expects it to arrive.
fn talk(from: &mut Session, to: &mut Session) {
    let mut wire = vec![0, 0];
    Block::DateTime { seconds: 77 }.write(&mut wire).unwrap();
    from.sealer.seal_in_place(&mut wire, 0).unwrap();
    let len = to.opener.next_len([wire[0], wire[1]]).unwrap();
    assert_eq!(len, wire.len() - 2);
    let plain = to.opener.open(&mut wire[2..]).unwrap();
    assert_eq!(Blocks::new(plain).collect::<Vec<_>>(), [Ok(Block::DateTime { seconds: 77 })]);
}

#[test]
fn two_routers_shake_hands_and_talk_in_both_directions() {
    let mut pair = Pair::new(1);
    pair.delay = Duration::from_millis(40);
    let (mut alice, mut bob) = pair.shake(&[]).unwrap();
    assert_eq!(bob.router_info, pair.router_info);
    assert_eq!(bob.static_key.0, SecretKey::from_bytes(ALICE).public().0);
    assert_eq!(bob.session.peer_padding, Some(PaddingOptions::default()));
    assert!(!bob.flood);
    assert_eq!(alice.rtt, Duration::from_millis(80));
    assert_eq!(bob.session.rtt, Duration::from_millis(80));
    for _ in 0..3 {
        talk(&mut alice, &mut bob.session);
        talk(&mut bob.session, &mut alice);
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    for seed in 0..3 {
        let (mut alice, mut bob) = Pair::new(seed).shake(&[1; 2000]).unwrap();
        talk(&mut alice, &mut bob.session);
    }
}

#[test]
fn every_message_may_be_split_anywhere() {
    for at in (0..330).chain((330..1000).step_by(37)) {
        let (mut alice, mut bob) = Pair::new(5).shake(&[at]).unwrap();
        talk(&mut bob.session, &mut alice);
    }
}

#[test]
fn what_follows_message_3_is_left_for_the_data_phase() {
    let mut pair = Pair::new(3);
    let (alice, message_1) = pair.call(NET);
    let bob = pair.answer();
    let (bob, sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
    let (alice, mut confirmed) = pair.carry_to_alice(alice, &sent.out, &[]).unwrap();
    let mut alice = done_alice(alice);
    let start = confirmed.out.len();
    confirmed.out.extend_from_slice(&[0; 2]);
    alice.sealer.seal_in_place(&mut confirmed.out, start).unwrap();
    let (bob, after) = pair.carry_to_bob(wait_bob(bob), &confirmed.out, &[]).unwrap();
    assert_eq!(after.received, confirmed.out[start..]);
    let mut bob = done_bob(bob).session;
    assert_eq!(bob.opener.next_len([after.received[0], after.received[1]]), Ok(TAG_LEN));
}

#[test]
fn messages_1_and_2_are_within_what_i2pd_accepts_and_vary_in_length() {
    let mut lengths = std::collections::HashSet::new();
    for seed in 0..50 {
        let mut pair = Pair::new(seed);
        let (_, message_1) = pair.call(NET);
        let bob = pair.answer();
        let (_, sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
        for message in [message_1, sent.out] {
            assert!((FIXED_LEN..=287).contains(&message.len()));
            lengths.insert(message.len());
        }
    }
    assert!(lengths.len() > 50);
}

#[test]
fn message_1_has_no_padding_while_no_peer_has_confirmed_our_clock() {
    for seed in 0..10 {
        let mut pair = Pair::new(seed);
        pair.clock_confirmed = false;
        assert_eq!(pair.call(NET).1.len(), FIXED_LEN);
        pair.shake(&[]).unwrap();
    }
}

#[test]
fn both_sides_measure_the_same_skew_whatever_the_delay() {
    for ahead in [-59_000i64, -1_000, 0, 3_000, 59_000] {
        for delay in [0, 100, 2_000] {
            let mut pair = Pair::new(9);
            pair.alice_ahead = ahead;
            pair.delay = Duration::from_millis(delay);
            let (alice, bob) = pair.shake(&[]).unwrap();
            assert!((alice.skew.0 + ahead).abs() <= 500, "{alice:?}");
            assert!((bob.session.skew.0 - ahead).abs() <= 500, "{bob:?}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn any_router_info_in_any_pieces_arrives(
        router_info in proptest::collection::vec(proptest::prelude::any::<u8>(), 440..4000),
        pieces in proptest::collection::vec(0..400usize, 0..30),
        seed: u64,
    ) {
        let mut pair = Pair::new(seed);
        pair.router_info = router_info;
        let (mut alice, mut bob) = pair.shake(&pieces).unwrap();
        proptest::prop_assert_eq!(&bob.router_info, &pair.router_info);
        talk(&mut alice, &mut bob.session);
        talk(&mut bob.session, &mut alice);
    }
}
