//! The relay: what becomes of the cells and messages of tunnels, apart from how they came and how they leave.
//!
//! ```text
//! cell ----> hop? right kind? right previous hop? --(of others)--> a queue, the line ---> batch
//! message -> a gateway: contract? share? -> cut into cells -----------^                    |
//!                                                            repeated? AES of 16 cells <---+
//!   participant, gateway: Onward::send_cell <------------------------|
//!   endpoint: put together (ends.rs) -> Onward::send, Onward::up <---|
//!   our own inbound tunnel: Onward::own_cell <-----------------------'
//! ```
//! A machine: sessions, sockets, queues and other threads stand behind [`Onward`], which a test plays as well as the thread
//! does ([`crate::io`]). A turn begins with [`Relay::begin`] and ends with [`Relay::flush`]; in between it is given what came.
//!
//! AES-CBC is serial within one cell, so the cipher earns its speed by working on many cells at once. A batch runs when it
//! is full and at the end of the turn; it never waits for more.

mod ends;
mod table;

pub(crate) use ends::GATEWAY_MESSAGE;
pub(crate) use table::{Egress, HopEntry};

use crate::event::Received;
use crate::hop::HopKind;
use crate::ports::own::OwnPort;
use crate::stats::{DropCause, IoStats, REASSEMBLY, Role};
use ramson_crypto::tunnel::{LayerCipher, encrypt_batch};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::Now;
/// IV and data of a cell, without the tunnel id.
pub(crate) use ramson_protocol::tunnel::cell::BODY_LEN as CELL;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::iv_filter::{self, IvFilter};
use ramson_protocol::tunnel::reassembly::Reassembler;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use std::sync::Arc;

/// Type of a TunnelData message.
pub(crate) const CELL_MESSAGE: u8 = MessageType::TunnelData.code();

/// Cells in a batch. Sixteen fill the widest lanes there are; more only grow the working set.
const LANES: usize = 16;

/// How long a cell may live from here to the next hop, in seconds.
/// INTEROP: i2pd and others give tunnel messages eight seconds; whole seconds are cut off on the wire, hence one more.
pub(crate) const CELL_LIFETIME_SECS: u32 = 9;

/// Bytes that may wait in the endpoints of all threads for the rest of their messages: a tunnel may hold a quarter of a
/// megabyte, and there may be ten thousand.
const REASSEMBLING: usize = 32 * 1024 * 1024;

/// What is to be done with a cell of transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on now.
    Now,
    /// It has been put where it waits.
    Waits,
    /// It is dropped.
    Drop(DropCause),
}

/// What the relay asks of the thread that it works for. None of it calls the relay.
pub(crate) trait Onward {
    /// Where the hop's cells go has too much to send already: they wait before they cost any cryptography.
    fn must_wait(&self, egress: Egress) -> bool;
    /// Lets a cell of the hop at `index` wait there.
    fn wait(&mut self, egress: Egress, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause>;
    /// True if so many cells of one message would have room there.
    fn has_room(&mut self, egress: Egress, index: usize, cells: usize) -> bool;
    /// Judges a cell of transit by the line. If it [waits](Verdict::Waits), [`Onward::released`] has it later.
    fn judge(&mut self, entry: &HopEntry, cell: &[u8; CELL]) -> Verdict;
    /// Judges a message before a gateway cuts it into `cells`: none of them alone is of any use.
    fn judge_message(&mut self, entry: &HopEntry, cells: usize) -> Result<(), DropCause>;
    /// The next cell that has waited for the line and may go now, with the index of its hop.
    fn released(&mut self) -> Option<(usize, &[u8; CELL])>;
    /// Sends a TunnelData message to a next hop.
    fn send_cell(&mut self, egress: Egress, id: u32, expiration: u32, parts: &[&[u8]]);
    /// Sends another message to any router, as it came out of a tunnel. `expiration` in seconds.
    fn send(&mut self, from: TunnelId, to: RouterHash, kind: u8, id: u32, expiration: u32, parts: &[&[u8]]);
    /// Takes a raw cell of a tunnel of ours for its owner. Returns how many cells were lost because that does not keep up.
    fn own_cell(&mut self, owner: &Arc<dyn OwnPort>, tunnel: TunnelId, cell: &[u8; CELL]) -> u64;
    /// Takes what is for the control plane.
    fn up(&mut self, received: Received);
}

/// Cells that wait for the cipher, each with the hop it goes through.
struct Batch {
    cells: Box<[[u8; CELL]; LANES]>,
    hops: [usize; LANES],
    len: usize,
}

impl Batch {
    fn new() -> Self {
        Self { cells: Box::new([[0; CELL]; LANES]), hops: [0; LANES], len: 0 }
    }
}

/// The hops of one thread, and the cells on their way through.
pub(crate) struct Relay {
    /// Our own hash.
    router: RouterHash,
    hops: Slab<HopEntry>,
    by_tunnel: FxHashMap<u32, usize>,
    ivs: IvFilter,
    batch: Batch,
    spares: Vec<Batch>,
    /// Of endpoints that are between messages.
    #[expect(clippy::vec_box, reason = "they move in and out of hop entries as they are")]
    reassemblers: Vec<Box<Reassembler>>,
    /// Bytes that wait in endpoints for the rest of their messages, and how many may.
    reassembling: usize,
    max_reassembling: usize,
    /// What endpoints had counted that are gone, in the order of [`REASSEMBLY`].
    reassembled: [u64; REASSEMBLY.len()],
    /// Gateways with something in their packer.
    packing: Vec<usize>,
    #[expect(clippy::vec_box, reason = "they move in and out of hop entries as they are")]
    packers: Vec<Box<Packer>>,
    /// Cells of a gateway on their way to the cipher.
    packed: Vec<[u8; CELL]>,
    stats: Arc<IoStats>,
    rng: ChaCha20Rng,
    now: Now,
}

impl Relay {
    /// A relay without hops, one of so many threads'.
    pub(crate) fn new(
        threads: usize,
        router: RouterHash,
        filter: iv_filter::Config,
        seed: [u8; 32],
        stats: Arc<IoStats>,
        now: Now,
    ) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        Self {
            router,
            hops: Slab::new(),
            by_tunnel: FxHashMap::default(),
            ivs: IvFilter::new(filter, [rng.next_u64(), rng.next_u64()], now.mono),
            batch: Batch::new(),
            spares: Vec::new(),
            reassemblers: Vec::new(),
            reassembling: 0,
            max_reassembling: REASSEMBLING / threads.max(1),
            reassembled: [0; REASSEMBLY.len()],
            packing: Vec::new(),
            packers: Vec::new(),
            packed: Vec::new(),
            stats,
            rng,
            now,
        }
    }

