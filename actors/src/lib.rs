//! The control plane of Ramson: everything with a life of its own and a slow clock is an actor.
//!
//! ```text
//! data plane --news-----> Connections --> PeerConnection (one per router)
//!            --messages-> Dispatch --> NetDb shards, searches, publisher
//!                            |-------> TransitManager --> ParticipatingTunnel (one per tunnel of others)
//!                            |-------> TunnelPool --> InboundTunnel, OutboundTunnel (our own, in the client plane)
//!                            '-------> Judge (faults of peers become bans that end)
//! ```
//!
//! An actor owns its state, others ask by message with `try_send`, and nothing above the five verbs of the cores knows
//! about actix. Read-mostly facts are snapshots in [`shared::Shared`].

#![forbid(unsafe_code)]

mod config;
mod connections;
pub mod destination;
pub mod disk;
mod dispatch;
pub mod drops;
mod expected;
mod garlic;
pub mod gate;
pub mod identity;
mod judge;
pub mod mailbox;
pub mod messages;
mod neighbours;
pub mod netdb;
pub mod node;
pub mod paths;
mod peer;
pub mod pool;
mod profiles;
mod reach;
pub mod reseeder;
pub mod series;
pub mod settings;
pub mod shared;
pub mod supervise;
mod threads;
pub mod time_keeper;
mod transit;
mod tunnel_ids;
mod witnesses;

pub use reach::{Reach, calls_from};
