use super::*;
use proptest::prelude::*;

const START: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };

fn end(n: u8, max_tags: usize) -> Sessions {
    let config = Config { max_tags, ..Config::default() };
    Sessions::new(config, SecretKey::from_bytes([n; 32]), [n; 32], START.mono)
}

fn pair() -> [Sessions; 2] {
    [end(1, 1000), end(2, 1000)]
}

fn at(seconds: u64) -> Now {
    START.plus(Duration::from_secs(seconds))
}

/// A message as a destination makes it: what it says, and the confirmation if one is wanted.
fn say(from: &mut Sessions, to: &PublicKey, now: Now, word: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let confirm = from.wants_confirmation(now.mono, to).then(|| from.confirmation(now, now.wall));
    let sealed = from.seal(now.mono, to, word, confirm.as_ref().map(|(id, _)| *id));
    (sealed, confirm.map(|(_, body)| body[4..].to_vec()))
}

/// Our confirmation has come back.
fn hear(us: &mut Sessions, now: Now, mut confirmation: Vec<u8>) {
    let opened = us.open(now.mono, &mut confirmation).unwrap();
    assert!(opened.ours);
    let cloves = aes_tag::parse_clove_set(opened.cloves).unwrap();
    let id = DeliveryStatus::parse(cloves[0].body).unwrap().id;
    us.confirmed(now.mono, id);
}

#[test]
fn a_session_begins_with_elgamal_and_goes_on_with_tags_once_they_are_known_to_have_come() {
    let [mut a, mut b] = pair();
    let to = b.public();
    let (mut first, confirmation) = say(&mut a, &to, at(0), b"one");
    let mut again = first.clone();
    assert_eq!(b.open(at(0).mono, &mut first), Ok(Opened { cloves: b"one", ours: false }));
    assert_eq!(b.open(at(0).mono, &mut again), Err(Refused::Replayed));
    let (second, _) = say(&mut a, &to, at(1), b"two");
    assert!(!b.knows(&second), "nobody has said yet that the tags came");
    hear(&mut a, at(1), confirmation.unwrap());
    let (mut third, _) = say(&mut a, &to, at(2), b"three");
    assert!(b.knows(&third));
    assert_eq!(b.open(at(2).mono, &mut third.clone()), Ok(Opened { cloves: b"three", ours: false }));
    assert_eq!(b.open(at(2).mono, &mut third), Err(Refused::NotOurs), "a tag is for one message");
    assert_eq!((a.stats().asked, a.stats().sent, b.stats().heard, b.stats().received), (2, 1, 1, 1));
}

#[test]
fn a_long_session_is_brought_new_tags_and_none_is_used_twice() {
    let [mut a, mut b] = pair();
    let to = b.public();
    for n in 0..500u64 {
        let now = at(n);
        let (mut message, confirmation) = say(&mut a, &to, now, &n.to_be_bytes());
        let opened = b.open(now.mono, &mut message).unwrap();
        assert_eq!(opened.cloves, n.to_be_bytes());
        if let Some(confirmation) = confirmation {
            hear(&mut a, now, confirmation);
        }
    }
    assert_eq!(a.stats().asked, 1);
    assert!(b.len().1 <= 2 * TAGS, "{:?}", b.len());
}

#[test]
fn who_has_forgotten_our_tags_is_reached_by_a_new_session() {
    let [mut a, mut b] = pair();
    let to = b.public();
    let (mut first, confirmation) = say(&mut a, &to, at(0), b"one");
    b.open(at(0).mono, &mut first).unwrap();
    hear(&mut a, at(0), confirmation.unwrap());
    let mut again = end(2, 1000);
    let (mut lost, _) = say(&mut a, &to, at(1), b"two");
    assert_eq!(again.open(at(1).mono, &mut lost), Err(Refused::NotOurs));
    a.doubt(&to);
    let (mut heard, _) = say(&mut a, &to, at(2), b"two");
    assert_eq!(again.open(at(2).mono, &mut heard).unwrap().cloves, b"two");
    // And after twelve minutes of silence nobody trusts what is left.
    a.expire(at(2 + 12 * 60).mono);
    assert_eq!(a.len().0, 0);
    again.expire(at(2 + 15 * 60).mono);
    assert_eq!(again.len().1, 0);
}

#[test]
fn strangers_make_no_more_tags_and_no_more_work_than_there_is_room_for() {
    let mut b = end(2, 100);
    let to = b.public();
    let mut refused = 0;
    for n in 0..40u8 {
        let mut stranger = end(100 + n, 10);
        let (mut message, _) = say(&mut stranger, &to, at(0), b"hello");
        let before = message.clone();
        if b.open(at(0).mono, &mut message) == Err(Refused::Busy) {
            refused += 1;
            assert_eq!(message, before, "another may try it");
        }
    }
    assert_eq!(refused, 20);
    assert!(b.len().1 <= 100, "{:?}", b.len());
    let mut a = end(3, 10);
    for n in 0..200u8 {
        let other = SecretKey::from_bytes([n.max(1); 32]).public();
        a.seal(at(n.into()).mono, &other, b"x", Some(MessageId(n.into())));
    }
    assert_eq!(a.len().0, MAX_REMOTES);
}

#[test]
fn bytes_of_any_length_that_are_no_message_are_refused_and_left_as_they_are() {
    let [_, mut b] = pair();
    for len in (0..700).chain([514 + 48, 514 + 4096]) {
        let mut data = vec![0x5a; len];
        let before = data.clone();
        assert!(b.open(at(len as u64 * 60).mono, &mut data).is_err());
        assert_eq!(data, before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is lost, late or doubled, what is opened is what was said, once.
    #[test]
    fn what_is_opened_was_said(fates in prop::collection::vec((0u8..4, any::<bool>(), 0usize..3), 1..60)) {
        let [mut a, mut b] = pair();
        let to = b.public();
        let mut opened = Vec::new();
        let mut late: Vec<Vec<u8>> = Vec::new();
        for (n, (fate, confirmed, back)) in (0u64..).zip(fates) {
            let now = at(n);
            let (message, confirmation) = say(&mut a, &to, now, &n.to_be_bytes());
            match fate {
                0 => {}
                1 => late.insert(back.min(late.len()), message),
                _ => late.extend(std::iter::repeat_n(message, usize::from(fate) - 1)),
            }
            if let Some(mut message) = late.pop()
                && let Ok(heard) = b.open(now.mono, &mut message)
            {
                opened.push(u64::from_be_bytes(heard.cloves.try_into().unwrap()));
            }
            // One that says so though nothing came makes tags that nobody knows, and no wrong message.
            if let Some(confirmation) = confirmation.filter(|_| confirmed) {
                hear(&mut a, now, confirmation);
            }
        }
        let once: std::collections::BTreeSet<u64> = opened.iter().copied().collect();
        prop_assert!(opened.iter().all(|n| *n < 60) && once.len() == opened.len(), "{opened:?}");
        prop_assert!(a.len().1 <= 1000 && b.len().1 <= 1000);
    }
}
