//! A web server behind a destination: what visitors send is made safe for a program that knows nothing of I2P.
//!
//! ```text
//! visitor's stream -- hyper --> may he ask so often? comes he by an inproxy? (Limits, Config)
//!                                 '--> headers of a connection away, X-I2P-* put in, Host as configured --> the program
//!                     hyper <-- what tells of the machine away <-- answer
//! ```
//! In the program's place a folder can be shown (files.rs). The program is told who visits by three headers, which nobody else can have written: what a visitor sends of that name is
//! taken away. Each visitor has connections of his own to the program, so nothing of one can reach another.
//!
//! INTEROP: the headers are those of Java I2P and i2pd, as are those that are taken from answers.
//! spec: i2ptunnel §Server Modes

mod files;
mod gzip;
mod posts;

use crate::local::{Local, Program};
use crate::series::REFUSED;
use crate::upgraded;
use bytes::Bytes;
use files::Files;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, DATE, HOST, HeaderMap, HeaderName, HeaderValue, REFERER, RETRY_AFTER, SERVER, UPGRADE, USER_AGENT,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
pub use posts::Posts;
use ramson_protocol::base64;
use ramson_protocol::bucket::Bucket;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

/// A head is there within this time, or the visitor is let go. INTEROP: Java waits as long.
const HEADER_TIME: Duration = Duration::from_secs(15);

/// Bytes and lines of a head, at most. INTEROP: as in Java.
const HEADER_BYTES: usize = 32 * 1024;
const HEADERS: usize = 60;

/// Visitors whose requests are counted; with more of them the one that was here longest ago is forgotten.
const VISITORS: usize = 4096;

/// Who asks too often in a minute waits for the next.
const MINUTE: Duration = Duration::from_secs(60);

/// Headers of requests that are about a connection or a proxy.
const REQUEST: &[&str] = &["keep-alive", "te", "trailer", gzip::ACCEPT];

/// What stands in a list of browsers for one that does not say what it is. INTEROP: Java's word.
const NO_AGENT: &str = "none";

/// Headers of answers that tell of the machine: its time, and its programs.
const RESPONSE: &[HeaderName] = &[DATE, SERVER];
const RESPONSE_TOO: &[&str] = &["keep-alive", "x-powered-by", "x-runtime"];

/// By these a request shows that it came from outside through somebody's inproxy. INTEROP: as Java finds it out.
const INPROXY: &[&str] = &["x-forwarded-for", "x-forwarded-host", "x-forwarded-server", "forwarded"];

/// What is shown to visitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What a program answers.
    Program(Program),
    /// The files of a folder.
    Folder {
        /// Which.
        path: PathBuf,
        /// Whether its index is shown for whatever is not there, as programs want that run in the browser.
        spa: bool,
    },
}

/// How a site is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What is shown to visitors.
    pub content: Content,
    /// What it is told as `Host`; as the visitor wrote it, without.
    pub host: Option<String>,
    /// Who is sent away.
    pub reject: Reject,
    /// Whether text is compressed for visitors whose router can read that.
    pub compress: bool,
    /// Requests of one visitor a minute; without a limit if 0.
    pub requests_per_minute: u32,
    /// The same of requests that change something: all but GET, HEAD and OPTIONS.
    pub changes_per_minute: u32,
    /// How many of these are taken in a longer time, and who is sent away then.
    pub posts: Posts,
}

/// Who is sent away, by what a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reject {
    /// Those who come through an inproxy.
    pub inproxy: bool,
    /// Those who say which page led them here.
    pub referer: bool,
    /// Whose `User-Agent` begins with one of these, or has none if one of these is `none`.
    pub user_agents: Vec<String>,
}

impl Reject {
    fn sends_away(&self, headers: &HeaderMap) -> bool {
        let agent =
            headers.get(USER_AGENT).map(|agent| agent.to_str().unwrap_or_default()).filter(|agent| !agent.is_empty());
        let named = |word: &String| agent.map_or(word == NO_AGENT, |agent| agent.starts_with(word.as_str()));
        self.inproxy && INPROXY.iter().any(|name| headers.contains_key(*name))
            || self.referer && headers.contains_key(REFERER)
            || self.user_agents.iter().any(named)
    }
}

