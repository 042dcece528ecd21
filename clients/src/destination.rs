//! A destination on its client thread: the core, and the pipes of its streams.
//!
//! ```text
//! Garlic out of its tunnels, pipes, the clock --> core --> Garlic into its tunnels, pipes, questions to its actor
//! ```
//! Out of the core go packets only while the tunnels take them: what waits there is bounded, and what waits in streams is felt by the
//! applications.

use crate::own_out::QUEUE_BYTES;
use crate::pipe::{Pipe, Stream};
use crate::port::Port;
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::destination::{Config, Destination, In, Out, Stats};
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{DestinationHash, DestinationId, MessageId, TunnelId};
use ramson_protocol::ratchet::sessions;
use ramson_protocol::streaming::streams::{self, Ports, Signer};
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::Delivery;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A tunnel for which so much waits gets no more packets of streams for the moment.
const ENOUGH: usize = QUEUE_BYTES / 4;

/// A destination that begins.
pub struct NewDestination {
    /// Its number in this process.
    pub id: DestinationId,
    /// Its bounds.
    pub config: Config,
    /// Who it is.
    pub signer: Signer,
    /// The private half of the key in its lease sets.
    pub encryption: SecretKey,
    /// Where its questions go.
    pub questions: mpsc::Sender<DestinationHash>,
    /// Where streams go that others begin; none are taken without.
    pub accepted: Option<mpsc::Sender<Stream>>,
}

impl std::fmt::Debug for NewDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewDestination").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a destination is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something for its core.
    Input(In),
    /// Begin a stream.
    Connect(Arc<Pipe>, DestinationHash, Ports),
    /// It is over.
    Close,
}

/// What its destinations want of a thread.
pub(crate) trait Tunnels {
    /// Bytes that wait for a tunnel of ours; `None` if there is no such tunnel.
    fn waiting(&self, tunnel: TunnelId) -> Option<usize>;
    /// Puts a message into a tunnel of ours.
    fn send(&mut self, tunnel: TunnelId, delivery: Delivery, message: Message);
}

/// What a destination has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationStats {
    /// Of sessions.
    pub sessions: sessions::Stats,
    /// Of streams.
    pub streams: streams::Stats,
    /// Of the rest.
    pub other: Stats,
}

/// Counters of destinations by what they count of, and what: monotonic. And how many there are now.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl DestinationStats {
    /// Adds all of it to `counts`.
    pub(crate) fn add_to(&self, counts: &mut Counts) {
        let Self { sessions: s, streams: t, other } = self;
        let sessions = [
            ("question_sent", s.asked),
            ("question_opened", s.heard),
            ("reply_sent", s.replied),
            ("reply_opened", s.answered),
            ("message_sent", s.sent),
            ("message_opened", s.received),
            ("keys_renewed", s.renewed),
            ("evicted", s.evicted),
        ];
        let streams = [
            ("begun", t.connected),
            ("accepted", t.accepted),
            ("packet_sent", t.sent),
            ("packet_sent_again", t.retransmitted),
            ("packet_received", t.received),
        ];
        let messages = [
            ("bad_clove", other.bad_cloves),
            ("bad_lease_set", other.bad_lease_sets),
            ("lost_waiting", other.lost_waiting),
            ("unknown_protocol", other.unknown_protocols),
        ];
        let refused =
            sessions::Refused::ALL.iter().zip(other.refused).map(|(why, n)| ("garlic_refused", why.label(), n));
        let packets = streams::Refused::ALL.iter().zip(t.refused).map(|(why, n)| ("packet_refused", why.label(), n));
        let ended = streams::ENDS.iter().zip(t.ended).map(|(end, n)| ("stream_ended", end.label(), n));
        let of = |part: &'static str| move |(event, n): (&'static str, u64)| (part, event, n);
        let named =
            sessions.map(of("session")).into_iter().chain(streams.map(of("stream"))).chain(messages.map(of("message")));
        for (part, event, n) in named.chain(refused).chain(packets).chain(ended) {
            *counts.entry((part, event)).or_default() += n;
        }
    }
}

/// A destination of this thread.
pub(crate) struct Local {
    id: DestinationId,
    core: Destination,
    pipes: FxHashMap<u32, Arc<Pipe>>,
    outbound: Vec<TunnelId>,
    questions: mpsc::Sender<DestinationHash>,
    accepted: Option<mpsc::Sender<Stream>>,
    port: Arc<Port>,
}

impl Local {
    pub(crate) fn new(new: NewDestination, port: Arc<Port>, rng: &mut ChaCha20Rng, now: Now) -> Self {
        let NewDestination { id, config, signer, encryption, questions, accepted } = new;
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let core = Destination::new(config, signer, encryption, seed, now);
        Self { id, core, pipes: FxHashMap::default(), outbound: Vec::new(), questions, accepted, port }
    }

    /// True if this is a message of a session that stands.
    pub(crate) fn knows(&self, garlic: &[u8]) -> bool {
        self.core.knows(garlic)
    }

