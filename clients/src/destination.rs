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
use crate::raw::{Sink, Up};
use crate::seats::Seated;
use bytes::Bytes;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::destination::raw::{Fate, Raw};
use ramson_protocol::destination::{Config, Destination, In, Out, Stats};
use ramson_protocol::elgamal;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{DestinationHash, DestinationId, MessageId, TunnelId};
use ramson_protocol::ratchet::handshake::Secrets;
use ramson_protocol::ratchet::sessions;
use ramson_protocol::streaming::stream::End;
use ramson_protocol::streaming::streams::{self, Ports, Signer};
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::Delivery;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{mpsc, oneshot};

/// A tunnel for which so much waits gets no more packets of streams for the moment.
const ENOUGH: usize = QUEUE_BYTES / 4;

/// Answers that are waited for.
const PINGS: usize = 16;

/// What a destination asks of whoever has its slow life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whose leases are these?
    LeaseSet(DestinationHash),
    /// Do our tunnels still carry anything?
    Tunnels,
}

/// A destination that begins.
pub struct NewDestination {
    /// Its number in this process.
    pub id: DestinationId,
    /// Its bounds.
    pub config: Config,
    /// Who it is.
    pub signer: Arc<Signer>,
    /// The private half of the key in its lease sets.
    pub encryption: Secrets,
    /// Where its questions go.
    pub questions: mpsc::Sender<Question>,
    /// Where streams go that others begin; none are taken without.
    pub accepted: Option<mpsc::Sender<Stream>>,
    /// Where datagrams go; none are taken without.
    pub datagrams: Option<mpsc::Sender<Datagram>>,
    /// Counts up with whatever is done with the destination.
    pub used: Arc<AtomicU64>,
    /// Where everything goes of one that belongs to a program which speaks for itself: it has neither streams nor datagrams then.
    pub raw: Option<Sink>,
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
    /// Send a datagram.
    Datagram(Datagram),
    /// Send a payload as it is.
    Raw(Raw),
    /// Begin a stream.
    Connect(Arc<Pipe>, DestinationHash, Ports),
    /// Ask whether another is there, and tell when it answers.
    Ping(DestinationHash, oneshot::Sender<()>),
    /// Say what stands.
    Describe(oneshot::Sender<Description>),
    /// It is over.
    Close,
}

/// What stands at a destination now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Sessions with other destinations.
    pub sessions: usize,
    /// Whom it has streams with, and how many with each.
    pub remotes: BTreeMap<DestinationHash, usize>,
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
    /// Of those by ElGamal.
    pub elgamal: elgamal::Stats,
    /// Of streams.
    pub streams: streams::Stats,
    /// Of the rest.
    pub other: Stats,
    /// Datagrams and payloads that were lost here: the application had no room for more, or too much waited for tunnels.
    pub datagrams_lost: u64,
}

/// Counters of destinations by what they count of, and what: monotonic. And how many there are now.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl DestinationStats {
    /// Adds all of it to `counts`.
    pub(crate) fn add_to(&self, counts: &mut Counts) {
        let Self { sessions: s, elgamal: e, streams: t, other, .. } = self;
        let sessions = [
            ("question_sent", s.asked),
            ("question_opened", s.heard),
            ("reply_sent", s.replied),
            ("reply_opened", s.answered),
            ("hybrid", s.hybrid),
            ("message_sent", s.sent),
            ("message_opened", s.received),
            ("keys_renewed", s.renewed),
            ("evicted", s.evicted),
        ];
        let elgamal = [
            ("question_sent", e.asked),
            ("question_opened", e.heard),
            ("message_sent", e.sent),
            ("message_opened", e.received),
        ];
        let streams = [
            ("begun", t.connected),
            ("accepted", t.accepted),
            ("packet_sent", t.sent),
            ("packet_sent_again", t.retransmitted),
            ("lane_opened", t.lanes_opened),
            ("lane_kept", t.lanes_kept),
            ("packet_received", t.received),
            ("ping_answered", t.pongs),
        ];
        let messages = [
            ("bad_clove", other.bad_cloves),
            ("bad_lease_set", other.bad_lease_sets),
            ("lost_waiting", other.lost_waiting),
            ("unknown_protocol", other.unknown_protocols),
            ("hybrid_given_up", other.hybrid_given_up),
            ("given_up", other.sessions_given_up),
        ];
        let datagrams = [
            ("sent", other.datagrams_sent),
            ("not_sent", other.datagrams_refused),
            ("received", other.datagrams_received),
            ("not_read", self.datagrams_lost),
        ];
        let payloads = [("sent", other.raw_sent), ("not_sent", other.raw_lost), ("received", other.raw_received)];
        let refused =
            sessions::Refused::ALL.iter().zip(other.refused).map(|(why, n)| ("garlic_refused", why.label(), n));
        let packets = streams::Refused::ALL.iter().zip(t.refused).map(|(why, n)| ("packet_refused", why.label(), n));
        let ended = streams::ENDS.iter().zip(t.ended).map(|(end, n)| ("stream_ended", end.label(), n));
        let of = |part: &'static str| move |(event, n): (&'static str, u64)| (part, event, n);
        let named = sessions
            .map(of("session"))
            .into_iter()
            .chain(elgamal.map(of("elgamal")))
            .chain(streams.map(of("stream")))
            .chain(messages.map(of("message")))
            .chain(datagrams.map(of("datagram")))
            .chain(payloads.map(of("payload")));
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
    /// Who waits for the answer to which ping.
    pings: FxHashMap<u32, oneshot::Sender<()>>,
    outbound: Vec<TunnelId>,
    questions: mpsc::Sender<Question>,
    accepted: Option<mpsc::Sender<Stream>>,
    datagrams: Option<mpsc::Sender<Datagram>>,
    datagrams_lost: u64,
    raw: Option<Sink>,
    used: Arc<AtomicU64>,
    /// What of that the last second had.
    busy: u64,
    port: Arc<Port>,
}

