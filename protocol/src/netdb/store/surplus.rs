//! Who gives way when there is too much: of those who hold most, what is worth least.

use crate::bearer::Key;
use std::collections::{BTreeMap, BinaryHeap};

/// What an entry weighs in its group: one that a second source has brought, too, half as much.
pub(super) fn weight(seconded: bool) -> u32 {
    if seconded { 1 } else { 2 }
}

/// What is held, by who brought it; the greatest rank of each gives way first.
pub(super) struct Groups<R, H>(BTreeMap<Option<Key>, Vec<(R, H, u32)>>);

impl<R: Ord + Clone, H> Groups<R, H> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn add(&mut self, group: Option<Key>, rank: R, held: H, weight: u32) {
        self.0.entry(group).or_default().push((rank, held, weight));
    }

    /// Takes `count`, one after the other from the group that is heaviest then: so all lose as much as they hold more than
    /// others, and whoever holds little loses nothing. Among equals the greatest rank goes.
    pub(super) fn surplus(self, count: usize) -> Vec<H> {
        let mut groups: Vec<Vec<(R, H, u32)>> = self.0.into_values().collect();
        let mut heaviest = BinaryHeap::new();
        for (at, group) in groups.iter_mut().enumerate() {
            group.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let sum = group.iter().map(|(.., weight)| u64::from(*weight)).sum::<u64>();
            heaviest.push((sum, group.last().map(|(rank, ..)| rank.clone()), at));
        }
        let mut gone = Vec::with_capacity(count);
        while gone.len() < count
            && let Some((sum, _, at)) = heaviest.pop()
        {
            let Some(group) = groups.get_mut(at) else { continue };
            if let Some((_, held, weight)) = group.pop() {
                gone.push(held);
                heaviest.push((sum - u64::from(weight), group.last().map(|(rank, ..)| rank.clone()), at));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RouterHash;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_heaviest_lose_down_to_a_level_below_which_nobody_loses_anything(
            sizes in prop::collection::vec(1usize..60, 1..12), part in 0.0f64..1.0
        ) {
            let mut groups = Groups::new();
            for (n, size) in sizes.iter().enumerate() {
                for rank in 0..*size {
                    groups.add(Some(Key::Router(RouterHash([n as u8; 32]))), rank, (n, rank), 2);
                }
            }
            let all: usize = sizes.iter().sum();
            let count = (part * all as f64) as usize;
            let gone = groups.surplus(count);
            prop_assert_eq!(gone.len(), count);
            let lost = |n: usize| gone.iter().filter(|(group, _)| *group == n).count();
            let left: Vec<usize> = sizes.iter().enumerate().map(|(n, size)| size - lost(n)).collect();
            let level = (0..sizes.len()).filter(|n| lost(*n) > 0).map(|n| left[n]).max().unwrap_or(0);
            for (n, left) in left.iter().enumerate() {
                prop_assert!(lost(n) == 0 || left + 1 >= level, "all who lose come down to one level");
                prop_assert!(lost(n) > 0 || *left <= level + 1 || gone.is_empty(), "and who has less loses nothing");
                let worst = gone.iter().filter(|(group, _)| *group == n).map(|(_, rank)| *rank).min();
                prop_assert_eq!(worst.unwrap_or(sizes[n]), *left, "what is worth least goes");
            }
        }
    }
}
