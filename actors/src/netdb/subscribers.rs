//! Who is told of each router that comes and goes. News wait in a queue of their own per subscriber, so that a slow one
//! gets them in order and none is lost to a full mailbox.

use super::shard::NetDbShard;
use crate::drops::ControlDrop;
use crate::messages::RouterKnown;
use actix::prelude::*;
use std::collections::VecDeque;

/// The subscribers of one shard.
pub(super) struct Subscribers {
    max_queue: usize,
    all: Vec<Subscriber>,
}

struct Subscriber {
    to: Recipient<RouterKnown>,
    queue: VecDeque<RouterKnown>,
    sending: bool,
}

impl Subscribers {
    /// None yet. `max_queue` news wait for one that does not keep up.
    pub(super) fn new(max_queue: usize) -> Self {
        Self { max_queue, all: Vec::new() }
    }

    /// A new one, with what is to be told first.
    pub(super) fn add(
        &mut self,
        to: Recipient<RouterKnown>,
        first: VecDeque<RouterKnown>,
        ctx: &mut Context<NetDbShard>,
    ) {
        self.all.push(Subscriber { to, queue: first, sending: false });
        self.pump(self.all.len() - 1, ctx);
    }

    /// Tells all.
    pub(super) fn publish(&mut self, news: &RouterKnown, ctx: &mut Context<NetDbShard>) {
        for at in 0..self.all.len() {
            let queue = &mut self.all[at].queue;
            if queue.len() >= self.max_queue.max(1) {
                queue.pop_front();
                ControlDrop::SubscriberSlow.count();
            }
            queue.push_back(news.clone());
            self.pump(at, ctx);
        }
    }

    /// Sends the next news if none is under way.
    fn pump(&mut self, at: usize, ctx: &mut Context<NetDbShard>) {
        let Some(subscriber) = self.all.get_mut(at) else { return };
        if subscriber.sending {
            return;
        }
        let Some(news) = subscriber.queue.pop_front() else { return };
        subscriber.sending = true;
        let send = fut::wrap_future::<_, NetDbShard>(subscriber.to.send(news));
        ctx.spawn(send.map(move |sent, actor, ctx| {
            let subscribers = actor.subscribers();
            if let Some(subscriber) = subscribers.all.get_mut(at) {
                subscriber.sending = false;
                if sent.is_err() {
                    // It has ended. Its place stays, as those behind it are known by theirs.
                    subscriber.queue.clear();
                    return;
                }
            }
            subscribers.pump(at, ctx);
        }));
    }
}
