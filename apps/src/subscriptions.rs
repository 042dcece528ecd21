//! Lists of names that are followed: fetched within I2P, one after the other, and read into the book of hosts.
//!
//! ```text
//! due --> GET, with what the server said last (ETag, Last-Modified) --> 304: as it was
//!                  | not reached, refused, too long                 --> 200: read_list, all or nothing --> kept with its words
//!                  '--> again after a minute, two, four .. an hour       '--> again after the interval
//! ```
//! A list never leaves I2P, and what it says is no more than [`crate::names`] allows: a name that is known stays with its
//! destination, unless a command that is signed by it says otherwise.
//!
//! INTEROP: like Java and i2pd, one at a time, twice a day, the first a few minutes after the start.

use crate::http_proxy::connector::Connector;
use crate::http_proxy::scrub::{ASK_FOR_GZIP, GZIP, USER_AGENT_OF_ALL};
use crate::names::book::{BookError, Report};
use crate::names::{Names, ResolveError};
use crate::network::Network;
use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, ETAG, HOST, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ramson_transports::clock::Clock;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until, timeout};

/// The first list is fetched so long after the start, when there are tunnels. INTEROP: i2pd waits as long.
const FIRST: Duration = Duration::from_secs(3 * 60);

/// What failed is tried again after this, then after twice as long, and so on to the longest.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60 * 60);

/// A site answers the call within this time, and has sent its list within that.
const PATIENCE: Duration = Duration::from_secs(60);
const WHOLE: Duration = Duration::from_secs(10 * 60);

/// The longest list, packed or not. INTEROP: Java takes 5 MB.
const MAX_BYTES: usize = 16 << 20;

/// The longest words of a server about its list.
const MAX_WORDS: usize = 256;

/// Why a list was not read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It has no URL that can be followed.
    #[error("it is no URL within I2P: write http://NAME.i2p/hosts.txt")]
    Url,
    /// Its site is not known.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Its site was not reached, or broke off.
    #[error("{0}")]
    Http(String),
    /// Its site answered something else.
    #[error("its site answers with {0}")]
    Status(StatusCode),
    /// It is too long.
    #[error("it is longer than {} MB", MAX_BYTES >> 20)]
    Long,
    /// It took too long.
    #[error("it did not come in time")]
    Slow,
    /// The address book failed.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// The lists, and how they are fetched.
pub struct Subscriptions<N: Network> {
    client: Client<Connector<N>, Empty<Bytes>>,
    names: Names,
    feeds: Vec<Feed>,
    interval: Duration,
}

#[derive(Debug)]
struct Feed {
    url: String,
    failures: u32,
    due: Instant,
}

/// The URL of a list, if it can be followed.
///
/// # Errors
/// `Url`.
pub fn check(url: &str) -> Result<(), FetchError> {
    let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
    let within = |host: &str| host.ends_with(".i2p") || host.ends_with(".i2p.alt");
    let good = uri.scheme_str() == Some("http") && uri.host().is_some_and(within);
    if good && uri.authority().is_some_and(|place| !place.as_str().contains('@')) {
        Ok(())
    } else {
        Err(FetchError::Url)
    }
}

impl<N: Network> Subscriptions<N> {
    /// Lists by their URLs, each of which is fetched once in an interval.
    pub fn new(network: N, names: Names, urls: &[String], interval: Duration) -> Self {
        let connector = Connector::new(network, PATIENCE);
        let client = Client::builder(TokioExecutor::new()).set_host(false).pool_max_idle_per_host(0).build(connector);
        let due = Instant::now() + FIRST;
        let feeds = urls.iter().map(|url| Feed { url: url.clone(), failures: 0, due }).collect();
        Self { client, names, feeds, interval }
    }

