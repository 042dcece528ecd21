//! MetaLeaseSets: whose lease set is looked for in place of that of the one who has published such.
//!
//! ```text
//! M lists D, E, F --> the cheapest that has not ended --> its lease set: it stands for M
//!                                                     --> a list again: as deep as MAX_DEPTH
//!                                                     --> nothing: the next
//! ```
//! spec: proposal 123 §Meta LS2; common-structures §MetaLeaseSet

use super::LocalDestination;
use crate::drops::ControlDrop;
use actix::prelude::*;
use ramson_protocol::data::entry::{Entry, EntryKind};
use ramson_protocol::data::lease::MetaLease;
use ramson_protocol::data::meta_lease_set::MetaLeaseSet;
use ramson_protocol::destination::In as ToCore;
use ramson_protocol::id::{DestinationHash, NetDbKey};
use ramson_protocol::netdb::search::In;
use ramson_protocol::time::Wall;
use rand::seq::SliceRandom;
use std::collections::HashMap;

/// Lists that list lists are followed so far: of those that list each other there is no end.
const MAX_DEPTH: usize = 3;

/// Of a longer list only the cheapest are tried.
const MAX_CHOICE: usize = 8;

/// Somebody for whom another may stand.
#[derive(Clone, Debug)]
pub(super) struct Sought {
    of: DestinationHash,
    until: Wall,
    depth: usize,
    /// Who else may, the best last.
    left: Vec<MetaLease>,
}

/// By whose lease set they wait for.
pub(super) type Standing = HashMap<NetDbKey, Vec<Sought>>;

impl LocalDestination {
    /// A MetaLeaseSet came: that of somebody we look for, or one that another has listed.
    pub(super) fn on_meta(&mut self, key: NetDbKey, meta: &MetaLeaseSet, ctx: &mut Context<Self>) {
        let now = self.shared.now().wall;
        if meta.expires() <= now || !self.searches.contains_key(&key) || meta.verify().is_err() {
            return ControlDrop::Unexpected.count();
        }
        self.tell_finders(key, &Ok(Entry::MetaLeaseSet(meta.clone())));
        self.feed(key, In::Found, ctx);
        let this = Sought { of: DestinationHash(key.0), until: meta.expires(), depth: 0, left: Vec::new() };
        let listed = self.standing.remove(&key).unwrap_or_default();
        for sought in [this].into_iter().chain(listed) {
            let depth = sought.depth + 1;
            let left = if depth > MAX_DEPTH { Vec::new() } else { self.choice(meta, now) };
            self.look_on(Sought { until: sought.until.min(meta.expires()), depth, left, ..sought }, ctx);
        }
    }

    /// Who of a list may stand for whom it is: the best last, and of those that are as good in the order of chance.
    fn choice(&mut self, meta: &MetaLeaseSet, now: Wall) -> Vec<MetaLease> {
        let may = |lease: &MetaLease| {
            let kind = lease.flags & 0xf;
            lease.end > now && kind != EntryKind::EncryptedLeaseSet as u32 && !self.is_own(lease.key)
        };
        let mut choice: Vec<MetaLease> = meta.leases().filter(may).collect();
        choice.shuffle(&mut self.rng);
        choice.sort_by_key(|lease| lease.cost);
        choice.truncate(MAX_CHOICE);
        choice.reverse();
        choice
    }

    /// Looks for the next who may stand for somebody.
    fn look_on(&mut self, mut sought: Sought, ctx: &mut Context<Self>) {
        let Some(next) = sought.left.pop() else {
            return self.answer(ToCore::NotFound(sought.of));
        };
        sought.until = sought.until.min(next.end);
        let waiting = self.standing.entry(next.key).or_default();
        if waiting.iter().all(|other| other.of != sought.of) {
            waiting.push(sought);
        }
        self.search(next.key, ctx);
    }

    /// The lease set that is stored there is known, and was told.
    pub(super) fn tell_standing(&mut self, key: NetDbKey) {
        for Sought { of, until, .. } in self.standing.remove(&key).unwrap_or_default() {
            self.answer(ToCore::Stands { of, by: DestinationHash(key.0), until });
        }
    }

    /// There is none.
    pub(super) fn stands_not(&mut self, key: NetDbKey, ctx: &mut Context<Self>) {
        for sought in self.standing.remove(&key).unwrap_or_default() {
            self.look_on(sought, ctx);
        }
    }
}
