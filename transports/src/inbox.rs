//! The bounded queue in front of a thread that sleeps in `epoll_wait`.
//!
//! Waking a sleeping thread costs more than all the cryptography of a cell, so a sender wakes the owner only when it
//! has announced that it is about to sleep. A full queue refuses: it never waits. What must not be pushed out by what
//! strangers send may have a queue of its own, which is emptied first.
//!
//! ```text
//! sender --> places that are always there --> owner
//!        '-> the rest, behind a lock, as long as anything is in it --'
//! ```
//! The bound is for the worst second; what is there all the time is a little of it. Whoever's item came into the rest finds no place before it,
//! so the items of one sender keep their order.

use crossbeam::queue::ArrayQueue;
use mio::Waker;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Places that are always there.
const PLACES: usize = 256;

/// The sending side; clone it freely.
pub struct Inbox<T>(Arc<Inner<T>>);

/// A queue that has memory for few entries, and for more while there are more.
struct Queue<T> {
    places: ArrayQueue<T>,
    rest: Mutex<VecDeque<T>>,
    in_rest: AtomicUsize,
    /// Of the rest.
    bound: usize,
}

impl<T> Queue<T> {
    fn new(capacity: usize) -> Self {
        let places = capacity.min(PLACES);
        let rest = Mutex::new(VecDeque::new());
        Self { places: ArrayQueue::new(places), rest, in_rest: AtomicUsize::new(0), bound: capacity - places }
    }

    fn push(&self, mut item: T) -> Result<(), T> {
        if self.in_rest.load(SeqCst) == 0 {
            match self.places.push(item) {
                Ok(()) => return Ok(()),
                Err(back) => item = back,
            }
        }
        let mut rest = self.rest.lock();
        if rest.len() >= self.bound {
            return Err(item);
        }
        rest.push_back(item);
        self.in_rest.store(rest.len(), SeqCst);
        Ok(())
    }

    fn pop(&self) -> Option<T> {
        let item = self.places.pop();
        if item.is_some() || self.in_rest.load(SeqCst) == 0 {
            return item;
        }
        let mut rest = self.rest.lock();
        let item = rest.pop_front();
        if rest.is_empty() {
            *rest = VecDeque::new();
        }
        self.in_rest.store(rest.len(), SeqCst);
        item
    }

    fn len(&self) -> usize {
        self.places.len() + self.in_rest.load(SeqCst)
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty() && self.in_rest.load(SeqCst) == 0
    }
}

struct Inner<T> {
    queue: Queue<T>,
    /// What goes before that.
    first: Queue<T>,
    sleeping: AtomicBool,
    waker: Waker,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    /// A queue of `capacity` entries whose owner is woken through `waker`.
    pub fn new(capacity: usize, waker: Waker) -> Self {
        Self::with_first(capacity, 1, waker)
    }

    /// The same with room for `first` entries that go before.
    pub fn with_first(capacity: usize, first: usize, waker: Waker) -> Self {
        let (queue, first) = (Queue::new(capacity), Queue::new(first));
        Self(Arc::new(Inner { queue, first, sleeping: AtomicBool::new(false), waker }))
    }

    /// Queues `item` and wakes the owner if it sleeps.
    ///
    /// # Errors
    /// Hands `item` back if the queue is full.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.0.queue.push(item)?;
        self.wake();
        Ok(())
    }

    /// Queues `item` before all that came by [`Inbox::push`].
    ///
    /// # Errors
    /// Hands `item` back if the queue of such is full.
    pub fn push_first(&self, item: T) -> Result<(), T> {
        self.0.first.push(item)?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        if self.0.sleeping.swap(false, SeqCst) {
            // A failed wake only delays the item until the owner's next timer.
            let _: io::Result<()> = self.0.waker.wake();
        }
    }

    /// Owner: the oldest item, of those that go first if there are any.
    pub fn pop(&self) -> Option<T> {
        self.0.first.pop().or_else(|| self.0.queue.pop())
    }

    /// Owner: announces sleep; false if there is something to do instead.
    pub fn prepare_sleep(&self) -> bool {
        self.0.sleeping.store(true, SeqCst);
        if self.is_empty() {
            return true;
        }
        self.0.sleeping.store(false, SeqCst);
        false
    }

    /// Owner: is awake again, senders need not wake it.
    pub fn awake(&self) {
        self.0.sleeping.store(false, SeqCst);
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.0.queue.len() + self.0.first.len()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.queue.is_empty() && self.0.first.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::time::Duration;

    #[test]
    fn a_sleeper_is_woken_once_and_a_full_queue_refuses() {
        let mut poll = Poll::new().unwrap();
        let inbox = Inbox::new(2, Waker::new(poll.registry(), Token(0)).unwrap());
        assert!(inbox.prepare_sleep());
        inbox.push(1).unwrap();
        inbox.push(2).unwrap();
        assert_eq!(inbox.push(3), Err(3));
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        assert_eq!(events.iter().count(), 1);
        assert!(!inbox.prepare_sleep(), "there is work, so no sleep");
        assert_eq!((inbox.pop(), inbox.pop(), inbox.pop()), (Some(1), Some(2), None));
    }

    #[test]
    fn more_than_the_usual_few_wait_in_their_order_and_no_more_than_the_bound() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(3 * PLACES, Waker::new(poll.registry(), Token(0)).unwrap());
        let all = 3 * PLACES;
        assert!((0..all).all(|n| inbox.push(n).is_ok()));
        assert_eq!((inbox.push(all), inbox.len()), (Err(all), all));
        // What finds places free again waits behind what came before.
        let half = all / 2;
        assert!((0..half).all(|n| inbox.pop() == Some(n)));
        assert!((all..all + 10).all(|n| inbox.push(n).is_ok()));
        assert!((half..all + 10).all(|n| inbox.pop() == Some(n)));
        assert!(inbox.is_empty() && inbox.pop().is_none());
        assert_eq!(inbox.0.queue.rest.lock().capacity(), 0, "the memory is given back");
    }

    #[test]
    fn the_items_of_each_sender_keep_their_order() {
        const EACH: usize = 20_000;
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(2 * PLACES, Waker::new(poll.registry(), Token(0)).unwrap());
        let senders = [0, 1, 2].map(|sender| {
            let inbox = inbox.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let mut item = (sender, n);
                    while let Err(back) = inbox.push(item) {
                        item = back;
                        std::thread::yield_now();
                    }
                }
            })
        });
        let mut next = [0; 3];
        while next != [EACH; 3] {
            match inbox.pop() {
                Some((sender, n)) => {
                    assert_eq!(n, next[sender]);
                    next[sender] += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }

    /// Without this a flood of messages pushed out the commands that install and remove hops.
    #[test]
    fn what_goes_first_finds_room_when_the_rest_is_full() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::with_first(2, 2, Waker::new(poll.registry(), Token(0)).unwrap());
        assert_eq!([1, 2, 3].map(|n| inbox.push(n)), [Ok(()), Ok(()), Err(3)]);
        assert_eq!([10, 20, 30].map(|n| inbox.push_first(n)), [Ok(()), Ok(()), Err(30)]);
        assert_eq!(inbox.len(), 4);
        assert!(!inbox.prepare_sleep());
        assert!(std::iter::from_fn(|| inbox.pop()).eq([10, 20, 1, 2]));
        assert!(inbox.prepare_sleep() && inbox.is_empty());
    }
}
