//! A destination of our own: its slow life. What it says to others at the speed of its tunnels lives on its client thread
//! ([`ramson_clients::destination`]).
//!
//! ```text
//! pool's Paths --> lease set, signed --> client thread (goes along with messages)
//!                                  '---> floodfills, through its own tunnels, until one confirms; then another is asked for it
//! client thread --> Question --> search, through its own tunnels --> client thread
//! ```
//! An encrypted lease set goes to the floodfills in the plain one's stead, under a key that changes with the day.
//! State owned: the identity, the lease set in force, a publisher, running searches. In: [`questions::Asked`] from the client thread,
//! stores and search replies out of its own tunnels, confirmations. Out: lookups and stores, in garlic to the floodfills. What it knows of
//! others never enters the router's database, and nobody can ask for it: its tunnels bring answers only. Mailbox: 256; what does not
//! fit is as if it had been lost on the way.

mod encrypted;
mod handle;
pub mod program;
mod questions;
mod standing;
mod tunnels;

pub use encrypted::{FindError, Options, Told};
pub use handle::DestinationHandle;
pub use ramson_protocol::destination::options::hops;

use crate::drops::ControlDrop;
use crate::expected::{Via, Waiter};
use crate::mailbox::Mailbox;
use crate::messages::{Arrived, Incoming, Token};
use crate::netdb::NetDb;
use crate::paths::{InboundTunnelRef, OutboundTunnelRef, OwnTunnels};
use crate::pool::{PoolConfig, PoolHandle, Pools, Purpose, Wanted};
use crate::series::control;
use crate::series::outcomes::Publication;
use crate::shared::Shared;
use actix::prelude::*;
use encrypted::Encrypted;
use parking_lot::Mutex;
use ramson_clients::Stream;
use ramson_clients::destination::{Description, NewDestination};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::key_type::EncType;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::{Lease, MAX_LEASES};
use ramson_protocol::data::lease_set2::{FLAG_UNPUBLISHED, LeaseSet2Builder};
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::destination::{Config, In as ToCore, old};
use ramson_protocol::garlic::clove::{Clove, CloveDelivery, write_date_time};
use ramson_protocol::garlic::noise_n;
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::i2np::{Message as I2np, MessageType};
use ramson_protocol::id::{DestinationHash, DestinationId, MessageId, NetDbKey, RouterHash, TunnelId};
use ramson_protocol::idle::{Held, Idle};
use ramson_protocol::netdb::floodfills::Floodfills;
use ramson_protocol::netdb::publish::{Config as PublisherConfig, In, Out, Publisher};
use ramson_protocol::netdb::search::Search;
use ramson_protocol::ratchet::handshake::Secrets;
use ramson_protocol::streaming::streams::Signer;
use ramson_protocol::time::{Mono, Wall};
use ramson_protocol::tunnel::{Delivery, Direction};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tunnels::IdleTunnels;

const MAILBOX: usize = 256;

const TICK: Duration = Duration::from_millis(250);

/// A lease set is not made anew more often, but for tunnels that are gone. INTEROP: i2pd submits none within 20 s of another.
const LEAST_AGE: Duration = Duration::from_secs(5);

/// A floodfill may take so long to confirm, through two tunnels.
const CONFIRM: Duration = Duration::from_secs(8);

/// A floodfill that confirmed has that long to pass a lease set on; then another one must have it. INTEROP: five to seven seconds in
/// i2pd, 18 to 27 in Java.
const VERIFY_AFTER: Duration = Duration::from_secs(10);

/// A lease set that nothing changed is published again after this: leases live for ten minutes.
const REPUBLISH: Duration = Duration::from_secs(9 * 60);

/// Questions of the client thread that wait, and streams that wait to be accepted.
const QUESTIONS: usize = 64;
const ACCEPTED: usize = 256;

/// What a destination is to be.
pub struct DestinationConfig {
    /// Who it is.
    pub signer: Signer,
    /// The private half of the key in its lease sets.
    pub encryption: SecretKey,
    /// Its tunnels that lead to it.
    pub inbound: Wanted,
    /// Its tunnels that lead away.
    pub outbound: Wanted,
    /// Whether others find it and may begin streams.
    pub published: bool,
    /// What few destinations want otherwise.
    pub options: Options,
}

/// The destinations of a node; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Register(Arc<Mutex<HashMap<DestinationId, Registered>>>);

/// A destination that stands.
struct Registered {
    to: Recipient<Incoming>,
    hash: DestinationHash,
    published: bool,
    pool: PoolHandle,
}

