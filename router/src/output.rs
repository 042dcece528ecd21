//! What commands print.

use std::io::{self, Write};

/// Writes to standard output. A reader who has seen enough, such as `head`, is no error: the process ends quietly.
///
/// # Errors
/// The operating system's, such as for a full disk.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}
