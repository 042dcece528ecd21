//! `[transit]`

use super::section::section;

section! {
    /// Tunnels of others.
    Transit = "transit" {
        /// Tunnels of others at once; 0 carries none.
        max_tunnels: usize = 10_000 => Live;
    }
}
