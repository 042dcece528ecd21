//! Who is let in and called: not those on the operator's list, nor those who are banned for what they did.

use crate::series::control;
use arc_swap::ArcSwap;
use ramson_protocol::blame::Who;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate;
use ramson_protocol::link::reason::Reason;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The list and the bans that are in force; all clones share them. Reading needs no lock.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    list: ArcSwap<Blocklist>,
    bans: ArcSwap<HashSet<Who>>,
}

impl Gate {
    /// With a list to begin with.
    pub fn new(list: Blocklist) -> Self {
        let gate = Self::default();
        gate.set(list);
        gate
    }

    /// Puts another list in force.
    pub fn set(&self, list: Blocklist) {
        let (ranges, routers) = list.len();
        for (kind, count) in [("address_range", ranges), ("router", routers)] {
            control::BLOCKLIST.set([kind], count as f64);
        }
        self.0.list.store(Arc::new(list));
    }

    /// The operator's list.
    pub fn list(&self) -> Arc<Blocklist> {
        self.0.list.load_full()
    }

    /// Bans somebody.
    pub(crate) fn ban(&self, who: Who) {
        self.change(|bans| bans.insert(who));
    }

    /// The ban is over.
    pub(crate) fn lift(&self, who: Who) {
        self.change(|bans| bans.remove(&who));
    }

    /// For the judge alone, who is one: what is copied here is small, and changes seldom.
    fn change(&self, change: impl FnOnce(&mut HashSet<Who>) -> bool) {
        let mut bans = HashSet::clone(&self.0.bans.load());
        change(&mut bans);
        for kind in ["router", "address", "network"] {
            control::BANNED.set([kind], bans.iter().filter(|who| who.kind() == kind).count() as f64);
        }
        self.0.bans.store(Arc::new(bans));
    }

    /// Whether a router is on the list, or banned.
    pub fn bars_router(&self, router: &RouterHash) -> bool {
        self.0.list.load().has_router(router) || self.0.bans.load().contains(&Who::Router(*router))
    }

    /// Whether an address is on the list, or banned.
    pub fn bars_address(&self, ip: IpAddr) -> bool {
        let bans = self.0.bans.load();
        self.0.list.load().has_address(ip) || bans.contains(&Who::address(ip)) || bans.contains(&Who::network(ip))
    }

    /// All routers on the list or banned.
    pub(crate) fn barred_routers(&self) -> Vec<RouterHash> {
        let banned = |who: &Who| if let Who::Router(router) = who { Some(*router) } else { None };
        let (list, bans) = (self.0.list.load(), self.0.bans.load());
        list.routers().copied().chain(bans.iter().filter_map(banned)).collect()
    }
}

impl gate::Gate for Gate {
    fn admits_address(&self, ip: IpAddr) -> bool {
        !self.bars_address(ip)
    }

    fn admits_router(&self, router: &RouterInfo, _: IpAddr) -> Result<(), Reason> {
        if self.bars_router(&router.hash()) { Err(Reason::BANNED) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::link::gate::Gate as _;

    #[test]
    fn the_banned_are_kept_out_until_the_ban_is_lifted_and_the_listed_stay_out() {
        let mut list = Blocklist::default();
        list.add("10.9.0.0/16").unwrap();
        let gate = Gate::new(list);
        let (router, ip) = (RouterHash([3; 32]), IpAddr::from([10, 1, 2, 3]));
        for who in [Who::Router(router), Who::address(ip)] {
            gate.ban(who);
        }
        assert!(gate.bars_router(&router) && gate.bars_address(ip) && !gate.admits_address(ip));
        assert_eq!(gate.barred_routers(), [router]);
        for who in [Who::Router(router), Who::address(ip)] {
            gate.lift(who);
        }
        assert!(!gate.bars_router(&router) && gate.admits_address(ip));
        assert!(!gate.admits_address([10, 9, 8, 7].into()));
        gate.ban(Who::network(ip));
        assert!(!gate.admits_address([10, 1, 2, 99].into()) && gate.admits_address([10, 1, 3, 3].into()));
    }
}
