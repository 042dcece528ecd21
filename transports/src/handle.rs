//! The data plane as a whole: starts its threads, and takes commands for them.

use crate::call_from::CallFrom;
use crate::clock::Clock;
use crate::event::EventSink;
use crate::hop::Hop;
use crate::io::shaper::Line;
use crate::io::{IoConfig, Udp, UnstartedIoThread};
use crate::live::{self, Live};
use crate::ntcp2::{self, HandshakeConfig, HandshakeHandle};
pub use crate::ntcp2::{DialTarget, HandshakeCount};
use crate::ports::account::Account;
use crate::ports::established::Established;
use crate::ports::io::{Command, IoHandle, home};
use crate::ports::ssu2::{Input as Ssu2Input, Ssu2Handle, Target as Ssu2Target};
use crate::ssu2::{self, Ssu2Config, Standing, ThreadContext};
use crate::stats::IoStats;
use crate::udp::{self, Socket};
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::dialing::Call;
use ramson_protocol::i2np::Message;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::Gate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::link::padding::PaddingOptions;
use ramson_protocol::shape;
use ramson_protocol::ssu2::session;
use ramson_protocol::tunnel::iv_filter;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

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
    /// The id of the network, 2 for the live one.
    pub net_id: u8,
    /// Where NTCP2 listens.
    pub listen: Vec<SocketAddr>,
    /// SSU2, if it is spoken.
    pub ssu2: Option<Ssu2Config>,
    /// From where we call; may be changed later.
    pub call_from: Arc<CallFrom>,
    /// How many I/O threads there are; at least one is started.
    pub threads: usize,
    /// What the line bears, for all threads together.
    pub line: shape::Limits,
    /// What strangers may take of NTCP2.
    pub limits: Limits,
    /// Connections of NTCP2 at once, sessions included: each has a descriptor.
    pub max_connections: usize,
    /// Who is let in.
    pub gate: Arc<dyn Gate>,
    /// What of NTCP2 may change later.
    pub live: live::Settings,
    /// The clock of all threads.
    pub clock: Clock,
    /// Set when the router drains.
    pub draining: Arc<AtomicBool>,
}

/// The data plane. Commands may be given from any thread and never wait; before [`Bound::run`] they wait for the threads.
pub struct Transports {
    io: Vec<IoHandle>,
    ntcp2: HandshakeHandle,
    ssu2: Option<Ssu2Handle>,
    router_info: Arc<ArcSwap<Bytes>>,
    line: Arc<Line>,
    live: Arc<Live>,
    call_from: Arc<CallFrom>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// A data plane whose sockets are bound and whose threads do not run yet: nothing is accepted, called or read. So those
/// who listen can be made with its handles before anything is said.
pub struct Bound {
    router: RouterHash,
    net_id: u8,
    router_info: Arc<ArcSwap<Bytes>>,
    clock: Clock,
    live: Arc<Live>,
    line: Arc<Line>,
    draining: Arc<AtomicBool>,
    io: Vec<IoHandle>,
    unstarted: Vec<UnstartedIoThread>,
    udp: Vec<Option<Box<Udp>>>,
    ssu2: Option<Ssu2Bound>,
    call_from: Arc<CallFrom>,
    ntcp2: ntcp2::Bound,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Transports {
    /// Opens the sockets.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn bind(config: TransportsConfig) -> io::Result<(Self, Bound)> {
        let router_info = Arc::new(ArcSwap::from_pointee(config.router_info.clone()));
        let unstarted = (0..config.threads.max(1)).map(|_| UnstartedIoThread::new()).collect::<io::Result<Vec<_>>>()?;
        let io: Vec<IoHandle> = unstarted.iter().map(UnstartedIoThread::handle).collect();
        let line = Arc::new(Line::new(config.line, io.len(), config.clock.now().mono));
        let live = Arc::new(Live::new(config.live, config.ssu2.as_ref().map_or(config.live, |ssu2| ssu2.live)));
        let (udp, ssu2) = match config.ssu2 {
            Some(ssu2) => bind_ssu2(ssu2, io.len()).map(|(udp, ssu2)| (udp, Some(ssu2)))?,
            None => (Vec::new(), None),
        };
        let call_from = config.call_from;
        let (ntcp2, ntcp2_handle) = ntcp2::bind(HandshakeConfig {
            router: config.router,
            router_info: Arc::clone(&router_info),
            static_key: config.static_key,
            iv: config.iv,
            net_id: config.net_id,
            listen: config.listen,
            call_from: Arc::clone(&call_from),
            padding: PaddingOptions::default(),
            limits: config.limits,
            max_connections: config.max_connections,
            clock: config.clock.clone(),
            gate: config.gate,
        })?;
        let threads = Arc::default();
        let bound = Bound {
            router: config.router,
            net_id: config.net_id,
            router_info: Arc::clone(&router_info),
            clock: config.clock,
            live: Arc::clone(&live),
            line: Arc::clone(&line),
            draining: config.draining,
            io: io.clone(),
            unstarted,
            udp,
            ssu2,
            call_from: Arc::clone(&call_from),
            ntcp2,
            threads: Arc::clone(&threads),
        };
        let ssu2 = bound.ssu2.as_ref().map(|(unstarted, ..)| unstarted.handle());
        Ok((Self { io, ntcp2: ntcp2_handle, ssu2, router_info, line, live, call_from, threads }, bound))
    }

