//! SAM 1 and 2: all streams of a session pass through its one socket, each by a number.
//!
//! ```text
//! program: STREAM CONNECT ID=n DESTINATION=     <- STREAM STATUS RESULT= ID=n        numbers from 1 on are the program's
//!                                               <- STREAM CONNECTED DESTINATION= ID=-n   others have begun it
//!          STREAM SEND ID= SIZE= \n bytes       <- STREAM SEND ID= RESULT= STATE=    only in 2, with STREAM READY_TO_SEND
//!          STREAM RECEIVE ID= LIMIT=            only in 2: without it nothing comes
//!          STREAM CLOSE ID=                     <- STREAM RECEIVED ID= SIZE= \n bytes, STREAM CLOSED ID= RESULT=
//! ```
//! A task has each stream. What the program does not read holds up its own streams, and nobody else's.
//!
//! spec: legacy/sam, legacy/samv2. INTEROP: i2pd speaks neither; Java does.

use super::connection::{Connection, WRITE, generate};
use super::endpoint::{Caller, Endpoint, Opener};
use super::lookup;
use super::session::{Owned, Session};
use super::streams::{Counted, outcome};
use crate::network::ConnectError;
use ramson_actors::series::control;
use ramson_protocol::base64;
use ramson_protocol::sam::datagram::MAX_RAW;
use ramson_protocol::sam::reply::{Outcome, Reply};
use ramson_protocol::sam::{Command, Lines, Params, Version};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Streams of a session at a time; further ones of others are broken off.
const MAX_STREAMS: usize = 1024;

/// A buffer of version 2 is full with so much. spec: samv2 §SAM Virtual Streams
const FULL: usize = 32_768;

/// Pieces of at most 32 KiB that wait for the program, and for one stream.
const OUTGOING: usize = 32;
const WAITING: usize = 8;

/// Version 1 does not say that a stream takes no more: whoever sends to it waits for so long, and then it is broken off.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are read of a stream at once.
const CHUNK: usize = 16 * 1024;

const SUBJECT: &str = "STREAM STATUS";

/// What a session of streams may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    /// Begin streams.
    create: bool,
    /// Take those of others.
    receive: bool,
}

impl Direction {
    /// What DIRECTION says.
    pub(super) fn parse(params: &Params) -> Option<Self> {
        Some(match params.filled("DIRECTION").unwrap_or("BOTH") {
            "BOTH" => Self { create: true, receive: true },
            "CREATE" => Self { create: true, receive: false },
            "RECEIVE" => Self { create: false, receive: true },
            _ => return None,
        })
    }
}

/// A stream as the session has it.
struct Numbered {
    up: mpsc::Sender<Vec<u8>>,
    limit: watch::Sender<u64>,
    buffer: Arc<Buffer>,
    /// Its task, once there is one.
    task: Option<AbortHandle>,
}

/// What waits to go into a stream.
#[derive(Debug, Default)]
struct Buffer {
    bytes: AtomicUsize,
    /// The program was told that it is full.
    told: AtomicBool,
}

/// The other half: what the task of a stream has.
struct Ends {
    id: i32,
    up: mpsc::Receiver<Vec<u8>>,
    limit: watch::Receiver<u64>,
    buffer: Arc<Buffer>,
    out: mpsc::Sender<Vec<u8>>,
    ended: mpsc::UnboundedSender<i32>,
}

/// A session of streams on its socket.
struct Numbers<O: Opener> {
    server: Arc<super::Server<O>>,
    owned: Owned<O::Endpoint>,
    session: Arc<Session<O::Endpoint>>,
    version: Version,
    direction: Direction,
    streams: HashMap<i32, Numbered>,
    /// The number of the next stream that somebody else begins.
    next: i32,
    out: mpsc::Sender<Vec<u8>>,
    ended: mpsc::UnboundedSender<i32>,
    tasks: JoinSet<()>,
}

