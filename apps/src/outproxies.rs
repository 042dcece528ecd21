//! Outproxies: destinations that fetch for us what is not in I2P, and see what is fetched.
//!
//! ```text
//! the one that answered last, else the next --> a stream --> CONNECT host:port --> 200 --> bytes of the host
//! ```

use crate::http_proxy::connector::Connector;
use crate::names::Names;
use crate::network::{ConnectError, Network};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The port of one that is named without one.
const PORT: u16 = 80;

/// Bytes of the answer to CONNECT, at most.
const ANSWER_BYTES: usize = 8 * 1024;

/// Outproxies by their names or addresses, with a port or without, in the order of the configuration.
#[derive(Clone, Default)]
pub(crate) struct List {
    all: Arc<[String]>,
    /// Which one answered last.
    good: Arc<AtomicUsize>,
}

impl List {
    pub(crate) fn new(all: Vec<String>) -> Self {
        Self { all: all.into(), good: Arc::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// These, as one destination calls them.
    pub(crate) fn with<N: Network>(&self, connector: Connector<N>, names: Names) -> Outproxies<N> {
        Outproxies { connector, names, list: self.clone() }
    }
}

/// Outproxies that a destination calls.
#[derive(Clone)]
pub(crate) struct Outproxies<N> {
    connector: Connector<N>,
    names: Names,
    list: List,
}

impl<N: Network> Outproxies<N> {
    /// A stream to the first that answers.
    pub(crate) async fn connect(&self) -> Result<N::Stream, ConnectError> {
        let List { all, good } = &self.list;
        let first = good.load(Relaxed);
        let mut failed = ConnectError::NotFound;
        for at in (0..all.len()).map(|n| (first + n) % all.len()) {
            match self.call(&all[at]).await {
                Ok(stream) => {
                    good.store(at, Relaxed);
                    return Ok(stream);
                }
                Err(error) => {
                    tracing::debug!(%error, "an outproxy does not answer");
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    /// A stream whose bytes are those of a host outside.
    pub(crate) async fn tunnel(&self, host: &str, port: u16) -> Result<N::Stream, ConnectError> {
        let mut stream = self.connect().await?;
        let refused = |_| ConnectError::Refused;
        let ask = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        let answered = async {
            stream.write_all(ask.as_bytes()).await.map_err(refused)?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if head.len() >= ANSWER_BYTES {
                    return Err(ConnectError::Refused);
                }
                // What follows is not ours to read.
                head.push(stream.read_u8().await.map_err(refused)?);
            }
            let granted = head.starts_with(b"HTTP/1.") && head.get(8..10) == Some(b" 2");
            if granted { Ok(()) } else { Err(ConnectError::Refused) }
        };
        self.connector.patiently(answered).await?;
        Ok(stream)
    }

    async fn call(&self, place: &str) -> Result<N::Stream, ConnectError> {
        let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, port.parse().ok()));
        let address = self.names.resolve(host).map_err(|_| ConnectError::NotFound)?;
        let stream = self.connector.connect(&address, port.unwrap_or(PORT)).await?;
        // Only one that has answered is better than the next.
        self.connector.patiently(N::connected(&stream)).await?;
        Ok(stream)
    }
}
