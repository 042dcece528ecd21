//! Own cells at a thread whose loop the test turns: the owner and the first hop are the test.

use super::*;
use crate::clock::Clock;
use crate::event::{EventSink, News, Received};
use crate::io::rig::Far;
use crate::io::{IoConfig, IoThread, UnstartedIoThread, shaper};
use crate::live::{Live, Settings};
use crate::ports::io::{Command, IoHandle};
use crate::ports::own::Lane;
use arc_swap::ArcSwap;
use bytes::Bytes;
use mio::Events;
use parking_lot::Mutex;
use ramson_protocol::id::RouterHash;
use ramson_protocol::shape::Limits;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const HOP: RouterHash = RouterHash([2; 32]);
const FAST: u64 = 10_000_000_000;

/// Number of the tunnel here, and at the first hop.
const OUT: TunnelId = TunnelId(5);
const THERE: TunnelId = TunnelId(1005);

/// The owner of the tunnels.
#[derive(Default)]
struct Owner {
    full: AtomicBool,
    batches: Mutex<Vec<OwnCells>>,
    credits: Mutex<Vec<TunnelId>>,
}

impl OwnPort for Owner {
    fn index(&self) -> usize {
        0
    }

    fn spare(&self) -> OwnCells {
        OwnCells::default()
    }

    fn cells(&self, cells: OwnCells) -> Result<(), OwnCells> {
        if self.full.load(Relaxed) {
            return Err(cells);
        }
        self.batches.lock().push(cells);
        Ok(())
    }

    fn credit(&self, tunnel: TunnelId) -> bool {
        self.credits.lock().push(tunnel);
        true
    }
}

/// Keeps the news.
#[derive(Default)]
struct Control(Mutex<Vec<News>>);

impl EventSink for Control {
    fn news(&self, news: Vec<News>) -> Result<(), Vec<News>> {
        self.0.lock().extend(news);
        Ok(())
    }

    fn received(&self, _: Vec<Received>) -> Result<(), Vec<Received>> {
        Ok(())
    }
}

/// A thread with one of our outbound tunnels.
struct Rig {
    thread: IoThread,
    handle: IoHandle,
    events: Events,
    owner: Arc<Owner>,
    control: Arc<Control>,
    lane: Arc<Lane>,
    hop: Arc<Hop>,
    sent: u8,
}

impl Rig {
    fn new(line: u64) -> Self {
        let (clock, unstarted) = (Clock::new(), UnstartedIoThread::new().unwrap());
        let (handle, control) = (unstarted.handle(), Arc::<Control>::default());
        let idle = Settings { idle_close: Duration::from_secs(600) };
        let config = IoConfig {
            router: RouterHash([1; 32]),
            router_info: Arc::new(ArcSwap::from_pointee(Bytes::new())),
            line: Arc::new(shaper::Line::new(Limits::even(line), 1, clock.now().mono)),
            clock,
            sink: Arc::clone(&control) as Arc<dyn EventSink>,
            live: Arc::new(Live::new(idle, idle)),
            iv_filter: Default::default(),
            draining: Arc::default(),
        };
        let thread = unstarted.into_thread(0, std::slice::from_ref(&handle), config, None).unwrap();
        let (owner, lane) = (Arc::<Owner>::default(), Lane::new());
        let from: Arc<dyn OwnPort> = Arc::clone(&owner) as _;
        let next = crate::hop::NextHop { router: HOP, tunnel: THERE };
        let kind = HopKind::OutboundGateway { next, from, lane: Arc::clone(&lane) };
        let hop = Arc::new(Hop::new(OUT, kind, None));
        handle.command(Command::InstallHop(Arc::clone(&hop))).unwrap();
        Self { thread, handle, events: Events::with_capacity(64), owner, control, lane, hop, sent: 0 }
    }

    /// A session with a router, which reads only when it is told.
    fn connect(&mut self, peer: RouterHash) -> Far {
        let far = Far::connect(&self.handle, peer);
        self.turn();
        far
    }

    fn turn(&mut self) {
        self.thread.links.poll.poll(&mut self.events, Some(Duration::from_millis(1))).unwrap();
        self.thread.links.now = self.thread.links.config.clock.now();
        self.thread.turn(&self.events);
    }

