//! Corrects our clock by what peers say of theirs.
//!
//! One peer can lie and one clock can be wrong, so it takes several peers in different /16 that agree.
//! INTEROP: i2pd corrects itself at more than 15 s; all routers refuse sessions above 60 s.

use std::collections::VecDeque;
use std::net::IpAddr;

/// A correction below this is not worth a jump.
const TOLERATED_MS: i64 = 10_000;

/// Peers that must have spoken before anything is corrected.
const QUORUM: usize = 5;

/// What the last peers said, at most this many.
const SAMPLES: usize = 15;

/// What we know of other clocks.
#[derive(Debug, Default)]
pub(crate) struct ClockKeeper {
    samples: VecDeque<(Subnet, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subnet([u8; 4]);

impl Subnet {
    fn of(ip: IpAddr, private: bool) -> Self {
        match ip {
            // In a private network all peers may share a /16.
            IpAddr::V4(ip) if private => Self(ip.octets()),
            IpAddr::V4(ip) => Self([ip.octets()[0], ip.octets()[1], 0, 0]),
            IpAddr::V6(ip) => {
                let o = ip.octets();
                Self([o[0], o[1], o[2], o[3]])
            }
        }
    }
}

impl ClockKeeper {
    /// Takes one peer's word: it is `skew_ms` ahead of us. Returns by how much to correct our clock, if it is time to.
    pub(crate) fn sample(&mut self, from: IpAddr, private: bool, skew_ms: i64) -> Option<i64> {
        let subnet = Subnet::of(from, private);
        self.samples.retain(|(s, _)| *s != subnet);
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((subnet, skew_ms));
        if self.samples.len() < QUORUM {
            return None;
        }
        let mut all: Vec<i64> = self.samples.iter().map(|(_, ms)| *ms).collect();
        all.sort_unstable();
        let median = all[all.len() / 2];
        // A majority must stand close to the median, or somebody plays with us.
        let close = all.iter().filter(|ms| (**ms - median).abs() < TOLERATED_MS).count();
        if median.abs() <= TOLERATED_MS || close * 3 < all.len() * 2 {
            return None;
        }
        self.samples.clear();
        Some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u8) -> IpAddr {
        IpAddr::from([a, 1, 2, 3])
    }

    #[test]
    fn five_subnets_that_agree_correct_the_clock_and_one_liar_does_not() {
        let mut keeper = ClockKeeper::default();
        for _ in 0..50 {
            assert_eq!(keeper.sample(ip(9), false, 3_600_000), None, "one subnet has one voice");
        }
        for a in 1..4 {
            assert_eq!(keeper.sample(ip(a), false, 30_000 + i64::from(a)), None);
        }
        assert_eq!(keeper.sample(ip(4), false, 30_004), Some(30_003), "the median, the liar's voice among them");
    }

    #[test]
    fn small_differences_and_disagreement_change_nothing() {
        let mut keeper = ClockKeeper::default();
        for a in 1..15 {
            assert_eq!(keeper.sample(ip(a), false, 3000), None);
        }
        let mut keeper = ClockKeeper::default();
        for a in 1..15 {
            assert_eq!(keeper.sample(ip(a), false, i64::from(a) * 20_000), None);
        }
    }
}
