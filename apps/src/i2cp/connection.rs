//! One socket: bytes between a program and the machine that serves it, and what that wants done.
//!
//! A program that does not read has at most [`MAX_PENDING`] bytes waiting for it: beyond, nothing is taken for it any more, and what it
//! asks meanwhile ends the socket.

use super::Server;
use super::endpoint::{Endpoint, Opener};
use super::sessions::{Event, Sessions, find};
use crate::guests::Place;
use crate::names::HostName;
use bytes::{Buf, BytesMut};
use ramson_actors::destination::Told;
use ramson_actors::series::control;
use ramson_clients::raw::Up;
use ramson_protocol::b32::{self, B32};
use ramson_protocol::blinding::ClientKey;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::destination::raw::{Fate, Raw};
use ramson_protocol::i2cp::SessionId;
use ramson_protocol::i2cp::message::{BlindedEndpoint, Found, Query, lookup};
use ramson_protocol::i2cp::server::{Connection, In, Out, Refused, Stats};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// What waits for a program that does not read.
const MAX_PENDING: usize = 512 * 1024;
/// And with the answers to what it goes on to ask.
const MOST_PENDING: usize = 4 << 20;

/// Events that wait for the socket's task.
const EVENTS: usize = 64;

/// A client thread that does not keep up is tried again after this, so often; then the payload is lost.
const AGAIN: Duration = Duration::from_millis(1);
const TRIES: usize = 100;

/// What is left to say is said within this time.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves a socket until it is closed.
pub(super) async fn serve<O: Opener, S: AsyncRead + AsyncWrite + Send + 'static>(
    server: Arc<Server<O>>,
    socket: S,
    place: Place,
) {
    let (events, incoming) = mpsc::channel(EVENTS);
    let (read, write) = tokio::io::split(socket);
    let machine = Connection::new(server.of_connection(), rand::random(), server.clock.now());
    let sessions = Sessions::new(Arc::clone(&server), events.clone());
    let pending = BytesMut::new();
    let mut task = Task { server, machine, sessions, events, pending, place, counted: Stats::default() };
    task.run(read, write, incoming).await;
    task.count();
}

/// Where to look for somebody.
enum Address {
    /// It is known.
    Known(Box<Destination>),
    /// In the network.
    Elsewhere(B32),
}

struct Task<O: Opener> {
    server: Arc<Server<O>>,
    machine: Connection,
    sessions: Sessions<O>,
    events: mpsc::Sender<Event>,
    pending: BytesMut,
    place: Place,
    counted: Stats,
}

