//! What a destination asks the network: whose leases are those of another. Every question and every answer goes through its own tunnels.
//!
//! spec: i2np §DatabaseLookup; proposal 154. INTEROP: how long others wait, and how many they ask.

use super::LocalDestination;
use super::encrypted::FindError;
use crate::drops::ControlDrop;
use crate::expected::Via;
use crate::messages::Incoming;
use crate::series::control;
use crate::series::outcomes::{Publication, SearchOutcome};
use actix::prelude::*;
use ramson_clients::destination::Question;
use ramson_protocol::b32::B32;
use ramson_protocol::blinding::Blinding;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::destination::In as ToCore;
use ramson_protocol::garlic::one_time::OneTimeKey;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
use ramson_protocol::i2np::database_search_reply::DatabaseSearchReply;
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::id::{DestinationHash, NetDbKey, RouterHash};
use ramson_protocol::netdb::publish::In as ToPublisher;
use ramson_protocol::netdb::search::{Config, In, Out, Outcome, Search};
use ramson_protocol::time::Wall;
use rand::Rng;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Searches of one destination at a time.
const MAX_SEARCHES: usize = 32;

/// Who waits for one search, at most.
const MAX_FINDERS: usize = 256;

/// How long the key of an answer is kept.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What bounds a search. INTEROP: i2pd asks seven, 1.6 s each, 12 s in all; Java five, 3 s each.
fn limits(hash: DestinationHash) -> Config {
    Config {
        parallel: 2,
        max_asked: 8,
        patience: Duration::from_secs(3),
        deadline: Duration::from_secs(20),
        ..Config::lookup(RouterHash(hash.0))
    }
}

/// What the client thread asks.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Asked(Question);

/// What is told of a search.
type Finding = Result<Entry, FindError>;

/// Look for the lease set of a destination, and tell who that is. What is not found drops the sender.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Find(pub(super) B32, pub(super) oneshot::Sender<Finding>);

/// Whether the lease set of this destination is being looked for.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub(super) struct IsSought(pub(super) B32);

/// Where the lease set of a destination is looked for.
struct Place {
    key: NetDbKey,
    /// How it is read there, if it is encrypted.
    blinding: Option<Blinding>,
    /// Whose it is, as far as that is known.
    hash: Option<DestinationHash>,
}

/// Who waits for a search, by what it looks for.
pub(super) type Finders = HashMap<NetDbKey, Vec<oneshot::Sender<Finding>>>;

/// Hands questions of the client thread to the actor, until one of them has ended.
pub(super) async fn forward(mut asked: mpsc::Receiver<Question>, to: Addr<LocalDestination>) {
    while let Some(question) = asked.recv().await {
        if to.send(Asked(question)).await.is_err() {
            return;
        }
    }
}

impl LocalDestination {
    /// Where that of this destination is looked for. A hash may be that of one whose lease set was read before, and is encrypted.
    fn place(&self, whom: &B32) -> Option<Place> {
        let now = self.shared.now().wall;
        let (found, hash) = match whom {
            B32::Hash(hash) => (self.encrypted.of_hash(hash, now), Some(*hash)),
            B32::Blinded(address) => (self.encrypted.of_address(address, now), None),
        };
        match found {
            Some((key, blinding)) => Some(Place { key, blinding: Some(blinding), hash }),
            None => Some(Place { key: hash?.into(), blinding: None, hash }),
        }
    }

    fn begin(&mut self, Place { key, blinding, hash }: Place, ctx: &mut Context<Self>) {
        match blinding {
            Some(blinding) => self.begin_blinded((key, blinding), hash, ctx),
            None => self.search(key, ctx),
        }
    }

    /// Looks for what is stored under this key.
    pub(super) fn search(&mut self, key: NetDbKey, ctx: &mut Context<Self>) {
        if self.searches.contains_key(&key) {
            return;
        }
        if self.searches.len() >= MAX_SEARCHES {
            return self.not_found(key, ctx);
        }
        let floodfills = self.netdb.floodfills();
        let search = Search::new(limits(self.hash), key, LookupKind::LeaseSet, &floodfills, self.shared.now());
        self.searches.insert(key, Box::new(search));
        self.drain_search(key, ctx);
    }

