//! What a user runs over Ramson. Crates below know nothing of it; the `ramson` binary puts it to use.
//!
//! ```text
//! client tunnel: local program -> listening socket -> stream to one destination
//! server tunnel: stream from anybody -> socket to a local server
//! HTTP proxy:    browser -> http_proxy, names -> stream to the site's destination
//! SOCKS proxy:   any program -> socks, names -> stream to a destination
//! UDP tunnels:   datagrams of programs -> datagrams of a destination
//! SAM:           program -> sam, lines on a local socket -> destinations and streams of its own
//! BOB:           program -> bob, lines on a local socket -> tunnels between its sockets and destinations
//! I2CP:          program -> i2cp, messages on a local socket -> destinations of its own, which it signs for
//! ```
//! All of them run on one thread of their own: a task waits for its socket or its stream, and bytes pass between the two.
//! [`names`] says which destination is meant by a name, [`network`] is what applications ask of the router.

#![forbid(unsafe_code)]

pub mod bob;
mod carry;
pub mod datagrams;
pub mod door;
mod guests;
mod host;
pub mod http_proxy;
pub mod http_server;
pub mod i2cp;
mod irc;
mod listener;
pub mod local;
pub mod names;
pub mod network;
mod outproxies;
pub mod sam;
pub mod series;
pub mod services;
pub mod socks;
pub mod streams;
pub mod subscriptions;
pub mod tunnel;
pub mod udp;
mod unique_local;
mod upgraded;
mod users;

pub use host::Host;
