//! The correction of our clock on disk, so that a machine whose clock stays wrong is not wrong again after each restart.
//!
//! ```text
//! "ramson clock 1" | how far we are ahead of the machine's clock, in milliseconds | our time when it was written
//! ```

use crate::disk;
use ramson_protocol::time::Wall;
use ramson_transports::clock::Clock;
use std::io;
use std::path::Path;

const HEAD: &str = "ramson clock 1";

/// A file that is longer is not ours.
const MAX_LEN: u64 = 200;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How many milliseconds we are ahead of the machine's clock.
    pub(crate) ahead_ms: i64,
    /// Our time when it was written.
    pub(crate) at: Wall,
}

impl Kept {
    /// What the file has; none if there is none, or it cannot be read.
    pub fn read(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        let text = std::fs::read_to_string(path).ok().filter(|_| about.len() <= MAX_LEN)?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(HEAD)?.split_whitespace();
        let kept = Self { ahead_ms: words.next()?.parse().ok()?, at: Wall(words.next()?.parse().ok()?) };
        words.next().is_none().then_some(kept)
    }

    /// By how much a clock is to begin ahead of the machine's, whose time is `system`: by as much as it was, and never
    /// before the time at which that was written.
    pub(crate) fn ahead_of(self, system: Wall) -> i64 {
        let ms = |wall: Wall| i64::try_from(wall.0).unwrap_or(i64::MAX);
        self.ahead_ms.max(ms(self.at).saturating_sub(ms(system)))
    }

    /// A clock that begins by what was kept.
    pub(crate) fn clock(kept: Option<Self>) -> Clock {
        Clock::with_correction(kept.map_or(0, |kept| kept.ahead_of(Clock::system())))
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn write(self, path: &Path) -> io::Result<()> {
        disk::replace(path, format!("{HEAD} {} {}\n", self.ahead_ms, self.at.0).as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_back_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        assert_eq!(Kept::read(&path), None);
        let kept = Kept { ahead_ms: -3_600_000, at: Wall(1_790_000_000_000) };
        kept.write(&path).unwrap();
        assert_eq!(Kept::read(&path), Some(kept));
        for text in ["", "ramson clock 1", "ramson clock 1 5", "ramson clock 2 5 5", "ramson clock 1 5 5 5", "\0"] {
            assert_eq!(Kept::parse(text), None, "{text}");
        }
        std::fs::write(&path, format!("{HEAD} 5 {}5", " ".repeat(1000))).unwrap();
        assert_eq!(Kept::read(&path), None);
    }

    #[test]
    fn time_never_goes_back_over_a_restart() {
        let kept = Kept { ahead_ms: 3_600_000, at: Wall(10_000_000) };
        assert_eq!(kept.ahead_of(Wall(8_000_000)), 3_600_000, "the machine's clock is as wrong as it was");
        assert_eq!(kept.ahead_of(Wall(0)), 10_000_000, "its battery is empty");
    }
}
