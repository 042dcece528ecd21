//! Sessions: destinations that programs have opened, by their IDs, and who waits for their streams.
//!
//! ```text
//! stream of somebody's --> an ACCEPT that waits? its socket : a FORWARD? a connection to its server : kept for a while
//! ```
//! A session lives as long as the socket that created it. When that is gone, its destination ends, and with it every stream and
//! everybody who waits.

use super::endpoint::{Caller, Endpoint};
use super::streams::Introduction;
use parking_lot::{Mutex, MutexGuard};
use ramson_actors::series::control;
use ramson_protocol::b32::Blinded;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::payload::STREAMING;
use ramson_protocol::sam::session::{Part, Style};
use ramson_protocol::streaming::streams::Ports;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Sessions at a time, parts of primary ones among them.
const MAX_SESSIONS: usize = 2048;

/// Sockets that wait for a stream of one session. INTEROP: 50 in i2pd, 64 in Java.
const MAX_ACCEPTORS: usize = 256;

/// Addresses with keys of which a session remembers whose they are, or asks.
const MAX_BLINDED: usize = 32;

/// Streams that came while nobody waited, and how long they are kept: a program that takes one at a time asks again.
const MAX_WAITING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

type CallerOf<E> = Caller<<E as Endpoint>::Stream>;

/// The destination behind one or more sessions.
pub(super) struct Home<E: Endpoint> {
    pub(super) endpoint: E,
    pub(super) keys: PrivateKeys,
    /// The session, or the parts of a primary one.
    parts: Mutex<Vec<Weak<Session<E>>>>,
    /// Addresses with keys that datagrams went to: whose they are, or nothing while that is asked.
    blinded: Mutex<HashMap<Vec<u8>, Option<DestinationHash>>>,
}

/// What is known of an address with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Known(DestinationHash),
    /// It is asked for.
    Sought,
    /// It is to be asked for, and [`Home::found_blinded`] told.
    Unknown,
}

/// A session, or a part of a primary one.
pub(super) struct Session<E: Endpoint> {
    pub(super) part: Part,
    pub(super) home: Arc<Home<E>>,
    /// How its datagrams reach the program.
    pub(super) outlet: Outlet,
    /// The program is told the ports of what comes.
    pub(super) tells_ports: bool,
    listeners: Mutex<Listeners<E>>,
}

/// How datagrams reach a program.
#[derive(Clone, Debug)]
pub(super) enum Outlet {
    /// There are none.
    None,
    /// On the socket of the session.
    Socket(mpsc::Sender<Vec<u8>>),
    /// By UDP to there.
    Udp(SocketAddr),
}

struct Listeners<E: Endpoint> {
    over: bool,
    acceptors: VecDeque<oneshot::Sender<CallerOf<E>>>,
    forward: Option<Forward>,
    waiting: VecDeque<(Instant, CallerOf<E>)>,
}

/// Where streams are carried to.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) to: SocketAddr,
    pub(super) how: Introduction,
    /// Dropped when it is over.
    pub(super) _held: oneshot::Sender<()>,
}

/// What becomes of a stream that somebody began.
pub(super) enum Course<E: Endpoint> {
    /// Somebody has it, or it is kept, or broken off.
    Settled,
    /// It is to be carried there.
    Forward(SocketAddr, Introduction, CallerOf<E>),
}

/// Why nobody can wait for streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListenError {
    #[error("streams of this session are forwarded")]
    Forwarded,
    #[error("somebody waits for a stream of this session by ACCEPT")]
    Accepted,
    #[error("too many wait for streams of this session")]
    TooMany,
    #[error("the session has no streams")]
    Style,
    #[error("the session has ended")]
    Over,
}

impl<E: Endpoint> Home<E> {
    pub(super) fn new(endpoint: E, keys: PrivateKeys) -> Arc<Self> {
        Arc::new(Self { endpoint, keys, parts: Mutex::default(), blinded: Mutex::default() })
    }

    /// Whose an address with a key is.
    pub(super) fn blinded(&self, address: &Blinded) -> Whereabouts {
        let mut blinded = self.blinded.lock();
        if let Some(known) = blinded.get(&address.key) {
            return known.map_or(Whereabouts::Sought, Whereabouts::Known);
        }
        if blinded.len() >= MAX_BLINDED {
            // Those that are known are soon found again; what is asked for stays.
            blinded.retain(|_, known| known.is_none());
            if blinded.len() >= MAX_BLINDED {
                return Whereabouts::Sought;
            }
        }
        blinded.insert(address.key.clone(), None);
        Whereabouts::Unknown
    }

    /// Somebody has been asked whose it is.
    pub(super) fn found_blinded(&self, address: &Blinded, whose: Option<DestinationHash>) {
        let mut blinded = self.blinded.lock();
        match whose {
            Some(_) => drop(blinded.insert(address.key.clone(), whose)),
            None => drop(blinded.remove(&address.key)),
        }
    }

