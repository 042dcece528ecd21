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

/// More threads than any machine has use for.
const MOST_THREADS: usize = 256;

impl Router {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.io_threads > MOST_THREADS {
            return Err(format!(
                "router.io_threads = {}: {MOST_THREADS} at most; 0 is one for each core, which is best",
                self.io_threads
            ));
        }
        Ok(())
    }
}
