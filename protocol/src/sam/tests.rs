use super::reply::{Outcome, Reply};
use super::session::{Part, Refusal, Request, Style, Who, decode};
use super::*;
use crate::base64;
use crate::data::key_type::SigType;
use crate::data::private_keys::PrivateKeys;
use crate::destination::options::OptionError;
use crate::pool::Wanted;
use proptest::prelude::*;

fn create(line: &str) -> Result<Request, Refusal> {
    let Ok(Command::SessionCreate(params)) = Command::parse(&format!("SESSION CREATE {line}")) else {
        panic!("{line}")
    };
    Request::parse(&params, Version::NEWEST, Wanted::new(3, 3))
}

fn hello(line: &str) -> Option<String> {
    let Ok(Command::Hello(params)) = Command::parse(line) else { panic!("{line}") };
    Version::choose(&params).map(|version| version.to_string())
}

#[test]
fn the_highest_version_that_both_speak_is_chosen() {
    for (line, version) in [
        ("HELLO VERSION", Some("3.3")),
        ("HELLO VERSION MIN=3.1 MAX=3.1", Some("3.1")),
        ("HELLO VERSION MIN=3.0 MAX=3.2", Some("3.2")),
        ("hello version MIN=3 MAX=3", Some("3.0")),
        ("HELLO VERSION MIN=1.0 MAX=9.9", Some("3.3")),
        ("HELLO VERSION MIN= MAX=", Some("3.3")),
        ("HELLO VERSION MAX=2.0", Some("2.0")),
        ("HELLO VERSION MIN=1 MAX=1", Some("1.0")),
        ("HELLO VERSION MAX=0.9", None),
        ("HELLO VERSION MIN=3.4", None),
        ("HELLO VERSION MIN=3.2 MAX=3.1", None),
        ("HELLO VERSION MAX=newest", None),
    ] {
        assert_eq!(hello(line).as_deref(), version, "{line}");
    }
}

