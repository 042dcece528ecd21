//! The verified stream: numbered messages out through one of our tunnels and in through another.
//!
//! ```text
//! Data message:  length (4) | number (8) | sent at, us (8) | bytes that follow from the number
//! ```
//! State owned: what is on its way. In: [`Begin`], [`Finish`], Data messages from the switch. Out: messages into tunnels.

use actix::prelude::*;
use bytes::Bytes;
use ramson_actors::messages::Incoming;
use ramson_actors::node::Node;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::tunnel::Delivery;
use ramson_protocol::wire::{Reader, Writer};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often messages are sent.
const TICK: Duration = Duration::from_millis(5);

/// A message that has not come back after this is sent again.
const RESEND_AFTER: Duration = Duration::from_secs(2);

/// Payload of a message: between these, at random.
const PAYLOAD: std::ops::Range<usize> = 200..16_000;

/// Bytes on their way, at most. Above it nothing new is sent: the network decides the rate.
const WINDOW: usize = 4 << 20;

/// The mailbox: Data messages of a few turns.
const MAILBOX: usize = 4096;

/// Latencies that are kept for the summary.
const LATENCIES: usize = 1024;

/// What the summary shows. Written by the stream alone.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) sent: AtomicU64,
    pub(crate) arrived: AtomicU64,
    pub(crate) arrived_bytes: AtomicU64,
    pub(crate) corrupt: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) resent: AtomicU64,
    pub(crate) outstanding: AtomicU64,
    pub(crate) latencies_us: parking_lot::Mutex<VecDeque<u64>>,
}

struct OnItsWay {
    body: Bytes,
    since: Duration,
}

/// The actor.
pub(crate) struct Stream {
    progress: Arc<Progress>,
    node: Option<Node>,
    bytes_per_second: f64,
    budget: f64,
    next: u64,
    outstanding: BTreeMap<u64, OnItsWay>,
    outstanding_bytes: usize,
    finishing: bool,
    rng: ChaCha20Rng,
}

/// Send through the tunnels of this node.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Begin(pub(crate) Node);

/// Send nothing new.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Finish;

impl Stream {
    pub(crate) fn start(bytes_per_second: f64) -> (Addr<Self>, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let stream = Self {
            progress: Arc::clone(&progress),
            node: None,
            bytes_per_second,
            budget: 0.0,
            next: 0,
            outstanding: BTreeMap::new(),
            outstanding_bytes: 0,
            finishing: false,
            rng: rand::make_rng(),
        };
        (Actor::start(stream), progress)
    }

    fn tick(&mut self) {
        let Some(node) = self.node.clone() else { return };
        let now = node.shared().now().mono;
        let mut late: Vec<u64> = Vec::new();
        for (number, message) in &mut self.outstanding {
            if now.saturating_sub(message.since) > RESEND_AFTER {
                message.since = now;
                late.push(*number);
            }
        }
        for number in late {
            self.progress.resent.fetch_add(1, Relaxed);
            if let Some(body) = self.outstanding.get(&number).map(|m| m.body.clone()) {
                self.send(&node, body);
            }
        }
        self.budget = (self.budget + self.bytes_per_second * TICK.as_secs_f64()).min(self.bytes_per_second);
        while !self.finishing && self.budget > 0.0 && self.outstanding_bytes < WINDOW {
            let body = message(self.next, now, self.rng.random_range(PAYLOAD));
            self.budget -= body.len() as f64;
            self.outstanding_bytes += body.len();
            self.outstanding.insert(self.next, OnItsWay { body: body.clone(), since: now });
            self.next += 1;
            self.progress.sent.fetch_add(1, Relaxed);
            self.send(&node, body);
        }
        self.progress.outstanding.store(self.outstanding.len() as u64, Relaxed);
    }

    /// Through any pair of tunnels: what is lost with one comes back through another.
    fn send(&mut self, node: &Node, body: Bytes) {
        let shared = node.shared();
        let own = node.own_tunnels();
        let (n, m) = (own.outbound.len(), own.inbound.len());
        if n == 0 || m == 0 {
            return;
        }
        let outbound = own.outbound[self.rng.random_range(0..n)];
        let inbound = own.inbound[self.rng.random_range(0..m)];
        let delivery = Delivery::Tunnel(inbound.gateway, inbound.gateway_tunnel);
        shared.send_through(&outbound, delivery, shared.message(MessageType::Data, body));
    }

    fn arrived(&mut self, body: &Bytes) {
        let Some(now) = self.node.as_ref().map(|node| node.shared().now().mono) else { return };
        let mut r = Reader::new(body);
        let (Ok(_), Ok(number), Ok(sent_us)) = (r.u32(), r.u64(), r.u64()) else {
            self.progress.corrupt.fetch_add(1, Relaxed);
            return;
        };
        let Some(expected) = self.outstanding.get(&number) else {
            // Sent again although the first was only late: whether it is intact can be told all the same.
            let sent = Duration::from_micros(sent_us);
            let intact = number < self.next && *body == message(number, sent, body.len() - HEADER);
            let count = if intact { &self.progress.repeated } else { &self.progress.corrupt };
            count.fetch_add(1, Relaxed);
            return;
        };
        if expected.body != *body {
            self.progress.corrupt.fetch_add(1, Relaxed);
            return;
        }
        self.outstanding.remove(&number);
        self.outstanding_bytes -= body.len();
        self.progress.arrived.fetch_add(1, Relaxed);
        self.progress.arrived_bytes.fetch_add(body.len() as u64, Relaxed);
        let latency = now.saturating_sub(Duration::from_micros(sent_us));
        let mut latencies = self.progress.latencies_us.lock();
        if latencies.len() == LATENCIES {
            latencies.pop_front();
        }
        latencies.push_back(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
}

const HEADER: usize = 20;

/// The message of a number: every byte of its payload follows from it.
fn message(number: u64, sent: Duration, payload: usize) -> Bytes {
    let mut body = Vec::with_capacity(HEADER + payload);
    body.put_u32(u32::try_from(payload + HEADER - 4).unwrap_or(0));
    body.put_u64(number);
    body.put_u64(u64::try_from(sent.as_micros()).unwrap_or(0));
    body.resize(HEADER + payload, 0);
    ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut body[HEADER..]);
    body.into()
}

impl Actor for Stream {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, |actor, _| actor.tick());
    }
}

impl Handler<Begin> for Stream {
    type Result = ();

    fn handle(&mut self, begin: Begin, _: &mut Context<Self>) {
        self.node = Some(begin.0);
    }
}

impl Handler<Finish> for Stream {
    type Result = ();

    fn handle(&mut self, _: Finish, _: &mut Context<Self>) {
        self.finishing = true;
    }
}

impl Handler<Incoming> for Stream {
    type Result = ();

    fn handle(&mut self, incoming: Incoming, _: &mut Context<Self>) {
        self.arrived(&incoming.message.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_follows_from_its_number() {
        let at = Duration::from_millis(7);
        assert_eq!(message(5, at, 300), message(5, at, 300));
        assert_ne!(message(5, at, 300)[HEADER..], message(6, at, 300)[HEADER..]);
        assert_eq!(message(5, at, 300).len(), 320);
    }
}
