//! `[log]`

use super::section::section;
use tracing_subscriber::EnvFilter;

section! {
    /// The log.
    Log = "log" {
        /// A filter, such as `info` or `warn,ramson_actors=debug`: a level, and levels of modules that differ from it.
        level: String = "info".to_owned() => Live;
    }
}

impl Log {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        match EnvFilter::try_new(&self.level) {
            Ok(_) => Ok(()),
            Err(e) => Err(format!("log.level = {:?} is no filter: {e}; write a level such as \"info\"", self.level)),
        }
    }
}