impl Local {
    pub(crate) fn new(new: NewDestination, port: Arc<Port>, rng: &mut ChaCha20Rng, now: Now) -> Self {
        let NewDestination { id, config, signer, encryption, questions, accepted, datagrams, raw, used } = new;
        let config = Config { datagrams: datagrams.is_some(), raw: raw.is_some(), ..config };
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let core = Destination::new(config, signer, &encryption, seed, now);
        Self {
            id,
            core,
            pipes: FxHashMap::default(),
            pings: FxHashMap::default(),
            outbound: Vec::new(),
            questions,
            accepted,
            datagrams,
            datagrams_lost: 0,
            raw,
            used,
            busy: 0,
            port,
        }
    }

    /// True if this is a message of a session that stands.
    pub(crate) fn knows(&self, garlic: &[u8]) -> bool {
        self.core.knows(garlic)
    }

    pub(crate) fn input(&mut self, now: Now, input: In) {
        if let In::Outbound(tunnels) = &input {
            self.outbound = tunnels.iter().map(|tunnel| tunnel.id).collect();
        }
        self.core.handle_input(now, input);
    }

    pub(crate) fn stats(&self) -> DestinationStats {
        DestinationStats {
            sessions: self.core.sessions().stats(),
            elgamal: self.core.elgamal_stats(),
            streams: self.core.streams().stats(),
            other: self.core.stats(),
            datagrams_lost: self.datagrams_lost,
        }
    }

