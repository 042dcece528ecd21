//! Where peers can call us, from everything that has a say in it.
//!
//! ```text
//! configured addresses --+
//! interfaces ------------+
//! a gateway's mappings --+--> candidates, the best first --tested by peers--> published | behind introducers
//! what peers see --------+                                   | bad: the next, and this one again after a while
//! ```
//! Each address family stands for itself. A configured address, a public one on an interface and a gateway's mapping are
//! published at once; one that only peers have named waits for a test. Whatever is published goes when two tests agree that
//! it cannot be reached and nobody has called us of late, and comes back when tests say so.
//!
//! One peer can lie, and so can all of one network: what peers see counts by network, from calls alone that we began for
//! ourselves, and does no more than choose what is tested. Tests are relayed by others again, and who calls us speaks
//! against a verdict that nobody can.
//!
//! The caller's duty: after any input drain [`Reachability::poll_output`] to `None`, then set one timer by
//! [`Reachability::poll_timeout`].

mod consensus;
mod evidence;
#[cfg(test)]
mod tests;
mod view;

pub use evidence::{Evidence, FamilyEvidence, Gateway, Mapping, Tested};
pub use view::{Candidate, Family, Source, View};

use crate::data::router_address::{Introducer, is_public};
use crate::dialing::Transport;
use crate::peers::facts::Subnet;
use crate::ssu2::peer_test::Status;
use crate::time::Mono;
use consensus::Consensus;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How often what time alone changes is looked at.
const LOOK: Duration = Duration::from_secs(20);

/// A candidate that tests found bad is passed over for so long, if there are others.
const BAD_FOR: Duration = Duration::from_secs(30 * 60);

/// Verdicts that are remembered per family, the latest.
const VERDICTS: usize = 8;

/// Calls from two networks within this time speak against a verdict that nobody can call us.
const CALLED_LATELY: Duration = Duration::from_secs(3 * 60);

/// A published address at which nobody has called for so long, and that was not tested for so long, is tested.
const QUIET: Duration = Duration::from_secs(4 * 60);

/// Peers see another address than the published one for so long before the operator is told.
const DISAGREEMENT: Duration = Duration::from_secs(5 * 60);

/// What is to be published of a transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// What turns out to be right.
    #[default]
    Auto,
    /// These addresses, as long as they can be reached.
    Fixed(Vec<SocketAddr>),
    /// Nothing: peers reach us through introducers.
    Nothing,
}

/// What a transport offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// What is to be published of it.
    pub publish: Publish,
}

/// What does not change while the router runs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// NTCP2, if it is spoken.
    pub ntcp2: Option<Offer>,
    /// SSU2, if it is spoken.
    pub ssu2: Option<Offer>,
    /// Private addresses are as good as public ones, and peers may share a network.
    pub private: bool,
    /// Nothing at all is said of where we are.
    pub hidden: bool,
}

/// The addresses of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// All of them but those of the link, in the order of the system.
    pub addresses: Vec<IpAddr>,
    /// From where the system would call the world over IPv4 and IPv6; `None` if there is no way there.
    pub source: [Option<IpAddr>; 2],
}