    pub(crate) fn input(&mut self, now: Now, input: In) {
        if let In::Outbound(tunnels) = &input {
            self.outbound.clone_from(tunnels);
        }
        self.core.handle_input(now, input);
    }

    pub(crate) fn stats(&self) -> DestinationStats {
        DestinationStats {
            sessions: self.core.sessions().stats(),
            streams: self.core.streams().stats(),
            other: self.core.stats(),
        }
    }

    /// Sessions, tags, streams: as many as there are now.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        let (sessions, tags) = self.core.sessions().len();
        [sessions, tags, self.core.streams().len()]
    }

    pub(crate) fn connect(&mut self, now: Now, pipe: Arc<Pipe>, remote: DestinationHash, ports: Ports) {
        match self.core.streams_mut().connect(now, remote, ports) {
            Some(stream) => {
                pipe.begun(stream);
                self.pipes.insert(stream, pipe);
                self.look(now, stream);
            }
            None => pipe.end(ramson_protocol::streaming::stream::End::Unreachable),
        }
    }

    /// Moves bytes between a stream and its application, as far as both have room.
    pub(crate) fn look(&mut self, now: Now, stream: u32) {
        let Some(pipe) = self.pipes.get(&stream).cloned() else {
            return self.core.streams_mut().forget(stream);
        };
        pipe.look();
        let streams = self.core.streams_mut();
        if pipe.is_gone() && !pipe.is_closed() {
            streams.reset(stream);
        }
        pipe.drain_up(|bytes| streams.write(now, stream, bytes));
        if pipe.is_closed() {
            streams.close(now, stream);
        }
        while pipe.room_down() > 0
            && let Some(bytes) = streams.read(now, stream)
        {
            let taken = pipe.put_down(&bytes);
            if taken < bytes.len() {
                streams.unread(stream, bytes.slice(taken..));
                break;
            }
        }
        let Some(state) = streams.get(stream) else {
            self.pipes.remove(&stream);
            return;
        };
        if state.is_connected() {
            pipe.connect();
        }
        if state.is_read_to_its_end() {
            pipe.finish();
        }
        // Who is gone does not read what is left.
        if let Some(end) = state.ended()
            && (!state.is_readable() || pipe.is_gone())
        {
            pipe.end(end);
            self.pipes.remove(&stream);
            streams.forget(stream);
        }
    }

    /// Looks at the clock.
    pub(crate) fn timeout(&mut self, now: Now) {
        self.core.handle_timeout(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.core.poll_timeout()
    }

    /// Once a second: what was told and did not arrive.
    pub(crate) fn tick(&mut self, now: Now) {
        let told: Vec<u32> = self.pipes.iter().filter(|(_, pipe)| pipe.look()).map(|(stream, _)| *stream).collect();
        told.into_iter().for_each(|stream| self.look(now, stream));
        let streams = self.core.streams_mut();
        let ended: Vec<u32> = streams.ended().into_iter().filter(|id| !self.pipes.contains_key(id)).collect();
        ended.into_iter().for_each(|stream| streams.forget(stream));
    }

    /// Does what the core wants done, as far as the tunnels take it.
    pub(crate) fn drain(&mut self, now: Now, rng: &mut ChaCha20Rng, tunnels: &mut impl Tunnels) {
        loop {
            let room = self.outbound.iter().all(|tunnel| tunnels.waiting(*tunnel).is_none_or(|bytes| bytes < ENOUGH));
            match self.core.poll_output(now, room) {
                None => return,
                Some(Out::Garlic { tunnel, delivery, body, expiration }) => {
                    let id = MessageId(rng.next_u32());
                    let message = Message { kind: MessageType::Garlic, id, expiration, body };
                    tunnels.send(tunnel, delivery, message);
                }
                Some(Out::LookUp(hash)) => {
                    // Whoever cannot be asked finds nothing.
                    if self.questions.try_send(hash).is_err() {
                        self.core.handle_input(now, In::NotFound(hash));
                    }
                }
                Some(Out::Accepted { stream, remote }) => self.accept(now, stream, remote),
                Some(Out::Changed(stream)) => self.look(now, stream),
            }
        }
    }

    fn accept(&mut self, now: Now, stream: u32, remote: DestinationHash) {
        let pipe = Pipe::new(self.id, Arc::clone(&self.port));
        pipe.begun(stream);
        let handle = Stream::new(Arc::clone(&pipe), remote);
        self.pipes.insert(stream, pipe);
        // Dropping the stream breaks it off.
        let taken = self.accepted.as_ref().is_some_and(|accepted| accepted.try_send(handle).is_ok());
        if !taken {
            self.core.streams_mut().reset(stream);
        }
        self.look(now, stream);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for pipe in self.pipes.values() {
            pipe.end(ramson_protocol::streaming::stream::End::Broken);
        }
    }
}

/// The encrypted part of a Garlic message.
pub(crate) fn garlic(message: &Message) -> Option<Bytes> {
    (message.kind == MessageType::Garlic).then(|| ramson_protocol::i2np::garlic::parse(&message.body).ok()).flatten()
}