    /// Sends as the owner does: as much as there is credit for, at most `cells`. How many went.
    fn send(&mut self, cells: u64) -> u64 {
        let mut batch = OwnCells::default();
        let count = cells.min(self.lane.credit());
        for _ in 0..count {
            batch.push(OUT, &[self.sent; CELL]);
            self.sent = self.sent.wrapping_add(1);
        }
        self.lane.send(count);
        self.handle.own_cells(batch).unwrap();
        self.turn();
        count
    }

    fn drops(&self) -> u64 {
        self.thread.links.stats.drops.iter().map(|count| count.get()).sum()
    }

    fn dropped(&self, cause: DropCause) -> u64 {
        self.thread.links.stats.drops[cause as usize].get()
    }

    fn asked_for(&self) -> usize {
        self.control.0.lock().iter().filter(|news| matches!(news, News::NeedSession { peer: HOP, ours: true })).count()
    }
}

/// That all cells came, in their order.
fn assert_whole(far: &Far, sent: u64) {
    assert_eq!(far.cells.len() as u64, sent);
    assert!(far.cells.iter().zip(0_u64..).all(|((tunnel, byte), n)| *tunnel == THERE.0 && *byte == n as u8));
}

#[test]
fn a_first_hop_that_takes_nothing_is_felt_by_the_sender_and_costs_no_cell() {
    let mut rig = Rig::new(FAST);
    let mut far = rig.connect(HOP);
    let mut sent = 0;
    // The kernel's buffers take some megabytes first.
    while rig.lane.credit() > 0 && sent < 100_000 {
        sent += rig.send(64);
    }
    assert_eq!((rig.lane.credit(), rig.drops()), (0, 0), "the lane closes after {sent} cells");
    assert!(rig.lane.wait_for(1));
    (0..10).for_each(|_| rig.turn());
    assert!(rig.owner.credits.lock().is_empty(), "nothing has gone");
    while rig.lane.under_way() > 0 {
        far.read();
        rig.turn();
    }
    while (far.cells.len() as u64) < sent {
        far.read();
        rig.turn();
    }
    assert_whole(&far, sent);
    assert_eq!(*rig.owner.credits.lock(), [OUT], "told once");
    assert_eq!((rig.drops(), rig.lane.lost(), rig.lane.passed()), (0, 0, sent));
}

#[test]
fn a_line_that_bears_little_closes_the_lane_and_costs_no_cell() {
    let mut rig = Rig::new(400_000);
    let mut far = rig.connect(HOP);
    let sent: u64 = (0..8).map(|_| rig.send(WINDOW)).sum();
    assert!(rig.lane.under_way() > 0, "all {sent} cells went at once");
    assert!(rig.thread.links.own_may_go(), "the thread looks again without being asked");
    while (far.cells.len() as u64) < sent {
        rig.turn();
        far.read();
    }
    assert_whole(&far, sent);
    assert_eq!((rig.drops(), rig.lane.under_way()), (0, 0));
}

#[test]
fn without_a_session_one_cell_asks_for_it_and_the_others_wait_for_it() {
    let mut rig = Rig::new(FAST);
    assert_eq!(rig.send(200), 200);
    assert_eq!((rig.asked_for(), rig.drops()), (1, 0));
    assert!(!rig.thread.links.own_may_go(), "only a session helps");
    let mut far = rig.connect(HOP);
    while far.cells.len() < 200 {
        rig.turn();
        far.read();
    }
    assert_whole(&far, 200);
    assert_eq!((rig.drops(), rig.lane.passed()), (0, 200));
}

#[test]
fn what_waits_for_a_router_that_cannot_be_reached_is_lost_counted_and_told() {
    let mut rig = Rig::new(FAST);
    assert_eq!(rig.send(WINDOW), WINDOW);
    assert!(rig.lane.wait_for(2));
    rig.handle.command(Command::Unreachable(HOP)).unwrap();
    rig.turn();
    assert_eq!(rig.dropped(DropCause::NoSession), WINDOW);
    assert_eq!((rig.lane.credit(), rig.lane.lost()), (WINDOW, WINDOW - 1), "the first one waited as a message");
    assert_eq!(*rig.owner.credits.lock(), [OUT]);
}

