//! One router that we are connected to, or want to be.
//!
//! ```text
//! Resolving --RouterInfo--> Dialing --up--> Connected --down--> (end)
//!     |                        |
//!     +------- failed ---------+--> BackingOff --time--> (end)
//! ```
//! State owned: where this connection stands. Messages in: [`Wanted`], [`SessionUp`], [`SessionDown`], [`DialFailed`].
//! Out: dials and refusals to the data plane. The mailbox is actix's 16: all senders are the switch, and it drops
//! what does not fit; the data plane asks again with its next message.

use crate::messages::{DialFailed, SessionDown, SessionUp};
use crate::netdb::NetDb;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_transports::DialTarget;
use std::net::IpAddr;
use std::time::Duration;

/// After a failed dial the router is left alone for this long. INTEROP: i2pd avoids it for eight minutes; the first
/// failure may be a passing one, so we begin lower.
const BACK_OFF: Duration = Duration::from_secs(60);

/// Something waits for a session with this router.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Wanted;

/// Tells the switch that a connection's actor has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Ended(pub RouterHash);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resolving,
    Dialing,
    Connected,
    BackingOff,
}

/// The actor.
pub struct PeerConnection {
    hash: RouterHash,
    shared: Shared,
    netdb: NetDb,
    owner: Recipient<Ended>,
    state: State,
}

impl PeerConnection {
    /// For a router that has called us, or (`connected` is false) that something waits for.
    pub fn new(hash: RouterHash, connected: bool, shared: Shared, netdb: NetDb, owner: Recipient<Ended>) -> Self {
        let state = if connected { State::Connected } else { State::Resolving };
        Self { hash, shared, netdb, owner, state }
    }

    fn resolve(&mut self, ctx: &mut Context<Self>) {
        self.state = State::Resolving;
        let find = self.netdb.find_router(self.hash);
        ctx.spawn(find.into_actor(self).map(|found, actor, ctx| match found {
            Some(info) => actor.dial(&info, ctx),
            None => actor.fail("no_router_info", ctx),
        }));
    }

    fn dial(&mut self, info: &RouterInfo, ctx: &mut Context<Self>) {
        if self.state != State::Resolving {
            return;
        }
        let private = self.shared.allow_private();
        match dial_target(info, private, self.shared.transports()) {
            Some(target) => {
                self.state = State::Dialing;
                if !self.shared.transports().dial(target) {
                    self.fail("busy", ctx);
                }
            }
            None => self.fail("no_address", ctx),
        }
    }

    fn fail(&mut self, reason: &'static str, ctx: &mut Context<Self>) {
        metrics::counter!("ramson_connect_failures_total", "reason" => reason).increment(1);
        self.shared.transports().unreachable(self.hash);
        self.netdb.unreachable(self.hash);
        self.state = State::BackingOff;
        ctx.run_later(BACK_OFF, |actor, ctx| {
            if actor.state == State::BackingOff {
                ctx.stop();
            }
        });
    }
}

/// The address to call: one whose family we can call from, IPv4 first.
fn dial_target(info: &RouterInfo, private: bool, transports: &ramson_transports::Transports) -> Option<DialTarget> {
    let mut all: Vec<_> = info.ntcp2().filter_map(|a| a.dialable()).collect();
    all.retain(|(addr, ..)| {
        (private || ramson_protocol::data::router_address::is_public(addr.ip())) && transports.can_reach(addr.ip())
    });
    all.sort_by_key(|(addr, ..)| matches!(addr.ip(), IpAddr::V6(_)));
    let (addr, static_key, iv) = *all.first()?;
    Some(DialTarget { peer: info.hash(), addr, static_key, iv })
}

impl Actor for PeerConnection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.state == State::Resolving {
            self.resolve(ctx);
        }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Err(SendError::Full(ended)) = self.owner.try_send(Ended(self.hash)) {
            // The switch is flooded; this message must arrive or its table would leak, and it is one per connection.
            let owner = self.owner.clone();
            actix::spawn(async move { owner.send(ended).await });
        }
    }
}

impl Handler<Wanted> for PeerConnection {
    type Result = ();

    fn handle(&mut self, _: Wanted, ctx: &mut Context<Self>) {
        match self.state {
            State::Resolving | State::Dialing => {}
            // The session ended between the asking and now: SessionDown is on its way, so dial anew.
            State::Connected => self.resolve(ctx),
            State::BackingOff => self.shared.transports().unreachable(self.hash),
        }
    }
}

impl Handler<SessionUp> for PeerConnection {
    type Result = ();

    fn handle(&mut self, _: SessionUp, _: &mut Context<Self>) {
        self.state = State::Connected;
    }
}

impl Handler<SessionDown> for PeerConnection {
    type Result = ();

    fn handle(&mut self, _: SessionDown, ctx: &mut Context<Self>) {
        if self.state == State::Connected {
            ctx.stop();
        }
    }
}

impl Handler<DialFailed> for PeerConnection {
    type Result = ();

    fn handle(&mut self, _: DialFailed, ctx: &mut Context<Self>) {
        // The peer may have called us meanwhile.
        if self.state == State::Dialing {
            self.fail("dial", ctx);
        }
    }
}
