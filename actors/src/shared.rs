//! What every actor may use: read-mostly facts as snapshots, and the way into the data plane.

use crate::gate::Gate;
use crate::identity::Reach;
use arc_swap::ArcSwap;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::dialing::{Abilities, Lessons};
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::time::Now;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::hop::into_tunnel;
use ramson_transports::Transports;
use ramson_transports::clock::Clock;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How far ahead we set the expiration of what we send. INTEROP: eight seconds in i2pd and emissary.
pub const LIFETIME: Duration = Duration::from_secs(10);

/// The facts; cheap to clone.
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
    draining: Arc<AtomicBool>,
    own_tunnels: ArcSwap<OwnTunnels>,
    own_ids: parking_lot::Mutex<HashSet<TunnelId>>,
    abilities: Abilities,
    lessons: parking_lot::Mutex<Lessons>,
    reach: ArcSwap<Reach>,
    gate: Gate,
}

/// Our own tunnels that are ready for use, newest first. The pool publishes a new snapshot with each change.
#[derive(Clone, Debug, Default)]
pub struct OwnTunnels {
    /// Outbound tunnels.
    pub outbound: Vec<OutboundTunnelRef>,
    /// Inbound tunnels.
    pub inbound: Vec<InboundTunnelRef>,
}

/// How to send through one of our outbound tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundTunnelRef {
    /// The number under which its gateway is installed here.
    pub id: TunnelId,
    /// Its first hop; ourselves if it has no hops.
    pub first_hop: RouterHash,
}

/// How others reach one of our inbound tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundTunnelRef {
    /// The number under which its endpoint is installed here.
    pub id: TunnelId,
    /// Its gateway; ourselves if it has no hops.
    pub gateway: RouterHash,
    /// Its number at the gateway.
    pub gateway_tunnel: TunnelId,
}

/// What [`Shared::new`] is made of.
pub struct Facts {
    /// Our keys.
    pub keys: RouterKeys,
    /// The network.
    pub net_id: u8,
    /// How we can call others.
    pub abilities: Abilities,
    /// Whether we are a floodfill.
    pub floodfill: bool,
    /// The clock of all threads.
    pub clock: Clock,
    /// Our RouterInfo at start.
    pub router_info: RouterInfo,
    /// The data plane.
    pub transports: Transports,
    /// Set when the router drains.
    pub draining: Arc<AtomicBool>,
    /// Who is let in.
    pub gate: Gate,
}

impl Shared {
    /// From its parts.
    pub fn new(facts: Facts) -> Self {
        Self(Arc::new(Inner {
            hash: facts.router_info.hash(),
            keys: facts.keys,
            net_id: facts.net_id,
            floodfill: facts.floodfill,
            clock: facts.clock,
            router_info: ArcSwap::from_pointee(facts.router_info),
            transports: facts.transports,
            draining: facts.draining,
            own_tunnels: ArcSwap::default(),
            own_ids: parking_lot::Mutex::default(),
            abilities: facts.abilities,
            lessons: parking_lot::Mutex::default(),
            reach: ArcSwap::default(),
            gate: facts.gate,
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
        self.0.abilities.private
    }

    /// How we can call others.
    pub fn abilities(&self) -> &Abilities {
        &self.0.abilities
    }

    /// Who is let in, and called.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What calls have taught. Held for a moment only.
    pub fn lessons(&self) -> parking_lot::MutexGuard<'_, Lessons> {
        self.0.lessons.lock()
    }

    /// How peers reach us where we publish no address.
    pub fn reach(&self) -> Arc<Reach> {
        self.0.reach.load_full()
    }

    /// Publishes how peers reach us: for the switch.
    pub(crate) fn set_reach(&self, reach: Reach) {
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

    /// Our own tunnels that are ready for use.
    pub fn own_tunnels(&self) -> Arc<OwnTunnels> {
        self.0.own_tunnels.load_full()
    }

    /// Publishes which tunnels are ready: for the pool.
    pub fn set_own_tunnels(&self, tunnels: OwnTunnels) {
        self.0.own_tunnels.store(Arc::new(tunnels));
    }

    /// A number for a tunnel of ours that no other tunnel of ours has.
    pub(crate) fn reserve_tunnel_id(&self) -> TunnelId {
        let mut ids = self.0.own_ids.lock();
        loop {
            let id = TunnelId(rand::rng().next_u32());
            if id.0 != 0 && ids.insert(id) {
                return id;
            }
        }
    }

    /// Gives a number back.
    pub(crate) fn release_tunnel_id(&self, id: TunnelId) {
        self.0.own_ids.lock().remove(&id);
    }

    /// True if a tunnel of ours has this number here: nobody else may take it.
    pub fn is_own_tunnel(&self, id: TunnelId) -> bool {
        self.0.own_ids.lock().contains(&id)
    }

    /// Sends a message through an outbound tunnel of ours, with or without hops. False if it was dropped.
    pub fn send_through(&self, tunnel: &OutboundTunnelRef, delivery: Delivery, message: Message) -> bool {
        if tunnel.first_hop != self.0.hash {
            return self.0.transports.send_tunnel(tunnel.first_hop, tunnel.id, delivery, message);
        }
        match delivery {
            Delivery::Local => false,
            Delivery::Router(to) => self.send(to, message),
            Delivery::Tunnel(to, id) => {
                into_tunnel(id, &message, &mut self.rng()).is_ok_and(|message| self.send(to, message))
            }
        }
    }

    /// Sends a message to a router over its session, which is made if need be. False if the data plane does not keep up.
    pub fn send(&self, to: RouterHash, message: Message) -> bool {
        self.0.transports.send(to, message)
    }

    /// The data plane.
    pub fn transports(&self) -> &Transports {
        &self.0.transports
    }

    /// True when nothing new is to be begun.
    pub fn draining(&self) -> bool {
        self.0.draining.load(Relaxed)
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.0.draining.store(true, Relaxed);
    }

    /// A message of ours with a new id and the usual lifetime.
    pub fn message(&self, kind: MessageType, body: impl Into<bytes::Bytes>) -> Message {
        let id = MessageId(rand::rng().next_u32());
        Message { kind, id, expiration: self.now().wall.plus(LIFETIME), body: body.into() }
    }

    /// A generator of its own for an actor's core.
    pub fn rng(&self) -> ChaCha20Rng {
        rand::make_rng()
    }
}
