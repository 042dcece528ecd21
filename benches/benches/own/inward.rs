//! Cells out of a tunnel of our own: taken apart by the I/O thread with an event for each message, or raw to the thread that
//! owns the tunnel.

use crate::outward::message;
use crate::{Seat, Spent, ciphers, give, thread_time};
use actix::prelude::*;
use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use ramson_clients::OwnCells;
use ramson_clients::own_in::OwnIn;
use ramson_crypto::tunnel::{decrypt_batch, encrypt_batch};
use ramson_protocol::i2np::Message as I2np;
use ramson_protocol::id::TunnelId;
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::tunnel::cell::Body;
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use ramson_transports::event::Received;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;
use std::time::Duration;

const TUNNEL: TunnelId = TunnelId(5);

/// Cells of one message each, as they come from the last hop.
fn cells() -> Vec<Body> {
    let (mut rng, mut packer, mut cells) = (ChaCha20Rng::seed_from_u64(2), Packer::new(), Vec::new());
    let message = message().to_std().unwrap();
    for _ in 0..64 {
        packer.push(&Delivery::Local, &message, &mut rng, &mut cells).unwrap();
        packer.flush(&mut rng, &mut cells).unwrap();
    }
    for cipher in &ciphers() {
        encrypt_batch(&mut cells.iter_mut().map(|cell| (cipher, cell)).collect::<Vec<_>>());
    }
    cells
}

#[derive(Message)]
#[rtype(result = "()")]
struct Batch(Vec<Received>);

/// Asks for the messages seen and the processor time of the actor's thread.
#[derive(Message)]
#[rtype(result = "(u64, Duration)")]
struct Report;

#[derive(Default)]
struct Control(u64);

impl Actor for Control {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(256);
    }
}

impl Handler<Batch> for Control {
    type Result = ();

    fn handle(&mut self, batch: Batch, _: &mut Context<Self>) {
        self.0 += batch.0.len() as u64;
    }
}

impl Handler<Report> for Control {
    type Result = MessageResult<Report>;

    fn handle(&mut self, _: Report, _: &mut Context<Self>) -> Self::Result {
        MessageResult((self.0, thread_time()))
    }
}

/// The I/O thread takes off the layers, puts messages together, and sends `batch` of them at a time to an actor.
pub(crate) fn by_events(n: u64, batch: usize) -> Spent {
    let system = System::new();
    let arbiter = Arbiter::new();
    let spent = system.block_on(async {
        let control = Control::start_in_arbiter(&arbiter.handle(), |_| Control::default());
        let (_, before) = control.send(Report).await.unwrap();
        let sender = control.clone();
        let io = std::thread::spawn(move || take_apart(n, batch, &sender)).join().unwrap();
        let (seen, after) = control.send(Report).await.unwrap();
        assert_eq!(seen, n);
        Spent { io, other: after - before }
    });
    arbiter.stop();
    arbiter.join().unwrap();
    spent
}

fn take_apart(n: u64, batch: usize, control: &Addr<Control>) -> Duration {
    let (cells, ciphers) = (cells(), ciphers());
    let start = thread_time();
    let mut reassembler = Reassembler::new(Limits::default());
    let mut events = Vec::new();
    for at in 0..n as usize {
        let mut cell = [cells[at % cells.len()]];
        for cipher in ciphers.iter().rev() {
            decrypt_batch(&mut cell.iter_mut().map(|cell| (cipher, cell)).collect::<Vec<_>>());
        }
        let take = |_, bytes: std::borrow::Cow<'_, [u8]>| {
            let message = I2np::from_std(&Bytes::copy_from_slice(&bytes)).unwrap();
            events.push(Received::TunnelMessage { tunnel: TUNNEL, own: true, message });
        };
        reassembler.cell(Mono::ZERO, &cell[0], take).unwrap();
        if events.len() == batch || at + 1 == n as usize {
            let mut batch = Batch(std::mem::take(&mut events));
            while let Err(SendError::Full(back) | SendError::Closed(back)) = control.try_send(batch) {
                batch = back;
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }
    thread_time() - start
}

/// The I/O thread hands the cells over as they came.
pub(crate) fn by_cells(n: u64, batch: usize) -> Spent {
    let mut seat = Seat::<OwnCells>::new(256);
    let spares = Arc::new(ArrayQueue::<OwnCells>::new(16));
    let (inbox, used) = (seat.inbox.clone(), Arc::clone(&spares));
    let io = std::thread::spawn(move || {
        let cells = cells();
        let start = thread_time();
        let mut out = OwnCells::default();
        for at in 0..n as usize {
            out.push(TUNNEL, &cells[at % cells.len()]);
            if out.len() == batch || at + 1 == n as usize {
                give(&inbox, std::mem::replace(&mut out, used.pop().unwrap_or_default()));
            }
        }
        thread_time() - start
    });
    let start = thread_time();
    let (mut end, mut out) = (OwnIn::new(ciphers()), Vec::new());
    while end.stats().messages < n {
        seat.wait();
        while let Some(mut cells) = seat.inbox.pop() {
            for (_, run) in cells.runs() {
                end.handle_cells(Mono::ZERO, run, |message| out.push(message));
            }
            out.clear();
            cells.clear();
            let _ = spares.push(cells);
        }
    }
    let other = thread_time() - start;
    Spent { io: io.join().unwrap(), other }
}
