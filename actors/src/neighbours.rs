//! The routers that we have sessions with, and where they are: who bears what to us.
//!
//! Written by the table of connections, read for each message of the network database and each garlic.

use parking_lot::RwLock;
use ramson_protocol::id::RouterHash;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Where the router is.
    pub(crate) ip: IpAddr,
    /// It publishes this address, or we have called it: whoever builds through it reaches it.
    pub(crate) proven: bool,
}

/// The register; clones share it. Bounded by the sessions that there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours(Arc<RwLock<HashMap<RouterHash, Neighbour>>>);

impl Neighbours {
    /// A session stands.
    pub(crate) fn connected(&self, router: RouterHash, neighbour: Neighbour) {
        let mut all = self.0.write();
        // What one session has proven a second one does not take back.
        let proven = all.get(&router).is_some_and(|former| former.proven);
        all.insert(router, Neighbour { proven: neighbour.proven || proven, ..neighbour });
    }

    /// The last session with a router has ended.
    pub(crate) fn disconnected(&self, router: &RouterHash) {
        self.0.write().remove(router);
    }

    /// What is known of the sessions with a router, if there are any.
    pub(crate) fn get(&self, router: &RouterHash) -> Option<Neighbour> {
        self.0.read().get(router).copied()
    }

    /// True if there is a session with a router.
    pub(crate) fn has(&self, router: &RouterHash) -> bool {
        self.0.read().contains_key(router)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_proven_where_it_is_need_not_do_so_again_while_it_is_connected() {
        let (all, router, ip) = (Neighbours::default(), RouterHash([1; 32]), IpAddr::from([10, 1, 1, 1]));
        all.connected(router, Neighbour { ip, proven: true });
        all.connected(router, Neighbour { ip, proven: false });
        assert_eq!(all.get(&router), Some(Neighbour { ip, proven: true }));
        all.disconnected(&router);
        assert!(!all.has(&router));
    }
}