/// What stands of a destination now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its hash.
    pub hash: DestinationHash,
    /// Others can find it.
    pub published: bool,
    /// Tunnels that lead to it.
    pub inbound: usize,
    /// Tunnels that lead away from it.
    pub outbound: usize,
    /// Whom it speaks with.
    pub with: Description,
}

impl Register {
    /// Hands on what came out of a tunnel of this destination.
    pub(crate) fn offer(&self, id: DestinationId, incoming: Incoming) {
        let to = self.0.lock().get(&id).map(|registered| registered.to.clone());
        match to.map(|to| to.try_send(incoming)) {
            Some(Ok(())) => {}
            Some(Err(SendError::Full(_))) => ControlDrop::MailboxFull.count(),
            Some(Err(SendError::Closed(_))) | None => ControlDrop::OwnTunnelEnded.count(),
        }
    }
}

/// Opens destinations; cheap to clone.
#[derive(Clone)]
pub struct Destinations {
    shared: Shared,
    netdb: NetDb,
    pools: Pools,
    next: Arc<AtomicU32>,
}

impl Destinations {
    pub(crate) fn new(shared: Shared, netdb: NetDb, pools: Pools) -> Self {
        Self { shared, netdb, pools, next: Arc::default() }
    }

    /// A new destination, which builds its tunnels at once; and the streams that others begin, if it is published. `None` if its client
    /// thread does not keep up.
    pub fn open(&self, config: DestinationConfig) -> Option<(DestinationHandle, mpsc::Receiver<Stream>)> {
        self.open_with(config, None)
    }

    /// The same with datagrams, which go to `datagrams`.
    pub fn open_with(
        &self,
        config: DestinationConfig,
        datagrams: Option<mpsc::Sender<Datagram>>,
    ) -> Option<(DestinationHandle, mpsc::Receiver<Stream>)> {
        let id = DestinationId(self.next.fetch_add(1, Relaxed));
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let (accept, accepted) = mpsc::channel(ACCEPTED);
        let used = Arc::new(AtomicU64::new(0));
        let signer = Arc::new(config.signer);
        let new = NewDestination {
            id,
            config: Config { listening: config.published, elgamal: config.options.elgamal, ..Config::default() },
            signer: Arc::clone(&signer),
            encryption: Secrets::one(config.encryption.clone(), config.options.hybrid),
            questions,
            accepted: config.published.then_some(accept),
            datagrams,
            used: Arc::clone(&used),
            raw: None,
        };
        if !self.shared.clients().open_destination(new) {
            return None;
        }
        let DestinationConfig { encryption, inbound, outbound, published, options, .. } = config;
        let hash = signer.destination.hash();
        let author = Author::Us { signer, encryption: public_keys(&encryption, &options) };
        let handle = self.begin(id, hash, author, published, options, [inbound, outbound], used);
        actix::spawn(questions::forward(asked, handle.actor.clone()));
        Some((handle, accepted))
    }

    /// The slow life of a destination begins.
    fn begin(
        &self,
        id: DestinationId,
        hash: DestinationHash,
        author: Author,
        published: bool,
        options: Options,
        [inbound, outbound]: [Wanted; 2],
        used: Arc<AtomicU64>,
    ) -> DestinationHandle {
        let (owner, purpose) = (Owner::Destination(id), Purpose::Client);
        let pool = self.pools.open(PoolConfig { owner, purpose, inbound, outbound, hops: options.hops.clone().into() });
        let given_up = Arc::new(AtomicBool::new(false));
        let idle = IdleTunnels {
            watch: Idle::new(options.idle, self.shared.now().mono),
            used: Arc::clone(&used),
            given_up: Arc::clone(&given_up),
            wanted: [(Direction::Inbound, inbound), (Direction::Outbound, outbound)],
        };
        let actor = LocalDestination::new(self, id, hash, author, published, options, pool.clone(), idle).start();
        let registered = Registered { to: actor.clone().recipient(), hash, published, pool: pool.clone() };
        self.shared.destinations().0.lock().insert(id, registered);
        DestinationHandle { id, hash, shared: self.shared.clone(), actor, pool, used, given_up }
    }
}

