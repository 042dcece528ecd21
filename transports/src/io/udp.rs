//! Datagrams of SSU2 in, datagrams out: from sockets to sessions and back.
//!
//! Every thread knows of every session where it lives. A datagram for a session of this thread is opened where it lies;
//! one for another thread's goes there, one that belongs to no session to the SSU2 thread, both in batches.

use super::Links;
use super::session::ssu2::Ssu2;
use super::session::{Session, Wire};
use crate::event::{Direction, Received};
use crate::ports::datagrams::{Datagrams, Origin};
use crate::ports::io::{Command, Input};
use crate::ports::ssu2::{self, Adoption, Route, Ssu2Handle};
use crate::relay::{CELL_MESSAGE, Relay};
use crate::stats::{DropCause, SSU2_COUNTERS, Transport};
use crate::udp::{Batch, Receiver, Socket};
use mio::Token;
use ramson_crypto::mask::LANES;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::block::I2np;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::role::Role;
use ramson_protocol::ssu2::block::{self, Block};
use ramson_protocol::ssu2::header::{self, MaskKey};
use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::session::{Config as SessionConfig, Event as SessionEvent, KEEP_ALIVE, Session as Core};
use ramson_protocol::time::Mono;
use rand::Rng;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::Duration;

/// Tokens of UDP sockets count down from here; those of sessions count up from zero.
const FIRST_TOKEN: usize = usize::MAX - 1;
/// Blocks of services that one session may send at once after a pause, and a second: tests, introductions, tags, addresses,
/// tokens. INTEROP: an introducer of a router that many call passes on a few answers a second.
const SERVICES: (f32, f32) = (32.0, 8.0);
/// Addresses that we listen on, at most.
const MAX_SOCKETS: usize = 16;

/// Where a session is.
#[derive(Clone, Copy)]
enum Place {
    Here(usize),
    Thread(usize),
}

/// What an I/O thread has for SSU2.
pub(crate) struct Udp {
    sockets: Vec<Socket>,
    ready: Vec<bool>,
    /// Out while what it holds is handled.
    receiver: Option<Receiver>,
    intro: MaskKey,
    pub(super) session: SessionConfig,
    places: FxHashMap<u64, Place>,
    /// Datagrams for sessions of other threads, by thread.
    away: Vec<Datagrams>,
    /// Datagrams that belong to no session, for the SSU2 thread.
    strangers: Datagrams,
    thread: Ssu2Handle,
    /// Timers of sessions by their id. One that is no longer what its session is armed for is passed over.
    timers: BinaryHeap<Reverse<(Mono, u64)>>,
    events: Vec<SessionEvent>,
    out: Vec<u8>,
    /// What sessions had counted that have ended.
    ended: [u64; SSU2_COUNTERS.len()],
}

impl Udp {
    /// For sockets of one thread among `threads`.
    pub(crate) fn new(
        sockets: Vec<Socket>,
        intro: [u8; 32],
        session: SessionConfig,
        threads: usize,
        thread: Ssu2Handle,
    ) -> Self {
        let joins = sockets.iter().any(Socket::joins);
        Self {
            ready: vec![true; sockets.len()],
            sockets,
            receiver: Some(Receiver::new(joins)),
            intro: MaskKey::new(intro),
            session,
            places: FxHashMap::default(),
            away: (0..threads).map(|_| Datagrams::default()).collect(),
            strangers: Datagrams::default(),
            thread,
            timers: BinaryHeap::new(),
            events: Vec::new(),
            out: Vec::new(),
            ended: [0; SSU2_COUNTERS.len()],
        }
    }

    /// Enters the sockets into the thread's poll.
    ///
    /// # Errors
    /// What the system says when it cannot watch a socket.
    pub(crate) fn register(&mut self, registry: &mio::Registry) -> io::Result<()> {
        for (n, socket) in self.sockets.iter_mut().enumerate().take(MAX_SOCKETS) {
            socket.register(registry, Token(FIRST_TOKEN - n))?;
        }
        Ok(())
    }

