//! A client thread: a loop that owns tunnels' ends and sleeps when there is nothing for them.
//!
//! ```text
//! turn: wait for the inbox or the next tick, and when there is much to do for the rest of the quantum
//!       -> raw cells: layers off, reassembly; commands; messages into tunnels
//!       -> each outbound tunnel with something new: cells, as far as its lane has credit
//!       -> finished cells to the I/O threads, messages to the control plane
//! ```

use crate::destination::{Counts, Local, Told, Tunnels, garlic};
use crate::own_in::OwnIn;
use crate::own_out::OwnOut;
use crate::port::{Held, Input, NewInbound, NewOutbound, Over, Port};
use crate::seats::{Seated, Seats};
use crate::stats::{ClientStats, SIZES};
use mio::{Events, Poll, Token, Waker};
use ramson_protocol::destination::In;
use ramson_protocol::i2np::Message;
use ramson_protocol::i2np::header::{Freshness, freshness};
use ramson_protocol::id::{DestinationId, TunnelId};
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_transports::clock::Clock;
use ramson_transports::event::{EventSink, Received};
use ramson_transports::pace::Pace;
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

/// The shortest sleep when only a timer is waited for.
const LEAST_SLEEP: Duration = Duration::from_micros(500);

/// The longest pause of a thread that has much to do, see [`Pace`]. A round trip has two of ours in it and lasts hundreds of
/// milliseconds.
const MAX_DELAY: Duration = Duration::from_millis(2);

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
            outbound: Outbounds::default(),
            packer: Packer::new(),
            seats: Seats::default(),
            past: Counts::new(),
            received: Vec::new(),
            rng: rand::make_rng(),
            now,
            pace: Pace::default(),
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

/// An inbound tunnel of this thread.
struct Inbound {
    end: OwnIn,
    destination: Option<DestinationId>,
    over: Over,
}