    /// Sessions, tags, streams: as many as there are now.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        let (sessions, tags) = self.core.sessions().len();
        [sessions, tags, self.core.streams().len()]
    }

    pub(crate) fn describe(&self) -> Description {
        let mut remotes = BTreeMap::new();
        self.pipes.values().for_each(|pipe| *remotes.entry(pipe.remote()).or_default() += 1);
        Description { sessions: self.core.sessions().len().0, remotes }
    }

    pub(crate) fn connect(&mut self, now: Now, pipe: Arc<Pipe>, remote: DestinationHash, ports: Ports) {
        match self.core.connect(now, remote, ports) {
            Some(stream) => {
                pipe.begun(stream);
                self.pipes.insert(stream, pipe);
                self.look(now, stream);
            }
            None => pipe.end(End::Unreachable),
        }
    }

    /// Asks whether another is there.
    pub(crate) fn ping(&mut self, now: Now, remote: DestinationHash, reply: oneshot::Sender<()>) {
        // Whoever asked longer ago than he waits is gone.
        self.pings.retain(|_, waiting| !waiting.is_closed());
        if self.pings.len() < PINGS {
            self.pings.insert(self.core.ping(now, remote), reply);
        }
    }

    /// Sends a datagram, unless much waits for its tunnels: then it is lost, as others would be behind it.
    pub(crate) fn send(&mut self, now: Now, datagram: Datagram, tunnels: &impl Tunnels) {
        let room = self.outbound.iter().all(|tunnel| tunnels.waiting(*tunnel).is_none_or(|bytes| bytes < ENOUGH));
        if !room || !self.core.send_datagram(now, datagram) {
            self.datagrams_lost += u64::from(!room);
        }
    }

    /// Sends a payload as it is, unless much waits for its tunnels: its program learns so, and goes slower.
    pub(crate) fn send_raw(&mut self, now: Now, raw: Raw, tunnels: &impl Tunnels) {
        let full = |tunnel: &TunnelId| tunnels.waiting(*tunnel).is_some_and(|bytes| bytes >= ENOUGH);
        if self.outbound.iter().any(full) {
            self.datagrams_lost += 1;
            self.hand_up(raw.token.map(|token| Up::Fate(token, Fate::Overflow)));
        } else {
            self.core.send_raw(now, raw);
        }
    }

    fn hand_up(&mut self, up: Option<Up>) {
        if let (Some(up), Some(raw)) = (up, &self.raw)
            && !raw.push(up)
        {
            self.datagrams_lost += 1;
        }
    }

    /// Moves bytes between a stream and its application, as far as both have room.
    pub(crate) fn look(&mut self, now: Now, stream: u32) {
        let Some(pipe) = self.pipes.get(&stream).cloned() else {
            return self.core.streams_mut().forget(stream);
        };
        pipe.look();
        let streams = self.core.streams_mut();
        if pipe.is_deserted() {
            streams.reset(stream);
        }
        pipe.drain_up(|bytes| streams.write(now, stream, bytes));
        if pipe.is_closed() {
            streams.close(now, stream);
            if pipe.is_gone() {
                streams.desert(stream);
            }
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
        // One that ended before anybody answered was never connected.
        if state.is_connected() && matches!(state.ended(), None | Some(End::Closed)) {
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

    /// Once a second: what was told and did not arrive.
    pub(crate) fn tick(&mut self, now: Now) {
        self.pipes.values().for_each(|pipe| pipe.rest());
        let told: Vec<u32> = self.pipes.iter().filter(|(_, pipe)| pipe.look()).map(|(stream, _)| *stream).collect();
        told.into_iter().for_each(|stream| self.look(now, stream));
        let streams = self.core.streams_mut();
        let ended: Vec<u32> = streams.ended().into_iter().filter(|id| !self.pipes.contains_key(id)).collect();
        ended.into_iter().for_each(|stream| streams.forget(stream));
        self.note_use();
    }

    /// What went and came since the last time.
    fn note_use(&mut self) {
        let (streams, other) = (self.core.streams().stats(), self.core.stats());
        let busy = streams.sent + streams.received + other.datagrams_sent + other.datagrams_received;
        if std::mem::replace(&mut self.busy, busy) != busy {
            self.used.fetch_add(1, Relaxed);
        }
    }

    /// A tunnel of ours may have died. Who asks often enough is heard in the end.
    pub(crate) fn doubt(&self) {
        let _ = self.questions.try_send(Question::Tunnels);
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
                Some(Out::Onward { tunnel, delivery, message }) => tunnels.send(tunnel, delivery, message),
                Some(Out::LookUp(hash)) => {
                    // Whoever cannot be asked finds nothing.
                    if self.questions.try_send(Question::LeaseSet(hash)).is_err() {
                        self.core.handle_input(now, In::NotFound(hash));
                    }
                }
                Some(Out::Doubt) => self.doubt(),
                Some(Out::Accepted { stream, remote }) => self.accept(now, stream, remote),
                Some(Out::Changed(stream)) => self.look(now, stream),
                Some(Out::Pong(id)) => {
                    // Whoever asked may be gone.
                    self.pings.remove(&id).map(|reply| reply.send(()));
                }
                Some(Out::Datagram(datagram)) => {
                    let taken = self.datagrams.as_ref().is_some_and(|to| to.try_send(datagram).is_ok());
                    self.datagrams_lost += u64::from(!taken);
                }
                Some(Out::Raw(payload)) => self.hand_up(Some(Up::Payload(payload))),
                Some(Out::Fate(token, fate)) => self.hand_up(Some(Up::Fate(token, fate))),
            }
        }
    }

    fn accept(&mut self, now: Now, stream: u32, remote: DestinationHash) {
        let pipe = Pipe::new(self.id, remote, Arc::clone(&self.port));
        pipe.begun(stream);
        let caller = self.core.streams().caller(stream).map(|(from, ports)| (from.clone(), ports));
        let handle = Stream::new(Arc::clone(&pipe)).called(caller);
        self.pipes.insert(stream, pipe);
        // Dropping the stream breaks it off.
        let taken = self.accepted.as_ref().is_some_and(|accepted| accepted.try_send(handle).is_ok());
        if !taken {
            self.core.streams_mut().reset(stream);
        }
        self.look(now, stream);
    }
}

