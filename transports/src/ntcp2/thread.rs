//! The loop of the handshake thread.
//!
//! ```text
//! turn: wait for readiness, a command or the next deadline
//!       -> commands -> accept (a budget) -> connections that are ready -> deadlines -> make room
//! ```

use super::connection::{Connection, Env, Progress, connect_outcome};
use super::limits::{Admission, PerIp, key};
use super::outcome::{Failed, Outcome};
use super::stats::{HandshakeStats, index};
use super::{Command, DialTarget, HandshakeConfig, HandshakeHandle, HandshakeSink, INBOX, socket};
use crate::event::Direction;
use crate::inbox::Inbox;
use crate::ports::seats::{Seat, Seats};
use crate::upward::AGAIN;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use ramson_crypto::x25519::PublicKey;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::replay::{MAX_KEYS, ReplayCache};
use ramson_protocol::ntcp2::responder;
use ramson_protocol::time::{Mono, Now};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashSet;
use slab::Slab;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const WAKE: Token = Token(usize::MAX);
/// The token of the first listener; the others count down from it.
const LISTEN: usize = usize::MAX - 1;
/// Connections accepted in one turn, so that handshakes under way go on.
const ACCEPT_BUDGET: usize = 64;
/// Pause after accepting failed: file descriptors do not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// When seats are scarce sessions are closed this often.
const CROWDED_EVERY: Duration = Duration::from_millis(500);
/// The longest sleep.
const IDLE: Duration = Duration::from_secs(1);
/// How long a session proves that our clock is right: it may be set, or the machine sleep.
const AGREEMENT: Duration = Duration::from_secs(600);
/// Bytes read at once. A handshake has less than a thousand in a message as a rule.
const READ: usize = 8 * 1024;

pub(crate) struct Thread {
    config: HandshakeConfig,
    static_public: PublicKey,
    local: responder::Local,
    sink: Arc<dyn HandshakeSink>,
    poll: Poll,
    inbox: Inbox<Command>,
    stats: Arc<HandshakeStats>,
    listeners: Vec<TcpListener>,
    connections: Slab<Connection>,
    /// Inbound connections, oldest first; entries whose serial number is gone are stale.
    order: VecDeque<(usize, u64)>,
    timers: BinaryHeap<Reverse<(Mono, usize, u64)>>,
    per_ip: PerIp,
    dialling: FxHashSet<RouterHash>,
    replay: ReplayCache,
    rng: ChaCha20Rng,
    scratch: Vec<u8>,
    serial: u64,
    inbound: usize,
    accept_at: Option<Mono>,
    seats: Seats,
    /// Until then sessions are being closed for want of seats.
    crowded_until: Mono,
    /// When a peer last agreed with our clock.
    agreed_at: Option<Mono>,
    /// All that was told has been taken.
    settled: bool,
    stopping: bool,
}

/// What is bound before the thread runs.
pub(super) struct Parts {
    poll: Poll,
    inbox: Inbox<Command>,
    stats: Arc<HandshakeStats>,
    listeners: Vec<TcpListener>,
}

impl Parts {
    /// Binds the listeners.
    ///
    /// # Errors
    /// If one cannot be bound.
    pub(super) fn bind(config: &HandshakeConfig) -> io::Result<(Self, HandshakeHandle)> {
        let poll = Poll::new()?;
        let inbox = Inbox::new(INBOX, Waker::new(poll.registry(), WAKE)?);
        let mut listeners = Vec::new();
        let mut listening: Vec<SocketAddr> = Vec::new();
        for (n, addr) in config.listen.iter().enumerate() {
            let mut listener = socket::listen(*addr)?;
            listening.push(listener.local_addr()?);
            poll.registry().register(&mut listener, Token(LISTEN - n), Interest::READABLE)?;
            listeners.push(listener);
        }
        let stats = Arc::new(HandshakeStats::default());
        let handle = HandshakeHandle { inbox: inbox.clone(), stats: Arc::clone(&stats), listening: listening.into() };
        Ok((Self { poll, inbox, stats, listeners }, handle))
    }
}

