//! What applications ask of the router: a stream to a destination.

use crate::udp::Datagrams;
use ramson_actors::destination::FindError;
use ramson_protocol::b32::{B32, Blinded};
use ramson_protocol::id::DestinationHash;
use std::future::Future;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Whom a stream goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A destination by its hash.
    Hash(DestinationHash),
    /// A destination by its key: its LeaseSet is encrypted.
    Blinded(Blinded),
}

impl From<B32> for Target {
    fn from(address: B32) -> Self {
        match address {
            B32::Hash(hash) => Self::Hash(hash),
            B32::Blinded(blinded) => Self::Blinded(blinded),
        }
    }
}

impl From<Target> for B32 {
    fn from(target: Target) -> Self {
        match target {
            Target::Hash(hash) => Self::Hash(hash),
            Target::Blinded(blinded) => Self::Blinded(blinded),
        }
    }
}

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConnectError {
    /// Our own tunnels do not stand yet.
    #[error("our tunnels are not built yet")]
    NoTunnels,
    /// Nobody whom we asked has its LeaseSet: it is offline, or the address is wrong.
    #[error("its LeaseSet was not found")]
    NotFound,
    /// Its LeaseSet is encrypted, and we have no key, or not the right one.
    #[error("its LeaseSet is encrypted for others")]
    Encrypted,
    /// It has a LeaseSet that we cannot use.
    #[error("it speaks no encryption that we do")]
    Incompatible,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// It does not want us, or nothing listens there.
    #[error("it refused the connection")]
    Refused,
}

impl ConnectError {
    /// The name of the reason in counts and for programs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoTunnels => "no_tunnels",
            Self::NotFound => "lease_set_not_found",
            Self::Encrypted => "lease_set_encrypted",
            Self::Incompatible => "incompatible",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
        }
    }
}

impl From<FindError> for ConnectError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound => Self::NotFound,
            FindError::Unreadable(_) => Self::Encrypted,
        }
    }
}

/// How far a stream is on its way to a destination that has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Our own tunnels do not stand yet.
    Tunnels,
    /// Its LeaseSet is looked for.
    Search,
    /// It is called.
    Call,
}

/// Makes streams as one destination of ours. Clones are the same destination.
pub trait Network: Clone + Send + Sync + 'static {
    /// A stream.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A stream to a port of a destination. Dropping the future gives it up.
    fn connect(&self, to: Target, port: u16) -> impl Future<Output = Result<Self::Stream, ConnectError>> + Send;

    /// Waits until the other side of a stream has answered. What is written before goes with the call.
    fn connected(stream: &Self::Stream) -> impl Future<Output = Result<(), ConnectError>> + Send;

    /// Carries bytes between a local program and a stream, `early` before all others, until both have closed or either breaks.
    fn carry(program: TcpStream, early: Vec<u8>, stream: Self::Stream) -> impl Future<Output = io::Result<()>> + Send;

    /// How far a stream to this destination is that has been begun.
    fn stage(&self, _to: Target) -> impl Future<Output = Stage> + Send {
        std::future::ready(Stage::Call)
    }

    /// Its datagrams. `None` if it has none.
    fn datagrams(&self) -> impl Future<Output = Option<Datagrams>> + Send {
        std::future::ready(None)
    }

    /// Ends the destination, if it is one that nobody else uses.
    fn end(&self) {}
}