    /// The part that takes what comes with this protocol for this port of ours: the one that named it, or one that takes all.
    pub(super) fn part(&self, protocol: u8, port: u16) -> Option<Arc<Session<E>>> {
        let parts: Vec<_> = self.parts.lock().iter().filter_map(Weak::upgrade).collect();
        let alone = parts.len() == 1 && parts[0].part.style != Style::Primary;
        let fits = |session: &&Arc<Session<E>>| {
            let (ours, its) = (session.part.listens_to(), session.part.listen_port);
            // spec: samv3 §Creating a Subsession — zero is any. A session that stands alone is asked for every port.
            // Streams never go to a raw part, whatever it takes.
            (ours == protocol || ours == 0 && protocol != STREAMING) && (alone || its == 0 || its == port)
        };
        let exactness = |session: &&Arc<Session<E>>| (session.part.listen_port == port, session.part.listens_to() != 0);
        parts.iter().filter(fits).max_by_key(exactness).cloned()
    }
}

impl<E: Endpoint> Session<E> {
    fn has_streams(&self) -> bool {
        self.part.style == Style::Stream
    }

    /// Those who wait, if another may.
    fn listeners(&self) -> Result<MutexGuard<'_, Listeners<E>>, ListenError> {
        if !self.has_streams() {
            return Err(ListenError::Style);
        }
        let mut listeners = self.listeners.lock();
        listeners.acceptors.retain(|acceptor| !acceptor.is_closed());
        if listeners.over {
            return Err(ListenError::Over);
        }
        if listeners.forward.is_some() {
            return Err(ListenError::Forwarded);
        }
        Ok(listeners)
    }

    /// Waits for one stream, which may be there already.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(super) fn accept(&self) -> Result<oneshot::Receiver<CallerOf<E>>, ListenError> {
        let mut listeners = self.listeners()?;
        if listeners.acceptors.len() >= MAX_ACCEPTORS {
            return Err(ListenError::TooMany);
        }
        let (acceptor, accepted) = oneshot::channel();
        listeners.drop_old();
        match listeners.waiting.pop_front() {
            // It cannot fail: the receiver is here.
            Some((_, caller)) => drop(acceptor.send(caller)),
            None => listeners.acceptors.push_back(acceptor),
        }
        Ok(accepted)
    }

    /// Has all streams carried on, those that wait at once, until the receiver's owner calls [`Session::stop_forward`].
    ///
    /// # Errors
    /// Why that cannot be.
    pub(super) fn forward(&self, forward: Forward) -> Result<Vec<CallerOf<E>>, ListenError> {
        let mut listeners = self.listeners()?;
        if !listeners.acceptors.is_empty() {
            return Err(ListenError::Accepted);
        }
        listeners.forward = Some(forward);
        listeners.drop_old();
        Ok(listeners.waiting.drain(..).map(|(_, caller)| caller).collect())
    }

    pub(super) fn stop_forward(&self) {
        self.listeners.lock().forward = None;
    }

    /// Somebody has begun a stream.
    pub(super) fn offer(&self, mut caller: CallerOf<E>) -> Course<E> {
        let mut listeners = self.listeners.lock();
        while let Some(acceptor) = listeners.acceptors.pop_front() {
            match acceptor.send(caller) {
                Ok(()) => return Course::Settled,
                // Whose socket is gone takes none.
                Err(back) => caller = back,
            }
        }
        if let Some(forward) = &listeners.forward {
            return Course::Forward(forward.to, forward.how, caller);
        }
        listeners.drop_old();
        if self.has_streams() && !listeners.over && listeners.waiting.len() < MAX_WAITING {
            listeners.waiting.push_back((Instant::now(), caller));
        }
        Course::Settled
    }

    /// The ports of a stream to somebody, which may be named.
    pub(super) fn ports(&self, from: Option<u16>, to: Option<u16>) -> Ports {
        Ports { from: from.unwrap_or(self.part.from_port), to: to.unwrap_or(self.part.to_port) }
    }

    fn end(&self) {
        let mut listeners = self.listeners.lock();
        *listeners = Listeners { over: true, ..Listeners::default() };
    }
}

impl<E: Endpoint> Default for Listeners<E> {
    fn default() -> Self {
        Self { over: false, acceptors: VecDeque::new(), forward: None, waiting: VecDeque::new() }
    }
}

impl<E: Endpoint> Listeners<E> {
    fn drop_old(&mut self) {
        while self.waiting.front().is_some_and(|(since, _)| since.elapsed() > PATIENCE) {
            self.waiting.pop_front();
        }
    }
}

/// All sessions of a server.
pub(super) struct Sessions<E: Endpoint>(Mutex<Register<E>>);

struct Register<E: Endpoint> {
    /// `None` until the destination is open.
    by_id: HashMap<String, Option<Arc<Session<E>>>>,
    in_use: HashSet<DestinationHash>,
}

