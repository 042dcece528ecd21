//! Destinations of programs that speak for themselves and sign their own lease sets, as those of I2CP do.
//!
//! ```text
//! tunnels have changed --> leases --> the program --> Grant: its lease set, and the key for what comes by it
//! ```
//! The client thread knows such a destination from its first lease set on: only then are there keys. With others it begins anew. One with a
//! MetaLeaseSet it does not know: others stand for that.

use super::{
    Author as AnyAuthor, DestinationHandle, Destinations, LocalDestination, Options, QUESTIONS, questions,
    tunnels::SETTLE,
};
use crate::paths::InboundTunnelRef;
use crate::pool::Wanted;
use actix::prelude::*;
use ramson_clients::destination::NewDestination;
use ramson_clients::raw::Sink;
use ramson_crypto::sign::SigningKey;
use ramson_protocol::data::key_type::EncType;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::{Lease, MAX_LEASES};
use ramson_protocol::destination::Config;
use ramson_protocol::destination::raw::Raw;
use ramson_protocol::i2cp::grant::Grant;
use ramson_protocol::id::TunnelId;
use ramson_protocol::streaming::streams::Signer;
use ramson_protocol::time::{Mono, Wall};
use ramson_protocol::tunnel::Direction;
use rand::Rng;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;

/// A program is asked again after this, if it has not answered. INTEROP: i2pd ends a session after ten seconds, Java after five
/// requests of a minute each.
const ASK_AGAIN: Duration = Duration::from_secs(20);

/// A lease is said to end later than it does by no more than this; tunnels live for longer beyond their leases.
const RAISED: Duration = Duration::from_secs(10);

/// What a program's destination is to be.
#[derive(Debug)]
pub struct ProgramConfig {
    /// Who it is.
    pub destination: Destination,
    /// Its tunnels that lead to it.
    pub inbound: Wanted,
    /// Its tunnels that lead away.
    pub outbound: Wanted,
    /// Whether others find it.
    pub published: bool,
    /// With what it reads encrypted lease sets.
    pub options: Options,
    /// Where leases go that the program is to sign.
    pub leases: mpsc::Sender<Vec<Lease>>,
    /// Where all goes that comes for it.
    pub sink: Sink,
}

/// How to have a program sign.
pub(super) struct Author {
    destination: Destination,
    leases: mpsc::Sender<Vec<Lease>>,
    /// The tunnels that it was asked to sign, and when.
    asked: Option<(Vec<TunnelId>, Mono)>,
    /// The end of the first lease that ends, of those that it was asked to sign last.
    earliest: Wall,
    /// The public halves of the keys that the client thread has.
    keys: Vec<(EncType, Vec<u8>)>,
    sink: Sink,
}

impl Author {
    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }
}

/// A lease set of the program's, checked.
#[derive(Message)]
#[rtype(result = "()")]
struct Granted(Grant);

impl Destinations {
    /// A new destination of a program's, which builds its tunnels at once.
    pub fn open_program(&self, config: ProgramConfig) -> DestinationHandle {
        let ProgramConfig { destination, inbound, outbound, published, options, leases, sink } = config;
        let id = ramson_protocol::id::DestinationId(self.next.fetch_add(1, Relaxed));
        let hash = destination.hash();
        let author =
            AnyAuthor::Program(Author { destination, leases, asked: None, earliest: Wall(0), keys: Vec::new(), sink });
        self.begin(id, hash, author, published, options, [inbound, outbound], Arc::default())
    }
}

impl DestinationHandle {
    /// Takes a lease set of its program's.
    pub async fn grant(&self, grant: Grant) {
        // One that has ended already needs none.
        let _ = self.actor.send(Granted(grant)).await;
    }

    /// Sends a payload as it is. False if the client thread does not keep up: it may be tried again.
    pub fn send_raw(&self, raw: Raw) -> bool {
        self.shared.clients().send_raw(self.id, raw)
    }

