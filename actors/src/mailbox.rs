//! How many messages wait in the mailboxes of the actors that live as long as the node.
//!
//! Actix does not tell how full a mailbox is, so those who send count a message in and the handler counts it out. The
//! actors of single connections and tunnels are left out: each has a mailbox of its own, and hardly ever more than one
//! message in it.

use crate::drops::ControlDrop;
use actix::dev::{MessageResponse, ToEnvelope};
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A mailbox, or the common ones of several actors of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// Batches of messages from the data plane, of up to a few hundred each.
    Dispatch,
    /// Batches of news from the data plane.
    Connections,
    /// Build requests of others.
    Transit,
    /// Build records that wait for a thread.
    BuildOpener,
    /// Garlic messages that wait for a thread.
    GarlicOpener,
    /// Faults of peers.
    Judge,
    /// News and answers for our own tunnels.
    Pool,
    /// Confirmations for all destinations of our own.
    Destination,
    /// All shards of the database.
    NetDbShard,
    /// Searches in the network.
    Searches,
    /// The publishing of our own RouterInfo.
    Publishing,
}

impl Mailbox {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Dispatch,
        Self::Connections,
        Self::Transit,
        Self::BuildOpener,
        Self::GarlicOpener,
        Self::Judge,
        Self::Pool,
        Self::Destination,
        Self::NetDbShard,
        Self::Searches,
        Self::Publishing,
    ];

    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Connections => "connections",
            Self::Transit => "transit",
            Self::BuildOpener => "build_opener",
            Self::GarlicOpener => "garlic_opener",
            Self::Judge => "judge",
            Self::Pool => "pool",
            Self::Destination => "destination",
            Self::NetDbShard => "netdb_shard",
            Self::Searches => "searches",
            Self::Publishing => "publishing",
        }
    }
}

/// The depths of a node's mailboxes, and what they had no room for; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes(Arc<[Counts; Mailbox::ALL.len()]>);

#[derive(Debug, Default)]
struct Counts {
    depth: AtomicUsize,
    refused: AtomicU64,
}

impl Mailboxes {
    /// Messages that wait in a mailbox.
    pub fn depth(&self, mailbox: Mailbox) -> usize {
        self.0[mailbox as usize].depth.load(Relaxed)
    }

    /// Messages that were lost since a mailbox was full.
    pub fn refused(&self, mailbox: Mailbox) -> u64 {
        self.0[mailbox as usize].refused.load(Relaxed)
    }

    /// A message is about to be sent.
    pub(crate) fn entered(&self, mailbox: Mailbox) {
        self.0[mailbox as usize].depth.fetch_add(1, Relaxed);
    }

    /// A message is handled now, or was never taken.
    pub(crate) fn left(&self, mailbox: Mailbox) {
        self.0[mailbox as usize].depth.fetch_sub(1, Relaxed);
    }

    /// Sends by `try_send`, and counts the message.
    ///
    /// # Errors
    /// What `try_send` says: the mailbox is full or its actor gone.
    pub(crate) fn post<M>(
        &self,
        mailbox: Mailbox,
        try_send: impl FnOnce() -> Result<(), SendError<M>>,
    ) -> Result<(), SendError<M>> {
        self.entered(mailbox);
        try_send().inspect_err(|_| self.left(mailbox))
    }

    /// The same for a message that may be lost: it is counted then. Whoever has ended needs it no more.
    pub(crate) fn offer<M>(&self, mailbox: Mailbox, try_send: impl FnOnce() -> Result<(), SendError<M>>) {
        if let Err(SendError::Full(_)) = self.post(mailbox, try_send) {
            self.0[mailbox as usize].refused.fetch_add(1, Relaxed);
            ControlDrop::MailboxFull.count();
        }
    }
}

/// Whoever takes messages of a type.
pub(crate) trait Takes<M: Message + Send + 'static>: Clone + 'static
where
    M::Result: Send,
{
    /// Hands the message over if there is room.
    fn offer(&self, message: M) -> Result<(), SendError<M>>;
    /// Waits for room.
    fn wait(self, message: M) -> impl Future<Output = ()> + 'static;
}

