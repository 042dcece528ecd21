//! A thread's own free list of buffers: sessions borrow one while they have something to send, or half a frame to keep.

/// Buffers above this capacity are given back to the allocator.
const KEEP_BELOW: usize = 128 * 1024;

/// At most this many wait on the list.
const KEEP: usize = 64;

/// What a new buffer can hold before it grows: one full frame.
const INITIAL: usize = 16 * 1024;

/// Buffers that nobody uses now.
#[derive(Default)]
pub(crate) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(INITIAL))
    }

    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && buffer.capacity() <= KEEP_BELOW && self.0.len() < KEEP {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
