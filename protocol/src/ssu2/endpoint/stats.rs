//! What an endpoint counts.

use crate::link::role::Role;
use crate::ssu2::error::Cause;

/// One count: direction (`in`, `out`), outcome (`established` or one of [`Cause::LABELS`]), how often.
pub type Count = (&'static str, &'static str, u64);

const OUTCOMES: usize = Cause::LABELS.len();

/// The counts of an endpoint. Arrays of two are `[inbound, outbound]`.
#[derive(Clone, Debug)]
pub struct Stats {
    /// SessionRequests with a good token, and dials.
    pub begun: [u64; 2],
    /// Sessions made.
    pub established: [u64; 2],
    /// Retries sent, and followed.
    pub retries: [u64; 2],
    /// Messages sent again.
    pub resent: [u64; 2],
    /// Handshakes that go on now.
    pub pending: [usize; 2],
    /// Keys in the replay cache.
    pub replay_keys: usize,
    /// Addresses in the table of rates.
    pub addresses: usize,
    failed: [[u64; OUTCOMES]; 2],
    dropped: [u64; OUTCOMES],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            begun: [0; 2],
            established: [0; 2],
            retries: [0; 2],
            resent: [0; 2],
            pending: [0; 2],
            replay_keys: 0,
            addresses: 0,
            failed: [[0; OUTCOMES]; 2],
            dropped: [0; OUTCOMES],
        }
    }
}

fn index(role: Role) -> usize {
    match role {
        Role::Responder => 0,
        Role::Initiator => 1,
    }
}

impl Stats {
    /// Handshakes by direction and outcome, without those that never happened.
    pub fn outcomes(&self) -> impl Iterator<Item = Count> + '_ {
        [("in", 0), ("out", 1)].into_iter().flat_map(|(direction, at)| {
            let failed = Cause::LABELS.iter().copied().zip(self.failed[at]);
            std::iter::once(("established", self.established[at]))
                .chain(failed)
                .filter(|(_, n)| *n > 0)
                .map(move |(outcome, n)| (direction, outcome, n))
        })
    }

    /// Datagrams dropped, by every cause there is: alerts ask for causes that never happened.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Cause::LABELS.iter().copied().zip(self.dropped)
    }

    /// Datagrams dropped for this cause.
    pub fn dropped(&self, cause: Cause) -> u64 {
        self.dropped.get(cause.index()).copied().unwrap_or(0)
    }

    /// Handshakes of this role that failed for this cause.
    pub fn failed(&self, role: Role, cause: Cause) -> u64 {
        self.failed[index(role)].get(cause.index()).copied().unwrap_or(0)
    }

    pub(super) fn drop(&mut self, cause: Cause) {
        if let Some(count) = self.dropped.get_mut(cause.index()) {
            *count += 1;
        }
    }

    pub(super) fn fail(&mut self, role: Role, cause: Cause) {
        if let Some(count) = self.failed[index(role)].get_mut(cause.index()) {
            *count += 1;
        }
    }

    pub(super) fn establish(&mut self, role: Role) {
        self.established[index(role)] += 1;
    }
}
