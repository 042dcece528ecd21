use super::client::{self, Client};
use super::grant::Grant;
use super::message::{
    BlindedEndpoint, BlindingInfo, Found, HostLookup, HostReply, Message, MessageStatus, Query, Send, SessionStatus,
    lookup, status,
};
use super::server::{Config, Connection, In, Out, Refused};
use super::session::{Refusal, SessionConfig};
use super::*;
use crate::base64;
use crate::blinding::{self, Blinding, Readers};
use crate::data::entry::{Entry, EntryKind};
use crate::data::key_type::EncType;
use crate::data::key_type::SigType;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::Lease;
use crate::data::lease_set::LeaseSet;
use crate::data::lease_set2::LeaseSet2Builder;
use crate::data::mapping::MappingBuf;
use crate::data::meta_lease_set::MetaLeaseSet;
use crate::data::private_keys::PrivateKeys;
use crate::destination::raw::Fate;
use crate::id::{DestinationHash, RouterHash, TunnelId};
use crate::pool::Wanted;
use crate::ratchet::handshake::Secrets;
use crate::time::{Now, Wall};
use crate::wire::Writer;
use proptest::prelude::*;
use ramson_crypto::elgamal;
use ramson_crypto::kem::Kem;
use ramson_crypto::sign::SigningKey;
use ramson_crypto::x25519::SecretKey;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

const NOW: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };

fn keys(n: u8) -> PrivateKeys {
    PrivateKeys::generate([n; 32], &[n; 32])
}

fn lease(n: u8) -> Lease {
    Lease { gateway: RouterHash([n; 32]), tunnel: TunnelId(n.into()), end: NOW.wall.plus(Duration::from_secs(600)) }
}

/// A router's end that speaks with a test.
struct Router {
    machine: Connection,
    outs: Vec<Out>,
    messages: Vec<Message>,
}

impl Router {
    fn new(config: Config) -> Self {
        let mut router =
            Self { machine: Connection::new(config, [7; 32], NOW), outs: Vec::new(), messages: Vec::new() };
        router.input(In::Bytes(&[PROTOCOL_BYTE]));
        router
    }

    fn input(&mut self, input: In<'_>) {
        self.machine.handle_input(NOW, input);
        let mut frames = Frames::default();
        while let Some(out) = self.machine.poll_output() {
            match out {
                Out::Write(bytes) => frames.feed(&bytes),
                out => self.outs.push(out),
            }
        }
        while let Some((kind, body)) = frames.cut().unwrap() {
            self.messages.push(Message::parse(kind, &body).unwrap());
        }
    }

    fn say(&mut self, message: &Message) {
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        self.input(In::Bytes(&bytes));
    }

    fn create(&mut self, keys: &PrivateKeys, options: &[(&str, &str)]) -> Option<SessionId> {
        let options: Vec<_> = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.say(&Message::CreateSession(SessionConfig::sign(keys, &options, NOW.wall).unwrap()));
        let Some(Out::Open(id, _)) = self.outs.last() else { return None };
        let id = *id;
        self.outs.pop();
        self.input(In::Opened(id));
        assert_eq!(self.messages.pop(), Some(Message::SessionStatus(id, SessionStatus::Created)));
        Some(id)
    }

