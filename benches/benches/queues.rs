//! From one I/O thread to another: whole batches on a bounded queue, or the lock of each session that they leave by.
//!
//! Every thread makes bursts of cells for the sessions of the next thread, and writes what has come for its own. The bytes
//! are touched as in the relay: copied into the batch, into the session's buffer, and read once when they are written. The
//! sum of what was read must be the sum of what was made.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::queue::ArrayQueue;
use parking_lot::Mutex;
use std::sync::Barrier;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Tunnel id and cell.
const CELL: usize = 1028;

/// Cells that may wait for a thread: what fits its cache.
const WAITING: usize = 256;

/// Sessions of a thread, over which the cells of a burst spread.
const SESSIONS: usize = 4;

/// How cells get from thread to thread.
trait Way: Sync {
    /// What a thread has of it.
    type Seat: Send;

    fn new(threads: usize, cells: usize) -> Self;
    /// The seats of all threads.
    fn seats(&self) -> Vec<Self::Seat>;
    /// A burst for the next thread.
    fn give(&self, seat: &mut Self::Seat, to: usize, cells: usize, cell: &[u8; CELL]);
    /// What has come for a thread is written: the sum of the cells' bytes.
    fn write(&self, seat: &mut Self::Seat, own: usize) -> u64;
}

/// The buffers of sessions that no other thread sees.
type Sessions = [Vec<u8>; SESSIONS];

/// How many of a burst's cells go to a session.
fn share(cells: usize, session: usize) -> usize {
    (cells + SESSIONS - 1 - session) / SESSIONS
}

/// Moves the cells of a batch to their sessions, and writes.
fn spread(batch: &[u8], sessions: &mut Sessions) {
    let cells = batch.len() / CELL;
    let mut rest = batch;
    for (at, session) in sessions.iter_mut().enumerate() {
        let (part, more) = rest.split_at(share(cells, at) * CELL);
        session.extend_from_slice(part);
        rest = more;
    }
}

/// As the relay does it: a bounded lock-free queue, whose batches are used again.
struct Queue {
    inboxes: Vec<ArrayQueue<Vec<u8>>>,
    spares: Vec<ArrayQueue<Vec<u8>>>,
}

impl Way for Queue {
    type Seat = Sessions;

    fn new(threads: usize, cells: usize) -> Self {
        let queues = || (0..threads).map(|_| ArrayQueue::new(WAITING / cells)).collect();
        Self { inboxes: queues(), spares: queues() }
    }

    fn seats(&self) -> Vec<Sessions> {
        self.inboxes.iter().map(|_| Sessions::default()).collect()
    }

    fn give(&self, _: &mut Sessions, to: usize, cells: usize, cell: &[u8; CELL]) {
        let mut batch = self.spares[to].pop().unwrap_or_default();
        for _ in 0..cells {
            batch.extend_from_slice(cell);
        }
        while let Err(back) = self.inboxes[to].push(batch) {
            batch = back;
            std::thread::yield_now();
        }
    }

    fn write(&self, sessions: &mut Sessions, own: usize) -> u64 {
        while let Some(mut batch) = self.inboxes[own].pop() {
            spread(&batch, sessions);
            batch.clear();
            // What finds no room is one too many.
            let _: Result<(), Vec<u8>> = self.spares[own].push(batch);
        }
        sessions.iter_mut().map(drain).sum()
    }
}

/// Each session behind a lock, which who has something for it takes; its owner is told by a queue that it has some.
struct Lock {
    sessions: Vec<[Mutex<Vec<u8>>; SESSIONS]>,
    dirty: Vec<ArrayQueue<usize>>,
}

impl Way for Lock {
    /// The buffer that changes places with that of the session which is written.
    type Seat = Vec<u8>;

    fn new(threads: usize, _: usize) -> Self {
        let dirty = (0..threads).map(|_| ArrayQueue::new(SESSIONS)).collect();
        Self { sessions: (0..threads).map(|_| Default::default()).collect(), dirty }
    }

    fn seats(&self) -> Vec<Vec<u8>> {
        vec![Vec::new(); self.sessions.len()]
    }