/// Why an ID or destination cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Id,
    Destination,
    Full,
    /// What comes for this port and protocol goes to another part.
    Port,
}

impl<E: Endpoint> Default for Sessions<E> {
    fn default() -> Self {
        Self(Mutex::new(Register { by_id: HashMap::new(), in_use: HashSet::new() }))
    }
}

impl<E: Endpoint> Sessions<E> {
    /// The session with this ID.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Session<E>>> {
        self.0.lock().by_id.get(id)?.clone()
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().by_id.len()
    }

    /// Takes an ID and a destination, which are given back when the [`Owned`] is dropped.
    ///
    /// # Errors
    /// What is taken already.
    pub(super) fn reserve(self: &Arc<Self>, id: &str, destination: DestinationHash) -> Result<Owned<E>, Taken> {
        let mut register = self.0.lock();
        register.reserve(id)?;
        if !register.in_use.insert(destination) {
            register.by_id.remove(id);
            return Err(Taken::Destination);
        }
        let (sessions, ids) = (Arc::clone(self), vec![id.to_owned()]);
        Ok(Owned { sessions, destination, ids, session: None, tasks: Vec::new() })
    }
}

impl<E: Endpoint> Register<E> {
    fn reserve(&mut self, id: &str) -> Result<(), Taken> {
        if self.by_id.contains_key(id) {
            return Err(Taken::Id);
        }
        if self.by_id.len() >= MAX_SESSIONS {
            return Err(Taken::Full);
        }
        self.by_id.insert(id.to_owned(), None);
        Ok(())
    }
}

/// What the socket that created a session holds: when it is dropped, all of it ends.
pub(super) struct Owned<E: Endpoint> {
    sessions: Arc<Sessions<E>>,
    destination: DestinationHash,
    /// The session's own ID first, then those of its parts.
    ids: Vec<String>,
    session: Option<Arc<Session<E>>>,
    /// What hands on the streams and datagrams of others.
    pub(super) tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl<E: Endpoint> Owned<E> {
    /// The destination is open.
    pub(super) fn opened(&mut self, part: Part, home: &Arc<Home<E>>, outlet: Outlet, tells_ports: bool) {
        self.session = Some(self.insert(part, home, outlet, tells_ports));
    }

    /// The session, when its destination is open.
    pub(super) fn session(&self) -> Option<&Arc<Session<E>>> {
        self.session.as_ref()
    }

    /// The destination, when it is open.
    pub(super) fn home(&self) -> Option<&Arc<Home<E>>> {
        self.session.as_ref().map(|session| &session.home)
    }

    /// Adds a part to a primary session.
    ///
    /// # Errors
    /// What is taken already.
    pub(super) fn add(&mut self, part: Part, outlet: Outlet, tells_ports: bool) -> Result<(), Taken> {
        let Some(home) = self.home().cloned() else { return Err(Taken::Full) };
        let takes = |part: &Part| (part.listens_to(), part.listen_port);
        if home.parts.lock().iter().filter_map(Weak::upgrade).any(|other| takes(&other.part) == takes(&part)) {
            return Err(Taken::Port);
        }
        self.sessions.0.lock().reserve(&part.id)?;
        self.ids.push(part.id.clone());
        self.insert(part, &home, outlet, tells_ports);
        Ok(())
    }

    /// Ends a part of a primary session. False if it has none with this ID.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(at) = self.ids.iter().skip(1).position(|part| part == id) else { return false };
        self.ids.remove(at + 1);
        let ended = self.sessions.0.lock().by_id.remove(id).flatten();
        if let Some(ended) = ended {
            control::SAM_SESSIONS.change([ended.part.style.label()], -1.0);
            ended.end();
            ended.home.parts.lock().retain(|part| !part.upgrade().is_some_and(|part| Arc::ptr_eq(&part, &ended)));
        }
        true
    }

    fn insert(&self, part: Part, home: &Arc<Home<E>>, outlet: Outlet, tells_ports: bool) -> Arc<Session<E>> {
        let (id, home) = (part.id.clone(), Arc::clone(home));
        let session = Arc::new(Session { part, home, outlet, tells_ports, listeners: Mutex::default() });
        control::SAM_SESSIONS.change([session.part.style.label()], 1.0);
        session.home.parts.lock().push(Arc::downgrade(&session));
        self.sessions.0.lock().by_id.insert(id, Some(Arc::clone(&session)));
        session
    }
}

impl<E: Endpoint> Drop for Owned<E> {
    fn drop(&mut self) {
        let mut register = self.sessions.0.lock();
        register.in_use.remove(&self.destination);
        let ended: Vec<_> = self.ids.iter().filter_map(|id| register.by_id.remove(id)?).collect();
        drop(register);
        for session in &ended {
            control::SAM_SESSIONS.change([session.part.style.label()], -1.0);
            session.end();
        }
        self.tasks.iter().for_each(|task| task.abort());
        if let Some(home) = self.home() {
            home.endpoint.end();
        }
    }
}
