//! Bob: we introduce Alice to Charlie, who has a tag of ours.

use super::message::{self, Agreement, Ask, Code, Request, Response};
use super::{BlockKind, MAX_OTHERS, MAX_TAGS, PER_MINUTE, Relay, TIMEOUT};
use crate::id::RouterHash;
use crate::link::skew::nearest_second;
use crate::ssu2::directory::{Directory, is_fresh, signed_by, wide_network};
use crate::time::{Mono, Now};
use bytes::Bytes;
use rand::Rng;
use std::net::IpAddr;

/// Draws of a tag until one is free.
const DRAWS: usize = 8;

/// Tags of one network: a /16 of IPv4, a /32 of IPv6.
const TAGS_OF_A_NETWORK: usize = 16;

/// A tag that we gave out.
pub(super) struct Given {
    tag: u32,
    network: u64,
    /// When it was given, or somebody was introduced by it last.
    used: Mono,
}

/// An introduction that we relay.
pub(super) struct Relayed {
    alice: RouterHash,
    charlie: RouterHash,
    pub(super) until: Mono,
}

impl Relay {
    /// A router that is at `ip` and with which a session stands asks for a tag: the one that it has, or a new one. Its
    /// network has a share of them; when all are given out, the one that has not been used for longest gives way.
    pub fn tag_for(&mut self, now: Mono, router: &RouterHash, ip: IpAddr) -> Option<u32> {
        if let Some(given) = self.tag_of.get(router) {
            return Some(given.tag);
        }
        let network = wide_network(ip);
        let share = if self.me.allow_reserved { MAX_TAGS } else { TAGS_OF_A_NETWORK };
        if self.tag_of.values().filter(|given| given.network == network).count() >= share {
            self.tally.count("bob", "network_has_its_tags");
            return None;
        }
        if self.tags.len() >= MAX_TAGS {
            let oldest =
                self.tag_of.iter().min_by_key(|(router, given)| (given.used, **router)).map(|(router, _)| *router);
            oldest.iter().for_each(|router| self.take_back(router));
            self.tally.count("bob", "tag_gave_way");
        }
        let draws: [u32; DRAWS] = std::array::from_fn(|_| self.rng.next_u32());
        let tag = draws.into_iter().find(|tag| *tag != 0 && !self.tags.contains_key(tag))?;
        self.tags.insert(tag, *router);
        self.tag_of.insert(*router, Given { tag, network, used: now });
        self.tally.count("bob", "tag");
        Some(tag)
    }

    /// The tag of a router is good no more.
    pub(super) fn take_back(&mut self, router: &RouterHash) {
        if let Some(given) = self.tag_of.remove(router) {
            self.tags.remove(&given.tag);
        }
    }

    /// A RelayRequest.
    pub(super) fn asked_by_alice(
        &mut self,
        now: Now,
        alice: &RouterHash,
        request: &Request<'_>,
        directory: &dyn Directory,
    ) {
        let nonce = request.ask.nonce;
        if self.relayed.contains_key(&nonce) {
            return self.tally.count("bob", "known_nonce");
        }
        if self.relayed.len() >= MAX_OTHERS || !self.per_minute.admit(alice, PER_MINUTE, now.mono) {
            // A refusal is signed, and so costs more than what it answers.
            return self.tally.count("bob", "limit");
        }
        match self.may_relay(now, alice, request, directory) {
            Ok((charlie, router_info)) => {
                self.tally.count("bob", "relayed");
                let until = now.mono + TIMEOUT;
                self.relayed.insert(nonce, Relayed { alice: *alice, charlie, until });
                let intro = Request { alice: Some(*alice), ..*request };
                self.send_block(charlie, BlockKind::Intro, intro.to_bytes(), Some(router_info));
            }
            Err(code) => {
                self.tally.count("bob", code.label());
                let seconds = nearest_second(now.wall);
                let agreement = Agreement { nonce, seconds, version: message::VERSION, address: None };
                let signed = agreement.to_bytes();
                let signature = self.me.sign(&Agreement::to_sign(&self.me.hash(), &signed));
                let refusal = Response { code, agreement, signed: &signed, signature: &signature, token: None };
                self.send_block(*alice, BlockKind::Response, refusal.to_bytes(), None);
            }
        }
    }

    /// Everything that must be right. Charlie and Alice's RouterInfo come back.
    fn may_relay(
        &mut self,
        now: Now,
        alice: &RouterHash,
        request: &Request<'_>,
        directory: &dyn Directory,
    ) -> Result<(RouterHash, Bytes), Code> {
        let charlie = *self.tags.get(&request.ask.tag).filter(|c| *c != alice).ok_or(Code::BOB_NO_TAG)?;
        let info = directory.router_info(alice).ok_or(Code::BOB_UNKNOWN)?;
        let signed = Ask::to_sign(&self.me.hash(), &charlie, request.signed);
        if !is_fresh(request.ask.seconds, now.wall) || !signed_by(&info, &signed, request.signature) {
            return Err(Code::BOB_SIGNATURE);
        }
        if let Some(given) = self.tag_of.get_mut(&charlie) {
            given.used = now.mono;
        }
        Ok((charlie, info.as_bytes().clone()))
    }

    /// A RelayResponse to an introduction that we relay: passed on as it is.
    pub(super) fn answered_by_charlie(&mut self, now: Now, charlie: &RouterHash, data: &[u8], response: &Response<'_>) {
        let nonce = response.agreement.nonce;
        let expected = self.relayed.get(&nonce).filter(|r| r.charlie == *charlie && r.until > now.mono);
        // Only we may refuse in our name.
        let Some(alice) = expected.filter(|_| !response.code.is_bobs()).map(|r| r.alice) else {
            return self.tally.count("bob", "unexpected_response");
        };
        self.relayed.remove(&nonce);
        self.tally.count("bob", if response.code == Code::ACCEPT { "agreed" } else { response.code.label() });
        self.send_block(alice, BlockKind::Response, data.to_vec(), None);
    }
}
