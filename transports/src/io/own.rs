//! Messages into our own tunnels that wait for the line, in the order in which they came.
//!
//! They go before what others send, but not over the limit: who sends a burst sees it go out a little later, and only what
//! no bound can hold is lost.

use ramson_protocol::i2np::Message;
use ramson_protocol::id::TunnelId;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::Delivery;
use std::collections::VecDeque;

/// What may wait on a thread: at 100 kB/s a burst of five seconds, which is about what a message lives.
const BYTES: usize = 512 * 1024;
/// And messages, for those without a body cost something too.
const MESSAGES: usize = 1024;

/// A message, and where it goes.
pub(super) struct Own {
    pub(super) gateway: TunnelId,
    pub(super) delivery: Delivery,
    pub(super) message: Message,
}

/// Those that wait.
#[derive(Default)]
pub(super) struct OwnQueue {
    queue: VecDeque<Own>,
    bytes: usize,
}

impl OwnQueue {
    /// True if none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Lets a message wait; false if there is no room.
    #[must_use]
    pub(super) fn push(&mut self, own: Own) -> bool {
        let bytes = self.bytes + own.message.body.len();
        let room = self.queue.len() < MESSAGES && bytes <= BYTES;
        if room {
            self.bytes = bytes;
            self.queue.push_back(own);
        }
        room
    }

    /// The first that has not expired, and how many before it have.
    pub(super) fn pop(&mut self, now: Wall) -> (Option<Own>, u64) {
        let mut expired = 0;
        while let Some(own) = self.queue.pop_front() {
            self.bytes -= own.message.body.len();
            if own.message.expiration >= now {
                return (Some(own), expired);
            }
            expired += 1;
        }
        (None, expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ramson_protocol::i2np::MessageType;

    fn own(number: u32, len: usize, expires: u32) -> Own {
        let message = Message {
            kind: MessageType::Data,
            id: number.into(),
            expiration: Wall::from_secs(expires),
            body: Bytes::from(vec![0; len]),
        };
        Own { gateway: TunnelId(1), delivery: Delivery::Local, message }
    }

    #[test]
    fn what_waits_keeps_its_order_is_bounded_and_expires() {
        let mut queue = OwnQueue::default();
        assert!(queue.push(own(1, 10, 100)) && queue.push(own(2, 10, 300)) && queue.push(own(3, 10, 300)));
        assert!(!queue.push(own(4, BYTES, 300)), "too much");
        let (next, expired) = queue.pop(Wall::from_secs(200));
        assert_eq!((next.map(|own| own.message.id.0), expired), (Some(2), 1));
        assert_eq!(queue.pop(Wall::from_secs(200)).0.map(|own| own.message.id.0), Some(3));
        assert!(queue.is_empty() && queue.push(own(4, BYTES, 300)), "all of it is free again");
    }

    #[test]
    fn empty_messages_are_bounded_by_their_number() {
        let mut queue = OwnQueue::default();
        assert_eq!((0..2 * MESSAGES).filter(|_| queue.push(own(1, 0, 300))).count(), MESSAGES);
    }
}
