//! Destinations that speak by ElGamal alone: what goes to them, and what comes from them.
//!
//! Nothing in such a message proves who sends it, so a lease set in one counts by its own signature, and streams by theirs. Whoever
//! is sent something so gets a lease set of ours that names a key of ElGamal beside the others: he could not answer otherwise. Until
//! then, and without [`Config::elgamal`](super::Config::elgamal), nobody's message is tried with that key. Programs that speak for themselves
//! sign their lease sets themselves: they have part in this if those name such a key, and only then.

use super::remote::Known;
use super::{Destination, LIFETIME, MAX_CLOVES, Out, Waiting};
use crate::data::entry::Entry;
use crate::data::key_type::EncType;
use crate::data::lease::Lease;
use crate::data::lease_set2::{LeaseSet2, LeaseSet2Builder};
use crate::elgamal::{Config, Opened, Refused, Sessions, Stats, is_shaped_as_new};
use crate::garlic::aes_tag;
use crate::garlic::clove::{Clove, CloveDelivery};
use crate::i2np::database_store::DatabaseStore;
use crate::i2np::delivery_status::DeliveryStatus;
use crate::i2np::header::{Freshness, freshness};
use crate::i2np::{Message, MessageType, ShortHeader, data, garlic};
use crate::id::{DestinationHash, MessageId};
use crate::ratchet::handshake::Secrets;
use crate::ratchet::sessions;
use crate::streaming::streams::Signer;
use crate::time::{Mono, Now, Wall};
use crate::tunnel::Delivery;
use bytes::Bytes;
use ramson_crypto::elgamal::{PublicKey, SecretKey};
use ramson_crypto::hash::sha256;
use ramson_crypto::x25519;
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// Whom we have written so may answer for so long. INTEROP: sessions of this kind live for twelve minutes.
const ANSWERED: Duration = Duration::from_secs(15 * 60);

/// New sessions that are opened each second with a long key: each takes nine milliseconds.
const LONG: u8 = 16;

/// The key of ElGamal that goes with a key of X25519: a file of keys has only the one.
pub fn key(encryption: &x25519::SecretKey) -> SecretKey {
    SecretKey::from_bytes(sha256(&[b"ramson elgamal", &encryption.to_bytes()]))
}

/// What of a destination concerns such others.
pub(super) struct Old {
    /// Others may begin.
    offered: bool,
    sessions: Sessions,
    /// Who signs lease sets for them; a program signs its own.
    signer: Option<Arc<Signer>>,
    /// Our lease set, and what is made of it when somebody needs it: the body of a message.
    published: Option<Entry>,
    ours: Option<Bytes>,
    /// We have written last.
    written: Option<Mono>,
}

impl Old {
    pub(super) fn new(config: &super::Config, keys: &Secrets, signer: Arc<Signer>, seed: [u8; 32], now: Mono) -> Self {
        let offered = if config.raw { keys.elgamal().is_some() } else { config.elgamal };
        let signer = (!config.raw).then_some(signer);
        // The last is the one for X25519 alone, if there is one.
        let made = || keys.iter().last().map(|(_, secret)| key(secret));
        // Without any key nobody is ever written to, or heard.
        let ours = keys.elgamal().cloned().or_else(made).unwrap_or_else(|| SecretKey::from_bytes(sha256(&[&seed])));
        let limits =
            if ours.is_short() { Config::default() } else { Config { new_per_second: LONG, ..Config::default() } };
        let sessions = Sessions::new(limits, ours, seed, now);
        Self { offered, sessions, signer, published: None, ours: None, written: None }
    }

    /// True if others may be written to: their answer can be read.
    pub(super) fn speaks(&self) -> bool {
        self.offered || self.signer.is_some()
    }

    pub(super) fn knows(&self, garlic: &[u8]) -> bool {
        self.sessions.knows(garlic)
    }

    /// True if this may be the beginning of a session with us.
    pub(super) fn may_begin(&self, now: Mono, garlic: &[u8]) -> bool {
        is_shaped_as_new(garlic.len()) && (self.offered || self.written.is_some_and(|at| now < at + ANSWERED))
    }

    pub(super) fn published(&mut self, lease_set: &Entry) {
        (self.published, self.ours) = (Some(lease_set.clone()), None);
    }

    pub(super) fn doubt(&mut self, key: &PublicKey) {
        self.sessions.doubt(key);
    }

    pub(super) fn expire(&mut self, now: Mono) {
        self.sessions.expire(now);
    }

