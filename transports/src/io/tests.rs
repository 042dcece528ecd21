//! Cells through threads whose loops the test turns, with a clock turned by hand: no handshakes, no second router. What each
//! kind of hop does is tested at the relay itself.
//! What leaves is read at the far end of a session, or from what goes up.

use super::*;
use crate::clock::Clock;
use crate::event::{EventSink, News, Received};
use crate::hop::{Hop, HopKind, NextHop};
use crate::io::rig::Far;
use crate::io::{IoConfig, UnstartedIoThread, shaper};
use crate::live::{Live, Settings};
use crate::ports::account::Account;
use crate::ports::io::{Command, IoHandle, home};
use crate::relay::{CELL, CELL_LIFETIME_SECS, CELL_MESSAGE, GATEWAY_MESSAGE};
use crate::stats::{DropCause, Role, Transport};
use arc_swap::ArcSwap;
use bytes::Bytes;
use mio::Events;
use parking_lot::Mutex;
use ramson_crypto::tunnel::{LayerCipher, decrypt_batch};
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, TunnelId};
use ramson_protocol::link::block::I2np;
use ramson_protocol::shape::{Contract, Limits};
use ramson_protocol::time::{Mono, Now, Wall};
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::fragment::Packer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const US: RouterHash = RouterHash([1; 32]);
const FAST: u64 = 10_000_000_000;

/// Number of the tunnel here, and at the next hop.
const HERE: TunnelId = TunnelId(5);
const THERE: TunnelId = TunnelId(1005);

/// Keeps what goes up, or refuses it.
#[derive(Default)]
struct Control {
    full: AtomicBool,
    received: Mutex<Vec<Received>>,
}

impl EventSink for Control {
    fn news(&self, _: Vec<News>) -> Result<(), Vec<News>> {
        Ok(())
    }

    fn received(&self, received: Vec<Received>) -> Result<(), Vec<Received>> {
        if self.full.load(Relaxed) {
            return Err(received);
        }
        self.received.lock().extend(received);
        Ok(())
    }
}

/// A router whose home is this one of two threads, or the only one.
fn router(name: u8, thread: u8) -> RouterHash {
    let mut hash = [name; 32];
    hash[30..].copy_from_slice(&[0, thread]);
    RouterHash(hash)
}

fn previous() -> RouterHash {
    router(2, 0)
}

fn next() -> RouterHash {
    router(3, 0)
}

fn cipher() -> LayerCipher {
    LayerCipher::new(&[11; 32], &[12; 32])
}

/// Threads without sessions or hops.
struct Rig {
    threads: Vec<IoThread>,
    handles: Vec<IoHandle>,
    events: Events,
    control: Arc<Control>,
    now: Now,
}

impl Rig {
    fn new(threads: usize, line: u64) -> Self {
        let unstarted: Vec<UnstartedIoThread> = (0..threads).map(|_| UnstartedIoThread::new().unwrap()).collect();
        let handles: Vec<IoHandle> = unstarted.iter().map(UnstartedIoThread::handle).collect();
        let (clock, control, idle) =
            (Clock::new(), Arc::<Control>::default(), Settings { idle_close: Duration::from_secs(600) });
        let now = clock.now();
        let config = IoConfig {
            router: US,
            router_info: Arc::new(ArcSwap::from_pointee(Bytes::new())),
            line: Arc::new(shaper::Line::new(Limits::even(line), threads, now.mono)),
            clock,
            sink: Arc::clone(&control) as Arc<dyn EventSink>,
            live: Arc::new(Live::new(idle, idle)),
            iv_filter: Default::default(),
            draining: Arc::default(),
        };
        let threads = unstarted.into_iter().enumerate();
        let threads =
            threads.map(|(i, thread)| thread.into_thread(i, &handles, config.clone(), None).unwrap()).collect();
        Self { threads, handles, events: Events::with_capacity(64), control, now }
    }

    fn turn_one(&mut self, thread: usize) {
        let thread = &mut self.threads[thread];
        thread.links.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        thread.links.now = self.now;
        // The timers of every second are no affair of cells.
        thread.links.next_tick = Mono::MAX;
        thread.turn(&self.events);
    }