    /// Has other tunnels from now on; those that stand live to their end.
    pub fn want(&self, inbound: Wanted, outbound: Wanted) {
        self.pool.want(Direction::Inbound, inbound);
        self.pool.want(Direction::Outbound, outbound);
    }
}

impl LocalDestination {
    /// Asks the program to sign these leases, once in a while.
    pub(super) fn ask_program(&mut self, tunnels: Vec<TunnelId>, mut leases: Vec<Lease>) {
        let now = self.shared.now().mono;
        let AnyAuthor::Program(author) = &mut self.author else { return };
        let wait = |same| if same { ASK_AGAIN } else { SETTLE };
        let asked = author.asked.as_ref().is_some_and(|(ids, at)| now < *at + wait(*ids == tunnels));
        if asked {
            return;
        }
        // spec: common-structures §LeaseSet — the end of the first lease is the version of the first kind of lease set, and must rise.
        let least = author.earliest.plus(Duration::from_millis(1));
        for lease in leases.iter_mut().filter(|lease| lease.end.plus(RAISED) > least) {
            lease.end = lease.end.max(least);
        }
        let earliest = leases.iter().map(|lease| lease.end).min().unwrap_or_default();
        if author.leases.try_send(leases).is_ok() {
            (author.asked, author.earliest) = (Some((tunnels, now)), earliest);
        }
    }

    /// The client thread has these keys from now on, if there are any.
    fn set_keys(&mut self, grant: &Grant, ctx: &mut Context<Self>) -> bool {
        let AnyAuthor::Program(author) = &mut self.author else { return false };
        let Some(secrets) = &grant.secrets else { return true };
        let named = grant.lease_set.encryption_keys();
        let public: Vec<_> = named.into_iter().map(|(kind, key)| (kind, key.to_vec())).collect();
        if author.keys == public {
            return true;
        }
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        // There are no streams, so nothing is ever signed with it.
        let unused = SigningKey::from_seed(seed).into();
        let signer = Arc::new(Signer { destination: author.destination.clone(), key: unused, offline: None });
        let new = NewDestination {
            id: self.id,
            config: Config::default(),
            signer,
            encryption: secrets.clone(),
            questions,
            accepted: None,
            datagrams: None,
            // A program that speaks for itself knows itself whether it is used, and asks for fewer tunnels then.
            used: Arc::default(),
            raw: Some(author.sink.clone()),
        };
        // What there was with another key ends when this takes its place.
        if !self.shared.clients().open_destination(new) {
            return false;
        }
        author.keys = public;
        self.outbound.clear();
        ctx.spawn(questions::forward(asked, ctx.address()).into_actor(self));
        true
    }
}

impl Handler<Granted> for LocalDestination {
    type Result = ();

    fn handle(&mut self, Granted(grant): Granted, ctx: &mut Context<Self>) {
        if !self.set_keys(&grant, ctx) {
            return;
        }
        let own = self.pool.paths().get();
        let AnyAuthor::Program(author) = &mut self.author else { return };
        let leases = grant.lease_set.leases();
        let is_named = |tunnel: &&InboundTunnelRef| {
            leases.iter().any(|lease| (lease.gateway, lease.tunnel) == (tunnel.gateway, tunnel.gateway_tunnel))
        };
        // It may be the answer to what was asked before: then that to the last question is still to come. A list names no tunnels.
        let is_list = grant.secrets.is_none();
        let asked = author.asked.take_if(|(ids, _)| {
            let mut named = own.inbound.iter().filter(|tunnel| ids.contains(&tunnel.id)).take(MAX_LEASES.into());
            is_list || named.all(|one| is_named(&one))
        });
        let named = || own.inbound.iter().filter(is_named).map(|tunnel| tunnel.id).collect();
        let tunnels = asked.map_or_else(named, |(ids, _)| ids);
        self.tell_outbound(&own);
        self.put_in_force(grant.lease_set, grant.stored, tunnels);
    }
}
