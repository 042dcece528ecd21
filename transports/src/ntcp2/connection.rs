//! One connection on its way to be a session, or to its end.

use super::outcome::Outcome;
use super::{DialTarget, HandshakeConfig, socket, verify};
use crate::event::Direction;
use crate::ports::established::Established;
use crate::ports::seats::Seat;
use mio::net::TcpStream;
use ramson_crypto::x25519::PublicKey;
use ramson_protocol::data::router_info::VerifiedRouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::replay::ReplayCache;
use ramson_protocol::ntcp2::error::{Cause, Close, Error};
use ramson_protocol::ntcp2::initiator::{self, AwaitCreated, Initiator, InitiatorStep};
use ramson_protocol::ntcp2::responder::{self, Accepted, Context, Responder, ResponderStep};
use ramson_protocol::ntcp2::{FIXED_LEN, Session};
use ramson_protocol::time::{Mono, Now};
use rand_chacha::ChaCha20Rng;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// How long a farewell may take to be sent and read.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a refused peer that are read while it reads the farewell.
const FAREWELL_BYTES: usize = 64 * 1024;

/// What a connection borrows from its thread.
pub(super) struct Env<'a> {
    pub(super) config: &'a HandshakeConfig,
    pub(super) static_public: &'a PublicKey,
    pub(super) local: &'a responder::Local,
    pub(super) replay: &'a mut ReplayCache,
    pub(super) rng: &'a mut ChaCha20Rng,
    pub(super) scratch: &'a mut [u8],
    pub(super) clock_confirmed: bool,
}

impl Env<'_> {
    fn now(&self) -> Now {
        self.config.clock.now()
    }
}

/// Where a connection stands.
#[allow(clippy::large_enum_variant, reason = "a connection passes through all of them within a second")]
enum Phase {
    /// TCP has not connected yet.
    Connecting(DialTarget),
    /// We called.
    Calling(Initiator),
    /// We were called.
    Answering(Responder),
    /// The session stands once the rest of message 3 is written.
    Handover(Box<(Session, RouterHash, Option<VerifiedRouterInfo>)>),
    /// It failed, and neither bytes nor time may tell how: reads so many bytes, says nothing.
    Silent { bytes: usize },
    /// Refused with a reason, which the peer should have time to read.
    Farewell { bytes: usize, shut: bool },
    /// To be dropped.
    Over,
}

/// What came of a connection's turn.
pub(super) enum Progress {
    /// Nothing to report.
    Wait,
    /// A session. The connection is over; its stream goes with the session.
    Done(Box<Ready>),
    /// A failure, to be reported once. The connection may live on to hide or explain it.
    Failed { outcome: Outcome, peer: Option<RouterHash>, skew_ms: Option<i64> },
}

/// A session without its stream.
pub(super) struct Ready {
    session: Session,
    peer: RouterHash,
    router_info: Option<VerifiedRouterInfo>,
    leftover: Vec<u8>,
}

/// A half-open connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    seat: Seat,
    pub(super) addr: SocketAddr,
    pub(super) serial: u64,
    pub(super) direction: Direction,
    /// The router that we call.
    pub(super) peer: Option<RouterHash>,
    /// By when the handshake must have come to its end.
    pub(super) deadline: Mono,
    pub(super) begun: Mono,
    phase: Phase,
    received: Vec<u8>,
    out: Vec<u8>,
    written: usize,
}

impl Connection {
    pub(super) fn inbound(
        (stream, seat): (TcpStream, Seat),
        addr: SocketAddr,
        serial: u64,
        rng: &mut ChaCha20Rng,
        now: Now,
    ) -> Self {
        let responder = Responder::new(rng, now);
        let deadline = responder.plan().map_or(now.mono, |plan| plan.until);
        Self::new(
            (stream, seat),
            addr,
            serial,
            Direction::Inbound,
            None,
            deadline,
            now.mono,
            Phase::Answering(responder),
        )
    }

    pub(super) fn outbound(
        (stream, seat): (TcpStream, Seat),
        dial: DialTarget,
        serial: u64,
        timeout: Duration,
        now: Now,
    ) -> Self {
        let phase = Phase::Connecting(dial);
        let deadline = now.mono + timeout;
        Self::new((stream, seat), dial.addr, serial, Direction::Outbound, Some(dial.peer), deadline, now.mono, phase)
    }

    #[allow(clippy::too_many_arguments, reason = "a constructor of the two above")]
    fn new(
        (stream, seat): (TcpStream, Seat),
        addr: SocketAddr,
        serial: u64,
        direction: Direction,
        peer: Option<RouterHash>,
        deadline: Mono,
        begun: Mono,
        phase: Phase,
    ) -> Self {
        let (received, out, written) = (Vec::new(), Vec::new(), 0);
        Self { stream, seat, addr, serial, direction, peer, deadline, begun, phase, received, out, written }
    }

