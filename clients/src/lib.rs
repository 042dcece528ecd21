//! The client plane of Ramson: where tunnels of our own begin and end.
//!
//! ```text
//! I/O threads --- raw own cells, in batches ---> client thread: layers off, reassembly ---> messages
//! I/O threads <-- finished cells, in batches --- client thread: cut, all layers on      <--- messages
//!             ---------- credit (Lane) -------->
//! ```
//! The ends of tunnels are plain machines ([`own_in`], [`own_out`]): no socket, no clock, no randomness of their own.

#![forbid(unsafe_code)]

pub mod destination;
pub mod handle;
mod layers;
pub mod own_in;
pub mod own_out;
pub mod pipe;
mod port;
pub mod raw;
mod seats;
pub mod stats;
mod thread;

pub use handle::{Clients, Sent};
pub use pipe::Stream;

/// What this plane shares with the data plane.
pub use ramson_transports::ports::own::{Lane, OwnCells};
