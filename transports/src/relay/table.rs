//! The table of hops of one thread, with what each hop keeps there.

use super::Relay;
use crate::hop::Hop;
use crate::stats::REASSEMBLY;
use ramson_protocol::id::RouterHash;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::reassembly::{self, Reassembler};
use std::sync::Arc;

/// A hop with what this thread keeps for it.
pub(crate) struct HopEntry {
    pub(crate) hop: Arc<Hop>,
    pub(crate) egress: Egress,
    /// Its queue at the line.
    pub(crate) flow: usize,
    /// Messages of an endpoint that are not complete yet.
    pub(super) reassembly: Option<Box<Reassembler>>,
    /// Messages of a gateway that wait for the end of the turn, to share cells.
    pub(super) packer: Option<Box<Packer>>,
}

/// How this thread reaches a hop's next router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Egress {
    /// The tunnel ends here.
    None,
    /// A peer of this thread.
    Local(usize),
    /// A peer of another thread.
    Remote(usize, RouterHash),
}

impl Relay {
    /// The index that the next hop will have.
    pub(crate) fn next_index(&self) -> usize {
        self.hops.vacant_key()
    }

    /// Enters a hop. Returns the index of the hop whose number it takes, if there is one, for [`Relay::take_out`].
    pub(crate) fn insert(&mut self, hop: Arc<Hop>, egress: Egress, flow: usize) -> Option<usize> {
        let tunnel = hop.id.0;
        let index = self.hops.insert(HopEntry { hop, egress, flow, reassembly: None, packer: None });
        let old = self.by_tunnel.insert(tunnel, index);
        self.stats.hops.set(self.hops.len() as u64);
        old
    }

    /// The hop of this number.
    pub(crate) fn find(&self, tunnel: u32) -> Option<(usize, &HopEntry)> {
        let index = *self.by_tunnel.get(&tunnel)?;
        Some((index, self.hops.get(index)?))
    }

    pub(crate) fn get(&self, index: usize) -> Option<&HopEntry> {
        self.hops.get(index)
    }

    /// Where this very hop is. Another tunnel may have its number by now.
    pub(crate) fn index_of(&self, hop: &Arc<Hop>) -> Option<usize> {
        self.find(hop.id.0).filter(|(_, entry)| Arc::ptr_eq(&entry.hop, hop)).map(|(index, _)| index)
    }

    /// Takes a hop out. Cells in the batch name hops by index: [flush](Relay::flush) before the index is free.
    pub(crate) fn take_out(&mut self, index: usize) -> Option<HopEntry> {
        let entry = self.hops.try_remove(index)?;
        if self.by_tunnel.get(&entry.hop.id.0) == Some(&index) {
            self.by_tunnel.remove(&entry.hop.id.0);
        }
        if let Some(reassembly) = &entry.reassembly {
            self.reassembling = self.reassembling.saturating_sub(reassembly.held());
            add(&mut self.reassembled, &reassembly.stats());
        }
        self.stats.hops.set(self.hops.len() as u64);
        Some(entry)
    }

    /// How many cells the filter of repeated ones may hold.
    #[cfg(test)]
    pub(crate) fn max_repeats(&self) -> usize {
        self.ivs.max_cells()
    }

    /// Hops whose tunnels are over.
    pub(crate) fn over(&self) -> Vec<Arc<Hop>> {
        self.hops.iter().filter(|(_, entry)| entry.hop.is_over()).map(|(_, entry)| Arc::clone(&entry.hop)).collect()
    }

    /// What happens once a second. `repeats` cells are to be remembered at most.
    pub(crate) fn tick(&mut self, repeats: usize) {
        let mut sums = self.reassembled;
        self.reassembling = 0;
        for (_, entry) in &mut self.hops {
            if let Some(reassembly) = &mut entry.reassembly {
                reassembly.expire(self.now.mono);
                self.reassembling += reassembly.held();
                add(&mut sums, &reassembly.stats());
            }
        }
        // Each endpoint counts for itself, and takes what it has counted along when it goes to the next hop.
        self.reassemblers.iter().for_each(|reassembler| add(&mut sums, &reassembler.stats()));
        self.stats.reassembly.iter().zip(sums).for_each(|(counter, sum)| counter.set(sum));
        self.stats.reassembling_bytes.set(self.reassembling as u64);
        self.ivs.set_max_cells(repeats);
        self.stats.iv_false_positives_ppb.set((self.ivs.false_positive_rate() * 1e9) as u64);
        self.stats.iv_filter_bytes.set(self.ivs.memory() as u64);
        self.stats.iv_forgotten_early.set(self.ivs.forgotten_early());
    }
}

fn add(sums: &mut [u64; REASSEMBLY.len()], stats: &reassembly::Stats) {
    let reassembly::Stats { whole, assembled, malformed, duplicates, expired, discarded } = *stats;
    let counts = [whole, assembled, malformed, duplicates, expired, discarded];
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}
