//! Which calls may begin: how many at once and on whose errand, how many to one place, and whom we leave alone for a while.
//!
//! ```text
//! wanted --> left alone lately? --> a place: OURS | THEIRS, known | THEIRS, to be looked for --> [`Desk::enter`]
//! call   --> ourselves? a port of a well-known service? the place's share used up? ---------> [`Desk::dial`]
//! over   --> [`Desk::hang_up`], then [`Desk::leave`]; after a failure [`Desk::failed`]
//! ```
//! A stranger can have us call whom he likes: by the next hop of a build, by a delivery instruction, by where an answer is
//! to go. So what he causes has places of its own, which take none of ours; and no address or network gets more than a few
//! calls at once and a minute, whatever RouterInfos say who is there. What is refused here is no fault of the one who would
//! have been called.
//!
//! Invariants: at most the places of [`Limits`] are taken; at most [`Limits::remembered`] routers are left alone, and when
//! there are more, the one whose time ends first is called again; memory for places that were called is bounded by the calls.

use crate::id::RouterHash;
use crate::link::callers::{Rates, network};
use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A router that could not be reached is left alone for this long, ...
///
/// INTEROP: i2pd avoids it as a hop for eight minutes, and calls it again for the next message.
pub const REST: Duration = Duration::from_secs(60);
/// ... after a first failure only for so long: it may just have been starting, and what tunnels of others bring for it is lost meanwhile. A
/// further one within [`REST`] is no longer the first.
pub const FIRST_REST: Duration = Duration::from_secs(10);

/// Below this no router listens: Java I2P takes no such port, and a stranger must not have us call mail servers.
pub const FIRST_PORT: u16 = 1024;

/// On whose errand a router is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// What others sent us makes us want it, and we know its RouterInfo.
    Theirs,
    /// The same, and its RouterInfo is to be looked for first.
    TheirsUnknown,
    /// We want it ourselves.
    Ours,
}

impl Errand {
    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Theirs => "theirs",
            Self::TheirsUnknown => "theirs_unknown",
            Self::Ours => "ours",
        }
    }
}

/// Why a call does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The router could not be reached lately.
    Resting,
    /// All places for such errands are taken.
    Busy,
    /// It is an address of ours.
    Ourselves,
    /// No router listens on such a port.
    Port,
    /// The address, or its network, is being called, or was called often enough.
    Place,
}

impl Refusal {
    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Busy => "busy",
            Self::Ourselves => "ourselves",
            Self::Port => "port",
            Self::Place => "place",
        }
    }
}

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Routers that are looked for or called at once on our errands.
    pub ours: usize,
    /// The same on errands of others.
    pub theirs: usize,
    /// The same if their RouterInfos are to be looked for first: each takes a search.
    pub theirs_unknown: usize,
    /// Routers that are left alone at once.
    pub remembered: usize,
    /// Calls to one address (one /64 of IPv6) at once.
    pub at_once: u32,
    /// And a minute.
    pub per_minute: u32,
    /// Calls to one network (/24, /48) at once.
    pub network_at_once: u32,
    /// And a minute.
    pub network_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ours: 512,
            theirs: 192,
            theirs_unknown: 24,
            remembered: 16 * 1024,
            at_once: 2,
            per_minute: 6,
            network_at_once: 8,
            network_per_minute: 30,
        }
    }
}

impl Limits {
    /// For a private network, where many routers share one address.
    pub fn private() -> Self {
        const ANY: u32 = 1 << 20;
        Self { at_once: ANY, per_minute: ANY, network_at_once: ANY, network_per_minute: ANY, ..Self::default() }
    }
}

/// How many calls there are to an address or network, and how many there were lately.
#[derive(Debug, Default)]
struct Places {
    open: BTreeMap<u128, u32>,
    rates: Rates,
}

impl Places {
    fn admits(&mut self, key: u128, at_once: u32, per_minute: u32, now: Mono) -> bool {
        let open = self.open.get(&key).copied().unwrap_or_default();
        open < at_once && self.rates.admit_key(key, per_minute, per_minute, now)
    }

    fn enter(&mut self, key: u128) {
        *self.open.entry(key).or_default() += 1;
    }

