//! The gateway that the way to the world leads through, by the kernel's table of routes.

use super::local_towards;
use crab_nat::{GATEWAY_PORT, GatewayAddress};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Lines of a table that are read, at most: a router of the backbone has a million of them, and no gateway.
const LINES: usize = 4096;

/// The gateway of a family, and our address towards it. None on systems without these tables.
pub(super) fn default_gateway(v4: bool) -> Option<(GatewayAddress, IpAddr)> {
    if v4 {
        let gateway = parse_v4(&std::fs::read_to_string("/proc/net/route").ok()?)?;
        let local = local_towards(SocketAddr::new(gateway.into(), GATEWAY_PORT))?;
        return Some((GatewayAddress::IpV4(gateway), local));
    }
    let table = std::fs::read_to_string("/proc/net/ipv6_route").ok()?;
    let (gateway, interface) = parse_v6(&table)?;
    let index = if_addrs::get_if_addrs().ok()?.into_iter().find(|i| i.name == interface)?.index?;
    // PCP wants the address that the hole is for, which is the one that we call the world from.
    let local = super::super::interfaces().source[1]?;
    let to = SocketAddrV6::new(gateway, GATEWAY_PORT, 0, index);
    local_towards(SocketAddr::V6(to))?;
    Some((GatewayAddress::IpV6(gateway, Some(index)), local))
}

/// The gateway of the first default route: `interface destination gateway flags ...`, numbers in the machine's order of
/// bytes, in hexadecimal digits.
fn parse_v4(table: &str) -> Option<Ipv4Addr> {
    table.lines().take(LINES).skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let mut number = || u32::from_str_radix(fields.next()?, 16).ok();
        let (destination, gateway) = (number()?, number()?);
        (destination == 0 && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

/// The gateway of the first default route and its interface: `destination length source length gateway metric references
/// uses flags interface`.
fn parse_v6(table: &str) -> Option<(Ipv6Addr, &str)> {
    table.lines().take(LINES).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, "00", _, _, gateway, _, _, _, _, interface] = fields[..] else { return None };
        let gateway = u128::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        let everything = u128::from_str_radix(destination, 16).ok()? == 0;
        everything.then(|| (Ipv6Addr::from(gateway), interface))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_gateway_of_the_default_route_is_found() {
        let table = "Iface\tDestination\tGateway\tFlags\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n";
        if cfg!(target_endian = "little") {
            assert_eq!(parse_v4(table), Some(Ipv4Addr::new(192, 168, 1, 1)));
        }
        assert_eq!(parse_v4(""), None);
        let zero = "0".repeat(32);
        let gateway = "fe800000000000000000000000000001";
        let via = format!("{zero} 00 {zero} 00 {gateway} 00000400 00000001 00000000 00000003     eth0\n");
        assert_eq!(parse_v6(&via), Some(("fe80::1".parse().unwrap(), "eth0")));
        let direct = format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n");
        assert_eq!(parse_v6(&direct), None);
    }

    proptest! {
        #[test]
        fn no_table_does_harm(table in "[0-9a-fg \\t\\n]{0,300}") {
            let _ = (parse_v4(&table), parse_v6(&table));
        }
    }
}
