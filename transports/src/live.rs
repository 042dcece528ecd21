//! When silent sessions are closed: for each transport by itself, and changed while the router runs.

use ramson_protocol::dialing::Transport;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time of silence after which a session is closed, by transport. All I/O threads share it and look once a second.
#[derive(Debug)]
pub struct IdleClose([AtomicU64; Transport::ALL.len()]);

impl IdleClose {
    /// With the times to begin with.
    pub fn new(ntcp2: Duration, ssu2: Duration) -> Self {
        let idle = Self(Default::default());
        idle.set(Transport::Ntcp2, ntcp2);
        idle.set(Transport::Ssu2, ssu2);
        idle
    }

    /// Changes the time of one transport, to the millisecond.
    pub fn set(&self, transport: Transport, silence: Duration) {
        self.0[transport as usize].store(u64::try_from(silence.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The time of one transport.
    pub fn get(&self, transport: Transport) -> Duration {
        Duration::from_millis(self.0[transport as usize].load(Relaxed))
    }
}
