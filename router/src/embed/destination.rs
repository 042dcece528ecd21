//! Destinations of a node.

use super::address::Address;
use super::datagrams::Datagrams;
use super::keys::Keys;
use super::node::{LOOK, Node};
use super::stream::{Listener, Stream};
use super::{ConnectError, Error};
use parking_lot::Mutex;
use ramson_actors::destination::{DestinationHandle, Options};
use ramson_apps::network::Network;
use ramson_apps::sam::endpoint::{Opened, Wish};
use ramson_apps::streams::Streams;
use ramson_protocol::b32::B32;
use ramson_protocol::blinding::Blinding;
use ramson_protocol::pool::{COUNT_MAX, LENGTH_MAX, Wanted};
use ramson_protocol::streaming::streams::Ports;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Tunnels of a destination stand within this time.
const TUNNELS: Duration = Duration::from_secs(300);

/// Hops and tunnels of a destination that says nothing else.
const LENGTH: usize = 3;
const QUANTITY: usize = 3;

/// Makes a [`Destination`].
#[derive(Debug)]
pub struct DestinationBuilder {
    node: Node,
    keys: Option<Keys>,
    length: usize,
    quantity: usize,
    listed: bool,
    options: Vec<(String, String)>,
}

impl DestinationBuilder {
    pub(super) fn new(node: Node) -> Self {
        Self { node, keys: None, length: LENGTH, quantity: QUANTITY, listed: true, options: Vec::new() }
    }

    /// Who it is. Without keys it is somebody new.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Hops of each of its tunnels, from 1 to 8; 3 if nothing is said. Fewer are faster, and hide less.
    #[must_use]
    pub fn length(mut self, hops: usize) -> Self {
        self.length = hops.clamp(1, LENGTH_MAX);
        self
    }

    /// Its tunnels in each direction, from 1 to 16; 3 if nothing is said.
    #[must_use]
    pub fn quantity(mut self, tunnels: usize) -> Self {
        self.quantity = tunnels.clamp(1, COUNT_MAX);
        self
    }

    /// Nobody can find it, and so nobody begins streams with it: it begins them itself.
    #[must_use]
    pub fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    /// What few destinations want otherwise, by the names that all routers have for it: `i2cp.leaseSetType`, `i2cp.leaseSetEncType`,
    /// `i2cp.leaseSetAuthType`, `i2cp.leaseSetClient.dh.N`, `i2cp.leaseSetClient.psk.N`, `i2cp.leaseSetSecret`, `i2cp.leaseSetPrivKey`
    /// and `i2cp.leaseSetOption.N`. Others have no effect.
    ///
    /// ```no_run
    /// # async fn example(node: ramson::Node) -> Result<(), ramson::Error> {
    /// // Whoever does not know its long address can neither find it nor see that it exists.
    /// let hidden = node.destination().option("i2cp.leaseSetType", "5").open().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }

    /// Opens it, and waits until it has tunnels both ways: seconds, or minutes on a node that has just begun. Whoever drops the
    /// future gives it up.
    ///
    /// # Errors
    /// [`Error::Configuration`] for an option that cannot be, [`Error::Busy`], [`Error::NoTunnels`], and [`Error::Ended`] or [`Error::Failed`] if the node has ended.
    pub async fn open(self) -> Result<Destination, Error> {
        let keys = self.keys.unwrap_or_else(Keys::generate);
        let tunnels = Wanted::new(self.quantity, self.length);
        let options = Options::parse(self.options.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let options = options.map_err(|error| Error::Configuration(error.to_string()))?;
        let wish = Wish {
            keys: keys.0.clone(),
            inbound: tunnels,
            outbound: tunnels,
            published: self.listed,
            datagrams: true,
            options,
        };
        let Opened { handle, streams, datagrams } = self.node.open(wish).await?;
        let local = Arc::new(Local { handle, keys, node: self.node.clone() });
        let (listener, datagrams) = (Listener::new(streams, &local), Datagrams::new(datagrams, &local));
        let is_ready = async {
            while !local.handle.is_ready() {
                self.node.check()?;
                sleep(LOOK).await;
            }
            Ok(())
        };
        timeout(TUNNELS, is_ready).await.map_err(|_| Error::NoTunnels)??;
        let listener = self.listed.then_some(listener);
        Ok(Destination { local, listener: Mutex::new(listener), datagrams: Mutex::new(Some(datagrams)) })
    }
}

/// What a destination shares with those who have a part of it: it ends with the last of them. Its node does not end before.
pub(super) struct Local {
    pub(super) handle: DestinationHandle,
    pub(super) keys: Keys,
    node: Node,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.node.close(self.handle.clone());
    }
}