    fn turn(&mut self) {
        (0..self.threads.len()).for_each(|thread| self.turn_one(thread));
    }

    fn install(&mut self, hop: Hop) {
        let hop = Arc::new(hop);
        for handle in &self.handles {
            handle.command(Command::InstallHop(Arc::clone(&hop))).unwrap();
        }
        self.turn();
    }

    fn participant(&mut self, router: RouterHash) {
        let next = NextHop { router, tunnel: THERE };
        self.install(Hop::new(HERE, HopKind::Participant { cipher: cipher(), next }, Some(previous())));
    }

    fn gateway(&mut self, contract: Contract) {
        let next = NextHop { router: next(), tunnel: THERE };
        let kind = HopKind::InboundGateway { cipher: cipher(), next };
        self.install(Hop::new(HERE, kind, None).with_contract(contract));
    }

    fn endpoint(&mut self) {
        self.install(Hop::new(HERE, HopKind::OutboundEndpoint { cipher: cipher() }, Some(previous())));
    }

    /// A session of the router's home thread with it.
    fn connect(&mut self, router: RouterHash) -> Far {
        let mut far = Far::connect(&self.handles[home(&router, self.handles.len())], router);
        far.messages = Some(Vec::new());
        self.turn();
        far
    }

    /// A message comes in on the first thread.
    fn give(&mut self, from: RouterHash, kind: u8, expiration: u32, body: &[u8]) {
        let IoThread { relay, links } = &mut self.threads[0];
        let nowhere = usize::MAX;
        links.on_i2np(relay, nowhere, from, Transport::Ntcp2, I2np { kind, id: MessageId(9), expiration, body });
    }

    fn give_cell(&mut self, from: RouterHash, tunnel: TunnelId, cell: &[u8; CELL]) {
        self.give(from, CELL_MESSAGE, u32::MAX, &[&tunnel.0.to_be_bytes()[..], cell].concat());
    }

    fn give_gateway(&mut self, body: &[u8]) {
        self.give(router(4, 0), GATEWAY_MESSAGE, u32::MAX, body);
    }

    /// A message comes to the endpoint, as the creator of the tunnel sends it.
    fn give_endpoint(&mut self, delivery: Delivery, message: &[u8]) {
        let (mut packer, mut rng, mut cells) = (Packer::new(), rand::make_rng(), Vec::new());
        packer.push(&delivery, message, &mut rng, &mut cells).unwrap();
        packer.flush(&mut rng, &mut cells).unwrap();
        for mut cell in cells {
            decrypt_batch(&mut [(&cipher(), &mut cell)]);
            self.give_cell(previous(), HERE, &cell);
        }
        self.turn();
    }

    /// What has come to the far end, which is `count` messages unless one is missing.
    fn read(&mut self, far: &mut Far, count: usize) -> Vec<Message> {
        for _ in 0..1000 {
            self.turn();
            far.read();
            if far.messages.as_ref().is_some_and(|messages| messages.len() >= count) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        far.messages.replace(Vec::new()).unwrap()
    }

    /// All that was dropped, by cause.
    fn drops(&self) -> Vec<(DropCause, u64)> {
        let count = |cause: DropCause| self.threads.iter().map(|t| t.links.stats.drops[cause as usize].get()).sum();
        DropCause::ALL.iter().map(|cause| (*cause, count(*cause))).filter(|(_, count)| *count > 0).collect()
    }

    fn message(&self, len: usize) -> Message {
        let body = (0..len).map(|i| i as u8).collect::<Vec<_>>().into();
        let expiration = Wall::from_secs(self.now.wall.secs() + 30);
        Message { kind: MessageType::Data, id: MessageId(77), expiration, body }
    }
}

/// The cell of this number, unlike any other: IV and first block together tell them apart.
fn cell(n: u32) -> [u8; CELL] {
    let mut cell = [0x55; CELL];
    cell[..4].copy_from_slice(&n.to_be_bytes());
    cell
}

/// Expects cells under the next tunnel's number that live as long as documented; returns what the creator sees of them.
fn decrypted(messages: &[Message], now: Now) -> Vec<[u8; CELL]> {
    let cell = |message: &Message| {
        assert_eq!(message.kind, MessageType::TunnelData);
        assert_eq!(message.expiration.secs(), now.wall.secs() + CELL_LIFETIME_SECS);
        let (tunnel, cell) = message.body.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*tunnel), THERE.0);
        let mut cell: [u8; CELL] = cell.try_into().unwrap();
        decrypt_batch(&mut [(&cipher(), &mut cell)]);
        cell
    };
    messages.iter().map(cell).collect()
}

