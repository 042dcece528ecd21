//! I2NP: the messages that routers send each other, over a link, through tunnels and in garlic.
//!
//! spec: i2np. A TunnelData message is a cell: [`crate::tunnel::cell`].

pub mod data;
pub mod database_lookup;
pub mod database_search_reply;
pub mod database_store;
pub mod delivery_status;
pub mod duplicates;
pub mod garlic;
pub mod header;
pub mod tunnel_build;
pub mod tunnel_gateway;
pub mod ways;

pub use header::{Message, MessageType, ShortHeader};
