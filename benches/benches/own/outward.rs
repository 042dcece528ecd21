//! Messages into a tunnel of our own: cut and encrypted by the I/O thread, or by the thread that sends.

use crate::{BODY, Seat, Spent, ciphers, give, thread_time};
use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use ramson_clients::own_out::OwnOut;
use ramson_clients::{Lane, OwnCells};
use ramson_crypto::tunnel::{LayerCipher, decrypt_batch};
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::Body;
use ramson_protocol::tunnel::fragment::Packer;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::sync::Arc;

const TO: Delivery = Delivery::Tunnel(RouterHash([9; 32]), TunnelId(77));
const TUNNEL: TunnelId = TunnelId(5);

/// Bytes that a session has staged before it is sealed and written.
const STAGED: usize = 64 * 1024;

pub(crate) fn message() -> Message {
    Message { kind: MessageType::Data, id: 7.into(), expiration: Wall::from_secs(u32::MAX), body: vec![7; BODY].into() }
}

/// The buffer of the first hop's session.
struct Session {
    staged: Vec<u8>,
    cells: u64,
}

impl Session {
    fn new() -> Self {
        Self { staged: Vec::with_capacity(STAGED + 2048), cells: 0 }
    }

    fn queue(&mut self, cell: &Body) {
        self.staged.extend_from_slice(&TUNNEL.0.to_be_bytes());
        self.staged.extend_from_slice(cell);
        self.cells += 1;
        if self.staged.len() > STAGED {
            std::hint::black_box(&self.staged);
            self.staged.clear();
        }
    }
}

fn peel(ciphers: &[LayerCipher], cells: &mut [Body]) {
    for cipher in ciphers.iter().rev() {
        decrypt_batch(&mut cells.iter_mut().map(|cell| (cipher, cell)).collect::<Vec<_>>());
    }
}

/// An entry in the I/O thread's inbox for each message; the I/O thread hashes, cuts and encrypts.
pub(crate) fn by_message(n: u64) -> Spent {
    let mut seat = Seat::<(TunnelId, Delivery, Message)>::new(16 * 1024);
    let inbox = seat.inbox.clone();
    let sender = std::thread::spawn(move || {
        let (start, message) = (thread_time(), message());
        for _ in 0..n {
            // The body is made by the sender in any case.
            let body = Bytes::copy_from_slice(&message.body);
            give(&inbox, (TUNNEL, TO, Message { body, ..message.clone() }));
        }
        thread_time() - start
    });
    let start = thread_time();
    let hops: FxHashMap<TunnelId, Vec<LayerCipher>> = [(TUNNEL, ciphers())].into_iter().collect();
    let (mut rng, mut packer, mut session) = (ChaCha20Rng::seed_from_u64(1), Packer::new(), Session::new());
    let (mut cells, mut seen) = (Vec::new(), 0);
    while seen < n {
        seat.wait();
        for _ in 0..1024 {
            let Some((tunnel, delivery, message)) = seat.inbox.pop() else { break };
            let std = message.to_std().unwrap();
            packer.push(&delivery, &std, &mut rng, &mut cells).unwrap();
            peel(&hops[&tunnel], &mut cells);
            cells.drain(..).for_each(|cell| session.queue(&cell));
            seen += 1;
        }
        packer.flush(&mut rng, &mut cells).unwrap();
        peel(&hops[&TUNNEL], &mut cells);
        cells.drain(..).for_each(|cell| session.queue(&cell));
    }
    assert_eq!(session.cells, n);
    Spent { io: thread_time() - start, other: sender.join().unwrap() }
}

/// Batches of finished cells, with credit that runs back.
pub(crate) fn by_cells(n: u64, batch: usize) -> Spent {
    let mut seat = Seat::<OwnCells>::new(1024);
    let client = Seat::<()>::new(16);
    let (lane, spares) = (Lane::new(), Arc::new(ArrayQueue::new(16)));
    let (inbox, credit) = (seat.inbox.clone(), client.inbox.clone());
    let sender = {
        let (lane, spares) = (Arc::clone(&lane), Arc::clone(&spares));
        std::thread::spawn(move || send(n, batch, client, &inbox, lane, &spares))
    };
    let start = thread_time();
    let hops: FxHashMap<TunnelId, Arc<Lane>> = [(TUNNEL, lane)].into_iter().collect();
    let mut session = Session::new();
    while session.cells < n {
        seat.wait();
        while let Some(mut cells) = seat.inbox.pop() {
            for (tunnel, cell) in cells.tunnels.iter().zip(&cells.cells) {
                session.queue(cell);
                hops[tunnel].went(1);
            }
            if hops[&TUNNEL].wanted() {
                let _ = credit.push(());
            }
            cells.clear();
            let _ = spares.push(cells);
        }
    }
    Spent { io: thread_time() - start, other: sender.join().unwrap() }
}

fn send(
    n: u64,
    batch: usize,
    mut seat: Seat<()>,
    to: &ramson_transports::inbox::Inbox<OwnCells>,
    lane: Arc<Lane>,
    spares: &ArrayQueue<OwnCells>,
) -> std::time::Duration {
    let start = thread_time();
    let (mut rng, mut end, message) = (ChaCha20Rng::seed_from_u64(1), OwnOut::new(ciphers(), lane), message());
    let (mut made, mut packer) = (0, Packer::new());
    while made < n || end.waits() {
        for _ in 0..(batch as u64).min(n - made) {
            let body = Bytes::copy_from_slice(&message.body);
            end.handle_message(TO, Message { body, ..message.clone() }).unwrap();
            made += 1;
        }
        let mut cells: OwnCells = spares.pop().unwrap_or_default();
        while end.poll_cells(Wall::default(), &mut rng, &mut packer, cells.of(TUNNEL)) {}
        if !cells.is_empty() {
            give(to, cells);
        }
        while end.waits() {
            seat.wait();
            while seat.inbox.pop().is_some() {}
            let mut cells: OwnCells = spares.pop().unwrap_or_default();
            while end.poll_cells(Wall::default(), &mut rng, &mut packer, cells.of(TUNNEL)) {}
            if !cells.is_empty() {
                give(to, cells);
            }
        }
    }
    assert_eq!(end.stats().messages, n);
    thread_time() - start
}
