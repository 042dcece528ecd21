//! Cells cost no allocation: counted over turns of real threads' loops, run one after the other on the test's own thread.
//!
//! The sockets are TCP connections on loopback; keys, hops and sessions are put in place without handshakes.

use super::{IoConfig, IoThread, UnstartedIoThread, shaper};
use crate::clock::Clock;
use crate::event::{Deaf, Direction};
use crate::hop::{Hop, HopKind, NextHop};
use crate::live::{Live, Settings};
use crate::ports::established::Established;
use crate::ports::io::{Command, IoHandle, home};
use arc_swap::ArcSwap;
use bytes::Bytes;
use mio::Events;
use ramson_crypto::tunnel::LayerCipher;
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::ntcp2::block::write_i2np_header;
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, LEN_LEN, SipKeys};
use ramson_protocol::shape::Limits;
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::iv_filter;
use rand::Rng;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TUNNELS: u32 = 24;

/// The far end of a session.
struct Peer {
    hash: RouterHash,
    stream: TcpStream,
    sealer: FrameSealer,
    out: Vec<u8>,
    arrived: usize,
}

impl Peer {
    /// Sends frames of so many cells each through all tunnels in turn.
    fn send(&mut self, frames: usize, cells: u32) {
        let mut rng = rand::rng();
        self.out.clear();
        for frame in 0..frames {
            let start = self.out.len();
            self.out.extend_from_slice(&[0; LEN_LEN]);
            for cell in 0..cells {
                let tunnel = 1 + (frame as u32 * cells + cell) % TUNNELS;
                write_i2np_header(&mut self.out, crate::relay::CELL_MESSAGE, MessageId(cell), u32::MAX, 1028).unwrap();
                self.out.extend_from_slice(&tunnel.to_be_bytes());
                let at = self.out.len();
                self.out.resize(at + crate::relay::CELL, 0);
                rng.fill_bytes(&mut self.out[at..at + 64]);
            }
            self.sealer.seal_in_place(&mut self.out, start).unwrap();
        }
        self.stream.write_all(&self.out).unwrap();
    }

    /// Counts the bytes that have come.
    fn take(&mut self) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = self.stream.read(&mut buffer) {
            self.arrived += n;
        }
    }
}

/// So many threads and two peers, the first with its home on the first thread, the second on the last.
struct Rig {
    threads: Vec<IoThread>,
    events: Events,
    sender: Peer,
    receiver: Peer,
}

impl Rig {
    fn new(threads: usize) -> Self {
        let unstarted: Vec<UnstartedIoThread> = (0..threads).map(|_| UnstartedIoThread::new().unwrap()).collect();
        let handles: Vec<IoHandle> = unstarted.iter().map(UnstartedIoThread::handle).collect();
        let clock = Clock::new();
        let limits = Limits::even(10_000_000_000);
        let idle = Settings { idle_close: Duration::from_secs(600) };
        let config = IoConfig {
            router: RouterHash([1; 32]),
            router_info: Arc::new(ArcSwap::from_pointee(Bytes::new())),
            line: Arc::new(shaper::Line::new(limits, threads, clock.now().mono)),
            clock,
            sink: Arc::new(Deaf),
            live: Arc::new(Live::new(idle, idle)),
            // It grows by layers; here it has its size from the start.
            iv_filter: iv_filter::Config { first_layer: 1_000_000, ..iv_filter::Config::default() },
            draining: Arc::default(),
        };
        let threads: Vec<IoThread> = unstarted
            .into_iter()
            .enumerate()
            .map(|(index, unstarted)| unstarted.into_thread(index, &handles, config.clone(), None).unwrap())
            .collect();
        let [sender, receiver] = [(0, 2), (threads.len() - 1, 3)].map(|(thread, name)| {
            let mut hash = [name; 32];
            hash[30..].copy_from_slice(&(thread as u16).to_be_bytes());
            let hash = RouterHash(hash);
            assert_eq!(home(&hash, handles.len()), thread);
            connect(&handles[thread], hash)
        });
        let mut rig = Self { threads, events: Events::with_capacity(64), sender, receiver };
        for id in 1..=TUNNELS {
            let next = NextHop { router: rig.receiver.hash, tunnel: TunnelId(1000 + id) };
            let cipher = LayerCipher::new(&[id as u8; 32], &[7; 32]);
            let kind = HopKind::Participant { cipher, next };
            let hop = Arc::new(Hop::new(TunnelId(id), kind, Some(rig.sender.hash)));
            for handle in &handles {
                handle.command(Command::InstallHop(Arc::clone(&hop))).unwrap();
            }
        }
        rig.turn();
        rig
    }

    /// One turn of each thread; the timers of every second are left out, as they are no affair of cells.
    fn turn(&mut self) {
        for thread in &mut self.threads {
            thread.links.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
            thread.links.now = thread.links.config.clock.now();
            thread.links.next_tick = Mono::MAX;
            thread.turn(&self.events);
        }
    }

    fn cells(&self) -> u64 {
        self.threads.iter().flat_map(|thread| &thread.links.stats.cells).map(|count| count.get()).sum()
    }

    /// Sends frames of so many cells until `total` have gone through; how many allocations the threads made of it.
    fn carry(&mut self, frames: usize, cells: u32, total: u64) -> u64 {
        let (mut allocations, end) = (0, self.cells() + total);
        while self.cells() < end {
            self.sender.send(frames, cells);
            let target = self.cells() + frames as u64 * u64::from(cells);
            while self.cells() < target {
                allocations += allocation_counter::measure(|| self.turn()).count_total;
            }
            // What was handed to the last thread leaves with its next turn.
            allocations += allocation_counter::measure(|| self.turn()).count_total;
            self.receiver.take();
        }
        allocations
    }
}

/// A session of thread `home` with a new peer.
fn connect(home: &IoHandle, hash: RouterHash) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, addr) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (there, here) = ([hash.0[0]; 32], [hash.0[0] + 100; 32]);
    let sip = || SipKeys::new(&[5; 32]);
    let session = Established {
        peer: hash,
        addr,
        direction: Direction::Outbound,
        stream: mio::net::TcpStream::from_std(ours),
        opener: FrameOpener::new(&there, sip()),
        sealer: FrameSealer::new(&here, sip()),
        router_info: None,
        leftover: Vec::new(),
        skew_ms: 0,
        seat: None,
    };
    home.command(Command::Adopt(Box::new(session))).unwrap();
    stream.set_nonblocking(true).unwrap();
    Peer { hash, stream, sealer: FrameSealer::new(&there, sip()), out: Vec::new(), arrived: 0 }
}

#[test]
fn cells_cost_no_allocation() {
    for threads in [1, 2] {
        let mut rig = Rig::new(threads);
        for (frames, cells) in [(1, 1), (1, 13), (7, 13), (40, 1)] {
            // Buffers take their sizes.
            rig.carry(frames, cells, 2000);
            let before = rig.receiver.arrived;
            let allocations = rig.carry(frames, cells, 4000);
            assert!(rig.receiver.arrived - before > 4000 * crate::relay::CELL, "they were not sent on");
            assert_eq!(allocations, 0, "{threads} threads, {frames} frames of {cells} cells at a time");
        }
    }
}
