//! One socket: HELLO, then commands, until it becomes a stream or is closed.

use super::endpoint::{Endpoint, Opener, Wish};
use super::numbered::{self, Direction};
use super::session::{Course, Home, Outlet, Owned, Session, Taken};
use super::{Server, datagrams, lookup, named, streams};
use crate::door::peer;
use crate::guests::Place;
use crate::streams::until;
use ramson_actors::series::control;
use ramson_protocol::base64;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::payload::{DATAGRAM, STREAMING};
use ramson_protocol::sam::datagram::MAX_RAW;
use ramson_protocol::sam::reply::{Outcome, Reply};
use ramson_protocol::sam::session::{Part, Refusal, Request, Style, Who, signature_type};
use ramson_protocol::sam::{Command, Lines, Params, Version};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Whoever has said a wrong password hears of it after this.
const WRONG: Duration = Duration::from_secs(1);

/// A socket without a session may be silent for so long. INTEROP: as in Java from version 3.2 on.
const SILENCE: Duration = Duration::from_secs(180);

/// A program takes an answer within this time.
pub(super) const WRITE: Duration = Duration::from_secs(30);

/// Tunnels of a session are there within this time. INTEROP: "several minutes" in the specification; i2pd waits for ever.
const TUNNELS: Duration = Duration::from_secs(300);

/// Datagrams that wait to be written on a socket.
const DATAGRAMS: usize = 64;

const NO_PRIMARY: &str = "this socket has no primary session";

/// Bytes that are read at once.
const CHUNK: usize = 2048;

/// A socket, and what has been agreed on it.
pub(super) struct Connection<O: Opener> {
    pub(super) server: Arc<Server<O>>,
    pub(super) socket: TcpStream,
    pub(super) lines: Lines,
    pub(super) version: Version,
    /// The session that lives as long as this socket.
    pub(super) owned: Option<Owned<O::Endpoint>>,
    pub(super) place: Place,
    /// Datagrams that are to be written on this socket.
    datagrams: (mpsc::Sender<Vec<u8>>, mpsc::Receiver<Vec<u8>>),
}

/// Serves a socket until it is closed.
pub(super) async fn serve<O: Opener>(server: Arc<Server<O>>, socket: TcpStream) {
    let Some(place) = server.guests.place(peer(&socket)) else {
        return control::SAM_REPLIES.add(["too many sockets", "closed"], 1);
    };
    let (lines, version, datagrams) = (Lines::default(), Version::NEWEST, mpsc::channel(DATAGRAMS));
    let connection = Connection { server, socket, lines, version, owned: None, place, datagrams };
    if let Err(error) = connection.run().await {
        tracing::debug!(%error, "a SAM socket has ended early");
    }
}

impl<O: Opener> Connection<O> {
    async fn run(mut self) -> io::Result<()> {
        // Small packets of interactive programs are not to wait. Those of a UNIX socket never do.
        let _ = self.socket.set_nodelay(true);
        if !self.hello().await? {
            return Ok(());
        }
        loop {
            let silence = if self.owned.is_some() { None } else { Some(SILENCE) };
            let Some(line) = self.line(silence, "SESSION STATUS").await? else { return Ok(()) };
            if line.is_empty() {
                continue;
            }
            // INTEROP: a line that nobody knows ends the socket in i2pd and Java.
            let Ok(command) = Command::parse(&line) else { return Ok(()) };
            match self.on_command(command).await? {
                Some(connection) => self = connection,
                None => return Ok(()),
            }
        }
    }

    /// False if this is nobody whom we speak with.
    async fn hello(&mut self) -> io::Result<bool> {
        let patience = self.server.guests.patience();
        let Some(line) = self.line(Some(patience), "HELLO REPLY").await? else { return Ok(false) };
        let Ok(Command::Hello(params)) = Command::parse(&line) else { return Ok(false) };
        let Some(version) = Version::choose(&params) else {
            self.say(Reply::new("HELLO REPLY", Outcome::NoVersion)).await?;
            return Ok(false);
        };
        if !self.server.users.admit(&params) {
            tokio::time::sleep(WRONG).await;
            let why = "USER and PASSWORD are those of nobody who may use this server";
            self.say(Reply::new("HELLO REPLY", Outcome::I2pError).saying(why)).await?;
            return Ok(false);
        }
        self.place.spoke();
        self.version = version;
        self.say(Reply::new("HELLO REPLY", Outcome::Ok).with("VERSION", &version.to_string())).await?;
        Ok(true)
    }

