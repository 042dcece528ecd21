//! What the streams of a destination keep in memory, all together.
//!
//! One stream over a far path needs megabytes, and thousands of them must not need gigabytes: each may have much as long as
//! there is much, and little when there is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a stream may always keep in each direction, however little is left.
pub(super) const FLOOR: usize = 256 * 1024;

/// The sum, of which each half of a stream has a [`Share`].
#[derive(Clone, Debug)]
pub struct Memory {
    kept: Arc<AtomicUsize>,
    limit: usize,
}

impl Memory {
    /// For so many bytes in sum.
    pub fn new(limit: usize) -> Self {
        Self { kept: Arc::default(), limit }
    }

    /// Bytes that are kept now.
    pub fn kept(&self) -> usize {
        self.kept.load(Relaxed)
    }

    /// What one half of a stream keeps.
    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), bytes: 0 }
    }
}

/// What one half of a stream keeps; it goes back when the stream does.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    bytes: usize,
}

impl Share {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.memory.kept.fetch_add(bytes, Relaxed);
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.memory.kept.fetch_sub(bytes, Relaxed);
    }

    /// `wanted` while there is enough for all, and no more than the least when there is not.
    pub(super) fn allowed(&self, wanted: usize) -> usize {
        if self.memory.kept() > self.memory.limit { wanted.min(FLOOR) } else { wanted }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.remove(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_when_all_is_taken_gets_the_least_until_somebody_goes() {
        let memory = Memory::new(1_000_000);
        let (mut first, second) = (memory.share(), memory.share());
        assert_eq!(second.allowed(5_000_000), 5_000_000);
        first.add(1_000_001);
        assert_eq!(second.allowed(5_000_000), FLOOR);
        assert_eq!(second.allowed(10), 10);
        first.remove(1);
        assert_eq!(second.allowed(5_000_000), 5_000_000);
        drop(first);
        assert_eq!(memory.kept(), 0);
    }
}
