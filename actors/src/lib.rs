//! The control plane of Ramson: everything with a life of its own and a slow clock is an actor.
//!
//! ```text
//! data plane --batches--> Switch --> PeerConnection (one per router)
//!                           |------> NetDb shards, searches, publisher
//!                           |------> TransitManager --> ParticipatingTunnel (one per tunnel of others)
//!                           '------> TunnelPool --> InboundTunnel, OutboundTunnel (our own)
//! ```
//!
//! An actor owns its state, others ask by message with `try_send`, and nothing above the five verbs of the cores knows
//! about actix. Read-mostly facts are snapshots in [`shared::Shared`].

#![forbid(unsafe_code)]

pub mod clock_keeper;
pub mod drops;
pub mod garlic;
pub mod gate;
pub mod identity;
pub mod mailbox;
pub mod messages;
pub mod netdb;
pub mod node;
pub mod peer;
pub mod pool;
pub mod series;
pub mod settings;
pub mod shared;
pub mod switch;
pub mod transit;
