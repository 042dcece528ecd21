//! `[network]`

use super::section::section;
use std::path::PathBuf;

section! {
    /// The network that we belong to.
    Network = "network" {
        /// 2 is the live network.
        id: u8 = 2 => Start;
        /// Accept peers on loopback and in private ranges; only in private networks.
        allow_private_addresses: bool = false => Start;
        /// RouterInfo files or folders that are read at start.
        bootstrap: Vec<PathBuf> = Vec::new() => Start;
        /// Files with addresses, networks and router hashes that we have nothing to do with, one to a line. The files are
        /// read again at SIGHUP, whether or not this list has changed.
        blocklist: Vec<PathBuf> = Vec::new() => Live;
    }
}
