//! Where messages find their actor.
//!
//! State owned: the table of connections, what is expected and by whom, the duplicate filter. In: batches of events from
//! the data plane ([`Batch`]), expectations. Out: each message to the one actor that handles its type. Mailbox: 1,024
//! batches; when it is full the data plane drops the batch and counts it, since it must never wait.

use crate::clock_keeper::ClockKeeper;
use crate::garlic::{GarlicOpener, Open, Opened, local_cloves};
use crate::identity::Reach;
use crate::mailbox::Mailbox;
use crate::messages::{
    Arrived, DialFailed, Expect, ExpectGarlic, Incoming, Origin, Recheck, RouterInfoReceived, SessionDown, SessionUp,
    Token,
};
use crate::netdb::NetDb;
use crate::peer::{Ended, PeerConnection, Wanted};
use crate::shared::Shared;
use actix::prelude::*;
use ramson_protocol::garlic::one_time::{OneTimeKey, Pending};
use ramson_protocol::i2np::duplicates::Duplicates;
use ramson_protocol::i2np::header::{Freshness, freshness};
use ramson_protocol::i2np::{Message as I2np, MessageType};
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::link::reason::Reason;
use ramson_protocol::time::Mono;
use ramson_protocol::wire::Reader;
use ramson_transports::event::{Direction, Event, EventSink};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Batches that wait for the switch.
const MAILBOX: usize = 1024;

/// Connections with an actor of their own; above this nothing new is dialled.
const MAX_CONNECTIONS: usize = 8192;

/// Things that are expected at once.
const MAX_EXPECTED: usize = 16 * 1024;

/// Garlic messages in the opener's queue, at most.
const MAX_OPENING: usize = 256;

/// Messages that are remembered at once: five bytes each.
const REMEMBERED: usize = 2_000_000;

const SWEEP: Duration = Duration::from_secs(5);

/// A RouterInfo that a peer has sent us just now is looked for after these pauses: first its signature is verified.
const VERIFIED_BY: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1)];

/// Events of the data plane.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Batch(pub Vec<Event>);

/// Who handles what. Each is asked with `try_send`: an actor that does not keep up loses messages, counted.
#[derive(Clone)]
pub struct Routes {
    /// Build requests of others.
    pub builds: Recipient<Incoming>,
    /// Data messages, if anyone wants them.
    pub data: Option<Recipient<Incoming>>,
    /// Sessions that begin and end, dials that fail: for the profiles.
    pub peers: Option<Recipient<PeerNews>>,
}

/// News of a peer for whoever keeps profiles.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum PeerNews {
    /// A session stands.
    Up(RouterHash),
    /// The last session has ended.
    Down(RouterHash),
    /// It could not be reached.
    Unreachable(RouterHash),
}

/// A router that we are connected to, or want to be.
struct Connection {
    actor: Addr<PeerConnection>,
    /// Where it was when it was last connected.
    ip: Option<IpAddr>,
}

/// The actor.
pub struct Switch {
    shared: Shared,
    netdb: NetDb,
    routes: Routes,
    opener: Addr<GarlicOpener>,
    opening: usize,
    connections: HashMap<RouterHash, Connection>,
    expected: HashMap<Token, (Recipient<Arrived>, Mailbox, Mono)>,
    garlic: Pending<()>,
    duplicates: Duplicates,
    clock: ClockKeeper,
}

/// The way from I/O threads to the switch.
pub struct SwitchSink(pub Addr<Switch>);

impl EventSink for SwitchSink {
    fn deliver(&self, events: Vec<Event>) -> Result<(), Vec<Event>> {
        Mailbox::Switch.post(|| self.0.try_send(Batch(events))).map_err(|e| match e {
            SendError::Full(batch) | SendError::Closed(batch) => batch.0,
        })
    }
}

impl Switch {
    /// The switch of a node.
    pub fn new(shared: Shared, netdb: NetDb, routes: Routes, opener: Addr<GarlicOpener>) -> Self {
        Self {
            duplicates: Duplicates::new(REMEMBERED, rand::random()),
            shared,
            netdb,
            routes,
            opener,
            opening: 0,
            connections: HashMap::new(),
            expected: HashMap::new(),
            garlic: Pending::new(MAX_EXPECTED),
            clock: ClockKeeper::default(),
        }
    }

