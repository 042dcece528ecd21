//! The router's end of an I2CP connection.
//!
//! ```text
//! silent --0x2a--> open: GetDate --> SetDate
//!                        CreateSession --> Open --> (its owner) Opened --> SessionStatus: created
//!                                                     '--> Leases --> RequestVariableLeaseSet, or RequestLeaseSet to old programs
//!                        CreateLeaseSet, CreateLeaseSet2 --> checked --> Granted
//!                        SendMessage --> MessageStatus: accepted; Send --> Fate --> MessageStatus
//!                        what cannot be --> Disconnect, with a reason --> closed
//! ```
//! Invariants: whoever does not begin with the protocol's byte is told nothing; without the credentials that are asked for nothing is
//! done; sessions, lookups and payloads that wait for their program are bounded.
//!
//! A connection may have several sessions. INTEROP: in other routers those share the tunnels of the first one, here each has its own.
//!
//! spec: i2cp

mod sessions;

use super::grant::{self, Grant};
use super::message::{
    BlindingInfo, Found, HostLookup, HostReply, Message, MessageStatus, Query, Send, SessionStatus, lookup, status,
};
use super::session::{Request, SessionConfig};
use super::{Frames, PROTOCOL_BYTE, SessionId, VERSION};
use crate::data::lease::Lease;
use crate::data::router_info::Version;
use crate::destination::raw::{Fate, MAX_PAYLOAD, Raw};
use crate::id::DestinationHash;
use crate::pool::Wanted;
use crate::time::{Mono, Now, Wall};
use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sessions::Session;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Sessions of one connection. INTEROP: four in Java.
pub const MAX_SESSIONS: usize = 4;

/// Questions of one connection that wait for their answers.
const MAX_LOOKUPS: usize = 64;

/// The first byte comes within this time, unless [`Config::greeting`] says otherwise.
const GREETING: Duration = Duration::from_secs(60);

/// A connection without a session may be silent for so long: programs that only ask something are done sooner.
const QUIET: Duration = Duration::from_secs(600);

/// Programs of this API are asked for lease sets by RequestVariableLeaseSet.
const LEASES_WITH_ENDS: Version = Version(0, 9, 7);

/// A question lives so long, if its program does not say. INTEROP: fifteen seconds in Java.
const LOOKUP: Duration = Duration::from_secs(15);
const LONGEST_LOOKUP: Duration = Duration::from_secs(120);

/// What a connection is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The first byte comes within this time.
    pub greeting: Duration,
    /// The user and password that programs must give.
    pub credentials: Option<(String, String)>,
    /// What sessions have that say nothing of tunnels.
    pub tunnels: Option<Wanted>,
    /// What the line bears, in and out, in KB/s.
    pub limits: [u32; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self { greeting: GREETING, credentials: None, tunnels: None, limits: [0; 2] }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum In<'a> {
    /// Bytes of the program's.
    Bytes(&'a [u8]),
    /// The destination of a session stands.
    Opened(SessionId),
    /// It cannot be, for this reason.
    Refused(SessionId, &'static str),
    /// These leases are to be signed.
    Leases(SessionId, Vec<Lease>),
    /// A payload came.
    Payload(SessionId, Bytes),
    /// What became of one that went.
    Fate(SessionId, u32, Fate),
    /// What came of a question, or why nothing did: one of [`lookup`].
    Found(u32, Result<Found, u8>),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Out {
    /// Write this to the program.
    Write(Vec<u8>),
    /// Open a destination, and say what came of it.
    Open(SessionId, Box<Request>),
    /// Its tunnels are to be these.
    Reconfigure(SessionId, Box<Request>),
    /// Its lease set is this.
    Granted(SessionId, Box<Grant>),
    /// What is needed to read the lease set of somebody's, for one of its sessions.
    Blinding(Box<BlindingInfo>),
    /// Send a payload.
    Send(SessionId, Raw),
    /// It is over.
    Close(SessionId),
    /// Find out whose this is, and say by its number what came of it.
    LookUp {
        /// Its number.
        id: u32,
        /// The session that asks.
        session: Option<SessionId>,
        /// What is asked.
        query: Query,
        /// The records of the lease set are asked for, too: it must be found also of who is known.
        records: bool,
        /// How long its program waits.
        patience: Duration,
    },
    /// When all is written, close the connection.
    End,
}

/// Why something that a program said was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be read.
    Malformed,
    /// A user or password is missing or wrong.
    Unauthorised,
    /// A session cannot be.
    Session,
    /// A lease set is not taken.
    LeaseSet,
    /// It names a session that is none.
    NoSession,
    /// Nobody knows such a message, or the other side does not send it.
    Unknown,
    /// Too many questions, or payloads that nobody fetches.
    Full,
}

impl Refused {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Unauthorised,
        Self::Session,
        Self::LeaseSet,
        Self::NoSession,
        Self::Unknown,
        Self::Full,
    ];

    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorised => "unauthorised",
            Self::Session => "session",
            Self::LeaseSet => "lease_set",
            Self::NoSession => "no_session",
            Self::Unknown => "unknown",
            Self::Full => "full",
        }
    }
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payloads that programs sent.
    pub sent: u64,
    /// Payloads that came for them.
    pub received: u64,
    /// What was not done, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was said.
    Silent,
    /// The protocol's byte was said, and perhaps who it is.
    Open { authorised: bool },
    /// No more is heard.
    Over,
}

