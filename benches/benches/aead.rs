//! ChaCha20-Poly1305 by kernel, as transports use it: packets of SSU2 in batches, frames of NTCP2 alone; beside *ring*, which is
//! what one would take otherwise.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::aead::{AeadKey, Kernel, Message, TAG_LEN, open_batch_with, seal_batch_with};
use std::hint::black_box;

const AD: [u8; 32] = [3; 32];

fn run(
    kernel: Kernel,
    keys: &[AeadKey],
    data: &mut [Vec<u8>],
    nonce: u64,
    work: fn(Kernel, &mut [Message<'_>]),
) -> bool {
    let mut batch: Vec<Message<'_>> =
        keys.iter().zip(data).map(|(key, data)| Message::new(key, nonce, &AD, data)).collect();
    work(kernel, &mut batch);
    batch.iter().all(|message| message.ok)
}

fn aead(c: &mut Criterion) {
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_supported()) {
        let mut group = c.benchmark_group(format!("aead, {}", kernel.name()));
        for (len, batch) in [(100, 1), (320, 1), (1072, 1), (1072, 8), (1072, 64), (500, 8), (4200, 1), (13_600, 1)] {
            let keys: Vec<AeadKey> = (0..batch).map(|n| AeadKey::new(&[n as u8; 32])).collect();
            let mut data = vec![vec![0x5a; len + TAG_LEN]; batch];
            group.throughput(Throughput::Bytes((len * batch) as u64));
            let name = format!("{batch} of {len} bytes");
            group.bench_function(BenchmarkId::new("seal", &name), |b| {
                b.iter(|| black_box(run(kernel, &keys, &mut data, 7, seal_batch_with)));
            });
            assert!(run(kernel, &keys, &mut data, 7, seal_batch_with));
            let sealed = data.clone();
            group.bench_function(BenchmarkId::new("copy and open", &name), |b| {
                b.iter(|| {
                    data.iter_mut().zip(&sealed).for_each(|(data, sealed)| data.copy_from_slice(sealed));
                    assert!(run(kernel, &keys, &mut data, 7, open_batch_with));
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, aead);
criterion_main!(benches);
