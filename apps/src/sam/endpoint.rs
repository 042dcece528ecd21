//! What the server asks of the router: destinations, and what each does.

use crate::network::{ConnectError, Network};
use crate::streams::{Streams, end};
use ramson_actors::destination::{DestinationHandle, FindError, Options};
use ramson_clients::Stream;
use ramson_protocol::b32::B32;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::pool::Wanted;
use ramson_protocol::streaming::streams::Ports;
use std::future::Future;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc, oneshot};

/// A destination that is wanted.
#[derive(Debug)]
pub struct Wish {
    /// Who it is.
    pub keys: PrivateKeys,
    /// Tunnels to it.
    pub inbound: Wanted,
    /// Tunnels away from it.
    pub outbound: Wanted,
    /// Others find it, and may begin streams.
    pub published: bool,
    /// It has datagrams.
    pub datagrams: bool,
    /// What few destinations want otherwise.
    pub options: Options,
}

impl Wish {
    /// One that nobody can call, with keys for as long as it lives.
    pub(crate) fn nobody(tunnels: Wanted) -> Self {
        let keys = PrivateKeys::generate(rand::random(), &rand::random());
        Self {
            keys,
            inbound: tunnels,
            outbound: tunnels,
            published: false,
            datagrams: false,
            options: Options::default(),
        }
    }
}

/// Opens destinations. Clones are the same.
pub trait Opener: Clone + Send + Sync + 'static {
    /// What it opens.
    type Endpoint: Endpoint;

    /// Opens one, whose tunnels are built from then on. `None` if the router cannot take it now.
    fn open(&self, wish: Wish) -> impl Future<Output = Option<Self::Endpoint>> + Send;
}

/// A stream that somebody has begun.
#[derive(Debug)]
pub struct Caller<S> {
    /// Its bytes.
    pub stream: S,
    /// Who.
    pub from: Destination,
    /// Our port and his.
    pub ports: Ports,
}

/// A destination of ours, until it is dropped.
pub trait Endpoint: Send + Sync + 'static {
    /// Its streams.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// True if it has tunnels both ways.
    fn is_ready(&self) -> bool;

    /// Ends it and all its streams, though others may still hold it.
    fn end(&self);

    /// Begins a stream. `None` if the router does not keep up.
    fn connect(&self, to: DestinationHash, ports: Ports) -> Option<Self::Stream>;

    /// Waits until the other side of a stream has answered.
    fn connected(stream: &Self::Stream) -> impl Future<Output = Result<(), ConnectError>> + Send;

    /// Waits for a stream that somebody begins. `None` if none will come any more.
    fn accept(&self) -> impl Future<Output = Option<Caller<Self::Stream>>> + Send;

    /// Sends a datagram, which may be lost. False if it surely is.
    fn send(&self, datagram: Datagram) -> bool;

    /// Waits for a datagram. `None` if none will come any more.
    fn receive(&self) -> impl Future<Output = Option<Datagram>> + Send;

    /// Looks for the lease set of somebody's. Streams and datagrams find him by his hash from then on.
    fn find(&self, whom: B32) -> impl Future<Output = Result<Entry, FindError>> + Send;

    /// Carries bytes between a program and a stream, `early` before all others, until both have closed.
    fn carry(program: TcpStream, early: Vec<u8>, stream: Self::Stream) -> impl Future<Output = io::Result<()>> + Send;
}

/// A destination that was opened.
pub struct Opened {
    /// The way to it.
    pub handle: DestinationHandle,
    /// The streams that others begin.
    pub streams: mpsc::Receiver<Stream>,
    /// Its datagrams.
    pub datagrams: mpsc::Receiver<Datagram>,
}

/// Whoever opens destinations is asked for one by this.
pub type Desk = mpsc::Sender<(Wish, oneshot::Sender<Option<Opened>>)>;

/// Destinations of the router.
#[derive(Clone, Debug)]
pub struct OfRouter(Desk);

impl OfRouter {
    /// Those that `desk` opens.
    pub fn new(desk: Desk) -> Self {
        Self(desk)
    }
}

impl Opener for OfRouter {
    type Endpoint = Local;

    async fn open(&self, wish: Wish) -> Option<Local> {
        let (reply, opened) = oneshot::channel();
        self.0.send((wish, reply)).await.ok()?;
        let Opened { handle, streams, datagrams } = opened.await.ok()??;
        Some(Local { handle, callers: Mutex::new(streams), datagrams: Mutex::new(datagrams) })
    }
}

/// A destination of the router.
pub struct Local {
    handle: DestinationHandle,
    callers: Mutex<mpsc::Receiver<Stream>>,
    datagrams: Mutex<mpsc::Receiver<Datagram>>,
}

impl Endpoint for Local {
    type Stream = Stream;

    fn is_ready(&self) -> bool {
        self.handle.is_ready()
    }

    fn end(&self) {
        end(&self.handle);
    }

    fn connect(&self, to: DestinationHash, ports: Ports) -> Option<Stream> {
        self.handle.connect_from(to, ports)
    }

    async fn connected(stream: &Stream) -> Result<(), ConnectError> {
        <Streams as Network>::connected(stream).await
    }

    async fn accept(&self) -> Option<Caller<Stream>> {
        let mut callers = self.callers.lock().await;
        loop {
            let stream = callers.recv().await?;
            if let Some((from, ports)) = stream.caller().cloned() {
                return Some(Caller { stream, from, ports });
            }
        }
    }

    fn send(&self, datagram: Datagram) -> bool {
        self.handle.send_datagram(datagram)
    }

    async fn receive(&self) -> Option<Datagram> {
        self.datagrams.lock().await.recv().await
    }

    async fn find(&self, whom: B32) -> Result<Entry, FindError> {
        self.handle.find_lease_set(whom).await
    }

    async fn carry(program: TcpStream, early: Vec<u8>, stream: Stream) -> io::Result<()> {
        <Streams as Network>::carry(program, early, stream).await
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.end();
    }
}
