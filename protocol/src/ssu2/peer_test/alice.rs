//! Alice: whether strangers reach us.

use super::message::{self, Code, Message, Test};
use super::status::Evidence;
use super::{Family, Output, PeerTests, Status, index, with};
use crate::id::RouterHash;
use crate::link::skew::nearest_second;
use crate::ssu2::directory::{Directory, is_fresh, same_host, signed_by, ssu2_address, wide_network};
use crate::ssu2::header::MaskKey;
use crate::time::{Mono, Now};
use rand::{Rng, RngExt};
use std::net::SocketAddr;
use std::time::Duration;

/// How long Bob may take to answer.
const BOB_TIMEOUT: Duration = Duration::from_secs(12);
/// How long message 5 may come after message 4 before message 6 is sent, and how long between those.
const STEP: Duration = Duration::from_secs(3);
/// How often message 6 is sent.
const SENDINGS: u8 = 3;
/// Between tests while nothing is settled, and while there is nobody to ask.
const SOON: std::ops::Range<u64> = 8..16;
/// Between tests once it is settled that strangers reach us. INTEROP: Java, 13 minutes.
const LATER: std::ops::Range<u64> = 11 * 60..14 * 60;
/// Between tests once it is settled that they do not: what was repaired should be noticed.
const UNTIL_BETTER: std::ops::Range<u64> = 4 * 60..6 * 60;

/// How long a NAT may let somebody in to whom we sent a message 6, and how many of those are remembered. Most forget within
/// five minutes; whoever tests often must not be told by one that does not.
const HOLE: Duration = Duration::from_secs(30 * 60);
const HOLES: usize = 64;

/// A test of ours.
pub(super) struct Own {
    test: Test,
    signed: Vec<u8>,
    signature: [u8; 64],
    bob: RouterHash,
    bob_at: SocketAddr,
    charlie: Option<Charlie>,
    /// Where message 5 came from.
    heard: Option<SocketAddr>,
    /// What message 7 said.
    seen: Option<SocketAddr>,
    /// Message 7 came.
    answered: bool,
    sent: u8,
    pub(super) due: Mono,
}

struct Charlie {
    hash: RouterHash,
    addr: SocketAddr,
    intro: MaskKey,
}

impl Own {
    /// What the messages that came show.
    ///
    /// spec: ssu2 §Results State Machine
    fn result(&self, current: Status) -> Status {
        let Some(charlie) = &self.charlie else {
            // Who it was that called is not known, so neither is whether we had called it before.
            return Status::Unknown;
        };
        if same_host(charlie.addr.ip(), self.bob_at.ip()) {
            return Status::Unknown;
        }
        match (self.heard, self.answered, self.seen) {
            (Some(from), ..) if !same_host(from.ip(), charlie.addr.ip()) => Status::Unknown,
            (Some(_), false, _) if current == Status::SymmetricNat => Status::Unknown,
            (Some(_), ..) => Status::Ok,
            (None, true, Some(seen)) if seen.port() != self.test.address.port() => Status::SymmetricNat,
            (None, true, _) => Status::Firewalled,
            (None, false, _) => Status::Unknown,
        }
    }
}

