//! How we stand towards peers, as it is published and put in force.

use super::evidence::Gateway;
use crate::data::router_address::Introducer;
use crate::dialing::Transport;
use crate::ssu2::peer_test::Status;
use std::net::{IpAddr, SocketAddr};

/// How we stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// IPv4, IPv6.
    pub families: [Family; 2],
    /// Nothing at all is to be said of where we are.
    pub hidden: bool,
}

/// How we stand in one address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Calls of this family can be made.
    pub usable: bool,
    /// From which address calls leave; the system's choice without one.
    pub call_from: Option<IpAddr>,
    /// What tests say of the candidate.
    pub status: Status,
    /// What is published or could be, and is tested.
    pub address: Option<Candidate>,
    /// Where peers see us.
    pub seen: Option<SocketAddr>,
    /// Routers that introduce others to us; published where SSU2 is not.
    pub introducers: Vec<Introducer>,
    /// The published addresses of NTCP2.
    pub ntcp2: Vec<SocketAddr>,
    /// The published addresses of SSU2.
    pub ssu2: Vec<SocketAddr>,
}

/// Where we might be reached in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who says so.
    pub source: Source,
    /// The address of NTCP2, if it may be published.
    pub ntcp2: Option<SocketAddr>,
    /// The address of SSU2: the one that peers test.
    pub ssu2: Option<SocketAddr>,
}

/// Who says that we are at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator.
    Configured,
    /// An interface of this machine has it.
    Interface,
    /// A gateway maps it to us.
    Gateway(Gateway),
    /// Peers in several networks see us there, as behind a NAT that maps one to one, or forwards a port.
    Peers,
}

impl Source {
    /// A name for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Interface => "interface",
            Self::Gateway(gateway) => gateway.label(),
            Self::Peers => "peers",
        }
    }
}

impl Candidate {
    pub(super) fn of(&self, transport: Transport) -> Option<SocketAddr> {
        match transport {
            Transport::Ntcp2 => self.ntcp2,
            Transport::Ssu2 => self.ssu2,
        }
    }
}

impl Family {
    /// The published addresses of a transport.
    pub fn published(&self, transport: Transport) -> &[SocketAddr] {
        match transport {
            Transport::Ntcp2 => &self.ntcp2,
            Transport::Ssu2 => &self.ssu2,
        }
    }
}

impl View {
    /// Of a router whose transports are all published at one address.
    pub fn published_at(at: SocketAddr) -> Self {
        let family = Family { usable: true, ntcp2: vec![at], ssu2: vec![at], ..Family::default() };
        let mut view = Self::default();
        view.families[usize::from(at.is_ipv6())] = family;
        view
    }

    /// One family: IPv4, or IPv6.
    pub fn family(&self, v4: bool) -> &Family {
        &self.families[usize::from(!v4)]
    }

    /// True if anybody can call us.
    pub fn is_reachable(&self) -> bool {
        self.families.iter().any(|family| !family.ntcp2.is_empty() || !family.ssu2.is_empty())
    }

    /// All addresses at which peers can call us.
    pub fn published(&self) -> impl Iterator<Item = SocketAddr> {
        self.families.iter().flat_map(|family| family.ntcp2.iter().chain(&family.ssu2).copied())
    }

    /// From where calls leave, over IPv4 and IPv6.
    pub fn call_from(&self) -> [Option<IpAddr>; 2] {
        [self.families[0].call_from, self.families[1].call_from]
    }
}
