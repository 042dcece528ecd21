//! Whose word on our clock and address is heard: routers that we chose for our own tunnels, and have known for long.
//!
//! Others can make us call anybody: a lookup names the router that the answer goes to, a build its next hop. Whoever could
//! put words into our ears that way would set our clock, and have us publish his address. So only those count whom our own
//! choice of hops has named lately, and of those only old acquaintances, as long as there are enough.

use parking_lot::Mutex;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// Who was chosen longer ago is called for another reason.
const LATELY: Duration = Duration::from_secs(600);

/// Routers that are remembered; beyond them the oldest choices are forgotten.
const REMEMBERED: usize = 4096;

/// The routers, and when they were chosen.
#[derive(Debug, Default)]
pub(crate) struct Witnesses(Mutex<HashMap<RouterHash, Mono>>);

impl Witnesses {
    /// This router, an old acquaintance, was chosen.
    pub(crate) fn name(&self, router: RouterHash, now: Mono) {
        let mut all = self.0.lock();
        if all.len() >= REMEMBERED {
            all.retain(|_, at| now.saturating_sub(*at) < LATELY);
        }
        if all.len() < REMEMBERED {
            all.insert(router, now);
        }
    }

    /// True if its word is heard.
    pub(crate) fn is_one(&self, router: &RouterHash, now: Mono) -> bool {
        self.0.lock().get(router).is_some_and(|at| now.saturating_sub(*at) < LATELY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whom_we_chose_lately_is_heard_and_the_memory_is_bounded() {
        let (witnesses, chosen, now) = (Witnesses::default(), RouterHash([1; 32]), Duration::from_secs(50));
        assert!(!witnesses.is_one(&chosen, now));
        witnesses.name(chosen, now);
        assert!(witnesses.is_one(&chosen, now) && !witnesses.is_one(&chosen, now + LATELY));
        for n in 0..3 * REMEMBERED as u32 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            witnesses.name(RouterHash(hash), now + LATELY);
        }
        assert_eq!(witnesses.0.lock().len(), REMEMBERED);
    }
}
