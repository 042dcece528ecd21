//! One thread's way up to the control plane: news, of which none is lost, and messages, which may be.
//!
//! ```text
//! news     -> kept here until the control plane takes them; one of a kind and peer when many wait
//! messages -> offered once, at the end of the turn; dropped and counted if there is no room
//! ```
//! What waits here is bounded without losing any of it: a thread takes no new session while it is
//! [behind](Upward::is_behind), and other news are of routers that it was asked to reach.

use crate::event::{EventSink, News, Received};
use ramson_protocol::dialing::Transport;
use ramson_protocol::id::RouterHash;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// News handed over at once, at most.
const BATCH: usize = 256;

/// With fewer than these waiting nothing is gained by looking for what has become old.
const COALESCE_ABOVE: usize = 1024;

/// With more than these waiting the thread takes no new session.
const BEHIND: usize = 8192;

/// Messages that one turn of a thread hands over, at most, and their bytes.
const TURN: usize = 4096;
const TURN_BYTES: usize = 4 * 1024 * 1024;

/// A control plane that had no room is asked again after this.
pub(crate) const AGAIN: Duration = Duration::from_millis(10);

/// What makes an older piece of news worthless once a newer one of the same is there.
#[derive(PartialEq, Eq, Hash)]
enum Subject {
    Session(RouterHash),
    Call(RouterHash, Transport),
    Wanted(RouterHash),
    Info(RouterHash),
    Reachability(bool),
    Introducers(bool),
    Seen(RouterHash),
}

impl Subject {
    fn of(news: &News) -> Self {
        match news {
            News::Connected { peer, .. } | News::Disconnected { peer, .. } => Self::Session(*peer),
            News::ConnectFailed { peer, transport, .. } => Self::Call(*peer, *transport),
            News::NeedSession { peer, .. } => Self::Wanted(*peer),
            News::NeedRouterInfo(router) => Self::Info(*router),
            News::Reachability { address, .. } => Self::Reachability(address.is_ipv4()),
            News::Introducers { v4, .. } => Self::Introducers(*v4),
            News::Seen { by, .. } => Self::Seen(*by),
        }
    }
}

/// What one thread has to tell the control plane.
pub(crate) struct Upward {
    sink: Arc<dyn EventSink>,
    news: VecDeque<News>,
    /// When the queue has this length it is looked through for what has become old.
    coalesce_at: usize,
    received: Vec<Received>,
    /// Bytes of them.
    bytes: usize,
    /// Messages that found no room in the turn.
    lost: u64,
    /// The control plane did not keep up the last time.
    pressed: bool,
}