#[test]
fn words_are_cut_at_blanks_outside_of_quotes() {
    let params = params(r#"A=1  B="two words" C= D E="a \"quoted\\ one" A=2 F=x=y G==	H=1"#).unwrap();
    for (key, value) in [
        ("A", Some("1")),
        ("B", Some("two words")),
        ("C", Some("")),
        ("D", Some("")),
        ("E", Some(r#"a "quoted\ one"#)),
        ("F", Some("x=y")),
        ("G", Some("=")),
        ("H", Some("1")),
        ("I", None),
    ] {
        assert_eq!(params.get(key), value, "{key}");
    }
    assert_eq!(super::params("A=\"1"), Err(CommandError::Malformed));
    assert_eq!(super::params("A=\"1\\"), Err(CommandError::Malformed));
    assert_eq!(super::params(&"A ".repeat(1000)), Err(CommandError::Malformed));
}

#[test]
fn verbs_are_known_in_either_case_and_others_are_refused() {
    assert!(matches!(Command::parse("stream Accept ID=x"), Ok(Command::StreamAccept(_))));
    assert_eq!(Command::parse("PING  two  words"), Ok(Command::Ping(" two  words".to_owned())));
    assert_eq!(Command::parse("quit\r"), Ok(Command::Quit));
    for line in ["", "POST / HTTP/1.1", "STREAM", "STREAM ID=x", "SESSION OPEN ID=x", "HELLO", "\u{0}"] {
        assert_eq!(Command::parse(line), Err(CommandError::Unknown), "{line:?}");
    }
}

#[test]
fn lines_come_out_as_they_went_in_and_what_follows_is_left() {
    let mut lines = Lines::default();
    lines.feed(b"HELLO VERSION\r\nSTREAM CONNECT ID=x\nand then bytes\n");
    assert_eq!(lines.next_line().unwrap().as_deref(), Some("HELLO VERSION"));
    assert_eq!(lines.next_line().unwrap().as_deref(), Some("STREAM CONNECT ID=x"));
    assert_eq!(lines.take(3).as_deref(), Some(&b"and"[..]));
    assert_eq!(lines.take(100), None);
    assert_eq!(lines.into_rest(), b" then bytes\n");
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_memory() {
    for with_end in [true, false] {
        let mut lines = Lines::default();
        lines.feed(&[b'x'; MAX_LINE - 1]);
        assert_eq!(lines.next_line(), Ok(None));
        lines.feed(if with_end { b"x\n" } else { b"x" });
        assert_eq!(lines.next_line(), Err(LineError::TooLong));
    }
    let mut lines = Lines::default();
    lines.feed(b"\xff\n");
    assert_eq!(lines.next_line(), Err(LineError::NotText));
}

#[test]
fn a_session_is_what_its_line_says_within_bounds() {
    let request =
        create("STYLE=STREAM ID=a DESTINATION=TRANSIENT inbound.length=2 outbound.quantity=99 FROM_PORT=7").unwrap();
    assert_eq!((request.inbound.length, request.outbound.count, request.outbound.length), (2, 16, 3));
    assert_eq!((request.part.from_port, request.part.listen_port, request.part.listens_to()), (7, 7, 6));
    assert!(request.published && matches!(request.who, Who::New(SigType::Ed25519)));
    let request =
        create("STYLE=RAW ID=a DESTINATION=TRANSIENT PORT=9 HOST=localhost PROTOCOL=0 inbound.length=0").unwrap();
    assert_eq!((request.inbound.length, request.part.listens_to()), (1, 0));
    assert_eq!(
        request.part.forward.map(|to| (to.host.unwrap().to_string(), to.port)),
        Some(("127.0.0.1".to_owned(), 9))
    );
    assert!(!create("STYLE=STREAM ID=a DESTINATION=TRANSIENT i2cp.dontPublishLeaseSet=true").unwrap().published);
}

#[test]
fn keys_are_taken_with_and_without_padding() {
    let keys = PrivateKeys::generate([1; 32], &[2; 32]);
    let text = base64::encode(&keys.to_bytes());
    assert!(text.ends_with('='), "or this test shows nothing");
    for text in [text.as_str(), text.trim_end_matches('=')] {
        let given = create(&format!("STYLE=STREAM ID=a DESTINATION={text}")).unwrap().who;
        let Who::Known(given) = given else { panic!("somebody new") };
        assert_eq!(given.destination.hash(), keys.destination.hash());
    }
}

#[test]
fn what_cannot_be_a_session_is_refused_with_its_reason() {
    let public = base64::encode(PrivateKeys::generate([1; 32], &[2; 32]).destination.as_bytes());
    for (line, refusal) in [
        ("STYLE=STREAM DESTINATION=TRANSIENT", Refusal::NoId),
        ("STYLE=STREAM ID=a/b DESTINATION=TRANSIENT", Refusal::Id),
        ("STYLE=STREAM ID=\"a b\" DESTINATION=TRANSIENT", Refusal::Id),
        ("ID=a DESTINATION=TRANSIENT", Refusal::Style),
        ("STYLE=stream ID=a DESTINATION=TRANSIENT", Refusal::Style),
        ("STYLE=STREAM ID=a", Refusal::Key),
        ("STYLE=STREAM ID=a DESTINATION=AAAA", Refusal::Key),
        (&format!("STYLE=STREAM ID=a DESTINATION={public}"), Refusal::Key),
        ("STYLE=STREAM ID=a DESTINATION=TRANSIENT SIGNATURE_TYPE=0", Refusal::SignatureType),
        ("STYLE=STREAM ID=a DESTINATION=TRANSIENT SIGNATURE_TYPE=1 i2cp.leaseSetType=5", Refusal::NotBlindable),
        ("STYLE=STREAM ID=a DESTINATION=TRANSIENT i2cp.leaseSetType=7", Refusal::Option(OptionError::Type)),
        ("STYLE=RAW ID=a DESTINATION=TRANSIENT PROTOCOL=6", Refusal::Protocol(6)),
        ("STYLE=RAW ID=a DESTINATION=TRANSIENT PROTOCOL=256", Refusal::Number(NumberError("PROTOCOL", 255))),
        ("STYLE=STREAM ID=a DESTINATION=TRANSIENT TO_PORT=x", Refusal::Number(NumberError("TO_PORT", 65_535))),
        ("STYLE=STREAM ID=a DESTINATION=TRANSIENT FROM_PORT=1 LISTEN_PORT=2", Refusal::ListenPort),
        ("STYLE=RAW ID=a DESTINATION=TRANSIENT PORT=1 HOST=example.com", Refusal::Host),
    ] {
        assert_eq!(create(line).map(|_| ()), Err(refusal), "{line}");
    }
    let params = params("STYLE=PRIMARY ID=a").unwrap();
    assert_eq!(Part::parse(&params, Version::PORTS), Err(Refusal::Style));
    assert_eq!(Part::parse(&params, Version::PRIMARY).unwrap().style, Style::Primary);
}

#[test]
fn keys_are_of_the_type_that_is_asked_for_by_name_or_number() {
    for (kind, code) in [("RedDSA_SHA512_Ed25519", 11), ("11", 11), ("ECDSA_SHA256_P256", 1), ("3", 3)] {
        let request = create(&format!("STYLE=STREAM ID=a DESTINATION=TRANSIENT SIGNATURE_TYPE={kind}")).unwrap();
        assert!(matches!(request.who, Who::New(kind) if kind.code() == code), "{kind}");
    }
}

#[test]
fn records_of_a_lease_set_stand_in_a_reply_as_far_as_a_line_can_carry_them() {
    let reply = Reply::new("NAMING REPLY", Outcome::Ok).with_record("_smtp._tcp", "1 25 x").with_record("a", "b=c");
    let reply = reply.with_record("no=key", "x").with_record("x", "no\nvalue").line();
    assert_eq!(reply, "NAMING REPLY RESULT=OK OPTION:_smtp._tcp=\"1 25 x\" OPTION:a=b=c\n");
}

#[test]
fn replies_have_quotes_only_where_blanks_are() {
    let reply = Reply::new("STREAM STATUS", Outcome::I2pError).with("NAME", "a=b").saying("no \"way\"\nHELLO");
    assert_eq!(reply.line(), "STREAM STATUS RESULT=I2P_ERROR NAME=a=b MESSAGE=\"no \\\"way\\\" HELLO\"\n");
}

proptest! {
    #[test]
    fn what_a_reply_says_is_read_back_as_it_was(key in "[A-Z_.]{1,10}", value in "\\PC{0,40}") {
        let line = Reply::plain("NAMING REPLY").with(&key, &value).line();
        let pairs = params(line.strip_prefix("NAMING REPLY").unwrap().trim_end_matches('\n')).unwrap();
        prop_assert_eq!(pairs.get(&key), Some(value.as_str()));
    }

    #[test]
    fn lines_do_not_depend_on_how_they_were_cut(text in "[a-z =\"\r\n]{0,60}", at in 0usize..60) {
        let all = |parts: &[&str]| {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for part in parts {
                lines.feed(part.as_bytes());
                while let Some(line) = lines.next_line().unwrap() {
                    found.push(line);
                }
            }
            found
        };
        let (head, tail) = text.split_at(at.min(text.len()));
        prop_assert_eq!(all(&[&text]), all(&[head, tail]));
    }

    #[test]
    fn base64_is_read_with_and_without_padding(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let text = base64::encode(&bytes);
        prop_assert_eq!(decode(&text), Some(bytes.clone()));
        prop_assert_eq!(decode(text.trim_end_matches('=')), Some(bytes));
    }
}