    fn leave(&mut self, key: u128) {
        if let Some(open) = self.open.get_mut(&key) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&key);
            }
        }
    }
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    limits: Limits,
    /// Addresses of ours. In a private network only with their ports.
    ours: Vec<SocketAddr>,
    /// Those that we publish now, which may change.
    published: Vec<SocketAddr>,
    ports_tell: bool,
    /// Who is looked for or called.
    entered: BTreeMap<RouterHash, Errand>,
    taken: [usize; 3],
    /// Who could not be reached, and until when he is left alone.
    resting: BTreeMap<RouterHash, Mono>,
    /// The same in the order in which they may be called again. Each is remembered for [`REST`] longer.
    rests: BTreeSet<(Mono, RouterHash)>,
    addresses: Places,
    networks: Places,
}

impl Desk {
    /// Nobody is called. `ours` are our own addresses; `private` says that many routers share an address, which then is
    /// ours only with its port.
    pub fn new(limits: Limits, ours: Vec<SocketAddr>, private: bool) -> Self {
        Self {
            limits,
            ours,
            published: Vec::new(),
            ports_tell: private,
            entered: BTreeMap::new(),
            taken: [0; 3],
            resting: BTreeMap::new(),
            rests: BTreeSet::new(),
            addresses: Places::default(),
            networks: Places::default(),
        }
    }

    /// We publish these addresses from now on.
    pub fn published(&mut self, addresses: Vec<SocketAddr>) {
        self.published = addresses;
    }

    /// Takes a place for a router that is wanted. One that has a place keeps it, and it becomes ours if we want it, too.
    ///
    /// # Errors
    /// Why it is not to be called now.
    pub fn enter(&mut self, router: RouterHash, errand: Errand, now: Mono) -> Result<(), Refusal> {
        self.wake(now);
        if let Some(entered) = self.entered.get_mut(&router) {
            if errand == Errand::Ours && *entered != Errand::Ours {
                self.taken[*entered as usize] -= 1;
                self.taken[Errand::Ours as usize] += 1;
                *entered = Errand::Ours;
            }
            return Ok(());
        }
        if self.resting.get(&router).is_some_and(|until| now < *until) {
            return Err(Refusal::Resting);
        }
        let places = match errand {
            Errand::Theirs => self.limits.theirs,
            Errand::TheirsUnknown => self.limits.theirs_unknown,
            Errand::Ours => self.limits.ours,
        };
        if self.taken[errand as usize] >= places {
            return Err(Refusal::Busy);
        }
        self.taken[errand as usize] += 1;
        self.entered.insert(router, errand);
        Ok(())
    }

    /// Gives the place back: a session stands, or nothing is tried any more.
    pub fn leave(&mut self, router: &RouterHash) {
        if let Some(errand) = self.entered.remove(router) {
            self.taken[errand as usize] -= 1;
        }
    }

    /// On whose errand a router is called, if it is.
    pub fn errand(&self, router: &RouterHash) -> Option<Errand> {
        self.entered.get(router).copied()
    }

    /// How many places are taken for an errand.
    pub fn taken(&self, errand: Errand) -> usize {
        self.taken[errand as usize]
    }

    /// A router could not be reached, and is left alone.
    pub fn failed(&mut self, router: RouterHash, now: Mono) {
        self.wake(now);
        let rest = if self.resting.contains_key(&router) { REST } else { FIRST_REST };
        self.forgive(&router);
        if self.resting.len() >= self.limits.remembered.max(1)
            && let Some((_, first)) = self.rests.pop_first()
        {
            self.resting.remove(&first);
        }
        self.resting.insert(router, now + rest);
        self.rests.insert((now + rest, router));
    }

    /// A session with the router stands: whatever we thought, it can be reached.
    pub fn forgive(&mut self, router: &RouterHash) {
        if let Some(until) = self.resting.remove(router) {
            self.rests.remove(&(until, *router));
        }
    }

    /// Routers that could not be reached lately.
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    fn wake(&mut self, now: Mono) {
        while let Some((until, router)) = self.rests.first().copied().filter(|(until, _)| *until + REST <= now) {
            self.rests.remove(&(until, router));
            self.resting.remove(&router);
        }
    }

