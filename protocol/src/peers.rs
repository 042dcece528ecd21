//! Which routers we build tunnels through: what they say of themselves ([`facts`]), how they have done so far
//! ([`profile`]), and the choice ([`Peers::select`]).
//!
//! The choice is random, weighted by bandwidth letter, congestion and past success, and bound by rules: never two hops
//! in one /16 (IPv4) or /32 (IPv6) or in one family, nobody who is too old, full, or unreachable, and nobody who failed
//! a short while ago. When there are too few candidates the memory of recent failures is the first to be given up, and
//! only it: a network of ten routers still builds tunnels.
//!
//! Bounded: beyond the limit the least useful of a few, taken at random, gives way.
//!
//! spec: tunnel-implementation §Peer Selection, §Peer Ordering within Tunnels; proposal 162

pub mod facts;
pub mod profile;

use crate::data::router_info::{Bandwidth, Congestion, Version};
use crate::id::RouterHash;
use crate::time::{Mono, Now};
use crate::tunnel::Direction;
use crate::tunnel::build::HopSpec;
use crate::tunnel::record::Form;
use crate::wire::{Reader, Result, Writer};
use facts::{Facts, Subnet};
use profile::Profile;
use ramson_crypto::hash::sha256;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Random candidates looked at per hop before all are looked at.
const TRIES_PER_HOP: usize = 64;
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
    /// Routers that must not be among them: ourselves, the gateway of the paired tunnel, the user's ban list.
    pub exclude: &'a [RouterHash],
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
}

/// What was known so soon after the start came from disk, or from those who gave us our first routers.
const FIRST: Duration = Duration::from_secs(30);

/// Who has been known for so long is an acquaintance.
const ACQUAINTED: Duration = Duration::from_secs(3600);

struct Entry {
    hash: RouterHash,
    since: Mono,
    facts: Option<Facts>,
    profile: Profile,
}

/// How much of the memory of failures counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    All,
    Nothing,
}

impl Peers {
    /// An empty table: no router is known yet.
    pub fn new(config: Config) -> Self {
        Self { config, entries: Vec::new(), index: BTreeMap::new() }
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
        self.entries[at].facts = Some(facts);
    }

    /// A router's RouterInfo is gone. Its profile stays as long as there is room.
    pub fn forget(&mut self, hash: &RouterHash) {
        if let Some(at) = self.index.get(hash) {
            self.entries[*at].facts = None;
        }
    }

    /// Notes what happened with a router that we know.
    pub fn note(&mut self, hash: &RouterHash, event: profile::Event, now: Mono) {
        if let Some(at) = self.index.get(hash) {
            self.entries[*at].profile.note(event, now);
        }
    }

