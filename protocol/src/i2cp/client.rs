//! A program's end of an I2CP connection, with one session.
//!
//! ```text
//! 0x2a, GetDate --> SetDate: the router's clock --> CreateSession --> SessionStatus: created
//!    --> RequestVariableLeaseSet: signed, CreateLeaseSet2 --> Ready, and again with each change of tunnels
//! Send --> Told;   LookUp --> Found;   payloads --> Payload;   Disconnect, or what should not be --> Ended
//! ```
//! spec: i2cp §Example Message Sequences

use super::grant::Grant;
use super::message::{HostLookup, HostReply, Message, Query, Send, SessionStatus};
use super::session::SessionConfig;
use super::{Frames, PROTOCOL_BYTE, SessionId, VERSION};
use crate::data::entry::EntryKind;
use crate::data::key_type::EncType;
use crate::data::keys_and_cert::Destination;
use crate::data::lease::{Lease, MetaLease};
use crate::data::lease_set2::{FLAG_UNPUBLISHED, LeaseSet2Builder};
use crate::data::meta_lease_set::MetaLeaseSet;
use crate::data::private_keys::PrivateKeys;
use crate::id::DestinationHash;
use crate::ratchet::handshake::Secrets;
use crate::time::{Now, Wall};
use crate::wire::{Result, Writer};
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use std::collections::VecDeque;
use std::time::Duration;

/// What a session is to be.
#[derive(Clone)]
pub struct Config {
    /// Who.
    pub keys: PrivateKeys,
    /// The private halves of the keys in its lease sets: for plain handshakes, hybrid ones, or both.
    pub encryption: Secrets,
    /// Options of the session, such as `inbound.length`. spec: i2cp §Options
    pub options: Vec<(String, String)>,
    /// The user and password, if the router asks for them.
    pub credentials: Option<(String, String)>,
    /// Others who stand for it, the best first: what it publishes is a MetaLeaseSet with these, and nothing comes to itself then.
    pub stands: Vec<DestinationHash>,
}

