//! What each I/O thread counts, for itself alone. The exporter sums over the threads.
//!
//! A [`Counter`] has one writer, so adding is a load and a store, not a locked instruction.

use ramson_protocol::dialing::Direction;
pub use ramson_protocol::dialing::Transport;
use ramson_protocol::shape::Class;
pub use ramson_protocol::ssu2::session::COUNTERS as SSU2_COUNTERS;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Powers-of-two buckets: bucket `i` counts values below `2^i`, the last one all the rest.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Values by bucket, not cumulative.
    pub buckets: [Counter; 16],
    /// Sum of all values.
    pub sum: Counter,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&self, v: u64) {
        let bucket = (64 - v.leading_zeros() as usize).min(self.buckets.len() - 1);
        self.buckets[bucket].add(1);
        self.sum.add(v);
    }
}

/// Declares a vocabulary: why things were dropped, or what they were. Each value has its label in the metrics, once.
#[macro_export]
macro_rules! causes {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)* }

        impl $name {
            /// Every value, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The label in the metrics.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim(),)* }
            }
        }
    };
}

causes! {
    /// Why the data plane dropped a cell or a message.
    DropCause {
        /// No tunnel of that number is here.
        UnknownTunnel = "unknown_tunnel",
        /// The cell did not come from the tunnel's previous hop.
        WrongPrevious = "wrong_previous_hop",
        /// This kind of message does not belong into that kind of hop.
        WrongKind = "wrong_kind",
        /// A cell of the wrong length.
        BadCell = "bad_cell",
        /// The IV was seen before.
        ReplayedIv = "replayed_iv",
        /// The next hop's queue is at its bound.
        EgressFull = "egress_full",
        /// More messages of our own than may wait for a tunnel to take them; the sender was told.
        OwnQueueFull = "own_queue_full",
        /// The thread that owns the tunnel did not keep up.
        ClientFull = "client_full",
        /// The line is full, and the tunnel has its fair part of what waits already.
        FairShare = "fair_share",
        /// The tunnel's cells have waited too long for the line.
        QueueDelay = "queue_delay",
        /// More than the tunnel's creator lets in.
        Contract = "contract",
        /// No session to the next hop could be had in time.
        NoSession = "no_session",
        /// For a router without a session, by someone on whose account enough routers were called lately.
        TooManyCalls = "too_many_calls",
        /// For a router without a session, and all memory for such messages was taken.
        WaitingFull = "waiting_full",
        /// Sessions that held the most when all memory for what peers do not take or finish was used up: one each.
        MemoryFull = "memory_full",
        /// The next hop's thread did not keep up.
        HandoffFull = "handoff_full",
        /// The message has expired.
        Expired = "expired",
        /// A fragment or the checksum of an endpoint's cell is wrong.
        BadFragment = "bad_fragment",
        /// A message too large for a tunnel.
        TooLarge = "too_large",
        /// Sessions that were closed for want of descriptors: one each.
        DescriptorsScarce = "descriptors_scarce",
        /// A peer sends more messages for the control plane than its share.
        ControlShare = "control_share",
        /// A peer sends more blocks of SSU2's services than its share.
        ServiceShare = "service_share",
        /// The control plane did not keep up.
        ControlFull = "control_full",
        /// A datagram that is too short to be one of SSU2.
        BadDatagram = "bad_datagram",
        /// A datagram for a session that has ended.
        UnknownSession = "unknown_session",
        /// The kernel had no room for a datagram.
        SocketFull = "socket_full",
        /// A message inside a tunnel message could not be read.
        BadMessage = "bad_message",
        /// A session that could not be kept: the control plane has not taken the news of those before it.
        SessionRefused = "session_refused",
    }
}

causes! {
    /// What a cell was to us.
    Role {
        /// Passed on in the middle of a tunnel.
        Participant = "participant",
        /// Made at the gateway of somebody's inbound tunnel.
        InboundGateway = "inbound_gateway",
        /// Taken apart at the endpoint of somebody's outbound tunnel.
        OutboundEndpoint = "outbound_endpoint",
        /// Made for an outbound tunnel of our own.
        OwnOutbound = "own_outbound",
        /// Taken apart from an inbound tunnel of our own.
        OwnInbound = "own_inbound",
    }
}

/// I2NP types that are counted one by one; the last entry stands for all above.
pub const MESSAGE_TYPES: usize = 28;

