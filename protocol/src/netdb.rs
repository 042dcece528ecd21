//! The network database: where entries belong, which are taken, how they are found, spread and forgotten.
//!
//! spec: network-database (overview), i2np. All of it sans-IO; an embedded store and the messages are the caller's.

pub mod family;
pub mod fitness;
pub mod flood;
pub mod floodfills;
pub mod lookup;
pub mod publish;
pub mod router_set;
pub mod routing_key;
pub mod rules;
pub mod search;
pub mod silence;
pub mod store;
pub mod sybil;
