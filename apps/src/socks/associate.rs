//! UDP associate: a program's datagrams to destinations by name, for as long as its connection stands.
//!
//! ```text
//! program -- header with a name --> socket --> signed, from a port of ours --> destination, port
//!         <-- header with the sender's address --<-- what comes for that port
//! ```
//! INTEROP: as Java's, signed datagrams of the first kind go out, and those of all kinds with a sender come in.

use crate::names::Names;
use crate::series::REFUSED;
use crate::udp::{Datagrams, Form, Kind, LONGEST};
use bytes::Bytes;
use ramson_protocol::b32::B32;
use ramson_protocol::data::mapping::MappingBuf;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::socks::{Refusal, datagram};
use ramson_protocol::streaming::streams::Ports;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Datagrams that wait for the program.
const WAITING: usize = 64;

/// Destinations whose names are remembered, so that answers come from the name that the program wrote.
const NAMES: usize = 256;

/// A socket that reports an error is asked again after this.
const PAUSE: Duration = Duration::from_millis(1);

/// Carries datagrams until the program closes its connection.
pub(super) async fn run(
    mut program: TcpStream,
    socket: UdpSocket,
    datagrams: Datagrams,
    names: &Names,
) -> io::Result<()> {
    let host = program.peer_addr()?.ip();
    let (to, mut received) = mpsc::channel(WAITING);
    let Some(port) = datagrams.claim(rand::random_range(1024..=u16::MAX), &to) else { return Ok(()) };
    let mut written: BTreeMap<DestinationHash, String> = BTreeMap::new();
    let mut sends_from: Option<SocketAddr> = None;
    let (mut buffer, mut word) = (vec![0; LONGEST], [0; 64]);
    loop {
        tokio::select! {
            got = socket.recv_from(&mut buffer) => {
                let Ok((len, from)) = got else {
                    // What is reported is the fate of one that we sent.
                    sleep(PAUSE).await;
                    continue;
                };
                // Nobody but the program whose connection this is.
                if from.ip() != host {
                    continue;
                }
                sends_from = Some(from);
                let (to, payload) = match datagram::parse(&buffer[..len]) {
                    Ok(read) => read,
                    Err(refusal) => {
                        REFUSED.add(["socks", refusal.label()], 1);
                        continue;
                    }
                };
                let Ok(B32::Hash(hash)) = names.resolve(&to.host) else {
                    REFUSED.add(["socks", Refusal::Unknown.label()], 1);
                    continue;
                };
                if written.len() < NAMES || written.contains_key(&hash) {
                    written.insert(hash, to.host);
                }
                let form = Form::Named(Kind::One, MappingBuf::new());
                datagrams.send(hash, Ports { from: port, to: to.port }, &form, Bytes::copy_from_slice(payload));
            }
            Some(datagram) = received.recv() => {
                let (Some(from), Some(program)) = (datagram.from, sends_from) else { continue };
                let name = written.get(&from).cloned().unwrap_or_else(|| from.to_b32());
                // A program that does not keep up loses it.
                let _ = socket.try_send_to(&datagram::write(&name, datagram.ports.from, &datagram.payload), program);
            }
            // It says nothing more, or what it says means nothing.
            read = program.read(&mut word) => if !matches!(read, Ok(len) if len > 0) {
                datagrams.release(port);
                return Ok(());
            },
        }
    }
}
