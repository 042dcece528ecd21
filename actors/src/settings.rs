//! What of a node's settings can change while it runs, in the node's own terms; and a node for tests.

use crate::identity::{NodeKeys, Offer, Profile};
use crate::netdb::NetDbConfig;
use crate::node::{Listen, NodeConfig};
use crate::pool::PoolConfig;
use ramson_protocol::admission;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::shape;
use rand_chacha::ChaCha20Rng;
use std::net::SocketAddr;
use std::path::PathBuf;
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

impl NodeConfig {
    /// A router of network 99 that speaks and publishes NTCP2 at one address on loopback, with one I/O thread, new keys, no
    /// tunnels of its own and nothing on disk but its database. Tests change what they are about.
    pub fn for_tests(address: SocketAddr, database: PathBuf) -> Self {
        let offer = Offer { publish: vec![address], mtu: 1500 };
        Self {
            keys: NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>()),
            profile: Profile { net_id: 99, floodfill: false, ntcp2: Some(offer), ssu2: None, share: 0 },
            allow_private: true,
            ntcp2: Listen { addresses: vec![address], max_handshakes: 100, segmentation_offload: true },
            ssu2: Listen::default(),
            tokens: None,
            threads: 1,
            live: Live::for_tests(),
            pool: PoolConfig::exploratory(0, 1),
            profiles: None,
            netdb: NetDbConfig { database, max_routers: 1000, max_lease_sets: 1000 },
            bootstrap: Vec::new(),
            on_router_info: Box::new(|_| {}),
            data: None,
        }
    }
}
