//! Publishing our own RouterInfo at the floodfill that is closest to it, until one confirms.
//!
//! State owned: a [`Publisher`] core and what it is to publish. In: [`Publish`], confirmations, floodfills
//! that cannot be reached. Out: DatabaseStore messages over sessions. The mailbox is actix's 16: a lost confirmation
//! costs another store.

use super::NetDb;
use super::searches::Unreachable;
use crate::expected::{Via, Waiter};
use crate::mailbox::Mailbox;
use crate::messages::{Arrived, Token};
use crate::series::outcomes::Publication;
use crate::series::{Exported, control};
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::netdb::floodfills::Floodfills;
use ramson_protocol::netdb::publish::{Config, In, Out, Publisher, Stats};
use rand::Rng;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(500);

/// A confirmation that comes later is not waited for.
const CONFIRM_WITHIN: Duration = Duration::from_secs(30);

/// Publish this RouterInfo, ours, in place of any before.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Publish(pub(super) RouterInfo);

/// The actor that publishes our RouterInfo.
pub(super) struct Publishing {
    netdb: NetDb,
    core: Publisher,
    info: Option<RouterInfo>,
    generation: u64,
    exported: Exported<5>,
    _vital: Vital,
}

impl Publishing {
    /// Waits for the first RouterInfo.
    pub(super) fn new(netdb: NetDb) -> Self {
        let shared = netdb.shared();
        let mut seed = [0; 32];
        shared.rng().fill_bytes(&mut seed);
        let core = Publisher::new(Config::new(shared.hash()), seed, shared.now());
        let _vital = shared.vitals().guard("the publisher of our RouterInfo");
        Self { netdb, core, info: None, generation: 0, exported: Exported::new(), _vital }
    }

    fn feed(&mut self, input: In, ctx: &mut Context<Self>) {
        self.core.handle_input(self.netdb.shared().now(), input);
        self.drain(ctx);
    }

    fn export(&mut self) {
        let Stats { stores, confirmed, timeouts, failed, strangers } = self.core.stats();
        let events = [
            ("sent", stores),
            ("confirmed", confirmed),
            ("timed_out", timeouts),
            ("unreachable", failed),
            ("confirmed_by_stranger", strangers),
        ];
        self.exported.add(&control::NETDB_PUBLISHER, events);
    }

    fn drain(&mut self, ctx: &mut Context<Self>) {
        while let Some(out) = self.core.poll_output() {
            match out {
                Out::Store { floodfill, token } => {
                    if !self.store(floodfill, token, ctx) {
                        self.core.handle_input(self.netdb.shared().now(), In::SendFailed(floodfill));
                    }
                }
                Out::Renew => {
                    // Our identity signs anew more often than this; should it not, what we have is sent again.
                    self.core.handle_input(self.netdb.shared().now(), In::Publish);
                }
                Out::Published(_) => {
                    count(Publication::Confirmed);
                    self.netdb.shared().set_known();
                }
                Out::Unpublished => count(Publication::Unconfirmed),
            }
        }
    }

    fn store(&self, floodfill: RouterHash, token: u32, ctx: &Context<Self>) -> bool {
        let Some(info) = &self.info else { return false };
        let shared = self.netdb.shared();
        let reply = Some(Reply { token, tunnel: None, gateway: shared.hash() });
        let Ok(body) = (DatabaseStore { reply, ..DatabaseStore::new(info.clone().into()) }).to_body() else {
            return false;
        };
        let (token, to) = (Token::Delivery(MessageId(token)), ctx.address().recipient());
        let until = shared.now().mono + CONFIRM_WITHIN;
        let waiter = Waiter { to, mailbox: Mailbox::Publishing, via: Via::Router, until };
        shared.expected().expect(Owner::Router, token, waiter)
            && shared.send(floodfill, shared.message(MessageType::DatabaseStore, body))
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let generation = self.netdb.directory().generation();
        if generation != self.generation {
            self.generation = generation;
            let floodfills = Floodfills::clone(&self.netdb.floodfills());
            self.core.handle_input(self.netdb.shared().now(), In::Floodfills(floodfills));
        }
        self.core.handle_timeout(self.netdb.shared().now());
        self.drain(ctx);
        self.export();
    }
}

fn count(outcome: Publication) {
    control::NETDB_PUBLISHES.add([outcome.label()], 1);
}

impl Actor for Publishing {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.netdb.shared().stop_when_over(self, ctx);
        ctx.run_interval(TICK, |actor, ctx| actor.tick(ctx));
    }
}

impl Handler<Publish> for Publishing {
    type Result = ();

    fn handle(&mut self, publish: Publish, ctx: &mut Context<Self>) {
        self.netdb.left(Mailbox::Publishing);
        self.info = Some(publish.0);
        self.feed(In::Publish, ctx);
    }
}

impl Handler<Arrived> for Publishing {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        self.netdb.left(Mailbox::Publishing);
        if let Token::Delivery(MessageId(token)) = arrived.token {
            self.feed(In::Confirmed(token), ctx);
        }
    }
}

impl Handler<Unreachable> for Publishing {
    type Result = ();

    fn handle(&mut self, unreachable: Unreachable, ctx: &mut Context<Self>) {
        self.netdb.left(Mailbox::Publishing);
        self.feed(In::SendFailed(unreachable.0), ctx);
    }
}
