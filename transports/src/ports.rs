//! What the threads of the data plane hold of one another.
//!
//! Each of the loops (`io`, `ntcp2`, `ssu2`) imports these and none of the others; [`crate::handle`] puts them together.

pub mod account;
pub(crate) mod datagrams;
pub mod established;
pub mod io;
pub mod own;
pub(crate) mod seats;
pub mod ssu2;