    /// Begins a call to an address. Whoever was let through says by [`Desk::hang_up`] when it is over.
    ///
    /// # Errors
    /// Why that address is not to be called, or not now.
    pub fn dial(&mut self, addr: SocketAddr, now: Mono) -> Result<(), Refusal> {
        if addr.port() < FIRST_PORT {
            return Err(Refusal::Port);
        }
        if self.is_ours(addr) {
            return Err(Refusal::Ourselves);
        }
        let (address, network) = keys(addr.ip());
        let limits = &self.limits;
        if !self.addresses.admits(address, limits.at_once, limits.per_minute, now)
            || !self.networks.admits(network, limits.network_at_once, limits.network_per_minute, now)
        {
            return Err(Refusal::Place);
        }
        self.addresses.enter(address);
        self.networks.enter(network);
        Ok(())
    }

    /// A call that was let through is over, whatever became of it.
    pub fn hang_up(&mut self, addr: SocketAddr) {
        let (address, network) = keys(addr.ip());
        self.addresses.leave(address);
        self.networks.leave(network);
    }

    fn is_ours(&self, addr: SocketAddr) -> bool {
        self.ours.iter().chain(&self.published).any(|ours| {
            let same = ours.ip().to_canonical() == addr.ip().to_canonical();
            same && (!self.ports_tell || ours.port() == addr.port())
        })
    }
}

