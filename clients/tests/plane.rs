//! Client threads as they run, between I/O threads that take nothing and a control plane that keeps everything.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use ramson_clients::handle::Clients;
use ramson_clients::own_out::{QUEUE_BYTES, QUEUE_MESSAGES};
use ramson_clients::{OwnCells, Sent};
use ramson_crypto::tunnel::{LayerCipher, encrypt_batch};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::shape;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_transports::clock::Clock;
use ramson_transports::event::{EventSink, News, Received};
use ramson_transports::handle::Bound;
use ramson_transports::hop::{HopKind, NextHop};
use ramson_transports::live::Settings;
use ramson_transports::ports::own::WINDOW;
use ramson_transports::stats::DropCause;
use ramson_transports::{Transports, TransportsConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const IN: TunnelId = TunnelId(4);
const OUT: TunnelId = TunnelId(5);

struct Control(Sender<Received>);

impl EventSink for Control {
    fn news(&self, _: Vec<News>) -> Result<(), Vec<News>> {
        Ok(())
    }

    fn received(&self, batch: Vec<Received>) -> Result<(), Vec<Received>> {
        batch.into_iter().for_each(|received| self.0.send(received).unwrap());
        Ok(())
    }
}

/// A data plane whose threads do not run: what it is handed stays where it is.
fn still() -> (Transports, Bound) {
    Transports::bind(TransportsConfig {
        max_connections: 100,
        router: RouterHash([1; 32]),
        router_info: Bytes::new(),
        static_key: SecretKey::from_bytes([6; 32]),
        iv: [4; 16],
        net_id: 99,
        listen: Vec::new(),
        ssu2: None,
        call_from: Arc::default(),
        threads: 1,
        line: shape::Limits::even(1_000_000),
        limits: Default::default(),
        gate: Arc::new(ramson_protocol::link::gate::OpenGate),
        live: Settings { idle_close: Duration::from_secs(600) },
        clock: Clock::new(),
        draining: Arc::default(),
    })
    .unwrap()
}

fn start() -> (Clients, Receiver<Received>, (Transports, Bound)) {
    let still = still();
    let (clients, bound) = Clients::bind(1, still.0.io()).unwrap();
    let (tx, rx) = channel();
    bound.run(&Clock::new(), &(Arc::new(Control(tx)) as Arc<dyn EventSink>)).unwrap();
    (clients, rx, still)
}

fn message(len: usize) -> Message {
    Message {
        kind: MessageType::Data,
        id: 7.into(),
        expiration: Wall(u64::from(u32::MAX) * 1000),
        body: vec![3; len].into(),
    }
}

fn cipher() -> LayerCipher {
    LayerCipher::new(&[1; 32], &[2; 32])
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_sender_learns_whether_a_message_goes_waits_or_finds_no_room_and_none_is_lost() {
    let (clients, _rx, _still) = start();
    let next = NextHop { router: RouterHash([9; 32]), tunnel: TunnelId(77) };
    let Some(HopKind::OutboundGateway { lane, .. }) = clients.outbound(0, OUT, vec![cipher()], next) else { panic!() };
    assert_eq!(clients.send(OUT, Delivery::Local, message(10_000)), Sent::Now);
    // Nothing goes at the other end: the lane closes, then the queue is full.
    let mut taken = 1;
    while clients.send(OUT, Delivery::Local, message(10_000)).is_taken() {
        taken += 1;
        assert!(taken < 1000, "there is a bound");
        // The thread reads its inbox in between, so it is the tunnel's bound that is met.
        std::thread::sleep(Duration::from_millis(1));
    }
    until("the lane is as full as it gets", || lane.credit() < 12);
    assert!(lane.under_way() <= WINDOW && lane.under_way() + 12 > WINDOW);
    assert!(taken >= QUEUE_BYTES / 10_000 + 20, "{taken}");
    assert!(clients.stats()[0].dropped(DropCause::OwnQueueFull) >= 1);
    assert_eq!(clients.stats()[0].drops.iter().map(|count| count.get()).sum::<u64>(), 0);
    assert_eq!(clients.send(OUT, Delivery::Local, message(10_000)), Sent::Full);
    clients.close(OUT);
    assert_eq!(clients.send(OUT, Delivery::Local, message(10)), Sent::Gone);
    let lost = || clients.stats()[0].dropped(DropCause::UnknownTunnel);
    until("what waited is counted with its tunnel", || lost() > 0);
    assert_eq!(lost() + clients.stats()[0].messages_out.get(), taken as u64);
    clients.stop();
}

#[test]
fn messages_without_bodies_are_bounded_too() {
    let (clients, _rx, _still) = start();
    let next = NextHop { router: RouterHash([9; 32]), tunnel: TunnelId(77) };
    let hop = clients.outbound(0, OUT, vec![cipher()], next);
    assert!(hop.is_some());
    let sent = (0..1_000_000).position(|n| {
        if n % 100 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        !clients.send(OUT, Delivery::Local, message(0)).is_taken()
    });
    // Some twenty share a cell.
    assert!((QUEUE_MESSAGES..60_000).contains(&sent.unwrap()), "{sent:?}");
}

#[test]
fn raw_cells_of_a_tunnel_come_up_as_its_messages_and_those_of_no_tunnel_are_counted() {
    let (clients, rx, _still) = start();
    let Some(HopKind::InboundEndpoint { to }) = clients.inbound(0, IN, vec![cipher()], None) else { panic!() };
    let (mut rng, mut packer, mut cells) = (ChaCha20Rng::from_seed([3; 32]), Packer::new(), Vec::new());
    packer.push(&Delivery::Local, &message(3000).to_std().unwrap(), &mut rng, &mut cells).unwrap();
    packer.flush(&mut rng, &mut cells).unwrap();
    let key = cipher();
    encrypt_batch(&mut cells.iter_mut().map(|cell| (&key, cell)).collect::<Vec<_>>());
    let mut batch: OwnCells = to.spare();
    batch.push(TunnelId(6), &[0; 1024]);
    cells.iter().for_each(|cell| batch.push(IN, cell));
    to.cells(batch).unwrap();
    let Received::TunnelMessage { tunnel, own: true, message: got } = rx.recv_timeout(PATIENCE).unwrap() else {
        panic!()
    };
    assert_eq!((tunnel, got), (IN, message(3000)));
    assert_eq!(clients.stats()[0].dropped(DropCause::UnknownTunnel), 1);
    assert_eq!(clients.stats()[0].messages_in.get(), 1);
    clients.close(IN);
    let mut batch = to.spare();
    cells.iter().for_each(|cell| batch.push(IN, cell));
    to.cells(batch).unwrap();
    until("a tunnel that is over is unknown", || clients.stats()[0].dropped(DropCause::UnknownTunnel) == 5);
    drop(clients);
    assert!(rx.recv_timeout(PATIENCE).is_err(), "the thread has ended");
}
