//! The hops of tunnels that pass through this router, or begin or end here.
//!
//! The control plane makes a [`Hop`] and installs it in the table of every thread; reading a table needs no
//! synchronisation. The counters of a hop are written by the one thread on which its cells arrive.

use crate::ports::own::{Lane, OwnPort};
use crate::stats::Counter;
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::shape::Contract;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// One tunnel at this router.
pub struct Hop {
    /// Its number here.
    pub id: TunnelId,
    /// What we do with its cells.
    pub kind: HopKind,
    /// Who sends us its cells; cells from others are dropped. `None` at gateways, which take messages from everybody.
    pub previous: Option<RouterHash>,
    /// What was agreed about its bandwidth.
    pub contract: Contract,
    /// Cells received, or made at a gateway.
    pub cells: Counter,
    /// The tunnel is over: whoever still has it in a table takes it out.
    ended: AtomicBool,
}

/// What we do with the cells of a tunnel.
pub enum HopKind {
    /// Encrypt and pass on.
    Participant {
        /// Our layer.
        cipher: LayerCipher,
        /// The next hop, which gets the cells.
        next: NextHop,
    },
    /// Somebody's inbound tunnel begins here: cut messages into cells, encrypt, pass on.
    InboundGateway {
        /// Our layer.
        cipher: LayerCipher,
        /// The next hop, which gets the cells.
        next: NextHop,
    },
    /// Somebody's outbound tunnel ends here: take off the last layer, put messages together, deliver.
    OutboundEndpoint {
        /// Our layer.
        cipher: LayerCipher,
    },
    /// Our own inbound tunnel ends here: cells go on as they came.
    InboundEndpoint {
        /// The thread that owns the tunnel.
        to: Arc<dyn OwnPort>,
    },
    /// Our own inbound tunnel has no hops: messages come to us directly.
    InboundWithoutHops,
    /// Our own outbound tunnel begins here: cells come finished.
    OutboundGateway {
        /// The first hop.
        next: NextHop,
        /// The thread that owns the tunnel.
        from: Arc<dyn OwnPort>,
        /// What that thread learns of its cells. The first hop's home thread counts in it.
        lane: Arc<Lane>,
    },
}

/// Where cells go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The router that gets the cells.
    pub router: RouterHash,
    /// The tunnel's number there.
    pub tunnel: TunnelId,
}

impl Hop {
    /// A hop that has carried nothing yet.
    pub fn new(id: TunnelId, kind: HopKind, previous: Option<RouterHash>) -> Self {
        Self {
            id,
            kind,
            previous,
            contract: Contract::default(),
            cells: Counter::default(),
            ended: AtomicBool::new(false),
        }
    }

    /// The same hop with what was agreed about it.
    #[must_use]
    pub fn with_contract(self, contract: Contract) -> Self {
        Self { contract, ..self }
    }

    /// The tunnel is over. A command that takes it out of a table may be lost; this is not.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// The next hop, unless the tunnel ends here.
    pub fn next(&self) -> Option<&NextHop> {
        match &self.kind {
            HopKind::Participant { next, .. }
            | HopKind::InboundGateway { next, .. }
            | HopKind::OutboundGateway { next, .. } => Some(next),
            HopKind::OutboundEndpoint { .. } | HopKind::InboundEndpoint { .. } | HopKind::InboundWithoutHops => None,
        }
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            HopKind::Participant { .. } => "participant",
            HopKind::InboundGateway { .. } => "inbound gateway",
            HopKind::OutboundEndpoint { .. } => "outbound endpoint",
            HopKind::InboundEndpoint { .. } => "inbound endpoint",
            HopKind::InboundWithoutHops => "inbound without hops",
            HopKind::OutboundGateway { .. } => "outbound gateway",
        };
        f.debug_struct("Hop").field("kind", &kind).finish_non_exhaustive()
    }
}
