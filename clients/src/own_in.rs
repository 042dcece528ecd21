//! The end of an inbound tunnel of our own: cells in, messages out.
//!
//! ```text
//! cells (previous hop and IV checked) -> layers off, 16 at a time -> checksum, reassembly -> I2NP messages for us
//! ```
//! Invariant: what is kept of messages that are not complete is bounded in number, bytes and age, see
//! [`reassembly::Limits`].
//!
//! spec: tunnel-implementation §Inbound Endpoint Processing; tunnel-message §Delivery Instructions

use crate::layers::{LANES, peel};
use bytes::Bytes;
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::i2np::Message;
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::Body;
use ramson_protocol::tunnel::reassembly::{self, Reassembler};

/// What an end has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Cells that came.
    pub cells: u64,
    /// Messages that were complete.
    pub messages: u64,
    /// Cells whose checksum or instructions were wrong, and messages that were for somebody else.
    pub bad_fragments: u64,
    /// Messages whose header could not be read.
    pub bad_messages: u64,
}

/// Cells in a second that tell of something which flows.
const FLOWS: u64 = 16;

/// It flows when it has done so for so many seconds, and has fallen silent when nothing comes for so many.
const FLOWING: u32 = 3;
const SILENT: u32 = 2;

/// One inbound tunnel's end.
pub struct OwnIn {
    ciphers: Vec<LayerCipher>,
    reassembler: Reassembler,
    stats: Stats,
    /// Cells that had come a second ago.
    before: u64,
    /// For how many seconds it has flowed, and for how many nothing has come since.
    flow: (u32, u32),
}

impl OwnIn {
    /// The end of a tunnel with these layers, the gateway's first.
    pub fn new(ciphers: Vec<LayerCipher>) -> Self {
        Self {
            ciphers,
            reassembler: Reassembler::new(reassembly::Limits::default()),
            stats: Stats::default(),
            before: 0,
            flow: (0, 0),
        }
    }

    /// Takes cells as they came, in their order, and hands out each message that is complete with them. The cells are
    /// decrypted in place.
    pub fn handle_cells(&mut self, now: Mono, cells: &mut [Body], mut out: impl FnMut(Message)) {
        let Self { ciphers, reassembler, stats, .. } = self;
        stats.cells += cells.len() as u64;
        // So many at a time that they are still in the cache when they are read.
        for cells in cells.chunks_mut(LANES) {
            peel(ciphers, cells);
            for cell in cells {
                let (mut bad, mut unreadable) = (0, 0);
                let result = reassembler.cell(now, cell, |delivery, bytes| match delivery {
                    Delivery::Local => match Message::from_std(&Bytes::from(bytes.into_owned())) {
                        Ok(message) => {
                            stats.messages += 1;
                            out(message);
                        }
                        Err(_) => unreadable += 1,
                    },
                    // spec: tunnel-message §Delivery Instructions: a creator forwards nothing that comes down to it.
                    Delivery::Router(_) | Delivery::Tunnel(..) => bad += 1,
                });
                stats.bad_fragments += bad + u64::from(result.is_err());
                stats.bad_messages += unreadable;
            }
        }
    }

    /// Gives up messages whose rest has not come in time.
    pub fn handle_timeout(&mut self, now: Mono) {
        self.reassembler.expire(now);
    }

    /// To be called once a second. True if something flowed here and all at once nothing does: it has ended, or the tunnel has died, whose
    /// other hops nobody here would hear of.
    pub fn fell_silent(&mut self) -> bool {
        let cells = self.stats.cells - std::mem::replace(&mut self.before, self.stats.cells);
        let (flowing, silent) = self.flow;
        self.flow = match cells {
            0 if flowing >= FLOWING => (flowing, silent + 1),
            FLOWS.. => (flowing + 1, 0),
            // A trickle is what is left of a flow.
            _ if flowing >= FLOWING => (flowing, 0),
            _ => (0, 0),
        };
        let fell = self.flow.1 >= SILENT;
        if fell {
            self.flow = (0, 0);
        }
        fell
    }

    /// Bytes of messages that are not complete.
    pub fn held(&self) -> usize {
        self.reassembler.held()
    }

    /// How its messages fared.
    pub fn reassembly(&self) -> reassembly::Stats {
        self.reassembler.stats()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In which seconds an end falls silent to which so many cells come in each.
    fn silences(cells: &[u64]) -> Vec<usize> {
        let mut end = OwnIn::new(Vec::new());
        let fell = |(second, cells): (usize, &u64)| {
            end.stats.cells += cells;
            end.fell_silent().then_some(second)
        };
        cells.iter().enumerate().filter_map(fell).collect()
    }

    #[test]
    fn what_has_flowed_and_stops_all_at_once_is_noticed_once() {
        assert_eq!(silences(&[100, 200, 90, 0, 0, 0, 0, 0]), [4]);
        assert_eq!(silences(&[100, 200, 90, 0, 1, 0, 0, 0]), [6], "a trickle is not what there was");
        assert_eq!(silences(&[20, 0, 20, 0, 20, 0, 0, 0]), [0; 0], "that was no flow");
        assert_eq!(silences(&[1, 2, 3, 2, 1, 0, 0, 0]), [0; 0]);
        assert_eq!(silences(&[50, 50, 50, 0, 0, 50, 50, 50, 50, 0, 0]), [4, 10]);
    }
}
