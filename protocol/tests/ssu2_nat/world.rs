//! Routers behind NATs, and who has a session with whom.

use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
use ramson_protocol::ssu2::directory::{Directory, Me};
use ramson_protocol::time::{Mono, Now, Wall};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) const NET: u8 = 99;
/// Wall time at virtual time zero.
pub(crate) const EPOCH: Wall = Wall(1_800_000_000_000);

pub(crate) fn at(mono: Mono) -> Now {
    Now { mono, wall: EPOCH.plus(mono) }
}

/// What stands between a router and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nat {
    /// Nothing.
    Open,
    /// A hole once made lets everybody in.
    FullCone,
    /// A hole lets those in to whom something was sent through it.
    PortRestricted,
    /// As that, and every destination sees another port.
    Symmetric,
}

/// One router, as others know it.
pub(crate) struct Router {
    pub keys: Arc<RouterKeys>,
    pub intro: [u8; 32],
    pub info: RouterInfo,
    pub addr: SocketAddr,
    nat: Nat,
    /// Symmetric: the ports by destination.
    ports: HashMap<SocketAddr, u16>,
    /// To whom something was sent.
    sent: BTreeSet<SocketAddr>,
}

impl Router {
    pub(crate) fn new(n: u8, nat: Nat) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(n));
        let keys = Arc::new(RouterKeys::generate(&mut rng));
        let (intro, addr) = ([n; 32], SocketAddr::from(([60, n, 0, 1], 9000)));
        let address = RouterAddressBuf::ssu2(addr, &SecretKey::from_bytes([n; 32]).public(), &intro, "B", 1500);
        let info = RouterInfoBuilder::new(NET, Version::parse("0.9.69"), Caps::parse("LR")).address(address);
        let info = info.sign(&keys, EPOCH).unwrap();
        Self { keys, intro, info, addr, nat, ports: HashMap::new(), sent: BTreeSet::new() }
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.info.hash()
    }

    pub(crate) fn me(&self) -> Me {
        Me { net_id: NET, keys: self.keys.clone(), allow_reserved: false }
    }

    /// Sends something to `to`: the address that is seen there.
    pub(crate) fn outbound(&mut self, to: SocketAddr) -> SocketAddr {
        self.sent.insert(to);
        match self.nat {
            Nat::Symmetric => {
                let next = 30_000 + self.ports.len() as u16;
                SocketAddr::new(self.addr.ip(), *self.ports.entry(to).or_insert(next))
            }
            _ => self.addr,
        }
    }

    /// Whether something from `from` to `to`, an address of ours, gets through.
    pub(crate) fn inbound(&self, from: SocketAddr, to: SocketAddr) -> bool {
        match self.nat {
            Nat::Open => to == self.addr,
            Nat::FullCone => to == self.addr && !self.sent.is_empty(),
            Nat::PortRestricted => to == self.addr && self.sent.contains(&from),
            Nat::Symmetric => self.ports.get(&from).is_some_and(|port| *port == to.port()),
        }
    }
}

/// What everybody knows, seen by one of them.
pub(crate) struct View<'a> {
    pub routers: &'a [Router],
    /// Pairs with a session.
    pub sessions: &'a BTreeSet<(usize, usize)>,
    /// Whose RouterInfos are known.
    pub known: bool,
    pub who: usize,
}

impl View<'_> {
    fn find(&self, router: &RouterHash) -> Option<usize> {
        self.routers.iter().position(|r| r.hash() == *router)
    }
}

pub(crate) fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Directory for View<'_> {
    fn router_info(&self, router: &RouterHash) -> Option<RouterInfo> {
        self.find(router).filter(|_| self.known).map(|n| self.routers[n].info.clone())
    }

    fn testers(&self, v4: bool) -> Vec<(RouterHash, SocketAddr)> {
        let with_session = |n: &usize| *n != self.who && self.sessions.contains(&pair(*n, self.who));
        let all = (0..self.routers.len()).filter(with_session).map(|n| (self.routers[n].hash(), self.routers[n].addr));
        all.filter(|_| v4).collect()
    }

    fn is_connected(&self, router: &RouterHash) -> bool {
        self.find(router).is_some_and(|n| self.sessions.contains(&pair(n, self.who)))
    }

    fn token_for(&self, addr: SocketAddr) -> u64 {
        u64::from(addr.port()) + 7
    }
}
