//! Where messages find their actor.
//!
//! State owned: the filters of repeated messages, one for each way. In: batches of messages from the data plane
//! ([`Batch`]). Out: each message to the one actor that handles its type, or to whoever expects it. Mailbox: 1,024
//! batches, and a bound for their messages and bytes ([`Backlog`]); when it is full the data plane drops the batch and counts
//! it, since it must never wait. Before that it lets each peer bring less.
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
use ramson_crypto::siphash::siphash24;
use ramson_protocol::destination::In;
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::duplicates::Duplicates;
use ramson_protocol::i2np::garlic;
use ramson_protocol::i2np::header::{Freshness, freshness};
use ramson_protocol::i2np::ways::{Allowed, Opener, Owner, Way, may_come};
use ramson_protocol::i2np::{Message as I2np, MessageType};
use ramson_protocol::id::MessageId;
use ramson_protocol::places::Places;
use ramson_protocol::quota::{Config, Quota};
use ramson_protocol::time::{Now, Wall};
use ramson_transports::event::Received;
use rand::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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

/// Messages that wait for the dispatcher in all batches, at most, and their bytes; above a half of either the threads are
/// told to bring less.
const MAX_WAITING: usize = 64 * 1024;
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// How much waits for the dispatcher; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<[AtomicUsize; 2]>);

impl Backlog {
    /// Takes up room for a batch, if there is room.
    fn enter(&self, batch: &[Received]) -> Option<Room> {
        let room = Room { backlog: self.clone(), sizes: [batch.len(), batch.iter().map(Received::bytes).sum()] };
        let bounds = [MAX_WAITING, MAX_WAITING_BYTES];
        let within = (0..2).map(|n| self.0[n].fetch_add(room.sizes[n], Relaxed) + room.sizes[n] <= bounds[n]);
        // All are added before one is asked: the room gives all back.
        within.fold(true, |all, one| all & one).then_some(room)
    }

    /// True if threads should bring less.
    pub(crate) fn is_pressed(&self) -> bool {
        self.0[0].load(Relaxed) > MAX_WAITING / 2 || self.0[1].load(Relaxed) > MAX_WAITING_BYTES / 2
    }
}

/// The room that a batch takes up until it is handled or dropped.
struct Room {
    backlog: Backlog,
    sizes: [usize; 2],
}

impl Drop for Room {
    fn drop(&mut self) {
        self.backlog.0.iter().zip(self.sizes).for_each(|(sum, size)| {
            sum.fetch_sub(size, Relaxed);
        });
    }
}

/// Messages of the data plane.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Batch {
    received: Vec<Received>,
    _room: Room,
}

impl Batch {
    /// A batch that takes up room.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn new(received: Vec<Received>, backlog: &Backlog) -> Result<Self, Vec<Received>> {
        match backlog.enter(&received) {
            Some(_room) => Ok(Self { received, _room }),
            None => Err(received),
        }
    }

    /// What is in it.
    pub(crate) fn into_received(self) -> Vec<Received> {
        self.received
    }
}

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

/// Repeated messages, by way: what strangers send over sessions cannot push out what our own tunnels brought. What a
/// message is in one of them says nothing in another: else one message, sent by two ways, would tell that both end here.
/// INTEROP: Java I2P since 2.4.
struct Filters {
    direct: Duplicates,
    endpoint: Duplicates,
    own: Duplicates,
    secret: (u64, u64),
}

impl Filters {
    fn new(rng: &mut impl Rng) -> Self {
        let mut filter = |max| Duplicates::new(max, [rng.next_u64(), rng.next_u64()]);
        let (direct, endpoint, own) = (filter(REMEMBERED), filter(REMEMBERED), filter(REMEMBERED_OWN));
        Self { direct, endpoint, own, secret: (rng.next_u64(), rng.next_u64()) }
    }

    /// False if the message came by this way before.
    fn insert(&mut self, way: Way, id: MessageId, expiration: Wall, now: Now) -> bool {
        match way {
            Way::Direct => self.direct.insert(id, expiration, now),
            Way::Endpoint | Way::Garlic => self.endpoint.insert(id, expiration, now),
            Way::OwnTunnel(owner) | Way::OwnGarlic(owner) => {
                let salt = self.salt(owner);
                self.own.insert(MessageId(id.0 ^ salt), expiration, now)
            }
        }
    }

    /// Our tunnels share a filter and its memory, but not what is known there: each owner's messages are others'.
    fn salt(&self, owner: Owner) -> u32 {
        let number = match owner {
            Owner::Router => 0,
            Owner::Destination(id) => 1 + u64::from(id.0),
        };
        // Any 32 bits of it will do.
        siphash24(self.secret.0, self.secret.1, number) as u32
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
        let opened = Config::per_second(OPENED_WITHIN, OPENED, OPENED_EACH);
        Self {
            filters: Filters::new(&mut shared.rng()),
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
        if !self.filters.insert(way, message.id, message.expiration, now) {
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
        let Filters { direct, endpoint, own, secret: _ } = &self.filters;
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
        batch.into_received().into_iter().for_each(|received| self.on_received(received, ctx));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::id::{DestinationId, RouterHash};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    /// Whoever sends one message by two ways and sees that it counts by the first alone knows that both end here.
    #[test]
    fn a_message_that_came_by_one_way_is_new_by_every_other() {
        let mut filters = Filters::new(&mut ChaCha20Rng::seed_from_u64(7));
        let now = Now { mono: Duration::from_secs(9), wall: Wall::from_secs(1_800_000_000) };
        let destination = |n| Owner::Destination(DestinationId(n));
        let ways = [
            Way::Direct,
            Way::Endpoint,
            Way::OwnTunnel(Owner::Router),
            Way::OwnTunnel(destination(0)),
            Way::OwnTunnel(destination(1)),
        ];
        let mut insert = |way| filters.insert(way, MessageId(5), now.wall.plus(Duration::from_secs(8)), now);
        assert_eq!(ways.map(&mut insert), [true; 5]);
        assert_eq!(ways.map(&mut insert), [false; 5]);
        // What is in garlic belongs to the way of the garlic.
        assert_eq!([Way::Garlic, Way::OwnGarlic(destination(1))].map(&mut insert), [false; 2]);
    }

    /// Four peers could make us hold a gigabyte: a thousand batches of five thousand messages each.
    #[test]
    fn what_waits_for_the_dispatcher_is_bounded_by_messages_and_by_bytes() {
        let of = |len: usize, bytes: usize| -> Vec<Received> {
            let bytes = bytes::Bytes::from(vec![0; bytes]);
            let one = || Received::RouterInfo { from: RouterHash([1; 32]), bytes: bytes.clone(), flood: false };
            (0..len).map(|_| one()).collect()
        };
        for (len, bytes, most) in [(1024, 0, MAX_WAITING), (1, 60_000, MAX_WAITING_BYTES / 60_000)] {
            let backlog = Backlog::default();
            let mut waiting = Vec::new();
            while let Ok(batch) = Batch::new(of(len, bytes), &backlog) {
                waiting.push(batch);
                assert!(waiting.len() * len <= most);
            }
            assert!(backlog.is_pressed() && waiting.len() * len > most / 2);
            waiting.clear();
            assert!(!backlog.is_pressed());
            assert_eq!(backlog.0.each_ref().map(|sum| sum.load(Relaxed)), [0, 0]);
        }
    }
}
