//! The network database: judging and storing a RouterInfo, and finding what is closest, with 10,000 routers known.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ramson_protocol::bearer::Bearer;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::{NetDbKey, RouterHash};
use ramson_protocol::netdb::router_set::RouterSet;
use ramson_protocol::netdb::routing_key::{Day, routing_key};
use ramson_protocol::netdb::rules::Source;
use ramson_protocol::netdb::store::{Config, Store};
use ramson_protocol::time::{Mono, Now, Wall};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::hint::black_box;

const NOW: Now = Now { mono: Mono::ZERO, wall: Wall(1_790_000_000_000) };

fn router_info(rng: &mut ChaCha20Rng) -> RouterInfo {
    let keys = RouterKeys::generate(rng);
    RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, NOW.wall).unwrap()
}

fn netdb(c: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let info = router_info(&mut rng);
    let mut group = c.benchmark_group("netDb");
    group.bench_function("RouterInfo, parse and verify", |b| {
        b.iter(|| RouterInfo::parse(info.as_bytes().clone()).unwrap().verify().unwrap());
    });
    let infos: Vec<RouterInfo> = (0..2000).map(|_| router_info(&mut rng)).collect();
    let config = Config {
        own: RouterHash([1; 32]),
        floodfill: true,
        max_routers: 10_000,
        max_lease_sets: 1000,
        shards: 1,
        private: false,
    };
    group.bench_function("store 2000 RouterInfos", |b| {
        b.iter_batched(
            || (Store::new(config, NOW), infos.clone()),
            |(mut store, infos)| {
                for info in infos {
                    assert!(store.insert(NOW, Entry::RouterInfo(info), Source::Unsolicited, &Bearer::NOBODY));
                }
                store
            },
            BatchSize::LargeInput,
        );
    });
    let mut store = Store::new(config, NOW);
    for info in &infos {
        store.insert(NOW, Entry::RouterInfo(info.clone()), Source::Unsolicited, &Bearer::NOBODY);
    }
    let known: Vec<RouterHash> = infos.iter().map(RouterInfo::hash).collect();
    let mut at = 0;
    group.bench_function("look up one", |b| {
        b.iter(|| {
            at = (at + 1) % known.len();
            assert!(store.public_router(black_box(known[at])).is_some());
        });
    });
    let random = |rng: &mut ChaCha20Rng| {
        let mut hash = [0; 32];
        rng.fill_bytes(&mut hash);
        hash
    };
    let set: RouterSet = (0..10_000).map(|_| RouterHash(random(&mut rng))).collect();
    let day = Day::of(NOW.wall);
    group.bench_function("three closest of 10,000", |b| {
        b.iter_batched(
            || routing_key(NetDbKey(random(&mut rng)), day),
            |place| set.closest(&place).take(3).map(|r| r.0[0]).fold(0_u8, u8::wrapping_add),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, netdb);
criterion_main!(benches);
