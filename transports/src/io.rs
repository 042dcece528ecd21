//! An I/O thread: a mio loop that runs every cell to completion.
//!
//! ```text
//! turn: wait for readiness, commands or the next tick
//!       -> commands and hand-offs from other threads          (commands.rs)
//!       -> one read per ready session, frames opened in place  (ingress.rs)
//!       -> cells through the tunnel cipher in batches           (crate::relay, by onward.rs)
//!       -> timers, once a second                                (timers.rs)
//!       -> seal and write once per session that has output      (egress.rs)
//!       -> hand over cells for other threads, events for the control plane
//! ```

pub mod shaper;

#[cfg(test)]
mod allocations;
mod backlog;
mod buffers;
mod commands;
mod egress;
mod ingress;
mod memory;
mod onward;
mod own;
mod peers;
#[cfg(test)]
mod rig;
mod session;
#[cfg(test)]
mod tests;
mod timers;
mod udp;

pub(crate) use udp::Udp;

use crate::clock::Clock;
use crate::event::EventSink;
use crate::inbox::Inbox;
use crate::live::Live;
use crate::pace::Pace;
use crate::ports::io::{Handoff, Input, IoHandle};
use crate::ports::own::OwnCells;
use crate::relay::Relay;
use crate::stats::{DropCause, IoStats};
use crate::upward::{self, Upward};
use arc_swap::ArcSwap;
use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use mio::{Events, Poll, Token, Waker};
use ramson_protocol::bucket::Bucket;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::iv_filter;
use rand_chacha::ChaCha20Rng;
use session::Session;
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Entries of the inbox that one turn takes, so that sockets are not forgotten over commands.
const INBOX_BUDGET: usize = 1024;

const WAKE: Token = Token(usize::MAX);
const TICK: Duration = Duration::from_secs(1);

/// What an I/O thread is told at its start.
#[derive(Clone)]
pub struct IoConfig {
    /// Our own hash.
    pub router: RouterHash,
    /// Our RouterInfo as on the wire, for peers that are to be told of a change.
    pub router_info: Arc<ArcSwap<Bytes>>,
    /// The clock of all threads.
    pub clock: Clock,
    /// Where events go.
    pub sink: Arc<dyn EventSink>,
    /// What may change meanwhile.
    pub live: Arc<Live>,
    /// The limits, one for all threads.
    pub line: Arc<shaper::Line>,
    /// How large the filter of repeated cells may become.
    pub iv_filter: iv_filter::Config,
    /// True while the router drains: nothing new is begun.
    pub draining: Arc<AtomicBool>,
}

/// A thread: the relay, and what links it to the rest of the world.
pub(crate) struct IoThread {
    relay: Relay,
    links: Links,
}

/// The sessions of a thread, and the ways to its sockets, to other threads and to the control plane.
struct Links {
    config: IoConfig,
    index: usize,
    poll: Poll,
    inbox: Inbox<Input>,
    others: Vec<IoHandle>,
    emptied: Arc<ArrayQueue<Handoff>>,
    own_emptied: Arc<ArrayQueue<OwnCells>>,
    stats: Arc<IoStats>,
    sessions: Slab<Session>,
    /// SSU2, if it is spoken.
    udp: Option<Box<Udp>>,
    peers: peers::Peers,
    /// What each session may have to send, less when all together have much.
    bounds: session::Bounds,
    /// Of what tunnels of others bring for us, all together.
    endpoints: Bucket,
    /// Routers that introduce others to us: their sessions stay open.
    introducers: [Arc<[RouterHash]>; 2],
    shaper: shaper::Shaper,
    own: own::Own,
    /// Peers for which cells wait.
    backlogged: Vec<usize>,
    outbox: Vec<Handoff>,
    /// To the control plane.
    up: Upward,
    ready: VecDeque<usize>,
    dirty: Vec<usize>,
    buffers: buffers::Buffers,
    scratch: Vec<u8>,
    rng: ChaCha20Rng,
    now: Now,
    next_tick: Mono,
    pace: Pace,
    stopping: bool,
}

/// An I/O thread that does not run yet. All of them are made first, so that each can be given the handles of all.
pub(crate) struct UnstartedIoThread {
    poll: Poll,
    handle: IoHandle,
}

impl UnstartedIoThread {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let handle = IoHandle::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self { poll, handle })
    }

    pub(crate) fn handle(&self) -> IoHandle {
        self.handle.clone()
    }

    /// The thread's own state. `all` are the handles of all threads, this one's at `index`.
    ///
    /// # Errors
    /// If the UDP sockets cannot be entered into the poll.
    pub(crate) fn into_thread(
        self,
        index: usize,
        all: &[IoHandle],
        config: IoConfig,
        mut udp: Option<Box<Udp>>,
    ) -> io::Result<IoThread> {
        let now = config.clock.now();
        if let Some(udp) = &mut udp {
            udp.register(self.poll.registry())?;
        }
        let stats = self.handle.stats;
        let relay = Relay::new(all.len(), config.router, config.iv_filter, rand::random(), Arc::clone(&stats), now);
        let links = Links {
            index,
            udp,
            poll: self.poll,
            inbox: self.handle.inbox,
            others: all.to_vec(),
            emptied: self.handle.spares,
            own_emptied: self.handle.own_spares,
            stats,
            sessions: Slab::new(),
            peers: peers::Peers::new(all.len()),
            bounds: session::Bounds::default(),
            endpoints: Bucket::default(),
            introducers: Default::default(),
            shaper: shaper::Shaper::new(Arc::clone(&config.line)),
            own: own::Own::default(),
            backlogged: Vec::new(),
            outbox: all.iter().map(|_| Handoff::default()).collect(),
            up: Upward::new(Arc::clone(&config.sink)),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            buffers: buffers::Buffers::default(),
            scratch: vec![0; 2 + 65535 + session::ntcp2::READ_BUDGET],
            rng: rand::make_rng(),
            now,
            next_tick: now.mono + TICK,
            pace: Pace::default(),
            stopping: false,
            config,
        };
        Ok(IoThread { relay, links })
    }
}

