//! One direction of a pool: its builds under way and its tunnels.

use super::config::Wanted;
use super::events::PoolTunnelId;
use crate::time::Mono;
use crate::tunnel::Direction;
use std::time::Duration;

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
    /// When a test of it was begun or passed last.
    pub(super) tested: Mono,
    /// The round trip of the last one that passed.
    pub(super) round_trip: Option<Duration>,
    /// Its tests are to tell quickly.
    pub(super) doubted: bool,
}

impl Side {
    pub(super) fn new(direction: Direction, wanted: Wanted) -> Self {
        let wanted = wanted.bounded();
        let (building, tunnels) = (Vec::new(), Vec::new());
        Self { direction, wanted, building, tunnels, failures: 0, paused_until: Mono::ZERO }
    }

    pub(super) fn get_mut(&mut self, id: PoolTunnelId) -> Option<&mut Held> {
        self.tunnels.iter_mut().find(|tunnel| tunnel.id == id)
    }

    /// One more build is needed, and allowed beside those under way. After a failure only one at a time is.
    pub(super) fn wants_build(&self, parallel: usize) -> bool {
        let lasting = self.tunnels.iter().filter(|t| !t.replaced()).count();
        let allowed = if self.failures == 0 { parallel.max(1) } else { 1 };
        lasting + self.building.len() < self.wanted.builds() && self.building.len() < allowed
    }
}

impl Held {
    /// One that was built now.
    pub(super) fn new(id: PoolTunnelId, expires: Mono, rebuild: Mono, next_test: Mono) -> Self {
        let (failed_tests, tested, round_trip, doubted) = (0, Mono::ZERO, None, false);
        Self { id, expires, rebuild, next_test, failed_tests, tested, round_trip, doubted }
    }

    /// Its successor is due: it no longer counts as one that lasts.
    pub(super) fn replaced(&self) -> bool {
        self.rebuild == Mono::MAX
    }
}
