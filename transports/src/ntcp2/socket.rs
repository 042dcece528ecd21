//! Making sockets.

use super::HandshakeConfig;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Connections that the kernel holds for us before we accept them.
const BACKLOG: i32 = 1024;

/// A listener. An IPv6 one takes no IPv4 connections: those have a listener of their own.
pub(super) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Begins to connect, from the address that calls are to leave from. If the machine has it no more, the system chooses.
pub(super) fn connect(addr: SocketAddr, config: &HandshakeConfig) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(ip) = config.call_from.to(addr.ip()) {
        match socket.bind(&SocketAddr::new(ip, 0).into()) {
            Err(e) if e.kind() != io::ErrorKind::AddrNotAvailable => return Err(e),
            _ => {}
        }
    }
    match socket.connect(&addr.into()) {
        Err(e) if e.kind() != io::ErrorKind::WouldBlock && e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Makes closing the socket a reset, whatever was or was not read: closings must not tell failures apart.
///
/// spec: ntcp2 §AEAD Error Handling — "This should be an abnormal close (TCP RST)."
pub(super) fn reset_on_close(stream: &TcpStream) {
    // A socket that refuses is closed in the ordinary way.
    let _: io::Result<()> = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
