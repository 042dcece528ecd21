//! One destination of our own, as it speaks with others: sessions, streams, whose leases to send to.
//!
//! ```text
//! bytes of applications --> streams --> whose lease, which tunnel --> session --> Garlic message into a tunnel
//!                           streams <-- Data <-- cloves <-- session <--------- Garlic message out of a tunnel
//! lease set unknown: LookUp --> (its owner asks the network) --> LeaseSet, or NotFound
//! ```
//! Invariants: nothing that strangers send makes more than [`Config::remotes`] remotes, and the bounds of sessions and streams
//! beside; a lease set that came with a message counts only for the session whose key it names; nothing is answered but in a
//! session.
//!
//! spec: ecies; streaming; INTEROP: what is bundled, and when

pub mod datagrams;
pub mod old;
pub mod options;
mod outgoing;
mod paths;
pub mod raw;
mod remote;
mod standing;

use crate::data::entry::Entry;
use crate::garlic::clove::{Block, Clove, CloveDelivery, blocks};
use crate::i2np::database_store::DatabaseStore;
use crate::i2np::header::{Freshness, freshness};
use crate::i2np::{Message, MessageType, data};
use crate::id::{DestinationHash, TunnelId};
use crate::payload::{Payload, STREAMING};
use crate::ratchet::handshake::Secrets;
use crate::ratchet::sessions::{self, Event, Opened, Sessions};
use crate::streaming::stream;
use crate::streaming::streams::{self, Limits, Ports, Signer, Streams};
use crate::time::{Mono, Now, Wall};
use crate::tunnel::Delivery;
use bytes::Bytes;
use datagrams::Datagram;
pub use paths::OutboundTunnelRef;
use ramson_crypto::x25519::PublicKey;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use raw::Fate;
use remote::{Known, Remote, Waiting};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A message to another destination lives so long. INTEROP: eight seconds in i2pd, up to sixty in Java.
const LIFETIME: Duration = Duration::from_secs(12);

/// How often sessions are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// Cloves that are read of one message.
const MAX_CLOVES: usize = 32;