#[test]
fn a_participant_encrypts_with_its_layer_and_passes_on_to_the_next_hop_under_the_next_tunnels_number() {
    let mut rig = Rig::new(1, FAST);
    rig.participant(next());
    let mut far = rig.connect(next());
    // More than a batch, so that it runs full and once more at the end of the turn.
    let cells: Vec<[u8; CELL]> = (0..19).map(cell).collect();
    cells.iter().for_each(|cell| rig.give_cell(previous(), HERE, cell));
    let came = rig.read(&mut far, cells.len());
    assert!(decrypted(&came, rig.now) == cells, "{} came", came.len());
    assert!(came.iter().zip(&cells).all(|(came, cell)| came.body[4..] != cell[..]), "not encrypted");
    assert_eq!(rig.drops(), []);
    assert_eq!(rig.threads[0].links.stats.cells[Role::Participant as usize].get(), cells.len() as u64);
}

#[test]
fn cells_for_a_peer_of_another_thread_go_over_in_one_batch_and_leave_by_its_session() {
    let mut rig = Rig::new(2, FAST);
    let peer = router(3, 1);
    rig.participant(peer);
    let mut far = rig.connect(peer);
    let cells: Vec<[u8; CELL]> = (0..40).map(cell).collect();
    cells.iter().for_each(|cell| rig.give_cell(previous(), HERE, cell));
    assert_eq!(rig.handles[1].inbox.len(), 0, "it waits for the end of the turn");
    rig.turn_one(0);
    assert_eq!(rig.handles[1].inbox.len(), 1);
    let came = rig.read(&mut far, cells.len());
    assert!(decrypted(&came, rig.now) == cells, "{} came", came.len());
    assert_eq!(rig.drops(), []);
}

/// A cause, how often it is counted, and what brings it about.
type Case = (DropCause, u64, fn() -> Rig);

fn with(mut rig: Rig, act: impl FnOnce(&mut Rig)) -> Rig {
    act(&mut rig);
    rig
}

fn at_participant(act: impl FnOnce(&mut Rig)) -> Rig {
    let mut rig = Rig::new(1, FAST);
    rig.participant(next());
    with(rig, act)
}

fn at_gateway(contract: Contract, act: impl FnOnce(&mut Rig)) -> Rig {
    let mut rig = Rig::new(1, FAST);
    rig.gateway(contract);
    with(rig, act)
}

fn at_endpoint(act: impl FnOnce(&mut Rig)) -> Rig {
    let mut rig = Rig::new(1, FAST);
    rig.endpoint();
    with(rig, act)
}

/// The body of a TunnelGateway message for the tunnel here, around so many bytes.
fn gateway_body(len: u16) -> Vec<u8> {
    let mut body = [&HERE.0.to_be_bytes()[..], &len.to_be_bytes()].concat();
    body.resize(body.len() + usize::from(len), 7);
    body
}