    /// The line, with its limits and how full it is.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// What may change while they run.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Where we listen.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.ntcp2.local_addrs()
    }

    /// Calls a router, on an errand of ours or not. False if too many calls wait already.
    #[must_use]
    pub fn dial(&self, info: &RouterInfo, call: Call, ours: bool) -> bool {
        let peer = info.hash();
        match call {
            Call::Ntcp2 { addr, static_key, iv } => self.ntcp2.dial(DialTarget { peer, addr, static_key, iv }),
            Call::Ssu2 { addr, static_key, intro_key, mtu, introducers } => {
                let target = Ssu2Target { peer, static_key, intro_key, mtu, info: info.clone(), ours };
                let input = match addr {
                    Some(addr) => Ssu2Input::Dial(target, addr),
                    None => Ssu2Input::Introduce(target, introducers.to_vec()),
                };
                self.ssu2.as_ref().is_some_and(|ssu2| ssu2.push(input))
            }
        }
    }

    /// From where we call; may be changed.
    pub fn call_from(&self) -> &CallFrom {
        &self.call_from
    }

    /// Sends a message to a router. Without a session it waits for one, and an event asks for it, as far as the account
    /// goes. False if it was dropped.
    pub fn send(&self, to: RouterHash, message: Message, account: Account) -> bool {
        self.at_home(&to, Command::Send { to, message, account })
    }

    /// The I/O threads, in the order of [`home`]: for those who own tunnels.
    pub fn io(&self) -> &[IoHandle] {
        &self.io
    }

    /// Enters a hop into the tables of all threads.
    pub fn install(&self, hop: &Arc<Hop>) -> bool {
        self.everywhere(|| Command::InstallHop(Arc::clone(hop)))
    }

