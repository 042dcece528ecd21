//! Why a datagram was dropped or a handshake failed, and whose fault it was: one vocabulary for counters and decisions.

use crate::causes;
use crate::dialing::Transport;
use crate::link::reason::Reason;
use crate::link::skew::ClockSkew;

causes! {
    /// What went wrong.
    Cause {
        /// Too short for its message.
        Short = "short", Malformed;
        /// No message of ours, and nothing that a handshake waits for.
        Unknown = "unknown", Malformed;
        /// Another version of the protocol.
        Version(u8) = "version", PeerMisbehaved;
        /// Another network.
        NetworkId(u8) = "network_id", PeerMisbehaved;
        /// Both connection ids are the same.
        SameIds = "same_ids", PeerMisbehaved;
        /// For a handshake that goes on with another address.
        OtherAddress = "other_address", Malformed;
        /// A connection id that another handshake has already.
        IdInUse = "id_in_use", PeerMisbehaved;
        /// A TokenRequest does not authenticate.
        TokenRequestTag = "token_request_tag", Malformed;
        /// A Retry does not authenticate.
        RetryTag = "retry_tag", Malformed;
        /// A SessionRequest does not authenticate.
        RequestTag = "session_request_tag", Malformed;
        /// A SessionCreated does not authenticate.
        CreatedTag = "session_created_tag", PeerMisbehaved;
        /// A SessionConfirmed does not authenticate.
        ConfirmedTag = "session_confirmed_tag", PeerMisbehaved;
        /// A PeerTest or HolePunch does not authenticate.
        OutsideTag = "outside_tag", Malformed;
        /// A SessionRequest without a good token: it got a Retry.
        Token = "token", PeerMisbehaved;
        /// A public key of small order.
        SmallOrder = "small_order", PeerMisbehaved;
        /// A SessionRequest that was seen before.
        Replay = "replay", Malformed;
        /// Blocks that cannot be read, or none with the time.
        Blocks = "blocks", PeerMisbehaved;
        /// The clocks differ by more than a minute.
        ClockSkew(ClockSkew) = "clock_skew", PeerMisbehaved;
        /// Fragments of a SessionConfirmed that do not fit together, or are more than we take.
        Fragments = "fragments", PeerMisbehaved;
        /// A SessionConfirmed that does not begin with a RouterInfo.
        ConfirmedBlocks = "session_confirmed_blocks", PeerMisbehaved;
        /// Our RouterInfo does not fit into two packets.
        OwnRouterInfo(usize) = "own_router_info", Local;
        /// The RouterInfo cannot be read.
        InfoMalformed = "router_info_malformed", Malformed;
        /// The RouterInfo is larger than the netDb takes.
        InfoTooLarge = "router_info_too_large", PeerMisbehaved;
        /// The RouterInfo's signature does not verify, or is of a type that we cannot verify.
        InfoSignature = "router_info_signature", PeerMisbehaved;
        /// The RouterInfo was published too long ago.
        InfoTooOld = "router_info_too_old", PeerMisbehaved;
        /// The RouterInfo was published in the future.
        InfoFromTheFuture = "router_info_from_the_future", PeerMisbehaved;
        /// The RouterInfo belongs to another network.
        InfoNetwork = "router_info_network", PeerMisbehaved;
        /// No SSU2 address in the RouterInfo has the static key of the handshake.
        StaticKey = "static_key", PeerMisbehaved;
        /// The RouterInfo publishes another IP address than the one that called.
        WrongAddress = "wrong_address", PeerMisbehaved;
        /// The RouterInfo is ours.
        Ourselves = "ourselves", Local;
        /// The gate said no.
        Gate(Reason) = "gate", Local;
        /// The peer refused us.
        Refused(Reason) = "refused", PeerMisbehaved;
        /// The handshake did not end in time.
        Timeout = "timeout", PeerMisbehaved;
        /// Dropped as the oldest half-open handshake, to make room.
        Displaced = "displaced", Local;
        /// Too much from that address lately.
        Rate = "rate", PeerMisbehaved;
        /// Too many Retries in all lately: for want of a token there is no other answer.
        RetryLimit = "retry_limit", Local;
        /// The gate does not admit the address.
        Address = "address", Local;
        /// Too many dials at once.
        DialLimit = "dial_limit", Local;
        /// That address is being called already.
        AlreadyDialing = "already_dialing", Local;
        /// The caller gave the dial up.
        Cancelled = "cancelled", Local;
    }
}

impl Cause {
    /// What a peer is told that proved who it is.
    pub fn reason(self) -> Reason {
        match self {
            Self::ClockSkew(_) | Self::InfoTooOld | Self::InfoFromTheFuture => Reason::CLOCK_SKEW,
            Self::InfoSignature => Reason::ROUTER_INFO_SIGNATURE,
            Self::StaticKey => Reason::STATIC_KEY,
            Self::InfoNetwork => Reason::NETWORK_ID,
            Self::WrongAddress => Reason::BANNED,
            Self::Gate(reason) => reason,
            Self::Ourselves => Reason::NORMAL,
            _ => Reason::SESSION_CONFIRMED,
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(n) | Self::NetworkId(n) => write!(f, "{} {n}", self.label()),
            Self::ClockSkew(skew) => write!(f, "clock skew of {} ms", skew.0),
            Self::Gate(reason) | Self::Refused(reason) => {
                write!(f, "{}: {}", self.label(), reason.label(Transport::Ssu2))
            }
            Self::OwnRouterInfo(len) => write!(f, "own RouterInfo of {len} bytes"),
            _ => f.write_str(self.label()),
        }
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_label_of_its_own_at_its_index() {
        let labels: std::collections::HashSet<_> = Cause::LABELS.iter().collect();
        assert_eq!(labels.len(), Cause::LABELS.len());
        assert_eq!(Cause::Short.label(), "short");
        assert_eq!(Cause::ClockSkew(ClockSkew(1)).label(), "clock_skew");
        assert_eq!(Cause::Cancelled.label(), "cancelled");
        assert_eq!(Cause::Cancelled.index(), Cause::LABELS.len() - 1);
    }
}
