//! What the streams of a destination are bounded by, what they tell, and what they count.

use crate::id::DestinationHash;
use crate::streaming::stream::End;

/// Ports of both ends, as the payload of a Data message has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// Of the sender.
    pub from: u16,
    /// Of the receiver.
    pub to: u16,
}

impl Ports {
    /// Those of an answer.
    pub fn turned(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// How many streams there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all. As many that are over are remembered, and twice that many if their bytes are not read.
    pub streams: usize,
    /// With one destination.
    pub per_remote: usize,
    /// Bytes that all keep together, beyond what each may keep in any case.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 4096, per_remote: 1024, memory: 128 << 20 }
    }
}

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be read.
    Malformed,
    /// No stream has that number.
    Unknown,
    /// It belongs to a stream with somebody else.
    WrongSender,
    /// Its signature is missing or wrong.
    BadSignature,
    /// It is a first packet for somebody else.
    WrongTarget,
    /// There are too many streams.
    TooMany,
    /// Nobody here takes streams.
    NotListening,
}

impl Refused {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Unknown,
        Self::WrongSender,
        Self::BadSignature,
        Self::WrongTarget,
        Self::TooMany,
        Self::NotListening,
    ];

    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown_stream",
            Self::WrongSender => "wrong_sender",
            Self::BadSignature => "bad_signature",
            Self::WrongTarget => "wrong_target",
            Self::TooMany => "too_many_streams",
            Self::NotListening => "not_listening",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Send this packet.
    Packet {
        /// To whom.
        to: DestinationHash,
        /// With these ports.
        ports: Ports,
        /// The stream, for whoever asks it later.
        stream: u32,
        /// Its lane: packets of different lanes go different ways, if there are.
        lane: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The other side has begun a stream.
    Accepted {
        /// Its number.
        stream: u32,
        /// With whom.
        remote: DestinationHash,
    },
    /// Something may be read or written, or the stream has ended: look at it.
    Changed(u32),
    /// Nothing comes back from this destination on this lane: another way may be better.
    Suspicious(DestinationHash, usize),
    /// The ping of this number was answered.
    Pong(u32),
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Streams that we began.
    pub connected: u64,
    /// Streams that others began.
    pub accepted: u64,
    /// Packets sent, those sent again among them.
    pub sent: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Lanes beside the first that were opened.
    pub lanes_opened: u64,
    /// Those of them that were worth it.
    pub lanes_kept: u64,
    /// Packets received.
    pub received: u64,
    /// Pings answered.
    pub pongs: u64,
    /// Packets refused, in the order of [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// Streams by how they ended: in the order of [`ENDS`].
    pub ended: [u64; ENDS.len()],
}

/// How streams end.
pub const ENDS: [End; 5] = [End::Closed, End::Reset, End::Broken, End::Unreachable, End::TimedOut];
