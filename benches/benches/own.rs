//! Traffic of our own: what it costs the I/O thread and what it costs in all, by the message and by batches of cells; and
//! the bytes of local applications, on sockets of the client thread or by way of tokio.
//!
//! Measured on a guest with two cores (x86-64, VAES-512), Linux, while other builds kept both busy, hence processor time
//! and not the wall's; medians of three runs, which agreed within a tenth unless a range is given. Tunnels of three hops,
//! messages that fill a cell (940 bytes). What is called "message by message" and "events" is what the I/O thread did
//! before the client plane.
//!
//! ```text
//! own message out, us of processor time                I/O thread   both threads
//!   message by message: an inbox entry for each           1.54          1.84
//!   finished cells, batches of  1                         1.93          4.7      (a wake for nearly each)
//!   finished cells, batches of 16                         0.2-0.4       1.83
//!   finished cells, batches of 64                         0.08-0.10     1.60
//! own message in
//!   events in batches of  1 through a mailbox             2.00          3.4
//!   events in batches of 16                               1.09          1.33
//!   events in batches of 64                               0.99          1.06
//!   raw cells, batches of  1                              0.29          1.47
//!   raw cells, batches of 16                              0.15          1.13
//!   raw cells, batches of 64                              0.17-0.25     1.28
//! ```
//! *Decision: cells cross, not messages.* A batch is what a turn brings, up to 64 cells. The I/O thread's part falls from
//! 1.54 to about 0.1 us out and from 1.0 to 0.15-0.25 us in, which is the cost of a copy; hashes, layers and reassembly
//! move to a thread that can be had more than once, and the sum does not grow as long as 16 cells go together. Beyond 16 a
//! batch in costs its receiver a little more, since 64 KiB leave the nearest cache before they are read: nothing gains by
//! batches above 64.
//!
//! ```text
//! application bytes, echoed                            s of processor time per GB there and back    1 KiB there and back
//!                                                       1 connection        8 connections            p50      p99
//!   sockets on the client thread's poll (mio)             0.37-0.40           0.38-0.45              13 us    14-40 us
//!   tokio tasks, byte rings to the client thread          0.52-0.61           0.58-0.62              23 us    39-100 us
//! ```
//! *Decision: sockets of applications are driven by tokio tasks over bounded byte rings, one wake for a batch.* It costs
//! 0.1 s more of a processor for a GB in one direction, two copies and two wakes; the same GB costs 1.2 s to come through
//! tunnels and 1.7 s to go, before streaming. 10 us more are nothing beside the 300 to 1000 ms of a round trip through
//! tunnels. For that, front ends are written as what they are, a conversation from top to bottom: `read_line().await` for
//! SAM, HTTP and TLS by the crates that the world uses and tests (on mio each is a machine with partial reads and writes
//! of its own, and those crates' servers cannot be had), and who embeds Ramson gets streams that are `AsyncRead` and
//! `AsyncWrite`, with no loop of ours to fit in. The ring is bounded, so backpressure is the same in both: no room, no
//! read of the socket.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a bench")]

#[path = "own/app.rs"]
mod app;
#[path = "own/inward.rs"]
mod inward;
#[path = "own/outward.rs"]
mod outward;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mio::{Events, Poll, Token, Waker};
use ramson_crypto::tunnel::LayerCipher;
use ramson_transports::inbox::Inbox;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Hops of the tunnels.
const HOPS: u8 = 3;

/// Body of a message that fills a cell with its header and the delivery instructions.
const BODY: usize = 940;

/// Processor time of two threads.
#[derive(Clone, Copy)]
struct Spent {
    io: Duration,
    other: Duration,
}

type Run = Box<dyn Fn(u64) -> Spent>;

/// Processor time of the calling thread so far.
fn thread_time() -> Duration {
    time(ClockId::ThreadCPUTime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn ciphers() -> Vec<LayerCipher> {
    (0..HOPS).map(|hop| LayerCipher::new(&[hop + 1; 32], &[hop + 101; 32])).collect()
}

/// A thread's poll with its inbox: sleeps as an I/O thread does.
struct Seat<T> {
    poll: Poll,
    events: Events,
    inbox: Inbox<T>,
}

impl<T> Seat<T> {
    fn new(capacity: usize) -> Self {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(capacity, Waker::new(poll.registry(), Token(usize::MAX)).unwrap());
        Self { poll, events: Events::with_capacity(64), inbox }
    }

    /// Sleeps until there is something in the inbox or a socket is ready.
    fn wait(&mut self) {
        let patience = if self.inbox.prepare_sleep() { Duration::from_millis(100) } else { Duration::ZERO };
        self.poll.poll(&mut self.events, Some(patience)).unwrap();
        self.inbox.awake();
    }
}

/// Gives `item` to the thread behind `inbox`; sleeps while there is no room, so that waiting costs no processor time.
fn give<T>(inbox: &Inbox<T>, mut item: T) {
    while let Err(back) = inbox.push(item) {
        item = back;
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn group(c: &mut Criterion, name: &str, ways: &[(&str, usize, Run)]) {
    for (what, pick) in [("I/O thread", (|s: Spent| s.io) as fn(Spent) -> Duration), ("both", |s| s.io + s.other)] {
        let mut group = c.benchmark_group(format!("{name}, processor time of {what}"));
        group.throughput(Throughput::Elements(1));
        for (way, batch, run) in ways {
            group.bench_function(BenchmarkId::new(*way, batch), |b| b.iter_custom(|n| pick(run(n))));
        }
        group.finish();
    }
}

fn out(c: &mut Criterion) {
    let mut ways: Vec<(&str, usize, Run)> = vec![("message by message", 1, Box::new(outward::by_message))];
    ways.extend([1, 16, 64].map(|b| ("finished cells", b, Box::new(move |n| outward::by_cells(n, b)) as Run)));
    group(c, "own message out", &ways);
}

fn inward(c: &mut Criterion) {
    let mut ways: Vec<(&str, usize, Run)> = Vec::new();
    ways.extend([1, 16, 64].map(|b| ("events", b, Box::new(move |n| inward::by_events(n, b)) as Run)));
    ways.extend([1, 16, 64].map(|b| ("raw cells", b, Box::new(move |n| inward::by_cells(n, b)) as Run)));
    group(c, "own message in", &ways);
}

/// Both ways of an application's bytes: processor time without that of the application itself.
fn bytes(c: &mut Criterion) {
    let mut group = c.benchmark_group("application bytes echoed, processor time");
    group.throughput(Throughput::Bytes(app::CHUNK as u64));
    for connections in [1, 8] {
        for (name, way) in app::WAYS {
            group.bench_function(BenchmarkId::new(name, connections), |b| {
                b.iter_custom(|n| app::carry(way, connections, n));
            });
        }
    }
    group.finish();
    for (name, way) in app::WAYS {
        // Other work on the machine disturbs single rounds: the median of seven.
        let mut rounds: Vec<(Duration, Duration)> = (0..7).map(|_| app::ping(way, 2000)).collect();
        rounds.sort();
        let mut p99s: Vec<Duration> = rounds.iter().map(|round| round.1).collect();
        p99s.sort();
        println!("1 KiB ping through {name}: p50 {:?}, p99 {:?}", rounds[3].0, p99s[3]);
    }
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(12)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .without_plots()
}

criterion_group! { name = benches; config = config(); targets = out, inward, bytes }
criterion_main!(benches);
