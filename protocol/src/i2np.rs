//! I2NP: the messages that routers send each other, over a link, through tunnels and in garlic.
//!
//! spec: i2np

pub mod header;

pub use header::{Message, MessageType, ShortHeader};
