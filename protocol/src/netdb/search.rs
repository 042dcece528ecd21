//! Looking for an entry: floodfill after floodfill, from the closest that we know towards the closest there is.
//!
//! spec: network-database §RouterInfo and LeaseSet Lookup (iterative), §Exploration; i2np §DatabaseSearchReply
//!
//! ```text
//!             Found ──────────────────────────────────────────▶ Finished(Found)
//! Searching ─┤ Reply, SendFailed, a floodfill's time is up: ask the next closest
//!             nobody left to ask, or asked enough ────────────▶ Finished(NotFound)
//!             the whole search's time is up ──────────────────▶ Finished(TimedOut)
//! ```
//!
//! Of two floodfills that are asked one after the other at least one is proven, if any is left: whoever makes many names
//! close to a key is asked for it, too, but not alone.
//!
//! Invariants: at most `parallel` floodfills are being asked, at most `max_asked` are asked at all and none twice; a
//! reply counts only from one that was asked; routers that we do not know are learnt only if they are closer than the
//! one that named them, and at most [`MAX_LEARNING`] of them: a lying floodfill costs us its turn and no more.

use super::floodfills::Floodfills;
use super::routing_key::{Day, Distance, distance, routing_key};
use crate::i2np::database_lookup::LookupKind;
use crate::id::{NetDbKey, RouterHash, RoutingKey};
use crate::time::{Mono, Now};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Most routers that a search makes us learn.
pub const MAX_LEARNING: usize = 12;
/// Candidates that are kept beyond those that can be asked.
const SPARE: usize = 8;

/// What bounds a search.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Ourselves: never asked.
    pub own: RouterHash,
    /// Floodfills asked at the same time.
    pub parallel: usize,
    /// Floodfills asked at all.
    pub max_asked: usize,
    /// How long one may take. Through tunnels an answer takes seconds.
    pub patience: Duration,
    /// How long the search may take.
    pub deadline: Duration,
}

impl Config {
    /// For lookups of an entry.
    pub fn lookup(own: RouterHash) -> Self {
        Self { own, parallel: 2, max_asked: 10, patience: Duration::from_secs(5), deadline: Duration::from_secs(30) }
    }

    /// For exploration: each floodfill's reply is what we want.
    pub fn exploration(own: RouterHash) -> Self {
        Self { parallel: 1, max_asked: 3, ..Self::lookup(own) }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum In {
    /// The entry arrived, was judged and taken.
    Found,
    /// A DatabaseSearchReply for our key.
    Reply {
        /// Who says he sent it.
        from: RouterHash,
        /// Whom he names.
        peers: Vec<RouterHash>,
    },
    /// The lookup could not be sent.
    SendFailed(RouterHash),
    /// The RouterInfo of a router to be learnt arrived: it is a floodfill that can be asked.
    Learned(RouterHash),
    /// It did not arrive, or it is not a usable floodfill.
    NotLearned(RouterHash),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Send a DatabaseLookup.
    Ask {
        /// The floodfill that is asked.
        floodfill: RouterHash,
        /// Whom it need not name.
        exclude: Vec<RouterHash>,
    },
    /// Get a RouterInfo that we lack, best from `named_by`. In an exploration no answer is waited for.
    Learn {
        /// The router.
        router: RouterHash,
        /// The floodfill that named it.
        named_by: RouterHash,
    },
    /// This one has answered.
    Answered(RouterHash),
    /// This one was asked and its time is up.
    Silent(RouterHash),
    /// The search is over.
    Finished(Outcome),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The entry is there.
    Found,
    /// All who might have it were asked. The normal end of an exploration.
    NotFound,
    /// Time ran out.
    TimedOut,
}

/// Counters of one search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lookups sent.
    pub asked: u32,
    /// Replies that counted.
    pub replies: u32,
    /// Floodfills whose time was up.
    pub timeouts: u32,
    /// Lookups that could not be sent.
    pub failed: u32,
    /// Replies of routers that were not asked.
    pub unasked: u32,
}

/// A search. After any input drain [`Search::poll_output`], then re-arm one timer at [`Search::poll_timeout`].
#[derive(Debug)]
pub struct Search {
    config: Config,
    key: NetDbKey,
    kind: LookupKind,
    place: RoutingKey,
    floodfills: Floodfills,
    candidates: BTreeMap<Distance, RouterHash>,
    /// The one that was asked last was not proven.
    stranger_asked: bool,
    /// Everyone who was ever a candidate or learnt.
    heard: BTreeSet<RouterHash>,
    asked: Vec<RouterHash>,
    pending: SmallVec<[(RouterHash, Mono); 4]>,
    learning: SmallVec<[(RouterHash, Mono); 4]>,
    learnt: usize,
    deadline: Mono,
    state: State,
    out: VecDeque<Out>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Searching,
    Finished,
}

impl Search {
    /// Begins a search among `floodfills`, a snapshot of those that can be asked. There is no seed: nothing is random.
    pub fn new(config: Config, key: NetDbKey, kind: LookupKind, floodfills: &Floodfills, now: Now) -> Self {
        let place = routing_key(key, Day::of(now.wall));
        let mut search = Self {
            config,
            key,
            kind,
            place,
            floodfills: floodfills.clone(),
            candidates: BTreeMap::new(),
            stranger_asked: false,
            heard: BTreeSet::from([config.own]),
            asked: Vec::new(),
            pending: SmallVec::new(),
            learning: SmallVec::new(),
            learnt: 0,
            deadline: now.mono + config.deadline,
            state: State::Searching,
            out: VecDeque::new(),
            stats: Stats::default(),
        };
        // A router that is itself looked for cannot be asked for itself: we would need its RouterInfo to do so.
        let room = config.max_asked + SPARE;
        for router in floodfills.closest_n(&place, room, room / 2, |r| NetDbKey::from(*r) != key) {
            search.add_candidate(router);
        }
        search.advance(now);
        search
    }

