//! All sessions of one destination: seals for the holders of static keys, and opens what comes.
//!
//! ```text
//! seal  no session, or not answered yet ..... New Session message
//!       we were asked and have seen no tag .. reply
//!       established ......................... Existing Session message, with keys and acknowledgements that are due
//! open  tag known: reply or Existing Session; otherwise perhaps a New Session message
//! ```
//! Bounds: [`Config::max_sessions`] in all, [`MAX_PER_REMOTE`] with one static key, [`Config::max_tags`] tags; New Session
//! messages are opened at [`Config::new_per_second`], since each costs three Diffie-Hellmans. Of sessions beyond the bound
//! the one that was silent for longest gives way.
//!
//! spec: ecies §Sessions, §Retransmissions and State Transitions, §Parameters

mod open;

use super::block::{self, MAX_ACKS, MessageRef};
use super::handshake::{self, Kind, Secrets, StaticKey, new_overhead, reply_overhead};
use super::session::{Attempt, HANDSHAKE, MAX_ASKED, Receiving, Session, State};
use crate::garlic::clove::{write_date_time, write_padding};
use crate::garlic::one_time::{SESSION_TAG_LEN, SessionTag};
use crate::link::replay::ReplayCache;
use crate::time::{Mono, Now};
use ramson_crypto::aead::{AeadKey, TAG_LEN};
use ramson_crypto::x25519::PublicKey;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Sessions with one static key: two that crossed, and two that a restart has left.
pub const MAX_PER_REMOTE: usize = 4;

/// Tags that a reply may have. INTEROP: i2pd and Java send no more than twelve.
const REPLY_TAGS: u32 = 12;

/// A new set begins with so many tags, and may have half as many more as messages have come. INTEROP: 24 in i2pd and Java.
const AHEAD: u32 = 32;

/// Tags below the highest that are still waited for.
const BEHIND: u16 = 512;

/// From so many messages on we ask for a new set. INTEROP: 4,096 in Java, 8,192 in i2pd.
const RENEW_AFTER: u32 = 4096;

/// A session in which nothing came for so long, though we sent, is not sent in any more: a New Session message finds out.
/// INTEROP: i2pd begins anew after 90 s.
const UNANSWERED: Duration = Duration::from_secs(60);

/// A session that is not used for so long is forgotten. INTEROP: ten minutes in i2pd and Java.
const IDLE: Duration = Duration::from_secs(600);

/// And one that we sent in last so long ago is not sent in any more: the other side may have forgotten it.
/// INTEROP: eight minutes in i2pd and Java.
const STALE: Duration = Duration::from_secs(480);

/// How old a New Session message may be, and how far ahead its time. INTEROP: as in Java, which writes an expiration there.
const PAST: Duration = Duration::from_secs(5 * 60);
const FUTURE: Duration = Duration::from_secs(2 * 60);

/// What a destination may keep.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Sessions.
    pub max_sessions: usize,
    /// Tags, in all sessions.
    pub max_tags: usize,
    /// The most tags ahead of one session.
    pub max_ahead: u32,
    /// New Session messages that are opened each second; as many may come at once.
    pub new_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_sessions: 1024, max_tags: 200_000, max_ahead: 1024, new_per_second: 200 }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The holder of this key has acknowledged a message.
    Acked(PublicKey, MessageRef),
    /// A session with the holder of this key stands: what waited for it may go.
    Established(PublicKey),
}

/// Why something was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No tag of ours, and no New Session message to us.
    NotOurs,
    /// A tag of ours, and not its message.
    Forged,
    /// A New Session message that came before.
    Replayed,
    /// A New Session message that is too old, from the future, or without a time.
    Untimely,
    /// More New Session messages than we open.
    Busy,
    /// Blocks that cannot be read.
    Malformed,
}

