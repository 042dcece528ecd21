//! What we wait for: answers to what our own tunnels, searches and builds have asked, by owner and by the way on which
//! they must come.
//!
//! Whoever asks says so here before the question goes out; whoever dispatches looks here. An answer that comes by another
//! way than the one named in the question is nobody's: it would tell a stranger that two tunnels, or a tunnel and this
//! router, belong together.

use crate::mailbox::Mailbox;
use crate::messages::{Arrived, Origin, Token};
use actix::prelude::*;
use parking_lot::Mutex;
use ramson_protocol::garlic::one_time::{OneTimeKey, Pending};
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{NetDbKey, RouterHash, TunnelId};
use ramson_protocol::time::Mono;
use std::collections::HashMap;
use std::sync::Arc;

/// Things that are expected at once, of each kind.
const MAX: usize = 16 * 1024;

/// By what way an answer must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// To the router itself: over a session, or out of somebody's tunnel that ends here.
    Router,
    /// Out of this tunnel of ours.
    Tunnel(TunnelId),
}

impl Via {
    fn is(self, origin: Origin) -> bool {
        match self {
            Self::Router => !origin.way().is_own(),
            Self::Tunnel(id) => origin.own_tunnel() == Some(id),
        }
    }
}

/// Who waits for an answer.
pub(crate) struct Waiter {
    /// The actor that is told.
    pub(crate) to: Recipient<Arrived>,
    /// The mailbox of that actor, for its gauge.
    pub(crate) mailbox: Mailbox,
    /// The way on which it must come.
    pub(crate) via: Via,
    /// When it is not waited for any more.
    pub(crate) until: Mono,
}

#[derive(Default)]
struct Questions(Vec<Question>);

struct Question {
    via: Via,
    until: Mono,
    /// Who was asked.
    of: RouterHash,
}

struct Inner {
    answers: HashMap<(Owner, Token), Waiter>,
    lookups: HashMap<(Owner, NetDbKey), Questions>,
    keys: Pending<(Owner, Via)>,
}

/// The register; clones share it. Locked for a look-up, some dozens of times a second.
#[derive(Clone)]
pub(crate) struct Expected(Arc<Mutex<Inner>>);

impl Default for Expected {
    fn default() -> Self {
        let (answers, lookups) = (HashMap::new(), HashMap::new());
        Self(Arc::new(Mutex::new(Inner { answers, lookups, keys: Pending::new(MAX) })))
    }
}

/// What became of a garlic message that named one of our keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsealed<T> {
    /// It was opened, and the key is used up.
    Opened(T),
    /// It could not be opened.
    Forged,
    /// It came by another way than the one its key was given out for.
    WrongWay,
}

impl Expected {
    /// Somebody waits for the answer that `token` names. False if too much is waited for. What is to come to the router
    /// itself (the answer to the build of an inbound tunnel, whosever it is) counts as the router's own.
    #[must_use]
    pub(crate) fn expect(&self, owner: Owner, token: Token, waiter: Waiter) -> bool {
        let owner = if waiter.via == Via::Router { Owner::Router } else { owner };
        let mut inner = self.0.lock();
        let room = inner.answers.len() < MAX;
        if room {
            inner.answers.insert((owner, token), waiter);
        }
        room
    }

    /// Whoever waits for what has come, if anyone does and it came by its way. He waits no longer then.
    pub(crate) fn take(&self, token: &Token, origin: Origin) -> Option<Waiter> {
        let key = (origin.way().owner(), token.clone());
        let mut inner = self.0.lock();
        inner.answers.get(&key).filter(|waiter| waiter.via.is(origin))?;
        inner.answers.remove(&key)
    }

    /// Garlic that names this key is for us, until `until`.
    pub(crate) fn expect_garlic(&self, owner: Owner, key: OneTimeKey, via: Via, until: Mono) {
        self.0.lock().keys.insert(key, until, (owner, via));
    }

