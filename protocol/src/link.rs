//! What NTCP2 and SSU2 have in common. Both import it, and nothing of each other.

pub mod block;
pub mod callers;
mod causes;
pub mod fault;
pub mod gate;
pub mod limits;
pub mod padding;
pub mod reason;
pub mod replay;
pub mod role;
pub mod skew;
