//! What of a transport's settings can change while it runs.

use ramson_protocol::dialing::Transport;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Those settings of one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The time of silence after which a session is closed, to the millisecond.
    pub idle_close: Duration,
}

/// Those of each transport, as they are in force. All I/O threads share them and look once a second.
#[derive(Debug)]
pub struct Live([InForce; Transport::ALL.len()]);

#[derive(Debug, Default)]
struct InForce {
    idle_close: AtomicU64,
}

impl Live {
    /// With what is in force at the beginning.
    pub fn new(ntcp2: Settings, ssu2: Settings) -> Self {
        let live = Self(Default::default());
        live.set(Transport::Ntcp2, ntcp2);
        live.set(Transport::Ssu2, ssu2);
        live
    }

    /// Puts others in force for one transport.
    pub fn set(&self, transport: Transport, settings: Settings) {
        let Settings { idle_close } = settings;
        let millis = u64::try_from(idle_close.as_millis()).unwrap_or(u64::MAX);
        self.0[transport as usize].idle_close.store(millis, Relaxed);
    }

    /// See [`Settings::idle_close`].
    pub fn idle_close(&self, transport: Transport) -> Duration {
        Duration::from_millis(self.0[transport as usize].idle_close.load(Relaxed))
    }
}
