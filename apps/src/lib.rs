//! What a user runs over Ramson. Crates below know nothing of it; the `ramson` binary puts it to use.
//!
//! [`names`]: which destination is meant by a name, and where such knowledge comes from. [`http_proxy`]: the way of a browser to
//! eepsites. [`network`]: what both ask of the router.

#![forbid(unsafe_code)]

pub mod http_proxy;
pub mod names;
pub mod network;
