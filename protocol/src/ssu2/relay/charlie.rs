//! Charlie: a router that has a tag for us introduces Alice.

use super::message::{self, Agreement, Ask, Code, Request, Response};
use super::{BlockKind, MAX_OTHERS, Output, PER_MINUTE, Relay};
use crate::id::RouterHash;
use crate::link::skew::nearest_second;
use crate::ssu2::block::Block;
use crate::ssu2::directory::{Directory, intro_key, is_fresh, signed_by};
use crate::ssu2::header::{Kind, Long, MaskKey, VERSION};
use crate::ssu2::initiator::{pad, push, timed_payload};
use crate::ssu2::message::seal;
use crate::time::{Mono, Now};
use rand::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// How often a HolePunch is sent.
const SENDINGS: u8 = 3;
/// Between two sendings.
const STEP: Duration = Duration::from_secs(1);
/// How long the nonce is remembered, so that a copy of the RelayIntro is known.
const MEMORY: Duration = Duration::from_secs(30);

/// How long the router that was introduced has to call us. i2pd waits five seconds for an answer to its first message.
const CALL: Duration = Duration::from_secs(5);

/// An introduction in which we punch a hole.
pub(super) struct Punching {
    to: SocketAddr,
    intro: MaskKey,
    response: Vec<u8>,
    sent: u8,
    until: Mono,
    pub(super) due: Mono,
}

/// Destination and source id of a HolePunch: the nonce twice, and the inverse of that.
///
/// spec: ssu2 §Hole Punch (Type 11)
pub(super) fn ids(nonce: u32) -> (u64, u64) {
    let twice = u64::from(nonce) << 32 | u64::from(nonce);
    (twice, !twice)
}

impl Relay {
    /// A RelayIntro.
    pub(super) fn introduced_by_bob(
        &mut self,
        now: Now,
        bob: &RouterHash,
        alice: &RouterHash,
        request: &Request<'_>,
        directory: &dyn Directory,
    ) {
        let (nonce, to) = (request.ask.nonce, request.ask.address);
        if self.punching.contains_key(&nonce) {
            return self.tally.count("charlie", "known_nonce");
        }
        let admitted = self.admit(now, bob, alice, request, directory);
        let (code, address) = match &admitted {
            Ok((_, address)) => (Code::ACCEPT, Some(*address)),
            Err(code) => (*code, None),
        };
        let seconds = nearest_second(now.wall);
        let agreement = Agreement { nonce, seconds, version: message::VERSION, address };
        let signed = agreement.to_bytes();
        let signature = self.me.sign(&Agreement::to_sign(bob, &signed));
        let token = address.map(|_| directory.token_for(to));
        let response = Response { code, agreement, signed: &signed, signature: &signature, token }.to_bytes();
        self.tally.count("charlie", code.label());
        self.send_block(*bob, BlockKind::Response, response.clone(), None);
        if let Ok((intro, _)) = admitted {
            let (due, until) = (now.mono, now.mono + MEMORY);
            self.punching.insert(nonce, Punching { to, intro, response, sent: 0, until, due });
            self.punching_due(now);
        }
    }

    /// Everything that must be right. Alice's introduction key and our own address come back.
    fn admit(
        &mut self,
        now: Now,
        bob: &RouterHash,
        alice: &RouterHash,
        request: &Request<'_>,
        directory: &dyn Directory,
    ) -> Result<(MaskKey, SocketAddr), Code> {
        let me = self.me.hash();
        // Only who has a tag for us may introduce, and under that tag.
        let ours = self.introducers.get(bob) == Some(&request.ask.tag);
        if !ours || *alice == me || alice == bob {
            return Err(Code::CHARLIE);
        }
        if self.punching.len() >= MAX_OTHERS || !self.per_minute.admit(bob, PER_MINUTE, now.mono) {
            return Err(Code::CHARLIE_LIMIT);
        }
        let info = directory.router_info(alice).ok_or(Code::CHARLIE_UNKNOWN)?;
        let signed = Ask::to_sign(bob, &me, request.signed);
        if !is_fresh(request.ask.seconds, now.wall) || !signed_by(&info, &signed, request.signature) {
            return Err(Code::CHARLIE_SIGNATURE);
        }
        if directory.is_connected(alice) {
            return Err(Code::CHARLIE_CONNECTED);
        }
        let v4 = request.ask.address.is_ipv4();
        let address = self.address(v4).filter(|_| self.me.may_reach(request.ask.address));
        intro_key(&info, v4).zip(address).ok_or(Code::CHARLIE_ADDRESS)
    }

    /// True if the router at this address was introduced to us just now: it is about to call us, and if we called it too
    /// there would be two sessions. INTEROP: with two the queue of i2pd to us stood still for many seconds.
    pub fn expects_call(&self, now: Now, addr: SocketAddr) -> bool {
        self.punching.values().any(|p| p.to == addr && now.mono + MEMORY < p.until + CALL)
    }

    /// Sends HolePunches that are due, forgets what is over.
    pub(super) fn punching_due(&mut self, now: Now) {
        let due = self.punching.iter().filter(|(_, p)| p.due <= now.mono).map(|(nonce, _)| *nonce);
        for nonce in due.collect::<Vec<_>>() {
            let Some(punching) = self.punching.get_mut(&nonce) else { continue };
            if punching.until <= now.mono {
                self.punching.remove(&nonce);
                continue;
            }
            punching.sent += 1;
            punching.due = if punching.sent < SENDINGS { now.mono + STEP } else { punching.until };
            let (destination, source) = ids(nonce);
            let header = Long {
                destination,
                number: self.rng.next_u32(),
                kind: Kind::HOLE_PUNCH,
                version: VERSION,
                net_id: self.me.net_id,
                flag: 0,
                source,
                token: self.rng.next_u64(),
            };
            let mut payload = timed_payload(now);
            push(&mut payload, &Block::Address(punching.to));
            push(&mut payload, &Block::RelayResponse(&punching.response));
            pad(&mut payload, &mut self.rng);
            let bytes = seal(&header, &payload, &punching.intro);
            self.outputs.push_back(Output::Datagram { to: punching.to, bytes });
        }
    }
}
