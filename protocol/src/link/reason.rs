//! Why a session ends, as the termination block of either transport says it.
//!
//! spec: ntcp2 §Termination; ssu2 §Termination

use crate::dialing::Transport;

/// A termination reason. Codes that we do not know are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

/// The last code that NTCP2 has; SSU2 goes on.
const LAST_OF_NTCP2: u8 = 17;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $label:literal;)*) => {
        impl Reason {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// A name for metrics and logs; `unknown` for a code that the specification of this transport does not have.
            pub fn label(self, transport: Transport) -> &'static str {
                match self.0 {
                    code if code > LAST_OF_NTCP2 && transport == Transport::Ntcp2 => "unknown",
                    $($code => $label,)*
                    _ => "unknown",
                }
            }
        }
    };
}

reasons! {
    /// Normal close, or unspecified.
    NORMAL = 0, "normal";
    /// The answer to a termination.
    TERMINATION_RECEIVED = 1, "termination_received";
    /// Nothing was sent or received for long.
    IDLE_TIMEOUT = 2, "idle_timeout";
    /// The router shuts down.
    ROUTER_SHUTDOWN = 3, "router_shutdown";
    /// A frame or packet of the data phase did not authenticate.
    AEAD_FAILURE = 4, "aead_failure";
    /// Options that cannot be met.
    INCOMPATIBLE_OPTIONS = 5, "incompatible_options";
    /// A signature type that is not supported.
    INCOMPATIBLE_SIGNATURE = 6, "incompatible_signature";
    /// The clocks are more than a minute apart.
    CLOCK_SKEW = 7, "clock_skew";
    /// Padding beyond what was negotiated.
    PADDING_VIOLATION = 8, "padding_violation";
    /// A length that cannot be.
    FRAMING_ERROR = 9, "framing_error";
    /// Blocks that cannot be read.
    PAYLOAD_FORMAT = 10, "payload_format";
    /// The SessionRequest, message 1, was bad.
    SESSION_REQUEST = 11, "session_request";
    /// The SessionCreated, message 2, was bad.
    SESSION_CREATED = 12, "session_created";
    /// The SessionConfirmed, message 3, was bad.
    SESSION_CONFIRMED = 13, "session_confirmed";
    /// A frame began and did not end in time, or an answer did not come.
    TIMEOUT = 14, "timeout";
    /// The RouterInfo's signature does not verify.
    ROUTER_INFO_SIGNATURE = 15, "router_info_signature";
    /// The static key in the RouterInfo is missing, invalid, or another than in the handshake.
    STATIC_KEY = 16, "static_key";
    /// The router is banned.
    BANNED = 17, "banned";
    /// The token was not one of ours, or was used before. SSU2 only, as are the codes after it.
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
        for (transport, codes) in [(Transport::Ntcp2, 18), (Transport::Ssu2, 23)] {
            let labels: std::collections::HashSet<_> = (0..codes).map(|code| Reason(code).label(transport)).collect();
            assert_eq!(labels.len(), usize::from(codes));
            assert!(!labels.contains("unknown"));
            assert_eq!(Reason(codes).label(transport), "unknown");
        }
    }
}