impl Refused {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::NotOurs, Self::Forged, Self::Replayed, Self::Untimely, Self::Busy, Self::Malformed];

    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Forged => "forged",
            Self::Replayed => "replayed",
            Self::Untimely => "untimely",
            Self::Busy => "busy",
            Self::Malformed => "malformed",
        }
    }
}

/// What was opened.
#[derive(Debug)]
pub struct Opened<'a> {
    /// Who sent it; `None` if it was unbound.
    pub from: Option<PublicKey>,
    /// Its blocks.
    pub payload: &'a [u8],
}

/// What was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The encrypted part of a Garlic message.
    pub data: Vec<u8>,
    /// By what an acknowledgement will name it, if one was asked for and can be.
    pub message: Option<MessageRef>,
    /// It was a New Session message.
    pub new: bool,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// New Session messages sent.
    pub asked: u64,
    /// Replies sent.
    pub replied: u64,
    /// New Session messages opened.
    pub heard: u64,
    /// Replies opened.
    pub answered: u64,
    /// Sessions that came about by a hybrid handshake.
    pub hybrid: u64,
    /// Existing Session messages sent.
    pub sent: u64,
    /// Existing Session messages opened.
    pub received: u64,
    /// Tag sets renewed, in either direction.
    pub renewed: u64,
    /// Sessions that gave way to others.
    pub evicted: u64,
}

/// Whose a tag is.
#[derive(Clone, Copy, Debug)]
struct TagRef {
    session: usize,
    /// Of the attempt or the tag set.
    serial: u32,
    n: u16,
}

type Tags = FxHashMap<SessionTag, TagRef>;

