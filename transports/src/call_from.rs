//! From which of this machine's addresses we call: the control plane says it, since it knows where we listen and what we
//! publish. Peers take a router that calls from another address than it publishes for an impostor, and ban it.

use parking_lot::RwLock;
use std::net::IpAddr;

/// The addresses, IPv4 and IPv6. Without one the system chooses.
#[derive(Debug, Default)]
pub struct CallFrom(RwLock<[Option<IpAddr>; 2]>);

impl CallFrom {
    /// The address that calls to `to` leave from.
    pub fn to(&self, to: IpAddr) -> Option<IpAddr> {
        self.0.read()[usize::from(to.is_ipv6())]
    }

    /// Calls leave from these addresses from now on, which must be on an interface of this machine.
    pub fn set(&self, v4_and_v6: [Option<IpAddr>; 2]) {
        *self.0.write() = v4_and_v6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_an_address_of_its_own() {
        let from = CallFrom::default();
        assert_eq!(from.to(IpAddr::from([127, 0, 0, 1])), None);
        let v6: IpAddr = "2a01::1".parse().unwrap();
        from.set([None, Some(v6)]);
        assert_eq!(from.to("2a01::2".parse().unwrap()), Some(v6));
        assert_eq!(from.to(IpAddr::from([127, 0, 0, 1])), None);
    }
}
