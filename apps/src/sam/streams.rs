//! Sockets that become streams: CONNECT, ACCEPT and FORWARD.

use super::connection::{Connection, gone, write};
use super::endpoint::{Caller, Endpoint, Opener};
use super::lookup::{self, LookupError};
use super::session::{Forward, Session};
use crate::door::peer;
use crate::network::ConnectError;
use ramson_actors::series::control;
use ramson_protocol::base64;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::sam::reply::{Outcome, Reply};
use ramson_protocol::sam::session::{Style, host};
use ramson_protocol::sam::{Command, Params, Version};
use ramson_protocol::streaming::streams::Ports;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A server that streams are forwarded to takes a connection within this time. spec: samv3 §Forward Response
const FORWARD: Duration = Duration::from_secs(3);

/// What a program is told of a stream before its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Introduction {
    /// Nothing at all.
    pub(super) silent: bool,
    /// Ports, too.
    pub(super) ports: bool,
}

impl Introduction {
    fn of(params: &Params, version: Version) -> Self {
        Self { silent: params.is_true("SILENT"), ports: version >= Version::PORTS }
    }

    /// What is written before the bytes of a stream.
    fn line<S>(self, caller: &Caller<S>) -> String {
        if self.silent {
            return String::new();
        }
        let mut line = base64::encode(caller.from.as_bytes());
        if self.ports {
            line += &format!(" FROM_PORT={} TO_PORT={}", caller.ports.to, caller.ports.from);
        }
        line + "\n"
    }
}

/// A stream of a program's, counted while it lives.
pub(super) struct Counted(&'static str);

impl Counted {
    pub(super) fn new(way: &'static str) -> Self {
        control::SAM_STREAMS.change([way], 1.0);
        Self(way)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        control::SAM_STREAMS.change([self.0], -1.0);
    }
}

fn status(outcome: Outcome, why: impl std::fmt::Display) -> Reply {
    Reply::new("STREAM STATUS", outcome).saying(why)
}

fn no_session() -> Reply {
    status(Outcome::InvalidId, "no session has this ID")
}

/// Begins a stream, which the socket becomes.
///
/// # Errors
/// If either side breaks.
pub(super) async fn connect<O: Opener>(mut connection: Connection<O>, params: &Params) -> io::Result<()> {
    let silent = params.is_true("SILENT");
    let begun = tokio::select! {
        begun = begin(&connection, params) => begun,
        () = gone(&connection.socket) => return Ok(()),
    };
    let mut stream = match begun {
        Ok(stream) => stream,
        Err(_) if silent => return Ok(()),
        Err(reply) => return connection.say(reply).await,
    };
    let _counted = Counted::new("connect");
    // What the program said at once goes with the first packet.
    let early = std::mem::take(&mut connection.lines).into_rest();
    stream.write_all(&early).await?;
    if !silent {
        let connected = tokio::select! {
            connected = O::Endpoint::connected(&stream) => connected,
            () = gone(&connection.socket) => return Ok(()),
        };
        match connected {
            Ok(()) => connection.say(Reply::new("STREAM STATUS", Outcome::Ok)).await?,
            Err(error) => return connection.say(status(outcome(error), error)).await,
        }
    }
    O::Endpoint::carry(connection.socket, Vec::new(), stream).await
}

type StreamOf<O> = <<O as Opener>::Endpoint as Endpoint>::Stream;

async fn begin<O: Opener>(connection: &Connection<O>, params: &Params) -> Result<StreamOf<O>, Reply> {
    let session = connection.session(params).ok_or_else(no_session)?;
    if session.part.style != Style::Stream {
        return Err(status(Outcome::I2pError, "the session has no streams"));
    }
    let (to, ports) = target(connection, &session, params).await?;
    session
        .home
        .endpoint
        .connect(to, ports)
        .ok_or_else(|| status(Outcome::I2pError, "the router does not keep up: try again"))
}

async fn target<O: Opener>(
    connection: &Connection<O>,
    session: &Arc<Session<O::Endpoint>>,
    params: &Params,
) -> Result<(DestinationHash, Ports), Reply> {
    let number = |error| status(Outcome::I2pError, error);
    let (from, to) = (params.port("FROM_PORT").map_err(number)?, params.port("TO_PORT").map_err(number)?);
    let name = params.get("DESTINATION").unwrap_or_default();
    let named = lookup::read(&connection.server, name).map_err(|error| status(error.outcome(), error))?;
    let found = lookup::reachable(&session.home, named).await;
    let hash = found.map_err(|error| status(outcome(error.into()), LookupError::from(error)))?;
    if hash == session.home.keys.destination.hash() {
        return Err(status(Outcome::CantReachPeer, "this is the session's own destination"));
    }
    Ok((hash, session.ports(from, to)))
}

/// The word for why there is no stream.
pub(super) fn outcome(error: ConnectError) -> Outcome {
    match error {
        ConnectError::TimedOut => Outcome::Timeout,
        ConnectError::NoTunnels => Outcome::I2pError,
        ConnectError::NotFound | ConnectError::Encrypted | ConnectError::Incompatible | ConnectError::Refused => {
            Outcome::CantReachPeer
        }
    }
}

/// Waits for a stream of somebody's, which the socket becomes.
///
/// # Errors
/// If either side breaks.
pub(super) async fn accept<O: Opener>(mut connection: Connection<O>, params: &Params) -> io::Result<()> {
    let introduction = Introduction::of(params, connection.version);
    let session = connection.session(params).ok_or_else(no_session);
    let accepted = session.and_then(|session| session.accept().map_err(|error| status(Outcome::I2pError, error)));
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(_) if introduction.silent => return Ok(()),
        Err(reply) => return connection.say(reply).await,
    };
    if !introduction.silent {
        connection.say(Reply::new("STREAM STATUS", Outcome::Ok)).await?;
    }
    let caller = tokio::select! {
        caller = accepted => caller,
        () = gone(&connection.socket) => return Ok(()),
    };
    let Ok(caller) = caller else {
        // spec: samv3 §Errors After OK
        let over = status(Outcome::I2pError, "the session has ended");
        return if introduction.silent { Ok(()) } else { connection.say(over).await };
    };
    let (line, _counted) = (introduction.line(&caller), Counted::new("accept"));
    write(&mut connection.socket, line.as_bytes()).await?;
    O::Endpoint::carry(connection.socket, connection.lines.into_rest(), caller.stream).await
}

