//! What we look for in the network: entries that somebody waits for, and exploration.
//!
//! State owned: the running searches, by key, with who waits for them; routers being learnt on the way; what was lately
//! not found. In: [`Find`] from the facade, [`Found`] from the shards, [`Replied`] and [`Unreachable`] from the dispatcher
//! and the connections. Out: lookups, as [`super::asking`] sends them. Mailbox: 512; a lost message costs a search one of its
//! tries. At most [`MAX_RUNNING`] searches run; another one is refused at once.

use super::NetDb;
use super::asking::ask;
use crate::drops::ControlDrop;
use crate::mailbox::Mailbox;
use crate::messages::{Incoming, Origin};
use crate::series::control;
use crate::series::outcomes::{LookupWay, SearchOutcome};
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::i2np::database_lookup::LookupKind;
use ramson_protocol::i2np::database_search_reply::DatabaseSearchReply;
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::rules::is_usable_floodfill;
use ramson_protocol::netdb::search::{Config, In, Out, Outcome, Search};
use ramson_protocol::time::Mono;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;

const MAILBOX: usize = 512;

/// Searches that run at once.
const MAX_RUNNING: usize = 64;

/// Who may wait for one search.
const MAX_WAITING: usize = 64;

/// Routers that are being learnt at once, in all searches.
const MAX_LEARNING: usize = 256;

/// How long one may take.
const LEARN: Duration = Duration::from_secs(10);

/// A router that was not found is not looked for again so soon: strangers can make us want any router.
const MISSED: Duration = Duration::from_secs(30);
const MAX_MISSED: usize = 4096;

const TICK: Duration = Duration::from_millis(250);

/// From one exploration to the next, and half as much again at random.
const EXPLORE: Duration = Duration::from_secs(60);

/// The same while hardly anyone is known.
const EXPLORE_EARLY: Duration = Duration::from_secs(10);
const FEW: usize = 50;

/// Searches at once for routers that somebody is to be connected to: as a rule strangers, who can name any router. The rest
/// is left for what we look for ourselves.
const MAX_FOR_SESSIONS: usize = 32;

/// Look for an entry in the network.
#[derive(Message)]
#[rtype(result = "Option<Entry>")]
pub(super) struct Find {
    pub(super) key: NetDbKey,
    pub(super) kind: LookupKind,
}

/// An entry that is looked for has been taken.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Found(pub(super) Entry);

/// A DatabaseSearchReply message.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Replied(pub(super) Incoming);

/// A floodfill could not be reached.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Unreachable(pub(super) RouterHash);

struct Running {
    search: Search,
    waiting: Vec<oneshot::Sender<Option<Entry>>>,
}

struct Learning {
    for_searches: Vec<NetDbKey>,
    until: Mono,
}

/// The actor that runs all searches.
pub(super) struct Searches {
    netdb: NetDb,
    running: HashMap<NetDbKey, Running>,
    learning: HashMap<NetDbKey, Learning>,
    missed: HashMap<NetDbKey, Mono>,
    next_exploration: Mono,
    rng: ChaCha20Rng,
    _vital: Vital,
}

impl Searches {
    /// No search is under way yet.
    pub(super) fn new(netdb: NetDb) -> Self {
        let (rng, now) = (netdb.shared().rng(), netdb.shared().now().mono);
        Self {
            _vital: netdb.shared().vitals().guard("the searches in the network"),
            netdb,
            running: HashMap::new(),
            learning: HashMap::new(),
            missed: HashMap::new(),
            next_exploration: now + EXPLORE_EARLY,
            rng,
        }
    }

