//! An address on this machine for each caller, so that a local program can tell them apart, and limit or ban one.
//!
//! INTEROP: the same addresses as in i2pd and Java I2P: 127 and the first three bytes of the caller's hash.

use ramson_protocol::id::DestinationHash;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// The address that a caller has towards a target. `None` if that is not reached by loopback of IPv4.
pub(crate) fn from_caller(target: SocketAddr, who: &DestinationHash) -> Option<IpAddr> {
    let [a, b, c, ..] = who.0;
    matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback()).then(|| Ipv4Addr::new(127, a, b, c).into())
}

/// A connection to a local program from this address, if there is one.
pub(crate) async fn connect(target: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect(target).await };
    let socket = TcpSocket::new_v4()?;
    // A system that has only 127.0.0.1 refuses; the caller is then as all others.
    if socket.bind((from, 0).into()).is_err() {
        return TcpStream::connect(target).await;
    }
    socket.connect(target).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_program_of_this_machine_sees_another_address_for_each_caller() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        for byte in [1, 200] {
            let from = from_caller(target, &DestinationHash([byte; 32]));
            let (connected, accepted) = tokio::join!(connect(target, from), listener.accept());
            let seen = accepted.unwrap().1.ip();
            // Some systems have the one address alone.
            assert!(seen == IpAddr::from([127, byte, byte, byte]) || seen == IpAddr::from([127, 0, 0, 1]));
            drop(connected);
        }
        assert_eq!(from_caller("192.0.2.1:80".parse().unwrap(), &DestinationHash([1; 32])), None);
    }
}
