//! One direction of a pool: its builds under way and its tunnels.

use super::config::Wanted;
use super::events::PoolTunnelId;
use crate::time::Mono;
use crate::tunnel::Direction;

pub(super) struct Side {
    pub(super) direction: Direction,
    pub(super) wanted: Wanted,
    pub(super) building: Vec<Building>,
    pub(super) tunnels: Vec<Held>,
    pub(super) failures: u32,
    pub(super) paused_until: Mono,
}

pub(super) struct Building {
    pub(super) id: PoolTunnelId,
    pub(super) deadline: Mono,
}

pub(super) struct Held {
    pub(super) id: PoolTunnelId,
    pub(super) expires: Mono,
    pub(super) rebuild: Mono,
    pub(super) next_test: Mono,
    pub(super) failed_tests: u8,
}

impl Side {
    pub(super) fn new(direction: Direction, wanted: Wanted) -> Self {
        let wanted = wanted.bounded();
        let (building, tunnels) = (Vec::new(), Vec::new());
        Self { direction, wanted, building, tunnels, failures: 0, paused_until: Mono::ZERO }
    }

    /// One more build is needed, and allowed beside those under way. After a failure only one at a time is.
    pub(super) fn wants_build(&self, parallel: usize) -> bool {
        let lasting = self.tunnels.iter().filter(|t| !t.replaced()).count();
        let allowed = if self.failures == 0 { parallel.max(1) } else { 1 };
        lasting + self.building.len() < self.wanted.builds() && self.building.len() < allowed
    }
}

impl Held {
    /// Its successor is due: it no longer counts as one that lasts.
    pub(super) fn replaced(&self) -> bool {
        self.rebuild == Mono::MAX
    }
}
