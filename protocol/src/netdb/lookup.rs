//! Answering a DatabaseLookup, and how often one may be asked.
//!
//! spec: i2np §DatabaseLookup, §DatabaseSearchReply; network-database §RouterInfo and LeaseSet Lookup

use super::floodfills::Floodfills;
use super::router_set::RouterSet;
use super::routing_key::{Day, routing_key};
use crate::bearer::{Bearer, Key};
use crate::data::entry::Entry;
use crate::data::router_info::RouterInfo;
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
/// Of these so many were reached, if there are any: or whoever makes many names close to a key would be all that we name.
const PROVEN_PEERS: usize = 1;
/// No RouterInfo that is older is given to others; it would be refused, too. INTEROP: an hour, as Java.
pub const MAX_AGE: Duration = Duration::from_secs(3600);
/// Entries larger than this go to those who bear questions from proven routers only: a question of eighty bytes would
/// bring eight thousand. Usual LeaseSets have 400 to 1500 bytes, with post-quantum keys up to 3000.
pub const LARGE: usize = 3072;

/// What a lookup is answered from.
pub trait View {
    /// The RouterInfo of a router, if it may be given out: our own or any other.
    fn public_router(&self, router: RouterHash) -> Option<RouterInfo>;
    /// The LeaseSet under `key`, if it was stored with us.
    fn public_lease_set(&self, key: NetDbKey) -> Option<Entry>;
    /// The floodfills that others may be told of.
    fn floodfills(&self) -> Floodfills;
    /// The other routers that others may be told of.
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

/// Answers a lookup that was borne by a router that was reached, or (`proven` is false) by somebody.
pub fn answer(lookup: &DatabaseLookup, view: &impl View, own: RouterHash, proven: bool, now: Wall) -> Answer {
    // spec: i2np §DatabaseLookup — whether an exploratory lookup may return the entry was never made clear; the
    // asker wants other routers, so it gets those.
    if !lookup.is_exploratory()
        && let Some(entry) = find(lookup, view, own, now)
        && (proven || entry.as_bytes().len() <= LARGE)
    {
        return Answer::Entry(entry);
    }
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
    let peers = if lookup.is_exploratory() {
        view.others().closest_n::<PEERS>(&place, PEERS, wanted).into_vec()
    } else {
        view.floodfills().closest_n(&place, PEERS, PROVEN_PEERS, wanted).into_vec()
    };
    Answer::Reply(DatabaseSearchReply { key: lookup.key, peers, from: own })
}

fn find(lookup: &DatabaseLookup, view: &impl View, own: RouterHash, now: Wall) -> Option<Entry> {
    let router = RouterHash(lookup.key.0);
    let given = |info: &RouterInfo| router == own || (now.since(info.published()) <= MAX_AGE && !info.caps().hidden);
    let router_info = || view.public_router(router).filter(given).map(Entry::from);
    let is_current = |entry: &Entry| !entry.is_unpublished() && entry.expires().is_none_or(|end| end > now);
    let lease_set = || view.public_lease_set(lookup.key).filter(is_current);
    match lookup.kind {
        LookupKind::RouterInfo => router_info(),
        LookupKind::LeaseSet => lease_set(),
        LookupKind::Any => router_info().or_else(lease_set),
        LookupKind::Exploratory => None,
    }
}

/// Counts lookups by where their replies go, and by who bore them: else anyone could use up what others may ask. Java's
/// numbers: a router that asks more often is a crawler.
#[derive(Debug)]
pub struct Throttle {
    limit: u16,
    counts: BTreeMap<(Option<Key>, RouterHash, TunnelId), u16>,
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
    pub fn allows(&mut self, lookup: &DatabaseLookup, bearer: &Bearer, now: Mono) -> bool {
        let asker = (bearer.group(), lookup.from, lookup.reply_tunnel.unwrap_or_default());
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
mod tests;
