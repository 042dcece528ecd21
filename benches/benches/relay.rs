//! A relayed cell as a whole: in memory, and over loopback through a real I/O thread. Every cell that comes out is opened
//! and compared.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::tunnel::{Kernel, LayerCipher, decrypt_batch, encrypt_batch};
use ramson_perf::peer::{Identity, Link, Ntcp2, Target, now};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::ntcp2::block::{Block, Blocks, write_i2np_header};
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, LEN_LEN, SipKeys};
use ramson_protocol::shape;
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::cell::Body;
use ramson_protocol::tunnel::iv_filter::{Config, IvFilter};
use ramson_transports::clock::Clock;
use ramson_transports::event::{EventSink, News, Received};
use ramson_transports::hop::{Hop, HopKind, NextHop};
use ramson_transports::live::Settings;
use ramson_transports::{Transports, TransportsConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const CELL_MESSAGE: u8 = MessageType::TunnelData.code();
const TUNNELS: u32 = 64;
const LANES: usize = 16;

/// Cells under way at once over loopback: no more than the relay keeps for a peer, or it would drop some.
const WINDOW: usize = 192;

const PATIENCE: Duration = Duration::from_secs(10);

/// Cells of an NTCP2 frame, at most.
const FRAME: usize = 15;

/// One direction of a session.
fn wire(name: u8) -> (FrameSealer, FrameOpener) {
    let sip = || SipKeys::new(&[9; 32]);
    (FrameSealer::new(&[name; 32], sip()), FrameOpener::new(&[name; 32], sip()))
}

fn cipher(kernel: Kernel, tunnel: u32) -> LayerCipher {
    LayerCipher::with_kernel(kernel, &[tunnel as u8; 32], &[!tunnel as u8; 32])
}

/// What a cell is made of: all of it follows from its beginning, so that the far end can tell.
fn cell(rng: &mut ChaCha20Rng) -> Body {
    let mut cell = [0; 1024];
    rng.fill_bytes(&mut cell[..32]);
    for at in 32..cell.len() {
        cell[at] = cell[at - 32] ^ at as u8;
    }
    cell
}

fn is_whole(cell: &Body) -> bool {
    (32..cell.len()).all(|at| cell[at] == cell[at - 32] ^ at as u8)
}

/// A frame of cells that go through all tunnels in turn.
fn frame(sealer: &mut FrameSealer, cells: usize, first: u32, rng: &mut ChaCha20Rng, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; LEN_LEN]);
    for n in 0..cells as u32 {
        write_i2np_header(out, CELL_MESSAGE, MessageId(n), u32::MAX, 1028).unwrap();
        out.extend_from_slice(&(1 + (first + n) % TUNNELS).to_be_bytes());
        out.extend_from_slice(&cell(rng));
    }
    sealer.seal_in_place(out, start).unwrap();
}

/// Opens all whole frames, takes off one layer of each cell and compares; how many there were. `len` is what is known of
/// the frame that is not whole yet.
fn check(opener: &mut FrameOpener, ciphers: &[LayerCipher], received: &mut Vec<u8>, len: &mut Option<usize>) -> usize {
    let (mut at, mut seen) = (0, 0);
    loop {
        let needed = match *len {
            Some(needed) => needed,
            None if received.len() - at < LEN_LEN => break,
            None => {
                let needed = opener.next_len([received[at], received[at + 1]]).unwrap();
                at += LEN_LEN;
                needed
            }
        };
        *len = Some(needed);
        if received.len() - at < needed {
            break;
        }
        *len = None;
        for block in Blocks::new(opener.open(&mut received[at..at + needed]).unwrap()) {
            if let Block::I2np(message) = block.unwrap()
                && message.kind == CELL_MESSAGE
            {
                let (tunnel, body) = message.body.split_first_chunk::<4>().unwrap();
                let mut body: Body = body.try_into().unwrap();
                let cipher = &ciphers[(u32::from_be_bytes(*tunnel) - 1) as usize % TUNNELS as usize];
                decrypt_batch(&mut [(cipher, &mut body)]);
                assert!(is_whole(&body));
                seen += 1;
            }
        }
        at += needed;
    }
    received.drain(..at);
    seen
}

