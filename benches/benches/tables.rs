//! What each cell asks of the relay besides cryptography: which hop it goes through, and whether the line bears it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::{Mutex, RwLock};
use ramson_protocol::shape::{Bank, FairQueue, Purse};
use ramson_protocol::time::Mono;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Tunnels at once.
const TUNNELS: usize = 10_000;

/// Cells of one batch, each of another tunnel.
const BATCH: usize = 16;

/// A hop as the table has it: what is read of it for each cell.
struct Hop {
    previous: [u8; 32],
    _keys: [u8; 512],
}

fn hop_table(c: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let ids: Vec<u32> = (0..TUNNELS).map(|_| rng.random()).collect();
    let asked: Vec<[u32; BATCH]> = (0..1024).map(|_| [(); BATCH].map(|()| ids[rng.random_range(0..TUNNELS)])).collect();
    let hop = |id: u32| Hop { previous: [id as u8; 32], _keys: [0; 512] };
    let mut group = c.benchmark_group("hop table, 10,000 tunnels");
    group.throughput(Throughput::Elements(BATCH as u64));

    let (mut slab, mut index) = (Slab::new(), FxHashMap::default());
    for id in &ids {
        index.insert(*id, slab.insert(hop(*id)));
    }
    let mut turn = asked.iter().cycle();
    group.bench_function("of the thread: fast hash and slab", |b| {
        b.iter(|| {
            for id in turn.next().unwrap() {
                assert_eq!(slab[index[id]].previous[0], *id as u8);
            }
        });
    });
    let table: HashMap<u32, Hop> = ids.iter().map(|id| (*id, hop(*id))).collect();
    group.bench_function("of the thread: std HashMap", |b| {
        b.iter(|| {
            for id in turn.next().unwrap() {
                assert_eq!(table[id].previous[0], *id as u8);
            }
        });
    });
    // As a shared table would be read, even while nobody writes.
    let table: RwLock<HashMap<u32, Arc<Hop>>> = RwLock::new(ids.iter().map(|id| (*id, Arc::new(hop(*id)))).collect());
    group.bench_function("of all threads: RwLock<HashMap<_, Arc>>", |b| {
        b.iter(|| {
            for id in turn.next().unwrap() {
                let hop = Arc::clone(&table.read()[id]);
                assert_eq!(hop.previous[0], *id as u8);
            }
        });
    });
    group.finish();
}

/// Bytes of the line that a cell takes.
const PRICE: u32 = 1045;

fn line(c: &mut Criterion) {
    let mut group = c.benchmark_group("shaper, a cell pays");
    group.throughput(Throughput::Elements(1));
    let rate = 10_000_000_000;
    let mut now = Mono::ZERO;
    let mut purse = Purse::new(Arc::new(Bank::new(rate, rate, now)));
    let mut cells = 0_u32;
    group.bench_function("purse of the thread, a turn every 64 cells", |b| {
        b.iter(|| {
            if cells.is_multiple_of(64) {
                purse.end(64 * u64::from(PRICE), 0);
                now += Duration::from_micros(64);
                purse.begin(now);
            }
            cells = cells.wrapping_add(1);
            assert!(purse.pay(PRICE));
        });
    });
    let bucket = Mutex::new((rate as f64, Mono::ZERO));
    group.bench_function("one token bucket behind a lock", |b| {
        b.iter(|| {
            now += Duration::from_micros(1);
            let mut bucket = bucket.lock();
            let (tokens, filled) = *bucket;
            let tokens = (tokens + (now - filled).as_secs_f64() * rate as f64).min(rate as f64);
            assert!(tokens > f64::from(PRICE));
            *bucket = (tokens - f64::from(PRICE), now);
        });
    });
    group.finish();
}

fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("shaper, a cell waits: in and out");
    group.throughput(Throughput::Elements(BATCH as u64));
    let cell = [7; 1024];
    for flows in [1_usize, 64, 1024] {
        let mut queue = FairQueue::new(8192);
        let opened: Vec<usize> = (0..flows).map(|tag| queue.open(tag)).collect();
        let (mut now, mut at) = (Mono::ZERO, 0);
        group.bench_function(BenchmarkId::new("fair among tunnels", flows), |b| {
            b.iter(|| {
                now += Duration::from_micros(16);
                for _ in 0..BATCH {
                    at = (at + 1) % flows;
                    assert!(queue.push(opened[at], &cell, now).is_some());
                }
                let mut late = 0;
                for _ in 0..BATCH {
                    black_box(queue.pop(now, &mut late).unwrap());
                }
                assert_eq!(late, 0);
            });
        });
    }
    let mut queue = VecDeque::new();
    group.bench_function("one VecDeque for all", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                queue.push_back((Mono::ZERO, cell));
            }
            for _ in 0..BATCH {
                black_box(queue.pop_front().unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, hop_table, line, queue);
criterion_main!(benches);
