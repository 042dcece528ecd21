//! The descriptors that connections of NTCP2 may have: each has a seat from its first moment to its end.
//!
//! The process needs descriptors for its disk, its sockets and whoever asks it how it is; without a bound of their own
//! connections take them all. When most seats are taken the threads are asked to close sessions of which nobody makes use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// With fewer free seats than a part in so many sessions are closed for newcomers.
const SCARCE: usize = 16;

#[derive(Debug)]
struct Inner {
    taken: AtomicUsize,
    all: usize,
}

/// All seats; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Inner>);

impl Seats {
    /// So many seats.
    pub(crate) fn new(all: usize) -> Self {
        Self(Arc::new(Inner { taken: AtomicUsize::new(0), all: all.max(1) }))
    }

    /// A seat, if one is free.
    pub(crate) fn take(&self) -> Option<Seat> {
        let before = self.0.taken.fetch_add(1, Relaxed);
        // It is given back with the seat, also here.
        let seat = Seat(self.clone());
        (before < self.0.all).then_some(seat)
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Relaxed)
    }

    /// How many sessions should be closed for newcomers to find a seat.
    pub(crate) fn wanting(&self) -> usize {
        let spare = (self.0.all / SCARCE).max(1);
        (self.taken() + spare).saturating_sub(self.0.all)
    }
}

/// A seat, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Seats);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_seats_and_each_comes_back() {
        let seats = Seats::new(160);
        let taken: Vec<_> = (0..1000).filter_map(|_| seats.take()).collect();
        assert_eq!((taken.len(), seats.taken(), seats.wanting()), (160, 160, 10));
        drop(taken);
        assert_eq!((seats.taken(), seats.wanting()), (0, 0));
        assert!(seats.take().is_some());
    }
}