    /// True if a socket may have more.
    pub(super) fn ready(&self) -> bool {
        self.ready.contains(&true)
    }

    /// When the next timer of a session fires.
    pub(super) fn next_timer(&self) -> Option<Mono> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }
}

/// The socket that a token stands for, if it stands for one.
pub(super) fn socket_of(token: Token) -> Option<usize> {
    let n = FIRST_TOKEN.checked_sub(token.0)?;
    (n < MAX_SOCKETS).then_some(n)
}

impl Links {
    pub(super) fn on_udp_ready(&mut self, socket: usize, readable: bool) {
        if readable
            && let Some(udp) = &mut self.udp
            && let Some(ready) = udp.ready.get_mut(socket)
        {
            *ready = true;
        }
    }

    /// One receive call on each socket that may have something.
    pub(super) fn receive_udp(&mut self, relay: &mut Relay) {
        let Some(mut receiver) = self.udp.as_mut().and_then(|udp| udp.receiver.take()) else { return };
        for local in 0.. {
            let Some(udp) = &mut self.udp else { break };
            let Some(ready) = udp.ready.get_mut(local) else { break };
            if !*ready || !self.shaper.may_read() {
                continue;
            }
            let batches = match receiver.receive(&udp.sockets[local]) {
                Ok((batches, more)) => {
                    *ready = more;
                    batches
                }
                Err(_) => {
                    // Errors of a datagram socket are about datagrams that we sent, and are over once told.
                    *ready = false;
                    0
                }
            };
            for n in 0..batches {
                let batch = receiver.batch(n);
                self.shaper.read(batch.len);
                self.stats.wire(Transport::Ssu2).received.bytes.add(batch.len as u64);
                self.on_batch(relay, local, batch, receiver.bytes());
            }
        }
        if let Some(udp) = &mut self.udp {
            udp.receiver = Some(receiver);
        }
    }

    fn on_batch(&mut self, relay: &mut Relay, socket: usize, batch: Batch, bytes: &mut [u8]) {
        let local = OurEnd { socket, ip: batch.to };
        let origin = Origin { from: batch.from, local, congested: batch.congested };
        let mut cells = 0;
        for group in bytes[batch.start..batch.start + batch.len].chunks_mut(batch.stride * LANES) {
            let Some(udp) = &self.udp else { return };
            let ids = header::connection_ids(group.chunks(batch.stride), &udp.intro);
            let mut ids = &ids[..group.len().div_ceil(batch.stride)];
            let mut rest = group;
            self.stats.wire(Transport::Ssu2).received.frames.add(ids.len() as u64);
            // What the kernel has joined is of one sender, and so of one session, as a rule.
            while let Some(id) = ids.first().copied() {
                let run = ids.iter().take_while(|other| **other == id).count();
                let (these, behind) = rest.split_at_mut((run * batch.stride).min(rest.len()));
                match id {
                    Some(id) => cells += self.on_run(relay, id, origin, these, batch.stride),
                    None => self.stats.drops[DropCause::BadDatagram as usize].add(run as u64),
                }
                (ids, rest) = (&ids[run..], behind);
            }
        }
        if cells > 0 {
            self.stats.cells_per_read.record(cells);
        }
    }

    /// Datagrams of one sender with one id, `stride` bytes each but the last. Returns how many cells were in them.
    fn on_run(&mut self, relay: &mut Relay, id: u64, origin: Origin, bytes: &mut [u8], stride: usize) -> u64 {
        let Some(udp) = &mut self.udp else { return 0 };
        match udp.places.get(&id).copied() {
            Some(Place::Here(session)) => return self.on_session_datagrams(relay, session, origin, bytes, stride),
            Some(Place::Thread(thread)) => {
                bytes.chunks(stride).for_each(|datagram| udp.away[thread].push(origin, id, datagram));
                if udp.away[thread].is_full() {
                    self.hand_over_datagrams_to(thread);
                }
            }
            None => {
                bytes.chunks(stride).for_each(|datagram| udp.strangers.push(origin, id, datagram));
                if udp.strangers.is_full() {
                    self.hand_over_strangers();
                }
            }
        }
        0
    }

