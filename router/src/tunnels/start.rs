//! The application of a tunnel: what listens for programs of this machine, and what stands behind a server.

use super::{Open, Tunnels};
use crate::Failure;
use crate::proxy::PATIENCE;
use crate::settings::proxies::accounts;
use crate::settings::tunnel::{Kind, Tunnel};
use ramson_apps::local::Program;
use ramson_apps::tunnel::{Behind, Remote, Speech};
use ramson_apps::udp::{self, Datagrams, Kind as DatagramKind};
use ramson_apps::{http_proxy, http_server, socks, tunnel};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::AbortHandle;

impl Tunnels {
    /// Starts the application of a tunnel on its destination.
    ///
    /// # Errors
    /// What of its configuration cannot be.
    pub(super) fn start(&self, config: &Tunnel, open: &Open) -> Result<AbortHandle, Failure> {
        let kind = config.kind()?;
        Ok(match kind {
            Kind::Client | Kind::IrcClient => {
                let speech = if kind == Kind::IrcClient { Speech::Irc } else { Speech::Any };
                let (remote, port) = (Remote::parse(&config.destination)?, config.port);
                let (streams, names) = (open.streams.clone(), self.names.clone());
                self.listen(config, move |at| tunnel::client(at, streams, names, remote, port, speech))
            }
            Kind::Socks => {
                let proxy = socks::Proxy::new(open.streams.clone(), self.names.clone(), PATIENCE);
                let proxy = Arc::new(proxy.with_outproxies(config.outproxies.clone()));
                self.listen(config, move |at| proxy.serve(at))
            }
            Kind::HttpProxy | Kind::Connect => {
                let (streams, accounts) =
                    (open.streams.clone(), accounts(&config.name, &config.auth, &config.accounts)?);
                let proxy = http_proxy::Proxy::new(streams.clone(), self.names.clone(), PATIENCE);
                let proxy = proxy.with_ways(config.outproxies.clone(), 0, move || streams.clone());
                let proxy = proxy.with_accounts(accounts);
                let proxy = Arc::new(if kind == Kind::Connect { proxy.only_connect() } else { proxy });
                self.listen(config, move |at| proxy.serve(at))
            }
            Kind::Server | Kind::HttpServer | Kind::IrcServer | Kind::Site => {
                let behind = behind(config)?;
                let accepted = open.services.add(config.port, config.guard()?);
                self.host.run(tunnel::server(accepted, behind, config.max_concurrent_streams))
            }
            Kind::UdpClient | Kind::UdpServer | Kind::StreamrClient | Kind::StreamrServer => {
                let datagrams = open.datagrams.clone().ok_or("a destination without datagrams")?;
                self.start_datagrams(kind, config, datagrams)?
            }
        })
    }

    fn start_datagrams(&self, kind: Kind, config: &Tunnel, datagrams: Datagrams) -> Result<AbortHandle, Failure> {
        let (names, port, access) = (self.names.clone(), config.port, config.access()?);
        let remote = || Remote::parse(&config.destination);
        let target = || config.target.0.ok_or("the tunnel needs target");
        Ok(match kind {
            Kind::UdpServer => {
                let unique_local = config.unique_local;
                self.host.run(udp::server::run(
                    datagrams,
                    udp::server::Config { target: target()?, port, access, unique_local },
                ))
            }
            Kind::StreamrClient => self.host.run(udp::streamr::listen(target()?, datagrams, names, remote()?, port)),
            Kind::StreamrServer => self.listen_udp(config, move |at| udp::streamr::serve(at, datagrams, port, access)),
            _ => {
                let kind = match config.datagrams {
                    2 => DatagramKind::Two,
                    3 => DatagramKind::Three,
                    _ => DatagramKind::One,
                };
                let config_of_it = udp::client::Config { remote: remote()?, port, kind };
                self.listen_udp(config, move |at| udp::client::run(at, datagrams, names, config_of_it))
            }
        })
    }

    /// Runs what serves programs of this machine. A socket that a tunnel before this one had may be free in a moment.
    fn listen<F>(&self, config: &Tunnel, serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> AbortHandle
    where
        F: Future<Output = ()> + Send,
    {
        self.listen_by(config, TcpListener::bind, serve)
    }

    fn listen_udp<F>(&self, config: &Tunnel, serve: impl FnOnce(UdpSocket) -> F + Send + 'static) -> AbortHandle
    where
        F: Future<Output = ()> + Send,
    {
        self.listen_by(config, UdpSocket::bind, serve)
    }

    fn listen_by<S, B, F>(
        &self,
        config: &Tunnel,
        bind: impl Fn(SocketAddr) -> B + Send + Sync + 'static,
        serve: impl FnOnce(S) -> F + Send + 'static,
    ) -> AbortHandle
    where
        S: Send,
        B: Future<Output = io::Result<S>> + Send,
        F: Future<Output = ()> + Send,
    {
        let (listen, name) = (config.listen.0, config.name.clone());
        self.host.run(async move {
            let Some(listen) = listen else { return };
            match patiently(|| bind(listen)).await {
                Ok(socket) => serve(socket).await,
                Err(error) => tracing::error!(%error, %name, "a tunnel cannot listen; change tunnel.listen"),
            }
        })
    }
}

/// So often it is tried to listen, and how long apart.
const TRIES: usize = 10;
const APART: Duration = Duration::from_millis(100);

async fn patiently<S, B: Future<Output = io::Result<S>>>(bind: impl Fn() -> B) -> io::Result<S> {
    let mut tries = 1;
    loop {
        match bind().await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(APART).await;
            }
            bound => return bound,
        }
    }
}

/// What stands behind a server tunnel.
///
/// # Errors
/// If there is nothing, with what to write.
pub(super) fn behind(config: &Tunnel) -> Result<Behind, Failure> {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let site = |content| {
        let site = http_server::Site::new(http_server::Config {
            content,
            host: text(&config.host),
            reject: http_server::Reject {
                inproxy: config.reject_inproxy,
                referer: config.reject_referer,
                user_agents: config.reject_user_agents.clone(),
            },
            compress: config.compress,
            requests_per_minute: config.requests_per_minute,
            changes_per_minute: config.changes_per_minute,
            posts: config.posts(),
        });
        let failed =
            |error| format!("tunnel {}: cannot show {}: {error}; correct directory", config.name, config.directory);
        site.map(Behind::Web).map_err(failed)
    };
    let program = || -> Result<Program, Failure> {
        let target = config.target.0.ok_or("a server tunnel needs target")?;
        Ok(Program { target, unique_local: config.unique_local, tls: config.tls })
    };
    Ok(match config.kind()? {
        Kind::Site => site(http_server::Content::Folder { path: config.directory.clone().into(), spa: config.spa })?,
        Kind::HttpServer => site(http_server::Content::Program(program()?))?,
        Kind::IrcServer => Behind::Irc { program: program()?, password: text(&config.webirc_password) },
        _ => Behind::Program(program()?),
    })
}