impl Destinations {
    /// All that stand now.
    pub async fn all(&self) -> Vec<Standing> {
        let registered: Vec<_> = {
            let all = self.shared.destinations().0.lock();
            all.iter().map(|(id, one)| (*id, one.hash, one.published, one.pool.paths().get())).collect()
        };
        let mut standing = Vec::with_capacity(registered.len());
        for (id, hash, published, own) in registered {
            // One that has ended meanwhile is left out.
            if let Some(with) = self.shared.clients().describe(id).await {
                let (inbound, outbound) = (own.inbound.len(), own.outbound.len());
                standing.push(Standing { hash, published, inbound, outbound, with });
            }
        }
        standing
    }
}

/// The actor of a destination.
pub struct LocalDestination {
    shared: Shared,
    netdb: NetDb,
    id: DestinationId,
    hash: DestinationHash,
    author: Author,
    published: bool,
    pool: PoolHandle,
    /// What the client thread and the lease set know of the tunnels.
    outbound: Vec<OutboundTunnelRef>,
    inbound: Vec<TunnelId>,
    changed_at: Option<Mono>,
    /// The version of the lease set in force, and since when it is.
    lease_set: Option<(Wall, Mono)>,
    /// What floodfills have of it.
    stored: Option<Entry>,
    publisher: Publisher,
    floodfills: Arc<Floodfills>,
    /// Boxed: there are few, and seldom, and the places of a table are kept.
    searches: HashMap<NetDbKey, Box<Search>>,
    /// Who waits for what searches find.
    finders: questions::Finders,
    standing: standing::Standing,
    encrypted: Encrypted,
    /// When another floodfill is asked whether it has our lease set, and which one confirmed it.
    verify_at: Option<(Mono, RouterHash)>,
    idle: IdleTunnels,
    rng: ChaCha20Rng,
}

/// Who makes its lease sets.
enum Author {
    /// We do.
    Us { signer: Arc<Signer>, encryption: Vec<(EncType, Vec<u8>)> },
    /// A program does, and keeps the keys.
    Program(program::Author),
}

impl Author {
    fn destination(&self) -> &Destination {
        match self {
            Self::Us { signer, .. } => &signer.destination,
            Self::Program(author) => author.destination(),
        }
    }
}

/// The keys in its lease sets, the best first.
fn public_keys(encryption: &SecretKey, options: &Options) -> Vec<(EncType, Vec<u8>)> {
    let key = encryption.public().0;
    let kinds = options.hybrid.map(Some).into_iter().chain([None]);
    let mut keys: Vec<_> = kinds.map(|kind| (EncType::of_handshake(kind), key.to_vec())).collect();
    if options.elgamal {
        keys.push((EncType::ElGamal, old::key(encryption).public().as_bytes().to_vec()));
    }
    keys
}

impl LocalDestination {
    fn new(
        node: &Destinations,
        id: DestinationId,
        hash: DestinationHash,
        author: Author,
        published: bool,
        options: Options,
        pool: PoolHandle,
        idle: IdleTunnels,
    ) -> Self {
        let shared = node.shared.clone();
        let (mut rng, mut seed) = (shared.rng(), [0; 32]);
        rng.fill_bytes(&mut seed);
        let encrypted = Encrypted::new(options, author.destination());
        // The place of a lease set is that of its destination; no floodfill has that hash.
        let publisher =
            PublisherConfig { interval: REPUBLISH, patience: CONFIRM, ..PublisherConfig::new(RouterHash(hash.0)) };
        Self {
            netdb: node.netdb.clone(),
            id,
            hash,
            author,
            published,
            pool,
            outbound: Vec::new(),
            inbound: Vec::new(),
            changed_at: None,
            lease_set: None,
            stored: None,
            publisher: Publisher::new(publisher, seed, shared.now()),
            floodfills: Arc::default(),
            searches: HashMap::new(),
            finders: questions::Finders::new(),
            standing: standing::Standing::new(),
            encrypted,
            verify_at: None,
            idle,
            rng,
            shared,
        }
    }

    fn owner(&self) -> Owner {
        Owner::Destination(self.id)
    }

    fn tell(&self, input: ToCore) -> bool {
        self.shared.clients().tell_destination(self.id, input)
    }

