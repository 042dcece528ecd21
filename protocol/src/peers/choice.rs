//! The choice of hops.
//!
//! ```text
//!              strangers         failures      overused, to be avoided
//! 1  careful   none, or one      count         left out
//! 2  hasty     none, or one      count         taken
//! 3  forgiving none, or one      forgiven      taken         if there are proven ones to choose among
//! 4  open      any               count         taken
//! 5  desperate any               forgiven      taken
//! ```
//! What one step has not found the next one looks for. A stranger is a router that nobody has reached that we know of:
//! thousands of them can be made for the price of their RouterInfos, and tunnels through them go nowhere. So that new
//! routers get to be known one hop may be a stranger, now and then, and the less often the more of them have failed.

use super::facts::{self, Facts, Subnet};
use super::usage::Usage;
use super::{Chosen, Entry, Peers, Purpose, TooFew, Wish};
use crate::data::router_info::{Bandwidth, Congestion};
use crate::id::RouterHash;
use crate::time::Now;
use crate::tunnel::Direction;
use crate::tunnel::build::HopSpec;
use crate::tunnel::record::Form;
use ramson_crypto::hash::sha256;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;

/// Random candidates looked at per hop before all are looked at.
const TRIES_PER_HOP: usize = 64;

/// There must be so many proven routers for each hop, or strangers are taken as well.
const PROVEN_PER_HOP: usize = 2;

/// How often a tunnel may have a stranger in it, when most strangers do well, and at least.
const STRANGER_RATE: f32 = 0.25;
const LEAST_STRANGER_RATE: f32 = 0.02;

/// Of floodfills as hops of exploratory tunnels so many are left: they have enough to do. INTEROP: one of four at Java.
const FLOODFILL_HOPS: f32 = 0.25;

/// The slowest is chosen so much less often than one of average speed.
const SLOWEST: f32 = 0.25;

/// What a step of the choice demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strictness {
    /// How many strangers may be among the hops.
    strangers: usize,
    /// Whether the memory of failures counts.
    failures_count: bool,
    /// Whether those are left out that had better be.
    careful: bool,
}

impl Strictness {
    /// Who may be a hop at any other time may be one now.
    pub(super) const USABLE: Self = Self { strangers: usize::MAX, failures_count: true, careful: false };

    /// The same, of those that were reached.
    pub(super) const PROVEN: Self = Self { strangers: 0, ..Self::USABLE };
}

/// Hops that are chosen.
struct Choice {
    at: SmallVec<[usize; 8]>,
    subnets: SmallVec<[Subnet; 16]>,
    families: SmallVec<[u64; 8]>,
    strangers: usize,
    /// The one that stands next to us.
    guard: Option<usize>,
}

impl Peers {
    /// Chooses the hops of a tunnel.
    ///
    /// # Errors
    /// [`TooFew`] if the rules leave fewer than asked for.
    pub fn select(
        &mut self,
        wish: &Wish<'_>,
        usage: &Usage,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Result<Chosen, TooFew> {
        let (at, subnets, families) = (SmallVec::new(), SmallVec::new(), SmallVec::new());
        let mut chosen = Choice { at, subnets, families, strangers: 0, guard: None };
        if wish.purpose == Purpose::Client && wish.hops > 0 {
            self.take_guard(&mut chosen, wish, usage, now, rng);
        }
        for step in self.steps(wish, now, rng) {
            self.sample(&mut chosen, wish, usage, now, step, rng);
            if chosen.at.len() < wish.hops {
                self.scan(&mut chosen, wish, usage, now, step, rng);
            }
        }
        if chosen.at.len() < wish.hops {
            return Err(TooFew { found: chosen.at.len() });
        }
        Ok(self.ordered(&chosen, wish))
    }

    fn steps(&self, wish: &Wish<'_>, now: Now, rng: &mut ChaCha20Rng) -> SmallVec<[Strictness; 5]> {
        let enough = PROVEN_PER_HOP * wish.hops;
        let proven =
            |e: &&Entry| !self.is_stranger(e, now.mono) && e.facts.as_ref().is_some_and(|f| f.usable(&self.config));
        let has_proven = self.entries.iter().filter(proven).take(enough).count() >= enough;
        let strangers = usize::from(!has_proven || rng.random::<f32>() < self.stranger_rate());
        let step = |strangers, failures_count, careful| Strictness { strangers, failures_count, careful };
        let mut steps: SmallVec<[Strictness; 5]> = SmallVec::new();
        steps.push(step(strangers, true, true));
        if has_proven {
            steps.push(step(strangers, true, false));
            steps.push(step(strangers, false, false));
        }
        steps.push(step(usize::MAX, true, false));
        steps.push(step(usize::MAX, false, false));
        steps
    }

    /// The part of tunnels that may have a stranger in them.
    pub(super) fn stranger_rate(&self) -> f32 {
        let success = (self.strangers_good + 1.0) / (self.strangers_good + self.strangers_bad + 1.0);
        (STRANGER_RATE * success).max(LEAST_STRANGER_RATE)
    }

    /// Random candidates, each taken with the probability of its weight.
    fn sample(
        &self,
        chosen: &mut Choice,
        wish: &Wish<'_>,
        usage: &Usage,
        now: Now,
        step: Strictness,
        rng: &mut ChaCha20Rng,
    ) {
        if self.entries.is_empty() {
            return;
        }
        for _ in 0..TRIES_PER_HOP * wish.hops {
            if chosen.at.len() == wish.hops {
                return;
            }
            let at = rng.random_range(0..self.entries.len());
            let weight = self.weight(&self.entries[at], wish.purpose, now, step);
            if rng.random::<f32>() < weight {
                self.take(chosen, at, wish, usage, now, step);
            }
        }
    }

    /// All candidates, by the exponential trick: the largest of `random ^ (1 / weight)` is a weighted random choice.
    fn scan(
        &self,
        chosen: &mut Choice,
        wish: &Wish<'_>,
        usage: &Usage,
        now: Now,
        step: Strictness,
        rng: &mut ChaCha20Rng,
    ) {
        let mut keyed: Vec<(f32, usize)> = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let weight = self.weight(entry, wish.purpose, now, step);
            if weight > 0.0 {
                keyed.push((rng.random::<f32>().powf(1.0 / weight), at));
            }
        }
        keyed.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        for (_, at) in keyed {
            if chosen.at.len() == wish.hops {
                return;
            }
            self.take(chosen, at, wish, usage, now, step);
        }
    }

