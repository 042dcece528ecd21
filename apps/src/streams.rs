//! Streams of a destination that is opened when the first is wanted: an application that nobody uses costs nothing.

use crate::carry::carry;
use crate::network::{ConnectError, Network, Stage, Target};
use crate::udp::Datagrams;
use parking_lot::Mutex;
use ramson_actors::destination::DestinationHandle;
use ramson_clients::Stream;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::streaming::stream::End;
use ramson_protocol::streaming::streams::Signer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// A new destination has tunnels within this time, or the caller hears that it has none.
const TUNNELS: Duration = Duration::from_secs(30);

/// So often it is asked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Whoever opens destinations is asked for one by this.
pub type Opener = mpsc::Sender<oneshot::Sender<Opened>>;

/// A destination that was opened for an application.
pub struct Opened {
    /// The way to it.
    pub handle: DestinationHandle,
    /// Who it is, and its datagrams, if it has some.
    pub datagrams: Option<(Signer, mpsc::Receiver<Datagram>)>,
}

/// The streams of one destination, or of one after the other.
#[derive(Clone)]
pub struct Streams {
    destination: Arc<Mutex<Arc<Cell>>>,
    opener: Option<Opener>,
    /// Another destination is opened in the stead of one that has given up its tunnels.
    anew: bool,
}

/// A destination, once it is opened.
type Cell = OnceCell<(DestinationHandle, Option<Datagrams>)>;

impl Streams {
    /// Of a destination that `opener` opens when the first stream is wanted.
    pub fn new(opener: Opener) -> Self {
        Self { destination: Arc::default(), opener: Some(opener), anew: false }
    }

    /// The same, and of another one each time that nobody has used it for so long that it has given up all its tunnels: whoever saw the
    /// one before does not know it again.
    #[must_use]
    pub fn anew_when_idle(mut self, anew: bool) -> Self {
        self.anew = anew;
        self
    }

    /// Of a destination that is open, and its datagrams.
    pub fn of(destination: DestinationHandle, datagrams: Option<Datagrams>) -> Self {
        let cell = OnceCell::new_with(Some((destination, datagrams)));
        Self { destination: Arc::new(Mutex::new(Arc::new(cell))), opener: None, anew: false }
    }

    async fn destination(&self) -> Result<(DestinationHandle, Option<Datagrams>), ConnectError> {
        let open = async || {
            let (reply, opened) = oneshot::channel();
            let opener = self.opener.as_ref().ok_or(ConnectError::NoTunnels)?;
            opener.send(reply).await.map_err(|_| ConnectError::NoTunnels)?;
            let Opened { handle, datagrams } = opened.await.map_err(|_| ConnectError::NoTunnels)?;
            let datagrams = datagrams.map(|(us, incoming)| {
                let datagrams = Datagrams::of(us, handle.clone());
                tokio::spawn(datagrams.clone().serve(incoming));
                datagrams
            });
            Ok((handle, datagrams))
        };
        let cell = self.cell();
        cell.get_or_try_init(open).await.cloned()
    }

    /// Where the destination is, or comes to be.
    fn cell(&self) -> Arc<Cell> {
        let mut cell = self.destination.lock();
        if self.anew
            && let Some((handle, _)) = cell.get()
            && handle.has_given_up()
        {
            end(handle);
            *cell = Arc::default();
        }
        Arc::clone(&cell)
    }
}

/// Waits until a destination has tunnels.
pub(crate) async fn until(is_ready: impl Fn() -> bool) {
    while !is_ready() {
        sleep(LOOK).await;
    }
}

/// The same for as long as a caller waits; `None` if it has none by then.
pub(crate) async fn ready(is_ready: impl Fn() -> bool) -> Option<()> {
    timeout(TUNNELS, until(is_ready)).await.ok()
}

/// Ends a destination from a thread without actors. Without a runtime the router has ended, and the destination with it.
pub(crate) fn end(handle: &DestinationHandle) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let handle = handle.clone();
        runtime.spawn(async move { handle.end().await });
    }
}

impl Network for Streams {
    type Stream = Stream;

    async fn connect(&self, to: Target, port: u16) -> Result<Stream, ConnectError> {
        let (destination, _) = self.destination().await?;
        ready(|| destination.is_ready()).await.ok_or(ConnectError::NoTunnels)?;
        let hash = match to {
            Target::Hash(hash) => hash,
            Target::Blinded(address) => destination.find_blinded(address).await?.hash(),
        };
        destination.connect(hash, port).ok_or(ConnectError::NoTunnels)
    }

    async fn connected(stream: &Stream) -> Result<(), ConnectError> {
        stream.connected().await.map_err(|end| match end {
            End::Unreachable => ConnectError::NotFound,
            End::TimedOut => ConnectError::TimedOut,
            End::Closed | End::Reset | End::Broken => ConnectError::Refused,
        })
    }

    async fn carry(program: TcpStream, early: Vec<u8>, stream: Stream) -> io::Result<()> {
        stream.write_all(&early).await?;
        carry(program, stream).await
    }

    async fn stage(&self, to: Target) -> Stage {
        let cell = Arc::clone(&self.destination.lock());
        match cell.get() {
            Some((destination, _)) if destination.is_ready() => {
                if destination.is_sought(to.into()).await {
                    Stage::Search
                } else {
                    Stage::Call
                }
            }
            _ => Stage::Tunnels,
        }
    }

    async fn datagrams(&self) -> Option<Datagrams> {
        self.destination().await.ok()?.1
    }

    fn end(&self) {
        // One that was opened by somebody else is his to end.
        let cell = Arc::clone(&self.destination.lock());
        if let (Some(_), Some((handle, _))) = (&self.opener, cell.get()) {
            end(handle);
        }
    }
}