    fn on_event(&mut self, event: Event, ctx: &mut Context<Self>) {
        match event {
            Event::Message { from, message } => self.on_message(Origin::Direct(from), message, ctx),
            Event::TunnelMessage { tunnel, own, message } => {
                let origin = if own { Origin::OwnTunnel(tunnel) } else { Origin::Endpoint(tunnel) };
                self.on_message(origin, message, ctx);
            }
            Event::RouterInfo { from, bytes, flood } => {
                self.netdb.router_info(&RouterInfoReceived { from: Some(from), bytes, flood });
            }
            Event::NeedSession(peer) => match self.connection(peer, false, ctx) {
                Some(addr) => drop(addr.try_send(Wanted)),
                None => self.shared.transports().unreachable(peer),
            },
            Event::NeedRouterInfo(router) => self.tell_ssu2(router, ctx),
            Event::Connected { peer, direction, transport, addr, router_info, skew_ms } => {
                let inbound = direction == Direction::Inbound;
                self.shared.lessons().worked(&peer, transport);
                // Whoever wants may call us and name a time; whom we call, we have chosen.
                if !inbound {
                    self.compare_clocks(addr, skew_ms);
                }
                if !router_info.is_empty() {
                    self.netdb.router_info(&RouterInfoReceived { from: Some(peer), bytes: router_info, flood: false });
                }
                if let Some(connection) = self.connection(peer, true, ctx) {
                    drop(connection.try_send(SessionUp { peer, inbound }));
                }
                if let Some(connection) = self.connections.get_mut(&peer) {
                    connection.ip = Some(addr.ip());
                }
                // The list may have changed since the handshake.
                self.part_if_blocked(&peer);
                self.news(PeerNews::Up(peer));
            }
            Event::Introducers(introducers) => {
                tracing::info!(count = introducers.len(), "routers introduce others to us");
                self.shared.set_reach(Reach { introducers });
            }
            Event::Reachability { v4, status } => {
                let family = if v4 { "ipv4" } else { "ipv6" };
                tracing::info!(family, status = status.label(), "peers have tested whether we can be reached");
            }
            Event::Disconnected { peer, .. } => {
                if let Some(connection) = self.connections.get(&peer) {
                    drop(connection.actor.try_send(SessionDown { peer }));
                }
                self.news(PeerNews::Down(peer));
            }
            Event::ConnectFailed { peer, transport, addr, reason, skew_ms } => {
                tracing::debug!(transport = transport.label(), reason, "a dial failed");
                self.shared.lessons().failed(peer, transport, self.shared.now().mono);
                // With a clock that is far off no session comes to stand: only failures can tell.
                if let Some(skew_ms) = skew_ms {
                    self.compare_clocks(addr, skew_ms);
                }
                if let Some(connection) = self.connections.get(&peer) {
                    drop(connection.actor.try_send(DialFailed { peer }));
                }
            }
        }
    }

    /// Tells SSU2 a RouterInfo that the database has, or has as soon as it is verified.
    fn tell_ssu2(&self, router: RouterHash, ctx: &mut Context<Self>) {
        let (netdb, shared) = (self.netdb.clone(), self.shared.clone());
        let tell = async move {
            for pause in VERIFIED_BY {
                actix::clock::sleep(pause).await;
                if let Some(info) = netdb.known_router(router).await {
                    return shared.transports().learn(&info);
                }
            }
        };
        ctx.spawn(tell.into_actor(self));
    }

    fn compare_clocks(&mut self, peer: SocketAddr, skew_ms: i64) {
        if let Some(ms) = self.clock.sample(peer.ip(), self.shared.allow_private(), skew_ms) {
            tracing::warn!(correction_ms = ms, "our clock differs from our peers': corrected");
            self.shared.clock().adjust(ms);
        }
        metrics::gauge!("ramson_clock_correction_seconds").set(self.shared.clock().correction_ms() as f64 / 1000.0);
    }

    fn news(&self, news: PeerNews) {
        if let Some(peers) = &self.routes.peers {
            Mailbox::Pool.offer(|| peers.try_send(news));
        }
    }