impl IoThread {
    /// Runs until [`Command::Stop`](crate::ports::io::Command::Stop).
    ///
    /// # Errors
    /// If waiting for the sockets fails, which leaves the thread nothing to do.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.links.stopping {
            self.links.wait(&mut events)?;
            let woke = self.links.wake();
            self.turn(&events);
            self.links.rest(woke);
        }
        self.links.close_all();
        Ok(())
    }

    fn turn(&mut self, events: &Events) {
        let Self { relay, links } = self;
        relay.begin(links.now);
        links.shaper.begin(links.now.mono);
        links.take_inbox(relay);
        for event in events {
            if let Some(socket) = udp::socket_of(event.token()) {
                links.on_udp_ready(socket, event.is_readable());
            } else if event.token() != WAKE {
                links.on_ready(event.token().0, event.is_readable() || event.is_read_closed(), event.is_writable());
            }
        }
        // Each ready session gets one read; who has more queues again behind the others.
        for _ in 0..links.ready.len() {
            if !links.shaper.may_read() {
                break;
            }
            let Some(index) = links.ready.pop_front() else { break };
            links.read_session(relay, index);
        }
        links.receive_udp(relay);
        links.fire_udp_timers();
        links.release_own(relay);
        links.release_backlogs(relay);
        relay.release(links);
        relay.flush(links);
        if links.now.mono >= links.next_tick {
            links.next_tick = links.now.mono + TICK;
            links.tick(relay);
        }
        links.flush_dirty();
        links.shaper.end(links.ready.len(), &links.stats);
        links.hand_over();
        links.hand_over_datagrams();
        links.hand_over_own();
        links.deliver_events();
    }
}

impl Links {
    /// Waits for something to do, and while it is paced for the rest of the quantum in any case.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let ready = !self.ready.is_empty() || self.udp.as_ref().is_some_and(|udp| udp.ready());
        let busy = ready && !self.shaper.starved();
        let pause = self.pace.pause(self.now.mono, self.config.line.max_delay());
        if !busy && !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let timeout = if busy || !self.inbox.prepare_sleep() {
            Duration::ZERO
        } else {
            let timer = self.udp.as_ref().and_then(|udp| udp.next_timer());
            let next = timer.map_or(self.next_tick, |timer| timer.min(self.next_tick));
            let waits = self.own_may_go() || self.backlog_may_go();
            let patience = self.shaper.patience(next.saturating_sub(self.now.mono), waits);
            if self.up.waiting() > 0 { patience.min(upward::AGAIN) } else { patience }
        };
        let result = self.poll.poll(events, Some(timeout));
        self.inbox.awake();
        match result {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// The time of the turn that begins.
    fn wake(&mut self) -> Mono {
        self.now = self.config.clock.now();
        self.pace.begin(self.now.mono);
        self.now.mono
    }

    /// A turn is over that began then.
    fn rest(&mut self, woke: Mono) {
        self.now = self.config.clock.now();
        self.pace.end(self.now.mono);
        let busy = self.now.mono.saturating_sub(woke);
        self.stats.turns.add(1);
        self.stats.busy_ns.add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
        self.stats.turn_us.record(u64::try_from(busy.as_micros()).unwrap_or(u64::MAX));
    }

    fn take_inbox(&mut self, relay: &mut Relay) {
        self.stats.inbox_depth.set(self.inbox.len() as u64);
        for _ in 0..INBOX_BUDGET {
            match self.inbox.pop() {
                Some(Input::Command(command)) => self.on_command(relay, command),
                Some(Input::Handoff(mut handoff)) => {
                    self.on_handoff(&handoff);
                    handoff.clear();
                    // If the list of spares is full this one is freed.
                    let _: Result<(), Handoff> = self.emptied.push(handoff);
                }
                Some(Input::Own(mut cells)) => {
                    self.on_finished_cells(relay, &cells);
                    cells.clear();
                    let _: Result<(), OwnCells> = self.own_emptied.push(cells);
                }
                Some(Input::Datagrams(datagrams)) => self.on_datagrams(relay, datagrams),
                None => break,
            }
        }
    }

    fn deliver_events(&mut self) {
        let (handed_over, lost) = self.up.deliver();
        self.stats.events.add(handed_over);
        self.stats.drops[DropCause::ControlFull as usize].add(lost);
        self.stats.news_waiting.set(self.up.waiting() as u64);
    }

    fn draining(&self) -> bool {
        self.config.draining.load(Relaxed)
    }
}
