//! `[exploratory]`

use super::section::section;

/// Hops that a tunnel can have beside us. spec: tunnel-creation-ecies §Build Request Records
const MOST_HOPS: usize = 7;

/// INTEROP: as many as i2pd and Java I2P let anyone have.
const MOST_TUNNELS: usize = 16;

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
        if self.quantity > MOST_TUNNELS {
            return Err(format!(
                "exploratory.quantity = {}: more than {MOST_TUNNELS} tunnels in each direction burden others for nothing; 3 is usual",
                self.quantity
            ));
        }
        Ok(())
    }
}