    /// Takes a candidate if no rule that ties hops together forbids it.
    fn take(&self, chosen: &mut Choice, at: usize, wish: &Wish<'_>, usage: &Usage, now: Now, step: Strictness) -> bool {
        let entry = &self.entries[at];
        let Some(facts) = &entry.facts else { return false };
        if chosen.at.contains(&at) || wish.exclude.contains(&entry.hash) {
            return false;
        }
        let stranger = self.is_stranger(entry, now.mono);
        if stranger && chosen.strangers >= step.strangers {
            return false;
        }
        if step.careful && (wish.avoid.contains(&entry.hash) || usage.is_overused(&entry.hash)) {
            return false;
        }
        // The first hop is the one we have to reach ourselves; one such router is chosen before all others.
        if chosen.at.is_empty() && wish.direction == Direction::Outbound && !facts.dialable {
            return false;
        }
        if chosen.at.is_empty() && wish.last.is_some_and(|connected| !connected.contains(&entry.hash)) {
            return false;
        }
        let near = facts.subnets.iter().any(|subnet| chosen.subnets.contains(subnet) || wish.near.contains(subnet));
        let kin =
            facts.family.is_some_and(|family| chosen.families.contains(&family) || self.config.family == Some(family));
        if (near && !self.config.same_subnet) || kin {
            return false;
        }
        // In whatever order they will stand, each can call the next.
        let connects = |other: &usize| self.entries[*other].facts.as_ref().is_some_and(|other| facts.connects(other));
        if !chosen.at.iter().all(connects) {
            return false;
        }
        chosen.at.push(at);
        chosen.subnets.extend(facts.subnets.iter().copied());
        chosen.families.extend(facts.family);
        chosen.strangers += usize::from(stranger);
        true
    }

    /// The hop next to us, of the few that are kept for that. Who is not to be used now is passed over, and stays.
    fn take_guard(&mut self, chosen: &mut Choice, wish: &Wish<'_>, usage: &Usage, now: Now, rng: &mut ChaCha20Rng) {
        self.renew_guards(now, rng);
        let mut guards: SmallVec<[(usize, usize); 16]> = self
            .guards
            .iter()
            .filter_map(|guard| self.index.get(&guard.hash))
            .map(|at| (usage.count(&self.entries[*at].hash), *at))
            .collect();
        guards.sort_unstable();
        let step = Strictness { strangers: 0, failures_count: true, careful: true };
        for (_, at) in guards {
            let fits = self.weight(&self.entries[at], Purpose::Client, now, step) > 0.0;
            if fits && self.take(chosen, at, wish, usage, now, step) {
                chosen.guard = Some(at);
                return;
            }
        }
    }