impl Thread {
    pub(super) fn new(parts: Parts, config: HandshakeConfig, sink: Arc<dyn HandshakeSink>) -> Self {
        let Parts { poll, inbox, stats, listeners } = parts;
        let mut rng: ChaCha20Rng = rand::make_rng();
        let mut seed = [0; 16];
        rng.fill_bytes(&mut seed);
        Self {
            static_public: config.static_key.public(),
            local: responder::Local::new(config.net_id, &config.router, config.static_key.clone(), config.iv),
            sink,
            poll,
            inbox,
            stats,
            listeners,
            connections: Slab::new(),
            order: VecDeque::new(),
            timers: BinaryHeap::new(),
            per_ip: PerIp::default(),
            dialling: FxHashSet::default(),
            replay: ReplayCache::new(seed, MAX_KEYS, config.clock.now().mono),
            rng,
            scratch: vec![0; READ],
            serial: 0,
            inbound: 0,
            accept_at: None,
            seats: Seats::new(config.max_connections),
            crowded_until: Mono::ZERO,
            agreed_at: None,
            settled: true,
            stopping: false,
            config,
        }
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.stopping {
            self.wait(&mut events)?;
            self.commands();
            for event in &events {
                match event.token() {
                    WAKE => {}
                    Token(at) if at > LISTEN - self.listeners.len() => self.accept_at = Some(Mono::ZERO),
                    Token(slot) => self.drive(slot),
                }
            }
            self.accept();
            self.expire();
            self.settled = self.sink.settle();
            self.stats.replay_keys.set(self.replay.len() as u64);
            self.stats.addresses.set(self.per_ip.len() as u64);
        }
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.abandon(slot, Outcome::Shutdown));
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let now = self.now().mono;
        self.drop_stale_timers();
        let timer = self.timers.peek().map_or(now + IDLE, |Reverse((at, ..))| *at);
        let next = self.accept_at.map_or(timer, |at| at.min(timer));
        let longest = if self.settled { IDLE } else { AGAIN };
        let timeout = if self.inbox.prepare_sleep() { next.saturating_sub(now).min(longest) } else { Duration::ZERO };
        // The system rounds down to milliseconds; without the one more the loop would spin before each deadline.
        let timeout = if timeout.is_zero() { timeout } else { timeout + Duration::from_millis(1) };
        let result = self.poll.poll(events, Some(timeout));
        self.inbox.awake();
        match result {
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// Most connections are gone long before their deadline; the thread must not wake for what they left.
    fn drop_stale_timers(&mut self) {
        while let Some(Reverse((at, slot, serial))) = self.timers.peek().copied() {
            let connection = self.connections.get(slot).filter(|c| c.serial == serial);
            if connection.is_some_and(|c| c.deadline <= at) {
                break;
            }
            self.timers.pop();
        }
    }

    fn now(&self) -> Now {
        self.config.clock.now()
    }

    fn commands(&mut self) {
        while let Some(command) = self.inbox.pop() {
            match command {
                Command::Dial(dial) => self.dial(dial),
                Command::Stop => self.stopping = true,
            }
        }
    }

    fn dial(&mut self, dial: DialTarget) {
        if self.dialling.contains(&dial.peer) {
            return;
        }
        self.stats.begun[1].add(1);
        if self.dialling.len() >= self.config.limits.dials {
            return self.dial_failed(&dial, Outcome::DialLimit);
        }
        let Some(seat) = self.take_seat() else { return self.dial_failed(&dial, Outcome::NoDescriptor) };
        let stream = match socket::connect(dial.addr, &self.config) {
            Ok(stream) => stream,
            Err(e) => return self.dial_failed(&dial, connect_outcome(&e)),
        };
        self.serial += 1;
        let timeout = self.config.limits.connect_timeout;
        let connection = Connection::outbound((stream, seat), dial, self.serial, timeout, self.now());
        self.dialling.insert(dial.peer);
        self.add(connection);
    }

    fn dial_failed(&self, dial: &DialTarget, outcome: Outcome) {
        let (direction, addr) = (Direction::Outbound, dial.addr);
        self.report(Failed { direction, addr, peer: Some(dial.peer), outcome, skew_ms: None });
    }

    fn report(&self, failed: Failed) {
        self.stats.count(failed.direction, failed.outcome);
        self.sink.failed(failed);
    }

    /// Takes what the kernel has accepted for us.
    fn accept(&mut self) {
        let now = self.now().mono;
        if self.accept_at.is_none_or(|at| at > now) {
            return;
        }
        self.accept_at = None;
        for n in 0..self.listeners.len() {
            for taken in 0.. {
                if taken == ACCEPT_BUDGET {
                    self.accept_at = Some(now);
                    break;
                }
                match self.listeners[n].accept() {
                    Ok((stream, addr)) => self.accepted(stream, addr),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                    Err(_) => {
                        self.stats.accept_errors.add(1);
                        self.accept_at = Some(now + ACCEPT_PAUSE);
                        break;
                    }
                }
            }
        }
    }

    fn accepted(&mut self, stream: TcpStream, addr: SocketAddr) {
        self.stats.begun[0].add(1);
        let now = self.now();
        if !self.config.gate.admits_address(addr.ip()) {
            return self.turn_away(&stream, addr, Outcome::Address);
        }
        match self.per_ip.admit(addr.ip(), &self.config.limits, now.mono) {
            Admission::No => return self.turn_away(&stream, addr, Outcome::Rate),
            Admission::Displace => self.displace(Some(addr.ip())),
            Admission::Yes => {}
        }
        if self.inbound >= self.config.limits.half_open {
            self.displace(None);
        }
        let Some(seat) = self.take_seat() else {
            self.per_ip.leave(addr.ip());
            return self.turn_away(&stream, addr, Outcome::NoDescriptor);
        };
        // Without it the kernel would keep message 2 back; a failure costs only that.
        let _: io::Result<()> = stream.set_nodelay(true);
        self.serial += 1;
        let connection = Connection::inbound((stream, seat), addr, self.serial, &mut self.rng, now);
        self.inbound += 1;
        self.add(connection);
    }

    /// A seat for a connection. When few are left sessions of which nobody makes use are closed.
    fn take_seat(&mut self) -> Option<Seat> {
        let (wanting, now) = (self.seats.wanting(), self.now().mono);
        if wanting > 0 && now >= self.crowded_until {
            self.crowded_until = now + CROWDED_EVERY;
            self.sink.crowded(wanting);
        }
        self.seats.take()
    }

    fn turn_away(&self, stream: &TcpStream, addr: SocketAddr, outcome: Outcome) {
        socket::reset_on_close(stream);
        self.report(Failed { direction: Direction::Inbound, addr, peer: None, outcome, skew_ms: None });
    }

    /// Drops the oldest half-open inbound connection, of one address or of all.
    fn displace(&mut self, ip: Option<IpAddr>) {
        let wanted = ip.map(key);
        let oldest = self.order.iter().position(|(slot, serial)| {
            self.connections
                .get(*slot)
                .is_some_and(|c| c.serial == *serial && wanted.is_none_or(|w| w == key(c.addr.ip())))
        });
        let Some(oldest) = oldest else { return };
        // Those before it are stale or of other addresses.
        if let Some((slot, _)) = self.order.remove(oldest) {
            self.abandon(slot, Outcome::Displaced);
        }
    }

    fn add(&mut self, mut connection: Connection) {
        let (direction, serial, deadline) = (connection.direction, connection.serial, connection.deadline);
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut connection.stream, Token(slot), interest);
        entry.insert(connection);
        self.stats.half_open[index(direction)].set(self.half_open(direction));
        self.timers.push(Reverse((deadline, slot, serial)));
        if direction == Direction::Inbound {
            self.order.push_back((slot, serial));
            if self.order.len() > 2 * self.config.limits.half_open.max(64) {
                let connections = &self.connections;
                self.order.retain(|(slot, serial)| connections.get(*slot).is_some_and(|c| c.serial == *serial));
            }
        }
        if registered.is_err() {
            self.abandon(slot, Outcome::Broken);
        }
    }

