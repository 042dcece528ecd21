//! The floodfills that are worth being asked, and how they are chosen: the closest, but never strangers alone.
//!
//! Whoever wants to own a place in the key space makes names until enough of them are close to it. So of those chosen some
//! are always such as were reached, if there are any. And whoever owns a network can have a thousand floodfills in it that answer: of
//! one /16 (IPv6: /32) there are only so many among those that are asked ([`crowded_out`]).

use super::router_set::{Closest, RouterSet};
use super::routing_key::distance;
use super::store::Listed;
use crate::id::{RouterHash, RoutingKey};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::iter::Peekable;

/// Of one wide network one in so many floodfills may be.
const WIDE_PARTS: usize = 16;

/// And so many always.
const WIDE_LEAST: usize = 4;

/// Those of `all`, floodfills that could be asked, that stand where too many stand already: the first that we knew have the places, and
/// before them those that were reached.
pub fn crowded_out<'a>(all: impl Iterator<Item = &'a Listed>) -> HashSet<RouterHash> {
    let (mut networks, mut count): (BTreeMap<_, Vec<&Listed>>, usize) = (BTreeMap::new(), 0);
    for listed in all {
        count += 1;
        if let Some(wide) = listed.wide {
            networks.entry(wide).or_default().push(listed);
        }
    }
    let most = (count / WIDE_PARTS).max(WIDE_LEAST);
    let mut out = HashSet::new();
    for crowd in networks.values_mut().filter(|crowd| crowd.len() > most) {
        crowd.sort_unstable_by_key(|listed| (Reverse(listed.proven), listed.first, listed.router));
        out.extend(crowd[most..].iter().map(|listed| listed.router));
    }
    out
}

/// A snapshot; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Floodfills {
    proven: RouterSet,
    others: RouterSet,
}

impl Floodfills {
    /// Those that were reached, and the others.
    pub fn new(proven: RouterSet, others: RouterSet) -> Self {
        Self { proven, others }
    }

    /// All of them, closest first, each with whether it is proven.
    pub fn closest<'a>(&'a self, place: &'a RoutingKey) -> impl Iterator<Item = (RouterHash, bool)> + use<'a> {
        let (proven, others) = (self.proven.closest(place).peekable(), self.others.closest(place).peekable());
        Merged { place, proven, others }
    }

    /// The `n` closest of those that `wanted` takes, of whom at least `proven` are proven if there are so many: those take
    /// the place of the farthest.
    pub fn closest_n(
        &self,
        place: &RoutingKey,
        n: usize,
        proven: usize,
        wanted: impl Fn(&RouterHash) -> bool,
    ) -> SmallVec<[RouterHash; 8]> {
        let mut chosen: SmallVec<[(RouterHash, bool); 8]> =
            self.closest(place).filter(|(router, _)| wanted(router)).take(n).collect();
        let have = chosen.iter().filter(|(_, is_proven)| *is_proven).count();
        let known = |chosen: &[(RouterHash, bool)], router: &RouterHash| chosen.iter().any(|(held, _)| held == router);
        let more: SmallVec<[RouterHash; 8]> = self
            .proven
            .closest(place)
            .filter(|router| wanted(router) && !known(&chosen, router))
            .take(proven.min(n).saturating_sub(have))
            .collect();
        for router in more {
            if let Some(stranger) = chosen.iter().rposition(|(_, is_proven)| !is_proven) {
                chosen.remove(stranger);
                chosen.push((router, true));
            }
        }
        chosen.into_iter().map(|(router, _)| router).collect()
    }

    /// All but one.
    #[must_use]
    pub fn without(&self, router: &RouterHash) -> Self {
        let rest = |set: &RouterSet| set.iter().copied().filter(|other| other != router).collect();
        Self { proven: rest(&self.proven), others: rest(&self.others) }
    }

    /// Whether a router is proven, if it is one of these.
    pub fn is_proven(&self, router: &RouterHash) -> bool {
        self.proven.contains(router)
    }

    /// True if any is proven.
    pub fn has_proven(&self) -> bool {
        !self.proven.is_empty()
    }

    /// True if `router` is one of them.
    pub fn contains(&self, router: &RouterHash) -> bool {
        self.proven.contains(router) || self.others.contains(router)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.proven.len() + self.others.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.proven.is_empty() && self.others.is_empty()
    }
}

