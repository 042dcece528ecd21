//! ElGamal and AES with session tags: how destinations spoke with each other before the ratchet, and some still do.
//!
//! ```text
//! seal  tags that have arrived are left .. one of them | AES block                           existing session
//!       none ............................. ElGamal block of a key and what stands for a tag | AES block      new session
//!       few are left: the AES block brings more, and a clove goes along that comes back to us when they have arrived
//! open  a tag that came in a block before? its key : shaped as a new session? ElGamal : nobody's
//! ```
//! Sessions go one way, and prove nothing of who sends. That clove is a message from us to ourselves, under a tag that we gave ourselves, so
//! nobody on the way sees what it tells. Bounds: [`Config::max_tags`] in, of which the oldest give way; [`MAX_REMOTES`] whom we send to,
//! with [`MAX_TAGS_OUT`] tags each; new sessions are opened at [`Config::new_per_second`], since each takes a millisecond.
//!
//! spec: elgamal-aes. INTEROP: JR/crypto/TransientSessionKeyManager of Java, `Garlic.cpp` of i2pd.

use crate::bucket::Bucket;
use crate::garlic::aes_tag::{self, TAG_LEN};
use crate::garlic::clove::{Clove, CloveDelivery};
use crate::i2np::delivery_status::DeliveryStatus;
use crate::i2np::{MessageType, ShortHeader};
use crate::id::MessageId;
use crate::link::replay::{ReplayCache, Seen};
use crate::time::{Mono, Now, Wall};
use ramson_crypto::elgamal::{DATA_LEN, PublicKey, SEALED_LEN, SecretKey};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Tags that go along. INTEROP: 40 in Java and i2pd.
const TAGS: usize = 40;
/// More go when no more than these are left. INTEROP: 30 in Java.
const FEW: usize = 30;
/// Nothing has confirmed them for so long: others are sent. INTEROP: ten seconds in i2pd.
const CONFIRM: Duration = Duration::from_secs(10);
/// Ours are used for so long, and those of others taken. INTEROP: 12 and 14 to 16 minutes in Java and i2pd.
const LIFE_OUT: Duration = Duration::from_secs(12 * 60);
const LIFE_IN: Duration = Duration::from_secs(15 * 60);
/// Whom we send to.
const MAX_REMOTES: usize = 128;
/// Tags that one of them has for us.
const MAX_TAGS_OUT: usize = 4 * TAGS;
/// Messages whose tags are not confirmed yet, for one of them.
const MAX_SENT: usize = 4;
/// New sessions that are remembered, so that none counts twice.
const REMEMBERED: usize = 1 << 12;
/// The least AES block: count, size, hash, flag, rounded up.
const LEAST_BLOCK: usize = 48;

type Tag = [u8; TAG_LEN];
type Key = [u8; 32];

/// What a destination may keep.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Tags of others.
    pub max_tags: usize,
    /// New sessions that are opened each second; as many may come at once.
    pub new_per_second: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_tags: 20_000, new_per_second: 20 }
    }
}

/// Why something was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No tag that we know, and no new session for us.
    NotOurs,
    /// A tag that we know, and not its message.
    Forged,
    /// A new session that came before.
    Replayed,
    /// More new sessions than we open.
    Busy,
}

/// What was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// A clove set; see [`aes_tag::parse_clove_set`].
    pub cloves: &'a [u8],
    /// It comes from ourselves.
    pub ours: bool,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// New sessions sent.
    pub asked: u64,
    /// New sessions opened.
    pub heard: u64,
    /// Messages with tags sent.
    pub sent: u64,
    /// Messages with tags opened.
    pub received: u64,
}

/// A tag that somebody may use towards us.
#[derive(Debug)]
struct Awaited {
    key: Arc<Key>,
    ours: bool,
}

/// Tags that went to somebody and may not have come.
#[derive(Debug)]
struct Sent {
    confirm: MessageId,
    at: Mono,
    tags: Vec<Tag>,
}

/// Whom we send to.
#[derive(Debug)]
struct Remote {
    key: Key,
    /// Those that have come, and until when they are used; the oldest first.
    tags: VecDeque<(Tag, Mono)>,
    sent: VecDeque<Sent>,
    used: Mono,
}

/// The sessions of one destination. Neither clock nor timer: whoever owns it calls [`Sessions::expire`] now and then.
pub struct Sessions {
    config: Config,
    us: SecretKey,
    awaited: BTreeMap<Tag, Awaited>,
    /// All that are awaited, the oldest first; some have been used.
    order: VecDeque<(Mono, Tag)>,
    remotes: BTreeMap<[u8; 256], Remote>,
    opened: Bucket,
    replays: ReplayCache,
    rng: ChaCha20Rng,
    stats: Stats,
}

