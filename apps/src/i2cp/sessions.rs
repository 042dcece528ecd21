//! The sessions of one socket: their destinations, and what is told of them.

use super::Server;
use super::endpoint::{Endpoint, Found, Opened, Opener, Wish};
use ramson_actors::destination::Options;
use ramson_actors::series::control;
use ramson_clients::raw::{Source, Up};
use ramson_protocol::b32::B32;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::i2cp::SessionId;
use ramson_protocol::i2cp::session::Request;
use ramson_protocol::id::DestinationHash;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Payloads that are handed on at once.
const BATCH: usize = 64;

/// What happened to one of the sessions, or came of a question.
#[derive(Debug)]
pub(super) enum Event {
    /// Leases are to be signed.
    Leases(SessionId, Vec<Lease>),
    /// Payloads came, or what became of some was told.
    Up(SessionId, Vec<Up>),
    /// What came of a question.
    Found(u32, Found),
}

/// A session whose destination stands.
struct Live<O: Opener> {
    endpoint: Arc<O::Endpoint>,
    destination: Destination,
    tasks: [JoinHandle<()>; 2],
}

/// The sessions of one socket, which end when this is dropped.
pub(super) struct Sessions<O: Opener> {
    server: Arc<Server<O>>,
    live: HashMap<SessionId, Live<O>>,
    events: mpsc::Sender<Event>,
}

impl<O: Opener> Sessions<O> {
    pub(super) fn new(server: Arc<Server<O>>, events: mpsc::Sender<Event>) -> Self {
        Self { server, live: HashMap::new(), events }
    }

    /// Opens the destination of a session.
    ///
    /// # Errors
    /// Why it cannot be. INTEROP: Java's words.
    pub(super) async fn open(&mut self, id: SessionId, request: Request) -> Result<(), &'static str> {
        let Request { destination, inbound, outbound, published, secret, client_key, .. } = request;
        let options = Options { hybrid: None, secret, client_key, ..Options::default() };
        let hash = destination.hash();
        self.reserve(hash)?;
        let wish = Wish { destination: destination.clone(), inbound, outbound, published, options };
        let Some(Opened { endpoint, leases, source }) = self.server.opener.open(wish).await else {
            self.server.in_use.lock().remove(&hash);
            return Err("the router takes no more destinations now");
        };
        let tasks = [
            tokio::spawn(hand_on_leases(id, leases, self.events.clone())),
            tokio::spawn(hand_on(id, source, self.events.clone())),
        ];
        control::I2CP_SESSIONS.change([], 1.0);
        self.live.insert(id, Live { endpoint: Arc::new(endpoint), destination, tasks });
        Ok(())
    }

    fn reserve(&self, hash: DestinationHash) -> Result<(), &'static str> {
        let mut in_use = self.server.in_use.lock();
        if in_use.len() >= super::MAX_SESSIONS {
            return Err("session limit exceeded");
        }
        if in_use.insert(hash) { Ok(()) } else { Err("duplicate destination") }
    }

    pub(super) fn close(&mut self, id: SessionId) {
        if let Some(live) = self.live.remove(&id) {
            self.ended(&live);
        }
    }

    fn ended(&self, live: &Live<O>) {
        live.tasks.iter().for_each(JoinHandle::abort);
        self.server.in_use.lock().remove(&live.destination.hash());
        control::I2CP_SESSIONS.change([], -1.0);
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Arc<O::Endpoint>> {
        self.live.get(&id).map(|live| &live.endpoint)
    }

    /// The session of this socket that is this destination.
    pub(super) fn own(&self, hash: &DestinationHash) -> Option<(SessionId, &Destination)> {
        self.live.iter().find(|(_, live)| live.destination.hash() == *hash).map(|(id, live)| (*id, &live.destination))
    }
}

impl<O: Opener> Drop for Sessions<O> {
    fn drop(&mut self) {
        self.live.values().for_each(|live| self.ended(live));
    }
}

async fn hand_on_leases(id: SessionId, mut leases: mpsc::Receiver<Vec<Lease>>, to: mpsc::Sender<Event>) {
    while let Some(leases) = leases.recv().await {
        if to.send(Event::Leases(id, leases)).await.is_err() {
            return;
        }
    }
}

/// What its program does not take in time waits in the source, which is bounded.
async fn hand_on(id: SessionId, mut source: Source, to: mpsc::Sender<Event>) {
    loop {
        let mut batch = Vec::new();
        if !source.next_many(&mut batch, BATCH).await || to.send(Event::Up(id, batch)).await.is_err() {
            return;
        }
    }
}

/// Looks for whose an address is, as this destination or as nobody in particular.
pub(super) async fn find<O: Opener>(server: &Server<O>, own: Option<Arc<O::Endpoint>>, whom: B32) -> Found {
    match own {
        Some(endpoint) => endpoint.find(whom).await,
        None => server.opener.find(whom).await,
    }
}
