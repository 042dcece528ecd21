//! Load of the control plane: tunnel builds, or stores and lookups of the network database, as many as are answered.
//!
//! ```text
//! builds   peer i --request--> router under test --answer in the record--> peer i + 1
//! netdb    peer i --DatabaseStore of a new router--> router, which confirms it; then a lookup of the same, which finds it
//! ```

use super::latency::Latencies;
use super::pool::Pool;
use super::probe::{lookup, unwrapped};
use super::session::Listener;
use super::worker::share;
use super::{Kind, Options};
use crate::peer::{BuildAnswer, HopRequest, Identity, Outcome, Sealed, Target, now};
use bytes::Bytes;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::i2np::header::LIFETIME;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, NetDbKey, TunnelId};
use ramson_protocol::link::block::I2np;
use ramson_protocol::ntcp2::block::write_i2np_header;
use ramson_protocol::time::{Mono, Wall};
use ramson_protocol::tunnel::Role;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What has no answer after this gets none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers, by what was asked.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) asked: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) confirmed: u64,
    pub(super) found: u64,
    pub(super) unanswered: u64,
    pub(super) latencies: Latencies,
}

impl Answers {
    pub(super) fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.confirmed += other.confirmed;
        self.found += other.found;
        self.unanswered += other.unanswered;
        self.latencies.add(&other.latencies);
    }

    pub(super) fn answered(&self) -> u64 {
        self.accepted + self.refused + self.confirmed + self.found
    }
}

enum Question {
    Build(Box<Sealed>),
    Store(NetDbKey),
    LookUp,
}

/// Messages that came.
struct Came(Vec<Message>);

impl Listener for Came {
    fn on_message(&mut self, _: usize, message: &I2np<'_>, _: Mono) {
        self.0.push(whole(message));
    }
}

/// One thread: its peers and their questions.
pub(super) struct Asker {
    target: Target,
    kind: Kind,
    window: usize,
    rng: ChaCha20Rng,
    pool: Pool,
    peers: Vec<Identity>,
    /// By the id or token of the answer; lookups by the beginning of their key.
    waiting: HashMap<u32, (Question, usize, Instant)>,
    under_way: Vec<usize>,
    pub(super) answers: Answers,
}

impl Asker {
    /// Connects this thread's share of the peers.
    pub(super) fn new(index: usize, target: Target, options: &Options) -> Outcome<Self> {
        let mut rng = rand::make_rng();
        let count = share(options.peers, options.threads, index);
        let (pool, peers) = Pool::connect(count, &target, options, &mut rng)?;
        Ok(Self {
            under_way: vec![0; pool.len()],
            window: options.builds.div_ceil(pool.len().max(1)),
            target,
            kind: options.kind,
            rng,
            pool,
            peers,
            waiting: HashMap::new(),
            answers: Answers::default(),
        })
    }

    /// Asks for so long, each peer as soon as it has fewer than its part of the window under way.
    pub(super) fn ask_for(&mut self, duration: Duration) -> Outcome<()> {
        let (began, mut swept) = (Instant::now(), Instant::now());
        while began.elapsed() < duration {
            for peer in 0..self.pool.len() {
                while self.under_way[peer] < self.window {
                    self.ask(peer)?;
                }
            }
            self.exchange()?;
            if swept.elapsed() > PATIENCE / 5 {
                swept = Instant::now();
                self.give_up();
            }
        }
        Ok(())
    }

    fn give_up(&mut self) {
        let (under_way, unanswered) = (&mut self.under_way, &mut self.answers.unanswered);
        self.waiting.retain(|_, (_, peer, since)| {
            let late = since.elapsed() > PATIENCE;
            if late {
                *unanswered += 1;
                under_way[*peer] -= 1;
            }
            !late
        });
    }

    fn ask(&mut self, peer: usize) -> Outcome<()> {
        match self.kind {
            Kind::Builds => self.build(peer),
            Kind::NetDb | Kind::Traffic => self.store(peer),
        }
    }

