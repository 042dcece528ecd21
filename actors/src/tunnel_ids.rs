//! The register of tunnel numbers: every number under which a hop stands in the data plane, and whose it is.
//!
//! Numbers of tunnels of others are chosen by their creators, ours by us; both share one table of the data plane. So a
//! number is taken once, whoever asks first.

use parking_lot::Mutex;
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::TunnelId;
use rand::Rng;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Whose tunnel a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Transit,
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

    /// Takes the number that somebody else chose for his tunnel; false if it is taken.
    #[must_use]
    pub(crate) fn claim(&self, id: TunnelId) -> bool {
        match self.0.lock().entry(id) {
            Entry::Vacant(free) => {
                free.insert(Holder::Transit);
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
            Holder::Transit => None,
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
        assert!(!ids.claim(own));
        let theirs = TunnelId(own.0 ^ 1);
        assert!(ids.claim(theirs) && !ids.claim(theirs));
        assert_eq!(ids.owner(theirs), None);
        ids.release(theirs);
        assert!(ids.claim(theirs));
    }
}
