//! Build records: what one request costs a hop, and a whole tunnel its creator.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::{Mono, Now, Wall};
use ramson_protocol::tunnel::build::{self, Config, HopSpec, Path};
use ramson_protocol::tunnel::hop::{self, Answer, Receipt};
use ramson_protocol::tunnel::record::{Bandwidth, Form};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const NOW: Now = Now { mono: Mono::ZERO, wall: Wall(1_790_000_000_000) };

fn builds(c: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let keys: Vec<SecretKey> = (1..5).map(|n| SecretKey::from_bytes([n; 32])).collect();
    let hops: Vec<HopSpec> =
        keys.iter().zip(1..).map(|(key, n)| HopSpec { hash: RouterHash([n; 32]), key: key.public() }).collect();
    let path = Path::Outbound { reply_gateway: RouterHash([9; 32]), reply_tunnel: TunnelId(9) };
    let mut group = c.benchmark_group("tunnel build");
    for form in [Form::Short, Form::Long] {
        let config = Config { us: RouterHash([8; 32]), form, hops: &hops, path, bandwidth: Bandwidth::default() };
        group.bench_function(BenchmarkId::new("creator, four hops", format!("{form:?}")), |b| {
            b.iter(|| build::start(&config, NOW, &mut rng).unwrap());
        });
        let started = build::start(&config, NOW, &mut rng).unwrap();
        let ours = StaticKey::new(keys[0].clone());
        group.bench_function(BenchmarkId::new("hop, find open and answer", format!("{form:?}")), |b| {
            b.iter_batched(
                || started.message.body.to_vec(),
                |body| {
                    let us = RouterHash([1; 32]);
                    let found = hop::find(started.message.kind, &body, &us).unwrap();
                    let cx = Receipt { ours: &ours, us: &us, from: None, now: NOW.wall };
                    let opened = hop::open(found, body, &cx).unwrap();
                    assert_eq!(opened.request.next, RouterHash([2; 32]));
                    opened.answer(Answer::Accept { bandwidth: None }, NOW.wall, &mut rng).unwrap()
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, builds);
criterion_main!(benches);