    /// Joins a search that runs, or begins one. `None` if that cannot be.
    fn wait_for(&mut self, key: NetDbKey, kind: LookupKind) -> Option<oneshot::Receiver<Option<Entry>>> {
        let now = self.netdb.shared().now().mono;
        if self.missed.get(&key).is_some_and(|until| *until > now) {
            count(SearchOutcome::MissedLately);
            return None;
        }
        if !self.running.contains_key(&key) {
            let for_sessions = |r: &Running| r.search.kind() == LookupKind::RouterInfo;
            let full = kind == LookupKind::RouterInfo
                && self.running.values().filter(|r| for_sessions(r)).count() >= MAX_FOR_SESSIONS;
            if full || self.running.len() >= MAX_RUNNING {
                count(SearchOutcome::Busy);
                return None;
            }
            self.begin(Config::lookup(self.netdb.shared().hash()), key, kind);
        }
        let running = self.running.get_mut(&key)?;
        if running.waiting.len() >= MAX_WAITING {
            count(SearchOutcome::Busy);
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        running.waiting.push(sender);
        Some(receiver)
    }

    fn begin(&mut self, config: Config, key: NetDbKey, kind: LookupKind) {
        let search = Search::new(config, key, kind, &self.netdb.floodfills(), self.netdb.shared().now());
        self.netdb.directory().want(key);
        self.running.insert(key, Running { search, waiting: Vec::new() });
    }

    fn feed(&mut self, key: NetDbKey, input: In) {
        if let Some(running) = self.running.get_mut(&key) {
            running.search.handle_input(self.netdb.shared().now(), input);
            self.drain(key, None);
        }
    }

    /// The only place where what a search puts out takes effect. `found` goes to those who wait, if it ends well.
    fn drain(&mut self, key: NetDbKey, found: Option<&Entry>) {
        while let Some(running) = self.running.get_mut(&key) {
            let kind = running.search.kind();
            match running.search.poll_output() {
                None => return,
                Some(Out::Ask { floodfill, exclude }) => {
                    actix::spawn(ask(self.netdb.clone(), floodfill, key, kind, exclude));
                }
                Some(Out::Learn { router, named_by }) => self.learn(key, router, named_by),
                Some(Out::Answered(floodfill)) => {
                    self.netdb.directory().answered(&floodfill, self.netdb.shared().now().mono);
                }
                Some(Out::Silent(floodfill)) => {
                    if self.netdb.directory().silent(floodfill, self.netdb.shared().now().mono) {
                        count(SearchOutcome::FloodfillRests);
                    }
                }
                Some(Out::Finished(outcome)) => self.finish(key, outcome, found),
            }
        }
    }

    fn finish(&mut self, key: NetDbKey, outcome: Outcome, found: Option<&Entry>) {
        let Some(Running { search, waiting }) = self.running.remove(&key) else { return };
        let exploration = search.kind() == LookupKind::Exploratory;
        count(match (outcome, exploration) {
            (_, true) => SearchOutcome::Explored,
            (Outcome::Found, _) => SearchOutcome::Found,
            (Outcome::NotFound, _) => SearchOutcome::NotFound,
            (Outcome::TimedOut, _) => SearchOutcome::TimedOut,
        });
        if outcome != Outcome::Found
            && search.kind() == LookupKind::RouterInfo
            && search.stats().asked > 0
            && self.missed.len() < MAX_MISSED
        {
            self.missed.insert(key, self.netdb.shared().now().mono + MISSED);
        }
        for waiter in waiting {
            // Whoever waited may have given up.
            let _ = waiter.send(found.cloned());
        }
        if !self.learning.contains_key(&key) {
            self.netdb.directory().unwant(key);
        }
    }

    /// Asks the floodfill that named a router for its RouterInfo.
    fn learn(&mut self, search: NetDbKey, router: RouterHash, named_by: RouterHash) {
        let key = NetDbKey::from(router);
        if router == self.netdb.shared().hash() || self.netdb.directory().knows(&router) {
            // A floodfill that is not usable, or one that became known after the search began: the search goes on without it.
            return self.feed_later(search, router);
        }
        if let Some(learning) = self.learning.get_mut(&key) {
            learning.for_searches.push(search);
            return;
        }
        if self.learning.len() >= MAX_LEARNING {
            return self.feed_later(search, router);
        }
        let until = self.netdb.shared().now().mono + LEARN;
        self.learning.insert(key, Learning { for_searches: vec![search], until });
        self.netdb.directory().want(key);
        actix::spawn(ask(self.netdb.clone(), named_by, key, LookupKind::RouterInfo, Vec::new()));
    }

    /// Tells a search that nothing will be learnt. Its outputs are being drained, so they need no other drain.
    fn feed_later(&mut self, search: NetDbKey, router: RouterHash) {
        let known = self.netdb.floodfills().contains(&router);
        if let Some(running) = self.running.get_mut(&search) {
            let input = if known { In::Learned(router) } else { In::NotLearned(router) };
            running.search.handle_input(self.netdb.shared().now(), input);
        }
    }

    fn learnt(&mut self, key: NetDbKey, usable: bool) {
        let Some(learning) = self.learning.remove(&key) else { return };
        if !self.running.contains_key(&key) {
            self.netdb.directory().unwant(key);
        }
        let router = RouterHash(key.0);
        for search in learning.for_searches {
            self.feed(search, if usable { In::Learned(router) } else { In::NotLearned(router) });
        }
    }

    fn tick(&mut self) {
        let now = self.netdb.shared().now();
        let due: Vec<_> = self
            .running
            .iter()
            .filter(|(_, r)| r.search.poll_timeout().is_some_and(|t| t <= now.mono))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some(running) = self.running.get_mut(&key) {
                running.search.handle_timeout(now);
            }
            self.drain(key, None);
        }
        let late: Vec<_> = self.learning.iter().filter(|(_, l)| l.until <= now.mono).map(|(key, _)| *key).collect();
        for key in late {
            self.learnt(key, false);
        }
        self.missed.retain(|_, until| *until > now.mono);
        if now.mono >= self.next_exploration {
            self.explore(now.mono);
        }
        control::NETDB_SEARCHES_RUNNING.set([], self.running.len() as f64);
    }

