//! Whether anybody is heard at all: while nobody is, it is our own line that failed, and not the routers that we waited for.

use ramson_protocol::time::Mono;
use std::time::Duration;

/// Whoever has been heard by somebody and then by nobody for so long has no network. Shorter than the wait for the answer
/// to a build, so that what was asked before the silence counts against nobody either.
const SILENCE: Duration = Duration::from_secs(10);

/// What has come in, and when it last grew.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    received: u64,
    /// `None` before anybody was heard: who cannot be reached at the start may well be gone.
    heard: Option<Mono>,
    silent: bool,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nobody is heard any more.
    Lost,
    /// Somebody is heard again.
    Found,
}

impl Hearing {
    /// So many bytes have come in since the start.
    pub(super) fn look(&mut self, received: u64, now: Mono) -> Option<Change> {
        if received != self.received {
            self.received = received;
            self.heard = Some(now);
        }
        let silent = self.heard.is_some_and(|heard| now.saturating_sub(heard) >= SILENCE);
        match (std::mem::replace(&mut self.silent, silent), silent) {
            (false, true) => Some(Change::Lost),
            (true, false) => Some(Change::Found),
            _ => None,
        }
    }

    /// True while nobody is heard.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_begins_after_somebody_was_heard_and_ends_with_the_next_byte() {
        let (mut hearing, at) = (Hearing::default(), Duration::from_secs);
        assert_eq!(hearing.look(0, at(60)), None);
        assert!(!hearing.is_silent(), "nobody was ever heard");
        assert_eq!(hearing.look(1, at(61)), None);
        assert_eq!(hearing.look(1, at(70)), None);
        assert_eq!(hearing.look(1, at(71)), Some(Change::Lost));
        assert_eq!(hearing.look(1, at(500)), None);
        assert!(hearing.is_silent());
        assert_eq!(hearing.look(2, at(501)), Some(Change::Found));
        assert!(!hearing.is_silent());
    }
}
