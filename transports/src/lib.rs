//! The data plane of Ramson: NTCP2 and SSU2 sessions on mio event loops, and the relay fast path between them.
//!
//! ```text
//!              accept, dial                  established sessions            news, messages
//!  sockets ---> handshake thread ----------> I/O thread of the peer --------> control plane (EventSink)
//!                                             ^   |  ^                              |
//!                                             |   v  | cells for peers              |
//!                                          sockets   | of other threads             |
//!                                                 I/O thread <--- commands ---------+
//! ```
//!
//! A peer's session lives on one I/O thread for life: the one that its hash says (`ports::io::home`).
//! Cells of our own tunnels pass through an I/O thread too; the threads on which these begin and end are in the crate
//! `ramson-clients` and hold what [`ports::own`] gives them. The `ssu2` thread does for SSU2 what the handshake thread does
//! for NTCP2.
//! On the way of a cell there is no actor, no lock, no allocation and no wake per cell.

#![forbid(unsafe_code)]

pub mod call_from;
pub mod clock;
pub mod event;
pub mod handle;
pub mod hop;
pub mod inbox;
pub mod io;
pub mod live;
pub mod ntcp2;
pub mod pace;
pub mod ports;
mod relay;
pub mod ssu2;
pub mod stats;
mod udp;
mod upward;

pub use ports::account;

pub use handle::{DialTarget, Transports, TransportsConfig};
