//! One session with the holder of a static key. [`super::sessions`] finds it by tag or key, and keeps the table of tags.

use super::block::MessageRef;
use super::handshake::{Asked, Heard, Pair};
use super::next_key::{ReceiveRatchet, SendRatchet};
use super::tag_set::{ReceiveTags, SendTags};
use crate::time::Mono;
use ramson_crypto::x25519::PublicKey;
use smallvec::SmallVec;
use std::time::Duration;

/// New Session messages of ours that may still be answered.
pub(super) const MAX_ASKED: usize = 8;

/// Replies that we give to one New Session message. INTEROP: i2pd and Java wait for twelve tags.
pub(super) const MAX_REPLIES: usize = 12;

/// Acknowledgements that wait to be sent.
pub(super) const MAX_ACKS_DUE: usize = 64;

/// A New Session message that nobody has answered is given up then, as is one that we heard and that came to nothing.
/// INTEROP: three minutes in i2pd and Java.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(180);

/// An old tag set is kept for so long after its successor came into use. spec: ecies §DH Ratchet Message Flow
pub(super) const OLD_SET: Duration = Duration::from_secs(180);

/// A question of ours.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) serial: u32,
    pub(super) asked: Asked,
    pub(super) at: Mono,
}

/// A tag set that we receive with.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) serial: u32,
    /// Its number as the protocol counts.
    pub(super) set: u16,
    pub(super) tags: ReceiveTags,
    /// When it is given up.
    pub(super) until: Option<Mono>,
}

/// How far the handshake is.
#[derive(Debug)]
pub(super) enum State {
    /// We have asked, see [`Session::attempts`].
    Asking,
    /// We have been asked, and have answered so often; which of the answers arrived first we do not know.
    Answering { heard: Heard, replies: Vec<(u32, SendTags)> },
    /// Both have the same keys.
    Established { send: SendTags, sending: SendRatchet, receiving: ReceiveRatchet },
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) remote: PublicKey,
    pub(super) state: State,
    /// Questions of ours: their answers are welcome even when the session stands.
    pub(super) attempts: SmallVec<[Attempt; 1]>,
    pub(super) receive: SmallVec<[Receiving; 2]>,
    pub(super) acks_due: Vec<MessageRef>,
    pub(super) begun: Mono,
    /// When something came last, the other's question included.
    pub(super) heard_at: Option<Mono>,
    pub(super) sent_at: Mono,
    /// Since when we send and nothing comes.
    pub(super) unanswered_since: Option<Mono>,
    /// The other side speaks, and does not hear: more were lost in a row than it has tags for. Nothing is sent in it any more.
    pub(super) deaf: bool,
}

impl Session {
    pub(super) fn new(remote: PublicKey, state: State, now: Mono) -> Self {
        Self {
            remote,
            state,
            attempts: SmallVec::new(),
            receive: SmallVec::new(),
            acks_due: Vec::new(),
            begun: now,
            heard_at: None,
            sent_at: now,
            unanswered_since: None,
            deaf: false,
        }
    }

    /// Sets both directions up with the keys of a reply.
    pub(super) fn establish(&mut self, pair: Pair, serial: u32) {
        let Pair { send, receive } = pair;
        self.receive.push(Receiving { serial, set: 0, tags: receive, until: None });
        self.state = State::Established { send, sending: SendRatchet::default(), receiving: ReceiveRatchet::default() };
    }

    pub(super) fn receiving(&mut self, serial: u32) -> Option<&mut Receiving> {
        self.receive.iter_mut().find(|receiving| receiving.serial == serial)
    }

    /// True if something can be sealed for it.
    pub(super) fn can_send(&self) -> bool {
        match &self.state {
            State::Asking => false,
            State::Answering { replies, .. } => replies.len() < MAX_REPLIES,
            State::Established { .. } if self.deaf => false,
            State::Established { send, .. } => send.used() <= u32::from(super::tag_set::LAST),
        }
    }

    /// Something came.
    pub(super) fn touch(&mut self, now: Mono) {
        self.heard_at = Some(now);
        self.unanswered_since = None;
    }
}
