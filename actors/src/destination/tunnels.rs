//! What a destination wants of its tunnels, and for how long a change of them waits.

use crate::pool::Wanted;
use ramson_protocol::idle::Idle;
use ramson_protocol::tunnel::Direction;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

/// A change of tunnels waits so long for others, before a lease set is made of it: a published one costs floodfills something.
/// INTEROP: Java waits three seconds.
pub(super) const SETTLE: Duration = Duration::from_secs(1);

/// The tunnels that it gives up while nobody uses it.
pub(super) struct IdleTunnels {
    pub(super) watch: Idle,
    pub(super) used: Arc<AtomicU64>,
    pub(super) given_up: Arc<AtomicBool>,
    /// Those that lead to it, and away.
    pub(super) wanted: [(Direction, Wanted); 2],
}

impl IdleTunnels {
    /// How long a change waits for others when so many tunnels lead here. Whoever opened the destination waits for its first lease set: it is
    /// made as soon as all stand, and of one that is not published as soon as the first does, since it costs nothing.
    pub(super) fn settle(&self, inbound: usize, first: bool, published: bool) -> Duration {
        let complete = inbound >= self.wanted[0].1.count;
        if first && (complete || !published) { Duration::ZERO } else { SETTLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::idle::Config;
    use ramson_protocol::time::Mono;

    #[test]
    fn the_first_lease_set_is_made_as_soon_as_all_tunnels_stand() {
        let wanted = [Direction::Inbound, Direction::Outbound].map(|direction| (direction, Wanted::new(3, 2)));
        let (used, given_up) = (Arc::default(), Arc::default());
        let idle = IdleTunnels { watch: Idle::new(Config::default(), Mono::ZERO), used, given_up, wanted };
        assert_eq!(idle.settle(2, true, true), SETTLE, "a third is to come");
        assert_eq!(idle.settle(3, true, true), Duration::ZERO);
        assert_eq!(idle.settle(3, false, true), SETTLE, "others have one");
        assert_eq!(idle.settle(1, true, false), Duration::ZERO, "it costs nobody anything");
    }
}
