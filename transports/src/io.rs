//! An I/O thread: a mio loop that runs every cell to completion.
//!
//! ```text
//! turn: wait for readiness, commands or the next tick
//!       -> commands and hand-offs from other threads          (commands.rs)
//!       -> one read per ready session, frames opened in place  (ingress.rs)
//!       -> cells through the tunnel cipher in batches           (relay.rs, tunnels.rs)
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
mod own;
mod pace;
mod peers;
mod relay;
#[cfg(test)]
mod rig;
mod session;
mod timers;
mod tunnels;
mod udp;

pub(crate) use udp::Udp;

use crate::clock::Clock;
use crate::event::EventSink;
use crate::hop::Hop;
use crate::idle::IdleClose;
use crate::inbox::Inbox;
use crate::ports::io::{Handoff, Input, IoHandle};
use crate::ports::own::OwnCells;
use crate::stats::{DropCause, IoStats, REASSEMBLY};
use crate::upward::{self, Upward};
use arc_swap::ArcSwap;
use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use mio::{Events, Poll, Token, Waker};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::iv_filter::{self, IvFilter};
use ramson_protocol::tunnel::reassembly::Reassembler;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use session::Session;
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Entries of the inbox that one turn takes, so that sockets are not forgotten over commands.
const INBOX_BUDGET: usize = 1024;

/// Type of a TunnelData message.
const CELL_MESSAGE: u8 = MessageType::TunnelData.code();

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
    /// Sessions without traffic are closed after this.
    pub idle_close: Arc<IdleClose>,
    /// The limits, one for all threads.
    pub line: Arc<shaper::Line>,
    /// How large the filter of repeated cells may become.
    pub iv_filter: iv_filter::Config,
    /// True while the router drains: nothing new is begun.
    pub draining: Arc<AtomicBool>,
}

/// A hop with what this thread keeps for it.
struct HopEntry {
    hop: Arc<Hop>,
    egress: Egress,
    /// Its queue in the shaper.
    flow: usize,
    /// Messages of an endpoint that are not complete yet.
    reassembly: Option<Box<Reassembler>>,
    /// Messages of a gateway that wait for the end of the turn, to share cells.
    packer: Option<Box<Packer>>,
}

/// How this thread reaches a hop's next router.
#[derive(Clone, Copy)]
enum Egress {
    /// The tunnel ends here.
    None,
    /// A peer of this thread.
    Local(usize),
    /// A peer of another thread.
    Remote(usize, RouterHash),
}

pub(crate) struct IoThread {
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
    hops: Slab<HopEntry>,
    by_tunnel: FxHashMap<u32, usize>,
    ivs: IvFilter,
    shaper: shaper::Shaper,
    own: own::Own,
    /// Peers for which cells wait.
    backlogged: Vec<usize>,
    batch: relay::Batch,
    spares: Vec<relay::Batch>,
    /// Of endpoints that are between messages.
    #[expect(clippy::vec_box, reason = "they move in and out of hop entries as they are")]
    reassemblers: Vec<Box<Reassembler>>,
    /// What endpoints had counted that are gone, in the order of [`crate::stats::REASSEMBLY`].
    reassembled: [u64; REASSEMBLY.len()],
    /// Gateways with something in their packer.
    packing: Vec<usize>,
    #[expect(clippy::vec_box, reason = "they move in and out of hop entries as they are")]
    packers: Vec<Box<Packer>>,
    /// Cells of a gateway on their way to the cipher.
    packed: Vec<[u8; relay::CELL]>,
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
    pace: pace::Pace,
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
        Ok(IoThread {
            index,
            udp,
            poll: self.poll,
            inbox: self.handle.inbox,
            others: all.to_vec(),
            emptied: self.handle.spares,
            own_emptied: self.handle.own_spares,
            stats: self.handle.stats,
            sessions: Slab::new(),
            peers: peers::Peers::default(),
            hops: Slab::new(),
            by_tunnel: FxHashMap::default(),
            ivs: IvFilter::new(config.iv_filter, rand::random(), now.mono),
            shaper: shaper::Shaper::new(Arc::clone(&config.line)),
            own: own::Own::default(),
            backlogged: Vec::new(),
            batch: relay::Batch::new(),
            spares: Vec::new(),
            reassemblers: Vec::new(),
            reassembled: [0; REASSEMBLY.len()],
            packing: Vec::new(),
            packers: Vec::new(),
            packed: Vec::new(),
            outbox: all.iter().map(|_| Handoff::default()).collect(),
            up: Upward::new(Arc::clone(&config.sink)),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            buffers: buffers::Buffers::default(),
            scratch: vec![0; 2 + 65535 + session::ntcp2::READ_BUDGET],
            rng: rand::make_rng(),
            now,
            next_tick: now.mono + TICK,
            pace: pace::Pace::default(),
            stopping: false,
            config,
        })
    }
}

impl IoThread {
    /// Runs until [`Command::Stop`](crate::ports::io::Command::Stop).
    ///
    /// # Errors
    /// If waiting for the sockets fails, which leaves the thread nothing to do.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.stopping {
            self.wait(&mut events)?;
            let woke = self.config.clock.now();
            self.now = woke;
            self.pace.begin(woke.mono);
            self.turn(&events);
            let end = self.config.clock.now();
            self.pace.end(end.mono);
            let busy = end.mono.saturating_sub(woke.mono);
            self.stats.turns.add(1);
            self.stats.busy_ns.add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
            self.stats.turn_us.record(u64::try_from(busy.as_micros()).unwrap_or(u64::MAX));
            self.now = end;
        }
        self.close_all();
        Ok(())
    }

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

    fn turn(&mut self, events: &Events) {
        self.shaper.begin(self.now.mono);
        self.take_inbox();
        for event in events {
            if let Some(socket) = udp::socket_of(event.token()) {
                self.on_udp_ready(socket, event.is_readable());
            } else if event.token() != WAKE {
                self.on_ready(event.token().0, event.is_readable() || event.is_read_closed(), event.is_writable());
            }
        }
        // Each ready session gets one read; who has more queues again behind the others.
        for _ in 0..self.ready.len() {
            if !self.shaper.may_read() {
                break;
            }
            let Some(index) = self.ready.pop_front() else { break };
            self.read_session(index);
        }
        self.receive_udp();
        self.fire_udp_timers();
        self.release_own();
        self.release_backlogs();
        self.release_cells();
        self.flush_gateways();
        if self.now.mono >= self.next_tick {
            self.next_tick = self.now.mono + TICK;
            self.tick();
        }
        self.flush_dirty();
        self.shaper.end(self.ready.len(), &self.stats);
        self.hand_over();
        self.hand_over_datagrams();
        self.hand_over_own();
        self.deliver_events();
    }

    fn take_inbox(&mut self) {
        self.stats.inbox_depth.set(self.inbox.len() as u64);
        for _ in 0..INBOX_BUDGET {
            match self.inbox.pop() {
                Some(Input::Command(command)) => self.on_command(command),
                Some(Input::Handoff(mut handoff)) => {
                    self.on_handoff(&handoff);
                    handoff.clear();
                    // If the list of spares is full this one is freed.
                    let _: Result<(), Handoff> = self.emptied.push(handoff);
                }
                Some(Input::Own(mut cells)) => {
                    self.on_finished_cells(&cells);
                    cells.clear();
                    let _: Result<(), OwnCells> = self.own_emptied.push(cells);
                }
                Some(Input::Datagrams(datagrams)) => self.on_datagrams(datagrams),
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
