//! Benches of the hot paths: see the `benches` folder.

#![forbid(unsafe_code)]
