//! The data plane as a whole: starts its threads, and takes commands for them.

use crate::clock::Clock;
use crate::event::{Command, EventSink};
use crate::handshake::{self, Gate, HandshakeConfig, HandshakeHandle, Limits};
pub use crate::handshake::{DialTarget, HandshakeCount};
use crate::idle::IdleClose;
use crate::io::hops::Hop;
use crate::io::shaper::Line;
use crate::io::{IoConfig, IoHandle, Seat, home};
use crate::ssu2::{self, Around, Ssu2Config, Ssu2Handle};
use crate::stats::IoStats;
use arc_swap::ArcSwap;
use bytes::Bytes;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::dialing::Call;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::ntcp2::options::PaddingOptions;
use ramson_protocol::shape;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::iv_filter;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the data plane is told at its start.
pub struct TransportsConfig {
    /// Our hash.
    pub router: RouterHash,
    /// Our RouterInfo as on the wire.
    pub router_info: Bytes,
    /// The static key of NTCP2, as our RouterInfo has its public half.
    pub static_key: ramson_crypto::x25519::SecretKey,
    /// The IV of NTCP2, as our RouterInfo has it.
    pub iv: [u8; 16],
    /// The network.
    pub net_id: u8,
    /// Where NTCP2 listens.
    pub listen: Vec<SocketAddr>,
    /// SSU2, if it is spoken.
    pub ssu2: Option<Ssu2Config>,
    /// What outbound sockets are bound to: our published addresses.
    pub bind: Vec<IpAddr>,
    /// I/O threads.
    pub threads: usize,
    /// What the line bears, for all threads together.
    pub line: shape::Limits,
    /// What strangers may take of the handshake thread.
    pub limits: Limits,
    /// Who is let in.
    pub gate: Arc<dyn Gate>,
    /// When silent sessions of NTCP2 are closed.
    pub idle_close: Duration,
    /// The clock of all threads.
    pub clock: Clock,
    /// Set when the router drains.
    pub draining: Arc<AtomicBool>,
}

/// The running data plane. Commands may be given from any thread and never wait.
pub struct Transports {
    io: Vec<IoHandle>,
    handshake: HandshakeHandle,
    ssu2: Option<Ssu2Handle>,
    router_info: Arc<ArcSwap<Bytes>>,
    line: Arc<Line>,
    idle_close: Arc<IdleClose>,
    bind: Vec<IpAddr>,
    threads: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

impl Transports {
    /// Opens the sockets and starts the threads.
    ///
    /// # Errors
    /// If an address cannot be listened on, or a thread not be started.
    pub fn start(config: TransportsConfig, sink: Arc<dyn EventSink>) -> io::Result<Self> {
        let router_info = Arc::new(ArcSwap::from_pointee(config.router_info.clone()));
        let seats = (0..config.threads.max(1)).map(|_| Seat::new()).collect::<io::Result<Vec<_>>>()?;
        let io: Vec<IoHandle> = seats.iter().map(Seat::handle).collect();
        let line = Arc::new(Line::new(config.line, io.len(), config.clock.now().mono));
        let ssu2_idle = config.ssu2.as_ref().map_or(config.idle_close, |ssu2| ssu2.idle_close);
        let idle_close = Arc::new(IdleClose::new(config.idle_close, ssu2_idle));
        let mut threads = Vec::new();
        let (mut udp, ssu2) = match config.ssu2 {
            Some(ssu2) => {
                let around = Around {
                    router: config.router,
                    net_id: config.net_id,
                    router_info: Arc::clone(&router_info),
                    clock: config.clock.clone(),
                    sink: Arc::clone(&sink),
                    io: io.clone(),
                };
                let started = ssu2::start(ssu2, around)?;
                threads.push(started.thread);
                (started.udp, Some(started.handle))
            }
            None => (Vec::new(), None),
        };
        for (index, seat) in seats.into_iter().enumerate() {
            let io_config = IoConfig {
                router: config.router,
                router_info: Arc::clone(&router_info),
                clock: config.clock.clone(),
                sink: Arc::clone(&sink),
                idle_close: Arc::clone(&idle_close),
                line: Arc::clone(&line),
                iv_filter: iv_filter::Config { max_cells: line.repeats(), ..iv_filter::Config::default() },
                draining: Arc::clone(&config.draining),
            };
            let udp = udp.get_mut(index).and_then(Option::take);
            let thread = seat.take(index, &io, io_config, udp)?;
            threads.push(thread::Builder::new().name(format!("io-{index}")).spawn(move || {
                if let Err(error) = thread.run() {
                    tracing::error!(%error, "an I/O thread has ended");
                }
            })?);
        }
        let bind = config.bind.clone();
        let handshake_config = HandshakeConfig {
            router: config.router,
            router_info: Arc::clone(&router_info),
            static_key: config.static_key,
            iv: config.iv,
            net_id: config.net_id,
            listen: config.listen,
            bind: config.bind,
            padding: PaddingOptions::default(),
            limits: config.limits,
            clock: config.clock.clone(),
            gate: config.gate,
        };
        let homes = io.clone();
        let established = move |session: crate::established::Established| {
            let thread = home(&session.peer, homes.len());
            // A thread that does not keep up gets no more sessions; the peer sees a closed socket and calls again.
            homes[thread].command(Command::Adopt(Box::new(session))).is_ok()
        };
        let (handshake, thread) = handshake::start(handshake_config, Box::new(established), sink)?;
        threads.push(thread);
        Ok(Self { io, handshake, ssu2, router_info, line, idle_close, bind, threads: parking_lot::Mutex::new(threads) })
    }