impl<O: Opener> Task<O> {
    async fn run<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut read: ReadHalf<S>,
        mut write: WriteHalf<S>,
        mut events: mpsc::Receiver<Event>,
    ) {
        let mut buffer = BytesMut::new();
        loop {
            // Who has said nothing needs no room yet.
            buffer.reserve(if self.machine.has_spoken() { CHUNK } else { 1 });
            let silence = self.machine.poll_timeout().map(|at| at.saturating_sub(self.server.clock.now().mono));
            let room = self.pending.len() < MAX_PENDING;
            tokio::select! {
                len = read.read_buf(&mut buffer) => {
                    if !matches!(len, Ok(1..)) || self.pending.len() > MOST_PENDING {
                        return;
                    }
                    self.machine.handle_input(self.server.clock.now(), In::Bytes(&buffer));
                    buffer.clear();
                    if self.machine.has_spoken() {
                        self.place.spoke();
                    }
                }
                // The sender is here, so there is always another one to wait for.
                Some(event) = events.recv(), if room => self.on_event(event),
                written = write.write_buf(&mut self.pending), if !self.pending.is_empty() => if written.is_err() {
                    return;
                },
                () = sleep(silence.unwrap_or_default()), if silence.is_some() => {
                    self.machine.handle_timeout(self.server.clock.now());
                }
            }
            if !self.drain().await {
                // Why it ends is said, if the program listens.
                let farewell = async {
                    while self.pending.has_remaining() && write.write_buf(&mut self.pending).await.is_ok() {}
                    let _ = write.shutdown().await;
                };
                let _ = timeout(FAREWELL, farewell).await;
                return;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.server.clock.now();
        match event {
            Event::Leases(id, leases) => self.machine.handle_input(now, In::Leases(id, leases)),
            Event::Found(id, found) => self.machine.handle_input(now, In::Found(id, found)),
            Event::Up(id, batch) => {
                for up in batch {
                    self.machine.handle_input(
                        now,
                        match up {
                            Up::Payload(payload) => In::Payload(id, payload),
                            Up::Fate(number, fate) => In::Fate(id, number, fate),
                        },
                    );
                }
            }
        }
    }

    /// Does what the machine wants done. False if it is over.
    async fn drain(&mut self) -> bool {
        while let Some(out) = self.machine.poll_output() {
            match out {
                Out::Write(bytes) => self.pending.extend_from_slice(&bytes),
                Out::Open(id, request) => {
                    let input = match self.sessions.open(id, *request).await {
                        Ok(()) => In::Opened(id),
                        Err(why) => In::Refused(id, why),
                    };
                    self.machine.handle_input(self.server.clock.now(), input);
                }
                Out::Reconfigure(id, request) => {
                    if let Some(endpoint) = self.sessions.get(id) {
                        endpoint.want(request.inbound, request.outbound);
                    }
                }
                Out::Granted(id, grant) => {
                    if let Some(endpoint) = self.sessions.get(id) {
                        endpoint.grant(*grant).await;
                    }
                }
                Out::Blinding(info) => {
                    let told = Told { secret: info.secret.clone(), client_key: info.key.map(ClientKey) };
                    if let (Some(endpoint), Some(key)) = (self.sessions.get(info.session), self.key_of(&info.endpoint))
                    {
                        endpoint.tell(key, told).await;
                    }
                }
                Out::Send(id, raw) => self.send(id, raw).await,
                Out::Close(id) => self.sessions.close(id),
                Out::LookUp { id, session, query, records, patience } => {
                    self.look_up(id, session, (query, records), patience);
                }
                Out::End => return false,
            }
        }
        self.count();
        true
    }

    async fn send(&mut self, id: SessionId, raw: Raw) {
        let now = self.server.clock.now();
        // One's own lease set is never looked for. INTEROP: Java hands over what is for anybody on the same router.
        if let Some((to, _)) = self.sessions.own(&raw.to) {
            self.machine.handle_input(now, In::Payload(to, raw.payload));
            if let Some(number) = raw.token {
                self.machine.handle_input(now, In::Fate(id, number, Fate::SentLocally));
            }
            return;
        }
        let Some(endpoint) = self.sessions.get(id) else { return };
        for _ in 0..TRIES {
            if endpoint.send(raw.clone()) {
                return;
            }
            sleep(AGAIN).await;
        }
        if let Some(number) = raw.token {
            self.machine.handle_input(now, In::Fate(id, number, Fate::Overflow));
        }
    }

    fn look_up(&mut self, id: u32, session: Option<SessionId>, (query, records): (Query, bool), patience: Duration) {
        let found = match self.address_of(query) {
            // One's own lease set is not looked for: its records the program knows.
            Ok(Address::Known(destination)) if !records || self.sessions.own(&destination.hash()).is_some() => {
                Ok(Found { destination: *destination, records: None })
            }
            Ok(address) => {
                let whom = match address {
                    Address::Known(destination) => B32::Hash(destination.hash()),
                    Address::Elsewhere(whom) => whom,
                };
                let (server, events) = (Arc::clone(&self.server), self.events.clone());
                let own = session.and_then(|session| self.sessions.get(session)).cloned();
                tokio::spawn(async move {
                    let found = timeout(patience, find(&server, own, whom)).await.unwrap_or(Err(lookup::NOT_FOUND));
                    // Whose socket is gone asks no more.
                    let _ = events.send(Event::Found(id, found)).await;
                });
                return;
            }
            Err(why) => Err(why),
        };
        self.machine.handle_input(self.server.clock.now(), In::Found(id, found));
    }

    /// The signing key of a destination that a program tells of. INTEROP: Java's hashes are those of destinations whose lease sets it
    /// has read already.
    fn key_of(&self, endpoint: &BlindedEndpoint) -> Option<Vec<u8>> {
        match endpoint {
            BlindedEndpoint::Key(_, key) => Some(key.to_vec()),
            BlindedEndpoint::Destination(destination) => destination.signing_key().map(Cow::into_owned),
            BlindedEndpoint::Name(name) => match self.address_of(Query::Name(name.clone())).ok()? {
                Address::Known(destination) => destination.signing_key().map(Cow::into_owned),
                Address::Elsewhere(B32::Blinded(address)) => Some(address.key),
                Address::Elsewhere(B32::Hash(_)) => None,
            },
            BlindedEndpoint::Hash(_) => None,
        }
    }

    /// Where to look for what is asked.
    fn address_of(&self, query: Query) -> Result<Address, u8> {
        let whom = match query {
            Query::Hash(hash) => B32::Hash(hash),
            Query::Name(name) if name.to_ascii_lowercase().ends_with(b32::SUFFIX) => {
                B32::parse(&name).map_err(|_| lookup::NOT_FOUND)?
            }
            Query::Name(name) => {
                let name = HostName::parse(&name).map_err(|_| lookup::NOT_FOUND)?;
                let found = self.server.names.destination(&name);
                let found = found.map_err(|error| tracing::warn!(%error, "the address book cannot be read"));
                return found.ok().flatten().map(|found| Address::Known(Box::new(found))).ok_or(lookup::NOT_FOUND);
            }
            Query::Destination(destination) => return Ok(Address::Known(Box::new(destination))),
            Query::Other(_) => return Err(lookup::UNSUPPORTED),
        };
        let own = if let B32::Hash(hash) = &whom { self.sessions.own(hash) } else { None };
        Ok(own.map_or(Address::Elsewhere(whom), |(_, own)| Address::Known(Box::new(own.clone()))))
    }

    /// Exports what was counted since the last time.
    fn count(&mut self) {
        let (now, before) = (self.machine.stats(), self.counted);
        if now == before {
            return;
        }
        for (event, more) in [("sent", now.sent - before.sent), ("received", now.received - before.received)] {
            if more > 0 {
                control::I2CP_PAYLOADS.add([event], more);
            }
        }
        for (at, refused) in Refused::ALL.iter().enumerate() {
            if now.refused[at] > before.refused[at] {
                control::I2CP_REFUSED.add([refused.label()], now.refused[at] - before.refused[at]);
            }
        }
        self.counted = now;
    }
}