    /// What is next on the socket: another line, or nothing if it is closed.
    async fn on_command(mut self, command: Command) -> io::Result<Option<Self>> {
        let reply = match command {
            Command::StreamConnect(params) if self.owned.is_none() => {
                return streams::connect(self, &params).await.map(|()| None);
            }
            Command::StreamAccept(params) if self.owned.is_none() => {
                return streams::accept(self, &params).await.map(|()| None);
            }
            Command::StreamForward(params) if self.owned.is_none() => {
                return streams::forward(self, &params).await.map(|()| None);
            }
            Command::StreamConnect(_) | Command::StreamAccept(_) | Command::StreamForward(_) => {
                Reply::new("STREAM STATUS", Outcome::I2pError).saying("this socket is a session's: open another one")
            }
            Command::SessionCreate(params) => {
                let direction = Direction::parse(&params);
                let Some(reply) = self.create(&params).await? else { return Ok(None) };
                let is_open = reply.counted().is_some_and(|(_, outcome)| outcome == Outcome::Ok);
                let has_streams =
                    self.owned.as_ref().and_then(Owned::session).is_some_and(|one| one.part.style == Style::Stream);
                if let Some(direction) = direction
                    && is_open
                    && has_streams
                    && self.version < Version::SOCKETS
                {
                    self.say(reply).await?;
                    return numbered::serve(self, direction).await.map(|()| None);
                }
                reply
            }
            Command::NamingLookup(params) => {
                lookup::reply(&self.server, self.owned.as_ref().and_then(Owned::home), &params).await
            }
            Command::DestGenerate(params) => generate(&params),
            Command::Ping(text) => {
                self.say(Reply::pong(&text)).await?;
                return Ok(Some(self));
            }
            Command::Pong => return Ok(Some(self)),
            Command::Quit => return Ok(None),
            Command::Hello(_) => Reply::new("HELLO REPLY", Outcome::I2pError).saying("HELLO was said already"),
            Command::SessionAdd(params) => self.add(&params)?,
            Command::SessionRemove(params) => self.remove(&params),
            Command::DatagramSend(params) => return self.sent(&params, false).await,
            Command::RawSend(params) => return self.sent(&params, true).await,
            // There are no numbered streams here.
            Command::StreamSend(_) | Command::StreamReceive(_) | Command::StreamClose(_) => return Ok(None),
            Command::Auth(action, params) => self.server.users.command(&action, &params),
        };
        self.say(reply).await?;
        Ok(Some(self))
    }

    async fn sent(mut self, params: &Params, raw: bool) -> io::Result<Option<Self>> {
        Ok(if self.send(params, raw).await? { Some(self) } else { None })
    }

    /// The next line; `None` at the end. Who is silent for too long is told so, and it is the end.
    ///
    /// # Errors
    /// If the socket breaks, or what comes is no line.
    pub(super) async fn line(
        &mut self,
        patience: Option<Duration>,
        subject: &'static str,
    ) -> io::Result<Option<String>> {
        let Some(patience) = patience else { return self.next_line().await };
        if let Ok(line) = timeout(patience, self.next_line()).await {
            return line;
        }
        self.say(Reply::new(subject, Outcome::I2pError).saying("timeout: nothing was said")).await?;
        Ok(None)
    }

    async fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            // Whoever speaks without a pause takes turns with others.
            tokio::task::consume_budget().await;
            let line = self.lines.next_line().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            if line.is_some() {
                return Ok(line);
            }
            tokio::select! {
                readable = self.socket.readable() => readable?,
                // The sender is here, so there is always another one to wait for.
                Some(datagram) = self.datagrams.1.recv() => {
                    write(&mut self.socket, &datagram).await?;
                    continue;
                }
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Takes what there is. False at the end.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; CHUNK];
        match self.socket.try_read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(len) => self.lines.feed(&buffer[..len]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        Ok(true)
    }

    /// So many bytes behind a line; `None` at the end.
    async fn bytes(&mut self, len: usize) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(bytes) = self.lines.take(len) {
                return Ok(Some(bytes));
            }
            self.socket.readable().await?;
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Sends a datagram that stands behind its line. Nothing is answered. False if that cannot go on: what follows is no line.
    async fn send(&mut self, params: &Params, raw: bool) -> io::Result<bool> {
        let size = params.filled("SIZE").and_then(|size| size.parse().ok()).filter(|size| *size <= MAX_RAW);
        let Some(size) = size else { return Ok(false) };
        let Ok(Some(payload)) = timeout(SILENCE, self.bytes(size)).await? else { return Ok(false) };
        let Some(session) = self.owned.as_ref().and_then(Owned::session) else { return Ok(false) };
        // A program that sends as fast as it can never has this task wait for it, and others have this thread, too.
        tokio::task::yield_now().await;
        let destination = params.get("DESTINATION").unwrap_or_default();
        if raw == (session.part.style == Style::Raw) {
            datagrams::send(&self.server, session, destination, params, &payload);
        }
        Ok(true)
    }

