//! How handshakes fail: one vocabulary for counters, logs and decisions.

use crate::event::Direction;
use ramson_protocol::blame::{Charge, Weight};
use ramson_protocol::causes;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::error::Cause;
use std::net::SocketAddr;

causes! {
    /// Why the RouterInfo of a peer that called us was not accepted.
    Refusal {
        /// It cannot be read.
        Malformed = "router_info_malformed", Malformed;
        /// It is larger than the netDb takes.
        TooLarge = "router_info_too_large", PeerMisbehaved;
        /// Its signature does not verify, or is of a type that we cannot verify.
        Signature = "router_info_signature", PeerMisbehaved;
        /// It was published too long ago.
        TooOld = "router_info_too_old", PeerMisbehaved;
        /// It was published in the future.
        FromTheFuture = "router_info_from_the_future", PeerMisbehaved;
        /// It belongs to another network.
        Network = "router_info_network", PeerMisbehaved;
        /// No NTCP2 address in it has the static key of the handshake.
        StaticKey = "static_key", PeerMisbehaved;
        /// It publishes another IP address than the one that called.
        WrongAddress = "wrong_address", PeerMisbehaved;
        /// It is our own RouterInfo.
        Ourselves = "ourselves", Local;
        /// The gate said no.
        Gate(Reason) = "gate", Local;
    }
}

impl Refusal {
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

/// Declares [`Outcome`]: what the protocol and the refusals have, and what is said here in one line each.
macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $fault:ident;)*) => {
        /// Why a connection did not become a session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Outcome {
            /// The protocol's own failures.
            Protocol(Cause),
            /// The peer proved who it is and is not wanted.
            Refused(Refusal),
            $($(#[$doc])* $name,)*
        }

        impl Outcome {
            /// Every label there is, in the order of [`Outcome::index`].
            pub fn labels() -> impl Iterator<Item = &'static str> {
                Cause::LABELS.iter().chain(Refusal::LABELS).chain(&[$($label,)*]).copied()
            }

            /// The place among the labels: what counters are indexed by.
            pub fn index(self) -> usize {
                enum Index {
                    $($name,)*
                }
                let (refusals, others) = (Cause::LABELS.len(), Cause::LABELS.len() + Refusal::LABELS.len());
                match self {
                    Self::Protocol(cause) => cause.index(),
                    Self::Refused(refusal) => refusals + refusal.index(),
                    $(Self::$name => others + Index::$name as usize,)*
                }
            }

            /// The label in the metrics.
            pub fn label(self) -> &'static str {
                match self {
                    Self::Protocol(cause) => cause.label(),
                    Self::Refused(refusal) => refusal.label(),
                    $(Self::$name => $label,)*
                }
            }

            /// Whose fault it was.
            pub fn fault(self) -> Fault {
                match self {
                    Self::Protocol(cause) => cause.fault(),
                    Self::Refused(refusal) => refusal.fault(),
                    $(Self::$name => Fault::$fault,)*
                }
            }
        }
    };
}

outcomes! {
    /// Nobody listens there.
    ConnectRefused = "connect_refused", PeerMisbehaved;
    /// No way to that address.
    ConnectUnreachable = "connect_unreachable", PeerMisbehaved;
    /// No answer to our SYN.
    ConnectTimeout = "connect_timeout", PeerMisbehaved;
    /// The connection could not be made for another reason.
    ConnectFailed = "connect_failed", PeerMisbehaved;
    /// The handshake did not end in time.
    Timeout = "timeout", PeerMisbehaved;
    /// The peer closed the connection.
    Closed = "closed", PeerMisbehaved;
    /// The connection broke.
    Broken = "broken", PeerMisbehaved;
    /// Our machine has no way to that address, or lets nobody call it.
    NoRoute = "no_route", Local;
    /// Our machine has no descriptor or memory left for the connection.
    NoDescriptor = "no_descriptor", Local;
    /// Dropped as the oldest half-open connection, to make room.
    Displaced = "displaced", Local;
    /// Too many connections from that address lately.
    Rate = "rate", PeerMisbehaved;
    /// The gate does not admit the address.
    Address = "address", Local;
    /// Too many dials at once.
    DialLimit = "dial_limit", Local;
    /// We are being shut down.
    Shutdown = "shutdown", Local;
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
            | Outcome::NoRoute
            | Outcome::NoDescriptor
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
    /// The address at the other end.
    pub addr: SocketAddr,
    /// The router: known if we called it, or if it proved who it is before it was refused.
    pub peer: Option<RouterHash>,
    /// How it ended.
    pub outcome: Outcome,
    /// How far the peer's clock is ahead of ours, in milliseconds, if it said so.
    pub skew_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_the_label_at_its_index_and_no_label_comes_twice() {
        let labels: Vec<_> = Outcome::labels().collect();
        for outcome in [
            Outcome::Protocol(Cause::KeyMarker),
            Outcome::Protocol(Cause::TooFewBytes),
            Outcome::Refused(Refusal::Malformed),
            Outcome::Refused(Refusal::Gate(Reason::BANNED)),
            Outcome::ConnectRefused,
            Outcome::Shutdown,
        ] {
            assert_eq!(labels[outcome.index()], outcome.label());
        }
        assert_eq!(Outcome::Shutdown.index(), labels.len() - 1);
        assert_eq!(labels.iter().collect::<std::collections::HashSet<_>>().len(), labels.len());
    }
}