    /// True once it is to be dropped.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// The session with this connection's stream.
    pub(super) fn into_established(self, ready: Ready) -> Box<Established> {
        Box::new(Established {
            peer: ready.peer,
            addr: self.addr,
            direction: self.direction,
            stream: self.stream,
            seat: Some(self.seat),
            skew_ms: ready.session.skew.0,
            opener: ready.session.opener,
            sealer: ready.session.sealer,
            router_info: ready.router_info,
            leftover: ready.leftover,
        })
    }

    /// The socket may be ready: goes as far as it can.
    pub(super) fn drive(&mut self, env: &mut Env<'_>) -> Progress {
        if matches!(self.phase, Phase::Connecting(_)) {
            match self.connected(env) {
                Ok(true) => {}
                Ok(false) => return Progress::Wait,
                Err(progress) => return progress,
            }
        }
        if let Err(progress) = self.flush() {
            return progress;
        }
        if matches!(self.phase, Phase::Handover(_)) {
            return self.hand_over();
        }
        self.read(env)
    }

    /// The deadline has passed.
    pub(super) fn expire(&mut self) -> Progress {
        let outcome = match self.phase {
            Phase::Connecting(_) => Outcome::ConnectTimeout,
            Phase::Calling(_) | Phase::Answering(_) | Phase::Handover(_) => Outcome::Timeout,
            Phase::Silent { .. } | Phase::Farewell { .. } | Phase::Over => return self.end(),
        };
        self.fail(outcome)
    }

    /// Ends the connection for a reason of our own.
    pub(super) fn abandon(&mut self, outcome: Outcome) -> Progress {
        match self.phase {
            Phase::Silent { .. } | Phase::Farewell { .. } | Phase::Over => self.end(),
            _ => self.fail(outcome),
        }
    }

    /// Ends a connection that has failed before. A reset could overtake a farewell.
    fn end(&mut self) -> Progress {
        match self.phase {
            Phase::Farewell { .. } => self.phase = Phase::Over,
            _ => self.reset(),
        }
        Progress::Wait
    }

    fn fail(&mut self, outcome: Outcome) -> Progress {
        self.reset();
        Progress::Failed { outcome, peer: self.peer, skew_ms: None }
    }

    fn reset(&mut self) {
        socket::reset_on_close(&self.stream);
        self.phase = Phase::Over;
    }

    /// Looks whether TCP has connected, and if so writes message 1.
    fn connected(&mut self, env: &mut Env<'_>) -> Result<bool, Progress> {
        let Phase::Connecting(dial) = self.phase else { return Ok(true) };
        let error = match self.stream.take_error() {
            Ok(None) => match self.stream.peer_addr() {
                Ok(_) => None,
                Err(e) if e.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(e) => Some(e),
            },
            Ok(Some(e)) | Err(e) => Some(e),
        };
        if let Some(e) = error {
            return Err(self.fail(connect_outcome(&e)));
        }
        let now = env.now();
        let router_info = env.config.router_info.load_full();
        let local = initiator::Local {
            net_id: env.config.net_id,
            static_key: &env.config.static_key,
            static_public: env.static_public,
            router_info: &router_info,
            padding: env.config.padding,
            clock_confirmed: env.clock_confirmed,
        };
        let remote = initiator::Remote { hash: &dial.peer, static_key: &dial.static_key, iv: &dial.iv };
        match AwaitCreated::start(local, remote, env.rng, now, &mut self.out) {
            Ok(state) => {
                self.phase = Phase::Calling(Initiator::Created(state));
                self.deadline = now.mono + env.config.limits.establish_timeout;
                Ok(true)
            }
            Err(e) => Err(self.failed(e, now)),
        }
    }

    /// Writes what waits.
    fn flush(&mut self) -> Result<(), Progress> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(self.abandon(Outcome::Closed)),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(self.broken(&e)),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads until the socket is empty or the phase ends.
    fn read(&mut self, env: &mut Env<'_>) -> Progress {
        loop {
            let n = match self.stream.read(env.scratch) {
                Ok(0) => return self.abandon(Outcome::Closed),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return self.idle(),
                Err(e) => return self.broken(&e),
            };
            let progress = match &mut self.phase {
                Phase::Silent { bytes } | Phase::Farewell { bytes, .. } => {
                    *bytes = bytes.saturating_sub(n);
                    if *bytes == 0 { self.end() } else { Progress::Wait }
                }
                Phase::Calling(_) | Phase::Answering(_) => {
                    self.received.extend_from_slice(&env.scratch[..n]);
                    self.advance(env)
                }
                Phase::Connecting(_) | Phase::Handover(_) | Phase::Over => Progress::Wait,
            };
            if !matches!(progress, Progress::Wait) {
                return progress;
            }
            match self.phase {
                Phase::Over => return Progress::Wait,
                Phase::Handover(_) => return self.hand_over(),
                _ => {}
            }
        }
    }