    /// Opens garlic under one of the keys that we gave out, and hands the payload to `read`. `None` if it names none.
    pub(crate) fn open<T>(&self, origin: Origin, data: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<Unsealed<T>> {
        let mut inner = self.0.lock();
        let (owner, via) = *inner.keys.named(data)?;
        if owner != origin.way().owner() || !via.is(origin) {
            return Some(Unsealed::WrongWay);
        }
        let mut data = data.to_vec();
        Some(match inner.keys.open(&mut data) {
            Some((payload, _)) => Unsealed::Opened(read(payload)),
            None => Unsealed::Forged,
        })
    }

    /// The router `of` was asked for `key`, and is to answer by `via`.
    pub(crate) fn expect_entry(&self, owner: Owner, key: NetDbKey, of: RouterHash, via: Via, until: Mono) {
        let mut inner = self.0.lock();
        if inner.lookups.len() >= MAX && !inner.lookups.contains_key(&(owner, key)) {
            return;
        }
        let questions = inner.lookups.entry((owner, key)).or_default();
        questions.0.retain(|held| held.via != via);
        questions.0.push(Question { via, until, of });
    }

    /// Who was asked, if an entry under `key`, or the word that there is none, answers a question of the owner of this way.
    pub(crate) fn answers_lookup(&self, key: NetDbKey, origin: Origin, now: Mono) -> Option<RouterHash> {
        let inner = self.0.lock();
        let questions = inner.lookups.get(&(origin.way().owner(), key));
        questions?.0.iter().rev().find(|held| held.via.is(origin) && held.until > now).map(|held| held.of)
    }

    /// Forgets what was waited for long enough.
    pub(crate) fn expire(&self, now: Mono) {
        let mut inner = self.0.lock();
        inner.answers.retain(|_, waiter| waiter.until > now);
        inner.keys.expire(now);
        inner.lookups.retain(|_, questions| {
            questions.0.retain(|held| held.until > now);
            !questions.0.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::By;
    use ramson_protocol::id::{DestinationId, MessageId, RouterHash};
    use std::time::Duration;

    const ROUTER: Owner = Owner::Router;
    const DESTINATION: Owner = Owner::Destination(DestinationId(1));
    const LATER: Mono = Duration::from_secs(10);

    struct Nobody;

    impl Actor for Nobody {
        type Context = Context<Self>;
    }

    impl Handler<Arrived> for Nobody {
        type Result = ();

        fn handle(&mut self, _: Arrived, _: &mut Context<Self>) {}
    }

    fn out_of(id: u32, owner: Owner) -> Origin {
        Origin::OwnTunnel(TunnelId(id), owner)
    }

    #[actix::test]
    async fn an_answer_counts_for_its_owner_by_its_way_and_once() {
        let expected = Expected::default();
        let token = Token::Delivery(MessageId(9));
        let waiter = |via| Waiter { to: Nobody.start().recipient(), mailbox: Mailbox::Pool, via, until: LATER };
        assert!(expected.expect(DESTINATION, token.clone(), waiter(Via::Tunnel(TunnelId(5)))));
        let elsewhere = [
            out_of(5, ROUTER),
            out_of(6, DESTINATION),
            Origin::Direct(RouterHash([1; 32])),
            Origin::Garlic(By::Tunnel(TunnelId(5))),
        ];
        for origin in elsewhere {
            assert!(expected.take(&token, origin).is_none(), "{origin:?}");
        }
        assert!(expected.take(&token, Origin::OwnGarlic(TunnelId(5), DESTINATION)).is_some());
        assert!(expected.take(&token, out_of(5, DESTINATION)).is_none(), "only once");
        assert!(expected.expect(ROUTER, token.clone(), waiter(Via::Router)));
        assert!(expected.take(&token, out_of(5, ROUTER)).is_none());
        expected.expire(LATER);
        assert!(expected.take(&token, Origin::Direct(RouterHash([1; 32]))).is_none(), "too late");
    }

    #[test]
    fn a_key_opens_only_what_comes_by_the_way_it_was_given_out_for() {
        let expected = Expected::default();
        let key = || OneTimeKey { key: [1; 32], tag: [2; 8] };
        expected.expect_garlic(ROUTER, key(), Via::Tunnel(TunnelId(5)), LATER);
        let sealed = key().seal(b"answer");
        let open = |origin| expected.open(origin, &sealed[4..], <[u8]>::to_vec);
        assert_eq!(open(Origin::Direct(RouterHash([1; 32]))), Some(Unsealed::WrongWay));
        assert_eq!(open(out_of(6, ROUTER)), Some(Unsealed::WrongWay));
        assert_eq!(open(out_of(5, DESTINATION)), Some(Unsealed::WrongWay));
        let mut forged = sealed[4..].to_vec();
        forged[9] ^= 1;
        assert_eq!(expected.open(out_of(5, ROUTER), &forged, |_| ()), Some(Unsealed::Forged));
        assert_eq!(open(out_of(5, ROUTER)), Some(Unsealed::Opened(b"answer".to_vec())));
        assert_eq!(open(out_of(5, ROUTER)), None);
    }

    #[test]
    fn an_entry_answers_only_whoever_asked_by_the_tunnel_he_named() {
        let (expected, key, now) = (Expected::default(), NetDbKey([7; 32]), Mono::ZERO);
        let asked = RouterHash([6; 32]);
        expected.expect_entry(ROUTER, key, asked, Via::Tunnel(TunnelId(5)), LATER);
        let answers = |key, origin| expected.answers_lookup(key, origin, now) == Some(asked);
        assert!(answers(key, out_of(5, ROUTER)));
        assert!(!answers(key, out_of(6, ROUTER)) && !answers(key, out_of(5, DESTINATION)));
        assert!(!answers(key, Origin::Direct(RouterHash([1; 32]))) && !answers(NetDbKey([8; 32]), out_of(5, ROUTER)));
        assert_eq!(expected.answers_lookup(key, out_of(5, ROUTER), LATER), None, "too late");
    }
}
