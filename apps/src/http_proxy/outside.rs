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
use crate::outproxies::{List, Outproxies};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// What all say who go outside. INTEROP: i2pd says the same, as an older Tor Browser does.
const OUTSIDE_USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; rv:109.0) Gecko/20100101 Firefox/115.0";

/// The way outside.
pub(super) struct Outside<N: Network> {
    connector: Outproxies<N>,
    client: Client<Outproxies<N>, Incoming>,
}

impl<N: Network> Outside<N> {
    /// `None` without outproxies.
    pub(super) fn new(connector: Connector<N>, names: Names, all: &List) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        let connector = all.with(connector, names);
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
        let mut stream = self.connector.tunnel(&asked.host, asked.port).await.map_err(|_| failed())?;
        tokio::spawn(async move {
            if let Ok(browser) = hyper::upgrade::on(request).await {
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(browser), &mut stream).await;
            }
        });
        Ok(Response::new(answer::empty()))
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
