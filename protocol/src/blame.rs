//! The judge: from single faults of peers to bans that end.
//!
//! ```text
//! Charge (fault, weight, cause) --> points of the router, of the address, of its network, each losing half in HALF_LIFE
//!                                     |
//!                                     +-- at the threshold --> Out::Ban until then --> Out::Lift
//! ```
//!
//! A ban is for a time that grows with each one: ten minutes, forty, ... up to a day; who keeps quiet for a day after
//! it is treated as new. While somebody is banned nothing more is counted against him. Our own faults never count.
//!
//! Two rules are the caller's, since only he knows what is proven. Whoever breaks them lets a stranger have others banned:
//!
//! * A router is charged only with what it did over a session or in a handshake in which it proved its identity, never
//!   with what came through a tunnel or in garlic.
//! * An address is charged only with what came from it beyond doubt, over TCP, or over UDP after it returned a token; and
//!   only if it called us. Where we call, a RouterInfo has sent us, and whoever made that may have put any address in it.
//!
//! The operator bans and pardons whom he will, and bans may be taken over from an earlier run ([`In::Ban`]).
//!
//! Invariants: at most `max_suspects` of each kind are remembered, at most half of them banned. When
//! there are more, those with the fewest points are forgotten first, so that a crowd of new names does not clear an old one.

mod charge;
mod docket;

pub use charge::{Charge, Weight};

use crate::base64;
use crate::id::RouterHash;
use crate::link::fault::Fault;
use crate::time::Mono;
use docket::{Docket, Verdict};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

/// Points halve in this time.
pub const HALF_LIFE: Duration = Duration::from_secs(10 * 60);

/// What the operator and the network decide.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Points at which a router is banned.
    pub router_threshold: f32,
    /// Points at which an address is banned: more, since several routers, and people, may share one.
    pub address_threshold: f32,
    /// Points at which a network is banned: those of several addresses in it that would be banned themselves.
    pub network_threshold: f32,
    /// Whether addresses and networks are judged at all: not in private networks, where many routers share one.
    pub addresses: bool,
    /// The first ban of somebody.
    pub first_ban: Duration,
    /// How many times longer each further one is.
    pub growth: u32,
    /// No ban is longer.
    pub longest_ban: Duration,
    /// Who has been free for so long is treated as new.
    pub memory: Duration,
    /// Routers that are remembered, and addresses, and networks. At least four.
    pub max_suspects: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            router_threshold: 100.0,
            address_threshold: 200.0,
            network_threshold: 800.0,
            addresses: true,
            first_ban: Duration::from_secs(10 * 60),
            growth: 4,
            longest_ban: Duration::from_secs(24 * 3600),
            memory: Duration::from_secs(24 * 3600),
            max_suspects: 8192,
        }
    }
}

impl Config {
    /// The ban of one who was banned `before` times in living memory.
    fn ban(&self, before: u32) -> Duration {
        let factor = self.growth.max(1).saturating_pow(before);
        self.first_ban.saturating_mul(factor).min(self.longest_ban)
    }
}

/// Who is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A router, wherever it is.
    Router(RouterHash),
    /// An address, whoever is there. Of IPv6 the /64, its last 64 bits zero: one host has that many.
    Address(IpAddr),
    /// The /24 of an IPv4 address or the /48 of an IPv6 address, the bits behind it zero.
    Network(IpAddr),
}

impl Who {
    /// The address as it is judged: IPv4 as such, also if it came mapped into IPv6; of IPv6 the /64.
    pub fn address(ip: IpAddr) -> Self {
        Self::Address(match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// The network that an address is in.
    pub fn network(ip: IpAddr) -> Self {
        Self::Network(match ip.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
        })
    }

    /// Its name in the metrics.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Router(_) => "router",
            Self::Address(_) => "address",
            Self::Network(_) => "network",
        }
    }
}

/// As the operator writes it: a router hash in I2P's base 64, an address, or a network with its length. For files and for
/// what the operator asked to see, never for logs.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(router) => f.write_str(&router.to_base64()),
            Self::Address(ip) => write!(f, "{ip}"),
            Self::Network(ip) => write!(f, "{ip}/{}", if ip.is_ipv4() { 24 } else { 48 }),
        }
    }
}

