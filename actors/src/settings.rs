//! What of a node's settings can change while it runs, in the node's own terms.

use ramson_protocol::admission;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::shape;
use std::time::Duration;

/// Settings that [`Node::reload`](crate::node::Node::reload) puts in force.
#[derive(Clone, Debug)]
pub struct Live {
    /// What the line bears, and what of it tunnels of others may take. From it follow the line of the data plane, the
    /// size of its filter of repeated cells, what is admitted, and the bandwidth letter that we publish.
    pub line: shape::Limits,
    /// Tunnels of others at once.
    pub max_transit: usize,
    /// When silent sessions of NTCP2 are closed.
    pub ntcp2_idle_close: Duration,
    /// When silent sessions of SSU2 are closed.
    pub ssu2_idle_close: Duration,
    /// Addresses and routers that we have nothing to do with.
    pub blocklist: Blocklist,
}

impl Live {
    /// A line of 10 MB/s, a hundred tunnels of others, a minute of silence, and nobody blocked.
    pub fn for_tests() -> Self {
        Self {
            line: shape::Limits::even(10_000_000),
            max_transit: 100,
            ntcp2_idle_close: Duration::from_secs(60),
            ssu2_idle_close: Duration::from_secs(60),
            blocklist: Blocklist::default(),
        }
    }

    /// What tunnels of others are admitted by.
    pub(crate) fn admission(&self) -> admission::Config {
        admission::Config { max_tunnels: self.max_transit, share: self.share(), line: self.line.lesser() }
    }

    /// Bytes per second that others may use, as we publish it.
    pub(crate) fn share(&self) -> u64 {
        self.line.transit
    }
}
