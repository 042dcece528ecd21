//! The SOCKS proxy: any program's way to destinations, by name.
//!
//! ```text
//! program -- SOCKS 4a or 5 --> Negotiation --> name --> stream to the destination
//!                                  | not in I2P            '--> or to an outproxy, if there is one
//!    the protocol's refusal <------' not known, not there
//!            '--- UDP associate --> datagrams (associate.rs)
//! ```
//! No name is ever looked up in the DNS, and no address outside is called. A program that says who it is has a destination of its own
//! (users.rs), if the configuration wants that.

mod associate;

use crate::http_proxy::connector::Connector;
use crate::listener;
use crate::names::{Names, ResolveError};
use crate::network::{ConnectError, Network, Target};
use crate::outproxies::List;
use crate::series::REFUSED;
use crate::users::{TooMany, Use, Users};
use ramson_protocol::socks::{Negotiation, Out, Refusal, Request};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// Connections that are served at once; others wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// A program says what it wants within this time, or is let go.
const NEGOTIATION_TIME: Duration = Duration::from_secs(15);

/// Bytes that are read at once while a program says what it wants: more than any request has.
const CHUNK: usize = 1024;

/// A proxy, as one destination, or one for each who says his name.
pub struct Proxy<N: Network> {
    network: N,
    users: Option<Users<N>>,
    names: Names,
    patience: Duration,
    outproxies: List,
}

impl<N: Network> Proxy<N> {
    /// A proxy that knows the names of a book. A destination answers the call within `patience`.
    pub fn new(network: N, names: Names, patience: Duration) -> Self {
        Self { network, users: None, names, patience, outproxies: List::default() }
    }

    /// The same with a destination that `make` makes for each of `most` users. Without any all share one.
    #[must_use]
    pub fn with_users(mut self, most: usize, make: impl Fn() -> N + Send + Sync + 'static) -> Self {
        self.users = (most > 0).then(|| Users::new(most, make, N::end));
        self
    }

    /// The same with a way outside of I2P, as the HTTP proxy has it.
    #[must_use]
    pub fn with_outproxies(mut self, all: Vec<String>) -> Self {
        self.outproxies = List::new(all);
        self
    }

