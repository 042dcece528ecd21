//! A link to order between two TUN devices: slow, far, lossy, in each direction as its [`Conditions`] say.
//!
//! ```text
//! device A --packets--> Line forth --> device B
//! device A <-- Line back <--packets-- device B
//! ```
//! A [`Line`] decides and knows no socket; [`run`] reads, waits and writes. TUN devices carry whole IP packets, which the
//! kernel has cut to the size of the device, as a network card would have.

mod conditions;
mod line;

pub use conditions::Conditions;
pub use line::{Counts, Line};

use crate::peer::Outcome;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Packets of one device that are read before the other has its turn.
const BATCH: usize = 64;

/// The largest packet of a device: IP has no larger ones.
const LARGEST: usize = 65_536;

/// How long to sleep at most, so that the end is noticed.
const PATIENCE: Duration = Duration::from_millis(200);

/// How much later than asked for the kernel may wake us. It rounds to 50 us unless told.
const SLACK_NS: &str = "1000";

/// Carries packets between two devices, which do not block, until `over`. Each line carries what is read from its own
/// device to the other.
///
/// # Errors
/// If a device fails.
pub fn run(devices: [&File; 2], lines: &mut [Line; 2], over: &AtomicBool) -> Outcome<()> {
    // Without the right to say so, packets come some 50 us later than ordered.
    let _ = std::fs::write("/proc/self/timerslack_ns", SLACK_NS);
    let begin = Instant::now();
    let mut buffer = vec![0; LARGEST];
    while !over.load(Relaxed) {
        let now = begin.elapsed();
        let next = lines.iter().filter_map(Line::poll_timeout).min();
        wait(devices, next.map_or(PATIENCE, |due| due.saturating_sub(now).min(PATIENCE)))?;
        for (side, line) in lines.iter_mut().enumerate() {
            let (mut from, mut to) = (devices[side], devices[1 - side]);
            let mut left = BATCH;
            while left > 0
                && let Some(len) = unless_busy(from.read(&mut buffer))?
            {
                line.handle_input(begin.elapsed(), &buffer[..len]);
                left -= 1;
            }
            while let Some(packet) = line.poll_output(begin.elapsed()) {
                // A device that takes nothing now loses the packet, as a full card does.
                if unless_busy(to.write(packet))?.is_none() {
                    line.note_refused();
                }
            }
        }
    }
    Ok(())
}

/// Sleeps until a device has something, or so long.
fn wait(devices: [&File; 2], timeout: Duration) -> Outcome<()> {
    let mut watched = devices.map(|device| PollFd::new(device, PollFlags::IN));
    match poll(&mut watched, Some(&Timespec::try_from(timeout)?)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a read or write brought; `None` if the device has nothing, or takes nothing, or is down.
fn unless_busy(result: std::io::Result<usize>) -> Outcome<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        // A device that is not up.
        Err(e) if Errno::from_io_error(&e) == Some(Errno::IO) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
