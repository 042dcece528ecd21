//! Why a session ends, as the termination block says it.
//!
//! spec: ssu2 §Termination

use crate::ntcp2::reason::reasons;

/// A termination reason. Codes that we do not know are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

reasons! {
    /// Normal close, or unspecified.
    NORMAL = 0, "normal";
    /// The answer to a termination.
    TERMINATION_RECEIVED = 1, "termination_received";
    /// Nothing was sent or received for long.
    IDLE_TIMEOUT = 2, "idle_timeout";
    /// The router shuts down.
    ROUTER_SHUTDOWN = 3, "router_shutdown";
    /// A packet of the data phase did not authenticate.
    AEAD_FAILURE = 4, "aead_failure";
    /// Options that cannot be met.
    INCOMPATIBLE_OPTIONS = 5, "incompatible_options";
    /// A signature type that is not supported.
    INCOMPATIBLE_SIGNATURE = 6, "incompatible_signature";
    /// The clocks are too far apart.
    CLOCK_SKEW = 7, "clock_skew";
    /// Padding beyond what was negotiated.
    PADDING_VIOLATION = 8, "padding_violation";
    /// A length that cannot be.
    FRAMING_ERROR = 9, "framing_error";
    /// Blocks that cannot be read.
    PAYLOAD_FORMAT = 10, "payload_format";
    /// The Session Request was bad.
    SESSION_REQUEST = 11, "session_request";
    /// The Session Created was bad.
    SESSION_CREATED = 12, "session_created";
    /// The Session Confirmed was bad.
    SESSION_CONFIRMED = 13, "session_confirmed";
    /// An answer did not come in time.
    TIMEOUT = 14, "timeout";
    /// The RouterInfo's signature does not verify.
    ROUTER_INFO_SIGNATURE = 15, "router_info_signature";
    /// The static key in the RouterInfo is missing, invalid, or another than in the handshake.
    STATIC_KEY = 16, "static_key";
    /// The router is banned.
    BANNED = 17, "banned";
    /// The token was not one of ours, or was used before.
    BAD_TOKEN = 18, "bad_token";
    /// Too many connections.
    CONNECTION_LIMITS = 19, "connection_limits";
    /// A version of the protocol that is not spoken here.
    INCOMPATIBLE_VERSION = 20, "incompatible_version";
    /// The router is of another network.
    NETWORK_ID = 21, "network_id";
    /// The router has made a new session.
    REPLACED = 22, "replaced";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_specification_has_its_own_label() {
        let labels: std::collections::HashSet<_> = (0..23).map(|code| Reason(code).label()).collect();
        assert_eq!(labels.len(), 23);
        assert!(!labels.contains("unknown"));
        assert_eq!(Reason(23).label(), "unknown");
    }
}
