//! Cells on their way through: collected from all sessions of a turn, encrypted side by side, passed on.
//!
//! AES-CBC is serial within one cell, so the cipher earns its speed by working on many cells at once. A batch runs when it
//! is full and at the end of the turn; it never waits for more.

use super::shaper::Verdict;
use super::{CELL_MESSAGE, Egress, IoThread};
use crate::hop::HopKind;
use crate::stats::{DropCause, Role};
use ramson_crypto::tunnel::{LayerCipher, encrypt_batch};
use ramson_protocol::id::RouterHash;
/// IV and data of a cell, without the tunnel id.
pub(super) use ramson_protocol::tunnel::cell::BODY_LEN as CELL;
use rand::Rng;
use smallvec::SmallVec;

/// Cells in a batch. Sixteen fill the widest lanes there are; more only grow the working set.
pub(super) const LANES: usize = 16;

/// How long a cell may live from here to the next hop, in seconds.
/// INTEROP: i2pd and others give tunnel messages eight seconds; whole seconds are cut off on the wire, hence one more.
pub(super) const CELL_LIFETIME_SECS: u32 = 9;

/// Cells that wait for the cipher, each with the hop it goes through.
pub(super) struct Batch {
    cells: Box<[[u8; CELL]; LANES]>,
    hops: [usize; LANES],
    len: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { cells: Box::new([[0; CELL]; LANES]), hops: [0; LANES], len: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == LANES
    }

    /// The place for the next cell through `hop`.
    pub(super) fn next(&mut self, hop: usize) -> &mut [u8; CELL] {
        self.hops[self.len] = hop;
        self.len += 1;
        &mut self.cells[self.len - 1]
    }
}

impl IoThread {
    /// Checks a cell and puts it into the batch. What would be dropped anyway costs no cryptography.
    pub(super) fn admit_cell(&mut self, from: RouterHash, tunnel: u32, cell: &[u8; CELL]) -> Result<(), DropCause> {
        let index = *self.by_tunnel.get(&tunnel).ok_or(DropCause::UnknownTunnel)?;
        let entry = self.hops.get(index).ok_or(DropCause::UnknownTunnel)?;
        match entry.hop.kind {
            HopKind::Participant { .. } | HopKind::OutboundEndpoint { .. } | HopKind::InboundEndpoint { .. } => {}
            HopKind::InboundGateway { .. } | HopKind::InboundWithoutHops | HopKind::OutboundGateway { .. } => {
                return Err(DropCause::WrongKind);
            }
        }
        if entry.hop.previous.is_some_and(|previous| previous != from) {
            return Err(DropCause::WrongPrevious);
        }
        if matches!(entry.hop.kind, HopKind::InboundEndpoint { .. }) {
            self.enter_batch(index, cell);
            return Ok(());
        }
        self.shape(index, cell)
    }

    /// Lets a cell of transit into the batch, into a queue, or nowhere.
    pub(super) fn shape(&mut self, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        match self.hops.get(index).map(|entry| entry.egress) {
            Some(Egress::Local(peer)) if self.must_wait_for(peer) => self.wait_for_peer(peer, index, cell),
            _ => self.let_pass(index, cell),
        }
    }

    /// The same for a cell whose peer can take it: whether the line can decides.
    pub(super) fn let_pass(&mut self, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        let entry = self.hops.get(index).ok_or(DropCause::UnknownTunnel)?;
        match self.shaper.judge(&entry.hop, entry.flow, cell, self.now.mono) {
            Verdict::Now => self.enter_batch(index, cell),
            Verdict::Waits => {}
            Verdict::Drop(cause) => return Err(cause),
        }
        Ok(())
    }

    fn enter_batch(&mut self, index: usize, cell: &[u8; CELL]) {
        self.batch.next(index).copy_from_slice(cell);
        if self.batch.is_full() {
            self.run_batch();
        }
    }

    /// Cells that have waited for the line and may go now join the batch.
    pub(super) fn release_cells(&mut self) {
        while let Some((index, cell)) = self.shaper.next(self.now.mono, &self.stats) {
            self.batch.next(index).copy_from_slice(cell);
            if self.batch.is_full() {
                self.run_batch();
            }
        }
    }

