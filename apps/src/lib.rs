//! What a user runs over Ramson. Crates below know nothing of it; the `ramson` binary puts it to use.
//!
//! [`names`]: which destination is meant by a name, and where such knowledge comes from.

#![forbid(unsafe_code)]

pub mod names;
