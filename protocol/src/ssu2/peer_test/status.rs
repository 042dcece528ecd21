//! What tests say together.

use super::Status;
use crate::id::RouterHash;
use crate::ssu2::directory::wide_network;
use crate::time::Wall;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Tests that are remembered.
const KEPT: usize = 8;

/// What one test showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The router that relayed it.
    pub bob: RouterHash,
    /// Where that router is.
    pub bob_ip: IpAddr,
    /// The router that called us, if Bob named one.
    pub charlie: Option<RouterHash>,
    /// What it showed; [`Status::Unknown`] if nothing.
    pub result: Status,
    /// Our address as Charlie saw it.
    pub seen: Option<SocketAddr>,
    /// When it ended.
    pub at: Wall,
}

/// The status of one address family, from the tests of late.
///
/// It changes when two conclusive tests in a row agree that were relayed from different networks, or three whoever
/// relayed them: one liar alone turns nothing for long.
#[derive(Debug, Default)]
pub struct Judge {
    status: Status,
    kept: VecDeque<Evidence>,
}

impl Judge {
    /// The verdict.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The tests of late, oldest first.
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.kept.iter()
    }

    /// True if the last conclusive test does not contradict the verdict.
    pub fn is_settled(&self) -> bool {
        self.status != Status::Unknown && self.conclusive().next().is_some_and(|e| e.result == self.status)
    }

    /// Forgets everything: our address has changed.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes a test in. True if the verdict has changed.
    pub fn hear(&mut self, evidence: Evidence) -> bool {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(evidence);
        let agreed = self.agreed().filter(|status| *status != self.status);
        if let Some(status) = agreed {
            self.status = status;
        }
        agreed.is_some()
    }

    /// Conclusive tests, latest first.
    fn conclusive(&self) -> impl Iterator<Item = &Evidence> {
        self.kept.iter().rev().filter(|e| e.result != Status::Unknown)
    }

    fn agreed(&self) -> Option<Status> {
        let mut latest = self.conclusive();
        let (a, b) = (latest.next()?, latest.next()?);
        let two = a.result == b.result && wide_network(a.bob_ip) != wide_network(b.bob_ip);
        let third = latest.next();
        let three = a.result == b.result && third.is_some_and(|c| c.result == a.result);
        (two || three).then_some(a.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(network: u8, result: Status) -> Evidence {
        let bob_ip = IpAddr::from([10, network, 0, 1]);
        Evidence { bob: RouterHash([network; 32]), bob_ip, charlie: None, result, seen: None, at: Wall(0) }
    }

    #[test]
    fn two_networks_decide_and_one_needs_three_tests() {
        let mut judge = Judge::default();
        assert!(!judge.hear(test(1, Status::Ok)));
        assert!(!judge.hear(test(1, Status::Ok)));
        assert!(judge.hear(test(1, Status::Ok)));
        assert!(judge.is_settled());
        assert!(!judge.hear(test(2, Status::Firewalled)));
        assert!(!judge.is_settled());
        assert!(!judge.hear(test(3, Status::Unknown)), "says nothing");
        assert!(judge.hear(test(4, Status::Firewalled)));
        assert_eq!(judge.status(), Status::Firewalled);
        assert!(!judge.hear(test(5, Status::Ok)));
        assert!(!judge.hear(test(6, Status::Firewalled)));
        assert_eq!(judge.status(), Status::Firewalled);
        for n in 0..50 {
            judge.hear(test(n, Status::Unknown));
        }
        assert_eq!(judge.evidence().count(), KEPT);
    }
}
