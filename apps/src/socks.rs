//! The SOCKS proxy: any program's way to destinations, by name.
//!
//! ```text
//! program -- SOCKS 4a or 5 --> Negotiation --> name --> stream to the destination
//!                                  | not in I2P, not known, not there
//!    the protocol's refusal <------'
//! ```
//! Only what is in I2P leaves by this proxy: no name is ever looked up in the DNS, and no address outside is called.

use crate::listener;
use crate::names::{Names, ResolveError};
use crate::network::{ConnectError, Network, Target};
use ramson_protocol::socks::{Negotiation, Out, Refusal, Request};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Connections that are served at once; others wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// A program says what it wants within this time, or is let go.
const NEGOTIATION_TIME: Duration = Duration::from_secs(15);

/// Bytes that are read at once while a program says what it wants: more than any request has.
const CHUNK: usize = 1024;

/// A proxy, as one destination.
pub struct Proxy<N: Network> {
    network: N,
    names: Names,
    patience: Duration,
}

impl<N: Network> Proxy<N> {
    /// A proxy that knows the names of a book. A destination answers the call within `patience`.
    pub fn new(network: N, names: Names, patience: Duration) -> Self {
        Self { network, names, patience }
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
        let mut talk = Negotiation::default();
        let wanted = timeout(NEGOTIATION_TIME, negotiate(&mut program, &mut talk)).await;
        let request = match wanted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? {
            Ok(request) => request,
            Err(refusal) => return Ok(Served::Refused(refusal)),
        };
        match self.connect(&request).await {
            Ok(stream) => {
                talk.granted();
                write(&mut program, &mut talk).await?;
                N::carry(program, talk.into_rest(), stream).await?;
                Ok(Served::Carried)
            }
            Err(refusal) => {
                talk.refuse(refusal);
                write(&mut program, &mut talk).await?;
                Ok(Served::Refused(refusal))
            }
        }
    }

    async fn connect(&self, request: &Request) -> Result<N::Stream, Refusal> {
        let target = match self.names.resolve(&request.host) {
            Ok(address) => Target::from(address),
            Err(ResolveError::NotI2p) => return Err(Refusal::NotI2p),
            Err(ResolveError::Address(_) | ResolveError::Name(_) | ResolveError::Unknown(_)) => {
                return Err(Refusal::Unknown);
            }
            Err(ResolveError::Book(error)) => {
                tracing::error!(%error, "the SOCKS proxy cannot read the address book");
                return Err(Refusal::Failed);
            }
        };
        let call = async {
            let stream = self.network.connect(target, request.port).await?;
            // A program hears that it is connected when it is: many send nothing that could go with the call.
            N::connected(&stream).await.map(|()| stream)
        };
        let called = timeout(self.patience, call).await.unwrap_or(Err(ConnectError::TimedOut));
        called.map_err(|error| match error {
            ConnectError::NoTunnels => Refusal::NoTunnels,
            ConnectError::NotFound | ConnectError::Encrypted | ConnectError::Incompatible => Refusal::Unknown,
            ConnectError::TimedOut => Refusal::TimedOut,
            ConnectError::Refused => Refusal::Refused,
        })
    }
}

/// What became of a connection.
enum Served {
    Carried,
    Refused(Refusal),
}

/// Speaks with a program until it has said what it wants, or has been refused that.
async fn negotiate(program: &mut TcpStream, talk: &mut Negotiation) -> io::Result<Result<Request, Refusal>> {
    let mut chunk = [0; CHUNK];
    loop {
        let len = program.read(&mut chunk).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        talk.handle_input(&chunk[..len]);
        match write(program, talk).await? {
            Some(Out::Connect(request)) => return Ok(Ok(request)),
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
