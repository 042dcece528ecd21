//! A client thread: a loop that owns tunnels' ends and sleeps when there is nothing for them.
//!
//! ```text
//! turn: wait for the inbox or the next tick
//!       -> raw cells: layers off, reassembly; commands; messages into tunnels
//!       -> each outbound tunnel with something new: cells, as far as its lane has credit
//!       -> finished cells to the I/O threads, messages to the control plane
//! ```

use crate::own_in::OwnIn;
use crate::own_out::OwnOut;
use crate::port::{Held, Input, NewInbound, NewOutbound, Over, Port};
use crate::stats::ClientStats;
use mio::{Events, Poll, Token, Waker};
use ramson_protocol::i2np::Message;
use ramson_protocol::id::TunnelId;
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::Delivery;
use ramson_transports::clock::Clock;
use ramson_transports::event::{EventSink, Received};
use ramson_transports::ports::io::IoHandle;
use ramson_transports::ports::own::OwnCells;
use ramson_transports::stats::DropCause;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Entries of the inbox that one turn takes, so that what they bring forth leaves in time.
const INBOX_BUDGET: usize = 256;

const WAKE: Token = Token(usize::MAX);
const TICK: Duration = Duration::from_secs(1);

/// An I/O thread that had no room is asked again after this.
const AGAIN: Duration = Duration::from_millis(1);

/// A client thread that does not run yet. It is made first, so that others can be given its port.
pub(crate) struct UnstartedClientThread {
    poll: Poll,
    pub(crate) port: Arc<Port>,
    pub(crate) stats: Arc<ClientStats>,
}

impl UnstartedClientThread {
    pub(crate) fn new(index: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let port = Arc::new(Port::new(index, Waker::new(poll.registry(), WAKE)?));
        Ok(Self { poll, port, stats: Arc::default() })
    }

    pub(crate) fn into_thread(self, io: &[IoHandle], clock: Clock, sink: Arc<dyn EventSink>) -> ClientThread {
        let now = clock.now();
        let way = |io: &IoHandle| Way { io: io.clone(), batch: OwnCells::default(), refused: VecDeque::new() };
        ClientThread {
            poll: self.poll,
            port: self.port,
            stats: self.stats,
            clock,
            sink,
            ways: io.iter().map(way).collect(),
            inbound: FxHashMap::default(),
            outbound: FxHashMap::default(),
            dirty: Vec::new(),
            received: Vec::new(),
            rng: rand::make_rng(),
            now,
            next_tick: now.mono + TICK,
            stopping: false,
        }
    }
}

/// The way to one I/O thread.
struct Way {
    io: IoHandle,
    batch: OwnCells,
    /// Batches for which it had no room. No more than the lanes of its tunnels bear, since what is here has not gone.
    refused: VecDeque<OwnCells>,
}

impl Way {
    fn push(&mut self, tunnel: TunnelId, cell: &[u8; 1024]) {
        self.batch.push(tunnel, cell);
        if self.batch.is_full() {
            self.hand_over();
        }
    }

    /// Hands over what there is, in its order.
    fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            let fresh = self.io.own_spare();
            self.refused.push_back(std::mem::replace(&mut self.batch, fresh));
        }
        while let Some(batch) = self.refused.pop_front() {
            if let Err(batch) = self.io.own_cells(batch) {
                self.refused.push_front(batch);
                break;
            }
        }
    }
}

/// An outbound tunnel of this thread.
struct Outbound {
    end: OwnOut,
    held: Arc<Held>,
    home: usize,
    over: Over,
    /// It is in the list of those to be polled.
    dirty: bool,
}

pub(crate) struct ClientThread {
    poll: Poll,
    port: Arc<Port>,
    stats: Arc<ClientStats>,
    clock: Clock,
    sink: Arc<dyn EventSink>,
    ways: Vec<Way>,
    inbound: FxHashMap<TunnelId, (OwnIn, Over)>,
    outbound: FxHashMap<TunnelId, Outbound>,
    /// Outbound tunnels that have new messages or new credit.
    dirty: Vec<TunnelId>,
    received: Vec<Received>,
    rng: ChaCha20Rng,
    now: Now,
    next_tick: Mono,
    stopping: bool,
}

