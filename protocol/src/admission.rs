//! Which tunnels of others we take.
//!
//! ```text
//! may_open   before the mathematics: has this peer sent too many requests lately?     token bucket per peer
//! decide     draining, number, neighbours, shares, bandwidth, chance near a limit     Accept { promised } or a reason
//! ended      gives back what a tunnel held
//! give_back  a promise that nobody makes use of
//! sample     the line's use, once a second -> the congestion that we publish
//! ```
//! Invariants: all tables are bounded; what is promised never exceeds the transit share; the letter that is published
//! follows an average of minutes, and falls only with a distance, so that it does not flicker.
//!
//! spec: proposal 168 (bandwidth), proposal 162 (congestion); INTEROP: thresholds and Java's throttle by neighbour.

use crate::bucket::Bucket;
use crate::data::router_info::Congestion;
use crate::id::RouterHash;
use crate::link::callers::network;
use crate::time::Mono;
use crate::tunnel::record::Bandwidth;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

/// The span over which a neighbour's tunnels are counted. INTEROP: Java, a third of a lifetime and its margin.
const NEIGHBOUR_SPAN: Duration = Duration::from_secs(220);

/// A neighbour may always have this many in the span.
const NEIGHBOUR_MIN: usize = 4;

/// A neighbour within this multiple of the average is none that abuses us, however few neighbours there are.
const FAIR_MULTIPLE: usize = 4;

/// From this part of the tunnels on there are shares: so many parts has one peer, and one network.
const SHARES_FROM: (usize, usize) = (1, 2);
const PEER_PARTS: usize = 64;
const NETWORK_PARTS: usize = 16;

/// Who brought a request if nobody knows: all of these are one peer.
const UNKNOWN: RouterHash = RouterHash([0; 32]);

/// From this part of the tunnels on neighbours have limits.
const NEIGHBOURS_FROM: usize = 16;

/// Requests of one peer: so many at once, and so many a second. A busy outbound endpoint passes on the builds of many;
/// still no peer alone is to fill the queue of those that open them.
const BURST: f32 = 96.0;
const PER_SECOND: f32 = 30.0;

/// How often the table of peers is swept when it is full.
const SWEEP: Duration = Duration::from_secs(1);

/// Neighbours and peers that are kept count of.
const MAX_TRACKED: usize = 16 * 1024;

/// What a tunnel uses on average if its creator says nothing, in bytes per second. INTEROP: 67 at Java.
const USUAL_USE: u64 = 67;

/// No tunnel is promised more than this part of the share. INTEROP: a twentieth at Java.
const SHARE_PARTS: u64 = 20;

/// A creator that names a minimum gets at most this multiple of it.
const OVER_MINIMUM: u32 = 4;

/// From this use of a limit on, requests are refused by chance, surely at the limit itself.
const CHANCE_FROM: f64 = 0.9;

/// Loads at which D and E are published, and how far below them the letter falls again. INTEROP: as i2pd. G is for those
/// who take no tunnels at all.
const LEVELS: [(f64, Congestion); 2] = [(0.70, Congestion::D), (0.90, Congestion::E)];
const HYSTERESIS: f64 = 0.10;

/// The weight of one second in the average by which requests are decided: about fifteen seconds count.
const SMOOTHING: f64 = 1.0 / 15.0;

/// The weight of one second in the average that is published: about five minutes count.
///
/// spec: proposal 162 §Recommendations — "average over several minutes"
const PUBLISHED_SMOOTHING: f64 = 1.0 / 300.0;

/// Limits that the operator sets.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Tunnels at once.
    pub max_tunnels: usize,
    /// Bytes per second that tunnels of others may use.
    pub share: u64,
    /// Bytes per second of the line, the lesser direction.
    pub line: u64,
}

/// Why a request is refused or dropped: the label in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The router ends.
    Draining,
    /// As many tunnels as are allowed.
    TunnelLimit,
    /// The line or the share is used up.
    Bandwidth,
    /// The minimum that the creator asks for cannot be promised.
    Minimum,
    /// The previous hop has too many tunnels through us.
    PreviousHop,
    /// The next hop has too many tunnels through us.
    NextHop,
    /// Whoever brought the request has its share of the tunnels.
    PeerShare,
    /// The network of whoever brought it has its share.
    NetworkShare,
    /// Near a limit, by chance.
    Chance,
    /// The peer sends requests faster than anyone should.
    Flood,
}