    /// Serves programs until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let failed = |error| tracing::warn!(%error, "the SOCKS proxy cannot take a connection");
        let serve = |program| {
            let proxy = Arc::clone(&self);
            async move {
                match proxy.serve_one(program).await {
                    Ok(Served::Carried) => {}
                    Ok(Served::Refused(refusal)) => {
                        REFUSED.add(["socks", refusal.label()], 1);
                        tracing::debug!(reason = refusal.label(), "the SOCKS proxy has refused a request");
                    }
                    Err(error) => tracing::debug!(%error, "a connection to the SOCKS proxy ended"),
                }
            }
        };
        listener::serve(listener, CONNECTIONS, failed, serve).await;
    }

    /// # Errors
    /// If the program goes, or the stream breaks.
    async fn serve_one(&self, mut program: TcpStream) -> io::Result<Served> {
        let mut talk = if self.users.is_some() { Negotiation::asking_who() } else { Negotiation::default() };
        let wanted = timeout(NEGOTIATION_TIME, negotiate(&mut program, &mut talk)).await;
        let wanted = match wanted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(Served::Refused(refusal)),
        };
        let own = match &self.users {
            Some(users) if !talk.user().is_empty() => users.of(talk.user(), Instant::now()).map(Some),
            _ => Ok(None),
        };
        let own = match own {
            Ok(own) => own,
            Err(TooMany) => return refuse(&mut program, &mut talk, Refusal::TooMany).await,
        };
        let network = own.as_ref().map_or(&self.network, |own: &Use<N>| &own.own);
        match wanted {
            Wanted::Stream(request) => match self.connect(network, &request).await {
                Ok(stream) => {
                    talk.granted();
                    write(&mut program, &mut talk).await?;
                    N::carry(program, talk.into_rest(), stream).await?;
                }
                Err(refusal) => return refuse(&mut program, &mut talk, refusal).await,
            },
            Wanted::Datagrams => {
                let Some(datagrams) = network.datagrams().await else {
                    return refuse(&mut program, &mut talk, Refusal::NoTunnels).await;
                };
                // Programs reach it where they reached the proxy.
                let socket = UdpSocket::bind((program.local_addr()?.ip(), 0)).await?;
                talk.associated(socket.local_addr()?);
                write(&mut program, &mut talk).await?;
                associate::run(program, socket, datagrams, &self.names).await?;
            }
        }
        Ok(Served::Carried)
    }

    async fn connect(&self, network: &N, request: &Request) -> Result<N::Stream, Refusal> {
        let target = match self.names.resolve(&request.host) {
            Ok(address) => Target::from(address),
            Err(ResolveError::NotI2p) => return self.connect_outside(network, request).await,
            Err(ResolveError::Address(_) | ResolveError::Name(_) | ResolveError::Unknown(_)) => {
                return Err(Refusal::Unknown);
            }
            Err(ResolveError::Book(error)) => {
                tracing::error!(%error, "the SOCKS proxy cannot read the address book");
                return Err(Refusal::Failed);
            }
        };
        let call = async {
            let stream = network.connect(target, request.port).await?;
            // A program hears that it is connected when it is: many send nothing that could go with the call.
            N::connected(&stream).await.map(|()| stream)
        };
        let called = timeout(self.patience, call).await.unwrap_or(Err(ConnectError::TimedOut));
        called.map_err(refusal)
    }

    async fn connect_outside(&self, network: &N, request: &Request) -> Result<N::Stream, Refusal> {
        let local = request.host == "localhost" || request.host.ends_with(".localhost");
        if local || self.outproxies.is_empty() {
            return Err(Refusal::NotI2p);
        }
        let connector = Connector::new(network.clone(), self.patience);
        let outproxies = self.outproxies.with(connector, self.names.clone());
        outproxies.tunnel(&request.host, request.port).await.map_err(refusal)
    }
}

fn refusal(error: ConnectError) -> Refusal {
    match error {
        ConnectError::NoTunnels => Refusal::NoTunnels,
        ConnectError::NotFound | ConnectError::Encrypted | ConnectError::Incompatible => Refusal::Unknown,
        ConnectError::TimedOut => Refusal::TimedOut,
        ConnectError::Refused => Refusal::Refused,
    }
}

/// What a program wants.
enum Wanted {
    Stream(Request),
    Datagrams,
}

/// Tells a program that it gets nothing, and why.
async fn refuse(program: &mut TcpStream, talk: &mut Negotiation, refusal: Refusal) -> io::Result<Served> {
    talk.refuse(refusal);
    write(program, talk).await?;
    Ok(Served::Refused(refusal))
}

/// What became of a connection.
enum Served {
    Carried,
    Refused(Refusal),
}

/// Speaks with a program until it has said what it wants, or has been refused that.
async fn negotiate(program: &mut TcpStream, talk: &mut Negotiation) -> io::Result<Result<Wanted, Refusal>> {
    let mut chunk = [0; CHUNK];
    loop {
        let len = program.read(&mut chunk).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        talk.handle_input(&chunk[..len]);
        match write(program, talk).await? {
            Some(Out::Connect(request)) => return Ok(Ok(Wanted::Stream(request))),
            Some(Out::Associate) => return Ok(Ok(Wanted::Datagrams)),
            Some(Out::Close(refusal)) => return Ok(Err(refusal)),
            Some(Out::Write(_)) | None => {}
        }
    }
}

/// Writes what is to be written; returns what else is to be done.
async fn write(program: &mut TcpStream, talk: &mut Negotiation) -> io::Result<Option<Out>> {
    while let Some(out) = talk.poll_output() {
        match out {
            Out::Write(bytes) => program.write_all(&bytes).await?,
            other => return Ok(Some(other)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