/// What counts as one address, and as one network.
fn keys(ip: IpAddr) -> (u128, u128) {
    let wider = match ip.to_canonical() {
        IpAddr::V4(_) => network(ip, 24),
        IpAddr::V6(ip) => u128::from(ip) >> 80 << 80,
    };
    (network(ip, 32), wider)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Mono = Duration::from_secs(100);

    fn router(n: u32) -> RouterHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        RouterHash(hash)
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn desk() -> Desk {
        Desk::new(Limits::default(), vec![addr("198.51.100.1:4000"), addr("[2001:db8::1]:4000")], false)
    }

    #[test]
    fn what_strangers_want_takes_no_place_of_ours() {
        let mut desk = desk();
        let entered = (0..10_000).filter(|n| desk.enter(router(*n), Errand::Theirs, NOW).is_ok()).count();
        let unknown = (10_000..20_000).filter(|n| desk.enter(router(*n), Errand::TheirsUnknown, NOW).is_ok()).count();
        assert_eq!((entered, unknown), (192, 24));
        let ours = (20_000..30_000).filter(|n| desk.enter(router(*n), Errand::Ours, NOW).is_ok()).count();
        assert_eq!(ours, 512);
        assert_eq!(desk.enter(router(5), Errand::Theirs, NOW), Ok(()), "it has its place");
        desk.leave(&router(5));
        assert_eq!(desk.enter(router(200_000), Errand::Theirs, NOW), Ok(()));
    }

    #[test]
    fn a_router_that_we_want_too_is_called_on_our_errand() {
        let mut desk = desk();
        desk.enter(router(1), Errand::TheirsUnknown, NOW).unwrap();
        desk.enter(router(1), Errand::Ours, NOW).unwrap();
        desk.enter(router(1), Errand::Theirs, NOW).unwrap();
        assert_eq!(desk.errand(&router(1)), Some(Errand::Ours));
        assert_eq!([Errand::Theirs, Errand::TheirsUnknown, Errand::Ours].map(|e| desk.taken(e)), [0, 0, 1]);
        desk.leave(&router(1));
        assert_eq!((desk.taken(Errand::Ours), desk.errand(&router(1))), (0, None));
    }

    #[test]
    fn who_failed_rests_and_takes_no_place_meanwhile() {
        let mut desk = desk();
        desk.failed(router(1), NOW);
        assert_eq!(desk.enter(router(1), Errand::Ours, NOW + FIRST_REST / 2), Err(Refusal::Resting));
        assert_eq!(desk.enter(router(1), Errand::Ours, NOW + FIRST_REST), Ok(()), "it may just have been starting");
        desk.leave(&router(1));
        let again = NOW + FIRST_REST * 2;
        desk.failed(router(1), again);
        assert_eq!(desk.enter(router(1), Errand::Ours, again + REST / 2), Err(Refusal::Resting));
        assert_eq!(desk.enter(router(1), Errand::Ours, again + REST), Ok(()));
        desk.failed(router(2), NOW);
        desk.forgive(&router(2));
        assert_eq!(desk.enter(router(2), Errand::Ours, NOW), Ok(()), "it has called us");
        for n in 0..100_000 {
            desk.failed(router(n), NOW);
        }
        assert_eq!(desk.resting(), Limits::default().remembered);
        desk.failed(router(0), NOW + 10 * REST);
        assert_eq!((desk.resting(), desk.rests.len()), (1, 1));
    }

    #[test]
    fn one_address_gets_two_calls_at_once_and_a_network_eight_whatever_the_ports() {
        let mut desk = desk();
        let mut dial = |text: &str| desk.dial(addr(text), NOW);
        assert_eq!([dial("192.0.2.1:4000"), dial("192.0.2.1:4001")], [Ok(()); 2]);
        assert_eq!(dial("192.0.2.1:4002"), Err(Refusal::Place));
        assert_eq!(dial("[::ffff:192.0.2.1]:4002"), Err(Refusal::Place));
        assert!((2..8).all(|n| dial(&format!("192.0.2.{n}:4000")).is_ok()));
        assert_eq!(dial("192.0.2.9:4000"), Err(Refusal::Place));
        assert_eq!(dial("192.0.3.9:4000"), Ok(()));
        assert_eq!([dial("[2001:db8:1::1]:4000"), dial("[2001:db8:1::2]:4000")], [Ok(()); 2]);
        assert_eq!(dial("[2001:db8:1::3]:4000"), Err(Refusal::Place), "one /64");
    }

    #[test]
    fn one_address_gets_a_few_calls_a_minute_however_short_they_are() {
        let mut desk = desk();
        let to = addr("192.0.2.1:4000");
        let mut let_through = 0;
        for second in 0..60 {
            for _ in 0..100 {
                if desk.dial(to, NOW + Duration::from_secs(second)).is_ok() {
                    let_through += 1;
                    desk.hang_up(to);
                }
            }
        }
        assert!((6..=12).contains(&let_through), "{let_through}");
        assert!(desk.addresses.open.is_empty() && desk.networks.open.is_empty());
    }

    #[test]
    fn neither_we_nor_well_known_ports_are_called() {
        let mut desk = desk();
        for ours in ["198.51.100.1:4000", "198.51.100.1:9999", "[2001:db8::1]:4000", "[::ffff:198.51.100.1]:5000"] {
            assert_eq!(desk.dial(addr(ours), NOW), Err(Refusal::Ourselves), "{ours}");
        }
        for port in [0, 22, 25, 80, 443, 1023] {
            assert_eq!(desk.dial(SocketAddr::from(([192, 0, 2, 1], port)), NOW), Err(Refusal::Port));
        }
        let mut private = Desk::new(Limits::private(), vec![addr("127.0.0.1:4000")], true);
        assert_eq!(private.dial(addr("127.0.0.1:4000"), NOW), Err(Refusal::Ourselves));
        private.published(vec![addr("127.0.0.2:4000")]);
        assert_eq!(private.dial(addr("127.0.0.2:4000"), NOW), Err(Refusal::Ourselves));
        assert!((5000..6000).all(|port| private.dial(SocketAddr::from(([127, 0, 0, 1], port)), NOW).is_ok()));
    }

    proptest! {
        #[test]
        fn places_are_counted_as_they_are_taken(steps in proptest::collection::vec((0..5_u8, 0..40_u32), 0..300)) {
            let limits = Limits { ours: 4, theirs: 3, theirs_unknown: 2, remembered: 5, ..Limits::default() };
            let (mut desk, mut now) = (Desk::new(limits, Vec::new(), false), NOW);
            for (step, n) in steps {
                now += Duration::from_secs(3);
                // Whether it may enter is what the other tests are about.
                match step {
                    0 => drop(desk.enter(router(n), Errand::Ours, now)),
                    1 => drop(desk.enter(router(n), Errand::Theirs, now)),
                    2 => drop(desk.enter(router(n), Errand::TheirsUnknown, now)),
                    3 => desk.leave(&router(n)),
                    _ => desk.failed(router(n), now),
                }
                let errands = [Errand::Theirs, Errand::TheirsUnknown, Errand::Ours];
                for errand in errands {
                    let counted = desk.entered.values().filter(|e| **e == errand).count();
                    prop_assert_eq!(counted, desk.taken(errand));
                }
                prop_assert!(desk.taken(Errand::Theirs) <= 3 && desk.taken(Errand::TheirsUnknown) <= 2);
                prop_assert!(desk.resting() <= 5 && desk.rests.len() == desk.resting());
            }
        }
    }
}
