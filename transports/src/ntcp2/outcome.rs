//! How handshakes fail: one vocabulary for counters, logs and decisions.

use crate::event::Direction;
use ramson_protocol::blame::{Charge, Weight};
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::error::Cause;
use std::net::SocketAddr;

/// Why the RouterInfo of a peer that called us was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be read.
    Malformed,
    /// It is larger than the netDb takes.
    TooLarge,
    /// Its signature does not verify, or is of a type that we cannot verify.
    Signature,
    /// It was published too long ago.
    TooOld,
    /// It was published in the future.
    FromTheFuture,
    /// It belongs to another network.
    Network,
    /// No NTCP2 address in it has the static key of the handshake.
    StaticKey,
    /// It publishes another IP address than the one that called.
    WrongAddress,
    /// It is ours.
    Ourselves,
    /// The gate said no.
    Gate(Reason),
}

impl Refusal {
    fn label(self) -> &'static str {
        match self {
            Self::Malformed => "router_info_malformed",
            Self::TooLarge => "router_info_too_large",
            Self::Signature => "router_info_signature",
            Self::TooOld => "router_info_too_old",
            Self::FromTheFuture => "router_info_from_the_future",
            Self::Network => "router_info_network",
            Self::StaticKey => "static_key",
            Self::WrongAddress => "wrong_address",
            Self::Ourselves => "ourselves",
            Self::Gate(_) => "gate",
        }
    }

    /// What the peer is told.
    pub fn reason(self) -> Reason {
        match self {
            Self::Malformed | Self::TooLarge => Reason::SESSION_CONFIRMED,
            Self::Signature => Reason::ROUTER_INFO_SIGNATURE,
            Self::TooOld | Self::FromTheFuture => Reason::CLOCK_SKEW,
            Self::Network => Reason::INCOMPATIBLE_OPTIONS,
            Self::StaticKey => Reason::STATIC_KEY,
            Self::WrongAddress => Reason::BANNED,
            Self::Ourselves => Reason::NORMAL,
            Self::Gate(reason) => reason,
        }
    }
}

/// Why a connection did not become a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The protocol's own failures.
    Protocol(Cause),
    /// The peer proved who it is and is not wanted.
    Refused(Refusal),
    /// Nobody listens there.
    ConnectRefused,
    /// No way to that address.
    ConnectUnreachable,
    /// No answer to our SYN.
    ConnectTimeout,
    /// The connection could not be made for another reason.
    ConnectFailed,
    /// The handshake did not end in time.
    Timeout,
    /// The peer closed the connection.
    Closed,
    /// The connection broke.
    Broken,
    /// Dropped as the oldest half-open connection, to make room.
    Displaced,
    /// Too many connections from that address lately.
    Rate,
    /// The gate does not admit the address.
    Address,
    /// Too many dials at once.
    DialLimit,
    /// We are being shut down.
    Shutdown,
}

impl Outcome {
    /// Every label there is, in the order of the counters.
    pub const LABELS: &[&str] = &[
        "key_marker",
        "small_order",
        "replay",
        "replay_cache_full",
        "message_1_tag",
        "message_2_tag",
        "message_3_tag",
        "network_id",
        "version",
        "padding",
        "part_2_length",
        "extra_bytes",
        "clock_skew",
        "message_3_blocks",
        "own_router_info",
        "bug",
        "router_info_malformed",
        "router_info_too_large",
        "router_info_signature",
        "router_info_too_old",
        "router_info_from_the_future",
        "router_info_network",
        "static_key",
        "wrong_address",
        "ourselves",
        "gate",
        "connect_refused",
        "connect_unreachable",
        "connect_timeout",
        "connect_failed",
        "timeout",
        "closed",
        "broken",
        "displaced",
        "rate",
        "address",
        "dial_limit",
        "shutdown",
    ];

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Protocol(cause) => cause.label(),
            Self::Refused(refusal) => refusal.label(),
            Self::ConnectRefused => "connect_refused",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Displaced => "displaced",
            Self::Rate => "rate",
            Self::Address => "address",
            Self::DialLimit => "dial_limit",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whose fault it was.
    pub fn fault(self) -> Fault {
        match self {
            Self::Protocol(cause) => cause.fault(),
            Self::Refused(Refusal::Malformed) => Fault::Malformed,
            Self::Refused(Refusal::Gate(_) | Refusal::Ourselves) => Fault::Local,
            Self::Refused(_) | Self::Timeout | Self::Closed | Self::Broken | Self::Rate => Fault::PeerMisbehaved,
            Self::ConnectRefused | Self::ConnectUnreachable | Self::ConnectTimeout | Self::ConnectFailed => {
                Fault::PeerMisbehaved
            }
            Self::Displaced | Self::Address | Self::DialLimit | Self::Shutdown => Fault::Local,
        }
    }
}