/// How a question is answered.
#[derive(Clone, Debug)]
enum Asked {
    /// By a DestReply.
    Dest(DestinationHash),
    /// By a HostReply to this session and request, with records or not.
    Host(SessionId, u32, bool),
}

/// The machine. After any input drain [`Connection::poll_output`], then re-arm one timer.
pub struct Connection {
    config: Config,
    state: State,
    frames: Frames,
    sessions: BTreeMap<SessionId, Session>,
    /// The first session: with it all others end.
    primary: Option<SessionId>,
    /// Its program knows leases that end each at its own time.
    takes_ends: bool,
    lookups: BTreeMap<u32, Asked>,
    next_lookup: u32,
    greet_by: Mono,
    /// When its program has said something last.
    heard: Mono,
    out: VecDeque<Out>,
    rng: ChaCha20Rng,
    stats: Stats,
}

impl Connection {
    /// A connection that has just begun.
    pub fn new(config: Config, seed: [u8; 32], now: Now) -> Self {
        Self {
            greet_by: now.mono + config.greeting,
            heard: now.mono,
            config,
            state: State::Silent,
            frames: Frames::default(),
            sessions: BTreeMap::new(),
            primary: None,
            takes_ends: false,
            lookups: BTreeMap::new(),
            next_lookup: 0,
            out: VecDeque::new(),
            rng: ChaCha20Rng::from_seed(seed),
            stats: Stats::default(),
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Now, input: In<'_>) {
        match input {
            In::Bytes(bytes) => self.on_bytes(now, bytes),
            In::Opened(id) => {
                if self.sessions.contains_key(&id) {
                    self.write(&Message::SessionStatus(id, SessionStatus::Created));
                }
            }
            In::Refused(id, why) => {
                if self.sessions.remove(&id).is_some() {
                    self.disconnect(Refused::Session, why);
                }
            }
            In::Leases(id, leases) => {
                if self.sessions.contains_key(&id) {
                    self.ask_for_lease_set(id, leases);
                }
            }
            In::Payload(id, payload) => self.on_payload(id, payload),
            In::Fate(id, number, fate) => self.on_fate(id, number, fate),
            In::Found(id, found) => self.on_found(id, found),
        }
    }

    /// True if its program has spoken, and in this protocol.
    pub fn has_spoken(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.end();
        }
    }