/// Why a text names nobody who can be banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no router hash, address, /24 of IPv4 or /48 of IPv6; other networks belong into a file of network.blocklist")]
pub struct Nobody;

impl FromStr for Who {
    type Err = Nobody;

    fn from_str(text: &str) -> Result<Self, Nobody> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::address(ip));
        }
        if let Some((network, bits)) = text.split_once('/') {
            let ip: IpAddr = network.parse().map_err(|_| Nobody)?;
            let ours = if ip.is_ipv4() { "24" } else { "48" };
            return if bits == ours { Ok(Self::network(ip)) } else { Err(Nobody) };
        }
        let bytes = base64::decode(text).ok_or(Nobody)?;
        bytes.try_into().map(|hash| Self::Router(RouterHash(hash))).map_err(|_| Nobody)
    }
}

/// A ban, for whoever lists or keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Who is banned.
    pub who: Who,
    /// Until when.
    pub until: Mono,
    /// How often he was by now, this time included: the next ban is longer.
    pub bans: u32,
    /// What for: the label of a cause, or the operator's word.
    pub reason: Cow<'static, str>,
}

/// What the judge hears.
#[derive(Clone, Debug, PartialEq)]
pub enum In {
    /// Somebody did something.
    Charge {
        /// The router, if it is proven that it was this one.
        router: Option<RouterHash>,
        /// The address, if it is proven that it came from there.
        address: Option<IpAddr>,
        /// What was done.
        charge: Charge,
    },
    /// The operator bans somebody, or a ban of an earlier run still holds. One that is over already is nothing.
    Ban(Sentence),
    /// The operator lifts a ban, and what was remembered is forgotten.
    Pardon(Who),
}

/// What the judge wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// From now on, nothing is to be had to do with `who`: sessions end, handshakes and dials do not begin.
    Ban {
        /// The router or address.
        who: Who,
        /// Until when; [`Out::Lift`] follows then.
        until: Mono,
        /// The label of the cause that tipped the scales; `None` if it was told us who is banned.
        reason: Option<&'static str>,
    },
    /// The ban of `who` is over, or gave way to one that ends later.
    Lift {
        /// The router or address.
        who: Who,
    },
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Charges that weighed something, by fault: malformed, misbehaviour.
    pub charges: [u64; 2],
    /// Charges that were faults of ours: not counted against anybody.
    pub ours: u64,
    /// Bans of routers, of addresses and of networks for what they did.
    pub bans: [u64; 3],
    /// Suspects that were forgotten for want of room.
    pub forgotten: u64,
    /// Bans that ended early, for want of room.
    pub displaced: u64,
}

/// The judge. After any input drain [`Judge::poll_output`] to `None`, then re-arm one timer for [`Judge::poll_timeout`].
#[derive(Debug)]
pub struct Judge {
    config: Config,
    routers: Docket<RouterHash>,
    addresses: Docket<IpAddr>,
    networks: Docket<IpAddr>,
    out: VecDeque<Out>,
    stats: Stats,
}

impl Judge {
    /// A judge who knows nobody.
    pub fn new(config: Config) -> Self {
        let (routers, addresses) = (Docket::new(config.max_suspects), Docket::new(config.max_suspects));
        let networks = Docket::new(config.max_suspects);
        Self { config, routers, addresses, networks, out: VecDeque::new(), stats: Stats::default() }
    }

    /// Hears a charge or a pardon.
    pub fn handle_input(&mut self, now: Mono, input: In) {
        self.handle_timeout(now);
        match input {
            In::Charge { router, address, charge } => self.charge(now, router, address, charge),
            In::Ban(sentence) if sentence.until <= now => {}
            In::Ban(Sentence { who, until, bans, reason }) => {
                let how = (until, bans, reason);
                match who {
                    Who::Router(router) => {
                        let verdict = self.routers.sentence(router, how, now, &self.config);
                        self.pass(Who::Router, router, verdict, None);
                    }
                    Who::Address(ip) => {
                        let verdict = self.addresses.sentence(ip, how, now, &self.config);
                        self.pass(Who::Address, ip, verdict, None);
                    }
                    Who::Network(ip) => {
                        let verdict = self.networks.sentence(ip, how, now, &self.config);
                        self.pass(Who::Network, ip, verdict, None);
                    }
                }
            }
            In::Pardon(who) => {
                let was_banned = match who {
                    Who::Router(router) => self.routers.pardon(&router),
                    Who::Address(ip) => self.addresses.pardon(&ip),
                    Who::Network(ip) => self.networks.pardon(&ip),
                };
                if was_banned {
                    self.out.push_back(Out::Lift { who });
                }
            }
        }
    }