    /// Looks for our own lease set at others than the floodfill that confirmed it.
    pub(super) fn verify(&mut self, stored_at: RouterHash, ctx: &mut Context<Self>) {
        let others = self.netdb.floodfills().without(&stored_at);
        let Some(key) = self.stored.as_ref().map(Entry::key).filter(|_| !others.is_empty()) else { return };
        let config = Config { max_asked: 4, ..limits(self.hash) };
        let search = Search::new(config, key, LookupKind::LeaseSet, &others, self.shared.now());
        self.searches.insert(key, Box::new(search));
        self.drain_search(key, ctx);
    }

    pub(super) fn is_own(&self, key: NetDbKey) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.key() == key)
    }

    /// Nothing came of a search: nobody waits for it any more.
    fn not_found(&mut self, key: NetDbKey, ctx: &mut Context<Self>) {
        self.finders.remove(&key);
        self.stands_not(key, ctx);
        if let Some(hash) = self.encrypted.sought(key).unwrap_or(Some(DestinationHash(key.0))) {
            self.answer(ToCore::NotFound(hash));
        }
    }

    /// Tells those who wait for a search what came of it.
    pub(super) fn tell_finders(&mut self, key: NetDbKey, finding: &Finding) {
        for finder in self.finders.remove(&key).unwrap_or_default() {
            // Whoever asked may have gone.
            let _ = finder.send(finding.clone());
        }
    }

    /// The search for our own lease set is over.
    fn verified(&mut self, found: bool) {
        let outcome = if found { Publication::Verified } else { Publication::NotVerified };
        control::DESTINATION_PUBLISHES.add([outcome.label()], 1);
        if !found {
            // Whoever confirmed it has not passed it on.
            self.publisher.handle_input(self.shared.now(), ToPublisher::Publish);
        }
    }

    pub(super) fn answer(&self, answer: ToCore) {
        if !self.tell(answer) {
            ControlDrop::DataPlaneFull.count();
        }
    }

    pub(super) fn tick_searches(&mut self, ctx: &mut Context<Self>) {
        let now = self.shared.now();
        let due = |search: &Search| search.poll_timeout().is_some_and(|at| at <= now.mono);
        let due: Vec<NetDbKey> = self.searches.iter().filter(|(_, s)| due(s)).map(|(key, _)| *key).collect();
        for key in due {
            if let Some(search) = self.searches.get_mut(&key) {
                search.handle_timeout(now);
            }
            self.drain_search(key, ctx);
        }
    }

    pub(super) fn feed(&mut self, key: NetDbKey, input: In, ctx: &mut Context<Self>) {
        if let Some(search) = self.searches.get_mut(&key) {
            search.handle_input(self.shared.now(), input);
            self.drain_search(key, ctx);
        }
    }

    fn drain_search(&mut self, key: NetDbKey, ctx: &mut Context<Self>) {
        while let Some(out) = self.searches.get_mut(&key).and_then(|search| search.poll_output()) {
            match out {
                Out::Ask { floodfill, exclude } => self.ask(key, floodfill, exclude, ctx),
                Out::Learn { router, .. } => {
                    let found = self.netdb.find_router(router);
                    ctx.spawn(found.into_actor(self).map(move |found, actor, ctx| {
                        let usable =
                            found.is_some_and(|info| ramson_protocol::netdb::rules::is_usable_floodfill(&info));
                        actor.feed(key, if usable { In::Learned(router) } else { In::NotLearned(router) }, ctx);
                    }));
                }
                // Whom the router asks is not to follow what a destination has seen: that would tie the two together.
                Out::Answered(_) | Out::Silent(_) => {}
                Out::Finished(outcome) => {
                    self.searches.remove(&key);
                    if self.is_own(key) {
                        self.verified(outcome == Outcome::Found);
                        continue;
                    }
                    let how = match outcome {
                        Outcome::Found => SearchOutcome::Found,
                        Outcome::NotFound => SearchOutcome::NotFound,
                        Outcome::TimedOut => SearchOutcome::TimedOut,
                    };
                    control::DESTINATION_LOOKUPS.add([how.label()], 1);
                    if outcome != Outcome::Found {
                        self.not_found(key, ctx);
                    }
                }
            }
        }
    }

    fn ask(&mut self, key: NetDbKey, floodfill: RouterHash, exclude: Vec<RouterHash>, ctx: &mut Context<Self>) {
        let own = self.pool.paths().get();
        let Some((outbound, inbound)) = self.pair(&own) else { return };
        let (mut secret, mut tag) = ([0; 32], [0; 8]);
        self.rng.fill_bytes(&mut secret);
        self.rng.fill_bytes(&mut tag);
        let lookup = DatabaseLookup {
            key,
            from: inbound.gateway,
            reply_tunnel: Some(inbound.gateway_tunnel),
            kind: LookupKind::LeaseSet,
            exclude,
            encryption: ReplyEncryption::Ecies { key: secret, tag },
        };
        let (via, until) = (Via::Tunnel(inbound.id), self.shared.now().mono + ANSWER_WITHIN);
        self.shared.expected().expect_garlic(self.owner(), OneTimeKey { key: secret, tag }, via, until);
        self.shared.expected().expect_entry(self.owner(), key, floodfill, via, until);
        let message = self.shared.message(MessageType::DatabaseLookup, lookup.to_body());
        self.send_to_floodfill(floodfill, outbound, message, ctx);
    }

    fn on_entry(&mut self, entry: Entry, ctx: &mut Context<Self>) {
        let (key, now) = (entry.key(), self.shared.now().wall);
        let fits = entry.expires().is_some_and(|end| end > now);
        if !fits || !self.searches.contains_key(&key) || entry.verify().is_err() {
            return ControlDrop::Unexpected.count();
        }
        if self.is_own(key) {
            return self.on_own(key, entry.version(), ctx);
        }
        self.tell_finders(key, &Ok(entry.clone()));
        self.answer(ToCore::LeaseSet(entry));
        self.tell_standing(key);
        self.feed(key, In::Found, ctx);
    }

    /// Our own lease set came back. One from before is not what we have published.
    pub(super) fn on_own(&mut self, key: NetDbKey, version: Wall, ctx: &mut Context<Self>) {
        if self.stored.as_ref().is_some_and(|ours| version >= ours.version()) {
            self.feed(key, In::Found, ctx);
        }
    }
}

