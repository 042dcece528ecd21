//! What peers see of us, by majority: one word per network, the latest few networks, and a quorum of them.

use crate::peers::facts::Subnet;
use crate::time::Mono;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Networks of which the last word is kept.
const KEPT: usize = 12;

/// A majority is looked for among the latest so many, so that a new address is not outvoted by those who saw the old one.
const LATEST: usize = 5;

/// Networks that must agree; and in a private network, where peers may be few.
const QUORUM: usize = 3;
const PRIVATE_QUORUM: usize = 2;

/// What was seen longer ago says nothing.
const FRESH: Duration = Duration::from_secs(30 * 60);

/// One peer's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    by: Subnet,
    at: SocketAddr,
    when: Mono,
}

/// The samples of one address family, oldest first.
#[derive(Debug)]
pub(super) struct Consensus {
    private: bool,
    samples: VecDeque<Sample>,
}

impl Consensus {
    pub(super) fn new(private: bool) -> Self {
        Self { private, samples: VecDeque::new() }
    }

    /// A peer sees us at this address.
    pub(super) fn hear(&mut self, now: Mono, by: IpAddr, at: SocketAddr) {
        let by = Subnet::of_peer(by, self.private);
        self.samples.retain(|sample| sample.by != by);
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { by, at, when: now });
    }

    /// All words that count, each with when it was said.
    pub(super) fn samples(&self) -> impl Iterator<Item = (SocketAddr, Mono)> {
        self.samples.iter().map(|sample| (sample.at, sample.when))
    }

    fn latest_samples(&self, now: Mono) -> impl Iterator<Item = &Sample> {
        self.samples.iter().rev().filter(move |sample| now.saturating_sub(sample.when) < FRESH).take(LATEST)
    }

    /// The IP address that a quorum of the latest networks agrees on, and more than half of them.
    pub(super) fn address(&self, now: Mono) -> Option<IpAddr> {
        let quorum = if self.private { PRIVATE_QUORUM } else { QUORUM };
        let votes = |ip| self.latest_samples(now).filter(|sample| sample.at.ip() == ip).count();
        let all = self.latest_samples(now).count();
        self.latest_samples(now).map(|sample| sample.at.ip()).find(|ip| votes(*ip) >= quorum && 2 * votes(*ip) > all)
    }

    /// The port that all who agree on the address see; none behind a NAT that draws one for each peer.
    pub(super) fn port(&self, now: Mono) -> Option<u16> {
        let ip = self.address(now)?;
        let mut ports = self.latest_samples(now).filter(|sample| sample.at.ip() == ip).map(|sample| sample.at.port());
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }

    /// Where we were seen last, by one who agrees on the address.
    pub(super) fn latest(&self, now: Mono) -> Option<SocketAddr> {
        let ip = self.address(now)?;
        self.latest_samples(now).find(|sample| sample.at.ip() == ip).map(|sample| sample.at)
    }
}
