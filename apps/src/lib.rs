//! Applications over destinations: TCP tunnels.
//!
//! ```text
//! client tunnel: local program -> listening socket -> stream to one destination
//! server tunnel: stream from anybody -> socket to a local server
//! ```
//! All of them run on one thread of their own: a task waits for its socket or its stream, and bytes pass between the two.

#![forbid(unsafe_code)]

mod carry;
mod host;
pub mod tunnel;

pub use host::Host;
