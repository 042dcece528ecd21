//! Payloads of programs that speak for themselves, as those of I2CP do: they go and come as they are, with the ports, protocol and
//! compression that the programs gave them.
//!
//! Whether the way to somebody is good the streams of other destinations tell. Here nobody does, so it is changed as long as what we send
//! is not answered.

use super::remote::Waiting;
use super::{Destination, LIFETIME, Out};
use crate::i2np::data;
use crate::id::DestinationHash;
use crate::time::{Now, Wall};
use bytes::Bytes;
use std::time::Duration;

/// The longest payload: with a lease set beside it, it fits into one Garlic message. INTEROP: 62,708 bytes of garlic in i2pd.
pub const MAX_PAYLOAD: usize = 60_000;

/// A program that wants its payload to live longer is not followed. INTEROP: Java's bound.
const MAX_LIFETIME: Duration = Duration::from_secs(60);

/// Another way is tried when nothing has come back for so long. INTEROP: i2pd asks for an acknowledgement every twelve seconds, and
/// waits four for it.
const UNHEARD: Duration = Duration::from_secs(6);

/// A payload to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Whom it goes to.
    pub to: DestinationHash,
    /// Its bytes.
    pub payload: Bytes,
    /// Until when it is of use, if the program says.
    pub expires: Option<Wall>,
    /// Our lease set may go along.
    pub bundle: bool,
    /// What becomes of it is told by this number.
    pub token: Option<u32>,
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It went into a tunnel.
    Sent,
    /// It came to its receiver, who lives here, too.
    SentLocally,
    /// The lease set of its receiver was not found.
    NoLeaseSet,
    /// That lease set names no encryption that we have, or has ended.
    Unusable,
    /// Its receiver has a MetaLeaseSet: whoever sends it may choose one of those who stand for it.
    MetaLeaseSet,
    /// It waited for too long.
    Expired,
    /// There are no tunnels of ours, or no lease set that names them.
    NoTunnels,
    /// Too much waits already.
    Overflow,
    /// It is longer than a message may be, or empty.
    BadLength,
}

impl Destination {
    /// Sends a payload as it is.
    pub fn send_raw(&mut self, now: Now, raw: Raw) {
        let Raw { to, payload, expires, bundle, token } = raw;
        if let Some(why) = self.refuses(now, &to, &payload, expires) {
            self.stats.raw_lost += 1;
            return self.tell_fate(token, why);
        }
        self.stats.raw_sent += 1;
        let least = now.wall.plus(LIFETIME);
        let until = expires.map_or(least, |at| at.min(now.wall.plus(MAX_LIFETIME)));
        self.watch_path(now, to);
        self.queue(now, to, Waiting { bytes: payload.to_vec(), until, bundle, token, lane: 0 });
    }

    fn refuses(&self, now: Now, to: &DestinationHash, payload: &Bytes, expires: Option<Wall>) -> Option<Fate> {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            Some(Fate::BadLength)
        } else if expires.is_some_and(|at| at <= now.wall) {
            Some(Fate::Expired)
        } else if self.own.is_none() || self.outbound.is_empty() {
            Some(Fate::NoTunnels)
        } else if !self.takes_datagram(to) {
            Some(Fate::Overflow)
        } else {
            None
        }
    }

    /// Nothing comes back: perhaps a tunnel on the way has died.
    fn watch_path(&mut self, now: Now, to: DestinationHash) {
        let Some(remote) = self.remotes.get_mut(&to) else { return };
        // Who speaks by ElGamal is heard when he confirms something, and was asked to.
        let by_ratchet = remote.old_key().is_none();
        let since = if by_ratchet { Some(*remote.unheard.get_or_insert(now.mono)) } else { remote.unheard };
        if since.is_some_and(|since| since + UNHEARD <= now.mono) {
            remote.unheard = by_ratchet.then_some(now.mono);
            self.change_path(now, to);
        }
    }

    pub(super) fn on_raw(&mut self, now: Now, from: Option<DestinationHash>, body: &Bytes) {
        let Ok(payload) = data::parse(body) else {
            self.stats.bad_cloves += 1;
            return;
        };
        if let Some(from) = from {
            self.remotes.entry(from).and_modify(|remote| remote.unheard = None);
            self.expect_word(now, from);
        }
        self.stats.raw_received += 1;
        self.out.push_back(Out::Raw(payload));
    }

    pub(super) fn tell_fate(&mut self, token: Option<u32>, fate: Fate) {
        if let Some(token) = token {
            self.out.push_back(Out::Fate(token, fate));
        }
    }

    /// What waited for too long is given up.
    pub(super) fn drop_expired(&mut self, now: Wall) {
        let mut lost = Vec::new();
        for remote in self.remotes.values_mut() {
            while remote.waiting.front().is_some_and(|first| first.until <= now) {
                lost.extend(remote.waiting.pop_front());
            }
        }
        self.lose(lost, Fate::Expired);
    }
}
