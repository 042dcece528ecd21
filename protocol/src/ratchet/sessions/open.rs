//! How what comes is opened: a message of a session that stands, a reply to a question of ours, or a question.
//!
//! spec: ecies §Existing session format, §New Session Reply format, §New session format

use super::{AHEAD, BEHIND, Event, FUTURE, Opened, PAST, Refused, Sessions, TagRef, UNANSWERED, ahead, forget};
use crate::garlic::clove::{Block, blocks};
use crate::garlic::one_time::SESSION_TAG_LEN;
use crate::link::replay::Seen;
use crate::ratchet::block::{self, MessageRef, NextKey};
use crate::ratchet::handshake::{self, new_overhead};
use crate::ratchet::session::{MAX_ACKS_DUE, OLD_SET, Receiving, Session, State};
use crate::time::{Now, Wall};
use ramson_crypto::aead::AeadKey;

impl Sessions {
    pub(super) fn open_known<'a>(&mut self, now: Now, at: TagRef, data: &'a mut [u8]) -> Result<Opened<'a>, Refused> {
        let session = self.sessions.get_mut(at.session).ok_or(Refused::NotOurs)?;
        if session.attempts.iter().any(|attempt| attempt.serial == at.serial) {
            return self.open_reply(now, at, data);
        }
        let receiving = session.receiving(at.serial).ok_or(Refused::NotOurs)?;
        let key = receiving.tags.key(at.n).ok_or(Refused::NotOurs)?;
        let (tag, sealed) = data.split_first_chunk_mut::<SESSION_TAG_LEN>().ok_or(Refused::NotOurs)?;
        let payload = AeadKey::new(&key).open(at.n.into(), tag, sealed).map_err(|_| Refused::Forged)?;
        let message = MessageRef { set: receiving.set, n: at.n };
        let tags = &mut self.tags;
        receiving.tags.received(at.n, BEHIND, |tag| {
            tags.remove(&tag);
        });
        let ahead = ahead(receiving, &self.config);
        if tags.len() < self.config.max_tags {
            receiving.tags.extend(ahead, |tag, n| {
                tags.insert(tag, TagRef { n, ..at });
            });
        }
        session.touch(now.mono);
        self.stats.received += 1;
        self.promote(at, now);
        self.read_blocks(at, message, payload, now)?;
        let from = self.sessions.get(at.session).map(|session| session.remote);
        Ok(Opened { from, payload })
    }

    /// The first message with the keys of a reply of ours: those of the other replies are not needed any more. And the first
    /// with a new set: the old one is not needed for long.
    fn promote(&mut self, at: TagRef, now: Now) {
        let Some(session) = self.sessions.get_mut(at.session) else { return };
        match &mut session.state {
            State::Answering { heard, replies } => {
                let hybrid = heard.kind().is_some();
                let Some(chosen) = replies.iter().position(|(serial, _)| *serial == at.serial) else { return };
                let (_, send) = replies.swap_remove(chosen);
                for other in session.receive.iter().filter(|receiving| receiving.serial != at.serial) {
                    forget(&mut self.tags, other.tags.waiting());
                }
                session.receive.retain(|receiving| receiving.serial == at.serial);
                session.state = State::Established { send, sending: Default::default(), receiving: Default::default() };
                self.stats.hybrid += u64::from(hybrid);
                self.events.push_back(Event::Established(session.remote));
            }
            State::Established { receiving, .. } => {
                let newest = session.receive.last().is_some_and(|newest| newest.serial == at.serial);
                if newest && receiving.answering().is_some() {
                    receiving.done();
                    let until = Some(now.mono + OLD_SET);
                    session.receive.iter_mut().filter(|r| r.serial != at.serial).for_each(|r| r.until = until);
                }
            }
            State::Asking => {}
        }
    }

    /// The blocks that are for the session itself.
    fn read_blocks(&mut self, at: TagRef, message: MessageRef, payload: &[u8], now: Now) -> Result<(), Refused> {
        for block in blocks(payload) {
            let Block::Other { kind, data } = block.map_err(|_| Refused::Malformed)? else { continue };
            let Some(session) = self.sessions.get_mut(at.session) else { return Ok(()) };
            match kind {
                block::ACK => {
                    let remote = session.remote;
                    self.events.extend(block::acks(data).map(|message| Event::Acked(remote, message)));
                }
                block::ACK_REQUEST if session.acks_due.len() < MAX_ACKS_DUE => session.acks_due.push(message),
                block::NEXT_KEY => {
                    let key = NextKey::parse(data).map_err(|_| Refused::Malformed)?;
                    self.next_key(at, &key);
                }
                block::TERMINATION => session.unanswered_since = Some(now.mono.saturating_sub(UNANSWERED)),
                _ => {}
            }
        }
        Ok(())
    }

    fn next_key(&mut self, at: TagRef, block: &NextKey) {
        let Some(session) = self.sessions.get_mut(at.session) else { return };
        let State::Established { send, sending, receiving } = &mut session.state else { return };
        if block.reverse {
            if let Some(new) = sending.answered(block, send.next_root()) {
                *send = new;
                self.stats.renewed += 1;
            }
            return;
        }
        // A new set begins where the newest is in use, and only there: so nobody has us make many.
        let Some(newest) = session.receive.last().filter(|newest| newest.serial == at.serial) else { return };
        let before = ahead(newest, &self.config);
        if let Some(mut tags) = receiving.asked(block, newest.tags.next_root(), &mut self.rng) {
            self.serial += 1;
            let serial = self.serial;
            tags.extend(before, |tag, n| {
                self.tags.insert(tag, TagRef { session: at.session, serial, n });
            });
            session.receive.push(Receiving { serial, set: receiving.set(), tags, until: None });
            self.stats.renewed += 1;
        }
    }

    fn open_reply<'a>(&mut self, now: Now, at: TagRef, data: &'a mut [u8]) -> Result<Opened<'a>, Refused> {
        let session = self.sessions.get_mut(at.session).ok_or(Refused::NotOurs)?;
        let attempt = session.attempts.iter_mut().find(|attempt| attempt.serial == at.serial);
        let attempt = attempt.ok_or(Refused::NotOurs)?;
        let hybrid = u64::from(attempt.asked.kind().is_some());
        let (payload, pair) = attempt.asked.open(&self.us, data).map_err(|_| Refused::Forged)?;
        let tags = &mut self.tags;
        attempt.asked.tags.received(at.n, BEHIND, |tag| {
            tags.remove(&tag);
        });
        session.touch(now.mono);
        self.stats.answered += 1;
        // The first reply decides; what others bring is as welcome.
        if matches!(session.state, State::Asking) {
            self.stats.hybrid += hybrid;
            self.serial += 1;
            let serial = self.serial;
            session.establish(pair, serial);
            if let Some(receiving) = session.receiving(serial) {
                receiving.tags.extend(AHEAD, |tag, n| {
                    tags.insert(tag, TagRef { session: at.session, serial, n });
                });
            }
            self.events.push_back(Event::Established(session.remote));
        }
        let from = Some(session.remote);
        if blocks(payload).any(|block| block.is_err()) {
            return Err(Refused::Malformed);
        }
        Ok(Opened { from, payload })
    }

    pub(super) fn open_new<'a>(&mut self, now: Now, data: &'a mut [u8]) -> Result<Opened<'a>, Refused> {
        let ephemeral = *data.first_chunk::<32>().ok_or(Refused::NotOurs)?;
        if data.len() < new_overhead(None) {
            return Err(Refused::NotOurs);
        }
        if self.replays.contains(&ephemeral) {
            return Err(Refused::Replayed);
        }
        if !self.allow(now.mono) {
            return Err(Refused::Busy);
        }
        let new = handshake::hear(&self.us, data).map_err(|_| Refused::NotOurs)?;
        let payload: &'a [u8] = new.payload;
        check_time(payload, now.wall)?;
        if self.replays.insert(&ephemeral, now.mono) != Seen::New {
            return Err(Refused::Replayed);
        }
        self.stats.heard += 1;
        let Some(heard) = new.bound else { return Ok(Opened { from: None, payload }) };
        let from = heard.remote();
        let mut session = Session::new(from, State::Answering { heard, replies: Vec::new() }, now.mono);
        session.touch(now.mono);
        self.insert(session);
        Ok(Opened { from: Some(from), payload })
    }
}

/// spec: ecies §Block Ordering Rules, §DateTime. Exactly one, and a clove.
fn check_time(payload: &[u8], now: Wall) -> Result<(), Refused> {
    let mut times = 0;
    for block in blocks(payload) {
        match block.map_err(|_| Refused::Malformed)? {
            Block::DateTime(at) if at.plus(PAST) >= now && at <= now.plus(FUTURE) => times += 1,
            Block::DateTime(_) => return Err(Refused::Untimely),
            Block::Clove(_) | Block::Padding | Block::Other { .. } => {}
        }
    }
    if times == 1 { Ok(()) } else { Err(Refused::Untimely) }
}