    /// A turn begins.
    pub(crate) fn begin(&mut self, now: Now) {
        self.now = now;
    }

    /// A cell from a peer. What would be dropped anyway costs no cryptography.
    ///
    /// # Errors
    /// Why it is dropped, which the caller counts.
    pub(crate) fn admit(
        &mut self,
        on: &mut impl Onward,
        from: RouterHash,
        tunnel: TunnelId,
        cell: &[u8; CELL],
    ) -> Result<(), DropCause> {
        let index = *self.by_tunnel.get(&tunnel.0).ok_or(DropCause::UnknownTunnel)?;
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
            self.enter_batch(on, index, cell);
            return Ok(());
        }
        self.shape(on, index, cell)
    }

    /// Lets a cell of transit into the batch, into a queue, or nowhere.
    fn shape(&mut self, on: &mut impl Onward, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        match self.hops.get(index).map(|entry| entry.egress) {
            Some(egress) if on.must_wait(egress) => on.wait(egress, index, cell),
            _ => self.let_pass(on, index, cell),
        }
    }

    /// The same for a cell whose peer can take it: whether the line can decides.
    ///
    /// # Errors
    /// Why it is dropped, which the caller counts.
    pub(crate) fn let_pass(&mut self, on: &mut impl Onward, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        let entry = self.hops.get(index).ok_or(DropCause::UnknownTunnel)?;
        match on.judge(entry, cell) {
            Verdict::Now => self.enter_batch(on, index, cell),
            Verdict::Waits => {}
            Verdict::Drop(cause) => return Err(cause),
        }
        Ok(())
    }

    #[inline]
    fn enter_batch(&mut self, on: &mut impl Onward, index: usize, cell: &[u8; CELL]) {
        self.put(index, cell);
        self.run_if_full(on);
    }

    #[inline]
    fn put(&mut self, index: usize, cell: &[u8; CELL]) {
        let at = self.batch.len;
        self.batch.hops[at] = index;
        self.batch.cells[at].copy_from_slice(cell);
        self.batch.len += 1;
    }

    #[inline]
    fn run_if_full(&mut self, on: &mut impl Onward) {
        if self.batch.len == LANES {
            self.run_batch(on);
        }
    }

    /// Cells that have waited for the line and may go now join the batch.
    pub(crate) fn release(&mut self, on: &mut impl Onward) {
        while let Some((index, cell)) = on.released() {
            self.put(index, cell);
            self.run_if_full(on);
        }
    }

    /// Encrypts the batch and passes its cells on.
    pub(crate) fn run_batch(&mut self, on: &mut impl Onward) {
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
            self.on_encrypted(on, batch.hops[i], &batch.cells[i]);
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
    pub(crate) fn flush(&mut self, on: &mut impl Onward) {
        // An endpoint's message can go to a gateway here, so once is not always enough.
        while self.batch.len > 0 || !self.packing.is_empty() {
            self.flush_packers(on);
            self.run_batch(on);
        }
    }

    fn on_encrypted(&mut self, on: &mut impl Onward, index: usize, cell: &[u8; CELL]) {
        let Some(entry) = self.hops.get(index) else { return };
        let (role, next) = match &entry.hop.kind {
            HopKind::Participant { next, .. } => (Role::Participant, Some(next.tunnel)),
            HopKind::InboundGateway { next, .. } => (Role::InboundGateway, Some(next.tunnel)),
            HopKind::OutboundEndpoint { .. } => (Role::OutboundEndpoint, None),
            HopKind::InboundEndpoint { to } => {
                self.stats.cells[Role::OwnInbound as usize].add(1);
                let lost = on.own_cell(to, entry.hop.id, cell);
                self.stats.drops[DropCause::ClientFull as usize].add(lost);
                return;
            }
            HopKind::InboundWithoutHops | HopKind::OutboundGateway { .. } => return,
        };
        self.stats.cells[role as usize].add(1);
        match next {
            Some(tunnel) => {
                let egress = entry.egress;
                let (id, expiration) = (self.rng.next_u32(), self.now.wall.secs() + CELL_LIFETIME_SECS);
                on.send_cell(egress, id, expiration, &[&tunnel.0.to_be_bytes(), cell]);
            }
            None => self.on_endpoint_cell(on, index, cell),
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
