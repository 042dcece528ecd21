use super::*;
use crate::garlic::clove::{Block, Clove, CloveDelivery, blocks};
use crate::i2np::{MessageType, ShortHeader};
use crate::id::MessageId;
use crate::time::Wall;
use proptest::prelude::*;
use ramson_crypto::x25519::SecretKey;

const NOW: Now = Now { mono: Duration::from_secs(1000), wall: Wall(1_750_000_000_000) };

fn sessions(n: u8) -> Sessions {
    with_config(Config::default(), n)
}

fn with_config(config: Config, n: u8) -> Sessions {
    Sessions::new(config, &Secrets::one(SecretKey::from_bytes([n; 32]), None), [n; 32], NOW)
}

/// Its key.
fn of(sessions: &Sessions) -> PublicKey {
    sessions.public(None).unwrap()
}

fn clove(body: &[u8]) -> impl FnOnce(&mut Vec<u8>) + '_ {
    move |out| {
        let header = ShortHeader { kind: MessageType::Data, id: MessageId(1), expiration: NOW.wall };
        Clove { delivery: CloveDelivery::Local, header, body }.write(out).unwrap();
    }
}

fn send(from: &mut Sessions, to: &PublicKey, body: &[u8], now: Now) -> Vec<u8> {
    from.seal(now, to, None, false, clove(body)).unwrap().data
}

/// The body of the clove in what opens.
fn read(to: &mut Sessions, data: &[u8], now: Now) -> Result<(Option<PublicKey>, Vec<u8>), Refused> {
    let mut data = data.to_vec();
    let opened = to.open(now, &mut data)?;
    let body = blocks(opened.payload).find_map(|block| match block.unwrap() {
        Block::Clove(clove) => Some(clove.body.to_vec()),
        _ => None,
    });
    Ok((opened.from, body.unwrap_or_default()))
}

/// Two ends with an established session.
fn established() -> (Sessions, Sessions) {
    let (mut a, mut b) = (sessions(1), sessions(2));
    for (body, n) in [(b"question", 0u8), (b"answer..", 1), (b"and more", 2)] {
        let (from, to) = if n == 1 { (&mut b, &mut a) } else { (&mut a, &mut b) };
        let data = send(from, &of(to), body, NOW);
        assert_eq!(read(to, &data, NOW), Ok((Some(of(from)), body.to_vec())));
    }
    assert!(a.is_ready(&of(&b), NOW.mono) && b.is_ready(&of(&a), NOW.mono));
    (a, b)
}

#[test]
fn a_question_a_reply_and_a_message_establish_a_session_for_both() {
    let (mut a, mut b) = established();
    assert_eq!(a.poll_event(), Some(Event::Established(of(&b))));
    assert_eq!(b.poll_event(), Some(Event::Established(of(&a))));
    assert_eq!((a.stats().asked, b.stats().replied, a.stats().sent), (1, 1, 1));
    for n in 0..100u8 {
        let data = send(&mut b, &of(&a), &[n], NOW);
        assert_eq!(read(&mut a, &data, NOW).unwrap().1, [n]);
    }
    assert_eq!(b.stats().replied, 1, "the rest were messages of the session");
}

#[test]
fn all_questions_and_all_replies_bring_what_is_in_them() {
    let (mut a, mut b) = (sessions(1), sessions(2));
    let questions: Vec<_> = (0..3).map(|n| send(&mut a, &of(&b), &[n], NOW)).collect();
    assert_eq!(a.stats().asked, 3);
    for (n, question) in questions.iter().enumerate().rev() {
        assert_eq!(read(&mut b, question, NOW).unwrap().1, [n as u8]);
    }
    let replies: Vec<_> = (10..15).map(|n| send(&mut b, &of(&a), &[n], NOW)).collect();
    assert_eq!(b.stats().replied, 5);
    for (n, reply) in replies.iter().enumerate().rev() {
        assert_eq!(read(&mut a, reply, NOW).unwrap().1, [n as u8 + 10], "in whatever order");
        assert_eq!(read(&mut a, reply, NOW), Err(Refused::NotOurs), "each once");
    }
    let message = send(&mut a, &of(&b), b"more", NOW);
    assert_eq!(read(&mut b, &message, NOW).unwrap().1, b"more");
    let message = send(&mut b, &of(&a), b"established", NOW);
    assert_eq!((read(&mut a, &message, NOW).unwrap().1, b.stats().replied), (b"established".to_vec(), 5));
}