/// What happened.
#[derive(Clone, Debug)]
pub enum In {
    /// The machine has these addresses.
    Interfaces(Interfaces),
    /// A peer that we called for ourselves sees us at this address, over SSU2.
    Seen {
        /// Where the peer is.
        by: IpAddr,
        /// Where it sees us.
        at: SocketAddr,
    },
    /// What the tests of this address say together.
    Tested {
        /// The address.
        address: SocketAddr,
        /// The verdict.
        status: Status,
    },
    /// What a gateway maps to a transport of ours.
    Mapped(Transport, Mapping),
    /// A gateway's mapping for this family is gone.
    Unmapped {
        /// Whose it was.
        transport: Transport,
        /// Of IPv4, or of IPv6.
        v4: bool,
    },
    /// A session stands that a peer began.
    Called {
        /// What carries it.
        transport: Transport,
        /// Where the peer is.
        by: IpAddr,
    },
    /// Who introduces others to us.
    Introducers {
        /// Over IPv4, or over IPv6.
        v4: bool,
        /// At most three.
        introducers: Vec<Introducer>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// This is how we stand from now on.
    View(Box<View>),
    /// The candidate of this family is to be tested soon.
    Test {
        /// Of IPv4, or of IPv6.
        v4: bool,
    },
    /// For some minutes peers have seen us at another address than the one that is published: calls that leave from there
    /// get us banned. For the operator.
    SeenElsewhere {
        /// Over IPv4, or over IPv6.
        v4: bool,
    },
}

/// One address family.
#[derive(Debug)]
struct State {
    v4: bool,
    seen: Consensus,
    mappings: [Option<Mapping>; 2],
    verdicts: SmallVec<[Tested; VERDICTS]>,
    /// Calls by others, by transport: the network and when, of the last two networks.
    called: [SmallVec<[(Subnet, Mono); 2]>; 2],
    introducers: Vec<Introducer>,
    /// When a test was asked for, or came to a verdict.
    tested: Mono,
    /// Since when peers see us elsewhere, and whether that was told.
    elsewhere: Option<(Mono, bool)>,
}

/// The machine.
#[derive(Debug)]
pub struct Reachability {
    config: Config,
    interfaces: Interfaces,
    families: [State; 2],
    view: View,
    next: Mono,
    out: VecDeque<Out>,
}

impl Reachability {
    /// A machine that knows the interfaces, and has asked nobody.
    pub fn new(config: Config, interfaces: Interfaces, now: Mono) -> Self {
        let families = [true, false].map(|v4| State {
            v4,
            seen: Consensus::new(config.private),
            mappings: [None, None],
            verdicts: SmallVec::new(),
            called: Default::default(),
            introducers: Vec::new(),
            tested: now,
            elsewhere: None,
        });
        let mut new =
            Self { config, interfaces, families, view: View::default(), next: now + LOOK, out: VecDeque::new() };
        new.view = new.judge(now);
        new
    }

    /// What does not change.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How we stand.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Why we stand so.
    pub fn evidence(&self) -> Evidence {
        let of = |state: &State| FamilyEvidence {
            seen: state.seen.samples().collect(),
            mappings: state.mappings,
            tests: state.verdicts.to_vec(),
            called: [0, 1].map(|transport| state.called[transport].iter().map(|(_, at)| *at).max()),
        };
        Evidence { interfaces: self.interfaces.clone(), families: [of(&self.families[0]), of(&self.families[1])] }
    }

    /// Something has happened.
    pub fn handle_input(&mut self, now: Mono, input: In) {
        match input {
            In::Interfaces(interfaces) => self.interfaces = interfaces,
            In::Seen { by, at } => {
                let at = SocketAddr::new(at.ip().to_canonical(), at.port());
                if self.may_be(at.ip()) && at.port() != 0 {
                    self.family(at.is_ipv4()).seen.hear(now, by, at);
                }
            }
            In::Tested { address, status } => self.family(address.is_ipv4()).tested(now, address, status),
            In::Mapped(transport, mapping) => {
                self.family(mapping.external.is_ipv4()).mappings[transport as usize] = Some(mapping);
            }
            In::Unmapped { transport, v4 } => self.family(v4).mappings[transport as usize] = None,
            In::Called { transport, by } => {
                let network = Subnet::of_peer(by, self.config.private);
                let called = &mut self.family(by.to_canonical().is_ipv4()).called[transport as usize];
                called.retain(|(other, _)| *other != network);
                if called.len() == 2 {
                    called.remove(0);
                }
                called.push((network, now));
            }
            In::Introducers { v4, introducers } => self.family(v4).introducers = introducers,
        }
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Mono) {
        if now < self.next {
            return;
        }
        self.next = now + LOOK;
        self.settle(now);
        for v4 in [true, false] {
            let (family, shown) = (&self.families[usize::from(!v4)], &self.view.families[usize::from(!v4)]);
            let quiet = now.saturating_sub(family.heard_of(Transport::Ssu2)) >= QUIET;
            if !shown.ssu2.is_empty() && quiet {
                self.family(v4).tested = now;
                self.out.push_back(Out::Test { v4 });
            }
            self.compare(now, v4);
        }
    }

