//! Which routers our own tunnels pass through, in all pools together.

use parking_lot::Mutex;
use ramson_protocol::id::RouterHash;
use ramson_protocol::peers::usage::Usage;
use std::sync::Arc;

/// The register; clones share it. Locked when a tunnel begins and ends, and when hops are chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct InUse(Arc<Mutex<Usage>>);

/// The hops of one tunnel, which are given back on drop.
#[derive(Debug, Default)]
pub(super) struct HopsInUse {
    hops: Vec<RouterHash>,
    register: Option<InUse>,
}

impl InUse {
    /// A tunnel with these hops begins.
    pub(super) fn hold(&self, hops: Vec<RouterHash>) -> HopsInUse {
        self.0.lock().hold(&hops);
        HopsInUse { hops, register: Some(self.clone()) }
    }

    /// What is in use now.
    pub(crate) fn get(&self) -> Usage {
        self.0.lock().clone()
    }
}

impl std::ops::Deref for HopsInUse {
    type Target = [RouterHash];

    fn deref(&self) -> &[RouterHash] {
        &self.hops
    }
}

impl Drop for HopsInUse {
    fn drop(&mut self) {
        if let Some(register) = &self.register {
            register.0.lock().release(&self.hops);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_in_use_as_long_as_their_tunnel() {
        let (register, hop) = (InUse::default(), RouterHash([1; 32]));
        let held = register.hold(vec![hop]);
        assert_eq!((register.get().count(&hop), held.len()), (1, 1));
        drop(held);
        assert_eq!(register.get().count(&hop), 0);
    }
}