impl Config {
    /// One of these keys, with X25519 in its lease sets, and the tunnels that the router gives to those who do not ask.
    pub fn new(keys: PrivateKeys, encryption: SecretKey) -> Self {
        Self {
            keys,
            encryption: Secrets::one(encryption, None),
            options: Vec::new(),
            credentials: None,
            stands: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("options", &self.options.len()).finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum In<'a> {
    /// Bytes of the router's.
    Bytes(&'a [u8]),
    /// Send a payload, with a number that is not zero if what becomes of it is to be told.
    Send {
        /// Whom it goes to.
        to: Destination,
        /// The gzip member: see [`crate::payload`].
        payload: Bytes,
        /// What it is called.
        nonce: u32,
    },
    /// Find out whose this is.
    LookUp(u32, Query),
    /// It is over.
    Close,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Write this to the router.
    Write(Vec<u8>),
    /// There are tunnels, and a lease set: payloads may be sent.
    Ready,
    /// A payload came.
    Payload(Bytes),
    /// What became of the payload with this number: see [`super::message::status`].
    Told(u32, u8),
    /// What came of a question.
    Found(u32, Option<Destination>),
    /// The connection is over, for this reason.
    Ended(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The router was asked for its clock.
    Greeted,
    /// A session was asked for.
    Asked,
    /// It stands.
    Created(SessionId),
    /// It is over.
    Over,
}

/// The machine. After any input drain [`Client::poll_output`]; it has no timer.
pub struct Client {
    config: Config,
    state: State,
    frames: Frames,
    /// How far the router's clock is ahead of ours.
    ahead_ms: i64,
    version: Wall,
    is_ready: bool,
    out: VecDeque<Out>,
}

impl Client {
    /// A program that has just connected.
    pub fn new(config: Config) -> Self {
        let version = Some(VERSION.to_owned());
        let mut greeting = vec![PROTOCOL_BYTE];
        // It is short.
        let _ = Message::GetDate { version, credentials: config.credentials.clone() }.write(&mut greeting);
        Self {
            config,
            state: State::Greeted,
            frames: Frames::default(),
            ahead_ms: 0,
            version: Wall(0),
            is_ready: false,
            out: VecDeque::from([Out::Write(greeting)]),
        }
    }

    /// Who the session is.
    pub fn destination(&self) -> &Destination {
        &self.config.keys.destination
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Now, input: In<'_>) {
        match (input, self.state) {
            (_, State::Over) => {}
            (In::Bytes(bytes), _) => self.on_bytes(now, bytes),
            (In::Send { to, payload, nonce }, State::Created(session)) => {
                self.write(&Message::Send(Send { session, to, payload, nonce, options: None }));
            }
            (In::LookUp(request, query), state) => {
                let session = if let State::Created(session) = state { session } else { SessionId::NONE };
                self.write(&Message::HostLookup(HostLookup {
                    session,
                    request,
                    timeout: 30_000,
                    query,
                    records: false,
                }));
            }
            (In::Close, state) => {
                if let State::Created(session) = state {
                    self.write(&Message::DestroySession(session));
                }
                self.end("closed");
            }
            (In::Send { nonce, .. }, State::Greeted | State::Asked) => {
                self.out.push_back(Out::Told(nonce, super::message::status::NO_TUNNELS));
            }
        }
    }

    /// What is to be done.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    fn on_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.frames.feed(bytes);
        while self.state != State::Over {
            match self.frames.cut().and_then(|next| next.map(|(kind, body)| Message::parse(kind, &body)).transpose()) {
                Ok(None) => return,
                Ok(Some(message)) => self.on_message(now, message),
                Err(error) => self.end(&format!("the router sends what cannot be read: {error}")),
            }
        }
    }

    fn on_message(&mut self, now: Now, message: Message) {
        match (message, self.state) {
            (Message::SetDate(date, _), State::Greeted) => {
                self.ahead_ms = i64::try_from(date.0).unwrap_or(i64::MAX).saturating_sub_unsigned(now.wall.0);
                self.create(self.router_time(now));
            }
            (Message::SessionStatus(id, SessionStatus::Created), State::Asked) => self.state = State::Created(id),
            (Message::SessionStatus(_, SessionStatus::Updated), _) => {}
            (Message::SessionStatus(_, other), _) => self.end(&format!("the session is {other:?}")),
            (Message::RequestVariableLeaseSet(id, leases), State::Created(session)) if id == session => {
                self.sign(self.router_time(now), leases);
            }
            (Message::Payload(_, _, payload), _) => self.out.push_back(Out::Payload(payload)),
            (Message::MessageStatus(status), _) => self.out.push_back(Out::Told(status.nonce, status.status)),
            (Message::HostReply(HostReply { request, found, .. }), _) => {
                self.out.push_back(Out::Found(request, found.ok().map(|found| found.destination)));
            }
            (Message::Disconnect(why), _) => self.end(&why),
            // Nothing else is waited for.
            _ => {}
        }
    }

    fn router_time(&self, now: Now) -> Wall {
        Wall(now.wall.0.saturating_add_signed(self.ahead_ms))
    }

    fn create(&mut self, now: Wall) {
        let mut options = self.config.options.clone();
        options.push(("i2cp.fastReceive".to_owned(), "true".to_owned()));
        match SessionConfig::sign(&self.config.keys, &options, now) {
            Ok(config) => {
                self.state = State::Asked;
                self.write(&Message::CreateSession(config));
            }
            Err(error) => self.end(&format!("the options do not fit: {error}")),
        }
    }

    fn sign(&mut self, now: Wall, leases: Vec<Lease>) {
        let State::Created(session) = self.state else { return };
        // spec: common-structures §LeaseSet2 — the version is in seconds, and must rise.
        self.version = Wall::from_secs(now.secs()).max(self.version.plus(Duration::from_secs(1)));
        let signed = if self.config.stands.is_empty() { self.lease_set(leases) } else { self.list(&leases) };
        match signed {
            Ok(bytes) => {
                self.write(&Message::CreateLeaseSet2(session, bytes));
                if !std::mem::replace(&mut self.is_ready, true) {
                    self.out.push_back(Out::Ready);
                }
            }
            Err(error) => self.end(&format!("the leases cannot be signed: {error}")),
        }
    }

    /// A MetaLeaseSet for as long as there are leases, as what follows the session in a CreateLeaseSet2.
    fn list(&self, leases: &[Lease]) -> Result<Bytes> {
        let end = leases.iter().map(|lease| lease.end).max().unwrap_or_default();
        let kind = u32::from(EntryKind::LeaseSet2.store_type());
        let listed = |(hash, cost): (&DestinationHash, u8)| MetaLease { key: (*hash).into(), flags: kind, cost, end };
        let listed: Vec<MetaLease> = self.config.stands.iter().zip(0..=u8::MAX).map(listed).collect();
        let PrivateKeys { destination, key, offline } = &self.config.keys;
        let mut bytes = vec![EntryKind::MetaLeaseSet.store_type()];
        bytes.put(MetaLeaseSet::sign(destination, key, offline.as_deref(), &listed, self.version)?.as_bytes());
        bytes.put_u8(0); // no keys
        Ok(bytes.into())
    }

    /// A lease set with the keys of the session, as what follows the session in a CreateLeaseSet2.
    fn lease_set(&self, leases: Vec<Lease>) -> Result<Bytes> {
        let hidden =
            self.config.options.iter().any(|(key, value)| key == "i2cp.dontPublishLeaseSet" && value == "true");
        let builder = LeaseSet2Builder {
            flags: if hidden { FLAG_UNPUBLISHED } else { 0 },
            keys: self
                .config
                .encryption
                .iter()
                .map(|(kind, secret)| (EncType::of_handshake(kind), secret.public().0.to_vec()))
                .collect(),
            leases,
            ..LeaseSet2Builder::default()
        };
        let PrivateKeys { destination, key, offline } = &self.config.keys;
        let lease_set = builder.sign(destination, key, offline.as_deref(), self.version)?;
        let stored = lease_set.clone().into();
        Ok(Grant { lease_set: lease_set.into(), stored, secrets: Some(self.config.encryption.clone()) }.to_bytes())
    }

    fn write(&mut self, message: &Message) {
        let mut bytes = Vec::new();
        match message.write(&mut bytes) {
            Ok(()) => self.out.push_back(Out::Write(bytes)),
            Err(error) => self.end(&format!("a message cannot be written: {error}")),
        }
    }

    fn end(&mut self, why: &str) {
        self.state = State::Over;
        self.out.push_back(Out::Ended(why.to_owned()));
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("state", &self.state).finish_non_exhaustive()
    }
}