/// The relay's work for a frame, without its threads and sockets.
struct Relay {
    opener: FrameOpener,
    sealer: FrameSealer,
    hops: FxHashMap<u32, (LayerCipher, u32)>,
    filter: IvFilter,
    out: Vec<u8>,
    rng: ChaCha20Rng,
}

impl Relay {
    fn new(kernel: Kernel, opener: FrameOpener, sealer: FrameSealer) -> Self {
        let hops = (1..=TUNNELS).map(|id| (id, (cipher(kernel, id), id))).collect();
        let filter = IvFilter::new(Config::default(), [5, 6], Mono::ZERO);
        Self { opener, sealer, hops, filter, out: Vec::new(), rng: ChaCha20Rng::seed_from_u64(2) }
    }

    /// A frame in, a frame out; up to `lanes` cells go through the cipher at once.
    fn pass(&mut self, input: &mut [u8], lanes: usize) {
        let len = self.opener.next_len([input[0], input[1]]).unwrap();
        let mut cells: Vec<(u32, Body)> = Vec::with_capacity(FRAME);
        for block in Blocks::new(self.opener.open(&mut input[LEN_LEN..LEN_LEN + len]).unwrap()) {
            if let Block::I2np(message) = block.unwrap() {
                let (tunnel, body) = message.body.split_first_chunk::<4>().unwrap();
                cells.push((u32::from_be_bytes(*tunnel), body.try_into().unwrap()));
            }
        }
        let start = self.out.len();
        self.out.extend_from_slice(&[0; LEN_LEN]);
        for cells in cells.chunks_mut(lanes) {
            let bodies: Vec<&Body> = cells.iter().map(|(_, body)| body).collect();
            assert_eq!(self.filter.check(Mono::ZERO, &bodies), (1 << bodies.len()) - 1);
            encrypt_batch(&mut cells.iter_mut().map(|(id, body)| (&self.hops[id].0, body)).collect::<Vec<_>>());
            for (id, body) in cells {
                let message = MessageId(self.rng.next_u32());
                write_i2np_header(&mut self.out, CELL_MESSAGE, message, u32::MAX, 1028).unwrap();
                self.out.extend_from_slice(&self.hops[id].1.to_be_bytes());
                self.out.extend_from_slice(body);
            }
        }
        self.sealer.seal_in_place(&mut self.out, start).unwrap();
    }
}