    /// spec: tunnel-implementation §Peer Ordering within Tunnels — by the distance XOR(H(peer ‖ key), key).
    fn ordered(&self, choice: &Choice, wish: &Wish<'_>) -> Chosen {
        let distance = |hash: &RouterHash| {
            let mut d = sha256(&[&hash.0, &wish.order]);
            d.iter_mut().zip(wish.order).for_each(|(d, k)| *d ^= k);
            d
        };
        let guard = choice.guard.map(|at| self.entries[at].hash);
        let mut chosen: Vec<&Entry> = choice.at.iter().map(|at| &self.entries[*at]).collect();
        chosen.sort_by_cached_key(|entry| distance(&entry.hash));
        let first = |e: &Entry| guard.map_or(e.facts.as_ref().is_some_and(|f| f.dialable), |guard| e.hash == guard);
        match (wish.direction, chosen.iter().position(|entry| first(entry))) {
            (Direction::Outbound, Some(first)) => chosen[..=first].rotate_right(1),
            (Direction::Inbound, Some(last)) if guard.is_some() => chosen[last..].rotate_left(1),
            _ => {}
        }
        if let Some(connected) = wish.last.filter(|_| guard.is_none())
            && let Some(last) = chosen.iter().position(|entry| connected.contains(&entry.hash))
        {
            chosen[last..].rotate_left(1);
        }
        let facts = || chosen.iter().filter_map(|e| e.facts.as_ref());
        let short = facts().all(|f| f.version >= facts::SHORT_BUILDS);
        let hops = chosen.iter().filter_map(|e| Some(HopSpec { hash: e.hash, key: e.facts.as_ref()?.key })).collect();
        Chosen { hops, form: if short { Form::Short } else { Form::Long } }
    }

    /// The hops that a user has named, the nearest first: all that count for others do not count for these.
    ///
    /// # Errors
    /// [`TooFew`] if one of them is not known.
    pub fn named(&self, nearest_first: &[RouterHash], direction: Direction) -> Result<Chosen, TooFew> {
        let known = |hash: &RouterHash| self.index.get(hash).and_then(|at| self.entries[*at].facts.as_ref());
        let facts: Vec<_> = nearest_first.iter().filter_map(|hash| Some((*hash, known(hash)?))).collect();
        if facts.len() < nearest_first.len() {
            return Err(TooFew { found: facts.len() });
        }
        let short = facts.iter().all(|(_, facts)| facts.version >= facts::SHORT_BUILDS);
        let mut hops: Vec<HopSpec> =
            facts.iter().map(|(hash, facts)| HopSpec { hash: *hash, key: facts.key }).collect();
        if direction == Direction::Inbound {
            hops.reverse();
        }
        Ok(Chosen { hops, form: if short { Form::Short } else { Form::Long } })
    }

    /// From 0 (not to be used) to 1.
    pub(super) fn weight(&self, entry: &Entry, purpose: Purpose, now: Now, step: Strictness) -> f32 {
        let Some(facts) = &entry.facts else { return 0.0 };
        if !facts.usable(&self.config) || (step.failures_count && entry.profile.is_excluded(now.mono)) {
            return 0.0;
        }
        if step.strangers == 0 && self.is_stranger(entry, now.mono) {
            return 0.0;
        }
        let congestion = match facts.caps.congestion_at(facts.published, now.wall) {
            Congestion::None => 1.0,
            // spec: proposal 162 §Notes — D is derated, E severely, G not used at all.
            Congestion::D => 0.5,
            Congestion::E => 0.1,
            Congestion::G => return 0.0,
        };
        let crowd = self.share(facts);
        let bandwidth = bandwidth(facts);
        let success = entry.profile.success(now.mono);
        match purpose {
            Purpose::Client => crowd * congestion * bandwidth * success * success * self.speed(entry),
            // Flatter: who is slow or unknown gets a chance, who fails does not.
            Purpose::Exploratory => {
                let floodfill = if facts.caps.floodfill { FLOODFILL_HOPS } else { 1.0 };
                crowd * congestion * (0.3 + 0.7 * bandwidth) * (0.2 + 0.8 * success) * floodfill
            }
        }
    }

    /// How fast tunnels through it were, beside others: a letter in its RouterInfo costs nothing, and this does.
    fn speed(&self, entry: &Entry) -> f32 {
        match (entry.profile.round_trip(), self.round_trip) {
            (Some(its), Some(usual)) => (usual / its.max(f32::MIN_POSITIVE)).clamp(SLOWEST, 1.0),
            _ => 0.8,
        }
    }
}

fn bandwidth(facts: &Facts) -> f32 {
    match facts.caps.bandwidth {
        None | Some(Bandwidth::K) => 0.05,
        Some(Bandwidth::L) => 0.1,
        Some(Bandwidth::M) => 0.25,
        Some(Bandwidth::N) => 0.4,
        Some(Bandwidth::O) => 0.6,
        Some(Bandwidth::P) => 0.9,
        Some(Bandwidth::X) => 1.0,
    }
}
