//! The handshakes that others began.

use super::limits::Admission;
use super::{ANSWER_RESENDS, ANSWER_TIMEOUT, Endpoint, Failed, Key};
use crate::id::RouterHash;
use crate::link::callers::Rules;
use crate::link::reason::Reason;
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::ssu2::error::Cause;
use crate::ssu2::header::{self, KEYED_LEN, Kind, Long};
use crate::ssu2::local::OurEnd;
use crate::ssu2::message::{self, Opening};
use crate::ssu2::responder::{self, Accepted, AwaitConfirmed, MIN_REQUEST, Request};
use crate::ssu2::verify::{self, Verified};
use crate::time::{Mono, Now};
use bytes::Bytes;
use std::net::SocketAddr;

/// Times that the SessionCreated is sent for a SessionRequest that comes again, beside those of the timer.
const MAX_REPEATS: u8 = 4;

/// Parts of a SessionConfirmed that may be bad before the handshake ends.
const MAX_BAD: u8 = 16;

/// Retries at once after a pause, and a minute, to all the world: they hold nothing and are no longer than what they answer,
/// but who asks for them proves nothing, so there is no sharing them out by address.
/// Each costs a few microseconds and no memory: twenty thousand a second are a tenth of a core.
const RETRIES: (u32, u32) = (40_000, 1_200_000);

/// A handshake that another router began and whose address is proven.
pub(super) struct Inbound {
    state: AwaitConfirmed,
    local: OurEnd,
    /// The SessionCreated, sent again unchanged.
    datagram: Bytes,
    first: Mono,
    last: Mono,
    resends: usize,
    repeats: u8,
    bad: u8,
    due: Mono,
    /// Its place among the half-open.
    order: u64,
}

impl Inbound {
    fn next_due(&self) -> Mono {
        match ANSWER_RESENDS.get(self.resends) {
            Some(after) => self.last + *after,
            None => self.first + ANSWER_TIMEOUT,
        }
    }
}

impl Endpoint {
    pub(super) fn token_request(
        &mut self,
        now: Now,
        from: SocketAddr,
        local: OurEnd,
        datagram: &mut [u8],
    ) -> Result<(), Cause> {
        self.admit(from)?;
        let (header, plain) = message::open(datagram, &self.local.intro, Cause::TokenRequestTag)?;
        responder::check(&self.local, &header)?;
        let skew = Opening::parse(plain)?.skew(now.wall, Mono::ZERO);
        self.admit_retry(now)?;
        if skew.is_excessive() {
            self.send_retry(now, from, local, &header, Err(Reason::CLOCK_SKEW));
            return Err(Cause::ClockSkew(skew));
        }
        let token = self.issuer.retry(from, now.mono);
        self.send_retry(now, from, local, &header, Ok(token));
        Ok(())
    }

    fn send_retry(&mut self, now: Now, to: SocketAddr, local: OurEnd, header: &Long, answer: Result<u64, Reason>) {
        let retry = responder::retry(&self.local, header, to, answer, &mut self.rng, now);
        self.stats.retries[0] += 1;
        self.send(to, local, Bytes::from(retry));
    }

    /// The cheapest refusal.
    fn admit(&self, from: SocketAddr) -> Result<(), Cause> {
        if self.gate.admits_address(from.ip()) { Ok(()) } else { Err(Cause::Address) }
    }

    /// Counts a Retry against all the world.
    fn admit_retry(&mut self, now: Now) -> Result<(), Cause> {
        let (burst, per_minute) = RETRIES;
        if self.retries.admit_key(0, burst, per_minute, now.mono) { Ok(()) } else { Err(Cause::RetryLimit) }
    }

    /// Counts a handshake against an address that has returned a token: nobody else can use its share up.
    fn admit_proven(&mut self, from: SocketAddr, now: Now) -> Result<(), Cause> {
        let (burst, per_minute) = (self.limits.burst_per_ip, self.limits.per_minute_per_ip);
        if self.rates.admit(from.ip(), burst, per_minute, now.mono) { Ok(()) } else { Err(Cause::Rate) }
    }