fn in_memory(c: &mut Criterion) {
    let mut group = c.benchmark_group("relayed cell in memory");
    let best = Kernel::best();
    for (name, kernel, lanes) in [("side by side", best, LANES), ("one by one, `aes` crate", Kernel::Portable, 1)] {
        for cells in [1, 4, FRAME] {
            group.throughput(Throughput::Elements(cells as u64));
            group.bench_function(BenchmarkId::new(name, cells), |b| {
                b.iter_custom(|frames| {
                    let ((mut sealer, opener), (out, mut far)) = (wire(1), wire(2));
                    let mut relay = Relay::new(kernel, opener, out);
                    let ciphers: Vec<_> = (1..=TUNNELS).map(|id| cipher(best, id)).collect();
                    let mut rng = ChaCha20Rng::seed_from_u64(3);
                    let (mut spent, mut left) = (Duration::ZERO, frames);
                    while left > 0 {
                        let some = left.min(256);
                        let mut inputs: Vec<Vec<u8>> = (0..some)
                            .map(|n| {
                                let mut input = Vec::new();
                                frame(&mut sealer, cells, n as u32, &mut rng, &mut input);
                                input
                            })
                            .collect();
                        let start = Instant::now();
                        inputs.iter_mut().for_each(|input| relay.pass(input, lanes));
                        spent += start.elapsed();
                        assert_eq!(check(&mut far, &ciphers, &mut relay.out, &mut None), some as usize * cells);
                        left -= some;
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

struct Deaf;

impl EventSink for Deaf {
    fn news(&self, _: Vec<News>) -> Result<(), Vec<News>> {
        Ok(())
    }

    fn received(&self, _: Vec<Received>) -> Result<(), Vec<Received>> {
        Ok(())
    }
}

const NET: u8 = 99;

/// A data plane of one I/O thread on loopback.
fn data_plane(rng: &mut ChaCha20Rng) -> (Transports, Target) {
    let us = Identity::new(NET, now().wall, rng).unwrap();
    let limits = Limits { check_source: false, ..Limits::default() };
    let config = TransportsConfig {
        max_connections: 1000,
        router: us.hash,
        router_info: us.info.clone(),
        static_key: us.static_key.clone(),
        iv: [4; 16],
        net_id: NET,
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        ssu2: None,
        call_from: Arc::default(),
        threads: 1,
        line: shape::Limits::even(10_000_000_000),
        limits,
        gate: Arc::new(OpenGate),
        live: Settings { idle_close: Duration::from_secs(600) },
        clock: Clock::new(),
        draining: Arc::default(),
    };
    let (transports, bound) = Transports::bind(config).unwrap();
    bound.run(&(Arc::new(Deaf) as Arc<dyn EventSink>)).unwrap();
    let target = Target {
        net_id: NET,
        source: None,
        hash: us.hash,
        encryption: us.static_public,
        ntcp2: Some(Ntcp2 { addr: transports.local_addrs()[0], static_key: us.static_public, iv: [4; 16] }),
        ssu2: None,
    };
    (transports, target)
}

/// One peer writes bursts of cells, another reads them: wakes, system calls and all else, with as much under way as a
/// window of [`WINDOW`] allows.
fn over_loopback(c: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let (transports, target) = data_plane(&mut rng);
    let mut link = || {
        let who = Identity::new(NET, now().wall, &mut rng).unwrap();
        let mut link = Link::open(&target, &who, &mut rng).unwrap();
        link.wait_until_up(PATIENCE).unwrap();
        let (stream, opener, sealer, received) = link.into_parts();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        (who.hash, stream, opener, sealer, received)
    };
    let (from, mut source, _, mut sealer, _) = link();
    let (to, mut sink, mut opener, _, mut received) = link();
    let ciphers: Vec<_> = (1..=TUNNELS).map(|id| cipher(Kernel::best(), id)).collect();
    for id in 1..=TUNNELS {
        assert!(transports.install(&participant(id, from, to)));
    }
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let (mut len, mut buffer) = (None, vec![0; 128 * 1024]);
    let mut group = c.benchmark_group("relayed cell over loopback");
    for burst in [1_usize, 4, 16, 62] {
        group.throughput(Throughput::Elements(burst as u64));
        group.bench_function(BenchmarkId::new("cells at once", burst), |b| {
            b.iter_custom(|bursts| {
                let (total, seen) = (bursts as usize * burst, AtomicUsize::new(0));
                let start = Instant::now();
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let mut out = Vec::new();
                        for sent in (0..total).step_by(burst) {
                            out.clear();
                            for at in (0..burst).step_by(FRAME) {
                                frame(&mut sealer, FRAME.min(burst - at), (sent + at) as u32, &mut rng, &mut out);
                            }
                            while sent > seen.load(Relaxed) + WINDOW {
                                std::thread::yield_now();
                            }
                            source.write_all(&out).unwrap();
                        }
                    });
                    while seen.load(Relaxed) < total {
                        let n = sink.read(&mut buffer).unwrap();
                        assert_ne!(n, 0, "closed");
                        received.extend_from_slice(&buffer[..n]);
                        seen.fetch_add(check(&mut opener, &ciphers, &mut received, &mut len), Relaxed);
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
    transports.stop();
}

fn participant(id: u32, from: RouterHash, to: RouterHash) -> Arc<Hop> {
    let kind =
        HopKind::Participant { cipher: cipher(Kernel::best(), id), next: NextHop { router: to, tunnel: TunnelId(id) } };
    Arc::new(Hop::new(TunnelId(id), kind, Some(from)))
}

criterion_group!(benches, in_memory, over_loopback);
criterion_main!(benches);
