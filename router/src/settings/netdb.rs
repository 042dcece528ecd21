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
