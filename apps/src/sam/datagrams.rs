//! Datagrams of sessions: who has sent one, whom one goes to, and how they reach the program.
//!
//! ```text
//! program: DATAGRAM SEND on the socket of its session, or a line before it by UDP --> signed, as the style says --> Endpoint
//! program: RECEIVED on the socket, or by UDP to the port that it named           <-- verified                  <-- Endpoint
//! ```
//! What does not fit, is not signed by its sender or comes for nobody is lost, as datagrams may be.

use super::Server;
use super::endpoint::{Endpoint, Opener};
use super::lookup::{self, Named};
use super::session::{Home, Outlet, Session, Whereabouts};
use crate::datagrams::{self as sealed, Sender};
use bytes::Bytes;
use ramson_protocol::base64;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::sam::Params;
use ramson_protocol::sam::datagram::{Head, MAX_RAW, MAX_WITH_SENDER, Received};
use ramson_protocol::sam::session::{Style, is_raw};
use ramson_protocol::streaming::streams::Ports;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;

/// The longest datagram that UDP carries.
const LONGEST: usize = 65_535;

/// A socket that reports an error is asked again after this.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes the datagrams that programs send by UDP.
pub(super) async fn serve<O: Opener>(server: Arc<Server<O>>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let Ok((len, _)) = socket.recv_from(&mut buffer).await else {
            // What is reported is the fate of one that we sent; if it is the socket's own, nobody turns in a circle.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Some((Head { id, destination, params }, payload)) = Head::parse(&buffer[..len])
            && let Some(session) = server.sessions.get(&id)
        {
            send(&server, &session, &destination, &params, payload);
        }
        // Others have this thread, too, however many come.
        tokio::task::yield_now().await;
    }
}

/// Sends a datagram of a session. What cannot be sent is lost: nobody waits for an answer.
pub(super) fn send<O: Opener>(
    server: &Server<O>,
    session: &Arc<Session<O::Endpoint>>,
    destination: &str,
    params: &Params,
    payload: &[u8],
) -> bool {
    let Ok(named) = lookup::read(server, destination) else { return false };
    let (Ok(from_port), Ok(to_port)) = (params.port("FROM_PORT"), params.port("TO_PORT")) else { return false };
    let Ok(protocol) = params.byte("PROTOCOL") else { return false };
    let raw = protocol.unwrap_or(session.part.protocol);
    let (protocol, longest) = match session.part.style {
        Style::Datagram(protocol) => (protocol, MAX_WITH_SENDER),
        Style::Raw if is_raw(raw) => (raw, MAX_RAW),
        Style::Raw | Style::Stream | Style::Primary => return false,
    };
    if payload.is_empty() || payload.len() > longest {
        return false;
    }
    let (ports, payload) = (session.ports(from_port, to_port), Bytes::copy_from_slice(payload));
    match named {
        Named::Whole(destination) => post(&session.home, destination.hash(), ports, protocol, payload),
        Named::Hash(to) => post(&session.home, to, ports, protocol, payload),
        Named::Blinded(address) => match session.home.blinded(&address) {
            Whereabouts::Known(to) => post(&session.home, to, ports, protocol, payload),
            // The first one waits for the answer; those that come meanwhile are lost.
            Whereabouts::Unknown => {
                let home = Arc::clone(&session.home);
                tokio::spawn(async move {
                    let found = lookup::reachable(&home, Named::Blinded(address.clone())).await.ok();
                    home.found_blinded(&address, found);
                    found.is_some_and(|to| post(&home, to, ports, protocol, payload))
                });
                true
            }
            Whereabouts::Sought => false,
        },
    }
}

fn post<E: Endpoint>(home: &Home<E>, to: DestinationHash, ports: Ports, protocol: u8, payload: Bytes) -> bool {
    let content = sealed::seal(&home.keys, protocol, &to, payload);
    home.endpoint.send(Datagram { peer: Some(to), ports, protocol, content })
}

/// Hands the datagrams of a destination to its sessions.
pub(super) async fn hand_on<E: Endpoint>(home: Arc<Home<E>>, udp: Option<Arc<UdpSocket>>) {
    while let Some(datagram) = home.endpoint.receive().await {
        if let Some(session) = home.part(datagram.protocol, datagram.ports.to)
            && let Some((from, payload)) = open(&home, session.part.style, &datagram)
        {
            let ports = session.tells_ports.then_some(datagram.ports);
            let received = Received { from: from.as_deref(), ports, protocol: datagram.protocol, payload: &payload };
            deliver(&session, &received, udp.as_deref());
        }
    }
}

/// A full socket loses it.
fn deliver<E: Endpoint>(session: &Session<E>, received: &Received<'_>, udp: Option<&UdpSocket>) {
    match (&session.outlet, udp) {
        (Outlet::Socket(to), _) => drop(to.try_send(received.on_socket())),
        (Outlet::Udp(to), Some(udp)) => drop(udp.try_send_to(&received.by_udp(session.part.header), *to)),
        (Outlet::Udp(_), None) | (Outlet::None, _) => {}
    }
}

/// Who has sent a datagram, in base 64, and what. `None` if he is not who he says; nobody for a raw one.
fn open<E: Endpoint>(home: &Home<E>, style: Style, datagram: &Datagram) -> Option<(Option<String>, Bytes)> {
    // One that takes every protocol reads none.
    if style == Style::Raw {
        return Some((None, datagram.content.clone()));
    }
    let (from, payload) = sealed::open(&home.keys.destination.hash(), datagram)?;
    let from = from.map(|from| match from {
        Sender::Signed(destination) => base64::encode(destination.as_bytes()),
        Sender::Claimed(hash) => base64::encode(&hash.0),
    });
    Some((from, payload))
}