/// The sessions. Neither clock nor timer: whoever owns it calls [`Sessions::expire`] now and then.
pub struct Sessions {
    config: Config,
    us: StaticKey,
    sessions: Slab<Session>,
    by_remote: BTreeMap<[u8; 32], SmallVec<[usize; 2]>>,
    // Tags are hashes, so nobody can choose many that collide.
    tags: Tags,
    replays: ReplayCache,
    serial: u32,
    allowance: (Mono, u32),
    rng: ChaCha20Rng,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Sessions {
    /// Those of the holder of these keys.
    pub fn new(config: Config, secrets: &Secrets, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut filter = [0; 16];
        rng.fill_bytes(&mut filter);
        Self {
            config,
            us: StaticKey::new(secrets),
            sessions: Slab::new(),
            by_remote: BTreeMap::new(),
            tags: Tags::default(),
            replays: ReplayCache::new(filter, 1 << 16, now.mono),
            serial: 0,
            allowance: (now.mono, config.new_per_second),
            rng,
            events: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Our static key for handshakes of this kind, as the LeaseSet is to have it; `None` if they are not taken.
    pub fn public(&self, kind: Kind) -> Option<PublicKey> {
        self.us.public(kind)
    }

    /// The kinds of handshakes that are taken and begun, hybrid ones first.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.us.kinds()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Sessions, and tags that are waited for.
    pub fn len(&self) -> (usize, usize) {
        (self.sessions.len(), self.tags.len())
    }

    /// True if there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// What happened while something was opened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// True if a message that begins with this tag belongs to a session of ours.
    pub fn knows(&self, data: &[u8]) -> bool {
        data.first_chunk::<SESSION_TAG_LEN>().is_some_and(|tag| self.tags.contains_key(tag))
    }

    /// True if what is sealed for this key would not be a New Session message.
    pub fn is_ready(&self, remote: &PublicKey, now: Mono) -> bool {
        self.usable(remote, now).is_some()
    }

    /// True if the holder of this key has said something in its session after whatever we sent, and may wait for us: a question to be
    /// answered, or an answer to be confirmed.
    pub fn is_unanswered(&self, remote: &PublicKey, now: Mono) -> bool {
        let session = self.usable(remote, now).and_then(|id| self.sessions.get(id));
        session.is_some_and(|s| match &s.state {
            State::Asking => false,
            State::Answering { replies, .. } => replies.is_empty(),
            State::Established { .. } => s.heard_at.is_some_and(|heard| s.sent_at < heard),
        })
    }

    /// When a New Session message was sent last to the holder of this key, if there is an unanswered one.
    pub fn asked_at(&self, remote: &PublicKey) -> Option<Mono> {
        self.unanswered(remote).max()
    }

    /// When the first unanswered one was sent.
    pub fn asking_since(&self, remote: &PublicKey) -> Option<Mono> {
        self.unanswered(remote).min()
    }

    fn unanswered(&self, remote: &PublicKey) -> impl Iterator<Item = Mono> {
        let ids = self.by_remote.get(&remote.0).into_iter().flatten();
        let asking = ids.filter_map(|id| self.sessions.get(*id)).filter(|s| matches!(s.state, State::Asking));
        asking.flat_map(|session| session.attempts.iter().map(|attempt| attempt.at))
    }

    /// The session in which something came last, of those in which we may send.
    fn usable(&self, remote: &PublicKey, now: Mono) -> Option<usize> {
        let ids = self.by_remote.get(&remote.0)?;
        let fresh = |session: &Session| {
            session.unanswered_since.is_none_or(|since| now < since + UNANSWERED)
                && session.heard_at.is_some_and(|at| now < at.max(session.sent_at) + STALE)
        };
        let usable = ids.iter().filter(|id| self.sessions.get(**id).is_some_and(|s| s.can_send() && fresh(s)));
        // Of two in which something came at once, the one that stands.
        let rank = |s: &Session| (s.heard_at, matches!(s.state, State::Established { .. }));
        usable.max_by_key(|id| self.sessions.get(**id).map(rank)).copied()
    }

    /// Nothing that is sent in the session with the holder of this key comes to him, though he speaks in it: what follows begins anew. He
    /// is heard in the old one as before.
    pub fn give_up(&mut self, remote: &PublicKey, now: Mono) {
        if let Some(session) = self.usable(remote, now).and_then(|id| self.sessions.get_mut(id)) {
            session.deaf = true;
        }
    }

    /// Seals cloves for the holder of `remote`, by a handshake of this kind if one is needed. With `ask_ack` the other side is asked to say that it came, where the protocol
    /// has that. `None` if `remote` is no key, or the payload too long for a message.
    pub fn seal(
        &mut self,
        now: Now,
        remote: &PublicKey,
        kind: Kind,
        ask_ack: bool,
        cloves: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Sealed> {
        match self.usable(remote, now.mono) {
            Some(id) if matches!(self.sessions[id].state, State::Established { .. }) => {
                self.seal_existing(now, id, ask_ack, cloves)
            }
            Some(id) => self.seal_reply(now, id, cloves),
            None => self.seal_new(now, remote, kind, cloves),
        }
    }

    fn seal_existing(
        &mut self,
        now: Now,
        id: usize,
        ask_ack: bool,
        cloves: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Sealed> {
        let session = self.sessions.get_mut(id)?;
        let State::Established { send, sending, receiving } = &mut session.state else { return None };
        let key = send.take()?;
        if send.used() >= RENEW_AFTER {
            sending.begin(&mut self.rng);
        }
        let mut data = Vec::with_capacity(2048);
        data.extend_from_slice(&key.tag);
        for block in [sending.asking(), receiving.answering()].into_iter().flatten() {
            block.write(&mut data);
        }
        if !session.acks_due.is_empty() {
            let count = session.acks_due.len().min(MAX_ACKS);
            let acks: SmallVec<[MessageRef; MAX_ACKS]> = session.acks_due.drain(..count).collect();
            block::write_acks(&acks, &mut data);
        }
        cloves(&mut data);
        if ask_ack {
            block::write_ack_request(&mut data);
        }
        let message = MessageRef { set: sending.set(), n: key.n };
        write_padding((self.rng.next_u32() & 15) as u8, &mut data);
        AeadKey::new(&key.key).seal_vec(key.n.into(), &key.tag, &mut data, SESSION_TAG_LEN);
        session.sent_at = now.mono;
        session.unanswered_since = session.unanswered_since.or(Some(now.mono));
        self.stats.sent += 1;
        Some(Sealed { data, message: ask_ack.then_some(message), new: false })
    }

    fn seal_reply(&mut self, now: Now, id: usize, cloves: impl FnOnce(&mut Vec<u8>)) -> Option<Sealed> {
        let mut payload = Vec::with_capacity(2048);
        cloves(&mut payload);
        write_padding((self.rng.next_u32() & 15) as u8, &mut payload);
        let session = self.sessions.get_mut(id)?;
        let State::Answering { heard, replies } = &mut session.state else { return None };
        let mut data = Vec::with_capacity(payload.len() + reply_overhead(heard.kind()));
        let pair = heard.reply(&payload, &mut self.rng, &mut data).ok()?;
        self.serial += 1;
        let serial = self.serial;
        let mut tags = pair.receive;
        tags.extend(AHEAD, |tag, n| {
            self.tags.insert(tag, TagRef { session: id, serial, n });
        });
        replies.push((serial, pair.send));
        session.receive.push(Receiving { serial, set: 0, tags, until: None });
        session.sent_at = now.mono;
        self.stats.replied += 1;
        Some(Sealed { data, message: None, new: false })
    }

    fn seal_new(
        &mut self,
        now: Now,
        remote: &PublicKey,
        kind: Kind,
        cloves: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Sealed> {
        let mut payload = Vec::with_capacity(2048);
        write_date_time(now.wall, &mut payload);
        cloves(&mut payload);
        let mut padding = (self.rng.next_u32() & 15) as u8;
        // INTEROP: Java takes a message of this length for an ElGamal one, and tries that first.
        if (payload.len() + 3 + usize::from(padding) + new_overhead(kind)) % 16 == 2 {
            padding += 1;
        }
        write_padding(padding, &mut payload);
        let mut data = Vec::with_capacity(payload.len() + new_overhead(kind));
        let mut asked = handshake::ask(&self.us, remote, kind, &payload, &mut self.rng, &mut data).ok()?;
        let id = self.asking(remote, now.mono)?;
        self.serial += 1;
        let serial = self.serial;
        asked.tags.extend(REPLY_TAGS, |tag, n| {
            self.tags.insert(tag, TagRef { session: id, serial, n });
        });
        let session = self.sessions.get_mut(id)?;
        if session.attempts.len() >= MAX_ASKED {
            // INTEROP: of several questions i2pd answers the first, whenever it has something to say.
            let second = session.attempts.remove(1);
            forget(&mut self.tags, second.asked.tags.waiting());
        }
        session.attempts.push(Attempt { serial, asked, at: now.mono });
        session.sent_at = now.mono;
        self.stats.asked += 1;
        Some(Sealed { data, message: None, new: true })
    }

    /// The session that is waiting for a reply from the holder of a key, made if need be.
    fn asking(&mut self, remote: &PublicKey, now: Mono) -> Option<usize> {
        let ids = self.by_remote.get(&remote.0);
        let asking = ids.and_then(|ids| {
            ids.iter().copied().find(|id| self.sessions.get(*id).is_some_and(|s| matches!(s.state, State::Asking)))
        });
        Some(asking.unwrap_or_else(|| self.insert(Session::new(*remote, State::Asking, now))))
    }

    fn insert(&mut self, session: Session) -> usize {
        let remote = session.remote.0;
        let of_remote = self.by_remote.get(&remote).filter(|ids| ids.len() >= MAX_PER_REMOTE);
        let silent = |sessions: &Slab<Session>, id: usize| {
            sessions.get(id).map(|s| s.heard_at.unwrap_or(s.begun).max(s.sent_at))
        };
        let oldest = of_remote.and_then(|ids| ids.iter().copied().min_by_key(|id| silent(&self.sessions, *id)));
        let too_many = || self.sessions.len() >= self.config.max_sessions || self.tags.len() >= self.config.max_tags;
        let oldest = oldest.or_else(|| {
            let all = || self.sessions.iter().map(|(id, _)| id);
            if too_many() { all().min_by_key(|id| silent(&self.sessions, *id)) } else { None }
        });
        if let Some(oldest) = oldest {
            self.stats.evicted += 1;
            self.remove(oldest);
        }
        let id = self.sessions.insert(session);
        self.by_remote.entry(remote).or_default().push(id);
        id
    }

    fn remove(&mut self, id: usize) {
        let Some(session) = self.sessions.try_remove(id) else { return };
        for attempt in &session.attempts {
            forget(&mut self.tags, attempt.asked.tags.waiting());
        }
        for receiving in &session.receive {
            forget(&mut self.tags, receiving.tags.waiting());
        }
        if let Some(ids) = self.by_remote.get_mut(&session.remote.0) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_remote.remove(&session.remote.0);
            }
        }
    }

    /// Opens the encrypted part of a Garlic message in place.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn open<'a>(&mut self, now: Now, data: &'a mut [u8]) -> Result<Opened<'a>, Refused> {
        let tag = data.first_chunk::<SESSION_TAG_LEN>().ok_or(Refused::NotOurs)?;
        match self.tags.get(tag).copied() {
            Some(at) => self.open_known(now, at, data),
            None => self.open_new(now, data),
        }
    }

    /// Takes one from what may be opened in this second.
    fn allow(&mut self, now: Mono) -> bool {
        let rate = self.config.new_per_second;
        let (since, left) = self.allowance;
        let earned = now.saturating_sub(since).as_secs_f64() * f64::from(rate);
        let left = left.saturating_add(earned as u32).min(rate);
        // What is less than one is earned on.
        let since = if earned >= 1.0 { now } else { since };
        self.allowance = (since, left.saturating_sub(1));
        left > 0
    }

    /// Forgets what is too old: to be called every few seconds.
    pub fn expire(&mut self, now: Mono) {
        let mut over = Vec::new();
        for (id, session) in &mut self.sessions {
            let tags = &mut self.tags;
            session.attempts.retain(|attempt| {
                let keep = now < attempt.at + HANDSHAKE;
                if !keep {
                    forget(tags, attempt.asked.tags.waiting());
                }
                keep
            });
            session.receive.retain(|receiving| {
                let keep = receiving.until.is_none_or(|until| now < until);
                if !keep {
                    forget(tags, receiving.tags.waiting());
                }
                keep
            });
            let ended = match session.state {
                State::Asking => session.attempts.is_empty(),
                State::Answering { .. } => now >= session.begun + HANDSHAKE,
                State::Established { .. } => now >= session.heard_at.unwrap_or(session.begun) + IDLE,
            };
            if ended {
                over.push(id);
            }
        }
        over.into_iter().for_each(|id| self.remove(id));
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("len", &self.len()).finish_non_exhaustive()
    }
}

fn forget(tags: &mut Tags, gone: impl Iterator<Item = SessionTag>) {
    gone.for_each(|tag| {
        tags.remove(&tag);
    });
}

/// How many tags beyond the highest are waited for.
fn ahead(receiving: &Receiving, config: &Config) -> u32 {
    let came = receiving.tags.highest().map_or(0, |n| u32::from(n) + 1);
    // Later sets begin with what the first has grown to. INTEROP: 24 + n/2 in i2pd and Java, their maximum for later sets.
    let came = if receiving.set > 0 { u32::MAX / 2 } else { came };
    (AHEAD + came).min(config.max_ahead)
}

const _: () = assert!(SESSION_TAG_LEN + TAG_LEN == 24, "the least Existing Session message");

#[cfg(test)]
mod tests;
