//! What is taken when several signers have been heard.
//!
//! A router that several of them name is taken. Of the others none may bring more than all the rest together: whoever
//! fills a bundle with routers of his own gets no majority.

use super::bundle::Bundle;
use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;
use std::collections::{BTreeMap, BTreeSet};

/// Signers among these bundles. Two bundles of one signer are one source, whatever hosts they came from.
pub fn signers(bundles: &[Bundle]) -> usize {
    bundles.iter().map(|bundle| &bundle.signer).collect::<BTreeSet<_>>().len()
}

/// The routers to be taken, if at least `needed` signers have been heard; none otherwise. With `needed` of 1 the word of
/// one is enough, and nothing is left out.
pub fn combine(bundles: &[Bundle], needed: usize) -> Vec<RouterInfo> {
    if bundles.is_empty() || signers(bundles) < needed {
        return Vec::new();
    }
    let mut named: BTreeMap<RouterHash, (RouterInfo, BTreeSet<&str>)> = BTreeMap::new();
    for bundle in bundles {
        for info in &bundle.routers {
            let (newest, by) = named.entry(info.hash()).or_insert_with(|| (info.clone(), BTreeSet::new()));
            if info.published() > newest.published() {
                *newest = info.clone();
            }
            by.insert(&bundle.signer);
        }
    }
    let confirmed = |by: &BTreeSet<&str>| by.len() > 1 || needed < 2;
    let mut taken: Vec<_> = named.values().filter(|(_, by)| confirmed(by)).map(|(info, _)| info.clone()).collect();
    let mut by_one: BTreeMap<&str, Vec<RouterInfo>> = BTreeMap::new();
    // In the order of the bundles, which is no order of hashes: what is left out is left out by chance.
    for bundle in bundles {
        for info in &bundle.routers {
            if let Some((newest, _)) = named.get(&info.hash()).filter(|(_, by)| !confirmed(by)) {
                by_one.entry(&bundle.signer).or_default().push(newest.clone());
                named.remove(&info.hash());
            }
        }
    }
    let (all, sure): (usize, usize) = (by_one.values().map(Vec::len).sum(), taken.len());
    for mut own in by_one.into_values() {
        own.truncate(all - own.len() + sure);
        taken.extend(own);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reseed::test_bundles::{bundle, now, router, router_of};
    use std::time::Duration;

    fn hashes(routers: &[RouterInfo]) -> BTreeSet<RouterHash> {
        routers.iter().map(RouterInfo::hash).collect()
    }

    #[test]
    fn one_signer_alone_is_not_believed_whatever_number_of_hosts_bring_his_bundles() {
        let bundles = [bundle("a", 0..50), bundle("a", 50..100)];
        assert_eq!(signers(&bundles), 1);
        assert!(combine(&bundles, 2).is_empty());
        assert_eq!(combine(&bundles, 1).len(), 100);
    }

    #[test]
    fn nobody_brings_more_than_all_others_together() {
        let taken = combine(&[bundle("honest", 0..10), bundle("liar", 100..180)], 2);
        assert_eq!(taken.len(), 20);
        assert!(hashes(&taken).is_superset(&(0..10).map(|n| router(n).hash()).collect()));
    }

    #[test]
    fn what_two_signers_name_is_taken_and_gives_room_to_the_rest() {
        let taken = combine(&[bundle("a", 0..30), bundle("b", 10..40)], 2);
        assert_eq!(taken.len(), 40);
        let taken = combine(&[bundle("a", 0..30), bundle("b", 0..90)], 2);
        assert_eq!(taken.len(), 60, "30 that both name, and as many again of one alone");
    }

    #[test]
    fn of_one_router_the_newest_is_taken() {
        let (old, mut new) = (bundle("a", 0..1), bundle("b", 0..1));
        new.routers = vec![router_of(0, now().plus(Duration::from_secs(60)))];
        for bundles in [[old.clone(), new.clone()], [new, old]] {
            let taken = combine(&bundles, 2);
            assert_eq!(taken.len(), 1);
            assert_eq!(taken[0].published(), now().plus(Duration::from_secs(60)));
        }
    }
}