    /// How the datagrams of a session reach its program.
    fn outlet(&self, part: &Part) -> Outlet {
        match (part.style, part.forward) {
            (Style::Stream | Style::Primary, _) => Outlet::None,
            (_, None) => Outlet::Socket(self.datagrams.0.clone()),
            (_, Some(_)) if self.server.udp.is_none() => Outlet::Socket(self.datagrams.0.clone()),
            (_, Some(to)) => Outlet::Udp(SocketAddr::new(to.host.unwrap_or_else(|| peer(&self.socket)), to.port)),
        }
    }

    /// # Errors
    /// If it is not taken.
    pub(super) async fn say(&mut self, reply: Reply) -> io::Result<()> {
        if let Some((subject, outcome)) = reply.counted() {
            control::SAM_REPLIES.add([subject, outcome.word()], 1);
        }
        write(&mut self.socket, reply.line().as_bytes()).await
    }

    /// The session with the ID of a line.
    pub(super) fn session(&self, params: &Params) -> Option<Arc<Session<O::Endpoint>>> {
        self.server.sessions.get(params.get("ID")?)
    }

    /// Opens a session. `None` if the program is gone before that is done.
    async fn create(&mut self, params: &Params) -> io::Result<Option<Reply>> {
        let refuse = |outcome, why: &dyn std::fmt::Display| Ok(Some(Reply::new("SESSION STATUS", outcome).saying(why)));
        if self.owned.is_some() {
            return refuse(Outcome::I2pError, &"this socket has a session already: open another one");
        }
        let named = if self.version < Version::SOCKETS { self.old_session(params) } else { Ok(None) };
        let (old, named) = match named {
            Ok(named) => named.unzip(),
            Err(why) => return refuse(Outcome::InvalidKey, &why),
        };
        let request = match Request::parse(old.as_ref().unwrap_or(params), self.version, self.server.tunnels) {
            Ok(request) => request,
            Err(refusal) => return refuse(refusal.outcome(), &refusal),
        };
        let Request { mut part, who, inbound, outbound, published, options } = request;
        if old.is_some() {
            // No program of version 3 can have such an ID.
            part.id = format!("/{}", self.server.next.fetch_add(1, Relaxed));
        }
        let keys = match (named.flatten(), who) {
            (Some(keys), _) => keys,
            (None, Who::Known(keys)) => *keys,
            (None, Who::New(kind)) => match PrivateKeys::generate_of(kind, rand::random(), &rand::random()) {
                Some(keys) => keys,
                None => return refuse(Outcome::I2pError, &Refusal::SignatureType),
            },
        };
        let mut owned = match self.server.sessions.reserve(&part.id, keys.destination.hash()) {
            Ok(owned) => owned,
            Err(Taken::Id) => return refuse(Outcome::DuplicatedId, &"another session has this ID"),
            Err(Taken::Destination) => return refuse(Outcome::DuplicatedDest, &"another session is this destination"),
            Err(Taken::Full | Taken::Port) => {
                return refuse(Outcome::I2pError, &"there are too many sessions: close some");
            }
        };
        let datagrams = matches!(part.style, Style::Datagram(_) | Style::Raw | Style::Primary);
        let wish = Wish { keys: keys.clone(), inbound, outbound, published, datagrams, options };
        let Some(endpoint) = self.server.opener.open(wish).await else {
            return refuse(Outcome::I2pError, &"the router takes no more destinations now");
        };
        let outlet = self.outlet(&part);
        let home = Home::new(endpoint, keys.clone());
        owned.tasks.push(tokio::spawn(hand_on(Arc::clone(&home))));
        if datagrams {
            owned.tasks.push(tokio::spawn(datagrams::hand_on(Arc::clone(&home), self.server.udp.clone())));
        }
        owned.opened(part, &home, outlet, self.version >= Version::PORTS);
        tokio::select! {
            ready = timeout(TUNNELS, until(|| home.endpoint.is_ready())) => if ready.is_err() {
                return refuse(Outcome::I2pError, &"no tunnels could be built: is the router connected?");
            },
            () = gone(&self.socket) => return Ok(None),
        }
        self.owned = Some(owned);
        let whole = base64::encode(&keys.to_bytes());
        // spec: legacy/sam §SAM Sessions — as the program has called it.
        let destination = if old.is_some() { params.get("DESTINATION").unwrap_or_default() } else { &whole };
        Ok(Some(Reply::new("SESSION STATUS", Outcome::Ok).with("DESTINATION", destination)))
    }

