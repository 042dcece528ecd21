//! Bob: we find Alice somebody who calls her.

use super::message::{self, Code, Message};
use super::{MAX_OTHERS, PER_MINUTE, PeerTests};
use crate::id::RouterHash;
use crate::ssu2::directory::{Directory, is_fresh, same_host, signed_by};
use crate::time::{Mono, Now};
use rand::RngExt;
use std::net::SocketAddr;
use std::time::Duration;

/// How long Charlie may take.
const CHARLIE_TIMEOUT: Duration = Duration::from_secs(10);

/// A test that we relay.
pub(super) struct Relayed {
    alice: RouterHash,
    charlie: RouterHash,
    signed: Vec<u8>,
    pub(super) until: Mono,
}

impl PeerTests {
    /// Message 1.
    pub(super) fn asked_by_alice(
        &mut self,
        now: Now,
        alice: &RouterHash,
        at: SocketAddr,
        message: &Message<'_>,
        directory: &dyn Directory,
    ) {
        if self.relayed.contains_key(&message.test.nonce) {
            // A copy, or a nonce that somebody else uses.
            return self.tally.count("bob", "known_nonce");
        }
        match self.choose(now, alice, at, message, directory) {
            Ok((charlie, router_info)) => {
                let (signed, until) = (message.signed.to_vec(), now.mono + CHARLIE_TIMEOUT);
                self.relayed.insert(message.test.nonce, Relayed { alice: *alice, charlie, signed, until });
                self.tally.count("bob", "relayed");
                self.send_block(charlie, &Message { number: 2, router: Some(*alice), ..*message }, Some(router_info));
            }
            Err(code) => {
                self.tally.count("bob", code.label());
                let router = Some(RouterHash::default());
                self.send_block(*alice, &Message { number: 4, code, router, ..*message }, None);
            }
        }
    }

    /// Everything that must be right, and who is to be Charlie. Alice's RouterInfo is for him.
    fn choose(
        &mut self,
        now: Now,
        alice: &RouterHash,
        at: SocketAddr,
        message: &Message<'_>,
        directory: &dyn Directory,
    ) -> Result<(RouterHash, bytes::Bytes), Code> {
        let test = &message.test;
        if self.relayed.len() >= MAX_OTHERS || !self.asked.admit(alice, PER_MINUTE, now.mono) {
            return Err(Code::BOB_LIMIT);
        }
        // spec: ssu2 §Processing by Bob — "for IPv4, it matches Alice's IP, and for IPv6, at least the first 8 bytes".
        if !same_host(test.address.ip(), at.ip()) || !self.me.may_reach(test.address) {
            return Err(Code::BOB_ADDRESS);
        }
        let info = directory.router_info(alice).ok_or(Code::BOB)?;
        let signed = message::to_sign(&self.me.hash(), None, message.signed);
        if !is_fresh(test.seconds, now.wall) || !signed_by(&info, &signed, message.signature) {
            return Err(Code::BOB_SIGNATURE);
        }
        let mut testers = directory.testers(test.address.is_ipv4());
        testers.retain(|(hash, addr)| hash != alice && !same_host(addr.ip(), at.ip()));
        if testers.is_empty() {
            return Err(Code::BOB_NO_CHARLIE);
        }
        let (charlie, _) = testers[self.rng.random_range(0..testers.len())];
        Ok((charlie, info.as_bytes().clone()))
    }

    /// Message 3.
    pub(super) fn agreed_by_charlie(
        &mut self,
        now: Now,
        charlie: &RouterHash,
        message: &Message<'_>,
        directory: &dyn Directory,
    ) {
        let nonce = message.test.nonce;
        let Some(test) = self.relayed.get(&nonce).filter(|t| t.charlie == *charlie) else {
            return self.tally.count("bob", "unexpected_3");
        };
        let alice = test.alice;
        let info = directory.router_info(charlie);
        if message.code == Code::ACCEPT {
            // Whoever relays what does not verify is taken for its author.
            let to_sign = message::to_sign(&self.me.hash(), Some(&alice), message.signed);
            let good = info.as_ref().is_some_and(|info| signed_by(info, &to_sign, message.signature));
            if !good || message.test.address != address_of(&test.signed) || !is_fresh(message.test.seconds, now.wall) {
                return self.tally.count("bob", "charlie_signature");
            }
        }
        self.relayed.remove(&nonce);
        self.tally.count("bob", if message.code == Code::ACCEPT { "agreed" } else { message.code.label() });
        let router_info = info.filter(|_| message.code == Code::ACCEPT).map(|info| info.as_bytes().clone());
        self.send_block(alice, &Message { number: 4, router: Some(*charlie), ..*message }, router_info);
    }
}

/// The address in a signed part that was read before.
fn address_of(signed: &[u8]) -> SocketAddr {
    let message = [&[1, 0, 0][..], signed].concat();
    Message::parse(&message).map_or(SocketAddr::from(([0; 4], 0)), |m| m.test.address)
}