/// The causes of cells and messages that the relay itself finds.
///
/// `FairShare`, `QueueDelay` and `EgressFull` have tests of their own below. `ClientFull`, and `NoSession` and
/// `UnknownTunnel` of our own cells, are tested in `io/own/tests.rs`. The other causes are not found here: `OwnQueueFull`
/// belongs to the threads that own tunnels, `BadDatagram`, `UnknownSession` and `SocketFull` to the sockets of SSU2,
/// `SessionRefused` to the commands.
const CASES: &[Case] = &[
    (DropCause::UnknownTunnel, 1, || at_participant(|rig| rig.give_cell(previous(), TunnelId(99), &cell(1)))),
    (DropCause::UnknownTunnel, 1, || with(Rig::new(1, FAST), |rig| rig.give_gateway(&gateway_body(50)))),
    (DropCause::WrongPrevious, 1, || at_participant(|rig| rig.give_cell(router(4, 0), HERE, &cell(1)))),
    (DropCause::WrongKind, 1, || at_gateway(Contract::default(), |rig| rig.give_cell(previous(), HERE, &cell(1)))),
    (DropCause::WrongKind, 1, || at_participant(|rig| rig.give_gateway(&gateway_body(50)))),
    (DropCause::BadCell, 1, || at_participant(|rig| rig.give(previous(), CELL_MESSAGE, u32::MAX, &[1; 1027]))),
    (DropCause::ReplayedIv, 1, || {
        at_participant(|rig| [1, 2, 1].iter().for_each(|n| rig.give_cell(previous(), HERE, &cell(*n))))
    }),
    (DropCause::ReplayedIv, 1, || {
        at_participant(|rig| {
            rig.give_cell(previous(), HERE, &cell(1));
            rig.turn();
            rig.give_cell(previous(), HERE, &cell(1));
        })
    }),
    // A message to a gateway, or that an endpoint sends on, is given a minute of grace.
    (DropCause::Expired, 1, || {
        at_gateway(Contract::default(), |rig| {
            rig.turn();
            let now = rig.now.wall.secs();
            rig.give(previous(), GATEWAY_MESSAGE, now - 59, &gateway_body(50));
            rig.give(previous(), GATEWAY_MESSAGE, now - 61, &gateway_body(50));
        })
    }),
    (DropCause::Expired, 1, || {
        at_endpoint(|rig| {
            let message = rig.message(100).to_std().unwrap();
            rig.now = rig.now.plus(Duration::from_secs(30 + 61));
            rig.turn();
            rig.give_endpoint(Delivery::Router(next()), &message);
        })
    }),
    (DropCause::BadFragment, 1, || at_endpoint(|rig| rig.give_cell(previous(), HERE, &cell(1)))),
    (DropCause::BadMessage, 1, || at_participant(|rig| rig.give_gateway(&gateway_body(50)[..40]))),
    (DropCause::BadMessage, 1, || at_endpoint(|rig| rig.give_endpoint(Delivery::Router(next()), &[1; 5]))),
    (DropCause::BadMessage, 1, || at_endpoint(|rig| rig.give_endpoint(Delivery::Router(US), &[1; 5]))),
    (DropCause::BadMessage, 1, || {
        at_endpoint(|rig| {
            // Nobody's cells are sent on out of a tunnel.
            let message = Message { kind: MessageType::TunnelData, ..rig.message(1028) };
            rig.give_endpoint(Delivery::Router(next()), &message.to_std().unwrap());
        })
    }),
    (DropCause::TooLarge, 1, || at_gateway(Contract::default(), |rig| rig.give_gateway(&gateway_body(65_000)))),
    (DropCause::Contract, 1, || {
        // One passes as a burst, two are too much for a kilobyte a second.
        at_gateway(Contract::new(None, Some(1)), |rig| (0..2).for_each(|_| rig.give_gateway(&gateway_body(60_000))))
    }),
    // As many wait for the session as may.
    (DropCause::NoSession, 4, || {
        at_participant(|rig| (0..100).for_each(|n| rig.give_cell(previous(), HERE, &cell(n))))
    }),
    (DropCause::HandoffFull, 3, || {
        let mut rig = Rig::new(2, FAST);
        rig.participant(router(3, 1));
        let message = rig.message(1);
        let fill = || Command::Send { to: US, message: message.clone(), account: Account::Ours };
        while rig.handles[1].command(fill()).is_ok() {}
        (0..3).for_each(|n| rig.give_cell(previous(), HERE, &cell(n)));
        rig
    }),
    (DropCause::ControlFull, 1, || {
        at_endpoint(|rig| {
            rig.control.full.store(true, Relaxed);
            let message = rig.message(100).to_std().unwrap();
            rig.give_endpoint(Delivery::Router(US), &message);
        })
    }),
];

#[test]
fn every_cause_for_which_the_relay_drops_raises_its_own_counter_and_no_other() {
    for (number, (cause, count, bring_about)) in CASES.iter().enumerate() {
        let mut rig = bring_about();
        // Of two threads the other one may be busy.
        rig.turn_one(0);
        assert_eq!(rig.drops(), [(*cause, *count)], "case {number}, {cause:?}");
    }
}

