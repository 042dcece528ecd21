//! What is not in I2P, by outproxies there: somebody who fetches it for us and sees what is fetched.
//!
//! ```text
//! GET http://example.com/ --> the outproxy that answered last, else the next --> the same request, as to a proxy
//! CONNECT example.com:443 --> the same                                       --> CONNECT to it, then bytes
//! ```
//! Without an outproxy in the configuration nothing goes outside.

use super::answer::{self, Answer};
use super::connector::{Connector, Wire};
use super::pages::Problem;
use super::request::Asked;
use super::scrub;
use crate::names::Names;
use crate::network::{ConnectError, Network};
use crate::upgraded;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use tower_service::Service;

/// What all say who go outside. INTEROP: i2pd says the same, as an older Tor Browser does.
const OUTSIDE_USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; rv:109.0) Gecko/20100101 Firefox/115.0";

/// The port of an outproxy that is named without one.
const PORT: u16 = 80;

/// The way outside.
pub(super) struct Outside<N: Network> {
    connector: Outproxies<N>,
    client: Client<Outproxies<N>, Incoming>,
}

/// Outproxies, in the order of the configuration.
#[derive(Clone)]
struct Outproxies<N> {
    connector: Connector<N>,
    names: Names,
    all: Arc<[String]>,
    /// Which one answered last.
    good: Arc<AtomicUsize>,
}

impl<N: Network> Outside<N> {
    /// `None` without outproxies.
    pub(super) fn new(connector: Connector<N>, names: Names, all: Vec<String>) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        let connector = Outproxies { connector, names, all: all.into(), good: Arc::default() };
        let client = Client::builder(TokioExecutor::new()).set_host(false).build(connector.clone());
        Some(Self { connector, client })
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, asked: &Asked) -> Result<Answer, Problem> {
        if request.method() == Method::CONNECT {
            return self.tunnel(request, asked).await;
        }
        let failed = || Problem::Outproxy(asked.host.clone());
        let mut request = request;
        scrub::request(request.headers_mut(), &asked.host, asked.port, false);
        request.headers_mut().remove("x-accept-encoding");
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(OUTSIDE_USER_AGENT));
        *request.version_mut() = Version::HTTP_11;
        self.client.request(request).await.map(answer::of_site).map_err(|error| {
            tracing::debug!(?error, "an outproxy has fetched nothing");
            failed()
        })
    }

    async fn tunnel(&self, request: Request<Incoming>, asked: &Asked) -> Result<Answer, Problem> {
        let failed = || Problem::Outproxy(asked.host.clone());
        let stream = self.connector.connect().await.map_err(|_| failed())?;
        let begun = hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await;
        let (mut sender, connection) = begun.map_err(|_| failed())?;
        // It ends with the stream.
        tokio::spawn(connection.with_upgrades());
        let authority = format!("{}:{}", asked.host, asked.port);
        let connect =
            Request::builder().method(Method::CONNECT).uri(&authority).header(HOST, &authority).body(Empty::new());
        let mut response = sender.send_request(connect.map_err(|_| Problem::Uri)?).await.map_err(|_| failed())?;
        if !response.status().is_success() {
            return Err(failed());
        }
        upgraded::join(hyper::upgrade::on(request), hyper::upgrade::on(&mut response));
        Ok(Response::new(answer::empty()))
    }
}

impl<N: Network> Outproxies<N> {
    /// A stream to the first that answers.
    async fn connect(&self) -> Result<N::Stream, ConnectError> {
        let first = self.good.load(Relaxed);
        let mut failed = ConnectError::NotFound;
        for at in (0..self.all.len()).map(|n| (first + n) % self.all.len()) {
            match self.call(&self.all[at]).await {
                Ok(stream) => {
                    self.good.store(at, Relaxed);
                    return Ok(stream);
                }
                Err(error) => {
                    tracing::debug!(%error, "an outproxy does not answer");
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    async fn call(&self, place: &str) -> Result<N::Stream, ConnectError> {
        let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, port.parse().ok()));
        let address = self.names.resolve(host).map_err(|_| ConnectError::NotFound)?;
        let stream = self.connector.connect(&address, port.unwrap_or(PORT)).await?;
        // Only one that has answered is better than the next.
        self.connector.patiently(N::connected(&stream)).await?;
        Ok(stream)
    }
}

impl<N: Network> Service<Uri> for Outproxies<N> {
    type Response = TokioIo<Wire<N::Stream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.connect().await.map(|stream| TokioIo::new(Wire::to_proxy(stream))) })
    }
}
