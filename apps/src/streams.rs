//! Streams of a destination that is opened when the first is wanted: an application that nobody uses costs nothing.

use crate::carry::carry;
use crate::network::{ConnectError, Network, Target};
use ramson_actors::destination::DestinationHandle;
use ramson_clients::Stream;
use ramson_protocol::streaming::stream::End;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// A new destination has tunnels within this time, or the caller hears that it has none.
pub(crate) const TUNNELS: Duration = Duration::from_secs(30);

/// So often it is asked whether it has.
const LOOK: Duration = Duration::from_millis(100);

/// Whoever opens destinations is asked for one by this.
pub type Opener = mpsc::Sender<oneshot::Sender<DestinationHandle>>;

/// The streams of one destination.
#[derive(Clone)]
pub struct Streams {
    destination: Arc<OnceCell<DestinationHandle>>,
    opener: Option<Opener>,
}

impl Streams {
    /// Of a destination that `opener` opens when the first stream is wanted.
    pub fn new(opener: Opener) -> Self {
        Self { destination: Arc::default(), opener: Some(opener) }
    }

    /// Of a destination that is open.
    pub fn of(destination: DestinationHandle) -> Self {
        Self { destination: Arc::new(OnceCell::new_with(Some(destination))), opener: None }
    }

    async fn destination(&self) -> Result<&DestinationHandle, ConnectError> {
        let open = async || {
            let (reply, opened) = oneshot::channel();
            let opener = self.opener.as_ref().ok_or(ConnectError::NoTunnels)?;
            opener.send(reply).await.map_err(|_| ConnectError::NoTunnels)?;
            opened.await.map_err(|_| ConnectError::NoTunnels)
        };
        self.destination.get_or_try_init(open).await
    }
}

/// Waits until a destination has tunnels.
pub(crate) async fn until(is_ready: impl Fn() -> bool) {
    while !is_ready() {
        sleep(LOOK).await;
    }
}

impl Network for Streams {
    type Stream = Stream;

    async fn connect(&self, to: Target, port: u16) -> Result<Stream, ConnectError> {
        let destination = self.destination().await?;
        timeout(TUNNELS, until(|| destination.is_ready())).await.map_err(|_| ConnectError::NoTunnels)?;
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
}