    /// Follows the lists until the task is dropped.
    pub async fn follow(mut self) {
        while let Some(next) = self.feeds.iter().enumerate().min_by_key(|(_, feed)| feed.due).map(|(at, _)| at) {
            sleep_until(self.feeds[next].due).await;
            let fetched = timeout(WHOLE, self.fetch(&self.feeds[next].url)).await.unwrap_or(Err(FetchError::Slow));
            let feed = &mut self.feeds[next];
            let pause = match fetched {
                Ok(report) => {
                    feed.failures = 0;
                    if let Some(report) = report {
                        let counts: Vec<String> =
                            report.iter().map(|(what, count)| format!("{count} {what}")).collect();
                        tracing::debug!(url = feed.url, "a list of names was read: {}", counts.join(", "));
                    }
                    self.interval
                }
                Err(error) => {
                    tracing::debug!(url = feed.url, %error, "a list of names was not read");
                    feed.failures = feed.failures.saturating_add(1);
                    again_after(feed.failures).min(self.interval)
                }
            };
            feed.due = Instant::now() + pause;
        }
    }

    /// What a list brought; nothing if it is as it was.
    ///
    /// # Errors
    /// Why it was not read; then nothing of it is taken.
    async fn fetch(&self, url: &str) -> Result<Option<Report>, FetchError> {
        check(url)?;
        let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
        let host = uri.host().ok_or(FetchError::Url)?;
        let (address, book) = (self.names.resolve(host)?, self.names.book()?);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let to = format!("http://{address}:{}{path}", uri.port_u16().unwrap_or(80)).parse::<Uri>();
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = to.map_err(|_| FetchError::Url)?;
        let authority = uri.authority().and_then(|place| HeaderValue::from_str(place.as_str()).ok());
        let headers = request.headers_mut();
        headers.insert(HOST, authority.ok_or(FetchError::Url)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_OF_ALL));
        headers.insert("x-accept-encoding", HeaderValue::from_static(ASK_FOR_GZIP));
        ask_for_news(headers, &book.feed(url)?.unwrap_or_default());
        let answer = self.client.request(request).await.map_err(|error| FetchError::Http(error.to_string()))?;
        let words = words(answer.headers());
        match answer.status() {
            StatusCode::NOT_MODIFIED => Ok(None),
            StatusCode::OK => {
                let list = whole(answer).await?;
                let report = book.read_list(&list[..], url, Clock::system())?;
                book.keep_feed(url, &words)?;
                Ok(Some(report))
            }
            other => Err(FetchError::Status(other)),
        }
    }
}

/// How long a list is left alone that has failed so often.
fn again_after(failures: u32) -> Duration {
    AGAIN.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(AGAIN_AT_MOST)
}

/// What a server said of its list, to be said to it the next time: a line for the tag, one for the time.
fn words(headers: &HeaderMap) -> String {
    let word = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if value.len() > MAX_WORDS { String::new() } else { value.to_owned() }
    };
    format!("{}\n{}", word(ETAG), word(LAST_MODIFIED))
}

fn ask_for_news(headers: &mut HeaderMap, words: &str) {
    for (name, word) in [IF_NONE_MATCH, IF_MODIFIED_SINCE].into_iter().zip(words.lines()) {
        if let (false, Ok(value)) = (word.is_empty(), HeaderValue::from_str(word)) {
            headers.insert(name, value);
        }
    }
}

/// A list as a whole, unpacked if a server of Java packed it for the way.
async fn whole(answer: Response<Incoming>) -> Result<Vec<u8>, FetchError> {
    let packed = answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == GZIP);
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
    let bytes = body.map_err(|error| match error.downcast::<http_body_util::LengthLimitError>() {
        Ok(_) => FetchError::Long,
        Err(error) => FetchError::Http(error.to_string()),
    })?;
    let bytes = bytes.to_bytes();
    if !packed {
        return Ok(bytes.into());
    }
    let mut list = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    let unpacked = GzipDecoder::new(&bytes[..]).take(most).read_to_end(&mut list).await;
    unpacked.map_err(|error| FetchError::Http(error.to_string()))?;
    if list.len() > MAX_BYTES { Err(FetchError::Long) } else { Ok(list) }
}

#[cfg(test)]
mod tests;