    fn build(&mut self, peer: usize) -> Outcome<()> {
        let next = self.peers[(peer + 1) % self.peers.len()].hash;
        let (receive, next_tunnel) = (TunnelId(self.rng.next_u32().max(1)), TunnelId(self.rng.next_u32().max(1)));
        let build = HopRequest { receive, role: Role::Participant, next, next_tunnel };
        let build = build.seal(&self.target, &mut self.rng)?;
        let (message, id) = (build.message.clone(), build.reply_id.0);
        self.send(peer, message, id, Question::Build(Box::new(build)))
    }

    fn store(&mut self, peer: usize) -> Outcome<()> {
        let stranger = Identity::new(self.target.net_id, now().wall, &mut self.rng)?;
        let token = self.rng.next_u32().max(1);
        let reply = Reply { token, tunnel: None, gateway: self.peers[peer].hash };
        let entry = Entry::RouterInfo(RouterInfo::parse(stranger.info)?);
        let store = DatabaseStore { reply: Some(reply), ..DatabaseStore::new(entry) };
        let message = self.message(MessageType::DatabaseStore, store.to_body()?);
        self.send(peer, message, token, Question::Store(store.key))
    }

    fn look_up(&mut self, peer: usize, key: NetDbKey) -> Outcome<()> {
        let lookup = lookup(key, self.peers[peer].hash, &mut self.rng);
        let message = self.message(MessageType::DatabaseLookup, lookup.to_body().into());
        self.send(peer, message, front(&key.0), Question::LookUp)
    }

    fn message(&mut self, kind: MessageType, body: Bytes) -> Message {
        Message { kind, id: MessageId(self.rng.next_u32()), expiration: now().wall.plus(LIFETIME), body }
    }

    fn send(&mut self, peer: usize, message: Message, answer: u32, question: Question) -> Outcome<()> {
        let expiration = Wall(message.expiration.0 + 500).secs();
        self.pool.queue(peer, |out| {
            write_i2np_header(out, message.kind.code(), message.id, expiration, message.body.len())?;
            out.extend_from_slice(&message.body);
            Ok(())
        })?;
        self.answers.asked += 1;
        self.under_way[peer] += 1;
        self.waiting.insert(answer, (question, peer, Instant::now()));
        Ok(())
    }

    fn exchange(&mut self) -> Outcome<()> {
        let mut came = Came(Vec::new());
        self.pool.exchange(Duration::from_millis(2), &mut came)?;
        if self.pool.closed() > 0 {
            return Err("the router has ended a session".into());
        }
        came.0.iter().try_for_each(|message| self.on_message(message))
    }

    fn on_message(&mut self, message: &Message) -> Outcome<()> {
        let answer = match message.kind {
            MessageType::ShortTunnelBuild => message.id.0,
            MessageType::DeliveryStatus => front(&message.body),
            _ => match unwrapped(message) {
                Some(found) if found.kind == MessageType::DatabaseStore => front(&found.body),
                _ => return Ok(()),
            },
        };
        let Some((question, peer, since)) = self.waiting.remove(&answer) else { return Ok(()) };
        self.under_way[peer] -= 1;
        self.answers.latencies.record(since.elapsed());
        match question {
            Question::Build(build) => match build.answer(message) {
                Some(BuildAnswer::Accepted) => self.answers.accepted += 1,
                Some(BuildAnswer::Refused(_)) => self.answers.refused += 1,
                None => return Err("an answer to a build cannot be read".into()),
            },
            Question::Store(key) => {
                self.answers.confirmed += 1;
                self.look_up(peer, key)?;
            }
            Question::LookUp => self.answers.found += 1,
        }
        Ok(())
    }
}

/// The first four bytes.
fn front(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn whole(message: &I2np<'_>) -> Message {
    Message {
        kind: MessageType::from_code(message.kind),
        id: message.id,
        expiration: Wall::from_secs(message.expiration),
        body: Bytes::copy_from_slice(message.body),
    }
}