    /// Notes an event of which one of several routers is the cause: each gets its share.
    pub fn note_shared<'a>(
        &mut self,
        hashes: impl ExactSizeIterator<Item = &'a RouterHash>,
        event: profile::Shared,
        now: Mono,
    ) {
        let share = 1.0 / hashes.len().max(1) as f32;
        for hash in hashes {
            if let Some(at) = self.index.get(hash) {
                self.entries[*at].profile.note_shared(event, share, now);
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
        self.entries.iter().filter(|e| self.weight(e, Purpose::Client, now, Strictness::All) > 0.0).count()
    }

    /// Chooses the hops of a tunnel.
    ///
    /// # Errors
    /// [`TooFew`] if the rules leave fewer than asked for.
    pub fn select(&self, wish: &Wish<'_>, now: Now, rng: &mut ChaCha20Rng) -> std::result::Result<Chosen, TooFew> {
        let mut chosen = Choice { at: SmallVec::new(), subnets: SmallVec::new(), families: SmallVec::new() };
        for strictness in [Strictness::All, Strictness::Nothing] {
            self.sample(&mut chosen, wish, now, strictness, rng);
            if chosen.at.len() < wish.hops {
                self.scan(&mut chosen, wish, now, strictness, rng);
            }
        }
        if chosen.at.len() < wish.hops {
            return Err(TooFew { found: chosen.at.len() });
        }
        Ok(self.ordered(&chosen.at, wish))
    }

    /// Random candidates, each taken with the probability of its weight.
    fn sample(&self, chosen: &mut Choice, wish: &Wish<'_>, now: Now, strictness: Strictness, rng: &mut ChaCha20Rng) {
        if self.entries.is_empty() {
            return;
        }
        for _ in 0..TRIES_PER_HOP * wish.hops {
            if chosen.at.len() == wish.hops {
                return;
            }
            let at = rng.random_range(0..self.entries.len());
            let weight = self.weight(&self.entries[at], wish.purpose, now, strictness);
            if rng.random::<f32>() < weight {
                self.take(chosen, at, wish);
            }
        }
    }

    /// All candidates, by the exponential trick: the largest of `random ^ (1 / weight)` is a weighted random choice.
    fn scan(&self, chosen: &mut Choice, wish: &Wish<'_>, now: Now, strictness: Strictness, rng: &mut ChaCha20Rng) {
        let mut keyed: Vec<(f32, usize)> = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let weight = self.weight(entry, wish.purpose, now, strictness);
            if weight > 0.0 {
                keyed.push((rng.random::<f32>().powf(1.0 / weight), at));
            }
        }
        keyed.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        for (_, at) in keyed {
            if chosen.at.len() == wish.hops {
                return;
            }
            self.take(chosen, at, wish);
        }
    }

    /// Takes a candidate if no rule that ties hops together forbids it.
    fn take(&self, chosen: &mut Choice, at: usize, wish: &Wish<'_>) {
        let entry = &self.entries[at];
        let Some(facts) = &entry.facts else { return };
        if chosen.at.contains(&at) || wish.exclude.contains(&entry.hash) {
            return;
        }
        // The first hop is the one we have to reach ourselves; one such router is chosen before all others.
        if chosen.at.is_empty() && wish.direction == Direction::Outbound && !facts.dialable {
            return;
        }
        if chosen.at.is_empty() && wish.last.is_some_and(|connected| !connected.contains(&entry.hash)) {
            return;
        }
        let near = facts.subnets.iter().any(|subnet| chosen.subnets.contains(subnet));
        let kin =
            facts.family.is_some_and(|family| chosen.families.contains(&family) || self.config.family == Some(family));
        if (near && !self.config.same_subnet) || kin {
            return;
        }
        chosen.at.push(at);
        chosen.subnets.extend(facts.subnets.iter().copied());
        chosen.families.extend(facts.family);
    }

    /// spec: tunnel-implementation §Peer Ordering within Tunnels — by the distance XOR(H(peer ‖ key), key).
    fn ordered(&self, at: &[usize], wish: &Wish<'_>) -> Chosen {
        let distance = |hash: &RouterHash| {
            let mut d = sha256(&[&hash.0, &wish.order]);
            d.iter_mut().zip(wish.order).for_each(|(d, k)| *d ^= k);
            d
        };
        let mut chosen: Vec<&Entry> = at.iter().map(|at| &self.entries[*at]).collect();
        chosen.sort_by_cached_key(|entry| distance(&entry.hash));
        if wish.direction == Direction::Outbound
            && let Some(first) = chosen.iter().position(|e| e.facts.as_ref().is_some_and(|f| f.dialable))
        {
            chosen[..=first].rotate_right(1);
        }
        if let Some(connected) = wish.last
            && let Some(last) = chosen.iter().position(|entry| connected.contains(&entry.hash))
        {
            chosen[last..].rotate_left(1);
        }
        let facts = || chosen.iter().filter_map(|e| e.facts.as_ref());
        let short = facts().all(|f| f.version >= facts::SHORT_BUILDS);
        let hops = chosen.iter().filter_map(|e| Some(HopSpec { hash: e.hash, key: e.facts.as_ref()?.key })).collect();
        Chosen { hops, form: if short { Form::Short } else { Form::Long } }
    }

    /// From 0 (not to be used) to 1.
    fn weight(&self, entry: &Entry, purpose: Purpose, now: Now, strictness: Strictness) -> f32 {
        let Some(facts) = &entry.facts else { return 0.0 };
        if !facts.usable(&self.config) || (strictness == Strictness::All && entry.profile.is_excluded(now.mono)) {
            return 0.0;
        }
        let congestion = match facts.caps.congestion_at(facts.published, now.wall) {
            Congestion::None => 1.0,
            // spec: proposal 162 §Notes — D is derated, E severely, G not used at all.
            Congestion::D => 0.5,
            Congestion::E => 0.1,
            Congestion::G => return 0.0,
        };
        let bandwidth = match facts.caps.bandwidth {
            None | Some(Bandwidth::K) => 0.05,
            Some(Bandwidth::L) => 0.1,
            Some(Bandwidth::M) => 0.25,
            Some(Bandwidth::N) => 0.4,
            Some(Bandwidth::O) => 0.6,
            Some(Bandwidth::P) => 0.9,
            Some(Bandwidth::X) => 1.0,
        };
        let success = entry.profile.success(now.mono);
        match purpose {
            Purpose::Client => congestion * bandwidth * success * success,
            // Flatter: who is slow or unknown gets a chance, who fails does not.
            Purpose::Exploratory => congestion * (0.3 + 0.7 * bandwidth) * (0.2 + 0.8 * success),
        }
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
            known + e.profile.success(now) + e.profile.experience(now).min(4.0)
        };
        let sample = (0..EVICTION_SAMPLE).map(|_| rng.random_range(0..self.entries.len()));
        let worst = sample.min_by(|a, b| value(&self.entries[*a]).total_cmp(&value(&self.entries[*b])));
        let Some(at) = worst else { return };
        let gone = self.entries.swap_remove(at);
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
        let known = || self.entries.iter().filter(|e| e.profile.experience(now) > 0.1);
        out.put_u32(known().count() as u32);
        for entry in known() {
            out.put(&entry.hash.0);
            entry.profile.write(now, out);
        }
    }

    /// Reads stored profiles, up to the limit. Call it before the first [`Peers::update`].
    ///
    /// # Errors
    /// If the bytes end early; what was read up to there stays.
    pub fn read(&mut self, r: &mut Reader<'_>, now: Mono, rng: &mut ChaCha20Rng) -> Result<()> {
        for _ in 0..r.u32()? {
            let (hash, profile) = (RouterHash(r.array()?), Profile::read(r, now)?);
            if self.entries.len() < self.config.max {
                let at = self.entry(hash, now, rng);
                self.entries[at].profile = profile;
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

struct Choice {
    at: SmallVec<[usize; 8]>,
    subnets: SmallVec<[Subnet; 16]>,
    families: SmallVec<[u64; 8]>,
}

#[cfg(test)]
mod tests;
