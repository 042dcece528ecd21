//! What a process has used, from `/proc`.

use crate::peer::Outcome;
use std::time::Duration;

/// Clock ticks in a second: what Linux tells user space on every machine of today.
const TICKS: u64 = 100;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time, of all threads.
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// And at its most.
    pub peak: u64,
}

/// Reads what process `pid` has used.
///
/// # Errors
/// If there is none, or its files cannot be read.
pub fn usage(pid: u32) -> Outcome<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the fields begin behind it with the third.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).ok_or("/proc/…/stat cannot be read")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Ok(Usage { cpu: Duration::from_millis(ticks * 1000 / TICKS), resident: kib("VmRSS:"), peak: kib("VmHWM:") })
}
