//! An entry on its way into a shard.
//!
//! ```text
//! store, RouterInfo of a handshake, file
//!    -> is it what it says, may it come this way        on_stored
//!    -> cheap rules                                     take       -> refused: counted, perhaps charged or confirmed
//!    -> has its bearer a signature left                            -> over_share
//!    -> a worker verifies the signatures                           -> refused, and its bearer has fewer left
//!    -> store, confirmation, copies to other floodfills accept
//! ```

use super::NetDbShard;
use crate::drops::ControlDrop;
use crate::messages::{Incoming, Origin, RouterKnown};
use crate::netdb::reply::confirm;
use crate::netdb::requests::Offered;
use crate::netdb::searches::count_reply;
use crate::netdb::verifier::{Verified, Verify};
use crate::series::control;
use crate::series::outcomes::{LookupWay, StoreOutcome};
use actix::prelude::*;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::id::RouterHash;
use ramson_protocol::netdb::flood;
use ramson_protocol::netdb::rules::{self, Cost, Refusal, Source};

/// An entry on its way in.
pub(super) struct Arrival {
    entry: Entry,
    source: Source,
    /// By what way it came, if it came in a message.
    origin: Option<Origin>,
    /// Who bore it.
    bearer: Bearer,
    /// The router over whose session it came, openly.
    from: Option<RouterHash>,
    reply: Option<Reply>,
    flood: bool,
    /// Its signature is known to be good.
    verified: bool,
    /// We have a newer one: if its signature is good, it is confirmed and no more.
    outdated: bool,
}

impl Arrival {
    /// A RouterInfo from a handshake, a transport's block, or a file.
    pub(super) fn offered(offered: Offered) -> Self {
        let source = if offered.from.is_none() { Source::Import } else { Source::Unsolicited };
        let Offered { info, from, bearer, flood, verified } = offered;
        let (entry, reply) = (Entry::from(info), None);
        Self { entry, source, origin: None, bearer, from, reply, flood, verified, outdated: false }
    }
}

impl NetDbShard {
    pub(super) fn on_stored(&mut self, incoming: &Incoming, bearer: Bearer) -> ResponseActFuture<Self, bool> {
        let Ok(store) = DatabaseStore::parse(&incoming.message.body) else {
            count(StoreOutcome::Malformed.label());
            return no();
        };
        if store.key != store.entry.key() {
            count(Refusal::WrongKey.name());
            return no();
        }
        let (origin, own) = (incoming.origin, incoming.origin.way().is_own());
        let shared = self.netdb.shared();
        // What comes unasked out of a tunnel of ours is neither stored nor served: whoever sent it could ask all
        // floodfills for it, and the one that has it would be the tunnel's owner. See `i2np::ways`.
        let asked = if own { shared.expected().answers_lookup(store.key, origin, shared.now().mono) } else { None };
        if own && asked.is_none() {
            count(StoreOutcome::NotAskedFor.label());
            return no();
        }
        // spec: i2np §DatabaseStore — a reply token is to be ignored in what came down a tunnel of ours.
        let reply = store.reply.filter(|_| !own);
        let wanted = own || (reply.is_none() && self.netdb.directory().is_wanted(store.key));
        if wanted {
            count_reply("entry", if own { LookupWay::Tunnels } else { LookupWay::Session });
        }
        // What floods to a floodfill is published, also if it looks for it just then: else it could be told that it does.
        let is_answer = own || (wanted && !shared.floodfill());
        let source = if is_answer { Source::Reply } else { Source::Unsolicited };
        // An answer was brought by whoever was asked.
        let bearer = asked.map_or(bearer, |floodfill| shared.bearer_of(floodfill));
        self.take(Arrival {
            entry: store.entry,
            source,
            origin: Some(origin),
            bearer,
            from: origin.router(),
            reply,
            flood: reply.is_some(),
            verified: false,
            outdated: false,
        })
    }

    /// The cheap checks, then the pool, then the store.
    pub(super) fn take(&mut self, mut arrival: Arrival) -> ResponseActFuture<Self, bool> {
        let now = self.netdb.shared().now();
        let held = self.store.rival(&arrival.entry, arrival.source);
        let known = self.netdb.directory().counts().0;
        let rules = self.netdb.rules();
        match rules.judge_content(&arrival.entry, arrival.source, held.as_ref(), known, now.wall) {
            Ok(()) => {}
            // It may be forged: nothing is told of it before that is known.
            Err(Refusal::NotNewer) if arrival.reply.is_some() && held.as_ref() != Some(&arrival.entry) => {
                arrival.outdated = true;
            }
            Err(refusal) => {
                self.refuse(&arrival, refusal);
                return no();
            }
        }
        if arrival.verified {
            return Box::pin(fut::ready(self.accept(arrival)));
        }
        let cost = rules::cost(&arrival.entry);
        let unasked = arrival.source == Source::Unsolicited;
        if unasked && !self.netdb.shares().signature(&arrival.bearer, cost, now.mono) {
            count(StoreOutcome::OverShare.label());
            return no();
        }
        if self.verifying[cost as usize] >= super::MAX_VERIFYING[cost as usize] {
            count(StoreOutcome::Busy.label());
            return no();
        }
        self.verifying[cost as usize] += 1;
        let verify = self.netdb.verifier(cost).send(Verify(arrival.entry.clone()));
        Box::pin(verify.into_actor(self).map(move |verified, actor, _| {
            actor.verifying[cost as usize] -= 1;
            match verified {
                Ok(Verified(Ok(()))) => actor.accept(arrival),
                Ok(Verified(Err(refusal))) => {
                    actor.forged(&arrival, cost);
                    actor.refuse(&arrival, refusal);
                    false
                }
                Err(_) => false,
            }
        }))
    }

