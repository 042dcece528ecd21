//! `[router]`

use super::section::section;

section! {
    /// What this router is.
    Router = "router" {
        /// Keep and serve a part of the network database.
        floodfill: bool = false => Start;
        /// Threads that carry the sessions of both transports; 0 means one per core.
        io_threads: usize = 0 => Start;
    }
}