    /// Ends the session with a router that is on the blocklist, or whose address is.
    fn part_if_blocked(&self, peer: &RouterHash) {
        let (list, ip) = (self.shared.gate().list(), self.connections.get(peer).and_then(|connection| connection.ip));
        if list.has_router(peer) || ip.is_some_and(|ip| list.has_address(ip)) {
            self.shared.transports().close(*peer, Reason::BANNED.0);
        }
    }

    /// The actor of a connection, made if need be.
    fn connection(
        &mut self,
        peer: RouterHash,
        connected: bool,
        ctx: &mut Context<Self>,
    ) -> Option<Addr<PeerConnection>> {
        if let Some(connection) = self.connections.get(&peer).filter(|connection| connection.actor.connected()) {
            return Some(connection.actor.clone());
        }
        if peer == self.shared.hash() || (!connected && self.connections.len() >= MAX_CONNECTIONS) {
            return None;
        }
        let owner = ctx.address().recipient();
        let (shared, netdb, news) = (self.shared.clone(), self.netdb.clone(), self.routes.peers.clone());
        let actor = PeerConnection::new(peer, connected, shared, netdb, owner, news);
        let addr = actor.start();
        self.connections.insert(peer, Connection { actor: addr.clone(), ip: None });
        metrics::gauge!("ramson_connections").set(self.connections.len() as f64);
        Some(addr)
    }

    /// Receipt a message and hands it to its actor.
    fn on_message(&mut self, origin: Origin, message: I2np, ctx: &mut Context<Self>) {
        let now = self.shared.now();
        match freshness(message.expiration, now.wall) {
            Freshness::Fresh => {}
            Freshness::Expired => return count_drop("expired"),
            Freshness::TooFarAhead => return count_drop("too_far_ahead"),
        }
        if !self.duplicates.insert(message.id, message.expiration, now) {
            return count_drop("duplicate");
        }
        if !allowed(origin, message.kind) {
            return count_drop("not_allowed_here");
        }
        match message.kind {
            MessageType::DatabaseStore => self.netdb.store(Incoming { origin, message }),
            MessageType::DatabaseLookup => self.netdb.lookup(Incoming { origin, message }),
            MessageType::DatabaseSearchReply => self.netdb.search_reply(Incoming { origin, message }),
            MessageType::DeliveryStatus => self.on_delivery_status(origin, message),
            MessageType::Garlic => self.on_garlic(origin, &message, ctx),
            MessageType::ShortTunnelBuild | MessageType::VariableTunnelBuild => {
                if let Some(message) = self.arrived(Token::BuildReply(message.id), origin, message) {
                    Mailbox::Transit.offer(|| self.routes.builds.try_send(Incoming { origin, message }));
                }
            }
            MessageType::OutboundTunnelBuildReply | MessageType::VariableTunnelBuildReply => {
                if self.arrived(Token::BuildReply(message.id), origin, message).is_some() {
                    count_drop("unexpected_build_reply");
                }
            }
            MessageType::Data => match &self.routes.data {
                Some(to) if to.try_send(Incoming { origin, message }).is_err() => count_drop("mailbox_full"),
                Some(_) => {}
                None => count_drop("unsupported_type"),
            },
            // The ElGamal builds are gone from the network, and cells and gateways never leave the data plane.
            MessageType::TunnelBuild
            | MessageType::TunnelBuildReply
            | MessageType::TunnelData
            | MessageType::TunnelGateway
            | MessageType::Unknown(_) => count_drop("unsupported_type"),
        }
    }

    /// Hands the message to whoever expects the token; gives it back if nobody does.
    fn arrived(&mut self, token: Token, origin: Origin, message: I2np) -> Option<I2np> {
        let Some((to, mailbox, _)) = self.expected.remove(&token) else { return Some(message) };
        mailbox.offer(|| to.try_send(Arrived { token, origin, message }));
        None
    }

    fn on_delivery_status(&mut self, origin: Origin, message: I2np) {
        match Reader::new(&message.body).u32() {
            Ok(id) => {
                if self.arrived(Token::Delivery(MessageId(id)), origin, message).is_some() {
                    count_drop("unexpected_delivery_status");
                }
            }
            Err(_) => count_drop("malformed"),
        }
    }

