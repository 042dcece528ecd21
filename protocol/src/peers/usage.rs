//! Which routers our own tunnels pass through: nobody is to see more than a third of them.
//!
//! INTEROP: a third, as at Java.

use crate::id::RouterHash;
use std::collections::BTreeMap;

/// The part of our tunnels that one router may be in.
const PARTS: usize = 3;

/// So many it may be in always: of three or four tunnels one is more than a third, and the few who do well are in one.
const ALWAYS: usize = 2;

/// The hops of all tunnels that stand or are being built. Whoever holds them gives them back.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    hops: BTreeMap<RouterHash, usize>,
    tunnels: usize,
}

impl Usage {
    /// A tunnel with these hops begins.
    pub fn hold(&mut self, hops: &[RouterHash]) {
        self.tunnels += 1;
        for hop in hops {
            *self.hops.entry(*hop).or_default() += 1;
        }
    }

    /// It is over.
    pub fn release(&mut self, hops: &[RouterHash]) {
        self.tunnels = self.tunnels.saturating_sub(1);
        for hop in hops {
            if let Some(count) = self.hops.get_mut(hop) {
                *count -= 1;
                if *count == 0 {
                    self.hops.remove(hop);
                }
            }
        }
    }

    /// Tunnels that a router is in.
    pub fn count(&self, router: &RouterHash) -> usize {
        self.hops.get(router).copied().unwrap_or(0)
    }

    /// Whether one more tunnel with this router in it would be more than its part, and more than two.
    pub fn is_overused(&self, router: &RouterHash) -> bool {
        self.count(router) >= ((self.tunnels + 1) / PARTS).max(ALWAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_in_more_than_a_third_of_our_tunnels() {
        let (mut usage, hash) = (Usage::default(), |n| RouterHash([n; 32]));
        assert!(!usage.is_overused(&hash(1)));
        usage.hold(&[hash(1), hash(2)]);
        assert!(!usage.is_overused(&hash(1)), "the second of two");
        usage.hold(&[hash(1)]);
        assert!(usage.is_overused(&hash(1)), "the third of three");
        for n in 3..9 {
            usage.hold(&[hash(n), hash(n + 10)]);
        }
        assert!(!usage.is_overused(&hash(1)), "the third of nine");
        usage.hold(&[hash(1)]);
        assert!(usage.is_overused(&hash(1)));
        usage.release(&[hash(1)]);
        usage.release(&[hash(1)]);
        usage.release(&[hash(1), hash(2)]);
        assert_eq!((usage.count(&hash(1)), usage.hops.len(), usage.tunnels), (0, 12, 6));
    }
}
