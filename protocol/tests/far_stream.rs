//! A stream whose tunnels end behind a far link: what it carries when the last relay speaks SSU2 to its receiver.
//!
//! ```text
//! server --(no way at all)--> relay: 64 KiB in the session, the rest in a queue that drops --SSU2, 300 ms--> client
//!        <----------------------------------- acknowledgements, over the same session ----------------------
//! ```

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, reason = "the pair serves other tests too")]

#[path = "ssu2_session/wire.rs"]
mod wire;

use bytes::Bytes;
use ramson_crypto::sign::SigningKey;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::shape::FairQueue;
use ramson_protocol::ssu2::session::Config as SessionConfig;
use ramson_protocol::streaming::stream::Config;
use ramson_protocol::streaming::streams::{Limits, Out, Ports, Signer, Streams};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::{ALICE, BOB, Pair, Wire};

const MS: Duration = Duration::from_millis(1);
const CELL: usize = 1028;
/// What a relay has: bytes in the session, and cells of one peer before it, or what this takes in a tenth of a second.
const STAGED: usize = 64 * 1024;
const BACKLOG: usize = 192;
const MAX_BURST: f64 = 1024.0 * 1024.0;

struct Far {
    wire: Pair,
    ends: [Streams; 2],
    hashes: [DestinationHash; 2],
    accepted: Option<u32>,
    queue: FairQueue,
    flow: usize,
    /// Packets by their first cell, with how many cells are missing.
    packets: BTreeMap<u32, (u32, Ports, Bytes)>,
    next: u32,
    dropped: u64,
    /// The relay sleeps for so many milliseconds in each half of a second.
    sleeps: u64,
    turns: u64,
}

fn signer(n: u8) -> Signer {
    let key = SigningKey::from_seed([n; 32]);
    Signer {
        destination: Destination::compose(&key.public(), &[n; 32]),
        key: ramson_crypto::sign::PrivateKey::Ed25519(key),
        offline: None,
    }
}

impl Far {
    fn new(wire: Wire) -> Self {
        let end = |n| Streams::new(Config::default(), Limits::default(), signer(n), true, [n; 32]);
        let mut queue = FairQueue::new(BACKLOG);
        let flow = queue.open(0);
        let hashes = [1, 2].map(|n| signer(n).destination.hash());
        let wire = Pair::new(wire, SessionConfig::default(), 1);
        Self {
            wire,
            ends: [end(1), end(2)],
            hashes,
            accepted: None,
            queue,
            flow,
            packets: BTreeMap::new(),
            next: 0,
            dropped: 0,
            sleeps: 0,
            turns: 0,
        }
    }

    /// A millisecond.
    fn turn(&mut self) {
        let now = self.wire.clock();
        for side in [ALICE, BOB] {
            for id in std::mem::take(&mut self.wire.fresh[1 - side]) {
                let first = id & !1;
                let Some(entry) = self.packets.get_mut(&first) else { continue };
                entry.0 -= 1;
                if entry.0 == 0 {
                    let (_, ports, bytes) = self.packets.remove(&first).unwrap();
                    let from = Some(self.hashes[side]);
                    let _ = self.ends[1 - side].handle_packet(now, from, ports, &bytes);
                }
            }
        }
        for side in [ALICE, BOB] {
            self.ends[side].handle_timeout(now);
            while let Some(out) = self.ends[side].poll_output(now, true) {
                if let Out::Accepted { stream, .. } = out {
                    self.accepted = Some(stream);
                } else if let Out::Suspicious(remote, lane) = out {
                    self.ends[side].new_path(now, &remote, lane);
                } else if let Out::Packet { ports, bytes, .. } = out {
                    let first = self.next;
                    self.next += 2;
                    let cells = if bytes.len() > 900 { 2 } else { 1 };
                    self.packets.insert(first, (cells, ports, bytes.into()));
                    for id in first..first + cells {
                        self.cell(side, id);
                    }
                }
            }
        }
        let mut late = 0;
        self.turns += 1;
        while self.wire.queued(BOB) < STAGED && self.turns % 500 >= self.sleeps {
            let Some((_, cell)) = self.queue.pop(now.mono, &mut late) else { break };
            let id = u32::from_be_bytes(cell[..4].try_into().unwrap());
            self.wire.send(BOB, id, CELL);
        }
        self.dropped += late;
        self.wire.run(MS);
    }

    fn cell(&mut self, side: usize, id: u32) {
        if side == ALICE {
            self.wire.send(ALICE, id, CELL);
            return;
        }
        if self.queue.is_empty() && self.turns % 500 >= self.sleeps && self.wire.queued(BOB) <= 3 * STAGED {
            self.wire.send(BOB, id, CELL);
            return;
        }
        let burst = (self.wire.rate(BOB) / 10.0).min(MAX_BURST) as usize;
        self.queue.set_bound(BACKLOG.max(2 * burst / CELL));
        let mut cell = [0; 1024];
        cell[..4].copy_from_slice(&id.to_be_bytes());
        self.dropped += self.queue.push(self.flow, &cell, self.wire.now()).unwrap_or(1);
    }

    /// Megabytes in each second of so many.
    fn carry(&mut self, seconds: u64) -> Vec<f64> {
        let now = self.wire.clock();
        let id = self.ends[ALICE].connect(now, self.hashes[BOB], Ports::default()).unwrap();
        self.ends[ALICE].write(now, id, b"GET");
        let mut rates = Vec::new();
        let data = vec![7; 1 << 20];
        for _ in 0..seconds {
            let mut read = 0;
            for _ in 0..1000 {
                self.turn();
                let now = self.wire.clock();
                if let Some(theirs) = self.accepted {
                    while self.ends[BOB].read(now, theirs).is_some() {}
                    self.ends[BOB].write(now, theirs, &data);
                }
                while let Some(bytes) = self.ends[ALICE].read(now, id) {
                    read += bytes.len();
                }
            }
            rates.push(read as f64 / 1e6);
        }
        rates
    }
}

#[test]
fn a_far_client_is_sent_as_much_as_the_line_bears() {
    // What is lost is more than an acknowledgement can name at once: at 10 MB/s there are thousands of packets under way.
    for (loss, least) in [(0, 12.0), (5, 9.0), (20, 8.0)] {
        let wire = Wire { delay: 300 * MS, loss, rate: Some(25_000_000), ..Wire::default() };
        let rates = Far::new(wire).carry(18);
        let steady = &rates[8..];
        let mean = steady.iter().sum::<f64>() / steady.len() as f64;
        assert!(mean > least, "{mean} MB/s with {loss} of a thousand lost: {rates:?}");
    }
}

#[test]
fn relays_that_sleep_now_and_then_do_not_stop_a_stream() {
    // In these times more comes than a session sends at once.
    for (sleeps, least) in [(20, 10.0), (40, 9.0), (80, 5.0)] {
        let wire = Wire { delay: 300 * MS, rate: Some(25_000_000), ..Wire::default() };
        let mut far = Far::new(wire);
        far.sleeps = sleeps;
        let rates = far.carry(30);
        let steady = &rates[10..];
        let mean = steady.iter().sum::<f64>() / steady.len() as f64;
        assert!(mean > least, "{mean} MB/s with {sleeps} ms of each half second slept: {rates:?}");
    }
}