impl From<Outcome> for Charge {
    fn from(outcome: Outcome) -> Self {
        let weight = match outcome {
            Outcome::Protocol(cause) => return cause.into(),
            // Who cannot be reached does no wrong; the rest of these is ours.
            Outcome::ConnectRefused
            | Outcome::ConnectUnreachable
            | Outcome::ConnectTimeout
            | Outcome::ConnectFailed
            | Outcome::Displaced
            | Outcome::Address
            | Outcome::DialLimit
            | Outcome::Shutdown
            | Outcome::Refused(Refusal::Gate(_) | Refusal::Ourselves) => Weight::Nothing,
            Outcome::Timeout
            | Outcome::Closed
            | Outcome::Broken
            | Outcome::Rate
            | Outcome::Refused(Refusal::Malformed | Refusal::TooOld | Refusal::FromTheFuture) => Weight::Slip,
            Outcome::Refused(Refusal::TooLarge | Refusal::Network | Refusal::StaticKey | Refusal::WrongAddress) => {
                Weight::Breach
            }
            Outcome::Refused(Refusal::Signature) => Weight::Forgery,
        };
        Self { fault: outcome.fault(), weight, cause: outcome.label() }
    }
}

/// A handshake that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Who began.
    pub direction: Direction,
    /// The other end.
    pub addr: SocketAddr,
    /// The router: known if we called it, or if it proved who it is before it was refused.
    pub peer: Option<RouterHash>,
    /// Why.
    pub outcome: Outcome,
    /// How far the peer's clock is ahead of ours, in milliseconds, if it said so.
    pub skew_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::link::skew::ClockSkew;

    #[test]
    fn every_outcome_has_a_counter() {
        let causes = [
            Cause::KeyMarker,
            Cause::SmallOrder,
            Cause::Replay,
            Cause::ReplayCacheFull,
            Cause::Message1Tag,
            Cause::Message2Tag,
            Cause::Message3Tag,
            Cause::NetworkId(1),
            Cause::Version(1),
            Cause::Padding(1),
            Cause::Part2Len(1),
            Cause::ExtraBytes,
            Cause::ClockSkew(ClockSkew(1)),
            Cause::Message3Blocks,
            Cause::OwnRouterInfo(1),
            Cause::TooFewBytes,
        ];
        let refusals = [
            Refusal::Malformed,
            Refusal::TooLarge,
            Refusal::Signature,
            Refusal::TooOld,
            Refusal::FromTheFuture,
            Refusal::Network,
            Refusal::StaticKey,
            Refusal::WrongAddress,
            Refusal::Ourselves,
            Refusal::Gate(Reason::BANNED),
        ];
        let others = [
            Outcome::ConnectRefused,
            Outcome::ConnectUnreachable,
            Outcome::ConnectTimeout,
            Outcome::ConnectFailed,
            Outcome::Timeout,
            Outcome::Closed,
            Outcome::Broken,
            Outcome::Displaced,
            Outcome::Rate,
            Outcome::Address,
            Outcome::DialLimit,
            Outcome::Shutdown,
        ];
        let labels: Vec<_> = causes
            .map(Outcome::Protocol)
            .into_iter()
            .chain(refusals.map(Outcome::Refused))
            .chain(others)
            .map(Outcome::label)
            .collect();
        assert_eq!(labels, Outcome::LABELS);
    }
}