#[test]
fn the_first_of_many_questions_may_be_answered_as_well_as_the_last() {
    for answered in [0, 39] {
        let (mut a, mut b) = (sessions(1), sessions(2));
        let questions: Vec<_> = (0..40).map(|n| send(&mut a, &of(&b), &[n], NOW)).collect();
        read(&mut b, &questions[answered], NOW).unwrap();
        let reply = send(&mut b, &of(&a), b"answer", NOW);
        assert_eq!(read(&mut a, &reply, NOW).map(|(_, body)| body), Ok(b"answer".to_vec()), "question {answered}");
    }
}

#[test]
fn questions_that_cross_leave_both_able_to_speak() {
    let (mut a, mut b) = (sessions(1), sessions(2));
    let (of_a, of_b) = (send(&mut a, &of(&b), b"a", NOW), send(&mut b, &of(&a), b"b", NOW));
    read(&mut a, &of_b, NOW).unwrap();
    read(&mut b, &of_a, NOW).unwrap();
    for n in 0..20u8 {
        let (of_a, of_b) = (send(&mut a, &of(&b), &[n], NOW), send(&mut b, &of(&a), &[n], NOW));
        assert_eq!(read(&mut a, &of_b, NOW).unwrap().1, [n]);
        assert_eq!(read(&mut b, &of_a, NOW).unwrap().1, [n]);
    }
    assert!(a.stats().sent > 10 && b.stats().sent > 10, "they are not left answering: {:?}", (a.stats(), b.stats()));
}

#[test]
fn who_was_restarted_is_answered_at_once_in_the_new_session() {
    let (a, mut b) = established();
    let mut a = Sessions::new(Config::default(), &Secrets::one(SecretKey::from_bytes([1; 32]), None), [77; 32], {
        drop(a);
        NOW
    });
    let later = NOW.plus(Duration::from_secs(1));
    let question = send(&mut a, &of(&b), b"I am new", later);
    read(&mut b, &question, later).unwrap();
    let answer = send(&mut b, &of(&a), b"welcome", later);
    assert_eq!(read(&mut a, &answer, later).unwrap().1, b"welcome");
}

#[test]
fn a_session_in_which_nothing_comes_back_is_begun_anew() {
    let (mut a, b) = established();
    send(&mut a, &of(&b), b"lost", NOW);
    assert!(!send_is_new(&mut a, &of(&b), NOW.plus(Duration::from_secs(59))));
    assert!(send_is_new(&mut a, &of(&b), NOW.plus(Duration::from_secs(60))));
}

fn send_is_new(from: &mut Sessions, to: &PublicKey, now: Now) -> bool {
    from.seal(now, to, None, false, |_| {}).unwrap().new
}

#[test]
fn a_question_counts_once_in_its_time_and_for_its_holder() {
    let (mut a, mut b, mut c) = (sessions(1), sessions(2), sessions(3));
    let question = send(&mut a, &of(&b), b"q", NOW);
    assert_eq!(read(&mut c, &question, NOW), Err(Refused::NotOurs));
    let at = |secs: i64| Now { mono: NOW.mono, wall: Wall(NOW.wall.0.wrapping_add_signed(secs * 1000)) };
    for (when, fits) in [(301, false), (-121, false), (300, true)] {
        let question = send(&mut a, &of(&b), b"q", NOW);
        assert_eq!(read(&mut b, &question, at(when)).is_ok(), fits, "{when}");
    }
    assert!(read(&mut b, &question, NOW).is_ok());
    assert_eq!(read(&mut b, &question, NOW), Err(Refused::Replayed));
}

#[test]
fn a_forged_message_uses_up_nothing() {
    let (mut a, mut b) = established();
    let message = send(&mut a, &of(&b), b"message", NOW);
    let mut forged = message.clone();
    forged[20] ^= 1;
    assert_eq!(read(&mut b, &forged, NOW), Err(Refused::Forged));
    assert_eq!(read(&mut b, &message, NOW).unwrap().1, b"message");
}

#[test]
fn an_acknowledgement_that_was_asked_for_comes_with_the_next_message() {
    let (mut a, mut b) = established();
    while a.poll_event().is_some() {}
    let sealed = a.seal(NOW, &of(&b), None, true, clove(b"mark me")).unwrap();
    read(&mut b, &sealed.data, NOW).unwrap();
    let back = send(&mut b, &of(&a), b"", NOW);
    read(&mut a, &back, NOW).unwrap();
    assert_eq!(a.poll_event(), Some(Event::Acked(of(&b), sealed.message.unwrap())));
    let back = send(&mut b, &of(&a), b"", NOW);
    read(&mut a, &back, NOW).unwrap();
    assert_eq!(a.poll_event(), None, "and once");
}