    pub(super) fn session_request(
        &mut self,
        now: Now,
        from: SocketAddr,
        local: OurEnd,
        datagram: &mut [u8],
    ) -> Result<(), Cause> {
        if datagram.len() < MIN_REQUEST {
            return Err(Cause::Short);
        }
        self.admit(from)?;
        let intro = &self.local.intro;
        header::mask(datagram, intro, intro)
            .and_then(|()| header::mask_rest(datagram, KEYED_LEN, intro))
            .ok_or(Cause::Short)?;
        let header = Long::parse(datagram).map_err(|_| Cause::Short)?;
        responder::check(&self.local, &header)?;
        if self.repeat(header.destination, datagram)? {
            return Ok(());
        }
        if !self.issuer.is_good(header.token, from, now.mono) {
            self.admit_retry(now)?;
            // spec: ssu2 §Tokens — "Bob does NOT decrypt the message, as it requires an expensive DH operation."
            let token = self.issuer.retry(from, now.mono);
            self.send_retry(now, from, local, &header, Ok(token));
            return Err(Cause::Token);
        }
        self.admit_proven(from, now)?;
        if self.is_dialing_as(header.destination) {
            return Err(Cause::IdInUse);
        }
        let request = Request::open(&self.local, &mut self.replay, datagram, now)?;
        if !self.issuer.take(header.token, from, now.mono) {
            return Err(Cause::Token);
        }
        self.stats.begun[0] += 1;
        if request.skew.is_excessive() {
            self.send_retry(now, from, local, &header, Err(Reason::CLOCK_SKEW));
            self.refuse(from, None, Cause::ClockSkew(request.skew), Some(request.skew));
            return Ok(());
        }
        // It began anew, with a newer token.
        self.end_inbound(header.destination, Cause::Displaced);
        self.make_room(from);
        let (state, created) = request.answer(&self.local, from, &mut self.rng, now)?;
        let datagram = Bytes::from(created);
        self.send(from, local, datagram.clone());
        let order = self.half_open.enter(state.ids().local, from.ip());
        let (first, last, due) = (now.mono, now.mono, now.mono);
        let mut inbound = Inbound { state, local, datagram, first, last, resends: 0, repeats: 0, bad: 0, due, order };
        inbound.due = inbound.next_due();
        let id = inbound.state.ids().local;
        self.timers.insert((inbound.due, Key::Inbound(id)));
        self.inbound.insert(id, inbound);
        Ok(())
    }

    /// Sends the answer again if this SessionRequest got it already: it was lost. False if it is another one.
    fn repeat(&mut self, id: u64, request: &[u8]) -> Result<bool, Cause> {
        let Some(inbound) = self.inbound.get_mut(&id).filter(|i| i.state.is_answer_to(request)) else {
            return Ok(false);
        };
        if inbound.repeats >= MAX_REPEATS {
            return Err(Cause::Rate);
        }
        inbound.repeats += 1;
        let (to, local, created) = (inbound.state.addr(), inbound.local, inbound.datagram.clone());
        self.stats.resent[0] += 1;
        self.send(to, local, created);
        Ok(true)
    }

    /// Drops the oldest handshakes in the way of one more from this address.
    fn make_room(&mut self, from: SocketAddr) {
        while let Admission::Displace(id) = self.half_open.admission(from.ip(), &self.limits) {
            self.end_inbound(id, Cause::Displaced);
        }
    }

    fn remove_inbound(&mut self, id: u64) -> Option<Inbound> {
        let inbound = self.inbound.remove(&id)?;
        self.timers.remove(&(inbound.due, Key::Inbound(id)));
        self.half_open.leave(inbound.order, inbound.state.addr().ip());
        Some(inbound)
    }

    fn end_inbound(&mut self, id: u64, cause: Cause) {
        if let Some(inbound) = self.remove_inbound(id) {
            self.refuse(inbound.state.addr(), None, cause, None);
        }
    }