    /// The line, with its limits and how full it is.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// When silent sessions are closed; may be changed.
    pub fn idle_close(&self) -> &IdleClose {
        &self.idle_close
    }

    /// Where we listen.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.handshake.local_addrs()
    }

    /// Calls a router. False if too many calls wait already.
    #[must_use]
    pub fn dial(&self, info: &RouterInfo, call: Call) -> bool {
        let peer = info.hash();
        match call {
            Call::Ntcp2 { addr, static_key, iv } => self.handshake.dial(DialTarget { peer, addr, static_key, iv }),
            Call::Ssu2 { addr, static_key, intro_key, mtu, introducers } => {
                let target = ssu2::Target { peer, static_key, intro_key, mtu, info: info.clone() };
                let input = match addr {
                    Some(addr) => ssu2::Input::Dial(target, addr),
                    None => ssu2::Input::Introduce(target, introducers.to_vec()),
                };
                self.ssu2.as_ref().is_some_and(|ssu2| ssu2.push(input))
            }
        }
    }

    /// True if we have an address of this family to call from.
    pub fn can_reach(&self, ip: IpAddr) -> bool {
        self.bind.is_empty() || self.bind.iter().any(|b| b.is_ipv4() == ip.is_ipv4())
    }

    /// Sends a message to a router. Without a session it waits for one, and an event asks for it. False if it was dropped.
    pub fn send(&self, to: RouterHash, message: Message) -> bool {
        self.at_home(&to, Command::Send { to, message })
    }

    /// Sends a message through an outbound tunnel of ours, installed as `gateway`. False if it was dropped.
    pub fn send_tunnel(&self, first_hop: RouterHash, gateway: TunnelId, delivery: Delivery, message: Message) -> bool {
        self.at_home(&first_hop, Command::SendTunnel { gateway, delivery, message })
    }

    /// Enters a hop into the tables of all threads.
    pub fn install(&self, hop: &Arc<Hop>) -> bool {
        self.everywhere(|| Command::InstallHop(Arc::clone(hop)))
    }

    /// Takes a hop out of the tables of all threads.
    pub fn remove(&self, tunnel: TunnelId) -> bool {
        self.everywhere(|| Command::RemoveHop(tunnel))
    }

    /// Drops what waits for a router that cannot be reached.
    pub fn unreachable(&self, router: RouterHash) {
        self.at_home(&router, Command::Unreachable(router));
    }

    /// Ends the session with a router.
    pub fn close(&self, peer: RouterHash, reason: u8) {
        self.at_home(&peer, Command::Close { peer, reason });
    }

    /// Replaces the RouterInfo that peers are told.
    pub fn set_router_info(&self, bytes: Bytes) {
        self.router_info.store(Arc::new(bytes));
        // A thread that misses this tells its peers at the next regular time.
        self.everywhere(|| Command::AnnounceRouterInfo);
        if let Some(ssu2) = &self.ssu2 {
            // It takes the new one at the next change if it misses this.
            let _: bool = ssu2.push(ssu2::Input::RouterInfo);
        }
    }

    /// Tells SSU2 a RouterInfo that it needs.
    pub fn learn(&self, info: &RouterInfo) {
        if let Some(ssu2) = &self.ssu2 {
            // What waits for it does without if the thread misses it.
            let _: bool = ssu2.push(ssu2::Input::Info(info.as_bytes().to_vec()));
        }
    }

    /// A command for all threads; false if one of them does not keep up.
    fn everywhere(&self, command: impl Fn() -> Command) -> bool {
        let refused = self.io.iter().filter(|thread| thread.command(command()).is_err()).count();
        refused == 0
    }

    fn at_home(&self, router: &RouterHash, command: Command) -> bool {
        let home = home(router, self.io.len());
        self.io[home].command(command).is_ok()
    }

    /// The counters of each I/O thread.
    pub fn stats(&self) -> Vec<Arc<IoStats>> {
        self.io.iter().map(|thread| Arc::clone(&thread.stats)).collect()
    }

    /// Handshakes of NTCP2 so far, by direction and outcome.
    pub fn handshakes(&self) -> Vec<HandshakeCount> {
        self.handshake.counts()
    }

    /// What SSU2 has counted outside of sessions, if it is spoken.
    pub fn ssu2_stats(&self) -> Option<ssu2::Stats> {
        self.ssu2.as_ref().map(Ssu2Handle::stats)
    }

    /// Ends all sessions and threads, and waits for them.
    pub fn stop(&self) {
        self.handshake.stop();
        if let Some(ssu2) = &self.ssu2 {
            ssu2.stop();
        }
        for thread in &self.io {
            let _ = thread.command(Command::Stop);
        }
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has nothing to say any more.
            let _ = thread.join();
        }
    }
}
