//! Whom the SSU2 thread knows: the routers with which sessions stand, and RouterInfos that passed by lately.

use crate::event::Direction;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::ssu2::directory::Directory;
use ramson_protocol::ssu2::endpoint::Endpoint;
use ramson_protocol::time::Now;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// RouterInfos that are kept of routers without a session.
const MAX_INFOS: usize = 512;

/// Sessions with one router.
#[derive(Debug, Default)]
struct Connected {
    /// Their ids and where they lead, the newest last.
    sessions: SmallVec<[(u64, SocketAddr); 1]>,
    /// Where the router sees us, by its word.
    sees_us: Option<SocketAddr>,
    /// We called it at least once.
    called: bool,
}

/// The routers, and what was learned of them.
#[derive(Debug, Default)]
pub(super) struct KnownRouters {
    connected: FxHashMap<RouterHash, Connected>,
    infos: FxHashMap<RouterHash, RouterInfo>,
    /// In the order in which they came.
    order: VecDeque<RouterHash>,
}

impl KnownRouters {
    /// A session stands.
    pub(super) fn up(&mut self, peer: RouterHash, id: u64, addr: SocketAddr, direction: Direction) {
        let connected = self.connected.entry(peer).or_default();
        connected.sessions.push((id, addr));
        connected.called |= direction == Direction::Outbound;
    }

    /// True if a session stands with a router that we called.
    pub(super) fn was_called(&self, peer: &RouterHash) -> bool {
        self.connected.get(peer).is_some_and(|connected| connected.called)
    }

    /// A session has ended. True if it was the last with this router.
    pub(super) fn down(&mut self, peer: &RouterHash, id: u64) -> bool {
        let Some(connected) = self.connected.get_mut(peer) else { return false };
        connected.sessions.retain(|(session, _)| *session != id);
        connected.sessions.is_empty() && self.connected.remove(peer).is_some()
    }

    /// A peer has moved.
    pub(super) fn moved(&mut self, peer: &RouterHash, id: u64, addr: SocketAddr) {
        let sessions = self.connected.get_mut(peer).map(|connected| &mut connected.sessions);
        if let Some(session) = sessions.into_iter().flatten().find(|(session, _)| *session == id) {
            session.1 = addr;
        }
    }

    /// A router says where it sees us. What it said before is returned, if it has a session.
    pub(super) fn sees_us(&mut self, peer: &RouterHash, addr: SocketAddr) -> Option<SocketAddr> {
        self.connected.get_mut(peer)?.sees_us.replace(addr)
    }

    /// At most so many routers that introduce others, that are connected over this family, and not among `asked`.
    pub(super) fn introducing(&self, v4: bool, asked: &FxHashSet<RouterHash>, count: usize) -> Vec<RouterHash> {
        let introduces = |router: &RouterHash| {
            let over = self.addr(router).is_some_and(|addr| addr.is_ipv4() == v4);
            over && self.info(router).is_some_and(|info| info.ssu2().any(|a| a.caps.introducer && a.socket.is_some()))
        };
        let all = self.connected.keys().filter(|router| !asked.contains(router) && introduces(router));
        all.take(count).copied().collect()
    }

    /// Where a router is with which a session stands.
    pub(super) fn addr(&self, peer: &RouterHash) -> Option<SocketAddr> {
        self.connected.get(peer)?.sessions.last().map(|(_, addr)| *addr)
    }

    /// A RouterInfo that passed by.
    pub(super) fn info(&self, router: &RouterHash) -> Option<&RouterInfo> {
        self.infos.get(router)
    }

    /// Keeps a RouterInfo whose signature is good. The oldest make room, but for those of connected routers.
    pub(super) fn learn(&mut self, info: RouterInfo) {
        let hash = info.hash();
        match self.infos.get_mut(&hash) {
            Some(known) if known.published() >= info.published() => return,
            Some(known) => {
                *known = info;
                return;
            }
            None => {}
        }
        let mut looked_at = 0;
        while self.infos.len() >= MAX_INFOS + self.connected.len() && looked_at < MAX_INFOS {
            let Some(oldest) = self.order.pop_front() else { break };
            if self.connected.contains_key(&oldest) {
                self.order.push_back(oldest);
            } else {
                self.infos.remove(&oldest);
            }
            looked_at += 1;
        }
        self.order.push_back(hash);
        self.infos.insert(hash, info);
    }
}

/// The known routers as the machines of peer tests and introductions ask it.
pub(super) struct View<'a> {
    pub(super) known: &'a KnownRouters,
    pub(super) endpoint: &'a Endpoint,
    pub(super) now: Now,
}

impl Directory for View<'_> {
    fn router_info(&self, router: &RouterHash) -> Option<RouterInfo> {
        self.known.info(router).cloned()
    }

    fn testers(&self, v4: bool) -> Vec<(RouterHash, SocketAddr)> {
        let tests = |router: &RouterHash| {
            let info = self.known.infos.get(router)?;
            info.ssu2().any(|a| a.caps.peer_test && a.socket.is_some_and(|s| s.is_ipv4() == v4)).then_some(())
        };
        let connected = self.known.connected.keys().filter(|router| tests(router).is_some());
        connected.filter_map(|router| Some((*router, self.known.addr(router)?))).collect()
    }

    fn is_connected(&self, router: &RouterHash) -> bool {
        self.known.connected.contains_key(router)
    }

    fn token_for(&self, addr: SocketAddr) -> u64 {
        self.endpoint.issue_token(self.now, addr).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::data::router_info::{Caps, RouterInfoBuilder, Version};
    use ramson_protocol::data::router_keys::RouterKeys;
    use ramson_protocol::time::Wall;

    fn info(keys: &RouterKeys, secs: u32) -> RouterInfo {
        let builder = RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR"));
        builder.sign(keys, Wall::from_secs(secs)).unwrap()
    }

    #[test]
    fn a_router_is_connected_until_its_last_session_ends() {
        let (mut known, peer) = (KnownRouters::default(), RouterHash([1; 32]));
        let addr = |port| SocketAddr::from(([10, 0, 0, 1], port));
        known.up(peer, 1, addr(1), Direction::Inbound);
        known.up(peer, 2, addr(2), Direction::Inbound);
        assert_eq!(known.addr(&peer), Some(addr(2)));
        known.moved(&peer, 2, addr(3));
        assert_eq!(known.addr(&peer), Some(addr(3)));
        assert!(!known.down(&peer, 2));
        assert_eq!(known.addr(&peer), Some(addr(1)));
        assert!(known.down(&peer, 1));
        assert!(!known.down(&peer, 1));
    }

    #[test]
    fn router_infos_are_bounded_and_those_of_connected_routers_stay() {
        let mut known = KnownRouters::default();
        let first = RouterKeys::generate(&mut rand::rng());
        known.up(first.identity.hash(), 1, SocketAddr::from(([10, 0, 0, 1], 1)), Direction::Inbound);
        known.learn(info(&first, 2_000_000));
        known.learn(info(&first, 1_000_000));
        assert_eq!(known.infos[&first.identity.hash()].published(), Wall::from_secs(2_000_000), "the newer one stays");
        for _ in 0..MAX_INFOS + 20 {
            known.learn(info(&RouterKeys::generate(&mut rand::rng()), 1_000_000));
        }
        assert!(known.infos.len() <= MAX_INFOS + 1);
        assert!(known.infos.contains_key(&first.identity.hash()));
    }
}
