//! The limit of the line, and who gets how much of it.
//!
//! ```text
//!              rate, share                 one Bank per direction, for the whole router
//!                  |
//!   pool <---- refill ----> entitlements   by the number of flows that wait on each thread
//!    |                          |
//!    +--------> Purse <---------+          one per thread and direction: cells cost an addition, no lock
//!                 |
//!   cell -> contract kept? -> purse holds enough and nobody waits? -> now
//!                 |-> FairQueue: a queue per tunnel, in turn, CoDel in each -> later, or dropped under a reason
//! ```
//! Classes: control messages (netDb, builds) and our own traffic always pass and leave a debt that transit pays; what
//! tunnels of others may take is bounded once more, by the share. A cell is judged before any cryptography is spent on
//! it. All cells are of one size, so serving tunnels in turn is deficit round robin with no remainder to carry over.
//!
//! Time is handed in; what threads share is a handful of atomics, touched a few times in a turn.

mod bank;
mod codel;
mod contract;
mod fair;

pub use bank::{Bank, Purse};
use codel::Codel;
pub use contract::{Contract, Meter};
pub use fair::FairQueue;
use std::time::Duration;

/// Who a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Messages between routers: the network database, builds and their answers.
    Control,
    /// Our own tunnels.
    Own,
    /// Tunnels of others.
    Transit,
}

impl Class {
    /// All, in the order of the counters.
    pub const ALL: [Self; 3] = [Self::Control, Self::Own, Self::Transit];

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Own => "own",
            Self::Transit => "transit",
        }
    }
}

/// What the operator allows: bytes per second, and a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What may come in.
    pub inbound: u64,
    /// What may go out.
    pub outbound: u64,
    /// The part of what goes out that tunnels of others may take.
    pub transit: u64,
    /// How long cells may be held back when there is much to do, so that more of them go at once.
    pub max_delay: Duration,
}

/// The longest delay unless the operator says otherwise.
pub const MAX_DELAY: Duration = Duration::from_millis(2);

impl Limits {
    /// The same in both directions, all of it for transit.
    pub fn even(rate: u64) -> Self {
        Self { inbound: rate, outbound: rate, transit: rate, max_delay: MAX_DELAY }
    }

    /// The lesser direction, which is what a tunnel can use: all that comes in goes out.
    pub fn lesser(&self) -> u64 {
        self.inbound.min(self.outbound)
    }
}

#[cfg(test)]
mod tests;
