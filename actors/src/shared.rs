//! What every actor may use: read-mostly facts as snapshots, and the way into the data plane.

use crate::destination::Register;
use crate::expected::Expected;
use crate::gate::Gate;
use crate::mailbox::Mailboxes;
use crate::messages::{By, Origin};
use crate::neighbours::Neighbours;
use crate::paths::OutboundTunnelRef;
use crate::reach::Reach;
use crate::supervise::Vitals;
use crate::tunnel_ids::TunnelIds;
use crate::witnesses::Witnesses;
use actix::prelude::*;
use arc_swap::ArcSwap;
use ramson_clients::Clients;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::dialing::desk::Desk;
use ramson_protocol::dialing::{Abilities, DialHistory};
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::time::{Mono, Now};
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::hop::into_tunnel;
use ramson_transports::Transports;
use ramson_transports::account::Account;
use ramson_transports::clock::Clock;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How far ahead we set the expiration of what we send, less up to four seconds. INTEROP: eight seconds in i2pd and
/// emissary.
pub const LIFETIME: Duration = Duration::from_secs(12);

/// The shared state of a node; cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    keys: RouterKeys,
    hash: RouterHash,
    net_id: u8,
    floodfill: bool,
    clock: Clock,
    router_info: ArcSwap<RouterInfo>,
    transports: Transports,
    clients: Clients,
    draining: Arc<AtomicBool>,
    tunnel_ids: TunnelIds,
    destinations: Register,
    expected: Expected,
    neighbours: Neighbours,
    mailboxes: Mailboxes,
    vitals: Vitals,
    abilities: ArcSwap<Abilities>,
    witnesses: Witnesses,
    clock_believed: AtomicBool,
    known: AtomicBool,
    dial_history: parking_lot::Mutex<DialHistory>,
    desk: parking_lot::Mutex<Desk>,
    reach: ArcSwap<Reach>,
    gate: Gate,
}

/// What [`Shared::new`] is made of.
pub struct SharedParts {
    /// Our keys.
    pub keys: RouterKeys,
    /// The network.
    pub net_id: u8,
    /// How we can call others.
    pub abilities: Abilities,
    /// How peers reach us.
    pub reach: Reach,
    /// Whether we are a floodfill.
    pub floodfill: bool,
    /// The clock of all threads.
    pub clock: Clock,
    /// Our RouterInfo at start.
    pub router_info: RouterInfo,
    /// The data plane.
    pub transports: Transports,
    /// The client plane.
    pub clients: Clients,
    /// Set when the router drains.
    pub draining: Arc<AtomicBool>,
    /// Which calls may begin.
    pub desk: Desk,
    /// Who is let in.
    pub gate: Gate,
    /// The node's fate.
    pub vitals: Vitals,
}

impl Shared {
    /// From its parts.
    pub fn new(parts: SharedParts) -> Self {
        Self(Arc::new(Inner {
            hash: parts.router_info.hash(),
            keys: parts.keys,
            net_id: parts.net_id,
            floodfill: parts.floodfill,
            clock: parts.clock,
            router_info: ArcSwap::from_pointee(parts.router_info),
            transports: parts.transports,
            clients: parts.clients,
            draining: parts.draining,
            tunnel_ids: TunnelIds::default(),
            destinations: Register::default(),
            expected: Expected::default(),
            neighbours: Neighbours::default(),
            mailboxes: Mailboxes::default(),
            vitals: parts.vitals,
            abilities: ArcSwap::from_pointee(parts.abilities),
            witnesses: Witnesses::default(),
            clock_believed: AtomicBool::new(false),
            known: AtomicBool::new(false),
            dial_history: parking_lot::Mutex::default(),
            desk: parking_lot::Mutex::new(parts.desk),
            reach: ArcSwap::from_pointee(parts.reach),
            gate: parts.gate,
        }))
    }

