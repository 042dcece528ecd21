//! One router that we are connected to, or want to be.
//!
//! ```text
//! Resolving --RouterInfo--> Dialing --up--> Connected --down--> (end)
//!     |                      |  ^  |
//!     |                      +--+  | next way to call it
//!     +--------- no way left ------+--> BackingOff --time--> (end)
//! ```
//! State owned: where this connection stands. Messages in: [`Wanted`], [`SessionUp`], [`SessionDown`], [`DialFailed`].
//! Out: dials and refusals to the data plane. The mailbox is actix's 16: all senders are the switch, and it drops
//! what does not fit; the data plane asks again with its next message.

use crate::mailbox::Mailbox;
use crate::messages::{DialFailed, SessionDown, SessionUp};
use crate::netdb::NetDb;
use crate::series::control;
use crate::shared::Shared;
use crate::switch::PeerNews;
use actix::prelude::*;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::dialing::{Call, calls};
use ramson_protocol::id::RouterHash;
use std::collections::VecDeque;
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
    news: Option<Recipient<PeerNews>>,
    state: State,
    /// Ways to call it that were not tried yet, the best first.
    calls: VecDeque<Call>,
    /// Its RouterInfo, while it is being called.
    info: Option<RouterInfo>,
}

impl PeerConnection {
    /// For a router that has called us, or (`connected` is false) that something waits for.
    pub fn new(
        hash: RouterHash,
        connected: bool,
        shared: Shared,
        netdb: NetDb,
        owner: Recipient<Ended>,
        news: Option<Recipient<PeerNews>>,
    ) -> Self {
        let state = if connected { State::Connected } else { State::Resolving };
        Self { hash, shared, netdb, owner, news, state, calls: VecDeque::new(), info: None }
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
        let now = self.shared.now();
        let lessons = self.shared.lessons();
        self.calls = calls(info, self.shared.abilities(), &lessons, now.mono, now.wall.secs()).into_iter().collect();
        drop(lessons);
        let list = self.shared.gate().list();
        if list.has_router(&self.hash) {
            return self.fail("blocked", ctx);
        }
        self.calls.retain(|call| call.addr().is_none_or(|addr| !list.has_address(addr.ip())));
        self.info = Some(info.clone());
        self.call_next("no_address", ctx);
    }

    /// Tries the next way to call it; without one the router is unreachable, for `reason`.
    fn call_next(&mut self, reason: &'static str, ctx: &mut Context<Self>) {
        match self.calls.pop_front().zip(self.info.as_ref()) {
            Some((call, info)) => {
                self.state = State::Dialing;
                if !self.shared.transports().dial(info, call) {
                    self.fail("busy", ctx);
                }
            }
            None => self.fail(reason, ctx),
        }
    }

    fn fail(&mut self, reason: &'static str, ctx: &mut Context<Self>) {
        control::CONNECT_FAILURES.add([reason], 1);
        self.shared.transports().unreachable(self.hash);
        self.netdb.unreachable(self.hash);
        if self.state == State::Dialing
            && let Some(news) = &self.news
        {
            Mailbox::Pool.offer(|| news.try_send(PeerNews::Unreachable(self.hash)));
        }
        self.state = State::BackingOff;
        ctx.run_later(BACK_OFF, |actor, ctx| {
            if actor.state == State::BackingOff {
                ctx.stop();
            }
        });
    }
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
            self.call_next("dial", ctx);
        }
    }
}
