//! The way up to a program that speaks for itself: payloads as they came, and what became of its own.
//!
//! Bounded in number and bytes: a program that does not read loses what comes, as a datagram may be lost anywhere.

use bytes::Bytes;
use ramson_protocol::destination::raw::Fate;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::mpsc;

/// What waits for a program. INTEROP: i2pd keeps one megabyte.
const MESSAGES: usize = 4096;
const BYTES: usize = 2 << 20;

/// What goes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// A payload.
    Payload(Bytes),
    /// What became of the payload with this number.
    Fate(u32, Fate),
}

/// The lower end.
#[derive(Clone, Debug)]
pub struct Sink {
    to: mpsc::Sender<Up>,
    held: Arc<AtomicUsize>,
}

/// The upper end.
#[derive(Debug)]
pub struct Source {
    from: mpsc::Receiver<Up>,
    held: Arc<AtomicUsize>,
}

/// Both ends.
pub fn channel() -> (Sink, Source) {
    let (to, from) = mpsc::channel(MESSAGES);
    let held = Arc::<AtomicUsize>::default();
    (Sink { to, held: Arc::clone(&held) }, Source { from, held })
}

fn len(up: &Up) -> usize {
    match up {
        Up::Payload(payload) => payload.len(),
        Up::Fate(..) => 0,
    }
}

impl Sink {
    /// False if there is no room: it is lost.
    pub fn push(&self, up: Up) -> bool {
        let len = len(&up);
        if self.held.fetch_add(len, Relaxed) + len <= BYTES && self.to.try_send(up).is_ok() {
            return true;
        }
        self.held.fetch_sub(len, Relaxed);
        false
    }
}

impl Source {
    /// Waits for the next. `None` when the destination is over.
    pub async fn next(&mut self) -> Option<Up> {
        let up = self.from.recv().await?;
        self.held.fetch_sub(len(&up), Relaxed);
        Some(up)
    }

    /// Waits for the next, and takes up to `most` that are there. False when the destination is over.
    pub async fn next_many(&mut self, into: &mut Vec<Up>, most: usize) -> bool {
        let taken = self.from.recv_many(into, most).await;
        let bytes: usize = into.iter().rev().take(taken).map(len).sum();
        self.held.fetch_sub(bytes, Relaxed);
        taken > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_read_loses_what_comes_and_gets_the_next_when_it_does() {
        let (sink, mut source) = channel();
        let payload = || Up::Payload(Bytes::from(vec![0; 60_000]));
        let taken = (0..100).filter(|_| sink.push(payload())).count();
        assert_eq!(taken, BYTES / 60_000);
        assert!(sink.push(Up::Fate(1, Fate::Sent)), "what became of its own it learns");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(source.next()), Some(payload()));
        assert!(sink.push(payload()));
        let more = (0..2 * MESSAGES).filter(|_| sink.push(Up::Fate(1, Fate::Sent))).count();
        assert!(more < MESSAGES);
    }
}
