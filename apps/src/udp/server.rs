//! A UDP server tunnel: datagrams of anybody go to a local program, from a socket for each who sends, and its answers go back.
//!
//! ```text
//! destination, its port, ours --> a socket of its own --> program
//!                             <--                     <--
//! ```

use super::flow::{Flow, IDLE};
use super::{Datagrams, Kind, LONGEST, Received};
use crate::series::REFUSED;
use crate::services::Access;
use crate::unique_local::from_caller;
use bytes::Bytes;
use parking_lot::Mutex;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::streaming::streams::Ports;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Sockets of a tunnel, and those that one destination can have: programs that ask once, as those for DNS do, use a port each time. With
/// one more the one that was used longest ago gives way.
const SESSIONS: usize = 2048;
const OF_ONE: usize = 512;

/// A socket that reports an error is asked again after this.
const PAUSE: Duration = Duration::from_millis(10);

/// What stands behind a tunnel.
pub struct Config {
    /// Where the program listens.
    pub target: SocketAddr,
    /// Our port.
    pub port: u16,
    /// Who may send.
    pub access: Access,
    /// Whether each caller has an address of his own on this machine.
    pub unique_local: bool,
}

/// Who sends: his destination, his port and ours.
type Key = (DestinationHash, u16, u16);

struct Session {
    socket: UdpSocket,
    flow: Mutex<Flow>,
}

/// Sessions, and the tasks that wait for their programs' answers.
type Sessions = BTreeMap<Key, (Arc<Session>, AbortHandle)>;

/// Carries datagrams until the task is dropped.
pub async fn run(datagrams: Datagrams, config: Config) {
    let mut received = datagrams.take(config.port);
    let mut sessions = Sessions::new();
    // What is in it ends with it.
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            datagram = received.recv() => {
                let Some(datagram) = datagram else { return };
                let Some(key) = key_of(&datagram, &sessions) else {
                    REFUSED.add(["udp-server", "nobody"], 1);
                    continue;
                };
                if !config.access.allows(&key.0) {
                    REFUSED.add(["udp-server", "access_list"], 1);
                    continue;
                }
                if !sessions.contains_key(&key) {
                    // Of one that is raw the session has said who sent it. INTEROP: i2pd sends such from a new port, too, if another one of its
                    // programs has just sent.
                    let kind = datagram.kind.unwrap_or_default();
                    make_room(&mut sessions, key.0);
                    match begin(&config, key.0, kind).await {
                        Ok(session) => {
                            let session = Arc::new(session);
                            let task = tasks.spawn(answers(Arc::clone(&session), datagrams.clone(), key));
                            sessions.insert(key, (session, task));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "a UDP server tunnel cannot open a socket to its target");
                            continue;
                        }
                    }
                }
                if let Some((session, _)) = sessions.get(&key) {
                    deliver(session, &datagrams, key, &datagram);
                }
            }
            Some(ended) = tasks.join_next() => {
                if let Ok(key) = ended {
                    sessions.remove(&key);
                }
            }
        }
    }
}

/// Ends the session that was used longest ago, of this one if he has as many as he may, if there is no room for another.
fn make_room(sessions: &mut Sessions, who: DestinationHash) {
    let his = || sessions.range((who, 0, 0)..=(who, u16::MAX, u16::MAX));
    let used = |(key, (session, _)): (&Key, &(Arc<Session>, AbortHandle))| (session.flow.lock().used(), *key);
    let longest = if his().count() >= OF_ONE {
        his().map(used).min()
    } else if sessions.len() >= SESSIONS {
        sessions.iter().map(used).min()
    } else {
        None
    };
    if let Some((_, task)) = longest.and_then(|(_, key)| sessions.remove(&key)) {
        REFUSED.add(["udp-server", "gave_way"], 1);
        task.abort();
    }
}

/// Whose session a datagram is of. One that does not say who sent it is of the only session with its ports.
fn key_of(datagram: &Received, sessions: &Sessions) -> Option<Key> {
    let Ports { from, to } = datagram.ports;
    if let Some(who) = datagram.from {
        return Some((who, from, to));
    }
    let mut those = sessions.keys().filter(|key| (key.1, key.2) == (from, to));
    those.next().copied().filter(|_| those.next().is_none())
}

async fn begin(config: &Config, who: DestinationHash, kind: Kind) -> io::Result<Session> {
    let from = if config.unique_local { from_caller(config.target, &who) } else { None };
    let any: SocketAddr = match config.target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from.map_or(any, |ip| (ip, 0).into())).await?;
    socket.connect(config.target).await?;
    // Until the system has said so, it would lose the first datagram.
    socket.writable().await?;
    Ok(Session { socket, flow: Mutex::new(Flow::new(kind, Instant::now())) })
}

fn deliver(session: &Session, datagrams: &Datagrams, (who, from, to): Key, datagram: &Received) {
    let answer = {
        let mut flow = session.flow.lock();
        // He is answered as he speaks.
        flow.kind = datagram.kind.unwrap_or(flow.kind);
        flow.heard(&datagram.options, Instant::now())
    };
    if let Some(answer) = answer {
        datagrams.send(who, Ports { from: to, to: from }, &answer, Bytes::new());
    }
    if !datagram.payload.is_empty() {
        // A program that does not keep up, or is not there, loses it.
        let _ = session.socket.try_send(&datagram.payload);
    }
}

/// Sends what the program answers, until nothing has passed for a time. A session that waits holds no buffer.
async fn answers(session: Arc<Session>, datagrams: Datagrams, key: Key) -> Key {
    let (who, from, to) = key;
    let ports = Ports { from: to, to: from };
    loop {
        match timeout(IDLE, session.socket.readable()).await {
            Ok(_) => match BUFFER.with_borrow_mut(|buffer| receive(&session.socket, buffer)) {
                Ok(payload) => {
                    let form = session.flow.lock().next(Instant::now());
                    datagrams.send(who, ports, &form, payload);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // What is reported is the fate of one that we sent.
                Err(_) => sleep(PAUSE).await,
            },
            Err(_) if session.flow.lock().is_idle(Instant::now()) => return key,
            Err(_) => {}
        }
    }
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; LONGEST]);
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Bytes> {
    let len = socket.try_recv(buffer)?;
    Ok(Bytes::copy_from_slice(&buffer[..len]))
}
