//! The way to a destination, for what stands above it: streams, datagrams, questions.

use super::encrypted::FindError;
use super::{LocalDestination, questions};
use crate::mailbox::wait_for_room;
use crate::pool::PoolHandle;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_clients::Stream;
use ramson_protocol::b32::{B32, Blinded};
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::id::{DestinationHash, DestinationId};
use ramson_protocol::streaming::streams::Ports;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::oneshot;

/// The way to a destination; cheap to clone. It lives until [`DestinationHandle::close`].
#[derive(Clone)]
pub struct DestinationHandle {
    pub(super) id: DestinationId,
    pub(super) hash: DestinationHash,
    pub(super) shared: Shared,
    pub(super) actor: Addr<LocalDestination>,
    pub(super) pool: PoolHandle,
    pub(super) used: Arc<AtomicU64>,
    pub(super) given_up: Arc<AtomicBool>,
}

/// The destination is not wanted any more.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Close;

impl DestinationHandle {
    /// Its hash.
    pub fn hash(&self) -> DestinationHash {
        self.hash
    }

    /// Begins a stream. `None` if the client thread does not keep up.
    pub fn connect(&self, remote: DestinationHash, to_port: u16) -> Option<Stream> {
        self.shared.clients().connect(self.id, remote, Ports { from: 0, to: to_port })
    }

    /// The same from a port of ours.
    pub fn connect_from(&self, remote: DestinationHash, ports: Ports) -> Option<Stream> {
        self.shared.clients().connect(self.id, remote, ports)
    }

    /// Sends a datagram. False if the client thread does not keep up.
    pub fn send_datagram(&self, datagram: Datagram) -> bool {
        self.shared.clients().send_datagram(self.id, datagram)
    }

    /// Asks another whether it is there: how long its answer took. `None` if it gives none within `patience`: not all destinations do.
    pub async fn ping(&self, remote: DestinationHash, patience: Duration) -> Option<Duration> {
        let asked = self.shared.now().mono;
        let answer = self.shared.clients().ping(self.id, remote);
        actix::clock::timeout(patience, answer).await.ok()?.ok()?;
        Some(self.shared.now().mono.saturating_sub(asked))
    }

    /// Looks for the lease set of another, through its own tunnels, and tells whose it is. `None` if nobody has it.
    pub async fn find(&self, remote: DestinationHash) -> Option<Destination> {
        self.find_lease_set(B32::Hash(remote)).await.ok()?.destination()
    }

    /// The same of one whose lease set is encrypted. Streams and datagrams find its hash from then on.
    ///
    /// # Errors
    /// If nobody has it, or if it cannot be read.
    pub async fn find_blinded(&self, remote: Blinded) -> Result<Destination, FindError> {
        let found = self.find_lease_set(B32::Blinded(remote)).await?;
        found.destination().ok_or(FindError::NotFound)
    }

    /// The lease set itself, verified.
    ///
    /// # Errors
    /// If nobody has it, or if it cannot be read.
    pub async fn find_lease_set(&self, whom: B32) -> Result<Entry, FindError> {
        let (reply, found) = oneshot::channel();
        let asked = self.actor.send(questions::Find(whom, reply)).await;
        asked.map_err(|_| FindError::NotFound)?;
        found.await.unwrap_or(Err(FindError::NotFound))
    }

    /// True while the lease set of another is being looked for.
    pub async fn is_sought(&self, whom: B32) -> bool {
        self.actor.send(questions::IsSought(whom)).await.unwrap_or(false)
    }

    /// True if it has tunnels both ways. One that has given them up, since nobody used it, builds new ones for whoever asks.
    pub fn is_ready(&self) -> bool {
        let own = self.pool.paths().get();
        let ready = !own.inbound.is_empty() && !own.outbound.is_empty();
        if !ready {
            self.used.fetch_add(1, Relaxed);
        }
        ready
    }

    /// True if it wants no tunnels any more, since nobody has used it for long, and nobody has come since.
    pub fn has_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// Ends it, its streams and its tunnels.
    pub fn close(&self) {
        wait_for_room(&self.actor, Close);
    }

    /// The same from a thread without actors; waits for room in the mailbox.
    pub async fn end(&self) {
        // One that has ended already is not there to take this.
        let _ = self.actor.send(Close).await;
    }
}

impl Handler<Close> for LocalDestination {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
