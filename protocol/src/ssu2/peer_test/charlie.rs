//! Charlie: we call Alice, who has not called us.

use super::message::{self, Code, Message, Test};
use super::{MAX_OTHERS, PER_MINUTE, PeerTests, index, with};
use crate::id::RouterHash;
use crate::ssu2::directory::{Directory, intro_key, is_fresh, same_host, signed_by};
use crate::ssu2::header::MaskKey;
use crate::time::{Mono, Now};
use std::net::SocketAddr;
use std::time::Duration;

/// How often message 5 is sent.
const SENDINGS: u8 = 3;
/// Between two sendings.
const STEP: Duration = Duration::from_secs(3);
/// How long a message 6 is answered.
const LIFETIME: Duration = Duration::from_secs(30);
/// How many messages 6 are answered.
const ANSWERS: u8 = 3;

/// A test in which we call.
pub(super) struct Called {
    test: Test,
    signed: Vec<u8>,
    signature: [u8; 64],
    intro: MaskKey,
    sent: u8,
    answers: u8,
    until: Mono,
    pub(super) due: Mono,
}

impl PeerTests {
    /// Message 2.
    pub(super) fn called_by_bob(
        &mut self,
        now: Now,
        bob: &RouterHash,
        data: &[u8],
        message: &Message<'_>,
        directory: &dyn Directory,
    ) {
        let Some(alice) = message.router else { return };
        if self.called.contains_key(&message.test.nonce) {
            return self.tally.count("charlie", "known_nonce");
        }
        if directory.router_info(&alice).is_none() && self.wait_for(now, alice, bob, data) {
            // It comes before this message or soon after.
            return;
        }
        match self.admit(now, bob, &alice, message, directory) {
            Ok(intro) => {
                let (test, signed) = (message.test, message.signed.to_vec());
                let signature = self.answer(bob, &alice, message, Code::ACCEPT);
                self.tally.count("charlie", "called");
                let (due, until) = (now.mono, now.mono + LIFETIME);
                let called = Called { test, signed, signature, intro, sent: 0, answers: 0, until, due };
                self.called.insert(test.nonce, called);
                self.called_due(now);
            }
            Err(code) => {
                self.tally.count("charlie", code.label());
                self.answer(bob, &alice, message, code);
            }
        }
    }

    /// Everything that must be right. Alice's introduction key comes back.
    fn admit(
        &mut self,
        now: Now,
        bob: &RouterHash,
        alice: &RouterHash,
        message: &Message<'_>,
        directory: &dyn Directory,
    ) -> Result<MaskKey, Code> {
        let (me, test) = (self.me.hash(), &message.test);
        if *alice == me || *bob == me || alice == bob {
            return Err(Code::CHARLIE);
        }
        if self.called.len() >= MAX_OTHERS || !self.asked.admit(bob, 4 * PER_MINUTE, now.mono) {
            return Err(Code::CHARLIE_LIMIT);
        }
        let info = directory.router_info(alice).ok_or(Code::CHARLIE_UNKNOWN)?;
        let signed = message::to_sign(bob, None, message.signed);
        if !is_fresh(test.seconds, now.wall) || !signed_by(&info, &signed, message.signature) {
            return Err(Code::CHARLIE_SIGNATURE);
        }
        if directory.is_connected(alice) {
            return Err(Code::CHARLIE_CONNECTED);
        }
        let v4 = test.address.is_ipv4();
        if self.families[index(v4)].address.is_none() || !self.me.may_reach(test.address) {
            return Err(Code::CHARLIE_ADDRESS);
        }
        intro_key(&info, v4).ok_or(Code::CHARLIE_ADDRESS)
    }

    /// Sends message 3; our signature comes back.
    fn answer(&mut self, bob: &RouterHash, alice: &RouterHash, message: &Message<'_>, code: Code) -> [u8; 64] {
        let signature = self.me.sign(&message::to_sign(bob, Some(alice), message.signed));
        self.send_block(*bob, &Message { code, ..with(3, message.test, message.signed, &signature) }, None);
        signature
    }

    /// The RouterInfo for a message did not come.
    pub(super) fn router_unknown(&mut self, now: Now, from: &RouterHash, data: &[u8]) {
        let Ok(message) = Message::parse(data) else { return };
        match (message.number, message.router) {
            (2, Some(alice)) => {
                self.tally.count("charlie", Code::CHARLIE_UNKNOWN.label());
                self.answer(from, &alice, &message, Code::CHARLIE_UNKNOWN);
            }
            _ => self.charlie_unknown(now, &message),
        }
    }

    /// Sends messages 5 that are due, forgets what is over.
    pub(super) fn called_due(&mut self, now: Now) {
        let due = self.called.iter().filter(|(_, t)| t.due <= now.mono).map(|(nonce, _)| *nonce);
        for nonce in due.collect::<Vec<_>>() {
            let Some(called) = self.called.get_mut(&nonce) else { continue };
            if called.until <= now.mono {
                let heard = called.answers > 0;
                self.called.remove(&nonce);
                self.tally.count("charlie", if heard { "over" } else { "unanswered" });
                continue;
            }
            if called.sent >= SENDINGS || called.answers > 0 {
                called.due = called.until;
                continue;
            }
            called.sent += 1;
            called.due = if called.sent < SENDINGS { now.mono + STEP } else { called.until };
            let (test, signed, signature) = (called.test, called.signed.clone(), called.signature);
            let intro = called.intro.clone();
            self.send_outside(now, test.address, &intro, &with(5, test, &signed, &signature), false);
        }
    }

    /// Message 6.
    pub(super) fn heard_alice(&mut self, now: Now, from: SocketAddr, nonce: u32) {
        let Some(called) = self.called.get_mut(&nonce) else {
            return self.tally.count("charlie", "unknown_nonce");
        };
        // Only the port may be another than she believes: others could turn our answers on a third.
        if called.answers >= ANSWERS || !same_host(from.ip(), called.test.address.ip()) {
            return self.tally.count("charlie", "unexpected_6");
        }
        called.answers += 1;
        let (test, signed, signature) = (called.test, called.signed.clone(), called.signature);
        let intro = called.intro.clone();
        self.send_outside(now, from, &intro, &with(7, test, &signed, &signature), true);
    }
}