    /// Whoever bears forgeries has fewer signatures verified for a while, whether they are its own or not.
    fn forged(&self, arrival: &Arrival, cost: Cost) {
        self.netdb.shares().forged(&arrival.bearer, cost, self.netdb.shared().now().mono);
    }

    fn refuse(&mut self, arrival: &Arrival, refusal: Refusal) {
        count(refusal.name());
        // Floodfills pass on what others made, and the ends of tunnels what they cannot know: a router answers for its own.
        if let Some(from) = arrival.from.filter(|from| arrival.entry.key() == (*from).into()) {
            self.netdb.charge(from, refusal);
        }
        match refusal {
            // INTEROP: some routers test us by storing our own RouterInfo with us.
            Refusal::Own => self.confirm(arrival),
            // The sender did its part: what it brought is here.
            Refusal::NotNewer => {
                self.confirm(arrival);
                // Somebody else brings it, too; and what we had looked up for ourselves may be given out now.
                let (entry, now) = (arrival.entry.clone(), self.netdb.shared().now());
                if self.store.rival(&entry, arrival.source).as_ref() == Some(&entry) {
                    self.store.insert(now, entry.clone(), arrival.source, &arrival.bearer);
                    self.drain();
                }
                self.tell_searches(&entry);
            }
            _ => {}
        }
    }

    fn confirm(&mut self, arrival: &Arrival) {
        if let (Some(reply), Some(origin)) = (&arrival.reply, arrival.origin) {
            confirm(&self.netdb, reply, origin, &arrival.bearer, &mut self.rng);
        }
    }

    /// Whoever looks for what is here gets the newest of it.
    fn tell_searches(&self, entry: &Entry) {
        if self.netdb.directory().is_wanted(entry.key()) {
            let newest = match entry {
                Entry::RouterInfo(info) => self.store.router(info.hash()).cloned().map(Entry::from),
                lease_set => self.store.lease_set(lease_set.key()).cloned(),
            };
            newest.into_iter().for_each(|entry| self.netdb.found(entry));
        }
    }

    fn accept(&mut self, arrival: Arrival) -> bool {
        self.confirm(&arrival);
        let now = self.netdb.shared().now();
        let taken = !arrival.outdated && self.store.insert(now, arrival.entry.clone(), arrival.source, &arrival.bearer);
        self.tell_searches(&arrival.entry);
        if !taken {
            // The same came twice while the first was with the pool, or it is older than what we have.
            count(Refusal::NotNewer.name());
            self.drain();
            return false;
        }
        count(StoreOutcome::Taken.label());
        if let Entry::RouterInfo(info) = &arrival.entry {
            for (_, waiter) in self.awaited.extract_if(.., |(router, _)| *router == info.hash()) {
                // Whoever waited may have given up.
                let _ = waiter.send(info.clone());
            }
            self.subscribers.publish(&RouterKnown::Learned(info.clone()));
        }
        if arrival.flood {
            self.flood(&arrival);
        }
        self.drain();
        true
    }

    /// Passes on what a floodfill has just taken.
    fn flood(&mut self, arrival: &Arrival) {
        let (shared, entry) = (self.netdb.shared(), &arrival.entry);
        let now = shared.now();
        // A transport's flag asks for the same as a token does.
        let reply = arrival.reply.unwrap_or(Reply { token: 1, tunnel: None, gateway: shared.hash() });
        if !shared.floodfill() || !flood::is_due(entry, Some(&reply), now.wall) {
            return;
        }
        if !self.floods.allows(entry.key(), now.mono) {
            return ControlDrop::FloodedLately.count();
        }
        let copies = flood::FAN_OUT + flood::FAN_OUT_PROVEN;
        if !self.netdb.shares().copies(&arrival.bearer, copies, entry.as_bytes().len(), now.mono) {
            return ControlDrop::OverShare.count();
        }
        self.netdb.send_copies(entry, arrival.from);
    }
}

fn no() -> ResponseActFuture<NetDbShard, bool> {
    Box::pin(fut::ready(false))
}

fn count(outcome: &'static str) {
    control::NETDB_STORES.add([outcome], 1);
}
