//! What the operating system counts of this process.

use super::page::Page;
use super::table;
use crate::data_dir::descriptors;
use std::time::Instant;

/// Processor time, memory, descriptors, and what this build is.
pub(super) fn put(page: &mut Page, started: Instant) {
    let cipher = ramson_crypto::tunnel::Kernel::best().name();
    let aead = ramson_crypto::aead::Kernel::best().name();
    page.put(&table::BUILD.0, [env!("CARGO_PKG_VERSION"), cipher, aead], 1.0);
    page.put(&table::UPTIME.0, [], started.elapsed().as_secs_f64());
    let (open, limit) = descriptors();
    page.put(&table::OPEN_FDS.0, [], open as f64);
    page.put(&table::MAX_FDS.0, [], limit as f64);
    if let Some(seconds) = processor_seconds() {
        page.put(&table::CPU.0, [], seconds);
    }
    if let Some(bytes) = resident_bytes() {
        page.put(&table::MEMORY.0, [], bytes as f64);
    }
}

/// Resident memory of this process.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time of all threads of this process so far.
fn processor_seconds() -> Option<f64> {
    /// Linux counts in hundredths for user space, whatever its own clock does.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}