#[test]
fn a_tunnel_that_ends_takes_its_cells_along_and_cells_behind_it_are_counted() {
    let mut rig = Rig::new(FAST);
    rig.send(100);
    rig.handle.command(Command::RemoveHop(Arc::clone(&rig.hop))).unwrap();
    rig.turn();
    assert_eq!((rig.dropped(DropCause::UnknownTunnel), rig.lane.lost()), (99, 99));
    rig.send(10);
    assert_eq!(rig.dropped(DropCause::UnknownTunnel), 109);
    assert!(rig.thread.links.own.waiting.is_empty());
}

#[test]
fn two_tunnels_through_one_slow_hop_get_the_same() {
    let mut rig = Rig::new(FAST);
    let (lane, other) = (Lane::new(), TunnelId(6));
    let next = crate::hop::NextHop { router: HOP, tunnel: TunnelId(1006) };
    let kind = HopKind::OutboundGateway { next, from: Arc::clone(&rig.owner) as _, lane: Arc::clone(&lane) };
    rig.handle.command(Command::InstallHop(Arc::new(Hop::new(other, kind, None)))).unwrap();
    let mut far = rig.connect(HOP);
    let mut sent = 0;
    while rig.lane.credit() > 0 {
        sent += rig.send(64);
    }
    far.cells.clear();
    let mut second = 0;
    // Both have as much to send as they may, from now on.
    while far.cells.len() < 20_000 {
        let mut batch = OwnCells::default();
        let credit = lane.credit();
        (0..credit).for_each(|_| batch.push(other, &[0; CELL]));
        lane.send(credit);
        second += credit;
        rig.handle.own_cells(batch).unwrap();
        sent += rig.send(WINDOW);
        far.read();
    }
    let gone = (rig.lane.passed(), lane.passed());
    assert_eq!((rig.drops(), rig.lane.under_way() <= WINDOW, lane.under_way() <= WINDOW), (0, true, true));
    assert!(sent >= gone.0 && second >= gone.1);
    let late = far.cells.iter().rev().take(5000).filter(|(tunnel, _)| *tunnel == 1006).count();
    assert!((1500..3500).contains(&late), "{late} of 5000");
}

/// An inbound tunnel of ours whose last hop is `HOP`.
fn inbound(rig: &mut Rig, tunnel: TunnelId) {
    let to: Arc<dyn OwnPort> = Arc::clone(&rig.owner) as _;
    let hop = Hop::new(tunnel, HopKind::InboundEndpoint { to }, Some(HOP));
    rig.handle.command(Command::InstallHop(Arc::new(hop))).unwrap();
    rig.turn();
}

#[test]
fn raw_cells_go_to_their_owner_in_batches_once_each_and_only_from_the_last_hop() {
    let mut rig = Rig::new(FAST);
    inbound(&mut rig, TunnelId(9));
    let mut far = rig.connect(HOP);
    let mut stranger = rig.connect(RouterHash([3; 32]));
    far.send(TunnelId(9), &[1, 2, 3, 2]);
    stranger.send(TunnelId(9), &[4]);
    while rig.dropped(DropCause::WrongPrevious) == 0 || rig.owner.batches.lock().is_empty() {
        rig.turn();
    }
    let batches = rig.owner.batches.lock();
    let cells: Vec<(u32, u8)> =
        batches.iter().flat_map(|b| b.tunnels.iter().zip(&b.cells)).map(|(tunnel, cell)| (tunnel.0, cell[0])).collect();
    assert_eq!(cells, [(9, 1), (9, 2), (9, 3)]);
    assert!(batches.len() < 3, "handed over by the turn, not by the cell");
    assert_eq!((rig.dropped(DropCause::ReplayedIv), rig.dropped(DropCause::WrongPrevious)), (1, 1));
}

#[test]
fn cells_for_an_owner_that_does_not_keep_up_are_dropped_and_counted() {
    let mut rig = Rig::new(FAST);
    inbound(&mut rig, TunnelId(9));
    let mut far = rig.connect(HOP);
    rig.owner.full.store(true, Relaxed);
    let all: Vec<u8> = (0..200).collect();
    far.send(TunnelId(9), &all);
    while rig.drops() < 200 {
        rig.turn();
    }
    assert_eq!(rig.dropped(DropCause::ClientFull), 200);
    rig.owner.full.store(false, Relaxed);
    far.send(TunnelId(9), &[250]);
    while rig.owner.batches.lock().is_empty() {
        rig.turn();
    }
    assert_eq!(rig.drops(), 200);
}