impl PeerTests {
    /// Begins, goes on with, or ends the test of a family.
    pub(super) fn own_due(&mut self, now: Now, v4: bool, directory: &dyn Directory) {
        let family = &mut self.families[index(v4)];
        let Some(address) = family.address else { return };
        match &mut family.own {
            None if family.next <= now.mono => self.begin(now, v4, address, directory),
            Some(own) if own.due <= now.mono => {
                if own.charlie.is_some() && !own.answered && own.sent < SENDINGS {
                    self.send_6(now, v4);
                } else {
                    self.conclude(now, v4);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, now: Now, v4: bool, address: SocketAddr, directory: &dyn Directory) {
        let family = &mut self.families[index(v4)];
        family.next = now.mono + Duration::from_secs(self.rng.random_range(SOON));
        let mut testers = directory.testers(v4);
        // Somebody else than last time, if there is a choice.
        let others = testers.iter().filter(|(_, at)| Some(wide_network(at.ip())) != family.last_network);
        if others.count() > 0 {
            testers.retain(|(_, at)| Some(wide_network(at.ip())) != family.last_network);
        }
        if testers.is_empty() {
            return self.tally.count("alice", "no_bob");
        }
        let (bob, bob_at) = testers[self.rng.random_range(0..testers.len())];
        let seconds = nearest_second(now.wall);
        let test = Test { version: message::VERSION, nonce: self.rng.next_u32(), seconds, address };
        let signed = test.to_bytes();
        let signature = self.me.sign(&message::to_sign(&bob, None, &signed));
        self.tally.count("alice", "begun");
        self.send_block(bob, &with(1, test, &signed, &signature), None);
        let due = now.mono + BOB_TIMEOUT;
        let own = Own {
            test,
            signed,
            signature,
            bob,
            bob_at,
            charlie: None,
            heard: None,
            seen: None,
            answered: false,
            sent: 0,
            due,
        };
        let family = &mut self.families[index(v4)];
        family.last_network = Some(wide_network(bob_at.ip()));
        family.own = Some(own);
    }

    /// The family whose test has this nonce.
    fn of_nonce(&self, nonce: u32) -> Option<bool> {
        let has = |f: &Family| f.own.as_ref().is_some_and(|own| own.test.nonce == nonce);
        [true, false].into_iter().find(|v4| has(&self.families[index(*v4)]))
    }

    /// Message 4.
    pub(super) fn answered_by_bob(
        &mut self,
        now: Now,
        from: &RouterHash,
        data: &[u8],
        message: &Message<'_>,
        directory: &dyn Directory,
    ) {
        let Some(v4) = self.of_nonce(message.test.nonce) else { return self.tally.count("alice", "unknown_nonce") };
        let Some(own) = &self.families[index(v4)].own else { return };
        if own.bob != *from || own.charlie.is_some() {
            return self.tally.count("alice", "unexpected_4");
        }
        if message.code != Code::ACCEPT {
            self.tally.count("alice", message.code.label());
            return self.conclude(now, v4);
        }
        let (Some(hash), bob, me) = (message.router, own.bob, self.me.hash()) else { return };
        let Some(info) = directory.router_info(&hash) else {
            if !self.wait_for(now, hash, from, data) {
                self.tally.count("alice", "charlie_not_known");
            }
            return;
        };
        let fits = message.test.address == own.test.address && is_fresh(message.test.seconds, now.wall);
        if !fits || !signed_by(&info, &message::to_sign(&bob, Some(&me), message.signed), message.signature) {
            self.tally.count("alice", "charlie_signature");
            return self.conclude(now, v4);
        }
        let address = ssu2_address(&info, v4).and_then(|a| Some((a.socket?, MaskKey::new(a.intro_key))));
        // Whom we have called reaches us through our NAT: that shows nothing.
        let usable = hash != me && hash != bob && !directory.is_connected(&hash);
        let Some((addr, intro)) = address.filter(|(addr, _)| usable && !self.has_hole(now, *addr)) else {
            self.tally.count("alice", "useless_charlie");
            return self.conclude(now, v4);
        };
        if let Some(own) = &mut self.families[index(v4)].own {
            own.charlie = Some(Charlie { hash, addr, intro });
            own.due = now.mono + STEP;
            if own.heard.is_some() {
                self.send_6(now, v4);
            }
        }
    }

    /// True if our NAT may let this address in since an earlier test.
    fn has_hole(&mut self, now: Now, addr: SocketAddr) -> bool {
        self.holes.retain(|(_, at)| now.mono.saturating_sub(*at) < HOLE);
        self.holes.iter().any(|(to, _)| same_host(to.ip(), addr.ip()))
    }

    /// The RouterInfo of a Charlie did not come.
    pub(super) fn charlie_unknown(&mut self, now: Now, message: &Message<'_>) {
        if let Some(v4) = self.of_nonce(message.test.nonce) {
            self.tally.count("alice", "charlie_not_known");
            self.conclude(now, v4);
        }
    }

    /// Message 5 or 7.
    pub(super) fn heard_charlie(
        &mut self,
        now: Now,
        from: SocketAddr,
        number: u8,
        nonce: u32,
        seen: Option<SocketAddr>,
    ) {
        let Some(v4) = self.of_nonce(nonce) else { return self.tally.count("alice", "unknown_nonce") };
        let Some(own) = &mut self.families[index(v4)].own else { return };
        if number == 5 {
            // After our message 6 it may have come through our NAT.
            if own.sent == 0 && own.heard.is_none() {
                own.heard = Some(from);
                if own.charlie.is_some() {
                    self.send_6(now, v4);
                }
            }
            return;
        }
        let charlies = own.charlie.as_ref().is_some_and(|c| same_host(c.addr.ip(), from.ip()));
        if charlies && own.sent > 0 {
            (own.answered, own.seen) = (true, seen);
            self.conclude(now, v4);
        } else {
            self.tally.count("alice", "unexpected_7");
        }
    }

    fn send_6(&mut self, now: Now, v4: bool) {
        let Some(own) = &mut self.families[index(v4)].own else { return };
        let Some(charlie) = &own.charlie else { return };
        own.sent += 1;
        own.due = now.mono + STEP;
        let (to, intro) = (charlie.addr, charlie.intro.clone());
        self.holes.push_back((to, now.mono));
        if self.holes.len() > HOLES {
            self.holes.pop_front();
        }
        let (test, signed, signature) = (own.test, own.signed.clone(), own.signature);
        self.send_outside(now, to, &intro, &with(6, test, &signed, &signature), true);
    }

    fn conclude(&mut self, now: Now, v4: bool) {
        let family = &mut self.families[index(v4)];
        let Some(own) = family.own.take() else { return };
        let result = own.result(family.judge.status());
        let charlie = own.charlie.as_ref().map(|c| c.hash);
        let (bob, bob_ip, seen, at) = (own.bob, own.bob_at.ip(), own.seen, now.wall);
        let changed = family.judge.hear(Evidence { bob, bob_ip, charlie, result, seen, at });
        let again = match family.judge.status() {
            _ if !family.judge.is_settled() => SOON,
            Status::Ok => LATER,
            Status::Unknown | Status::Firewalled | Status::SymmetricNat => UNTIL_BETTER,
        };
        family.next = now.mono + Duration::from_secs(self.rng.random_range(again));
        let status = family.judge.status();
        self.tally.count("alice", result.label());
        if changed {
            self.outputs.push_back(Output::Status { address: own.test.address, status, seen });
        }
    }
}
