//! The loop around the endpoint.

use super::services::{Act, Services};
use super::{Ssu2Config, ThreadContext};
use crate::event::{Direction, News, Received};
use crate::ports::datagrams::Datagrams;
use crate::ports::io::{Command, home};
use crate::ports::ssu2::{Adoption, Input, Route, Ssu2Handle, Stats, Target};
use crate::udp::Socket;
use crate::upward::{self, Upward};
use mio::{Events, Poll, Token, Waker};
use ramson_protocol::blame::{Charge, Weight};
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::dialing::Transport;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::block;
use ramson_protocol::ssu2::endpoint::{self, Endpoint, Failed, Output};
use ramson_protocol::ssu2::error::Cause;
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::local::{Local, OurEnd, Remote};
use ramson_protocol::time::{Mono, Now};
use rand::Rng;
use rustc_hash::FxHashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Entries of the inbox that one turn takes before it looks at its timers.
const BUDGET: usize = 256;

/// Counters are shown, and old entries forgotten, this often.
const TICK: Duration = Duration::from_secs(1);

/// Tokens of others are written to disk this often.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// For this long a session's datagrams may still arrive here, from threads that did not know of it yet.
const RECENT: Duration = Duration::from_secs(5);

/// The thread before it runs. It is made first, so that the I/O threads can be given its handle.
pub(crate) struct UnstartedSsu2Thread {
    poll: Poll,
    handle: Ssu2Handle,
}

impl UnstartedSsu2Thread {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let handle = Ssu2Handle::new(Waker::new(poll.registry(), Token(0))?);
        Ok(Self { poll, handle })
    }

    pub(crate) fn handle(&self) -> Ssu2Handle {
        self.handle.clone()
    }

    /// The thread's own state; `sockets` are for sending.
    pub(crate) fn into_thread(self, config: Ssu2Config, sockets: Vec<Socket>, context: ThreadContext) -> Thread {
        let now = context.clock.now();
        let local = Local::new(
            context.net_id,
            context.router,
            config.static_key,
            config.intro_key,
            context.router_info.load().as_ref().clone(),
        );
        let choose_id = |_: &_| rand::rng().next_u64();
        let endpoint = endpoint::Config {
            local: local.with_mtu(config.mtu, config.mtu),
            limits: config.limits,
            gate: config.gate,
            choose_id: Box::new(choose_id),
        };
        let mut endpoint = Endpoint::new(endpoint, rand::random(), now);
        let saved = config.tokens.as_ref().and_then(|path| std::fs::read(path).ok());
        endpoint.received_tokens().import(&saved.unwrap_or_default(), now);
        Thread {
            endpoint,
            services: Services::new(config.services, [rand::random(), rand::random()], now),
            dialled: FxHashMap::default(),
            postponed: Vec::new(),
            sockets,
            tokens: config.tokens,
            recent: FxHashMap::default(),
            next_tick: now.mono + TICK,
            next_save: now.mono + SAVE_EVERY,
            stopping: false,
            up: Upward::new(Arc::clone(&context.sink)),
            poll: self.poll,
            handle: self.handle,
            context,
        }
    }
}

pub(crate) struct Thread {
    endpoint: Endpoint,
    services: Services,
    /// RouterInfos of the routers that are being called.
    dialled: FxHashMap<RouterHash, RouterInfo>,
    /// Routers to be called unless they call first.
    postponed: Vec<(Target, SocketAddr)>,
    sockets: Vec<Socket>,
    tokens: Option<PathBuf>,
    /// Sessions that were given away lately: where to.
    recent: FxHashMap<u64, (usize, Mono)>,
    next_tick: Mono,
    next_save: Mono,
    stopping: bool,
    up: Upward,
    poll: Poll,
    handle: Ssu2Handle,
    context: ThreadContext,
}

