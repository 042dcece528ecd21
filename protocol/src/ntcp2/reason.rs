//! Why a session ends, as the termination block says it.
//!
//! spec: ntcp2 §Termination

/// A termination reason. Codes that we do not know are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

/// The constants and labels of a `Reason`: of this one, and of its namesake in SSU2.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $label:literal;)*) => {
        impl Reason {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// A name for metrics and logs; `unknown` for a code that the specification does not have.
            pub fn label(self) -> &'static str {
                match self.0 {
                    $($code => $label,)*
                    _ => "unknown",
                }
            }
        }
    };
}

pub(crate) use reasons;

reasons! {
    /// Normal close, or unspecified.
    NORMAL = 0, "normal";
    /// The answer to a termination.
    TERMINATION_RECEIVED = 1, "termination_received";
    /// Nothing was sent or received for long.
    IDLE_TIMEOUT = 2, "idle_timeout";
    /// The router shuts down.
    ROUTER_SHUTDOWN = 3, "router_shutdown";
    /// A frame of the data phase did not authenticate.
    AEAD_FAILURE = 4, "aead_failure";
    /// Options that cannot be met.
    INCOMPATIBLE_OPTIONS = 5, "incompatible_options";
    /// A signature type that is not supported.
    INCOMPATIBLE_SIGNATURE = 6, "incompatible_signature";
    /// The clocks are more than a minute apart.
    CLOCK_SKEW = 7, "clock_skew";
    /// Padding beyond what was negotiated.
    PADDING_VIOLATION = 8, "padding_violation";
    /// A frame length that cannot be.
    FRAMING_ERROR = 9, "framing_error";
    /// Blocks that cannot be read.
    PAYLOAD_FORMAT = 10, "payload_format";
    /// Message 1 was bad.
    MESSAGE_1 = 11, "message_1";
    /// Message 2 was bad.
    MESSAGE_2 = 12, "message_2";
    /// Message 3 was bad.
    MESSAGE_3 = 13, "message_3";
    /// A frame began and did not end in time.
    FRAME_TIMEOUT = 14, "frame_timeout";
    /// The RouterInfo's signature does not verify.
    ROUTER_INFO_SIGNATURE = 15, "router_info_signature";
    /// The static key in the RouterInfo is missing, invalid, or another than in the handshake.
    STATIC_KEY = 16, "static_key";
    /// The router is banned.
    BANNED = 17, "banned";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_specification_has_its_own_label() {
        let labels: std::collections::HashSet<_> = (0..18).map(|code| Reason(code).label()).collect();
        assert_eq!(labels.len(), 18);
        assert!(!labels.contains("unknown"));
        assert_eq!(Reason(18).label(), "unknown");
    }
}
