//! The addresses of this machine.

use ramson_protocol::reach::Interfaces;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Somewhere in the world over IPv4 and IPv6: asking the system for the way there sends nothing.
const AFAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(11, 0, 0, 1)), IpAddr::V6(Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, 1))];

/// What the system says now. Without an answer the machine counts as having no address.
pub(crate) fn interfaces() -> Interfaces {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = all.iter().filter(|i| !i.is_link_local()).map(if_addrs::Interface::ip).collect();
    addresses.dedup();
    Interfaces { addresses, source: calls_from() }
}

/// From which addresses this machine calls others, over IPv4 and IPv6; none where no way leads out. Nothing is sent for it.
pub fn calls_from() -> [Option<IpAddr>; 2] {
    AFAR.map(|to| source(SocketAddr::new(to, 9)))
}

/// The address that the system would call from; none if no way leads there.
pub(super) fn source(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|at| at.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_address_and_calls_itself_from_there() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert!(interfaces().addresses.contains(&loopback));
        assert_eq!(source(SocketAddr::new(loopback, 9)), Some(loopback));
    }
}
