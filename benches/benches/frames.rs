//! NTCP2 frames: sealing and opening them with 1, 4 and 15 cells inside. Each opened cell is compared.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::id::MessageId;
use ramson_protocol::ntcp2::block::{Block, Blocks, write_i2np_header};
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, LEN_LEN, SipKeys};
use std::hint::black_box;

const CELL_MESSAGE: u8 = MessageType::TunnelData.code();

fn pair() -> (FrameSealer, FrameOpener) {
    let (key, sip) = ([7; 32], [9; 32]);
    (FrameSealer::new(&key, SipKeys::new(&sip)), FrameOpener::new(&key, SipKeys::new(&sip)))
}

fn put_cells(buffer: &mut Vec<u8>, cell: &[u8], cells: usize) {
    buffer.clear();
    buffer.extend_from_slice(&[0; LEN_LEN]);
    for id in 0..cells {
        write_i2np_header(buffer, CELL_MESSAGE, MessageId(id as u32), 1_790_000_000, cell.len()).unwrap();
        buffer.extend_from_slice(cell);
    }
}

fn frames(c: &mut Criterion) {
    let cell = [0x5a; 1028];
    for cells in [1_usize, 4, 15] {
        let mut group = c.benchmark_group("ntcp2 frame");
        group.throughput(Throughput::Elements(cells as u64));
        let mut buffer = Vec::with_capacity(20_000);
        let (mut sealer, _) = pair();
        group.bench_function(BenchmarkId::new("seal", cells), |b| {
            b.iter(|| {
                put_cells(&mut buffer, &cell, cells);
                sealer.seal_in_place(&mut buffer, 0).unwrap();
                black_box(buffer.len())
            });
        });
        let (mut sealer, mut opener) = pair();
        group.bench_function(BenchmarkId::new("seal, open and compare", cells), |b| {
            b.iter(|| {
                put_cells(&mut buffer, &cell, cells);
                sealer.seal_in_place(&mut buffer, 0).unwrap();
                let len = opener.next_len([buffer[0], buffer[1]]).unwrap();
                let plain = opener.open(&mut buffer[LEN_LEN..LEN_LEN + len]).unwrap();
                let mut seen = 0;
                for block in Blocks::new(plain) {
                    if let Block::I2np(message) = block.unwrap() {
                        assert_eq!(message.body, cell);
                        seen += 1;
                    }
                }
                assert_eq!(seen, cells);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
