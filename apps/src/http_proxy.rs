//! The HTTP proxy: a browser's way to eepsites.
//!
//! ```text
//! browser -- GET http://example.i2p/ --> for whom? (request.rs) --> name or helper (helper.rs, names) --> site
//!                                          | nobody                  | unknown                              |
//!                  page for the user <-----+-------------------------+          headers scrubbed (scrub.rs) v
//!                  (pages.rs)                                                a stream to the destination (connector.rs)
//! ```
//! What is long in coming is shown to be on its way (waiting.rs). HTTP itself is hyper's on both sides: what is no clean HTTP never gets through, and each message has one length. No name
//! is ever looked up in the DNS, and no address outside is called: what is not for I2P goes to an outproxy in I2P (outside.rs), if
//! there is one in the configuration, and else nowhere.
//!
//! INTEROP: which headers are taken away, and the status of each page, are Java I2P's.

mod accounts;
mod answer;
pub(crate) mod connector;
mod helper;
mod local;
mod outside;
mod pages;
mod request;
pub(crate) mod scrub;
mod waiting;

use crate::listener;
use crate::names::book::{Book, BookError};
use crate::names::{HostName, Names};
use crate::network::Network;
use crate::outproxies::List;
use crate::series::REFUSED;
use crate::upgraded;
pub use accounts::{Accounts, Scheme};

use crate::users::{TooMany, Users};
use answer::{Answer, failed};
use connector::Connector;
use helper::{Helper, Pending};
use hyper::body::Incoming;
use hyper::header::PROXY_AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use outside::Outside;
use pages::{Confirm, Problem};
use ramson_protocol::b32::{self, B32};
use request::Asked;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use waiting::Waiting;

/// Browsers' connections that are served at once. Tabs and pictures open many.
const CONNECTIONS: usize = 1024;

/// A browser says what it wants within this time, or is let go.
const HEADER_TIME: Duration = Duration::from_secs(15);

/// Bytes of a head, at most.
const HEADER_BYTES: usize = 64 * 1024;

/// Streams to one site that are kept while nothing is asked of it, and how long.
const IDLE_STREAMS: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(60);

/// A proxy, as one destination, or one for each user.
pub struct Proxy<N: Network> {
    names: Names,
    patience: Duration,
    shared: Carrier<N>,
    users: Option<Users<Arc<Carrier<N>>>>,
    accounts: Option<Accounts>,
    pending: Pending,
    only_connect: bool,
    jump_services: Vec<String>,
}

/// What goes by one destination.
struct Carrier<N: Network> {
    network: N,
    connector: Connector<N>,
    client: Client<Connector<N>, Incoming>,
    outside: Option<Outside<N>>,
    waiting: Waiting,
}

impl<N: Network> Carrier<N> {
    fn new(network: N, names: &Names, patience: Duration, outproxies: &List) -> Self {
        let connector = Connector::new(network.clone(), patience);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_STREAMS)
            .pool_idle_timeout(IDLE_TIME)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(HEADER_BYTES)
            .http1_title_case_headers(true)
            .set_host(false)
            .build(connector.clone());
        let outside = Outside::new(connector.clone(), names.clone(), outproxies);
        Self { network, connector, client, outside, waiting: Waiting::default() }
    }
}

/// Where a request goes.
struct Site {
    address: B32,
    port: u16,
    /// As the user wrote it, for pages and the site's `Host`.
    host: String,
}

impl<N: Network> Proxy<N> {
    /// A proxy that knows the names of a book. A site answers the call within `patience`.
    pub fn new(network: N, names: Names, patience: Duration) -> Self {
        let shared = Carrier::new(network, &names, patience, &List::default());
        Self {
            names,
            patience,
            shared,
            users: None,
            accounts: None,
            pending: Pending::default(),
            only_connect: false,
            jump_services: Vec::new(),
        }
    }

