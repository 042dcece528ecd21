//! Where messages find their actor.
//!
//! State owned: the filters of repeated messages, one for each way. In: batches of messages from the data plane
//! ([`Batch`]). Out: each message to the one actor that handles its type, or to whoever expects it. Mailbox: 1,024
//! batches; when it is full the data plane drops the batch and counts it, since it must never wait.
//!
//! What may come by which way says [`ramson_protocol::i2np::ways`], and nothing here makes an exception.

use crate::drops::ControlDrop;
use crate::expected::Unsealed;
use crate::garlic::{GarlicOpener, Open, Opened, local_cloves};
use crate::mailbox::Mailbox;
use crate::messages::{Arrived, Charged, Incoming, Origin, RouterInfoReceived, Token};
use crate::netdb::NetDb;
use crate::series::{Exported, control};
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use ramson_protocol::destination::In;
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::duplicates::Duplicates;
use ramson_protocol::i2np::garlic;
use ramson_protocol::i2np::header::{Freshness, freshness};
use ramson_protocol::i2np::ways::{Allowed, Opener, Owner, Way, may_come};
use ramson_protocol::i2np::{Message as I2np, MessageType};
use ramson_protocol::places::Places;
use ramson_protocol::quota::{Config, Quota};
use ramson_transports::event::Received;
use std::time::Duration;

/// Batches that wait for the dispatcher, at most.
const MAILBOX: usize = 1024;

/// Garlic messages in the opener's queue, at most: shared by those who bring them.
const MAX_OPENING: usize = 256;

/// Garlic messages that are opened in a second: each costs a Diffie-Hellman. All of them take a fifth of a core, and far less
/// than that comes to a floodfill of the live network. One that does not open counts as so many.
const OPENED: f32 = 4000.0;
const OPENED_EACH: [f32; 3] = [400.0, 800.0, 1600.0];
const OPENED_WITHIN: Duration = Duration::from_secs(5);
const NOT_OURS: f32 = 5.0;

/// Messages of strangers that are remembered of each way: five bytes each, as far as they come.
const REMEMBERED: usize = 2_000_000;

/// Messages out of our own tunnels that are remembered: 100,000 a second of those that live for ten seconds.
const REMEMBERED_OWN: usize = 17_000_000;

const SWEEP: Duration = Duration::from_secs(5);

/// Messages of the data plane.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Batch(pub(crate) Vec<Received>);

/// Who handles what. Each is asked with `try_send`: an actor that does not keep up loses messages, counted.
#[derive(Clone)]
pub(crate) struct Routes {
    /// Build requests of others.
    pub(crate) builds: Recipient<Incoming>,
    /// Faults of peers.
    pub(crate) judge: Recipient<Charged>,
    /// Data messages out of the router's own tunnels, if anyone wants them.
    pub(crate) data: Option<Recipient<Incoming>>,
}

/// Repeated messages, by way: what strangers send over sessions cannot push out what our own tunnels brought.
struct Filters {
    direct: Duplicates,
    endpoint: Duplicates,
    own: Duplicates,
}

impl Filters {
    fn of(&mut self, way: Way) -> &mut Duplicates {
        match way {
            Way::Direct => &mut self.direct,
            Way::Endpoint | Way::Garlic => &mut self.endpoint,
            Way::OwnTunnel(_) | Way::OwnGarlic(_) => &mut self.own,
        }
    }
}

/// The actor that hands each message to whoever handles its type.
pub(crate) struct Dispatch {
    shared: Shared,
    netdb: NetDb,
    routes: Routes,
    opener: Addr<GarlicOpener>,
    opening: Places,
    opened: Quota,
    filters: Filters,
    exported: Exported<4>,
    _vital: Vital,
}

impl Dispatch {
    /// The dispatcher of a node.
    pub(crate) fn new(shared: Shared, netdb: NetDb, routes: Routes, opener: Addr<GarlicOpener>) -> Self {
        let filter = |max| Duplicates::new(max, rand::random());
        let opened = Config::per_second(OPENED_WITHIN, OPENED, OPENED_EACH);
        let (direct, endpoint, own) = (filter(REMEMBERED), filter(REMEMBERED), filter(REMEMBERED_OWN));
        Self {
            filters: Filters { direct, endpoint, own },
            exported: Exported::new(),
            _vital: shared.vitals().guard("the dispatcher of messages"),
            shared,
            netdb,
            routes,
            opener,
            opening: Places::new(MAX_OPENING),
            opened: Quota::new(opened, rand::random()),
        }
    }