impl Upward {
    /// To this control plane.
    pub(crate) fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink,
            news: VecDeque::new(),
            coalesce_at: COALESCE_ABOVE,
            received: Vec::new(),
            bytes: 0,
            lost: 0,
            pressed: false,
        }
    }

    /// Something that must not be lost.
    pub(crate) fn tell(&mut self, news: News) {
        self.news.push_back(news);
        if self.news.len() >= self.coalesce_at {
            self.coalesce();
            self.coalesce_at = COALESCE_ABOVE.max(2 * self.news.len());
        }
    }

    /// Something that may be lost: if the turn brings too much, what comes last.
    pub(crate) fn pass(&mut self, received: Received) {
        let bytes = self.bytes + received.bytes();
        if self.received.len() >= TURN || bytes > TURN_BYTES {
            self.lost += 1;
            return;
        }
        self.bytes = bytes;
        self.received.push(received);
    }

    /// True while the control plane does not keep up: peers have smaller shares then.
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Hands over what there is, news first. Returns how many messages were handed over, and how many were lost.
    pub(crate) fn deliver(&mut self) -> (u64, u64) {
        while !self.news.is_empty() {
            let batch: Vec<News> = self.news.drain(..self.news.len().min(BATCH)).collect();
            if let Err(refused) = self.sink.news(batch) {
                refused.into_iter().rev().for_each(|news| self.news.push_front(news));
                break;
            }
        }
        let lost = std::mem::take(&mut self.lost);
        if self.received.is_empty() {
            self.pressed = self.sink.is_pressed();
            return (0, lost);
        }
        let batch = std::mem::take(&mut self.received);
        self.bytes = 0;
        let all = batch.len() as u64;
        let refused = self.sink.received(batch).map_or_else(|refused| refused.len() as u64, |()| 0);
        self.pressed = refused > 0 || self.sink.is_pressed();
        (all, lost + refused)
    }

    /// News that wait for the control plane.
    pub(crate) fn waiting(&self) -> usize {
        self.news.len()
    }

    /// True if so much waits that no session should be added.
    pub(crate) fn is_behind(&self) -> bool {
        self.news.len() >= BEHIND
    }

    /// Keeps the newest of each subject, in order.
    fn coalesce(&mut self) {
        let mut seen = FxHashSet::default();
        let mut kept: VecDeque<News> = VecDeque::with_capacity(self.news.len());
        while let Some(news) = self.news.pop_back() {
            if seen.insert(Subject::of(&news)) {
                kept.push_front(news);
            }
        }
        self.news = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use ramson_protocol::dialing::Direction;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    #[derive(Default)]
    struct Control {
        full: AtomicBool,
        news: Mutex<Vec<News>>,
        received: Mutex<usize>,
    }

    impl EventSink for Control {
        fn news(&self, news: Vec<News>) -> Result<(), Vec<News>> {
            if self.full.load(Relaxed) {
                return Err(news);
            }
            self.news.lock().extend(news);
            Ok(())
        }

        fn received(&self, batch: Vec<Received>) -> Result<(), Vec<Received>> {
            if self.full.load(Relaxed) {
                return Err(batch);
            }
            *self.received.lock() += batch.len();
            Ok(())
        }
    }

    fn router(n: u16) -> RouterHash {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        RouterHash(hash)
    }

    fn up(n: u16) -> News {
        News::Connected {
            peer: router(n),
            direction: Direction::Inbound,
            transport: Transport::Ntcp2,
            addr: "127.0.0.1:1".parse().unwrap(),
            router_info: None,
            skew_ms: 0,
        }
    }

    fn down(n: u16) -> News {
        News::Disconnected { peer: router(n), reason: 0 }
    }

    #[test]
    fn a_full_control_plane_loses_messages_and_no_news() {
        let control = Arc::new(Control::default());
        let mut upward = Upward::new(Arc::clone(&control) as Arc<dyn EventSink>);
        control.full.store(true, Relaxed);
        for n in 0..600 {
            upward.tell(up(n));
            upward.pass(Received::RouterInfo { from: router(n), bytes: bytes::Bytes::new(), flood: false });
        }
        assert_eq!(upward.deliver(), (600, 600));
        assert_eq!(upward.waiting(), 600);
        control.full.store(false, Relaxed);
        upward.tell(down(599));
        assert_eq!(upward.deliver(), (0, 0));
        assert_eq!(upward.waiting(), 0);
        let news = control.news.lock();
        assert_eq!(news.len(), 601);
        let peers = news.iter().map(|news| match news {
            News::Connected { peer, .. } | News::Disconnected { peer, .. } => *peer,
            other => panic!("{other:?}"),
        });
        assert!(peers.eq((0..600).chain([599]).map(router)), "in their order");
    }

    #[test]
    fn one_turn_hands_over_so_many_messages_and_bytes_at_most() {
        let control = Arc::new(Control::default());
        let mut upward = Upward::new(Arc::clone(&control) as Arc<dyn EventSink>);
        let small = |n| Received::RouterInfo { from: router(n), bytes: bytes::Bytes::new(), flood: false };
        (0..10_000).for_each(|n| upward.pass(small(n)));
        assert_eq!(upward.deliver(), (TURN as u64, 10_000 - TURN as u64));
        let large = bytes::Bytes::from(vec![0; 60_000]);
        for n in 0..1000 {
            upward.pass(Received::RouterInfo { from: router(n), bytes: large.clone(), flood: false });
        }
        let (handed_over, lost) = upward.deliver();
        assert_eq!((handed_over * 60_000 / TURN_BYTES as u64, handed_over + lost), (0, 1000));
        assert_eq!(upward.deliver(), (0, 0));
    }

    #[test]
    fn what_waits_is_bounded_by_the_peers_it_is_about_and_the_newest_stays() {
        let control = Arc::new(Control::default());
        let mut upward = Upward::new(Arc::clone(&control) as Arc<dyn EventSink>);
        control.full.store(true, Relaxed);
        for round in 0..10_000_u16 {
            upward.tell(up(round % 100));
            upward.tell(down(round % 100));
            assert!(upward.waiting() <= COALESCE_ABOVE);
        }
        upward.coalesce();
        assert_eq!(upward.waiting(), 100);
        assert!(upward.news.iter().all(|news| matches!(news, News::Disconnected { .. })));
        assert!(!upward.is_behind());
        (0..u16::try_from(BEHIND).unwrap()).for_each(|n| upward.tell(up(n)));
        assert!(upward.is_behind());
    }
}
