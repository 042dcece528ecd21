//! `[transit]`

use super::section::section;
use ramson_actors::settings::Transit as Live;

section! {
    /// Tunnels of others.
    Transit = "transit" {
        /// Tunnels of others at once; 0 carries none.
        max_tunnels: usize = 10_000 => Live;
    }
}

impl Transit {
    /// What of it is live.
    pub(crate) fn live(&self) -> Live {
        Live { max_tunnels: self.max_tunnels }
    }
}
