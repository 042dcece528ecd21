//! All sessions of one thread: connected, written, waited for, read.

use super::Options;
use super::session::{Buffers, Listener, Session};
use crate::peer::{Identity, Outcome, Target, now};
use mio::{Events, Poll, Token};
use ramson_protocol::link::block::I2np;
use ramson_protocol::time::Mono;
use rand_chacha::ChaCha20Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// While so many peers connect, those that are connected already answer once.
const CONNECTED_BETWEEN: usize = 16;

/// The sessions of a thread, by the number of their peer.
pub(super) struct Pool {
    poll: Poll,
    events: Events,
    sessions: Vec<Session>,
    buffers: Buffers,
    /// When sessions are to be woken.
    timers: BinaryHeap<Reverse<(Mono, usize)>>,
    /// Sessions that may have more to read.
    again: Vec<usize>,
    closed: u64,
    /// Whether it waits without sleeping.
    spin: bool,
}

/// Nothing that is said while peers connect matters to anyone.
struct Nobody;

impl Listener for Nobody {
    fn on_message(&mut self, _: usize, _: &I2np<'_>, _: Mono) {}
}

impl Pool {
    /// Connects `count` peers.
    pub(super) fn connect(
        count: usize,
        target: &Target,
        options: &Options,
        rng: &mut ChaCha20Rng,
    ) -> Outcome<(Self, Vec<Identity>)> {
        let mut pool = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sessions: Vec::new(),
            buffers: Buffers::new(),
            timers: BinaryHeap::new(),
            again: Vec::new(),
            closed: 0,
            spin: options.spin,
        };
        let mut peers = Vec::new();
        for n in 0..count {
            let who = Identity::new(target.net_id, now().wall, rng)?;
            let source = target.source.map(|first| nth(first, n, options.sources));
            let from = target.clone().called_from(source);
            let session = Session::open(n, options, &from, &who, rng);
            let mut session = session.map_err(|e| format!("peer {n} cannot connect: {e}"))?;
            session.register(pool.poll.registry(), Token(n))?;
            pool.sessions.push(session);
            peers.push(who);
            if n % CONNECTED_BETWEEN == 0 {
                pool.exchange(Duration::ZERO, &mut Nobody)?;
            }
        }
        Ok((pool, peers))
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions that the router has ended.
    pub(super) fn closed(&self) -> u64 {
        self.closed
    }

    /// Bytes that wait to be sent to a peer.
    pub(super) fn queued(&self, peer: usize) -> usize {
        self.sessions[peer].queued()
    }

    /// Takes a message from a peer, which `write` appends as a block.
    pub(super) fn queue(&mut self, peer: usize, write: impl FnOnce(&mut Vec<u8>) -> Outcome<()>) -> Outcome<()> {
        self.sessions[peer].queue(write)
    }

    /// Writes all that waits, waits for sockets, and hands on what they bring.
    pub(super) fn exchange(&mut self, patience: Duration, to: &mut impl Listener) -> Outcome<()> {
        self.flush()?;
        let due = self.timers.peek().map(|Reverse((due, _))| due.saturating_sub(now().mono));
        let patience =
            if self.again.is_empty() { due.map_or(patience, |due| due.min(patience)) } else { Duration::ZERO };
        self.wait(patience)?;
        let mut ready = std::mem::take(&mut self.again);
        ready.extend(self.events.iter().filter(|e| e.is_readable() || e.is_read_closed()).map(|e| e.token().0));
        ready.sort_unstable();
        ready.dedup();
        for peer in ready {
            let session = &mut self.sessions[peer];
            let was_closed = session.is_closed();
            if session.read(peer, &mut self.buffers, to)? {
                self.again.push(peer);
            }
            self.closed += u64::from(session.is_closed() && !was_closed);
        }
        self.wake();
        Ok(())
    }

    fn wait(&mut self, patience: Duration) -> Outcome<()> {
        let (began, sleep) = (Instant::now(), if self.spin { Duration::ZERO } else { patience });
        loop {
            match self.poll.poll(&mut self.events, Some(sleep)) {
                Err(e) if e.kind() != std::io::ErrorKind::Interrupted => return Err(e.into()),
                _ => {}
            }
            if !self.spin || !self.events.is_empty() || began.elapsed() >= patience {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> Outcome<()> {
        for (peer, session) in self.sessions.iter_mut().enumerate().filter(|(_, session)| session.wants_flush()) {
            if let Some(due) = session.flush(&mut self.buffers)? {
                self.timers.push(Reverse((due, peer)));
            }
        }
        Ok(())
    }

    fn wake(&mut self) {
        let mono = now().mono;
        while let Some(Reverse((due, peer))) = self.timers.peek().copied()
            && due <= mono
        {
            self.timers.pop();
            self.sessions[peer].wake(due);
        }
    }
}

/// The address of the `n`th peer: `count` addresses from `first` on are used in turn.
fn nth(first: IpAddr, n: usize, count: u8) -> IpAddr {
    let step = (n % usize::from(count.max(1))) as u8;
    match first {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            IpAddr::V4([a, b, c, d.wrapping_add(step)].into())
        }
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() + u128::from(step)).into()),
    }
}
