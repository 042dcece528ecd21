//! Bytes of the application that wait to become packets.
//!
//! ```text
//! written --> last piece, full --> pieces --> packet: a share of the first piece, or copied where two meet
//! ```
//! Packets that are not acknowledged share the memory of their piece, so that a buffer which only grows at its end would have
//! to be copied whole whenever it does. Here nothing that waits is ever moved. Nothing is kept when nothing waits.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes of a piece: of what is written at once at most so much, and at least so much for whoever writes little.
const PIECE: usize = 16 * 1024;
const LEAST_PIECE: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pieces: VecDeque<Bytes>,
    last: BytesMut,
    len: usize,
}

impl Waiting {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// True if none do.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes behind the others.
    pub(super) fn put(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let mut room = self.last.capacity() - self.last.len();
            if room == 0 {
                if !self.last.is_empty() {
                    self.pieces.push_back(self.last.split().freeze());
                }
                self.last = BytesMut::with_capacity(bytes.len().clamp(LEAST_PIECE, PIECE));
                room = self.last.capacity();
            }
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.last.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Takes the first bytes, at most `max`.
    pub(super) fn take(&mut self, max: usize) -> Bytes {
        let len = self.len.min(max);
        self.len -= len;
        let first = self.piece(len);
        if first.len() == len {
            return first;
        }
        let mut out = BytesMut::with_capacity(len);
        out.extend_from_slice(&first);
        while out.len() < len {
            let piece = self.piece(len - out.len());
            out.extend_from_slice(&piece);
        }
        out.freeze()
    }

    /// The beginning of the first piece, or all of it.
    fn piece(&mut self, max: usize) -> Bytes {
        let Some(first) = self.pieces.front_mut() else {
            let taken = self.last.split_to(max.min(self.last.len())).freeze();
            if self.last.is_empty() {
                self.last = BytesMut::new();
            }
            return taken;
        };
        if first.len() > max { first.split_to(max) } else { self.pieces.pop_front().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(steps in prop::collection::vec((0..40_000_usize, 0..5_000_usize, 1..40_usize), 1..20)) {
            let (mut waiting, mut model, mut next) = (Waiting::default(), VecDeque::new(), 0_u8);
            for (written, max, times) in steps {
                let bytes: Vec<u8> = (0..written).map(|_| { next = next.wrapping_add(1); next }).collect();
                waiting.put(&bytes);
                model.extend(bytes);
                for _ in 0..times {
                    let taken = waiting.take(max);
                    let expected: Vec<u8> = model.drain(..max.min(model.len())).collect();
                    prop_assert_eq!(&taken[..], &expected[..]);
                    prop_assert_eq!((waiting.len(), waiting.is_empty()), (model.len(), model.is_empty()));
                }
            }
        }
    }

    #[test]
    fn what_waits_is_not_moved_while_packets_before_it_are_on_their_way_and_nothing_is_kept_in_the_end() {
        let mut waiting = Waiting::default();
        waiting.put(&[1; 3 * PIECE]);
        let (packet, second) = (waiting.take(1000), waiting.pieces[1].as_ptr());
        waiting.put(&[2; 3 * PIECE]);
        assert_eq!((waiting.pieces[1].as_ptr(), packet.len()), (second, 1000));
        while !waiting.take(1000).is_empty() {}
        assert_eq!((waiting.last.capacity(), waiting.pieces.len()), (0, 0));
    }
}