    /// Takes a hop out of the tables of all threads: this one, not another that has its number by now. A thread that does
    /// not keep up finds it over within a second.
    pub fn remove(&self, hop: &Arc<Hop>) {
        hop.end();
        self.everywhere(|| Command::RemoveHop(Arc::clone(hop)));
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
            let _: bool = ssu2.push(Ssu2Input::RouterInfo);
        }
    }

    /// Tells SSU2 how we stand towards callers in one address family. False if it does not keep up: it is to be told again.
    #[must_use]
    pub fn stand(&self, standing: Standing) -> bool {
        self.ssu2.as_ref().is_none_or(|ssu2| ssu2.push(Ssu2Input::Standing(standing)))
    }

    /// Has our address of a family tested soon. Tests come by themselves if this is lost.
    pub fn test_address(&self, v4: bool) {
        if let Some(ssu2) = &self.ssu2 {
            let _: bool = ssu2.push(Ssu2Input::Test { v4 });
        }
    }

    /// Tells SSU2 a RouterInfo that it needs.
    pub fn learn(&self, info: &RouterInfo) {
        if let Some(ssu2) = &self.ssu2 {
            // If its inbox is full, what waits for this RouterInfo fails by its own time limit.
            let _: bool = ssu2.push(Ssu2Input::Info(info.as_bytes().to_vec()));
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
        self.ntcp2.counts()
    }

    /// Times that a caller over NTCP2 could not be accepted, mostly for want of descriptors.
    pub fn accept_errors(&self) -> u64 {
        self.ntcp2.accept_errors()
    }

    /// What SSU2 has counted outside of sessions, if it is spoken.
    pub fn ssu2_stats(&self) -> Option<ssu2::Stats> {
        self.ssu2.as_ref().map(Ssu2Handle::stats)
    }

    /// Ends all sessions and threads, and waits for them.
    pub fn stop(&self) {
        self.end();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has nothing to say any more.
            let _ = thread.join();
        }
    }
}

impl Transports {
    /// Tells all threads to end.
    fn end(&self) {
        self.ntcp2.stop();
        if let Some(ssu2) = &self.ssu2 {
            ssu2.stop();
        }
        self.io.iter().for_each(IoHandle::stop);
    }
}

impl Drop for Transports {
    fn drop(&mut self) {
        self.end();
    }
}

impl Bound {
    /// Starts the threads, which speak to `sink` from now on.
    ///
    /// # Errors
    /// If a thread cannot be started, or a socket not be waited for.
    pub fn run(mut self, sink: &Arc<dyn EventSink>) -> io::Result<()> {
        if let Some((unstarted, config, sockets)) = self.ssu2.take() {
            let context = ThreadContext {
                router: self.router,
                net_id: self.net_id,
                router_info: Arc::clone(&self.router_info),
                clock: self.clock.clone(),
                sink: Arc::clone(sink),
                io: self.io.clone(),
                call_from: Arc::clone(&self.call_from),
            };
            let thread = unstarted.into_thread(config, sockets, context);
            spawn(&self.threads, "ssu2".to_owned(), sink, move || thread.run())?;
        }
        for (index, unstarted) in std::mem::take(&mut self.unstarted).into_iter().enumerate() {
            let config = IoConfig {
                router: self.router,
                router_info: Arc::clone(&self.router_info),
                clock: self.clock.clone(),
                sink: Arc::clone(sink),
                live: Arc::clone(&self.live),
                line: Arc::clone(&self.line),
                iv_filter: iv_filter::Config { max_cells: self.line.repeats(), ..iv_filter::Config::default() },
                draining: Arc::clone(&self.draining),
            };
            let udp = self.udp.get_mut(index).and_then(Option::take);
            let thread = unstarted.into_thread(index, &self.io, config, udp)?;
            spawn(&self.threads, format!("io-{index}"), sink, move || thread.run())?;
        }
        let homes = self.io.clone();
        let established = move |session: Established| {
            let thread = home(&session.peer, homes.len());
            // A thread that does not keep up gets no more sessions; the peer sees a closed socket and calls again.
            homes[thread].command(Command::Adopt(Box::new(session))).is_ok()
        };
        let threads = self.io.clone();
        let crowded = move |sessions: usize| {
            for thread in &threads {
                // One that does not keep up is asked again.
                let _ = thread.command(Command::CloseIdlest(sessions.div_ceil(threads.len())));
            }
        };
        let bridge = ntcp2::bridge(Box::new(established), Box::new(crowded), Arc::clone(sink));
        let thread = self.ntcp2.take(bridge);
        spawn(&self.threads, "handshake".to_owned(), sink, move || thread.run())
    }
}