impl Handler<Asked> for LocalDestination {
    type Result = ();

    fn handle(&mut self, Asked(question): Asked, ctx: &mut Context<Self>) {
        match question {
            Question::LeaseSet(hash) => {
                if let Some(place) = self.place(&B32::Hash(hash)) {
                    self.begin(place, ctx);
                }
            }
            Question::Tunnels => self.pool.doubt(),
        }
    }
}

impl Handler<Find> for LocalDestination {
    type Result = ();

    fn handle(&mut self, Find(whom, finder): Find, ctx: &mut Context<Self>) {
        let Some(place) = self.place(&whom) else { return };
        // Whose own it is knows himself.
        if self.is_own(place.key) || place.hash == Some(self.hash) {
            return;
        }
        let finders = self.finders.entry(place.key).or_default();
        if finders.len() < MAX_FINDERS {
            finders.push(finder);
            self.begin(place, ctx);
        }
    }
}

impl Handler<IsSought> for LocalDestination {
    type Result = bool;

    fn handle(&mut self, IsSought(whom): IsSought, _: &mut Context<Self>) -> bool {
        self.place(&whom).is_some_and(|place| self.searches.contains_key(&place.key))
    }
}

impl Handler<Incoming> for LocalDestination {
    type Result = ();

    fn handle(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        let Incoming { origin, message } = incoming;
        let asked = |key| self.shared.expected().answers_lookup(key, origin, self.shared.now().mono).is_some();
        match message.kind {
            MessageType::DatabaseStore => match DatabaseStore::parse(&message.body) {
                Ok(DatabaseStore { key, entry: entry @ (Entry::LeaseSet(_) | Entry::LeaseSet2(_)), .. })
                    if entry.key() == key && asked(key) =>
                {
                    self.on_entry(entry, ctx);
                }
                Ok(DatabaseStore { key, entry: Entry::EncryptedLeaseSet(sealed), .. }) if asked(key) => {
                    self.on_encrypted(key, &sealed, ctx);
                }
                Ok(DatabaseStore { key, entry: Entry::MetaLeaseSet(meta), .. })
                    if DestinationHash(key.0) == meta.hash() && asked(key) =>
                {
                    self.on_meta(key, &meta, ctx);
                }
                Ok(_) => ControlDrop::Unexpected.count(),
                Err(_) => ControlDrop::Malformed.count(),
            },
            MessageType::DatabaseSearchReply => match DatabaseSearchReply::parse(&message.body) {
                Ok(reply) if asked(reply.key) => {
                    let DatabaseSearchReply { key, peers, from } = reply;
                    self.feed(key, In::Reply { from, peers }, ctx);
                }
                Ok(_) => ControlDrop::SearchReplyNotAskedFor.count(),
                Err(_) => ControlDrop::Malformed.count(),
            },
            _ => ControlDrop::UnsupportedType.count(),
        }
    }
}