/// Nobody has met any of them.
impl From<RouterSet> for Floodfills {
    fn from(others: RouterSet) -> Self {
        Self { proven: RouterSet::default(), others }
    }
}

struct Merged<'a> {
    place: &'a RoutingKey,
    proven: Peekable<Closest<'a>>,
    others: Peekable<Closest<'a>>,
}

impl Iterator for Merged<'_> {
    type Item = (RouterHash, bool);

    fn next(&mut self) -> Option<Self::Item> {
        let of = |router: &RouterHash| distance(self.place, router);
        match (self.proven.peek(), self.others.peek()) {
            (Some(a), Some(b)) if of(b) < of(a) => self.others.next().map(|router| (router, false)),
            (Some(_), _) => self.proven.next().map(|router| (router, true)),
            (None, _) => self.others.next().map(|router| (router, false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::Network;
    use proptest::prelude::*;
    use std::time::Duration;

    fn set(of: &[u8]) -> RouterSet {
        of.iter().map(|n| RouterHash([*n; 32])).collect()
    }

    #[test]
    fn a_crowd_of_strangers_at_a_place_does_not_have_it_alone() {
        let floodfills = Floodfills::new(set(&[200, 201, 202]), set(&[1, 2, 3, 4, 5]));
        let place = RoutingKey([0; 32]);
        let first =
            |n, proven| floodfills.closest_n(&place, n, proven, |_| true).iter().map(|r| r.0[0]).collect::<Vec<_>>();
        assert_eq!(first(3, 0), [1, 2, 3]);
        assert_eq!(first(3, 1), [1, 2, 200]);
        assert_eq!(first(3, 2), [1, 200, 201]);
        assert_eq!(first(3, 9), [200, 201, 202]);
        assert_eq!(Floodfills::new(set(&[]), set(&[1, 2, 3])).closest_n(&place, 3, 2, |_| true).len(), 3);
    }

    #[test]
    fn of_a_crowd_in_one_network_those_are_asked_that_we_knew_first() {
        let wide = |n: u8| Some(Network::V4Wide([n, 0]));
        let listed = |n: u16, wide, proven| {
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&n.to_be_bytes());
            let (router, first) = (RouterHash(hash), Duration::from_secs(n.into()));
            Listed { router, floodfill: true, proven, wide, first, suspect: false, told: true }
        };
        let apart = (0..40).map(|n| listed(n, wide(n as u8), true));
        let crowd = (100..1100).map(|n| listed(n, wide(200), n % 2 == 0));
        let all: Vec<Listed> = apart.chain(crowd).collect();
        let out = crowded_out(all.iter());
        assert_eq!(out.len(), 1000 - 1040 / WIDE_PARTS);
        let stay = |n: u16| !out.contains(&listed(n, None, true).router);
        assert!((0..40).all(stay) && stay(100) && stay(102) && !stay(101) && !stay(1098));
        // A few are no crowd, and in private networks nobody is.
        assert!(crowded_out(all[..44].iter()).is_empty());
        let nowhere: Vec<Listed> = all.iter().map(|listed| Listed { wide: None, ..*listed }).collect();
        assert!(crowded_out(nowhere.iter()).is_empty());
    }

    proptest! {
        #[test]
        fn they_come_in_the_order_of_distance_and_as_many_proven_as_there_are(
            proven in prop::collection::btree_set(0u8..100, 0..8), others in prop::collection::btree_set(100u8..200, 0..8),
            place: [u8; 32], n in 1usize..6, least in 0usize..6
        ) {
            let of = |set: &std::collections::BTreeSet<u8>| set.iter().map(|n| RouterHash([*n; 32])).collect::<RouterSet>();
            let floodfills = Floodfills::new(of(&proven), of(&others));
            let place = RoutingKey(place);
            let all: Vec<_> = floodfills.closest(&place).map(|(router, _)| distance(&place, &router)).collect();
            prop_assert!(all.is_sorted() && all.len() == proven.len() + others.len());
            let chosen = floodfills.closest_n(&place, n, least, |_| true);
            prop_assert_eq!(chosen.len(), n.min(all.len()));
            let have = chosen.iter().filter(|router| floodfills.is_proven(router)).count();
            prop_assert!(have >= least.min(n).min(proven.len()));
        }
    }
}