/// Starts a thread whose end, if it is not the end that was asked for, is told.
///
/// # Errors
/// If the system starts no thread.
pub fn spawn(
    threads: &Mutex<Vec<JoinHandle<()>>>,
    name: String,
    sink: &Arc<dyn EventSink>,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let obituary = Obituary { name: name.clone(), sink: Arc::clone(sink), expected: false };
    threads.lock().push(thread::Builder::new().name(name).spawn(move || obituary.watch(run))?);
    Ok(())
}

/// Tells that a thread has ended, by an error or a panic.
struct Obituary {
    name: String,
    sink: Arc<dyn EventSink>,
    expected: bool,
}

impl Obituary {
    fn watch(mut self, run: impl FnOnce() -> io::Result<()>) {
        match run() {
            Ok(()) => self.expected = true,
            Err(error) => tracing::error!(%error, thread = self.name, "a thread cannot go on"),
        }
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if !self.expected {
            self.sink.thread_ended(&self.name);
        }
    }
}

type Ssu2Bound = (ssu2::UnstartedSsu2Thread, Ssu2Config, Vec<Socket>);

/// Binds the sockets of SSU2. What each I/O thread has of it comes first, in their order.
fn bind_ssu2(config: Ssu2Config, threads: usize) -> io::Result<(Vec<Option<Box<Udp>>>, Ssu2Bound)> {
    let unstarted = ssu2::UnstartedSsu2Thread::new()?;
    let sockets = udp::bind(&config.listen, threads)?;
    // What is sent outside of sessions goes out by the sockets of the first thread, which need not know.
    let offload = config.segmentation_offload;
    let prepare = |socket| Socket::new(socket, offload);
    let ours = sockets.iter().take(1).flatten().map(|s| prepare(s.try_clone()?)).collect::<io::Result<Vec<_>>>()?;
    let session = session::Config { idle: config.live.idle_close, ..session::Config::default() };
    let mut all = Vec::new();
    for sockets in sockets {
        let sockets = sockets.into_iter().map(prepare).collect::<io::Result<Vec<_>>>()?;
        let udp = Udp::new(sockets, config.intro_key, session, threads, unstarted.handle());
        all.push(Some(Box::new(udp)));
    }
    Ok((all, (unstarted, config, ours)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Deaf;
    use ramson_protocol::link::gate::OpenGate;
    use std::net::TcpStream;
    use std::time::Duration;

    /// Whoever calls in between waits in the kernel's queue, and nothing is said of him.
    #[test]
    fn nobody_is_accepted_before_there_is_somebody_to_be_told() {
        let config = TransportsConfig {
            router: RouterHash([1; 32]),
            router_info: Bytes::new(),
            static_key: ramson_crypto::x25519::SecretKey::from_bytes([2; 32]),
            iv: [3; 16],
            net_id: 99,
            listen: vec![([127, 0, 0, 1], 0).into()],
            ssu2: None,
            call_from: Arc::default(),
            threads: 1,
            line: shape::Limits::even(1_000_000),
            limits: Limits::default(),
            max_connections: 100,
            gate: Arc::new(OpenGate),
            live: live::Settings { idle_close: Duration::from_secs(60) },
            clock: Clock::new(),
            draining: Arc::default(),
        };
        let (transports, bound) = Transports::bind(config).unwrap();
        let met = || transports.handshakes().iter().map(|(_, count)| count).sum::<u64>();
        drop(TcpStream::connect(transports.local_addrs()[0]).unwrap());
        thread::sleep(Duration::from_millis(50));
        assert_eq!(met(), 0);
        bound.run(&(Arc::new(Deaf) as Arc<dyn EventSink>)).unwrap();
        while met() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        transports.stop();
    }
}
