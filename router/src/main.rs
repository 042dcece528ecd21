//! The `ramson` binary.
fn main() {}