/// What went in one direction over one transport.
#[derive(Debug, Default)]
pub struct Flow {
    /// Bytes of sockets.
    pub bytes: Counter,
    /// Frames of NTCP2, datagrams of SSU2.
    pub frames: Counter,
    /// I2NP messages by type.
    pub messages: [Counter; MESSAGE_TYPES],
    /// Bytes of their bodies, by type.
    pub message_bytes: [Counter; MESSAGE_TYPES],
}

impl Flow {
    /// Counts a message whose body has `len` bytes.
    pub fn message(&self, kind: u8, len: usize) {
        let at = usize::from(kind).min(MESSAGE_TYPES - 1);
        self.messages[at].add(1);
        self.message_bytes[at].add(len as u64);
    }
}

/// What is counted of one transport.
#[derive(Debug, Default)]
pub struct WireStats {
    /// From peers.
    pub received: Flow,
    /// To peers.
    pub sent: Flow,
    /// Sessions now open that peers began.
    pub sessions_in: Counter,
    /// Sessions now open that we began.
    pub sessions_out: Counter,
    /// Sessions ended, by our own or the peer's termination reason (0 to 22; the last entry counts others).
    pub closed: [Counter; 24],
}

impl WireStats {
    /// The gauge of open sessions that began this way.
    pub fn sessions(&self, direction: Direction) -> &Counter {
        match direction {
            Direction::Inbound => &self.sessions_in,
            Direction::Outbound => &self.sessions_out,
        }
    }
}

/// What is counted of messages that come out of tunnels, in the order of the counters.
pub const REASSEMBLY: [&str; 6] = ["whole", "assembled", "malformed", "duplicate", "expired", "discarded"];

/// The counters of one I/O thread.
#[derive(Debug, Default)]
pub struct IoStats {
    /// What went over each [`Transport`].
    pub wires: [WireStats; Transport::ALL.len()],
    /// Cells by [`Role`].
    pub cells: [Counter; Role::ALL.len()],
    /// Bytes let out, by [`Class`], before padding and the transport's own messages.
    pub bytes_by_class: [Counter; Class::ALL.len()],
    /// Cells that wait for their part of the line.
    pub waiting_cells: Counter,
    /// Tunnels with cells that wait.
    pub waiting_tunnels: Counter,
    /// Cells and messages dropped by cause.
    pub drops: [Counter; DropCause::ALL.len()],
    /// What the sessions of SSU2 have counted, those that have ended too, in the order of [`SSU2_COUNTERS`].
    pub ssu2: [Counter; SSU2_COUNTERS.len()],
    /// The mean round trip of the sessions of SSU2, in microseconds.
    pub ssu2_rtt_us: Counter,
    /// Messages out of tunnels that end here, in the order of [`REASSEMBLY`].
    pub reassembly: [Counter; REASSEMBLY.len()],
    /// Hops in the table.
    pub hops: Counter,
    /// Wake-ups and turns of the loop.
    pub turns: Counter,
    /// Nanoseconds spent in turns, without the waiting.
    pub busy_ns: Counter,
    /// Microseconds of a turn.
    pub turn_us: Histogram,
    /// Cells found in one read.
    pub cells_per_read: Histogram,
    /// Cells sent with one write.
    pub cells_per_write: Histogram,
    /// Cells in one run of the tunnel cipher.
    pub lanes: Histogram,
    /// Entries in this thread's inbox at the start of a turn.
    pub inbox_depth: Counter,
    /// Bytes that wait for sockets to take them.
    pub queued_bytes: Counter,
    /// Gauge: bytes that peers make us hold in their sessions.
    pub held_bytes: Counter,
    /// Gauge: bytes that wait for sessions.
    pub waiting_bytes: Counter,
    /// Gauge: bytes that wait in endpoints for the rest of their messages.
    pub reassembling_bytes: Counter,
    /// Messages handed to the control plane.
    pub events: Counter,
    /// News that the control plane had no room for yet. None is lost.
    pub news_waiting: Counter,
    /// The chance that the duplicate-IV filter takes a fresh cell for a repeated one, per billion.
    pub iv_false_positives_ppb: Counter,
    /// Bytes of the duplicate-IV filter.
    pub iv_filter_bytes: Counter,
    /// Generations of the duplicate-IV filter that ended before their time, at the limit of its memory.
    pub iv_forgotten_early: Counter,
}

impl IoStats {
    /// Counts one drop.
    pub fn dropped(&self, cause: DropCause) {
        self.drops[cause as usize].add(1);
    }

    /// What went over a transport.
    pub fn wire(&self, transport: Transport) -> &WireStats {
        &self.wires[transport as usize]
    }
}