    fn on_received(&mut self, received: Received, ctx: &mut Context<Self>) {
        match received {
            Received::Message { from, message } => self.on_message(Origin::Direct(from), message, ctx),
            Received::TunnelMessage { tunnel, own: false, message } => {
                self.on_message(Origin::Endpoint(tunnel), message, ctx);
            }
            Received::TunnelMessage { tunnel, own: true, message } => match self.shared.tunnel_ids().owner(tunnel) {
                Some(owner) => self.on_message(Origin::OwnTunnel(tunnel, owner), message, ctx),
                // It ended while the message was on its way here.
                None => ControlDrop::OwnTunnelEnded.count(),
            },
            Received::Fault { router, address, charge } => {
                self.shared
                    .mailboxes()
                    .offer(Mailbox::Judge, || self.routes.judge.try_send(Charged { router, address, charge }));
            }
            Received::RouterInfo { from, bytes, flood } => {
                self.netdb.router_info(&RouterInfoReceived { from: Some(from), bytes, flood });
            }
        }
    }

    /// Checks a message and hands it to its actor.
    fn on_message(&mut self, origin: Origin, message: I2np, ctx: &mut Context<Self>) {
        let (now, way) = (self.shared.now(), origin.way());
        match freshness(message.expiration, now.wall) {
            Freshness::Fresh => {}
            Freshness::Expired => return ControlDrop::Expired.count(),
            Freshness::TooFarAhead => return ControlDrop::TooFarAhead.count(),
        }
        let allowed = may_come(message.kind, way);
        if allowed == Allowed::No {
            return ControlDrop::NotAllowedHere.count();
        }
        if !self.filters.of(way).insert(message.id, message.expiration, now) {
            return ControlDrop::Duplicate.count();
        }
        if let Owner::Destination(id) = way.owner()
            && matches!(message.kind, MessageType::DatabaseStore | MessageType::DatabaseSearchReply)
        {
            // What a destination learns is its own, and never enters the database of the router.
            return self.shared.destinations().offer(id, Incoming { origin, message });
        }
        match message.kind {
            MessageType::DatabaseStore => self.netdb.store(Incoming { origin, message }),
            MessageType::DatabaseLookup => self.netdb.lookup(Incoming { origin, message }),
            MessageType::DatabaseSearchReply => self.netdb.search_reply(Incoming { origin, message }),
            MessageType::DeliveryStatus => match DeliveryStatus::parse(&message.body) {
                Ok(status) => self.expected_only(Token::Delivery(status.id), origin, message),
                Err(_) => ControlDrop::Malformed.count(),
            },
            MessageType::Garlic => self.on_garlic(origin, &message, ctx),
            MessageType::ShortTunnelBuild | MessageType::VariableTunnelBuild => {
                // The answer to an inbound build of ours is a build message that has gone all the way round.
                if let Some(message) = self.arrived(Token::BuildReply(message.id), origin, message) {
                    self.shared
                        .mailboxes()
                        .offer(Mailbox::Transit, || self.routes.builds.try_send(Incoming { origin, message }));
                }
            }
            MessageType::OutboundTunnelBuildReply | MessageType::VariableTunnelBuildReply => {
                self.expected_only(Token::BuildReply(message.id), origin, message);
            }
            MessageType::Data => match &self.routes.data {
                Some(to) if to.try_send(Incoming { origin, message }).is_err() => ControlDrop::MailboxFull.count(),
                Some(_) => {}
                None => ControlDrop::UnsupportedType.count(),
            },
            // The ElGamal builds are gone from the network, and cells and gateways never leave the data plane.
            MessageType::TunnelBuild
            | MessageType::TunnelBuildReply
            | MessageType::TunnelData
            | MessageType::TunnelGateway
            | MessageType::Unknown(_) => ControlDrop::UnsupportedType.count(),
        }
    }