    /// When [`Reachability::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        Some(self.next)
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    fn family(&mut self, v4: bool) -> &mut State {
        &mut self.families[usize::from(!v4)]
    }

    /// True for an address that can be published.
    fn may_be(&self, ip: IpAddr) -> bool {
        is_public(ip) || (self.config.private && !ip.is_unspecified() && !ip.is_multicast())
    }

    fn settle(&mut self, now: Mono) {
        let view = self.judge(now);
        if view != self.view {
            self.view = view.clone();
            self.out.push_back(Out::View(Box::new(view)));
        }
    }

    fn judge(&self, now: Mono) -> View {
        let families = [0, 1].map(|n| self.judge_family(now, &self.families[n], &self.view.families[n]));
        View { families, hidden: self.config.hidden }
    }

    fn judge_family(&self, now: Mono, state: &State, before: &Family) -> Family {
        let candidates = self.candidates(now, state);
        let usable = self.is_usable(state.v4);
        let good = candidates.iter().find(|c| !state.is_bad(now, c));
        // With none that is good, the one that peers see tells best what kind of NAT is before us.
        let last = || candidates.iter().find(|c| c.source == Source::Peers).or(candidates.first());
        let address = good.or_else(last).filter(|_| usable && !self.config.hidden).copied();
        let status = address.map_or(Status::Unknown, |a| state.status(&a));
        let shows = |transport: Transport| {
            let Some(address) = &address else { return Vec::new() };
            let was = !before.published(transport).is_empty();
            let open = match status {
                Status::Ok => true,
                Status::Unknown => address.source != Source::Peers,
                Status::Firewalled | Status::SymmetricNat => was && state.was_called(transport, now),
            };
            if open { self.shown(transport, state.v4, address) } else { Vec::new() }
        };
        let (ntcp2, ssu2) = (shows(Transport::Ntcp2), shows(Transport::Ssu2));
        let ip = ntcp2.first().or(ssu2.first()).map(SocketAddr::ip);
        Family {
            usable,
            call_from: self.call_from(state.v4, ip),
            status,
            address,
            seen: state.seen.latest(now),
            introducers: if ssu2.is_empty() { state.introducers.clone() } else { Vec::new() },
            ntcp2,
            ssu2,
        }
    }

    fn offer(&self, transport: Transport) -> Option<&Offer> {
        match transport {
            Transport::Ntcp2 => self.config.ntcp2.as_ref(),
            Transport::Ssu2 => self.config.ssu2.as_ref(),
        }
    }

    /// What is published of a transport if this candidate can be reached.
    fn shown(&self, transport: Transport, v4: bool, address: &Candidate) -> Vec<SocketAddr> {
        match self.offer(transport).map(|offer| &offer.publish) {
            Some(Publish::Fixed(all)) => all.iter().filter(|a| a.is_ipv4() == v4).copied().collect(),
            Some(Publish::Auto) => address.of(transport).into_iter().collect(),
            Some(Publish::Nothing) | None => Vec::new(),
        }
    }

    /// The port at which a transport listens in a family.
    fn port(&self, transport: Transport, v4: bool) -> Option<u16> {
        let listen = &self.offer(transport)?.listen;
        listen.iter().find(|at| at.is_ipv4() == v4).map(SocketAddr::port).filter(|port| *port != 0)
    }

