//! Handshakes that must fail, and how.

use super::*;

/// Message 1 with options of the caller's choice.
fn request(ephemeral: &SecretKey, options: RequestOptions, padding: &[u8]) -> Vec<u8> {
    request_with_key(ephemeral.public(), &ephemeral.dh(&SecretKey::from_bytes(BOB).public()).unwrap(), options, padding)
}

fn request_with_key(x: PublicKey, shared: &[u8; 32], options: RequestOptions, padding: &[u8]) -> Vec<u8> {
    let mut noise = Symmetric::new(&INITIAL_NTCP2);
    noise.mix_hash(&SecretKey::from_bytes(BOB).public().0);
    noise.mix_hash(&x.0);
    noise.mix_key(shared);
    let mut out = x.0.to_vec();
    Cbc::new(&BOB_HASH.0).encrypt(&BOB_IV, &mut out);
    options.write(&mut out);
    noise.encrypt_and_hash_vec(&mut out, 32);
    out.extend_from_slice(padding);
    out
}

fn good_options() -> RequestOptions {
    RequestOptions { net_id: NET, version: 2, padding: 0, part_2: 800, timestamp: start().wall.secs() }
}

/// What Bob says to one message 1.
fn bobs_verdict(pair: &mut Pair, message: &[u8]) -> Result<(), Error> {
    let bob = pair.answer();
    let plan = bob.plan().unwrap();
    let result = pair.carry_to_bob(bob, message, &[]);
    if let Err(e) = &result {
        // Whatever the cause, the connection ends as was planned before the first byte came.
        let delay = plan.until - pair.now.mono;
        assert_eq!(e.close, Close::After { read_bytes: plan.read_bytes, delay }, "{e}");
    }
    result.map(|_| ())
}

fn cause(pair: &mut Pair, message: &[u8]) -> Cause {
    bobs_verdict(pair, message).unwrap_err().cause
}