impl Sessions {
    /// Those of the holder of this key.
    pub fn new(config: Config, us: SecretKey, seed: [u8; 32], now: Mono) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut filter = [0; 16];
        rng.fill_bytes(&mut filter);
        Self {
            config,
            us,
            awaited: BTreeMap::new(),
            order: VecDeque::new(),
            remotes: BTreeMap::new(),
            opened: Bucket::default(),
            replays: ReplayCache::new(filter, REMEMBERED, now),
            rng,
            stats: Stats::default(),
        }
    }

    /// Our key, as a LeaseSet is to have it.
    pub fn public(&self) -> PublicKey {
        self.us.public()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Whom we send to, and tags that are awaited.
    pub fn len(&self) -> (usize, usize) {
        (self.remotes.len(), self.awaited.len())
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// True if a message begins with a tag that is awaited.
    pub fn knows(&self, data: &[u8]) -> bool {
        data.first_chunk::<TAG_LEN>().is_some_and(|tag| self.awaited.contains_key(tag))
    }

    /// True if the next message to the holder of this key is to bring tags, and a clove by which we learn that they came.
    pub fn wants_confirmation(&self, now: Mono, remote: &PublicKey) -> bool {
        let Some(remote) = self.remotes.get(remote.as_bytes()) else { return true };
        let left = remote.tags.iter().filter(|(_, until)| *until > now).count();
        let waits = remote.sent.back().is_some_and(|sent| now < sent.at + CONFIRM);
        // While there are none, each message is a new session and may bring them.
        left == 0 && remote.sent.len() < MAX_SENT || left <= FEW && !waits
    }

    /// The clove that comes back to us, by this way, from whoever opens the message: the body of a Garlic message, and by what
    /// [`Sessions::seal`] knows it.
    pub fn confirmation(&mut self, now: Now, expiration: Wall) -> (MessageId, Vec<u8>) {
        let (mut tag, mut key) = ([0; TAG_LEN], [0; 32]);
        self.rng.fill_bytes(&mut tag);
        self.rng.fill_bytes(&mut key);
        let id = MessageId(self.rng.next_u32());
        let status = DeliveryStatus { id, time: now.wall }.to_body();
        let header = ShortHeader { kind: MessageType::DeliveryStatus, id, expiration };
        let clove = Clove { delivery: CloveDelivery::Local, header, body: &status };
        let mut set = Vec::with_capacity(96);
        // It is far shorter than a message may be.
        let _ = aes_tag::write_clove_set(&[clove], id, &mut set);
        let body = aes_tag::seal(&key, &tag, &set, &mut self.rng);
        self.await_tag(now.mono, tag, &Arc::new(key), true);
        (id, body)
    }

    /// Our own clove has come back: what went with it has arrived. With whom, if that is still of interest.
    pub fn confirmed(&mut self, now: Mono, id: MessageId) -> Option<PublicKey> {
        let mut all = self.remotes.iter_mut();
        let (key, remote, at) = all.find_map(|(key, remote)| {
            let at = remote.sent.iter().position(|sent| sent.confirm == id)?;
            Some((key, remote, at))
        })?;
        let sent = remote.sent.remove(at)?;
        let until = sent.at + LIFE_OUT;
        remote.tags.extend(sent.tags.into_iter().map(|tag| (tag, until)).filter(|(_, until)| *until > now));
        while remote.tags.len() > MAX_TAGS_OUT {
            remote.tags.pop_front();
        }
        PublicKey::from_bytes(key)
    }

    /// What we send to the holder of this key does not arrive: it may have forgotten our tags.
    pub fn doubt(&mut self, remote: &PublicKey) {
        self.remotes.remove(remote.as_bytes());
    }

    /// Seals a clove set for the holder of this key, among whose cloves is the confirmation of this number, if any.
    pub fn seal(&mut self, now: Mono, to: &PublicKey, cloves: &[u8], confirm: Option<MessageId>) -> Vec<u8> {
        self.make_room(to);
        let mut key = [0; 32];
        self.rng.fill_bytes(&mut key);
        let remote = self.remotes.entry(*to.as_bytes()).or_insert_with(|| Remote {
            key,
            tags: VecDeque::new(),
            sent: VecDeque::new(),
            used: now,
        });
        remote.used = now;
        let mut tags = Vec::new();
        if let Some(confirm) = confirm {
            tags.resize_with(TAGS, || {
                let mut tag = [0; TAG_LEN];
                self.rng.fill_bytes(&mut tag);
                tag
            });
            if remote.sent.len() >= MAX_SENT {
                remote.sent.pop_front();
            }
            remote.sent.push_back(Sent { confirm, at: now, tags: tags.clone() });
        }
        while remote.tags.front().is_some_and(|(_, until)| *until <= now) {
            remote.tags.pop_front();
        }
        let mut out = Vec::with_capacity(SEALED_LEN + cloves.len() + tags.len() * TAG_LEN + 128);
        let pre_iv = match remote.tags.pop_front() {
            Some((tag, _)) => {
                self.stats.sent += 1;
                out.extend_from_slice(&tag);
                tag
            }
            None => {
                self.stats.asked += 1;
                let (mut plain, mut random, mut pre_iv) = ([0; DATA_LEN], [0; 33], [0; TAG_LEN]);
                self.rng.fill_bytes(&mut plain);
                self.rng.fill_bytes(&mut random);
                plain[..32].copy_from_slice(&remote.key);
                pre_iv.copy_from_slice(&plain[32..64]);
                out.extend_from_slice(&to.seal(&plain, &random));
                pre_iv
            }
        };
        aes_tag::seal_block(&remote.key, &pre_iv, &tags, cloves, &mut out, &mut self.rng);
        out
    }

    fn make_room(&mut self, to: &PublicKey) {
        if self.remotes.len() >= MAX_REMOTES && !self.remotes.contains_key(to.as_bytes()) {
            let oldest = self.remotes.iter().min_by_key(|(_, remote)| remote.used).map(|(key, _)| *key);
            oldest.map(|key| self.remotes.remove(&key));
        }
    }

    /// Opens the encrypted part of a Garlic message in place.
    ///
    /// # Errors
    /// See [`Refused`]. What is `NotOurs` or `Busy` is left as it is.
    pub fn open<'a>(&mut self, now: Mono, data: &'a mut [u8]) -> Result<Opened<'a>, Refused> {
        let known = data.first_chunk::<TAG_LEN>().and_then(|tag| self.awaited.remove(tag));
        let Some(Awaited { key, ours }) = known else {
            return self.open_new(now, data);
        };
        let (tag, block) = data.split_first_chunk_mut::<TAG_LEN>().ok_or(Refused::NotOurs)?;
        let (tags, cloves) = aes_tag::open_block(&key, tag, block).map_err(|_| Refused::Forged)?;
        self.stats.received += u64::from(!ours);
        if !ours {
            tags.iter().for_each(|tag| self.await_tag(now, *tag, &key, false));
        }
        Ok(Opened { cloves, ours })
    }

    fn open_new<'a>(&mut self, now: Mono, data: &'a mut [u8]) -> Result<Opened<'a>, Refused> {
        let Some(head) = data.first_chunk::<SEALED_LEN>().filter(|_| is_shaped_as_new(data.len())) else {
            return Err(Refused::NotOurs);
        };
        let rate = f32::from(self.config.new_per_second);
        if !self.opened.take((rate, rate), now) {
            return Err(Refused::Busy);
        }
        let plain = self.us.open(head).ok_or(Refused::NotOurs)?;
        let (Some(key), Some(pre_iv)) = (plain.first_chunk::<32>(), plain[32..].first_chunk::<TAG_LEN>()) else {
            return Err(Refused::NotOurs);
        };
        let key = Arc::new(*key);
        let (tags, cloves) = aes_tag::open_block(&key, pre_iv, &mut data[SEALED_LEN..]).map_err(|_| Refused::Forged)?;
        if self.replays.insert(pre_iv, now) != Seen::New {
            return Err(Refused::Replayed);
        }
        self.stats.heard += 1;
        tags.iter().for_each(|tag| self.await_tag(now, *tag, &key, false));
        Ok(Opened { cloves, ours: false })
    }

    fn await_tag(&mut self, now: Mono, tag: Tag, key: &Arc<Key>, ours: bool) {
        // Nobody takes the place of a tag that is awaited already.
        if self.awaited.contains_key(&tag) {
            return;
        }
        while self.order.len() >= self.config.max_tags {
            let Some((_, oldest)) = self.order.pop_front() else { break };
            self.awaited.remove(&oldest);
        }
        self.awaited.insert(tag, Awaited { key: Arc::clone(key), ours });
        self.order.push_back((now, tag));
    }

    /// Forgets what is too old: to be called every few seconds.
    pub fn expire(&mut self, now: Mono) {
        while self.order.front().is_some_and(|(at, _)| *at + LIFE_IN <= now) {
            let Some((_, tag)) = self.order.pop_front() else { break };
            self.awaited.remove(&tag);
        }
        self.remotes.retain(|_, remote| now < remote.used + LIFE_OUT);
    }
}

/// True if a message of this length can be a new session.
pub fn is_shaped_as_new(len: usize) -> bool {
    len >= SEALED_LEN + LEAST_BLOCK && (len - SEALED_LEN).is_multiple_of(16)
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
