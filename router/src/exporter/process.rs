//! What the operating system counts of this process.

use super::page::Page;
use super::{Began, table};
use crate::data_dir::descriptors;
use crate::{platform, version};
use ramson_actors::identity::API_VERSION;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Processor time, memory, descriptors, and what this build is.
pub(super) fn put(page: &mut Page, began: Began) {
    let cipher = ramson_crypto::tunnel::Kernel::best().name();
    let aead = ramson_crypto::aead::Kernel::best().name();
    let api = API_VERSION.to_string();
    page.put(&table::BUILD.0, [env!("CARGO_PKG_VERSION"), version::COMMIT, &api, cipher, aead], 1.0);
    page.put(&table::UPTIME.0, [], began.up.elapsed().as_secs_f64());
    page.put(&table::STARTED.0, [], began.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    let (open, limit) = descriptors();
    page.put(&table::OPEN_FDS.0, [], open as f64);
    page.put(&table::MAX_FDS.0, [], limit as f64);
    if let Some(seconds) = processor_seconds() {
        page.put(&table::CPU.0, [], seconds);
    }
    if let Some(bytes) = resident_bytes() {
        page.put(&table::MEMORY.0, [], bytes as f64);
    }
    if let Some(overruns) = udp_overruns() {
        page.put(&table::UDP_OVERRUNS.0, [], overruns as f64);
    }
}

/// The database's file and its disk.
pub(super) fn put_disk(page: &mut Page, database: &Path) {
    if let Ok(about) = std::fs::metadata(database) {
        page.put(&table::DATABASE_BYTES.0, [], about.len() as f64);
        let written = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        page.put(&table::DATABASE_WRITTEN.0, [], written.unwrap_or_default().as_secs_f64());
    }
    if let Some(free) = database.parent().and_then(platform::free_disk) {
        page.put(&table::DISK_FREE.0, [], free as f64);
    }
}

/// Datagrams that found a full buffer, over both families.
fn udp_overruns() -> Option<u64> {
    let v4 = std::fs::read_to_string("/proc/self/net/snmp").ok()?;
    let mut lines = v4.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "RcvbufErrors")?;
    let v4: u64 = values.split_whitespace().nth(at)?.parse().ok()?;
    let v6 = std::fs::read_to_string("/proc/self/net/snmp6").unwrap_or_default();
    let v6 = v6.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors")?.trim().parse::<u64>().ok());
    Some(v4 + v6.unwrap_or(0))
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