    /// What a session of versions 1 and 2 says, as one of version 3 would: it has no ID, and its destination is a name whose keys we
    /// keep.
    ///
    /// # Errors
    /// Why there are no keys.
    fn old_session(&self, params: &Params) -> io::Result<Option<(Params, Option<PrivateKeys>)>> {
        let name = params.get("DESTINATION").unwrap_or_default();
        let keys = match (&self.server.keys, name) {
            (_, "TRANSIENT") => None,
            (Some(folder), name) => Some(named::keys(folder, name)?),
            (None, _) => return Err(io::Error::other("no names are kept here: write TRANSIENT")),
        };
        if Direction::parse(params).is_none() {
            return Err(io::Error::other("DIRECTION is BOTH, CREATE or RECEIVE"));
        }
        Ok(Some((params.clone().with("ID", "old").with("DESTINATION", "TRANSIENT"), keys)))
    }

    /// Adds a part to the primary session of this socket.
    fn add(&mut self, params: &Params) -> io::Result<Reply> {
        let refuse = |outcome, why: &dyn std::fmt::Display| Ok(Reply::new("SESSION STATUS", outcome).saying(why));
        let part = match Part::parse(params, self.version) {
            Ok(part) => part,
            Err(refusal) => return refuse(refusal.outcome(), &refusal),
        };
        let outlet = self.outlet(&part);
        let Some(owned) = self.owned.as_mut() else { return refuse(Outcome::I2pError, &NO_PRIMARY) };
        let primary = owned.session().filter(|session| session.part.style == Style::Primary);
        let Some(offline) = primary.map(|session| session.home.keys.offline.is_some()) else {
            return refuse(Outcome::I2pError, &NO_PRIMARY);
        };
        match (part.style, &outlet) {
            (Style::Primary, _) => return refuse(Outcome::I2pError, &"a primary session is no part of another"),
            // spec: samv3 §Creating a Subsession — the socket has no datagrams of parts.
            (_, Outlet::Socket(_)) => {
                return refuse(Outcome::I2pError, &"PORT is missing: a part has its datagrams by UDP");
            }
            (Style::Datagram(DATAGRAM), _) if offline => return refuse(Outcome::I2pError, &Refusal::Offline),
            _ => {}
        }
        if params.get("DESTINATION").is_some() {
            return refuse(Outcome::I2pError, &"DESTINATION is that of the primary session: leave it out");
        }
        let id = part.id.clone();
        match owned.add(part, outlet, self.version >= Version::PORTS) {
            Ok(()) => Ok(Reply::new("SESSION STATUS", Outcome::Ok).with("ID", &id).saying(format!("ADD {id}"))),
            Err(Taken::Id) => refuse(Outcome::DuplicatedId, &"another session has this ID"),
            Err(Taken::Port | Taken::Destination) => {
                refuse(Outcome::I2pError, &"another part takes this port and protocol: name another LISTEN_PORT")
            }
            Err(Taken::Full) => refuse(Outcome::I2pError, &"there are too many sessions: close some"),
        }
    }

    fn remove(&mut self, params: &Params) -> Reply {
        let id = params.get("ID").unwrap_or_default();
        if self.owned.as_mut().is_some_and(|owned| owned.remove(id)) {
            return Reply::new("SESSION STATUS", Outcome::Ok).with("ID", id).saying(format!("REMOVE {id}"));
        }
        Reply::new("SESSION STATUS", Outcome::InvalidId).saying("the session of this socket has no such part")
    }
}

/// # Errors
/// If it is not taken in time.
pub(super) async fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE, socket.write_all(bytes)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Waits until the program has closed. If it says more first, this waits for ever: that is to be read by somebody.
pub(super) async fn gone(socket: &TcpStream) {
    loop {
        match socket.peek(&mut [0]).await {
            Ok(0) | Err(_) => return,
            Ok(_) => std::future::pending().await,
        }
    }
}

/// What answers DEST GENERATE.
pub(super) fn generate(params: &Params) -> Reply {
    let make = |kind| PrivateKeys::generate_of(kind, rand::random(), &rand::random()).ok_or(Refusal::SignatureType);
    let keys = match signature_type(params).and_then(make) {
        Ok(keys) => keys,
        Err(refusal) => return Reply::new("DEST REPLY", refusal.outcome()).saying(refusal),
    };
    let public = base64::encode(keys.destination.as_bytes());
    Reply::plain("DEST REPLY").with("PUB", &public).with("PRIV", &base64::encode(&keys.to_bytes()))
}

/// Hands the streams that others begin to whoever waits for them.
async fn hand_on<E: Endpoint>(home: Arc<Home<E>>) {
    while let Some(caller) = home.endpoint.accept().await {
        let Some(session) = home.part(STREAMING, caller.ports.from) else { continue };
        if let Course::Forward(to, how, caller) = session.offer(caller) {
            tokio::spawn(streams::carry_to::<E>(to, how, caller));
        }
    }
}
