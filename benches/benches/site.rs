//! A site without I2P: requests of one visitor, one after the other, over a pipe in memory, on one thread with the server.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ramson_apps::http_server::{Config, Content, Posts, Reject, Site};
use ramson_protocol::data::private_keys::PrivateKeys;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const REQUEST: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.i2p\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\r\n";

/// Bytes of the page.
const PAGE: usize = 1024;

/// One request, and its answer whole.
async fn ask(visitor: &mut DuplexStream, answer: &mut Vec<u8>) {
    visitor.write_all(REQUEST).await.unwrap();
    answer.clear();
    loop {
        visitor.read_buf(answer).await.unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| answer.len() >= head + 4 + PAGE) {
            return;
        }
    }
}

fn site(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), vec![b'x'; PAGE]).unwrap();
    let config = Config {
        content: Content::Folder { path: folder.path().to_owned(), spa: false },
        host: None,
        reject: Reject::default(),
        compress: true,
        requests_per_minute: 0,
        changes_per_minute: 0,
        posts: Posts::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let who = PrivateKeys::generate([1; 32], &[2; 32]).destination;
    let (mut visitor, end) = duplex(256 * 1024);
    let site = Site::new(config).unwrap();
    runtime.spawn(async move { Arc::clone(&site).serve(end, &who).await });
    let mut group = c.benchmark_group("site");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a page of 1 kB", |b| {
        let mut answer = Vec::new();
        b.iter(|| runtime.block_on(ask(&mut visitor, &mut answer)));
    });
    group.finish();
}

criterion_group!(benches, site);
criterion_main!(benches);
