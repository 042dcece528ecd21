//! One simulated peer's session, without blocking, over either transport.

mod ntcp2;
mod ssu2;

use super::Options;
use crate::peer::{Identity, Link, Outcome, Target, UdpLink};
use mio::{Registry, Token};
use quinn_udp::RecvMeta;
use ramson_protocol::link::block::I2np;
use ramson_protocol::ssu2::session::Event;
use ramson_protocol::time::Mono;
use rand_chacha::ChaCha20Rng;
use std::str::FromStr;
use std::time::Duration;

/// How long to wait for the router's first word: Java I2P sends none before there is something to say.
const GREETING: Duration = Duration::from_millis(100);

/// Bytes that one read of TCP takes.
const TCP_READ: usize = 64 * 1024;
/// Buffers of one receive call of UDP, and the bytes of one: the kernel joins as many datagrams as fit.
const UDP_BUFFERS: usize = 4;
const UDP_BUFFER: usize = 64 * 1024;

/// What the peers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// NTCP2.
    Ntcp2,
    /// SSU2.
    Ssu2,
    /// Every other peer the one, every other the other.
    Mixed,
}

impl Transport {
    /// Whether peer `n` speaks SSU2.
    fn is_ssu2(self, n: usize) -> bool {
        match self {
            Self::Ntcp2 => false,
            Self::Ssu2 => true,
            Self::Mixed => !n.is_multiple_of(2),
        }
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ntcp2" => Ok(Self::Ntcp2),
            "ssu2" => Ok(Self::Ssu2),
            "mixed" => Ok(Self::Mixed),
            _ => Err("write ntcp2, ssu2 or mixed".to_owned()),
        }
    }
}

/// Who wants to know what sessions bring.
pub(super) trait Listener {
    /// A message for peer `peer`.
    fn on_message(&mut self, peer: usize, message: &I2np<'_>, mono: Mono);

    /// A frame is over, or what the kernel has joined of datagrams.
    fn on_frame(&mut self) {}
}

/// Memory that all sessions of a thread use.
pub(super) struct Buffers {
    tcp: Vec<u8>,
    udp: Vec<u8>,
    meta: [RecvMeta; UDP_BUFFERS],
    events: Vec<Event>,
    out: Vec<u8>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            tcp: vec![0; TCP_READ],
            udp: vec![0; UDP_BUFFERS * UDP_BUFFER],
            meta: [RecvMeta::default(); UDP_BUFFERS],
            events: Vec::new(),
            out: Vec::new(),
        }
    }
}

/// A session.
pub(super) enum Session {
    Ntcp2(Box<ntcp2::Session>),
    Ssu2(Box<ssu2::Session>),
}

impl Session {
    /// Connects peer `n`, and waits for a first word for a while.
    pub(super) fn open(
        n: usize,
        options: &Options,
        target: &Target,
        who: &Identity,
        rng: &mut ChaCha20Rng,
    ) -> Outcome<Self> {
        if options.transport.is_ssu2(n) {
            let mut link = UdpLink::open(target, who, rng)?;
            link.is_greeted(GREETING)?;
            Ok(Self::Ssu2(Box::new(ssu2::Session::new(link, options.offload)?)))
        } else {
            let mut link = Link::open(target, who, rng)?;
            link.is_greeted(GREETING)?;
            Ok(Self::Ntcp2(Box::new(ntcp2::Session::new(link)?)))
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Outcome<()> {
        match self {
            Self::Ntcp2(session) => session.register(registry, token),
            Self::Ssu2(session) => session.register(registry, token),
        }
    }

    /// The router has ended it.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Ntcp2(session) => session.closed,
            Self::Ssu2(session) => session.closed,
        }
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Ntcp2(session) => session.queued(),
            Self::Ssu2(session) => session.queued(),
        }
    }

    /// Takes a message, which `write` appends as a block. The blocks of both transports are the same.
    pub(super) fn queue(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Outcome<()>) -> Outcome<()> {
        match self {
            Self::Ntcp2(session) => write(session.block()?),
            Self::Ssu2(session) => session.queue(write),
        }
    }

    /// It has something to do before the poll has a word on it.
    pub(super) fn wants_flush(&self) -> bool {
        match self {
            Self::Ntcp2(session) => session.queued() > 0,
            Self::Ssu2(session) => session.dirty,
        }
    }

    /// Seals and writes what the socket takes. Says when it is to be woken, if that is sooner than was said before.
    pub(super) fn flush(&mut self, buffers: &mut Buffers) -> Outcome<Option<Mono>> {
        match self {
            Self::Ntcp2(session) => session.flush().map(|()| None),
            Self::Ssu2(session) => Ok(session.flush(buffers)),
        }
    }

    /// Its time has come.
    pub(super) fn wake(&mut self, due: Mono) {
        if let Self::Ssu2(session) = self {
            session.wake(due);
        }
    }

    /// One read. True if there may be more.
    pub(super) fn read(&mut self, peer: usize, buffers: &mut Buffers, to: &mut impl Listener) -> Outcome<bool> {
        match self {
            Self::Ntcp2(session) => session.read(peer, &mut buffers.tcp, to),
            Self::Ssu2(session) => session.read(peer, buffers, to),
        }
    }
}
