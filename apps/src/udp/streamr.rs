//! Streamr tunnels: one program's datagrams for all who listen, such as a radio.
//!
//! ```text
//! streamr-server  program -- UDP --> socket --> raw to each destination that has said 0 of late, and not 1 since
//! streamr-client  0, every ten seconds, signed --> the server; what it sends --> UDP --> program
//! ```
//! INTEROP: Java's streamr tunnels. Theirs never forget who listens; we do if nothing was heard for some time.

use super::{Datagrams, Form, Kind, LONGEST};
use crate::names::Names;
use crate::network::Target;
use crate::series::REFUSED;
use crate::services::Access;
use crate::tunnel::Remote;
use bytes::Bytes;
use ramson_protocol::data::mapping::MappingBuf;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::streaming::streams::Ports;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::time::sleep;

/// Who listens at a time; each costs a copy of all.
const LISTENERS: usize = 64;

/// A listener says that he still is one so often. INTEROP: as Java's: five times soon, since the first may be lost.
const SAY: Duration = Duration::from_secs(10);
const SAY_SOON: Duration = Duration::from_secs(2);
const SOON: u32 = 5;

/// Who has not said so for this time listens no more.
const SILENT: Duration = Duration::from_secs(60);

/// A socket that reports an error is asked again after this.
const PAUSE: Duration = Duration::from_millis(1);

const BEGIN: u8 = 0;
const END: u8 = 1;

fn signed() -> Form {
    Form::Named(Kind::One, MappingBuf::new())
}

/// Sends what a program sends to `socket` to all who listen, until the task is dropped.
pub async fn serve(socket: UdpSocket, datagrams: Datagrams, port: u16, access: Access) {
    let mut received = datagrams.take(port);
    let mut listeners: BTreeMap<DestinationHash, (Ports, Instant)> = BTreeMap::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        tokio::select! {
            got = socket.recv_from(&mut buffer) => match got {
                Ok((len, _)) => {
                    let payload = Bytes::copy_from_slice(&buffer[..len]);
                    listeners.retain(|_, (_, heard)| heard.elapsed() < SILENT);
                    for (who, (ports, _)) in &listeners {
                        datagrams.send(*who, *ports, &Form::Raw, payload.clone());
                    }
                }
                Err(_) => sleep(PAUSE).await,
            },
            datagram = received.recv() => {
                let Some(datagram) = datagram else { return };
                let (Some(who), Some(_), Some(word)) = (datagram.from, datagram.kind, datagram.payload.first()) else { continue };
                match *word {
                    BEGIN if access.allows(&who) && (listeners.len() < LISTENERS || listeners.contains_key(&who)) => {
                        let ports = datagram.ports.turned();
                        listeners.insert(who, (ports, Instant::now()));
                    }
                    END => drop(listeners.remove(&who)),
                    _ => REFUSED.add(["streamr-server", "listener"], 1),
                }
            }
        }
    }
}

/// Listens to a server, and sends what comes to a program, until the task is dropped.
pub async fn listen(program: SocketAddr, datagrams: Datagrams, names: Names, remote: Remote, port: u16) {
    let any = if program.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = match UdpSocket::bind(any).await {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "a streamr tunnel has no socket"),
    };
    // Until the system has said so, it would lose the first datagram.
    let _ = socket.writable().await;
    let mut received = datagrams.take(0);
    let mut said = 0;
    let mut listening = Listening { datagrams: datagrams.clone(), server: None, port };
    let mut say = Box::pin(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            () = &mut say => {
                match remote.find(&names) {
                    Ok(Target::Hash(hash)) => {
                        listening.server = Some(hash);
                        datagrams.send(hash, Ports { from: 0, to: port }, &signed(), Bytes::from_static(&[BEGIN]));
                    }
                    Ok(Target::Blinded(_)) => return tracing::warn!("datagrams do not read encrypted LeaseSets yet"),
                    Err(error) => tracing::warn!("whom a streamr tunnel listens to is not found: {error}"),
                }
                said += 1;
                say = Box::pin(sleep(if said < SOON { SAY_SOON } else { SAY }));
            }
            datagram = received.recv() => {
                let Some(datagram) = datagram else { return };
                // INTEROP: Java's raw datagrams may come by a session that does not say whose it is.
                let his = datagram.from.is_none() && datagram.kind.is_none() || datagram.from == listening.server;
                if his && !datagram.payload.is_empty() {
                    let _ = socket.try_send_to(&datagram.payload, program);
                }
            }
        }
    }
}

/// Says at its end that nobody listens any more.
struct Listening {
    datagrams: Datagrams,
    server: Option<DestinationHash>,
    port: u16,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(server) = self.server {
            self.datagrams.send(server, Ports { from: 0, to: self.port }, &signed(), Bytes::from_static(&[END]));
        }
    }
}