    /// Our keys.
    pub fn keys(&self) -> &RouterKeys {
        &self.0.keys
    }

    /// Our hash.
    pub fn hash(&self) -> RouterHash {
        self.0.hash
    }

    /// The network that we belong to.
    pub fn net_id(&self) -> u8 {
        self.0.net_id
    }

    /// Whether peers in private ranges are accepted, and may share a subnet.
    pub fn allow_private(&self) -> bool {
        self.abilities().private
    }

    /// How we can call others.
    pub fn abilities(&self) -> Arc<Abilities> {
        self.0.abilities.load_full()
    }

    /// Changes how we can call others.
    pub(crate) fn set_abilities(&self, abilities: Abilities) {
        self.0.abilities.store(Arc::new(abilities));
    }

    /// Whose word on our clock and address is heard.
    pub(crate) fn witnesses(&self) -> &Witnesses {
        &self.0.witnesses
    }

    /// True once somebody else has told us about the same time as our clock.
    pub fn believes_clock(&self) -> bool {
        self.0.clock_believed.load(Relaxed)
    }

    /// Somebody has.
    pub(crate) fn believe_clock(&self) {
        self.0.clock_believed.store(true, Relaxed);
    }

    /// True once a floodfill has confirmed our RouterInfo: before, nobody finds us who is not connected to us.
    pub fn is_known(&self) -> bool {
        self.0.known.load(Relaxed)
    }

    /// One has.
    pub(crate) fn set_known(&self) {
        self.0.known.store(true, Relaxed);
    }

