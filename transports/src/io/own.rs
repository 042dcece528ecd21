//! Cells of our own tunnels at this thread: raw ones to the threads that own them, finished ones to their first hops.
//!
//! ```text
//! from the last hop -> previous hop, IV (crate::relay) -> batch of the owner -> handed over at the end of the turn
//! from the owner    -> the line and the first hop's session have room? --yes--> session
//!                                  | no                                          ^
//!                                  +--> waits, a queue per tunnel, in turn ------+
//! ```
//! Finished cells have cost all their cryptography, so none is dropped for want of room: they wait, and what is on its way
//! is bounded by the [lane](crate::ports::own::Lane) of each tunnel, which the owner feels. They go before transit on the
//! line; where others have cells waiting for the same peer, each tunnel of ours gets the part of one.

use super::Links;
use super::backlog::{STAGED, STAGED_IN_TURN};
use super::egress::Head;
use super::session::Session;
use crate::hop::{Hop, HopKind};
use crate::ports::account::Account;
use crate::ports::own::{OwnCells, OwnPort, WINDOW};
use crate::relay::{CELL, CELL_LIFETIME_SECS, CELL_MESSAGE, Egress, Relay};
use crate::stats::{DropCause, Role};
use ramson_protocol::id::TunnelId;
use rand::Rng;
use std::collections::VecDeque;
use std::sync::Arc;

/// Cells of our own that are at this thread.
#[derive(Default)]
pub(super) struct Own {
    /// Tunnels whose cells wait for the line or their first hop, the next to be served first.
    waiting: VecDeque<Waiting>,
    /// The threads that own inbound tunnels, each with the batch of this turn.
    owners: Vec<(Arc<dyn OwnPort>, OwnCells)>,
}

/// The cells of one tunnel that wait.
struct Waiting {
    hop: usize,
    peer: usize,
    cells: VecDeque<[u8; CELL]>,
}

impl Own {
    /// Adds a raw cell to the batch for the tunnel's owner. Returns how many cells were lost because it does not keep up.
    pub(super) fn take(&mut self, to: &Arc<dyn OwnPort>, tunnel: TunnelId, cell: &[u8; CELL]) -> u64 {
        let at = match self.owners.iter().position(|(port, _)| port.index() == to.index()) {
            Some(at) => at,
            None => {
                self.owners.push((Arc::clone(to), to.spare()));
                self.owners.len() - 1
            }
        };
        let (port, batch) = &mut self.owners[at];
        batch.push(tunnel, cell);
        if batch.is_full() { give(port.as_ref(), batch) } else { 0 }
    }

    /// Hands over all batches; returns how many cells were lost.
    fn hand_over(&mut self) -> u64 {
        let some = self.owners.iter_mut().filter(|(_, batch)| !batch.is_empty());
        some.map(|(port, batch)| give(port.as_ref(), batch)).sum()
    }

    fn waits(&self, hop: usize) -> bool {
        self.waiting.iter().any(|queue| queue.hop == hop)
    }

    /// Lets a cell wait behind those of its tunnel; false if more were sent than the lane bears.
    #[must_use]
    fn wait(&mut self, hop: usize, peer: usize, cell: &[u8; CELL]) -> bool {
        let at = self.waiting.iter().position(|queue| queue.hop == hop).unwrap_or_else(|| {
            self.waiting.push_back(Waiting { hop, peer, cells: VecDeque::new() });
            self.waiting.len() - 1
        });
        let cells = &mut self.waiting[at].cells;
        let room = (cells.len() as u64) < WINDOW;
        if room {
            cells.push_back(*cell);
        }
        room
    }

    /// The hop is gone; says how many of its cells were waiting, which its owner learns.
    pub(super) fn close(&mut self, index: usize, hop: &Hop) -> usize {
        let Some(at) = self.waiting.iter().position(|queue| queue.hop == index) else { return 0 };
        let lost = self.waiting.remove(at).map_or(0, |queue| queue.cells.len());
        if let HopKind::OutboundGateway { lane, .. } = &hop.kind {
            lane.lose(lost as u64);
        }
        lost
    }

    /// Tunnels that wait for this peer.
    fn sharers(&self, peer: usize) -> usize {
        self.waiting.iter().filter(|queue| queue.peer == peer).count()
    }
}

/// Hands over a batch and leaves an empty one; returns how many cells were lost.
fn give(port: &dyn OwnPort, batch: &mut OwnCells) -> u64 {
    port.cells(std::mem::replace(batch, port.spare())).map_or_else(|lost| lost.len() as u64, |()| 0)
}

impl Links {
    /// Raw cells go to their owners.
    pub(super) fn hand_over_own(&mut self) {
        let lost = self.own.hand_over();
        self.stats.drops[DropCause::ClientFull as usize].add(lost);
    }

    /// Finished cells from their owner.
    pub(super) fn on_finished_cells(&mut self, relay: &Relay, batch: &OwnCells) {
        let mut rest = batch.cells.as_slice();
        for run in batch.tunnels.chunk_by(PartialEq::eq) {
            let (cells, behind) = rest.split_at(run.len().min(rest.len()));
            rest = behind;
            let cause = match relay.find(run[0].0) {
                None => DropCause::UnknownTunnel,
                Some((index, entry)) => match (&entry.hop.kind, entry.egress) {
                    (HopKind::OutboundGateway { .. }, Egress::Local(peer)) => {
                        cells.iter().for_each(|cell| self.send_own(relay, index, peer, cell));
                        self.tell_credit(relay, index);
                        continue;
                    }
                    _ => DropCause::WrongKind,
                },
            };
            self.stats.drops[cause as usize].add(cells.len() as u64);
        }
    }

