//! What a node is told at its start; and a node for tests.

use crate::identity::{Floodfill, NodeKeys, Offer, Profile};
use crate::messages::Incoming;
use crate::netdb::NetDbConfig;
use crate::pool::PoolConfig;
use crate::reseeder::ReseedConfig;
use crate::settings::Live;
use crate::time_keeper::ClockConfig;
use actix::prelude::*;
use bytes::Bytes;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::reach::Publish;
use rand_chacha::ChaCha20Rng;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a node is told at its start.
pub struct NodeConfig {
    /// Our keys.
    pub keys: NodeKeys,
    /// What our RouterInfo says. The share is that of the line.
    pub profile: Profile,
    /// Whether peers in private ranges are accepted.
    pub allow_private: bool,
    /// Where NTCP2 listens.
    pub ntcp2: Listen,
    /// Where SSU2 listens.
    pub ssu2: Listen,
    /// Where the tokens are kept that peers gave us for SSU2, if anywhere.
    pub tokens: Option<PathBuf>,
    /// Connections of NTCP2 at once: each has a descriptor.
    pub max_connections: usize,
    /// I/O threads; 0 means one per core.
    pub threads: usize,
    /// What may change while it runs.
    pub live: Live,
    /// Our own exploratory tunnels.
    pub pool: PoolConfig,
    /// How our clock is kept.
    pub clock: ClockConfig,
    /// Whether the gateway before us is asked for ports where addresses are to be found out.
    pub map_ports: bool,
    /// Nothing is said of where we are, and our RouterInfo is not published.
    pub hidden: bool,
    /// How long tunnels of others may go on once we are to end.
    pub drain: Duration,
    /// Where the profiles of other routers are kept, if anywhere.
    pub profiles: Option<PathBuf>,
    /// Where bans are kept, if anywhere.
    pub bans: Option<PathBuf>,
    /// The database.
    pub netdb: NetDbConfig,
    /// RouterInfos to begin with, unverified.
    pub bootstrap: Vec<Bytes>,
    /// Who is asked for RouterInfos when too few are known, if anyone.
    pub reseed: Option<ReseedConfig>,
    /// Called with our RouterInfo whenever it changes, and once before the first connection.
    pub on_router_info: Box<dyn Fn(&RouterInfo)>,
    /// Who gets Data messages that come out of our own tunnels.
    pub data: Option<Recipient<Incoming>>,
}

/// How a transport is offered to callers.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// Where; nowhere if the transport is not spoken.
    pub addresses: Vec<SocketAddr>,
    /// Handshakes that may run at once.
    pub max_handshakes: usize,
    /// Whether the kernel may cut what is sent into datagrams. It always may where there are none.
    pub segmentation_offload: bool,
}

impl NodeConfig {
    /// A router of network 99 that speaks and publishes NTCP2 at one address on loopback, with one I/O thread, new keys, no
    /// tunnels of its own and nothing on disk but its database. Tests change what they are about.
    pub fn for_tests(address: SocketAddr, database: PathBuf) -> Self {
        let offer = Offer { publish: Publish::Fixed(vec![address]), mtu: 1500 };
        Self {
            keys: NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>()),
            profile: Profile {
                net_id: 99,
                floodfill: Floodfill::No,
                ntcp2: Some(offer),
                ssu2: None,
                share: 0,
                family: None,
            },
            allow_private: true,
            ntcp2: Listen { addresses: vec![address], max_handshakes: 100, segmentation_offload: true },
            ssu2: Listen::default(),
            tokens: None,
            max_connections: 1000,
            threads: 1,
            live: Live::for_tests(),
            pool: PoolConfig::exploratory(0, 1),
            clock: ClockConfig::default(),
            map_ports: false,
            hidden: false,
            drain: Duration::from_secs(1),
            profiles: None,
            bans: None,
            netdb: NetDbConfig { database, max_routers: 1000, max_lease_sets: 1000 },
            bootstrap: Vec::new(),
            reseed: None,
            on_router_info: Box::new(|_| {}),
            data: None,
        }
    }
}