#[test]
fn keys_are_renewed_again_and_again_while_one_side_sends_much_and_the_other_little() {
    let (mut a, mut b) = established();
    for n in 0u32..30_000 {
        let message = send(&mut a, &of(&b), &n.to_be_bytes(), NOW);
        // Some are lost: of the blocks of a renewal, too.
        if n % 7 != 3 {
            assert_eq!(read(&mut b, &message, NOW).unwrap().1, n.to_be_bytes(), "message {n}");
        }
        if n % 50 == 0 {
            let message = send(&mut b, &of(&a), b"", NOW);
            if n % 150 != 0 {
                read(&mut a, &message, NOW).unwrap();
            }
        }
    }
    assert!(a.stats().renewed >= 5, "{:?}", a.stats());
    let (mut x, mut y) = (a.stats().renewed, b.stats().renewed);
    (x, y) = (x.min(y), x.max(y));
    assert!(y - x <= 1);
}

#[test]
fn strangers_are_answered_within_bounds_and_those_in_use_stay() {
    let config = Config { max_sessions: 20, ..Config::default() };
    let mut b = with_config(config, 2);
    let mut a = sessions(1);
    let mut now = NOW;
    for stranger in 100..200u8 {
        now = now.plus(Duration::from_millis(100));
        let mut stranger = sessions(stranger);
        let question = send(&mut stranger, &of(&b), b"q", now);
        read(&mut b, &question, now).unwrap();
        let message = send(&mut a, &of(&b), b"friend", now);
        read(&mut b, &message, now).unwrap();
        let message = send(&mut b, &of(&a), b"friend", now);
        read(&mut a, &message, now).unwrap();
    }
    assert_eq!(b.len().0, 20);
    assert!(b.is_ready(&of(&a), now.mono) && b.stats().evicted > 50);
    b.expire(now.mono + Duration::from_secs(1000));
    assert_eq!(b.len(), (0, 0), "and everything is forgotten in the end");
}

#[test]
fn so_many_questions_are_opened_a_second_and_no_more() {
    let config = Config { new_per_second: 10, ..Config::default() };
    let mut b = with_config(config, 2);
    let mut a = sessions(1);
    let mut ask = |now: Now| {
        let question = send(&mut a, &of(&b), b"q", now);
        read(&mut b, &question, now)
    };
    let results: Vec<_> = (0..30).map(|_| ask(NOW)).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10);
    assert_eq!(results.last(), Some(&Err(Refused::Busy)));
    assert!(ask(NOW.plus(Duration::from_millis(250))).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Messages of both sides over a path that loses, delays and repeats: what arrives opens once, and is what was sent.
    #[test]
    fn whatever_the_path_does_a_message_opens_once_and_to_what_was_sent(
        steps in prop::collection::vec((any::<bool>(), 0u8..10, 0usize..8), 1..400),
    ) {
        let (mut a, mut b) = (sessions(1), sessions(2));
        let keys = [of(&a), of(&b)];
        let mut ways: [Vec<(u32, Vec<u8>)>; 2] = [Vec::new(), Vec::new()];
        let mut read_by = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
        for (count, (to_b, fate, pick)) in steps.into_iter().enumerate() {
            let (from, to, way) = if to_b { (&mut a, &mut b, 1) } else { (&mut b, &mut a, 0) };
            if fate < 5 {
                let data = send(from, &keys[way], &(count as u32).to_be_bytes(), NOW);
                ways[way].push((count as u32, data));
            } else if !ways[way].is_empty() {
                let pick = pick % ways[way].len().min(8);
                let (n, data) = if fate == 9 { ways[way][pick].clone() } else { ways[way].remove(pick) };
                if fate == 8 {
                    continue; // lost
                }
                match read(to, &data, NOW) {
                    Ok((_, body)) => {
                        prop_assert_eq!(body, n.to_be_bytes());
                        prop_assert!(read_by[way].insert(n), "message {} opened twice", n);
                    }
                    Err(refused) => prop_assert!(matches!(refused, Refused::NotOurs | Refused::Replayed)),
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(data in prop::collection::vec(any::<u8>(), 0..400)) {
        let (_, mut b) = established();
        prop_assert!(read(&mut b, &data, NOW).is_err());
    }
}
