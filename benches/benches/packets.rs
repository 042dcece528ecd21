//! SSU2: header masks, packets of one cell sealed and opened alone and sixteen at once, and cells through two whole
//! sessions. Each opened cell is compared.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::mask::{LANES, mask, masks};
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::link::role::Role;
use ramson_protocol::link::skew::ClockSkew;
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::keys::DataKeys;
use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::packet::{OVERHEAD, Opener, Placed, Sealer, blocks};
use ramson_protocol::ssu2::session::{Config, Event, Session};
use ramson_protocol::time::{Mono, Now, Wall};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

const CELL: [u8; 1028] = [0x5a; 1028];
/// A packet of one cell and nothing else: its block has twelve bytes before the cell.
const PACKET: usize = OVERHEAD + 12 + CELL.len();

fn header_masks(c: &mut Criterion) {
    let mut group = c.benchmark_group("header mask");
    let key = [7; 32];
    let nonces: [[u8; 12]; LANES] = std::array::from_fn(|i| [i as u8; 12]);
    group.bench_function(BenchmarkId::from_parameter(1), |b| b.iter(|| mask(black_box(&key), &nonces[0])));
    group.throughput(Throughput::Elements(LANES as u64));
    group.bench_function(BenchmarkId::from_parameter(LANES), |b| b.iter(|| masks(black_box(&key), &nonces)));
    group.finish();
}

fn keys(n: u8) -> DataKeys {
    DataKeys { k_data: [n; 32], k_header_2: MaskKey::new([n + 1; 32]) }
}

fn packets(c: &mut Criterion) {
    let (sealer, opener) = (Sealer::new(&keys(1), &MaskKey::new([9; 32]), 5), Opener::new(&keys(1), 5));
    for count in [1_usize, 16] {
        let mut group = c.benchmark_group("ssu2 packet");
        group.throughput(Throughput::Elements(count as u64));
        let mut buffer = vec![0; count * PACKET];
        let places: Vec<Placed> =
            (0..count).map(|i| Placed { at: i * PACKET, len: PACKET, number: i as u32, immediate: false }).collect();
        group.bench_function(BenchmarkId::new("seal", count), |b| {
            b.iter(|| sealer.seal(black_box(&mut buffer), &places));
        });
        buffer.fill(0x5a);
        sealer.seal(&mut buffer, &places);
        let sealed = buffer.clone();
        group.bench_function(BenchmarkId::new("open and compare", count), |b| {
            b.iter(|| {
                buffer.copy_from_slice(&sealed);
                let opened = opener.open_group(&mut buffer, PACKET, |_| true);
                for (packet, opened) in buffer.chunks(PACKET).zip(opened) {
                    assert!(opened.is_ok());
                    assert_eq!(packet[blocks(PACKET)][12..], CELL);
                }
            });
        });
        group.finish();
    }
}

/// What a handshake between two routers on this machine would have left to one of them.
fn established(role: Role, peer: SocketAddr) -> Established {
    let initiator = role == Role::Initiator;
    let pick = |a, b| if initiator { (a, b) } else { (b, a) };
    let ((send, recv), (ours, theirs)) = (pick(1, 11), pick(21, 22));
    Established {
        role,
        peer: RouterHash([9; 32]),
        addr: peer,
        local: OurEnd::socket(0),
        local_id: ours.into(),
        remote_id: theirs.into(),
        local_intro: MaskKey::new([ours; 32]),
        remote_intro: MaskKey::new([theirs; 32]),
        recv: keys(recv),
        send: keys(send),
        mtu: 1280,
        next_number: u32::from(initiator),
        received: (!initiator).then_some(0),
        confirmed: Default::default(),
        skew: ClockSkew(0),
        rtt: Duration::from_millis(1),
        router_info: Default::default(),
        flood: false,
        peer_padding: None,
        our_addr: None,
        relay_tag: None,
        relay_tag_requested: false,
        new_token: None,
        early: Vec::new(),
    }
}

/// From the queue of one session to the events of the other, the ACKs on their way back included.
fn sessions(c: &mut Criterion) {
    let mut group = c.benchmark_group("ssu2 sessions, queue to event");
    for count in [1_u32, 16] {
        let addrs = [1, 2].map(|host| SocketAddr::from(([127, 0, 0, host], 9)));
        let mut now = Now { mono: Mono::from_secs(1), wall: Wall::from_secs(1_790_000_000) };
        let new = |role, peer, now| Session::new(&established(role, peer), Config::default(), [3; 32], now);
        let (mut alice, mut bob) = (new(Role::Initiator, addrs[1], now), new(Role::Responder, addrs[0], now));
        let (mut wire, mut events, mut id) = (Vec::new(), Vec::new(), 0);
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                for _ in 0..count {
                    id += 1;
                    alice.queue_message(18, MessageId(id), u32::MAX, &[&CELL]);
                }
                let mut arrived = 0;
                while let Some(sent) = alice.poll_transmit(now, &mut wire, 16) {
                    bob.handle_datagrams(now, addrs[0], &mut wire, sent.segment, &mut events);
                    for event in events.drain(..) {
                        if let Event::Message { body, .. } = event {
                            assert_eq!(wire[body], CELL);
                            arrived += 1;
                        }
                    }
                    wire.clear();
                }
                assert_eq!(arrived, count);
                now = now.plus(Duration::from_millis(10));
                while let Some(sent) = bob.poll_transmit(now, &mut wire, 16) {
                    alice.handle_datagrams(now, addrs[1], &mut wire, sent.segment, &mut events);
                    wire.clear();
                }
                events.clear();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, header_masks, packets, sessions);
criterion_main!(benches);