#[test]
fn cells_that_the_line_does_not_bear_wait_until_the_tunnel_has_its_share_and_not_for_ever() {
    const CELLS: u64 = 2000;
    let mut rig = Rig::new(1, 100_000);
    rig.participant(next());
    let _far = rig.connect(next());
    (0..CELLS as u32).for_each(|n| rig.give_cell(previous(), HERE, &cell(n)));
    rig.turn();
    let passed = |rig: &Rig| rig.threads[0].links.stats.cells[Role::Participant as usize].get();
    let waiting = |rig: &Rig| rig.threads[0].links.stats.waiting_cells.get();
    assert!(waiting(&rig) > 0);
    let refused = CELLS - passed(&rig) - waiting(&rig);
    assert!(refused > 0, "{} passed, {} wait", passed(&rig), waiting(&rig));
    assert_eq!(rig.drops(), [(DropCause::FairShare, refused)]);
    for _ in 0..100 {
        rig.now = rig.now.plus(Duration::from_millis(100));
        rig.turn();
    }
    let late = CELLS - passed(&rig) - waiting(&rig) - refused;
    assert!(late > 0, "{} passed, {} wait", passed(&rig), waiting(&rig));
    assert_eq!(rig.drops(), [(DropCause::FairShare, refused), (DropCause::QueueDelay, late)]);
}

#[test]
fn cells_for_a_next_hop_that_takes_nothing_are_dropped_as_its_queue_is_full() {
    let mut rig = Rig::new(1, FAST);
    rig.participant(next());
    let _far = rig.connect(next());
    // The kernel's buffers take some megabytes first.
    let mut sent = 0;
    while rig.drops().is_empty() && sent < 100_000 {
        (sent..sent + 64).for_each(|n| rig.give_cell(previous(), HERE, &cell(n)));
        sent += 64;
        rig.turn();
    }
    let drops = rig.drops();
    assert!(matches!(drops[..], [(DropCause::EgressFull, 1..=64)]), "after {sent} cells: {drops:?}");
}

/// Five thousand messages fit into what one read brings, and four peers could make us hold a gigabyte of them.
#[test]
fn a_peer_has_its_share_of_what_goes_up_and_takes_nothing_of_anothers() {
    let mut rig = Rig::new(1, FAST);
    let (flooder, other) = (router(7, 0), router(8, 0));
    let _sessions = [flooder, other].map(|peer| rig.connect(peer));
    let store = MessageType::DatabaseStore.code();
    let mut give = |index: usize, from, count| {
        let IoThread { relay, links } = &mut rig.threads[0];
        for _ in 0..count {
            let message = I2np { kind: store, id: MessageId(9), expiration: u32::MAX, body: &[0; 12] };
            links.on_i2np(relay, index, from, Transport::Ntcp2, message);
        }
        links.deliver_events();
        let mut received = rig.control.received.lock();
        let came = received.drain(..).filter(|r| matches!(r, Received::Message { .. })).count();
        (came, links.stats.drops[DropCause::ControlShare as usize].get())
    };
    assert_eq!(give(0, flooder, 5000), (512, 4488));
    assert_eq!(give(1, other, 100), (100, 4488));
}

#[test]
fn when_descriptors_are_scarce_the_silent_go_first() {
    let mut rig = Rig::new(1, FAST);
    let mut peers: Vec<_> = (10..20).map(|n| rig.connect(router(n, 0))).collect();
    rig.now.mono += Duration::from_secs(60);
    for (n, far) in peers.iter_mut().enumerate().filter(|(n, _)| *n != 3) {
        far.send(TunnelId(1), &[n as u8]);
    }
    let open = |rig: &Rig| rig.threads[0].links.sessions.len();
    while rig.threads[0].links.sessions.iter().filter(|(_, session)| session.last_in == rig.now.mono).count() < 9 {
        rig.turn();
    }
    rig.handles[0].command(Command::CloseIdlest(1)).unwrap();
    rig.turn();
    assert_eq!(open(&rig), 9);
    let silent = router(13, 0);
    assert!(rig.threads[0].links.peers.find(&silent).is_none(), "who has said nothing is gone");
}