    /// What is looked for.
    pub fn key(&self) -> NetDbKey {
        self.key
    }

    /// What kind of entry.
    pub fn kind(&self) -> LookupKind {
        self.kind
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Now, input: In) {
        if self.state == State::Finished {
            return;
        }
        match input {
            In::Found => return self.finish(Outcome::Found),
            In::Reply { from, peers } => self.handle_reply(now, from, &peers),
            In::SendFailed(router) => {
                let before = self.pending.len();
                self.pending.retain(|(r, _)| *r != router);
                self.stats.failed += u32::from(self.pending.len() < before);
            }
            In::Learned(router) => {
                if self.stop_learning(router) {
                    self.insert_candidate(router);
                }
            }
            In::NotLearned(router) => {
                self.stop_learning(router);
            }
        }
        self.advance(now);
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.state == State::Finished {
            return;
        }
        if now.mono >= self.deadline {
            return self.finish(Outcome::TimedOut);
        }
        let late = |(_, until): &(RouterHash, Mono)| *until <= now.mono;
        for (router, _) in self.pending.iter().filter(|pending| late(pending)) {
            self.stats.timeouts += 1;
            self.out.push_back(Out::Silent(*router));
        }
        self.pending.retain(|pending| !late(pending));
        self.learning.retain(|(_, until)| *until > now.mono);
        self.advance(now);
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When to call [`Search::handle_timeout`]; `None` when finished.
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Finished => None,
            State::Searching => {
                let waits = self.pending.iter().chain(&self.learning).map(|(_, until)| *until);
                Some(waits.min().map_or(self.deadline, |t| t.min(self.deadline)))
            }
        }
    }

    fn handle_reply(&mut self, now: Now, from: RouterHash, peers: &[RouterHash]) {
        // One whose time was up may still answer: what it says is as good as before.
        if !self.asked.contains(&from) {
            self.stats.unasked += 1;
            return;
        }
        self.pending.retain(|(r, _)| *r != from);
        self.stats.replies += 1;
        self.out.push_back(Out::Answered(from));
        let reach = distance(&self.place, &from);
        for router in peers {
            if self.heard.contains(router) {
                continue;
            }
            if self.kind == LookupKind::Exploratory {
                self.learn(*router, from, None);
            } else if self.floodfills.contains(router) {
                self.add_candidate(*router);
            } else if distance(&self.place, router) < reach {
                self.learn(*router, from, Some(now.mono + self.config.patience));
            }
        }
    }

    fn learn(&mut self, router: RouterHash, named_by: RouterHash, until: Option<Mono>) {
        let limit = if until.is_some() { MAX_LEARNING } else { MAX_LEARNING * self.config.max_asked };
        if self.learnt < limit && self.heard.insert(router) {
            self.learnt += 1;
            self.out.push_back(Out::Learn { router, named_by });
            if let Some(until) = until {
                self.learning.push((router, until));
            }
        }
    }

    /// True if it was being learnt.
    fn stop_learning(&mut self, router: RouterHash) -> bool {
        let before = self.learning.len();
        self.learning.retain(|(r, _)| *r != router);
        self.learning.len() < before
    }

    fn add_candidate(&mut self, router: RouterHash) {
        if self.heard.insert(router) {
            self.insert_candidate(router);
        }
    }

    fn insert_candidate(&mut self, router: RouterHash) {
        self.candidates.insert(distance(&self.place, &router), router);
        // The farthest gives way, it would hardly be asked; a stranger before one that was reached.
        while self.candidates.len() > self.config.max_asked + SPARE {
            let stranger = self.candidates.iter().rev().find(|(_, r)| !self.floodfills.is_proven(r)).map(|(at, _)| *at);
            match stranger {
                Some(at) => drop(self.candidates.remove(&at)),
                None => drop(self.candidates.pop_last()),
            }
        }
    }

    /// The closest; after a stranger the closest of those that were reached.
    fn next_candidate(&mut self) -> Option<RouterHash> {
        let mut proven = self.candidates.iter().filter(|(_, router)| self.floodfills.is_proven(router));
        let at = match proven.next() {
            Some((at, _)) if self.stranger_asked => *at,
            _ => *self.candidates.first_key_value()?.0,
        };
        let router = self.candidates.remove(&at)?;
        self.stranger_asked = !self.floodfills.is_proven(&router);
        Some(router)
    }

    fn advance(&mut self, now: Now) {
        while self.pending.len() < self.config.parallel && self.asked.len() < self.config.max_asked {
            let Some(floodfill) = self.next_candidate() else { break };
            let exclude = self.asked.clone();
            self.asked.push(floodfill);
            self.pending.push((floodfill, now.mono + self.config.patience));
            self.stats.asked += 1;
            self.out.push_back(Out::Ask { floodfill, exclude });
        }
        let can_still_ask = self.asked.len() < self.config.max_asked && !self.learning.is_empty();
        if self.pending.is_empty() && !can_still_ask {
            self.finish(Outcome::NotFound);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.state = State::Finished;
        self.pending.clear();
        self.learning.clear();
        self.out.push_back(Out::Finished(outcome));
    }
}

#[cfg(test)]
mod tests;