    /// Has fewer tunnels, or all again, as it is used.
    fn look_for_use(&mut self) {
        let IdleTunnels { watch, used, given_up, wanted } = &mut self.idle;
        if let Some(held) = watch.look(self.shared.now().mono, used.load(Relaxed)) {
            given_up.store(held == Held::Nothing, Relaxed);
            for (direction, wanted) in wanted {
                self.pool.want(*direction, held.of(*wanted));
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.look_for_use();
        let own = self.pool.paths().get();
        self.tell_outbound(&own);
        self.renew_for_the_day();
        self.renew(&own);
        let floodfills = self.netdb.floodfills();
        if !Arc::ptr_eq(&floodfills, &self.floodfills) {
            self.publisher.handle_input(self.shared.now(), In::Floodfills(Floodfills::clone(&floodfills)));
            self.floodfills = floodfills;
        }
        self.publisher.handle_timeout(self.shared.now());
        self.drain_publisher(&own, ctx);
        if let Some((_, stored_at)) = self.verify_at.take_if(|(at, _)| *at <= self.shared.now().mono) {
            self.verify(stored_at, ctx);
        }
        self.tick_searches(ctx);
    }

    /// Looks at its tunnels as soon as they have changed, and not with the next tick only.
    fn follow_tunnels(&self, ctx: &mut Context<Self>) {
        let paths = self.pool.paths().clone();
        ctx.spawn(async move { paths.changed().await }.into_actor(self).map(|(), actor, ctx| {
            let own = actor.pool.paths().get();
            actor.tell_outbound(&own);
            actor.renew(&own);
            actor.follow_tunnels(ctx);
        }));
    }

    fn tell_outbound(&mut self, own: &OwnTunnels) {
        if own.outbound != self.outbound && self.tell(ToCore::Outbound(own.outbound.clone())) {
            self.outbound.clone_from(&own.outbound);
        }
    }

    /// Makes a new lease set if the tunnels have changed.
    fn renew(&mut self, own: &OwnTunnels) {
        let now = self.shared.now();
        let ids: Vec<TunnelId> = own.inbound.iter().map(|tunnel| tunnel.id).collect();
        if ids == self.inbound || ids.is_empty() || own.outbound.is_empty() {
            return;
        }
        let since = *self.changed_at.get_or_insert(now.mono);
        let gone = self.inbound.iter().any(|id| !ids.contains(id));
        let young = self.lease_set.is_some_and(|(_, at)| now.mono < at + LEAST_AGE);
        let settle = self.idle.settle(ids.len(), self.lease_set.is_none(), self.published);
        if now.mono < since + settle || young && !gone {
            return;
        }
        let leases = own.inbound.iter().take(MAX_LEASES.into()).map(|tunnel| self.lease(tunnel)).collect();
        let Author::Us { signer, encryption } = &self.author else { return self.ask_program(ids, leases) };
        // spec: common-structures §LeaseSet2 — the version is in seconds, and must rise.
        let before = self.lease_set.map(|(version, _)| version.plus(Duration::from_secs(1)));
        let version = Wall::from_secs(now.wall.secs()).max(before.unwrap_or_default());
        let builder = LeaseSet2Builder {
            flags: if !self.published { FLAG_UNPUBLISHED } else { self.encrypted.flags() },
            keys: encryption.clone(),
            leases,
            options: self.encrypted.records(),
        };
        let Signer { destination, key, offline } = &**signer;
        match builder.sign(destination, key, offline.as_deref(), version) {
            // What is not taken is tried again with the next tick.
            Ok(lease_set) => {
                let stored = self.encrypted.seal(&lease_set, signer, &mut self.rng);
                match stored {
                    Ok(stored) => _ = self.put_in_force(lease_set.into(), stored, ids),
                    Err(error) => tracing::warn!(%error, "a lease set could not be encrypted"),
                }
            }
            Err(error) => tracing::warn!(%error, "a lease set could not be made"),
        }
    }

    /// Our lease set is this from now on, and names these tunnels; floodfills get `stored`. False if the client thread does not keep up,
    /// which does not hear of a MetaLeaseSet: that is for nobody whom it speaks with.
    fn put_in_force(&mut self, lease_set: Entry, stored: Entry, tunnels: Vec<TunnelId>) -> bool {
        let version = lease_set.version();
        if !matches!(lease_set, Entry::MetaLeaseSet(_)) && !self.tell(ToCore::Published(lease_set)) {
            return false;
        }
        let now = self.shared.now();
        (self.inbound, self.changed_at) = (tunnels, None);
        self.lease_set = Some((version, now.mono));
        if self.published {
            self.publisher.handle_input(now, In::Moved(RouterHash(stored.key().0)));
            self.stored = Some(stored);
            self.publisher.handle_input(now, In::Publish);
        }
        true
    }

    fn lease(&self, tunnel: &InboundTunnelRef) -> Lease {
        let now = self.shared.now();
        let left = tunnel.expires.saturating_sub(now.mono);
        Lease { gateway: tunnel.gateway, tunnel: tunnel.gateway_tunnel, end: now.wall.plus(left) }
    }

    fn drain_publisher(&mut self, own: &OwnTunnels, ctx: &mut Context<Self>) {
        while let Some(out) = self.publisher.poll_output() {
            match out {
                Out::Store { floodfill, token } => self.store(floodfill, token, own, ctx),
                Out::Renew => self.publisher.handle_input(self.shared.now(), In::Publish),
                Out::Published(floodfill) => {
                    control::DESTINATION_PUBLISHES.add([Publication::Confirmed.label()], 1);
                    self.verify_at = Some((self.shared.now().mono + VERIFY_AFTER, floodfill));
                }
                Out::Unpublished => control::DESTINATION_PUBLISHES.add([Publication::Unconfirmed.label()], 1),
            }
        }
    }

    /// Has a floodfill store our lease set; what does not go out is not confirmed, and the next one is tried.
    fn store(&mut self, floodfill: RouterHash, token: u32, own: &OwnTunnels, ctx: &mut Context<Self>) {
        let Some((outbound, inbound)) = self.pair(own) else { return };
        let Some(entry) = &self.stored else { return };
        let reply = Reply { token, tunnel: Some(inbound.gateway_tunnel), gateway: inbound.gateway };
        let store = DatabaseStore { reply: Some(reply), ..DatabaseStore::new(entry.clone()) };
        let Ok(body) = store.to_body() else { return };
        let until = self.shared.now().mono + CONFIRM * 2;
        let waiter = Waiter {
            to: ctx.address().recipient(),
            mailbox: Mailbox::Destination,
            via: Via::Tunnel(inbound.id),
            until,
        };
        let message = self.shared.message(MessageType::DatabaseStore, body);
        if self.shared.expected().expect(self.owner(), Token::Delivery(MessageId(token)), waiter) {
            self.send_to_floodfill(floodfill, outbound, message, ctx);
        }
    }

    /// A tunnel each way.
    fn pair(&mut self, own: &OwnTunnels) -> Option<(OutboundTunnelRef, InboundTunnelRef)> {
        let (out, back) = (self.rng.next_u32() as usize, self.rng.next_u32() as usize);
        let outbound = own.outbound.get(out.checked_rem(own.outbound.len())?)?;
        let inbound = own.inbound.get(back.checked_rem(own.inbound.len())?)?;
        Some((*outbound, *inbound))
    }

    /// Sends a message to a floodfill through one of our tunnels, so that only the floodfill can read it.
    fn send_to_floodfill(&self, to: RouterHash, through: OutboundTunnelRef, message: I2np, ctx: &mut Context<Self>) {
        let known = self.netdb.clone();
        let known = async move { known.known_router(to).await };
        ctx.spawn(known.into_actor(self).map(move |info, actor, _| {
            let sent = info.and_then(|info| actor.garlic_for(&info, &message));
            let sent = sent.is_some_and(|garlic| actor.shared.send_through(&through, Delivery::Router(to), garlic));
            if !sent {
                ControlDrop::LookupNotSent.count();
            }
        }));
    }

    fn garlic_for(&mut self, router: &RouterInfo, message: &I2np) -> Option<I2np> {
        let mut payload = Vec::with_capacity(message.body.len() + 32);
        write_date_time(self.shared.now().wall, &mut payload);
        let clove = Clove { delivery: CloveDelivery::Local, header: message.header(), body: &message.body };
        clove.write(&mut payload).ok()?;
        let mut ephemeral = [0; 32];
        self.rng.fill_bytes(&mut ephemeral);
        let to = router.encryption_key()?;
        let garlic = noise_n::garlic(&to, &SecretKey::from_bytes(ephemeral), &payload).ok()?;
        Some(self.shared.message(MessageType::Garlic, garlic))
    }
}

impl Actor for LocalDestination {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(TICK, |actor, ctx| actor.tick(ctx));
        self.follow_tunnels(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.shared.destinations().0.lock().remove(&self.id);
        self.pool.close();
        // A thread that has no room for this has ended, or will with the node.
        self.shared.clients().close_destination(self.id);
    }
}

impl Handler<Arrived> for LocalDestination {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Destination);
        if let Token::Delivery(MessageId(token)) = arrived.token {
            self.publisher.handle_input(self.shared.now(), In::Confirmed(token));
            let own = self.pool.paths().get();
            self.drain_publisher(&own, ctx);
        }
    }
}
