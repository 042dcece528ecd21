//! Streams between destinations.
//!
//! ```text
//! application -- bytes --> stream -- packets --> streams: who we are, signature --> garlic, tunnels
//!             <-- bytes -- stream <-- packets -- streams: whose packet is it    <--
//! ```
//! Unlike TCP the first packet carries data, packets are numbered and not bytes, and what is missing is named. Files: [`packet`] is
//! the wire, [`stream`] one stream with its halves, [`lanes`] are the ways that it takes at once, [`congestion`] says how fast on
//! each, [`memory`] how much is kept, [`streams`] has all of a destination.
//!
//! spec: streaming

pub mod congestion;
pub mod lanes;
pub mod memory;
pub mod packet;
mod receive;
mod send;
mod spread;
pub mod stream;
pub mod streams;
