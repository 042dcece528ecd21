//! What goes into a pool and what comes out.

use super::config::Wanted;
use crate::time::Mono;
use crate::tunnel::Direction;
use std::time::Duration;

/// The number of a tunnel in its pool, from its build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolTunnelId(pub u64);

/// The number of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestId(pub u64);

/// The tunnel of the other direction that a build needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// This tunnel.
    Tunnel(PoolTunnelId),
    /// None exists: no hops, ourselves at both ends.
    Direct,
}

/// Why a build failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuildFailure {
    /// A hop refused, or its reply could not be read.
    Refused,
    /// The first hop could not be reached, or the message not be sent.
    Unsent,
    /// No hops to be found.
    NoPeers,
}

/// Inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// A build succeeded; the tunnel ends at `expires`.
    Built {
        /// The tunnel.
        id: PoolTunnelId,
        /// When it ends.
        expires: Mono,
    },
    /// A build failed.
    Failed {
        /// The tunnel.
        id: PoolTunnelId,
        /// How the build failed.
        why: BuildFailure,
    },
    /// A test's message came back.
    TestPassed {
        /// The test.
        test: TestId,
    },
    /// A tunnel is known to be broken: its first or last hop said so or is gone.
    Broken {
        /// The tunnel.
        id: PoolTunnelId,
    },
    /// What goes through the tunnels seems not to arrive: each is tested now, unless it was a moment ago.
    Doubted,
    /// From now on, want this.
    Want {
        /// Inbound or outbound.
        direction: Direction,
        /// How many tunnels of this direction, and how long.
        wanted: Wanted,
    },
}

/// Outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// Choose hops and build.
    Build {
        /// The number of the tunnel to be.
        id: PoolTunnelId,
        /// Inbound or outbound.
        direction: Direction,
        /// How many hops.
        length: usize,
        /// The way of the message (inbound) or of its answer (outbound).
        pair: Pair,
    },
    /// No answer came: forget the build. All its hops share the blame.
    TimedOut {
        /// The tunnel.
        id: PoolTunnelId,
    },
    /// Send a message to ourselves through these two.
    Test {
        /// The number by which the result is reported.
        test: TestId,
        /// Out through this one.
        outbound: PoolTunnelId,
        /// Back through this one.
        inbound: PoolTunnelId,
    },
    /// A test came back: praise the hops of both tunnels.
    Proven {
        /// Out through this one.
        outbound: PoolTunnelId,
        /// Back through this one.
        inbound: PoolTunnelId,
        /// The round trip.
        rtt: Duration,
    },
    /// A tunnel is to be removed; its hops are to blame.
    Dropped {
        /// The tunnel.
        id: PoolTunnelId,
    },
    /// A tunnel is at its end and is to be removed.
    Ended {
        /// The tunnel.
        id: PoolTunnelId,
    },
}

/// What happened so far, both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Builds begun.
    pub builds: u64,
    /// Builds that gave a tunnel.
    pub built: u64,
    /// Builds refused by a hop.
    pub refused: u64,
    /// Builds that could not be sent.
    pub unsent: u64,
    /// Builds for which no hops were found.
    pub no_peers: u64,
    /// Builds without an answer.
    pub timed_out: u64,
    /// Tests begun.
    pub tests: u64,
    /// Tests that came back.
    pub passed: u64,
    /// Tests that did not.
    pub failed: u64,
    /// Tunnels dropped before their end.
    pub dropped: u64,
    /// Tunnels that reached their end.
    pub ended: u64,
}