impl<A, M> Takes<M> for Addr<A>
where
    A: Actor<Context: ToEnvelope<A, M>> + Handler<M>,
    M: Message<Result: Send + MessageResponse<A, M>> + Send + 'static,
{
    fn offer(&self, message: M) -> Result<(), SendError<M>> {
        self.try_send(message)
    }

    async fn wait(self, message: M) {
        // Whoever has ended needs no news any more.
        let _ = self.send(message).await;
    }
}

impl<M> Takes<M> for Recipient<M>
where
    M: Message<Result: Send> + Send + 'static,
{
    fn offer(&self, message: M) -> Result<(), SendError<M>> {
        self.try_send(message)
    }

    async fn wait(self, message: M) {
        let _ = self.send(message).await;
    }
}

/// Sends what must arrive: at once, or when the mailbox has room. For messages whose number is bounded by what they are
/// about.
pub(crate) fn wait_for_room<M>(to: &impl Takes<M>, message: M)
where
    M: Message<Result: Send> + Send + 'static,
{
    if let Err(SendError::Full(message)) = to.offer(message) {
        actix::spawn(to.clone().wait(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(usize);

    impl Actor for Slow {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.set_mailbox_capacity(2);
        }
    }

    #[derive(Message)]
    #[rtype(result = "usize")]
    struct Work(Mailboxes);

    impl Handler<Work> for Slow {
        type Result = usize;

        fn handle(&mut self, work: Work, _: &mut Context<Self>) -> usize {
            work.0.left(Mailbox::Publishing);
            self.0 += 1;
            self.0
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Stop;

    impl Handler<Stop> for Slow {
        type Result = ();

        fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
            ctx.stop();
        }
    }

    #[actix::test]
    async fn what_waits_is_counted_and_what_is_refused_is_not() {
        let mailboxes = Mailboxes::default();
        let slow = Slow(0).start();
        // It has no turn before we wait, so nothing is handled in between.
        let work = || mailboxes.post(Mailbox::Publishing, || slow.try_send(Work(mailboxes.clone())));
        let taken = (0..64).filter(|_| work().is_ok()).count();
        assert!((1..64).contains(&taken), "{taken}");
        assert_eq!(mailboxes.depth(Mailbox::Publishing), taken);
        mailboxes.offer(Mailbox::Publishing, || slow.try_send(Work(mailboxes.clone())));
        assert_eq!((mailboxes.refused(Mailbox::Publishing), mailboxes.depth(Mailbox::Publishing)), (1, taken));
        mailboxes.entered(Mailbox::Publishing);
        slow.send(Work(mailboxes.clone())).await.unwrap();
        assert_eq!(mailboxes.depth(Mailbox::Publishing), 0);
        // What nobody is there for any more is not lost for want of room.
        slow.send(Stop).await.unwrap();
        while slow.connected() {
            actix::clock::sleep(std::time::Duration::from_millis(1)).await;
        }
        mailboxes.offer(Mailbox::Publishing, || slow.try_send(Work(mailboxes.clone())));
        assert_eq!((mailboxes.refused(Mailbox::Publishing), mailboxes.depth(Mailbox::Publishing)), (1, 0));
    }

    #[actix::test]
    async fn what_must_arrive_waits_for_room() {
        let mailboxes = Mailboxes::default();
        let slow = Slow(0).start();
        for _ in 0..64 {
            mailboxes.entered(Mailbox::Publishing);
            wait_for_room(&slow, Work(mailboxes.clone()));
        }
        while mailboxes.depth(Mailbox::Publishing) > 0 {
            actix::clock::sleep(std::time::Duration::from_millis(1)).await;
        }
        mailboxes.entered(Mailbox::Publishing);
        assert_eq!(slow.send(Work(mailboxes)).await.unwrap(), 65);
    }
}
