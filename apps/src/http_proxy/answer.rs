//! Answers to a browser: of sites, and pages of our own.

use super::pages::Problem;
use super::scrub;
use crate::network::ConnectError;
use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use hyper::{Response, Version};
use std::error::Error;
use std::io;
use tokio_util::io::{ReaderStream, StreamReader};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// No body.
pub(super) fn empty() -> UnsyncBoxBody<Bytes, BoxError> {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is here whole.
pub(super) fn whole(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What a site answered, for the browser. Java's servers compress it for the way, which the browser does not notice.
pub(super) fn of_site(response: Response<Incoming>) -> Answer {
    let (mut head, body) = response.into_parts();
    scrub::response(&mut head.headers, head.status);
    // Which version the site speaks is between it and us: hyper writes the answer as the browser can read it.
    head.version = Version::HTTP_11;
    if head.headers.get(CONTENT_ENCODING).is_none_or(|coding| coding != scrub::GZIP) {
        return Response::from_parts(head, body.map_err(BoxError::from).boxed_unsync());
    }
    head.headers.remove(CONTENT_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    let compressed = TryStreamExt::map_err(BodyStream::new(body), io::Error::other);
    let compressed = compressed.try_filter_map(async |frame: Frame<Bytes>| Ok(frame.into_data().ok()));
    let plain = ReaderStream::new(GzipDecoder::new(StreamReader::new(Box::pin(compressed))));
    let body = StreamBody::new(plain.map_ok(Frame::data).map_err(BoxError::from));
    Response::from_parts(head, body.boxed_unsync())
}

/// Why a site gave no answer.
pub(super) fn failed(host: &str, error: &hyper_util::client::legacy::Error) -> Problem {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return Problem::Connect(host.to_owned(), *connect);
        }
        // A stream is used before the other side has answered, so it may fail later than its call.
        let connect = error.downcast_ref::<io::Error>().and_then(|error| match error.kind() {
            io::ErrorKind::HostUnreachable => Some(ConnectError::NotFound),
            io::ErrorKind::TimedOut => Some(ConnectError::TimedOut),
            io::ErrorKind::ConnectionReset => Some(ConnectError::Refused),
            _ => None,
        });
        if let Some(connect) = connect {
            return Problem::Connect(host.to_owned(), connect);
        }
        source = error.source();
    }
    Problem::Broken(host.to_owned())
}