impl Thread {
    /// Runs until [`Input::Stop`].
    ///
    /// # Errors
    /// If waiting fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4);
        let mut now = self.context.clock.now();
        while !self.stopping {
            let timers = [self.endpoint.poll_timeout(), self.services.poll_timeout()];
            let news = (self.up.waiting() > 0).then(|| now.mono + upward::AGAIN);
            let due = timers.into_iter().chain([news]).flatten().fold(self.next_tick, Mono::min);
            let timeout = if self.handle.inbox.prepare_sleep() { due.saturating_sub(now.mono) } else { Duration::ZERO };
            let result = self.poll.poll(&mut events, Some(timeout));
            self.handle.inbox.awake();
            if let Err(error) = result
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            now = self.context.clock.now();
            for _ in 0..BUDGET {
                let Some(input) = self.handle.inbox.pop() else { break };
                self.on_input(now, input);
            }
            if self.endpoint.poll_timeout().is_some_and(|due| due <= now.mono) {
                self.endpoint.handle_timeout(now);
            }
            self.services.on_time(now, &self.endpoint);
            if now.mono >= self.next_tick {
                self.tick(now);
            }
            self.drain(now);
            self.up.deliver();
        }
        self.save();
        Ok(())
    }

    fn on_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Strangers(mut datagrams) => self.on_strangers(now, &mut datagrams),
            Input::Dial(target, addr) if self.services.expects_call(now, addr) => self.postponed.push((target, addr)),
            Input::Dial(target, addr) => self.dial(now, target, addr, None),
            Input::Introduce(target, introducers) => self.services.call(now, target, &introducers),
            Input::Block(from, block::RELAY_TAG_REQUEST, _) => self.services.tag_wanted(now, from),
            Input::Block(from, block::RELAY_TAG, data) => {
                if let Ok(tag) = data.try_into().map(u32::from_be_bytes) {
                    self.services.tag(now, from, tag);
                }
            }
            Input::Block(from, kind, data) => self.services.on_block(now, &self.endpoint, from, kind, &data),
            Input::Info(bytes) => {
                if let Ok(info) = RouterInfo::parse(bytes.into()) {
                    self.services.on_router_info(now, &self.endpoint, info);
                }
            }
            Input::Seen(by, addr) => self.services.seen_anew(now, by, addr),
            Input::Moved(peer, id, addr) => self.services.known.moved(&peer, id, addr),
            Input::Down(peer, id) => self.services.down(now, &peer, id),
            Input::Token(from, token, expires) => self.endpoint.learn_token(from, token, expires),
            Input::Standing(standing) => self.services.stand(now, standing),
            Input::Test { v4 } => self.services.retest(now, v4),
            Input::RouterInfo => self.endpoint.set_router_info(self.context.router_info.load().as_ref().clone()),
            Input::Stop => self.stopping = true,
        }
    }

    fn on_strangers(&mut self, now: Now, datagrams: &mut Datagrams) {
        let mut late: FxHashMap<usize, Datagrams> = FxHashMap::default();
        datagrams.for_each(|origin, id, datagram| match self.recent.get(&id) {
            Some((thread, _)) => late.entry(*thread).or_default().push(origin, id, datagram),
            None => self.endpoint.handle_datagram(now, origin.from, origin.local, datagram),
        });
        for (thread, batch) in late {
            // A thread that does not keep up loses them, as the network may.
            let _: bool = self.context.io.get(thread).is_some_and(|io| io.datagrams(batch));
        }
    }

    /// What to call an address from: the address that calls are to leave from and a socket that has it, else any socket
    /// of the family.
    fn end_for(&self, addr: SocketAddr) -> Option<OurEnd> {
        let from = self.context.call_from.to(addr.ip());
        let bound = |ip: IpAddr| self.sockets.iter().position(|s| s.local().ip() == ip);
        let everywhere = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        if let Some(socket) = from.and_then(bound) {
            return Some(OurEnd::socket(socket));
        }
        let any = || self.sockets.iter().position(|s| s.local().is_ipv4() == addr.is_ipv4()).map(OurEnd::socket);
        bound(everywhere).map(|socket| OurEnd { socket, ip: from }).or_else(any)
    }

    /// Sends a datagram of its own. What does not go out is lost as in the network: handshakes and services send again.
    fn send(&mut self, end: OurEnd, to: SocketAddr, bytes: &[u8]) {
        let Some(socket) = self.sockets.get_mut(end.socket) else { return };
        let sent = socket.send(end.ip, to, bytes, bytes.len(), false);
        if sent.is_err_and(|e| e.kind() == io::ErrorKind::AddrNotAvailable) {
            // The address that was called, or that calls left from, is gone.
            let _ = socket.send(None, to, bytes, bytes.len(), false);
        }
    }

    fn dial(&mut self, now: Now, target: Target, addr: SocketAddr, token: Option<u64>) {
        let Some(local) = self.end_for(addr) else {
            return self.dial_failed(target.peer, addr, "no_socket", Fault::Local, None);
        };
        let ask_for_tag = self.services.wants_tag(addr);
        self.dialled.insert(target.peer, target.info);
        let remote = Remote {
            hash: target.peer,
            addr,
            static_key: target.static_key,
            intro: MaskKey::new(target.intro_key),
            mtu: target.mtu,
        };
        self.endpoint.dial(now, endpoint::Target { remote, local, token, ask_for_tag });
    }

    /// Does what endpoint and services want, until neither wants anything.
    fn drain(&mut self, now: Now) {
        loop {
            if let Some(output) = self.endpoint.poll_output() {
                self.put_out(now, output);
            } else if let Some(act) = self.services.poll(now) {
                self.act(now, act);
            } else {
                break;
            }
        }
    }

    fn put_out(&mut self, now: Now, output: Output) {
        match output {
            Output::Send { to, local, bytes } => self.send(local, to, &bytes),
            Output::Established(established) => self.give_away(now, established),
            Output::Failed(failed) => self.on_failed(&failed),
            Output::Outside(outside) => self.services.on_outside(now, &self.endpoint, &outside),
        }
    }

    /// What a service wants.
    fn act(&mut self, now: Now, act: Act) {
        match act {
            Act::Block(to, block) => {
                let io = &self.context.io[home(&to, self.context.io.len())];
                // A thread that does not keep up loses it; both services try again or do without.
                let _ = io.command(Command::Ssu2Block(to, Box::new(block)));
            }
            Act::Datagram(to, bytes) => {
                if let Some(end) = self.end_for(to) {
                    self.send(end, to, &bytes);
                }
            }
            Act::Dial(target, addr, token) => self.dial(now, target, addr, Some(token)),
            Act::CallFailed(peer, reason, fault) => {
                self.dial_failed(peer, SocketAddr::from(([0; 4], 0)), reason, fault, None);
            }
            Act::Rebound { same_ip } => {
                for io in &self.context.io {
                    // A thread that misses this shows its peers as soon as it has anything to send.
                    let _ = io.command(Command::Rebound { same_ip });
                }
            }
            Act::News(news) => {
                if let News::Introducers { v4, introducers } = &news {
                    let routers: Arc<[RouterHash]> = introducers.iter().map(|introducer| introducer.router).collect();
                    for io in &self.context.io {
                        // A thread that misses this lets a silent session end, and another introducer is chosen.
                        let _ = io.command(Command::Introducers { v4: *v4, routers: Arc::clone(&routers) });
                    }
                }
                self.up.tell(news);
            }
        }
    }

    /// A session goes to its peer's home thread, and the others learn where its datagrams belong.
    fn give_away(&mut self, now: Now, established: Box<Established>) {
        let thread = home(&established.peer, self.context.io.len());
        let (id, peer, addr) = (established.local_id, established.peer, established.addr);
        let (outbound, skew) = (established.role == Role::Initiator, established.skew.0);
        let info = match self.dialled.remove(&peer).filter(|_| outbound) {
            Some(info) => Some(info),
            None => established.router_info.clone().map(RouterInfo::from),
        };
        let (tag, wanted, seen) = (established.relay_tag, established.relay_tag_requested, established.our_addr);
        let (token, behind_nat) = (self.endpoint.issue_token(now, addr), self.services.wants_tag(addr));
        let adoption = Adoption { established, token, behind_nat };
        if self.context.io[thread].command(Command::AdoptSsu2(Box::new(adoption))).is_err() {
            // A thread that does not keep up gets no more sessions; the peer's silence tells it enough.
            if outbound {
                self.dial_failed(peer, addr, "home_thread_full", Fault::Local, Some(skew));
            }
            return;
        }
        if !outbound {
            // INTEROP: with two sessions the queue of i2pd to us stood still for many seconds.
            self.endpoint.cancel(addr);
        }
        self.recent.insert(id, (thread, now.mono));
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        self.services.up(peer, id, addr, info, direction);
        if let Some(seen) = seen {
            self.services.known.sees_us(&peer, seen);
            // Whoever calls us may say what he likes; whom we have called, we have perhaps chosen.
            if outbound {
                self.up.tell(News::Seen { by: peer, from: addr, at: seen });
            }
        }
        if let Some(tag) = tag {
            self.services.tag(now, peer, tag);
        }
        if wanted {
            self.services.tag_wanted(now, peer);
        }
        for (other, io) in self.context.io.iter().enumerate() {
            if other != thread {
                // One that misses this hands the datagrams to us, and we forget the session: it will seem lossy, and end.
                let _ = io.command(Command::Route(Route { id, thread: Some(thread) }));
            }
        }
    }

    fn on_failed(&mut self, failed: &Failed) {
        let charge = Charge::from(failed.cause);
        if failed.role == Role::Responder && failed.peer.is_some() && charge.weight > Weight::Nothing {
            // Who it is came under the keys of the handshake, and so after a round trip to its address.
            self.up.pass(Received::Fault { router: failed.peer, address: Some(failed.addr.ip()), charge });
        }
        // Who called us and failed is counted; only who was called is waited for.
        if let (Role::Initiator, Some(peer)) = (failed.role, failed.peer) {
            self.dialled.remove(&peer);
            if failed.cause == Cause::Cancelled {
                return; // it has called us meanwhile, which the control plane knows from the session
            }
            let skew = failed.skew.filter(|_| failed.proven).map(|skew| skew.0);
            self.dial_failed(peer, failed.addr, failed.cause.label(), failed.cause.fault(), skew);
        }
    }

    fn dial_failed(
        &mut self,
        peer: RouterHash,
        addr: SocketAddr,
        reason: &'static str,
        fault: Fault,
        skew_ms: Option<i64>,
    ) {
        self.up.tell(News::ConnectFailed { peer, transport: Transport::Ssu2, addr, reason, fault, skew_ms });
    }

    fn tick(&mut self, now: Now) {
        self.next_tick = now.mono + TICK;
        self.recent.retain(|_, (_, since)| now.mono.saturating_sub(*since) < RECENT);
        self.services.tick(now);
        for (target, addr) in std::mem::take(&mut self.postponed) {
            if self.services.known.addr(&target.peer).is_some() {
                continue; // it has called
            } else if self.services.expects_call(now, addr) {
                self.postponed.push((target, addr));
            } else {
                self.dial(now, target, addr, None);
            }
        }
        let mut stats = Stats { endpoint: self.endpoint.stats(), ..Stats::default() };
        self.services.count(&mut stats);
        *self.handle.stats.lock() = stats;
        if now.mono >= self.next_save {
            self.next_save = now.mono + SAVE_EVERY;
            self.save();
        }
    }

    /// Keeps the tokens for after a restart. They spare a round trip and are no loss otherwise.
    fn save(&mut self) {
        let Some(path) = &self.tokens else { return };
        let bytes = self.endpoint.received_tokens().export();
        let new = path.with_extension("new");
        let written = std::fs::File::create(&new).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        if let Err(error) = written.and_then(|()| std::fs::rename(&new, path)) {
            tracing::warn!(%error, "the tokens of SSU2 could not be kept");
        }
    }
}