    /// Who is let in, and called.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What calls have taught. Held for a moment only.
    pub fn dial_history(&self) -> parking_lot::MutexGuard<'_, DialHistory> {
        self.0.dial_history.lock()
    }

    /// Which calls may begin. Held for a moment only.
    pub fn desk(&self) -> parking_lot::MutexGuard<'_, Desk> {
        self.0.desk.lock()
    }

    /// Where a router is that we are connected to.
    pub(crate) fn place_of(&self, router: &RouterHash) -> Option<IpAddr> {
        self.0.neighbours.get(router).map(|neighbour| neighbour.ip)
    }

    /// How peers reach us, and why.
    pub fn reach(&self) -> Arc<Reach> {
        self.0.reach.load_full()
    }

    /// Publishes how peers reach us.
    pub(crate) fn set_reach(&self, reach: Reach) {
        self.desk().published(reach.view.published().collect());
        self.0.reach.store(Arc::new(reach));
    }

    /// Whether we keep a part of the netDb for others.
    pub fn floodfill(&self) -> bool {
        self.0.floodfill
    }

    /// Both times.
    pub fn now(&self) -> Now {
        self.0.clock.now()
    }

    /// The clock, to correct it.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Our RouterInfo.
    pub fn router_info(&self) -> Arc<RouterInfo> {
        self.0.router_info.load_full()
    }

    /// Replaces our RouterInfo and has the peers told.
    pub fn set_router_info(&self, info: RouterInfo) {
        self.0.transports.set_router_info(info.as_bytes().clone());
        self.0.router_info.store(Arc::new(info));
    }

    /// The numbers of all tunnels here.
    pub(crate) fn tunnel_ids(&self) -> &TunnelIds {
        &self.0.tunnel_ids
    }

    /// Our destinations.
    pub(crate) fn destinations(&self) -> &Register {
        &self.0.destinations
    }

    /// What we wait for.
    pub(crate) fn expected(&self) -> &Expected {
        &self.0.expected
    }

    /// Who has a session with us.
    pub(crate) fn neighbours(&self) -> &Neighbours {
        &self.0.neighbours
    }

    /// Who bore a message to us, as far as it is proven; nobody what comes out of our own tunnels.
    pub(crate) fn bearer(&self, origin: Origin) -> Bearer {
        match origin.by() {
            Some(By::Session(router)) => self.bearer_of(router),
            Some(By::Tunnel(id)) => Bearer::tunnel(id, self.0.tunnel_ids.previous(id)),
            None => Bearer::NOBODY,
        }
    }

    /// A router as a bearer of messages.
    pub(crate) fn bearer_of(&self, router: RouterHash) -> Bearer {
        let ip = self.0.neighbours.get(&router).map(|neighbour| neighbour.ip);
        Bearer::session(router, ip, self.allow_private())
    }

    /// How full the mailboxes are.
    pub fn mailboxes(&self) -> &Mailboxes {
        &self.0.mailboxes
    }

    /// The node's fate.
    pub fn vitals(&self) -> &Vitals {
        &self.0.vitals
    }

    /// Whether anything of this is left, asked later.
    pub(crate) fn downgrade(&self) -> Weak<dyn std::any::Any + Send + Sync> {
        let inner: Weak<Inner> = Arc::downgrade(&self.0);
        inner
    }

    /// Sets an actor's one timer anew: `fire` is called at `due`, and whatever it was set for before is off.
    pub(crate) fn set_timer<A: Actor<Context = Context<A>>>(
        &self,
        timer: &mut Option<SpawnHandle>,
        due: Option<Mono>,
        ctx: &mut Context<A>,
        fire: impl FnOnce(&mut A, &mut Context<A>) + 'static,
    ) {
        if let Some(timer) = timer.take() {
            ctx.cancel_future(timer);
        }
        *timer = due.map(|due| ctx.run_later(due.saturating_sub(self.now().mono), fire));
    }

    /// Has an actor stop when the node ends, so that nothing holds on to what it held.
    pub(crate) fn stop_when_over<A: Actor<Context = Context<A>>>(&self, actor: &A, ctx: &mut Context<A>) {
        ctx.spawn(self.vitals().over().into_actor(actor).map(|(), _, ctx| ctx.stop()));
    }

    /// Sends a message through an outbound tunnel of ours, with or without hops. False if it was not taken.
    pub fn send_through(&self, tunnel: &OutboundTunnelRef, delivery: Delivery, message: Message) -> bool {
        if tunnel.first_hop != self.0.hash {
            return self.0.clients.send(tunnel.id, delivery, message).is_taken();
        }
        match delivery {
            Delivery::Local => false,
            Delivery::Router(to) => self.send(to, message),
            Delivery::Tunnel(to, id) => {
                into_tunnel(id, &message, &mut self.rng()).is_ok_and(|message| self.send(to, message))
            }
        }
    }

    /// Sends a message of ours to a router over its session, which is made if need be. False if the data plane does not
    /// keep up.
    pub fn send(&self, to: RouterHash, message: Message) -> bool {
        self.send_for(Account::Ours, to, message)
    }

    /// The same for what others made us send: it is on their account whom we call for it.
    pub fn send_for(&self, account: Account, to: RouterHash, message: Message) -> bool {
        self.0.transports.send(to, message, account)
    }

    /// The data plane.
    pub fn transports(&self) -> &Transports {
        &self.0.transports
    }

    /// The client plane.
    pub fn clients(&self) -> &Clients {
        &self.0.clients
    }

    /// True when nothing new is to be begun.
    pub fn draining(&self) -> bool {
        self.0.draining.load(Relaxed)
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.0.draining.store(true, Relaxed);
    }

    /// A message of ours with a new id and the usual lifetime. Its expiration does not tell our clock to the millisecond.
    pub fn message(&self, kind: MessageType, body: impl Into<bytes::Bytes>) -> Message {
        let mut rng = rand::rng();
        let (id, expiration) = (MessageId(rng.next_u32()), self.now().wall.plus(LIFETIME).blurred(rng.next_u32()));
        Message { kind, id, expiration, body: body.into() }
    }

    /// A generator of its own for an actor's core.
    pub fn rng(&self) -> ChaCha20Rng {
        rand::make_rng()
    }
}
