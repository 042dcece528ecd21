//! The handshakes that we began.

use super::{DIAL_RESENDS, DIAL_TIMEOUT, Endpoint, Failed, Key, TOKEN_RESENDS};
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::ssu2::error::Cause;
use crate::ssu2::initiator::{self, AwaitCreated, Retry};
use crate::ssu2::local::{Ids, OurEnd, Remote};
use crate::time::{Mono, Now};
use bytes::Bytes;
use rand::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// Retries that a dial follows. More than one is needed after a stale token only.
const MAX_RETRIES: u8 = 3;
/// Draws of a connection id until one is free.
const DRAWS: usize = 8;

/// A router to be called.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whom: what its SSU2 address says.
    pub remote: Remote,
    /// From which end of ours.
    pub local: OurEnd,
    /// The token of a RelayResponse, if it was introduced to us. Others are known here.
    pub token: Option<u64>,
    /// Whether to ask it for a relay tag.
    pub ask_for_tag: bool,
}

/// What a dial waits for.
enum Stage {
    Retry,
    Created(Box<AwaitCreated>),
}

/// A handshake that we began.
pub(super) struct Dial {
    target: Target,
    ids: Ids,
    stage: Stage,
    /// What is sent again, unchanged.
    datagram: Bytes,
    /// When it was sent first, and last.
    first: Mono,
    last: Mono,
    resends: usize,
    /// The token of the SessionRequest, zero before.
    token: u64,
    retries: u8,
    due: Mono,
}

impl Dial {
    /// From each sending to the next.
    fn waits(&self) -> &'static [Duration] {
        match self.stage {
            Stage::Retry => &TOKEN_RESENDS,
            Stage::Created(_) => &DIAL_RESENDS,
        }
    }

    /// When something is to be done if no answer comes.
    fn next_due(&self) -> Mono {
        match self.waits().get(self.resends) {
            Some(after) => self.last + *after,
            None => self.first + DIAL_TIMEOUT,
        }
    }

    fn failed(&self, cause: Cause, skew: Option<ClockSkew>, proven: bool) -> Failed {
        let (addr, peer) = (self.target.remote.addr, Some(self.target.remote.hash));
        Failed { role: Role::Initiator, addr, peer, cause, skew, proven }
    }
}

impl Endpoint {
    /// Calls a router. The outcome comes as an output.
    pub fn dial(&mut self, now: Now, target: Target) {
        let addr = target.remote.addr;
        let failed = |cause| {
            let peer = Some(target.remote.hash);
            Failed { role: Role::Initiator, addr, peer, cause, skew: None, proven: false }
        };
        self.stats.begun[1] += 1;
        if self.dials.contains_key(&addr) {
            return self.fail(failed(Cause::AlreadyDialing));
        }
        if self.dials.len() >= self.limits.dials {
            return self.fail(failed(Cause::DialLimit));
        }
        let Some(ids) = self.draw_ids(&target) else { return self.fail(failed(Cause::IdInUse)) };
        let token = target.token.or_else(|| self.received.take(addr, now)).unwrap_or(0);
        let (stage, datagram) = match token {
            1.. => match self.start(now, &target, ids, token) {
                Ok(started) => started,
                Err(cause) => return self.fail(failed(cause)),
            },
            0 => {
                let sent = initiator::token_request(&self.local, &target.remote, ids, &mut self.rng, now);
                (Stage::Retry, Bytes::from(sent))
            }
        };
        let (first, last, due) = (now.mono, now.mono, now.mono);
        let dial = Dial { target, ids, stage, datagram, first, last, resends: 0, token, retries: 0, due };
        self.begin(dial);
    }

    /// Gives the dial to an address up, if there is one.
    pub fn cancel(&mut self, addr: SocketAddr) {
        self.end_dial(addr, Cause::Cancelled, None, false);
    }

    fn start(&mut self, now: Now, target: &Target, ids: Ids, token: u64) -> Result<(Stage, Bytes), Cause> {
        let (remote, tag) = (&target.remote, target.ask_for_tag);
        let (state, sent) = AwaitCreated::start(&self.local, remote, ids, token, tag, &mut self.rng, now)?;
        Ok((Stage::Created(Box::new(state)), Bytes::from(sent)))
    }

    fn draw_ids(&mut self, target: &Target) -> Option<Ids> {
        let hash = &target.remote.hash;
        let draws: [u64; DRAWS] = std::array::from_fn(|_| (self.choose_id)(hash));
        let local = draws.into_iter().find(|id| !self.inbound.contains_key(id) && !self.is_dialing_as(*id))?;
        let remote = self.rng.next_u64();
        // They must differ; one in 2^64 draws does not.
        (remote != local).then_some(Ids { local, remote })
    }