impl Seated for Local {
    fn poll_timeout(&self) -> Option<Mono> {
        self.core.poll_timeout()
    }

    /// It has packets that found no room.
    fn is_waiting(&self) -> bool {
        self.core.streams().is_waiting()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for pipe in self.pipes.values() {
            pipe.end(End::Broken);
        }
    }
}

/// The encrypted part of a Garlic message.
pub(crate) fn garlic(message: &Message) -> Option<Bytes> {
    (message.kind == MessageType::Garlic).then(|| ramson_protocol::i2np::garlic::parse(&message.body).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token, Waker};
    use ramson_crypto::sign::SigningKey;
    use ramson_crypto::x25519::SecretKey;
    use ramson_protocol::data::key_type::EncType;
    use ramson_protocol::data::keys_and_cert;
    use ramson_protocol::data::lease::Lease;
    use ramson_protocol::data::lease_set2::{LeaseSet2, LeaseSet2Builder};
    use ramson_protocol::destination::OutboundTunnelRef;
    use ramson_protocol::id::RouterHash;
    use ramson_protocol::time::Wall;
    use rand::SeedableRng;
    use std::time::Duration;

    const START: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };

    /// What one end has put into its tunnels.
    #[derive(Default)]
    struct Sent(Vec<Message>);

    impl Tunnels for Sent {
        fn waiting(&self, _: TunnelId) -> Option<usize> {
            Some(0)
        }

        fn send(&mut self, _: TunnelId, _: Delivery, message: Message) {
            self.0.push(message);
        }
    }

    /// Two destinations, each on a thread that this test is.
    struct Pair {
        now: Now,
        rng: ChaCha20Rng,
        ends: [Local; 2],
        lease_sets: [LeaseSet2; 2],
        questions: [mpsc::Receiver<Question>; 2],
        accepted: mpsc::Receiver<Stream>,
        port: Arc<Port>,
        _poll: Poll,
    }

    fn end(n: u8, port: &Arc<Port>) -> (Local, LeaseSet2, mpsc::Receiver<Question>, mpsc::Receiver<Stream>) {
        let key = SigningKey::from_seed([n; 32]);
        let destination = keys_and_cert::Destination::compose(&key.public(), &[n; 32]);
        let encryption = SecretKey::from_bytes([n; 32]);
        let lease = Lease {
            gateway: RouterHash([n; 32]),
            tunnel: TunnelId(n.into()),
            end: START.wall.plus(Duration::from_secs(600)),
        };
        let keys = vec![(EncType::X25519, encryption.public().0.to_vec())];
        let builder = LeaseSet2Builder { keys, leases: vec![lease], ..LeaseSet2Builder::default() };
        let lease_set = builder.sign(&destination, &key, None, START.wall).unwrap();
        let (questions, asked) = mpsc::channel(8);
        let (accept, accepted) = mpsc::channel(8);
        let new = NewDestination {
            id: DestinationId(n.into()),
            config: Config { listening: true, ..Config::default() },
            signer: Arc::new(Signer { destination, key: key.into(), offline: None }),
            encryption: Secrets::one(encryption, None),
            questions,
            accepted: Some(accept),
            datagrams: None,
            used: Arc::default(),
            raw: None,
        };
        let mut local = Local::new(new, Arc::clone(port), &mut ChaCha20Rng::from_seed([n; 32]), START);
        local.input(START, In::Published(lease_set.clone().into()));
        local.input(START, In::Outbound(vec![OutboundTunnelRef { id: TunnelId(9), first_hop: RouterHash([9; 32]) }]));
        (local, lease_set, asked, accepted)
    }

    impl Pair {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let port = Arc::new(Port::new(0, Waker::new(poll.registry(), Token(0)).unwrap()));
            let ((a, of_a, asks_a, _), (b, of_b, asks_b, accepted)) = (end(1, &port), end(2, &port));
            Self {
                now: START,
                rng: ChaCha20Rng::from_seed([5; 32]),
                ends: [a, b],
                lease_sets: [of_a, of_b],
                questions: [asks_a, asks_b],
                accepted,
                port,
                _poll: poll,
            }
        }

        fn connect(&mut self) -> Stream {
            let remote = self.lease_sets[1].hash();
            let pipe = Pipe::new(DestinationId(1), remote, Arc::clone(&self.port));
            self.ends[0].connect(self.now, Arc::clone(&pipe), remote, Ports::default());
            Stream::new(pipe)
        }

        /// So many turns of ten milliseconds, in which what one sends the other gets.
        fn turns(&mut self, count: usize) {
            for _ in 0..count {
                self.now = self.now.plus(Duration::from_millis(10));
                for at in [0, 1] {
                    let mut sent = Sent::default();
                    self.ends[at].timeout(self.now);
                    self.ends[at].tick(self.now);
                    self.ends[at].drain(self.now, &mut self.rng, &mut sent);
                    if self.questions[at].try_recv().is_ok() {
                        let answer = In::LeaseSet(self.lease_sets[1 - at].clone().into());
                        self.ends[at].input(self.now, answer);
                    }
                    for message in sent.0 {
                        self.ends[1 - at].input(self.now, In::Garlic(garlic(&message).unwrap()));
                    }
                }
            }
        }

        /// Lets a task go on between turns until it is done.
        fn run<T>(&mut self, task: impl Future<Output = T>) -> T {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                tokio::pin!(task);
                for _ in 0..10_000 {
                    tokio::select! {
                        biased;
                        done = &mut task => return done,
                        () = tokio::task::yield_now() => self.turns(1),
                    }
                }
                panic!("the task is not done");
            })
        }
    }

    #[test]
    fn bytes_pass_both_ways_and_then_the_end() {
        let mut pair = Pair::new();
        let ours = pair.connect();
        pair.run(ours.write_all(b"question")).unwrap();
        pair.turns(20);
        let theirs = pair.accepted.try_recv().unwrap();
        let mut buffer = [0; 100];
        let len = pair.run(theirs.read(&mut buffer)).unwrap();
        assert_eq!(&buffer[..len], b"question");
        let answer = vec![7; 2_000_000];
        let mut read = 0;
        pair.run(async {
            let write = async {
                theirs.write_all(&answer).await.unwrap();
                theirs.close();
            };
            let receive = async {
                let mut buffer = vec![0; 100_000];
                loop {
                    match ours.read(&mut buffer).await.unwrap() {
                        0 => break,
                        len => read += len,
                    }
                }
            };
            tokio::join!(write, receive);
        });
        assert_eq!(read, answer.len());
        ours.close();
        pair.turns(4000);
        assert_eq!(pair.ends.iter().map(|end| end.sizes()[2]).sum::<usize>(), 0, "both are forgotten");
    }

    #[test]
    fn what_was_written_before_closing_arrives_though_the_application_goes_at_once() {
        let mut pair = Pair::new();
        let ours = pair.connect();
        pair.run(ours.write_all(b"question")).unwrap();
        pair.turns(20);
        let theirs = pair.accepted.try_recv().unwrap();
        pair.run(theirs.write_all(b"answer")).unwrap();
        theirs.close();
        drop(theirs);
        let mut buffer = [0; 100];
        assert_eq!(pair.run(ours.read(&mut buffer)).unwrap(), 6);
        assert_eq!(&buffer[..6], b"answer");
        assert_eq!(pair.run(ours.read(&mut buffer)).unwrap(), 0);
    }

    #[test]
    fn a_stream_whose_application_is_gone_is_broken_off_at_the_other_end() {
        let mut pair = Pair::new();
        let ours = pair.connect();
        pair.run(ours.write_all(b"question")).unwrap();
        pair.turns(20);
        let theirs = pair.accepted.try_recv().unwrap();
        assert_eq!(pair.ends[0].describe().remotes, [(pair.lease_sets[1].hash(), 1)].into());
        drop(theirs);
        let mut buffer = [0; 100];
        let error = pair.run(ours.read(&mut buffer)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(pair.run(ours.write_all(b"more")).is_err());
    }

    #[test]
    fn an_application_that_does_not_read_is_sent_no_more_than_there_is_room_for() {
        let mut pair = Pair::new();
        let ours = pair.connect();
        pair.run(ours.write_all(b"x")).unwrap();
        pair.turns(20);
        let theirs = pair.accepted.try_recv().unwrap();
        let data = vec![1; 60_000_000];
        let mut written = 0;
        for chunk in data.chunks(50_000) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let full = runtime.block_on(async {
                tokio::select! {
                    biased;
                    done = ours.write_all(chunk) => { done.unwrap(); false }
                    () = tokio::task::yield_now() => true,
                }
            });
            if full {
                break;
            }
            written += chunk.len();
            pair.turns(2);
        }
        // A ring and a buffer at each end.
        assert!((500_000..40_000_000).contains(&written), "{written}");
        drop(theirs);
    }
}
