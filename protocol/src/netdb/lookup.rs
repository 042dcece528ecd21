//! Answering a DatabaseLookup, and how often one may be asked.
//!
//! spec: i2np §DatabaseLookup, §DatabaseSearchReply; network-database §RouterInfo and LeaseSet Lookup

use super::router_set::RouterSet;
use super::routing_key::{Day, routing_key};
use crate::data::entry::Entry;
use crate::i2np::database_lookup::{DatabaseLookup, LookupKind};
use crate::i2np::database_search_reply::DatabaseSearchReply;
use crate::id::{NetDbKey, RouterHash, TunnelId};
use crate::time::{Mono, Wall};
use std::collections::BTreeMap;
use std::time::Duration;

/// Hashes in a reply.
///
/// spec: i2np §DatabaseSearchReply, notes — "Typical number of hashes returned: 3"
pub const PEERS: usize = 3;

/// What a lookup is answered from.
pub trait View {
    /// The entry under `key` that may be given out: our own RouterInfo, any other, and LeaseSets that were stored
    /// with us.
    fn public_entry(&self, key: NetDbKey) -> Option<Entry>;
    /// The floodfills that we know.
    fn floodfills(&self) -> RouterSet;
    /// The other routers that we know.
    fn others(&self) -> RouterSet;
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To be sent in a DatabaseStore without a token.
    Entry(Entry),
    /// We do not have it: routers that are closer.
    Reply(DatabaseSearchReply),
}

/// Answers a lookup.
pub fn answer(lookup: &DatabaseLookup, view: &impl View, own: RouterHash, now: Wall) -> Answer {
    // spec: i2np §DatabaseLookup — whether an exploratory lookup may return the entry was never made clear; the
    // asker wants other routers, so it gets those.
    if !lookup.is_exploratory()
        && let Some(entry) = view.public_entry(lookup.key)
        && is_wanted(&entry, lookup.kind, now)
    {
        return Answer::Entry(entry);
    }
    let candidates = if lookup.is_exploratory() { view.others() } else { view.floodfills() };
    // Five hundred hashes are compared with every router that is near: sorted, so that this cannot be used against us.
    let mut excluded = lookup.exclude.clone();
    excluded.sort_unstable();
    let wanted = |r: &RouterHash| {
        *r != own
            && NetDbKey::from(*r) != lookup.key
            && (lookup.reply_tunnel.is_some() || *r != lookup.from)
            && excluded.binary_search(r).is_err()
    };
    let place = routing_key(lookup.key, Day::of(now));
    let peers = candidates.closest_n::<PEERS>(&place, PEERS, wanted).into_vec();
    Answer::Reply(DatabaseSearchReply { key: lookup.key, peers, from: own })
}

fn is_wanted(entry: &Entry, kind: LookupKind, now: Wall) -> bool {
    let right_kind = match kind {
        LookupKind::Any => true,
        LookupKind::LeaseSet => entry.kind().is_lease_set(),
        LookupKind::RouterInfo => !entry.kind().is_lease_set(),
        LookupKind::Exploratory => false,
    };
    right_kind && !entry.is_unpublished() && entry.expires().is_none_or(|e| e > now)
}

/// Counts lookups by where their replies go. Java's numbers: a router that asks more often is a crawler.
#[derive(Debug)]
pub struct Throttle {
    limit: u16,
    counts: BTreeMap<(RouterHash, TunnelId), u16>,
    since: Mono,
    refused: u64,
}

impl Throttle {
    /// The span over which lookups are counted.
    pub const PERIOD: Duration = Duration::from_secs(120);
    /// Most askers that are remembered; beyond, all counts begin anew.
    pub const MAX_ASKERS: usize = 20_000;

    /// A throttle for a floodfill, or for a router that is none.
    pub fn new(floodfill: bool, now: Mono) -> Self {
        let limit = if floodfill { 14 } else { 3 };
        Self { limit, counts: BTreeMap::new(), since: now, refused: 0 }
    }