    fn refuse(&mut self, addr: SocketAddr, peer: Option<RouterHash>, cause: Cause, skew: Option<ClockSkew>) {
        self.fail(Failed { role: Role::Responder, addr, peer, cause, skew, proven: peer.is_some() });
    }

    pub(super) fn inbound_due(&mut self, now: Now, id: u64) {
        let Some(inbound) = self.inbound.get_mut(&id) else { return };
        if inbound.resends >= ANSWER_RESENDS.len() {
            return self.end_inbound(id, Cause::Timeout);
        }
        inbound.resends += 1;
        inbound.last = now.mono;
        inbound.due = inbound.next_due();
        let (due, local, to, datagram) = (inbound.due, inbound.local, inbound.state.addr(), inbound.datagram.clone());
        self.timers.insert((due, Key::Inbound(id)));
        self.stats.resent[0] += 1;
        self.send(to, local, datagram);
    }

    /// A datagram with the connection id of a handshake that another router began.
    pub(super) fn for_inbound(
        &mut self,
        now: Now,
        from: SocketAddr,
        local: OurEnd,
        id: u64,
        datagram: &mut [u8],
    ) -> Result<(), Cause> {
        let inbound = self.inbound.get_mut(&id).ok_or(Cause::Unknown)?;
        if inbound.state.addr() != from {
            return Err(Cause::OtherAddress);
        }
        if inbound.state.is_confirmed(&self.local, datagram) {
            let accepted = match inbound.state.handle(&self.local, datagram, now, inbound.last) {
                Ok(None) => return Ok(()),
                Ok(Some(accepted)) => accepted,
                Err(cause @ (Cause::Fragments | Cause::ConfirmedTag)) if inbound.bad < MAX_BAD => {
                    inbound.bad += 1;
                    return Err(cause);
                }
                Err(cause) => {
                    self.end_inbound(id, cause);
                    return Ok(());
                }
            };
            let local = inbound.local;
            self.remove_inbound(id);
            self.decide(now, from, local, *accepted);
            return Ok(());
        }
        let intro = &self.local.intro;
        if header::peek(datagram, intro, intro).is_some_and(|h| h.kind == Kind::SESSION_REQUEST) {
            return self.session_request(now, from, local, datagram);
        }
        if inbound.state.keep(datagram) { Ok(()) } else { Err(Cause::Unknown) }
    }

    /// Verifies the RouterInfo, asks the gate.
    fn decide(&mut self, now: Now, from: SocketAddr, local: OurEnd, accepted: Accepted) {
        let skew = accepted.skew;
        let rules = Rules {
            ours: self.local.hash,
            net_id: self.local.net_id,
            max_age: self.limits.router_info_age,
            check_source: self.limits.check_source,
        };
        let verdict = if skew.is_excessive() {
            Err((Cause::ClockSkew(skew), None))
        } else {
            verify::router_info(accepted.router_info(), &accepted.static_key, from, now.wall, &rules)
        };
        let verdict = verdict.and_then(|peer| self.ask_gate(peer, from));
        match verdict {
            Ok(peer) => {
                let established = accepted.take(&self.local, &peer);
                self.establish(local, established);
            }
            Err((cause, peer)) => {
                // Whose introduction key is not known cannot be told.
                if let Some(intro) = verify::intro_of(accepted.router_info(), &accepted.static_key, from.ip())
                    && let Some(farewell) = accepted.refuse(&intro, cause.reason())
                {
                    self.send(from, local, Bytes::from(farewell));
                }
                self.refuse(from, peer, cause, Some(skew));
            }
        }
    }

    fn ask_gate(&self, peer: Verified, from: SocketAddr) -> Result<Verified, (Cause, Option<RouterHash>)> {
        match self.gate.admits_router(&peer.info, from.ip()) {
            Ok(()) => Ok(peer),
            Err(reason) => Err((Cause::Gate(reason), Some(peer.info.hash()))),
        }
    }
}
