//! Tools that speak the real protocol to a router under test: badly ([`hostile`]), or much of it ([`load`]); and a
//! [`link`] between routers that is as bad as ordered.
//!
//! The first two run beside the router, on networks other than the live one, and use the cores of the `protocol` crate; what the
//! router under test does with the bytes is its own code's affair, so it may be any router.

#![forbid(unsafe_code)]

pub mod hostile;
pub mod link;
pub mod load;
pub mod peer;
pub mod process;