    /// When to call [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Silent => Some(self.greet_by),
            State::Open { .. } if self.sessions.is_empty() => Some(self.heard + QUIET),
            State::Open { .. } | State::Over => None,
        }
    }

    /// What is to be done.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    fn on_bytes(&mut self, now: Now, bytes: &[u8]) {
        if self.state == State::Over {
            return;
        }
        self.frames.feed(bytes);
        self.heard = now.mono;
        if self.state == State::Silent {
            match self.frames.first() {
                None => return,
                Some(PROTOCOL_BYTE) => self.state = State::Open { authorised: self.config.credentials.is_none() },
                // A web page can have a browser post to any local port: no line of it is read, and nothing answered.
                Some(_) => return self.end(),
            }
        }
        while let State::Open { authorised } = self.state {
            match self.frames.cut() {
                Ok(None) => return,
                Ok(Some((kind, body))) => match Message::parse(kind, &body) {
                    Ok(message) if authorised || self.admits(&message) => self.on_message(now, message),
                    Ok(_) => self.disconnect(Refused::Unauthorised, AUTHORISE),
                    Err(error) => {
                        self.disconnect(Refused::Malformed, &format!("Error reading message of type {kind}: {error}"));
                    }
                },
                Err(error) => self.disconnect(Refused::Malformed, &format!("Error reading message: {error}")),
            }
        }
    }

    /// Whether a message says who its program is, as it must before all others.
    fn admits(&mut self, message: &Message) -> bool {
        let given = match message {
            Message::GetDate { credentials: Some((user, password)), .. } => Some((user.as_str(), password.as_str())),
            Message::CreateSession(config) => config.credentials(),
            _ => None,
        };
        let wanted = self.config.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        let admitted = given.is_some() && given == wanted;
        if admitted {
            self.state = State::Open { authorised: true };
        }
        admitted
    }

    fn on_message(&mut self, now: Now, message: Message) {
        match message {
            Message::GetDate { version, .. } => {
                self.takes_ends = version.as_deref().is_some_and(|version| Version::parse(version) >= LEASES_WITH_ENDS);
                // INTEROP: programs that name no version of theirs are older than the answer's.
                self.write(&Message::SetDate(now.wall, version.map(|_| VERSION.to_owned())));
            }
            Message::CreateSession(config) => self.create(now.wall, &config),
            Message::ReconfigureSession(id, config) => self.reconfigure(now.wall, id, &config),
            Message::DestroySession(id) => self.destroy(id),
            Message::CreateLeaseSet(id, bytes) => self.on_lease_set(id, |of| Grant::parse_first(&bytes, of, now.wall)),
            Message::CreateLeaseSet2(id, bytes) => self.on_lease_set(id, |of| Grant::parse(&bytes, of, now.wall)),
            Message::Send(send) => self.on_send(now.wall, send),
            Message::ReceiveBegin(id, number) => self.on_receive(id, number),
            Message::ReceiveEnd(id, number) => {
                self.sessions.entry(id).and_modify(|session| session.taken(number));
            }
            Message::GetBandwidthLimits => self.tell_limits(),
            Message::DestLookup(hash) => {
                let Some(id) = self.ask(Asked::Dest(hash)) else { return self.write(&Message::DestReply(Err(hash))) };
                let session = self.primary;
                self.out.push_back(Out::LookUp {
                    id,
                    session,
                    query: Query::Hash(hash),
                    records: false,
                    patience: LOOKUP,
                });
            }
            Message::HostLookup(lookup) => self.on_host_lookup(lookup),
            Message::Disconnect(_) => self.end(),
            Message::BlindingInfo(info) if self.sessions.contains_key(&info.session) => {
                self.out.push_back(Out::Blinding(Box::new(info)));
            }
            // Nobody acts on the one, and the other is for nobody.
            Message::ReportAbuse | Message::BlindingInfo(_) => {}
            Message::SessionStatus(..)
            | Message::MessageStatus(_)
            | Message::BandwidthLimits(_)
            | Message::Payload(..)
            | Message::SetDate(..)
            | Message::DestReply(_)
            | Message::RequestLeaseSet(..)
            | Message::RequestVariableLeaseSet(..)
            | Message::HostReply(_)
            | Message::Unknown(_) => self.count(Refused::Unknown),
        }
    }

    fn create(&mut self, now: Wall, config: &SessionConfig) {
        if let Err(refusal) = config.check(now) {
            return self.disconnect(Refused::Session, &refusal.to_string());
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return self.disconnect(Refused::Session, "session limit exceeded");
        }
        if self.sessions.values().any(|session| session.request.destination.hash() == config.destination().hash()) {
            return self.disconnect(Refused::Session, "duplicate destination");
        }
        let id = loop {
            let id = SessionId(u16::try_from(self.rng.next_u32() >> 16).unwrap_or_default());
            if id != SessionId::NONE && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let request = config.request(self.config.tunnels.unwrap_or(Wanted::new(2, 3)));
        self.sessions.insert(id, Session::new(&request));
        self.primary.get_or_insert(id);
        self.out.push_back(Out::Open(id, Box::new(request)));
    }

    fn reconfigure(&mut self, now: Wall, id: SessionId, config: &SessionConfig) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return self.disconnect(Refused::NoSession, "ReconfigureSession invalid session");
        };
        if session.request.destination != *config.destination() || config.check(now).is_err() {
            self.count(Refused::Session);
            return self.write(&Message::SessionStatus(id, SessionStatus::Invalid));
        }
        let (inbound, outbound) = (session.request.inbound, session.request.outbound);
        let mut request = config.request(outbound);
        // What is not named stays as it is.
        request.inbound = config.request(inbound).inbound;
        session.reconfigure(&request);
        self.out.push_back(Out::Reconfigure(id, Box::new(request)));
        self.write(&Message::SessionStatus(id, SessionStatus::Updated));
    }

    /// INTEROP: as Java does, which answers only when no session is left, and then by ending the connection.
    fn destroy(&mut self, id: SessionId) {
        let ended: Vec<SessionId> = if self.primary == Some(id) || !self.sessions.contains_key(&id) {
            self.sessions.keys().copied().collect()
        } else {
            vec![id]
        };
        for id in ended {
            self.sessions.remove(&id);
            self.out.push_back(Out::Close(id));
        }
        if self.sessions.is_empty() {
            self.write(&Message::Disconnect("session destroyed".to_owned()));
            self.end();
        }
    }

    /// spec: i2cp §RequestLeaseSetMessage. INTEROP: in Java, too, who names no version is an old program.
    fn ask_for_lease_set(&mut self, id: SessionId, leases: Vec<Lease>) {
        let end = leases.iter().map(|lease| lease.end).min().unwrap_or_default();
        self.write(&if self.takes_ends {
            Message::RequestVariableLeaseSet(id, leases)
        } else {
            let tunnels = leases.iter().map(|lease| (lease.gateway, lease.tunnel)).collect();
            Message::RequestLeaseSet(id, tunnels, end)
        });
    }

    fn on_lease_set(&mut self, id: SessionId, parse: impl FnOnce(&Request) -> Result<Grant, grant::Refusal>) {
        let Some(session) = self.sessions.get(&id) else {
            return self.disconnect(Refused::NoSession, "CreateLeaseSet invalid session");
        };
        match parse(&session.request) {
            Ok(grant) => self.out.push_back(Out::Granted(id, Box::new(grant))),
            Err(refusal) => self.disconnect(Refused::LeaseSet, &refusal.to_string()),
        }
    }

    fn on_send(&mut self, now: Wall, send: Send) {
        let Send { session: id, to, payload, nonce, options } = send;
        // INTEROP: Java drops it, too: old programs send with numbers of sessions that are none.
        let Some(session) = self.sessions.get_mut(&id) else { return self.count(Refused::NoSession) };
        let token = session.expect(nonce);
        if let (Some(number), true) = (token, session.request.accepts) {
            let status = MessageStatus { session: id, id: number, status: status::ACCEPTED, size: 0, nonce };
            self.write(&Message::MessageStatus(status));
        }
        self.stats.sent += 1;
        let (flags, expires) = options.unzip();
        if expires.is_some_and(|at| at.0 != 0 && at <= now) || payload.len() > MAX_PAYLOAD {
            let fate = if payload.len() > MAX_PAYLOAD { Fate::BadLength } else { Fate::Expired };
            return token.into_iter().for_each(|number| self.on_fate(id, number, fate));
        }
        let bundle = flags.unwrap_or(0) & super::message::FLAG_NO_LEASE_SET == 0;
        let expires = expires.filter(|at| at.0 != 0);
        self.out.push_back(Out::Send(id, Raw { to: to.hash(), payload, expires, bundle, token }));
    }

    fn on_fate(&mut self, id: SessionId, number: u32, fate: Fate) {
        let Some(nonce) = self.sessions.get_mut(&id).and_then(|session| session.told(number)) else { return };
        // INTEROP: for the first packet of a stream Java's library goes on after 5, 14, 16 and 21, and gives up after 11 and 17.
        let status = match fate {
            Fate::Sent => status::SENT,
            Fate::SentLocally => status::SENT_LOCALLY,
            Fate::NoLeaseSet => status::NO_LEASE_SET,
            Fate::Unusable => status::UNSUPPORTED_ENCRYPTION,
            Fate::MetaLeaseSet => status::META_LEASE_SET,
            Fate::Expired => status::EXPIRED,
            Fate::NoTunnels => status::NO_TUNNELS,
            Fate::Overflow => status::FAILED,
            Fate::BadLength => status::BAD_MESSAGE,
        };
        self.write(&Message::MessageStatus(MessageStatus { session: id, id: number, status, size: 0, nonce }));
    }

    fn on_payload(&mut self, id: SessionId, payload: Bytes) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.stats.received += 1;
        let number = session.number();
        if session.request.fast_receive {
            return self.write(&Message::Payload(id, number, payload));
        }
        let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if session.keep(number, payload) {
            let status = MessageStatus { session: id, id: number, status: status::AVAILABLE, size, nonce: 0 };
            self.write(&Message::MessageStatus(status));
        } else {
            self.count(Refused::Full);
        }
    }

    fn on_receive(&mut self, id: SessionId, number: u32) {
        if let Some(payload) = self.sessions.get(&id).and_then(|session| session.kept(number)) {
            self.write(&Message::Payload(id, number, payload));
        }
    }

    /// INTEROP: Java gives programs two thirds of the line.
    fn tell_limits(&mut self) {
        let [inbound, outbound] = self.config.limits;
        let mut limits = [0; 16];
        limits[..7].copy_from_slice(&[inbound / 3 * 2, outbound / 3 * 2, inbound, inbound, outbound, outbound, 1]);
        self.write(&Message::BandwidthLimits(limits));
    }

    fn on_host_lookup(&mut self, asked: HostLookup) {
        let HostLookup { session, request, timeout, query, records } = asked;
        let refuse = |why| Message::HostReply(HostReply { session, request, found: Err(why) });
        if matches!(query, Query::Other(_)) {
            return self.write(&refuse(lookup::UNSUPPORTED));
        }
        let Some(id) = self.ask(Asked::Host(session, request, records)) else {
            return self.write(&refuse(lookup::NOT_FOUND));
        };
        let patience = match timeout {
            0 => LOOKUP,
            ms => Duration::from_millis(ms.into()).min(LONGEST_LOOKUP),
        };
        let session = Some(session).filter(|session| self.sessions.contains_key(session));
        self.out.push_back(Out::LookUp { id, session, query, records, patience });
    }

    /// A number for a question, if there is room for one.
    fn ask(&mut self, asked: Asked) -> Option<u32> {
        if self.lookups.len() >= MAX_LOOKUPS {
            self.count(Refused::Full);
            return None;
        }
        self.next_lookup = self.next_lookup.wrapping_add(1);
        self.lookups.insert(self.next_lookup, asked);
        Some(self.next_lookup)
    }

    fn on_found(&mut self, id: u32, found: Result<Found, u8>) {
        match self.lookups.remove(&id) {
            Some(Asked::Dest(hash)) => {
                self.write(&Message::DestReply(found.map(|found| found.destination).map_err(|_| hash)));
            }
            Some(Asked::Host(session, request, wanted)) => {
                let found = match found {
                    // spec: i2cp §Responses for lookup types 2-4
                    Err(lookup::NOT_FOUND) if wanted => Err(lookup::NO_LEASE_SET),
                    Ok(Found { records: None, .. }) if wanted => Err(lookup::NO_LEASE_SET),
                    found => found.map(|found| Found { records: found.records.filter(|_| wanted), ..found }),
                };
                self.write(&Message::HostReply(HostReply { session, request, found }));
            }
            None => {}
        }
    }

    fn write(&mut self, message: &Message) {
        if self.state == State::Over {
            return;
        }
        // What is ours is never too long; a payload that is has come by mistake.
        let same = match self.out.back_mut() {
            Some(Out::Write(bytes)) => message.write(bytes),
            _ => {
                let mut bytes = Vec::with_capacity(64);
                let written = message.write(&mut bytes);
                self.out.push_back(Out::Write(bytes));
                written
            }
        };
        if same.is_err() {
            self.count(Refused::Malformed);
        }
    }

    fn disconnect(&mut self, cause: Refused, why: &str) {
        self.count(cause);
        self.write(&Message::Disconnect(why.to_owned()));
        self.end();
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.sessions.clear();
        self.out.push_back(Out::End);
    }

    fn count(&mut self, cause: Refused) {
        let at = Refused::ALL.iter().position(|other| *other == cause).unwrap_or(0);
        self.stats.refused[at] += 1;
    }
}

/// INTEROP: Java's words.
const AUTHORISE: &str =
    "Authorization required to create session, specify i2cp.username and i2cp.password in session options";

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("state", &self.state).finish_non_exhaustive()
    }
}