    fn half_open(&self, direction: Direction) -> u64 {
        let inbound = self.inbound;
        let n = if direction == Direction::Inbound { inbound } else { self.connections.len() - inbound };
        n as u64
    }

    /// A connection's socket is ready.
    fn drive(&mut self, slot: usize) {
        let now = self.now().mono;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let deadline = connection.deadline;
        let mut env = Env {
            config: &self.config,
            static_public: &self.static_public,
            local: &self.local,
            replay: &mut self.replay,
            rng: &mut self.rng,
            scratch: &mut self.scratch,
            clock_confirmed: self.agreed_at.is_some_and(|at| at + AGREEMENT > now),
        };
        let progress = connection.drive(&mut env);
        if connection.deadline != deadline {
            self.timers.push(Reverse((connection.deadline, slot, connection.serial)));
        }
        self.settle(slot, progress);
    }

    fn expire(&mut self) {
        let now = self.now().mono;
        while let Some(Reverse((at, slot, serial))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some(connection) = self.connections.get_mut(slot).filter(|c| c.serial == serial) else { continue };
            // A deadline that was put off has an entry of its own.
            if connection.deadline <= now {
                let progress = connection.expire();
                self.settle(slot, progress);
            }
        }
    }

    fn abandon(&mut self, slot: usize, outcome: Outcome) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let progress = connection.abandon(outcome);
        self.settle(slot, progress);
    }

    /// Does what a connection's progress asks for.
    fn settle(&mut self, slot: usize, progress: Progress) {
        match progress {
            Progress::Done(ready) => {
                let Some(mut connection) = self.remove(slot) else { return };
                let (direction, began) = (connection.direction, connection.begun);
                if self.poll.registry().deregister(&mut connection.stream).is_err() {
                    let addr = connection.addr;
                    let outcome = Outcome::Broken;
                    return self.report(Failed { direction, addr, peer: connection.peer, outcome, skew_ms: None });
                }
                let now = self.now().mono;
                self.agreed_at = Some(now);
                let took = now.saturating_sub(began).as_millis();
                self.stats.established[index(direction)].add(1);
                self.stats.duration_ms[index(direction)].record(u64::try_from(took).unwrap_or(u64::MAX));
                self.sink.established(connection.into_established(*ready));
            }
            Progress::Failed { outcome, peer, skew_ms } => {
                let Some(connection) = self.connections.get(slot) else { return };
                let (direction, addr, over) = (connection.direction, connection.addr, connection.is_over());
                if over {
                    self.remove(slot);
                }
                // After it is removed: the sink may call the router again at once.
                self.report(Failed { direction, addr, peer, outcome, skew_ms });
                if !over {
                    // What came behind the failure is read at once, as it would be without a failure: the system
                    // reports readiness only once.
                    self.drive(slot);
                }
            }
            Progress::Wait => {
                if self.connections.get(slot).is_some_and(Connection::is_over) {
                    self.remove(slot);
                }
            }
        }
    }

    fn remove(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.connections.try_remove(slot)?;
        if connection.direction == Direction::Inbound {
            self.inbound = self.inbound.saturating_sub(1);
            self.per_ip.leave(connection.addr.ip());
        }
        if let Some(peer) = connection.peer {
            self.dialling.remove(&peer);
        }
        self.stats.half_open[index(connection.direction)].set(self.half_open(connection.direction));
        Some(connection)
    }
}
