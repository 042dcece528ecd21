//! Whose fault an error was.

/// Who is to blame: decides between forgetting, banning and reporting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The bytes are not those of our protocol: a prober, a scanner, or a peer with an old RouterInfo of ours.
    Malformed,
    /// The peer speaks the protocol and breaks its rules.
    PeerMisbehaved,
    /// Our configuration or our limits.
    Local,
    /// Our mistake.
    Bug,
}