/// The outbound tunnels of this thread.
#[derive(Default)]
struct Outbounds {
    all: FxHashMap<TunnelId, Outbound>,
    /// Those that have new messages or new credit.
    dirty: Vec<TunnelId>,
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
    inbound: FxHashMap<TunnelId, Inbound>,
    outbound: Outbounds,
    /// What cells are made with, empty whenever no tunnel is at it: those that are idle keep none.
    packer: Packer,
    seats: Seats<Local>,
    /// What destinations have counted that are over.
    past: Counts,
    received: Vec<Received>,
    rng: ChaCha20Rng,
    now: Now,
    pace: Pace,
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
            self.pace.begin(woke.mono);
            self.turn();
            self.now = self.clock.now();
            self.pace.end(self.now.mono);
            self.stats.turns.add(1);
            let busy = self.now.mono.saturating_sub(woke.mono);
            self.stats.busy_ns.add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let pause = self.pace.pause(self.now.mono, MAX_DELAY);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let timeout = if !self.port.inbox.prepare_sleep() {
            Duration::ZERO
        } else if self.ways.iter().any(|way| !way.refused.is_empty()) {
            AGAIN
        } else {
            let next = self.seats.poll_timeout().map_or(self.next_tick, |at| at.min(self.next_tick));
            // Never shorter than the system's own grain, so that nobody turns in a circle.
            next.saturating_sub(self.now.mono).max(LEAST_SLEEP)
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
        self.serve_destinations();
        while let Some(tunnel) = self.outbound.dirty.pop() {
            self.send(tunnel);
        }
        self.ways.iter_mut().for_each(Way::hand_over);
        self.deliver();
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Cells(cells) => self.on_cells(cells),
            Input::Credit(tunnel) => self.outbound.mark(tunnel),
            Input::Inbound(NewInbound { destination, tunnel, ciphers, over }) => {
                self.inbound.insert(tunnel, Inbound { end: OwnIn::new(ciphers), destination, over });
            }
            Input::Outbound(NewOutbound { tunnel, ciphers, lane, held, home, over }) => {
                let end = OwnOut::new(ciphers, lane);
                self.outbound.all.insert(tunnel, Outbound { end, held, home, over, dirty: false });
            }
            Input::Close(tunnel) => self.close(tunnel),
            Input::Send(tunnel, delivery, message) => self.on_message(tunnel, delivery, message),
            Input::Destination(new) => {
                let (id, port) = (new.id, Arc::clone(&self.port));
                let local = Local::new(*new, port, &mut self.rng, self.now);
                if let Some(before) = self.seats.insert(id, local) {
                    before.stats().add_to(&mut self.past);
                }
            }
            Input::Tell(id, told) => self.on_told(id, told),
            Input::Look(id, stream) => {
                if let Some(local) = self.seats.get_mut(id) {
                    local.look(self.now, stream);
                }
            }
            Input::Stop => self.stopping = true,
        }
    }

    fn on_told(&mut self, id: DestinationId, told: Told) {
        let Self { seats, outbound, .. } = self;
        let Some(local) = seats.get_mut(id) else { return };
        match told {
            Told::Input(input) => local.input(self.now, input),
            Told::Datagram(datagram) => local.send(self.now, datagram, outbound),
            Told::Raw(raw) => local.send_raw(self.now, raw, outbound),
            Told::Connect(pipe, remote, ports) => local.connect(self.now, pipe, remote, ports),
            Told::Ping(remote, reply) => local.ping(self.now, remote, reply),
            // Whoever asked may be gone.
            Told::Describe(reply) => drop(reply.send(local.describe())),
            Told::Close => {
                if let Some(local) = self.seats.remove(id) {
                    local.stats().add_to(&mut self.past);
                }
            }
        }
    }

    /// Timers of destinations, and what they have to send.
    fn serve_destinations(&mut self) {
        let Self { seats, outbound, rng, now, .. } = self;
        seats.serve(now.mono, |local| {
            if local.poll_timeout().is_some_and(|at| at <= now.mono) {
                local.timeout(*now);
            }
            local.drain(*now, rng, outbound);
        });
    }

    fn close(&mut self, tunnel: TunnelId) {
        self.inbound.remove(&tunnel);
        if let Some(out) = self.outbound.all.remove(&tunnel) {
            self.stats.lose(DropCause::UnknownTunnel, out.end.held().0 as u64);
        }
    }

    /// A message into an outbound tunnel.
    fn on_message(&mut self, tunnel: TunnelId, delivery: Delivery, message: Message) {
        let Some(out) = self.outbound.all.get_mut(&tunnel) else {
            return self.stats.lose(DropCause::UnknownTunnel, 1);
        };
        let len = message.body.len();
        if out.end.handle_message(delivery, message).is_err() {
            // The sender took room, so this does not happen.
            out.held.give(1, len);
            self.stats.lose(DropCause::OwnQueueFull, 1);
        }
        self.outbound.mark(tunnel);
    }

    /// Raw cells of inbound tunnels.
    fn on_cells(&mut self, mut cells: OwnCells) {
        let Self { inbound, received, seats, stats, now, .. } = self;
        for (tunnel, run) in cells.runs() {
            let Some(Inbound { end, destination, .. }) = inbound.get_mut(&tunnel) else {
                stats.lose(DropCause::UnknownTunnel, run.len() as u64);
                continue;
            };
            let mut local = destination.and_then(|id| seats.get_mut(id));
            let (before, parts) = (end.stats(), end.reassembly());
            end.handle_cells(now.mono, run, |message| {
                // What belongs to a session stays here; all else may be an answer that the control plane waits for.
                if let Some(local) = &mut local
                    && let Some(garlic) = garlic(&message)
                    && local.knows(&garlic)
                {
                    if freshness(message.expiration, now.wall) == Freshness::Fresh {
                        local.input(*now, In::Garlic(garlic));
                    }
                } else {
                    received.push(Received::TunnelMessage { tunnel, own: true, message });
                }
            });
            stats.reassembled(parts, end.reassembly());
            let after = end.stats();
            stats.messages_in.add(after.messages - before.messages);
            stats.lose(DropCause::BadFragment, after.bad_fragments - before.bad_fragments);
            stats.lose(DropCause::BadMessage, after.bad_messages - before.bad_messages);
        }
        self.port.keep(cells);
    }

    /// Cells of one outbound tunnel, as far as there is credit.
    fn send(&mut self, tunnel: TunnelId) {
        let Some(out) = self.outbound.all.get_mut(&tunnel) else { return };
        let Some(way) = self.ways.get_mut(out.home) else { return };
        out.dirty = false;
        let (held, before) = (out.end.held(), out.end.stats());
        let mut more = true;
        while more {
            more = out.end.poll_cells(self.now.wall, &mut self.rng, &mut self.packer, way.batch.of(tunnel));
            if way.batch.is_full() {
                way.hand_over();
            }
        }
        let (left, after) = (out.end.held(), out.end.stats());
        out.held.give(held.0 - left.0, held.1 - left.1);
        self.stats.messages_out.add(after.messages - before.messages);
        self.stats.lose(DropCause::Expired, after.expired - before.expired);
        self.stats.lose(DropCause::TooLarge, after.too_large - before.too_large);
    }

    fn tick(&mut self) {
        let over = |over: &Over| over.load(Relaxed);
        let ended = self.outbound.all.iter().filter(|(_, out)| over(&out.over)).map(|(id, _)| *id);
        let ended: Vec<TunnelId> =
            ended.chain(self.inbound.iter().filter(|(_, own)| over(&own.over)).map(|(id, _)| *id)).collect();
        ended.into_iter().for_each(|tunnel| self.close(tunnel));
        self.tick_destinations();
        for Inbound { end, destination, .. } in self.inbound.values_mut() {
            let before = end.reassembly();
            end.handle_timeout(self.now.mono);
            self.stats.reassembled(before, end.reassembly());
            if end.fell_silent()
                && let Some(local) = destination.and_then(|id| self.seats.get_mut(id))
            {
                local.doubt();
            }
        }
        // What waits may have expired; and an I/O thread that could not tell of credit is not waited for.
        let waiting: Vec<TunnelId> =
            self.outbound.all.iter().filter(|(_, out)| out.end.waits()).map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|tunnel| self.outbound.mark(tunnel));
    }

    fn tick_destinations(&mut self) {
        let (mut counts, mut sizes) = (self.past.clone(), [0; SIZES.len()]);
        for local in self.seats.all() {
            local.tick(self.now);
            local.stats().add_to(&mut counts);
            let [sessions, tags, streams] = local.sizes();
            sizes.iter_mut().zip([1, sessions, tags, streams]).for_each(|(sum, n)| *sum += n as u64);
        }
        *self.stats.destinations.lock() = counts;
        self.stats.sizes.iter().zip(sizes).for_each(|(size, n)| size.set(n));
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

impl Outbounds {
    /// The tunnel is to be polled in this turn.
    fn mark(&mut self, tunnel: TunnelId) {
        if let Some(out) = self.all.get_mut(&tunnel)
            && !std::mem::replace(&mut out.dirty, true)
        {
            self.dirty.push(tunnel);
        }
    }
}

impl Tunnels for Outbounds {
    fn waiting(&self, tunnel: TunnelId) -> Option<usize> {
        self.all.get(&tunnel).map(|out| out.end.held().1)
    }

    fn send(&mut self, tunnel: TunnelId, delivery: Delivery, message: Message) {
        if let Some(out) = self.all.get_mut(&tunnel) {
            let len = message.body.len();
            // What is put in here is given back when it goes, like what others send. The core sends only where there is room.
            out.held.add(1, len);
            if out.end.handle_message(delivery, message).is_err() {
                out.held.give(1, len);
            }
            self.mark(tunnel);
        }
    }
}