type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// What is behind it.
enum Source {
    Program(Program),
    Files(Files),
}

/// A site; shared by all its visitors.
pub struct Site {
    config: Config,
    source: Source,
    seen: Mutex<BTreeMap<DestinationHash, Visitor>>,
    posts: Mutex<posts::Counts>,
    began: Instant,
}

#[derive(Clone, Copy, Default)]
struct Visitor {
    requests: Bucket,
    changes: Bucket,
}

impl Site {
    /// A site without visitors.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn new(config: Config) -> io::Result<Arc<Self>> {
        let source = match &config.content {
            Content::Program(program) => Source::Program(*program),
            Content::Folder { path, spa } => Source::Files(Files::open(path, *spa)?),
        };
        Ok(Arc::new(Self { config, source, seen: Mutex::default(), posts: Mutex::default(), began: Instant::now() }))
    }

    /// Serves one visitor until he goes.
    pub async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        who: &Destination,
    ) {
        let visitor = Arc::new(Headers::of(who));
        let program = match self.source {
            Source::Program(program) => Some(program),
            Source::Files(_) => None,
        };
        let client = program.map(|program| {
            let mut client = Client::builder(TokioExecutor::new());
            client.pool_timer(TokioTimer::new()).http1_max_buf_size(HEADER_BYTES).set_host(false);
            let target = program.target;
            ToProgram { target, client: client.build(Connector { program, who: visitor.hash }) }
        });
        let service = service_fn(move |request| {
            let (site, visitor, client) = (Arc::clone(&self), Arc::clone(&visitor), client.clone());
            async move { Ok::<_, Infallible>(site.answer(request, &visitor, client.as_ref()).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            // Who has asked and closes his direction wants the answer still.
            .half_close(true)
            .auto_date_header(false)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a visitor's connection ended");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        visitor: &Headers,
        program: Option<&ToProgram>,
    ) -> Response<Body> {
        if let Some(wait) = self.wait(visitor.hash, request.method(), self.began.elapsed()) {
            REFUSED.add(["http-server", "too_often"], 1);
            let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS);
            answer.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
            return answer;
        }
        if self.config.reject.sends_away(request.headers()) {
            REFUSED.add(["http-server", "sent_away"], 1);
            return refusal(StatusCode::FORBIDDEN);
        }
        let compress = self.config.compress && request.method() != Method::HEAD && gzip::is_read(request.headers());
        let mut answer = match (&self.source, program) {
            (Source::Files(files), _) => files.answer(request).await,
            (Source::Program(_), Some(program)) => self.ask(request, visitor, program).await,
            (Source::Program(_), None) => refusal(StatusCode::SERVICE_UNAVAILABLE),
        };
        let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        clean(answer.headers_mut(), switched);
        *answer.version_mut() = Version::HTTP_11;
        if compress { gzip::compressed(answer).await } else { answer }
    }

    /// What the program answers.
    async fn ask(&self, mut request: Request<Incoming>, visitor: &Headers, program: &ToProgram) -> Response<Body> {
        let upgrade = request.headers().get(UPGRADE).cloned();
        let upgrade = upgrade.filter(|_| named_by_connection(request.headers()).iter().any(|name| name == "upgrade"));
        let caller = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        visitor.mark(request.headers_mut(), self.config.host.as_deref(), upgrade);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("http://{}{path}", program.target).parse::<Uri>() else {
            return refusal(StatusCode::BAD_REQUEST);
        };
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        let mut response = match program.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(%error, "the program behind a tunnel of type http-server does not answer; is it running?");
                return refusal(StatusCode::SERVICE_UNAVAILABLE);
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(caller) = caller else { return refusal(StatusCode::BAD_GATEWAY) };
            let program = hyper::upgrade::on(&mut response);
            upgraded::join(caller, program);
        }
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }

    /// Counts a request of this visitor; how long he is to wait, if there were too many.
    fn wait(&self, who: DestinationHash, method: &Method, now: Duration) -> Option<Duration> {
        let harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !self.may_ask(who, harmless, now) {
            return Some(MINUTE);
        }
        if harmless { None } else { self.posts.lock().refusal(&self.config.posts, who, now) }
    }

    /// By the limits of a minute.
    fn may_ask(&self, who: DestinationHash, harmless: bool, now: Duration) -> bool {
        let (requests, changes) = (self.config.requests_per_minute, self.config.changes_per_minute);
        if requests == 0 && changes == 0 {
            return true;
        }
        let mut seen = self.seen.lock();
        if seen.len() >= VISITORS && !seen.contains_key(&who) {
            let longest = seen.iter().max_by_key(|(_, visitor)| visitor.requests.idle(now)).map(|(who, _)| *who);
            longest.map(|longest| seen.remove(&longest));
        }
        let visitor = seen.entry(who).or_default();
        take(&mut visitor.requests, requests, now) && (harmless || take(&mut visitor.changes, changes, now))
    }
}

fn take(bucket: &mut Bucket, per_minute: u32, now: Duration) -> bool {
    let rate = per_minute as f32;
    // Asked without a limit, too: it keeps the time of the last request.
    bucket.take((if per_minute == 0 { f32::MAX } else { rate }, rate / 60.0), now)
}

/// One visitor's connections to the program.
#[derive(Clone)]
struct ToProgram {
    target: SocketAddr,
    client: Client<Connector, Incoming>,
}

/// What the program is told of a visitor.
struct Headers {
    hash: DestinationHash,
    all: [(HeaderName, Option<HeaderValue>); 3],
}

impl Headers {
    fn of(who: &Destination) -> Self {
        let hash = who.hash();
        let all = [
            ("x-i2p-desthash", base64::encode(&hash.0)),
            ("x-i2p-destb32", hash.to_b32()),
            ("x-i2p-destb64", base64::encode(who.as_bytes())),
        ];
        Self { hash, all: all.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(&value).ok())) }
    }

    /// Makes a request that of this visitor.
    fn mark(&self, headers: &mut HeaderMap, host: Option<&str>, upgrade: Option<HeaderValue>) {
        let named = named_by_connection(headers);
        remove(headers, |name| {
            REQUEST.contains(&name)
                || ["x-i2p-", "proxy-"].iter().any(|prefix| name.starts_with(prefix))
                || named.iter().any(|other| other == name)
        });
        headers.remove(CONNECTION);
        headers.remove(UPGRADE);
        for (name, value) in self.all.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            headers.insert(name, value.clone());
        }
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
            headers.insert(HOST, host);
        }
        if let Some(upgrade) = upgrade {
            headers.insert(UPGRADE, upgrade);
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
    }
}

/// Takes from an answer what tells of the machine, and what is about the program's connection.
fn clean(headers: &mut HeaderMap, switched: bool) {
    let named = named_by_connection(headers);
    remove(headers, |name| {
        let hop = name == CONNECTION.as_str() || named.iter().any(|other| other == name);
        RESPONSE.iter().any(|other| other == name)
            || RESPONSE_TOO.contains(&name)
            || name.starts_with("proxy-")
            || hop && !switched
    });
}

fn remove(headers: &mut HeaderMap, gone: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| gone(name.as_str())).cloned().collect();
    names.iter().for_each(|name| {
        headers.remove(name);
    });
}

/// The headers that are about one connection only, as the message says.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// An answer of our own. It has no words, by which one could know what serves.
fn refusal(status: StatusCode) -> Response<Body> {
    let text = status.canonical_reason().unwrap_or_default();
    let body = if text.is_empty() {
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    } else {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// Connections to the program, whatever the URI says.
#[derive(Clone, Copy)]
struct Connector {
    program: Program,
    who: DestinationHash,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Local>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { program, who } = *self;
        Box::pin(async move { program.connect(&who).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests;
