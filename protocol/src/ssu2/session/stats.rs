//! What a session counts.

use super::Session;
use crate::ssu2::{outbox, path};
use std::time::Duration;

/// Counters of one session since its start, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams that were sent.
    pub packets_out: u64,
    /// Their bytes, without IP and UDP.
    pub bytes_out: u64,
    /// Packets that were authenticated.
    pub packets_in: u64,
    /// Their bytes, without IP and UDP.
    pub bytes_in: u64,
    /// I2NP messages that arrived whole.
    pub messages_in: u64,
    /// Packets that held nothing but an ACK.
    pub acks_out: u64,
    /// ACK blocks that arrived.
    pub acks_in: u64,
    /// ACK blocks that named packets which were never sent.
    pub acks_of_unsent: u64,
    /// Packets declared lost.
    pub lost: u64,
    /// Of those, packets that had arrived after all.
    pub spurious: u64,
    /// Probes sent because no ACK came.
    pub timeouts: u64,
    /// Packets that the network had marked for congestion, by the peer's word.
    pub marked: u64,
    /// Times the path was found to have narrowed.
    pub black_holes: u64,
    /// Datagrams shorter than a packet.
    pub dropped_short: u64,
    /// Datagrams that are no Data packets of this session.
    pub dropped_kind: u64,
    /// Packets that had arrived before.
    pub dropped_repeated: u64,
    /// Packets that did not authenticate.
    pub dropped_tag: u64,
    /// Packets for a session that is over.
    pub dropped_ended: u64,
    /// Packets whose blocks could not be read.
    pub bad_blocks: u64,
    /// RouterInfos that could not be unpacked.
    pub bad_router_infos: u64,
    /// Messages that had arrived before, in another packet.
    pub repeated_messages: u64,
    /// Fragments refused.
    pub refused_fragments: u64,
    /// Messages whose fragments did not all come in time.
    pub incomplete_messages: u64,
    /// What happened to what was to be sent.
    pub outbox: outbox::Stats,
    /// Changes of the peer's address.
    pub path: path::Stats,
    /// The smoothed round trip.
    pub rtt: Duration,
    /// Bytes that may be on their way.
    pub window: u64,
    /// Bytes on their way.
    pub in_flight: u64,
    /// The largest packet, without IP and UDP.
    pub packet_size: u16,
}

macro_rules! counters {
    ($($label:literal = $($field:ident).+,)*) => {
        /// Names of the counters, as the metrics have them.
        pub const COUNTERS: &[&str] = &[$($label,)*];

        impl Stats {
            /// The counters that only grow, in the order of [`COUNTERS`]: to be added up over sessions.
            pub fn counters(&self) -> [u64; COUNTERS.len()] {
                [$(self.$($field).+,)*]
            }
        }
    };
}

counters! {
    "acks_out" = acks_out,
    "acks_in" = acks_in,
    "acks_of_unsent" = acks_of_unsent,
    "lost" = lost,
    "spurious" = spurious,
    "timeouts" = timeouts,
    "marked" = marked,
    "black_holes" = black_holes,
    "short" = dropped_short,
    "wrong_kind" = dropped_kind,
    "repeated" = dropped_repeated,
    "forged" = dropped_tag,
    "ended" = dropped_ended,
    "bad_blocks" = bad_blocks,
    "bad_router_infos" = bad_router_infos,
    "repeated_messages" = repeated_messages,
    "refused_fragments" = refused_fragments,
    "incomplete_messages" = incomplete_messages,
    "expired" = outbox.expired,
    "given_up" = outbox.given_up,
    "sent_again" = outbox.again,
    "challenged" = path.challenged,
    "unanswered" = path.unanswered,
    "cancelled" = path.cancelled,
    "moved" = path.moved,
}

impl Session {
    /// The counters, and where the session stands.
    pub fn stats(&self) -> Stats {
        Stats {
            outbox: self.outbox.stats,
            path: self.path.stats,
            incomplete_messages: self.reassembler.given_up,
            rtt: self.rtt(),
            window: self.cubic.window(),
            in_flight: self.recovery.in_flight(),
            packet_size: self.mtu.current(),
            ..self.stats
        }
    }
}
