//! Why we stand as we do: for the operator.

use super::Interfaces;
use crate::ssu2::peer_test::Status;
use crate::time::Mono;
use std::net::SocketAddr;

/// What speaks for and against our addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The addresses of the machine.
    pub interfaces: Interfaces,
    /// IPv4, IPv6.
    pub families: [FamilyEvidence; 2],
}

/// What speaks for and against the addresses of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyEvidence {
    /// Where peers saw us and when, one word per network, the oldest first.
    pub seen: Vec<(SocketAddr, Mono)>,
    /// What a gateway maps to NTCP2 and to SSU2.
    pub mappings: [Option<Mapping>; 2],
    /// The last verdicts of tests, one per address.
    pub tests: Vec<Tested>,
    /// When peers last called us by NTCP2 and by SSU2.
    pub called: [Option<Mono>; 2],
}

/// A port of a gateway that leads to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The address outside.
    pub external: SocketAddr,
    /// By which protocol it was asked for.
    pub by: Gateway,
}

/// How gateways are asked for mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gateway {
    /// UPnP's Internet Gateway Device.
    Upnp,
    /// NAT-PMP.
    NatPmp,
    /// PCP.
    Pcp,
}

impl Gateway {
    /// A name for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Upnp => "upnp",
            Self::NatPmp => "nat_pmp",
            Self::Pcp => "pcp",
        }
    }
}

/// What the tests of an address said together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The address.
    pub address: SocketAddr,
    /// The verdict.
    pub status: Status,
    /// When it was last confirmed or changed.
    pub at: Mono,
}
