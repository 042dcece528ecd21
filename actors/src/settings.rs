//! What of a node's settings can change while it runs, in the node's own terms.
//!
//! Each part is defined by whoever heeds it, and made by the section of the configuration that it comes from: a new key of a section
//! that is here already touches these two files.

use ramson_protocol::admission;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::shape;
use std::time::Duration;

pub use crate::transit::Settings as Transit;
pub use ramson_transports::live::Settings as Transport;

/// Settings that [`Node::reload`](crate::node::Node::reload) puts in force.
#[derive(Clone, Debug)]
pub struct Live {
    /// What the line bears, and what of it tunnels of others may take. From it follow the line of the data plane, the
    /// size of its filter of repeated cells, what is admitted, and the bandwidth letter that we publish.
    pub line: shape::Limits,
    /// Of tunnels of others.
    pub transit: Transit,
    /// Of NTCP2.
    pub ntcp2: Transport,
    /// Of SSU2.
    pub ssu2: Transport,
    /// Addresses and routers that we have nothing to do with.
    pub blocklist: Blocklist,
}

impl Live {
    /// A line of 10 MB/s, a hundred tunnels of others, a minute of silence, and nobody blocked.
    pub fn for_tests() -> Self {
        let idle = Transport { idle_close: Duration::from_secs(60) };
        Self {
            line: shape::Limits::even(10_000_000),
            transit: Transit { max_tunnels: 100 },
            ntcp2: idle,
            ssu2: idle,
            blocklist: Blocklist::default(),
        }
    }

    /// What tunnels of others are admitted by.
    pub(crate) fn admission(&self) -> admission::Config {
        admission::Config { max_tunnels: self.transit.max_tunnels, share: self.share(), line: self.line.lesser() }
    }

    /// Bytes per second that others may use, as we publish it.
    pub(crate) fn share(&self) -> u64 {
        self.line.transit
    }
}