    /// Whether this lookup is to be answered.
    pub fn allows(&mut self, lookup: &DatabaseLookup, now: Mono) -> bool {
        let asker = (lookup.from, lookup.reply_tunnel.unwrap_or_default());
        let full = self.counts.len() >= Self::MAX_ASKERS && !self.counts.contains_key(&asker);
        if full || now.saturating_sub(self.since) >= Self::PERIOD {
            self.counts.clear();
            self.since = now;
        }
        let count = self.counts.entry(asker).or_default();
        *count = count.saturating_add(1);
        let allowed = *count <= self.limit;
        self.refused += u64::from(!allowed);
        allowed
    }

    /// Lookups refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
    use crate::data::router_keys::RouterKeys;
    use crate::i2np::database_lookup::ReplyEncryption;
    use rand::SeedableRng;

    const NOW: Wall = Wall(1_790_000_000_000);
    const OWN: RouterHash = RouterHash([200; 32]);

    struct Fixed(Entry);

    impl View for Fixed {
        fn public_entry(&self, key: NetDbKey) -> Option<Entry> {
            (key == self.0.key()).then(|| self.0.clone())
        }

        fn floodfills(&self) -> RouterSet {
            (0..10).map(|n| RouterHash([n; 32])).chain([OWN]).collect()
        }

        fn others(&self) -> RouterSet {
            (100..110).map(|n| RouterHash([n; 32])).collect()
        }
    }

    fn fixed() -> Fixed {
        let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        Fixed(RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, NOW).unwrap().into())
    }

    fn lookup(key: NetDbKey, kind: LookupKind) -> DatabaseLookup {
        DatabaseLookup {
            key,
            from: RouterHash([7; 32]),
            reply_tunnel: None,
            kind,
            exclude: vec![RouterHash([3; 32])],
            encryption: ReplyEncryption::None,
        }
    }

    fn peers(answer: Answer) -> Vec<RouterHash> {
        match answer {
            Answer::Reply(reply) => reply.peers,
            Answer::Entry(_) => panic!("an entry"),
        }
    }

    #[test]
    fn an_entry_of_the_kind_asked_for_is_given() {
        let view = fixed();
        let key = view.0.key();
        assert_eq!(answer(&lookup(key, LookupKind::RouterInfo), &view, OWN, NOW), Answer::Entry(view.0.clone()));
        assert_eq!(answer(&lookup(key, LookupKind::Any), &view, OWN, NOW), Answer::Entry(view.0.clone()));
        assert_eq!(peers(answer(&lookup(key, LookupKind::LeaseSet), &view, OWN, NOW)).len(), 3);
    }

    #[test]
    fn the_asker_the_excluded_and_we_ourselves_are_not_named() {
        for byte in 0..=255 {
            let named = peers(answer(&lookup(NetDbKey([byte; 32]), LookupKind::LeaseSet), &fixed(), OWN, NOW));
            assert_eq!(named.len(), 3);
            assert!(named.iter().all(|r| r.0[0] < 10 && ![3, 7].contains(&r.0[0])));
        }
    }

    #[test]
    fn explorers_get_routers_that_are_not_floodfills_even_for_a_key_that_we_have() {
        let view = fixed();
        let named = peers(answer(&lookup(view.0.key(), LookupKind::Exploratory), &view, OWN, NOW));
        assert!(named.len() == 3 && named.iter().all(|r| r.0[0] >= 100));
    }

    #[test]
    fn the_fifteenth_lookup_in_two_minutes_is_refused() {
        let mut throttle = Throttle::new(true, Mono::ZERO);
        let l = lookup(NetDbKey([1; 32]), LookupKind::LeaseSet);
        assert!((0..14).all(|_| throttle.allows(&l, Mono::ZERO)));
        assert!(!throttle.allows(&l, Mono::ZERO));
        assert!(throttle.allows(&DatabaseLookup { reply_tunnel: Some(TunnelId(1)), ..l.clone() }, Mono::ZERO));
        assert!(throttle.allows(&l, Throttle::PERIOD));
        assert_eq!(throttle.refused(), 1);
    }
}