impl Reason {
    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::TunnelLimit => "tunnel_limit",
            Self::Bandwidth => "bandwidth",
            Self::Minimum => "minimum",
            Self::PreviousHop => "previous_hop",
            Self::NextHop => "next_hop",
            Self::PeerShare => "peer_share",
            Self::NetworkShare => "network_share",
            Self::Chance => "chance",
            Self::Flood => "flood",
        }
    }
}

/// What is asked of us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// The previous hop; `None` at an inbound gateway.
    pub previous: Option<RouterHash>,
    /// The next hop; `None` at an outbound endpoint.
    pub next: Option<RouterHash>,
    /// What the creator says about traffic.
    pub bandwidth: Bandwidth,
    /// Who brought the request.
    pub source: Source,
}

/// Who brought a request: nothing that its creator could choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The router in whose session it came; `None` if it came out of a tunnel or of garlic.
    pub router: Option<RouterHash>,
    /// Where that router is. `None` if networks do not matter.
    pub ip: Option<IpAddr>,
}

impl Source {
    fn router(&self) -> RouterHash {
        self.router.unwrap_or(UNKNOWN)
    }

    /// The /16 of IPv4, the /32 of IPv6.
    fn network(&self) -> Option<u128> {
        self.ip.map(|ip| match ip.to_canonical() {
            IpAddr::V4(_) => network(ip, 16),
            IpAddr::V6(ip) => u128::from(ip) >> 96 << 96,
        })
    }
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// We take it.
    Accept {
        /// KB/s that we mean to give; `None` if the creator did not ask.
        promised: Option<u32>,
    },
    /// We answer with a refusal.
    Refuse(Reason),
    /// We do not even answer: for those far above their limit.
    Drop(Reason),
}

#[derive(Debug, Default)]
struct Span {
    begun: Mono,
    by_previous: Counts,
    by_next: Counts,
}

/// Requests by neighbour, and all of them: a sum over the table at every request would cost too much in a flood.
#[derive(Debug, Default)]
struct Counts {
    by: HashMap<RouterHash, usize>,
    total: usize,
}

/// The machine.
#[derive(Debug)]
pub struct Admission {
    config: Config,
    rng: ChaCha20Rng,
    tunnels: usize,
    /// Bytes per second.
    promised: u64,
    line_use: f64,
    transit_use: f64,
    strain: f64,
    /// The load of the last minutes.
    lately: f64,
    congestion: Congestion,
    draining: bool,
    buckets: HashMap<RouterHash, Bucket>,
    /// When full buckets were last thrown out: it takes a walk through all, so not at every request of a flood.
    swept: Mono,
    span: Span,
    /// Tunnels by whoever brought the request, and by its network.
    by_source: HashMap<RouterHash, usize>,
    by_network: HashMap<u128, usize>,
}

impl Admission {
    /// With no tunnels yet.
    pub fn new(config: Config, seed: [u8; 32], now: Mono) -> Self {
        Self {
            config,
            rng: ChaCha20Rng::from_seed(seed),
            tunnels: 0,
            promised: 0,
            line_use: 0.0,
            transit_use: 0.0,
            strain: 0.0,
            lately: 0.0,
            congestion: Congestion::None,
            draining: false,
            buckets: HashMap::new(),
            swept: now,
            span: Span { begun: now, ..Span::default() },
            by_source: HashMap::new(),
            by_network: HashMap::new(),
        }
    }

    /// Changes the limits; what runs goes on.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// From now on every request is refused.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Tunnels held.
    pub fn tunnels(&self) -> usize {
        self.tunnels
    }

    /// True if no tunnel more is taken, whoever asks.
    pub fn is_full(&self) -> bool {
        self.tunnels >= self.config.max_tunnels
    }

    /// Bytes per second promised.
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// What is to be published.
    pub fn congestion(&self) -> Congestion {
        if self.config.max_tunnels == 0 { Congestion::G } else { self.congestion }
    }