    /// Nothing more to read now. A farewell that is written is followed by the end of our stream.
    fn idle(&mut self) -> Progress {
        if let Phase::Farewell { shut, .. } = &mut self.phase
            && self.out.is_empty()
            && !*shut
        {
            *shut = true;
            if self.stream.shutdown(Shutdown::Write).is_err() {
                self.phase = Phase::Over;
            }
        }
        Progress::Wait
    }

    /// Feeds the machine with what was received.
    fn advance(&mut self, env: &mut Env<'_>) -> Progress {
        let now = env.now();
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Calling(state) => match state.advance(env.replay, now, &mut self.received, &mut self.out) {
                Ok(InitiatorStep::Wait(state)) => self.phase = Phase::Calling(state),
                Ok(InitiatorStep::Done(session)) => match self.peer {
                    Some(peer) => self.phase = Phase::Handover(Box::new((session, peer, None))),
                    None => return self.fail(Outcome::Protocol(Cause::TooFewBytes)),
                },
                Err(e) => return self.failed(e, now),
            },
            Phase::Answering(state) => {
                let in_message_1 = state.plan().is_some();
                let mut context = Context { local: env.local, replay: env.replay, rng: env.rng };
                match state.advance(&mut context, now, &mut self.received, &mut self.out) {
                    Ok(ResponderStep::Wait(state)) => {
                        if in_message_1 && state.plan().is_none() {
                            self.deadline = now.mono + env.config.limits.establish_timeout;
                        }
                        self.phase = Phase::Answering(state);
                    }
                    Ok(ResponderStep::Done(accepted)) => return self.check(accepted, env, now),
                    Err(e) => return self.failed(e, now),
                }
            }
            other => self.phase = other,
        }
        match self.flush() {
            Ok(()) => Progress::Wait,
            Err(progress) => progress,
        }
    }

    /// The handshake is good; is the router?
    fn check(&mut self, accepted: Accepted, env: &Env<'_>, now: Now) -> Progress {
        let ip = self.addr.ip();
        match verify::router_info(&accepted.router_info, &accepted.static_key, ip, now.wall, env.config) {
            Ok(info) => {
                self.phase = Phase::Handover(Box::new((accepted.session, info.hash(), Some(info))));
                Progress::Wait
            }
            Err((refusal, peer)) => {
                let skew_ms = Some(accepted.session.skew.0);
                accepted.refuse(refusal.reason(), &mut self.out);
                self.say_farewell(now);
                Progress::Failed { outcome: Outcome::Refused(refusal), peer, skew_ms }
            }
        }
    }

    /// Goes on as the machine's error says.
    fn failed(&mut self, error: Error, now: Now) -> Progress {
        match error.close {
            Close::Now => self.reset(),
            Close::After { read_bytes, delay } => {
                // What came with the bytes that failed counts as read.
                let read = std::mem::take(&mut self.received).len().saturating_sub(FIXED_LEN);
                self.deadline = now.mono + delay;
                self.phase = Phase::Silent { bytes: read_bytes.saturating_sub(read) };
                if read >= read_bytes {
                    self.reset();
                }
            }
            Close::Flush => self.say_farewell(now),
        }
        let skew_ms = match error.cause {
            Cause::ClockSkew(skew) => Some(skew.0),
            _ => None,
        };
        Progress::Failed { outcome: Outcome::Protocol(error.cause), peer: self.peer, skew_ms }
    }

    fn say_farewell(&mut self, now: Now) {
        self.received = Vec::new();
        self.deadline = now.mono + FAREWELL;
        self.phase = Phase::Farewell { bytes: FAREWELL_BYTES, shut: false };
        // What does not go out now goes out when the socket is writable.
        if self.flush().is_ok() {
            self.idle();
        }
    }

    /// Gives the session away once everything is written.
    fn hand_over(&mut self) -> Progress {
        if !self.out.is_empty() {
            return Progress::Wait;
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Handover(parts) => {
                let (session, peer, router_info) = *parts;
                let leftover = std::mem::take(&mut self.received);
                Progress::Done(Box::new(Ready { session, peer, router_info, leftover }))
            }
            other => {
                self.phase = other;
                Progress::Wait
            }
        }
    }

    fn broken(&mut self, error: &io::Error) -> Progress {
        let reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        self.abandon(if reset { Outcome::Closed } else { Outcome::Broken })
    }
}

/// Names a failure to connect. What our own machine refuses is no fault of the router that was to be called.
pub(super) fn connect_outcome(error: &io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::ConnectRefused,
        ErrorKind::HostUnreachable => Outcome::ConnectUnreachable,
        ErrorKind::TimedOut => Outcome::ConnectTimeout,
        ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::AddrInUse
        | ErrorKind::PermissionDenied => Outcome::NoRoute,
        ErrorKind::OutOfMemory | ErrorKind::QuotaExceeded => Outcome::NoDescriptor,
        _ if error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code)) => Outcome::NoDescriptor,
        _ => Outcome::ConnectFailed,
    }
}

/// The process or the machine has too much open, which has no kind of its own.
const OUT_OF_DESCRIPTORS: [i32; 3] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS];