    /// Garlic under a one-time key that we gave out, or to our static key.
    fn on_garlic(&mut self, origin: Origin, message: &I2np, ctx: &mut Context<Self>) {
        let mut r = Reader::new(&message.body);
        let data = match r.u32().map(|len| r.take(len as usize)) {
            Ok(Ok(data)) => data,
            _ => return count_drop("malformed"),
        };
        if self.garlic.knows(data) {
            let mut data = data.to_vec();
            match self.garlic.open(&mut data).map(|(payload, ())| local_cloves(payload)) {
                Some(Ok(messages)) => self.on_cloves(origin, messages, ctx),
                Some(Err(reason)) => count_drop(reason),
                None => count_drop("garlic_forged"),
            }
            return;
        }
        if self.opening >= MAX_OPENING {
            return count_drop("opener_busy");
        }
        self.opening += 1;
        Mailbox::GarlicOpener.entered();
        let open = self.opener.send(Open(message.body.slice_ref(data)));
        ctx.spawn(open.into_actor(self).map(move |opened, actor, ctx| {
            actor.opening -= 1;
            Mailbox::GarlicOpener.left();
            match opened {
                Ok(Opened(Ok(messages))) => actor.on_cloves(origin, messages, ctx),
                Ok(Opened(Err(reason))) => count_drop(reason),
                Err(_) => count_drop("mailbox_full"),
            }
        }));
    }

    /// What was in garlic that came by `outer`.
    fn on_cloves(&mut self, outer: Origin, messages: Vec<I2np>, ctx: &mut Context<Self>) {
        // Encryption does not change what may come out of our own tunnels.
        let origin = if let Origin::OwnTunnel(tunnel) = outer { Origin::OwnTunnel(tunnel) } else { Origin::Garlic };
        for message in messages {
            if message.kind == MessageType::Garlic {
                count_drop("garlic_in_garlic");
            } else {
                self.on_message(origin, message, ctx);
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.shared.now().mono;
        self.expected.retain(|_, (_, _, until)| *until > now);
        self.garlic.expire(now);
    }
}

/// Whether a message of this type may come this way.
///
/// What comes out of our own tunnels comes from anybody: it may answer us, and not ask us, since our answer would show
/// which router owns the tunnel.
fn allowed(origin: Origin, kind: MessageType) -> bool {
    match origin {
        Origin::Direct(_) | Origin::Garlic | Origin::Endpoint(_) => true,
        Origin::OwnTunnel(_) => matches!(
            kind,
            MessageType::DatabaseStore
                | MessageType::DatabaseSearchReply
                | MessageType::DeliveryStatus
                | MessageType::Garlic
                | MessageType::Data
                | MessageType::OutboundTunnelBuildReply
                | MessageType::VariableTunnelBuildReply
        ),
    }
}

fn count_drop(reason: &'static str) {
    metrics::counter!("ramson_control_drops_total", "reason" => reason).increment(1);
}

impl Actor for Switch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP, |actor, _| actor.sweep());
    }
}

impl Handler<Batch> for Switch {
    type Result = ();

    fn handle(&mut self, batch: Batch, ctx: &mut Context<Self>) {
        Mailbox::Switch.left();
        batch.0.into_iter().for_each(|event| self.on_event(event, ctx));
    }
}

impl Handler<Expect> for Switch {
    type Result = ();

    fn handle(&mut self, expect: Expect, _: &mut Context<Self>) {
        if self.expected.len() < MAX_EXPECTED {
            let until = self.shared.now().mono + expect.within;
            self.expected.insert(expect.token, (expect.to, expect.mailbox, until));
        }
    }
}

impl Handler<ExpectGarlic> for Switch {
    type Result = ();

    fn handle(&mut self, expect: ExpectGarlic, _: &mut Context<Self>) {
        let until = self.shared.now().mono + expect.within;
        self.garlic.insert(OneTimeKey { key: expect.key, tag: expect.tag }, until, ());
    }
}

impl Handler<Recheck> for Switch {
    type Result = ();

    fn handle(&mut self, _: Recheck, _: &mut Context<Self>) {
        self.connections.keys().for_each(|peer| self.part_if_blocked(peer));
    }
}

impl Handler<Ended> for Switch {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Context<Self>) {
        if self.connections.get(&ended.0).is_some_and(|connection| !connection.actor.connected()) {
            self.connections.remove(&ended.0);
        }
        metrics::gauge!("ramson_connections").set(self.connections.len() as f64);
    }
}
