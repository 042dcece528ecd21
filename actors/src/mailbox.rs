//! How many messages wait in the mailboxes of the actors that live as long as the node.
//!
//! Actix does not tell how full a mailbox is, so those who send count a message in and the handler counts it out. The
//! actors of single connections and tunnels are left out: each has a mailbox of its own, and hardly ever more than one
//! message in it. The counts are those of the process, like all metrics.

use crate::drops::ControlDrop;
use actix::prelude::SendError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A mailbox, or the common ones of several actors of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// Batches of the data plane, of up to a few hundred events each.
    Switch,
    /// Build requests of others.
    Transit,
    /// Build records that wait for a thread.
    BuildOpener,
    /// Garlic messages that wait for a thread.
    GarlicOpener,
    /// News and answers for our own tunnels.
    Pool,
    /// All shards of the database.
    NetDbShard,
    /// Searches in the network.
    Searches,
    /// The publishing of our own RouterInfo.
    Publishing,
}

static WAITING: [AtomicUsize; Mailbox::ALL.len()] = [const { AtomicUsize::new(0) }; Mailbox::ALL.len()];

impl Mailbox {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Switch,
        Self::Transit,
        Self::BuildOpener,
        Self::GarlicOpener,
        Self::Pool,
        Self::NetDbShard,
        Self::Searches,
        Self::Publishing,
    ];

    /// Its name in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Transit => "transit",
            Self::BuildOpener => "build_opener",
            Self::GarlicOpener => "garlic_opener",
            Self::Pool => "pool",
            Self::NetDbShard => "netdb_shard",
            Self::Searches => "searches",
            Self::Publishing => "publishing",
        }
    }

    /// Messages that wait in it.
    pub fn depth(self) -> usize {
        WAITING[self as usize].load(Relaxed)
    }

    /// A message is about to be sent.
    pub(crate) fn entered(self) {
        WAITING[self as usize].fetch_add(1, Relaxed);
    }

    /// A message is handled now, or was never taken.
    pub(crate) fn left(self) {
        WAITING[self as usize].fetch_sub(1, Relaxed);
    }

    /// Sends by `try_send`, and counts the message.
    ///
    /// # Errors
    /// What `try_send` says: the mailbox is full or its actor gone.
    pub(crate) fn post<M>(self, try_send: impl FnOnce() -> Result<(), SendError<M>>) -> Result<(), SendError<M>> {
        self.entered();
        try_send().inspect_err(|_| self.left())
    }

    /// The same for a message that may be lost: it is counted then.
    pub(crate) fn offer<M>(self, try_send: impl FnOnce() -> Result<(), SendError<M>>) {
        if self.post(try_send).is_err() {
            ControlDrop::MailboxFull.count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::prelude::*;

    struct Slow;

    impl Actor for Slow {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.set_mailbox_capacity(2);
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Work;

    impl Handler<Work> for Slow {
        type Result = ();

        fn handle(&mut self, _: Work, _: &mut Context<Self>) {
            Mailbox::Publishing.left();
        }
    }

    #[actix::test]
    async fn what_waits_is_counted_and_what_is_refused_is_not() {
        let before = Mailbox::Publishing.depth();
        let slow = Slow.start();
        // It has no turn before we wait, so nothing is handled in between.
        let taken = (0..64).filter(|_| Mailbox::Publishing.post(|| slow.try_send(Work)).is_ok()).count();
        assert!((1..64).contains(&taken), "{taken}");
        assert_eq!(Mailbox::Publishing.depth() - before, taken);
        Mailbox::Publishing.entered();
        slow.send(Work).await.unwrap();
        assert_eq!(Mailbox::Publishing.depth(), before);
    }
}
