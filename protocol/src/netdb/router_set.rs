//! A snapshot of router hashes, sorted, from which the closest to any place can be drawn one by one.
//!
//! In a sorted list all hashes with a common prefix stand together, so walking it from the closest on is a walk down
//! a binary trie that needs no trie: at each bit, first the half that agrees with the place, then the other.

use crate::id::{RouterHash, RoutingKey};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// An immutable set of routers; clones share it.
#[derive(Clone, Default)]
pub struct RouterSet(Arc<[RouterHash]>);

impl RouterSet {
    /// The routers, closest first. The first costs a few hundred nanoseconds, each further one less.
    pub fn closest<'a>(&'a self, place: &'a RoutingKey) -> Closest<'a> {
        Closest { place, stack: smallvec![(&self.0[..], 0)] }
    }

    /// The `n` closest of those that `wanted` takes.
    pub fn closest_n<const N: usize>(
        &self,
        place: &RoutingKey,
        n: usize,
        wanted: impl Fn(&RouterHash) -> bool,
    ) -> SmallVec<[RouterHash; N]> {
        self.closest(place).filter(wanted).take(n).collect()
    }

    /// True if `router` is in the set.
    pub fn contains(&self, router: &RouterHash) -> bool {
        self.0.binary_search(router).is_ok()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = &RouterHash> {
        self.0.iter()
    }
}

impl FromIterator<RouterHash> for RouterSet {
    fn from_iter<I: IntoIterator<Item = RouterHash>>(routers: I) -> Self {
        let mut routers: Vec<_> = routers.into_iter().collect();
        routers.sort_unstable();
        routers.dedup();
        Self(routers.into())
    }
}

impl std::fmt::Debug for RouterSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouterSet({})", self.len())
    }
}

/// The routers of a set, closest first.
pub struct Closest<'a> {
    place: &'a RoutingKey,
    /// Ranges whose hashes agree in the first so many bits; the closest range on top.
    stack: SmallVec<[(&'a [RouterHash], usize); 24]>,
}

impl Iterator for Closest<'_> {
    type Item = RouterHash;

    fn next(&mut self) -> Option<RouterHash> {
        loop {
            let (range, depth) = self.stack.pop()?;
            match range {
                [] => {}
                [one] => return Some(*one),
                _ => {
                    let bit = |hash: &[u8; 32]| hash.get(depth / 8).is_some_and(|b| b >> (7 - depth % 8) & 1 == 1);
                    let (zeros, ones) = range.split_at(range.partition_point(|r| !bit(&r.0)));
                    let (near, far) = if bit(&self.place.0) { (ones, zeros) } else { (zeros, ones) };
                    self.stack.push((far, depth + 1));
                    self.stack.push((near, depth + 1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::routing_key::distance;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_walk_yields_every_router_in_the_order_of_distance(
            // Few distinct bytes, so that prefixes are shared.
            routers in prop::collection::vec(prop::array::uniform32(0u8..3), 0..60), place: [u8; 32]
        ) {
            let place = RoutingKey(place);
            let set: RouterSet = routers.iter().map(|r| RouterHash(*r)).collect();
            let mut expected: Vec<_> = set.iter().copied().collect();
            expected.sort_by_key(|r| distance(&place, r));
            let walked: Vec<_> = set.closest(&place).collect();
            prop_assert_eq!(walked, expected);
        }
    }

    #[test]
    fn the_closest_that_are_wanted_are_chosen() {
        let set: RouterSet = (0..=255).map(|n| RouterHash([n; 32])).collect();
        let place = RoutingKey([8; 32]);
        let chosen = set.closest_n::<4>(&place, 3, |r| *r != RouterHash([8; 32]));
        assert_eq!(chosen[..], [RouterHash([9; 32]), RouterHash([10; 32]), RouterHash([11; 32])]);
        assert!(set.contains(&RouterHash([77; 32])));
    }
}
