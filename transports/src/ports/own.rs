//! What passes between the I/O threads and the threads that own our tunnels: cells in batches, and credit.
//!
//! ```text
//! I/O thread    own inbound cell: previous hop and IV checked ---- OwnCells ----> client thread: layers, reassembly
//! client thread own outbound cell: packed, all layers on it ------ OwnCells ----> I/O thread of the first hop: seal
//!                                                          <------ Lane ---------
//! ```
//! A batch is filled over a turn and handed over at its end on a bounded queue; a full queue drops and counts. A lane says
//! how much of what a client thread has sent is still on its way: whatever holds cells up (the line, a slow first hop)
//! is felt through it, and who has no credit does not send.

use crate::stats::Counter;
use ramson_protocol::id::TunnelId;
use ramson_protocol::tunnel::fragment::Sink;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst, fence};

/// Bytes of a cell without its tunnel id: IV and data.
pub const CELL: usize = 1024;

/// Cells of one tunnel that may be on their way to its first hop at once: 256 KiB, the largest message four times.
pub const WINDOW: u64 = 256;

/// A batch is handed over when it has so many cells, or more if those made at once do not end there. `benches/own.rs` has what smaller ones cost.
pub const BATCH: usize = 64;

/// Cells of tunnels of our own, each with the number of its tunnel here.
#[derive(Debug, Default)]
pub struct OwnCells {
    /// The tunnels, one per cell.
    pub tunnels: Vec<TunnelId>,
    /// The cells.
    pub cells: Vec<[u8; CELL]>,
}

impl OwnCells {
    /// Adds a cell of this tunnel.
    pub fn push(&mut self, tunnel: TunnelId, cell: &[u8; CELL]) {
        self.tunnels.push(tunnel);
        self.cells.push(*cell);
    }

    /// Where more cells of this tunnel can be written.
    pub fn of(&mut self, tunnel: TunnelId) -> OfTunnel<'_> {
        OfTunnel { tunnel, from: self.len(), cells: self }
    }

    /// Cells in it.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// True if it should be handed over now.
    pub fn is_full(&self) -> bool {
        self.len() >= BATCH
    }

    /// Empties it, for its next use.
    pub fn clear(&mut self) {
        self.tunnels.clear();
        self.cells.clear();
    }

    /// Each tunnel with its cells, as far as they lie side by side.
    pub fn runs(&mut self) -> impl Iterator<Item = (TunnelId, &mut [[u8; CELL]])> {
        let mut rest = self.cells.as_mut_slice();
        self.tunnels.chunk_by(PartialEq::eq).map(move |run| {
            let (cells, behind) = std::mem::take(&mut rest).split_at_mut(run.len());
            rest = behind;
            (run[0], cells)
        })
    }
}

/// A batch to which cells of one tunnel are added.
#[derive(Debug)]
pub struct OfTunnel<'a> {
    tunnel: TunnelId,
    from: usize,
    cells: &'a mut OwnCells,
}

impl OfTunnel<'_> {
    /// Those that were added.
    pub fn added(&mut self) -> &mut [[u8; CELL]] {
        &mut self.cells.cells[self.from..]
    }
}

impl Sink for OfTunnel<'_> {
    fn next(&mut self) -> Option<&mut [u8; CELL]> {
        self.cells.push(self.tunnel, &[0; CELL]);
        self.cells.cells.last_mut()
    }
}

/// The way to a client thread: the I/O threads know nothing else of it. No call waits.
pub trait OwnPort: Send + Sync + 'static {
    /// Which of the client threads it is.
    fn index(&self) -> usize;

    /// An empty batch, used before if there is one.
    fn spare(&self) -> OwnCells;

    /// Hands over a batch.
    ///
    /// # Errors
    /// Gives it back if the thread does not keep up.
    fn cells(&self, cells: OwnCells) -> Result<(), OwnCells>;

    /// The lane of this tunnel, which was out of credit, has some again. False if the thread does not keep up.
    fn credit(&self, tunnel: TunnelId) -> bool;
}

/// How much of an own outbound tunnel's traffic is on its way, in cells. One client thread sends, one I/O thread says what
/// has become of it; each counter has one writer.
#[derive(Default)]
pub struct Lane {
    sent: Counter,
    gone: Counter,
    lost: Counter,
    waiting: AtomicBool,
}

impl Lane {
    /// A lane on which nothing was sent.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Client thread: how many cells may be sent now.
    pub fn credit(&self) -> u64 {
        WINDOW.saturating_sub(self.under_way())
    }

    /// Cells sent that are neither in their first hop's session nor lost.
    pub fn under_way(&self) -> u64 {
        self.sent.get().wrapping_sub(self.gone.get())
    }

    /// Cells that went into the tunnel, of those that were sent.
    pub fn passed(&self) -> u64 {
        self.gone.get().wrapping_sub(self.lost.get())
    }

    /// Cells that were dropped on their way to the first hop.
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Client thread: sends so many.
    pub fn send(&self, cells: u64) {
        self.sent.add(cells);
    }

    /// Client thread: asks to be told by [`OwnPort::credit`]; false if there is credit for so many cells already.
    #[must_use]
    pub fn wait_for(&self, cells: u64) -> bool {
        self.waiting.store(true, SeqCst);
        // Either the I/O thread sees that we wait, or we see what it has counted.
        fence(SeqCst);
        let waits = self.credit() < cells;
        if !waits {
            self.waiting.store(false, SeqCst);
        }
        waits
    }

    /// I/O thread: so many cells are in the session of their first hop.
    pub fn went(&self, cells: u64) {
        self.gone.add(cells);
    }

    /// I/O thread: so many cells were dropped, which it has counted by cause.
    pub fn lose(&self, cells: u64) {
        self.lost.add(cells);
        self.gone.add(cells);
    }

    /// I/O thread: true, once, if the client thread waits and half of the lane is free.
    pub fn wanted(&self) -> bool {
        fence(SeqCst);
        self.waiting.load(Relaxed) && self.under_way() <= WINDOW / 2 && self.waiting.swap(false, SeqCst)
    }

    /// I/O thread: the client thread could not be told that there is credit.
    pub fn tell_again(&self) {
        self.waiting.store(true, SeqCst);
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("under_way", &self.under_way()).field("lost", &self.lost()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_closes_at_its_window_and_tells_once_when_half_of_it_is_free() {
        let lane = Lane::new();
        lane.send(WINDOW);
        assert_eq!((lane.credit(), lane.wait_for(1)), (0, true));
        lane.went(WINDOW / 2 - 1);
        assert!(!lane.wanted(), "not yet half");
        lane.lose(1);
        assert!(lane.wanted() && !lane.wanted(), "told once");
        assert_eq!((lane.credit(), lane.passed(), lane.lost()), (WINDOW / 2, WINDOW / 2 - 1, 1));
        assert!(!lane.wait_for(WINDOW / 2) && !lane.wanted(), "there is enough, nobody waits");
    }

    #[test]
    fn a_batch_comes_apart_into_the_runs_of_its_tunnels() {
        let mut batch = OwnCells::default();
        for (tunnel, byte) in [(1, 1), (1, 2), (2, 3), (1, 4)] {
            batch.push(TunnelId(tunnel), &[byte; CELL]);
        }
        let runs: Vec<(u32, Vec<u8>)> = batch.runs().map(|(t, c)| (t.0, c.iter().map(|c| c[0]).collect())).collect();
        assert_eq!(runs, [(1, vec![1, 2]), (2, vec![3]), (1, vec![4])]);
        batch.clear();
        assert!(batch.is_empty() && batch.runs().next().is_none());
    }
}
