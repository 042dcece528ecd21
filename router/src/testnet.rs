//! `ramson testnet`: a private network on this machine.

use crate::Failure;
use std::path::PathBuf;

/// Runs it.
pub fn run(_routers: u8, _seconds: Option<u64>, _rate: f64, _dir: Option<PathBuf>) -> Result<(), Failure> {
    Err("not yet".into())
}