/// A destination of a node: who a program is for others. It ends when it, its [`Listener`] and its [`Datagrams`] are dropped.
/// Streams end with it.
pub struct Destination {
    local: Arc<Local>,
    listener: Mutex<Option<Listener>>,
    datagrams: Mutex<Option<Datagrams>>,
}

impl Destination {
    /// Where others find it.
    pub fn address(&self) -> Address {
        self.local.keys.address()
    }

    /// Its keys: keep them, and it can be opened again.
    pub fn keys(&self) -> &Keys {
        &self.local.keys
    }

    /// Where others find it if its lease set is encrypted: an address of 56 characters before `.b32.i2p`, for [`Destination::find`].
    /// `None` if its keys cannot be blinded.
    pub fn encrypted_address(&self) -> Option<String> {
        let blinding = Blinding::of(&self.local.keys.0.destination, &[])?;
        Some(B32::Blinded(blinding.address(false)).to_string())
    }

    /// Begins a stream to a port of another destination, and waits until that has answered. Ports are numbers between the two; zero
    /// is as good as any.
    ///
    /// ```no_run
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # async fn example(us: ramson::Destination, to: ramson::Address) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut stream = us.connect(to, 80).await?;
    /// stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    /// let mut page = Vec::new();
    /// stream.read_to_end(&mut page).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Why there is none. Dropping the future gives it up.
    pub async fn connect(&self, to: Address, port: u16) -> Result<Stream, ConnectError> {
        let ports = Ports { from: 0, to: port };
        let stream = self.local.handle.connect_from(to.0, ports).ok_or(ConnectError::NoTunnels)?;
        <Streams as Network>::connected(&stream).await?;
        Ok(Stream::new(stream, port))
    }

    /// The streams that others begin. `None` if they were given away already, and for a destination that is unlisted.
    ///
    /// ```no_run
    /// # use tokio::io::AsyncWriteExt;
    /// # async fn example(us: ramson::Destination) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut listener = us.listen().expect("nobody listens yet");
    /// while let Some(mut stream) = listener.accept().await {
    ///     tokio::spawn(async move {
    ///         stream.write_all(format!("hello, {}", stream.remote()).as_bytes()).await?;
    ///         // What was written is delivered; without this it is broken off.
    ///         stream.shutdown().await
    ///     });
    /// }
    /// # Ok(()) }
    /// ```
    pub fn listen(&self) -> Option<Listener> {
        self.listener.lock().take()
    }

    /// Its datagrams. `None` if they were given away already.
    ///
    /// ```no_run
    /// # use ramson::Datagram;
    /// # async fn example(us: ramson::Destination) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut datagrams = us.datagrams().expect("nobody has them yet");
    /// while let Some(came) = datagrams.receive().await {
    ///     // A raw one has no sender, and so no answer.
    ///     if let Some(peer) = came.peer {
    ///         datagrams.try_send(Datagram::to(peer, came.payload))?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn datagrams(&self) -> Option<Datagrams> {
        self.datagrams.lock().take()
    }

    /// Who is meant by an address, also of 56 characters before `.b32.i2p`: the lease set of such a one is encrypted, and is looked for,
    /// which takes seconds. Streams and datagrams of this destination reach it from then on. It is read with what
    /// [`DestinationBuilder::option`] has said; names are looked up by [`Node::lookup`].
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] if nobody has it, or this is no address; [`ConnectError::Encrypted`] if it is for others.
    pub async fn find(&self, address: &str) -> Result<Address, ConnectError> {
        match B32::parse(&address.to_ascii_lowercase()) {
            Ok(B32::Blinded(blinded)) => {
                let found = self.local.handle.find_blinded(blinded).await?;
                Ok(Address(found.hash()))
            }
            _ => address.parse().map_err(|_| ConnectError::NotFound),
        }
    }

    /// Whether another destination can be found now.
    pub async fn can_find(&self, address: Address) -> bool {
        self.local.handle.find(address.0).await.is_some()
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination(..)")
    }
}
