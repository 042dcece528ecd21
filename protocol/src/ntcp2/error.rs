//! Why a handshake failed, whose fault it was, and how the connection must end.

use crate::causes;
use crate::link::skew::ClockSkew;
use std::time::Duration;

causes! {
    /// What went wrong.
    Cause {
        /// The ephemeral key has its top bit set: no key, or the mark of a hybrid handshake that we do not offer.
        KeyMarker = "key_marker", Malformed;
        /// A public key of small order.
        SmallOrder = "small_order", PeerMisbehaved;
        /// Message 1 was seen before.
        Replay = "replay", Malformed;
        /// Message 1 does not authenticate.
        Message1Tag = "message_1_tag", Malformed;
        /// Message 2 does not authenticate.
        Message2Tag = "message_2_tag", PeerMisbehaved;
        /// A part of message 3 does not authenticate.
        Message3Tag = "message_3_tag", PeerMisbehaved;
        /// Another network.
        NetworkId(u8) = "network_id", PeerMisbehaved;
        /// Another version of the protocol.
        Version(u8) = "version", PeerMisbehaved;
        /// More padding than we accept.
        Padding(u16) = "padding", PeerMisbehaved;
        /// A length of message 3 part 2 that cannot hold a RouterInfo, or is more than we accept.
        Part2Len(u16) = "part_2_length", PeerMisbehaved;
        /// Bytes after a message where the peer must wait for ours.
        ExtraBytes = "extra_bytes", PeerMisbehaved;
        /// The clocks differ by more than a minute.
        ClockSkew(ClockSkew) = "clock_skew", PeerMisbehaved;
        /// Message 3 part 2 is not a RouterInfo, then options, then padding.
        Message3Blocks = "message_3_blocks", PeerMisbehaved;
        /// Our RouterInfo does not fit message 3.
        OwnRouterInfo(usize) = "own_router_info", Local;
        /// The caller handed in fewer bytes than the state needs.
        TooFewBytes = "bug", Bug;
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KeyMarker => f.write_str("ephemeral key with its top bit set"),
            Self::SmallOrder => f.write_str("public key of small order"),
            Self::Replay => f.write_str("replayed message"),
            Self::Message1Tag => f.write_str("message 1 does not authenticate"),
            Self::Message2Tag => f.write_str("message 2 does not authenticate"),
            Self::Message3Tag => f.write_str("message 3 does not authenticate"),
            Self::NetworkId(n) => write!(f, "network id {n}"),
            Self::Version(n) => write!(f, "protocol version {n}"),
            Self::Padding(n) => write!(f, "{n} bytes of padding"),
            Self::Part2Len(n) => write!(f, "message 3 part 2 of {n} bytes"),
            Self::ExtraBytes => f.write_str("bytes after the message"),
            Self::ClockSkew(n) => write!(f, "clock skew of {} ms", n.0),
            Self::Message3Blocks => f.write_str("message 3 blocks"),
            Self::OwnRouterInfo(n) => write!(f, "own RouterInfo of {n} bytes"),
            Self::TooFewBytes => f.write_str("too few bytes handed in"),
        }
    }
}

impl std::error::Error for Cause {}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_label_of_its_own_at_its_index() {
        let labels: std::collections::HashSet<_> = Cause::LABELS.iter().collect();
        assert_eq!(labels.len(), Cause::LABELS.len());
        for cause in [Cause::KeyMarker, Cause::NetworkId(3), Cause::TooFewBytes] {
            assert_eq!(Cause::LABELS[cause.index()], cause.label());
        }
        assert_eq!(Cause::TooFewBytes.index(), Cause::LABELS.len() - 1);
    }
}