    /// Before a request is opened: false if this peer has sent too many; all that nobody is known to have sent count
    /// together. Costs a look-up.
    pub fn may_open(&mut self, from: Option<RouterHash>, now: Mono) -> bool {
        let from = from.unwrap_or(UNKNOWN);
        if self.buckets.len() >= MAX_TRACKED && !self.buckets.contains_key(&from) {
            if now.saturating_sub(self.swept) >= SWEEP {
                self.swept = now;
                // A full bucket says nothing that a new one would not.
                self.buckets.retain(|_, bucket| !bucket.is_full(PER_SECOND, now));
            }
            if self.buckets.len() >= MAX_TRACKED {
                return false;
            }
        }
        self.buckets.entry(from).or_default().take((BURST, PER_SECOND), now)
    }

    /// Decides, and on `Accept` reckons with the tunnel until [`Admission::ended`].
    pub fn decide(&mut self, request: &Request, now: Mono) -> Verdict {
        if self.draining {
            return Verdict::Refuse(Reason::Draining);
        }
        if self.is_full() {
            return Verdict::Refuse(Reason::TunnelLimit);
        }
        if let Some(reason) = self.shares(&request.source) {
            return Verdict::Refuse(reason);
        }
        if let Some(verdict) = self.neighbours(request, now) {
            return verdict;
        }
        let load = self.load();
        if load >= 1.0 || self.promised.saturating_add(USUAL_USE) > self.config.share {
            return Verdict::Refuse(Reason::Bandwidth);
        }
        let nearest = load.max(self.tunnels as f64 / self.config.max_tunnels.max(1) as f64);
        if nearest > CHANCE_FROM {
            let refuse = (nearest - CHANCE_FROM) / (1.0 - CHANCE_FROM);
            if f64::from(self.rng.next_u32()) / f64::from(u32::MAX) < refuse {
                return Verdict::Refuse(Reason::Chance);
            }
        }
        let Some(promised) = self.promise(&request.bandwidth) else {
            return Verdict::Refuse(Reason::Minimum);
        };
        self.tunnels += 1;
        *self.by_source.entry(request.source.router()).or_default() += 1;
        if let Some(network) = request.source.network() {
            *self.by_network.entry(network).or_default() += 1;
        }
        self.promised += reserved(promised);
        Verdict::Accept { promised }
    }

    /// A tunnel that was accepted from this source, and still has this promise, is over.
    pub fn ended(&mut self, source: &Source, promised: Option<u32>) {
        self.tunnels = self.tunnels.saturating_sub(1);
        self.promised = self.promised.saturating_sub(reserved(promised));
        give_back(&mut self.by_source, source.router());
        if let Some(network) = source.network() {
            give_back(&mut self.by_network, network);
        }
    }

    /// A tunnel that was accepted makes no use of its promise: it is reckoned as if none had been made.
    pub fn give_back(&mut self, promised: Option<u32>) {
        self.promised = self.promised.saturating_sub(reserved(promised)) + reserved(None);
    }

    /// Whether somebody has all that he may have of the tunnels. While there are few of them it does not matter who has
    /// them; near the limit one peer or one network must not have them all, whatever the average is.
    fn shares(&self, source: &Source) -> Option<Reason> {
        let max = self.config.max_tunnels;
        if self.tunnels < max / SHARES_FROM.1 * SHARES_FROM.0 {
            return None;
        }
        let of_source = self.by_source.get(&source.router()).copied().unwrap_or_default();
        let of_network =
            source.network().and_then(|network| self.by_network.get(&network)).copied().unwrap_or_default();
        match (of_source >= (max / PEER_PARTS).max(1), of_network >= (max / NETWORK_PARTS).max(1)) {
            (true, _) => Some(Reason::PeerShare),
            (_, true) => Some(Reason::NetworkShare),
            _ => None,
        }
    }