#[test]
fn a_changed_byte_of_message_1_is_met_with_silence_or_breaks_message_2() {
    let mut pair = Pair::new(12);
    let (_, message_1) = pair.call(NET);
    assert!(message_1.len() > FIXED_LEN);
    for at in 0..message_1.len() {
        let mut pair = Pair::new(12);
        let (alice, mut message_1) = pair.call(NET);
        message_1[at] ^= 0x04;
        let bob = pair.answer();
        if at < FIXED_LEN {
            let error = bobs_verdict(&mut pair, &message_1).unwrap_err();
            assert!(matches!(error.cause, Cause::Message1Tag | Cause::KeyMarker), "byte {at}: {error}");
            assert_eq!(error.cause.fault(), Fault::Malformed);
        } else {
            let (_, sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
            let error = pair.carry_to_alice(alice, &sent.out, &[]).err().unwrap();
            assert_eq!(error, Error { cause: Cause::Message2Tag, close: Close::Now }, "byte {at}");
        }
    }
}

#[test]
fn a_changed_byte_of_message_2_ends_the_handshake() {
    for at in 0..287 {
        let mut pair = Pair::new(20);
        let (alice, message_1) = pair.call(NET);
        let bob = pair.answer();
        let (bob, mut sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
        let Some(byte) = sent.out.get_mut(at) else { return };
        *byte ^= 0x10;
        if at < FIXED_LEN {
            let error = pair.carry_to_alice(alice, &sent.out, &[]).err().unwrap();
            assert!(matches!(error.cause, Cause::Message2Tag | Cause::KeyMarker), "byte {at}: {error}");
            assert_eq!(error.close, Close::Now);
        } else {
            let (_, confirmed) = pair.carry_to_alice(alice, &sent.out, &[]).unwrap();
            let error = pair.carry_to_bob(wait_bob(bob), &confirmed.out, &[]).err().unwrap();
            assert_eq!(error, Error { cause: Cause::Message3Tag, close: Close::Now }, "byte {at}");
        }
    }
}

#[test]
fn a_changed_byte_of_message_3_ends_the_handshake() {
    for at in 0.. {
        let mut pair = Pair::new(30);
        pair.router_info.truncate(500);
        let (alice, message_1) = pair.call(NET);
        let bob = pair.answer();
        let (bob, sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
        let (_, mut confirmed) = pair.carry_to_alice(alice, &sent.out, &[]).unwrap();
        let Some(byte) = confirmed.out.get_mut(at) else { return };
        *byte ^= 0x80;
        let error = pair.carry_to_bob(wait_bob(bob), &confirmed.out, &[]).err().unwrap();
        assert_eq!(error, Error { cause: Cause::Message3Tag, close: Close::Now }, "byte {at}");
    }
}

#[test]
fn a_replayed_message_1_is_met_with_silence_for_the_whole_window() {
    let mut pair = Pair::new(40);
    let (_, message_1) = pair.call(NET);
    bobs_verdict(&mut pair, &message_1).unwrap();
    for _ in 0..12 {
        assert_eq!(cause(&mut pair, &message_1), Cause::Replay);
        pair.now = pair.now.plus(Duration::from_secs(10));
    }
}

#[test]
fn a_full_replay_cache_refuses_nobody_who_is_new() {
    let mut pair = Pair::new(41);
    pair.bob_replay = ReplayCache::new([2; 16], 1, start().mono);
    let (_, first) = pair.call(NET);
    let (_, second) = pair.call(NET);
    bobs_verdict(&mut pair, &first).unwrap();
    bobs_verdict(&mut pair, &second).unwrap();
    assert_eq!(cause(&mut pair, &first), Cause::Replay);
}

#[test]
fn options_that_cannot_be_are_met_with_silence() {
    let good = good_options();
    let expected = [
        (RequestOptions { net_id: 2, ..good }, Cause::NetworkId(2)),
        (RequestOptions { version: 3, ..good }, Cause::Version(3)),
        (RequestOptions { padding: initiator::MAX_PADDING + 1, ..good }, Cause::Padding(initiator::MAX_PADDING + 1)),
        (RequestOptions { part_2: 100, ..good }, Cause::Part2Len(100)),
        (RequestOptions { part_2: u16::MAX, ..good }, Cause::Part2Len(u16::MAX)),
    ];
    let mut pair = Pair::new(50);
    for (n, (options, expected)) in expected.into_iter().enumerate() {
        let message = request(&SecretKey::from_bytes([n as u8 + 1; 32]), options, &[]);
        assert_eq!(cause(&mut pair, &message), expected);
        assert_eq!(expected.fault(), Fault::PeerMisbehaved);
    }
    let no_network = RequestOptions { net_id: 0, ..good };
    bobs_verdict(&mut pair, &request(&SecretKey::from_bytes([77; 32]), no_network, &[])).unwrap();
}

#[test]
fn bytes_after_message_1_or_2_are_refused() {
    let mut pair = Pair::new(60);
    let mut message = request(&SecretKey::from_bytes([5; 32]), good_options(), &[]);
    message.push(0);
    assert_eq!(cause(&mut pair, &message), Cause::ExtraBytes);
    let (alice, message_1) = pair.call(NET);
    let bob = pair.answer();
    let (_, mut sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
    sent.out.push(0);
    assert_eq!(
        pair.carry_to_alice(alice, &sent.out, &[]).err().unwrap(),
        Error { cause: Cause::ExtraBytes, close: Close::Now }
    );
}

#[test]
fn the_mark_of_a_hybrid_handshake_and_keys_of_small_order_are_met_with_silence() {
    let mut pair = Pair::new(61);
    let secret = SecretKey::from_bytes([5; 32]);
    let shared = secret.dh(&SecretKey::from_bytes(BOB).public()).unwrap();
    let mut marked = secret.public();
    marked.0[31] |= 0x80;
    assert_eq!(cause(&mut pair, &request_with_key(marked, &shared, good_options(), &[])), Cause::KeyMarker);
    let zero = request_with_key(PublicKey([0; 32]), &[0; 32], good_options(), &[]);
    assert_eq!(cause(&mut pair, &zero), Cause::SmallOrder);
}

#[test]
fn garbage_of_any_length_gets_no_answer() {
    let mut pair = Pair::new(62);
    for len in [0, 1, 63, 64, 65, 287, 288, 5000] {
        let garbage = vec![0x5a; len];
        let bob = pair.answer();
        match pair.carry_to_bob(bob, &garbage, &[]) {
            Ok((ResponderStep::Wait(state), buffers)) => {
                assert!(len < FIXED_LEN && buffers.out.is_empty() && state.plan().is_some());
            }
            Ok(_) => panic!("garbage was accepted"),
            Err(e) => assert!(len >= FIXED_LEN && matches!(e.close, Close::After { .. })),
        }
    }
}

#[test]
fn a_router_with_another_key_or_iv_than_published_is_not_taken_for_it() {
    let mut pair = Pair::new(63);
    let (_, message_1) = pair.call(NET);
    for (key, iv, hash) in [(ALICE, BOB_IV, BOB_HASH), (BOB, [0; 16], BOB_HASH), (BOB, BOB_IV, RouterHash([1; 32]))] {
        pair.bob_local = responder::Local::new(NET, &hash, SecretKey::from_bytes(key), iv);
        assert!(matches!(cause(&mut pair, &message_1), Cause::Message1Tag | Cause::KeyMarker));
    }
}

#[test]
fn an_initiator_whose_clock_is_wrong_learns_by_how_much_and_leaves() {
    for (ahead, expected) in [(61_000, -61_000), (-61_000, 61_000), (86_400_000, -86_400_000)] {
        let mut pair = Pair::new(70);
        pair.alice_ahead = ahead;
        let (alice, message_1) = pair.call(NET);
        let bob = pair.answer();
        let (_, sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
        let error = pair.carry_to_alice(alice, &sent.out, &[]).err().unwrap();
        assert_eq!(error, Error { cause: Cause::ClockSkew(ClockSkew(expected)), close: Close::Now });
        assert_eq!(error.label(), "clock_skew");
    }
}

#[test]
fn an_initiator_that_goes_on_with_a_wrong_clock_is_told_why_it_must_leave() {
    let mut pair = Pair::new(71);
    pair.alice_ahead = 70_000;
    let (alice, message_1) = pair.call(NET);
    pair.alice_ahead = 0;
    let bob = pair.answer();
    let (bob, sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();
    let (alice, confirmed) = pair.carry_to_alice(alice, &sent.out, &[]).unwrap();
    let mut alice = done_alice(alice);
    let mut buffers = Buffers::default();
    let error = pair.bob_gets(wait_bob(bob), &confirmed.out, &mut buffers).err().unwrap();
    assert_eq!(error, Error { cause: Cause::ClockSkew(ClockSkew(70_000)), close: Close::Flush });
    expect_farewell(&mut alice, &mut buffers.out, Reason::CLOCK_SKEW);
}

fn expect_farewell(alice: &mut Session, wire: &mut [u8], expected: Reason) {
    let len = alice.opener.next_len([wire[0], wire[1]]).unwrap();
    assert_eq!(len, wire.len() - 2);
    let plain = alice.opener.open(&mut wire[2..]).unwrap();
    let blocks: Vec<_> = Blocks::new(plain).collect();
    assert_eq!(blocks, [Ok(Block::Termination { frames: 0, reason: expected, additional: &[] })]);
}

#[test]
fn a_refused_router_is_told_the_reason() {
    let (mut alice, bob) = Pair::new(72).shake(&[]).unwrap();
    let mut wire = Vec::new();
    bob.refuse(Reason::BANNED, &mut wire);
    expect_farewell(&mut alice, &mut wire, Reason::BANNED);
}

#[test]
fn message_3_holds_a_router_info_then_options_then_padding_and_nothing_else() {
    let info = Block::RouterInfo { flood: true, bytes: &[9; 500] };
    let options = Block::Options(PaddingOptions::default());
    let time = Block::DateTime { seconds: 1 };
    let unknown = Block::Unknown { kind: 230, data: &[] };
    for (blocks, good) in [
        (vec![info], true),
        (vec![info, options], true),
        (vec![info, Block::Padding(3)], true),
        (vec![info, options, Block::Padding(0)], true),
        (vec![options, info], false),
        (vec![info, Block::Padding(3), options], false),
        (vec![info, options, options], false),
        (vec![info, info], false),
        (vec![info, time], false),
        (vec![info, unknown], false),
        (vec![Block::Padding(600)], false),
    ] {
        let result = confirm_with(&blocks);
        if good {
            assert!(result.unwrap().flood, "{blocks:?}");
        } else {
            let expected = Error { cause: Cause::Message3Blocks, close: Close::Now };
            assert_eq!(result.err(), Some(expected), "{blocks:?}");
        }
    }
}

/// A handshake with an initiator made by hand, whose message 3 holds `blocks`.
fn confirm_with(blocks: &[Block<'_>]) -> Result<Accepted, Error> {
    let mut pair = Pair::new(80);
    let mut part_2 = Vec::new();
    blocks.iter().for_each(|b| b.write(&mut part_2).unwrap());
    let options = RequestOptions { part_2: (part_2.len() + TAG_LEN) as u16, ..good_options() };
    let ephemeral = SecretKey::from_bytes([5; 32]);
    let message_1 = request(&ephemeral, options, &[]);
    let bob = pair.answer();
    let (bob, mut sent) = pair.carry_to_bob(bob, &message_1, &[]).unwrap();

    let (bob_static, secret) = (SecretKey::from_bytes(BOB).public(), SecretKey::from_bytes(ALICE));
    let mut noise = Symmetric::new(&INITIAL_NTCP2);
    noise.mix_hash(&bob_static.0);
    noise.mix_hash(&ephemeral.public().0);
    noise.mix_key(&ephemeral.dh(&bob_static).unwrap());
    noise.mix_hash(&message_1[32..64]);
    let chain: [u8; 16] = message_1[16..32].try_into().unwrap();
    let (y, rest) = sent.out.split_first_chunk_mut::<32>().unwrap();
    Cbc::new(&BOB_HASH.0).decrypt(&chain, y);
    noise.mix_hash(y);
    noise.mix_key(&ephemeral.dh(&PublicKey(*y)).unwrap());
    let (sealed, padding) = rest.split_at_mut(32);
    noise.decrypt_and_hash(sealed).unwrap();
    if !padding.is_empty() {
        noise.mix_hash(padding);
    }
    let mut message_3 = secret.public().0.to_vec();
    noise.encrypt_and_hash_vec(&mut message_3, 0);
    noise.mix_key(&secret.dh(&PublicKey(*y)).unwrap());
    let at = message_3.len();
    message_3.extend_from_slice(&part_2);
    noise.encrypt_and_hash_vec(&mut message_3, at);
    pair.carry_to_bob(wait_bob(bob), &message_3, &[]).map(|(step, _)| done_bob(step))
}

#[test]
fn an_own_router_info_that_does_not_fit_is_our_fault() {
    let key = SecretKey::from_bytes(ALICE);
    let big = vec![0; initiator::MAX_PART_2];
    let local = initiator::Local {
        net_id: NET,
        static_key: &key,
        static_public: &key.public(),
        router_info: &big,
        padding: PaddingOptions::default(),
        clock_confirmed: true,
    };
    let bob = SecretKey::from_bytes(BOB).public();
    let remote = initiator::Remote { hash: &BOB_HASH, static_key: &bob, iv: &BOB_IV };
    let mut out = Vec::new();
    let result = AwaitCreated::start(local, remote, &mut ChaCha20Rng::seed_from_u64(1), start(), &mut out);
    let error = result.err().unwrap();
    assert_eq!((error.cause.fault(), error.label(), out.len()), (Fault::Local, "own_router_info", 0));
}