    fn explore(&mut self, now: Mono) {
        let few = self.netdb.counts().0 < FEW && !self.netdb.shared().allow_private();
        let pause = if few { EXPLORE_EARLY } else { EXPLORE };
        self.next_exploration = now + pause + pause.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX) / 2.0);
        if self.running.len() < MAX_RUNNING / 2 && !self.netdb.shared().draining() {
            let mut key = NetDbKey::default();
            self.rng.fill_bytes(&mut key.0);
            self.begin(Config::exploration(self.netdb.shared().hash()), key, LookupKind::Exploratory);
            self.drain(key, None);
        }
    }
}

pub(super) fn count_reply(kind: &'static str, via: LookupWay) {
    control::NETDB_REPLIES.add([kind, via.label()], 1);
}

fn count(outcome: SearchOutcome) {
    control::NETDB_SEARCHES.add([outcome.label()], 1);
}

impl Actor for Searches {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.netdb.shared().stop_when_over(self, ctx);
        ctx.run_interval(TICK, |actor, _| actor.tick());
    }
}

impl Handler<Find> for Searches {
    type Result = ResponseFuture<Option<Entry>>;

    fn handle(&mut self, find: Find, _: &mut Context<Self>) -> Self::Result {
        self.netdb.left(Mailbox::Searches);
        let receiver = self.wait_for(find.key, find.kind);
        self.drain(find.key, None);
        Box::pin(async move { receiver?.await.ok().flatten() })
    }
}

impl Handler<Found> for Searches {
    type Result = ();

    fn handle(&mut self, found: Found, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::Searches);
        let key = found.0.key();
        if let Some(running) = self.running.get_mut(&key) {
            running.search.handle_input(self.netdb.shared().now(), In::Found);
            self.drain(key, Some(&found.0));
        }
        self.learnt(key, found.0.as_router_info().is_some_and(is_usable_floodfill));
    }
}

impl Handler<Replied> for Searches {
    type Result = ();

    fn handle(&mut self, replied: Replied, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::Searches);
        let Incoming { origin, message } = replied.0;
        let Ok(reply) = DatabaseSearchReply::parse(&message.body) else {
            return ControlDrop::Malformed.count();
        };
        // Nobody speaks for another over his own session.
        if matches!(origin, Origin::Direct(peer) if peer != reply.from) {
            return ControlDrop::SearchReplyNotFromSender.count();
        }
        let asked = self.netdb.shared().expected().answers_lookup(reply.key, origin, self.netdb.shared().now().mono);
        if asked.is_none() {
            return ControlDrop::SearchReplyNotAskedFor.count();
        }
        let via = if origin.way().is_own() { LookupWay::Tunnels } else { LookupWay::Session };
        if self.running.contains_key(&reply.key) {
            count_reply("search_reply", via);
            self.feed(reply.key, In::Reply { from: reply.from, peers: reply.peers });
        } else {
            self.learnt(reply.key, false);
        }
    }
}

impl Handler<Unreachable> for Searches {
    type Result = ();

    fn handle(&mut self, unreachable: Unreachable, _: &mut Context<Self>) {
        self.netdb.left(Mailbox::Searches);
        // Through tunnels the endpoint speaks with the floodfill, not we.
        let own = self.netdb.paths().get();
        if own.outbound.is_empty() || own.inbound.is_empty() {
            let keys: Vec<_> = self.running.keys().copied().collect();
            for key in keys {
                self.feed(key, In::SendFailed(unreachable.0));
            }
        }
    }
}
