//! Who is let in: not those on the operator's list.

use crate::series::control;
use arc_swap::ArcSwap;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::link::gate;
use ramson_protocol::link::reason::Reason;
use std::net::IpAddr;
use std::sync::Arc;

/// The list that is in force; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<ArcSwap<Blocklist>>);

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
        self.0.store(Arc::new(list));
    }

    /// The list.
    pub fn list(&self) -> Arc<Blocklist> {
        self.0.load_full()
    }
}

impl gate::Gate for Gate {
    fn admits_address(&self, ip: IpAddr) -> bool {
        !self.0.load().has_address(ip)
    }

    fn admits_router(&self, router: &RouterInfo, _: IpAddr) -> Result<(), Reason> {
        if self.0.load().has_router(&router.hash()) { Err(Reason::BANNED) } else { Ok(()) }
    }
}