    /// The reason with which the connection ended.
    fn reason(&mut self) -> String {
        assert!(matches!(self.outs.pop(), Some(Out::End)));
        match self.messages.pop() {
            Some(Message::Disconnect(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn grant(of: &PrivateKeys, secret: &SecretKey, keys: &[(EncType, Vec<u8>)]) -> Grant {
    let builder = LeaseSet2Builder { keys: keys.to_vec(), leases: vec![lease(1)], ..LeaseSet2Builder::default() };
    let lease_set = builder.sign(&of.destination, &of.key, of.offline.as_deref(), NOW.wall).unwrap();
    Grant {
        stored: lease_set.clone().into(),
        lease_set: lease_set.into(),
        secrets: Some(Secrets::one(secret.clone(), Some(Kem::MlKem768))),
    }
}

fn offline(n: u8) -> PrivateKeys {
    let (owner, transient) = (keys(n), SigningKey::from_seed([n + 1; 32]));
    let mut offline = Vec::new();
    offline.put_u32(NOW.wall.plus(Duration::from_secs(9999)).secs());
    offline.put_u16(7);
    offline.put(&transient.public());
    let signature = owner.key.sign(&offline);
    offline.put(&signature);
    PrivateKeys { key: transient.into(), offline: Some(offline.into()), ..owner }
}

#[test]
fn a_program_and_a_router_come_to_a_session_and_change_its_lease_set_with_or_without_a_transient_key() {
    for keys in [keys(1), offline(1)] {
        let mut router = Connection::new(Config::default(), [7; 32], NOW);
        let config = client::Config::new(keys.clone(), SecretKey::from_bytes([9; 32]));
        let mut program = Client::new(config);
        // What the program's clock says does not matter.
        let late = Now { wall: NOW.wall.minus(Duration::from_secs(86_400)), ..NOW };
        let (mut granted, mut told, mut session) = (Vec::new(), Vec::new(), None);
        for turn in 0..20 {
            while let Some(out) = program.poll_output() {
                match out {
                    client::Out::Write(bytes) => {
                        bytes.chunks(7).for_each(|part| router.handle_input(NOW, In::Bytes(part)))
                    }
                    other => told.push(other),
                }
            }
            while let Some(out) = router.poll_output() {
                match out {
                    Out::Write(bytes) => {
                        bytes.chunks(5).for_each(|part| program.handle_input(late, client::In::Bytes(part)));
                    }
                    Out::Open(id, request) => {
                        assert_eq!(request.destination, keys.destination);
                        assert!(request.published && request.fast_receive && request.accepts);
                        session = Some(id);
                        router.handle_input(NOW, In::Opened(id));
                        router.handle_input(NOW, In::Leases(id, vec![lease(1), lease(2)]));
                    }
                    Out::Granted(_, grant) => granted.push(grant),
                    Out::Send(id, raw) => {
                        assert_eq!((raw.to, &raw.payload[..]), (keys.destination.hash(), &b"out"[..]));
                        router.handle_input(NOW, In::Fate(id, raw.token.unwrap(), Fate::NoLeaseSet));
                    }
                    other => panic!("{other:?}"),
                }
            }
            if turn == 5 {
                router.handle_input(NOW, In::Leases(session.unwrap(), vec![lease(3)]));
                router.handle_input(NOW, In::Payload(session.unwrap(), Bytes::from_static(b"in")));
                let payload = Bytes::from_static(b"out");
                program.handle_input(late, client::In::Send { to: keys.destination.clone(), payload, nonce: 5 });
            }
        }
        assert_eq!(granted.len(), 2);
        assert!(granted[1].lease_set.version() > granted[0].lease_set.version(), "versions rise");
        assert_eq!(granted[1].lease_set.leases().len(), 1);
        assert_eq!(
            told,
            [
                client::Out::Ready,
                client::Out::Payload(Bytes::from_static(b"in")),
                client::Out::Told(5, status::ACCEPTED),
                client::Out::Told(5, status::NO_LEASE_SET),
            ]
        );
    }
}

#[test]
fn a_program_for_which_others_stand_signs_a_list_of_them() {
    let stands = vec![DestinationHash([3; 32]), DestinationHash([4; 32])];
    let config = client::Config { stands, ..client::Config::new(keys(1), SecretKey::from_bytes([9; 32])) };
    let mut program = Client::new(config);
    let session = SessionId(5);
    for message in [
        Message::SetDate(NOW.wall, Some(VERSION.to_owned())),
        Message::SessionStatus(session, SessionStatus::Created),
        Message::RequestVariableLeaseSet(session, vec![lease(1)]),
    ] {
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        program.handle_input(NOW, client::In::Bytes(&bytes));
    }
    let (mut frames, mut signed) = (Frames::default(), None);
    while let Some(out) = program.poll_output() {
        let client::Out::Write(bytes) = out else { continue };
        frames.feed(bytes.strip_prefix(&[PROTOCOL_BYTE]).unwrap_or(&bytes));
        while let Ok(Some((kind, body))) = frames.cut() {
            if let Message::CreateLeaseSet2(_, rest) = Message::parse(kind, &body).unwrap() {
                signed = Some(rest);
            }
        }
    }
    let signed = signed.unwrap();
    let list = MetaLeaseSet::parse(signed.slice(1..signed.len() - 1)).unwrap();
    assert_eq!((signed[0], signed[signed.len() - 1], list.verify()), (7, 0, Ok(())), "and no keys");
    taken_as_a_list(&signed);
    let listed: Vec<_> = list.leases().map(|one| (one.key.0, one.cost, one.end)).collect();
    assert_eq!(listed, [([3; 32], 0, lease(1).end), ([4; 32], 1, lease(1).end)]);
}

/// A router takes it from its owner, without keys alone, and from nobody else.
fn taken_as_a_list(signed: &Bytes) {
    let with_keys = [&signed[..signed.len() - 1], &[1]].concat().into();
    let without_number = signed.slice(..signed.len() - 1);
    for (owner, bytes, words) in [
        (1, signed.clone(), None),
        (1, without_number, None),
        (1, with_keys, Some("mismatch")),
        (2, signed.clone(), Some("Different destination")),
    ] {
        let mut router = Router::new(Config::default());
        let id = router.create(&keys(owner), &[]).unwrap();
        router.say(&Message::CreateLeaseSet2(id, bytes));
        match words {
            Some(words) => assert!(router.reason().contains(words)),
            None => {
                let Some(Out::Granted(_, got)) = router.outs.pop() else { panic!() };
                assert_eq!((got.stored.kind(), got.secrets.is_some()), (EntryKind::MetaLeaseSet, false));
                assert_eq!(got.to_bytes(), signed);
            }
        }
    }
}

#[test]
fn whoever_does_not_begin_with_the_protocols_byte_is_told_nothing() {
    let mut machine = Connection::new(Config::default(), [7; 32], NOW);
    machine.handle_input(NOW, In::Bytes(b"POST / HTTP/1.1\r\n\r\n*\0\0\0\0\x20"));
    assert!(matches!(machine.poll_output(), Some(Out::End)));
    assert!(machine.poll_output().is_none());
    let mut silent = Connection::new(Config::default(), [7; 32], NOW);
    let at = silent.poll_timeout().unwrap();
    silent.handle_timeout(Now { mono: at, ..NOW });
    assert!(matches!(silent.poll_output(), Some(Out::End)));
}

#[test]
fn who_says_nothing_is_closed_unless_he_has_a_session() {
    let at = |seconds| Now { mono: NOW.mono + Duration::from_secs(seconds), ..NOW };
    let mut silent = Connection::new(Config { greeting: Duration::from_secs(3), ..Config::default() }, [7; 32], NOW);
    silent.handle_timeout(at(2));
    assert!(silent.poll_output().is_none());
    silent.handle_timeout(at(3));
    assert!(matches!(silent.poll_output(), Some(Out::End)));

    let mut asks = Router::new(Config::default());
    asks.machine.handle_timeout(at(599));
    assert!(asks.machine.poll_output().is_none());
    asks.machine.handle_timeout(at(600));
    assert!(matches!(asks.machine.poll_output(), Some(Out::End)));

    let mut stays = Router::new(Config::default());
    stays.create(&keys(1), &[]).unwrap();
    assert_eq!(stays.machine.poll_timeout(), None);
}

#[test]
fn without_the_credentials_nothing_is_done() {
    let config = Config { credentials: Some(("me".to_owned(), "secret".to_owned())), ..Config::default() };
    let version = Some("0.9.60".to_owned());
    let wrong = Some(("me".to_owned(), "guess".to_owned()));
    for first in [
        Message::GetDate { version: version.clone(), credentials: None },
        Message::GetDate { version: version.clone(), credentials: wrong },
        Message::GetBandwidthLimits,
        Message::DestLookup(DestinationHash([1; 32])),
    ] {
        let mut router = Router::new(config.clone());
        router.say(&first);
        assert!(router.reason().starts_with("Authorization required"), "{first:?}");
        assert_eq!(router.machine.stats().refused[1], 1);
    }
    let mut router = Router::new(config.clone());
    router.say(&Message::GetDate { version, credentials: config.credentials.clone() });
    assert_eq!(router.messages.pop(), Some(Message::SetDate(NOW.wall, Some(VERSION.to_owned()))));
    assert!(router.create(&keys(1), &[]).is_some());
    let mut old = Router::new(config);
    assert!(old.create(&keys(1), &[("i2cp.username", "me"), ("i2cp.password", "secret")]).is_some());
}

#[test]
fn a_session_that_cannot_be_ends_the_connection_with_the_reason() {
    let sign = |keys: &PrivateKeys, at| SessionConfig::sign(keys, &[], at).unwrap();
    let forged = |at: usize| {
        let mut bytes = sign(&keys(1), NOW.wall).as_bytes().to_vec();
        bytes[at] ^= 1;
        SessionConfig::parse(&bytes.into()).unwrap()
    };
    let mut ended = offline(3);
    let mut raw = ended.offline.unwrap().to_vec();
    raw[..4].copy_from_slice(&NOW.wall.secs().to_be_bytes());
    ended.offline = Some(raw.into());
    for (config, words) in [
        (forged(200), "Invalid signature"),
        (sign(&keys(1), NOW.wall.plus(Duration::from_secs(300))), "client clock skew? 300 s"),
        (sign(&ended, NOW.wall), "Invalid offline signature"),
    ] {
        let mut router = Router::new(Config::default());
        router.say(&Message::CreateSession(config));
        let reason = router.reason();
        assert!(reason.contains(words), "{reason}");
    }
    let mut router = Router::new(Config::default());
    router.create(&keys(1), &[]).unwrap();
    assert_eq!(router.create(&keys(1), &[]), None);
    assert_eq!(router.reason(), "duplicate destination");
    let mut router = Router::new(Config::default());
    for n in 0..4 {
        router.create(&keys(n), &[]).unwrap();
    }
    assert_eq!(router.create(&keys(9), &[]), None);
    assert_eq!(router.reason(), "session limit exceeded");
    let mut unknown = keys(1).destination.as_bytes().to_vec();
    unknown[388] = 99;
    unknown.put(&[0; 2 + 8]);
    let config = SessionConfig::parse(&unknown.into()).unwrap();
    assert_eq!(config.check(NOW.wall), Err(Refusal::SignatureType(99)));
}

#[test]
fn what_a_program_asks_for_is_read_and_brought_within_bounds() {
    let options = [
        ("inbound.length", "0"),
        ("inbound.quantity", "99"),
        ("outbound.length", "1"),
        ("outbound.lengthVariance", "-1"),
        ("i2cp.dontPublishLeaseSet", "true"),
        ("i2cp.messageReliability", "none"),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = SessionConfig::sign(&keys(1), &options, NOW.wall).unwrap();
    let request = config.request(Wanted::new(2, 3));
    assert_eq!((request.inbound.length, request.inbound.count), (1, 16));
    assert_eq!((request.outbound.length, request.outbound.count, request.outbound.variance), (1, 2, -1));
    assert!(!request.published && !request.accepts && !request.fast_receive);
}

#[test]
fn a_lease_set_is_taken_from_its_owner_with_the_keys_that_it_names_alone() {
    let (owner, secret) = (keys(1), SecretKey::from_bytes([9; 32]));
    let public = (EncType::X25519, secret.public().0.to_vec());
    let good = grant(&owner, &secret, std::slice::from_ref(&public));
    let mut router = Router::new(Config::default());
    let id = router.create(&owner, &[]).unwrap();
    router.say(&Message::CreateLeaseSet2(id, good.to_bytes()));
    assert!(matches!(router.outs.pop(), Some(Out::Granted(_, grant)) if grant.lease_set == good.lease_set));

    let other = SecretKey::from_bytes([8; 32]);
    let hybrid = (EncType::MlKem768X25519, secret.public().0.to_vec());
    for (keys, kinds) in [
        (vec![hybrid.clone(), public.clone()], vec![Some(Kem::MlKem768), None]),
        (vec![public.clone(), hybrid.clone()], vec![Some(Kem::MlKem768), None]),
        (vec![hybrid], vec![Some(Kem::MlKem768)]),
    ] {
        let mut router = Router::new(Config::default());
        let id = router.create(&owner, &[]).unwrap();
        router.say(&Message::CreateLeaseSet2(id, grant(&owner, &secret, &keys).to_bytes()));
        let Some(Out::Granted(_, got)) = router.outs.pop() else { panic!() };
        assert_eq!(got.secrets.unwrap().iter().map(|(kind, _)| kind).collect::<Vec<_>>(), kinds);
    }
    let mut unsigned = good.to_bytes().to_vec();
    unsigned[500] ^= 1;
    let mut kind = good.to_bytes().to_vec();
    kind[0] = 5;
    for (bytes, words) in [
        (grant(&keys(2), &secret, std::slice::from_ref(&public)).to_bytes(), "Different destination"),
        (grant(&owner, &other, std::slice::from_ref(&public)).to_bytes(), "mismatch"),
        (grant(&owner, &secret, &[(EncType::MlKem768X25519, vec![1; 32])]).to_bytes(), "mismatch"),
        (grant(&owner, &secret, &[]).to_bytes(), "No crypto keys"),
        (unsigned.into(), "Invalid leaseset"),
        (kind.into(), "Invalid leaseset"),
        (Bytes::from_static(&[7]), "Invalid leaseset"),
        (Bytes::from_static(&[1]), "Unsupported leaseset type: 1"),
        (Bytes::new(), "Invalid leaseset"),
    ] {
        let mut router = Router::new(Config::default());
        let id = router.create(&owner, &[]).unwrap();
        router.say(&Message::CreateLeaseSet2(id, bytes));
        let reason = router.reason();
        assert!(reason.contains(words), "{reason}");
        assert_eq!(router.machine.stats().refused[3], 1);
    }
    let mut router = Router::new(Config::default());
    router.say(&Message::CreateLeaseSet2(SessionId(5), good.to_bytes()));
    assert_eq!(router.reason(), "CreateLeaseSet invalid session");
    let mut router = Router::new(Config::default());
    router.say(&Message::CreateLeaseSet(SessionId(5), Bytes::new()));
    assert_eq!(router.reason(), "CreateLeaseSet invalid session");
}

/// A key as long as Java's.
fn old(n: u8) -> elgamal::SecretKey {
    elgamal::SecretKey::from_wide(&[n; elgamal::KEY_LEN]).unwrap()
}

fn first_grant(of: &PrivateKeys, named: &elgamal::SecretKey, secret: elgamal::SecretKey, end: Lease) -> Grant {
    let lease_set = Entry::from(LeaseSet::sign(&of.destination, &of.key, &named.public(), &[end]).unwrap());
    Grant { stored: lease_set.clone(), lease_set, secrets: Secrets::with_elgamal([], Some(secret)) }
}

#[test]
fn a_lease_set_of_the_first_kind_is_taken_from_its_owner_with_the_key_that_it_names_alone() {
    let owner = PrivateKeys::generate_of(SigType::EcdsaP256, [1; 32], &[1; 32]).unwrap();
    let ended = Lease { end: NOW.wall, ..lease(1) };
    for owner in [&owner, &keys(1)] {
        let good = first_grant(owner, &old(5), old(5), lease(1));
        let mut forged = good.to_bytes().to_vec();
        forged[800] ^= 1;
        let mut cut = good.to_bytes().to_vec();
        cut.pop();
        for (bytes, words) in [
            (good.to_bytes(), None),
            (first_grant(&keys(2), &old(5), old(5), lease(1)).to_bytes(), Some("Different destination")),
            (first_grant(owner, &old(5), old(6), lease(1)).to_bytes(), Some("mismatch")),
            (first_grant(owner, &old(5), old(5), ended).to_bytes(), Some("it has expired")),
            (forged.into(), Some("Invalid leaseset")),
            (cut.into(), Some("Invalid leaseset")),
            (Bytes::new(), Some("Invalid leaseset")),
        ] {
            let mut router = Router::new(Config::default());
            let id = router.create(owner, &[]).unwrap();
            router.say(&Message::CreateLeaseSet(id, bytes));
            match words {
                Some(words) => {
                    let reason = router.reason();
                    assert!(reason.contains(words), "{reason}");
                }
                None => {
                    let Some(Out::Granted(_, got)) = router.outs.pop() else { panic!() };
                    assert_eq!((&got.lease_set, &got.stored), (&good.lease_set, &good.stored));
                    let secrets = got.secrets.unwrap();
                    assert!(secrets.iter().next().is_none(), "nobody begins a handshake with it");
                    assert_eq!(secrets.elgamal().unwrap().to_wide(), [5; elgamal::KEY_LEN]);
                }
            }
        }
    }
}

#[test]
fn keys_of_elgamal_in_a_lease_set_of_the_second_kind_are_taken_alone_and_beside_others() {
    let (owner, secret) = (keys(1), SecretKey::from_bytes([9; 32]));
    let new = (EncType::X25519, secret.public().0.to_vec());
    let public = (EncType::ElGamal, old(5).public().as_bytes().to_vec());
    for (named, key, taken) in [
        (vec![public.clone()], old(5), true),
        (vec![new.clone(), public.clone()], old(5), true),
        (vec![public.clone(), new.clone()], old(5), true),
        (vec![new, public], old(6), false),
    ] {
        let handshakes = named.iter().filter(|(kind, _)| *kind == EncType::X25519).map(|_| (None, secret.clone()));
        let secrets = Secrets::with_elgamal(handshakes, Some(key));
        let given = Grant { secrets, ..grant(&owner, &secret, &named) };
        let mut router = Router::new(Config::default());
        let id = router.create(&owner, &[]).unwrap();
        router.say(&Message::CreateLeaseSet2(id, given.to_bytes()));
        if taken {
            let Some(Out::Granted(_, got)) = router.outs.pop() else { panic!() };
            let secrets = got.secrets.unwrap();
            assert_eq!((secrets.iter().count(), secrets.elgamal().is_some()), (named.len() - 1, true));
        } else {
            assert!(router.reason().contains("mismatch"));
        }
    }
}

#[test]
fn programs_from_before_leases_had_ends_of_their_own_are_asked_for_lease_sets_in_their_way() {
    let leases = vec![Lease { end: lease(2).end.plus(Duration::from_secs(5)), ..lease(2) }, lease(1)];
    let tunnels: Vec<_> = leases.iter().map(|lease| (lease.gateway, lease.tunnel)).collect();
    for (said, is_old) in [(None, true), (Some("0.9.6"), true), (Some("0.9.7"), false), (Some("0.9.69"), false)] {
        let mut router = Router::new(Config::default());
        let version = said.map(str::to_owned);
        router.say(&Message::GetDate { version, credentials: None });
        router.messages.clear();
        let id = router.create(&keys(1), &[]).unwrap();
        router.input(In::Leases(id, leases.clone()));
        let asked = if is_old {
            Message::RequestLeaseSet(id, tunnels.clone(), lease(1).end)
        } else {
            Message::RequestVariableLeaseSet(id, leases.clone())
        };
        assert_eq!(router.messages.pop(), Some(asked), "{said:?}");
    }
}

fn send(session: SessionId, nonce: u32, len: usize) -> Message {
    let payload = Bytes::from(vec![1; len]);
    Message::Send(Send { session, to: keys(5).destination, payload, nonce, options: None })
}

#[test]
fn a_program_hears_of_its_payloads_as_it_asked() {
    let statuses = |router: &mut Router| -> Vec<(u8, u32)> {
        router
            .messages
            .drain(..)
            .map(|message| match message {
                Message::MessageStatus(status) => (status.status, status.nonce),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    for (options, accepted) in [(vec![], true), (vec![("i2cp.messageReliability", "none")], false)] {
        let mut router = Router::new(Config::default());
        let id = router.create(&keys(1), &options).unwrap();
        router.say(&send(id, 0, 10));
        assert!(matches!(router.outs.pop(), Some(Out::Send(_, raw)) if raw.token.is_none()));
        router.say(&send(id, 77, 10));
        let Some(Out::Send(_, raw)) = router.outs.pop() else { panic!() };
        assert_eq!(statuses(&mut router), if accepted { vec![(status::ACCEPTED, 77)] } else { vec![] });
        for fate in [Fate::Sent, Fate::Sent] {
            router.input(In::Fate(id, raw.token.unwrap(), fate));
        }
        assert_eq!(statuses(&mut router), [(status::SENT, 77)], "once");
    }
    let mut router = Router::new(Config::default());
    let id = router.create(&keys(1), &[("i2cp.messageReliability", "none")]).unwrap();
    router.say(&send(id, 5, 61_000));
    let options = Some((0, NOW.wall.minus(Duration::from_secs(1))));
    let late = Send { session: id, to: keys(5).destination, payload: Bytes::from_static(b"x"), nonce: 6, options };
    router.say(&Message::Send(late));
    assert_eq!(statuses(&mut router), [(status::BAD_MESSAGE, 5), (status::EXPIRED, 6)]);
    assert!(router.outs.is_empty());
    router.say(&send(SessionId(id.0 ^ 1), 5, 10));
    assert!(router.outs.is_empty() && router.messages.is_empty(), "what is of no session is dropped");
    assert_eq!(router.machine.stats().refused[4], 1);
}

#[test]
fn payloads_are_pushed_or_fetched_as_the_session_says() {
    let mut router = Router::new(Config::default());
    let id = router.create(&keys(1), &[("i2cp.fastReceive", "true")]).unwrap();
    router.input(In::Payload(id, Bytes::from_static(b"fast")));
    assert!(matches!(router.messages.pop(), Some(Message::Payload(_, _, payload)) if payload == "fast"));

    let mut router = Router::new(Config::default());
    let id = router.create(&keys(1), &[]).unwrap();
    router.input(In::Payload(id, Bytes::from_static(b"slow")));
    let Some(Message::MessageStatus(MessageStatus { id: number, status: 0, size: 4, .. })) = router.messages.pop()
    else {
        panic!()
    };
    router.say(&Message::ReceiveBegin(id, number));
    assert!(matches!(router.messages.pop(), Some(Message::Payload(_, _, payload)) if payload == "slow"));
    router.say(&Message::ReceiveEnd(id, number));
    router.say(&Message::ReceiveBegin(id, number));
    assert!(router.messages.is_empty(), "it was taken");
    for _ in 0..300 {
        router.input(In::Payload(id, Bytes::from(vec![0; 10_000])));
    }
    assert!(router.machine.stats().refused[6] > 100, "who does not fetch has a bounded number kept");
}

fn ask(request: u32, query: Query, records: bool) -> Message {
    Message::HostLookup(HostLookup { session: SessionId::NONE, request, timeout: 3000, query, records })
}

fn reply(request: u32, found: std::result::Result<Found, u8>) -> Message {
    Message::HostReply(HostReply { session: SessionId::NONE, request, found })
}

#[test]
fn who_asks_for_records_gets_those_of_the_lease_set_or_hears_that_there_is_none() {
    let mut router = Router::new(Config::default());
    let destination = keys(5).destination;
    let mut records = MappingBuf::new();
    records.set("_smtp._tcp", "1");
    let read = Found { destination: destination.clone(), records: Some(records.clone()) };
    let unread = Found { records: None, ..read.clone() };
    let questions = [
        (Query::Hash(destination.hash()), true, Ok(read.clone()), Ok(read.clone())),
        (Query::Destination(destination.clone()), true, Ok(read.clone()), Ok(read.clone())),
        (Query::Name("a.i2p".to_owned()), false, Ok(read), Ok(unread.clone())),
        (Query::Name("a.i2p".to_owned()), true, Ok(unread), Err(lookup::NO_LEASE_SET)),
        (Query::Destination(destination), true, Err(lookup::NOT_FOUND), Err(lookup::NO_LEASE_SET)),
        (Query::Name("a.i2p".to_owned()), true, Err(lookup::KEY_NEEDED), Err(lookup::KEY_NEEDED)),
    ];
    for (request, (query, wanted, found, told)) in (0..).zip(questions) {
        router.say(&ask(request, query.clone(), wanted));
        let Some(Out::LookUp { id, query: asked, records, .. }) = router.outs.pop() else { panic!("{query:?}") };
        assert_eq!((asked, records), (query, wanted));
        router.input(In::Found(id, found));
        assert_eq!(router.messages.pop(), Some(reply(request, told)));
    }
    router.say(&ask(9, Query::Other(5), false));
    assert_eq!(router.messages.pop(), Some(reply(9, Err(lookup::UNSUPPORTED))));
}

#[test]
fn questions_are_answered_by_their_numbers() {
    let mut router = Router::new(Config::default());
    let found = keys(5).destination;
    let ask = |request, query| ask(request, query, false);
    router.say(&ask(7, Query::Name("a.i2p".to_owned())));
    router.say(&ask(8, Query::Hash(found.hash())));
    router.say(&Message::DestLookup(found.hash()));
    let ids: Vec<u32> = router
        .outs
        .drain(..)
        .map(|out| match out {
            Out::LookUp { id, session: None, .. } => id,
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |destination: &Destination| Found { destination: destination.clone(), records: None };
    router.input(In::Found(ids[1], Ok(of(&found))));
    router.input(In::Found(ids[2], Ok(of(&found))));
    router.input(In::Found(ids[0], Err(lookup::NOT_FOUND)));
    router.input(In::Found(ids[0], Err(lookup::NOT_FOUND)));
    assert_eq!(
        router.messages,
        [reply(8, Ok(of(&found))), Message::DestReply(Ok(found)), reply(7, Err(lookup::NOT_FOUND))]
    );
    router.messages.clear();
    for request in 0..70 {
        router.say(&ask(request, Query::Name("a.i2p".to_owned())));
    }
    assert_eq!((router.outs.len(), router.messages.len()), (64, 6), "so many wait at a time");
}

#[test]
fn the_first_session_ends_all_and_the_last_the_connection() {
    let mut router = Router::new(Config::default());
    let (first, second) = (router.create(&keys(1), &[]).unwrap(), router.create(&keys(2), &[]).unwrap());
    router.say(&Message::DestroySession(second));
    assert!(matches!(router.outs.pop(), Some(Out::Close(id)) if id == second));
    assert!(router.messages.is_empty());
    router.create(&keys(3), &[]).unwrap();
    router.say(&Message::DestroySession(first));
    assert_eq!(router.reason(), "session destroyed");
    assert_eq!(router.outs.len(), 2);
    let silent = router.messages.len();
    router.say(&Message::GetBandwidthLimits);
    assert_eq!(router.messages.len(), silent, "no more is heard");
}

#[test]
fn a_session_is_reconfigured_by_its_owner() {
    let mut router = Router::new(Config::default());
    let id = router.create(&keys(1), &[("inbound.length", "1")]).unwrap();
    let options = [("outbound.quantity".to_owned(), "5".to_owned())];
    let config = |keys: &PrivateKeys| SessionConfig::sign(keys, &options, NOW.wall).unwrap();
    router.say(&Message::ReconfigureSession(id, config(&keys(2))));
    assert_eq!(router.messages.pop(), Some(Message::SessionStatus(id, SessionStatus::Invalid)));
    router.say(&Message::ReconfigureSession(id, config(&keys(1))));
    assert_eq!(router.messages.pop(), Some(Message::SessionStatus(id, SessionStatus::Updated)));
    let Some(Out::Reconfigure(_, request)) = router.outs.pop() else { panic!() };
    assert_eq!((request.outbound.count, request.inbound.length), (5, 1), "what is not named stays");
}

#[test]
fn what_a_program_knows_of_an_encrypted_lease_set_is_handed_on_for_a_session_that_there_is() {
    let mut router = Router::new(Config::default());
    let session = router.create(&keys(1), &[]).unwrap();
    let endpoint = BlindedEndpoint::Key(7, Bytes::from_static(&[4; 32]));
    let expires = Wall::from_secs(9);
    let info = BlindingInfo {
        session,
        endpoint,
        blinded_type: 11,
        expires,
        scheme: Some(1),
        key: Some([5; 32]),
        secret: None,
    };
    router.say(&Message::BlindingInfo(BlindingInfo { session: SessionId::NONE, ..info.clone() }));
    assert!(router.outs.is_empty());
    router.say(&Message::BlindingInfo(info.clone()));
    let Some(Out::Blinding(told)) = router.outs.pop() else { panic!() };
    assert_eq!(*told, info);
}

#[test]
fn lengths_beyond_the_bound_and_broken_messages_end_the_connection() {
    for (bytes, words) in [
        (&[0xff, 0xff, 0xff, 0xff, 32][..], "too large"),
        (&[0, 1, 0x40, 1, 32], "too large"),
        (&[0, 0, 0, 2, 1, 0, 0], "message of type 1"),
        (&[0, 0, 0, 3, 34, 0, 0, 0], "message of type 34"),
    ] {
        let mut router = Router::new(Config::default());
        router.input(In::Bytes(bytes));
        let reason = router.reason();
        assert!(reason.contains("Error reading message") && reason.contains(words), "{reason}");
    }
    let mut router = Router::new(Config::default());
    router.input(In::Bytes(&[0, 0, 0, 1, 99, 7]));
    router.say(&Message::GetBandwidthLimits);
    assert!(matches!(router.messages.pop(), Some(Message::BandwidthLimits(_))), "what nobody knows is passed over");
    assert_eq!(router.machine.stats().refused[5], 1);
    assert_eq!(Refused::ALL[5], Refused::Unknown);
}

fn destination() -> impl Strategy<Value = Destination> {
    any::<u8>().prop_map(|n| keys(n).destination)
}

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn message() -> impl Strategy<Value = Message> {
    let id = || any::<u16>().prop_map(SessionId);
    let hash = || any::<[u8; 32]>().prop_map(DestinationHash);
    let name = "[a-z.]{0,60}";
    let query = prop_oneof![
        (hash().prop_map(Query::Hash), any::<bool>()),
        (name.prop_map(Query::Name), any::<bool>()),
        (destination().prop_map(Query::Destination), Just(true)),
    ];
    let records = prop::option::of(prop::collection::vec(("[a-z]{1,9}", "[a-z]{0,9}"), 0..4));
    let found = (destination(), records).prop_map(|(destination, pairs)| {
        let records = pairs.map(|pairs| {
            let mut records = MappingBuf::new();
            pairs.into_iter().for_each(|(key, value)| _ = records.set(&key, value));
            records
        });
        Found { destination, records }
    });
    let endpoint = prop_oneof![
        hash().prop_map(BlindedEndpoint::Hash),
        name.prop_map(BlindedEndpoint::Name),
        destination().prop_map(BlindedEndpoint::Destination),
        any::<[u8; 32]>().prop_map(|key| BlindedEndpoint::Key(11, key.to_vec().into())),
    ];
    let options = prop::option::of((any::<u16>(), (0..1_u64 << 48).prop_map(Wall)));
    prop_oneof![
        prop::collection::vec(("[a-z.]{1,20}", ".{0,20}"), 0..9)
            .prop_map(|options| Message::CreateSession(SessionConfig::sign(&keys(1), &options, NOW.wall).unwrap())),
        id().prop_map(Message::DestroySession),
        (id(), bytes(900)).prop_map(|(id, rest)| Message::CreateLeaseSet2(id, rest)),
        (id(), destination(), bytes(2000), any::<u32>(), options).prop_map(|(session, to, payload, nonce, options)| {
            Message::Send(Send { session, to, payload, nonce, options })
        }),
        (id(), any::<u32>()).prop_map(|(id, number)| Message::ReceiveBegin(id, number)),
        (id(), any::<u32>()).prop_map(|(id, number)| Message::ReceiveEnd(id, number)),
        (id(), any::<u32>(), any::<u8>(), any::<u32>(), any::<u32>()).prop_map(|(session, id, status, size, nonce)| {
            Message::MessageStatus(MessageStatus { session, id, status, size, nonce })
        }),
        any::<[u32; 16]>().prop_map(Message::BandwidthLimits),
        ".{0,60}".prop_map(Message::Disconnect),
        (id(), any::<u32>(), bytes(2000)).prop_map(|(id, number, payload)| Message::Payload(id, number, payload)),
        prop::option::of(("[0-9.]{1,9}", prop::option::of(("[a-z]{1,9}", "[a-z]{1,9}")))).prop_map(|both| {
            let (version, credentials) = both.unzip();
            Message::GetDate { version, credentials: credentials.flatten() }
        }),
        (any::<u64>(), prop::option::of("[0-9.]{1,9}"))
            .prop_map(|(date, version)| Message::SetDate(Wall(date), version)),
        hash().prop_map(Message::DestLookup),
        hash().prop_map(|hash| Message::DestReply(Err(hash))),
        destination().prop_map(|found| Message::DestReply(Ok(found))),
        (id(), 0..17_u8, any::<u64>()).prop_map(|(id, count, end)| {
            let tunnels = (0..count).map(|n| (lease(n).gateway, lease(n).tunnel)).collect();
            Message::RequestLeaseSet(id, tunnels, Wall(end))
        }),
        (id(), 0..17_u8).prop_map(|(id, count)| Message::RequestVariableLeaseSet(id, (0..count).map(lease).collect())),
        (id(), any::<u32>(), any::<u32>(), query).prop_map(|(session, request, timeout, (query, records))| {
            Message::HostLookup(HostLookup { session, request, timeout, query, records })
        }),
        (id(), any::<u32>(), prop_oneof![found.prop_map(Ok), (1..8_u8).prop_map(Err)])
            .prop_map(|(session, request, found)| Message::HostReply(HostReply { session, request, found })),
        (
            id(),
            endpoint,
            any::<u16>(),
            any::<u32>(),
            prop::option::of((0..2_u8, any::<[u8; 32]>())),
            prop::option::of(name)
        )
            .prop_map(|(session, endpoint, blinded_type, expires, client, secret)| {
                let (scheme, key) = client.unzip();
                let expires = Wall::from_secs(expires);
                Message::BlindingInfo(BlindingInfo { session, endpoint, blinded_type, expires, scheme, key, secret })
            }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again_in_whatever_pieces_it_comes(
        messages in prop::collection::vec(message(), 1..5),
        piece in 1..700_usize,
    ) {
        let mut written = Vec::new();
        for message in &messages {
            message.write(&mut written).unwrap();
        }
        let (mut frames, mut read) = (Frames::default(), Vec::new());
        for part in written.chunks(piece) {
            frames.feed(part);
            while let Some((kind, body)) = frames.cut().unwrap() {
                read.push(Message::parse(kind, &body).unwrap());
                prop_assert_eq!(kind, read.last().unwrap().kind());
            }
        }
        prop_assert_eq!(read, messages);
        prop_assert!(frames.is_empty());
    }

    #[test]
    fn a_message_that_is_cut_is_refused_or_another(message in message(), cut in any::<prop::sample::Index>()) {
        let mut written = Vec::new();
        message.write(&mut written).unwrap();
        let body = Bytes::from(written).slice(5..);
        let at = cut.index(body.len() + 1);
        if let Ok(other) = Message::parse(message.kind(), &body.slice(..at)) {
            prop_assert!(other != message || at == body.len());
        }
    }
}

#[test]
fn an_encrypted_lease_set_is_read_with_what_the_session_names_and_kept_as_it_came() {
    let (owner, secret) = (keys(1), SecretKey::from_bytes([9; 32]));
    let inner = grant(&owner, &secret, &[(EncType::X25519, secret.public().0.to_vec())]);
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let psk = [7; 32];
    for (readers, options, taken) in [
        (Readers::Everybody, vec![], true),
        (Readers::Everybody, vec![("i2cp.leaseSetSecret", base64::encode(b"hidden"))], false),
        (Readers::Psk(vec![psk]), vec![("i2cp.leaseSetPrivKey", base64::encode(&psk))], true),
        (Readers::Psk(vec![psk]), vec![], false),
    ] {
        let blinding = Blinding::of(&owner.destination, &[]).unwrap();
        let Entry::LeaseSet2(plain) = &inner.lease_set else { panic!() };
        let sealed = blinding::seal(plain, &owner.key, &blinding, &readers, &mut rng).unwrap();
        let sealed = Grant { stored: sealed.into(), ..inner.clone() };
        let mut router = Router::new(Config::default());
        let options: Vec<_> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let id = router.create(&owner, &options).unwrap();
        router.say(&Message::CreateLeaseSet2(id, sealed.to_bytes()));
        if taken {
            let Some(Out::Granted(_, got)) = router.outs.pop() else { panic!() };
            assert_eq!((&got.lease_set, &got.stored), (&inner.lease_set, &sealed.stored));
        } else {
            let reason = router.reason();
            assert!(reason.starts_with("Encrypted LS cannot be read"), "{reason}");
        }
    }
}
