//! SSU2: Noise XK over UDP between two routers, with packets of blocks in the data phase.
//!
//! spec: ssu2

pub mod block;
pub mod reason;