/// What bounds a destination.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Other destinations of which something is kept.
    pub remotes: usize,
    /// Its sessions.
    pub sessions: sessions::Config,
    /// Its streams.
    pub streams: Limits,
    /// How each stream behaves.
    pub stream: stream::Config,
    /// Others may begin streams.
    pub listening: bool,
    /// Datagrams are taken; without, they are of an unknown protocol.
    pub datagrams: bool,
    /// Our lease sets name a key of ElGamal, too: whoever speaks by nothing else may begin. Programs that speak for themselves have such a
    /// key or have none.
    pub elgamal: bool,
    /// Whatever comes is handed up as it is, for a program that speaks for itself: there are neither streams nor datagrams.
    pub raw: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            remotes: 1024,
            sessions: sessions::Config::default(),
            streams: Limits::default(),
            stream: stream::Config::default(),
            listening: false,
            datagrams: false,
            elgamal: false,
            raw: false,
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum In {
    /// The encrypted part of a Garlic message came out of a tunnel of this destination.
    Garlic(Bytes),
    /// A lease set that was looked for, of the first or the second kind, verified.
    LeaseSet(Entry),
    /// One that was looked for and not found.
    NotFound(DestinationHash),
    /// A MetaLeaseSet was found instead: another destination, whose lease set was told before, stands for the one that was looked for.
    Stands {
        /// For whom.
        of: DestinationHash,
        /// Who.
        by: DestinationHash,
        /// Until when.
        until: Wall,
    },
    /// Our own lease set is this from now on, of the first or the second kind.
    Published(Entry),
    /// Our outbound tunnels are these from now on.
    Outbound(Vec<OutboundTunnelRef>),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Out {
    /// Send the body of a Garlic message.
    Garlic {
        /// Through this outbound tunnel of ours.
        tunnel: TunnelId,
        /// To there.
        delivery: Delivery,
        /// The body.
        body: Bytes,
        /// Until when it is of use.
        expiration: Wall,
    },
    /// Send a message on that somebody put into one for us, for whoever it says.
    Onward {
        /// Through this outbound tunnel of ours.
        tunnel: TunnelId,
        /// To there.
        delivery: Delivery,
        /// The message.
        message: Message,
    },
    /// Look for the lease set of this destination, and say what came of it.
    LookUp(DestinationHash),
    /// What is sent, or its answers, do not arrive: our tunnels may be why.
    Doubt,
    /// The other side has begun a stream.
    Accepted {
        /// Its number.
        stream: u32,
        /// With whom.
        remote: DestinationHash,
    },
    /// Something may be read from or written to this stream, or it has ended.
    Changed(u32),
    /// The ping of this number was answered.
    Pong(u32),
    /// A datagram came.
    Datagram(Datagram),
    /// A payload came for a program that speaks for itself.
    Raw(Bytes),
    /// What became of a payload of such a program's.
    Fate(u32, Fate),
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Garlic messages that were not opened, in the order of [`sessions::Refused::ALL`].
    pub refused: [u64; sessions::Refused::ALL.len()],
    /// Cloves that say nothing to a destination, or are expired or malformed.
    pub bad_cloves: u64,
    /// Lease sets that came with a message and were not taken.
    pub bad_lease_sets: u64,
    /// Messages that were given up while they waited for a lease set or a session.
    pub lost_waiting: u64,
    /// Others who did not answer hybrid handshakes, and are asked without.
    pub hybrid_given_up: u64,
    /// Sessions in which the other side spoke and nothing of ours came to it any more.
    pub sessions_given_up: u64,
    /// Messages of protocols that nobody here speaks.
    pub unknown_protocols: u64,
    /// Datagrams that came.
    pub datagrams_received: u64,
    /// Datagrams that were sent, or wait for a lease set.
    pub datagrams_sent: u64,
    /// Datagrams that were not taken to be sent.
    pub datagrams_refused: u64,
    /// Payloads that came for a program that speaks for itself.
    pub raw_received: u64,
    /// Payloads of such a program's that went.
    pub raw_sent: u64,
    /// And those that did not.
    pub raw_lost: u64,
}

/// A destination.
pub struct Destination {
    config: Config,
    hash: DestinationHash,
    sessions: Sessions,
    streams: Streams,
    remotes: BTreeMap<DestinationHash, Remote>,
    by_key: BTreeMap<[u8; 32], DestinationHash>,
    /// Who stands for another, and until when.
    standing: BTreeMap<DestinationHash, (DestinationHash, Wall)>,
    /// Our lease set as others get it, and its version.
    own: Option<(Bytes, Wall)>,
    /// Since when it is that.
    published_at: Mono,
    old: old::Old,
    outbound: Vec<OutboundTunnelRef>,
    /// Remotes for whom something waits for the answer to a New Session message.
    held: BTreeMap<DestinationHash, Mono>,
    /// Who has begun a session with a datagram, and when the session is answered without one.
    askers: BTreeMap<DestinationHash, Mono>,
    next_sweep: Mono,
    out: VecDeque<Out>,
    rng: ChaCha20Rng,
    stats: Stats,
}

impl Destination {
    /// One with this identity, whose lease sets will have the public halves of `encryption`.
    pub fn new(config: Config, us: impl Into<Arc<Signer>>, encryption: &Secrets, seed: [u8; 32], now: Now) -> Self {
        let (us, mut rng) = (us.into(), ChaCha20Rng::from_seed(seed));
        let mut seed = || {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            seed
        };
        let (for_sessions, for_streams, for_old) = (seed(), seed(), seed());
        Self {
            hash: us.destination.hash(),
            old: old::Old::new(&config, encryption, Arc::clone(&us), for_old, now.mono),
            sessions: Sessions::new(config.sessions, encryption, for_sessions, now),
            streams: Streams::new(config.stream, config.streams, us, config.listening, for_streams),
            remotes: BTreeMap::new(),
            by_key: BTreeMap::new(),
            standing: BTreeMap::new(),
            own: None,
            published_at: now.mono,
            outbound: Vec::new(),
            held: BTreeMap::new(),
            askers: BTreeMap::new(),
            next_sweep: now.mono + SWEEP,
            out: VecDeque::new(),
            rng,
            stats: Stats::default(),
            config,
        }
    }

    /// Its hash.
    pub fn hash(&self) -> DestinationHash {
        self.hash
    }

    /// Its streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Its streams, to write and read. What they have to send [`Destination::poll_output`] tells.
    pub fn streams_mut(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// Its sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// True if a Garlic message belongs to a session that stands; others may be an answer to somebody's question.
    pub fn knows(&self, garlic: &[u8]) -> bool {
        self.sessions.knows(garlic) || self.old.knows(garlic)
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Now, input: In) {
        match input {
            In::Garlic(bytes) => self.on_garlic(now, &bytes),
            In::LeaseSet(lease_set) => self.found(now, Known::of(&lease_set, self.sessions.kinds())),
            In::NotFound(hash) => self.not_found(now, hash, Fate::NoLeaseSet),
            In::Stands { of, by, until } => self.stands(now, of, by, until),
            In::Published(lease_set) => {
                let version = lease_set.version();
                self.old.published(&lease_set);
                if let Ok(body) = DatabaseStore::new(lease_set).to_body() {
                    self.own = Some((body, version));
                    self.published_at = now.mono;
                    self.flush_all(now);
                    self.tell_leases(now);
                }
            }
            In::Outbound(tunnels) => {
                self.outbound = tunnels;
                for remote in self.remotes.values_mut() {
                    remote.paths.keep_tunnels(&self.outbound);
                }
                self.flush_all(now);
            }
        }
    }

    fn found(&mut self, now: Now, known: Known) {
        let hash = known.hash;
        if self.learn(now, known) {
            self.flush(now, hash);
        } else {
            self.not_found(now, hash, Fate::Unusable);
        }
    }

    fn not_found(&mut self, now: Now, hash: DestinationHash, why: Fate) {
        self.stands_no_more(hash);
        let Some(remote) = self.remotes.get_mut(&hash) else { return };
        match remote.not_found(now, why == Fate::Unusable) {
            Some(lost) => {
                self.lose(lost, why);
                self.streams.unreachable(&hash);
            }
            // Another search begins as soon as it may.
            None => self.flush(now, hash),
        }
    }

    /// What waited is given up.
    fn lose(&mut self, lost: impl IntoIterator<Item = Waiting>, why: Fate) {
        for Waiting { token, .. } in lost {
            self.stats.lost_waiting += 1;
            self.tell_fate(token, why);
        }
    }

    fn on_garlic(&mut self, now: Now, bytes: &Bytes) {
        if self.old.knows(bytes) {
            return self.on_old(now, bytes);
        }
        let mut opened = bytes.to_vec();
        match self.sessions.open(now, &mut opened) {
            Ok(Opened { from, payload }) => {
                let payload = Bytes::copy_from_slice(payload);
                self.on_payload(now, from, &payload);
            }
            Err(sessions::Refused::NotOurs) if self.old.may_begin(now.mono, bytes) => self.on_old(now, bytes),
            Err(refused) => self.refuse(refused),
        }
        while let Some(event) = self.sessions.poll_event() {
            let key = match event {
                Event::Acked(key, _) | Event::Established(key) => key,
            };
            let Some(hash) = self.by_key.get(&key.0).copied() else { continue };
            match event {
                Event::Acked(_, message) => {
                    if let Some(remote) = self.remotes.get_mut(&hash) {
                        remote.acked(message);
                    }
                }
                Event::Established(_) => {
                    self.remotes.entry(hash).and_modify(Remote::answered);
                    self.expect_word(now, hash);
                    self.flush(now, hash);
                }
            }
        }
    }

    fn refuse(&mut self, why: sessions::Refused) {
        let at = sessions::Refused::ALL.iter().position(|other| *other == why).unwrap_or(0);
        self.stats.refused[at] += 1;
    }

    fn on_payload(&mut self, now: Now, from: Option<PublicKey>, payload: &Bytes) {
        // The lease set first: the streams of a message need to know whose it is.
        for store in [true, false] {
            for block in blocks(payload).take(MAX_CLOVES) {
                let Ok(Block::Clove(clove)) = block else { continue };
                if (clove.header.kind == MessageType::DatabaseStore) == store {
                    self.on_clove(now, from, &clove, payload);
                }
            }
        }
    }

    fn on_clove(&mut self, now: Now, from: Option<PublicKey>, clove: &Clove<'_>, payload: &Bytes) {
        let ours = match clove.delivery {
            CloveDelivery::Local => true,
            CloveDelivery::Destination(hash) => hash.0 == self.hash.0,
            CloveDelivery::Router(_) | CloveDelivery::Tunnel(..) => false,
        };
        if !ours || freshness(clove.header.expiration, now.wall) != Freshness::Fresh {
            self.stats.bad_cloves += 1;
            return;
        }
        let body = payload.slice_ref(clove.body);
        match clove.header.kind {
            MessageType::DatabaseStore => self.on_store(now, from, &body),
            MessageType::Data => self.on_data(now, from, &body),
            _ => self.stats.bad_cloves += 1,
        }
    }

    /// A lease set that came with a message: whoever has the session says who he is.
    fn on_store(&mut self, now: Now, from: Option<PublicKey>, body: &Bytes) {
        let entry = DatabaseStore::parse(body).map(|store| store.entry);
        let (Some(from), Ok(lease_set @ Entry::LeaseSet2(_))) = (from, entry) else {
            self.stats.bad_lease_sets += 1;
            return;
        };
        let hash = DestinationHash(lease_set.key().0);
        let before = self.remotes.get(&hash);
        if before.is_some_and(|remote| remote.has(lease_set.version())) {
            return;
        }
        let known = Known::of(&lease_set, self.sessions.kinds());
        let names = known.keys.iter().any(|theirs| theirs.key == from);
        let fits = names && hash != self.hash && lease_set.verify().is_ok();
        let before = before.is_some();
        if !fits || !self.learn(now, known) {
            self.stats.bad_lease_sets += 1;
        } else if !before && let Some(remote) = self.remotes.get_mut(&hash) {
            // Who asks us has our lease set.
            remote.told = self.own.as_ref().map(|(_, version)| *version);
        }
    }

    /// Takes what a verified lease set tells. False if it is of no use.
    fn learn(&mut self, now: Now, mut known: Known) -> bool {
        known.old = known.old.filter(|_| self.old.speaks());
        if !known.is_usable(now.wall) {
            return false;
        }
        let hash = known.hash;
        if !self.remotes.contains_key(&hash) {
            self.make_room();
        }
        let remote = self.remotes.entry(hash).or_insert_with(|| Remote::new(now.mono));
        for before in remote.keys() {
            self.by_key.remove(&before.key.0);
        }
        remote.learn(known);
        self.by_key.extend(remote.keys().iter().map(|theirs| (theirs.key.0, hash)));
        true
    }

    /// Nothing comes back from there.
    fn change_path(&mut self, now: Now, to: DestinationHash) {
        let Some(remote) = self.remotes.get_mut(&to) else { return };
        remote.change_path(&self.outbound, now.mono, &mut self.rng);
        self.out.push_back(Out::Doubt);
        if let Some(key) = remote.old_key() {
            self.old.doubt(key);
        }
        if remote.is_deaf() {
            self.stats.sessions_given_up += 1;
            remote.keys().iter().for_each(|theirs| self.sessions.give_up(&theirs.key, now.mono));
        }
        if remote.look_up_anew(now.mono) {
            self.out.push_back(Out::LookUp(to));
        }
    }

    fn make_room(&mut self) {
        while self.remotes.len() >= self.config.remotes {
            let oldest = self.remotes.iter().min_by_key(|(_, remote)| remote.used).map(|(hash, _)| *hash);
            let Some(remote) = oldest.and_then(|hash| self.forget(&hash)) else { return };
            self.lose(remote.waiting, Fate::Overflow);
        }
    }

    fn forget(&mut self, hash: &DestinationHash) -> Option<Remote> {
        let remote = self.remotes.remove(hash)?;
        for theirs in remote.keys() {
            self.by_key.remove(&theirs.key.0);
        }
        Some(remote)
    }

    fn on_data(&mut self, now: Now, from: Option<PublicKey>, body: &Bytes) {
        let from = from.and_then(|key| self.by_key.get(&key.0)).copied();
        if let Some(remote) = from.and_then(|from| self.remotes.get_mut(&from)) {
            remote.heard(now.mono);
        }
        if self.config.raw {
            return self.on_raw(now, from, body);
        }
        let payload = data::parse(body).and_then(|bytes| Payload::parse(&bytes));
        let Ok(Payload { from_port, to_port, protocol, content }) = payload else {
            self.stats.bad_cloves += 1;
            return;
        };
        let ports = Ports { from: from_port, to: to_port };
        if protocol != STREAMING {
            return self.on_datagram(now, Datagram { peer: from, ports, protocol, content });
        }
        // What is refused the streams count.
        let _: Result<(), streams::Refused> = self.streams.handle_packet(now, from, ports, &content);
        if let Some((whose, sent, round_trip)) = self.streams.take_round_trip()
            && let Some(remote) = self.remotes.get_mut(&whose)
        {
            remote.paths.measured(sent, round_trip);
        }
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Now) {
        self.streams.handle_timeout(now);
        let due: Vec<DestinationHash> = self.held.iter().filter(|(_, at)| **at <= now.mono).map(|(h, _)| *h).collect();
        due.into_iter().for_each(|hash| self.flush(now, hash));
        self.answer_askers(now);
        if now.mono >= self.next_sweep {
            self.next_sweep = now.mono + SWEEP;
            self.sessions.expire(now.mono);
            self.old.expire(now.mono);
            self.drop_expired(now.wall);
            self.tell_leases(now);
        }
    }

    /// When to call [`Destination::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        let held = self.held.values().min().copied();
        let answers = self.askers.values().min().copied();
        [self.streams.poll_timeout(), held, answers, Some(self.next_sweep)].into_iter().flatten().min()
    }

    /// What is to be done; packets of streams only as long as there is `room` for them.
    pub fn poll_output(&mut self, now: Now, room: bool) -> Option<Out> {
        loop {
            if let Some(out) = self.out.pop_front() {
                return Some(out);
            }
            match self.streams.poll_output(now, room)? {
                streams::Out::Packet { to, ports, lane, bytes, .. } => {
                    let payload = Payload {
                        from_port: ports.from,
                        to_port: ports.to,
                        protocol: STREAMING,
                        content: bytes.into(),
                    };
                    self.send(now, to, &payload, lane);
                }
                streams::Out::Accepted { stream, remote } => return Some(Out::Accepted { stream, remote }),
                streams::Out::Changed(stream) => return Some(Out::Changed(stream)),
                streams::Out::Pong(id) => return Some(Out::Pong(id)),
                streams::Out::Suspicious(remote, 0) => {
                    if self.remotes.contains_key(&remote) {
                        self.change_path(now, remote);
                        self.streams.new_path(now, &remote, 0);
                    }
                }
                streams::Out::Suspicious(remote, lane) => {
                    if let Some(remote) = self.remotes.get_mut(&remote) {
                        remote.paths.leave_other(lane, now.mono);
                        self.out.push_back(Out::Doubt);
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Destination").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
