//! What waits for a peer that takes less than comes for it: a queue per tunnel, served in turn.
//!
//! ```text
//! cell -> has the peer's session too much to send? --no--> the line, the cipher, the session
//!                        | yes                                 ^
//!                        +--> Backlog of the peer --(room)-----+
//! ```
//! A cell waits before it costs any cryptography, and what a greedy tunnel sends through a slow peer costs the others there
//! nothing. Once a peer has a backlog all cells of this thread for it go through it, so that they keep their order. Cells
//! that another thread hands over are encrypted already; they meet the bound of the session.

use super::Links;
use super::session::Session;
use crate::relay::{CELL, Egress, Relay};
use crate::stats::DropCause;
use ramson_protocol::shape::FairQueue;
use ramson_protocol::time::Mono;
use rustc_hash::FxHashMap;

/// Bytes that a session may have to send when its socket takes no more; four frames keep it going until it does.
pub(super) const STAGED: usize = 64 * 1024;

/// And while the socket may still take all of it when the turn ends.
pub(super) const STAGED_IN_TURN: usize = 192 * 1024;

/// Cells that wait for one peer before every tunnel is held to its least, if it takes no more in a moment. At most twice as many wait.
const BOUND: usize = 192;

/// The tunnels of one peer.
pub(super) struct Backlog {
    queue: FairQueue,
    /// Their queues, by hop.
    flows: FxHashMap<usize, usize>,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { queue: FairQueue::new(BOUND), flows: FxHashMap::default() }
    }
}

impl Backlog {
    fn flow(&mut self, hop: usize) -> usize {
        *self.flows.entry(hop).or_insert_with(|| self.queue.open(hop))
    }

    /// Lets a cell wait; see [`FairQueue::push`].
    fn push(&mut self, hop: usize, cell: &[u8; CELL], now: Mono) -> Option<u64> {
        let flow = self.flow(hop);
        self.queue.push(flow, cell, now)
    }

    /// Ends the queue of a hop; says how many cells were lost with it.
    fn close(&mut self, hop: usize) -> usize {
        self.flows.remove(&hop).map_or(0, |flow| self.queue.close(flow))
    }

    /// One tunnel alone may have waiting what the peer takes in a moment.
    fn fit_to(&mut self, burst: usize) {
        self.queue.set_bound(BOUND.max(2 * burst / CELL));
    }

    /// Cells that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Links {
    /// True if cells for this peer must wait.
    pub(super) fn must_wait_for(&self, peer: usize) -> bool {
        let Some(entry) = self.peers.get(peer) else { return false };
        let session = || entry.primary.and_then(|index| self.sessions.get(index));
        entry.backlog.is_some()
            || session().is_some_and(|s| s.queued() > if s.is_blocked() { STAGED } else { STAGED_IN_TURN })
    }

    /// Lets a cell wait for the peer.
    pub(super) fn wait_for_peer(&mut self, peer: usize, hop: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        let burst = self.session_of(peer).map_or(0, Session::burst);
        let entry = self.peers.get_mut(peer).ok_or(DropCause::UnknownTunnel)?;
        if entry.backlog.is_none() {
            self.backlogged.push(peer);
        }
        let backlog = entry.backlog.get_or_insert_default();
        backlog.fit_to(burst);
        let waits = backlog.push(hop, cell, self.now.mono);
        let displaced = waits.ok_or(DropCause::EgressFull)?;
        self.stats.drops[DropCause::EgressFull as usize].add(displaced);
        Ok(())
    }

    /// True if so many cells of one message have room where those for the peer wait.
    pub(super) fn fits_backlog(&mut self, peer: usize, hop: usize, cells: usize) -> bool {
        let now = self.now.mono;
        let Some(backlog) = self.peers.get_mut(peer).and_then(|entry| entry.backlog.as_mut()) else { return true };
        let flow = backlog.flow(hop);
        backlog.queue.fits(flow, cells, now)
    }