    /// Datagrams that other threads received for sessions of this one.
    pub(super) fn on_datagrams(&mut self, relay: &mut Relay, mut datagrams: Datagrams) {
        datagrams.for_each(|origin, id, datagram| {
            let place = self.udp.as_ref().and_then(|udp| udp.places.get(&id));
            // What was handed over once has reached the thread that should know it, if anyone does.
            match place {
                Some(Place::Here(session)) => {
                    let (session, len) = (*session, datagram.len());
                    self.on_session_datagrams(relay, session, origin, datagram, len);
                }
                _ => self.stats.dropped(DropCause::UnknownSession),
            }
        });
    }

    fn on_session_datagrams(
        &mut self,
        relay: &mut Relay,
        index: usize,
        origin: Origin,
        bytes: &mut [u8],
        stride: usize,
    ) -> u64 {
        let Some(udp) = &mut self.udp else { return 0 };
        let Some(session) = self.sessions.get_mut(index) else { return 0 };
        let Some(from) = self.peers.get(session.peer).map(|peer| peer.hash) else { return 0 };
        let Wire::Ssu2(wire) = &mut session.wire else { return 0 };
        let id = wire.id;
        let mut events = std::mem::take(&mut udp.events);
        if origin.congested {
            wire.core.on_congestion_experienced();
        }
        wire.core.handle_datagrams(self.now, origin.from, bytes, stride, &mut events);
        let mut cells = 0;
        let mut over = None;
        if events.iter().any(is_use) {
            session.last_in = self.now.mono;
        }
        for event in events.drain(..) {
            match event {
                SessionEvent::Message { kind, id, expiration, body } => {
                    cells += u64::from(kind == CELL_MESSAGE);
                    let message = I2np { kind, id, expiration, body: &bytes[body] };
                    self.on_i2np(relay, index, from, Transport::Ssu2, message);
                }
                SessionEvent::Reassembled { kind, id, expiration, body } => {
                    let message = I2np { kind, id, expiration, body: &body };
                    self.on_i2np(relay, index, from, Transport::Ssu2, message);
                }
                SessionEvent::RouterInfo { flood, bytes } => {
                    // Peer tests and introductions send one ahead.
                    self.service(index, ssu2::Input::Info(bytes.clone()));
                    self.pass_control(index, Received::RouterInfo { from, bytes: bytes.into(), flood });
                }
                SessionEvent::NewToken { expires, token } => {
                    self.service(index, ssu2::Input::Token(origin.from, token, expires));
                }
                SessionEvent::Terminated { reason } => over = Some(reason),
                SessionEvent::PeerTest(data) => self.service_block(index, from, block::PEER_TEST, &bytes[data]),
                SessionEvent::RelayRequest(data) => self.service_block(index, from, block::RELAY_REQUEST, &bytes[data]),
                SessionEvent::RelayResponse(data) => {
                    self.service_block(index, from, block::RELAY_RESPONSE, &bytes[data]);
                }
                SessionEvent::RelayIntro(data) => self.service_block(index, from, block::RELAY_INTRO, &bytes[data]),
                SessionEvent::RelayTagRequest => {
                    // spec: ssu2 §Relay Tag Request — one tag for a session; whoever asks again has missed nothing.
                    let first =
                        self.sessions.get_mut(index).is_some_and(|s| !std::mem::replace(&mut s.has_asked, true));
                    if first {
                        self.service_block(index, from, block::RELAY_TAG_REQUEST, &[]);
                    }
                }
                SessionEvent::RelayTag(tag) => {
                    self.service_block(index, from, block::RELAY_TAG, &tag.to_be_bytes());
                }
                SessionEvent::Address(addr) => self.service(index, ssu2::Input::Seen(from, addr)),
                SessionEvent::PeerMoved { addr } => self.tell_thread(ssu2::Input::Moved(from, id, addr)),
                // The handshake has compared the clocks.
                SessionEvent::Skew(_) => {}
            }
        }
        if let Some(udp) = &mut self.udp {
            udp.events = events;
        }
        match over {
            Some(reason) => {
                // spec: ssu2 §Session Termination — the peer hears that we have heard.
                self.transmit_udp(index);
                self.forget(index, Some(Reason(reason.0)));
            }
            None => self.mark_dirty(index),
        }
        cells
    }

