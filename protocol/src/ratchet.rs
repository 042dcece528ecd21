//! Sessions between destinations: ECIES-X25519-AEAD-Ratchet.
//!
//! ```text
//!   Alice                                   Bob
//!   Asking       -- New Session -->         Answering     any number of them, until one is answered
//!   Established  <-- Reply --               Answering     any number, each with keys of its own
//!   Established  -- Existing Session -->    Established   with the keys of the reply that Alice took
//!                <-- Existing Session -->
//! ```
//! Files: [`handshake`] makes and opens the first two kinds of messages, [`tag_set`] has the tags and keys of the third,
//! [`next_key`] their renewal, [`block`] what sessions say to each other, [`sessions`] all sessions of a destination.
//!
//! spec: ecies

pub mod block;
pub mod handshake;
pub mod next_key;
mod session;
pub mod sessions;
pub mod tag_set;