impl ClientThread {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// If waiting fails, which leaves the thread nothing to do.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        while !self.stopping {
            self.wait(&mut events)?;
            let woke = self.clock.now();
            self.now = woke;
            self.turn();
            self.now = self.clock.now();
            self.stats.turns.add(1);
            let busy = self.now.mono.saturating_sub(woke.mono);
            self.stats.busy_ns.add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = if !self.port.inbox.prepare_sleep() {
            Duration::ZERO
        } else if self.ways.iter().any(|way| !way.refused.is_empty()) {
            AGAIN
        } else {
            self.next_tick.saturating_sub(self.now.mono)
        };
        let result = self.poll.poll(events, Some(timeout));
        self.port.inbox.awake();
        match result {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    fn turn(&mut self) {
        self.stats.inbox_depth.set(self.port.inbox.len() as u64);
        for _ in 0..INBOX_BUDGET {
            let Some(input) = self.port.inbox.pop() else { break };
            self.on_input(input);
        }
        if self.now.mono >= self.next_tick {
            self.next_tick = self.now.mono + TICK;
            self.tick();
        }
        while let Some(tunnel) = self.dirty.pop() {
            self.send(tunnel);
        }
        self.ways.iter_mut().for_each(Way::hand_over);
        self.deliver();
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Cells(cells) => self.on_cells(cells),
            Input::Credit(tunnel) => self.mark(tunnel),
            Input::Inbound(NewInbound { tunnel, ciphers, over }) => {
                self.inbound.insert(tunnel, (OwnIn::new(ciphers), over));
            }
            Input::Outbound(NewOutbound { tunnel, ciphers, lane, held, home, over }) => {
                let end = OwnOut::new(ciphers, lane);
                self.outbound.insert(tunnel, Outbound { end, held, home, over, dirty: false });
            }
            Input::Close(tunnel) => self.close(tunnel),
            Input::Send(tunnel, delivery, message) => self.on_message(tunnel, delivery, message),
            Input::Stop => self.stopping = true,
        }
    }

    fn close(&mut self, tunnel: TunnelId) {
        self.inbound.remove(&tunnel);
        if let Some(out) = self.outbound.remove(&tunnel) {
            self.stats.lose(DropCause::UnknownTunnel, out.end.held().0 as u64);
        }
    }

    /// A message into an outbound tunnel.
    fn on_message(&mut self, tunnel: TunnelId, delivery: Delivery, message: Message) {
        let Some(out) = self.outbound.get_mut(&tunnel) else {
            return self.stats.lose(DropCause::UnknownTunnel, 1);
        };
        let len = message.body.len();
        if out.end.handle_message(delivery, message).is_err() {
            // The sender took room, so this does not happen.
            out.held.give(1, len);
            self.stats.lose(DropCause::OwnQueueFull, 1);
        }
        self.mark(tunnel);
    }

    /// Raw cells of inbound tunnels.
    fn on_cells(&mut self, mut cells: OwnCells) {
        let Self { inbound, received, stats, now, .. } = self;
        for (tunnel, run) in cells.runs() {
            let Some((end, _)) = inbound.get_mut(&tunnel) else {
                stats.lose(DropCause::UnknownTunnel, run.len() as u64);
                continue;
            };
            let (before, parts) = (end.stats(), end.reassembly());
            end.handle_cells(now.mono, run, |message| {
                received.push(Received::TunnelMessage { tunnel, own: true, message });
            });
            stats.reassembled(parts, end.reassembly());
            let after = end.stats();
            stats.messages_in.add(after.messages - before.messages);
            stats.lose(DropCause::BadFragment, after.bad_fragments - before.bad_fragments);
            stats.lose(DropCause::BadMessage, after.bad_messages - before.bad_messages);
        }
        self.port.keep(cells);
    }

    /// The tunnel is to be polled in this turn.
    fn mark(&mut self, tunnel: TunnelId) {
        if let Some(out) = self.outbound.get_mut(&tunnel)
            && !std::mem::replace(&mut out.dirty, true)
        {
            self.dirty.push(tunnel);
        }
    }

    /// Cells of one outbound tunnel, as far as there is credit.
    fn send(&mut self, tunnel: TunnelId) {
        let Some(out) = self.outbound.get_mut(&tunnel) else { return };
        let Some(way) = self.ways.get_mut(out.home) else { return };
        out.dirty = false;
        let (held, before) = (out.end.held(), out.end.stats());
        out.end.poll_cells(self.now.wall, &mut self.rng, |cell| way.push(tunnel, cell));
        let (left, after) = (out.end.held(), out.end.stats());
        out.held.give(held.0 - left.0, held.1 - left.1);
        self.stats.messages_out.add(after.messages - before.messages);
        self.stats.lose(DropCause::Expired, after.expired - before.expired);
        self.stats.lose(DropCause::TooLarge, after.too_large - before.too_large);
    }

    fn tick(&mut self) {
        let over = |over: &Over| over.load(Relaxed);
        let ended = self.outbound.iter().filter(|(_, out)| over(&out.over)).map(|(id, _)| *id);
        let ended: Vec<TunnelId> =
            ended.chain(self.inbound.iter().filter(|(_, e)| over(&e.1)).map(|(id, _)| *id)).collect();
        ended.into_iter().for_each(|tunnel| self.close(tunnel));
        for (end, _) in self.inbound.values_mut() {
            let before = end.reassembly();
            end.handle_timeout(self.now.mono);
            self.stats.reassembled(before, end.reassembly());
        }
        // What waits may have expired; and an I/O thread that could not tell of credit is not waited for.
        let waiting: Vec<TunnelId> =
            self.outbound.iter().filter(|(_, out)| out.end.waits()).map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|tunnel| self.mark(tunnel));
    }

    fn deliver(&mut self) {
        if self.received.is_empty() {
            return;
        }
        if let Err(lost) = self.sink.received(std::mem::take(&mut self.received)) {
            self.stats.lose(DropCause::ControlFull, lost.len() as u64);
        }
    }
}