/// Serves a session of streams until its socket is closed.
///
/// # Errors
/// If the socket breaks, or what comes is nothing that anybody may say.
pub(super) async fn serve<O: Opener>(connection: Connection<O>, direction: Direction) -> io::Result<()> {
    let Connection { server, socket, mut lines, version, owned, .. } = connection;
    let Some(owned) = owned else { return Ok(()) };
    let Some(session) = owned.session().cloned() else { return Ok(()) };
    let (from, to) = socket.into_split();
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let (ended, mut ends) = mpsc::unbounded_channel();
    let (callers, mut called) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    let mut writer = tokio::spawn(write(to, outgoing));
    if direction.receive {
        tasks.spawn(accept(Arc::clone(&session), callers));
    }
    let (streams, next) = (HashMap::new(), -1);
    let mut all = Numbers { server, owned, session, version, direction, streams, next, out, ended, tasks };
    loop {
        tokio::select! {
            line = next_line(&from, &mut lines) => match line? {
                Some(line) if line.is_empty() => {}
                Some(line) => {
                    let Ok(command) = Command::parse(&line) else { return Ok(()) };
                    if !all.on_command(command, &from, &mut lines).await? {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            },
            Some(caller) = called.recv() => all.on_caller(caller).await,
            Some(id) = ends.recv() => drop(all.streams.remove(&id)),
            _ = &mut writer => return Ok(()),
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = outgoing.recv().await {
        if !matches!(timeout(WRITE, to.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Waits for the streams of others, one after the other.
async fn accept<E: Endpoint>(session: Arc<Session<E>>, callers: mpsc::Sender<Caller<E::Stream>>) {
    while let Ok(accepted) = session.accept() {
        let Ok(caller) = accepted.await else { return };
        if callers.send(caller).await.is_err() {
            return;
        }
    }
}

async fn fill(from: &OwnedReadHalf, lines: &mut Lines) -> io::Result<bool> {
    from.readable().await?;
    // Whoever speaks without a pause takes turns with others.
    tokio::task::consume_budget().await;
    let mut buffer = [0; 2048];
    match from.try_read(&mut buffer) {
        Ok(0) => return Ok(false),
        Ok(len) => lines.feed(&buffer[..len]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}

async fn next_line(from: &OwnedReadHalf, lines: &mut Lines) -> io::Result<Option<String>> {
    loop {
        let line = lines.next_line().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if line.is_some() {
            return Ok(line);
        }
        if !fill(from, lines).await? {
            return Ok(None);
        }
    }
}

impl<O: Opener> Numbers<O> {
    /// False if it is the last.
    async fn on_command(&mut self, command: Command, from: &OwnedReadHalf, lines: &mut Lines) -> io::Result<bool> {
        match command {
            Command::StreamConnect(params) => self.connect(&params).await,
            Command::StreamSend(params) => {
                let size = params.filled("SIZE").and_then(|size| size.parse().ok());
                let Some(size) = size.filter(|size| (1..=MAX_RAW).contains(size)) else { return Ok(false) };
                let bytes = loop {
                    if let Some(bytes) = lines.take(size) {
                        break bytes;
                    }
                    if !fill(from, lines).await? {
                        return Ok(false);
                    }
                };
                self.send(&params, bytes).await;
            }
            Command::StreamReceive(params) => self.receive(&params),
            Command::StreamClose(params) => drop(id(&params).and_then(|id| self.streams.remove(&id))),
            Command::NamingLookup(params) => {
                let reply = lookup::reply(&self.server, self.owned.home(), &params).await;
                self.say(reply).await;
            }
            Command::DestGenerate(params) => self.say(generate(&params)).await,
            Command::Quit => return Ok(false),
            // INTEROP: Java ends the session.
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn say(&self, reply: Reply) {
        tell(&self.out, reply).await;
    }

    /// A stream with this number.
    fn begin(&mut self, id: i32) -> Ends {
        let (up, waiting) = mpsc::channel(WAITING);
        // In version 2 nothing comes until the program has said how much may.
        let (limit, limited) = watch::channel(if self.version.major == 1 { u64::MAX } else { 0 });
        let buffer = Arc::new(Buffer::default());
        self.streams.insert(id, Numbered { up, limit, buffer: Arc::clone(&buffer), task: None });
        Ends { id, up: waiting, limit: limited, buffer, out: self.out.clone(), ended: self.ended.clone() }
    }

    async fn connect(&mut self, params: &Params) {
        let refuse = |outcome, why: &str| {
            Reply::new(SUBJECT, outcome).with("ID", params.get("ID").unwrap_or_default()).saying(why)
        };
        let number = id(params).filter(|id| *id > 0 && !self.streams.contains_key(id));
        let Some(number) = number else {
            let why = "ID is a number from 1 on that no other stream has";
            return self.say(refuse(Outcome::I2pError, why)).await;
        };
        if !self.direction.create || self.streams.len() >= MAX_STREAMS {
            return self.say(refuse(Outcome::I2pError, "this session begins no more streams")).await;
        }
        let to = match lookup::hash(&self.server, params.get("DESTINATION").unwrap_or_default()) {
            Ok(to) => to,
            Err(error) => return self.say(refuse(Outcome::InvalidKey, &error.to_string())).await,
        };
        let Some(stream) = self.session.home.endpoint.connect(to, self.session.ports(None, None)) else {
            return self.say(refuse(Outcome::I2pError, "the router does not keep up: try again")).await;
        };
        let ends = self.begin(number);
        self.spawn(number, call::<O::Endpoint>(stream, ends));
    }

    fn spawn(&mut self, number: i32, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task);
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.task = Some(task);
        }
        // What has ended is not kept.
        while self.tasks.try_join_next().is_some() {}
    }

    async fn on_caller(&mut self, caller: Caller<<O::Endpoint as Endpoint>::Stream>) {
        if self.streams.len() >= MAX_STREAMS {
            return;
        }
        let number = self.next;
        // After as many streams as there are numbers they begin anew; the first ones have long ended.
        self.next = if number == i32::MIN + 1 { -1 } else { number - 1 };
        if self.streams.contains_key(&number) {
            return;
        }
        let ends = self.begin(number);
        let who = base64::encode(caller.from.as_bytes());
        self.say(Reply::plain("STREAM CONNECTED").with("DESTINATION", &who).with("ID", &number.to_string())).await;
        self.spawn(number, async move {
            let _counted = Counted::new("accept");
            run(caller.stream, ends).await;
        });
    }

    async fn send(&mut self, params: &Params, bytes: Vec<u8>) {
        let stream = id(params).and_then(|id| self.streams.get(&id));
        if self.version.major == 1 {
            // What comes for a stream that has just ended is lost, as its program will hear.
            if let Some(Numbered { up, task, .. }) = stream
                && timeout(PATIENCE, up.send(bytes)).await.is_err()
            {
                // A piece is missing: the other side is not to take the rest for the whole.
                task.iter().for_each(AbortHandle::abort);
                let number = params.get("ID").unwrap_or_default();
                self.say(Reply::new("STREAM CLOSED", Outcome::Timeout).with("ID", number)).await;
                id(params).map(|id| self.streams.remove(&id));
            }
            return;
        }
        let (mut result, mut state) = ("FAILED", "READY");
        if let Some(Numbered { up, buffer, .. }) = stream {
            let len = bytes.len();
            let room = buffer.bytes.load(SeqCst) < FULL;
            // As pieces may be small there may be too many of them before.
            if room && up.try_send(bytes).is_ok() {
                buffer.bytes.fetch_add(len, SeqCst);
                result = "OK";
            }
            if buffer.bytes.load(SeqCst) >= FULL || result == "FAILED" {
                buffer.told.store(true, SeqCst);
                state = "BUFFER_FULL";
            }
        }
        let number = params.get("ID").unwrap_or_default();
        self.say(Reply::plain("STREAM SEND").with("ID", number).with("RESULT", result).with("STATE", state)).await;
    }

    fn receive(&mut self, params: &Params) {
        let limit = match params.get("LIMIT") {
            Some("NONE") => Some(u64::MAX),
            limit => limit.and_then(|limit| limit.parse().ok()),
        };
        if let Some((stream, limit)) = id(params).and_then(|id| self.streams.get(&id)).zip(limit) {
            stream.limit.send_replace(limit);
        }
    }
}

fn id(params: &Params) -> Option<i32> {
    params.get("ID")?.parse().ok()
}

async fn tell(out: &mpsc::Sender<Vec<u8>>, reply: Reply) {
    if let Some((subject, outcome)) = reply.counted() {
        control::SAM_REPLIES.add([subject, outcome.word()], 1);
    }
    // Without a writer the socket is gone, which the session notices.
    let _ = out.send(reply.line().into_bytes()).await;
}

/// A stream that the program begins.
async fn call<E: Endpoint>(stream: E::Stream, mut ends: Ends) {
    let _counted = Counted::new("connect");
    let number = ends.id.to_string();
    let connected: Result<(), ConnectError> = tokio::select! {
        connected = E::connected(&stream) => connected,
        // The program has closed it before.
        () = closed(&mut ends.limit) => return,
    };
    match connected {
        Ok(()) => {
            tell(&ends.out, Reply::new(SUBJECT, Outcome::Ok).with("ID", &number)).await;
            run(stream, ends).await;
        }
        Err(error) => {
            tell(&ends.out, Reply::new(SUBJECT, outcome(error)).with("ID", &number).saying(error)).await;
            let _ = ends.ended.send(ends.id);
        }
    }
}

/// Waits until the program has closed a stream.
async fn closed(limit: &mut watch::Receiver<u64>) {
    while limit.changed().await.is_ok() {}
}

/// Carries the bytes of a stream until either side has closed it.
async fn run<S: tokio::io::AsyncRead + tokio::io::AsyncWrite>(stream: S, ends: Ends) {
    let Ends { id, up, limit, buffer, out, ended } = ends;
    let (from, to) = tokio::io::split(stream);
    let outcome = tokio::select! {
        written = send(id, to, up, &buffer, &out) => match written {
            // The program has closed it.
            Ok(()) => return,
            Err(error) => Err(error),
        },
        read = receive(id, from, limit, &out) => match read {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        },
    };
    let number = id.to_string();
    let reply = match outcome {
        Ok(()) => Reply::new("STREAM CLOSED", Outcome::Ok).with("ID", &number),
        Err(error) => Reply::new("STREAM CLOSED", Outcome::I2pError).with("ID", &number).saying(error),
    };
    tell(&out, reply).await;
    // Without a session nobody waits for it.
    let _ = ended.send(id);
}

async fn send(
    id: i32,
    mut to: impl AsyncWriteExt + Unpin,
    mut up: mpsc::Receiver<Vec<u8>>,
    buffer: &Buffer,
    out: &mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    while let Some(bytes) = up.recv().await {
        to.write_all(&bytes).await?;
        // Version 1 does not count.
        let _ = buffer.bytes.fetch_update(SeqCst, SeqCst, |now| Some(now.saturating_sub(bytes.len())));
        if buffer.bytes.load(SeqCst) < FULL && buffer.told.swap(false, SeqCst) {
            tell(out, Reply::plain("STREAM READY_TO_SEND").with("ID", &id.to_string())).await;
        }
    }
    to.shutdown().await
}

/// True if the other side has closed, false if the program has.
async fn receive(
    id: i32,
    mut from: impl AsyncReadExt + Unpin,
    mut limit: watch::Receiver<u64>,
    out: &mpsc::Sender<Vec<u8>>,
) -> io::Result<bool> {
    let (mut got, mut buffer) = (0_u64, vec![0; CHUNK]);
    loop {
        let Ok(most) = limit.wait_for(|limit| *limit > got).await.map(|limit| *limit - got) else {
            // What is to be written still goes: the other half ends this.
            return std::future::pending().await;
        };
        let most = usize::try_from(most).unwrap_or(CHUNK).min(CHUNK);
        let len = from.read(&mut buffer[..most]).await?;
        if len == 0 {
            return Ok(true);
        }
        got += len as u64;
        let mut piece = format!("STREAM RECEIVED ID={id} SIZE={len}\n").into_bytes();
        piece.extend_from_slice(&buffer[..len]);
        if out.send(piece).await.is_err() {
            return Ok(false);
        }
    }
}
