//! What the relay asks of its thread: room at the peers, the line, and the ways on.

use super::Links;
use super::egress::Head;
use crate::event::Received;
use crate::ports::account::Account;
use crate::ports::own::OwnPort;
use crate::relay::{CELL, CELL_MESSAGE, Egress, HopEntry, Onward, Verdict};
use crate::stats::DropCause;
use ramson_protocol::id::{RouterHash, TunnelId};
use std::sync::Arc;

impl Onward for Links {
    #[inline]
    fn must_wait(&self, egress: Egress) -> bool {
        matches!(egress, Egress::Local(peer) if self.must_wait_for(peer))
    }

    fn wait(&mut self, egress: Egress, index: usize, cell: &[u8; CELL]) -> Result<(), DropCause> {
        match egress {
            Egress::Local(peer) => self.wait_for_peer(peer, index, cell),
            Egress::None | Egress::Remote(..) => Err(DropCause::UnknownTunnel),
        }
    }

    fn has_room(&mut self, egress: Egress, index: usize, cells: usize) -> bool {
        match egress {
            Egress::Local(peer) => self.fits_backlog(peer, index, cells),
            Egress::None | Egress::Remote(..) => true,
        }
    }

    #[inline]
    fn judge(&mut self, entry: &HopEntry, cell: &[u8; CELL]) -> Verdict {
        self.shaper.judge(&entry.hop, entry.flow, cell, self.now.mono)
    }

    fn judge_message(&mut self, entry: &HopEntry, cells: usize) -> Result<(), DropCause> {
        self.shaper.judge_message(&entry.hop, entry.flow, cells, self.now.mono)
    }

    #[inline]
    fn released(&mut self) -> Option<(usize, &[u8; CELL])> {
        self.shaper.next(self.now.mono, &self.stats)
    }

    #[inline]
    fn send_cell(&mut self, egress: Egress, id: u32, expiration: u32, parts: &[&[u8]]) {
        let head = Head { kind: CELL_MESSAGE, id, expiration };
        match egress {
            Egress::Local(peer) => self.queue_local(peer, head, Account::Strangers, parts),
            Egress::Remote(thread, to) => self.queue_remote(thread, to, head, Account::Strangers, parts),
            Egress::None => {}
        }
    }

    fn send(&mut self, from: TunnelId, to: RouterHash, kind: u8, id: u32, expiration: u32, parts: &[&[u8]]) {
        Self::send(self, to, Head { kind, id, expiration }, Account::Tunnel(from), parts);
    }

    #[inline]
    fn own_cell(&mut self, owner: &Arc<dyn OwnPort>, tunnel: TunnelId, cell: &[u8; CELL]) -> u64 {
        self.own.take(owner, tunnel, cell)
    }

    fn up(&mut self, received: Received) {
        // What comes out of tunnels of ours is bounded by them.
        let own = matches!(received, Received::TunnelMessage { own: true, .. });
        if own || self.may_emit() {
            self.up.pass(received);
        }
    }
}
