//! The judge: from single faults of peers to bans that end.
//!
//! ```text
//! Charge (fault, weight, cause) --> points of the router, points of the address, each losing half in HALF_LIFE
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
//! Invariants: at most `max_suspects` routers and as many addresses are remembered, at most half of them banned. When
//! there are more, those with the fewest points are forgotten first, so that a crowd of new names does not clear an old one.

mod charge;
mod docket;

pub use charge::{Charge, Weight};

use crate::id::RouterHash;
use crate::link::fault::Fault;
use crate::time::Mono;
use docket::{Docket, Verdict};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
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
    /// Whether addresses are judged at all: not in private networks, where many routers share one.
    pub addresses: bool,
    /// The first ban of somebody.
    pub first_ban: Duration,
    /// How many times longer each further one is.
    pub growth: u32,
    /// No ban is longer.
    pub longest_ban: Duration,
    /// Who has been free for so long is treated as new.
    pub memory: Duration,
    /// Routers that are remembered, and addresses. At least four.
    pub max_suspects: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            router_threshold: 100.0,
            address_threshold: 200.0,
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
}

impl Who {
    /// The address as it is judged: IPv4 as such, also if it came mapped into IPv6; of IPv6 the /64.
    pub fn address(ip: IpAddr) -> Self {
        Self::Address(match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// What the judge hears.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// The operator lifts a ban, and what was remembered is forgotten.
    Pardon(Who),
}

/// What the judge wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// From now on, nothing is to be had to do with `who`: sessions end, handshakes and dials do not begin.
    Ban {
        /// The router or address.
        who: Who,
        /// Until when; [`Out::Lift`] follows then.
        until: Mono,
        /// The label of the cause that tipped the scales.
        reason: &'static str,
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
    /// Bans of routers and of addresses.
    pub bans: [u64; 2],
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
    out: VecDeque<Out>,
    stats: Stats,
}

impl Judge {
    /// A judge who knows nobody.
    pub fn new(config: Config) -> Self {
        let (routers, addresses) = (Docket::new(config.max_suspects), Docket::new(config.max_suspects));
        Self { config, routers, addresses, out: VecDeque::new(), stats: Stats::default() }
    }

    /// Hears a charge or a pardon.
    pub fn handle_input(&mut self, now: Mono, input: In) {
        self.handle_timeout(now);
        match input {
            In::Charge { router, address, charge } => self.charge(now, router, address, charge),
            In::Pardon(who) => {
                let was_banned = match who {
                    Who::Router(router) => self.routers.pardon(&router),
                    Who::Address(ip) => self.addresses.pardon(&ip),
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
        if let Some(router) = router {
            let verdict = self.routers.charge(router, points, self.config.router_threshold, now, &self.config);
            self.pass(Who::Router, router, verdict, charge.cause);
        }
        if let Some(Who::Address(ip)) = address.filter(|_| self.config.addresses).map(Who::address) {
            let verdict = self.addresses.charge(ip, points, self.config.address_threshold, now, &self.config);
            self.pass(Who::Address, ip, verdict, charge.cause);
        }
    }

    fn pass<K>(&mut self, who: fn(K) -> Who, key: K, verdict: Verdict<K>, reason: &'static str) {
        self.stats.forgotten += verdict.forgotten;
        if let Some(displaced) = verdict.displaced {
            self.stats.displaced += 1;
            self.out.push_back(Out::Lift { who: who(displaced) });
        }
        if let Some(until) = verdict.banned_until {
            let who = who(key);
            self.stats.bans[usize::from(matches!(who, Who::Address(_)))] += 1;
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
    }

    /// What is to be done, until `None`.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When the next ban ends.
    pub fn poll_timeout(&self) -> Option<Mono> {
        [self.routers.next_lift(), self.addresses.next_lift()].into_iter().flatten().min()
    }

    /// Those who are banned, and until when: first routers, then addresses, those who are free first at the front.
    pub fn bans(&self) -> impl Iterator<Item = (Who, Mono)> {
        let routers = self.routers.bans().map(|(router, until)| (Who::Router(router), until));
        routers.chain(self.addresses.bans().map(|(ip, until)| (Who::Address(ip), until)))
    }

    /// Routers and addresses that are remembered, banned or not.
    pub fn suspects(&self) -> [usize; 2] {
        [self.routers.len(), self.addresses.len()]
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

#[cfg(test)]
mod tests;
