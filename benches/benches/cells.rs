//! One cell through each kind of hop, alone and in batches of 16 cells of different tunnels.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ramson_crypto::tunnel::{Kernel, LayerCipher, decrypt_batch, encrypt_batch};
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::Body;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::iv_filter::{Config, IvFilter};
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::hint::black_box;

fn ciphers(kernel: Kernel, n: usize) -> Vec<LayerCipher> {
    (0..n).map(|i| LayerCipher::with_kernel(kernel, &[i as u8; 32], &[i as u8 ^ 0xff; 32])).collect()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

/// Both directions of the tunnel cipher, which undo each other, by kernel and batch.
fn cipher(c: &mut Criterion) {
    for kernel in Kernel::ALL.into_iter().filter(|k| k.is_supported()) {
        let mut group = c.benchmark_group(format!("tunnel cipher, {}", kernel.name()));
        for lanes in [1_usize, 2, 4, 8, 16] {
            let ciphers = ciphers(kernel, lanes);
            let original: Vec<Body> = (0..lanes).map(|i| [i as u8; 1024]).collect();
            let mut cells = original.clone();
            group.throughput(Throughput::Elements(lanes as u64));
            group.bench_function(BenchmarkId::new("participant", lanes), |b| {
                b.iter(|| {
                    let mut batch: Vec<_> = ciphers.iter().zip(&mut cells).collect();
                    encrypt_batch(&mut batch);
                });
            });
            group.bench_function(BenchmarkId::new("creator, one hop undone", lanes), |b| {
                b.iter(|| {
                    let mut batch: Vec<_> = ciphers.iter().zip(&mut cells).collect();
                    decrypt_batch(&mut batch);
                });
            });
            let mut cells = original.clone();
            encrypt_batch(&mut ciphers.iter().zip(&mut cells).collect::<Vec<_>>());
            decrypt_batch(&mut ciphers.iter().zip(&mut cells).collect::<Vec<_>>());
            assert_eq!(cells, original);
        }
        group.finish();
    }
}

/// A message of 900 bytes into a cell at a gateway, and out of it at the endpoint.
fn ends(c: &mut Criterion) {
    let mut group = c.benchmark_group("tunnel ends");
    group.throughput(Throughput::Elements(1));
    let cipher = ciphers(Kernel::best(), 1);
    let message = vec![3; 900];
    let (mut rng, mut packer, mut cells) = (rng(), Packer::new(), Vec::<Body>::new());
    group.bench_function("inbound gateway: pack and encrypt", |b| {
        b.iter(|| {
            cells.clear();
            packer.push(&Delivery::Local, &message, &mut rng, &mut cells).unwrap();
            packer.flush(&mut rng, &mut cells).unwrap();
            encrypt_batch(&mut [(&cipher[0], &mut cells[0])]);
            black_box(&cells);
        });
    });
    cells.clear();
    packer.push(&Delivery::Local, &message, &mut rng, &mut cells).unwrap();
    packer.flush(&mut rng, &mut cells).unwrap();
    let mut sealed = cells[0];
    decrypt_batch(&mut [(&cipher[0], &mut sealed)]);
    let mut reassembler = Reassembler::new(Limits::default());
    group.bench_function("outbound endpoint: decrypt and reassemble", |b| {
        b.iter(|| {
            let mut cell = sealed;
            encrypt_batch(&mut [(&cipher[0], &mut cell)]);
            let mut seen = 0;
            reassembler.cell(Mono::ZERO, &cell, |_, m| seen += usize::from(*m == *message)).unwrap();
            assert_eq!(seen, 1);
        });
    });
    let two = ciphers(Kernel::best(), 2);
    group.bench_function("our own outbound gateway, two hops", |b| {
        b.iter(|| {
            cells.clear();
            packer.push(&Delivery::Local, &message, &mut rng, &mut cells).unwrap();
            packer.flush(&mut rng, &mut cells).unwrap();
            for cipher in two.iter().rev() {
                decrypt_batch(&mut [(cipher, &mut cells[0])]);
            }
            black_box(&cells);
        });
    });
    group.finish();
}

/// The filter of repeated cells, with random cells as they come.
fn filter(c: &mut Criterion) {
    let mut group = c.benchmark_group("duplicate IV filter");
    for batch in [1_usize, 16] {
        let mut filter = IvFilter::new(Config::default(), [5, 6], Mono::ZERO);
        let (mut rng, mut cells) = (rng(), vec![[0; 1024]; batch]);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new("cells at once", batch), |b| {
            b.iter(|| {
                for cell in &mut cells {
                    rng.fill_bytes(&mut cell[..32]);
                }
                let borrowed: Vec<&Body> = cells.iter().collect();
                black_box(filter.check(Mono::ZERO, &borrowed))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cipher, ends, filter);
criterion_main!(benches);
