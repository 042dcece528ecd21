//! Tunnels that were started: their sockets, and the streams that they carry.

use crate::listener;
use crate::names::{HostName, Names};
use crate::network::{ConnectError, Network, Target};
use crate::sam::endpoint::{Caller, Endpoint, Opener};
use crate::streams::ready;
use crate::{http_proxy, socks};
use ramson_protocol::b32::B32;
use ramson_protocol::base64;
use ramson_protocol::bob::{Plan, Proxy, Tunnel, destination};
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::sam::Lines;
use ramson_protocol::streaming::streams::Ports;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Connections of one tunnel at a time, each way.
const MAX_CONNECTIONS: usize = 1024;

/// A program names whom it wants within this time.
const NAMING: Duration = Duration::from_secs(60);

/// A destination answers a proxy within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tunnel that was started, and may have been stopped again. Its destination ends when it is dropped.
pub(super) struct Started<O: Opener> {
    pub(super) tunnel: Tunnel,
    pub(super) endpoint: Arc<O::Endpoint>,
    tasks: Vec<JoinHandle<()>>,
}

impl<O: Opener> Started<O> {
    /// Has a tunnel run.
    ///
    /// # Errors
    /// If its socket cannot be had.
    pub(super) async fn new(
        tunnel: Tunnel,
        endpoint: Arc<O::Endpoint>,
        plan: &Plan,
        names: &Names,
    ) -> Result<Self, String> {
        let mut tasks = Vec::new();
        if let Some(listen) = plan.listen {
            let listener = TcpListener::bind(listen).await;
            let listener = listener.map_err(|error| format!("inhost:inport cannot be listened on: {error}"))?;
            let network = AsNetwork(Arc::clone(&endpoint));
            tasks.push(tokio::spawn(listen_on(listener, network, names.clone(), plan.proxy)));
        }
        if let Some(target) = plan.target {
            tasks.push(tokio::spawn(carry_all(Arc::clone(&endpoint), target, plan.quiet)));
        }
        Ok(Self { tunnel, endpoint, tasks })
    }

    pub(super) fn is_running(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Its socket is closed, its destination stays.
    pub(super) fn stop(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    pub(super) fn status(&self) -> String {
        self.tunnel.status(Some(self.is_running()))
    }
}

impl<O: Opener> Drop for Started<O> {
    fn drop(&mut self) {
        let was_running = self.is_running();
        self.stop();
        // One that was started anew has the same destination.
        if was_running || Arc::strong_count(&self.endpoint) == 1 {
            self.endpoint.end();
        }
    }
}

/// A destination as proxies see it.
struct AsNetwork<E>(Arc<E>);

impl<E> Clone for AsNetwork<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Endpoint> Network for AsNetwork<E> {
    type Stream = E::Stream;

    async fn connect(&self, to: Target, port: u16) -> Result<E::Stream, ConnectError> {
        let Target::Hash(hash) = to else { return Err(ConnectError::Encrypted) };
        ready(|| self.0.is_ready()).await.ok_or(ConnectError::NoTunnels)?;
        self.0.connect(hash, Ports { from: 0, to: port }).ok_or(ConnectError::NoTunnels)
    }

    fn connected(stream: &E::Stream) -> impl Future<Output = Result<(), ConnectError>> + Send {
        E::connected(stream)
    }

    fn carry(program: TcpStream, early: Vec<u8>, stream: E::Stream) -> impl Future<Output = io::Result<()>> + Send {
        E::carry(program, early, stream)
    }
}

async fn listen_on<E: Endpoint>(listener: TcpListener, network: AsNetwork<E>, names: Names, proxy: Option<Proxy>) {
    match proxy {
        Some(Proxy::Socks) => Arc::new(socks::Proxy::new(network, names, PATIENCE)).serve(listener).await,
        Some(Proxy::Http) => Arc::new(http_proxy::Proxy::new(network, names, PATIENCE)).serve(listener).await,
        None => {
            let serve = |program| {
                let (network, names) = (network.clone(), names.clone());
                async move {
                    if let Err(error) = lead(program, &network, &names).await {
                        tracing::debug!(%error, "a connection of a BOB tunnel has ended early");
                    }
                }
            };
            listener::serve(listener, MAX_CONNECTIONS, |_| (), serve).await;
        }
    }
}

/// Leads a program to whom its first line names.
async fn lead<E: Endpoint>(mut program: TcpStream, network: &AsNetwork<E>, names: &Names) -> io::Result<()> {
    let mut lines = Lines::default();
    let named = timeout(NAMING, first_line(&mut program, &mut lines)).await??;
    let hash = hash(names, named.trim()).map_err(|()| io::Error::other("nobody has this name"))?;
    let stream = network.connect(Target::Hash(hash), 0).await.map_err(io::Error::other)?;
    E::carry(program, lines.into_rest(), stream).await
}

async fn first_line(program: &mut TcpStream, lines: &mut Lines) -> io::Result<String> {
    let mut buffer = [0; 2048];
    loop {
        if let Some(line) = lines.next_line().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
            return Ok(line);
        }
        match program.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => lines.feed(&buffer[..len]),
        }
    }
}

/// Carries each stream of others to a program.
async fn carry_all<E: Endpoint>(endpoint: Arc<E>, target: SocketAddr, quiet: bool) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(caller) = endpoint.accept().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::spawn(async move {
            if let Err(error) = carry::<E>(caller, target, quiet).await {
                tracing::debug!(%error, "a stream of a BOB tunnel has ended early");
            }
            drop(place);
        });
    }
}

async fn carry<E: Endpoint>(caller: Caller<E::Stream>, target: SocketAddr, quiet: bool) -> io::Result<()> {
    let mut program = TcpStream::connect(target).await?;
    if !quiet {
        let line = base64::encode(caller.from.as_bytes()) + "\n";
        program.write_all(line.as_bytes()).await?;
    }
    E::carry(program, Vec::new(), caller.stream).await
}

/// The destination that a name is by itself or by the address book.
pub(super) fn known(names: &Names, name: &str) -> Option<Destination> {
    if let Ok(name) = HostName::parse(name) {
        return names.destination(&name).ok()?;
    }
    destination(name)
}

/// Whose a name is: of the address book, in base 32, or a destination in base 64.
///
/// # Errors
/// If it is nobody's, or his lease set is encrypted.
pub(super) fn hash(names: &Names, name: &str) -> Result<DestinationHash, ()> {
    match names.resolve(name) {
        Ok(B32::Hash(hash)) => Ok(hash),
        Ok(B32::Blinded(_)) => Err(()),
        Err(_) => destination(name).map(|destination| destination.hash()).ok_or(()),
    }
}
