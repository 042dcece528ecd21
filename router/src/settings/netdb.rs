//! `[netdb]`

use super::section::section;

section! {
    /// The network database.
    NetDb = "netdb" {
        /// RouterInfos that are kept, at most.
        max_routers: usize = 50_000 => Start;
        /// Leasesets that are kept, at most.
        max_lease_sets: usize = 20_000 => Start;
    }
}

/// Whoever knows fewer cannot build tunnels of different routers.
const LEAST_ROUTERS: usize = 100;

impl NetDb {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.max_routers < LEAST_ROUTERS {
            return Err(format!(
                "netdb.max_routers = {}: with fewer than {LEAST_ROUTERS} there are too few to choose from; 50000 is usual",
                self.max_routers
            ));
        }
        Ok(())
    }
}
