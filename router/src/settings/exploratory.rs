//! `[exploratory]`

use super::section::section;

/// Hops that a tunnel can have beside us. spec: tunnel-creation-ecies §Build Request Records
const MOST_HOPS: usize = 7;

section! {
    /// Our own exploratory tunnels.
    Exploratory = "exploratory" {
        /// Hops of each tunnel.
        length: usize = 2 => Start;
        /// Tunnels in each direction.
        quantity: usize = 3 => Start;
    }
}

impl Exploratory {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.length > MOST_HOPS {
            return Err("exploratory.length: a tunnel has at most 7 hops beside us; 2 is usual".to_owned());
        }
        Ok(())
    }
}
