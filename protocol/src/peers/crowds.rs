//! How many routers stand in one network or family, so that a crowd counts as few.
//!
//! Whoever owns a /16 can have a thousand routers in it that behave well until they are needed. Two of them are never in one
//! tunnel, but chosen one by one they would be in every tunnel. So a network or family has a share of the choice that does not grow
//! any more from a few routers on.
//!
//! spec: none; Tor bounds what it trusts an operator with in the same way, by families and /16

use super::facts::{Facts, Subnet};
use std::collections::BTreeMap;

/// So many routers of one network or family count whole: large hosters have dozens of honest ones.
const WHOLE: u32 = 8;

/// Fewer where there are few networks: one for so many.
const NETWORKS: u32 = 32;

/// Invariant: the counts are those of the facts that were added and not taken away.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    subnets: BTreeMap<Subnet, u32>,
    families: BTreeMap<u64, u32>,
}

impl Crowds {
    pub(super) fn add(&mut self, facts: &Facts) {
        facts.subnets.iter().for_each(|subnet| *self.subnets.entry(*subnet).or_default() += 1);
        facts.family.iter().for_each(|family| *self.families.entry(*family).or_default() += 1);
    }

    pub(super) fn take_away(&mut self, facts: &Facts) {
        facts.subnets.iter().for_each(|subnet| less(&mut self.subnets, subnet));
        facts.family.iter().for_each(|family| less(&mut self.families, family));
    }

    /// What such a router counts: 1 where few stand, and the less the more stand where it does.
    pub(super) fn share(&self, facts: &Facts) -> f32 {
        let near = facts.subnets.iter().filter_map(|subnet| self.subnets.get(subnet));
        let kin = facts.family.iter().filter_map(|family| self.families.get(family));
        let most = near.chain(kin).copied().max().unwrap_or(1);
        let networks = u32::try_from(self.subnets.len()).unwrap_or(u32::MAX);
        let whole = (networks / NETWORKS).clamp(1, WHOLE);
        whole as f32 / most.max(whole) as f32
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
