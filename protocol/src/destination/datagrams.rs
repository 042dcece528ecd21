//! Datagrams of a destination: what goes and comes under protocols other than that of streams.
//!
//! A datagram is sent once or lost: nothing here repeats or orders it. Who sent one its own bytes say ([`crate::datagram`]), or the
//! session, if it is bound to a destination whose lease set we know.

use super::remote::TheirKey;
use super::{Destination, LIFETIME, Out};
use crate::i2np::garlic;
use crate::id::DestinationHash;
use crate::payload::Payload;
use crate::streaming::streams::Ports;
use crate::time::Now;
use crate::tunnel::Delivery;
use bytes::Bytes;
use std::time::Duration;

/// Datagrams to one destination that wait for its lease set or session.
const MAX_WAITING: usize = 64;

/// Bytes that wait for destinations which cannot be sent to yet, in all.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// A session that others have begun with a datagram is answered after this, if nothing of ours was.
const ANSWER_AFTER: Duration = Duration::from_millis(200);

/// Sessions that wait for that at a time; more are answered when something of ours goes.
const MAX_ASKERS: usize = 256;

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whose session it came by, or whom it goes to. Of one that came it is `None` if nobody has said.
    pub peer: Option<DestinationHash>,
    /// The ports of its sender and receiver.
    pub ports: Ports,
    /// What its bytes are: 17, 19 and 20 are those of [`crate::datagram`], 18 and all others as the applications have agreed.
    pub protocol: u8,
    /// Its bytes.
    pub content: Bytes,
}

impl Destination {
    /// Sends a datagram. False if it was not taken: nobody is named, or too much waits.
    pub fn send_datagram(&mut self, now: Now, datagram: Datagram) -> bool {
        let Datagram { peer, ports, protocol, content } = datagram;
        let to = peer.map(|peer| self.standing_for(now.wall, peer));
        let Some(to) = to.filter(|to| self.takes_datagram(to)) else {
            self.stats.datagrams_refused += 1;
            return false;
        };
        self.stats.datagrams_sent += 1;
        self.send(now, to, &Payload { from_port: ports.from, to_port: ports.to, protocol, content }, 0);
        true
    }

    pub(super) fn on_datagram(&mut self, now: Now, datagram: Datagram) {
        if self.config.datagrams {
            if let Some(peer) = datagram.peer {
                self.expect_word(now, peer);
            }
            self.stats.datagrams_received += 1;
            self.out.push_back(Out::Datagram(datagram));
        } else {
            self.stats.unknown_protocols += 1;
        }
    }

    /// Somebody may wait for a word of ours: it is said soon, if nothing else goes to him.
    pub(super) fn expect_word(&mut self, now: Now, peer: DestinationHash) {
        if (self.config.datagrams || self.config.raw) && self.askers.len() < MAX_ASKERS {
            self.askers.entry(peer).or_insert(now.mono + ANSWER_AFTER);
        }
    }

    /// Answers the sessions that others have begun with datagrams, and confirms those that others have answered, if nothing of ours
    /// has: who hears nothing goes on to begin new ones, or to answer. INTEROP: Java sends an empty message after a second.
    pub(super) fn answer_askers(&mut self, now: Now) {
        let due: Vec<_> = self.askers.iter().filter(|(_, at)| **at <= now.mono).map(|(hash, _)| *hash).collect();
        for hash in due {
            self.askers.remove(&hash);
            let Some(remote) = self.remotes.get_mut(&hash) else { continue };
            let waits = |theirs: &&TheirKey| self.sessions.is_unanswered(&theirs.key, now.mono);
            let key = remote.keys().iter().find(waits).copied();
            let (Some(TheirKey { kind, key }), Some((tunnel, lease, _))) =
                (key, remote.path(&self.outbound, now, &mut self.rng))
            else {
                continue;
            };
            let Some(sealed) = self.sessions.seal(now, &key, kind, false, |_| {}) else { continue };
            if let Ok(body) = garlic::to_body(&sealed.data) {
                let delivery = Delivery::Tunnel(lease.gateway, lease.tunnel);
                self.out.push_back(Out::Garlic { tunnel, delivery, body, expiration: now.wall.plus(LIFETIME) });
            }
        }
    }

    pub(super) fn takes_datagram(&self, to: &DestinationHash) -> bool {
        let waiting = self.remotes.get(to).map(|remote| remote.waiting.len());
        // Nothing waits for whom can be sent to: the sum is made for others alone.
        if waiting == Some(0) {
            return true;
        }
        let bytes: usize = self.remotes.values().flat_map(|remote| &remote.waiting).map(|one| one.bytes.len()).sum();
        waiting.unwrap_or(0) < MAX_WAITING && bytes < MAX_WAITING_BYTES
    }
}