    /// A finished cell goes now or waits.
    fn send_own(&mut self, relay: &Relay, index: usize, peer: usize, cell: &[u8; CELL]) {
        if !self.own.waits(index) && self.shaper.own_may_pass() && self.takes_own(peer) {
            self.pass_own(relay, index, peer, cell);
        } else if !self.own.wait(index, peer, cell) {
            self.stats.dropped(DropCause::EgressFull);
            self.count_own(relay, index, false);
        }
    }

    /// True if the peer's session has room for a cell of ours, or would be asked for with it.
    fn takes_own(&self, peer: usize) -> bool {
        let Some(entry) = self.peers.get(peer) else { return false };
        match entry.primary.and_then(|index| self.sessions.get(index)) {
            Some(session) => session.queued() <= if session.is_blocked() { STAGED } else { STAGED_IN_TURN },
            None => !self.peers.is_awaited(peer),
        }
    }

    /// A cell of ours goes to its first hop.
    fn pass_own(&mut self, relay: &Relay, index: usize, peer: usize, cell: &[u8; CELL]) {
        let Some(tunnel) = relay.get(index).and_then(|entry| entry.hop.next()).map(|next| next.tunnel) else {
            return;
        };
        self.stats.cells[Role::OwnOutbound as usize].add(1);
        self.shaper.own_passes(1);
        let (id, expiration) = (self.rng.next_u32(), self.now.wall.secs() + CELL_LIFETIME_SECS);
        let parts: [&[u8]; 2] = [&tunnel.0.to_be_bytes(), cell];
        let (head, bounds) = (Head { kind: CELL_MESSAGE, id, expiration }, self.bounds);
        let full = |session: &Session| session.control_full(bounds);
        let went = self.queue_unless(full, peer, head, Account::Ours, &parts);
        self.count_own(relay, index, went);
    }

    /// One cell of this tunnel has gone, or was dropped.
    fn count_own(&self, relay: &Relay, index: usize, went: bool) {
        let Some(hop) = relay.get(index).map(|entry| &entry.hop) else { return };
        hop.cells.add(1);
        if let HopKind::OutboundGateway { lane, .. } = &hop.kind {
            if went { lane.went(1) } else { lane.lose(1) }
        }
    }

    /// Tells the owner, if it waits for it, that its lane is free again.
    fn tell_credit(&self, relay: &Relay, index: usize) {
        let Some(hop) = relay.get(index).map(|entry| &entry.hop) else { return };
        if let HopKind::OutboundGateway { from, lane, .. } = &hop.kind
            && lane.wanted()
            && !from.credit(hop.id)
        {
            lane.tell_again();
        }
    }

    /// Cells of ours that have waited and may go now: each tunnel in its turn.
    pub(super) fn release_own(&mut self, relay: &mut Relay) {
        for _ in 0..self.own.waiting.len() {
            // It leaves the ring while its cells go on, so that the rest of the thread can be reached.
            let Some(mut queue) = self.own.waiting.pop_front() else { break };
            let sharers = 1 + self.own.sharers(queue.peer) + usize::from(self.has_backlog(queue.peer));
            // What may wait goes in one turn, if the peer takes it at once.
            for _ in 0..=WINDOW as usize * CELL / STAGED {
                if !self.release_own_of(relay, &mut queue, sharers) {
                    break;
                }
            }
            self.tell_credit(relay, queue.hop);
            if !queue.cells.is_empty() {
                self.own.waiting.push_back(queue);
            }
        }
        // Who was first this time is last next time.
        if self.own.waiting.len() > 1 {
            self.own.waiting.rotate_left(1);
        }
    }

    /// Gives the peer one part of what it takes now; true if it may take more.
    fn release_own_of(&mut self, relay: &mut Relay, queue: &mut Waiting, sharers: usize) -> bool {
        self.flush_for(relay, queue.peer);
        let staged = STAGED.saturating_sub(self.queued_for(queue.peer)) / CELL;
        let part = if staged > 0 { (staged / sharers).max(1) } else { 0 };
        for _ in 0..part {
            if !self.shaper.own_may_pass() || !self.takes_own(queue.peer) {
                return false;
            }
            let Some(cell) = queue.cells.pop_front() else { return false };
            self.pass_own(relay, queue.hop, queue.peer, &cell);
        }
        part > 0 && sharers == 1
    }

    /// True if cells of ours wait for the line, or for a peer whose socket will not tell that it has room, since it has.
    pub(super) fn own_may_go(&self) -> bool {
        self.own.waiting.iter().any(|queue| match self.session_of(queue.peer) {
            Some(session) => !session.is_blocked() && session.queued() < STAGED,
            None => self.takes_own(queue.peer),
        })
    }

    /// There is no session with this peer: cells of ours that wait for it are lost.
    pub(super) fn lose_own(&mut self, relay: &Relay, peer: usize) {
        if self.session_of(peer).is_some() {
            return;
        }
        let hops: Vec<usize> = self.own.waiting.iter().filter(|q| q.peer == peer).map(|queue| queue.hop).collect();
        for index in hops {
            let lost = relay.get(index).map_or(0, |entry| self.own.close(index, &entry.hop));
            self.stats.drops[DropCause::NoSession as usize].add(lost as u64);
            self.tell_credit(relay, index);
        }
    }
}

#[cfg(test)]
mod tests;