    /// True if a transport listens at this address.
    fn listens_at(&self, transport: Transport, ip: IpAddr) -> bool {
        let hears = |at: &SocketAddr| at.ip() == ip || (at.ip().is_unspecified() && at.is_ipv4() == ip.is_ipv4());
        self.offer(transport).is_some_and(|offer| offer.listen.iter().any(hears))
    }

    /// Where we might be reached, the best first.
    fn candidates(&self, now: Mono, state: &State) -> SmallVec<[Candidate; 5]> {
        let v4 = state.v4;
        let fixed = |transport| match self.offer(transport).map(|offer| &offer.publish) {
            Some(Publish::Fixed(all)) => all.iter().find(|a| a.is_ipv4() == v4).copied(),
            _ => None,
        };
        let automatic = |transport| matches!(self.offer(transport), Some(Offer { publish: Publish::Auto, .. }));
        let port = |transport| self.port(transport, v4);
        let mut all = SmallVec::new();
        let mut add = |source, ntcp2: Option<SocketAddr>, ssu2: Option<SocketAddr>| {
            let new = Candidate {
                source,
                ntcp2: fixed(Transport::Ntcp2).or(ntcp2.filter(|_| automatic(Transport::Ntcp2))),
                // What is hidden is tested all the same: it says what kind of NAT stands before us.
                ssu2: fixed(Transport::Ssu2).or(ssu2),
            };
            let is_new = all.iter().all(|c: &Candidate| (c.ssu2, c.ntcp2) != (new.ssu2, new.ntcp2));
            if is_new && (new.ntcp2.is_some() || new.ssu2.is_some()) && all.len() < 5 {
                all.push(new);
            }
        };
        if fixed(Transport::Ntcp2).is_some() || fixed(Transport::Ssu2).is_some() {
            add(Source::Configured, None, None);
        }
        let source = self.interfaces.source[usize::from(!v4)];
        let first = source.into_iter().chain(self.interfaces.addresses.iter().copied());
        for ip in first.filter(|ip| ip.is_ipv4() == v4 && self.is_ours(*ip)).take(2) {
            let at = |transport| port(transport).filter(|_| self.listens_at(transport, ip));
            let [ntcp2, ssu2] = Transport::ALL.map(|transport| at(transport).map(|port| SocketAddr::new(ip, port)));
            add(Source::Interface, ntcp2, ssu2);
        }
        let mapped = |transport: Transport| state.mappings[transport as usize].filter(|m| self.may_be(m.external.ip()));
        if let Some(mapping) = mapped(Transport::Ssu2).or(mapped(Transport::Ntcp2)) {
            let at = |transport| mapped(transport).map(|m: Mapping| m.external);
            add(Source::Gateway(mapping.by), at(Transport::Ntcp2), at(Transport::Ssu2));
        }
        if let Some(ip) = state.seen.address(now) {
            let [ntcp2, ssu2] = Transport::ALL.map(|transport| port(transport).map(|port| SocketAddr::new(ip, port)));
            if let Some(seen) = state.seen.port(now).filter(|seen| Some(*seen) != port(Transport::Ssu2)) {
                add(Source::Peers, None, ssu2.map(|_| SocketAddr::new(ip, seen)));
            }
            add(Source::Peers, ntcp2, ssu2);
        }
        all
    }

    /// True for an address of an interface that can be published. A private one can in a private network, unless the way to
    /// the world leads from there: then a NAT stands before us. One of the loopback must be listened on by name.
    fn is_ours(&self, ip: IpAddr) -> bool {
        let named =
            Transport::ALL.iter().any(|t| self.offer(*t).is_some_and(|o| o.listen.iter().any(|a| a.ip() == ip)));
        let uplink = self.interfaces.source[usize::from(ip.is_ipv6())].is_some();
        is_public(ip) || (self.config.private && if ip.is_loopback() { named } else { !uplink })
    }