    fn charge(&mut self, now: Mono, router: Option<RouterHash>, address: Option<IpAddr>, charge: Charge) {
        let points = charge.weight.points();
        let router = match charge.fault {
            Fault::Local | Fault::Bug => {
                self.stats.ours += 1;
                return;
            }
            _ if points == 0.0 => return,
            // Whoever sent what is not our protocol has not proven to be a router.
            Fault::Malformed => {
                self.stats.charges[0] += 1;
                None
            }
            Fault::PeerMisbehaved => {
                self.stats.charges[1] += 1;
                router
            }
        };
        let (config, what) = (self.config, (points, charge.cause));
        if let Some(router) = router {
            let verdict = self.routers.charge(router, what, config.router_threshold, now, &config);
            self.pass(Who::Router, router, verdict, Some(charge.cause));
        }
        let Some(address) = address.filter(|_| config.addresses) else { return };
        if let Who::Address(ip) = Who::address(address) {
            let verdict = self.addresses.charge(ip, what, config.address_threshold, now, &config);
            self.pass(Who::Address, ip, verdict, Some(charge.cause));
        }
        if let Who::Network(ip) = Who::network(address) {
            let verdict = self.networks.charge(ip, what, config.network_threshold, now, &config);
            self.pass(Who::Network, ip, verdict, Some(charge.cause));
        }
    }

    fn pass<K>(&mut self, who: fn(K) -> Who, key: K, verdict: Verdict<K>, reason: Option<&'static str>) {
        self.stats.forgotten += verdict.forgotten;
        if let Some(displaced) = verdict.displaced {
            self.stats.displaced += 1;
            self.out.push_back(Out::Lift { who: who(displaced) });
        }
        if let Some(until) = verdict.banned_until {
            let who = who(key);
            if reason.is_some() {
                let kind = match who {
                    Who::Router(_) => 0,
                    Who::Address(_) => 1,
                    Who::Network(_) => 2,
                };
                self.stats.bans[kind] += 1;
            }
            self.out.push_back(Out::Ban { who, until, reason });
        }
    }

    /// Lifts the bans that are over.
    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some(router) = self.routers.lift(now) {
            self.out.push_back(Out::Lift { who: Who::Router(router) });
        }
        while let Some(ip) = self.addresses.lift(now) {
            self.out.push_back(Out::Lift { who: Who::Address(ip) });
        }
        while let Some(ip) = self.networks.lift(now) {
            self.out.push_back(Out::Lift { who: Who::Network(ip) });
        }
    }

    /// What is to be done, until `None`.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When the next ban ends.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let next = [self.routers.next_lift(), self.addresses.next_lift(), self.networks.next_lift()];
        next.into_iter().flatten().min()
    }

    /// All bans: first those of routers, then of addresses, then of networks, those who are free first at the front.
    pub fn bans(&self) -> impl Iterator<Item = Sentence> {
        let routers = self.routers.bans().map(|(router, until, bans, why)| (Who::Router(router), until, bans, why));
        let addresses = self.addresses.bans().map(|(ip, until, bans, why)| (Who::Address(ip), until, bans, why));
        let networks = self.networks.bans().map(|(ip, until, bans, why)| (Who::Network(ip), until, bans, why));
        let all = routers.chain(addresses).chain(networks);
        all.map(|(who, until, bans, reason)| Sentence { who, until, bans, reason })
    }

    /// Routers, addresses and networks that are remembered, banned or not.
    pub fn suspects(&self) -> [usize; 3] {
        [self.routers.len(), self.addresses.len(), self.networks.len()]
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

#[cfg(test)]
mod tests;