    /// True if a dial has this connection id.
    pub(super) fn is_dialing_as(&self, id: u64) -> bool {
        self.dials.values().any(|dial| dial.ids.local == id)
    }

    /// Sends the datagram of a dial for the first time.
    fn begin(&mut self, mut dial: Dial) {
        let addr = dial.target.remote.addr;
        dial.due = dial.next_due();
        self.timers.insert((dial.due, Key::Dial(addr)));
        self.send(addr, dial.target.local, dial.datagram.clone());
        self.dials.insert(addr, dial);
    }

    pub(super) fn dial_due(&mut self, now: Now, addr: SocketAddr) {
        let Some(dial) = self.dials.get_mut(&addr) else { return };
        if dial.resends >= dial.waits().len() {
            return self.end_dial(addr, Cause::Timeout, None, false);
        }
        dial.resends += 1;
        dial.last = now.mono;
        dial.due = dial.next_due();
        let (due, local, datagram) = (dial.due, dial.target.local, dial.datagram.clone());
        self.timers.insert((due, Key::Dial(addr)));
        self.stats.resent[1] += 1;
        self.send(addr, local, datagram);
    }

    fn remove_dial(&mut self, addr: SocketAddr) -> Option<Dial> {
        let dial = self.dials.remove(&addr)?;
        self.timers.remove(&(dial.due, Key::Dial(addr)));
        Some(dial)
    }

    fn end_dial(&mut self, addr: SocketAddr, cause: Cause, skew: Option<ClockSkew>, proven: bool) {
        if let Some(dial) = self.remove_dial(addr) {
            self.fail(dial.failed(cause, skew, proven));
        }
    }

    /// A datagram from an address that we call.
    pub(super) fn for_dial(&mut self, now: Now, addr: SocketAddr, datagram: &mut [u8]) -> Result<(), Cause> {
        let dial = self.dials.get(&addr).ok_or(Cause::Unknown)?;
        let remote = &dial.target.remote;
        match &dial.stage {
            Stage::Created(state) if state.is_created(&self.local, datagram, &remote.intro) => {
                match state.handle(&self.local, remote, datagram, &mut self.rng, now, dial.last) {
                    Ok(established) => {
                        if let Some(dial) = self.remove_dial(addr) {
                            established.confirmed.iter().for_each(|d| self.send(addr, dial.target.local, d.clone()));
                            self.establish(dial.target.local, established);
                        }
                    }
                    Err(cause @ Cause::ClockSkew(skew)) => self.end_dial(addr, cause, Some(skew), true),
                    Err(cause @ (Cause::OwnRouterInfo(_) | Cause::SmallOrder)) => {
                        self.end_dial(addr, cause, None, false);
                    }
                    Err(cause) => return Err(cause),
                }
                Ok(())
            }
            _ if initiator::is_retry(&self.local, datagram, &remote.intro, dial.ids) => self.retry(now, addr, datagram),
            _ => Err(Cause::Unknown),
        }
    }

    fn retry(&mut self, now: Now, addr: SocketAddr, datagram: &mut [u8]) -> Result<(), Cause> {
        let dial = self.dials.get(&addr).ok_or(Cause::Unknown)?;
        let travelled = now.mono.saturating_sub(dial.last) / 2;
        let says = initiator::read_retry(&self.local, &dial.target.remote, dial.ids, datagram, now, travelled)?;
        let token = match says.retry {
            Retry::Token(token) => token,
            // Whatever reason it gives: Java says SessionRequest error at times.
            Retry::Refused(_) if says.skew.is_excessive() => {
                self.end_dial(addr, Cause::ClockSkew(says.skew), Some(says.skew), false);
                return Ok(());
            }
            Retry::Refused(reason) => {
                self.end_dial(addr, Cause::Refused(reason), Some(says.skew), false);
                return Ok(());
            }
        };
        // A copy, or the answer to a TokenRequest that was sent twice: the request with this token is under way.
        if dial.retries >= MAX_RETRIES || dial.token == token {
            return Err(Cause::Token);
        }
        let Some(mut dial) = self.remove_dial(addr) else { return Err(Cause::Unknown) };
        self.stats.retries[1] += 1;
        match self.start(now, &dial.target, dial.ids, token) {
            Ok((stage, datagram)) => {
                (dial.stage, dial.datagram) = (stage, datagram);
                (dial.first, dial.last, dial.resends) = (now.mono, now.mono, 0);
                dial.token = token;
                dial.retries += 1;
                self.begin(dial);
            }
            Err(cause) => self.fail(dial.failed(cause, Some(says.skew), false)),
        }
        Ok(())
    }
}
