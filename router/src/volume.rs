//! How much of the month's volume is used. It is kept on disk, so that a restart does not begin a new month.
//!
//! ```text
//! "ramson volume 1 2026-11 123456789\n"    year and month, bytes of both directions
//! ```

use ramson_actors::disk;
use ramson_actors::node::Node;
use ramson_protocol::budget::{Month, Used};
use ramson_protocol::time::Wall;
use ramson_transports::stats::Transport;
use std::io::ErrorKind;
use std::path::PathBuf;

const HEAD: &str = "ramson volume 1";

/// The volume that is used, and its file.
#[derive(Debug)]
pub(crate) struct Volume {
    path: PathBuf,
    used: Used,
    /// What the transports had carried when it was counted last.
    carried: u64,
}

impl Volume {
    /// What the file says, or nothing used in this month.
    pub(crate) fn open(path: PathBuf, now: Wall) -> Self {
        let fresh = Used { month: Month::of(now), bytes: 0 };
        let used = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).unwrap_or_else(|| {
                tracing::warn!("{} is damaged: the month's volume is counted from now on", path.display());
                fresh
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => fresh,
            Err(error) => {
                tracing::warn!(%error, "{} cannot be read: the month's volume is counted from now on", path.display());
                fresh
            }
        };
        Self { path, used, carried: 0 }
    }

    /// What is used by now.
    pub(crate) fn used(&self) -> &Used {
        &self.used
    }

    /// Counts what the transports have carried since the last time, and writes it down.
    pub(crate) fn count(&mut self, now: Wall, node: &Node) {
        self.add(now, carried(node));
        if let Err(error) = disk::replace(&self.path, text(&self.used).as_bytes(), 0o600) {
            tracing::error!(%error, "the month's volume could not be written down");
        }
    }

    fn add(&mut self, now: Wall, carried: u64) {
        self.used.add(now, carried.saturating_sub(self.carried));
        self.carried = carried;
    }
}

/// Bytes through all sockets since the start.
fn carried(node: &Node) -> u64 {
    let threads = node.transports().stats();
    let of = |transport: &Transport| -> u64 {
        threads.iter().map(|t| t.wire(*transport)).map(|w| w.received.bytes.get() + w.sent.bytes.get()).sum()
    };
    Transport::ALL.iter().map(of).sum()
}

fn text(used: &Used) -> String {
    format!("{HEAD} {}-{:02} {}\n", used.month.year, used.month.month, used.bytes)
}

fn parse(text: &str) -> Option<Used> {
    let (month, bytes) = text.trim_end().strip_prefix(HEAD)?.trim_start().split_once(' ')?;
    let (year, month) = month.split_once('-')?;
    let month = Month { year: year.parse().ok()?, month: month.parse().ok()? };
    (1..=12).contains(&month.month).then_some(())?;
    Some(Used { month, bytes: bytes.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_795_867_200_000);

    #[test]
    fn what_is_used_outlives_the_process_but_not_the_month() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        let mut volume = Volume::open(path.clone(), NOW);
        volume.add(NOW, 1000);
        volume.add(NOW, 1500);
        std::fs::write(&path, text(volume.used())).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ramson volume 1 2026-11 1500\n");
        let mut again = Volume::open(path, NOW);
        again.add(NOW, 10);
        assert_eq!(again.used().bytes, 1510, "the transports begin at zero with the process");
        again.add(Month::of(NOW).end(), 17);
        assert_eq!(again.used().bytes, 7);
    }

    #[test]
    fn a_damaged_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        for bad in [
            "",
            "ramson volume 1",
            "ramson volume 1 2026-13 5",
            "ramson volume 2 2026-11 5",
            "ramson volume 1 2026-11 x",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Volume::open(path.clone(), NOW).used(), &Used { month: Month::of(NOW), bytes: 0 }, "{bad}");
        }
    }
}
