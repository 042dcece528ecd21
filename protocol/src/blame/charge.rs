//! What single faults weigh: one table for each vocabulary of errors.
//!
//! spec: none demands bans. The weights are ours; INTEROP §9 says what other routers ban for.

use crate::link::fault::Fault;
use crate::link::reason::Reason;
use crate::netdb::rules::Refusal;
use crate::{ntcp2, ssu2};

/// How heavily something weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It happens between honest routers all the time.
    Nothing,
    /// It happens to an honest router now and then: with a wrong clock, an old RouterInfo, a bad line. Only many in a
    /// short time are no accident.
    Slip,
    /// No working router does it. A few in a short time are enough.
    Breach,
    /// It cannot be a mistake.
    Forgery,
}

impl Weight {
    /// In points; the thresholds are in [`Config`](super::Config).
    pub const fn points(self) -> f32 {
        match self {
            Self::Nothing => 0.0,
            Self::Slip => 1.0,
            Self::Breach => 20.0,
            Self::Forgery => 100.0,
        }
    }
}

/// Something that somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose fault it was.
    pub fault: Fault,
    /// How heavily it weighs.
    pub weight: Weight,
    /// Its label in metrics, and the reason of a ban.
    pub cause: &'static str,
}

impl From<ntcp2::error::Cause> for Charge {
    fn from(cause: ntcp2::error::Cause) -> Self {
        use ntcp2::error::Cause;
        let weight = match cause {
            // Who calls us with an old key of ours, and who answers a call with a new key of his own, means no harm.
            Cause::KeyMarker | Cause::Replay | Cause::Message1Tag | Cause::Message2Tag | Cause::ClockSkew(_) => {
                Weight::Slip
            }
            Cause::SmallOrder
            | Cause::Message3Tag
            | Cause::NetworkId(_)
            | Cause::Version(_)
            | Cause::Padding(_)
            | Cause::Part2Len(_)
            | Cause::ExtraBytes
            | Cause::Message3Blocks => Weight::Breach,
            Cause::OwnRouterInfo(_) | Cause::TooFewBytes => Weight::Nothing,
        };
        Self { fault: cause.fault(), weight, cause: cause.label() }
    }
}

impl From<ssu2::error::Cause> for Charge {
    fn from(cause: ssu2::error::Cause) -> Self {
        use ssu2::error::Cause;
        let weight = match cause {
            // A token that has expired, and a refusal, are no faults; the rest of these is ours.
            Cause::Token
            | Cause::Refused(_)
            | Cause::OwnRouterInfo(_)
            | Cause::Ourselves
            | Cause::Gate(_)
            | Cause::Displaced
            | Cause::RetryLimit
            | Cause::Address
            | Cause::DialLimit
            | Cause::AlreadyDialing
            | Cause::Cancelled => Weight::Nothing,
            Cause::Short
            | Cause::Unknown
            | Cause::OtherAddress
            | Cause::TokenRequestTag
            | Cause::RetryTag
            | Cause::RequestTag
            | Cause::CreatedTag
            | Cause::OutsideTag
            | Cause::Replay
            | Cause::ClockSkew(_)
            | Cause::InfoMalformed
            | Cause::InfoTooOld
            | Cause::InfoFromTheFuture
            | Cause::Timeout
            | Cause::Rate => Weight::Slip,
            Cause::Version(_)
            | Cause::NetworkId(_)
            | Cause::SameIds
            | Cause::IdInUse
            | Cause::ConfirmedTag
            | Cause::SmallOrder
            | Cause::Blocks
            | Cause::Fragments
            | Cause::ConfirmedBlocks
            | Cause::InfoTooLarge
            | Cause::InfoNetwork
            | Cause::StaticKey
            | Cause::WrongAddress => Weight::Breach,
            Cause::InfoSignature => Weight::Forgery,
        };
        Self { fault: cause.fault(), weight, cause: cause.label() }
    }
}

/// An entry that a router stored with us directly, or sent as an answer.
impl From<Refusal> for Charge {
    fn from(refusal: Refusal) -> Self {
        let weight = match refusal {
            // Whoever passes on what others made compares clocks and versions as he likes, and knows nothing of us.
            Refusal::Own
            | Refusal::OldVersion
            | Refusal::TooOld
            | Refusal::Expired
            | Refusal::NotFloodfill
            | Refusal::NotNewer => Weight::Nothing,
            Refusal::TooLarge
            | Refusal::FromTheFuture
            | Refusal::ExpiresTooLate
            | Refusal::NoLeases
            | Refusal::Unpublished => Weight::Slip,
            Refusal::WrongKey
            | Refusal::WrongNetwork
            | Refusal::SignatureType
            | Refusal::BadSignature
            | Refusal::BadFamily => Weight::Breach,
        };
        Self { fault: Fault::PeerMisbehaved, weight, cause: refusal.name() }
    }
}

impl Charge {
    /// A session that we ended for this reason; `cause` is the label of the reason over its transport.
    ///
    /// What does not authenticate may have been sent by anybody between us, so it weighs little; what can be read was
    /// written by the peer.
    pub fn of_session(reason: Reason, cause: &'static str) -> Self {
        let weight = match reason {
            Reason::AEAD_FAILURE | Reason::FRAMING_ERROR | Reason::TIMEOUT | Reason::CLOCK_SKEW => Weight::Slip,
            Reason::PAYLOAD_FORMAT | Reason::PADDING_VIOLATION => Weight::Breach,
            _ => Weight::Nothing,
        };
        Self { fault: Fault::PeerMisbehaved, weight, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_weighs_nothing_and_what_is_not_our_protocol_little() {
        use ntcp2::error::Cause as Ntcp2;
        use ssu2::error::Cause as Ssu2;
        let charges = [
            Ntcp2::TooFewBytes.into(),
            Ntcp2::Message1Tag.into(),
            Ssu2::Gate(Reason::BANNED).into(),
            Ssu2::Displaced.into(),
            Ssu2::Short.into(),
            Ssu2::InfoMalformed.into(),
        ];
        for Charge { fault, weight, cause } in charges {
            let most = match fault {
                Fault::Local | Fault::Bug => Weight::Nothing,
                Fault::Malformed => Weight::Slip,
                Fault::PeerMisbehaved => panic!("{cause}"),
            };
            assert!(weight <= most, "{cause}");
        }
    }
}