    /// What passed in the last second: all bytes in the busier direction, and those of tunnels of others; and how much of
    /// what else bounds us (processor, queues, descriptors) was in use, from 0 to 1.
    pub fn sample(&mut self, line_bytes: u64, transit_bytes: u64, strain: f64) {
        let ratio = |bytes: u64, of: u64| bytes as f64 / of.max(1) as f64;
        self.line_use += SMOOTHING * (ratio(line_bytes, self.config.line) - self.line_use);
        self.transit_use += SMOOTHING * (ratio(transit_bytes, self.config.share) - self.transit_use);
        let tunnels = self.tunnels as f64 / self.config.max_tunnels.max(1) as f64;
        self.strain += SMOOTHING * (strain.clamp(0.0, 1.0) - self.strain);
        let load = self.load().max(tunnels);
        self.lately += PUBLISHED_SMOOTHING * (load - self.lately);
        let lately = self.lately;
        let above = |margin: f64| LEVELS.iter().rev().find(|(at, _)| lately >= at - margin).map(|(_, c)| *c);
        let rising = above(0.0).unwrap_or_default();
        let staying = above(HYSTERESIS).unwrap_or_default();
        self.congestion = rising.max(self.congestion.min(staying));
    }

    fn load(&self) -> f64 {
        self.transit_use.max(self.line_use).max(self.strain)
    }

    fn neighbours(&mut self, request: &Request, now: Mono) -> Option<Verdict> {
        if now.saturating_sub(self.span.begun) >= NEIGHBOUR_SPAN || self.span.is_full() {
            self.span = Span { begun: now, ..Span::default() };
        }
        self.span.by_previous.count(request.previous);
        let refused = self.over(&self.span.by_previous, request.previous, PEER_PARTS, Reason::PreviousHop);
        if refused.is_some() {
            return refused;
        }
        // A next hop is named by others: it takes several of them, with all that is theirs, to have the tunnels of
        // everybody to it refused.
        self.span.by_next.count(request.next);
        self.over(&self.span.by_next, request.next, NETWORK_PARTS, Reason::NextHop)
    }

    /// What a neighbour over its limit is told. INTEROP: above the limit refuse, far above it drop.
    ///
    /// With few tunnels there is nothing to be shared out. With many, an average alone would be made by those who come as
    /// many, or name many: so everybody may have in the span what is his where tunnels are scarce, one of so many parts.
    fn over(&self, counts: &Counts, who: Option<RouterHash>, parts: usize, reason: Reason) -> Option<Verdict> {
        if self.tunnels < self.config.max_tunnels / NEIGHBOURS_FROM {
            return None;
        }
        let have = counts.by.get(&who?).copied().unwrap_or(0);
        let fair = FAIR_MULTIPLE * counts.total / counts.by.len().max(1);
        let limit = fair.max(self.config.max_tunnels / parts).max(NEIGHBOUR_MIN);
        match have {
            _ if have <= limit => None,
            _ if have <= 2 * limit => Some(Verdict::Refuse(reason)),
            _ => Some(Verdict::Drop(reason)),
        }
    }

    /// What we can promise, in KB/s; `Some(None)` if nothing was asked, `None` if it cannot be had.
    fn promise(&self, asked: &Bandwidth) -> Option<Option<u32>> {
        let used = self.promised.max((self.transit_use * self.config.share as f64) as u64);
        let free = self.config.share.saturating_sub(used) / 4;
        let available = u32::try_from((self.config.share / SHARE_PARTS).min(free) / 1000).unwrap_or(u32::MAX);
        if !asked.wants_answer() {
            return Some(None);
        }
        let minimum = asked.minimum.unwrap_or(0);
        if minimum > available {
            return None;
        }
        let mut wish = asked.requested.unwrap_or(minimum).max(minimum);
        if let Some(minimum) = asked.minimum.filter(|m| *m > 0) {
            wish = wish.min(minimum.saturating_mul(OVER_MINIMUM));
        }
        // spec: proposal 168 — a positive integer. Where there is nothing to promise, say the least there is to say.
        Some(Some(wish.min(available).max(1)))
    }
}

fn give_back<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// Bytes per second that a tunnel is reckoned with.
fn reserved(promised: Option<u32>) -> u64 {
    promised.map_or(0, |kb| u64::from(kb) * 1000).max(USUAL_USE)
}

impl Span {
    fn is_full(&self) -> bool {
        self.by_previous.by.len().max(self.by_next.by.len()) >= MAX_TRACKED
    }
}

impl Counts {
    fn count(&mut self, who: Option<RouterHash>) {
        if let Some(who) = who {
            *self.by.entry(who).or_default() += 1;
            self.total += 1;
        }
    }
}

#[cfg(test)]
mod tests;