    /// What a service is to look at goes to its thread, as far as the session has not had its share.
    fn service(&mut self, index: usize, input: ssu2::Input) {
        let now = self.now.mono;
        if self.sessions.get_mut(index).is_some_and(|session| session.services.take(SERVICES, now)) {
            self.tell_thread(input);
        } else {
            self.stats.dropped(DropCause::ServiceShare);
        }
    }

    fn service_block(&mut self, index: usize, from: RouterHash, kind: u8, data: &[u8]) {
        self.service(index, ssu2::Input::Block(from, kind, data.to_vec()));
    }

    /// A block that a service sends in a session with a router.
    pub(super) fn send_service_block(&mut self, to: &RouterHash, service: &ssu2::Block) {
        let Some(peer) = self.peers.find(to).and_then(|peer| self.peers.get(peer)) else { return };
        let mut all = peer.primary.iter().chain(&peer.older).copied();
        let session = all.find(|index| self.sessions.get(*index).is_some_and(|s| s.transport() == Transport::Ssu2));
        let Some(index) = session else { return };
        let bounds = self.bounds;
        if self.sessions.get(index).is_some_and(|session| session.held() > 0 && session.control_full(bounds)) {
            return self.stats.dropped(DropCause::EgressFull);
        }
        if let Some(wire) = self.sessions.get_mut(index).and_then(Session::ssu2) {
            if service.kind == block::RELAY_TAG_REQUEST {
                // Whom we ask to introduce others must be able to reach us.
                wire.core.keep_alive();
            }
            if let Some(info) = &service.router_info {
                wire.core.queue_router_info(info, false);
            }
            if let Ok(block) = Block::parse(service.kind, &service.data) {
                wire.core.queue_block(&block);
            }
        }
        self.mark_dirty(index);
    }

    /// What the SSU2 thread should know. It forgets nothing that matters if it does not keep up.
    fn tell_thread(&self, input: ssu2::Input) {
        if let Some(udp) = &self.udp
            && !udp.thread.push(input)
        {
            self.stats.dropped(DropCause::ControlFull);
        }
    }

    /// At the end of a turn: what belongs to others goes to them.
    pub(super) fn hand_over_datagrams(&mut self) {
        for thread in 0..self.others.len() {
            self.hand_over_datagrams_to(thread);
        }
        self.hand_over_strangers();
    }

    fn hand_over_datagrams_to(&mut self, thread: usize) {
        let Some(udp) = &mut self.udp else { return };
        if udp.away[thread].is_empty() {
            return;
        }
        let batch = std::mem::take(&mut udp.away[thread]);
        let count = batch.len() as u64;
        if self.others[thread].inbox.push(Input::Datagrams(batch)).is_err() {
            self.stats.drops[DropCause::HandoffFull as usize].add(count);
        }
    }