    /// The same for those alone who have an account.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Option<Accounts>) -> Self {
        self.accounts = accounts;
        self
    }

    /// The same with links to services that know names, which are URLs to whose end a name is written.
    #[must_use]
    pub fn with_jump_services(mut self, urls: Vec<String>) -> Self {
        self.jump_services = urls;
        self
    }

    /// The same for the method CONNECT alone: for programs whose bytes are not HTTP.
    #[must_use]
    pub fn only_connect(mut self) -> Self {
        self.only_connect = true;
        self
    }

    /// The same with a way outside of I2P: outproxies by their names or addresses, with a port or without, the first that answers.
    /// `make` makes a destination for each of `most` users, by the names that they say; without any all share one.
    #[must_use]
    pub fn with_ways(
        mut self,
        outproxies: Vec<String>,
        most: usize,
        make: impl Fn() -> N + Send + Sync + 'static,
    ) -> Self {
        let (outproxies, names, patience) = (List::new(outproxies), self.names.clone(), self.patience);
        self.shared = Carrier::new(self.shared.network, &names, patience, &outproxies);
        let carrier = move || Arc::new(Carrier::new(make(), &names, patience, &outproxies));
        self.users = (most > 0).then(|| Users::new(most, carrier, |carrier: &Arc<Carrier<N>>| carrier.network.end()));
        self
    }

    /// Serves browsers until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let failed = |error| tracing::warn!(%error, "the HTTP proxy cannot take a connection");
        let serve = |browser: TcpStream| {
            // An answer's last part is not to wait for more.
            let _ = browser.set_nodelay(true);
            Arc::clone(&self).serve_one(browser)
        };
        listener::serve(listener, CONNECTIONS, failed, serve).await;
    }

    /// Serves one browser until it goes.
    pub async fn serve_one(self: Arc<Self>, browser: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let service = service_fn(move |request| {
            let proxy = Arc::clone(&self);
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(browser), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the HTTP proxy ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let may_come_again = request.method() == Method::GET;
        self.follow(request).await.unwrap_or_else(|problem| {
            REFUSED.add(["http-proxy", problem.label()], 1);
            pages::problem(&problem, &self.jump_services, may_come_again)
        })
    }

    async fn follow(&self, request: Request<Incoming>) -> Result<Answer, Problem> {
        let user = self.user(&request)?;
        let (asked, book) = (Asked::of(&request)?, self.names.book()?);
        if asked.host == local::HOST {
            return local::answer(&request, &book, &self.pending);
        }
        if self.only_connect && request.method() != Method::CONNECT {
            return Err(Problem::OnlyConnect);
        }
        let own = match (&self.users, user) {
            (Some(users), Some(user)) => {
                let own = users.of(user.as_bytes(), Instant::now());
                Some(own.map_err(|TooMany| Problem::Users)?)
            }
            _ => None,
        };
        let carrier = own.as_ref().map_or(&self.shared, |own| &own.own);
        if asked.outside {
            let outside = carrier.outside.as_ref().ok_or_else(|| Problem::Clearnet(asked.host.clone()))?;
            return outside.answer(request, &asked).await;
        }
        let site = self.find(&asked, &book)?;
        if request.method() == Method::CONNECT {
            carrier.tunnel(request, &site).await
        } else {
            carrier.pass_on(request, &asked, &site).await
        }
    }

    /// The user that a request names, if it does, and may if that is asked.
    fn user<B>(&self, request: &Request<B>) -> Result<Option<String>, Problem> {
        let header = request.headers().get(PROXY_AUTHORIZATION).and_then(|header| header.to_str().ok());
        match &self.accounts {
            Some(accounts) => {
                accounts.who(request.method(), header, Instant::now()).map(Some).map_err(Problem::Account)
            }
            None => Ok(header.and_then(accounts::named).filter(|user| !user.is_empty())),
        }
    }

    /// Whose the request is.
    fn find(&self, asked: &Asked, book: &Book) -> Result<Site, Problem> {
        let site = |address| Site { address, port: asked.port, host: asked.host.clone() };
        if asked.host.ends_with(b32::SUFFIX) {
            let address = B32::parse(&asked.host).map_err(|e| Problem::Address(asked.host.clone(), e))?;
            return Ok(site(address));
        }
        let name = HostName::parse(&asked.host).map_err(|e| Problem::Name(asked.host.clone(), e))?;
        let known = book.lookup(&name)?;
        match (&asked.helper, known) {
            (None, Some((_, entry))) => Ok(site(B32::Hash(entry.destination().hash()))),
            (None, None) => Err(Problem::Unknown(name)),
            (Some(text), known) => {
                let helper = Helper::read(text, book).map_err(|()| Problem::Helper(name.clone()))?;
                match known {
                    Some((_, entry)) if helper.is(&entry) => Ok(site(B32::Hash(entry.destination().hash()))),
                    known => {
                        let ours = known.map(|(_, entry)| entry.destination().hash());
                        let (address, plain) = (helper.address.clone(), asked.without_helper.clone());
                        let token = self.pending.keep(name.clone(), helper, plain.clone());
                        Err(Problem::Confirm(Box::new(Confirm { name, address, ours, plain, token })))
                    }
                }
            }
        }
    }
}

impl<N: Network> Carrier<N> {
    /// A connection whose bytes are not ours to read.
    async fn tunnel(&self, request: Request<Incoming>, site: &Site) -> Result<Answer, Problem> {
        let stream = self.connector.connect(&site.address, site.port).await;
        let failed = |error| Problem::Connect(site.host.clone(), error);
        let mut stream = stream.map_err(failed)?;
        self.connector.patiently(N::connected(&stream)).await.map_err(failed)?;
        tokio::spawn(async move {
            if let Ok(browser) = hyper::upgrade::on(request).await {
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(browser), &mut stream).await;
            }
        });
        Ok(Response::new(answer::empty()))
    }

    /// A request for a site, and its answer.
    async fn pass_on(&self, mut request: Request<Incoming>, asked: &Asked, site: &Site) -> Result<Answer, Problem> {
        let upgrades = scrub::asks_for_upgrade(request.headers());
        let browser = upgrades.then(|| hyper::upgrade::on(&mut request));
        let for_a_person = waiting::is_for_a_person(&request);
        scrub::request(request.headers_mut(), &asked.host, asked.port, upgrades);
        // The stream is found by the address, whatever the site is called.
        let url = format!("http://{}:{}{}", site.address, site.port, asked.path);
        *request.uri_mut() = url.parse().map_err(|_| Problem::Uri)?;
        *request.version_mut() = hyper::Version::HTTP_11;
        let (client, host) = (self.client.clone(), site.host.clone());
        let answered = async move {
            let mut response = client.request(request).await.map_err(|error| failed(&host, &error))?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let Some(browser) = browser else { return Err(Problem::Broken(host)) };
                let stream = hyper::upgrade::on(&mut response);
                upgraded::join(browser, stream);
            }
            Ok(answer::of_site(response))
        };
        if !for_a_person {
            return answered.await;
        }
        match self.waiting.answer(&url, &site.host, answered).await? {
            Ok(answer) => Ok(answer),
            Err(waited) => {
                let stage = self.network.stage(site.address.clone().into()).await;
                Ok(pages::waiting(&site.host, stage, waited))
            }
        }
    }
}

impl From<BookError> for Problem {
    fn from(error: BookError) -> Self {
        Self::Book(error.to_string())
    }
}

#[cfg(test)]
mod tests;