    /// Our lease set with a key of ElGamal, as a message.
    fn lease_set(&mut self) -> Option<Bytes> {
        if self.ours.is_none() {
            let published = self.published.as_ref()?;
            let has = published.encryption_keys().iter().any(|(kind, _)| *kind == EncType::ElGamal);
            let lease_set = match published {
                Entry::LeaseSet2(published) if !has => self.with_key(published)?.into(),
                published => published.clone(),
            };
            self.ours = DatabaseStore::new(lease_set).to_body().ok();
        }
        self.ours.clone()
    }

    fn with_key(&self, published: &LeaseSet2) -> Option<LeaseSet2> {
        let Signer { destination, key, offline } = self.signer.as_deref()?;
        let mut keys: Vec<(EncType, Vec<u8>)> =
            published.encryption_keys().map(|(kind, key)| (kind, key.to_vec())).collect();
        keys.push((EncType::ElGamal, self.sessions.public().as_bytes().to_vec()));
        let builder = LeaseSet2Builder {
            flags: published.flags(),
            keys,
            leases: published.leases().collect(),
            ..LeaseSet2Builder::default()
        };
        // Who has the other one is to take this one, too.
        let version = published.published().plus(Duration::from_secs(1));
        builder.sign(destination, key, offline.as_deref(), version).ok()
    }

    /// A lease of ours, by which something may come back.
    fn lease(&self, now: Wall) -> Option<Lease> {
        self.published.as_ref()?.leases().into_iter().filter(|lease| lease.end > now).max_by_key(|lease| lease.end)
    }
}

impl Destination {
    /// Counters of sessions by ElGamal.
    pub fn elgamal_stats(&self) -> Stats {
        self.old.sessions.stats()
    }

    /// Sends what waits for one who speaks by ElGamal alone.
    pub(super) fn flush_old(&mut self, now: Now, to: DestinationHash) {
        loop {
            let Some(remote) = self.remotes.get_mut(&to) else { return };
            let Some(key) = remote.old_key().cloned() else { return };
            let Some((tunnel, lease, _)) = remote.path(&self.outbound, now, &mut self.rng) else { return };
            let Some(waiting) = remote.waiting.pop_front() else { return };
            let wants = self.own.as_ref().is_some_and(|(_, version)| remote.wants(*version, now.mono));
            let body = self.seal_old(now, to, &key, &waiting, wants);
            let Some(body) = body else { continue };
            let delivery = Delivery::Tunnel(lease.gateway, lease.tunnel);
            self.out.push_back(Out::Garlic { tunnel, delivery, body, expiration: waiting.until });
            self.out.extend(waiting.token.map(|token| Out::Fate(token, super::Fate::Sent)));
        }
    }

    fn seal_old(
        &mut self,
        now: Now,
        to: DestinationHash,
        key: &PublicKey,
        waiting: &Waiting,
        wants: bool,
    ) -> Option<Bytes> {
        self.old.written = Some(now.mono);
        let expiration = waiting.until;
        let confirm = self.old.lease(now.wall).filter(|_| self.old.sessions.wants_confirmation(now.mono, key));
        let confirm = confirm.map(|lease| (lease, self.old.sessions.confirmation(now, expiration)));
        let bundle = if confirm.is_some() || waiting.bundle && wants { self.old.lease_set() } else { None };
        let body = data::to_body(&waiting.bytes).ok()?;
        let mut header = |kind| ShortHeader { kind, id: MessageId(self.rng.next_u32()), expiration };
        let mut cloves = vec![Clove {
            delivery: CloveDelivery::Destination(to.into()),
            header: header(MessageType::Data),
            body: &body,
        }];
        if let Some(store) = &bundle {
            let header = header(MessageType::DatabaseStore);
            cloves.push(Clove { delivery: CloveDelivery::Local, header, body: store });
        }
        if let Some((lease, (_, back))) = &confirm {
            let delivery = CloveDelivery::Tunnel(lease.gateway, lease.tunnel);
            cloves.push(Clove { delivery, header: header(MessageType::Garlic), body: back });
        }
        let mut set = Vec::with_capacity(2048);
        aes_tag::write_clove_set(&cloves, MessageId(self.rng.next_u32()), &mut set).ok()?;
        let confirm = confirm.map(|(_, (id, _))| id);
        if confirm.is_some()
            && let Some(remote) = self.remotes.get_mut(&to)
        {
            remote.unheard.get_or_insert(now.mono);
        }
        let sealed = self.old.sessions.seal(now.mono, key, &set, confirm);
        if bundle.is_some()
            && let Some((_, version)) = &self.own
            && let Some(remote) = self.remotes.get_mut(&to)
        {
            remote.tell(*version, None, now.mono);
        }
        garlic::to_body(&sealed).ok()
    }