    fn hand_over_strangers(&mut self) {
        let Some(udp) = &mut self.udp else { return };
        if udp.strangers.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut udp.strangers);
        let count = batch.len() as u64;
        if !udp.thread.push(ssu2::Input::Strangers(batch)) {
            self.stats.drops[DropCause::HandoffFull as usize].add(count);
        }
    }

    /// Where a session of another thread is, or that it is no more.
    pub(super) fn on_route(&mut self, route: Route) {
        let Some(udp) = &mut self.udp else { return };
        match (route.thread, udp.places.get(&route.id)) {
            (_, Some(Place::Here(_))) => {}
            (Some(thread), _) if thread < udp.away.len() => drop(udp.places.insert(route.id, Place::Thread(thread))),
            _ => drop(udp.places.remove(&route.id)),
        }
    }

    /// A session that the SSU2 thread made.
    pub(super) fn adopt_ssu2(&mut self, relay: &mut Relay, new: &Adoption) {
        let established = &new.established;
        let direction = match established.role {
            Role::Initiator => Direction::Outbound,
            Role::Responder => Direction::Inbound,
        };
        if self.up.is_behind() {
            let (peer, addr) = (established.peer, established.addr);
            return self.turn_away(peer, direction, Transport::Ssu2, addr, "control_plane_full");
        }
        let Some(udp) = &mut self.udp else { return };
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let keep_alive = new.behind_nat.then_some(KEEP_ALIVE);
        let core = Core::new(established, SessionConfig { keep_alive, ..udp.session }, seed, self.now);
        let wire = Ssu2::new(core, established.local_id, established.local);
        let (slot, id) = (self.sessions.vacant_entry(), established.local_id);
        udp.places.insert(id, Place::Here(slot.key()));
        let index = slot.key();
        let peer = self.peers.intern(established.peer);
        let session = Session::new(peer, established.addr.ip(), direction, Wire::Ssu2(Box::new(wire)), self.now.mono);
        slot.insert(Session { has_asked: established.relay_tag_requested, ..session });
        self.enter(index, peer, Transport::Ssu2, established.addr, established.router_info.clone(), established.skew.0);
        if let Some(wire) = self.sessions.get_mut(index).and_then(Session::ssu2) {
            let (token, expires) = new.token;
            wire.core.queue_block(&Block::NewToken { expires, token });
        }
        self.mark_dirty(index);
        for datagram in &established.early {
            let mut datagram = datagram.to_vec();
            let origin = Origin { from: established.addr, local: established.local, congested: false };
            let len = datagram.len();
            self.on_session_datagrams(relay, index, origin, &mut datagram, len);
        }
    }

    /// Sends what a session of SSU2 has to send, and sets its timer.
    pub(super) fn flush_udp(&mut self, index: usize) {
        self.transmit_udp(index);
        let Some(udp) = &mut self.udp else { return };
        let Some(wire) = self.sessions.get_mut(index).and_then(Session::ssu2) else { return };
        if wire.core.is_ended() {
            return self.forget(index, None);
        }
        // A timer that is set for too early fires for nothing and is set anew; so each session has one entry in the heap.
        if let Some(due) = wire.core.poll_timeout().filter(|due| wire.armed.is_none_or(|armed| *due < armed)) {
            wire.armed = Some(due);
            udp.timers.push(Reverse((due, wire.id)));
        }
    }

    fn transmit_udp(&mut self, index: usize) {
        let Some(udp) = &mut self.udp else { return };
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Wire::Ssu2(wire) = &mut session.wire else { return };
        let Some(socket) = udp.sockets.get_mut(wire.local.socket) else { return };
        let sent = &self.stats.wire(Transport::Ssu2).sent;
        let segments = socket.segments();
        loop {
            udp.out.clear();
            let Some(transmit) = wire.core.poll_transmit(self.now, &mut udp.out, segments) else { break };
            let mut result = socket.send(wire.local.ip, transmit.to, &udp.out, transmit.segment, true);
            if result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::AddrNotAvailable) {
                // The address is gone. The peer takes the new one for a move, and tests the way there.
                wire.local.ip = None;
                result = socket.send(None, transmit.to, &udp.out, transmit.segment, true);
            }
            if result.is_ok() {
                sent.bytes.add(udp.out.len() as u64);
                sent.frames.add(transmit.packets as u64);
                self.shaper.wrote(udp.out.len());
            } else {
                // The session takes it for a loss, and slows down.
                self.stats.drops[DropCause::SocketFull as usize].add(transmit.packets as u64);
                break;
            }
        }
        let cells = std::mem::take(&mut wire.cells);
        if cells > 0 {
            self.stats.cells_per_write.record(cells);
        }
    }

    pub(super) fn fire_udp_timers(&mut self) {
        while let Some(udp) = &mut self.udp
            && let Some(Reverse((at, id))) = udp.timers.peek().copied()
            && at <= self.now.mono
        {
            udp.timers.pop();
            let Some(Place::Here(index)) = udp.places.get(&id).copied() else { continue };
            let Some(wire) = self.sessions.get_mut(index).and_then(Session::ssu2) else { continue };
            if wire.armed != Some(at) {
                continue;
            }
            wire.armed = None;
            if wire.core.poll_timeout().is_some_and(|due| due <= self.now.mono) {
                wire.core.handle_timeout(self.now);
            }
            self.mark_dirty(index);
        }
    }

    /// Adds up what the sessions of SSU2 have counted.
    pub(super) fn sum_up_udp(&mut self) {
        let Some(udp) = &self.udp else { return };
        let (mut sums, mut rtt, mut sessions) = (udp.ended, Duration::ZERO, 0);
        for (_, session) in &self.sessions {
            if let Wire::Ssu2(wire) = &session.wire {
                add(&mut sums, &wire.core);
                (rtt, sessions) = (rtt + wire.core.rtt(), sessions + 1);
            }
        }
        self.stats.ssu2.iter().zip(sums).for_each(|(counter, sum)| counter.set(sum));
        let mean = rtt.checked_div(sessions).unwrap_or_default();
        self.stats.ssu2_rtt_us.set(u64::try_from(mean.as_micros()).unwrap_or(u64::MAX));
    }

    /// The last word of a session of SSU2.
    pub(super) fn say_goodbye_udp(&mut self, index: usize, reason: Reason) {
        if let Some(wire) = self.sessions.get_mut(index).and_then(Session::ssu2) {
            wire.core.close(reason, self.now);
            self.flush_udp(index);
        }
    }

    /// A session has ended: its datagrams belong to nobody.
    pub(super) fn forget_udp(&mut self, peer: usize, wire: &Ssu2) {
        if let Some(peer) = self.peers.get(peer) {
            self.tell_thread(ssu2::Input::Down(peer.hash, wire.id));
        }
        let Some(udp) = &mut self.udp else { return };
        udp.places.remove(&wire.id);
        add(&mut udp.ended, &wire.core);
        let route = Route { id: wire.id, thread: None };
        for (thread, other) in self.others.iter().enumerate() {
            if thread != self.index {
                // One that misses this hands datagrams to us for a while, and they are dropped here.
                let _ = other.inbox.push(Input::Command(Command::Route(route)));
            }
        }
    }
}

/// Whether somebody makes use of the session: what it says of itself, times, tokens and addresses, keeps it open for nobody.
fn is_use(event: &SessionEvent) -> bool {
    match event {
        SessionEvent::Message { .. }
        | SessionEvent::Reassembled { .. }
        | SessionEvent::RouterInfo { .. }
        | SessionEvent::PeerTest(_)
        | SessionEvent::RelayRequest(_)
        | SessionEvent::RelayResponse(_)
        | SessionEvent::RelayIntro(_)
        | SessionEvent::Terminated { .. } => true,
        SessionEvent::NewToken { .. }
        | SessionEvent::RelayTagRequest
        | SessionEvent::RelayTag(_)
        | SessionEvent::Address(_)
        | SessionEvent::PeerMoved { .. }
        | SessionEvent::Skew(_) => false,
    }
}

fn add(sums: &mut [u64; SSU2_COUNTERS.len()], session: &Core) {
    for (sum, n) in sums.iter_mut().zip(session.stats().counters()) {
        *sum += n;
    }
}
