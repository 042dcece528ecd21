//! The register of tunnel numbers: every number under which a hop stands in the data plane, and whose it is.
//!
//! Numbers of tunnels of others are chosen by their creators, ours by us; both share one table of the data plane. So a
//! number is taken once, whoever asks first.

use parking_lot::Mutex;
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{RouterHash, TunnelId};
use rand::Rng;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Whose tunnel a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Somebody else's, and the hop before us in it.
    Transit(Option<RouterHash>),
    Own(Owner),
}

/// The register; clones share it. Locked for a look-up, some dozens of times a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct TunnelIds(Arc<Mutex<HashMap<TunnelId, Holder>>>);

impl TunnelIds {
    /// A number that is free, for a tunnel of this owner.
    pub(crate) fn reserve(&self, owner: Owner) -> TunnelId {
        let mut ids = self.0.lock();
        loop {
            let id = TunnelId(rand::rng().next_u32());
            // spec: i2np §TunnelData — the number is never zero.
            if id.0 != 0
                && let Entry::Vacant(free) = ids.entry(id)
            {
                free.insert(Holder::Own(owner));
                return id;
            }
        }
    }

    /// Takes the number that somebody else chose for his tunnel, in which `previous` is the hop before us; false if it is
    /// taken.
    #[must_use]
    pub(crate) fn claim(&self, id: TunnelId, previous: Option<RouterHash>) -> bool {
        match self.0.lock().entry(id) {
            Entry::Vacant(free) => {
                free.insert(Holder::Transit(previous));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Gives a number back.
    pub(crate) fn release(&self, id: TunnelId) {
        self.0.lock().remove(&id);
    }

    /// Whose the tunnel is, if it is one of ours.
    pub(crate) fn owner(&self, id: TunnelId) -> Option<Owner> {
        match self.0.lock().get(&id)? {
            Holder::Own(owner) => Some(*owner),
            Holder::Transit(_) => None,
        }
    }

    /// The hop before us in somebody else's tunnel.
    pub(crate) fn previous(&self, id: TunnelId) -> Option<RouterHash> {
        match self.0.lock().get(&id)? {
            Holder::Own(_) => None,
            Holder::Transit(previous) => *previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_take_the_number_of_a_tunnel_of_ours_nor_we_his() {
        let ids = TunnelIds::default();
        let own = ids.reserve(Owner::Router);
        assert_eq!(ids.owner(own), Some(Owner::Router));
        let previous = Some(RouterHash([1; 32]));
        assert!(!ids.claim(own, previous));
        let theirs = TunnelId(own.0 ^ 1);
        assert!(ids.claim(theirs, previous) && !ids.claim(theirs, None));
        assert_eq!((ids.previous(theirs), ids.previous(own)), (previous, None));
        assert_eq!(ids.owner(theirs), None);
        ids.release(theirs);
        assert!(ids.claim(theirs, None));
    }
}
