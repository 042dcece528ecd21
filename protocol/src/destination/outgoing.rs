//! What goes out: held until there is a lease set, a session and a way, then sealed and put into a tunnel.

use super::raw::Fate;
use super::remote::{Remote, TheirKey, Waiting};
use super::{Destination, LIFETIME, Out};
use crate::garlic::clove::{Clove, CloveDelivery};
use crate::i2np::{MessageType, ShortHeader, data, garlic};
use crate::id::{DestinationHash, MessageId};
use crate::payload::Payload;
use crate::time::{Now, Wall};
use crate::tunnel::Delivery;
use ramson_crypto::x25519::PublicKey;
use rand::Rng;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a destination sends before it may: see [`Remote::waiting`].
const MAX_WAITING: usize = 512;

/// Whom hybrid handshakes do not reach for so long is asked without. INTEROP: i2pd 2.59 has a fault in them.
pub(super) const HYBRID_PATIENCE: Duration = Duration::from_secs(10);

/// Whoever has streams with us is told of new leases for so long, until he says that he has heard.
const TOLD_FOR: Duration = Duration::from_secs(60);

impl Destination {
    /// Tells those of our leases who have streams with us and may only send, while these are new: of those that they know all may have died
    /// with one hop, and then nothing would come any more that we could answer. INTEROP: i2pd tries for eighty seconds.
    pub(super) fn tell_leases(&mut self, now: Now) {
        let Some((_, version)) = &self.own else { return };
        if now.mono >= self.published_at + TOLD_FOR {
            return;
        }
        let untold = self.remotes.iter().filter(|(_, remote)| remote.wants(*version, now.mono));
        let untold: BTreeSet<DestinationHash> = untold.map(|(hash, _)| *hash).collect();
        if !untold.is_empty() {
            self.streams.speak(now, untold);
        }
    }

    /// Sends a payload, now or when that becomes possible.
    pub(super) fn send(&mut self, now: Now, to: DestinationHash, payload: &Payload, lane: usize) {
        let mut bytes = Vec::with_capacity(payload.content.len() + 32);
        if payload.write(&mut bytes).is_ok() {
            self.queue(now, to, Waiting { bytes, until: now.wall.plus(LIFETIME), bundle: true, token: None, lane });
        }
    }

    pub(super) fn queue(&mut self, now: Now, to: DestinationHash, new: Waiting) {
        if !self.remotes.contains_key(&to) {
            self.make_room();
        }
        let remote = self.remotes.entry(to).or_insert_with(|| Remote::new(now.mono));
        if remote.touch(&self.outbound, now, &mut self.rng) {
            self.streams.new_path(now, &to, 0);
        }
        let lost = if remote.waiting.len() >= MAX_WAITING { remote.waiting.pop_front() } else { None };
        remote.waiting.push_back(new);
        self.lose(lost, Fate::Overflow);
        self.flush(now, to);
    }

    /// Sends what waits for a remote, as far as that is possible.
    pub(super) fn flush(&mut self, now: Now, to: DestinationHash) {
        self.held.remove(&to);
        // Nobody could answer: it is sent when there are leases of ours.
        if self.own.is_none() || self.outbound.is_empty() {
            return;
        }
        let Some(remote) = self.remotes.get_mut(&to) else { return };
        while !remote.waiting.is_empty() {
            if remote.old_key().is_some() && remote.has_lease(now.wall) {
                return self.flush_old(now, to);
            }
            let is_ready = |key: &PublicKey| self.sessions.is_ready(key, now.mono);
            let Some(TheirKey { kind, key }) = remote.key(is_ready).filter(|_| remote.has_lease(now.wall)) else {
                if remote.look_up(now.mono) {
                    self.out.push_back(Out::LookUp(to));
                } else if let Some(again) = remote.searched_again() {
                    self.held.insert(to, again);
                }
                return;
            };
            let new = !is_ready(&key);
            if new
                && kind.is_some()
                && self.sessions.asking_since(&key).is_some_and(|since| since + HYBRID_PATIENCE <= now.mono)
                && remote.go_plain()
            {
                self.stats.hybrid_given_up += 1;
                continue;
            }
            if new
                && let Some(until) =
                    self.sessions.asked_at(&key).map(|at| at + remote.hold()).filter(|until| *until > now.mono)
            {
                self.held.insert(to, until);
                return;
            }
            let lane = remote.waiting.front().map_or(0, |first| first.lane);
            let mut way = remote.lane(lane, &self.outbound, now, &mut self.rng);
            if way.is_none() && lane != 0 {
                self.streams.no_lane(now, &to, lane);
                way = remote.path(&self.outbound, now, &mut self.rng);
            }
            let Some((tunnel, lease, is_other)) = way else { return };
            if is_other {
                self.streams.new_path(now, &to, lane);
            }
            let Some(Waiting { bytes, until: expiration, bundle, token, .. }) = remote.waiting.pop_front() else {
                return;
            };
            let bundle = self.own.as_ref().filter(|(_, version)| new || bundle && remote.wants(*version, now.mono));
            let ids = [MessageId(self.rng.next_u32()), MessageId(self.rng.next_u32())];
            let store = bundle.map(|(store, _)| &store[..]);
            let ask_ack = store.is_some() || !new && remote.asks(now.mono);
            let sealed = self.sessions.seal(now, &key, kind, ask_ack, |out| {
                write_cloves(out, to, &bytes, store, ids, expiration);
            });
            let Some(sealed) = sealed else {
                self.out.extend(token.map(|token| Out::Fate(token, Fate::Unusable)));
                continue;
            };
            if let Some((_, version)) = bundle {
                remote.tell(*version, sealed.message, now.mono);
            }
            if let Ok(body) = garlic::to_body(&sealed.data) {
                let delivery = Delivery::Tunnel(lease.gateway, lease.tunnel);
                self.out.push_back(Out::Garlic { tunnel, delivery, body, expiration });
            }
            self.out.extend(token.map(|token| Out::Fate(token, Fate::Sent)));
        }
    }

    pub(super) fn flush_all(&mut self, now: Now) {
        let waiting = self.remotes.iter().filter(|(_, remote)| !remote.waiting.is_empty());
        let waiting: Vec<DestinationHash> = waiting.map(|(hash, _)| *hash).collect();
        waiting.into_iter().for_each(|hash| self.flush(now, hash));
    }
}

/// The cloves of a message: a lease set of ours, if one goes along, and the payload.
fn write_cloves(
    out: &mut Vec<u8>,
    to: DestinationHash,
    payload: &[u8],
    store: Option<&[u8]>,
    [id, store_id]: [MessageId; 2],
    expiration: Wall,
) {
    if let Some(body) = store {
        let header = ShortHeader { kind: MessageType::DatabaseStore, id: store_id, expiration };
        // It is far shorter than a block.
        let _ = Clove { delivery: CloveDelivery::Local, header, body }.write(out);
    }
    // Nor does a payload reach the length of a message or a block.
    if let Ok(body) = data::to_body(payload) {
        let header = ShortHeader { kind: MessageType::Data, id, expiration };
        let _ = Clove { delivery: CloveDelivery::Destination(to.into()), header, body: &body }.write(out);
    }
}