    /// Hands the message to whoever expects the token; gives it back if nobody does.
    fn arrived(&self, token: Token, origin: Origin, message: I2np) -> Option<I2np> {
        let Some(waiter) = self.shared.expected().take(&token, origin) else { return Some(message) };
        self.shared.mailboxes().offer(waiter.mailbox, || waiter.to.try_send(Arrived { token, origin, message }));
        None
    }

    /// The same for what is of no use to anybody else.
    fn expected_only(&self, token: Token, origin: Origin, message: I2np) {
        if self.arrived(token, origin, message).is_some() {
            ControlDrop::Unexpected.count();
        }
    }

    /// Garlic under a one-time key that we gave out, or to our static key.
    fn on_garlic(&mut self, origin: Origin, message: &I2np, ctx: &mut Context<Self>) {
        let Ok(data) = garlic::parse(&message.body) else { return ControlDrop::Malformed.count() };
        let Some((opener, _)) = origin.way().inside() else { return ControlDrop::GarlicInGarlic.count() };
        match self.shared.expected().open(origin, &data, local_cloves) {
            Some(Unsealed::Opened(Ok(messages))) => return self.on_cloves(origin, messages, ctx),
            Some(Unsealed::Opened(Err(reason))) => return reason.count(),
            Some(Unsealed::Forged) => return ControlDrop::GarlicForged.count(),
            Some(Unsealed::WrongWay) => return ControlDrop::GarlicByAnotherWay.count(),
            None => {}
        }
        if let Opener::KeysOf(Owner::Destination(id)) = opener {
            // Perhaps somebody asks for a session. The thread that knows the keys tries them.
            if !self.shared.clients().tell_destination(id, In::Garlic(data)) {
                ControlDrop::DataPlaneFull.count();
            }
            return;
        }
        // What opens under the router's key, out of a tunnel of ours, would tell whose the tunnel is.
        if opener != Opener::RouterKey {
            return ControlDrop::GarlicNotOurs.count();
        }
        let bearer = self.shared.bearer(origin);
        if !self.opened.take(&bearer, 1.0, self.shared.now().mono) {
            return ControlDrop::OverShare.count();
        }
        if !self.opening.take(&bearer) {
            return ControlDrop::OpenerBusy.count();
        }
        self.shared.mailboxes().entered(Mailbox::GarlicOpener);
        let open = self.opener.send(Open(data));
        ctx.spawn(open.into_actor(self).map(move |opened, actor, ctx| {
            actor.opening.give_back(&bearer);
            actor.shared.mailboxes().left(Mailbox::GarlicOpener);
            match opened {
                Ok(Opened(Ok(messages))) => actor.on_cloves(origin, messages, ctx),
                Ok(Opened(Err(reason))) => {
                    actor.opened.charge(&bearer, NOT_OURS, actor.shared.now().mono);
                    reason.count();
                }
                Err(_) => ControlDrop::MailboxFull.count(),
            }
        }));
    }

    fn sweep(&mut self) {
        self.shared.expected().expire(self.shared.now().mono);
        let Filters { direct, endpoint, own } = &self.filters;
        let [mut fresh, mut repeated, mut outside, mut forgotten] = [0; 4];
        for stats in [direct, endpoint, own].map(Duplicates::stats) {
            fresh += stats.fresh;
            repeated += stats.repeated;
            outside += stats.outside;
            forgotten += stats.forgotten_early;
        }
        let events = [("fresh", fresh), ("repeated", repeated), ("outside", outside), ("forgotten_early", forgotten)];
        self.exported.add(&control::DUPLICATES, events);
    }

    /// What was in garlic that came by `outer`.
    fn on_cloves(&mut self, outer: Origin, messages: Vec<I2np>, ctx: &mut Context<Self>) {
        let origin = outer.inside();
        messages.into_iter().for_each(|message| self.on_message(origin, message, ctx));
    }
}

impl Actor for Dispatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP, |actor, _| actor.sweep());
        self.shared.stop_when_over(self, ctx);
    }
}

impl Handler<Batch> for Dispatch {
    type Result = ();

    fn handle(&mut self, batch: Batch, ctx: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Dispatch);
        batch.0.into_iter().for_each(|received| self.on_received(received, ctx));
    }
}
