//! Who is told of something that changes. News wait in a queue of their own per subscriber, so that a slow one gets them in
//! order and none is lost to a full mailbox.

use crate::drops::ControlDrop;
use actix::prelude::*;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// The subscribers of one actor.
pub(super) struct Outboxes<M: Message<Result: Send> + Send + 'static> {
    max_queue: usize,
    all: Vec<Outbox<M>>,
}

/// What waits for one of them.
struct Outbox<M: Message<Result: Send> + Send + 'static> {
    to: Recipient<M>,
    queue: Arc<Mutex<Queue<M>>>,
}

struct Queue<M> {
    news: VecDeque<M>,
    sending: bool,
}

impl<M: Message<Result: Send> + Clone + Send + 'static> Outboxes<M> {
    /// None yet. `max_queue` news wait for one that does not keep up.
    pub(super) fn new(max_queue: usize) -> Self {
        Self { max_queue: max_queue.max(1), all: Vec::new() }
    }

    /// A new one, with what is to be told first.
    pub(super) fn add(&mut self, to: Recipient<M>, first: VecDeque<M>) {
        let queue = Arc::new(Mutex::new(Queue { news: first, sending: false }));
        let outbox = Outbox { to, queue };
        outbox.pump();
        self.all.push(outbox);
    }

    /// Puts the news into the queue of every subscriber.
    pub(super) fn publish(&mut self, news: &M) {
        self.all.retain(|outbox| outbox.to.connected());
        for outbox in &self.all {
            let mut queue = outbox.queue.lock();
            if queue.news.len() >= self.max_queue {
                queue.news.pop_front();
                ControlDrop::SubscriberSlow.count();
            }
            queue.news.push_back(news.clone());
            drop(queue);
            outbox.pump();
        }
    }
}

impl<M: Message<Result: Send> + Send + 'static> Outbox<M> {
    /// Sends one after the other, unless that is being done.
    fn pump(&self) {
        if std::mem::replace(&mut self.queue.lock().sending, true) {
            return;
        }
        let (to, queue) = (self.to.clone(), Arc::clone(&self.queue));
        actix::spawn(async move {
            loop {
                let next = {
                    let mut queue = queue.lock();
                    let next = queue.news.pop_front();
                    queue.sending = next.is_some();
                    next
                };
                let Some(news) = next else { return };
                if to.send(news).await.is_err() {
                    // It has ended, and is told nothing any more.
                    queue.lock().news.clear();
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Message)]
    #[rtype(result = "()")]
    struct News(u32);

    struct Slow(tokio::sync::mpsc::UnboundedSender<u32>);

    impl Actor for Slow {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.set_mailbox_capacity(1);
        }
    }

    impl Handler<News> for Slow {
        type Result = ();

        fn handle(&mut self, news: News, _: &mut Context<Self>) {
            self.0.send(news.0).unwrap();
        }
    }

    #[actix::test]
    async fn a_slow_subscriber_gets_all_in_order_and_beyond_the_bound_the_newest() {
        let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let mut outboxes = Outboxes::new(50);
        outboxes.add(Slow(sender).start().recipient(), (0..3).map(News).collect());
        (3..50).for_each(|n| outboxes.publish(&News(n)));
        for n in 0..50 {
            assert_eq!(heard.recv().await, Some(n));
        }
        (0..200).for_each(|n| outboxes.publish(&News(n)));
        let mut last = heard.recv().await.unwrap();
        while last < 199 {
            let next = heard.recv().await.unwrap();
            assert!(next > last);
            last = next;
        }
    }
}
