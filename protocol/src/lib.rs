//! Every byte that I2P puts on the wire, and every protocol state machine, sans-IO: no socket, no thread, no clock, no
//! ambient randomness.
//!
//! A machine has five verbs: `new(config, seed, now)`, `handle_input(now, In)`, `handle_timeout(now)`,
//! `poll_output() -> Option<Out>` and `poll_timeout() -> Option<Mono>`. After any input the caller drains
//! `poll_output` to `None`, then re-arms one timer.

#![forbid(unsafe_code)]

pub mod access_filter;
pub mod admission;
pub mod b32;
pub mod base64;
pub mod bearer;
pub mod blame;
pub mod blinding;
pub mod blocklist;
pub mod bob;
pub mod bucket;
pub mod budget;
pub mod clock;
pub mod data;
pub mod datagram;
pub mod destination;
pub mod dialing;
pub mod elgamal;
mod fingerprints;
pub mod garlic;
pub mod gzip;
pub mod i2cp;
pub mod i2np;
pub mod id;
pub mod idle;
pub mod irc;
pub mod link;
pub mod netdb;
pub mod noise;
pub mod ntcp2;
pub mod payload;
pub mod peers;
pub mod places;
pub mod pool;
pub mod quota;
pub mod ratchet;
pub mod reach;
pub mod reseed;
pub mod sam;
pub mod shape;
pub mod socks;
pub mod ssu2;
pub mod streaming;
pub mod su3;
pub mod time;
pub mod tunnel;
pub mod wire;