/// Has streams of others carried to a server, as long as this socket is open.
///
/// # Errors
/// If the socket breaks.
pub(super) async fn forward<O: Opener>(mut connection: Connection<O>, params: &Params) -> io::Result<()> {
    let (held, over) = oneshot::channel();
    let session = match begin_forward(&connection, params, held) {
        Ok(session) => session,
        Err(reply) => return connection.say(reply).await,
    };
    // From here on it ends with the socket, whatever that ends with.
    let _stop = Stop(&session);
    // spec: samv3 §Forward Response — also if it is silent.
    connection.say(Reply::new("STREAM STATUS", Outcome::Ok)).await?;
    tokio::select! {
        _ = over => connection.say(status(Outcome::I2pError, "the session has ended")).await,
        ended = keep(&mut connection) => ended,
    }
}

/// Answers PING until the socket is closed. What else is said has no meaning here.
async fn keep<O: Opener>(connection: &mut Connection<O>) -> io::Result<()> {
    while let Some(line) = connection.line(None, "STREAM STATUS").await? {
        match Command::parse(&line) {
            Ok(Command::Ping(text)) => connection.say(Reply::pong(&text)).await?,
            Ok(Command::Quit) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// The session's streams go nowhere when it is dropped.
struct Stop<'a, E: Endpoint>(&'a Session<E>);

impl<E: Endpoint> Drop for Stop<'_, E> {
    fn drop(&mut self) {
        self.0.stop_forward();
    }
}

fn begin_forward<O: Opener>(
    connection: &Connection<O>,
    params: &Params,
    held: oneshot::Sender<()>,
) -> Result<Arc<Session<O::Endpoint>>, Reply> {
    let error = |why: &dyn std::fmt::Display| status(Outcome::I2pError, why);
    let session = connection.session(params).ok_or_else(no_session)?;
    let port = params.port("PORT").map_err(|e| error(&e))?.filter(|port| *port != 0);
    let port = port.ok_or_else(|| error(&"PORT is missing: name the port of your server"))?;
    let given = host(params).map_err(|e| error(&e))?;
    // INTEROP: without a host it is the program's own.
    let own = || peer(&connection.socket);
    if params.is_true("SSL") {
        return Err(error(&"SSL is not spoken to servers of this machine"));
    }
    let (to, how) = (SocketAddr::new(given.unwrap_or_else(own), port), Introduction::of(params, connection.version));
    let waiting = session.forward(Forward { to, how, _held: held }).map_err(|e| error(&e))?;
    for caller in waiting {
        tokio::spawn(carry_to::<O::Endpoint>(to, how, caller));
    }
    Ok(session)
}

/// Carries a stream to a server of the program's. If that does not take it, the stream is broken off.
pub(super) async fn carry_to<E: Endpoint>(to: SocketAddr, how: Introduction, caller: Caller<E::Stream>) {
    let (line, _counted) = (how.line(&caller), Counted::new("forward"));
    let carried = async {
        let mut socket = timeout(FORWARD, TcpStream::connect(to)).await??;
        write(&mut socket, line.as_bytes()).await?;
        E::carry(socket, Vec::new(), caller.stream).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(%error, "a forwarded stream has ended early");
    }
}
