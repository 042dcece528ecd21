//! Who called whom.

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We called: Alice in the specification.
    Initiator,
    /// We were called: Bob.
    Responder,
}