    /// Cells that have waited for peers which have room again go on their way.
    pub(super) fn release_backlogs(&mut self, relay: &mut Relay) {
        let mut at = 0;
        while let Some(peer) = self.backlogged.get(at).copied() {
            if self.release_backlog(relay, peer) {
                self.backlogged.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Passes on what the peer's socket takes now. True if nothing waits for the peer any more.
    fn release_backlog(&mut self, relay: &mut Relay, peer: usize) -> bool {
        // It leaves the table while its cells go on, so that the rest of the thread can be reached.
        let Some(mut backlog) = self.peers.get_mut(peer).and_then(|entry| entry.backlog.take()) else { return true };
        let mut late = 0;
        // More than can wait does not go in one turn.
        for _ in 0..=2 * BOUND * CELL / STAGED {
            self.flush_for(relay, peer);
            let room = STAGED.saturating_sub(self.queued_for(peer)) / CELL;
            for _ in 0..room {
                let Some((hop, cell)) = backlog.queue.pop(self.now.mono, &mut late) else { break };
                if let Err(cause) = relay.let_pass(self, hop, cell) {
                    self.stats.dropped(cause);
                }
            }
            if room == 0 || backlog.queue.is_empty() {
                break;
            }
        }
        self.stats.drops[DropCause::QueueDelay as usize].add(late);
        let over = backlog.queue.is_empty();
        if !over && let Some(entry) = self.peers.get_mut(peer) {
            entry.backlog = Some(backlog);
        }
        over
    }

    /// Gives the peer's socket what there is for it, unless it is known to take nothing.
    pub(super) fn flush_for(&mut self, relay: &mut Relay, peer: usize) {
        relay.run_batch(self);
        let Some(index) = self.peers.get(peer).and_then(|entry| entry.primary) else { return };
        if self.sessions.get(index).is_some_and(|session| !session.is_blocked() && session.queued() > 0) {
            self.flush(index);
        }
    }

    pub(super) fn queued_for(&self, peer: usize) -> usize {
        self.session_of(peer).map_or(0, |session| session.queued())
    }

    /// The session on which a peer is sent to, if there is one.
    pub(super) fn session_of(&self, peer: usize) -> Option<&Session> {
        self.peers.get(peer).and_then(|entry| entry.primary).and_then(|index| self.sessions.get(index))
    }

    /// True if cells of transit wait for the peer.
    pub(super) fn has_backlog(&self, peer: usize) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.backlog.is_some())
    }

    /// True if cells wait for a peer whose socket will not tell that it has room, since it has.
    pub(super) fn backlog_may_go(&self) -> bool {
        let waits_for = |peer: usize| {
            let session = self.peers.get(peer)?.primary.and_then(|index| self.sessions.get(index))?;
            Some(!session.is_blocked() && session.queued() < STAGED)
        };
        self.backlogged.iter().any(|peer| waits_for(*peer).unwrap_or(true))
    }

    /// A hop is gone; says how many of its cells were waiting for its peer.
    pub(super) fn close_backlog(&mut self, egress: Egress, hop: usize) -> usize {
        let Egress::Local(peer) = egress else { return 0 };
        let backlog = self.peers.get_mut(peer).and_then(|entry| entry.backlog.as_mut());
        backlog.map_or(0, |backlog| backlog.close(hop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A peer takes a cell each 10 ms. One tunnel sends ten times that, one a cell each 40 ms, in bursts.
    #[test]
    fn a_greedy_tunnel_through_a_slow_peer_costs_another_nothing() {
        let (mut backlog, mut now) = (Backlog::default(), Mono::from_secs(1));
        let (mut sent, mut passed, mut late) = ([0_u64; 2], [0_u64; 2], 0);
        for ms in 0..60_000 {
            now += Duration::from_millis(1);
            let burst = if ms % 1000 == 0 { 25 } else { 0 };
            for (hop, cells) in [(7, 1), (9, burst)] {
                for _ in 0..cells {
                    sent[usize::from(hop == 9)] += 1;
                    let _ = backlog.push(hop, &[0; CELL], now);
                }
            }
            if ms % 10 == 0
                && let Some((hop, _)) = backlog.queue.pop(now, &mut late)
            {
                passed[usize::from(hop == 9)] += 1;
            }
            assert!(backlog.len() <= 2 * BOUND);
        }
        assert_eq!(sent, [60_000, 1500]);
        assert_eq!(passed[0] + passed[1], 6000, "the peer always had something to take");
        assert!(passed[1] + 25 >= sent[1], "{passed:?}");
    }

    #[test]
    fn a_hop_that_is_gone_takes_its_cells_along() {
        let mut backlog = Backlog::default();
        for hop in [3, 4] {
            (0..5).for_each(|_| assert!(backlog.push(hop, &[0; CELL], Mono::ZERO).is_some()));
        }
        assert_eq!((backlog.close(3), backlog.len()), (5, 5));
        assert_eq!(backlog.close(3), 0);
        assert!(backlog.push(3, &[0; CELL], Mono::ZERO).is_some(), "another hop may have its number");
    }
}