    /// A message by ElGamal, or by a tag that came with one.
    pub(super) fn on_old(&mut self, now: Now, bytes: &Bytes) {
        let mut bytes = bytes.to_vec();
        let (cloves, ours) = match self.old.sessions.open(now.mono, &mut bytes) {
            Ok(Opened { cloves, ours }) => (Bytes::copy_from_slice(cloves), ours),
            Err(Refused::NotOurs) => return self.refuse(sessions::Refused::NotOurs),
            Err(Refused::Forged) => return self.refuse(sessions::Refused::Forged),
            Err(Refused::Replayed) => return self.refuse(sessions::Refused::Replayed),
            Err(Refused::Busy) => return self.refuse(sessions::Refused::Busy),
        };
        let Ok(set) = aes_tag::parse_clove_set(&cloves) else {
            return self.refuse(sessions::Refused::Malformed);
        };
        let mut onward = false;
        // The lease set first: streams need to know where to answer.
        for store in [true, false] {
            for clove in set.iter().take(MAX_CLOVES) {
                if (clove.header.kind == MessageType::DatabaseStore) == store {
                    self.on_old_clove(now, clove, &cloves, ours, &mut onward);
                }
            }
        }
    }

    fn on_old_clove(&mut self, now: Now, clove: &Clove<'_>, set: &Bytes, ours: bool, onward: &mut bool) {
        if freshness(clove.header.expiration, now.wall) != Freshness::Fresh {
            self.stats.bad_cloves += 1;
            return;
        }
        let body = set.slice_ref(clove.body);
        match (clove.delivery, clove.header.kind) {
            (CloveDelivery::Local, MessageType::DeliveryStatus) if ours => self.on_confirmation(now, &body),
            (CloveDelivery::Local, MessageType::DatabaseStore) => self.on_old_store(now, &body),
            (CloveDelivery::Local, MessageType::Data) => self.on_data(now, None, &body),
            (CloveDelivery::Destination(hash), MessageType::Data) if hash.0 == self.hash.0 => {
                self.on_data(now, None, &body);
            }
            // What tells the sender that his message has come; one of each message.
            (CloveDelivery::Tunnel(gateway, id), kind @ (MessageType::DeliveryStatus | MessageType::Garlic))
                if !std::mem::replace(onward, true) =>
            {
                let Some(tunnel) = self.outbound.first().map(|tunnel| tunnel.id) else { return };
                let ShortHeader { id: message, expiration, .. } = clove.header;
                let expiration = expiration.min(now.wall.plus(LIFETIME));
                let message = Message { kind, id: message, expiration, body };
                self.out.push_back(Out::Onward { tunnel, delivery: Delivery::Tunnel(gateway, id), message });
            }
            _ => self.stats.bad_cloves += 1,
        }
    }

    fn on_confirmation(&mut self, now: Now, body: &Bytes) {
        let Ok(status) = DeliveryStatus::parse(body) else { return };
        let Some(key) = self.old.sessions.confirmed(now.mono, status.id) else { return };
        let whose = |key: &PublicKey, theirs: Option<&Arc<PublicKey>>| theirs.is_some_and(|theirs| **theirs == *key);
        if let Some(remote) = self.remotes.values_mut().find(|remote| whose(&key, remote.old_key())) {
            remote.answered();
            remote.heard(now.mono);
            remote.unheard = None;
        }
    }

    /// A lease set that came with such a message.
    fn on_old_store(&mut self, now: Now, body: &Bytes) {
        let entry = DatabaseStore::parse(body).map(|store| store.entry);
        let is_old = |entry: &Entry| entry.encryption_keys().iter().any(|(kind, _)| *kind == EncType::ElGamal);
        let Some(entry) = entry.ok().filter(is_old) else {
            self.stats.bad_lease_sets += 1;
            return;
        };
        // Whoever has newer keys beside is answered by those.
        let known = Known::of(&entry, self.sessions.kinds());
        if self.remotes.get(&known.hash).is_some_and(|remote| remote.has(known.version)) {
            return;
        }
        let fits = known.hash != self.hash && entry.verify().is_ok();
        if !fits || !self.learn(now, known) {
            self.stats.bad_lease_sets += 1;
        }
    }
}
