//! Why a handshake failed, whose fault it was, and how the connection must end.

use crate::link::fault::Fault;
use crate::link::skew::ClockSkew;
use std::time::Duration;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The ephemeral key has its top bit set: no key, or the mark of a hybrid handshake that we do not offer.
    #[error("ephemeral key with its top bit set")]
    KeyMarker,
    /// A public key of small order.
    #[error("public key of small order")]
    SmallOrder,
    /// Message 1 was seen before.
    #[error("replayed message")]
    Replay,
    /// The replay cache is full, so nothing can be called new.
    #[error("replay cache full")]
    ReplayCacheFull,
    /// Message 1 does not authenticate.
    #[error("message 1 does not authenticate")]
    Message1Tag,
    /// Message 2 does not authenticate.
    #[error("message 2 does not authenticate")]
    Message2Tag,
    /// A part of message 3 does not authenticate.
    #[error("message 3 does not authenticate")]
    Message3Tag,
    /// Another network.
    #[error("network id {0}")]
    NetworkId(u8),
    /// Another version of the protocol.
    #[error("protocol version {0}")]
    Version(u8),
    /// More padding than we accept.
    #[error("{0} bytes of padding")]
    Padding(u16),
    /// A length of message 3 part 2 that cannot hold a RouterInfo, or is more than we accept.
    #[error("message 3 part 2 of {0} bytes")]
    Part2Len(u16),
    /// Bytes after a message where the peer must wait for ours.
    #[error("bytes after the message")]
    ExtraBytes,
    /// The clocks differ by more than a minute.
    #[error("clock skew of {} ms", .0.0)]
    ClockSkew(ClockSkew),
    /// Message 3 part 2 is not a RouterInfo, then options, then padding.
    #[error("message 3 blocks")]
    Message3Blocks,
    /// Our RouterInfo does not fit message 3.
    #[error("own RouterInfo of {0} bytes")]
    OwnRouterInfo(usize),
    /// The caller handed in fewer bytes than the state needs.
    #[error("too few bytes handed in")]
    TooFewBytes,
}

impl Cause {
    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::KeyMarker => "key_marker",
            Self::SmallOrder => "small_order",
            Self::Replay => "replay",
            Self::ReplayCacheFull => "replay_cache_full",
            Self::Message1Tag => "message_1_tag",
            Self::Message2Tag => "message_2_tag",
            Self::Message3Tag => "message_3_tag",
            Self::NetworkId(_) => "network_id",
            Self::Version(_) => "version",
            Self::Padding(_) => "padding",
            Self::Part2Len(_) => "part_2_length",
            Self::ExtraBytes => "extra_bytes",
            Self::ClockSkew(_) => "clock_skew",
            Self::Message3Blocks => "message_3_blocks",
            Self::OwnRouterInfo(_) => "own_router_info",
            Self::TooFewBytes => "bug",
        }
    }

    /// Whose fault it was.
    pub fn fault(self) -> Fault {
        match self {
            Self::KeyMarker | Self::Message1Tag | Self::Replay => Fault::Malformed,
            Self::SmallOrder
            | Self::Message2Tag
            | Self::Message3Tag
            | Self::NetworkId(_)
            | Self::Version(_)
            | Self::Padding(_)
            | Self::Part2Len(_)
            | Self::ExtraBytes
            | Self::ClockSkew(_)
            | Self::Message3Blocks => Fault::PeerMisbehaved,
            Self::ReplayCacheFull | Self::OwnRouterInfo(_) => Fault::Local,
            Self::TooFewBytes => Fault::Bug,
        }
    }
}

/// How the connection must end, so that a prober learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// At once, with a reset.
    Now,
    /// Say nothing, read on, and reset the connection after so many further bytes or so long, whichever is first.
    After {
        /// Bytes to read and forget.
        read_bytes: usize,
        /// How long to wait for them.
        delay: Duration,
    },
    /// The state wrote a farewell: send it, then close in the ordinary way.
    Flush,
}

/// A failed handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Error {
    /// What went wrong.
    pub cause: Cause,
    /// What the caller must do with the connection.
    pub close: Close,
}

impl Error {
    /// A failure that resets the connection at once.
    pub(super) fn now(cause: Cause) -> Self {
        Self { cause, close: Close::Now }
    }

    /// A name for metrics.
    pub fn label(&self) -> &'static str {
        self.cause.label()
    }
}
