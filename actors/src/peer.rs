//! One router that we are connected to, or want to be.
//!
//! State owned: a [`Connection`] core, which says what is tried and how long. Messages in: [`Happened`]. Out: dials and
//! refusals to the data plane, [`Ended`] to the table of connections. Mailbox: 64, far more than the news of one router
//! that can be under way; who finds it full waits.

use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::PeerNews;
use crate::netdb::NetDb;
use crate::series::control;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::dialing::call::{Connection, In, Out, Reason};
use ramson_protocol::dialing::desk::Errand;
use ramson_protocol::dialing::{Call, calls};
use ramson_protocol::id::RouterHash;
use std::collections::VecDeque;
use std::net::SocketAddr;

const MAILBOX: usize = 64;

/// Something has happened to the connection.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Happened(pub(crate) In);

/// Tells the table that a connection's actor has ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ended(pub(crate) RouterHash);

/// The actor of one router's connection.
pub(crate) struct PeerConnection {
    hash: RouterHash,
    shared: Shared,
    netdb: NetDb,
    owner: Recipient<Ended>,
    followers: Vec<Recipient<PeerNews>>,
    core: Connection,
    timer: Option<SpawnHandle>,
    /// Its RouterInfo, while it is being called.
    info: Option<RouterInfo>,
    /// Where it is being called, for the desk.
    dialled: Option<SocketAddr>,
}

impl PeerConnection {
    /// For a router that has called us, or (`connected` is false) that something waits for.
    pub(crate) fn new(
        hash: RouterHash,
        connected: bool,
        shared: Shared,
        netdb: NetDb,
        owner: Recipient<Ended>,
        followers: Vec<Recipient<PeerNews>>,
    ) -> Self {
        let core = if connected { Connection::called() } else { Connection::wanted(shared.now().mono) };
        Self { hash, shared, netdb, owner, followers, core, timer: None, info: None, dialled: None }
    }

    fn input(&mut self, input: In, ctx: &mut Context<Self>) {
        self.core.handle_input(self.shared.now().mono, input);
        self.drain(ctx);
    }

    /// Does what the core wants, and sets the timer.
    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::Resolve => self.resolve(ctx),
                Out::Call(call) => {
                    if !self.call(call) {
                        self.core.handle_input(self.shared.now().mono, In::NotCalled);
                    }
                }
                Out::Unreachable(reason) => self.unreachable(reason),
                Out::Ended => ctx.stop(),
            }
        }
        let due = self.core.poll_timeout();
        if due.is_none() {
            // It is called no more.
            self.info = None;
            self.hang_up();
            self.shared.desk().leave(&self.hash);
        }
        self.shared.set_timer(&mut self.timer, due, ctx, |actor: &mut Self, ctx| {
            actor.core.handle_timeout(actor.shared.now().mono);
            actor.drain(ctx);
        });
    }

    /// Calls the router this way; false if the call was not made.
    fn call(&mut self, call: Call) -> bool {
        self.hang_up();
        let Some(info) = &self.info else { return false };
        let errand = self.shared.desk().errand(&self.hash).unwrap_or(Errand::Theirs);
        if let Some(addr) = call.addr() {
            if let Err(refusal) = self.shared.desk().dial(addr, self.shared.now().mono) {
                control::CALLS_REFUSED.add([errand.label(), refusal.label()], 1);
                return false;
            }
            self.dialled = Some(addr);
        }
        self.shared.transports().dial(info, call, errand == Errand::Ours)
    }

    fn hang_up(&mut self) {
        if let Some(addr) = self.dialled.take() {
            self.shared.desk().hang_up(addr);
        }
    }

    fn resolve(&self, ctx: &mut Context<Self>) {
        let find = self.netdb.find_router(self.hash);
        ctx.spawn(find.into_actor(self).map(|found, actor, ctx| {
            match found {
                Some(info) => {
                    let calls = actor.ways(&info);
                    actor.info = Some(info);
                    actor.core.handle_input(actor.shared.now().mono, In::Resolved(calls));
                }
                None => actor.core.not_found(),
            }
            actor.drain(ctx);
        }));
    }

    /// The ways to call the router; none if it is blocked.
    fn ways(&self, info: &RouterInfo) -> VecDeque<Call> {
        let (now, gate) = (self.shared.now(), self.shared.gate());
        if gate.bars_router(&self.hash) {
            return VecDeque::new();
        }
        let history = self.shared.dial_history();
        let ways = calls(info, &self.shared.abilities(), &history, now.mono, now.wall.secs());
        ways.into_iter().filter(|call| call.addr().is_none_or(|addr| !gate.bars_address(addr.ip()))).collect()
    }

    fn unreachable(&self, reason: Reason) {
        control::CONNECT_FAILURES.add([reason.label()], 1);
        let ours = self.shared.desk().errand(&self.hash) == Some(Errand::Ours);
        if reason == Reason::Busy {
            // What is ours may have more luck while it waits: it is asked for again.
            if !ours {
                self.shared.transports().unreachable(self.hash);
            }
            return;
        }
        self.shared.desk().failed(self.hash, self.shared.now().mono);
        self.shared.transports().unreachable(self.hash);
        self.netdb.unreachable(self.hash);
        if reason.was_called() {
            for follower in &self.followers {
                self.shared.mailboxes().offer(Mailbox::Pool, || follower.try_send(PeerNews::Unreachable(self.hash)));
            }
        }
    }
}

impl Actor for PeerConnection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        self.drain(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.hang_up();
        self.shared.desk().leave(&self.hash);
        // Without this message the table would leak, and it is one per connection.
        wait_for_room(&self.owner, Ended(self.hash));
    }
}

impl Handler<Happened> for PeerConnection {
    type Result = ();

    fn handle(&mut self, happened: Happened, ctx: &mut Context<Self>) {
        self.input(happened.0, ctx);
    }
}