    fn give(&self, _: &mut Vec<u8>, to: usize, cells: usize, cell: &[u8; CELL]) {
        for (at, session) in self.sessions[to].iter().enumerate().filter(|(at, _)| share(cells, *at) > 0) {
            loop {
                let mut session = session.lock();
                if session.len() < WAITING / SESSIONS * CELL {
                    let clean = session.is_empty();
                    (0..share(cells, at)).for_each(|_| session.extend_from_slice(cell));
                    drop(session);
                    assert!(!clean || self.dirty[to].push(at).is_ok());
                    break;
                }
                drop(session);
                std::thread::yield_now();
            }
        }
    }

    fn write(&self, spare: &mut Vec<u8>, own: usize) -> u64 {
        let mut sum = 0;
        while let Some(at) = self.dirty[own].pop() {
            // Sealing and writing go on while others may lock again.
            std::mem::swap(spare, &mut *self.sessions[own][at].lock());
            sum += drain(spare);
        }
        sum
    }
}

/// The channel of the standard library, a message per burst.
struct Channel(Vec<SyncSender<Vec<u8>>>, Mutex<Vec<Receiver<Vec<u8>>>>);

impl Way for Channel {
    type Seat = (Vec<SyncSender<Vec<u8>>>, Receiver<Vec<u8>>, Sessions);

    fn new(threads: usize, cells: usize) -> Self {
        let (senders, receivers) = (0..threads).map(|_| sync_channel(WAITING / cells)).unzip();
        Self(senders, Mutex::new(receivers))
    }

    fn seats(&self) -> Vec<Self::Seat> {
        self.1.lock().drain(..).map(|receiver| (self.0.clone(), receiver, Sessions::default())).collect()
    }

    fn give(&self, seat: &mut Self::Seat, to: usize, cells: usize, cell: &[u8; CELL]) {
        let mut batch = Vec::with_capacity(cells * CELL);
        (0..cells).for_each(|_| batch.extend_from_slice(cell));
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = seat.0[to].try_send(batch) {
            batch = back;
            std::thread::yield_now();
        }
    }

    fn write(&self, (_, receiver, sessions): &mut Self::Seat, _: usize) -> u64 {
        receiver.try_iter().for_each(|batch| spread(&batch, sessions));
        sessions.iter_mut().map(drain).sum()
    }
}

/// Reads each cell once, as sealing does, and empties the buffer.
fn drain(session: &mut Vec<u8>) -> u64 {
    let sum = session.chunks_exact(CELL).map(|cell| cell.iter().map(|b| u64::from(*b)).sum::<u64>()).sum();
    session.clear();
    sum
}

/// `bursts` of so many cells from each thread; how long it took until all were written.
fn run<W: Way>(threads: usize, cells: usize, bursts: u64) -> Duration {
    let way = W::new(threads, cells);
    let barrier = Barrier::new(threads + 1);
    let cell = [1; CELL];
    let expected = bursts * cells as u64 * CELL as u64;
    std::thread::scope(|scope| {
        for (own, mut seat) in way.seats().into_iter().enumerate() {
            let (way, barrier, cell) = (&way, &barrier, &cell);
            scope.spawn(move || {
                let mut seen = 0;
                barrier.wait();
                for _ in 0..bursts {
                    way.give(&mut seat, (own + 1) % threads, cells, cell);
                    seen += way.write(&mut seat, own);
                }
                while seen < expected {
                    seen += way.write(&mut seat, own);
                }
                assert_eq!(seen, expected);
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

fn hand_off(c: &mut Criterion) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [2, 4, 8] {
        if threads > cores {
            continue;
        }
        let mut group = c.benchmark_group(format!("hand-off among {threads} threads, per thread"));
        for cells in [1, 16, 32] {
            group.throughput(Throughput::Elements(cells as u64));
            let mut bench = |name, run: fn(usize, usize, u64) -> Duration| {
                group.bench_function(BenchmarkId::new(name, cells), |b| b.iter_custom(|n| run(threads, cells, n)));
            };
            bench("queue", run::<Queue>);
            bench("lock", run::<Lock>);
            bench("std channel", run::<Channel>);
        }
        group.finish();
    }
}

criterion_group!(benches, hand_off);
criterion_main!(benches);
