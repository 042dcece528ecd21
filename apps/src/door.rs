//! Where a server waits for local programs: by TCP, by a UNIX socket, or by TLS.
//!
//! ```text
//! TCP  ------------------------------------------> the server's socket
//! UNIX ------------------------------------------> the same: to the system, a socket that is connected is one like another
//! TLS  --> a task that seals and opens <-- a pair -> one end of the pair is the server's socket
//! ```
//! So a server knows one kind of socket. Without an address of TCP, a program counts as one of this machine.

use crate::listener::PAUSE;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A handshake of TLS ends within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// When the server has ended, what it said last may take so long to be read.
const LINGER: Duration = Duration::from_secs(5);

/// One of the ways to a server.
pub enum Door {
    /// Plain.
    Tcp(TcpListener),
    /// By a path that only some may open.
    #[cfg(unix)]
    Unix(UnixListener),
    /// Sealed, with this certificate.
    Tls(TcpListener, Arc<ServerConfig>),
}

/// Serves whoever comes by a door, `most` at once: others wait in the kernel's queue.
pub async fn serve<F>(door: Door, most: usize, serve: impl Fn(TcpStream) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(most));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let accepted = match &door {
            Door::Tcp(listener) | Door::Tls(listener, _) => listener.accept().await.map(|(socket, _)| socket),
            #[cfg(unix)]
            Door::Unix(listener) => match listener.accept().await {
                Ok((socket, _)) => of_unix(socket),
                Err(error) => Err(error),
            },
        };
        // Without a descriptor for the next one the last ones are waited for.
        let Ok(socket) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        if let Door::Tls(_, config) = &door {
            let (config, serve) = (Arc::clone(config), serve.clone());
            tokio::spawn(async move {
                // Whoever does not end the handshake is not told why: he may speak another language.
                let _ = sealed(socket, config, serve).await;
                drop(place);
            });
        } else {
            let served = serve(socket);
            tokio::spawn(async move {
                served.await;
                drop(place);
            });
        }
    }
}

/// One connection of TLS.
async fn sealed<F>(socket: TcpStream, config: Arc<ServerConfig>, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()>,
{
    socket.set_nodelay(true)?;
    let mut tls = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(socket)).await??;
    let (mut outer, inner) = pair()?;
    let mut served = pin!(serve(inner));
    let mut carried = pin!(async move { copy_bidirectional(&mut tls, &mut outer).await.map(|_| ()) });
    tokio::select! {
        // The pair has ended with it, which the server sees.
        _ = &mut carried => served.await,
        () = &mut served => drop(timeout(LINGER, carried).await),
    }
    Ok(())
}

/// A UNIX socket as a server's. What belongs to TCP alone, an address and delays, fails on it.
#[cfg(unix)]
fn of_unix(socket: UnixStream) -> io::Result<TcpStream> {
    TcpStream::from_std(std::os::fd::OwnedFd::from(socket.into_std()?).into())
}

/// Two sockets that are each other's end.
#[cfg(unix)]
fn pair() -> io::Result<(UnixStream, TcpStream)> {
    let (outer, inner) = UnixStream::pair()?;
    Ok((outer, of_unix(inner)?))
}

/// The same where there is only TCP.
#[cfg(not(unix))]
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let outer = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (inner, from) = listener.accept()?;
    if from != outer.local_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    outer.set_nonblocking(true)?;
    inner.set_nonblocking(true)?;
    Ok((TcpStream::from_std(outer)?, TcpStream::from_std(inner)?))
}

/// Where a program is.
pub(crate) fn peer(socket: &TcpStream) -> IpAddr {
    socket.peer_addr().map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::id::DestinationHash;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

    /// Says what it hears, and whence.
    async fn echo(mut socket: TcpStream) {
        let mut heard = [0; 5];
        if socket.read_exact(&mut heard).await.is_ok() {
            let _ = socket.write_all(&[&heard[..], peer(&socket).to_string().as_bytes()].concat()).await;
        }
    }

    async fn heard(mut socket: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> String {
        socket.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        // The end of TLS may be cut off.
        let _ = socket.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn a_server_is_reached_by_every_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        tokio::spawn(serve(Door::Unix(UnixListener::bind(&path).unwrap()), 4, echo));
        assert_eq!(heard(UnixStream::connect(&path).await.unwrap()).await, "hello127.0.0.1");

        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(serve(Door::Tls(listener, config), 4, echo));
        // Who speaks no TLS is closed.
        let mut plain = TcpStream::connect(addr).await.unwrap();
        plain.write_all(&[b'x'; 100]).await.unwrap();
        let mut nothing = Vec::new();
        let _ = plain.read_to_end(&mut nothing).await;
        assert!(nothing.len() < 20, "an alert at most: {nothing:?}");
        let program = crate::local::Program { target: addr, unique_local: false, tls: true };
        let sealed = program.connect(&DestinationHash([1; 32])).await.unwrap();
        assert_eq!(heard(sealed).await, "hello127.0.0.1");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(serve(Door::Tcp(listener), 4, echo));
        assert_eq!(heard(TcpStream::connect(addr).await.unwrap()).await, "hello127.0.0.1");
    }
}
