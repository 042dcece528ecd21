//! The beginning of an outbound tunnel of our own: messages in, finished cells out, as far as there is credit.
//!
//! ```text
//! message -> waits (bounded) -> credit on the lane? -> cut, small ones share cells -> all layers on -> cells
//! ```
//! Invariants: never more than [`WINDOW`] cells are on their way to the first hop; a message goes into the tunnel whole or
//! not at all; messages keep their order. What waits is bounded by [`QUEUE_BYTES`] and [`QUEUE_MESSAGES`], and who
//! sends more is told so.
//!
//! spec: tunnel-implementation §Outbound Gateway Processing

use crate::layers::{LANES, peel};
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::i2np::Message;
use ramson_protocol::i2np::header::STANDARD_LEN;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::fragment::{FOLLOW_ON_MAX, Packer};
use ramson_transports::ports::own::{Lane, OfTunnel, WINDOW};
use rand_chacha::ChaCha20Rng;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of messages that may wait for credit: at 100 kB/s a burst of five seconds, which is about what a message lives.
pub const QUEUE_BYTES: usize = 512 * 1024;

/// And messages, for those without a body cost something too.
pub const QUEUE_MESSAGES: usize = 1024;

/// The most cells that a message takes, which is more than the header of a tunnel message lets it.
const MOST_CELLS: u64 = 66;
const _: () = assert!(MOST_CELLS <= WINDOW / 2, "a message fits the lane whenever the lane tells of credit");

/// What an end has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that went into the tunnel.
    pub messages: u64,
    /// Cells that were made.
    pub cells: u64,
    /// Messages that expired while they waited.
    pub expired: u64,
    /// Messages that no tunnel can carry.
    pub too_large: u64,
}

/// One outbound tunnel's beginning.
pub struct OwnOut {
    ciphers: Vec<LayerCipher>,
    lane: Arc<Lane>,
    waiting: VecDeque<(Delivery, Message)>,
    bytes: usize,
    stats: Stats,
}

impl OwnOut {
    /// The beginning of a tunnel with these layers, the first hop's first.
    pub fn new(ciphers: Vec<LayerCipher>, lane: Arc<Lane>) -> Self {
        Self { ciphers, lane, waiting: VecDeque::new(), bytes: 0, stats: Stats::default() }
    }

    /// Takes a message; [`OwnOut::poll_cells`] says when it goes.
    ///
    /// # Errors
    /// Gives it back if there is no room for it.
    pub fn handle_message(&mut self, delivery: Delivery, message: Message) -> Result<(), Message> {
        let bytes = self.bytes + message.body.len();
        if self.waiting.len() >= QUEUE_MESSAGES || bytes > QUEUE_BYTES {
            return Err(message);
        }
        self.bytes = bytes;
        self.waiting.push_back((delivery, message));
        Ok(())
    }

    /// Makes some cells of what waits, as far as there is credit, and adds them to `to`, finished: so few that they are in the
    /// cache until they have all layers. True if it is to be called again, at once and with the same packer, which may have begun
    /// a cell; else the packer is empty. To be called after the last message of a turn, and when the lane has credit again.
    pub fn poll_cells(&mut self, now: Wall, rng: &mut ChaCha20Rng, packer: &mut Packer, mut to: OfTunnel<'_>) -> bool {
        if !self.waits() {
            return false;
        }
        let more = self.make(now, rng, packer, &mut to);
        if !more {
            // A batch always has room, and the cell is not above its length.
            let _ = packer.flush(rng, &mut to);
        }
        let made = to.added();
        peel(&self.ciphers, made);
        self.lane.send(made.len() as u64);
        self.stats.cells += made.len() as u64;
        // The lane tells when it has credit, unless it has by now.
        more || self.waits() && !self.lane.wait_for(self.next_cells())
    }

    /// Cuts messages until one does not fit the credit, or there are as many cells as go through the ciphers side by side.
    /// Returns true if more messages can follow at once, which may share the cell begun last.
    fn make(&mut self, now: Wall, rng: &mut ChaCha20Rng, packer: &mut Packer, to: &mut OfTunnel<'_>) -> bool {
        let credit = self.lane.credit();
        loop {
            let made = to.added().len();
            if made as u64 + self.next_cells() > credit {
                return false;
            }
            if made >= LANES {
                return self.waits();
            }
            let Some((delivery, message)) = self.waiting.pop_front() else { return false };
            self.bytes -= message.body.len();
            if message.expiration < now {
                self.stats.expired += 1;
            } else if packer.push_message(&delivery, &message, rng, to).is_ok() {
                self.stats.messages += 1;
            } else {
                self.stats.too_large += 1;
            }
        }
    }

    /// What the next message takes of the lane, at most: each cell but the first carries as much as a follow-on can, and
    /// one more may have been begun by the messages before it.
    fn next_cells(&self) -> u64 {
        let len = self.waiting.front().map_or(0, |(_, message)| STANDARD_LEN + message.body.len());
        (2 + (len / FOLLOW_ON_MAX) as u64).min(MOST_CELLS)
    }

    /// True if messages wait for credit.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The messages that wait, and the bytes of their bodies.
    pub fn held(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_that_is_idle_keeps_no_room_for_cells() {
        assert!(size_of::<OwnOut>() <= 192, "{} bytes", size_of::<OwnOut>());
    }
}