    /// Encrypts the batch and passes its cells on.
    pub(super) fn run_batch(&mut self) {
        let len = self.batch.len;
        if len == 0 {
            return;
        }
        // Delivering a message from an endpoint can fill the next batch, of a gateway: so there is more than one.
        let fresh = self.spares.pop().unwrap_or_else(Batch::new);
        let mut batch = std::mem::replace(&mut self.batch, fresh);
        batch.len = 0;
        let fresh = self.fresh(&batch, len);
        let mut lanes: SmallVec<[(&LayerCipher, &mut [u8; CELL]); LANES]> = SmallVec::new();
        for (i, (cell, hop)) in batch.cells.iter_mut().zip(batch.hops).enumerate().take(len) {
            if fresh >> i & 1 == 1
                && let Some(cipher) = self.hops.get(hop).and_then(|entry| layer(&entry.hop.kind))
            {
                lanes.push((cipher, cell));
            }
        }
        // Cells of our own tunnels are only looked at.
        if !lanes.is_empty() {
            self.stats.lanes.record(lanes.len() as u64);
            encrypt_batch(&mut lanes);
        }
        drop(lanes);
        for i in (0..len).filter(|i| fresh >> i & 1 == 1) {
            self.on_encrypted(batch.hops[i], &mut batch.cells[i]);
        }
        self.spares.push(batch);
    }

    /// Which cells of a batch are not repeated: bit `i` for cell `i`. Cells that a gateway here made are always fresh.
    fn fresh(&mut self, batch: &Batch, len: usize) -> u64 {
        let mut came: SmallVec<[(usize, &[u8; CELL]); LANES]> = SmallVec::new();
        for (i, (cell, hop)) in batch.cells.iter().zip(batch.hops).enumerate().take(len) {
            if self.hops.get(hop).is_some_and(|entry| !matches!(entry.hop.kind, HopKind::InboundGateway { .. })) {
                came.push((i, cell));
            }
        }
        let cells: SmallVec<[&[u8; CELL]; LANES]> = came.iter().map(|(_, cell)| *cell).collect();
        let answer = self.ivs.check(self.now.mono, &cells);
        let mut fresh = (1 << len) - 1;
        for (bit, (i, _)) in came.iter().enumerate() {
            if answer >> bit & 1 == 0 {
                fresh &= !(1 << i);
                self.stats.dropped(DropCause::ReplayedIv);
            } else if let Some(entry) = self.hops.get(batch.hops[*i]) {
                entry.hop.cells.add(1);
            }
        }
        fresh
    }

    /// Everything that waits in gateways and in the batch goes on its way.
    pub(super) fn flush_gateways(&mut self) {
        // An endpoint's message can go to a gateway here, so once is not always enough.
        while self.batch.len > 0 || !self.packing.is_empty() {
            self.flush_packers();
            self.run_batch();
        }
    }

    fn on_encrypted(&mut self, hop: usize, cell: &mut [u8; CELL]) {
        let Some(entry) = self.hops.get(hop) else { return };
        let (role, next) = match &entry.hop.kind {
            HopKind::Participant { next, .. } => (Role::Participant, Some(next.tunnel)),
            HopKind::InboundGateway { next, .. } => (Role::InboundGateway, Some(next.tunnel)),
            HopKind::OutboundEndpoint { .. } => (Role::OutboundEndpoint, None),
            HopKind::InboundEndpoint { to } => {
                self.stats.cells[Role::OwnInbound as usize].add(1);
                let lost = self.own.take(to, entry.hop.id, cell);
                self.stats.drops[DropCause::ClientFull as usize].add(lost);
                return;
            }
            HopKind::InboundWithoutHops | HopKind::OutboundGateway { .. } => return,
        };
        self.stats.cells[role as usize].add(1);
        match next {
            Some(tunnel) => self.pass_on(entry.egress, tunnel.0, cell),
            None => self.on_endpoint_cell(hop, cell),
        }
    }

    /// Sends a finished cell to its next hop.
    pub(super) fn pass_on(&mut self, egress: Egress, tunnel: u32, cell: &[u8; CELL]) {
        let (id, expiration) = (self.rng.next_u32(), self.now.wall.secs() + CELL_LIFETIME_SECS);
        let parts: [&[u8]; 2] = [&tunnel.to_be_bytes(), cell];
        match egress {
            Egress::Local(peer) => self.queue_local(peer, CELL_MESSAGE, id, expiration, &parts),
            Egress::Remote(thread, to) => self.queue_remote(thread, to, CELL_MESSAGE, id, expiration, &parts),
            Egress::None => {}
        }
    }
}

/// The layer of a hop that encrypts.
fn layer(kind: &HopKind) -> Option<&LayerCipher> {
    match kind {
        HopKind::Participant { cipher, .. }
        | HopKind::InboundGateway { cipher, .. }
        | HopKind::OutboundEndpoint { cipher } => Some(cipher),
        HopKind::InboundEndpoint { .. } | HopKind::InboundWithoutHops | HopKind::OutboundGateway { .. } => None,
    }
}

#[cfg(test)]
mod tests;
