//! Text compressed for the way: a visitor's router that says so reads it, and his browser does not notice.
//!
//! INTEROP: Java I2P's `x-i2p-gzip`. Its clients expect the compressed bytes as they are, not in chunks, so an answer whose length is not
//! known beforehand goes as it is.
//! spec: i2ptunnel §Transparent Response Compression

use super::Body;
use async_compression::tokio::bufread::GzipEncoder;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use std::io::Cursor;
use tokio::io::AsyncReadExt;

/// By this header a router says what it reads.
pub(super) const ACCEPT: &str = "x-accept-encoding";

/// The coding.
const CODING: &str = "x-i2p-gzip";

/// Bodies that are compressed: smaller ones gain nothing, larger ones are not held in memory. INTEROP: Java's lower bound.
const LEAST: u64 = 1300;
const MOST: u64 = 1 << 20;

/// What is worth it.
const TEXTS: &[&str] = &[
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/xhtml",
    "application/rss",
    "application/atom",
    "image/svg",
];

/// Whether the visitor's router reads it.
pub(super) fn is_read(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(CODING)))
}

/// The same answer, compressed if that is worth it.
pub(super) async fn compressed(answer: Response<Body>) -> Response<Body> {
    if !is_worth_it(answer.status(), answer.headers()) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let plain = match body.collect().await {
        Ok(plain) => plain.to_bytes(),
        Err(error) => {
            tracing::debug!(%error, "the program has broken off its answer");
            return super::refusal(StatusCode::BAD_GATEWAY);
        }
    };
    let mut gzip = BytesMut::new();
    let mut encoder = GzipEncoder::new(Cursor::new(plain.clone()));
    // Memory does not fail to be read, and what did not become smaller goes as it was.
    while encoder.read_buf(&mut gzip).await.is_ok_and(|len| len > 0) {}
    let smaller = !gzip.is_empty() && gzip.len() < plain.len();
    let body: Bytes = if smaller { gzip.into() } else { plain };
    if smaller {
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(CODING));
    }
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    Response::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

fn is_worth_it(status: StatusCode, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let len = text(CONTENT_LENGTH).parse::<u64>().is_ok_and(|len| (LEAST..=MOST).contains(&len));
    let kind = text(CONTENT_TYPE).to_ascii_lowercase();
    let other = headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE);
    status == StatusCode::OK && len && !other && TEXTS.iter().any(|text| kind.starts_with(text))
}
