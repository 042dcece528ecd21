//! Whether a router looks like one of many names of the same person, by what can be seen when its RouterInfo comes.
//!
//! Points as in Java's analysis, which an operator of one, two or three routers does not reach. Who has too many is kept
//! while there is room, but neither asked nor built through nor named to others, until it has proven itself in a session.
//!
//! spec: none; the attacks that it is against are those of "network-database §Threat Analysis".

use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;

/// From so many points on a router is suspect.
pub const SUSPECT: u32 = 45;

/// Bits that two neighbours in the key space may have in common beyond those that chance gives them.
const CLOSER_THAN_CHANCE: u32 = 5;

/// What there is to be seen of a router beside others that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Others that publish an address in the same /24 (IPv6: /48).
    pub same_near: usize,
    /// Others in the same /16 (IPv6: /32).
    pub same_wide: usize,
    /// Others of the same family, which have signed for it.
    pub same_family: usize,
    /// Neighbours in the key space that are closer than chance would have them.
    pub crowded: usize,
    /// One source has brought it, and no other.
    pub one_source: bool,
    /// It has been known for less than an hour.
    pub young: bool,
}

impl Evidence {
    /// What all of it comes to.
    pub fn points(&self) -> u32 {
        let some = |count: usize, each: u32, most: u32| {
            u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(each).min(most)
        };
        some(self.same_near, 8, 40)
            // In the /16 of a large hoster stand dozens of honest routers.
            + some(self.same_wide / 8, 4, 25)
            + some(self.same_family, 2, 20)
            + some(self.crowded, 15, 45)
            + if self.one_source { 4 } else { 0 }
            + if self.young { 4 } else { 0 }
    }
}

/// Whether two routers of `known` that are next to each other are closer than chance would have them.
pub fn is_crowding(a: &RouterHash, b: &RouterHash, known: usize) -> bool {
    let alike = shared_bits(a, b);
    alike > usize::BITS - known.leading_zeros() + CLOSER_THAN_CHANCE
}

fn shared_bits(a: &RouterHash, b: &RouterHash) -> u32 {
    let mut bits = 0;
    for (a, b) in a.0.iter().zip(&b.0) {
        let differing = (a ^ b).leading_zeros();
        bits += differing;
        if differing < 8 {
            break;
        }
    }
    bits
}

/// Whether others may be told of a router: it wants to be found, and can be.
pub fn is_presentable(info: &RouterInfo) -> bool {
    let caps = info.caps();
    !caps.hidden && !caps.unreachable && info.addresses().any(|address| address.socket().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_crypto::hash::sha256;

    #[test]
    fn a_few_routers_of_one_operator_are_no_suspects_and_a_crowd_is() {
        let new = Evidence { one_source: true, young: true, ..Evidence::default() };
        assert!(new.points() < SUSPECT);
        assert!(Evidence { same_near: 2, same_wide: 30, same_family: 3, ..new }.points() < SUSPECT);
        assert!(Evidence { same_near: 5, ..new }.points() >= SUSPECT);
        assert!(Evidence { crowded: 3, ..Evidence::default() }.points() >= SUSPECT);
        assert!(Evidence { same_wide: usize::MAX, same_family: usize::MAX, ..Evidence::default() }.points() >= SUSPECT);
    }

    #[test]
    fn chance_does_not_crowd_and_names_that_were_searched_for_do() {
        let known = 4000_usize;
        let mut all: Vec<RouterHash> = (0..known).map(|n| RouterHash(sha256(&[&(n as u32).to_be_bytes()]))).collect();
        all.sort_unstable();
        let crowding = all.windows(2).filter(|pair| is_crowding(&pair[0], &pair[1], known)).count();
        assert!(crowding < known / 16, "{crowding} of {known} by chance");
        // Names that agree with a place in 24 bits take sixteen million tries each.
        let near = |n: u8| {
            let mut hash = sha256(&[&[n]]);
            hash[..3].copy_from_slice(&[0xab, 0xcd, 0xef]);
            RouterHash(hash)
        };
        assert!(is_crowding(&near(1), &near(2), known));
        assert!(!is_crowding(&RouterHash([0; 32]), &RouterHash([255; 32]), 2));
    }
}
