//! Which routers we build tunnels through: what they say of themselves ([`facts`]), how they have done so far
//! ([`profile`]), where our tunnels pass already ([`usage`]), and the choice ([`Peers::select`]).
//!
//! The choice is random, weighted by bandwidth letter, congestion, speed and past success, and bound by rules: never two
//! hops in one /16 (IPv4) or /32 (IPv6) or in one family, nor in ours, and all who stand in one of these together are chosen as
//! seldom as a few; nobody who is too old, full, or unreachable;
//! neighbours that can call each other; nobody who failed a short while ago, or is in a third of our tunnels; and hardly
//! ever a router that nobody has reached. When there are too few candidates the last of these rules are given up, one after
//! the other: a network of ten routers still builds tunnels.
//!
//! Bounded: beyond the limit the least useful of a few, taken at random, gives way.
//!
//! spec: tunnel-implementation §Peer Selection, §Peer Ordering within Tunnels; proposal 162

mod choice;
mod crowds;
pub mod facts;
mod guards;
pub mod profile;
pub mod usage;

use crate::data::router_info::{Bandwidth, Version};
use crate::id::RouterHash;
use crate::time::{Mono, Now};
use crate::tunnel::Direction;
use crate::tunnel::build::HopSpec;
use crate::tunnel::record::Form;
use crate::wire::{Reader, Result, Writer};
use choice::Strictness;
use crowds::Crowds;
use facts::{Facts, Subnet};
use guards::Guard;
use profile::Profile;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Entries compared when one has to give way.
const EVICTION_SAMPLE: usize = 8;

/// Bounds and rules.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Routers kept in mind.
    pub max: usize,
    /// Hops of an older version are not used. Java demands 0.9.59, i2pd 0.9.58.
    pub min_version: Version,
    /// Hops that share less are not used.
    pub min_bandwidth: Bandwidth,
    /// Private networks: all hops may lie in one subnet.
    pub same_subnet: bool,
    /// Our own family, by the hash of [`Facts::family`]: none of it is a hop of ours.
    pub family: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max: 20_000,
            min_version: Version(0, 9, 58),
            min_bandwidth: Bandwidth::L,
            same_subnet: false,
            family: None,
        }
    }
}

/// What a tunnel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The router's own business: any router that does not fail, so that new ones get to be known.
    Exploratory,
    /// A destination's traffic: fast and proven ones.
    Client,
}

/// What is to be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// How many hops.
    pub hops: usize,
    /// Which way the tunnel leads.
    pub direction: Direction,
    /// What the tunnel is for.
    pub purpose: Purpose,
    /// Routers that must not be among them: ourselves, the user's ban list.
    pub exclude: &'a [RouterHash],
    /// Routers that are left out if there are others: those of the tunnel that the build's message or answer passes
    /// through.
    pub avoid: &'a [RouterHash],
    /// Where we are ourselves: nobody there is a hop.
    pub near: &'a [Subnet],
    /// Of an inbound tunnel to a router that nobody can call: those with whom a session stands, of whom one is to be the
    /// last hop. Any other would have to be introduced while the build waits.
    pub last: Option<&'a HashSet<RouterHash>>,
    /// The pool's secret: hops are ordered by it, so that a pool's tunnels never have two routers in either order.
    pub order: [u8; 32],
}

/// Not enough routers may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only {found} routers can be hops")]
pub struct TooFew {
    /// How many could be found.
    pub found: usize,
}

/// The hops for a tunnel, in order, and the form of build message that all of them understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Hops in the order in which cells travel.
    pub hops: Vec<HopSpec>,
    /// The form.
    pub form: Form,
}

/// All routers that may become hops.
pub struct Peers {
    config: Config,
    entries: Vec<Entry>,
    index: BTreeMap<RouterHash, usize>,
    guards: Vec<Guard>,
    crowds: Crowds,
    /// How builds with routers went that nobody had reached, faded by each.
    strangers_good: f32,
    strangers_bad: f32,
    /// The round trip of our tests, in seconds, on average.
    round_trip: Option<f32>,
}

/// What was known so soon after the start came from disk, or from those who gave us our first routers.
const FIRST: Duration = Duration::from_secs(30);