    /// True if calls of a family can be made: something listens there, and there is a way to the world.
    fn is_usable(&self, v4: bool) -> bool {
        let mut listened = Transport::ALL.iter().filter_map(|t| self.offer(*t)).flat_map(|offer| &offer.listen);
        let mut listened_on = listened.by_ref().filter(|at| at.is_ipv4() == v4).peekable();
        let source = self.interfaces.source[usize::from(!v4)].is_some();
        let addresses = || self.interfaces.addresses.iter().any(|ip| ip.is_ipv4() == v4 && self.is_ours(*ip));
        listened_on.peek().is_some() && (source || (self.config.private && addresses()))
    }

    /// From which address of the machine calls leave: where we listen, if that is one; the published one, if an interface
    /// has it; else the system's choice.
    fn call_from(&self, v4: bool, published: Option<IpAddr>) -> Option<IpAddr> {
        let listened = Transport::ALL.iter().filter_map(|t| self.offer(*t)).flat_map(|offer| &offer.listen);
        let mut named: SmallVec<[IpAddr; 4]> = SmallVec::new();
        let mut everywhere = false;
        for ip in listened.map(SocketAddr::ip).filter(|ip| ip.is_ipv4() == v4) {
            everywhere |= ip.is_unspecified();
            named.push(ip);
        }
        match published {
            Some(ip) if named.contains(&ip) || (everywhere && self.interfaces.addresses.contains(&ip)) => Some(ip),
            _ => named.first().copied().filter(|_| !everywhere),
        }
    }

    /// Whether peers see us where we are published.
    fn compare(&mut self, now: Mono, v4: bool) {
        let shown = &self.view.families[usize::from(!v4)];
        let published: SmallVec<[IpAddr; 4]> = shown.ssu2.iter().chain(&shown.ntcp2).map(SocketAddr::ip).collect();
        let family = &mut self.families[usize::from(!v4)];
        let elsewhere = family.seen.address(now).is_some_and(|ip| !published.is_empty() && !published.contains(&ip));
        family.elsewhere = match family.elsewhere.filter(|_| elsewhere) {
            None => elsewhere.then_some((now, false)),
            Some((since, false)) if now.saturating_sub(since) >= DISAGREEMENT => {
                self.out.push_back(Out::SeenElsewhere { v4 });
                Some((since, true))
            }
            other => other,
        };
    }
}

impl State {
    fn tested(&mut self, now: Mono, address: SocketAddr, status: Status) {
        self.tested = now;
        self.verdicts.retain(|verdict| verdict.address != address);
        if self.verdicts.len() == VERDICTS {
            self.verdicts.remove(0);
        }
        self.verdicts.push(Tested { address, status, at: now });
    }

    fn verdict(&self, candidate: &Candidate) -> Option<&Tested> {
        self.verdicts.iter().find(|verdict| Some(verdict.address) == candidate.ssu2)
    }

    fn status(&self, candidate: &Candidate) -> Status {
        self.verdict(candidate).map_or(Status::Unknown, |verdict| verdict.status)
    }

    /// True if tests say that nobody reaches it, and said so of late.
    fn is_bad(&self, now: Mono, candidate: &Candidate) -> bool {
        let bad = |verdict: &&Tested| matches!(verdict.status, Status::Firewalled | Status::SymmetricNat);
        self.verdict(candidate).filter(bad).is_some_and(|verdict| now.saturating_sub(verdict.at) < BAD_FOR)
    }

    /// Two networks have called of late.
    fn was_called(&self, transport: Transport, now: Mono) -> bool {
        let called = &self.called[transport as usize];
        called.len() == 2 && called.iter().all(|(_, at)| now.saturating_sub(*at) < CALLED_LATELY)
    }

    /// When a transport was last known to be reached, or a test was asked for.
    fn heard_of(&self, transport: Transport) -> Mono {
        self.called[transport as usize].iter().map(|(_, at)| *at).fold(self.tested, Mono::max)
    }
}
