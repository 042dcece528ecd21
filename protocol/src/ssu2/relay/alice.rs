//! Alice: we want to be introduced to Charlie.

use super::message::{self, Agreement, Ask, Code, Request, Response};
use super::{BlockKind, MAX_ASKED, Output, Relay, TIMEOUT};
use crate::id::RouterHash;
use crate::link::skew::nearest_second;
use crate::ssu2::directory::{Directory, is_fresh, same_host, signed_by};
use crate::time::{Mono, Now};
use rand::Rng;
use std::net::SocketAddr;

/// An introduction that we want.
#[derive(Clone, Copy, Debug)]
pub struct Introduction {
    /// The router that is to introduce us; a session with it stands.
    pub bob: RouterHash,
    /// The router that we want to call.
    pub charlie: RouterHash,
    /// `itag` of its address.
    pub tag: u32,
    /// Whether it is to be called over IPv4.
    pub v4: bool,
}

/// Why an introduction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// We do not know our own address of that family.
    NoAddress,
    /// Too many introductions are asked for.
    Limit,
    /// No answer came in time.
    Timeout,
    /// Bob or Charlie refused.
    Refused(Code),
    /// The answer is not what Charlie signed, or leads to no address that we may call.
    CharlieSignature,
}

impl Failure {
    /// A name for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Refused(code) => code.label(),
            Self::CharlieSignature => "charlie_signature",
        }
    }
}

/// An introduction that we asked for.
pub(super) struct Asked {
    introduction: Introduction,
    pub(super) until: Mono,
}

impl Relay {
    /// Asks for an introduction. What becomes of it comes as [`Output::Introduced`] or [`Output::Failed`].
    pub fn introduce(&mut self, now: Now, introduction: Introduction) {
        let Introduction { bob, charlie, tag, v4 } = introduction;
        let Some(address) = self.address(v4) else { return self.give_up(introduction, Failure::NoAddress) };
        if self.asked.len() >= MAX_ASKED {
            return self.give_up(introduction, Failure::Limit);
        }
        let (nonce, seconds) = (self.rng.next_u32(), nearest_second(now.wall));
        let ask = Ask { nonce, tag, seconds, version: message::VERSION, address };
        let signed = ask.to_bytes();
        let signature = self.me.sign(&Ask::to_sign(&bob, &charlie, &signed));
        let request = Request { alice: None, ask, signed: &signed, signature: &signature };
        self.tally.count("alice", "asked");
        self.send_block(bob, BlockKind::Request, request.to_bytes(), None);
        self.asked.insert(nonce, Asked { introduction, until: now.mono + TIMEOUT });
    }

    fn give_up(&mut self, introduction: Introduction, why: Failure) {
        let Introduction { bob, charlie, .. } = introduction;
        self.tally.count("alice", why.label());
        self.outputs.push_back(Output::Failed { charlie, bob, why });
    }

    /// Forgets introductions that took too long.
    pub(super) fn asked_due(&mut self, now: Now) {
        let over = self.asked.iter().filter(|(_, a)| a.until <= now.mono).map(|(nonce, _)| *nonce);
        for nonce in over.collect::<Vec<_>>() {
            if let Some(asked) = self.asked.remove(&nonce) {
                self.give_up(asked.introduction, Failure::Timeout);
            }
        }
    }

    /// A RelayResponse from Bob.
    pub(super) fn answered_by_bob(
        &mut self,
        now: Now,
        from: &RouterHash,
        response: &Response<'_>,
        directory: &dyn Directory,
    ) {
        let nonce = response.agreement.nonce;
        // After a HolePunch nothing waits for it.
        let Some(asked) = self.asked.get(&nonce).filter(|a| a.introduction.bob == *from) else {
            return self.tally.count("alice", "unexpected_response");
        };
        let introduction = asked.introduction;
        if response.code != Code::ACCEPT {
            self.asked.remove(&nonce);
            return self.give_up(introduction, Failure::Refused(response.code));
        }
        match self.agreed(now, &introduction, response, directory) {
            Some((addr, token)) => self.introduced(nonce, addr, token),
            None => {
                self.asked.remove(&nonce);
                self.give_up(introduction, Failure::CharlieSignature);
            }
        }
    }

    /// A HolePunch.
    pub(super) fn punched(&mut self, now: Now, from: SocketAddr, response: &Response<'_>, directory: &dyn Directory) {
        let nonce = response.agreement.nonce;
        let Some(asked) = self.asked.get(&nonce) else { return self.tally.count("alice", "unexpected_punch") };
        let introduction = asked.introduction;
        match self.agreed(now, &introduction, response, directory) {
            // spec: ssu2 §Response Handling — "Alice should check the UDP source port of the Hole Punch message, and
            // use that if it is different".
            Some((addr, token)) if same_host(addr.ip(), from.ip()) => self.introduced(nonce, from, token),
            _ => self.tally.count("alice", "bad_punch"),
        }
    }

    fn introduced(&mut self, nonce: u32, addr: SocketAddr, token: u64) {
        if let Some(asked) = self.asked.remove(&nonce) {
            self.tally.count("alice", "introduced");
            self.outputs.push_back(Output::Introduced { charlie: asked.introduction.charlie, addr, token });
        }
    }

    /// Where Charlie is and the token, if it is he who agrees.
    fn agreed(
        &self,
        now: Now,
        introduction: &Introduction,
        response: &Response<'_>,
        directory: &dyn Directory,
    ) -> Option<(SocketAddr, u64)> {
        let info = directory.router_info(&introduction.charlie)?;
        let signed = Agreement::to_sign(&introduction.bob, response.signed);
        let addr = response.agreement.address?;
        let good = response.code == Code::ACCEPT
            && is_fresh(response.agreement.seconds, now.wall)
            && addr.is_ipv4() == introduction.v4
            && self.me.may_reach(addr)
            && signed_by(&info, &signed, response.signature);
        response.token.filter(|_| good).map(|token| (addr, token))
    }
}