/// Who has been known for so long is an acquaintance.
const ACQUAINTED: Duration = Duration::from_secs(3600);

/// What one more build with a stranger takes of the weight of those before.
const STRANGERS_FADE: f32 = 0.97;

/// The weight of one more test in averages of round trips.
const SMOOTHING: f32 = 0.1;

struct Entry {
    hash: RouterHash,
    since: Mono,
    facts: Option<Facts>,
    profile: Profile,
}

impl Peers {
    /// An empty table: no router is known yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            entries: Vec::new(),
            index: BTreeMap::new(),
            guards: Vec::new(),
            crowds: Crowds::default(),
            strangers_good: 0.0,
            strangers_bad: 0.0,
            round_trip: None,
        }
    }

    /// Routers in mind.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nobody is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A router's latest RouterInfo.
    pub fn update(&mut self, hash: RouterHash, facts: Facts, now: Now, rng: &mut ChaCha20Rng) {
        let at = self.entry(hash, now.mono, rng);
        self.crowds.add(&facts);
        if let Some(before) = self.entries[at].facts.replace(facts) {
            self.crowds.take_away(&before);
        }
    }

    /// A router's RouterInfo is gone. Its profile stays as long as there is room.
    pub fn forget(&mut self, hash: &RouterHash) {
        if let Some(at) = self.index.get(hash)
            && let Some(before) = self.entries[*at].facts.take()
        {
            self.crowds.take_away(&before);
        }
    }

    /// Notes what happened with a router that we know.
    pub fn note(&mut self, hash: &RouterHash, event: profile::Event, now: Mono) {
        if let Some(at) = self.index.get(hash).copied() {
            let stranger = self.is_stranger(&self.entries[at], now);
            self.entries[at].profile.note(event, now);
            if stranger {
                self.stranger_did(event);
            }
        }
    }

    fn stranger_did(&mut self, event: profile::Event) {
        use profile::Event;
        let (good, bad) = match event {
            Event::Accepted | Event::Refused => (1.0, 0.0),
            Event::Unreachable | Event::Misbehaved => (0.0, 1.0),
            Event::Reached | Event::Proven => return,
        };
        self.note_stranger(good, bad);
    }

    fn note_stranger(&mut self, good: f32, bad: f32) {
        self.strangers_good = self.strangers_good * STRANGERS_FADE + good;
        self.strangers_bad = self.strangers_bad * STRANGERS_FADE + bad;
    }

    /// Whether nothing is known of a router but what it says: nobody has reached it, or it stands in a crowd, whose members it costs
    /// nothing to be reached, and has never agreed to be a hop.
    fn is_stranger(&self, entry: &Entry, now: Mono) -> bool {
        let crowded = || entry.facts.as_ref().is_some_and(|facts| self.share(facts) < 1.0);
        !entry.profile.is_proven(now) || crowded() && !entry.profile.has_agreed(now)
    }

    /// What a router counts among others: 1, or less in a crowd.
    fn share(&self, facts: &Facts) -> f32 {
        if self.config.same_subnet { 1.0 } else { self.crowds.share(facts) }
    }

    /// Whether a router was reached lately.
    pub fn is_proven(&self, hash: &RouterHash, now: Mono) -> bool {
        self.profile(hash).is_some_and(|profile| profile.is_proven(now))
    }

    /// Those that were reached lately.
    pub fn proven(&self, now: Mono) -> impl Iterator<Item = RouterHash> {
        self.entries.iter().filter(move |e| e.profile.is_proven(now)).map(|e| e.hash)
    }

    /// Notes an event of which one of several routers is the cause: each gets its share.
    pub fn note_shared<'a>(
        &mut self,
        hashes: impl ExactSizeIterator<Item = &'a RouterHash>,
        event: profile::Shared,
        now: Mono,
    ) {
        if let profile::Shared::TestPassed { rtt } = event {
            let usual = self.round_trip.get_or_insert(rtt.as_secs_f32());
            *usual += SMOOTHING * (rtt.as_secs_f32() - *usual);
        }
        let share = 1.0 / hashes.len().max(1) as f32;
        for hash in hashes {
            if let Some(at) = self.index.get(hash).copied() {
                if event == profile::Shared::BuildTimedOut && self.is_stranger(&self.entries[at], now) {
                    self.note_stranger(0.0, 1.0);
                }
                self.entries[at].profile.note_shared(event, share, now);
            }
        }
    }

    /// The profile of a router, for the operator.
    pub fn profile(&self, hash: &RouterHash) -> Option<&Profile> {
        self.index.get(hash).map(|at| &self.entries[*at].profile)
    }

    /// True if we have known a router for long.
    pub fn is_acquaintance(&self, hash: &RouterHash, now: Mono) -> bool {
        self.index.get(hash).is_some_and(|at| self.entries[*at].is_acquaintance(now))
    }

    /// Routers that we have known for long.
    pub fn acquaintances(&self, now: Mono) -> usize {
        self.entries.iter().filter(|entry| entry.is_acquaintance(now)).count()
    }

    /// How many routers may be hops now.
    pub fn usable(&self, now: Now) -> usize {
        self.entries.iter().filter(|e| self.weight(e, Purpose::Client, now, Strictness::USABLE) > 0.0).count()
    }

    fn entry(&mut self, hash: RouterHash, now: Mono, rng: &mut ChaCha20Rng) -> usize {
        if let Some(at) = self.index.get(&hash) {
            return *at;
        }
        if self.entries.len() >= self.config.max.max(1) {
            self.evict(now, rng);
        }
        let at = self.entries.len();
        self.entries.push(Entry { hash, since: now, facts: None, profile: Profile::new(now) });
        self.index.insert(hash, at);
        at
    }

    fn evict(&mut self, now: Mono, rng: &mut ChaCha20Rng) {
        let value = |e: &Entry| {
            let known = if e.facts.is_some() { 1.0 } else { 0.0 };
            let proven = if e.profile.is_proven(now) { 4.0 } else { 0.0 };
            known + proven + e.profile.success(now) + e.profile.experience(now).min(4.0)
        };
        let sample = (0..EVICTION_SAMPLE).map(|_| rng.random_range(0..self.entries.len()));
        let worst = sample.min_by(|a, b| value(&self.entries[*a]).total_cmp(&value(&self.entries[*b])));
        let Some(at) = worst else { return };
        let gone = self.entries.swap_remove(at);
        gone.facts.iter().for_each(|facts| self.crowds.take_away(facts));
        self.index.remove(&gone.hash);
        if let Some(moved) = self.entries.get(at) {
            self.index.insert(moved.hash, at);
        }
    }

    /// The profiles of routers that we have experience with, to be stored.
    ///
    /// ```text
    /// count (4) | ( hash (32) | profile (24) ) * count
    /// ```
    pub fn write(&self, now: Mono, out: &mut impl Writer) {
        let known = || self.entries.iter().filter(|e| e.profile.experience(now) > 0.1 || e.profile.is_proven(now));
        out.put_u32(known().count() as u32);
        for entry in known() {
            out.put(&entry.hash.0);
            entry.profile.write(self.is_guard(&entry.hash), now, out);
        }
    }

    /// Reads stored profiles, up to the limit. Call it before the first [`Peers::update`].
    ///
    /// # Errors
    /// If the bytes end early; what was read up to there stays.
    pub fn read(&mut self, r: &mut Reader<'_>, now: Mono, rng: &mut ChaCha20Rng) -> Result<()> {
        for _ in 0..r.u32()? {
            let (hash, (profile, guard)) = (RouterHash(r.array()?), Profile::read(r, now)?);
            if self.entries.len() < self.config.max {
                let at = self.entry(hash, now, rng);
                self.entries[at].profile = profile;
                if guard {
                    self.add_guard(hash, now, rng);
                }
            }
        }
        Ok(())
    }

    /// A new order key for a pool.
    pub fn order_key(rng: &mut ChaCha20Rng) -> [u8; 32] {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        key
    }
}

impl Entry {
    fn is_acquaintance(&self, now: Mono) -> bool {
        self.since <= FIRST || now.saturating_sub(self.since) >= ACQUAINTED
    }
}

#[cfg(test)]
mod tests;
